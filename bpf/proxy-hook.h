/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DNAT at the clsact hook: at_egress() sends packets for an original address to its target,
 * at_ingress() gives the replies the original as their source. proxy-bpf.c makes the programs for
 * IPv4 of it, proxy6-bpf.c those for IPv6. BPF only.
 *
 * Failure policy: what is not understood, and what is not ours, passes untouched; a packet that
 * belongs to a mapping but can neither be translated completely nor have a flow is dropped, since
 * it would otherwise reach a host for which it is not meant. Either is counted under its reason.
 */
#ifndef BPF_PROXY_HOOK_H
#define BPF_PROXY_HOOK_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "proxy-cache.h"
#include "proxy-flow-enter.h"
#include "proxy-flow.h"
#include "proxy-fragment.h"
#include "proxy-icmp.h"
#include "proxy-maps.h"
#include "proxy-mtu.h"
#include "proxy-nexthop.h"
#include "proxy-parse.h"
#include "proxy-rewrite.h"

/* What originals without a host need is all that the families do not share. */
#if PROXY_FAMILY == 4
#include "proxy-arp.h"
#else
#include "proxy-neighbour.h"
#endif

/* The verdict on a packet that was not translated. */
static __always_inline int untouched(enum proxy_counter reason)
{
	count(reason);
	if (reason == PROXY_FULL || reason == PROXY_NO_PORT || reason == PROXY_TOO_BIG ||
	    reason == PROXY_UNREACHABLE || reason == PROXY_FAILED)
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}

/* The way of a packet whose flow this CPU remembers. Return: the verdict. */
static __always_inline int remembered(struct __sk_buff *skb, const struct packet *p,
				      struct cached *entry, enum cache_hook hook)
{
	const void *dmac = hook == CACHE_EGRESS ? entry->dmac : NULL;

	cache_note(p, entry, hook);
	flow_count(skb, p, entry->stats, hook == CACHE_EGRESS);
	return packet_rewrite_plain(skb, p, &entry->change, dmac) ? untouched(PROXY_FAILED)
								  : TC_ACT_UNSPEC;
}

/* The flow that @p is a reply of, claimed; @number: of its slot. */
static __always_inline struct proxy_flow *reply_find(const struct packet *p, __u32 *number)
{
	const struct proxy_reply key = {
		.remote = p->from.saddr,
		.local = p->from.daddr,
		.rport = p->from.sport,
		.lport = p->from.dport,
		.proto = p->proto,
	};

	return flow_get(&key, number);
}

/* Set @change to what gives reply @p of @flow the original as its source. */
static __always_inline void restoring(struct change *change, const struct packet *p,
				      const struct proxy_flow *flow)
{
	change->to.saddr = flow->orig;
	change->to.daddr = flow->client;
	change->to.sport = flow->oport;
	change->to.dport = flow->cport;
	change_measure(change, p);
}

/* Restore a reply of @flow. @kind: of its fragments. Return: PROXY_OK or PROXY_FAILED. */
static __always_inline enum proxy_counter restore(struct __sk_buff *skb, const struct packet *p,
						  const struct proxy_flow *flow,
						  const struct change *change, __u8 kind)
{
	if (!(flow->state & PROXY_FLOW_DIRECT))
		flow_count(skb, p, stats_index(flow->mapping), 0);
	if (p->fragment)
		fragment_first(p, kind, kind == PROXY_FRAGMENT_IN ? &flow->orig : &flow->client,
			       nexthop_of(flow));
	return packet_rewrite(skb, p, change, NULL) ? PROXY_FAILED : PROXY_OK;
}

/*
 * Restore a reply off the fast path. @local: PROXY_FLOW_LOCAL at egress, where targets on this host
 * answer to the original; 0 at ingress. Return: whether @p is such a reply; @reason is set if so.
 */
