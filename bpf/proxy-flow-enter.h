/* SPDX-License-Identifier: GPL-2.0-only */
/* proxy: making flows and pinning them, the slow path of a client's packet. BPF only. */
#ifndef BPF_PROXY_FLOW_ENTER_H
#define BPF_PROXY_FLOW_ENTER_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/in.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "proxy-flow.h"
#include "proxy-maps.h"
#include "proxy-parse.h"
#include "slot-table.h"

/* How many source ports to try for a flow, and how often to retry while another is removed. */
#define PORT_TRIES 32
#define REMOVAL_TRIES 8

#if PROXY_FAMILY == 4
#define SOCK_TUPLE ipv4
#else
#define SOCK_TUPLE ipv6
#endif

/* Tell whether @sk is connected to the remote of @key. */
static __always_inline int socket_is_to(const struct bpf_sock *sk, const struct proxy_reply *key)
{
	proxy_addr addr;
#if PROXY_FAMILY == 4
	addr = sk->dst_ip4;
#else
	const __u32 words[] = { sk->dst_ip6[0], sk->dst_ip6[1], sk->dst_ip6[2], sk->dst_ip6[3] };

	__builtin_memcpy(&addr, words, sizeof(addr));
#endif
	return proxy_addr_equal(&addr, &key->remote) && sk->dst_port == key->rport;
}

/*
 * Tell whether a socket of this host talks to the target directly with the 5-tuple of @key. If it
 * began before the proxy and has sent nothing since, it has no flow. A function of its own, so that
 * its variables are not on the stack of flow_publish().
 */
static __noinline int socket_has(struct __sk_buff *skb, const struct proxy_reply *key)
{
	/* Not all of the union, whose IPv6 part is longer: the stack is tight here. */
	typeof(((struct bpf_sock_tuple *)NULL)->SOCK_TUPLE) ends = {
		.sport = key->rport,
		.dport = key->lport,
	};
	struct bpf_sock_tuple *tuple = (void *)&ends;
	struct bpf_sock *sk;
	int taken;

	__builtin_memcpy(&ends.saddr, &key->remote, sizeof(key->remote));
	__builtin_memcpy(&ends.daddr, &key->local, sizeof(key->local));
	if (key->proto == IPPROTO_TCP) {
		sk = bpf_skc_lookup_tcp(skb, tuple, sizeof(ends), BPF_F_CURRENT_NETNS, 0);
		if (!sk)
			return 0;
		taken = sk->state != BPF_TCP_LISTEN;
	} else {
		sk = bpf_sk_lookup_udp(skb, tuple, sizeof(ends), BPF_F_CURRENT_NETNS, 0);
		if (!sk)
			return 0;
		taken = socket_is_to(sk, key);
	}
	bpf_sk_release(sk);
	return taken;
}

/* Tell whether @p may begin a flow. */
static __always_inline int may_begin(const struct packet *p)
{
	if (p->proto != IPPROTO_TCP || is_syn(p))
		return 1;
	/* The middle of a connection: its flow was flushed, or it began before the proxy. */
	return (p->tcp_flags & (TCP_ACK | TCP_SYN | TCP_RST)) == TCP_ACK;
}

/* Look up and claim the flow of @key if client packet @p belongs to it. @number: of its slot. */
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

/* The arguments and results of flow_open() in one, which saves stack. */
struct flow_request {
	struct packet p;	/* of the client */
	struct proxy_reply key; /* in: of the flow that the mapping leads to; out: of the flow */
	__u32 tick;   /* in: of the flow with this key if it is the packet's; or PROXY_TICK_GONE */
	__u32 number; /* out: of the flow's slot; FLOW_NONE: the packet passes as it is */
};

/*
 * Where the program at egress has the packet and, on the slow path, the request. They are one for
 * IPv4. For IPv6, the packet is on the stack for the fast path only, and the slow path reads it
 * again.
 */
#if PROXY_FAMILY == 4
struct egress_space {
	struct flow_request req;
};

static __always_inline struct packet *egress_packet(struct egress_space *space)
{
	return &space->req.p;
}

static __always_inline struct flow_request *egress_request(struct egress_space *space)
{
	return &space->req;
}
#else
struct egress_space {
	struct packet p;
};

static __always_inline struct packet *egress_packet(struct egress_space *space)
{
	return &space->p;
}

static __always_inline struct flow_request *egress_request(struct egress_space *space)
{
	WORK(flow_request, req, WORK_REQUEST);

	(void)space;
	if (req)
		req->p.l4 = PACKET_UNREAD;
	return req;
}
#endif

