// SPDX-License-Identifier: GPL-2.0-only
#include "nexthop.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iface.h"
#include "loop.h"
#include "number.h"
#include "solicit.h"

enum {
	LOOKS_PER_TICK = 256, /* some 10 us each */
	ASKS_PER_TICK = 64,
	EVENTS_PER_TURN = 64, /* each is compared with all next hops */
};

/* The states in which the kernel itself would use the MAC address. */
#define NUD_USABLE (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)

/* All routes at most so often, however fast routing messages come. */
#define LOOK_ALL_NS (NSEC_PER_SEC / 5)
/* A next hop is in use for so long after a flow was; the pass over a full table takes a while. */
#define USED_NS (10 * NSEC_PER_SEC)

static __u32 *nexthop_hash_slot(struct nexthops *hops, const struct addr *target)
{
	__u32 at = addr_hash(target);

	for (;; at++) {
		__u32 *slot = &hops->hash[at & hops->hash_mask];

		if (!*slot || addr_equal(&hops->table[*slot].target, target))
			return slot;
	}
}

static void nexthop_hash_rebuild(struct nexthops *hops)
{
	memset(hops->hash, 0, (hops->hash_mask + 1) * sizeof(*hops->hash));
	for (__u32 i = 1; i < hops->count; i++)
		if (hops->table[i].taken)
			*nexthop_hash_slot(hops, &hops->table[i].target) = i;
}

int nexthops_open(struct nexthops *hops, const struct maps *maps, int ifindex, bool loopback)
{
	__u32 slots = 16, max = maps->max_entries[MAPS_NEXTHOPS];
	int err;

	while (slots < 2 * max)
		slots *= 2;
	hops->ifindex = ifindex;
	hops->loopback = loopback;
	hops->maps = maps;
	hops->max = max;
	hops->count = 1; /* PROXY_NEXTHOP_NONE */
	hops->hash_mask = slots - 1;
	hops->table = calloc(max, sizeof(*hops->table));
	hops->hash = calloc(slots, sizeof(*hops->hash));
	if (!hops->table || !hops->hash)
		return -ENOMEM;
	err = netlink_open(&hops->nl, NETLINK_ROUTE);
	if (err)
		return err;
	hops->watch_fd = netlink_watch_open(maps->layout->family);
	if (hops->watch_fd < 0)
		return hops->watch_fd;
	return 0;
}

void nexthops_close(struct nexthops *hops)
{
	netlink_close(&hops->nl);
	if (hops->watch_fd >= 0)
		close(hops->watch_fd);
	hops->watch_fd = -1;
	free(hops->table);
	free(hops->hash);
	hops->table = NULL;
	hops->hash = NULL;
}

static bool nexthop_reachable(const struct nexthop *hop)
{
	return !hop->error && hop->route.type == RTN_UNICAST;
}

/* Hand what is known to the datapath. */
static void nexthop_publish(struct nexthops *hops, __u32 index)
{
	const struct nexthop *hop = &hops->table[index];
	struct nat_nexthop now = { 0 };

	if (hop->held)
		return;
	if (hop->taken && nexthop_reachable(hop)) {
		now.oif = (__u32)hop->route.oif;
		now.via = hop->route.via;
		if (hop->l3)
			now.flags = PROXY_NEXTHOP_L3;
		else if (hop->has_mac && hop->neigh_state & NUD_USABLE)
			now.flags = PROXY_NEXTHOP_MAC;
		if (now.flags & PROXY_NEXTHOP_MAC)
			memcpy(now.mac, hop->mac, sizeof(now.mac));
		/*
		 * Only a target that is asked for is known to be away still: the first packet for
		 * another has the kernel ask.
		 */
		else if (hop->silent)
			now.flags |= PROXY_NEXTHOP_SILENT | (hop->in_use ? PROXY_NEXTHOP_DOWN : 0);
	} else if (hop->taken && hop->error) {
		now.flags = PROXY_NEXTHOP_DOWN;
	}
	if (hops->maps->layout->nexthop_put(maps_nexthop(hops->maps, index), &now))
		maps_changed(hops->maps);
}

/* Most targets are reached by the same device: the answer for the last one is kept. */
static bool nexthop_is_l3(struct nexthops *hops, int ifindex)
{
	char name[IF_NAMESIZE];
	struct iface iface;

	if (hops->last_device != ifindex) {
		hops->last_device = ifindex;
		hops->last_is_l3 = if_indextoname((unsigned int)ifindex, name) &&
				   !iface_open(name, &iface) && !iface.l2_len;
	}
	return hops->last_is_l3;
}

static void nexthop_note_state(struct nexthop *hop, __u16 state)
{
	/* The kernel asks again by way of NUD_INCOMPLETE, which tells nothing. */
	if (state & NUD_FAILED)
		hop->silent = true;
	else if (!(state & NUD_INCOMPLETE))
		hop->silent = false;
	hop->neigh_state = state;
}

