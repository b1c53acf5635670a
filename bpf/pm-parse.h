/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * packet-monitor: from a packet to the key of its flow. BPF only; tests/bpf-native.h compiles it
 * for this machine, too.
 *
 * Rarely used parts are global functions: the verifier checks each of them once, instead of once
 * for every path that leads to them, so that loading takes milliseconds. It also makes them check
 * their pointers for NULL.
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
#define VLAN_TAGS_MAX 4	   /* in the data; the kernel may hold one more in the metadata */
#define IPV6_HEADERS_MAX 8 /* extension headers of a packet */

#define IPV4_OFFSET_MASK 0x1fff
#define IPV4_MORE 0x2000
#define IPV6_OFFSET_MASK 0xfff8
#define IPV6_MORE 0x0001

struct vlan_tag {
	__be16 tci;
	__be16 ethertype;
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
	__u32 off; /* start of the header to be read next; in the end, of the upper-layer header */
	__u32 end; /* end of the IP packet: padding of the frame does not belong to it */
	__u32 fragment_id;
	__u16 vlan;
	__be16 ethertype;
	__u8 proto;
	__u8 kind;
	__u8 fragment; /* enum pm_fragment */
	__u8 jumbo;    /* bytes of a header that is inside the kernel only, not on the wire */
};

enum pm_fragment {
	PM_FRAGMENT_NONE,
	PM_FRAGMENT_FIRST,
	PM_FRAGMENT_LATER,
	PM_FRAGMENT_LAST,
};

static __always_inline bool is_vlan_tag(__be16 ethertype)
{
	return ethertype == bpf_htons(ETH_P_8021Q) || ethertype == bpf_htons(ETH_P_8021AD);
}

static __always_inline enum pm_fragment pm_fragment_of(__u32 offset, __u32 more)
{
	if (!offset)
		return more ? PM_FRAGMENT_FIRST : PM_FRAGMENT_NONE;
	return more ? PM_FRAGMENT_LATER : PM_FRAGMENT_LAST;
}

/* Step over the VLAN tags in the data, up to the EtherType behind them. */
__noinline enum pm_reason pm_skip_tags(struct __sk_buff *skb, struct pm_packet *pkt)
{
	struct vlan_tag tag;

	if (!pkt)
		return PM_TRUNCATED;
	for (int i = 0; i < VLAN_TAGS_MAX; i++) {
		if (pkt_read(skb, pkt->off, &tag, sizeof(tag)))
			return PM_TRUNCATED;
		if (!i && !skb->vlan_present)
			pkt->vlan = bpf_ntohs(tag.tci) & VLAN_VID_MASK;
		pkt->ethertype = tag.ethertype;
		pkt->off += sizeof(tag);
		if (!is_vlan_tag(tag.ethertype))
			return PM_OK;
	}
	return PM_NESTED;
}

