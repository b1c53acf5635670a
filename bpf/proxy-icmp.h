/* SPDX-License-Identifier: GPL-2.0-only */
/* ICMP errors about translated packets (RFC 5508, section 4). BPF only. */
#ifndef BPF_PROXY_ICMP_H
#define BPF_PROXY_ICMP_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "proxy-flow.h"
#include "proxy-maps.h"
#include "proxy-nexthop.h"
#include "proxy-parse.h"
#include "proxy-rewrite.h"

/* What icmp_to_client() and icmp_egress() need. */
struct icmp_work {
	struct quote quote;
	struct packet sent;
	struct proxy_reply key;
	struct tuple to;
	struct tuple outer_to;
};

/* Update the checksum of an ICMP message whose addresses have changed: that of ICMPv6 covers them.
 */
static __always_inline int icmp_readdress(struct __sk_buff *skb, const struct packet *p,
					  const struct tuple *to)
{
	if (PROXY_FAMILY == 4)
		return 0;
	return bpf_l4_csum_replace(skb, p->l4 + offsetof(struct icmphdr, checksum), 0,
				   addr_sum_of(p, to), BPF_F_PSEUDO_HDR | sizeof(__u16));
}

/* Where the checksum of the quoted packet @p lies, if it is quoted. */
static __always_inline __u32 quoted_check(const struct packet *p)
{
	switch (p->proto) {
	case IPPROTO_TCP:
		return p->l4 + offsetof(struct tcphdr, check);
	case IPPROTO_UDP:
		return p->l4 + offsetof(struct udphdr, check);
	default:
		return p->l4 + ECHO_CHECK;
	}
}

/*
 * Give the quoted packet the addresses and ports of @to, and the error itself those of @outer_to:
 * This changes the checksums of the quote and the ICMP checksum over them. The lengths decide
 * whether the transport checksum is quoted: that of TCP lies behind the 8 bytes that are always
 * quoted.
 */
static __noinline enum proxy_counter icmp_rewrite(struct __sk_buff *skb, const struct packet *outer,
						  const struct tuple *outer_to,
						  const struct quote *quote, const struct tuple *to)
{
	const struct packet *p = &quote->p;
	__u32 check = quoted_check(p);
	__u16 addr_sum = addr_sum_of(p, to);
	__be16 old_check = 0, new_check = 0;
	__u64 sum = csum_add(0, p->from.ports, to->ports);
	/* The checksum of ICMP covers no addresses; that of ICMPv6 does. */
	__u64 l4_sum = p->proto == IPPROTO_ICMP ? sum : sum + addr_sum;

	if (check + sizeof(old_check) <= p->end &&
	    !bpf_skb_load_bytes(skb, check, &old_check, sizeof(old_check)) &&
	    (p->proto != IPPROTO_UDP || old_check)) {
		new_check = csum_apply(old_check, csum_fold(l4_sum));
		if (p->proto == IPPROTO_UDP && !new_check)
			new_check = 0xffff;
		if (bpf_skb_store_bytes(skb, check, &new_check, sizeof(new_check), 0))
			return PROXY_FAILED;
	}
	if (ip_store(skb, quote->ip, p, to, addr_sum, 0) || ports_store(skb, p, to))
		return PROXY_FAILED;
	sum = csum_add(ip_check_sum(sum + addr_sum, p, addr_sum), old_check, new_check);
	if (bpf_l4_csum_replace(skb, outer->l4 + offsetof(struct icmphdr, checksum), 0,
				csum_fold(sum), 0) ||
	    packet_rewrite_ip(skb, outer, outer_to) || icmp_readdress(skb, outer, outer_to))
		return PROXY_FAILED;
	return PROXY_OK;
}

/**
 * icmp_to_client - translate an error about a packet to a target, for the client to recognise it
 * @local: PROXY_FLOW_LOCAL at egress, where errors of targets on this host pass; 0 at ingress
 * @found: whether it is about such a flow
 *
 * Like the other direction it neither makes nor refreshes a flow (RFC 4787, REQ-12).
 * Return: PROXY_OK, or why it could not be translated.
 */
