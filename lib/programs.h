/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The list of this project's programs at tc hooks: PROGRAM(ID, name, hook, priority).
 *
 * Attaching takes hook and priority from here. Name, hook and priority tell our programs from those
 * of others. tests/lib.sh reads this file, and scripts/lint.sh compares it with the sections of
 * bpf/ and with the list in remove-filters-and-qdisc.sh, which has to work without this file.
 */
#ifndef PROGRAMS_H
#define PROGRAMS_H

/* proxy6_*: for IPv6. pm3_*, proxy3_*, proxy36_*: for devices without a link layer. */
#define PROGRAMS(PROGRAM)                                                                          \
	PROGRAM(PM_INGRESS, pm_ingress, BPF_TC_INGRESS, TC_PRIO_FIRST)                             \
	PROGRAM(PM_EGRESS, pm_egress, BPF_TC_EGRESS, TC_PRIO_SECOND)                               \
	PROGRAM(PM3_INGRESS, pm3_ingress, BPF_TC_INGRESS, TC_PRIO_FIRST)                           \
	PROGRAM(PM3_EGRESS, pm3_egress, BPF_TC_EGRESS, TC_PRIO_SECOND)                             \
	PROGRAM(PROXY_INGRESS, proxy_ingress, BPF_TC_INGRESS, TC_PRIO_SECOND)                      \
	PROGRAM(PROXY_EGRESS, proxy_egress, BPF_TC_EGRESS, TC_PRIO_FIRST)                          \
	PROGRAM(PROXY3_INGRESS, proxy3_ingress, BPF_TC_INGRESS, TC_PRIO_SECOND)                    \
	PROGRAM(PROXY3_EGRESS, proxy3_egress, BPF_TC_EGRESS, TC_PRIO_FIRST)                        \
	PROGRAM(PROXY_DIRECT, proxy_direct, BPF_TC_EGRESS, TC_PRIO_BETWEEN)                        \
	PROGRAM(PROXY3_DIRECT, proxy3_direct, BPF_TC_EGRESS, TC_PRIO_BETWEEN)                      \
	PROGRAM(PROXY6_INGRESS, proxy6_ingress, BPF_TC_INGRESS, TC_PRIO_SECOND6)                   \
	PROGRAM(PROXY6_EGRESS, proxy6_egress, BPF_TC_EGRESS, TC_PRIO_FIRST6)                       \
	PROGRAM(PROXY36_INGRESS, proxy36_ingress, BPF_TC_INGRESS, TC_PRIO_SECOND6)                 \
	PROGRAM(PROXY36_EGRESS, proxy36_egress, BPF_TC_EGRESS, TC_PRIO_FIRST6)                     \
	PROGRAM(PROXY6_DIRECT, proxy6_direct, BPF_TC_EGRESS, TC_PRIO_BETWEEN6)                     \
	PROGRAM(PROXY36_DIRECT, proxy36_direct, BPF_TC_EGRESS, TC_PRIO_BETWEEN6)

#define PROGRAM_ID(id, name, hook, priority) PROGRAM_##id,
enum program { PROGRAMS(PROGRAM_ID) PROGRAM_COUNT };

#endif /* PROGRAMS_H */