static __noinline int reply_restore(struct __sk_buff *skb, const struct packet *p, __u32 local,
				    enum proxy_counter *reason)
{
	__u32 number;
	struct proxy_flow *flow = reply_find(p, &number);
	struct change change;

	if (!flow || (flow->state & PROXY_FLOW_LOCAL) != local)
		return 0;
	flow_note(flow, flow_bits_in(p), PROXY_FLOW_RST_IN);
	if (flow_is_identity(flow))
		return 0;
	restoring(&change, p, flow);
	*reason = restore(skb, p, flow, &change, local ? PROXY_FRAGMENT_OUT : PROXY_FRAGMENT_IN);
	return 1;
}

/*
 * Find or make the flow of @req->p. @flow: set to it, or to NULL if the packet passes as it is.
 * @direct: look at direct flows only. Return: PROXY_OK, or why there is no flow.
 */
static __always_inline enum proxy_counter
egress_flow(struct __sk_buff *skb, struct flow_request *req, int direct, struct proxy_flow **flow)
{
	const struct packet *p = &req->p;
	const struct proxy_mapping *mapping;
	enum proxy_counter reason;
	int unmapped;
	__u32 tick;

	*flow = NULL;
	mapping = mapping_find(&p->from.daddr, p->from.dport, p->proto, &unmapped);
	if (direct && (!mapping || !(mapping->flags & PROXY_MAPPING_DIRECT)))
		return PROXY_OK;
	if (mapping) {
		req->key = reply_of(mapping, p);
		*flow = flow_lookup(&req->key, &req->number);
		tick = flow_tick(*flow);
		req->tick = flow_is(*flow, p) ? tick : PROXY_TICK_GONE;
		if (req->tick != PROXY_TICK_GONE && !flow_reopens(*flow, p) &&
		    flow_claim(*flow, tick))
			return PROXY_OK;
	} else if (unmapped) {
		req->key = (struct proxy_reply){};
		req->tick = PROXY_TICK_GONE;
		req->number = 0;
	} else {
		goto none;
	}
	reason = flow_open(skb, mapping, req);
	*flow = reason == PROXY_OK ? flow_at(req->number) : NULL;
	if (mapping || *flow)
		return reason;
none:
	if (p->fragment)
		fragment_first(p, PROXY_FRAGMENT_OUT, NULL, 0);
	return PROXY_OK;
}

/*
 * Translate a TCP or UDP packet with ports, or an ICMP echo request. Return: PROXY_OK, with
 * @nexthop set if it was translated, or why it could not be. @direct: only direct flows are
 * translated here.
 */
static __always_inline enum proxy_counter egress_ports(struct __sk_buff *skb,
						       struct flow_request *req, __u32 generation,
						       int direct, __u32 *nexthop)
{
	struct packet *p = &req->p;
	struct nexthop_mac known;
	enum proxy_counter reason;
	struct proxy_flow *flow;
	struct change change;

	/* An echo request is no reply, though its identifier may be 0. */
	if (!direct && local_mappings() && p->proto != IP_ICMP &&
	    reply_restore(skb, p, PROXY_FLOW_LOCAL, &reason)) {
		*nexthop = NEXTHOP_BACK;
		return reason;
	}
	reason = egress_flow(skb, req, direct, &flow);
	if (!flow)
		return reason;
	flow_note(flow, flow_bits_out(p), PROXY_FLOW_RST_OUT);
	if (p->tcp_flags & TCP_RST)
		cache_forget(p, CACHE_EGRESS);

	if (flow_is_identity(flow)) {
		if (p->fragment)
			fragment_first(p, PROXY_FRAGMENT_OUT, NULL, 0);
		return PROXY_OK;
	}
	if (!(flow->state & PROXY_FLOW_DIRECT)) {
		flow_count(skb, p, stats_index(flow->mapping), 1);
		*nexthop = nexthop_of(flow);
	}
	change.to.saddr = flow->key.local;
	change.to.daddr = flow->key.remote;
	change.to.sport = flow->key.lport;
	change.to.dport = flow->key.rport;
	if (p->fragment)
		fragment_first(p, PROXY_FRAGMENT_OUT, &change.to.daddr, *nexthop);
	known = nexthop_mac(skb, *nexthop);
	change_measure(&change, p);
	if (known.flags) {
		if (cache_may_put(p) && !local_mappings())
			cache_put(p, CACHE_EGRESS, generation, req->number, flow, &change,
				  known.dmac);
		*nexthop = PROXY_NEXTHOP_NONE; /* it is found already */
		return packet_rewrite(skb, p, &change, known.dmac) ? PROXY_FAILED : PROXY_OK;
	}
	if (*nexthop != PROXY_NEXTHOP_NONE && *nexthop != NEXTHOP_BACK) {
		reason = mtu_check(skb, p, nexthop);
		if (reason != PROXY_OK || *nexthop == NEXTHOP_BACK)
			return reason;
	}
	return packet_rewrite(skb, p, &change, NULL) ? PROXY_FAILED : PROXY_OK;
}