/*
 * Add up the slots that the buckets of @hash have under its tag. If the sum is the same later, no
 * flow with this hash has been made or removed in between.
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

/* Options of flow_enter(). */
enum {
	ENTER_CHECK_SOCKETS = 1 << 0,
	ENTER_OTHER_PORT = 1 << 1, /* choose another source port than the client's */
	ENTER_PIN = 1 << 2,	   /* the flow has been entered: enter its client's side */
};

/*
 * Make the buckets of @hash refer to slot @number, unless they have changed since @before
 * (buckets_sum()).
 *
 * Two packets may begin flows of one key at the same time, and only one may succeed. The lock of
 * the hash ensures that. It covers only a few loads, since the kernel allows no call under it.
 * Return: 0; -ENOSPC if the buckets are full; -EBUSY if another packet was faster.
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
	/* A full barrier: a program that sees the tick, or the entry, sees the rest of the flow. */
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
 * Choose a source port in place of the client's at random: a privileged port for a privileged one,
 * and an even port for an even one (RFC 4787, REQ-3 and REQ-4).
 */
static __always_inline __be16 other_port(__be16 cport)
{
	__u32 old = bpf_ntohs(cport);
	__u32 first = (old < 1024 ? 2 : 1024) + (old & 1), pairs = old < 1024 ? 511 : 32256;

	return bpf_htons(first + bpf_get_prandom_u32() % pairs * 2);
}

/*
 * Enter the flow in slot @number into the table, unless another flow or a socket has its ports. A
 * global function: the verifier checks it once, and not once for each port that is tried.
 * Return: 0; -EEXIST if a flow has the ports, or has been pinned, with @other set to its slot;
 * -EADDRINUSE if a socket has the ports, or if a port that was chosen is taken; -ENOSPC; -EBUSY.
 */
__noinline int flow_enter(struct __sk_buff *skb, __u32 number, __u32 how, __u32 *other)
{
	struct proxy_flow *flow = flow_at(number);
	const struct slot_bucket *first, *second, *third;
	__u64 hash, before;
	int err;

	WORK(proxy_reply, key, WORK_KEY);

	if (!flow || !other || !key)
		return -EINVAL;
	if (how & ENTER_OTHER_PORT)
		flow->key.lport = other_port(flow->cport);
	if (how & ENTER_CHECK_SOCKETS && socket_has(skb, &flow->key))
		return -EADDRINUSE;
	*key = how & ENTER_PIN ? proxy_client_side(flow) : flow->key;
	hash = proxy_flow_hash(cfg_hash_keys, key);
	first = slot_bucket_at(hash, 0);
	second = slot_bucket_at(hash, 1);
	third = slot_bucket_at(hash, 2);
	if (!first || !second || !third)
		return -EINVAL;
	before = buckets_sum(first, second, third, hash);
	/* Without an entry of this tag there is nothing to search. */
	*other = before ? flow_search(key) : FLOW_NONE;
	if (*other != FLOW_NONE)
		return how & ENTER_OTHER_PORT ? -EADDRINUSE : -EEXIST;
	err = flow_publish(number, hash, before, how);
	return how & ENTER_OTHER_PORT && err == -EBUSY ? -EADDRINUSE : err;
}

/* Take a free slot. @taken: set to its number + 1. Return: 0, or the errno of slot_take(). */
__noinline int flow_take(__u64 *taken)
{
	return taken ? slot_take(taken) : -EINVAL;
}

/*
 * Take over the flow that has the ports of the one in slot @number, which could not be entered, if
 * the two belong to the same client and original. Another CPU has then made it just now, or it
 * remains from before its mapping had another target for a while. Global, as flow_enter().
 * Return: 0, with @adopted set to its slot; -EEXIST if it is a different flow; -EBUSY if another
 * CPU is removing it, which takes a few instructions.
 */
__noinline int flow_adopt(__u32 number, __u32 *adopted)
{
	const struct proxy_flow *flow = flow_at(number);
	struct proxy_flow *other;
	__u32 tick, before;

	if (!flow || !adopted)
		return -EINVAL;
	other = flow_lookup(&flow->key, adopted);
	tick = flow_tick(other);
	if (!other)
		return -EBUSY;
	if (!proxy_addr_equal(&other->orig, &flow->orig) || other->oport != flow->oport ||
	    other->cport != flow->cport || !proxy_addr_equal(&other->client, &flow->client))
		return -EEXIST;
	if (!flow_claim(other, tick))
		return -EBUSY;
	before = other->state;
	if (__sync_val_compare_and_swap(&other->state, before,
					flow->state | (before & PROXY_FLOW_PINNED)) != before)
		return -EBUSY;
	other->last_seen = flow->last_seen;
	return 0;
}