static __noinline enum proxy_counter
icmp_to_client(struct __sk_buff *skb, const struct packet *outer, __u32 local, int *found)
{
	WORK(icmp_work, work, WORK_PACKET);
	const struct proxy_flow *flow;
	const struct quote *quote;
	__u32 number;

	*found = 0;
	if (!work)
		return PROXY_OK;
	quote = &work->quote;
	if (quote_read(skb, outer, &work->quote, ICMP_ECHO_REQUEST) ||
	    !known_address(&quote->p.from.daddr))
		return PROXY_OK;
	__builtin_memset(&work->key, 0, sizeof(work->key));
	work->key.remote = quote->p.from.daddr;
	work->key.local = quote->p.from.saddr;
	work->key.rport = quote->p.from.dport;
	work->key.lport = quote->p.from.sport;
	work->key.proto = quote->p.proto;
	flow = flow_lookup(&work->key, &number);
	if (!flow || flow_is_identity(flow) || (flow->state & PROXY_FLOW_LOCAL) != local)
		return PROXY_OK;
	*found = 1;
	work->to.saddr = flow->client;
	work->to.daddr = flow->orig;
	work->to.sport = flow->cport;
	work->to.dport = flow->oport;
	work->outer_to.saddr = outer->from.saddr;
	work->outer_to.daddr = outer->from.daddr;
	/* Any router on the path may have sent it; a router's address stays. */
	if (proxy_addr_equal(&outer->from.saddr, &work->key.remote))
		work->outer_to.saddr = flow->orig;
	if (local)
		work->outer_to.daddr = flow->client;
	return icmp_rewrite(skb, outer, &work->outer_to, quote, &work->to);
}

/**
 * icmp_egress - translate the client's error about a reply, for the target to recognise it
 *
 * Return: PROXY_OK, with @nexthop set if it was translated, or why it could not be.
 */
static __noinline enum proxy_counter icmp_egress(struct __sk_buff *skb, const struct packet *outer,
						 __u32 *nexthop)
{
	WORK(icmp_work, work, WORK_PACKET);
	const struct proxy_mapping *mapping;
	const struct proxy_flow *flow;
	const struct quote *quote;
	struct packet *sent;
	int unmapped;

	if (!work || quote_read(skb, outer, &work->quote, ICMP_ECHO_REPLY))
		return PROXY_OK;
	quote = &work->quote;
	/* The flow is that of a packet which the client sends the other way. */
	sent = &work->sent;
	__builtin_memset(sent, 0, sizeof(*sent));
	sent->from.saddr = quote->p.from.daddr;
	sent->from.daddr = quote->p.from.saddr;
	sent->from.sport = quote->p.from.dport;
	sent->from.dport = quote->p.from.sport;
	sent->proto = quote->p.proto;
	mapping = mapping_find(&sent->from.daddr, sent->from.dport, sent->proto, &unmapped);
	if (!mapping && !unmapped)
		return PROXY_OK;
	flow = flow_find(mapping, sent);
	if (!flow)
		return !mapping || mapping->flags & PROXY_MAPPING_DIRECT ? PROXY_OK : PROXY_ICMP;
	if (flow_is_identity(flow))
		return PROXY_OK;
	work->to.saddr = flow->key.remote;
	work->to.daddr = flow->key.local;
	work->to.sport = flow->key.rport;
	work->to.dport = flow->key.lport;
	work->outer_to.saddr = outer->from.saddr;
	work->outer_to.daddr = outer->from.daddr;
	if (proxy_addr_equal(&outer->from.daddr, &flow->orig))
		work->outer_to.daddr = flow->key.remote;
	if (flow->state & PROXY_FLOW_LOCAL)
		work->outer_to.saddr = flow->orig;
	*nexthop = nexthop_of(flow);
	return icmp_rewrite(skb, outer, &work->outer_to, quote, &work->to);
}

#endif /* BPF_PROXY_ICMP_H */
