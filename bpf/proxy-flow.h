/* SPDX-License-Identifier: GPL-2.0-only */
/* proxy: finding and following flows; proxy-flow-enter.h makes them. BPF only. */
#ifndef BPF_PROXY_FLOW_H
#define BPF_PROXY_FLOW_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/in.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "proxy-maps.h"
#include "proxy-parse.h"

/**
 * mapping_find - find where packets to @addr and @port go
 * @unmapped: if there is no mapping, set to whether a pin may lead to a flow all the same
 * Return: the mapping; NULL if there is none.
 */
static __always_inline struct proxy_mapping *mapping_find(const proxy_addr *addr, __be16 port,
							  __u8 proto, int *unmapped)
{
	struct proxy_dest dest = { .addr = *addr, .port = port, .proto = proto };
	struct proxy_mapping *mapping = bpf_map_lookup_elem(&mappings, &dest);

	*unmapped = 0;
	if (mapping || !state.flags)
		return mapping;
	*unmapped = state.flags & PROXY_STATE_UNMAPPED;
	if (!(state.flags & PROXY_STATE_WILDCARDS))
		return NULL;
	dest.port = 0;
	return bpf_map_lookup_elem(&mappings, &dest);
}

/**
 * reply_of - make the key of the reply to client packet @p, which @mapping sends to its target
 *
 * A target on this host gets the packet from the original address. The client's address may be the
 * target's own: the kernel would refuse such a packet, and its answer would not pass this hook.
 */
static __always_inline struct proxy_reply reply_of(const struct proxy_mapping *mapping,
						   const struct packet *p)
{
	return (struct proxy_reply){
		.remote = mapping->addr,
		.local = mapping->flags & PROXY_MAPPING_LOCAL ? p->from.daddr : p->from.saddr,
		.rport = mapping->port ?: p->from.dport,
		.lport = p->from.sport,
		.proto = p->proto,
	};
}

/** reply_equal - compare two keys of flows; memcmp() would be a call */
static __always_inline int reply_equal(const struct proxy_reply *a, const struct proxy_reply *b)
{
	__u64 one[sizeof(*a) / sizeof(__u64)], other[sizeof(*b) / sizeof(__u64)], differ = 0;

	__builtin_memcpy(one, a, sizeof(one));
	__builtin_memcpy(other, b, sizeof(other));
	for (__u32 i = 0; i < sizeof(one) / sizeof(one[0]); i++)
		differ |= one[i] ^ other[i];
	return !differ;
}

/** client_side - make the key under which the flow of client packet @p is found if it is pinned */
static __always_inline struct proxy_reply client_side(const struct packet *p)
{
	return (struct proxy_reply){
		.remote = p->from.daddr,
		.local = p->from.saddr,
		.rport = p->from.dport,
		.lport = p->from.sport,
		.proto = p->proto,
		.side = PROXY_SIDE_CLIENT,
	};
}

/** flow_is - tell whether client packet @p belongs to @flow */
static __always_inline int flow_is(const struct proxy_flow *flow, const struct packet *p)
{
	return flow && proxy_addr_equal(&flow->orig, &p->from.daddr) &&
	       proxy_addr_equal(&flow->client, &p->from.saddr) && flow->oport == p->from.dport &&
	       flow->cport == p->from.sport;
}

/** flow_is_identity - tell whether the packets of @flow stay as they are */
static __always_inline int flow_is_identity(const struct proxy_flow *flow)
{
	return (flow->state & (PROXY_FLOW_DIRECT | PROXY_FLOW_PORT)) == PROXY_FLOW_DIRECT;
}

