// SPDX-License-Identifier: GPL-2.0-only
/*
 * tcx-attach IFACE [VERDICT]: attach a program that does nothing to both tcx hooks of an interface,
 * behind what is there, and wait to be killed. VERDICT: -1 (default) leaves packets to those that
 * come after it, 0 takes them. Exit status 77: this kernel has no tcx.
 *
 * tcx-attach -l IFACE: the names of the programs there, a line each, in the order in which they run
 * (bpftool learned that later). Exit status 77, too.
 *
 * tcx-attach -d IFACE PROGRAM: detach the programs of this name, as an administrator might.
 */
#include <linux/bpf.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

/* Newer headers than Debian 12's have these under other names: BPF_TCX_INGRESS, TCX_NEXT. */
enum { TCX_INGRESS = 46, TCX_EGRESS = 47, VERDICT_NEXT = -1, PROGRAMS_MAX = 64 };

static int tcx_list(int ifindex, int type)
{
	__u32 ids[PROGRAMS_MAX];
	LIBBPF_OPTS(bpf_prog_query_opts, opts, .prog_ids = ids, .prog_cnt = PROGRAMS_MAX);

	if (bpf_prog_query_opts(ifindex, (enum bpf_attach_type)type, &opts))
		return 77;
	for (__u32 i = 0; i < opts.prog_cnt; i++) {
		struct bpf_prog_info info = { 0 };
		__u32 len = sizeof(info);

		if (!bpf_obj_get_info_by_fd(bpf_prog_get_fd_by_id(ids[i]), &info, &len))
			puts(info.name);
	}
	return 0;
}

static __u32 prog_of(int link_fd)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(link_fd, &info, &len) ? 0 : info.prog_id;
}

/* Detach the link of the program @prog_id. Return: whether there was one. */
static bool detach_prog(__u32 prog_id)
{
	__u32 id = 0;

	while (!bpf_link_get_next_id(id, &id)) {
		int fd = bpf_link_get_fd_by_id(id);
		bool found = fd >= 0 && prog_of(fd) == prog_id;

		if (found && bpf_link_detach(fd))
			perror("tcx-attach");
		close(fd);
		if (found)
			return true;
	}
	return false;
}

static int detach(int ifindex, const char *name)
{
	int detached = 0;

	for (int type = TCX_INGRESS; type <= TCX_EGRESS; type++) {
		__u32 ids[PROGRAMS_MAX];
		LIBBPF_OPTS(bpf_prog_query_opts, opts, .prog_ids = ids, .prog_cnt = PROGRAMS_MAX);

		if (bpf_prog_query_opts(ifindex, (enum bpf_attach_type)type, &opts))
			continue;
		for (__u32 i = 0; i < opts.prog_cnt; i++) {
			struct bpf_prog_info info = { 0 };
			__u32 len = sizeof(info);
			int fd = bpf_prog_get_fd_by_id(ids[i]);

			if (!bpf_obj_get_info_by_fd(fd, &info, &len) && !strcmp(info.name, name))
				detached += detach_prog(ids[i]);
			close(fd);
		}
	}
	return detached ? 0 : 1;
}

static int attach(int ifindex, int verdict)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = verdict },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int prog = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "nothing", "GPL", insns, 2, NULL);

	if (prog < 0) {
		perror("tcx-attach");
		return 1;
	}
	for (int type = TCX_INGRESS; type <= TCX_EGRESS; type++)
		if (bpf_link_create(prog, ifindex, (enum bpf_attach_type)type, NULL) < 0)
			return 77;
	puts("attached");
	fflush(stdout);
	pause();
	return 0;
}

int main(int argc, char **argv)
{
	const char *option = argc > 2 && argv[1][0] == '-' ? argv[1] : "";
	int ifindex = argc > 1 ? (int)if_nametoindex(argv[*option ? 2 : 1]) : 0;

	if (!ifindex || (!strcmp(option, "-d") && argc != 4)) {
		fputs("usage: tcx-attach IFACE [VERDICT] | -l IFACE | -d IFACE PROGRAM\n", stderr);
		return 2;
	}
	if (!strcmp(option, "-d"))
		return detach(ifindex, argv[3]);
	if (!*option)
		return attach(ifindex, argc == 3 ? (int)strtol(argv[2], NULL, 10) : VERDICT_NEXT);
	return tcx_list(ifindex, TCX_INGRESS) ?: tcx_list(ifindex, TCX_EGRESS);
}
