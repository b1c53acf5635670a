// SPDX-License-Identifier: GPL-2.0-only
/*
 * packet-monitor: count every packet of an interface under its flow, exactly.
 *
 * From a packet to its count: pm_ingress/pm_egress -> classify() makes the key (read_link, then
 * read_ipv4 or read_ipv6, then read_ports), wire_count() says how many frames of how many bytes
 * the packet is on the wire, flow_get() finds or makes its slot, and two atomic additions end it.
 * Nothing else is written for a packet of a known flow, and no clock is read.
 *
 * The programs fail open and have no opinion: they return TC_ACT_UNSPEC whatever happens. What
 * cannot be counted under a flow is counted in "untracked" under its reason, so that the totals
 * are always exact.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "packet-monitor.h"
#include "pkt.h"
#include "slot-table.h"
#include "tc-index.h"

char LICENSE[] SEC("license") = "GPL";

/* Settings: constant once loaded, so that the verifier removes what is not asked for. */
const volatile __u32 cfg_l2_len = ETH_HLEN; /* 0: no Ethernet header, the kernel knows the type */
const volatile struct pm_filter cfg_filter = {};

/* Found by way of "buckets" (slot-table.h). The size is set before the load. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pm_slot);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pm_untracked);
} untracked SEC(".maps");

/* Ports of fragmented datagrams, by what all fragments of one share. */
struct fragment_key {
	__u64 addr[4];
	__u32 id;
	__u16 vlan;
	__u8 proto;
	__u8 kind;
};

struct fragment_value {
	__u64 time_ns;
	__u32 ports;
	__u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct fragment_key);
	__type(value, struct fragment_value);
} fragments SEC(".maps");

/* Within this time later fragments are taken for those of the first: ids are soon used again. */
#define FRAGMENT_LIFETIME_NS 2000000000ULL

#define VLAN_VID_MASK 0x0fff
#define VLAN_TAGS_MAX 4	   /* in the data; the kernel may hold one more in the metadata */
#define IPV6_HEADERS_MAX 8 /* extension headers of a packet */
#define TUNNELS_MAX 3

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

/* What classify() learns about a packet, on the stack. */
struct packet {
	struct pm_key key;
	__u32 off; /* start of the header to be read next; in the end, of the upper-layer header */
	__u32 end; /* where the packet ends: padding of the frame does not belong to it */
	__u32 fragment_id;
	__u16 vlan;
	__be16 ethertype;
	__u8 proto;
	__u8 kind;
	__u8 fragment; /* enum fragment */
	__u8 jumbo;    /* bytes of a header that only the kernel itself sees */
};

enum fragment { FRAGMENT_NONE, FRAGMENT_FIRST, FRAGMENT_LATER, FRAGMENT_LAST };

static __always_inline bool is_tag(__be16 ethertype)
{
	return ethertype == bpf_htons(ETH_P_8021Q) || ethertype == bpf_htons(ETH_P_8021AD);
}

static __always_inline enum fragment fragment_of(__u32 offset, __u32 more)
{
	if (!offset)
		return more ? FRAGMENT_FIRST : FRAGMENT_NONE;
	return more ? FRAGMENT_LATER : FRAGMENT_LAST;
}

/*
 * The rare parts are global functions: the verifier looks at each of them once, and not once for
 * every path that leads to them, so that loading takes milliseconds. Hence the checks for NULL.
 */

/* VLAN tags in the data, up to the EtherType behind them. */
__noinline enum pm_reason skip_tags(struct __sk_buff *skb, struct packet *pkt)
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
		if (!is_tag(tag.ethertype))
			return PM_OK;
	}
	return PM_NESTED;
}

/* Ethernet header and VLAN tags, or what the kernel says where there is none. */
static __always_inline enum pm_reason read_link(struct __sk_buff *skb, struct packet *pkt)
{
	struct ethhdr eth;
	enum pm_reason reason;

	pkt->ethertype = (__be16)skb->protocol;
	pkt->off = cfg_l2_len;
	if (cfg_l2_len) {
		if (pkt_read(skb, 0, &eth, sizeof(eth)))
			return PM_TRUNCATED;
		pkt->ethertype = eth.h_proto;
	}
	/* The kernel has moved the outermost tag of nearly every frame to the metadata. */
	if (skb->vlan_present)
		pkt->vlan = skb->vlan_tci & VLAN_VID_MASK;
	if (is_tag(pkt->ethertype)) {
		reason = skip_tags(skb, pkt);
		if (reason)
			return reason;
	}
	/* An IEEE 802.3 length, not a type: the kernel's name for such frames. */
	if (cfg_l2_len && bpf_ntohs(pkt->ethertype) < ETH_P_802_3_MIN)
		pkt->ethertype = bpf_htons(ETH_P_802_2);
	return PM_OK;
}

