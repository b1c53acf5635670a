/* SPDX-License-Identifier: GPL-2.0-only */
/* Asking on the link for originals, so that it is known which of them no host has. */
#ifndef PROXY_PROBE_H
#define PROXY_PROBE_H

#include <linux/types.h>
#include <stddef.h>

#include "mapping.h"
#include "nexthop.h"

enum { PROBES_MAX = 256 };

/* All zero: nobody is asked for. */
struct probes {
	struct addr addrs[PROBES_MAX]; /* originals whose state is to be known before the first
					  packet */
	size_t count;
	__u64 next_at;	 /* when the next round is due */
	int rounds;	 /* still to come */
	__u64 absent_at; /* when to look again for hosts at originals that we answer for */
};

/** probe_plan - begin to ask for the originals of @plan */
void probe_plan(struct probes *probes, const struct mapping_list *plan);

/**
 * probe_step - ask for the originals on the link that the kernel does not know, if it is time
 * Return: when the next round is due, as loop_now_ns(); 0 if none is.
 */
__u64 probe_step(struct probes *probes, struct nexthops *hops);

/**
 * probe_absent - look for a host at each original that is in use and that the programs answer for
 * @now: CLOCK_MONOTONIC
 *
 * The kernel asks the MAC address that they gave it, and does not ask at all while replies come in.
 */
void probe_absent(struct probes *probes, struct nexthops *hops, __u64 now);

#endif /* PROXY_PROBE_H */