/* Translate an ICMP message other than an echo request. Return: as egress_ports(). */
static __always_inline enum proxy_counter egress_icmp(struct __sk_buff *skb, struct packet *p,
						      __u32 *nexthop)
{
	enum proxy_counter reason = PROXY_OK;
	int echo, found = 0;

#if PROXY_FAMILY == 6
	nd_egress(skb); /* to see whether a neighbour is still there, by its own address */
#endif
	echo = echo_read(skb, p, ICMP_ECHO_REPLY);
	if (local_mappings()) {
		if (echo)
			found = reply_restore(skb, p, PROXY_FLOW_LOCAL, &reason);
		else
			reason = icmp_to_client(skb, p, PROXY_FLOW_LOCAL, &found);
	}
	if (found)
		*nexthop = NEXTHOP_BACK;
	else if (p->fragment)
		fragment_first(p, PROXY_FRAGMENT_OUT, NULL, 0);
	return found || echo ? reason : icmp_egress(skb, p, nexthop);
}

/* The slow path of a packet that leaves for an address of ours. Return: the verdict. */
static __always_inline int egress_ip(struct __sk_buff *skb, struct flow_request *req,
				     __u32 generation)
{
	enum proxy_counter reason = packet_read(skb, &req->p, cfg_l2_len);
	__u32 nexthop = PROXY_NEXTHOP_NONE;

	if (unlikely(reason != PROXY_OK))
		return untouched(reason);
	if (likely(packet_has_ports(&req->p)) || echo_read(skb, &req->p, ICMP_ECHO_REQUEST))
		reason = egress_ports(skb, req, generation, 0, &nexthop);
	else if (is_later_fragment(&req->p))
		reason = fragment_later(skb, &req->p, PROXY_FRAGMENT_OUT, &nexthop);
	else if (req->p.proto == IP_ICMP)
		reason = egress_icmp(skb, &req->p, &nexthop);
	return likely(reason == PROXY_OK) ? nexthop_apply(skb, nexthop) : untouched(reason);
}

/*
 * A packet that leaves and that no mapping is for may ask for the MAC address of an original.
 * @daddr: of IPv6. Return: the verdict.
 */
static __always_inline int egress_missed(struct __sk_buff *skb, const proxy_addr *daddr)
{
#if PROXY_FAMILY == 4
	if (!daddr && skb->protocol == bpf_htons(ETH_P_ARP))
		arp_egress(skb);
#else
	if (daddr && nd_may_ask(daddr))
		nd_egress(skb);
#endif
	return TC_ACT_UNSPEC;
}

/* The same where the summary has been wrong. Read again, the address need not be kept until here.
 */
static __always_inline int egress_missed_late(struct __sk_buff *skb, __u32 l2_len)
{
	proxy_addr daddr;

	if (PROXY_FAMILY == 6 &&
	    !pkt_read(skb, l2_len + offsetof(struct ip_head, daddr), &daddr, sizeof(daddr)))
		return egress_missed(skb, &daddr);
	return TC_ACT_UNSPEC;
}

