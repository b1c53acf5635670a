/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * proxy: giving a packet other addresses and ports. BPF only; tests/bpf-native.h compiles it
 * for this machine, too.
 */
#ifndef BPF_PROXY_REWRITE_H
#define BPF_PROXY_REWRITE_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/tcp.h>
#include <linux/types.h>
#include <linux/udp.h>

#include <bpf/bpf_helpers.h>

#include "csum.h"
#include "proxy-maps.h"
#include "proxy-parse.h"

/** change_sum - add up the differences that the addresses and the ports make */
static __always_inline __u16 change_sum(const struct change *change)
{
	return csum_add16(csum_add16(change->addr_sum, change->ports_half), change->ports_half);
}

/** addr_sum_of - return the difference that the addresses of @to make in a checksum of @p */
static __always_inline __u16 addr_sum_of(const struct packet *p, const struct tuple *to)
{
	return csum_fold(proxy_addr_csum(proxy_addr_csum(0, &p->from.saddr, &to->saddr),
					 &p->from.daddr, &to->daddr));
}

/** change_measure - set the differences that @change->to makes in the checksums of @p */
static __always_inline void change_measure(struct change *change, const struct packet *p)
{
	change->addr_sum = addr_sum_of(p, &change->to);
	change->ports_half = csum_half(csum_fold(csum_add(0, p->from.ports, change->to.ports)));
}

/**
 * packet_rewrite_ip - give a packet the addresses of @to, and leave its ports
 *
 * For a later fragment, and for the outer header of an ICMP error.
 * Return: 0 or a negative errno; the packet is unusable after a failure.
 */
static __always_inline int packet_rewrite_ip(struct __sk_buff *skb, const struct packet *p,
					     const struct tuple *to)
{
	return ip_store(skb, cfg_l2_len, p, to, addr_sum_of(p, to), BPF_F_RECOMPUTE_CSUM);
}

/*
 * Apply the difference @sum to the transport checksum. The helper knows what the field holds. The
 * difference of addresses needs BPF_F_PSEUDO_HDR, and that of ports must not have it. With
 * CHECKSUM_PARTIAL the field holds the sum of the pseudo-header only, and ports do not belong
 * there. With CHECKSUM_COMPLETE a changed address changes skb->csum; a changed port does not, since
 * the checksum field changes by as much.
 */
static __always_inline int l4_csum_change(struct __sk_buff *skb, const struct packet *p, __u16 sum,
					  __u64 flags)
{
	__u32 check = p->l4 + (p->proto == IPPROTO_UDP ? offsetof(struct udphdr, check)
						       : offsetof(struct tcphdr, check));

	/* A UDP checksum of 0 means none: it stays, and none becomes 0 (RFC 768). */
	if (p->proto == IPPROTO_UDP)
		flags |= BPF_F_MARK_MANGLED_0;
	/* From 0 to a difference: to add it. */
	return bpf_l4_csum_replace(skb, check, 0, sum, flags | sizeof(sum));
}

/**
 * packet_rewrite_plain - give a plain packet the addresses and ports of @change
 * @dmac: the frame's new destination MAC address, or NULL to leave it
 *
 * Only helpers write. A direct store anywhere in a tc program makes the kernel copy every cloned
 * packet before the program starts, and all TCP data that this host sends is cloned.
 *
 * Two calls are enough: one store, and one call of the helper for transport checksums. Only that
 * helper knows what the checksum field holds. Let s be the field, A the difference of the addresses
 * and P that of the ports.
 * - CHECKSUM_PARTIAL: the field is the sum of the pseudo-header, and has to become s + A.
 * - Otherwise the field is the complement of a sum, and has to become s - A - P.
 * The store writes s - P/2. The helper then adds A + P/2 in the first case, and subtracts it in the
 * other: both results are right.
 *
 * CHECKSUM_COMPLETE: skb->csum, the sum of the whole packet, has to change by -A. (The IP checksum
 * cancels the addresses and the transport checksum cancels the ports, but that also contains -A.)
 * The store changes it by the sum of all that it changes, which is P/2. The helper subtracts
 * A + P/2. IPv6 has no IP checksum: skb->csum has to stay, and the store changes it by A + P/2.
 * At egress, where the store may contain a MAC address, skb->csum means nothing.
 *
 * Return: 0 or a negative errno; the packet is unusable after a failure.
 */
