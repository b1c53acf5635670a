/* SPDX-License-Identifier: GPL-2.0-only */
/* ARP for original addresses without a host (proxy-host.h). BPF only. */
#ifndef BPF_PROXY_ARP_H
#define BPF_PROXY_ARP_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "pkt.h"
#include "proxy-host.h"
#include "proxy-maps.h"
#include "tc-index.h"

/* <linux/if_arp.h> cannot be included for the bpf target. */
enum {
	ARPHRD_ETHER = 1,
	ARPHRD_IEEE802 = 6,
	ARPOP_REQUEST = 1,
	ARPOP_REPLY = 2,
};

/* An ARP message for IPv4 over Ethernet (RFC 826), with its frame. */
struct arp_frame {
	__u8 dmac[ETH_ALEN];
	__u8 smac[ETH_ALEN];
	__be16 ethertype;
	__be16 hrd;
	__be16 pro;
	__u8 hln;
	__u8 pln;
	__be16 op;
	__u8 sha[ETH_ALEN];
	__be16 spa[2]; /* only 2-byte aligned */
	__u8 tha[ETH_ALEN];
	__be16 tpa[2];
};
_Static_assert(sizeof(struct arp_frame) == 42, "as on the wire");

static __always_inline __be32 arp_addr(const __be16 *half)
{
	__be32 addr;

	__builtin_memcpy(&addr, half, sizeof(addr));
	return addr;
}

static __always_inline int arp_read(struct __sk_buff *skb, struct arp_frame *arp)
{
	return cfg_l2_len != ETH_HLEN || skb->vlan_present || pkt_read(skb, 0, arp, sizeof(*arp)) ||
	       arp->pro != bpf_htons(ETH_P_IP) || arp->hln != ETH_ALEN || arp->pln != 4;
}

/* Answer @request for ourselves. The reply is written over it, for as long as that takes. */
static __always_inline void arp_answer(struct __sk_buff *skb, const struct arp_frame *request)
{
	struct arp_frame reply = *request;

	__builtin_memcpy(reply.dmac, request->sha, ETH_ALEN);
	host_mac_set(reply.smac);
	reply.op = bpf_htons(ARPOP_REPLY);
	host_mac_set(reply.sha);
	__builtin_memcpy(reply.spa, request->tpa, sizeof(reply.spa));
	__builtin_memcpy(reply.tha, request->sha, ETH_ALEN);
	__builtin_memcpy(reply.tpa, request->spa, sizeof(reply.tpa));
	if (bpf_skb_store_bytes(skb, 0, &reply, sizeof(reply), 0))
		return;
	host_deliver(skb);
	count(PROXY_ARP);
}

/**
 * arp_egress - answer a request for an original if nobody else does
 *
 * A request to the MAC address that we gave reaches no host, so it becomes a broadcast in any case.
 */
static __noinline int arp_egress(struct __sk_buff *skb)
{
	enum host_answer answer;
	struct arp_frame arp;
	__be32 asker, asked;

	if (arp_read(skb, &arp) || arp.op != bpf_htons(ARPOP_REQUEST))
		return 0;
	asker = arp_addr(arp.spa);
	asked = arp_addr(arp.tpa);
	/* No address asks whether another uses it (RFC 5227): somebody is about to take it. */
	if (!asker || asker == asked)
		return 0;
	answer = host_asked(&asked);
	if (answer == HOST_ABSENT)
		arp_answer(skb, &arp);
	/* A host that has just come up is to hear it, whose MAC address nobody knows. */
	if (answer == HOST_ABSENT || (answer == HOST_WAIT && host_mac_is_ours(arp.dmac))) {
		__builtin_memset(arp.dmac, 0xff, ETH_ALEN);
		bpf_skb_store_bytes(skb, 0, &arp, sizeof(arp), 0);
	}
	return 0;
}

/*
 * Whether the kernel believes what @arp says of its sender, see arp_rcv() and arp_process(). If we
 * believed more, a frame that the kernel drops could make an absent original unreachable.
 */
static __always_inline int arp_believable(const struct __sk_buff *skb, const struct arp_frame *arp)
{
	__u8 first = *(const __u8 *)arp->tpa;

	return skb->pkt_type != PACKET_OTHERHOST &&
	       (arp->hrd == bpf_htons(ARPHRD_ETHER) || arp->hrd == bpf_htons(ARPHRD_IEEE802)) &&
	       (arp->op == bpf_htons(ARPOP_REQUEST) || arp->op == bpf_htons(ARPOP_REPLY)) &&
	       first != 127 && first >> 4 != 14;
}

/** arp_ingress - any message from an original address that the kernel believes: there is a host */
static __noinline int arp_ingress(struct __sk_buff *skb)
{
	struct arp_frame arp;
	__be32 sender;

	if (!arp_read(skb, &arp) && !host_mac_is_ours(arp.sha) && arp_believable(skb, &arp)) {
		sender = arp_addr(arp.spa);
		host_heard(&sender);
	}
	return 0;
}

#endif /* BPF_PROXY_ARP_H */
