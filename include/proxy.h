/* SPDX-License-Identifier: GPL-2.0-only */
/* Maps of the proxy: written by bpf/proxy-hook.h and proxy/, read by both. */
#ifndef PROXY_H
#define PROXY_H

#include <linux/bpf.h>
#include <linux/types.h>

#include "slots.h"

/*
 * The family of the addresses below: 4 or 6. Each family has a datapath of its own, made of the
 * same sources; the structs have the same names and fields, and their sizes differ.
 */
#ifndef PROXY_FAMILY
#define PROXY_FAMILY 4
#endif

#if PROXY_FAMILY == 4
typedef __be32 proxy_addr;

/* Padding of the structs of IPv6. */
#define PROXY_PAD6(name, bytes)
#else
typedef struct {
	__u64 half[2]; /* in network byte order, as they lie in the packet */
} proxy_addr;

#define PROXY_PAD6(name, bytes) __u8 name[bytes]; /* 0 */
#endif

/* The size of a struct of either family. */
#define PROXY_SIZE(ipv4, ipv6) (PROXY_FAMILY == 4 ? (ipv4) : (ipv6))

/*
 * Addresses and ports are in network byte order, times in nanoseconds of CLOCK_MONOTONIC_COARSE.
 *
 * A packet of a client to an original address and port ("from") is sent to the target ("to");
 * replies of the target are given the original as their source. One slot of "flows" is one flow;
 * include/slots.h tells how it is found.
 */

/*
 * Raised whenever a struct of this file changes: a new proxy takes over the maps of an old one only
 * if both agree on it.
 */
enum { PROXY_LAYOUT = 13 };

/* Key of "mappings": the original destination. Short, for a cheap hash on every packet. */
struct proxy_dest {
	proxy_addr addr;
	__be16 port; /* 0: any port of this address (an exact match wins) */
	/* IPPROTO_TCP, IPPROTO_UDP; with port 0 also IPPROTO_ICMP or IPPROTO_ICMPV6: echo */
	__u8 proto;
	/*
	 * Programs look up entries with 0. User space keeps a deleted mapping under the same key
	 * with 1, as long as flows have its id.
	 */
	__u8 deleted;
	PROXY_PAD6(reserved, 4)
};
_Static_assert(sizeof(struct proxy_dest) == PROXY_SIZE(8, 24),
	       "proxy_dest is shared with user space");

enum proxy_mapping_flags {
	/*
	 * The address is itself a target (from == to). The program rewrites nothing, but makes a
	 * flow, so that no mapped flow gets the same 5-tuple.
	 */
	PROXY_MAPPING_DIRECT = 1 << 0,
	/* The target is an address of this host: the program redirects to the interface's ingress.
	 */
	PROXY_MAPPING_LOCAL = 1 << 1,
	/*
	 * A socket of this host may be connected to the target without having sent a packet since
	 * the proxy began. Its port is in use, though it has no flow: the program asks the kernel.
	 */
	PROXY_MAPPING_ASK = 1 << 2,
};

/* Value of "mappings": the new destination. */
struct proxy_mapping {
	proxy_addr addr;
	__be16 port;   /* 0: keep the packet's */
	__u16 flags;   /* enum proxy_mapping_flags */
	__u32 id;      /* index into "mapping_stats" */
	__u32 nexthop; /* index into "nexthops" */
	PROXY_PAD6(reserved, 4)
};
_Static_assert(sizeof(struct proxy_mapping) == PROXY_SIZE(16, 32),
	       "proxy_mapping is shared with user space");

/*
 * The side from which a flow is looked up. A flow is pinned, which is to have a second index entry,
 * under the client's tuple, if its mapping alone does not lead to it: because its port is
 * translated, or because it is older than its mapping's target.
 */
enum proxy_side {
	PROXY_SIDE_TARGET, /* the reply as it arrives from the target: every flow */
	PROXY_SIDE_CLIENT, /* the reply as the client receives it: pinned flows */
};
enum { PROXY_FLOW_KEYS = 2 }; /* index entries of one slot at most: one for either side */

