/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * packet-monitor: from a packet to the key of its flow. BPF only; tests/bpf-native.h compiles it
 * for this machine, too.
 *
 * Rarely used parts are global functions: the verifier checks each of them once, instead of once
 * for every path that leads to them, so that loading takes milliseconds. It also demands that they
 * check their pointers for NULL.
 */
#ifndef BPF_PM_PARSE_H
#define BPF_PM_PARSE_H

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

/* Key of "fragments": what all fragments of a datagram have in common. */
struct pm_fragment_key {
	__u64 addr[4];
	__u64 last; /* of the key of the flow */
	__u32 id;
	__u16 vlan;
	__u8 proto;
	__u8 kind;
};

struct pm_fragment_ports {
	__u64 time_ns; /* of the first fragment */
	__u32 ports;
	__u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct pm_fragment_key);
	__type(value, struct pm_fragment_ports);
} fragments SEC(".maps");

/* A later fragment belongs to a first one of at most this age: hosts soon use an id again. */
#define PM_FRAGMENT_LIFETIME_NS 2000000000ULL

#define VLAN_VID_MASK 0x0fff
#define VLAN_TAGS_MAX 4	   /* of an Ethernet frame, that of the kernel's metadata included */
#define MPLS_LABELS_MAX 8  /* of a packet */
#define IPV6_HEADERS_MAX 8 /* extension headers of a packet */

#define MPLS_BOTTOM 0x00000100 /* in the last label of a stack */
#define PPPOE_SESSION 0x1100   /* version, type and code of a packet with data */
#define PPP_IPV4 0x0021
#define PPP_IPV6 0x0057

#define IPV4_OFFSET_MASK 0x1fff
#define IPV4_MORE 0x2000
#define IPV6_OFFSET_MASK 0xfff8
#define IPV6_MORE 0x0001

struct vlan_tag {
	__be16 tci;
	__be16 ethertype;
};

struct mpls {
	__be32 label;
	__u8 next[4]; /* of the next label, or of what is behind the last one */
};

struct pppoe {
	__be16 type; /* version, type and code */
	__be16 session;
	__be16 len;
	__be16 proto; /* of PPP */
};

struct ipv6_fragment {
	__u8 nexthdr;
	__u8 reserved;
	__be16 offset;
	__be32 id;
};

/* What pm_parse() learns about a packet. Lies on the stack. */
struct pm_packet {
	struct pm_key key;
	__u32 mac; /* start of the innermost Ethernet header */
	__u32 off; /* start of the header to be read next; in the end, of the upper-layer header */
	__u32 end; /* end of the IP packet: padding of the frame does not belong to it */
	__u32 fragment_id;
	__u16 vlan; /* VID of the first tag */
	__u16 inner_vlan;
	__be16 ethertype;
	__u8 tags;
	__u8 proto;
	__u8 kind;
	__u8 fragment; /* enum pm_fragment */
	__u8 jumbo;    /* bytes of a header that is inside the kernel only, not on the wire */
};

/* No IP header has been read yet. */
#define PM_PACKET_INIT(dir)                                                                        \
	((struct pm_packet){ .kind = PM_KIND_OTHER | ((dir) == PM_EGRESS ? PM_KIND_EGRESS : 0) })

enum pm_fragment {
	PM_FRAGMENT_NONE,
	PM_FRAGMENT_FIRST,
	PM_FRAGMENT_LATER,
	PM_FRAGMENT_LAST,
};

static __always_inline bool is_vlan_tag(__be16 ethertype)
{
	return ethertype == bpf_htons(ETH_P_8021Q) || ethertype == bpf_htons(ETH_P_8021AD) ||
	       ethertype == bpf_htons(ETH_P_QINQ1);
}

static __always_inline bool is_mpls(__be16 ethertype)
{
	return ethertype == bpf_htons(ETH_P_MPLS_UC) || ethertype == bpf_htons(ETH_P_MPLS_MC);
}

