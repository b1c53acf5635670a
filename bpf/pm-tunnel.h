/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * packet-monitor: from a packet into the packet that it carries: IPIP, 6in4, 4in6, GRE, VXLAN and
 * GENEVE. BPF only; tests/bpf-native.h compiles it for this machine, too.
 */
#ifndef BPF_PM_TUNNEL_H
#define BPF_PM_TUNNEL_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "packet-monitor.h"
#include "pkt.h"
#include "pm-parse.h"

#define TUNNELS_MAX 4 /* one inside the other */

#define VXLAN_PORT 4789
#define VXLAN_PORT_LINUX 8472 /* the kernel's default, older than the assignment */
#define GENEVE_PORT 6081
#define VXLAN_VNI_VALID 0x08
#define VXLAN_GPE 0x04 /* the byte before the network identifier says what is inside */
#define GENEVE_VERSION 0xc0
#define GENEVE_OPTIONS 0x3f
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
	union {
		struct {
			__u8 first;	  /* VXLAN: flags; GENEVE: version and the options' words */
			__u8 flags;	  /* GENEVE */
			__be16 ethertype; /* GENEVE; the second byte: VXLAN-GPE's protocol */
			__be32 vni;
		};
		__u64 start; /* all of them */
	};
};

static __always_inline bool is_tunnel_port(__u16 port)
{
	return port == VXLAN_PORT || port == VXLAN_PORT_LINUX || port == GENEVE_PORT;
}

/** pm_may_be_tunnel - whether the flow of a plain packet may be that of a tunnel */
static __always_inline bool pm_may_be_tunnel(const struct pm_key *key)
{
	return pm_key_proto(key) == IPPROTO_UDP && is_tunnel_port(pm_key_dport(key));
}

/* Whether a GSO packet with @headers bytes of headers makes as many segments as the kernel says. */
static __always_inline bool pm_gso_fits(struct __sk_buff *skb, __u32 headers)
{
	__u32 size = skb->gso_size;

	return !skb->gso_segs || !size || headers > skb->len ||
	       (skb->len - headers + size - 1) / size == skb->gso_segs;
}

/*
 * Whether the segments of a GSO packet, whose UDP header is at @off, are whole datagrams of a
 * tunnel: then the second begins like the first. In a packet that the kernel segments inside the
 * tunnel, the bytes there are payload, which somebody may have made look like that; but then there
 * are fewer segments, unless the last one is short.
 */
static __always_inline bool pm_gso_repeats(struct __sk_buff *skb, __u32 off,
					   const struct udp_tunnel *udp)
{
	__u64 second;

	return pm_gso_fits(skb, off + 8) &&
	       !bpf_skb_load_bytes(skb, off + 8 + skb->gso_size, &second, sizeof(second)) &&
	       second == udp->start;
}

/* Whether a UDP socket of this host has sent the packet itself, to whatever port. */
static __always_inline bool pm_from_udp_socket(struct __sk_buff *skb, __be16 sport)
{
	struct bpf_sock *sk = skb->sk;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	return sk && sk->protocol == IPPROTO_UDP && sk->src_port == bpf_ntohs(sport);
}

/* What is inside VXLAN; 0 if it is not IP or Ethernet. */
static __always_inline __be16 pm_vxlan_ethertype(const struct udp_tunnel *udp)
{
	if (!(udp->first & VXLAN_GPE))
		return bpf_htons(ETH_P_TEB);
	switch (bpf_ntohs(udp->ethertype) & 0xff) {
	case 1:
		return bpf_htons(ETH_P_IP);
	case 2:
		return bpf_htons(ETH_P_IPV6);
	case 3:
		return bpf_htons(ETH_P_TEB);
	default:
		return 0;
	}
}

/*
 * Find the packet in the UDP datagram at @off. Known ports with a valid header lead to tunnels,
 * unless a socket of this host has sent the datagram. With @guess, it is a GSO packet whose
 * segments repeat the headers: not so if they are whole datagrams. One to any other port that
 * cannot be plain is in a tunnel: the segments that the kernel counts do not fit into it without
 * further headers. Return: the offset of the inner packet, with its EtherType in @ethertype; 0 if
 * it is plain.
 */
static __always_inline __u32 pm_udp_tunnel(struct __sk_buff *skb, __u32 off,
					   const struct udp_tunnel *udp, bool guess,
					   __be16 *ethertype)
{
	bool geneve = udp->dport == bpf_htons(GENEVE_PORT);

	if (!is_tunnel_port(bpf_ntohs(udp->dport))) {
		if (!guess || pm_gso_fits(skb, off + 8))
			return 0;
		if (udp->first >> 4 == 4 || udp->first >> 4 == 6) { /* FOU */
			*ethertype = bpf_htons(udp->first >> 4 == 4 ? ETH_P_IP : ETH_P_IPV6);
			return off + 8;
		}
		geneve = udp->ethertype == bpf_htons(ETH_P_TEB);
	} else if (guess && pm_gso_repeats(skb, off, udp)) {
		return 0;
	}
	if (pm_from_udp_socket(skb, udp->sport))
		return 0;
	if (geneve) {
		*ethertype = udp->ethertype;
		return udp->first & GENEVE_VERSION ? 0
						   : off + 16 + (udp->first & GENEVE_OPTIONS) * 4;
	}
	*ethertype = pm_vxlan_ethertype(udp);
	return *ethertype && udp->first & VXLAN_VNI_VALID ? off + 16 : 0;
}