static __always_inline bool is_extension(__u8 proto)
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

/* Not IP: known by its addresses and its type. */
static __always_inline enum pm_reason read_other(struct __sk_buff *skb, struct packet *pkt)
{
	struct ethhdr eth;

	if (cfg_l2_len) {
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

static __always_inline enum pm_reason read_ipv4(struct __sk_buff *skb, struct packet *pkt)
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
	if (skb->gso_size && !len) /* more than 64 KiB in one (BIG TCP) */
		pkt->end = skb->len;
	if (pkt->end < pkt->off)
		return PM_MALFORMED;
	if (pkt->end > skb->len)
		return PM_TRUNCATED;
	pkt->proto = ip.protocol;
	pkt->kind |= PM_KIND_IPV4;
	pkt->key.addr[0] = (__u64)ip.daddr << 32 | ip.saddr;
	frag = bpf_ntohs(ip.frag_off);
	pkt->fragment = fragment_of(frag & IPV4_OFFSET_MASK, frag & IPV4_MORE);
	pkt->fragment_id = bpf_ntohs(ip.id);
	return PM_OK;
}

/* Step over the extension headers, to the upper-layer header. */
__noinline enum pm_reason skip_extensions(struct __sk_buff *skb, struct packet *pkt)
{
	struct ipv6_fragment frag;
	struct ipv6_opt_hdr ext;
	__u32 offset;

	if (!pkt)
		return PM_TRUNCATED;
	for (int i = 0; i < IPV6_HEADERS_MAX; i++) {
		if (!is_extension(pkt->proto))
			return PM_OK;
		if (pkt->proto == IPPROTO_FRAGMENT) {
			if (pkt_read(skb, pkt->off, &frag, sizeof(frag)))
				return PM_TRUNCATED;
			offset = bpf_ntohs(frag.offset);
			pkt->fragment = fragment_of(offset & IPV6_OFFSET_MASK, offset & IPV6_MORE);
			pkt->fragment_id = bpf_ntohl(frag.id);
			pkt->off += sizeof(frag);
			pkt->proto = frag.nexthdr;
			if (pkt->fragment >= FRAGMENT_LATER)
				return PM_OK; /* what follows is data */
		} else {
			if (pkt_read(skb, pkt->off, &ext, sizeof(ext)))
				return PM_TRUNCATED;
			pkt->off += pkt->proto == IPPROTO_AH ? (ext.hdrlen + 2) * 4
							     : (ext.hdrlen + 1) * 8;
			pkt->proto = ext.nexthdr;
		}
		if (pkt->off > pkt->end)
			return PM_TRUNCATED;
	}
	return is_extension(pkt->proto) ? PM_NESTED : PM_OK;
}

static __always_inline enum pm_reason read_ipv6(struct __sk_buff *skb, struct packet *pkt)
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
	return is_extension(pkt->proto) ? skip_extensions(skb, pkt) : PM_OK;
}

/*
 * A later fragment has the ports of the first, if that came before it and lately. Costs nothing
 * but to fragments.
 */
__noinline int fragment_ports(const struct packet *pkt, __u32 *ports)
{
	struct fragment_value first = { .time_ns = bpf_ktime_get_ns() };
	struct fragment_value *known;
	struct fragment_key key = {};

	if (!pkt || !ports)
		return -EINVAL;
	first.ports = *ports;
	key.id = pkt->fragment_id;
	key.vlan = pkt->vlan;
	key.proto = pkt->proto;
	key.kind = pkt->kind;
	__builtin_memcpy(key.addr, pkt->key.addr, sizeof(key.addr));
	if (pkt->fragment == FRAGMENT_FIRST)
		return bpf_map_update_elem(&fragments, &key, &first, BPF_ANY);
	known = bpf_map_lookup_elem(&fragments, &key);
	if (!known || first.time_ns - known->time_ns > FRAGMENT_LIFETIME_NS)
		return -ENOENT;
	*ports = known->ports;
	if (pkt->fragment == FRAGMENT_LAST)
		bpf_map_delete_elem(&fragments, &key);
	return 0;
}

