// SPDX-License-Identifier: GPL-2.0-only
/*
 * DNAT at the clsact hook: proxy_egress sends packets for an original address to its target,
 * proxy_ingress gives the replies the original as their source.
 *
 * Failure policy: what is not understood, and what is not ours, passes untouched; a packet that
 * belongs to a mapping but can neither be translated completely nor have a flow is dropped, since
 * it would otherwise reach a host for which it is not meant. Either is counted under its reason.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "proxy-arp.h"
#include "proxy-flow.h"
#include "proxy-fragment.h"
#include "proxy-icmp.h"
#include "proxy-maps.h"
#include "proxy-nexthop.h"
#include "proxy-packet.h"

/* The verdict on a packet that was not translated. */
static __always_inline int untouched(enum proxy_counter reason)
{
	count(reason);
	if (reason == PROXY_FULL || reason == PROXY_NO_PORT || reason == PROXY_FAILED)
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}

/*
 * Translate a TCP or UDP packet with ports. Return: PROXY_OK, with @nexthop set if it was
 * translated, or why it could not be.
 */
static __always_inline enum proxy_counter egress_ports(struct __sk_buff *skb,
						       struct flow_request *req, __u32 *nexthop)
{
	const struct proxy_mapping *mapping;
	struct packet *p = &req->p;
	enum proxy_counter reason;
	struct proxy_flow *flow;
	struct tuple to;

	reason = packet_read_ports(skb, p);
	if (reason != PROXY_OK)
		return reason;
	mapping = mapping_find(p->daddr, p->dport, p->proto);
	if (!mapping) {
		if (p->fragment)
			fragment_first(p, PROXY_FRAGMENT_OUT, 0, 0, req->now);
		return PROXY_OK;
	}
	req->key = reply_of(mapping, p);
	flow = bpf_map_lookup_elem(&ingress, &req->key);
	if (!flow_is(flow, p) || flow_reopens(flow, p)) {
		flow = flow_open(skb, mapping, req);
		if (!flow)
			return req->reason;
	}
	flow_touch(flow, flow_bits_out(p), PROXY_FLOW_RST_OUT, req->now);

	if (flow_is_identity(flow)) {
		if (p->fragment)
			fragment_first(p, PROXY_FRAGMENT_OUT, 0, 0, req->now);
		return PROXY_OK;
	}
	if (!(flow->state & PROXY_FLOW_DIRECT)) {
		flow_count(skb, p, flow->mapping, 1);
		*nexthop = flow->nexthop;
	}
	to.saddr = p->saddr;
	to.daddr = req->key.remote;
	to.sport = req->key.lport;
	to.dport = req->key.rport;
	if (p->fragment)
		fragment_first(p, PROXY_FRAGMENT_OUT, to.daddr, *nexthop, req->now);
	return packet_rewrite(skb, p, &to) ? PROXY_FAILED : PROXY_OK;
}

SEC("tc")
int proxy_egress(struct __sk_buff *skb)
{
	__u32 nexthop = PROXY_NEXTHOP_NONE;
	struct flow_request req = {};
	enum proxy_counter reason;
	__be32 daddr;

	if (skb->protocol != bpf_htons(ETH_P_IP)) {
		if (skb->protocol == bpf_htons(ETH_P_ARP))
			arp_egress(skb);
		return TC_ACT_UNSPEC;
	}
	if (pkt_read(skb, cfg_l2_len + offsetof(struct iphdr, daddr), &daddr, sizeof(daddr)) ||
	    !known_address(daddr) || nexthop_reentered(skb))
		return TC_ACT_UNSPEC;
	if (skb->vlan_present)
		return untouched(PROXY_VLAN);

	reason = packet_read_ip(skb, &req.p);
	if (reason != PROXY_OK)
		return untouched(reason);
	req.now = bpf_ktime_get_coarse_ns();
	if (req.p.proto == IPPROTO_ICMP)
		reason = icmp_egress(skb, &req.p, &nexthop);
	else if (req.p.proto != IPPROTO_TCP && req.p.proto != IPPROTO_UDP)
		return TC_ACT_UNSPEC;
	else if (is_later_fragment(&req.p))
		reason = fragment_later(skb, &req.p, PROXY_FRAGMENT_OUT, &nexthop, req.now);
	else
		reason = egress_ports(skb, &req, &nexthop);
	if (reason != PROXY_OK)
		return untouched(reason);
	return nexthop_apply(skb, nexthop, req.now);
}

/* The same for a packet that may come from a target; there is no next hop to find. */
static __always_inline enum proxy_counter ingress_ports(struct __sk_buff *skb, struct packet *p,
							__u64 now)
{
	struct proxy_reply key = {};
	enum proxy_counter reason;
	struct proxy_flow *flow;
	struct tuple to;

	reason = packet_read_ports(skb, p);
	if (reason != PROXY_OK)
		return reason;
	key.remote = p->saddr;
	key.local = p->daddr;
	key.rport = p->sport;
	key.lport = p->dport;
	key.proto = p->proto;
	flow = bpf_map_lookup_elem(&ingress, &key);
	if (flow)
		flow_touch(flow, flow_bits_in(p), PROXY_FLOW_RST_IN, now);
	if (!flow || flow_is_identity(flow)) {
		if (p->fragment)
			fragment_first(p, PROXY_FRAGMENT_IN, 0, 0, now);
		return PROXY_OK;
	}
	if (!(flow->state & PROXY_FLOW_DIRECT))
		flow_count(skb, p, flow->mapping, 0);
	to.saddr = flow->orig;
	to.daddr = p->daddr;
	to.sport = flow->oport;
	to.dport = flow->cport;
	if (p->fragment)
		fragment_first(p, PROXY_FRAGMENT_IN, to.saddr, PROXY_NEXTHOP_NONE, now);
	return packet_rewrite(skb, p, &to) ? PROXY_FAILED : PROXY_OK;
}

SEC("tc")
int proxy_ingress(struct __sk_buff *skb)
{
	__u32 nexthop = PROXY_NEXTHOP_NONE;
	enum proxy_counter reason;
	struct packet p = {};
	struct {
		__u8 ttl, proto;
		__be16 check;
		__be32 saddr;
	} peek;
	__u64 now;
	int known;

	if (skb->protocol != bpf_htons(ETH_P_IP)) {
		if (skb->protocol == bpf_htons(ETH_P_ARP))
			arp_ingress(skb);
		return TC_ACT_UNSPEC;
	}
	if (pkt_read(skb, cfg_l2_len + offsetof(struct iphdr, ttl), &peek, sizeof(peek)))
		return TC_ACT_UNSPEC;
	/* An ICMP error may come from any router: its quote tells whether it is for us. */
	known = known_address(peek.saddr);
	if (!known && peek.proto != IPPROTO_ICMP)
		return TC_ACT_UNSPEC;
	reason = skb->vlan_present ? PROXY_VLAN : packet_read_ip(skb, &p);
	if (reason != PROXY_OK)
		return untouched(known ? reason : PROXY_OK);

	now = bpf_ktime_get_coarse_ns();
	if (p.proto == IPPROTO_ICMP)
		reason = icmp_ingress(skb, &p);
	else if (p.proto != IPPROTO_TCP && p.proto != IPPROTO_UDP)
		return TC_ACT_UNSPEC;
	else if (is_later_fragment(&p))
		reason = fragment_later(skb, &p, PROXY_FRAGMENT_IN, &nexthop, now);
	else
		reason = ingress_ports(skb, &p, now);
	return untouched(reason);
}

char _license[] SEC("license") = "GPL";