/*
 * Enter the flow in slot @number: with the source port of its key if that is free, otherwise with
 * another. If the flow is there already, set @number to its slot.
 */
static __always_inline enum proxy_counter flow_insert(struct __sk_buff *skb, __u32 *number,
						      __u32 how)
{
	struct proxy_flow *flow = flow_at(*number);
	__u32 other = FLOW_NONE;
	int i, err = -EBUSY;

	for (i = 0; i < REMOVAL_TRIES && err == -EBUSY; i++) {
		err = flow_enter(skb, *number, how, &other);
		if (err == -EEXIST)
			err = flow_adopt(*number, &other);
	}
	if (!err && other != FLOW_NONE)
		*number = other;
	if (ports_taken(err) && flow) {
		flow->state |= PROXY_FLOW_PORT;
		err = -EADDRINUSE;
		for (i = 0; i < PORT_TRIES && err == -EADDRINUSE; i++)
			err = flow_enter(skb, *number, how | ENTER_OTHER_PORT, &other);
	}
	if (!err)
		return PROXY_OK;
	if (ports_taken(err))
		return PROXY_NO_PORT;
	return err == -ENOSPC ? PROXY_FULL : PROXY_FAILED;
}

/* Remove the client-side entry; the flow stays reachable by its key. */
static __always_inline void flow_unpin(struct proxy_flow *flow, __u32 number)
{
	if (__sync_fetch_and_and(&flow->state, ~PROXY_FLOW_PINNED) & PROXY_FLOW_PINNED)
		slot_unlink(flow->pin, number);
}

/* Remove a flow that packets may be using. User space gives its slot back later. */
static __always_inline void flow_end(struct proxy_flow *flow, __u32 number)
{
	__sync_lock_test_and_set(&flow->tick, PROXY_TICK_GONE);
	if (flow->state & PROXY_FLOW_PINNED)
		slot_unlink(flow->pin, number);
	slot_unlink(flow->place, number);
	flow->last_seen = bpf_ktime_get_coarse_ns();
	__sync_lock_test_and_set(&flow->ended, 1);
}

/* Look up and claim the pinned flow of @req->p, or return NULL. */
static __always_inline struct proxy_flow *flow_get_pinned(struct flow_request *req)
{
	const struct packet *p = &req->p;
	struct proxy_flow *flow;

	WORK(proxy_reply, key, WORK_KEY);

	if (!state.pins || !key)
		return NULL;
	*key = client_side(p);
	flow = flow_get_of(key, p, &req->number);
	if (!flow)
		return NULL;
	/* The mapping is gone or has another target: connections stay, datagrams move. */
	if ((!proxy_addr_equal(&flow->key.remote, &req->key.remote) ||
	     flow->key.rport != req->key.rport) &&
	    (p->proto != IPPROTO_TCP || flow_reopens(flow, p))) {
		if (p->proto != IPPROTO_TCP)
			flow_unpin(flow, req->number);
		else /* otherwise it would shadow the new flow once the mapping is changed back */
			flow_end(flow, req->number);
		changed();
		return NULL;
	}
	req->key = flow->key;
	return flow;
}

/*
 * Pin the flow in slot @number. If another CPU was faster, and its flow has another port, set
 * @number to the slot of that.
 */
static __always_inline enum proxy_counter flow_pin(struct __sk_buff *skb, __u32 *number)
{
	struct proxy_flow *flow = flow_at(*number);
	__u32 other = FLOW_NONE;
	int i, err = -EBUSY;

	if (!flow)
		return PROXY_FAILED;
	if (__sync_fetch_and_or(&flow->state, PROXY_FLOW_PINNED) & PROXY_FLOW_PINNED)
		return PROXY_OK;
	if (!state.pins)
		state.pins = 1;
	for (i = 0; i < REMOVAL_TRIES && err == -EBUSY; i++)
		err = flow_enter(skb, *number, ENTER_PIN, &other);
	if (!err) {
		/* User space may have ended the flow, or unpinned it, before the pin was there. */
		if (!(*(volatile __u32 *)&flow->state & PROXY_FLOW_PINNED))
			slot_unlink(flow->pin, *number);
		return PROXY_OK;
	}
	flow_end(flow, *number);
	changed();
	if (err == -EEXIST) {
		*number = other;
		return PROXY_OK;
	}
	return err == -ENOSPC ? PROXY_FULL : PROXY_FAILED;
}

