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

#define TUNNELS_MAX 3

#define VXLAN_PORT 4789
#define VXLAN_PORT_LINUX 8472 /* the kernel's default, older than the assignment */
#define GENEVE_PORT 6081
#define GRE_CHECKSUM 0x8000
#define GRE_KEY 0x2000
#define GRE_SEQUENCE 0x1000

struct gre {
	__be16 flags;
	__be16 ethertype;
};

struct udp_tunnel {
	__be16 sport;
	__be16 dport;
	__be16 len;
	__be16 checksum;
	__u8 options; /* GENEVE: their length in words, in the low six bits */
	__u8 flags;
	__be16 ethertype; /* GENEVE */
};

/* Whether a GSO packet with @headers bytes of headers makes as many segments as the kernel says. */
static __always_inline bool pm_gso_fits(struct __sk_buff *skb, __u32 headers)
{
	__u32 size = skb->gso_size;

	return !skb->gso_segs || !size || headers > skb->len ||
	       (skb->len - headers + size - 1) / size == skb->gso_segs;
}

/* Whether a UDP socket of this host has sent the packet itself (UDP_SEGMENT), to whatever port. */
static __always_inline bool pm_from_udp_socket(struct __sk_buff *skb, __be16 sport)
{
	struct bpf_sock *sk = skb->sk;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	return sk && sk->protocol == IPPROTO_UDP && sk->src_port == bpf_ntohs(sport);
}

/*
 * Find the tunnel header in the UDP datagram at @off. Known ports lead to tunnels, unless a socket
 * has sent the datagram. At any other port, a datagram that cannot be plain is in a tunnel: the
 * segments that the kernel counts do not fit into it without further headers.
 * Return: the offset of the inner packet, with its EtherType in @ethertype; 0 if it is plain.
 */
static __always_inline __u32 pm_udp_tunnel(struct __sk_buff *skb, __u32 off,
					   const struct udp_tunnel *udp, __be16 *ethertype)
{
	bool vxlan =
		udp->dport == bpf_htons(VXLAN_PORT) || udp->dport == bpf_htons(VXLAN_PORT_LINUX);
	bool geneve = udp->dport == bpf_htons(GENEVE_PORT);

	if (pm_from_udp_socket(skb, udp->sport))
		return 0;
	if (!vxlan && !geneve) {
		if (pm_gso_fits(skb, off + 8))
			return 0;
		geneve = udp->ethertype == bpf_htons(ETH_P_TEB);
	}
	*ethertype = geneve ? udp->ethertype : bpf_htons(ETH_P_TEB);
	return off + 16 + (geneve ? (udp->options & 0x3f) * 4 : 0);
}

/*
 * pm_gso_headers - find the payload of a GSO packet: each of its segments repeats all before it
 * @off: of the upper-layer header
 *
 * Steps into tunnels, since the segments repeat the inner headers, too.
 * Return: the offset of the payload.
 */
__noinline __u32 pm_gso_headers(struct __sk_buff *skb, __u32 off, __u8 proto)
{
	struct udp_tunnel udp;
	struct vlan_tag tag;
	__be16 ethertype;
	struct ipv6hdr ip6;
	__u32 inner;
	struct iphdr ip;
	struct gre gre;
	__u8 doff;

	for (int depth = 0; depth < TUNNELS_MAX; depth++) {
		ethertype = bpf_htons(ETH_P_TEB);
		switch (proto) {
		case IPPROTO_TCP:
			if (pkt_read(skb, off + 12, &doff, sizeof(doff)))
				return off;
			return off + (doff >> 4) * 4;
		case IPPROTO_SCTP:
			return off + 12;
		case IPPROTO_UDP:
			if (pkt_read(skb, off, &udp, sizeof(udp)))
				return off + 8;
			inner = pm_udp_tunnel(skb, off, &udp, &ethertype);
			if (!inner)
				return off + 8;
			off = inner;
			break;
		case IPPROTO_GRE:
			if (pkt_read(skb, off, &gre, sizeof(gre)))
				return off;
			ethertype = gre.ethertype;
			off += sizeof(gre) + (gre.flags & bpf_htons(GRE_CHECKSUM) ? 4 : 0) +
			       (gre.flags & bpf_htons(GRE_KEY) ? 4 : 0) +
			       (gre.flags & bpf_htons(GRE_SEQUENCE) ? 4 : 0);
			break;
		case IPPROTO_IPIP:
			ethertype = bpf_htons(ETH_P_IP);
			break;
		case IPPROTO_IPV6:
			ethertype = bpf_htons(ETH_P_IPV6);
			break;
		default:
			return off;
		}
		if (ethertype == bpf_htons(ETH_P_TEB)) {
			if (pkt_read(skb, off + 2 * ETH_ALEN, &ethertype, sizeof(ethertype)))
				return off;
			off += ETH_HLEN;
			if (is_vlan_tag(ethertype)) {
				if (pkt_read(skb, off, &tag, sizeof(tag)))
					return off;
				ethertype = tag.ethertype;
				off += sizeof(tag);
			}
		}
		if (ethertype == bpf_htons(ETH_P_IP)) {
			if (pkt_read(skb, off, &ip, sizeof(ip)))
				return off;
			off += ip.ihl * 4;
			proto = ip.protocol;
		} else if (ethertype == bpf_htons(ETH_P_IPV6)) {
			if (pkt_read(skb, off, &ip6, sizeof(ip6)))
				return off;
			off += sizeof(ip6);
			proto = ip6.nexthdr;
		} else {
			return off;
		}
	}
	return off;
}

/**
 * pm_wire_count - say how many frames of how many bytes a packet is on the wire
 * @pkt: as pm_parse() has left it
 */
static __always_inline struct pm_count pm_wire_count(struct __sk_buff *skb,
						     const struct pm_packet *pkt)
{
	struct pm_count wire = { .packets = 1, .bytes = skb->len };
	__u32 size = skb->gso_size;

	if (size) {
		__u32 headers = pm_gso_headers(skb, pkt->off, pkt->proto);
		__u32 segments = skb->gso_segs;

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
