/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The flow table of all interfaces: written by bpf/packet-monitor-bpf.c, read and recycled by
 * packet-monitor/flow-table.c. docs/packet-monitor.md explains how the two sides work together.
 */
#ifndef PACKET_MONITOR_H
#define PACKET_MONITOR_H

#include <linux/types.h>

enum pm_direction { PM_INGRESS, PM_EGRESS, PM_DIRECTIONS };

/* The "kind" byte of a key: a family and flags. */
enum pm_kind {
	PM_KIND_IPV4 = 0,
	PM_KIND_IPV6 = 1,
	PM_KIND_OTHER = 2, /* not IP: dport holds the EtherType */
	PM_KIND_FAMILY = 3,
	PM_KIND_EGRESS = 4,
	PM_KIND_FRAGMENT = 8, /* a later fragment whose ports are unknown */
	PM_KIND_LONG = 16,    /* the sixth word is in use: @ifindex or @inner_vlan */
	PM_KIND_QINQ = 32,    /* there is a second tag; its VID may be 0 */
};

/*
 * Which flow a packet belongs to. A flow leaves zero what it does not need, so that two flows are
 * the same if all six words are.
 */
struct pm_key {
	__u64 meta; /* pm_key_meta() */
	/*
	 * IPv4: [0] is the source (low half) and the destination (high half), as in the packet.
	 * IPv6: [0..1] are the source and [2..3] the destination, low half first, as in the packet.
	 * Other: [0] is the source and [1] the destination MAC, the first byte highest.
	 */
	__u64 addr[4];
	union {
		__u64 last;
		struct {
			__u32 ifindex;	  /* 0 where the table serves one interface only */
			__u16 inner_vlan; /* VID of the second tag, or 0 */
			__u16 reserved;
		};
	};
};
_Static_assert(sizeof(struct pm_key) == 48, "pm_key is shared with user space");

/**
 * pm_key_meta - the first word of a key
 * @ports: source port (high half) and destination port; ICMP: type and code in the high half;
 *	   not IP: the EtherType in the low half
 * @proto: IPPROTO_*, or 0 for what is not IP
 * @kind: enum pm_kind
 * @vlan: VID of the outermost tag, or 0
 */
static inline __u64 pm_key_meta(__u32 ports, __u8 proto, __u8 kind, __u16 vlan)
{
	return (__u64)vlan << 48 | (__u64)kind << 40 | (__u64)proto << 32 | ports;
}

static inline __u16 pm_key_sport(const struct pm_key *key)
{
	return (__u16)(key->meta >> 16);
}

static inline __u16 pm_key_dport(const struct pm_key *key)
{
	return (__u16)key->meta;
}

static inline __u8 pm_key_proto(const struct pm_key *key)
{
	return (__u8)(key->meta >> 32);
}

static inline __u8 pm_key_kind(const struct pm_key *key)
{
	return (__u8)(key->meta >> 40);
}

static inline __u16 pm_key_vlan(const struct pm_key *key)
{
	return (__u16)(key->meta >> 48);
}

static inline enum pm_direction pm_key_direction(const struct pm_key *key)
{
	return key->meta >> 40 & PM_KIND_EGRESS ? PM_EGRESS : PM_INGRESS;
}

/* A flow and its counters: one cache line, in "slots". In use once @packets is not zero. */
struct pm_slot {
	struct pm_key key;
	__u64 packets;
	__u64 bytes;
};
_Static_assert(sizeof(struct pm_slot) == 64, "pm_slot is one cache line");

/* What the SYN of a TCP flow tells about its ends. */
enum pm_began {
	PM_BEGAN_SYN = 1,     /* SYN: the destination is the server */
	PM_BEGAN_SYN_ACK = 2, /* SYN and ACK: the source is */
};

/*
 * How the flow in a slot began, in "origins". @entry is written before packets can find the flow,
 * but for what its SYN tells.
 */
struct pm_origin {
	__u32 entry; /* where "buckets" refers to the slot, and enum pm_began above that */
	__u32 first; /* user space's: when a report has shown the flow first */
};
_Static_assert(sizeof(struct pm_origin) == 8, "pm_origin is shared with user space");

/* In pm_origin.entry: the places of 2^26 slots have 28 bits. */
#define PM_BEGAN_SHIFT 30

/** pm_origin_place - where "buckets" refers to the slot (include/slots.h) */
static inline __u32 pm_origin_place(const struct pm_origin *origin)
{
	return origin->entry & ((1U << PM_BEGAN_SHIFT) - 1);
}

/** pm_origin_began - enum pm_began; 0: no SYN was seen */
static inline __u32 pm_origin_began(const struct pm_origin *origin)
{
	return origin->entry >> PM_BEGAN_SHIFT;
}

struct pm_count {
	__u64 packets;
	__u64 bytes;
};
_Static_assert(sizeof(struct pm_count) == 16, "pm_count is shared with user space");

/*
 * Why a packet has been counted without a flow, or, the last three only, in a flow by a part of its
 * headers: by the addresses that could be read.
 */
enum pm_reason {
	PM_OK,
	PM_FILTERED,  /* not what the filter asks for */
	PM_FULL,      /* every slot is in use */
	PM_CROWDED,   /* no room in the flow's buckets */
	PM_BUSY,      /* lost too many races against other CPUs */
	PM_TRUNCATED, /* the frame, or the length its IP header states, ends within a header */
	PM_MALFORMED, /* a header contradicts itself: version, header length */
	PM_NESTED,    /* more VLAN tags, MPLS labels or extension headers than we follow */
	PM_REASONS
};

/* Interfaces that may be watched at once: as many as "untracked" has room for. */
enum { PM_INTERFACES_MAX = 65536 };

/* Value of "untracked", per CPU. */
struct pm_untracked {
	struct pm_count count[PM_DIRECTIONS][PM_REASONS];
	struct pm_count partial[PM_DIRECTIONS][PM_REASONS]; /* in a flow all the same */
};
_Static_assert(sizeof(struct pm_untracked) == 512, "pm_untracked is shared with user space");

/* Value of "filtered", per CPU. */
struct pm_filtered {
	struct pm_count count[PM_DIRECTIONS];
};
_Static_assert(sizeof(struct pm_filtered) == 32, "pm_filtered is shared with user space");

/* Interfaces that "filtered" has room for, if several are watched: those with a lower ifindex. */
enum { PM_FILTERED_MAX = 4096 };

/*
 * Room for the filter in the programs: PM_FILTER_ROOM instructions, each of which moves
 * PM_FILTER_PLACE to r0.
 */
#define PM_FILTER_ROOM 1000
#define PM_FILTER_PLACE 0x706d6601

#endif /* PACKET_MONITOR_H */