static __always_inline int packet_rewrite_plain(struct __sk_buff *skb, const struct packet *p,
						const struct change *change, const void *dmac)
{
	const void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	const struct plain_head *old = data - PLAIN_OFF;
	__u32 from = ETH_HLEN + IP_TAIL, to;
	__u16 less = ~change->ports_half;
	struct plain_head new;

	if (data + PLAIN_UDP_LEN > end)
		return -ENODATA;
	if (dmac) {
		__builtin_memcpy(new.eth.h_dest, __builtin_assume_aligned(dmac, 2), ETH_ALEN);
		__builtin_memcpy(new.eth.h_source, __builtin_assume_aligned(&old->eth.h_source, 8),
				 8);
		__builtin_memcpy(&new.ip, __builtin_assume_aligned(&old->ip, 8), IP_TAIL);
		from = 0; /* here: a second branch on @dmac makes a path that reads unset stack */
	}
	ip_head_change(&new.ip, &old->ip, change);
	new.ports = change->to.ports;
	if (p->proto == IPPROTO_UDP) {
		new.udp.len = old->udp.len;
		new.udp.check = old->udp.check ? csum_add16(old->udp.check, less) : 0;
		to = PLAIN_UDP_LEN;
	} else {
		if (data + PLAIN_TCP_LEN > end)
			return -ENODATA;
		__builtin_memcpy(&new.tcp.seq, __builtin_assume_aligned(&old->tcp.seq, 8),
				 offsetof(struct tcphdr, check) - offsetof(struct tcphdr, seq));
		new.tcp.check = csum_add16(old->tcp.check, less);
		to = offsetof(struct plain_head, tcp.check) + sizeof(old->tcp.check) - PLAIN_OFF;
	}
	if (bpf_skb_store_bytes(skb, from, (void *)&new.eth + from, to - from,
				BPF_F_RECOMPUTE_CSUM))
		return -EFAULT;
	return l4_csum_change(skb, p, csum_add16(change->addr_sum, change->ports_half),
			      BPF_F_PSEUDO_HDR);
}

/*
 * Store the ports of @to in TCP or UDP, or in an ICMP echo message the identifier, beside which the
 * other port is 0.
 */
static __always_inline int ports_store(struct __sk_buff *skb, const struct packet *p,
				       const struct tuple *to)
{
	__be16 id = to->sport | to->dport;

	if (p->proto == IP_ICMP)
		return bpf_skb_store_bytes(skb, p->l4, &id, sizeof(id), 0);
	return bpf_skb_store_bytes(skb, p->l4, &to->ports, sizeof(to->ports), 0);
}

/*
 * Update the checksum of an ICMP echo message. That of ICMPv6 covers the addresses. That of ICMP
 * may be over nothing but zeros, where a checksum of 0 is wrong; elsewhere 0xffff is as good as 0.
 */
static __always_inline int echo_csum_change(struct __sk_buff *skb, const struct packet *p,
					    const struct change *change)
{
	const __u64 flags = PROXY_FAMILY == 4 ? BPF_F_MARK_MANGLED_0 | BPF_F_MARK_ENFORCE : 0;
	__u16 sum = csum_add16(change->ports_half, change->ports_half);
	__u32 check = p->l4 + ECHO_CHECK;
	int err = bpf_l4_csum_replace(skb, check, 0, sum, flags | sizeof(sum));

	if (PROXY_FAMILY == 4 || err)
		return err;
	return bpf_l4_csum_replace(skb, check, 0, change->addr_sum, BPF_F_PSEUDO_HDR | sizeof(sum));
}

/*
 * As packet_rewrite(), for packets that are not plain. A function of its own: inlined, it would
 * take registers from the other way.
 */
static __noinline int packet_rewrite_other(struct __sk_buff *skb, const struct packet *p,
					   const struct change *change, const void *dmac)
{
	if (dmac && bpf_skb_store_bytes(skb, 0, dmac, ETH_ALEN, 0))
		return -EFAULT;
	if (ip_store(skb, cfg_l2_len, p, &change->to, change->addr_sum, BPF_F_RECOMPUTE_CSUM) ||
	    ports_store(skb, p, &change->to))
		return -EFAULT;
	if (p->proto == IP_ICMP)
		return echo_csum_change(skb, p, change);
	return l4_csum_change(skb, p, csum_add16(change->ports_half, change->ports_half), 0)
		       ?: l4_csum_change(skb, p, change->addr_sum, BPF_F_PSEUDO_HDR);
}

/**
 * packet_rewrite - do the same for any TCP or UDP packet that is not a later fragment, and for any
 * ICMP echo message
 */
static __noinline int packet_rewrite(struct __sk_buff *skb, const struct packet *p,
				     const struct change *change, const void *dmac)
{
	const void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 plain_len = p->proto == IPPROTO_UDP ? PLAIN_UDP_LEN : PLAIN_TCP_LEN;

	/*
	 * An offset that only Ethernet makes: the length of an IP header is a multiple of 4. No
	 * echo message has it, since its identifier lies 4 bytes behind a header of 20 bytes or
	 * more.
	 */
	if (likely(p->l4 == ETH_HLEN + sizeof(struct ip_head) && data + plain_len <= end))
		return packet_rewrite_plain(skb, p, change, dmac);
	return packet_rewrite_other(skb, p, change, dmac);
}

#endif /* BPF_PROXY_REWRITE_H */