static void nexthop_look_up_neigh(struct nexthops *hops, struct nexthop *hop)
{
	struct netlink_neigh neigh;

	hop->has_mac = false;
	if (!nexthop_reachable(hop) || hop->l3 ||
	    netlink_neigh_get(&hops->nl, hop->route.oif, &hop->route.via, &neigh))
		return nexthop_note_state(hop, 0);
	nexthop_note_state(hop, neigh.state);
	hop->has_mac = neigh.has_mac;
	memcpy(hop->mac, neigh.mac, sizeof(hop->mac));
}

static void nexthop_look_up(struct nexthops *hops, __u32 index)
{
	struct nexthop *hop = &hops->table[index];
	struct netlink_route route = { 0 };
	int err = netlink_route_get(&hops->nl, &hop->target, &route);

	if (!err && route.via_ipv6)
		err = -EAFNOSUPPORT;
	if (!err && (route.type == RTN_BROADCAST || route.type == RTN_MULTICAST))
		err = -EADDRNOTAVAIL;
	if (err != hop->error || route.type != hop->route.type || route.oif != hop->route.oif) {
		hops->moved = true;
		hop->l3 = !err && nexthop_is_l3(hops, route.oif);
		hop->held = !err && route.type == RTN_UNICAST && route.oif != hops->ifindex;
	}
	hop->error = err;
	hop->route = route;
	nexthop_look_up_neigh(hops, hop);
	nexthop_publish(hops, index);
}

void nexthops_release(struct nexthops *hops)
{
	for (__u32 i = 1; i < hops->count; i++) {
		if (!hops->table[i].held)
			continue;
		hops->table[i].held = false;
		nexthop_publish(hops, i);
	}
}

static bool nexthop_wants_use(const struct nexthop *hop)
{
	return nexthop_reachable(hop) && !hop->l3 &&
	       (!hop->neigh_state || hop->neigh_state & (NUD_STALE | NUD_FAILED));
}

/* Enter @target at @index, which is free, and look it up. */
static void nexthop_take(struct nexthops *hops, __u32 index, const struct addr *target)
{
	if (hops->count <= index)
		hops->count = index + 1;
	hops->table[index] = (struct nexthop){ .taken = true, .target = *target };
	*nexthop_hash_slot(hops, target) = index;
	nexthop_look_up(hops, index);
}

void nexthops_adopt(struct nexthops *hops, __u32 index, const struct addr *target)
{
	if (index == PROXY_NEXTHOP_NONE || index >= hops->max || hops->table[index].taken ||
	    *nexthop_hash_slot(hops, target))
		return;
	nexthop_take(hops, index, target);
}

int nexthops_get(struct nexthops *hops, const struct addr *target, __u32 *index)
{
	const struct nexthop *hop;
	__u32 known, place;

	if (hops->loopback) {
		*index = PROXY_NEXTHOP_NONE;
		return 0;
	}
	known = *nexthop_hash_slot(hops, target);
	if (known) {
		*index = known;
		return 0;
	}
	for (place = hops->count < hops->max ? hops->count : 1; place < hops->max; place++)
		if (!hops->table[place].taken)
			break;
	if (place >= hops->max)
		return -ENOSPC;
	nexthop_take(hops, place, target);
	hop = &hops->table[place];
	/* The first packet is to find the MAC address; but many targets would flood the link. */
	if (hops->count <= ASKS_PER_TICK && nexthop_wants_use(hop))
		netlink_neigh_use(&hops->nl, hop->route.oif, &hop->route.via);
	*index = place;
	return 0;
}

const struct nexthop *nexthops_at(const struct nexthops *hops, __u32 index)
{
	return index == PROXY_NEXTHOP_NONE || index >= hops->count ? NULL : &hops->table[index];
}

void nexthops_clear_users(struct nexthops *hops)
{
	for (__u32 i = 1; i < hops->count; i++)
		hops->table[i].users = 0;
}

void nexthops_add_user(struct nexthops *hops, __u32 index)
{
	if (nexthops_at(hops, index))
		hops->table[index].users++;
}

bool nexthops_local(const struct nexthops *hops, __u32 index)
{
	const struct nexthop *hop = nexthops_at(hops, index);

	return hop && !hop->error && hop->route.type == RTN_LOCAL;
}

bool nexthops_down(const struct nexthops *hops)
{
	char name[IF_NAMESIZE];
	struct iface iface;

	return if_indextoname((unsigned int)hops->ifindex, name) && !iface_open(name, &iface) &&
	       !iface.up;
}

static void nexthop_look_up_all(struct nexthops *hops, __u64 now)
{
	hops->looked_at = now;
	if (nexthops_down(hops))
		return;
	hops->stale = false;
	hops->last_device = 0;
	for (__u32 i = 1; i < hops->count; i++)
		if (hops->table[i].taken)
			nexthop_look_up(hops, i);
}

