/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The next hop of each target: looked up once, then followed by the kernel's own announcements, and
 * looked up afresh now and then in case one was missed. The datapath reads the result from the map
 * "nexthops".
 */
#ifndef PROXY_NEXTHOP_H
#define PROXY_NEXTHOP_H

#include <linux/types.h>
#include <stdbool.h>

#include "maps.h"
#include "netlink.h"
#include "proxy.h"

/* What is known about one target; its place in the table is its index in "nexthops". */
struct nexthop {
	bool taken; /* else a free place */
	struct addr target;
	int error; /* why there is no route, a negative errno; 0: there is one */
	struct netlink_route route;
	__u16 neigh_state; /* NUD_*; 0: no entry */
	bool has_mac;
	__u8 mac[6];
	bool silent;	/* the neighbour has not answered the kernel, nor has it been heard since */
	bool in_use;	/* packets went to it lately, so that it is asked for each second */
	bool l3;	/* the device has no link layer */
	bool held;	/* found by a device that is new, until nexthops_release() */
	__u32 users;	/* mappings that lead here */
	bool has_flows; /* seen by the pass over the flow table that is under way */
	bool had_flows; /* seen by the last one that was complete */
	__u64 used;	/* when a flow was last seen to be in use; coarse */
	__u64 out, in;	/* packets by the mappings' counters */
	__u64 last_out, last_in;
};

struct nexthops {
	struct netlink nl;
	int watch_fd;
	/* Of the caller, see solicit_open(); -1: none, so that only the kernel asks, and later. */
	int solicit_fd;
	int ifindex;
	bool loopback;
	const struct maps *maps; /* where "nexthops" is */
	struct nexthop *table;
	__u32 count; /* places in use or free below the first that never was used */
	__u32 max;
	__u32 *hash; /* by target; 0: empty */
	__u32 hash_mask;
	__u32 cursor;	 /* of the periodic look */
	bool stale;	 /* a route may have changed */
	bool moved;	 /* a device or a target's locality has changed since this was cleared */
	int last_device; /* of device_is_l3() */
	bool last_is_l3;
	__u64 looked_at; /* when all routes were last looked up */
};

#define NEXTHOPS_INIT ((struct nexthops){ .nl = NETLINK_INIT, .watch_fd = -1, .solicit_fd = -1 })

/**
 * nexthops_open - begin to follow routes and neighbours
 * @maps: with shared memory; stays the caller's
 * @ifindex: the interface that is proxied
 * Return: 0 or a negative errno; nexthops_close() is right in either case.
 */
int nexthops_open(struct nexthops *hops, const struct maps *maps, int ifindex, bool loopback);

void nexthops_close(struct nexthops *hops);

/**
 * nexthops_adopt - take over place @index, which a former proxy gave to @target
 *
 * To be done for all such places before the first nexthops_get().
 */
void nexthops_adopt(struct nexthops *hops, __u32 index, const struct addr *target);

/**
 * nexthops_get - the place of @target, looked up and made known to the datapath if it is new
 * @index: set on success; PROXY_NEXTHOP_NONE on the loopback device
 * Return: 0, or -ENOSPC if all places are taken. A target without a route is no error here.
 */
int nexthops_get(struct nexthops *hops, const struct addr *target, __u32 *index);

/** nexthops_at - what is known about the target at @index; NULL for PROXY_NEXTHOP_NONE */
const struct nexthop *nexthops_at(const struct nexthops *hops, __u32 index);

/** nexthops_clear_users - begin to count the mappings that lead to each place */
void nexthops_clear_users(struct nexthops *hops);

/** nexthops_add_user - one more mapping leads to @index */
void nexthops_add_user(struct nexthops *hops, __u32 index);

/** nexthops_local - whether the target at @index is an address of this host */
bool nexthops_local(const struct nexthops *hops, __u32 index);

/**
 * nexthops_release - let packets take the devices by which targets are reached since @hops->moved
 *
 * Until then they take the former ones: the new devices need a filter first.
 */
void nexthops_release(struct nexthops *hops);

/**
 * nexthops_down - tell whether the interface is down
 *
 * No packet leaves by it then, and the kernel has removed its routes: what was known about them is
 * right when it comes up again, or will be looked up afresh.
 */
bool nexthops_down(const struct nexthops *hops);

/**
 * nexthops_event - take in what waits on @hops->watch_fd, or the first part of it
 * Return: whether routes or settings of the kernel may have changed, or whether a target answers.
 */
bool nexthops_event(struct nexthops *hops);

/**
 * nexthops_due - tell when postponed events are due for nexthops_event()
 * Return: a time of loop_now_ns(); 0: there are none.
 */
__u64 nexthops_due(const struct nexthops *hops);

/**
 * nexthops_tick - the work of each second: look again, and keep the neighbours in use alive
 * @now: CLOCK_MONOTONIC
 */
void nexthops_tick(struct nexthops *hops, __u64 now);

/** nexthops_flow_seen - a pass over the flows has met one at @index, in use at @last_seen */
void nexthops_flow_seen(struct nexthops *hops, __u32 index, const struct addr *target,
			__u64 last_seen);

/** nexthops_flows_done - the pass is complete: free the places that nothing leads to any more */
void nexthops_flows_done(struct nexthops *hops);

/**
 * nexthops_traffic - what mappings that lead to @index have counted so far
 *
 * Called for each mapping once per tick, before nexthops_tick(). A target in use that has fallen
 * silent is asked for on the link, which corrects a MAC address that has changed unannounced.
 */
void nexthops_traffic(struct nexthops *hops, __u32 index, __u64 out, __u64 in);

#endif /* PROXY_NEXTHOP_H */
