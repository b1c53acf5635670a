/* SPDX-License-Identifier: GPL-2.0-only */
/* Removing the flows that have ended, a part of the table at a time. */
#ifndef PROXY_GC_H
#define PROXY_GC_H

#include <linux/types.h>

#include "maps.h"
#include "nexthop.h"
#include "options.h"
#include "table.h"

struct gc {
	__u32 slot; /* the pass has come so far */
	struct proxy_timeouts timeouts;
	__u64 counting; /* flows met and kept by the pass that is under way */
	__u64 flows;	/* in the table, as far as known */
	__u64 made;	/* counter of flows made, when the pass began */
};

/**
 * gc_step - look at the next part of the flow table, at all of it when it fills up
 * @now: maps_now()
 *
 * Under pressure the idle times of connections that are closing or not yet open and of UDP shrink;
 * established TCP connections keep theirs.
 * Return: 0 or a negative errno.
 */
int gc_step(struct gc *gc, struct maps *maps, struct table *table, struct nexthops *hops,
	    __u64 now);

#endif /* PROXY_GC_H */