/*
 * Find the packet behind the GRE header at @off. Return: as pm_udp_tunnel().
 */
static __always_inline __u32 pm_gre_tunnel(struct __sk_buff *skb, __u32 off, __be16 *ethertype)
{
	const __be16 known = bpf_htons(GRE_CHECKSUM | GRE_KEY | GRE_SEQUENCE);
	struct gre gre;

	/* Another version (PPTP), or the source routes of old. */
	if (pkt_read_short(skb, off, &gre, sizeof(gre)) || gre.flags & ~known)
		return 0;
	*ethertype = gre.ethertype;
	return off + sizeof(gre) + (gre.flags & bpf_htons(GRE_CHECKSUM) ? 4 : 0) +
	       (gre.flags & bpf_htons(GRE_KEY) ? 4 : 0) +
	       (gre.flags & bpf_htons(GRE_SEQUENCE) ? 4 : 0);
}

/*
 * pm_open_tunnel - step from the upper-layer header of a packet to the network header inside
 * @guess: find UDP tunnels at unknown ports; for GSO packets only
 *
 * Return: whether that is possible. Then @off and @ethertype of @pkt are those of the packet
 * inside; otherwise @off stays what it is.
 */
__noinline int pm_open_tunnel(struct __sk_buff *skb, struct pm_packet *pkt, int guess)
{
	struct udp_tunnel udp;
	__be16 ethertype;
	__u32 off;

	if (!pkt)
		return false;
	off = pkt->off;
	switch (pkt->proto) {
	case IPPROTO_IPIP:
		ethertype = bpf_htons(ETH_P_IP);
		break;
	case IPPROTO_IPV6:
		ethertype = bpf_htons(ETH_P_IPV6);
		break;
	case IPPROTO_GRE:
		off = pm_gre_tunnel(skb, off, &ethertype);
		break;
	case IPPROTO_UDP:
		if (pkt_read_short(skb, off, &udp, sizeof(udp)))
			return false;
		off = pm_udp_tunnel(skb, off, &udp, guess, &ethertype);
		break;
	default:
		return false;
	}
	if (!off)
		return false;
	pkt->mac = 0;
	if (ethertype == bpf_htons(ETH_P_TEB)) {
		pkt->mac = off;
		if (pkt_read_short(skb, off + 2 * ETH_ALEN, &ethertype, sizeof(ethertype)))
			return false;
		off += ETH_HLEN;
	}
	pkt->off = off;
	pkt->ethertype = ethertype;
	return true;
}

/*
 * As pm_open_tunnel(), and look through shims. Not in there: verifiers before 6.7 have no stack for
 * one more call below it.
 */
static __always_inline int pm_enter_tunnel(struct __sk_buff *skb, struct pm_packet *pkt, int guess)
{
	__u32 start = pkt->off;

	if (!pm_open_tunnel(skb, pkt, guess))
		return false;
	if (is_shim(pkt->ethertype) && pm_skip_shims(skb, pkt)) {
		pkt->off = start;
		return false;
	}
	return true;
}

/* Make the key of an Ethernet frame without IP inside a tunnel. */
static __always_inline void pm_read_inner_other(struct __sk_buff *skb, struct pm_packet *pkt)
{
	if (!pkt->mac || pkt->off > pkt->end)
		return;
	pm_set_family(pkt, PM_KIND_OTHER);
	pkt->key.addr[2] = pkt->key.addr[3] = 0;
	pm_read_other(skb, pkt, ETH_HLEN);
}

/*
 * pm_read_inner - replace the key of a packet by that of the innermost packet which it carries
 * @pkt: as pm_parse() has left it
 *
 * An IP header inside has to be right and its packet whole. Otherwise it is not believed, and the
 * key remains that of the packet around it. A fragment is not entered: only the first one has the
 * inner headers. Return: PM_OK, or why some of the headers behind the innermost IP header cannot be
 * read.
 */
__noinline enum pm_reason pm_read_inner(struct __sk_buff *skb, struct pm_packet *pkt)
{
	enum pm_reason reason, rest;
	__u32 inside;

	if (!pkt)
		return PM_TRUNCATED;
	for (int depth = 0; depth < TUNNELS_MAX; depth++) {
		if (pkt->fragment || !pm_enter_tunnel(skb, pkt, false))
			break;
		inside = pkt->off;
		reason = pm_read_network(skb, pkt, pkt->end, true);
		if (pkt->off == inside && !reason)
			pm_read_inner_other(skb, pkt);
		if (pkt->off == inside) /* no IP header, or none that is right */
			break;
		if (pm_has_extensions(pkt))
			reason = pm_skip_extensions(skb, pkt);
		rest = pm_read_ports(skb, pkt);
		if (reason || rest)
			return reason ?: rest;
	}
	return PM_OK;
}

#endif /* BPF_PM_TUNNEL_H */
