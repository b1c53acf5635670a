/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cache of each CPU: how to rewrite the packets of the flows that it served last. One look at
 * one cache line replaces all lookups in hash tables. BPF only.
 *
 * The slow path writes an entry. An entry may be missing, overwritten or invalid at any time; the
 * packet then takes the slow path. An entry is used
 * - only for plain packets (packet_read_plain()), and TCP segments that neither begin nor reset;
 * - as long as the flow's tick is recent, and so the flow is sure to be there (flow_claim());
 * - until "generation" is raised, by user space after each change, or by changed().
 *
 * Only its own CPU writes an entry, and the hooks' programs do not interrupt each other there,
 * since they run with softirqs disabled: no lock is needed.
 */
#ifndef BPF_PROXY_CACHE_H
#define BPF_PROXY_CACHE_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#include "proxy-flow.h"
#include "proxy-maps.h"
#include "proxy-rewrite.h"

/* The hook of the packet: the upper half of an entry's "kind". The lower half is the protocol. */
enum cache_hook {
	CACHE_EGRESS = 1 << 8,
	CACHE_INGRESS = 2 << 8,
};

struct cached {
	struct tuple from; /* of the packet, as it arrives at the hook */
	__u32 kind;
	__u32 tick; /* the flow's, when it was last claimed */
	__u32 generation;
	__u32 stats; /* stats_index() of its mapping */
	__u32 flow;  /* its slot */
	__u32 noted; /* bits of its state that packets like this one have set already */
	struct change change;
	__u8 dmac[ETH_ALEN]; /* at egress */
	__u8 reserved[6];
};
_Static_assert(sizeof(struct cached) == PROXY_SIZE(64, 128), "one or two cache lines");

/*
 * PROXY_CACHE_SLOTS for each CPU, in a row: not a per-CPU array, which would first have to look for
 * the CPU's part. Shared memory begins with a page, so that no entry lies across cache lines.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PROXY_CACHE_SLOTS);
	__type(key, __u32);
	__type(value, struct cached);
} cache SEC(".maps");

/** cache_generation - read the generation; call this before the lookups whose results are cached */
static __always_inline __u32 cache_generation(void)
{
	return *(const volatile __u32 *)&state.generation;
}

/*
 * Find the entry for @p on this CPU. The client's port only moves it by one: clients use every
 * other port in sequence, so consecutive flows have neighbouring entries. Odd ports start half the
 * table further on, so that no two of PROXY_CACHE_SLOTS consecutive ports share an entry.
 */
static __always_inline struct cached *cache_slot(const struct packet *p, enum cache_hook hook)
{
	__u32 port = bpf_ntohs(hook == CACHE_EGRESS ? p->from.sport : p->from.dport);
	__be16 other = hook == CACHE_EGRESS ? p->from.dport : p->from.sport;
	__u64 hash = ((__u64)proxy_addr_mix(&p->from.saddr, &p->from.daddr) << 32 | other) *
		     0x9e3779b97f4a7c15ULL;
	/* The upper bits of the product depend on all bits. */
	__u32 number = (hash >> 40) + port / 2 + port % 2 * (PROXY_CACHE_SLOTS / 2);
	__u32 index = bpf_get_smp_processor_id() * PROXY_CACHE_SLOTS + number % PROXY_CACHE_SLOTS;

	return bpf_map_lookup_elem(&cache, &index);
}

/* Whether the packets after @p may be rewritten like it. */
static __always_inline int cache_may_put(const struct packet *p)
{
	return !(p->tcp_flags & TCP_RST);
}

/* Whether @p is a packet in the middle of its flow, or its last. */
static __always_inline int goes_on(const struct packet *p)
{
	return p->proto == IPPROTO_UDP || (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_ACK;
}

/** cache_find - find the valid entry of plain packet @p; NULL: it takes the slow path */
static __always_inline struct cached *cache_find(const struct packet *p, enum cache_hook hook,
						 __u32 generation)
{
	struct cached *found;

	/* First, because the entry of a new flow is in no cache of the CPU. */
	if (!goes_on(p))
		return NULL;
	found = cache_slot(p, hook);
	if (!found || !proxy_addr_equal(&found->from.saddr, &p->from.saddr) ||
	    !proxy_addr_equal(&found->from.daddr, &p->from.daddr) ||
	    found->from.ports != p->from.ports || found->kind != (p->proto | hook))
		return NULL;
	if (found->generation != generation || ticks_passed(found->tick))
		return NULL;
	return found;
}

/* The bits that @p sets in the state of its flow. */
static __always_inline __u32 cache_bits(const struct packet *p, enum cache_hook hook)
{
	return hook == CACHE_EGRESS ? flow_bits_out(p) : flow_bits_in(p);
}

/** cache_note - set the bits of @p in the state of its flow, unless packets before it have */
static __always_inline void cache_note(const struct packet *p, struct cached *entry,
				       enum cache_hook hook)
{
	__u32 bits = cache_bits(p, hook);
	struct proxy_flow *flow;

	if (likely(!(bits & ~entry->noted)))
		return;
	flow = flow_at(entry->flow);
	if (flow)
		__sync_fetch_and_or(&flow->state, bits);
	entry->noted |= bits;
}

/**
 * cache_put - write the entry for packets like @p
 * @number: of the slot of their flow
 * @flow: the flow, claimed and with this packet noted
 * @dmac: their next hop, or NULL to leave it
 */
static __always_inline void cache_put(const struct packet *p, enum cache_hook hook,
				      __u32 generation, __u32 number, const struct proxy_flow *flow,
				      const struct change *change, const void *dmac)
{
	struct cached *slot = cache_slot(p, hook);

	if (!slot)
		return;
	tuple_copy(&slot->from, &p->from);
	slot->kind = p->proto | hook;
	slot->tick = flow->tick;
	slot->generation = generation;
	slot->stats = stats_index(flow->mapping);
	slot->flow = number;
	slot->noted = cache_bits(p, hook);
	tuple_copy(&slot->change.to, &change->to);
	slot->change.addr_sum = change->addr_sum;
	slot->change.ports_half = change->ports_half;
	if (dmac)
		__builtin_memcpy(slot->dmac, __builtin_assume_aligned(dmac, 2), ETH_ALEN);
}

/** cache_forget - invalidate the entry of @p, which changes its flow's TCP state */
static __always_inline void cache_forget(const struct packet *p, enum cache_hook hook)
{
	struct cached *slot = cache_slot(p, hook);

	if (slot)
		slot->kind = 0;
}

#endif /* BPF_PROXY_CACHE_H */
