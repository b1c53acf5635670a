/* SPDX-License-Identifier: GPL-2.0-only */
/* The next hop of a packet's new destination. BPF only. */
#ifndef BPF_PROXY_NEXTHOP_H
#define BPF_PROXY_NEXTHOP_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "pkt.h"
#include "proxy-ip.h"
#include "proxy-maps.h"
#include "tc-index.h"

/* AF_INET or AF_INET6, for the bpf target. */
enum { NEXTHOP_FAMILY = PROXY_SIZE(2, 10) };

/* Instead of an index into "nexthops": the destination is this host, so the packet turns back. */
#define NEXTHOP_BACK 0xffffffffU

/** nexthop_of - the next hop of the target of @flow: an index, or NEXTHOP_BACK */
static __always_inline __u32 nexthop_of(const struct proxy_flow *flow)
{
	return flow->state & PROXY_FLOW_LOCAL ? NEXTHOP_BACK : flow->nexthop;
}

/*
 * Send a packet back to this host: it arrives on the device that it was leaving by. The kernel
 * accepts frames for the device's own MAC address, which is the frame's source.
 */
static __always_inline int turn_back(struct __sk_buff *skb)
{
	__u8 mac[ETH_ALEN];

	if (cfg_l2_len && (pkt_read(skb, ETH_ALEN, mac, sizeof(mac)) ||
			   bpf_skb_store_bytes(skb, 0, mac, sizeof(mac), 0)))
		return TC_ACT_SHOT;
	skb->tc_index = TC_INDEX_INJECTED;
	return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
}

/** nexthop_reentered - whether @skb is marked as translated; clears the mark */
static __always_inline int nexthop_reentered(struct __sk_buff *skb)
{
	if (likely(!skb->tc_index) || skb->tc_index != state.mark)
		return 0;
	skb->tc_index = 0;
	return 1;
}

/* Whether the tool runs, so that the MAC addresses in "nexthops" are as current as the kernel's. */
static __always_inline int heartbeat_fresh(void)
{
	if (!ticks_passed(state.tick))
		return 1;
	if (state.heartbeat + PROXY_HEARTBEAT_NS <= bpf_ktime_get_coarse_ns())
		return 0;
	state.tick = bpf_jiffies64();
	return 1;
}

/* Let the kernel resolve the next hop: its MAC address is unknown, or it is on another device. */
static __noinline int nexthop_redirect(struct __sk_buff *skb, const struct proxy_nexthop *nexthop)
{
	struct bpf_redir_neigh params = { .nh_family = NEXTHOP_FAMILY };

	/* Another device may lead back here: a bridge or a macvlan whose packets leave by this one.
	 */
	skb->tc_index = state.mark;
	if (nexthop->oif != skb->ifindex && nexthop->flags & PROXY_NEXTHOP_L3)
		return bpf_redirect(nexthop->oif, 0);
	if (!cfg_l2_len) {
		/* bpf_redirect_neigh() drops what has no link-layer header for it to replace. */
		const struct ethhdr eth = { .h_proto = bpf_htons(IP_ETHERTYPE) };

		if (bpf_skb_change_head(skb, sizeof(eth), 0) ||
		    bpf_skb_store_bytes(skb, 0, &eth, sizeof(eth), 0))
			return TC_ACT_SHOT;
	}
	__builtin_memcpy(&params.ipv6_nh, &nexthop->via, sizeof(nexthop->via));
	return bpf_redirect_neigh(nexthop->oif, &params, sizeof(params), 0);
}

/* The first word of struct proxy_nexthop, read at once. */
struct nexthop_mac {
	union {
		struct {
			__u8 dmac[ETH_ALEN];
			__u16 flags; /* enum proxy_nexthop_flags */
		};
		__u64 link;
	};
};

/**
 * nexthop_mac - the MAC address of next hop @index, if the packet needs nothing else
 *
 * Return: the address if it is known, current and reached by this device, or flags 0.
 */
static __always_inline struct nexthop_mac nexthop_mac(struct __sk_buff *skb, __u32 index)
{
	const struct proxy_nexthop *entry = bpf_map_lookup_elem(&nexthops, &index);
	struct nexthop_mac known = {};

	if (cfg_l2_len == ETH_HLEN && entry && entry->oif == skb->ifindex && heartbeat_fresh())
		known.link = *(const volatile __u64 *)&entry->link;
	if (!(known.flags & PROXY_NEXTHOP_MAC))
		known.link = 0;
	return known;
}

/**
 * nexthop_apply - send a packet on to next hop @index
 *
 * The frame carries the MAC address of the original's next hop. If that of the target's is known
 * and on the same device, it is put in its place and the packet simply goes on. Otherwise the
 * kernel resolves it, given the gateway, so that it does no route lookup for each packet.
 *
 * Return: the verdict.
 */
static __always_inline int nexthop_apply(struct __sk_buff *skb, __u32 index)
{
	const struct proxy_nexthop *entry;
	struct nexthop_mac known;

	if (index == PROXY_NEXTHOP_NONE)
		return TC_ACT_UNSPEC;
	if (index == NEXTHOP_BACK)
		return turn_back(skb);
	known = nexthop_mac(skb, index);
	if (known.flags)
		return bpf_skb_store_bytes(skb, 0, known.dmac, ETH_ALEN, 0) ? TC_ACT_SHOT
									    : TC_ACT_UNSPEC;
	entry = bpf_map_lookup_elem(&nexthops, &index);
	if (!entry || !entry->oif || (entry->oif == skb->ifindex && !cfg_l2_len))
		return TC_ACT_UNSPEC;
	return nexthop_redirect(skb, entry);
}

#endif /* BPF_PROXY_NEXTHOP_H */
