/* SPDX-License-Identifier: GPL-2.0-only */
/* Flows of the proxy: finding, making and following them. BPF only. */
#ifndef PROXY_FLOW_H
#define PROXY_FLOW_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/in.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "proxy-maps.h"
#include "proxy-packet.h"

#define PORT_TRIES 32
#define REMOVAL_TRIES 8

/** mapping_find - where packets to @addr and @port go, or NULL if they are none of our business */
static __always_inline struct proxy_mapping *mapping_find(__be32 addr, __be16 port, __u8 proto)
{
	struct proxy_dest dest = { .addr = addr, .port = port, .proto = proto };
	struct proxy_mapping *mapping = bpf_map_lookup_elem(&egress, &dest);
	const struct proxy_state *settings;

	if (mapping)
		return mapping;
	settings = state_get();
	if (!settings || !(settings->flags & PROXY_STATE_WILDCARDS))
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
	return a->remote == b->remote && a->local == b->local && a->rport == b->rport &&
	       a->lport == b->lport && a->proto == b->proto;
}

/* What @origin is pinned to, or NULL. Hardly ever is anything: then this table is not touched. */
static __always_inline struct proxy_reply *pin_find(const struct proxy_origin *origin)
{
	const struct proxy_state *settings = state_get();

	return settings && settings->pins ? bpf_map_lookup_elem(&pinned, origin) : NULL;
}

static __always_inline long pin_enter(const struct proxy_origin *origin,
				      const struct proxy_reply *key, __u64 flags)
{
	struct proxy_state *settings = state_get();

	if (settings && !settings->pins)
		settings->pins = 1;
	return bpf_map_update_elem(&pinned, origin, key, flags);
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
 * The map uses the memory of a removed entry again at once. But a flow is removed only after more
 * than TICKS without a packet, and by a compare-and-swap of its tick, as here: so if the tick is
 * recent, or still the old one and now replaced, @flow is what it was, and stays for seconds.
 * Most packets store nothing.
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
	found = __sync_val_compare_and_swap(&flow->tick, tick, tick_now());
	if (found == tick)
		flow->last_seen = bpf_ktime_get_coarse_ns();
	/* Otherwise another packet was faster, or it was removed and may be another flow by now. */
	return found == tick;
}

/**
 * flow_get - the flow of @key, claimed, or NULL
 *
 * A second look tells a flow that another packet has claimed from one that is gone.
 */
