/* SPDX-License-Identifier: GPL-2.0-only */
/* Fragments of the proxy: the first has the ports, the others follow it. BPF only. */
#ifndef BPF_PROXY_FRAGMENT_H
#define BPF_PROXY_FRAGMENT_H

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#include "proxy-maps.h"
#include "proxy-nexthop.h"
#include "proxy-rewrite.h"

/* As long as Linux waits for the rest of a datagram; identifications are reused later. */
#define FRAGMENT_NS 30000000000ULL

static __always_inline struct proxy_fragment fragment_key(const struct packet *p, __u8 kind)
{
	return (struct proxy_fragment){
		.saddr = p->from.saddr,
		.daddr = p->from.daddr,
		.id = p->id,
		.proto = PROXY_FAMILY == 4 ? p->proto : 0,
		.kind = kind,
	};
}

/*
 * Tell whether fragments of @p may belong to what a mapping translates: ICMP has to have one.
 * @known is the address of ours, the destination (@kind is PROXY_FRAGMENT_OUT) or the source.
 */
static __always_inline int fragment_mapped(const struct packet *p, __u8 kind,
					   const proxy_addr *known)
{
	struct proxy_dest dest = { .addr = *known, .proto = IP_ICMP };
	const struct proxy_mapping *mapping;

	if (p->proto != IP_ICMP)
		return 1;
	mapping = bpf_map_lookup_elem(&mappings, &dest);
	return mapping && (kind == PROXY_FRAGMENT_OUT) == !(mapping->flags & PROXY_MAPPING_DIRECT);
}

/**
 * fragment_first - store the translation of a first fragment
 * @p: as it arrived
 * @kind: PROXY_FRAGMENT_OUT or PROXY_FRAGMENT_IN
 * @addr: new destination (out) or source (in); NULL: it passed unchanged
 */
static __noinline void fragment_first(const struct packet *p, __u8 kind, const proxy_addr *addr,
				      __u32 nexthop)
{
	struct proxy_fragment_rule rule = { .when = bpf_ktime_get_coarse_ns(), .nexthop = nexthop };
	struct proxy_fragment key = fragment_key(p, kind);

	if (addr)
		rule.addr = *addr;
	bpf_map_update_elem(&fragments, &key, &rule, BPF_ANY);
	if (addr)
		return;
	key.id = 0;
	key.kind = kind == PROXY_FRAGMENT_OUT ? PROXY_FRAGMENT_PEER_OUT : PROXY_FRAGMENT_PEER_IN;
	bpf_map_update_elem(&fragments, &key, &rule, BPF_ANY);
}

/**
 * fragment_later - translate a fragment that has no ports
 *
 * A fragment that arrives before the first one is translated, too, if only one translation is
 * possible: all mappings of the address have the same counterpart, and no other fragmented datagram
 * was seen between the two hosts. Fragments of this host leave in order, and only they turn back.
 *
 * Return: PROXY_OK, with @nexthop set if the packet was translated, or why it could not be.
 */
static __noinline enum proxy_counter fragment_later(struct __sk_buff *skb, const struct packet *p,
						    __u8 kind, __u32 *nexthop)
{
	proxy_addr known = kind == PROXY_FRAGMENT_OUT ? p->from.daddr : p->from.saddr,
		   addr = ADDR_NONE;
	struct tuple to = { .saddr = p->from.saddr, .daddr = p->from.daddr };
	struct proxy_fragment_rule *rule;
	struct proxy_fragment key = fragment_key(p, kind);
	struct proxy_host *host;

	rule = bpf_map_lookup_elem(&fragments, &key);
	if (rule && bpf_ktime_get_coarse_ns() - rule->when < FRAGMENT_NS) {
		addr = rule->addr;
		if (!proxy_addr_is_set(&addr))
			return PROXY_OK;
		*nexthop = rule->nexthop;
	} else {
		host = bpf_map_lookup_elem(&hosts, &known);
		if (!host || !fragment_mapped(p, kind, &known))
			return PROXY_OK;
		addr = kind == PROXY_FRAGMENT_OUT ? host->sole_target : host->sole_orig;
		key.id = 0;
		key.kind = kind == PROXY_FRAGMENT_OUT ? PROXY_FRAGMENT_PEER_OUT
						      : PROXY_FRAGMENT_PEER_IN;
		if (!proxy_addr_is_set(&addr) || local_mappings() ||
		    bpf_map_lookup_elem(&fragments, &key))
			return PROXY_FRAGMENT;
		*nexthop = kind == PROXY_FRAGMENT_OUT ? host->nexthop : PROXY_NEXTHOP_NONE;
		count(PROXY_GUESSED);
	}
	if (*nexthop == NEXTHOP_BACK)
		to.saddr = p->from.daddr;
	if (kind == PROXY_FRAGMENT_OUT)
		to.daddr = addr;
	else
		to.saddr = addr;
	return packet_rewrite_ip(skb, p, &to) ? PROXY_FAILED : PROXY_OK;
}

#endif /* BPF_PROXY_FRAGMENT_H */