/*
 * Translate packet @p if it is plain and its flow is in the cache of this CPU. Otherwise @p is
 * read, or its @l4 is PACKET_UNREAD. @l2_len: a constant, of the device's kind. Return: whether it
 * was translated, with @verdict set.
 */
static __always_inline int fast_path(struct __sk_buff *skb, struct packet *p, __u32 l2_len,
				     enum cache_hook hook, __u32 generation, int *verdict)
{
	struct cached *hit;

	if (l2_len != ETH_HLEN || skb->vlan_present || !packet_read_plain(skb, p)) {
		p->l4 = PACKET_UNREAD;
		return 0;
	}
	hit = cache_find(p, hook, generation);
	if (unlikely(!hit))
		return 0;
	*verdict = remembered(skb, p, hit, hook);
	return 1;
}

/* @l2_len: a constant, of the device's kind. */
static __always_inline int at_egress(struct __sk_buff *skb, __u32 l2_len)
{
	struct egress_space space;
	struct flow_request *req;
	__u32 generation;
	proxy_addr daddr;
	int verdict;

	if (skb->protocol != bpf_htons(IP_ETHERTYPE))
		return egress_missed(skb, NULL);
	if (pkt_read(skb, l2_len + offsetof(struct ip_head, daddr), &daddr, sizeof(daddr)))
		return TC_ACT_UNSPEC;
	if (!maybe_known(&daddr))
		return egress_missed(skb, &daddr);
	if (nexthop_reentered(skb))
		return TC_ACT_UNSPEC;
	generation = cache_generation();
	if (fast_path(skb, egress_packet(&space), l2_len, CACHE_EGRESS, generation, &verdict))
		return verdict;
	if (!known_address(&daddr))
		return egress_missed_late(skb, l2_len);
	if (skb->vlan_present)
		return untouched(PROXY_VLAN);
	req = egress_request(&space);
	return req ? egress_ip(skb, req, generation) : TC_ACT_UNSPEC;
}

/*
 * At another device that targets are reached by: nothing is mapped there, but the flows that go to
 * a target directly are known, too, so that they cannot collide with a mapped flow. Return: the
 * verdict.
 */
static __always_inline int at_other_egress(struct __sk_buff *skb, __u32 l2_len)
{
	__u32 nexthop = PROXY_NEXTHOP_NONE;
	struct egress_space space;
	enum proxy_counter reason;
	struct flow_request *req;
	proxy_addr daddr;

	if (skb->protocol != bpf_htons(IP_ETHERTYPE) ||
	    pkt_read(skb, l2_len + offsetof(struct ip_head, daddr), &daddr, sizeof(daddr)) ||
	    !maybe_known(&daddr) || !known_address(&daddr) || skb->vlan_present)
		return TC_ACT_UNSPEC;
	/* Translated already. The mark stays: a bridge sends the packet through proxy_egress again.
	 */
	if (skb->tc_index == state.mark)
		return TC_ACT_UNSPEC;
	req = egress_request(&space);
	if (!req)
		return TC_ACT_UNSPEC;
	reason = packet_read_other(skb, &req->p, l2_len);
	if (reason == PROXY_OK &&
	    (packet_has_ports(&req->p) || echo_read(skb, &req->p, ICMP_ECHO_REQUEST)))
		reason = egress_ports(skb, req, 0, 1, &nexthop);
	else if (reason == PROXY_OK && req->p.proto == IP_ICMP)
		reason = icmp_egress(skb, &req->p, &nexthop);
	return reason == PROXY_OK ? nexthop_apply(skb, nexthop) : untouched(reason);
}

