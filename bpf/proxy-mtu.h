/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets that cannot reach their target, or do not fit the MTU of its device. The kernel has
 * checked the route to the original, so the proxy sends the error that a router would send. BPF
 * only.
 */
#ifndef BPF_PROXY_MTU_H
#define BPF_PROXY_MTU_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "proxy-icmp.h"
#include "proxy-maps.h"
#include "proxy-nexthop.h"
#include "proxy-parse.h"

enum { ICMP_HOST_UNREACH = 1, ICMP_FRAG_NEEDED = 4 };

/* The error, up to the end of the quote: a header without options and 8 bytes. */
struct unreachable {
	struct iphdr ip;
	struct icmphdr icmp;
	__u8 quote[sizeof(struct iphdr) + 8];
};
_Static_assert(sizeof(struct unreachable) == 56, "summed up in words");

/*
 * Turn the packet @p into an error about itself, from the original to the client, whatever DF says:
 * a client that does not set DF fragments its packets once it knows the MTU.
 */
static __always_inline int make_unreachable(struct __sk_buff *skb, const struct packet *p,
					    __u8 code, __u32 mtu)
{
	struct unreachable error = {
		.ip = {
			.version = 4,
			.ihl = sizeof(struct iphdr) / 4,
			.tot_len = bpf_htons(sizeof(error)),
			.ttl = 64,
			.protocol = IPPROTO_ICMP,
			.saddr = p->daddr,
			.daddr = p->saddr,
		},
		.icmp = {
			.type = ICMP_DEST_UNREACH,
			.code = code,
			.rest = bpf_htonl(mtu),
		},
	};
	__u32 sum;

	if (p->l4 != cfg_l2_len + sizeof(struct iphdr) ||
	    bpf_skb_load_bytes(skb, cfg_l2_len, error.quote, sizeof(error.quote)))
		return -1;
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&error.icmp,
			    sizeof(error.icmp) + sizeof(error.quote), 0);
	error.icmp.checksum = ~csum_fold(sum);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&error.ip, sizeof(error.ip), 0);
	error.ip.check = ~csum_fold(sum);
	if (bpf_skb_change_tail(skb, cfg_l2_len + sizeof(error), 0))
		return -1;
	return bpf_skb_store_bytes(skb, cfg_l2_len, &error, sizeof(error), 0);
}

/**
 * mtu_check - check that a packet can reach next hop @nexthop and fits the MTU of its device
 *
 * If not, the packet becomes an error that turns back, and @nexthop is set to NEXTHOP_BACK. Only
 * the MTU of another device is checked: the kernel has checked that of the program's. Return:
 * PROXY_OK, or PROXY_UNREACHABLE or PROXY_TOO_BIG if it can only be dropped.
 */
static __noinline enum proxy_counter mtu_check(struct __sk_buff *skb, const struct packet *p,
					       __u32 *nexthop)
{
	__u32 index = *nexthop, len = p->end - cfg_l2_len, mtu = 0;
	const struct proxy_nexthop *entry = bpf_map_lookup_elem(&nexthops, &index);
	enum proxy_counter reason = PROXY_UNREACHABLE;
	__u8 code = ICMP_HOST_UNREACH;

	if (!entry)
		return PROXY_OK;
	/* Without a tool, the state of a target may be out of date. */
	if (!(entry->flags & PROXY_NEXTHOP_DOWN) || !heartbeat_fresh()) {
		if (!entry->oif || entry->oif == skb->ifindex)
			return PROXY_OK;
		if (skb->gso_size)
			len = p->headers - cfg_l2_len + skb->gso_size;
		mtu = len;
		if (bpf_check_mtu(skb, entry->oif, &mtu, 0, 0) < 0 || len <= mtu)
			return PROXY_OK;
		reason = PROXY_TOO_BIG;
		code = ICMP_FRAG_NEEDED;
	}
	if (make_unreachable(skb, p, code, mtu))
		return reason;
	count(reason);
	*nexthop = NEXTHOP_BACK;
	return PROXY_OK;
}

#endif /* BPF_PROXY_MTU_H */
