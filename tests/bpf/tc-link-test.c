// SPDX-License-Identifier: GPL-2.0-only
#include "tc-link.h"

#include <errno.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "check.h"
#include "netns.h"

/* The smallest program there is: return TC_ACT_UNSPEC. */
static int load(void)
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

int main(void)
{
	int first = load(), second = load(), index;
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
	close(first);
	close(second);
	return check_exit();
}
