// SPDX-License-Identifier: GPL-2.0-only
/*
 * packet-monitor: count every packet of its interfaces under its flow, exactly.
 *
 * One table serves all interfaces. pm3_* are for interfaces without a link layer.
 *
 * From a packet to its count: pm_ingress and pm_egress call pm_count_packet(). pm_parse_plain()
 * makes the key of a plain packet, and pm_parse() that of any other (pm-parse.h). pm_wire_count()
 * (pm-wire.h) says how many frames of how many bytes the packet is on the wire, and
 * pm_filter_match() (pm-filter.h) whether to count it. pm_flow_get() finds or makes the flow's
 * slot, and pm_slot_count() counts the packet there by two atomic additions. For a packet of a
 * known flow the programs store nothing else, and read no clock.
 *
 * The programs fail open: they return TC_ACT_UNSPEC in every case, so that the next filter decides.
 * A packet that cannot be counted under a flow is counted in "untracked" under its reason, so that
 * the totals are always exact.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "packet-monitor.h"
#include "pkt.h"
#include "pm-filter.h"
#include "pm-parse.h"
#include "pm-tunnel.h"
#include "pm-wire.h"
#include "slot-table.h"
#include "tc-index.h"

char LICENSE[] SEC("license") = "GPL";

/* Constant once loaded. Whether the table serves several interfaces, which keys then tell apart. */
const volatile bool cfg_shared = false;

/* Constant once loaded. Whether packets count under the innermost flow. */
const volatile bool cfg_inner = false;

/* Constant once loaded. Whether to note when a flow began. */
const volatile bool cfg_first_ns = false;

/*
 * The flows, found through "buckets" (slot-table.h), and how each began. User space sets the sizes
 * before the load.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pm_slot);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pm_origin);
} origins SEC(".maps");

/* When each flow began: CLOCK_MONOTONIC at its first packet. One element without cfg_first_ns. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} firsts SEC(".maps");

/*
 * By interface, as keys name it: user space adds an entry before it attaches, since programs make
 * none. Only packets without a flow look one up.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PM_INTERFACES_MAX);
	__type(key, __u32);
	__type(value, struct pm_untracked);
} untracked SEC(".maps");

/*
 * Packets that the filter does not accept, by interface: an array is found in half the time. Those
 * of interfaces with a higher number are in "untracked". User space sets the size before the load.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pm_filtered);
} filtered SEC(".maps");

/* The port of this host tells its new flows apart: see slot_hash_end(). */
static __always_inline __u64 pm_key_hash(const struct pm_key *key, enum pm_direction dir)
{
	__u32 local = dir == PM_EGRESS ? 16 : 0; /* where its port is in @meta */
	__u16 remote_port = key->meta >> (16 - local);
	__u64 sum;

	sum = slot_hash_add(0, cfg_hash_keys, 0, key->addr[0], key->addr[0] >> 32);
	sum = slot_hash_add(sum, cfg_hash_keys, 1, key->meta >> 32, remote_port);
	if (pm_key_kind(key) & PM_KIND_FAMILY) {
		sum = slot_hash_add(sum, cfg_hash_keys, 2, key->addr[1], key->addr[1] >> 32);
		sum = slot_hash_add(sum, cfg_hash_keys, 3, key->addr[2], key->addr[2] >> 32);
		sum = slot_hash_add(sum, cfg_hash_keys, 4, key->addr[3], key->addr[3] >> 32);
	}
	if (pm_key_kind(key) & PM_KIND_LONG)
		sum = slot_hash_add(sum, cfg_hash_keys, 5, key->last, key->last >> 32);
	return slot_hash_end(sum, key->meta >> local);
}

/* Whether only the first two words of flow @key can be anything but zero. */
static __always_inline bool pm_key_is_short(const struct pm_key *key)
{
	return !(pm_key_kind(key) & (PM_KIND_FAMILY | PM_KIND_LONG));
}

static __always_inline bool pm_key_equal(const struct pm_key *a, const struct pm_key *b)
{
	if (a->meta != b->meta || a->addr[0] != b->addr[0])
		return false;
	return pm_key_is_short(b) || (a->addr[1] == b->addr[1] && a->addr[2] == b->addr[2] &&
				      a->addr[3] == b->addr[3] && a->last == b->last);
}

static __always_inline void *pm_slot_match(__u32 number, const void *key)
{
	struct pm_slot *slot = bpf_map_lookup_elem(&slots, &number);

	return slot && pm_key_equal(&slot->key, key) ? slot : NULL;
}

static __always_inline void pm_note_first(__u32 number)
{
	__u64 *first_ns = bpf_map_lookup_elem(&firsts, &number);

	if (first_ns)
		*first_ns = bpf_ktime_get_ns();
}