/* As egress_ports(), for a packet that may come from a target; there is no next hop to find. */
static __always_inline enum proxy_counter ingress_ports(struct __sk_buff *skb, struct packet *p,
							__u32 generation)
{
	__u32 number;
	struct proxy_flow *flow = reply_find(p, &number);

	if (flow)
		flow_note(flow, flow_bits_in(p), PROXY_FLOW_RST_IN);
	if (p->tcp_flags & TCP_RST)
		cache_forget(p, CACHE_INGRESS);
	if (flow && !flow_is_identity(flow)) {
		struct change change;

		restoring(&change, p, flow);
		if (cache_may_put(p) && !(flow->state & (PROXY_FLOW_DIRECT | PROXY_FLOW_LOCAL)))
			cache_put(p, CACHE_INGRESS, generation, number, flow, &change, NULL);
		return restore(skb, p, flow, &change, PROXY_FRAGMENT_IN);
	}
	if (p->fragment)
		fragment_first(p, PROXY_FRAGMENT_IN, NULL, 0);
	return PROXY_OK;
}

/* As egress_icmp(). @known: it comes from an address of ours. */
static __always_inline enum proxy_counter ingress_icmp(struct __sk_buff *skb, struct packet *p,
						       int known)
{
	enum proxy_counter reason = PROXY_OK;
	int echo, found;

#if PROXY_FAMILY == 6
	nd_ingress(skb);
#endif
	echo = known && echo_read(skb, p, ICMP_ECHO_REPLY);
	if (echo)
		found = reply_restore(skb, p, 0, &reason);
	else
		reason = icmp_to_client(skb, p, 0, &found);
	if (known && !found && p->fragment)
		fragment_first(p, PROXY_FRAGMENT_IN, NULL, 0);
	return reason;
}

/*
 * The slow path of a packet from an address of ours (@known), or of any ICMP message, since
 * an error may come from any router, and its quote tells whether it is for us. Return: the verdict.
 */
static __always_inline int ingress_ip(struct __sk_buff *skb, struct packet *p, int known,
				      __u32 generation)
{
	enum proxy_counter reason = packet_read(skb, p, cfg_l2_len);
	__u32 nexthop = PROXY_NEXTHOP_NONE;

	if (unlikely(reason != PROXY_OK))
		return untouched(known ? reason : PROXY_OK);
	if (likely(packet_has_ports(p)))
		reason = ingress_ports(skb, p, generation);
	else if (known && is_later_fragment(p))
		reason = fragment_later(skb, p, PROXY_FRAGMENT_IN, &nexthop);
	else if (p->proto == IP_ICMP)
		reason = ingress_icmp(skb, p, known);
	return untouched(reason);
}

static __always_inline int at_ingress(struct __sk_buff *skb, __u32 l2_len)
{
	struct ip_peek peek;
	__u32 generation;
	struct packet p;
	int known, verdict;

	if (skb->protocol != bpf_htons(IP_ETHERTYPE)) {
#if PROXY_FAMILY == 4
		if (skb->protocol == bpf_htons(ETH_P_ARP))
			arp_ingress(skb);
#endif
		return TC_ACT_UNSPEC;
	}
	if (pkt_read(skb, l2_len + IP_PEEK, &peek, sizeof(peek)))
		return TC_ACT_UNSPEC;
	known = maybe_known(&peek.saddr);
	if (!known && peek.protocol != IP_ICMP)
		return TC_ACT_UNSPEC;
	generation = cache_generation();
	p.l4 = PACKET_UNREAD;
	if (likely(known)) {
		if (fast_path(skb, &p, l2_len, CACHE_INGRESS, generation, &verdict))
			return verdict;
		known = known_address(&peek.saddr);
		if (!known && peek.protocol != IP_ICMP)
			return TC_ACT_UNSPEC;
	}
	if (skb->vlan_present)
		return untouched(known ? PROXY_VLAN : PROXY_OK);
	return ingress_ip(skb, &p, known, generation);
}

#endif /* BPF_PROXY_HOOK_H */