/* Whether the packet behind Ethernet begins with a header that pm_skip_shims() looks through. */
static __always_inline bool is_shim(__be16 ethertype)
{
	return bpf_ntohs(ethertype) >= ETH_P_8021Q && /* not ARP, the most frequent of the others */
	       (is_vlan_tag(ethertype) || is_mpls(ethertype) ||
		ethertype == bpf_htons(ETH_P_PPP_SES));
}

static __always_inline enum pm_fragment pm_fragment_of(__u32 offset, __u32 more)
{
	if (!offset)
		return more ? PM_FRAGMENT_FIRST : PM_FRAGMENT_NONE;
	return more ? PM_FRAGMENT_LATER : PM_FRAGMENT_LAST;
}

/* Note a VLAN tag: the first two are part of the key. */
static __always_inline void pm_add_tag(struct pm_packet *pkt, __u32 tci)
{
	if (!pkt->tags) {
		pkt->vlan = tci & VLAN_VID_MASK;
	} else if (pkt->tags == 1) {
		pkt->inner_vlan = tci & VLAN_VID_MASK;
		pkt->kind |= PM_KIND_QINQ | PM_KIND_LONG;
	}
	pkt->tags++;
}

/* Step over a PPPoE header if there is IP behind it. */
static __always_inline enum pm_reason pm_skip_pppoe(struct __sk_buff *skb, struct pm_packet *pkt)
{
	struct pppoe head;

	if (pkt_read_short(skb, pkt->off, &head, sizeof(head)))
		return PM_TRUNCATED;
	if (head.type != bpf_htons(PPPOE_SESSION))
		return PM_OK;
	if (head.proto == bpf_htons(PPP_IPV4))
		pkt->ethertype = bpf_htons(ETH_P_IP);
	else if (head.proto == bpf_htons(PPP_IPV6))
		pkt->ethertype = bpf_htons(ETH_P_IPV6);
	else
		return PM_OK;
	pkt->off += sizeof(head);
	return PM_OK;
}

/*
 * Step over a stack of MPLS labels if there is IP behind it. Labels do not say what follows. Its
 * first four bits do: an IP version, or 0 or 1 in front of anything else (RFC 4385).
 */
static __always_inline enum pm_reason pm_skip_labels(struct __sk_buff *skb, struct pm_packet *pkt)
{
	__u32 off = pkt->off;
	struct mpls mpls;

	for (int i = 0; i < MPLS_LABELS_MAX; i++) {
		/* One number, not a sum whose parts the verifier has to bound. */
		asm volatile("" : "+r"(off));
		if (pkt_read_short(skb, off, &mpls, sizeof(mpls)))
			return PM_TRUNCATED;
		off += sizeof(mpls.label);
		if (!(mpls.label & bpf_htonl(MPLS_BOTTOM)))
			continue;
		if (mpls.next[0] >> 4 == 4)
			pkt->ethertype = bpf_htons(ETH_P_IP);
		else if (mpls.next[0] >> 4 == 6)
			pkt->ethertype = bpf_htons(ETH_P_IPV6);
		else
			return PM_OK;
		pkt->off = off;
		return PM_OK;
	}
	return PM_NESTED;
}

/*
 * Step over what stands between Ethernet and IP: VLAN tags in the data, then PPPoE or MPLS. Without
 * IP behind them, the EtherType of the last one stays.
 */
__noinline enum pm_reason pm_skip_shims(struct __sk_buff *skb, struct pm_packet *pkt)
{
	struct vlan_tag tag;
	int room;

	if (!pkt)
		return PM_TRUNCATED;
	room = VLAN_TAGS_MAX - (skb->vlan_present && !pkt->mac);
	for (int i = 0; i < VLAN_TAGS_MAX && is_vlan_tag(pkt->ethertype); i++) {
		if (i == room)
			return PM_NESTED;
		if (pkt_read_short(skb, pkt->off, &tag, sizeof(tag)))
			return PM_TRUNCATED;
		pm_add_tag(pkt, bpf_ntohs(tag.tci));
		pkt->ethertype = tag.ethertype;
		pkt->off += sizeof(tag);
	}
	if (is_vlan_tag(pkt->ethertype))
		return PM_NESTED;
	if (pkt->ethertype == bpf_htons(ETH_P_PPP_SES))
		return pm_skip_pppoe(skb, pkt);
	return is_mpls(pkt->ethertype) ? pm_skip_labels(skb, pkt) : PM_OK;
}