static __always_inline int is_syn(const struct packet *p)
{
	return (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

/** flow_reopens - tell whether @p begins a new connection with the ports of one that has ended */
static __always_inline int flow_reopens(const struct proxy_flow *flow, const struct packet *p)
{
	return is_syn(p) && proxy_tcp_phase(flow->state) == PROXY_TCP_CLOSING;
}

/** flow_bits_out - return the bits of a flow's state that a packet of the client sets */
static __always_inline __u32 flow_bits_out(const struct packet *p)
{
	if (p->tcp_flags & TCP_RST)
		return PROXY_FLOW_RST_OUT;
	return (p->tcp_flags & TCP_ACK ? PROXY_FLOW_ACK : 0) |
	       (p->tcp_flags & TCP_FIN ? PROXY_FLOW_FIN_OUT : 0);
}

/** flow_bits_in - return the bits of a flow's state that a packet of the target sets */
static __always_inline __u32 flow_bits_in(const struct packet *p)
{
	if (p->tcp_flags & TCP_RST)
		return PROXY_FLOW_RST_IN;
	return PROXY_FLOW_REPLIED | (p->tcp_flags & TCP_FIN ? PROXY_FLOW_FIN_IN : 0);
}

/** flow_tick - read the tick of @flow, before anything else of it; see flow_claim() */
static __always_inline __u32 flow_tick(const struct proxy_flow *flow)
{
	return flow ? *(const volatile __u32 *)&flow->tick : PROXY_TICK_GONE;
}

/**
 * flow_claim - make sure of a flow that has been looked up
 * @tick: flow_tick() right after the lookup
 *
 * A flow is removed only after more than TICKS without a packet, and by a compare-and-swap of its
 * tick, as here: so if the tick is recent, or still the old one and now replaced, @flow stays for
 * seconds. Most packets store nothing.
 *
 * Return: whether the flow may be used; if not, it has just been removed.
 */
static __always_inline int flow_claim(struct proxy_flow *flow, __u32 tick)
{
	__u32 found;

	if (tick == PROXY_TICK_GONE)
		return 0;
	if (!ticks_passed(tick))
		return 1;
	/* First: user space, which sees the new tick, must not take the flow for idle. */
	flow->last_seen = bpf_ktime_get_coarse_ns();
	found = __sync_val_compare_and_swap(&flow->tick, tick, tick_now());
	/* If it fails, another packet was faster, or the flow has been removed. */
	return found == tick;
}

/* A lookup by the client's side skips flows that are being removed: a successor may exist already.
 */
static __always_inline void *flow_match(__u32 number, const void *key)
{
	const struct proxy_reply *wanted = key;
	struct proxy_flow *flow = flow_at(number);
	struct proxy_reply pin;

	if (!flow)
		return NULL;
	if (likely(wanted->side == PROXY_SIDE_TARGET))
		return reply_equal(&flow->key, wanted) ? flow : NULL;
	pin = proxy_client_side(flow);
	return flow->tick != PROXY_TICK_GONE && reply_equal(&pin, wanted) ? flow : NULL;
}

/*
 * Find the slot of @key. It is nearly always the only one in its first bucket with its tag. A
 * global function: the verifier goes through it once, and not once for each way that leads here.
 * Return: the number of the slot, or FLOW_NONE.
 */
__noinline __u32 flow_search(const struct proxy_reply *key)
{
	const struct slot_bucket *bucket;
	__u64 hash, sum;
	__u32 number;

	if (!key)
		return FLOW_NONE;
	hash = proxy_flow_hash(cfg_hash_keys, key);
	bucket = slot_bucket_at(hash, 0);
	if (!bucket)
		return FLOW_NONE;
	sum = slot_sum(bucket, hash);
	number = (__u32)sum - 1;
	if (likely(flow_match(number, key)))
		return number;
	if (!sum && !slot_read(&bucket->spilled))
		return FLOW_NONE;
	return slot_find(hash, key, flow_match, &number) ? number : FLOW_NONE;
}

/**
 * flow_lookup - the flow of @key, or NULL
 * @number: set to that of its slot
 */
static __always_inline struct proxy_flow *flow_lookup(const struct proxy_reply *key, __u32 *number)
{
	*number = flow_search(key);
	return flow_at(*number);
}

/**
 * flow_get - the flow of @key, claimed, or NULL
 * @number: set to that of its slot
 *
 * Retries once: the first claim may have failed because another packet claimed the flow, not
 * because the flow is gone.
 */
static __always_inline struct proxy_flow *flow_get(const struct proxy_reply *key, __u32 *number)
{
	struct proxy_flow *flow;
	int i;

#pragma clang loop unroll(disable) /* for a start without delay: see slot_find() */
	for (i = 0; i < 2; i++) {
		flow = flow_lookup(key, number);
		if (!flow || flow_claim(flow, flow_tick(flow)))
			return flow;
	}
	return NULL;
}

/**
 * flow_note - store what a packet says about the state of its flow
 * @bits: the bits that it sets
 * @reset: the RST bit of its sender; the packet clears it unless it sets it
 *
 * Most packets store nothing: the bits are set already. No window is checked (a packet out
 * of window that is not translated makes the other side reset the connection), so a forged RST is
 * believed, but only until the same side sends anything else.
 */
static __always_inline void flow_note(struct proxy_flow *flow, __u32 bits, __u32 reset)
{
	__u32 seen = flow->state;

	if ((seen & bits) != bits)
		__sync_fetch_and_or(&flow->state, bits);
	if (seen & reset & ~bits)
		__sync_fetch_and_and(&flow->state, ~reset);
}

/** stats_index - return the entry of "mapping_stats" in which this CPU counts @mapping */
static __always_inline __u32 stats_index(__u32 mapping)
{
	return bpf_get_smp_processor_id() * state.mapping_ids + mapping;
}

/**
 * flow_count - count a packet of a mapping; a GSO packet counts as its segments
 * @index: its stats_index()
 */
static __always_inline void flow_count(struct __sk_buff *skb, const struct packet *p, __u32 index,
				       int out)
{
	struct proxy_mapping_stats *stats = bpf_map_lookup_elem(&mapping_stats, &index);
	__u64 packets = 1, bytes = skb->len;

	if (!stats)
		return;
	if (skb->gso_segs > 1) {
		packets = skb->gso_segs;
		bytes += (packets - 1) * p->headers;
	}
	if (out) {
		stats->packets_out += packets;
		stats->bytes_out += bytes;
	} else {
		stats->packets_in += packets;
		stats->bytes_in += bytes;
	}
}

/**
 * flow_find - look up the flow of client packet @p, without claiming it
 * @mapping: of the packet; NULL if it has none: then only a pin leads to its flow
 *
 * The caller may read the flow: its slot is not used again while a program runs.
 * Return: the flow, or NULL.
 */
static __always_inline const struct proxy_flow *flow_find(const struct proxy_mapping *mapping,
							  const struct packet *p)
{
	const struct proxy_flow *flow;
	struct proxy_reply key;
	__u32 number;

	if (mapping) {
		key = reply_of(mapping, p);
		flow = flow_lookup(&key, &number);
		if (flow_is(flow, p))
			return flow;
	}
	if (!state.pins)
		return NULL;
	key = client_side(p);
	flow = flow_lookup(&key, &number);
	return flow_is(flow, p) ? flow : NULL;
}

#endif /* BPF_PROXY_FLOW_H */
