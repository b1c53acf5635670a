/* SPDX-License-Identifier: GPL-2.0-only */
/* Flows of the proxy: finding, making and following them. BPF only. */
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

#define PORT_TRIES 32
#define REMOVAL_TRIES 8

/**
 * mapping_find - find where packets to @addr and @port go
 * @unmapped: if there is no mapping, set to whether a pin may lead to a flow all the same
 * Return: the mapping; NULL if there is none.
 */
static __always_inline struct proxy_mapping *mapping_find(__be32 addr, __be16 port, __u8 proto,
							  int *unmapped)
{
	struct proxy_dest dest = { .addr = addr, .port = port, .proto = proto };
	struct proxy_mapping *mapping = bpf_map_lookup_elem(&egress, &dest);

	*unmapped = 0;
	if (mapping || !state.flags)
		return mapping;
	*unmapped = state.flags & PROXY_STATE_UNMAPPED;
	if (!(state.flags & PROXY_STATE_WILDCARDS))
		return NULL;
	dest.port = 0;
	return bpf_map_lookup_elem(&egress, &dest);
}

/**
 * reply_of - how the target will answer a packet of client @p that @mapping sends there
 *
 * A target on this host gets the packet from the original address: from the client's, which may
 * well be its own, the kernel would refuse it, and the answer would not come by here.
 */
static __always_inline struct proxy_reply reply_of(const struct proxy_mapping *mapping,
						   const struct packet *p)
{
	return (struct proxy_reply){
		.remote = mapping->addr,
		.local = mapping->flags & PROXY_MAPPING_LOCAL ? p->daddr : p->saddr,
		.rport = mapping->port ?: p->dport,
		.lport = p->sport,
		.proto = p->proto,
	};
}

/** reply_equal - whether two keys of "ingress" are the same; memcmp() would be a call */
static __always_inline int reply_equal(const struct proxy_reply *a, const struct proxy_reply *b)
{
	__u64 one[2], other[2];

	__builtin_memcpy(one, a, sizeof(one));
	__builtin_memcpy(other, b, sizeof(other));
	return !((one[0] ^ other[0]) | (one[1] ^ other[1]));
}

/** client_side - what the flow of @p, which the client sent, is found by if it is pinned */
static __always_inline struct proxy_reply client_side(const struct packet *p)
{
	return (struct proxy_reply){
		.remote = p->daddr,
		.local = p->saddr,
		.rport = p->dport,
		.lport = p->sport,
		.proto = p->proto,
		.side = PROXY_SIDE_CLIENT,
	};
}

/** flow_is - whether @flow is the one that @p, as the client sent it, belongs to */
static __always_inline int flow_is(const struct proxy_flow *flow, const struct packet *p)
{
	return flow && flow->orig == p->daddr && flow->client == p->saddr &&
	       flow->oport == p->dport && flow->cport == p->sport;
}

/** flow_is_identity - whether @flow is only known, and its packets stay as they are */
static __always_inline int flow_is_identity(const struct proxy_flow *flow)
{
	return (flow->state & (PROXY_FLOW_DIRECT | PROXY_FLOW_PORT)) == PROXY_FLOW_DIRECT;
}

