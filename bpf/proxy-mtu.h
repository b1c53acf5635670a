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
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "proxy-icmp.h"
#include "proxy-maps.h"
#include "proxy-nexthop.h"
#include "proxy-parse.h"

#if PROXY_FAMILY == 4
enum { ICMP_HOST_UNREACH = 1, ICMP_FRAG_NEEDED = 4 };
#else
enum { ICMP_ADDR_UNREACH = 3 };
#endif

/* The error, up to the end of the quote: a header without options and 8 bytes. */
struct unreachable {
	struct ip_head ip;
	struct icmphdr icmp;
	struct ip_head quoted;
	__u8 l4[8];
};
_Static_assert(sizeof(struct unreachable) == PROXY_SIZE(56, 96), "summed up in words");

/* Where the transport header of @p begins, which has ports or is an echo request. */
static __always_inline __u32 transport_header(const struct packet *p)
{
	return p->l4 - (p->proto == IP_ICMP ? offsetof(struct icmphdr, id) : 0);
}

#define UNREACHABLE_ICMP_LEN (sizeof(struct unreachable) - offsetof(struct unreachable, icmp))

#if PROXY_FAMILY == 4

/* Read what is quoted of @p. Return: whether there is all of it. */
static __always_inline int unreachable_quote(struct __sk_buff *skb, const struct packet *p,
					     struct unreachable *error)
{
	return transport_header(p) == cfg_l2_len + sizeof(error->quoted) &&
	       !bpf_skb_load_bytes(skb, cfg_l2_len, &error->quoted,
				   sizeof(error->quoted) + sizeof(error->l4));
}

/* Fill in the headers of an error about @p, with what is quoted there already. */
static __always_inline void unreachable_heads(struct unreachable *error, const struct packet *p,
					      enum proxy_counter reason, __u32 mtu)
{
	__u32 sum;

	error->ip = (struct ip_head){
		.version = 4,
		.ihl = sizeof(error->ip) / 4,
		.tot_len = bpf_htons(sizeof(*error)),
		.ttl = 64,
		.protocol = IPPROTO_ICMP,
		.saddr = p->from.daddr,
		.daddr = p->from.saddr,
	};
	error->icmp = (struct icmphdr){
		.type = ICMP_DEST_UNREACH,
		.code = reason == PROXY_TOO_BIG ? ICMP_FRAG_NEEDED : ICMP_HOST_UNREACH,
		.rest = bpf_htonl(mtu),
	};
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&error->icmp, UNREACHABLE_ICMP_LEN, 0);
	error->icmp.checksum = ~csum_fold(sum);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&error->ip, sizeof(error->ip), 0);
	error->ip.check = ~csum_fold(sum);
}

#else

/* Extension headers are left out, so that what is behind them is in the quote. */
static __always_inline int unreachable_quote(struct __sk_buff *skb, const struct packet *p,
					     struct unreachable *error)
{
	if (bpf_skb_load_bytes(skb, cfg_l2_len, &error->quoted, sizeof(error->quoted)) ||
	    bpf_skb_load_bytes(skb, transport_header(p), error->l4, sizeof(error->l4)))
		return 0;
	error->quoted.protocol = p->proto;
	return 1;
}

static __always_inline void unreachable_heads(struct unreachable *error, const struct packet *p,
					      enum proxy_counter reason, __u32 mtu)
{
	__u32 sum;

	error->ip = (struct ip_head){
		.flow = bpf_htonl(0x60000000),
		.payload_len = bpf_htons(UNREACHABLE_ICMP_LEN),
		.protocol = IPPROTO_ICMPV6,
		.hop_limit = 64,
		.saddr = p->from.daddr,
		.daddr = p->from.saddr,
	};
	error->icmp = (struct icmphdr){
		.type = reason == PROXY_TOO_BIG ? ICMP_PKT_TOOBIG : ICMP_DEST_UNREACH,
		.code = reason == PROXY_TOO_BIG ? 0 : ICMP_ADDR_UNREACH,
		.rest = bpf_htonl(mtu),
	};
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&error->icmp, UNREACHABLE_ICMP_LEN,
			    bpf_htonl(UNREACHABLE_ICMP_LEN + IPPROTO_ICMPV6));
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&error->ip.saddr, 2 * sizeof(proxy_addr), sum);
	error->icmp.checksum = ~csum_fold(sum);
}

#endif

/*
 * Turn the packet @p into an error about itself, from the original to the client, whatever DF says:
 * a client that does not set DF fragments its packets once it knows the MTU.
 */
static __always_inline int make_unreachable(struct __sk_buff *skb, const struct packet *p,
					    enum proxy_counter reason, __u32 mtu)
{
	struct unreachable error;

	if (!unreachable_quote(skb, p, &error))
		return -1;
	unreachable_heads(&error, p, reason, mtu);
	if (bpf_skb_change_tail(skb, cfg_l2_len + sizeof(error), 0))
		return -1;
	return bpf_skb_store_bytes(skb, cfg_l2_len, &error, sizeof(error), 0);
}

/*
 * Errors are limited in number (RFC 4443, 2.4 (f)), as the kernel's own are (icmp_msgs_per_sec): a
 * flood with forged sources must not become a flood of errors.
 */
#define ERRORS_PER_SECOND 1000

static struct {
	__u64 second; /* CLOCK_MONOTONIC_COARSE */
	__u64 sent;   /* in this second, by all CPUs */
} errors_sent;

static __always_inline int error_allowed(void)
{
	__u64 second = bpf_ktime_get_coarse_ns() / 1000000000ULL;

	if (*(volatile __u64 *)&errors_sent.second != second) {
		errors_sent.second = second;
		errors_sent.sent = 0;
	}
	return __sync_fetch_and_add(&errors_sent.sent, 1) < ERRORS_PER_SECOND;
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
	}
	if (!error_allowed() || make_unreachable(skb, p, reason, mtu))
		return reason;
	count(reason);
	*nexthop = NEXTHOP_BACK;
	return PROXY_OK;
}

#endif /* BPF_PROXY_MTU_H */