/* Read the Ethernet header; without a link layer, take the kernel's EtherType. */
static __always_inline enum pm_reason pm_read_link(struct __sk_buff *skb, struct pm_packet *pkt,
						   __u32 l2_len)
{
	struct ethhdr eth;

	pkt->ethertype = (__be16)skb->protocol;
	pkt->off = l2_len;
	if (l2_len) {
		if (pkt_read_short(skb, 0, &eth, sizeof(eth)))
			return PM_TRUNCATED;
		pkt->ethertype = eth.h_proto;
	}
	/* The kernel has moved the outermost tag of nearly every frame to the metadata. */
	if (skb->vlan_present)
		pm_add_tag(pkt, skb->vlan_tci);
	return PM_OK;
}

static __always_inline bool is_ipv6_extension(__u8 proto)
{
	switch (proto) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
	case IPPROTO_MH:
	case IPPROTO_AH:
	case IPPROTO_FRAGMENT:
		return true;
	default:
		return false;
	}
}

/* Complete the key. @low: ports, ICMP type and code, or EtherType */
static __always_inline void pm_end_key(struct pm_packet *pkt, __u32 low, __u8 proto)
{
	if (pkt->kind & PM_KIND_QINQ)
		pkt->key.inner_vlan = pkt->inner_vlan;
	pkt->key.meta = pm_key_meta(low, proto, pkt->kind, pkt->vlan);
}

static __always_inline __u64 pm_mac(const __be16 mac[ETH_ALEN / 2])
{
	return (__u64)bpf_ntohs(mac[0]) << 32 | (__u32)bpf_ntohs(mac[1]) << 16 | bpf_ntohs(mac[2]);
}

/*
 * Make the key of a frame without IP, or whose IP addresses cannot be read: MAC addresses and
 * EtherType. Without a link layer (@l2_len) there are no addresses.
 */
static __always_inline void pm_read_other(struct __sk_buff *skb, struct pm_packet *pkt,
					  __u32 l2_len)
{
	__be16 mac[ETH_HLEN / 2];

	if (l2_len && !pkt_read_short(skb, pkt->mac, mac, sizeof(mac))) {
		pkt->key.addr[0] = pm_mac(mac + ETH_ALEN / 2);
		pkt->key.addr[1] = pm_mac(mac);
		/* Below 1536 it is an IEEE 802.3 length: use the kernel's EtherType for those. */
		if (bpf_ntohs(pkt->ethertype) < ETH_P_802_3_MIN)
			pkt->ethertype = bpf_htons(ETH_P_802_2);
	}
	pm_end_key(pkt, bpf_ntohs(pkt->ethertype), 0);
}

static __always_inline void pm_set_family(struct pm_packet *pkt, enum pm_kind family)
{
	pkt->kind = (pkt->kind & ~(PM_KIND_FAMILY | PM_KIND_FRAGMENT)) | family;
}

/*
 * Read an IPv4 header. @limit: where its packet has to end; @inside: of another packet: then @pkt
 * stays as it is unless all is well. Otherwise, if the addresses can be read, the family is set.
 */
