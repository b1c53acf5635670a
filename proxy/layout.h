/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the families. Only proxy/layout.c knows the structs of include/proxy.h,
 * which have addresses of 4 or 16 bytes, and the programs' skeletons. What the maps hold is given
 * here in a form that is the same for both.
 */
#ifndef PROXY_LAYOUT_H
#define PROXY_LAYOUT_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/libbpf.h>

#include "addr.h"
#include "slot-table.h"
#include "tc-link.h"

enum maps_index {
	MAPS_MAPPINGS,
	MAPS_FLOWS,
	MAPS_BUCKETS,
	MAPS_FREE_SLOTS,
	MAPS_SPARES,
	MAPS_LOCKS,
	MAPS_NEXTHOPS,
	MAPS_HOSTS,
	MAPS_FRAGMENTS,
	MAPS_STATE,
	MAPS_PREFILTER,
	MAPS_MAPPING_STATS,
	MAPS_COUNTERS,
	MAPS_COUNT,
};

/* What a program is for. */
enum layout_role {
	LAYOUT_EGRESS,
	LAYOUT_INGRESS,
	LAYOUT_DIRECT, /* the egress of other devices */
	LAYOUT_ROLES,
};

/* The constants of the programs. */
struct layout_config {
	__u32 l2_len; /* bytes before the IP header */
	struct slot_table_size size;
	const __u64 *hash_keys; /* SLOT_HASH_KEYS */
};

/* Ports are in network byte order. The fields are explained in include/proxy.h. */

/* struct proxy_dest */
struct nat_dest {
	struct addr addr;
	__be16 port;
	__u8 proto;
	__u8 deleted;
};

/* struct proxy_mapping */
struct nat_target {
	struct addr addr;
	__be16 port;
	__u16 flags;
	__u32 id;
	__u32 nexthop;
};

/* struct proxy_flow */
struct nat_flow {
	struct addr remote, local; /* of the key */
	struct addr orig, client;
	__be16 rport, lport, oport, cport;
	__u8 proto;
	__u32 state;
	__u32 mapping;
	__u32 nexthop;
	__u32 tick;
	__u64 last_seen;
};

/* The words of a slot of "flows" that both sides store to, in the shared memory. */
struct nat_flow_words {
	__u64 *last_seen;
	__u32 *state, *tick, *place, *pin, *ended;
};

/* struct proxy_nexthop */
struct nat_nexthop {
	struct addr via;
	__u32 oif;
	__u16 flags;
	__u8 mac[6];
};

/* The fields of struct proxy_host that user space stores. */
struct nat_host {
	struct addr sole_target, sole_orig;
	__u32 nexthop;
	__u32 flags;
};

/* The longest key or value that the functions below read or write. */
enum { LAYOUT_MAX = 128 };

/*
 * The layout of one family. Functions take keys, values and slots as they are in the maps;
 * addresses have to be of the family, or none.
 */
struct nat_layout {
	int family; /* AF_INET or AF_INET6 */
	/* For devices with and without a link layer. */
	enum program programs[2][LAYOUT_ROLES];
	__u32 own_handle;   /* of the filters on the interface */
	__u32 other_handle; /* of those on other devices: plus the index of the interface */
	const struct {
		const char *name;
		__u32 key_size;
		__u32 value_size;
	} maps[MAPS_COUNT];

	/* The skeleton: open its object; set its constants; load; close all. */
	void *(*open)(struct bpf_object **obj);
	void (*configure)(void *skel, const struct layout_config *config);
	int (*load)(void *skel);
	void (*destroy)(void *skel);

	void (*dest_put)(void *key, const struct nat_dest *dest);
	void (*dest_get)(const void *key, struct nat_dest *dest);
	void (*target_put)(void *value, const struct nat_target *target);
	void (*target_get)(const void *value, struct nat_target *target);
	void (*addr_put)(void *key, const struct addr *addr);
	/* Leaves the program's own fields as they are. */
	void (*host_put)(void *value, const struct nat_host *host);
	/* Store as programs can read it meanwhile. Return: whether it has changed. */
	bool (*nexthop_put)(void *slot, const struct nat_nexthop *nexthop);
	void (*nexthop_get)(const void *slot, struct nat_nexthop *nexthop);
	__u32 (*prefilter_bit)(const struct addr *addr);
	void (*flow_get)(const void *slot, struct nat_flow *flow);
	struct nat_flow_words (*flow_words)(void *slot);
	/* Return: the hash of the flow's key; @pinned: of the key of its pin */
	__u64 (*flow_hash)(const __u64 *keys, const void *slot, bool pinned);
};

extern const struct nat_layout layout_ipv4, layout_ipv6;

#endif /* PROXY_LAYOUT_H */
