/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * packet-monitor: the place for the filter of the command line. BPF only.
 *
 * User space makes instructions of the filter and writes them to the end of each place
 * (packet-monitor/filter.c). A jump leads over the rest of the place. The verifier sees that the
 * jump is always taken, and removes what it leads over.
 *
 * The instructions lie in the middle of the programs: on CPUs that have to protect their returns, a
 * call costs as much as twenty comparisons.
 */
#ifndef BPF_PM_FILTER_H
#define BPF_PM_FILTER_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "packet-monitor.h"

/* Constant once loaded: without a filter, the verifier removes its places. */
const volatile bool cfg_filtered = false;

#define PM_FILTER_STRING(number) #number
#define PM_FILTER_REPEAT(count, value)                                                             \
	".rept " PM_FILTER_STRING(count) "\n\tr0 = " PM_FILTER_STRING(value) "\n.endr\n"

/**
 * pm_filter_match - say whether the filter accepts a flow
 * @meta, @addr: the key's first two words, which are all there is of an IPv4 flow's
 * @key: the key, or NULL if the flow is known to be of IPv4
 */
static __always_inline bool pm_filter_match(__u64 meta, __u64 addr, const struct pm_key *key)
{
	register __u64 r1 __asm__("r1") = meta;
	register __u64 r2 __asm__("r2") = addr;
	register const struct pm_key *r3 __asm__("r3") = key;
	register int r0 __asm__("r0");

	if (!cfg_filtered)
		return true;
	asm volatile(
		"%[r0] = 0\n"
		"if %[r0] == 0 goto 1f\n" PM_FILTER_REPEAT(PM_FILTER_ROOM, PM_FILTER_PLACE) "1:\n"
		: [r0] "=r"(r0), "+r"(r1), "+r"(r2), "+r"(r3)
		:
		: "r4", "r5");
	return r0;
}

#endif /* BPF_PM_FILTER_H */