/* Ports, or ICMP type and code, and with them the key is complete. */
static __always_inline enum pm_reason read_ports(struct __sk_buff *skb, struct packet *pkt)
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
		if (pkt->fragment < FRAGMENT_LATER) {
			if (pkt->off + sizeof(word) > pkt->end ||
			    pkt_read(skb, pkt->off, &word, sizeof(word)))
				return PM_TRUNCATED;
			ports = bpf_ntohl(word);
			if (pkt->proto == IPPROTO_ICMP || pkt->proto == IPPROTO_ICMPV6)
				ports &= 0xffff0000; /* not the checksum */
		}
		if (pkt->fragment && fragment_ports(pkt, &ports) && pkt->fragment != FRAGMENT_FIRST)
			pkt->kind |= PM_KIND_FRAGMENT;
	}
	pkt->key.meta = pm_key_meta(ports, pkt->proto, pkt->kind, pkt->vlan);
	return PM_OK;
}

static __always_inline enum pm_reason classify(struct __sk_buff *skb, struct packet *pkt)
{
	enum pm_reason reason = read_link(skb, pkt);

	if (reason)
		return reason;
	if (pkt->ethertype == bpf_htons(ETH_P_IP))
		reason = read_ipv4(skb, pkt);
	else if (pkt->ethertype == bpf_htons(ETH_P_IPV6))
		reason = read_ipv6(skb, pkt);
	else
		return read_other(skb, pkt);
	return reason ?: read_ports(skb, pkt);
}

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

/*
 * gso_headers - where the payload of a GSO packet begins, i.e. what each of its segments repeats
 * @off: of the upper-layer header
 *
 * Steps into tunnels, since the segments repeat the inner headers, too.
 */
__noinline __u32 gso_headers(struct __sk_buff *skb, __u32 off, __u8 proto)
{
	struct udp_tunnel udp;
	__be16 ethertype;
	struct ipv6hdr ip6;
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
			if (udp.dport == bpf_htons(GENEVE_PORT)) {
				ethertype = udp.ethertype;
				off += 16 + (udp.options & 0x3f) * 4;
			} else if (udp.dport == bpf_htons(VXLAN_PORT) ||
				   udp.dport == bpf_htons(VXLAN_PORT_LINUX)) {
				off += 16;
			} else {
				return off + 8;
			}
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
		}
		if (ethertype == bpf_htons(ETH_P_IP)) {
			if (pkt_read(skb, off, &ip, sizeof(ip)))
				return off;
			off += ip.ihl * 4;
			proto = ip.protocol;
		} else {
			if (pkt_read(skb, off, &ip6, sizeof(ip6)))
				return off;
			off += sizeof(ip6);
			proto = ip6.nexthdr;
		}
	}
	return off;
}

/*
 * What the wire carries. skb->wire_len would say it, but means something else at ingress, and that
 * depends on the kernel; so both directions do their own arithmetic.
 */
