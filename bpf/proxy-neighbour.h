/* SPDX-License-Identifier: GPL-2.0-only */
/* Neighbour discovery (RFC 4861) for original addresses without a host (proxy-host.h). BPF only. */
#ifndef BPF_PROXY_NEIGHBOUR_H
#define BPF_PROXY_NEIGHBOUR_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in6.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "csum.h"
#include "proxy-host.h"
#include "proxy-ip.h"
#include "proxy-maps.h"
#include "tc-index.h"

enum {
	ND_SOLICITATION = 135,
	ND_ADVERTISEMENT = 136,
};

/* In the first byte behind the checksum of an advertisement. */
#define ND_SOLICITED 0x40

/* Options: the MAC address of the sender of a solicitation, or of the target of an advertisement.
 */
enum {
	ND_SOURCE_MAC = 1,
	ND_TARGET_MAC = 2,
};

/* A solicitation or an advertisement over Ethernet, with a MAC address as its first option. */
struct nd_frame {
	__u16 pad; /* not of the frame: puts each field at a multiple of its size */
	__u8 dmac[ETH_ALEN];
	__u8 smac[ETH_ALEN];
	__be16 ethertype;
	struct ip_head ip;
	__u8 type;
	__u8 code;
	__be16 check;
	__u8 flags;
	__u8 reserved[3];
	proxy_addr target;
	__u8 option;
	__u8 option_len; /* in units of 8 bytes */
	__u8 mac[ETH_ALEN];
};
_Static_assert(sizeof(struct nd_frame) == 88, "as on the wire");

#define ND_FRAME_LEN (sizeof(struct nd_frame) - offsetof(struct nd_frame, dmac))
#define ND_OPTION_LEN (sizeof(struct nd_frame) - offsetof(struct nd_frame, option))
#define ND_LEN (sizeof(struct nd_frame) - offsetof(struct nd_frame, type))
#define ND_PLAIN_LEN (ND_LEN - ND_OPTION_LEN)

/** nd_may_ask - tell whether @daddr is a solicited-node multicast address, ff02::1:ff00:0/104 */
static __always_inline int nd_may_ask(const proxy_addr *daddr)
{
	return daddr->half[0] == bpf_cpu_to_be64(0xff02000000000000ULL) &&
	       (daddr->half[1] & bpf_cpu_to_be64(0xffffffffff000000ULL)) ==
		       bpf_cpu_to_be64(0x00000001ff000000ULL);
}

/* The sum of all that the checksum of @msg covers, of whose message there are @len bytes. */
static __always_inline __u16 nd_sum(struct nd_frame *msg, __u32 len)
{
	__u32 sum = bpf_csum_diff(NULL, 0, (__be32 *)&msg->ip.saddr, 2 * sizeof(proxy_addr),
				  bpf_htonl(len + IPPROTO_ICMPV6));

	return csum_fold(bpf_csum_diff(NULL, 0, (__be32 *)&msg->type, len, sum));
}

/* Return: whether the packet is a message that the kernel would look at, without extensions. */
static __always_inline int nd_read(struct __sk_buff *skb, struct nd_frame *msg, __u32 len)
{
	return cfg_l2_len == ETH_HLEN && !skb->vlan_present &&
	       !bpf_skb_load_bytes(skb, 0, msg->dmac, len) && msg->ip.protocol == IPPROTO_ICMPV6 &&
	       msg->ip.hop_limit == 255 && !msg->code;
}

/*
 * Answer @request as a proxy does (RFC 4861, 7.2.8): without the override flag, so that an answer
 * of the host itself is preferred. The reply is written over it, for as long as that takes.
 */
