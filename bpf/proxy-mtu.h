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

/*
 * The headers of an error. The packet that it is about follows, cut off where the error would be
 * longer than ERROR_MAX (RFC 1812, 4.3.2.3; RFC 4443, 2.4 (c)).
 */
struct unreachable {
	struct ip_head ip;
	struct icmphdr icmp;
};
_Static_assert(sizeof(struct unreachable) == PROXY_SIZE(28, 48), "summed up in words");

#define ERROR_MAX PROXY_SIZE(576, 1280)
#define QUOTE_MAX (ERROR_MAX - sizeof(struct unreachable))

/*
 * Add up the words of a packet from @off to @end, QUOTE_MAX bytes at most. A global function: the
 * verifier goes through its loop once. Return: the one's complement sum, in 16 bits.
 */
__noinline int quote_sum(struct __sk_buff *skb, __u32 off, __u32 end)
{
	__be32 word;
	__u64 sum = 0;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < QUOTE_MAX / sizeof(word) && off < end; i++, off += sizeof(word)) {
		if (bpf_skb_load_bytes(skb, off, &word, sizeof(word)))
			break;
		sum += word;
	}
	return csum_fold(sum);
}

/*
 * Sum up the quote of @p, which ends at @end.
 *
 * @gso: the kernel has to complete the transport checksum when the packet leaves by a device. It
 * has not forgotten that when the packet is an error: it would change the quote, and so make the
 * ICMP checksum wrong. With this value in the field, it changes nothing: the complement of the sum
 * of the rest, and so also of itself, by halves.
 */
static __always_inline int quote_finish(struct __sk_buff *skb, const struct packet *p, __u32 end,
					__u32 gso, __u64 *sum)
{
	__u32 check = quoted_check(p);
	__be16 old, new;

	*sum = quote_sum(skb, p->l4, end);
	if (gso) {
		if (bpf_skb_load_bytes(skb, check, &old, sizeof(old)))
			return -1;
		new = csum_half(~csum_fold(csum_add(*sum, old, 0)));
		if (bpf_skb_store_bytes(skb, check, &new, sizeof(new), 0))
			return -1;
		*sum = csum_add(*sum, old, new);
	}
	*sum += quote_sum(skb, cfg_l2_len, p->l4);
	return 0;
}

#if PROXY_FAMILY == 4

/* Fill in the headers of an error about @p, of which @len bytes with the sum @quote follow. */
static __always_inline void unreachable_heads(struct unreachable *error, const struct packet *p,
					      enum proxy_counter reason, __u32 mtu, __u32 len,
					      __u64 quote)
{
	__u64 sum;

	error->ip = (struct ip_head){
		.version = 4,
		.ihl = sizeof(error->ip) / 4,
		.tot_len = bpf_htons(sizeof(*error) + len),
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
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&error->icmp, sizeof(error->icmp), 0);
	error->icmp.checksum = ~csum_fold(sum + quote);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&error->ip, sizeof(error->ip), 0);
	error->ip.check = ~csum_fold(sum);
}

#else

static __always_inline void unreachable_heads(struct unreachable *error, const struct packet *p,
					      enum proxy_counter reason, __u32 mtu, __u32 len,
					      __u64 quote)
{
	__u64 sum;

	len += sizeof(error->icmp);
	error->ip = (struct ip_head){
		.flow = bpf_htonl(0x60000000),
		.payload_len = bpf_htons(len),
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
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&error->ip.saddr,
			    2 * sizeof(proxy_addr) + sizeof(error->icmp),
			    bpf_htonl(len + IPPROTO_ICMPV6));
	error->icmp.checksum = ~csum_fold(sum + quote);
}

#endif

/*
 * Turn the packet @p into an error about itself, from the original to the client, whatever DF says:
 * a client that does not set DF fragments its packets once it knows the MTU.
 */
static __always_inline int make_unreachable(struct __sk_buff *skb, const struct packet *p,
					    enum proxy_counter reason, __u32 mtu)
{
	__u32 len = p->end - cfg_l2_len, end, gso = skb->gso_size;
	struct unreachable error;
	__u64 sum;

	if (len > QUOTE_MAX)
		len = QUOTE_MAX;
	end = cfg_l2_len + len;
	/* First without what is behind the quote, then with zeros up to a whole word. */
	if (bpf_skb_change_tail(skb, end, 0) ||
	    bpf_skb_change_tail(skb, cfg_l2_len + (len + 3) / 4 * 4, 0) ||
	    quote_finish(skb, p, end, gso, &sum))
		return -1;
	unreachable_heads(&error, p, reason, mtu, len, sum);
	if (bpf_skb_adjust_room(skb, sizeof(error), BPF_ADJ_ROOM_MAC, 0))
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