/*
 * Key of a slot of "flows": the tuple of a reply. In a flow of ICMP echo, the identifier is the
 * port of the client, and the other port is 0.
 */
struct proxy_reply {
	proxy_addr remote; /* the target; by the client's side, the original */
	proxy_addr local;  /* the client; if the target is this host, the original in its place */
	__be16 rport;
	__be16 lport; /* the client's port as the target sees it */
	__u8 proto;
	__u8 side;	  /* enum proxy_side */
	__u8 reserved[2]; /* 0, since keys are compared in words of 8 bytes */
} __attribute__((aligned(8)));
_Static_assert(sizeof(struct proxy_reply) == PROXY_SIZE(16, 40),
	       "proxy_reply is shared with user space");

/* The kind of a flow, fixed when it is made (from bit 16 on), and the packets seen of it. */
enum proxy_flow_state {
	PROXY_FLOW_ACK = 1 << 0,     /* the client has sent an ACK: for TCP, its half is open */
	PROXY_FLOW_REPLIED = 1 << 1, /* the target has answered */
	PROXY_FLOW_FIN_OUT = 1 << 2, /* the client has finished sending */
	PROXY_FLOW_FIN_IN = 1 << 3,  /* so has the target */
	PROXY_FLOW_RST_OUT = 1 << 4, /* the client has sent an RST, and nothing since */
	PROXY_FLOW_RST_IN = 1 << 5,  /* the target has sent an RST, and nothing since */
	PROXY_FLOW_DIRECT = 1 << 16, /* the client talks to the target's own address */
	PROXY_FLOW_PORT = 1 << 17,   /* the port is translated */
	PROXY_FLOW_LOCAL = 1 << 18,  /* the target is an address of this host */
	PROXY_FLOW_PINNED = 1 << 19, /* or about to be: the CPU that sets this bit adds the entry */
};

/* Slot of "flows", one or two cache lines: the tuples of a flow on both sides. All zero: free. */
struct proxy_flow {
	struct proxy_reply key;
	__u64 last_seen; /* up to a second late: not every packet stores it */
	__u32 state;	 /* enum proxy_flow_state */
	PROXY_PAD6(reserved, 4)
	proxy_addr orig;
	proxy_addr client;
	__be16 oport;
	__be16 cport;  /* the client's own port */
	__u32 mapping; /* index into "mapping_stats" */
	__u32 nexthop; /* index into "nexthops" */
	/*
	 * Jiffies at last_seen, which cost programs less than the time, or PROXY_TICK_GONE. Changed
	 * by compare-and-swap only: either a packet uses an idle flow or user space removes it.
	 * Stored last when a flow is made.
	 */
	__u32 tick;
	__u32 place; /* where "buckets" refers to this slot */
	/*
	 * 1: removed at @last_seen; the slot is reused after a grace period. Not a bit of @state,
	 * which a program may be storing.
	 */
	__u32 ended;
	__u32 pin; /* if pinned: where "buckets" refers to this slot for the client's side */
	PROXY_PAD6(spare, 12)
};
_Static_assert(sizeof(struct proxy_flow) == PROXY_SIZE(64, 128), "shared with user space");

/* The slot has no flow, or one that is being made or removed: no packet may use it. */
enum { PROXY_TICK_GONE = 0 };

/*
 * Entry of "locks", a cache line; only programs take them. Neighbouring buckets share a lock: it
 * stays in the cache of a CPU whose clients use consecutive ports.
 */
enum { PROXY_LOCKS = 512, PROXY_LOCK_SPAN = 8 };

struct proxy_lock {
	struct bpf_spin_lock lock;
	__u32 reserved[15];
};
_Static_assert(sizeof(struct proxy_lock) == 64, "proxy_lock is a cache line");

/* The phase of a TCP connection, which selects its time-out. */
enum proxy_tcp_phase {
	PROXY_TCP_OPENING,     /* no handshake seen yet */
	PROXY_TCP_ESTABLISHED, /* both sides have spoken */
	PROXY_TCP_CLOSING,     /* FIN in both directions, or a reset */
};

