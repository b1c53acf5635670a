/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * packet-monitor: how many frames of how many bytes a packet is on the wire. BPF only;
 * tests/bpf-native.h compiles it for this machine, too.
 *
 * skb->wire_len is of no use: its meaning at ingress differs between kernels. Both directions
 * compute the same sum instead.
 */
#ifndef BPF_PM_WIRE_H
#define BPF_PM_WIRE_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "packet-monitor.h"
#include "pkt.h"
#include "pm-parse.h"
#include "pm-tunnel.h"

/*
 * pm_gso_headers - find the payload of a GSO packet: each of its segments repeats all before it
 * @pkt: as pm_parse() has left it; the search changes all of it, except its key
 *
 * Steps into tunnels, since the segments repeat the inner headers, too.
 * Return: the offset of the payload.
 */
__noinline __u32 pm_gso_headers(struct __sk_buff *skb, struct pm_packet *pkt)
{
	struct ipv6hdr ip6;
	struct iphdr ip;
	__u32 outer;
	__u8 doff;

	if (!pkt)
		return 0;
	for (int depth = 0; depth < TUNNELS_MAX; depth++) {
		outer = pkt->off;
		if (!pm_enter_tunnel(skb, pkt, true))
			break;
		if (pkt->ethertype == bpf_htons(ETH_P_IP)) {
			if (pkt_read(skb, pkt->off, &ip, sizeof(ip)))
				break;
			pkt->off += ip.ihl * 4;
			pkt->proto = ip.protocol;
		} else if (pkt->ethertype == bpf_htons(ETH_P_IPV6)) {
			if (pkt_read(skb, pkt->off, &ip6, sizeof(ip6)))
				break;
			pkt->off += sizeof(ip6);
			pkt->proto = ip6.nexthdr;
		} else {
			pkt->off = outer; /* no tunnel, whatever its port */
			break;
		}
	}
	switch (pkt->proto) {
	case IPPROTO_TCP:
		if (pkt_read(skb, pkt->off + 12, &doff, sizeof(doff)))
			return pkt->off;
		return pkt->off + (doff >> 4) * 4;
	case IPPROTO_SCTP:
		return pkt->off + 12;
	case IPPROTO_UDP:
		return pkt->off + 8;
	default:
		return pkt->off;
	}
}

/**
 * pm_wire_count - say how many frames of how many bytes a packet is on the wire
 * @pkt: as pm_parse() has left it
 */
static __always_inline struct pm_count pm_wire_count(struct __sk_buff *skb, struct pm_packet *pkt)
{
	struct pm_count wire = { .packets = 1, .bytes = skb->len };
	__u32 size = skb->gso_size;

	if (size) {
		__u8 proto = pkt->proto, tags = pkt->tags;
		__u32 off = pkt->off, headers = pm_gso_headers(skb, pkt);
		__u32 segments = skb->gso_segs;

		pkt->off = off;
		pkt->proto = proto;
		pkt->tags = tags;
		if (headers > skb->len)
			headers = skb->len;
		if (!segments) /* from a tun device or a virtual machine, on some kernels */
			segments = (skb->len - headers + size - 1) / size;
		if (segments > 1) {
			wire.packets = segments;
			wire.bytes += (__u64)(segments - 1) * headers - segments * pkt->jumbo;
		}
	}
	if (skb->vlan_present)
		wire.bytes += wire.packets * sizeof(struct vlan_tag);
	return wire;
}

#endif /* BPF_PM_WIRE_H */