/* Read the Ethernet header and VLAN tags; without a link layer, take the kernel's EtherType. */
static __always_inline enum pm_reason pm_read_link(struct __sk_buff *skb, struct pm_packet *pkt,
						   __u32 l2_len)
{
	struct ethhdr eth;
	enum pm_reason reason;

	pkt->ethertype = (__be16)skb->protocol;
	pkt->off = l2_len;
	if (l2_len) {
		if (pkt_read(skb, 0, &eth, sizeof(eth)))
			return PM_TRUNCATED;
		pkt->ethertype = eth.h_proto;
	}
	/* The kernel has moved the outermost tag of nearly every frame to the metadata. */
	if (skb->vlan_present)
		pkt->vlan = skb->vlan_tci & VLAN_VID_MASK;
	if (is_vlan_tag(pkt->ethertype)) {
		reason = pm_skip_tags(skb, pkt);
		if (reason)
			return reason;
	}
	/* Below 1536 the field is an IEEE 802.3 length: use the kernel's EtherType for those. */
	if (l2_len && bpf_ntohs(pkt->ethertype) < ETH_P_802_3_MIN)
		pkt->ethertype = bpf_htons(ETH_P_802_2);
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

/* Make the key of a frame that is not IP: MAC addresses and EtherType. */
static __always_inline enum pm_reason pm_read_other(struct __sk_buff *skb, struct pm_packet *pkt,
						    __u32 l2_len)
{
	struct ethhdr eth;

	if (l2_len) {
		if (pkt_read(skb, 0, &eth, sizeof(eth)))
			return PM_TRUNCATED;
		for (int i = 0; i < ETH_ALEN; i++) {
			pkt->key.addr[0] = pkt->key.addr[0] << 8 | eth.h_source[i];
			pkt->key.addr[1] = pkt->key.addr[1] << 8 | eth.h_dest[i];
		}
	}
	pkt->key.meta =
		pm_key_meta(bpf_ntohs(pkt->ethertype), 0, pkt->kind | PM_KIND_OTHER, pkt->vlan);
	return PM_OK;
}

static __always_inline enum pm_reason pm_read_ipv4(struct __sk_buff *skb, struct pm_packet *pkt)
{
	__u32 start = pkt->off, len, frag;
	struct iphdr ip;

	if (pkt_read(skb, start, &ip, sizeof(ip)))
		return PM_TRUNCATED;
	if (ip.version != 4 || ip.ihl < 5)
		return PM_MALFORMED;
	pkt->off += ip.ihl * 4;
	len = bpf_ntohs(ip.tot_len);
	pkt->end = start + len;
	if (skb->gso_size && !len) /* more than 64 KiB: the field cannot hold it (BIG TCP) */
		pkt->end = skb->len;
	if (pkt->end < pkt->off)
		return PM_MALFORMED;
	if (pkt->end > skb->len)
		return PM_TRUNCATED;
	pkt->proto = ip.protocol;
	pkt->kind |= PM_KIND_IPV4;
	pkt->key.addr[0] = (__u64)ip.daddr << 32 | ip.saddr;
	frag = bpf_ntohs(ip.frag_off);
	pkt->fragment = pm_fragment_of(frag & IPV4_OFFSET_MASK, frag & IPV4_MORE);
	pkt->fragment_id = bpf_ntohs(ip.id);
	return PM_OK;
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
			if (pkt_read(skb, pkt->off, &frag, sizeof(frag)))
				return PM_TRUNCATED;
			offset = bpf_ntohs(frag.offset);
			pkt->fragment =
				pm_fragment_of(offset & IPV6_OFFSET_MASK, offset & IPV6_MORE);
			pkt->fragment_id = bpf_ntohl(frag.id);
			pkt->off += sizeof(frag);
			pkt->proto = frag.nexthdr;
		} else {
			if (pkt_read(skb, pkt->off, &ext, sizeof(ext)))
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

static __always_inline enum pm_reason pm_read_ipv6(struct __sk_buff *skb, struct pm_packet *pkt)
{
	__u32 start = pkt->off, len;
	struct ipv6hdr ip;

	if (pkt_read(skb, start, &ip, sizeof(ip)))
		return PM_TRUNCATED;
	if (ip.version != 6)
		return PM_MALFORMED;
	pkt->off += sizeof(ip);
	len = bpf_ntohs(ip.payload_len);
	pkt->end = pkt->off + len;
	if (!len && ip.nexthdr != IPPROTO_NONE) /* a jumbogram, or BIG TCP */
		pkt->end = skb->len;
	/* BIG TCP is marked with a jumbo option on many kernels; segmentation removes it again. */
	if (!len && ip.nexthdr == IPPROTO_HOPOPTS && skb->gso_size)
		pkt->jumbo = 8;
	if (pkt->end > skb->len)
		return PM_TRUNCATED;
	pkt->proto = ip.nexthdr;
	pkt->kind |= PM_KIND_IPV6;
	__builtin_memcpy(pkt->key.addr, &ip.saddr, sizeof(pkt->key.addr));
	return is_ipv6_extension(pkt->proto) ? pm_skip_extensions(skb, pkt) : PM_OK;
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
			    pkt_read(skb, pkt->off, &word, sizeof(word)))
				return PM_TRUNCATED;
			ports = bpf_ntohl(word);
			if (pkt->proto == IPPROTO_ICMP || pkt->proto == IPPROTO_ICMPV6)
				ports &= 0xffff0000; /* not the checksum */
		}
		if (pkt->fragment && pm_fragment_ports(pkt, &ports) &&
		    pkt->fragment != PM_FRAGMENT_FIRST)
			pkt->kind |= PM_KIND_FRAGMENT;
	}
	pkt->key.meta = pm_key_meta(ports, pkt->proto, pkt->kind, pkt->vlan);
	return PM_OK;
}

/**
 * pm_parse - read the headers of any packet
 * @pkt: all zero except @kind, which is the direction; filled in as far as the headers can be read
 * @l2_len: bytes of the link-layer header: ETH_HLEN, or 0 without a link layer
 *
 * Return: PM_OK with the key in @pkt, or the reason why the packet has none.
 */
static __always_inline enum pm_reason pm_parse(struct __sk_buff *skb, struct pm_packet *pkt,
					       __u32 l2_len)
{
	enum pm_reason reason = pm_read_link(skb, pkt, l2_len);

	if (reason)
		return reason;
	if (pkt->ethertype == bpf_htons(ETH_P_IP))
		reason = pm_read_ipv4(skb, pkt);
	else if (pkt->ethertype == bpf_htons(ETH_P_IPV6))
		reason = pm_read_ipv6(skb, pkt);
	else
		return pm_read_other(skb, pkt, l2_len);
	return reason ?: pm_read_ports(skb, pkt);
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