static __always_inline enum pm_reason pm_read_ipv4(struct __sk_buff *skb, struct pm_packet *pkt,
						   __u32 limit, bool inside)
{
	__u32 start = pkt->off, off, end, len, frag;
	enum pm_reason reason = PM_OK;
	struct iphdr ip;

	if (pkt_read(skb, start, &ip, sizeof(ip)))
		return PM_TRUNCATED;
	if (ip.version != 4)
		return PM_MALFORMED;
	off = start + ip.ihl * 4;
	len = bpf_ntohs(ip.tot_len);
	end = start + len;
	if (skb->gso_size && !len) /* more than 64 KiB: the field cannot hold it (BIG TCP) */
		end = limit;
	if (ip.ihl < 5 || end < off) {
		reason = PM_MALFORMED;
		end = off; /* nothing that can be trusted follows */
	} else if (end > limit) {
		reason = PM_TRUNCATED;
		end = limit;
	}
	if (inside && reason)
		return reason;
	pkt->off = off;
	pkt->end = end;
	pkt->proto = ip.protocol;
	pm_set_family(pkt, PM_KIND_IPV4);
	pkt->key.addr[0] = (__u64)ip.daddr << 32 | ip.saddr;
	if (inside)
		pkt->key.addr[1] = pkt->key.addr[2] = pkt->key.addr[3] = 0;
	frag = bpf_ntohs(ip.frag_off);
	pkt->fragment = pm_fragment_of(frag & IPV4_OFFSET_MASK, frag & IPV4_MORE);
	pkt->fragment_id = bpf_ntohs(ip.id);
	return reason;
}

/* Step over the IPv6 extension headers, to the upper-layer header. */
__noinline enum pm_reason pm_skip_extensions(struct __sk_buff *skb, struct pm_packet *pkt)
{
	struct ipv6_fragment frag;
	struct ipv6_opt_hdr ext;
	__u32 offset;

	if (!pkt)
		return PM_TRUNCATED;
	for (int i = 0; i < IPV6_HEADERS_MAX; i++) {
		if (!is_ipv6_extension(pkt->proto))
			return PM_OK;
		if (pkt->proto == IPPROTO_FRAGMENT) {
			if (pkt_read_short(skb, pkt->off, &frag, sizeof(frag)))
				return PM_TRUNCATED;
			offset = bpf_ntohs(frag.offset);
			pkt->fragment =
				pm_fragment_of(offset & IPV6_OFFSET_MASK, offset & IPV6_MORE);
			pkt->fragment_id = bpf_ntohl(frag.id);
			pkt->off += sizeof(frag);
			pkt->proto = frag.nexthdr;
		} else {
			if (pkt_read_short(skb, pkt->off, &ext, sizeof(ext)))
				return PM_TRUNCATED;
			pkt->off += pkt->proto == IPPROTO_AH ? (ext.hdrlen + 2) * 4
							     : (ext.hdrlen + 1) * 8;
			pkt->proto = ext.nexthdr;
		}
		if (pkt->off > pkt->end)
			return PM_TRUNCATED;
		if (pkt->fragment >= PM_FRAGMENT_LATER)
			return PM_OK; /* what follows is data */
	}
	return is_ipv6_extension(pkt->proto) ? PM_NESTED : PM_OK;
}

/* Two words as they lie in the packet. memcpy() would load and store each byte of an address. */
static __always_inline __u64 pm_pair(__be32 first, __be32 second)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (__u64)second << 32 | first;
#else
	return (__u64)first << 32 | second;
#endif
}