static __always_inline struct proxy_flow *flow_get(const struct proxy_reply *key)
{
	struct proxy_flow *flow;
	int i;

	for (i = 0; i < 2; i++) {
		flow = bpf_map_lookup_elem(&ingress, key);
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
	const struct proxy_state *settings = state_get();

	return bpf_get_smp_processor_id() * (settings ? settings->mapping_ids : 0) + mapping;
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
	struct bpf_sock_tuple tuple = {
		.ipv4.saddr = key->remote,
		.ipv4.daddr = key->local,
		.ipv4.sport = key->rport,
		.ipv4.dport = key->lport,
	};
	struct bpf_sock *sk;
	int taken;

	if (key->proto == IPPROTO_TCP) {
		sk = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
		if (!sk)
			return 0;
		taken = sk->state != BPF_TCP_LISTEN;
	} else {
		sk = bpf_sk_lookup_udp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
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
 * @key: set to its key
 */
static __always_inline struct proxy_flow *flow_find(const struct proxy_mapping *mapping,
						    const struct packet *p, struct proxy_reply *key)
{
	struct proxy_origin origin = {
		.client = p->saddr,
		.orig = p->daddr,
		.cport = p->sport,
		.oport = p->dport,
		.proto = p->proto,
	};
	struct proxy_reply *other;
	struct proxy_flow *flow;

	*key = reply_of(mapping, p);
	flow = bpf_map_lookup_elem(&ingress, key);
	if (flow_is(flow, p))
		return flow;
	other = pin_find(&origin);
	if (!other)
		return NULL;
	*key = *other;
	flow = bpf_map_lookup_elem(&ingress, key);
	return flow_is(flow, p) ? flow : NULL;
}

/* The flow of @key, claimed, if @p, which the client sent, belongs to it. */
static __always_inline struct proxy_flow *flow_get_of(const struct proxy_reply *key,
						      const struct packet *p)
{
	struct proxy_flow *flow;
	int i;

	for (i = 0; i < 2; i++) {
		__u32 tick;

		flow = bpf_map_lookup_elem(&ingress, key);
		tick = flow_tick(flow);
		if (!flow_is(flow, p))
			return NULL;
		if (flow_claim(flow, tick))
			return flow;
	}
	return NULL;
}

/* What flow_open() is asked for, and what it finds; one argument, for the stack's sake. */
struct flow_request {
	struct packet p;
	struct proxy_reply key; /* in: by the mapping; out: of the flow */
	__u32 tick; /* in: of the client's flow if it has this key, otherwise PROXY_TICK_GONE */
	enum proxy_counter reason; /* PROXY_OK; out: why there is no flow, if it is our business */
};

/*
 * Enter @flow under @key if nobody has its ports: -EADDRINUSE if a socket has. The insert is the
 * lock: whoever comes second gets -EEXIST. A global function: the verifier goes through it once,
 * and not once for each port.
 */
__noinline int flow_enter(struct __sk_buff *skb, const struct proxy_reply *key,
			  const struct proxy_flow *flow, int check_sockets)
{
	if (!key || !flow)
		return -EINVAL;
	if (check_sockets && socket_has(skb, key))
		return -EADDRINUSE;
	return bpf_map_update_elem(&ingress, key, flow, BPF_NOEXIST);
}

static __always_inline int ports_taken(int err)
{
	return err == -EEXIST || err == -EADDRINUSE;
}

/*
 * Enter @flow under @key, or take over the entry if it is this very flow: another CPU has made it a
 * moment ago, or it is left from before its mapping pointed elsewhere for a while. If it is being
 * removed, that is a matter of two instructions of another CPU.
 * A global function for the same reason as flow_enter().
 * Return: 0, -EEXIST or -EADDRINUSE if somebody else has the ports, another negative errno.
 */
__noinline int flow_enter_or_adopt(struct __sk_buff *skb, const struct proxy_reply *key,
				   const struct proxy_flow *flow, int check_sockets)
{
	int i, err = -EBUSY;

	if (!key || !flow)
		return -EINVAL;

	for (i = 0; i < REMOVAL_TRIES; i++) {
		struct proxy_flow *other;
		__u32 tick;

		err = flow_enter(skb, key, flow, check_sockets);
		if (err != -EEXIST)
			return err;
		other = bpf_map_lookup_elem(&ingress, key);
		tick = flow_tick(other);
		if (!other) /* it has just been removed */
			continue;
		if (other->orig != flow->orig || other->oport != flow->oport ||
		    other->cport != flow->cport || other->client != flow->client)
			return err;
		if (flow_claim(other, tick)) {
			other->state = flow->state;
			other->last_seen = flow->last_seen;
			return 0;
		}
		err = -EBUSY;
	}
	return err;
}

/*
 * Enter @flow with one of the source ports that may take the place of the client's: privileged ones
 * stay so, and even ones stay even (RFC 4787, REQ-3 and REQ-4). Global: see flow_enter().
 * Return: 0, with the port in @key, or as flow_enter_or_adopt().
 */
__noinline int flow_enter_elsewhere(struct __sk_buff *skb, struct proxy_reply *key,
				    const struct proxy_flow *flow, int check_sockets)
{
	__u32 old, first, pairs;
	int i, err = -EEXIST;

	if (!key || !flow)
		return -EINVAL;
	old = bpf_ntohs(flow->cport);
	first = (old < 1024 ? 2 : 1024) + (old & 1);
	pairs = old < 1024 ? 511 : 32256;
	for (i = 0; i < PORT_TRIES && ports_taken(err); i++) {
		key->lport = bpf_htons(first + bpf_get_prandom_u32() % pairs * 2);
		err = flow_enter(skb, key, flow, check_sockets);
	}
	return err;
}

/* Enter @flow with the source port of @key or, if that is taken, another. */
static __always_inline enum proxy_counter flow_insert(struct __sk_buff *skb,
						      struct proxy_reply *key,
						      struct proxy_flow *flow, int check_sockets)
{
	int err = flow_enter_or_adopt(skb, key, flow, check_sockets);

	if (ports_taken(err)) {
		flow->state |= PROXY_FLOW_PORT;
		err = flow_enter_elsewhere(skb, key, flow, check_sockets);
	}
	if (!err)
		return PROXY_OK;
	if (ports_taken(err))
		return PROXY_NO_PORT;
	return err == -E2BIG || err == -ENOMEM ? PROXY_FULL : PROXY_FAILED;
}

/* See flow_open(). */
static __always_inline int flow_find_or_make(struct __sk_buff *skb,
					     const struct proxy_mapping *mapping,
					     struct flow_request *req)
{
	const struct packet *p = &req->p;
	const struct proxy_origin origin = {
		.client = p->saddr,
		.orig = p->daddr,
		.cport = p->sport,
		.oport = p->dport,
		.proto = p->proto,
	};
	struct proxy_flow fresh = {
		.last_seen = bpf_ktime_get_coarse_ns(),
		.state = flow_bits_out(p),
		.orig = p->daddr,
		.client = p->saddr,
		.oport = p->dport,
		.cport = p->sport,
		.mapping = mapping->id,
		.nexthop = mapping->nexthop,
		.tick = tick_now(),
	};
	__u32 pin = mapping->flags & PROXY_MAPPING_PIN, direct;
	struct proxy_flow *flow;
	struct proxy_reply *pinned_key;
	enum proxy_counter reason;

	flow = req->tick != PROXY_TICK_GONE ? flow_get_of(&req->key, p) : NULL;
	pinned_key = NULL;
	if (!flow)
		pinned_key = pin_find(&origin);
	if (pinned_key) {
		struct proxy_reply key = *pinned_key;
		int moved = key.remote != req->key.remote || key.rport != req->key.rport;

		flow = flow_get_of(&key, p);
		/* The mapping has another target now: connections stay, all else moves there. */
		if (moved && (!flow || p->proto == IPPROTO_UDP || flow_reopens(flow, p))) {
			bpf_map_delete_elem(&pinned, &origin);
			pinned_key = NULL;
			flow = NULL;
			changed();
		} else {
			req->key = key;
		}
	}
	if (flow && !flow_reopens(flow, p))
		return 1;

	direct = mapping->flags & PROXY_MAPPING_DIRECT;
	if (mapping->flags & PROXY_MAPPING_DRAINING) {
		req->reason = PROXY_DRAINING;
		return 0;
	}
	if (flow) {
		flow->state = (flow->state & ~0xffffU) | fresh.state;
		flow->last_seen = fresh.last_seen;
		/* Packets that have told nothing new may do so again. */
		if (pinned_key || !ticks_passed(req->tick))
			changed();
		return 1;
	}
	if (!may_begin(p)) {
		const __u8 syn_ack = TCP_SYN | TCP_ACK;

		/*
		 * An answer to a connection that the original host itself has opened from the
		 * mapped port: known from here on, and left alone.
		 */
		if (direct || (p->tcp_flags & (syn_ack | TCP_RST)) != syn_ack) {
			req->reason = direct ? PROXY_OK : PROXY_NO_FLOW;
			return 0;
		}
		req->key.remote = p->daddr;
		req->key.local = p->saddr;
		req->key.rport = p->dport;
		direct = pin = 1;
	}
	if (direct) {
		fresh.state |= PROXY_FLOW_DIRECT;
		fresh.nexthop = PROXY_NEXTHOP_NONE;
	} else if (mapping->flags & PROXY_MAPPING_LOCAL)
		fresh.state |= PROXY_FLOW_LOCAL;
	if (req->key.lport != p->sport)
		fresh.state |= PROXY_FLOW_PORT;
	reason = flow_insert(skb, &req->key, &fresh, !direct);
	if (reason == PROXY_OK && (pin || fresh.state & PROXY_FLOW_PORT)) {
		long err = pin_enter(&origin, &req->key, pinned_key ? BPF_ANY : BPF_NOEXIST);

		if (err) {
			bpf_map_delete_elem(&ingress, &req->key);
			pinned_key = bpf_map_lookup_elem(&pinned, &origin);
			if (pinned_key) { /* another CPU was faster, with another port */
				req->key = *pinned_key;
				return 1;
			}
			reason = err == -E2BIG || err == -ENOMEM ? PROXY_FULL : PROXY_FAILED;
		}
	}
	if (reason != PROXY_OK) {
		req->reason = reason;
		return 0;
	}
	count(PROXY_FLOWS);
	if (fresh.state & PROXY_FLOW_PORT)
		count(PROXY_PORTS);
	return 1;
}

/**
 * flow_open - the slow path: a flow that is not where its mapping leads, or does not exist yet
 *
 * A global function: the verifier goes through it once, and not once for each way that a packet can
 * take to get here.
 * Return: whether there is a flow now, under the key in @req; if not, why is in @req. (Another CPU
 * may just be taking back one that it has made.)
 */
__noinline int flow_open(struct __sk_buff *skb, const struct proxy_mapping *mapping,
			 struct flow_request *req)
{
	if (!mapping || !req)
		return 0;
	return flow_find_or_make(skb, mapping, req);
}

#endif /* PROXY_FLOW_H */