static __always_inline struct pm_count wire_count(struct __sk_buff *skb, const struct packet *pkt)
{
	struct pm_count wire = { .packets = 1, .bytes = skb->len };
	__u32 size = skb->gso_size;

	if (size) {
		__u32 headers = gso_headers(skb, pkt->off, pkt->proto);
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

static __always_inline bool net_match(const volatile struct pm_net *net, __u64 low, __u64 high)
{
	return (low & net->mask[0]) == net->addr[0] && (high & net->mask[1]) == net->addr[1];
}

static __always_inline bool filter_is_set(void)
{
	return cfg_filter.families || cfg_filter.protos || cfg_filter.ports || cfg_filter.nets;
}

/* Is the packet what the user asked for? Each list accepts it with one match. */
__noinline int filter_match(const struct pm_key *key)
{
	__u32 family;
	bool match;

	if (!key)
		return false;
	family = pm_key_kind(key) & PM_KIND_FAMILY;

	if (cfg_filter.families && !(cfg_filter.families & 1 << family))
		return false;
	if (cfg_filter.protos) {
		match = false;
		for (__u32 i = 0; i < PM_FILTER_MAX && i < cfg_filter.protos; i++)
			match |= cfg_filter.proto[i] == pm_key_proto(key);
		if (!match || family == PM_KIND_OTHER)
			return false;
	}
	if (cfg_filter.ports) {
		match = false;
		for (__u32 i = 0; i < PM_FILTER_MAX && i < cfg_filter.ports; i++)
			match |= cfg_filter.port[i] == pm_key_sport(key) ||
				 cfg_filter.port[i] == pm_key_dport(key);
		if (!match || family == PM_KIND_OTHER || pm_key_proto(key) == IPPROTO_ICMP ||
		    pm_key_proto(key) == IPPROTO_ICMPV6)
			return false;
	}
	if (cfg_filter.nets) {
		match = false;
		for (__u32 i = 0; i < PM_FILTER_MAX && i < cfg_filter.nets; i++) {
			if (cfg_filter.net[i].family != family)
				continue;
			if (family == PM_KIND_IPV4)
				match |= net_match(&cfg_filter.net[i], (__u32)key->addr[0], 0) ||
					 net_match(&cfg_filter.net[i], key->addr[0] >> 32, 0);
			else
				match |=
					net_match(&cfg_filter.net[i], key->addr[0], key->addr[1]) ||
					net_match(&cfg_filter.net[i], key->addr[2], key->addr[3]);
		}
		if (!match)
			return false;
	}
	return true;
}

/* This host's port is what tells its new flows apart: see slot_hash_end(). */
static __always_inline __u64 key_hash(const struct pm_key *key, enum pm_direction dir)
{
	__u32 shift = dir == PM_EGRESS ? 16 : 0;
	__u64 hash = slot_hash_begin(cfg_seed, key->meta & ~(0xffffULL << shift));

	hash = slot_hash_step(hash, key->addr[0]);
	if (pm_key_kind(key) & PM_KIND_FAMILY) {
		hash = slot_hash_step(hash, key->addr[1]);
		hash = slot_hash_step(hash, key->addr[2]);
		hash = slot_hash_step(hash, key->addr[3]);
	}
	return slot_hash_end(hash, key->meta >> shift);
}

static __always_inline bool key_equal(const struct pm_key *a, const struct pm_key *b)
{
	if (a->meta != b->meta || a->addr[0] != b->addr[0])
		return false;
	return !(pm_key_kind(b) & PM_KIND_FAMILY) ||
	       (a->addr[1] == b->addr[1] && a->addr[2] == b->addr[2] && a->addr[3] == b->addr[3]);
}

static __always_inline void *flow_match(__u32 number, const void *key)
{
	struct pm_slot *slot = bpf_map_lookup_elem(&slots, &number);

	return slot && key_equal(&slot->key, key) ? slot : NULL;
}

/* Races against other CPUs that a packet may lose. */
#define INSERT_ATTEMPTS 4

/*
 * Fill a slot, then publish it with one compare-and-swap.
 * Return: PM_OK and the slot's number in @made; PM_BUSY if another packet has taken the place.
 */
static __always_inline enum pm_reason flow_publish(const struct pm_key *key, __u64 hash,
						   __u32 *made)
{
	struct pm_slot *slot;
	__u64 *entry, taken;
	int err = slot_take(&taken);
	__u32 number;

	if (err)
		return err == -ENOSPC ? PM_FULL : PM_BUSY;
	number = (__u32)taken - 1;
	slot = bpf_map_lookup_elem(&slots, &number);
	if (!slot)
		return PM_FULL;
	entry = slot_place(hash, &slot->entry);
	if (!entry) {
		slot_keep(taken);
		return PM_CROWDED;
	}
	slot->key = *key;
	if (__sync_val_compare_and_swap(entry, 0, (hash & ~0xffffffffULL) | (__u32)taken)) {
		slot_keep(taken);
		return PM_BUSY;
	}
	*made = number;
	return PM_OK;
}

/*
 * flow_find_or_make - look in all places of the flow of @key, and make it if it is in none
 *
 * Return: PM_OK and the number of its slot in @found; PM_FULL, PM_CROWDED; PM_BUSY if another
 * packet was faster: the winner may be one of the same flow.
 */
__noinline enum pm_reason flow_find_or_make(const struct pm_key *key, __u64 hash, __u32 *found)
{
	if (!key || !found)
		return PM_BUSY;
	if (slot_find(hash, key, flow_match, found))
		return PM_OK;
	return flow_publish(key, hash, found);
}

static __always_inline enum pm_reason flow_get(const struct pm_key *key, enum pm_direction dir,
					       struct pm_slot **slot)
{
	__u64 hash = key_hash(key, dir);
	enum pm_reason reason = PM_BUSY;
	__u32 number = 0;

	*slot = slot_find_first(hash, key, flow_match, &number);
	if (*slot)
		return PM_OK;
	for (int i = 0; i < INSERT_ATTEMPTS && reason == PM_BUSY; i++)
		reason = flow_find_or_make(key, hash, &number);
	if (reason)
		return reason;
	*slot = bpf_map_lookup_elem(&slots, &number);
	return *slot ? PM_OK : PM_BUSY;
}

static __always_inline void slot_count(struct pm_slot *slot, __u64 packets, __u64 bytes)
{
	__sync_fetch_and_add(&slot->packets, packets);
	__sync_fetch_and_add(&slot->bytes, bytes);
}

__noinline int count_untracked(enum pm_direction dir, enum pm_reason reason,
			       const struct pm_count *wire)
{
	struct pm_untracked *all;
	struct pm_count *count;
	__u32 zero = 0;

	all = bpf_map_lookup_elem(&untracked, &zero);
	if (!all || !wire || dir >= PM_DIRECTIONS || reason >= PM_REASONS)
		return -EINVAL;
	count = &all->count[dir][reason];
	__sync_fetch_and_add(&count->packets, wire->packets);
	__sync_fetch_and_add(&count->bytes, wire->bytes);
	return 0;
}

/* What nearly every packet begins with; headers begin at even addresses. */
struct plain {
	struct ethhdr eth;
	struct iphdr ip;
	__be32 ports;
} __attribute__((packed, aligned(2)));

/*
 * The key of a plain packet: an Ethernet frame with IPv4, neither options nor a fragment, and TCP
 * or UDP, all of it in the linear part; one frame on the wire, with nothing in the metadata. For
 * such packets it is what classify() makes, and wire_count() would say one packet of skb->len
 * bytes.
 */
static __always_inline bool plain_key(struct __sk_buff *skb, enum pm_direction dir,
				      struct pm_key *key)
{
	const struct plain *head = (void *)(long)skb->data;
	__u32 len;

	if (cfg_l2_len != ETH_HLEN || (void *)(head + 1) > (void *)(long)skb->data_end)
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

/* Any packet, known flow or new. */
static __noinline int count_any(struct __sk_buff *skb, enum pm_direction dir)
{
	struct packet pkt = { .kind = dir == PM_EGRESS ? PM_KIND_EGRESS : 0 };
	enum pm_reason reason = classify(skb, &pkt);
	struct pm_count wire = wire_count(skb, &pkt);
	struct pm_slot *slot = NULL;

	if (!reason && filter_is_set() && !filter_match(&pkt.key))
		reason = PM_FILTERED;
	if (!reason)
		reason = flow_get(&pkt.key, dir, &slot);
	if (reason || !slot)
		return count_untracked(dir, reason, &wire);
	slot_count(slot, wire.packets, wire.bytes);
	return 0;
}

static __always_inline void count_packet(struct __sk_buff *skb, enum pm_direction dir)
{
	struct pm_key key = {};
	struct pm_slot *slot;
	__u32 number;

	if (!filter_is_set() && plain_key(skb, dir, &key)) {
		slot = slot_find_first(key_hash(&key, dir), &key, flow_match, &number);
		if (slot) {
			slot_count(slot, 1, skb->len);
			return;
		}
	}
	count_any(skb, dir);
}

SEC("tc")
int pm_ingress(struct __sk_buff *skb)
{
	if (skb->tc_index != TC_INDEX_INJECTED)
		count_packet(skb, PM_INGRESS);
	return TC_ACT_UNSPEC;
}

/* Not attached: see slot_touch(). */
SEC("tc")
int pm_touch(struct __sk_buff *skb)
{
	__u32 number = skb->mark++ * SLOT_PAGE;

	slot_touch(&buckets, number);
	slot_touch(&slots, number);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int pm_egress(struct __sk_buff *skb)
{
	count_packet(skb, PM_EGRESS);
	return TC_ACT_UNSPEC;
}