/* Read an IPv6 header, as pm_read_ipv4() does. */
static __always_inline enum pm_reason pm_read_ipv6(struct __sk_buff *skb, struct pm_packet *pkt,
						   __u32 limit, bool inside)
{
	__u32 off = pkt->off + sizeof(struct ipv6hdr), end, len;
	enum pm_reason reason = PM_OK;
	struct ipv6hdr ip;

	if (pkt_read(skb, pkt->off, &ip, sizeof(ip)))
		return PM_TRUNCATED;
	if (ip.version != 6)
		return PM_MALFORMED;
	len = bpf_ntohs(ip.payload_len);
	end = off + len;
	if (!len && ip.nexthdr != IPPROTO_NONE) /* a jumbogram, or BIG TCP */
		end = limit;
	if (end > limit) {
		reason = PM_TRUNCATED;
		end = limit;
	}
	if (inside && reason)
		return reason;
	/* BIG TCP is marked with a jumbo option on many kernels; segmentation removes it again. */
	if (!len && ip.nexthdr == IPPROTO_HOPOPTS && skb->gso_size && !inside)
		pkt->jumbo = 8;
	pkt->off = off;
	pkt->end = end;
	pkt->proto = ip.nexthdr;
	pm_set_family(pkt, PM_KIND_IPV6);
	pkt->key.addr[0] = pm_pair(ip.saddr.s6_addr32[0], ip.saddr.s6_addr32[1]);
	pkt->key.addr[1] = pm_pair(ip.saddr.s6_addr32[2], ip.saddr.s6_addr32[3]);
	pkt->key.addr[2] = pm_pair(ip.daddr.s6_addr32[0], ip.daddr.s6_addr32[1]);
	pkt->key.addr[3] = pm_pair(ip.daddr.s6_addr32[2], ip.daddr.s6_addr32[3]);
	return reason;
}

static __always_inline bool pm_has_extensions(const struct pm_packet *pkt)
{
	return is_ipv6_extension(pkt->proto) && (pkt->kind & PM_KIND_FAMILY) == PM_KIND_IPV6;
}

/* Read an IP header, off the path of nearly every packet. */
__noinline enum pm_reason pm_read_network(struct __sk_buff *skb, struct pm_packet *pkt, __u32 limit,
					  int inside)
{
	if (!pkt)
		return PM_TRUNCATED;
	if (pkt->ethertype == bpf_htons(ETH_P_IP))
		return pm_read_ipv4(skb, pkt, limit, inside);
	if (pkt->ethertype == bpf_htons(ETH_P_IPV6))
		return pm_read_ipv6(skb, pkt, limit, inside);
	return PM_OK;
}

/*
 * Store the ports of a first fragment, or look up those of a later one. Only fragments take the
 * time for this.
 */
__noinline int pm_fragment_ports(const struct pm_packet *pkt, __u32 *ports)
{
	struct pm_fragment_ports first = { .time_ns = bpf_ktime_get_ns() };
	struct pm_fragment_ports *known;
	struct pm_fragment_key key = {};

	if (!pkt || !ports)
		return -EINVAL;
	first.ports = *ports;
	key.last = pkt->key.last;
	key.id = pkt->fragment_id;
	key.vlan = pkt->vlan;
	key.proto = pkt->proto;
	key.kind = pkt->kind;
	__builtin_memcpy(key.addr, pkt->key.addr, sizeof(key.addr));
	if (pkt->fragment == PM_FRAGMENT_FIRST)
		return bpf_map_update_elem(&fragments, &key, &first, BPF_ANY);
	known = bpf_map_lookup_elem(&fragments, &key);
	if (!known || first.time_ns - known->time_ns > PM_FRAGMENT_LIFETIME_NS)
		return -ENOENT;
	*ports = known->ports;
	if (pkt->fragment == PM_FRAGMENT_LAST)
		bpf_map_delete_elem(&fragments, &key);
	return 0;
}

/* Read the ports, or ICMP type and code. They complete the key. */
static __always_inline enum pm_reason pm_read_ports(struct __sk_buff *skb, struct pm_packet *pkt)
{
	__u32 ports = 0;
	__be32 word;

	switch (pkt->proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
	case IPPROTO_UDPLITE:
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (pkt->fragment < PM_FRAGMENT_LATER) {
			if (pkt->off + sizeof(word) > pkt->end ||
			    pkt_read_short(skb, pkt->off, &word, sizeof(word))) {
				pm_end_key(pkt, 0, pkt->proto);
				return PM_TRUNCATED;
			}
			ports = bpf_ntohl(word);
			if (pkt->proto == IPPROTO_ICMP || pkt->proto == IPPROTO_ICMPV6)
				ports &= 0xffff0000; /* not the checksum */
		}
		if (pkt->fragment && pm_fragment_ports(pkt, &ports) &&
		    pkt->fragment != PM_FRAGMENT_FIRST)
			pkt->kind |= PM_KIND_FRAGMENT;
	}
	pm_end_key(pkt, ports, pkt->proto);
	return PM_OK;
}

