// SPDX-License-Identifier: GPL-2.0-only
/*
 * tcx-attach IFACE: attach a program that does nothing to both tcx hooks of an interface, and wait
 * to be killed. Exit status 77: this kernel has no tcx.
 */
#include <linux/bpf.h>
#include <net/if.h>
#include <stdio.h>
#include <unistd.h>

#include <bpf/bpf.h>

enum { TCX_INGRESS = 46, TCX_EGRESS = 47, TCX_NEXT = -1 };

int main(int argc, char **argv)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = TCX_NEXT },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int ifindex = argc == 2 ? (int)if_nametoindex(argv[1]) : 0;
	int prog = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "nothing", "GPL", insns, 2, NULL);

	if (!ifindex || prog < 0) {
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