/** proxy_tcp_phase - the phase of a TCP flow whose state is @state */
static inline enum proxy_tcp_phase proxy_tcp_phase(__u32 state)
{
	const __u32 open = PROXY_FLOW_ACK | PROXY_FLOW_REPLIED;
	const __u32 fins = PROXY_FLOW_FIN_OUT | PROXY_FLOW_FIN_IN;

	if (state & (PROXY_FLOW_RST_OUT | PROXY_FLOW_RST_IN) || (state & fins) == fins)
		return PROXY_TCP_CLOSING;
	return (state & open) == open ? PROXY_TCP_ESTABLISHED : PROXY_TCP_OPENING;
}

/** proxy_client_side - return the key of the index entry that @flow has if it is pinned */
static inline struct proxy_reply proxy_client_side(const struct proxy_flow *flow)
{
	return (struct proxy_reply){
		.remote = flow->orig,
		.local = flow->client,
		.rport = flow->oport,
		.lport = flow->cport,
		.proto = flow->key.proto,
		.side = PROXY_SIDE_CLIENT,
	};
}

/** proxy_flow_hash - return the hash of @key in a table with the secret numbers @keys (slots.h) */
static inline __u64 proxy_flow_hash(const volatile __u64 *keys, const struct proxy_reply *key)
{
	__u32 what = key->side << 8 | key->proto;
#if PROXY_FAMILY == 4
	__u64 sum = slot_hash_add(0, keys, 0, key->remote, key->local);

	sum = slot_hash_add(sum, keys, 1, what, key->rport);
#else
	const __u64 *remote = key->remote.half, *local = key->local.half;
	__u64 sum = slot_hash_add(0, keys, 0, (__u32)remote[0], (__u32)local[0]);

	sum = slot_hash_add(sum, keys, 1, remote[0] >> 32, local[0] >> 32);
	sum = slot_hash_add(sum, keys, 2, (__u32)remote[1], (__u32)local[1]);
	sum = slot_hash_add(sum, keys, 3, remote[1] >> 32, local[1] >> 32);
	sum = slot_hash_add(sum, keys, 4, what, key->rport);
#endif
	return slot_hash_end(sum, __builtin_bswap16(key->lport));
}

enum proxy_nexthop_flags {
	PROXY_NEXTHOP_MAC = 1 << 0,    /* dmac is the neighbour's */
	PROXY_NEXTHOP_L3 = 1 << 1,     /* the device has no link layer (tun, wireguard) */
	PROXY_NEXTHOP_DOWN = 1 << 2,   /* the target is unreachable: programs send ICMP errors */
	PROXY_NEXTHOP_SILENT = 1 << 3, /* its neighbour does not answer ARP; for user space only */
};

/* Index 0 of "nexthops" stays empty: programs leave the link-layer header as it is (lo, tun). */
enum { PROXY_NEXTHOP_NONE = 0 };

/*
 * Entry of "nexthops": one per target address, changed in place when the route or the neighbour
 * changes, since flows remember its index.
 */
struct proxy_nexthop {
	union {
		struct {
			__u8 dmac[6];
			__u16 flags; /* enum proxy_nexthop_flags */
		};
		__u64 link; /* both: user space stores and programs load this at once */
	};
	__u32 oif; /* 0: no route; programs leave the link-layer header as it is */
	PROXY_PAD6(reserved, 4)
	proxy_addr via; /* the gateway, or the target itself if it is on the link */
};
_Static_assert(sizeof(struct proxy_nexthop) == PROXY_SIZE(16, 32),
	       "proxy_nexthop is shared with user space");

/*
 * The source of ARP replies and neighbour advertisements for an original address that no host has:
 * "\x02proxy". (The versions of clang-format do not agree on where an initialiser's lines end.)
 */
/* clang-format off */
#define PROXY_MAC { 0x02, 0x70, 0x72, 0x6f, 0x78, 0x79 }
/* clang-format on */