static __always_inline void nd_answer(struct __sk_buff *skb, const struct nd_frame *request)
{
	struct nd_frame reply = *request;

	__builtin_memcpy(reply.dmac, request->mac, ETH_ALEN);
	host_mac_set(reply.smac);
	reply.ip.payload_len = bpf_htons(ND_LEN);
	reply.ip.saddr = request->target;
	reply.ip.daddr = request->ip.saddr;
	reply.type = ND_ADVERTISEMENT;
	reply.check = 0;
	reply.flags = ND_SOLICITED;
	__builtin_memset(reply.reserved, 0, sizeof(reply.reserved));
	reply.option = ND_TARGET_MAC;
	host_mac_set(reply.mac);
	reply.check = ~nd_sum(&reply, ND_LEN);
	if (bpf_skb_store_bytes(skb, 0, reply.dmac, ND_FRAME_LEN, 0))
		return;
	host_deliver(skb);
	count(PROXY_SOLICITED);
}

/**
 * nd_egress - answer a solicitation for an original if nobody else does
 *
 * A solicitation to the MAC address that we gave reaches no host, so it goes to the multicast
 * address of its target in any case. Duplicate address detection, which has no source address, is
 * left alone: somebody is about to take the address.
 */
static __noinline int nd_egress(struct __sk_buff *skb)
{
	enum host_answer answer;
	struct nd_frame msg;

	msg.pad = 0;
	if (!nd_read(skb, &msg, ND_FRAME_LEN) || msg.type != ND_SOLICITATION ||
	    bpf_ntohs(msg.ip.payload_len) < ND_LEN || !proxy_addr_is_set(&msg.ip.saddr) ||
	    proxy_addr_equal(&msg.ip.saddr, &msg.target) || msg.option != ND_SOURCE_MAC ||
	    msg.option_len != 1)
		return 0;
	answer = host_asked(&msg.target);
	if (answer == HOST_ABSENT)
		nd_answer(skb, &msg);
	/* A host that has just come up is to hear it, whose MAC address nobody knows. */
	if (answer == HOST_ABSENT || (answer == HOST_WAIT && host_mac_is_ours(msg.dmac))) {
		const __u8 *target = (const __u8 *)&msg.target;

		msg.dmac[0] = msg.dmac[1] = 0x33;
		msg.dmac[2] = 0xff;
		__builtin_memcpy(&msg.dmac[3], target + 13, 3);
		bpf_skb_store_bytes(skb, 0, msg.dmac, ND_FRAME_LEN, 0);
	}
	return 0;
}

/*
 * Whether the kernel believes @msg, see ndisc_recv_ns() and ndisc_recv_na(). If we believed more, a
 * frame that the kernel drops could make an absent original unreachable. Whether a solicitation
 * asks for an address of this host is not known here; the sender's address is in use in any case.
 */
static __always_inline int nd_believable(const struct __sk_buff *skb, struct nd_frame *msg)
{
	__u32 len = bpf_ntohs(msg->ip.payload_len);
	int multicast = *(const __u8 *)&msg->ip.daddr == 0xff;

	if (skb->pkt_type == PACKET_OTHERHOST || (len > ND_PLAIN_LEN && !msg->option_len))
		return 0;
	if (msg->type == ND_ADVERTISEMENT && multicast && msg->flags & ND_SOLICITED)
		return 0;
	if (len == ND_PLAIN_LEN)
		return nd_sum(msg, ND_PLAIN_LEN) == 0xffff;
	return len > ND_LEN || nd_sum(msg, ND_LEN) == 0xffff;
}

/** nd_ingress - a message that the kernel believes tells that an original has a host */
static __noinline int nd_ingress(struct __sk_buff *skb)
{
	struct nd_frame msg = {};
	__u32 len = ND_FRAME_LEN;

	if (skb->len < ND_FRAME_LEN)
		len = ND_FRAME_LEN - ND_OPTION_LEN;
	if (!nd_read(skb, &msg, len) || host_mac_is_ours(msg.smac))
		return 0;
	if (msg.type == ND_ADVERTISEMENT && nd_believable(skb, &msg))
		host_heard(&msg.target);
	else if (msg.type == ND_SOLICITATION && proxy_addr_is_set(&msg.ip.saddr) &&
		 nd_believable(skb, &msg))
		host_heard(&msg.ip.saddr);
	return 0;
}

#endif /* BPF_PROXY_NEIGHBOUR_H */
