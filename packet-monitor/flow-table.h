/* SPDX-License-Identifier: GPL-2.0-only */
/* The flow table as user space sees it: memory shared with the BPF programs. */
#ifndef FLOW_TABLE_H
#define FLOW_TABLE_H

#include <stdbool.h>

#include "packet-monitor.h"
#include "servers.h"
#include "slot-table.h"

struct flow_state;
struct flow;

/* Why a flow has left the table. */
enum flow_reason {
	FLOW_IDLE,	/* for as long as flow_table_age() was told */
	FLOW_EVICTED,	/* to make room */
	FLOW_INTERFACE, /* its interface is gone */
	FLOW_EXIT,	/* the tool ends */
};

/** pm_count_add - add @count to @sum */
static inline void pm_count_add(struct pm_count *sum, const struct pm_count *count)
{
	sum->packets += count->packets;
	sum->bytes += count->bytes;
}

/**
 * flow_table_bytes - memory that the maps and the tool's own notes take for @max_flows
 * @first: whether the programs note when each flow began
 */
__u64 flow_table_bytes(__u32 max_flows, bool first);

/* All zero: not open. */
struct flow_table {
	struct slot_table index;
	struct pm_slot *slots;
	struct pm_origin *origins; /* one per slot */
	__u64 *firsts;		   /* one per slot, or NULL: the programs do not note them */
	struct flow_state *states; /* one per slot: what the last report and the last look saw */
	__u32 *leaving;		   /* slots whose index entry is gone, or about to go */
	__u32 leaving_count;
	struct servers *servers; /* the caller's, or NULL: only the SYN tells who the server is */
	/* Called with @arg for each flow that leaves the table: its counts are final. */
	void (*ended)(void *arg, const struct flow *flow, enum flow_reason reason);
	void *arg;
};

/* File descriptors of the programs' maps; @firsts: -1 if they do not note when a flow began. */
struct flow_table_maps {
	int slots;
	int origins;
	int firsts;
	int buckets;
	int free_slots;
};

/**
 * flow_table_open - map the tables and hand every slot to the programs; call before they attach
 * @keys: of the programs' hash, as for slot_table_begin()
 * @maps: they stay the caller's
 * Return: 0 or a negative errno; flow_table_close() is right in either case.
 */
int flow_table_open(struct flow_table *table, __u32 max_flows, const __u64 *keys,
		    const struct flow_table_maps *maps);

void flow_table_close(struct flow_table *table);

/* One flow of a report. */
struct flow {
	const struct pm_key *key;
	__u32 slot; /* its number */
	enum server server;
	__u64 first_ns; /* CLOCK_MONOTONIC at its first packet; 0 if nobody has asked for it */
	struct pm_count total;
	struct pm_count interval; /* since the report before */
	__u64 age_ns;		  /* since the first report that showed it */
	__u64 idle_ns;		  /* since new packets were seen last */
};

/**
 * flow_table_scan - one pass over all flows, in which each is read once
 * @visit: called for each flow; what it adds up is consistent with itself
 */
void flow_table_scan(struct flow_table *table, __u64 now_ns,
		     void (*visit)(void *ctx, const struct flow *flow), void *ctx);

/**
 * flow_table_walk - read some flows, which is no report
 * @first: the slot to begin with
 * @end: the slot to end before
 * @visit: called for each flow there; its @interval is what no report has shown
 */
void flow_table_walk(struct flow_table *table, __u64 now_ns, __u32 first, __u32 end,
		     void (*visit)(void *ctx, const struct flow *flow), void *ctx);

/**
 * flow_table_age - let go of flows that were idle for @idle_ns (0: never) at the last scan
 *
 * No packet is lost: @ended is called when no program can hold the slot any more.
 */
void flow_table_age(struct flow_table *table, __u64 now_ns, __u64 idle_ns);

/** flow_table_retire - let go of the flows that @leaves chooses: their interfaces are gone */
void flow_table_retire(struct flow_table *table, __u64 now_ns,
		       bool (*leaves)(void *ctx, const struct pm_key *key), void *ctx);

/**
 * flow_table_relieve - if few slots are free, let go of the flows that have been idle the longest
 *
 * To be called every flow_table_period(), whatever the time between reports: from half of the slots
 * on it looks which flows move, and once an eighth is left it frees a quarter. A flow that has
 * moved within the last period stays.
 */
void flow_table_relieve(struct flow_table *table, __u64 now_ns);

/** flow_table_period - return how often to call flow_table_relieve(), in nanoseconds */
__u64 flow_table_period(__u32 max_flows);

#endif /* FLOW_TABLE_H */