enum proxy_host_flags {
	PROXY_HOST_ANSWER = 1 << 0, /* an original: answer requests for it if no host does */
};

/*
 * Value of "hosts", whose key is the address of an original or a target. User space makes the
 * entry; @asked and @heard belong to the program.
 */
struct proxy_host {
	__u64 asked; /* time of the first request for it without an answer so far; 0: none */
	__u64 heard; /* time of the last ARP or neighbour message from this address; 0: none yet */
	__u32 flags; /* enum proxy_host_flags */
	PROXY_PAD6(reserved, 4)
	/*
	 * For fragments that arrive before the first of their datagram. The target, with its next
	 * hop, if all mappings of this original have the same; and the original, if all mappings
	 * to this target have the same. Else 0.
	 */
	proxy_addr sole_target;
	proxy_addr sole_orig;
	__u32 nexthop;
	PROXY_PAD6(spare, 4)
};
_Static_assert(sizeof(struct proxy_host) == PROXY_SIZE(32, 64),
	       "proxy_host is shared with user space");

enum proxy_fragment_kind {
	PROXY_FRAGMENT_OUT,	 /* a datagram at egress */
	PROXY_FRAGMENT_IN,	 /* a datagram at ingress */
	PROXY_FRAGMENT_PEER_OUT, /* id 0: datagrams of this pair of hosts that were not translated
				  */
	PROXY_FRAGMENT_PEER_IN,
};

/*
 * Key of "fragments": a fragmented datagram (RFC 791, RFC 8200 section 4.5), addresses as they
 * arrive at the hook.
 */
struct proxy_fragment {
	proxy_addr saddr;
	proxy_addr daddr;
#if PROXY_FAMILY == 4
	__be16 id;
	__u8 proto;
	__u8 kind; /* enum proxy_fragment_kind */
#else
	__be32 id;
	__u8 proto; /* 0: fragments of one IPv6 datagram may name different ones */
	__u8 kind;
	__u8 reserved[2]; /* 0 */
#endif
};
_Static_assert(sizeof(struct proxy_fragment) == PROXY_SIZE(12, 40),
	       "proxy_fragment is shared with user space");

/* Value of "fragments": the translation of the first fragment. */
struct proxy_fragment_rule {
	__u64 when;
	proxy_addr addr; /* new destination (egress) or source (ingress); 0: untouched */
	__u32 nexthop;
	PROXY_PAD6(reserved, 4)
};
_Static_assert(sizeof(struct proxy_fragment_rule) == PROXY_SIZE(16, 32),
	       "proxy_fragment_rule is shared");

enum proxy_state_flags {
	PROXY_STATE_WILDCARDS = 1 << 0, /* some key of "mappings" has port 0 */
	PROXY_STATE_LOCAL = 1 << 1,	/* some mapping is PROXY_MAPPING_LOCAL */
	PROXY_STATE_PIN = 1 << 2,	/* mappings are about to change: new flows are pinned */
	PROXY_STATE_UNMAPPED = 1 << 3,	/* some pinned flow may have no mapping any more */
};

/* Programs use a MAC address of "nexthops" for this long after the last heartbeat. */
#define PROXY_HEARTBEAT_NS 10000000000ULL

enum { PROXY_PREFILTER_BITS = 65536, PROXY_SUMMARY_SPAN = PROXY_PREFILTER_BITS / 256 };

/* The variable "state". */
struct proxy_state {
	__u32 layout;	 /* PROXY_LAYOUT */
	__u32 flags;	 /* enum proxy_state_flags */
	__u64 heartbeat; /* stored by user space each second; 0: programs ask the kernel for the MAC
			    address */
	__u32 tick;	 /* stored by programs: jiffies when the heartbeat was last found fresh */
	/*
	 * Raised by user space after each change of mappings, next hops or flows: this invalidates
	 * "cache".
	 */
	__u32 generation;
	__u32 mapping_ids; /* entries of "mapping_stats" for each CPU */
	__u16 pins;	   /* 1: a flow has been pinned since the datapath began */
	__u16 mark; /* the datapath's own TC_INDEX_DONE (bpf/tc-index.h), set before it is attached
		     */
	/*
	 * A bit for each PROXY_SUMMARY_SPAN bits of "prefilter": whether one of them is set. For
	 * packets to and from other addresses, programs read this cache line and nothing else.
	 */
	__u64 summary[4];
};
_Static_assert(sizeof(struct proxy_state) == 64, "a cache line, shared with user space");