static __always_inline int is_syn(const struct packet *p)
{
	return (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

/** flow_reopens - whether @p begins a new connection with the ports of one that has ended */
static __always_inline int flow_reopens(const struct proxy_flow *flow, const struct packet *p)
{
	return is_syn(p) && proxy_tcp_phase(flow->state) == PROXY_TCP_CLOSING;
}

/** flow_bits_out - what a packet of the client tells of its flow */
static __always_inline __u32 flow_bits_out(const struct packet *p)
{
	if (p->tcp_flags & TCP_RST)
		return PROXY_FLOW_RST_OUT;
	return (p->tcp_flags & TCP_ACK ? PROXY_FLOW_ACK : 0) |
	       (p->tcp_flags & TCP_FIN ? PROXY_FLOW_FIN_OUT : 0);
}

/** flow_bits_in - what a packet of the target tells of its flow */
static __always_inline __u32 flow_bits_in(const struct packet *p)
{
	if (p->tcp_flags & TCP_RST)
		return PROXY_FLOW_RST_IN;
	return PROXY_FLOW_REPLIED | (p->tcp_flags & TCP_FIN ? PROXY_FLOW_FIN_IN : 0);
}

/** flow_tick - the tick of @flow, to be read before anything else of it; see flow_claim() */
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

/* By the client's side, one that is ending is not found: it may have a successor already. */
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
 * The number of the slot of @key + 1, or 0. It is nearly always the only one in its first bucket
 * with its tag. A global function: the verifier goes through it once, and not once for each way
 * that leads here.
 */
__noinline __u32 flow_search(const struct proxy_reply *key)
{
	const struct slot_bucket *bucket;
	__u32 number;
	__u64 hash;

	if (!key)
		return 0;
	hash = proxy_flow_hash(cfg_hash_keys, key);
	bucket = slot_bucket_at(hash, 0);
	if (!bucket)
		return 0;
	number = (__u32)slot_sum(bucket, hash) - 1;
	if (likely(flow_match(number, key)))
		return number + 1;
	return slot_find(hash, key, flow_match, &number) ? number + 1 : 0;
}

/**
 * flow_lookup - the flow of @key, or NULL
 * @number: set to that of its slot
 */
static __always_inline struct proxy_flow *flow_lookup(const struct proxy_reply *key, __u32 *number)
{
	*number = flow_search(key) - 1;
	return flow_at(*number);
}

/**
 * flow_get - the flow of @key, claimed, or NULL
 * @number: set to that of its slot
 *
 * A second look tells a flow that another packet has claimed from one that is gone.
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
 * flow_note - note what a packet tells of its flow
 * @bits: what it tells
 * @reset: the RST bit of its sender
 *
 * Nothing is stored by most packets: the bits are there already. No window is checked (a packet out
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

/** stats_index - where this CPU counts the packets of @mapping in "mapping_stats" */
static __always_inline __u32 stats_index(__u32 mapping)
{
	return bpf_get_smp_processor_id() * state.mapping_ids + mapping;
}

/**
 * flow_count - packets and bytes of a mapping, GSO packets as the segments they become
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

/*
 * socket_has - whether a socket of this host talks to the target directly with the 5-tuple of @key:
 * one that began before the proxy did and has sent nothing since is not in "ingress".
 */
static __always_inline int socket_has(struct __sk_buff *skb, const struct proxy_reply *key)
{
	/* Not all of the union, whose IPv6 part is longer: the stack is tight here. */
	typeof(((struct bpf_sock_tuple *)NULL)->ipv4) ipv4 = {
		.saddr = key->remote,
		.daddr = key->local,
		.sport = key->rport,
		.dport = key->lport,
	};
	struct bpf_sock_tuple *tuple = (void *)&ipv4;
	struct bpf_sock *sk;
	int taken;

	if (key->proto == IPPROTO_TCP) {
		sk = bpf_skc_lookup_tcp(skb, tuple, sizeof(ipv4), BPF_F_CURRENT_NETNS, 0);
		if (!sk)
			return 0;
		taken = sk->state != BPF_TCP_LISTEN;
	} else {
		sk = bpf_sk_lookup_udp(skb, tuple, sizeof(ipv4), BPF_F_CURRENT_NETNS, 0);
		if (!sk)
			return 0;
		taken = sk->dst_ip4 == key->remote && sk->dst_port == key->rport;
	}
	bpf_sk_release(sk);
	return taken;
}

/* Whether a TCP segment or a datagram may be the first that is seen of a flow. */
static __always_inline int may_begin(const struct packet *p)
{
	if (p->proto != IPPROTO_TCP || is_syn(p))
		return 1;
	/* In the middle: its flow was flushed, or began before the proxy. */
	return (p->tcp_flags & (TCP_ACK | TCP_SYN | TCP_RST)) == TCP_ACK;
}

/**
 * flow_find - the flow of @p, which the client sent, if there is one
 * @mapping: of the packet; NULL if it has none: then only a pin leads to its flow
 *
 * It is not claimed: good for looking at it, since its slot is not used again within the time that
 * a packet takes.
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

/* The flow of @key, claimed, if @p, which the client sent, belongs to it; @number: of its slot. */
static __always_inline struct proxy_flow *flow_get_of(const struct proxy_reply *key,
						      const struct packet *p, __u32 *number)
{
	struct proxy_flow *flow;
	int i;

#pragma clang loop unroll(disable) /* for a start without delay: see slot_find() */
	for (i = 0; i < 2; i++) {
		__u32 tick;

		flow = flow_lookup(key, number);
		tick = flow_tick(flow);
		if (!flow_is(flow, p))
			return NULL;
		if (flow_claim(flow, tick))
			return flow;
	}
	return NULL;
}

/* There is a flow now: what flow_open() returns besides values of enum proxy_counter. */
enum { FLOW_OPEN = -1 };

/* What flow_open() is asked for, and what it finds; one argument, for the stack's sake. */
struct flow_request {
	struct packet p;
	struct proxy_reply key; /* where the mapping leads to */
	__u32 tick;   /* of the client's flow if it has this key, otherwise PROXY_TICK_GONE */
	__u32 number; /* out: of the flow's slot */
};

/*
 * The slots that the buckets of @hash have under its tag, added up: the same sum later on means
 * that no flow with this hash has been made or removed since.
 */
static __always_inline __u64 buckets_sum(const struct slot_bucket *first,
					 const struct slot_bucket *second,
					 const struct slot_bucket *third, __u64 hash)
{
	__u64 sum = slot_sum(first, hash);

	if (slot_read(&first->spilled))
		sum += slot_sum(second, hash) + slot_sum(third, hash);
	return sum;
}

/* What flow_enter() is to do besides. */
enum {
	ENTER_CHECK_SOCKETS = 1 << 0,
	ENTER_OTHER_PORT = 1 << 1, /* with another source port than the client's */
	ENTER_PIN = 1 << 2,	   /* it is there already: pin it */
};

/*
 * Have the buckets of @hash refer to the flow in slot @number, if they have not changed since
 * @before.
 *
 * Two packets may begin flows of one key at once, and there must not be two. So this is made sure
 * of under the lock of this hash: a few loads, since the kernel allows no call there.
 * Return: 0; -ENOSPC if there is no room; -EBUSY if another was faster.
 */
__noinline int flow_publish(__u32 number, __u64 hash, __u64 before, __u32 how)
{
	const struct slot_bucket *first = slot_bucket_at(hash, 0);
	const struct slot_bucket *second = slot_bucket_at(hash, 1);
	const struct slot_bucket *third = slot_bucket_at(hash, 2);
	__u32 lock_number = (__u32)hash / PROXY_LOCK_SPAN % PROXY_LOCKS;
	struct proxy_lock *lock = bpf_map_lookup_elem(&locks, &lock_number);
	struct proxy_flow *flow = flow_at(number);
	int done = 0;
	__u64 *entry;

	if (!flow || !first || !second || !third || !lock)
		return -EINVAL;
	entry = slot_place(hash, how & ENTER_PIN ? &flow->pin : &flow->place);
	if (!entry)
		return -ENOSPC;
	/* A full barrier: who sees the tick, or the entry, sees the rest. */
	if (!(how & ENTER_PIN))
		__sync_lock_test_and_set(&flow->tick, tick_now());
	bpf_spin_lock(&lock->lock);
	if (buckets_sum(first, second, third, hash) == before)
		done = !__sync_val_compare_and_swap(entry, 0, hash >> 32 << 32 | (number + 1));
	bpf_spin_unlock(&lock->lock);
	if (!done && !(how & ENTER_PIN))
		__sync_lock_test_and_set(&flow->tick, PROXY_TICK_GONE);
	return done ? 0 : -EBUSY;
}

static __always_inline int ports_taken(int err)
{
	return err == -EEXIST || err == -EADDRINUSE;
}

/*
 * A source port that may take the place of the client's, by chance: privileged ones stay so, and
 * even ones stay even (RFC 4787, REQ-3 and REQ-4).
 */
static __always_inline __be16 other_port(__be16 cport)
{
	__u32 old = bpf_ntohs(cport);
	__u32 first = (old < 1024 ? 2 : 1024) + (old & 1), pairs = old < 1024 ? 511 : 32256;

	return bpf_htons(first + bpf_get_prandom_u32() % pairs * 2);
}

/*
 * Enter the flow in slot @number if nobody has the ports of its key. A global function: the
 * verifier goes through it once, and not once for each port. Return: 0; -EEXIST or -EADDRINUSE if a
 * flow or a socket has the ports; -ENOSPC; -EBUSY. To pin: the slot + 1 of a pinned flow with the
 * same client's side, in place of -EEXIST.
 */
__noinline int flow_enter(struct __sk_buff *skb, __u32 number, __u32 how)
{
	struct proxy_flow *flow = flow_at(number);
	const struct slot_bucket *first, *second, *third;
	struct proxy_reply key;
	__u64 hash, before;
	int err;

	if (!flow)
		return -EINVAL;
	if (how & ENTER_OTHER_PORT)
		flow->key.lport = other_port(flow->cport);
	if (how & ENTER_CHECK_SOCKETS && socket_has(skb, &flow->key))
		return -EADDRINUSE;
	key = how & ENTER_PIN ? proxy_client_side(flow) : flow->key;
	hash = proxy_flow_hash(cfg_hash_keys, &key);
	first = slot_bucket_at(hash, 0);
	second = slot_bucket_at(hash, 1);
	third = slot_bucket_at(hash, 2);
	if (!first || !second || !third)
		return -EINVAL;
	before = buckets_sum(first, second, third, hash);
	/* Without an entry of this tag there is nothing to search. */
	err = before ? (int)flow_search(&key) : 0;
	if (err)
		return how & ENTER_PIN ? err : how & ENTER_OTHER_PORT ? -EADDRINUSE : -EEXIST;
	err = flow_publish(number, hash, before, how);
	return how & ENTER_OTHER_PORT && err == -EBUSY ? -EADDRINUSE : err;
}

/* A free slot, by slot_take(): its number + 1, or a negative errno. Global: see flow_enter(). */
__noinline long flow_take(void)
{
	__u64 taken;
	int err = slot_take(&taken);

	return err ?: (long)taken;
}

/*
 * The flow in slot @number could not be entered: is the one that has its ports this very flow?
 * Another CPU has made it a moment ago, or it is left from before its mapping pointed elsewhere for
 * a while. A global function for the same reason as flow_enter(). Return: the number of its slot +
 * 1; -EEXIST if it is another flow; -EBUSY if it is being removed, which is a matter of a few
 * instructions of another CPU.
 */
__noinline int flow_adopt(__u32 number)
{
	const struct proxy_flow *flow = flow_at(number);
	struct proxy_flow *other;
	__u32 tick, found, before;

	if (!flow)
		return -EINVAL;
	other = flow_lookup(&flow->key, &found);
	tick = flow_tick(other);
	if (!other)
		return -EBUSY;
	if (other->orig != flow->orig || other->oport != flow->oport ||
	    other->cport != flow->cport || other->client != flow->client)
		return -EEXIST;
	if (!flow_claim(other, tick))
		return -EBUSY;
	before = other->state;
	if (__sync_val_compare_and_swap(&other->state, before,
					flow->state | (before & PROXY_FLOW_PINNED)) != before)
		return -EBUSY;
	other->last_seen = flow->last_seen;
	return (int)found + 1;
}

/*
 * Enter the flow in slot @number with the source port of its key or, if that is taken, another; or
 * take over the one that is there. @number: of the slot that the flow has in the end.
 */
static __always_inline enum proxy_counter flow_insert(struct __sk_buff *skb, __u32 *number,
						      __u32 how)
{
	struct proxy_flow *flow = flow_at(*number);
	int i, err = -EBUSY;

	for (i = 0; i < REMOVAL_TRIES && err == -EBUSY; i++) {
		err = flow_enter(skb, *number, how);
		if (err == -EEXIST)
			err = flow_adopt(*number);
	}
	if (err > 0)
		*number = (__u32)err - 1;
	if (ports_taken(err) && flow) {
		flow->state |= PROXY_FLOW_PORT;
		err = -EADDRINUSE;
		for (i = 0; i < PORT_TRIES && err == -EADDRINUSE; i++)
			err = flow_enter(skb, *number, how | ENTER_OTHER_PORT);
	}
	if (err >= 0)
		return PROXY_OK;
	if (ports_taken(err))
		return PROXY_NO_PORT;
	return err == -ENOSPC ? PROXY_FULL : PROXY_FAILED;
}

/* Have packets find a flow by its key only. */
static __always_inline void flow_unpin(struct proxy_flow *flow, __u32 number)
{
	if (__sync_fetch_and_and(&flow->state, ~PROXY_FLOW_PINNED) & PROXY_FLOW_PINNED)
		slot_unlink(flow->pin, number);
}

/* Remove a flow that a packet may be using; user space gives its slot back after a while. */
static __always_inline void flow_end(struct proxy_flow *flow, __u32 number)
{
	__sync_lock_test_and_set(&flow->tick, PROXY_TICK_GONE);
	if (flow->state & PROXY_FLOW_PINNED)
		slot_unlink(flow->pin, number);
	slot_unlink(flow->place, number);
	flow->last_seen = bpf_ktime_get_coarse_ns();
	__sync_lock_test_and_set(&flow->ended, 1);
}

/* The pinned flow of @req->p, which begins or goes on with one, claimed, or NULL. */
static __always_inline struct proxy_flow *flow_get_pinned(struct flow_request *req)
{
	const struct packet *p = &req->p;
	const struct proxy_reply key = client_side(p);
	struct proxy_flow *flow = state.pins ? flow_get_of(&key, p, &req->number) : NULL;

	if (!flow)
		return NULL;
	/* The mapping has gone or has another target now: connections stay, all else moves. */
	if ((flow->key.remote != req->key.remote || flow->key.rport != req->key.rport) &&
	    (p->proto == IPPROTO_UDP || flow_reopens(flow, p))) {
		if (p->proto == IPPROTO_UDP)
			flow_unpin(flow, req->number);
		else /* or it would be found in place of its successor if the mapping goes back */
			flow_end(flow, req->number);
		changed();
		return NULL;
	}
	req->key = flow->key;
	return flow;
}

/*
 * Pin the flow in slot @number. If another CPU was faster, with another port, @number is set to
 * that flow's.
 */
static __always_inline enum proxy_counter flow_pin(struct __sk_buff *skb, __u32 *number)
{
	struct proxy_flow *flow = flow_at(*number);
	int i, err = -EBUSY;

	if (!flow)
		return PROXY_FAILED;
	if (__sync_fetch_and_or(&flow->state, PROXY_FLOW_PINNED) & PROXY_FLOW_PINNED)
		return PROXY_OK;
	if (!state.pins)
		state.pins = 1;
	for (i = 0; i < REMOVAL_TRIES && err == -EBUSY; i++)
		err = flow_enter(skb, *number, ENTER_PIN);
	if (!err) {
		/* User space may have ended the flow, or unpinned it, before the pin was there. */
		if (!(*(volatile __u32 *)&flow->state & PROXY_FLOW_PINNED))
			slot_unlink(flow->pin, *number);
		return PROXY_OK;
	}
	flow_end(flow, *number);
	changed();
	if (err > 0) {
		*number = (__u32)err - 1;
		return PROXY_OK;
	}
	return err == -ENOSPC ? PROXY_FULL : PROXY_FAILED;
}

/*
 * Make the flow that @req->p begins, with the key of @req; @bits: its state; @pin: whether to
 * pin it, whatever its port. Return: PROXY_OK, with its slot in @req, or why there is none.
 */
static __always_inline enum proxy_counter flow_make(struct __sk_buff *skb,
						    const struct proxy_mapping *mapping,
						    struct flow_request *req, __u32 bits, __u32 pin)
{
	__u32 direct = bits & PROXY_FLOW_DIRECT, number;
	const struct packet *p = &req->p;
	enum proxy_counter reason;
	struct proxy_flow *flow;
	long taken = flow_take();

	number = (__u32)taken - 1;
	flow = taken > 0 ? flow_at(number) : NULL;
	if (!flow)
		return taken == -ENOSPC ? PROXY_FULL : PROXY_FAILED;
	flow->key = req->key;
	flow->last_seen = bpf_ktime_get_coarse_ns();
	flow->state = bits;
	flow->orig = p->daddr;
	flow->client = p->saddr;
	flow->oport = p->dport;
	flow->cport = p->sport;
	flow->mapping = mapping->id;
	flow->nexthop = direct ? PROXY_NEXTHOP_NONE : mapping->nexthop;
	req->number = number;
	reason = flow_insert(skb, &req->number,
			     !direct && mapping->flags & PROXY_MAPPING_ASK ? ENTER_CHECK_SOCKETS
									   : 0);
	bits = flow->state;
	if (reason != PROXY_OK || req->number != number) {
		__builtin_memset(flow, 0, sizeof(*flow));
		slot_keep((__u64)taken);
	}
	if (reason == PROXY_OK && (pin || bits & PROXY_FLOW_PORT))
		reason = flow_pin(skb, &req->number);
	if (reason != PROXY_OK)
		return reason;
	count(PROXY_FLOWS);
	if (bits & PROXY_FLOW_PORT)
		count(PROXY_PORTS);
	return PROXY_OK;
}

/* See flow_open(). */
static __always_inline int flow_find_or_make(struct __sk_buff *skb,
					     const struct proxy_mapping *mapping,
					     struct flow_request *req)
{
	__u32 pin = state.flags & PROXY_STATE_PIN, pinned = 0, direct, bits;
	const struct packet *p = &req->p;
	enum proxy_counter reason;
	struct proxy_flow *flow;

	flow = req->tick != PROXY_TICK_GONE ? flow_get_of(&req->key, p, &req->number) : NULL;
	if (!flow) {
		flow = flow_get_pinned(req);
		pinned = flow != NULL;
	}
	if (flow && !flow_reopens(flow, p))
		return FLOW_OPEN;

	if (!mapping)
		return PROXY_OK;
	direct = mapping->flags & PROXY_MAPPING_DIRECT;
	bits = flow_bits_out(p);
	if (flow) {
		__sync_fetch_and_and(&flow->state, ~0xffffU);
		__sync_fetch_and_or(&flow->state, bits);
		flow->last_seen = bpf_ktime_get_coarse_ns();
		/* Packets that have told nothing new may do so again. */
		if (pinned || !ticks_passed(req->tick))
			changed();
		return FLOW_OPEN;
	}
	if (!may_begin(p)) {
		const __u8 syn_ack = TCP_SYN | TCP_ACK;

		/*
		 * An answer to a connection that the original host itself has opened from the
		 * mapped port: known from here on, and left alone.
		 */
		if (direct || (p->tcp_flags & (syn_ack | TCP_RST)) != syn_ack)
			return direct ? PROXY_OK : PROXY_NO_FLOW;
		req->key.remote = p->daddr;
		req->key.local = p->saddr;
		req->key.rport = p->dport;
		direct = pin = 1;
	}
	if (direct)
		bits |= PROXY_FLOW_DIRECT;
	else if (mapping->flags & PROXY_MAPPING_LOCAL)
		bits |= PROXY_FLOW_LOCAL;
	if (req->key.lport != p->sport)
		bits |= PROXY_FLOW_PORT;
	reason = flow_make(skb, mapping, req, bits, pin);
	return reason == PROXY_OK ? FLOW_OPEN : (int)reason;
}

/**
 * flow_open - the slow path: a flow that is not where its mapping leads, or does not exist yet
 * @mapping: NULL if there is none any more: the flow is then used, but not made; the key in @req is
 * 0
 *
 * A global function: the verifier goes through it once, and not once for each way that a packet can
 * take to get here.
 * Return: FLOW_OPEN, with the flow's slot in @req (another CPU may just be taking back one that it
 * has made); or why there is none, PROXY_OK if the packet is none of our business.
 */
__noinline int flow_open(struct __sk_buff *skb, const struct proxy_mapping *mapping,
			 struct flow_request *req)
{
	if (!req)
		return PROXY_FAILED;
	return flow_find_or_make(skb, mapping, req);
}

#endif /* BPF_PROXY_FLOW_H */