/* How many races against other CPUs a packet may lose. */
#define PM_INSERT_ATTEMPTS 4

/*
 * Fill a slot, then publish it with one compare-and-swap.
 * Return: PM_OK with the slot's number in @made; PM_FULL; PM_CROWDED; PM_BUSY if another packet has
 * taken the entry.
 */
static __always_inline enum pm_reason pm_flow_make(const struct pm_key *key, __u64 hash,
						   __u32 *made)
{
	struct pm_origin *origin;
	struct pm_slot *slot;
	__u64 *entry, taken;
	int err = slot_take(&taken);
	__u32 number;

	if (err)
		return err == -ENOSPC ? PM_FULL : PM_BUSY;
	number = (__u32)taken - 1;
	slot = bpf_map_lookup_elem(&slots, &number);
	origin = bpf_map_lookup_elem(&origins, &number);
	if (!slot || !origin)
		return PM_FULL;
	entry = slot_place(hash, &origin->entry);
	if (!entry) {
		slot_keep(taken);
		return PM_CROWDED;
	}
	/* A free slot is all zero. */
	slot->key.meta = key->meta;
	slot->key.addr[0] = key->addr[0];
	if (!pm_key_is_short(key))
		slot->key = *key;
	if (cfg_first_ns)
		pm_note_first(number);
	if (__sync_val_compare_and_swap(entry, 0, (hash & ~0xffffffffULL) | (__u32)taken)) {
		slot->key = (struct pm_key){};
		slot_keep(taken);
		return PM_BUSY;
	}
	*made = number;
	return PM_OK;
}

/*
 * pm_flow_find_or_make - search all buckets of flow @key, and make the flow if it is in none
 *
 * Return: PM_OK with the number of its slot in @found; PM_FULL; PM_CROWDED; PM_BUSY if another
 * packet was faster. The winner may be a packet of the same flow.
 */
__noinline enum pm_reason pm_flow_find_or_make(const struct pm_key *key, __u64 hash, __u32 *found)
{
	if (!key || !found)
		return PM_BUSY;
	if (slot_find(hash, key, pm_slot_match, found))
		return PM_OK;
	return pm_flow_make(key, hash, found);
}

#define TCP_FLAGS_OFFSET 13
#define TCP_SYN 0x02
#define TCP_ACK 0x10

/* Note in "origins" what a TCP header at @off tells about the ends of the flow in slot @number. */
__noinline int pm_note_syn(struct __sk_buff *skb, __u32 off, __u32 number)
{
	struct pm_origin *origin = bpf_map_lookup_elem(&origins, &number);
	__u32 began;
	__u8 flags;

	if (!origin || pkt_read(skb, off + TCP_FLAGS_OFFSET, &flags, sizeof(flags)))
		return -ENODATA;
	if (flags & TCP_SYN) {
		began = flags & TCP_ACK ? PM_BEGAN_SYN_ACK : PM_BEGAN_SYN;
		origin->entry = pm_origin_place(origin) | began << PM_BEGAN_SHIFT;
	}
	return 0;
}

/* @partial: whether the headers of the packet could be read in part only */
static __always_inline enum pm_reason pm_flow_get(struct __sk_buff *skb,
						  const struct pm_packet *pkt, bool partial,
						  enum pm_direction dir, struct pm_slot **slot)
{
	__u64 hash = pm_key_hash(&pkt->key, dir);
	enum pm_reason reason = PM_BUSY;
	__u32 number = 0;

	*slot = slot_find_first(hash, &pkt->key, pm_slot_match, &number);
	if (*slot)
		return PM_OK;
	for (int i = 0; i < PM_INSERT_ATTEMPTS && reason == PM_BUSY; i++)
		reason = pm_flow_find_or_make(&pkt->key, hash, &number);
	if (reason)
		return reason;
	if (pkt->proto == IPPROTO_TCP && !partial && pkt->fragment < PM_FRAGMENT_LATER)
		pm_note_syn(skb, pkt->off, number);
	*slot = bpf_map_lookup_elem(&slots, &number);
	return *slot ? PM_OK : PM_BUSY;
}

static __always_inline void pm_slot_count(struct pm_slot *slot, __u64 packets, __u64 bytes)
{
	__sync_fetch_and_add(&slot->packets, packets);
	__sync_fetch_and_add(&slot->bytes, bytes);
}

/* Count a packet under a reason. @partial: it is in a flow all the same */
__noinline int pm_count_reason(__u32 ifindex, enum pm_direction dir, enum pm_reason reason,
			       int partial, const struct pm_count *wire)
{
	struct pm_untracked *all;
	struct pm_count *count;

	all = bpf_map_lookup_elem(&untracked, &ifindex);
	if (!all || !wire || dir >= PM_DIRECTIONS || reason >= PM_REASONS)
		return -EINVAL;
	count = partial ? &all->partial[dir][reason] : &all->count[dir][reason];
	__sync_fetch_and_add(&count->packets, wire->packets);
	__sync_fetch_and_add(&count->bytes, wire->bytes);
	return 0;
}