/* Slots of "cache" for each CPU, a power of two: one direction of one flow each, 64 bytes. */
enum { PROXY_CACHE_SLOTS = 1024 };

/*
 * The one entry of "prefilter": a bit for each address that is in a key of "mappings" (originals
 * and targets) or the remote of a flow. A bit is set before the entry is made and cleared only when
 * neither an entry nor a flow of any address with this bit is left.
 */
struct proxy_prefilter {
	__u64 words[PROXY_PREFILTER_BITS / 64];
};

/** proxy_prefilter_bit - return the number of @addr's bit: in word number / 64, bit number % 64 */
static inline __u32 proxy_prefilter_bit(const proxy_addr *addr)
{
#if PROXY_FAMILY == 4
	/* Fibonacci hashing: the upper half of the product depends on all bits of the address. */
	return ((__u32)*addr * 0x9e3779b1U) >> 16;
#else
	return (addr->half[0] * 0xd6e8feb86659fd93ULL + addr->half[1]) * 0x9e3779b97f4a7c15ULL >>
	       48;
#endif
}

/*
 * Entry of "mapping_stats": wire packets and bytes, as the interface counts them. An array of the
 * entries of CPU 0, then those of CPU 1 and so on.
 */
struct proxy_mapping_stats {
	__u64 packets_out;
	__u64 bytes_out;
	__u64 packets_in;
	__u64 bytes_in;
};
_Static_assert(sizeof(struct proxy_mapping_stats) == 32, "proxy_mapping_stats is shared");

/*
 * The entries of "counters", a __u64 per CPU each: X(enumerator, field name, description). The
 * first group counts packets that a mapping matched or might match, but that were not translated,
 * by reason. The second counts other actions of the programs.
 */
#define PROXY_REASONS(X)                                                                           \
	X(MALFORMED, malformed, "headers cut short or at odds with each other: passed")            \
	X(VLAN, vlan, "tagged, so not of this network: passed")                                    \
	X(NO_CHECKSUM, no_checksum, "UDP over IPv6 without a checksum: passed")                    \
	X(ROUTED, routed, "IPv6 routing header that leads further: passed")                        \
	X(FRAGMENT, fragment, "fragment whose first one has not been seen: passed")                \
	X(ICMP, icmp, "ICMP error about no known flow: passed")                                    \
	X(NO_FLOW, no_flow, "TCP segment that cannot begin a flow: passed")                        \
	X(TOO_BIG, too_big, "larger than the MTU of the target's device: sender told")             \
	X(UNREACHABLE, unreachable, "its target cannot be reached: sender told")                   \
	X(FULL, full, "new flow, but the flow table or the memory is full: dropped")               \
	X(NO_PORT, no_port, "new flow, but no source port is free: dropped")                       \
	X(FAILED, failed, "the kernel could not change the packet or the table: dropped")

#define PROXY_EVENTS(X)                                                                            \
	X(FLOWS, flows_new, "flows made")                                                          \
	X(PORTS, ports_changed, "flows that were given another source port")                       \
	X(GUESSED, fragments_guessed, "fragments translated before their first one")               \
	X(ARP, arp_answered, "ARP requests answered for an original without a host")               \
	X(SOLICITED, nd_answered, "neighbour solicitations answered for an original without a host")

#define PROXY_COUNTER(name, field, text) PROXY_##name,
enum proxy_counter {
	PROXY_OK, /* translated: not a reason; this entry stays 0 */
	PROXY_REASONS(PROXY_COUNTER) PROXY_EVENTS(PROXY_COUNTER) PROXY_COUNTER_MAX,
};
#undef PROXY_COUNTER

#endif /* PROXY_H */
