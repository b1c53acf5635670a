// SPDX-License-Identifier: GPL-2.0-only
#include "tc-link.h"

#include <errno.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "check.h"
#include "netns.h"

/* The smallest program there is: return TC_ACT_UNSPEC. */
static int link_test_load(void)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = TC_ACT_UNSPEC },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "smallest", "GPL", insns, 2, NULL);

	if (fd < 0) {
		printf("FAIL set-up: cannot load a program: %s\n", strerror(-fd));
		exit(EXIT_FAILURE);
	}
	return fd;
}

static __u32 filters(const char *dev, const char *hook)
{
	char command[128], line[16] = "";
	FILE *pipe;

	snprintf(command, sizeof(command), "tc filter show dev %s %s | grep -c ' handle '", dev,
		 hook);
	pipe = popen(command, "r"); // NOLINT(cert-env33-c): a shell is what is wanted
	if (!pipe || !fgets(line, sizeof(line), pipe))
		line[0] = '\0';
	if (pipe)
		pclose(pipe);
	return (__u32)strtoul(line, NULL, 10);
}

/* The programs at the ingress are @ids, in this order. */
static bool is_order(int index, const __u32 *ids, __u32 count)
{
	__u32 found[TCX_PROGRAMS_MAX];

	return tcx_programs(index, BPF_TC_INGRESS, found) == count &&
	       !memcmp(found, ids, count * sizeof(*ids));
}

static __u32 id_of(int fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

static void test_tcx(int first, int second)
{
	int others = link_test_load(), index, err;
	const __u32 order[] = { id_of(first), id_of(others), id_of(second) };
	struct tc_link before, behind, other;

	run("ip link add vc type veth peer name vd; ip link set vc up");
	index = (int)if_nametoindex("vc");
	before = (struct tc_link){
		.ifindex = index, .point = BPF_TC_INGRESS, .tcx = true, .priority = TC_PRIO_FIRST
	};
	behind = other = before;
	behind.priority = other.priority = TC_PRIO_SECOND;
	CHECK_EQ(tcx_programs(index, BPF_TC_INGRESS, (__u32[TCX_PROGRAMS_MAX]){ 0 }), 0,
		 "tcx: nothing is there");
	err = tc_link_attach(&other, others, false);
	if (err == -EOPNOTSUPP) {
		check_skip("tcx", "this kernel has no tcx");
		return;
	}
	CHECK_EQ(err, 0, "tcx: attaches");
	CHECK_EQ(tc_link_attach(&behind, second, false), 0, "tcx: attaches behind it");
	CHECK_EQ(tc_link_attach(&before, first, false), 0, "tcx: attaches before it");
	CHECK(is_order(index, order, 3), "tcx: they run in this order");
	run("! tc qdisc show dev vc | grep -q clsact");
	CHECK(true, "tcx: no clsact is made");
	CHECK_EQ(tc_link_detach(&before), 0, "tcx: the first is detached");
	CHECK(is_order(index, order + 1, 2), "tcx: the others stay");
	CHECK_EQ(tc_link_detach(&before), 0, "tcx: once more is no error");
	run("ip link del vc");
	CHECK_EQ(tc_link_detach(&behind), 0, "tcx: an interface that is gone is no error");
	CHECK_EQ(tc_link_attach(&behind, second, false), -ENODEV, "tcx: but cannot be attached to");
	tc_link_forget(&other);
	CHECK_EQ(other.fd, 0, "tcx: a link can be forgotten");
	close(others);
}

int main(void)
{
	int first = link_test_load(), second = link_test_load(), index;
	struct tc_link in, twin, egress, copy;
	__u32 prog_id;

	run("ip link add va type veth peer name vb; ip link set va up");
	index = (int)if_nametoindex("va");
	in = (struct tc_link){ .ifindex = index,
			       .point = BPF_TC_INGRESS,
			       .priority = TC_PRIO_FIRST };
	egress = (struct tc_link){
		.ifindex = index, .point = BPF_TC_EGRESS, .priority = TC_PRIO_FIRST, .handle = 1
	};
	twin = in;

	CHECK_EQ(tc_link_query(&egress, &prog_id), -ENOENT, "no filter without clsact");
	CHECK_EQ(tc_link_detach(&in), 0, "a link that is not attached can be detached");
	CHECK_EQ(tc_link_attach(&in, first, false), 0, "attaches and makes clsact");
	CHECK(in.handle && in.prog_id, "the kernel has picked a handle");
	CHECK_EQ(tc_link_attach(&twin, first, false), 0, "attaches beside itself");
	CHECK(twin.handle != in.handle, "with another handle");
	CHECK(!tc_link_query(&in, &prog_id) && prog_id == in.prog_id, "the query finds it");

	CHECK_EQ(tc_link_attach(&egress, first, false), 0, "attaches with a handle of its own");
	copy = egress;
	CHECK_EQ(tc_link_attach(&copy, second, false), -EEXIST, "a taken handle is refused");
	CHECK_EQ(tc_link_attach(&copy, second, true), 0, "unless it is to be replaced");
	CHECK_EQ(filters("va", "egress"), 1, "which leaves one filter");
	CHECK_EQ(tc_link_detach(&egress), -ESTALE, "a filter with another's program stays");
	CHECK_EQ(filters("va", "egress"), 1, "it is there");
	CHECK_EQ(tc_link_detach(&copy), 0, "its owner can detach it");
	CHECK_EQ(filters("va", "egress"), 0, "it is gone");
	CHECK_EQ(tc_link_detach(&copy), 0, "once more is no error");

	CHECK_EQ(tc_link_detach(&twin), 0, "detaches");
	CHECK_EQ(filters("va", "ingress"), 1, "and leaves the other one alone");
	run("tc filter del dev va ingress");
	CHECK_EQ(tc_link_detach(&in), 0, "a filter that somebody has removed is no error");
	run("tc qdisc show dev va | grep -q clsact");
	CHECK(true, "the qdisc stays");

	CHECK_EQ(tc_link_attach(&in, first, false), 0, "attaches again");
	run("ip link del va");
	CHECK_EQ(tc_link_detach(&in), 0, "an interface that is gone is no error");
	in.prog_id = 0;
	CHECK_EQ(tc_link_attach(&in, first, false), -ENODEV, "but cannot be attached to");
	test_tcx(first, second);
	close(first);
	close(second);
	return check_exit();
}