/* Return: whether a target cannot be reached any more, or can be again. */
static bool nexthop_neigh_changed(struct nexthops *hops, const struct netlink_neigh *neigh)
{
	bool changed = false;

	for (__u32 i = 1; i < hops->count; i++) {
		struct nexthop *hop = &hops->table[i];
		bool was;

		if (!hop->taken || hop->route.oif != neigh->ifindex ||
		    !addr_equal(&hop->route.via, &neigh->addr))
			continue;
		was = hop->silent;
		nexthop_note_state(hop, neigh->state);
		changed |= hop->silent != was;
		hop->has_mac = neigh->has_mac;
		memcpy(hop->mac, neigh->mac, sizeof(hop->mac));
		nexthop_publish(hops, i);
	}
	return changed;
}

bool nexthops_event(struct nexthops *hops)
{
	struct netlink_neigh neigh;
	enum netlink_event event;
	__u64 now = loop_now_ns();
	bool changed = false, stale = false;

	/* The rest is for the next turn: a storm of them must hold up nothing else. */
	for (int i = 0; i < EVENTS_PER_TURN; i++) {
		event = netlink_watch_next(hops->watch_fd, &neigh);
		if (event == NETLINK_NOTHING)
			break;
		if (event == NETLINK_NEIGH)
			changed |= nexthop_neigh_changed(hops, &neigh);
		else
			stale = true;
	}
	hops->stale |= stale;
	if (hops->stale && now - hops->looked_at >= LOOK_ALL_NS)
		nexthop_look_up_all(hops, now);
	return changed || stale;
}

__u64 nexthops_due(const struct nexthops *hops)
{
	return hops->stale ? hops->looked_at + LOOK_ALL_NS : 0;
}

void nexthops_traffic(struct nexthops *hops, __u32 index, __u64 out, __u64 in)
{
	if (!nexthops_at(hops, index))
		return;
	hops->table[index].out += out;
	hops->table[index].in += in;
}

/* Packets go out, none comes back: its MAC address may be another without our having been told. */
static bool nexthop_silent(struct nexthop *hop, __u64 now)
{
	bool sent = hop->out != hop->last_out, heard = hop->in != hop->last_in;

	hop->last_out = hop->out;
	hop->last_in = hop->in;
	hop->out = hop->in = 0;
	if (sent)
		hop->used = now;
	return sent && !heard;
}

static void nexthop_keep_alive(struct nexthops *hops, __u64 now)
{
	int asks = 0;

	for (__u32 i = 1; i < hops->count; i++) {
		struct nexthop *hop = &hops->table[i];
		bool quiet = hop->taken && nexthop_silent(hop, now);
		bool in_use = hop->taken && now - hop->used <= USED_NS;

		if (hop->in_use != in_use) {
			hop->in_use = in_use;
			nexthop_publish(hops, i);
		}
		if (!in_use || asks == ASKS_PER_TICK)
			continue;
		if (nexthop_wants_use(hop) && ++asks)
			netlink_neigh_use(&hops->nl, hop->route.oif, &hop->route.via);
		else if (quiet && nexthop_reachable(hop) && !hop->l3 && hops->solicit_fd >= 0 &&
			 ++asks)
			solicit(hops->solicit_fd, hop->route.oif, &hop->route.src, &hop->route.via);
	}
}

void nexthops_tick(struct nexthops *hops, __u64 now)
{
	if (hops->stale) {
		nexthop_look_up_all(hops, now);
	} else if (!nexthops_down(hops)) {
		for (int looks = 0; looks < LOOKS_PER_TICK && looks + 1 < (int)hops->count;
		     looks++) {
			if (++hops->cursor >= hops->count)
				hops->cursor = 1;
			if (hops->table[hops->cursor].taken)
				nexthop_look_up(hops, hops->cursor);
		}
	}
	nexthop_keep_alive(hops, now);
}

void nexthops_flow_seen(struct nexthops *hops, __u32 index, const struct addr *target,
			__u64 last_seen)
{
	struct nexthop *hop;

	if (index == PROXY_NEXTHOP_NONE || index >= hops->max)
		return;
	nexthops_adopt(hops, index, target);
	hop = &hops->table[index];
	hop->has_flows = true;
	if (hop->used < last_seen)
		hop->used = last_seen;
}

void nexthops_flows_done(struct nexthops *hops)
{
	bool freed = false;

	for (__u32 i = 1; i < hops->count; i++) {
		struct nexthop *hop = &hops->table[i];

		/* Two passes: the one that ends may have begun before the last mapping left. */
		if (hop->taken && !hop->users && !hop->has_flows && !hop->had_flows) {
			memset(hop, 0, sizeof(*hop));
			nexthop_publish(hops, i);
			freed = true;
		}
		hop->had_flows = hop->has_flows || hop->users;
		hop->has_flows = false;
	}
	if (freed)
		nexthop_hash_rebuild(hops);
}