/* Count a packet that the filter rejects. Return: false if "filtered" has no room for it. */
static __always_inline bool pm_count_filtered(__u32 ifindex, enum pm_direction dir, __u64 packets,
					      __u64 bytes)
{
	struct pm_filtered *all = bpf_map_lookup_elem(&filtered, &ifindex);

	if (!all)
		return false;
	__sync_fetch_and_add(&all->count[dir].packets, packets);
	__sync_fetch_and_add(&all->count[dir].bytes, bytes);
	return true;
}

/* Count any packet, of a known flow or a new one. @l2_len: as for pm_parse() */
static __always_inline int pm_count_any(struct __sk_buff *skb, enum pm_direction dir, __u32 l2_len)
{
	enum pm_reason partial, reason = PM_OK;
	struct pm_packet pkt = PM_PACKET_INIT(dir);
	struct pm_slot *slot = NULL;
	struct pm_count wire;

	if (cfg_shared) {
		pkt.kind |= PM_KIND_LONG;
		pkt.key.ifindex = skb->ifindex;
	}
	partial = pm_parse(skb, &pkt, l2_len);
	wire = pm_wire_count(skb, &pkt);
	if (cfg_inner && !partial)
		partial = pm_read_inner(skb, &pkt);
	if (unlikely(partial) && skb->len < l2_len)
		return pm_count_reason(pkt.key.ifindex, dir, partial, false, &wire);
	if (!pm_filter_match(pkt.key.meta, pkt.key.addr[0], &pkt.key)) {
		if (pm_count_filtered(pkt.key.ifindex, dir, wire.packets, wire.bytes))
			return 0;
		reason = PM_FILTERED;
	}
	if (!reason)
		reason = pm_flow_get(skb, &pkt, partial, dir, &slot);
	if (reason || !slot)
		return pm_count_reason(pkt.key.ifindex, dir, reason, false, &wire);
	pm_slot_count(slot, wire.packets, wire.bytes);
	if (unlikely(partial))
		pm_count_reason(pkt.key.ifindex, dir, partial, true, &wire);
	return 0;
}

static __noinline int pm_count_frame(struct __sk_buff *skb, enum pm_direction dir)
{
	return pm_count_any(skb, dir, ETH_HLEN);
}

/*
 * Count a plain packet of a known flow, or one that the filter does not accept.
 * @key: of pm_parse_plain(); @shared: cfg_shared, constant
 * Return: whether it is one.
 */
static __always_inline bool pm_count_plain(struct __sk_buff *skb, enum pm_direction dir,
					   struct pm_key key, bool accepted, bool shared)
{
	struct pm_slot *slot;
	__u32 number;

	if (shared) {
		key.meta |= (__u64)PM_KIND_LONG << 40;
		key.ifindex = skb->ifindex;
	}
	if (!accepted)
		return pm_count_filtered(key.ifindex, dir, 1, skb->len);
	slot = slot_find_first(pm_key_hash(&key, dir), &key, pm_slot_match, &number);
	if (!slot)
		return false;
	pm_slot_count(slot, 1, skb->len);
	return true;
}

static __always_inline void pm_count_packet(struct __sk_buff *skb, enum pm_direction dir)
{
	bool counted = false, accepted;
	struct pm_key key = {};

	if (pm_parse_plain(skb, dir, &key, ETH_HLEN) && !(cfg_inner && pm_may_be_tunnel(&key))) {
		accepted = pm_filter_match(key.meta, key.addr[0], NULL);
		counted = cfg_shared ? pm_count_plain(skb, dir, key, accepted, true)
				     : pm_count_plain(skb, dir, key, accepted, false);
	}
	if (!counted)
		pm_count_frame(skb, dir);
}

SEC("tc")
int pm_ingress(struct __sk_buff *skb)
{
	if (skb->tc_index != TC_INDEX_INJECTED)
		pm_count_packet(skb, PM_INGRESS);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int pm_egress(struct __sk_buff *skb)
{
	pm_count_packet(skb, PM_EGRESS);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int pm3_ingress(struct __sk_buff *skb)
{
	if (skb->tc_index != TC_INDEX_INJECTED)
		pm_count_any(skb, PM_INGRESS, 0);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int pm3_egress(struct __sk_buff *skb)
{
	pm_count_any(skb, PM_EGRESS, 0);
	return TC_ACT_UNSPEC;
}