/*
 * Make the flow that @req->p begins, with the key in @req and the state @bits. @pin: pin it even if
 * its port is the client's. Return: PROXY_OK with the slot in @req, or the reason why not.
 */
static __always_inline enum proxy_counter flow_make(struct __sk_buff *skb,
						    const struct proxy_mapping *mapping,
						    struct flow_request *req, __u32 bits, __u32 pin)
{
	__u32 direct = bits & PROXY_FLOW_DIRECT, number;
	const struct packet *p = &req->p;
	enum proxy_counter reason;
	struct proxy_flow *flow;
	__u64 taken = 0;
	int err = flow_take(&taken);

	number = (__u32)taken - 1;
	flow = flow_at(number);
	if (err || !flow)
		return err == -ENOSPC ? PROXY_FULL : PROXY_FAILED;
	flow->key = req->key;
	flow->last_seen = bpf_ktime_get_coarse_ns();
	flow->state = bits;
	flow->orig = p->from.daddr;
	flow->client = p->from.saddr;
	flow->oport = p->from.dport;
	flow->cport = p->from.sport;
	flow->mapping = mapping->id;
	flow->nexthop = direct ? PROXY_NEXTHOP_NONE : mapping->nexthop;
	req->number = number;
	reason = flow_insert(skb, &req->number,
			     !direct && mapping->flags & PROXY_MAPPING_ASK ? ENTER_CHECK_SOCKETS
									   : 0);
	bits = flow->state;
	if (reason != PROXY_OK || req->number != number) {
		__builtin_memset(flow, 0, sizeof(*flow));
		slot_keep(taken);
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
static __always_inline enum proxy_counter flow_find_or_make(struct __sk_buff *skb,
							    const struct proxy_mapping *mapping,
							    struct flow_request *req)
{
	__u32 pin = state.flags & PROXY_STATE_PIN, pinned = 0, direct, bits;
	const struct packet *p = &req->p;
	struct proxy_flow *flow;

	flow = req->tick != PROXY_TICK_GONE ? flow_get_of(&req->key, p, &req->number) : NULL;
	if (!flow) {
		flow = flow_get_pinned(req);
		pinned = flow != NULL;
	}
	if (flow && !flow_reopens(flow, p))
		return PROXY_OK;

	if (!mapping) {
		req->number = FLOW_NONE;
		return PROXY_OK;
	}
	direct = mapping->flags & PROXY_MAPPING_DIRECT;
	bits = flow_bits_out(p);
	if (flow) {
		__sync_fetch_and_and(&flow->state, ~0xffffU);
		__sync_fetch_and_or(&flow->state, bits);
		flow->last_seen = bpf_ktime_get_coarse_ns();
		/* The state has changed: invalidate what the caches noted of it. */
		if (pinned || !ticks_passed(req->tick))
			changed();
		return PROXY_OK;
	}
	if (!may_begin(p)) {
		const __u8 syn_ack = TCP_SYN | TCP_ACK;

		/*
		 * An answer to a connection that the original host has opened from the mapped
		 * port. Make a flow for it, whose packets stay as they are.
		 */
		if (direct || (p->tcp_flags & (syn_ack | TCP_RST)) != syn_ack) {
			req->number = FLOW_NONE;
			return direct ? PROXY_OK : PROXY_NO_FLOW;
		}
		req->key.remote = p->from.daddr;
		req->key.local = p->from.saddr;
		req->key.rport = p->from.dport;
		direct = pin = 1;
	}
	if (direct)
		bits |= PROXY_FLOW_DIRECT;
	else if (mapping->flags & PROXY_MAPPING_LOCAL)
		bits |= PROXY_FLOW_LOCAL;
	if (req->key.lport != p->from.sport)
		bits |= PROXY_FLOW_PORT;
	return flow_make(skb, mapping, req, bits, pin);
}

/**
 * flow_open - find the flow of a packet that its mapping does not lead to, or make one
 * @mapping: NULL if it has been deleted: the flow is then used, but not made; the key in @req is 0
 *
 * A global function: the verifier checks it once, and not once for each path that leads here.
 * Return: PROXY_OK, with the slot in @req if the packet has a flow; or the reason why there is
 * none. Another CPU may be removing a flow that it has just made.
 */
__noinline int flow_open(struct __sk_buff *skb, const struct proxy_mapping *mapping,
			 struct flow_request *req)
{
	if (!req)
		return PROXY_FAILED;
	return flow_find_or_make(skb, mapping, req);
}

#endif /* BPF_PROXY_FLOW_ENTER_H */
