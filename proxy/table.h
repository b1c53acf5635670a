/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The mappings of a datapath: the content of its map "egress", and of what depends on it ("hosts",
 * "prefilter", the flags in "state"), mirrored here and changed only through here.
 */
#ifndef PROXY_TABLE_H
#define PROXY_TABLE_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "mapping.h"
#include "maps.h"
#include "nexthop.h"

/* An entry of "egress". */
struct table_entry {
	struct proxy_dest from;
	struct proxy_mapping to;
};

/* What is known per mapping id. */
struct table_id {
	bool taken;
	__u32 flows;	  /* in the last complete pass over the flow table */
	__u32 counting;	  /* in the pass that is under way */
	__u64 quiet_pass; /* DRAINING: number of the first pass that tells whether flows are left */
};

struct table {
	struct table_entry *entries; /* sorted by address, protocol, port */
	size_t count;
	struct table_id *ids;
	__u32 id_max;
	__u32 id_end; /* no id from here on is taken */
	__u64 pass;   /* number of the pass over the flow table that is under way */
	__u64 *bits;  /* prefilter of the flows that this pass has met */
	bool changed; /* since this pass began */
};

/**
 * table_open - mirror what the datapath has
 * Return: 0 or a negative errno; table_close() is right in either case.
 */
int table_open(struct table *table, const struct maps *maps);

void table_close(struct table *table);

/** table_shown - whether an entry is a mapping to show, not one that a target needs for itself */
static inline bool table_shown(const struct table_entry *entry)
{
	return !(entry->to.flags & PROXY_MAPPING_DIRECT);
}

/** table_mappings - append the mappings in force, but not those that only serve old flows */
int table_mappings(const struct table *table, struct mapping_list *list);

/**
 * table_apply - make the datapath serve exactly the mappings of @list
 * @list: as mapping_list_finish() has left it
 * @kill: flows of mappings that change or go are removed; otherwise TCP flows keep their target
 *	  until they end
 *
 * Each entry changes atomically. Nothing has changed if this fails for want of room.
 * Return: 0, or a negative errno with @error set.
 */
int table_apply(struct table *table, struct maps *maps, struct nexthops *hops,
		const struct mapping_list *list, bool kill, struct mapping_error *error);

/**
 * table_ask_less - for targets that no socket of this host is connected to, have new flows not ask
 * for one
 *
 * To be done when the programs see all packets: sockets that come later are known by theirs.
 * Return: whether some still ask, so that another look later may be worth it.
 */
bool table_ask_less(struct table *table, struct maps *maps);

/** table_relocate - take account of targets that have become an address of this host, or ceased */
int table_relocate(struct table *table, struct maps *maps, struct nexthops *hops);

/** table_flow_seen - a pass over the flow table has met this flow */
void table_flow_seen(struct table *table, const struct proxy_flow *flow);

/** table_flows_done - the pass is complete: end the deleted mappings that no flow uses any more */
int table_flows_done(struct table *table, struct maps *maps, struct nexthops *hops,
		     struct mapping_error *error);

/** table_flush - forget all flows; Return: 0 or a negative errno */
int table_flush(const struct maps *maps);

#endif /* PROXY_TABLE_H */
