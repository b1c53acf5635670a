/* SPDX-License-Identifier: GPL-2.0-only */
/* Maps of the proxy: written by bpf/proxy-bpf.c and proxy/, read by both. */
#ifndef PROXY_H
#define PROXY_H

#include <linux/types.h>

/*
 * Raised whenever a struct of this file changes: a new proxy takes over the maps of an old one only
 * if both agree on it.
 */
enum { PROXY_LAYOUT = 1 };

/* Key of "egress": where a packet was going. 8 bytes, for a cheap hash on every packet. */
struct proxy_dest {
	__be32 addr;
	__be16 port; /* 0: any port of this address (an exact match wins) */
	__u8 proto;  /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 reserved;
};
_Static_assert(sizeof(struct proxy_dest) == 8, "proxy_dest is shared with user space");

enum proxy_mapping_flags {
	/*
	 * The address is itself a target (from == to): nothing to rewrite, but the flow has to be
	 * known, since a mapped flow must not get the same 5-tuple.
	 */
	PROXY_MAPPING_DIRECT = 1 << 0,
	/* Deleted while flows run: those go on, new ones pass untouched. */
	PROXY_MAPPING_DRAINING = 1 << 1,
	/* The target is about to change: new flows go into "pinned" as well. */
	PROXY_MAPPING_PIN = 1 << 2,
};

/* Value of "egress": where it goes instead. */
struct proxy_mapping {
	__be32 addr;
	__be16 port;   /* 0: keep the packet's */
	__u16 flags;   /* enum proxy_mapping_flags */
	__u32 id;      /* index into "mapping_stats" */
	__u32 nexthop; /* index into "nexthops" */
};
_Static_assert(sizeof(struct proxy_mapping) == 16, "proxy_mapping is shared with user space");

/* Key of "ingress": a reply, as it arrives from the target. */
struct proxy_reply {
	__be32 remote; /* the target */
	__be32 local;  /* the client */
	__be16 rport;
	__be16 lport; /* the client's port as the target sees it */
	__u8 proto;
	__u8 reserved[3];
};
_Static_assert(sizeof(struct proxy_reply) == 16, "proxy_reply is shared with user space");

/* Key of "pinned": a flow as the client sees it. */
struct proxy_origin {
	__be32 client;
	__be32 orig;
	__be16 cport;
	__be16 oport;
	__u8 proto;
	__u8 reserved[3];
};
_Static_assert(sizeof(struct proxy_origin) == 16, "proxy_origin is shared with user space");

#endif /* PROXY_H */
