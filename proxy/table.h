/* SPDX-License-Identifier: GPL-2.0-only */
/* The content of a datapath's map "mappings", mirrored, and what its flows tell of it. */
#ifndef PROXY_TABLE_H
#define PROXY_TABLE_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "mapping.h"
#include "maps.h"
#include "nexthop.h"

struct table {
	struct mapping_list plan; /* the entries of "mappings", sorted */
	bool *taken;		  /* by mapping id: an entry has it */
	__u32 id_max;
	__u32 id_end; /* no id from here on is taken */
	/* Of the pass over the flows that is under way: */
	bool *met;     /* by mapping id: a flow has it */
	bool unmapped; /* some pinned flow has no mapping */
	__u64 *bits;   /* prefilter of the flows */
	bool changed;  /* the entries have changed since it began */
};

/**
 * table_open - mirror what the datapath has
 * Return: 0 or a negative errno; table_close() is right in either case.
 */
int table_open(struct table *table, const struct maps *maps);

void table_close(struct table *table);

/** table_shown - tell whether an entry is a mapping, in force or deleted, and not a target's own */
static inline bool table_shown(const struct mapping *entry)
{
	return !(entry->to.flags & PROXY_MAPPING_DIRECT);
}

/** table_in_force - tell whether an entry is a mapping that new flows meet */
static inline bool table_in_force(const struct mapping *entry)
{
	return table_shown(entry) && !entry->from.deleted;
}

/** table_target - the key of the entry that the target of mapping @entry has for itself */
static inline struct nat_dest table_target(const struct mapping *entry)
{
	return (struct nat_dest){ .addr = entry->to.addr,
				  .port = entry->to.port,
				  .proto = entry->from.proto };
}

/* A target of mappings that are in force. */
struct table_target {
	struct addr addr;
	bool down; /* no route leads to it, or its next hop does not answer */
};

/**
 * table_targets - append the targets of the mappings in force, each address once, sorted
 * @targets: an array that grows, NULL at first, which the caller frees in any case
 * @count: how many are in it
 * Return: 0 or -ENOMEM.
 */
int table_targets(const struct table *table, const struct maps *maps, struct table_target **targets,
		  size_t *count);

/** table_mappings - append the mappings in force to @list; Return: 0 or -ENOMEM */
int table_mappings(const struct table *table, struct mapping_list *list);

/**
 * table_id_take - take a mapping id that is free, and set its counters to 0
 * @from: where to begin to look; advanced
 * @id: set to it
 * Return: 0 or -ENOSPC.
 */
int table_id_take(struct table *table, const struct maps *maps, __u32 *from, __u32 *id);

/** table_settle - after a change of the entries, count their ids and next hops anew */
void table_settle(struct table *table, struct nexthops *hops);

/**
 * table_drop - remove deleted mappings that no flow has any more
 * @met: by mapping id: whether a flow has it; of the others no flow can be made
 *
 * The entries of targets that served only those go, too. Return: 0 or -ENOMEM.
 */
int table_drop(struct table *table, const struct maps *maps, struct nexthops *hops,
	       const bool *met);

/**
 * table_ask_less - for targets that no socket of this host is connected to, have new flows not ask
 * for one
 *
 * To be done when the programs see all packets: sockets that come later are known by theirs.
 * Return: whether some still ask, so that another look later may be worth it.
 */
bool table_ask_less(struct table *table, const struct maps *maps);

/** table_relocate - take account of targets that have become an address of this host, or ceased */
int table_relocate(struct table *table, const struct maps *maps, const struct nexthops *hops);

/** table_flow_seen - a pass over the flow table has met this flow */
void table_flow_seen(struct table *table, const struct maps *maps, const struct nat_flow *flow);

/**
 * table_flows_done - the pass is complete: remove what no flow needs any more
 * Return: 0 or -ENOMEM.
 */
int table_flows_done(struct table *table, const struct maps *maps, struct nexthops *hops);

#endif /* PROXY_TABLE_H */