/**
 * pm_parse - read the headers of any packet
 * @pkt: PM_PACKET_INIT(); filled in as far as the headers can be read
 * @l2_len: bytes of the link-layer header: ETH_HLEN, or 0 without a link layer
 *
 * Return: PM_OK, or why some of the headers cannot be read. In either case @pkt has a key, made of
 * what can be read; only a frame shorter than @l2_len has none.
 */
static __always_inline enum pm_reason pm_parse(struct __sk_buff *skb, struct pm_packet *pkt,
					       __u32 l2_len)
{
	enum pm_reason reason = pm_read_link(skb, pkt, l2_len), rest;

	if (reason)
		return reason;
	if (pkt->ethertype == bpf_htons(ETH_P_IP)) {
		reason = pm_read_ipv4(skb, pkt, skb->len, false);
	} else if (pkt->ethertype == bpf_htons(ETH_P_IPV6)) {
		reason = pm_read_ipv6(skb, pkt, skb->len, false);
	} else {
		if (is_shim(pkt->ethertype))
			reason = pm_skip_shims(skb, pkt) ?: pm_read_network(skb, pkt, skb->len, 0);
		if ((pkt->kind & PM_KIND_FAMILY) == PM_KIND_OTHER)
			goto other;
	}
	if (unlikely(reason) && (pkt->kind & PM_KIND_FAMILY) == PM_KIND_OTHER)
		goto other;
	if (pm_has_extensions(pkt)) {
		rest = pm_skip_extensions(skb, pkt);
		reason = reason ?: rest;
	}
	rest = pm_read_ports(skb, pkt);
	return reason ?: rest;
other:
	pm_read_other(skb, pkt, l2_len);
	return reason;
}

/* The first headers of a plain packet (pm_parse_plain()); each begins at an even address. */
struct pm_plain_head {
	struct ethhdr eth;
	struct iphdr ip;
	__be32 ports;
} __attribute__((packed, aligned(2)));

/**
 * pm_parse_plain - make the key of a plain packet with one bounds check
 * @key: all zero
 * @l2_len: as in pm_parse()
 *
 * A plain packet is an Ethernet frame with IPv4 without options, no fragment, and TCP or UDP. All
 * of that lies in the linear part; the packet is one frame on the wire, with nothing in the
 * metadata. For such a packet pm_parse() makes the same key, and pm_wire_count() says one packet of
 * skb->len bytes. Return: whether the packet is plain.
 */
static __always_inline bool pm_parse_plain(struct __sk_buff *skb, enum pm_direction dir,
					   struct pm_key *key, __u32 l2_len)
{
	const struct pm_plain_head *head = (void *)(long)skb->data;
	__u32 len;

	if (l2_len != ETH_HLEN || (void *)(head + 1) > (void *)(long)skb->data_end)
		return false;
	if (head->eth.h_proto != bpf_htons(ETH_P_IP) || *(const __u8 *)&head->ip != 0x45 ||
	    head->ip.frag_off & bpf_htons(IPV4_OFFSET_MASK | IPV4_MORE) ||
	    (head->ip.protocol != IPPROTO_TCP && head->ip.protocol != IPPROTO_UDP))
		return false;
	len = bpf_ntohs(head->ip.tot_len);
	if (len < sizeof(head->ip) + sizeof(head->ports) || ETH_HLEN + len > skb->len)
		return false;
	if (skb->vlan_present || skb->gso_size)
		return false;
	key->meta = pm_key_meta(bpf_ntohl(head->ports), head->ip.protocol,
				PM_KIND_IPV4 | (dir == PM_EGRESS ? PM_KIND_EGRESS : 0), 0);
	key->addr[0] = (__u64)head->ip.daddr << 32 | head->ip.saddr;
	return true;
}

#endif /* BPF_PM_PARSE_H */
