// SPDX-License-Identifier: GPL-2.0-only
#include "flow-table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "memory.h"

/* Times are kept in 32 bits, in tenths of a second: 13 years. */
#define TICK_NS 100000000ULL

/* 24 bytes a slot, touched only where a flow has been. */
struct flow_state {
	struct pm_count seen; /* at the last report; no packets: no report has shown the flow */
	__u32 packets;	      /* at the last look, for a report or for relief: the lower 32 bits */
	__u32 active;	      /* last look that showed new packets, in ticks; 0: no look yet */
};

__u64 flow_table_bytes(__u32 max_flows, bool first)
{
	return (__u64)max_flows * (sizeof(struct pm_slot) + sizeof(struct pm_origin) +
				   sizeof(struct flow_state) + (first ? sizeof(__u64) : 0)) +
	       slot_table_bytes(slot_table_size(max_flows, 1));
}

int flow_table_open(struct flow_table *table, __u32 max_flows, const __u64 *keys,
		    const struct flow_table_maps *maps)
{
	struct slot_table_size size = slot_table_size(max_flows, 1);
	int err = slot_table_open(&table->index, size, maps->buckets, maps->free_slots);

	err = err
		      ?: memory_map(maps->slots, max_flows * sizeof(*table->slots),
				    (void **)&table->slots);
	err = err
		      ?: memory_map(maps->origins, max_flows * sizeof(*table->origins),
				    (void **)&table->origins);
	if (maps->firsts >= 0)
		err = err
			      ?: memory_map(maps->firsts, max_flows * sizeof(*table->firsts),
					    (void **)&table->firsts);
	if (err)
		return err;
	table->states = calloc(max_flows, sizeof(*table->states));
	table->leaving = malloc(max_flows * sizeof(*table->leaving));
	if (!table->states || !table->leaving)
		return -ENOMEM;
	slot_table_begin(&table->index, keys);
	return 0;
}

void flow_table_close(struct flow_table *table)
{
	if (table->slots)
		munmap(table->slots, table->index.size.slots * sizeof(*table->slots));
	if (table->origins)
		munmap(table->origins, table->index.size.slots * sizeof(*table->origins));
	if (table->firsts)
		munmap(table->firsts, table->index.size.slots * sizeof(*table->firsts));
	slot_table_close(&table->index);
	free(table->states);
	free(table->leaving);
	memset(table, 0, sizeof(*table));
}

/* Note that a slot has counted @packets. Return: ticks since it was last seen to move. */
static __u32 flow_state_look(struct flow_state *state, __u64 packets, __u32 now)
{
	if (state->packets != (__u32)packets || !state->active)
		state->active = now;
	state->packets = (__u32)packets;
	return now - state->active;
}

/* Read the flow in slot @number. Return: whether there is one. */
static bool flow_table_read(struct flow_table *table, __u32 number, __u32 now, struct flow *flow)
{
	struct pm_slot *slot = &table->slots[number];
	struct flow_state *state = &table->states[number];
	struct pm_origin *origin = &table->origins[number];

	*flow = (struct flow){ .key = &slot->key, .slot = number };
	flow->total.packets = __atomic_load_n(&slot->packets, __ATOMIC_ACQUIRE);
	if (!flow->total.packets)
		return false;
	flow->total.bytes = __atomic_load_n(&slot->bytes, __ATOMIC_RELAXED);
	flow->server = servers_tell(table->servers, &slot->key, pm_origin_began(origin));
	if (table->firsts)
		flow->first_ns = table->firsts[number];
	if (!state->seen.packets)
		origin->first = now;
	flow->idle_ns = flow_state_look(state, flow->total.packets, now) * TICK_NS;
	flow->interval.packets = flow->total.packets - state->seen.packets;
	flow->interval.bytes = flow->total.bytes - state->seen.bytes;
	flow->age_ns = (now - origin->first) * TICK_NS;
	return true;
}

/* Learn from all flows before the first is shown. */
static void flow_table_learn(struct flow_table *table)
{
	__u32 limit = slot_table_limit(&table->index);

	servers_begin(table->servers);
	for (__u32 i = 0; i < limit; i++)
		if (__atomic_load_n(&table->slots[i].packets, __ATOMIC_ACQUIRE))
			servers_note(table->servers, &table->slots[i].key,
				     pm_origin_began(&table->origins[i]));
}

void flow_table_scan(struct flow_table *table, __u64 now_ns,
		     void (*visit)(void *ctx, const struct flow *flow), void *ctx)
{
	__u32 limit = slot_table_limit(&table->index), now = (__u32)(now_ns / TICK_NS);
	struct flow flow;

	if (table->servers)
		flow_table_learn(table);
	for (__u32 i = 0; i < limit; i++) {
		if (!flow_table_read(table, i, now, &flow))
			continue;
		table->states[i].seen = flow.total;
		visit(ctx, &flow);
	}
}

void flow_table_walk(struct flow_table *table, __u64 now_ns, __u32 first, __u32 end,
		     void (*visit)(void *ctx, const struct flow *flow), void *ctx)
{
	struct flow flow;

	for (__u32 i = first; i < end; i++)
		if (flow_table_read(table, i, (__u32)(now_ns / TICK_NS), &flow))
			visit(ctx, &flow);
}

/* No program can reach the slots any more: their counters are final. */
static void flow_table_reclaim(struct flow_table *table, __u32 now, enum flow_reason reason)
{
	for (__u32 i = 0; i < table->leaving_count; i++) {
		__u32 number = table->leaving[i];
		struct pm_slot *slot = &table->slots[number];
		struct flow flow;

		if (flow_table_read(table, number, now, &flow) && table->ended)
			table->ended(table->arg, &flow, reason);
		memset(slot, 0, sizeof(*slot));
		memset(&table->origins[number], 0, sizeof(table->origins[number]));
		memset(&table->states[number], 0, sizeof(table->states[number]));
		if (table->firsts)
			table->firsts[number] = 0;
		slot_table_put(&table->index, number);
	}
	table->leaving_count = 0;
}

/* Remove the index entries of the flows in @leaving, then take back their slots. */
static void flow_table_retire_leaving(struct flow_table *table, __u32 now, enum flow_reason reason)
{
	if (!table->leaving_count)
		return;
	for (__u32 i = 0; i < table->leaving_count; i++)
		slot_table_unlink(&table->index,
				  pm_origin_place(&table->origins[table->leaving[i]]),
				  table->leaving[i]);
	slot_table_wait();
	flow_table_reclaim(table, now, reason);
}

void flow_table_retire(struct flow_table *table, __u64 now_ns,
		       bool (*leaves)(void *ctx, const struct pm_key *key), void *ctx)
{
	__u32 limit = slot_table_limit(&table->index);

	for (__u32 i = 0; i < limit; i++)
		if (__atomic_load_n(&table->slots[i].packets, __ATOMIC_ACQUIRE) &&
		    leaves(ctx, &table->slots[i].key))
			table->leaving[table->leaving_count++] = i;
	flow_table_retire_leaving(table, (__u32)(now_ns / TICK_NS), FLOW_INTERFACE);
}

/* Let go of flows that had been idle for @at_least ticks at the last look, at most @count. */
static void retire_idle(struct flow_table *table, __u32 now, __u32 at_least, __u32 count,
			enum flow_reason reason)
{
	__u32 limit = slot_table_limit(&table->index);

	for (__u32 i = 0; i < limit && table->leaving_count < count; i++) {
		const struct flow_state *state = &table->states[i];

		if (state->active && now - state->active >= at_least &&
		    state->packets ==
			    (__u32)__atomic_load_n(&table->slots[i].packets, __ATOMIC_RELAXED))
			table->leaving[table->leaving_count++] = i;
	}
	flow_table_retire_leaving(table, now, reason);
}

void flow_table_age(struct flow_table *table, __u64 now_ns, __u64 idle_ns)
{
	if (idle_ns)
		retire_idle(table, (__u32)(now_ns / TICK_NS),
			    (__u32)((idle_ns + TICK_NS - 1) / TICK_NS), table->index.size.slots,
			    FLOW_IDLE);
}

/* A look at 65,536 slots takes a millisecond. */
__u64 flow_table_period(__u32 max_flows)
{
	__u64 ticks = 1 + max_flows / 131072;

	return (ticks < 10 ? ticks : 10) * TICK_NS;
}

void flow_table_relieve(struct flow_table *table, __u64 now_ns)
{
	enum { LONGEST = 1024 }; /* ticks; longer idle times are all the same */
	__u32 now = (__u32)(now_ns / TICK_NS), limit = slot_table_limit(&table->index);
	__u32 slots = table->index.size.slots, wanted = slots / 4 + 1, found = 0, ticks;
	__u32 shortest = (__u32)(flow_table_period(slots) / TICK_NS);
	__u32 idle[LONGEST + 1] = { 0 };
	__u64 free_slots = slot_table_free(&table->index);

	if (free_slots >= slots / 2)
		return;
	for (__u32 i = 0; i < limit; i++) {
		__u64 packets = __atomic_load_n(&table->slots[i].packets, __ATOMIC_RELAXED);

		if (!packets)
			continue;
		ticks = flow_state_look(&table->states[i], packets, now);
		idle[ticks < LONGEST ? ticks : LONGEST]++;
	}
	if (free_slots > slots / 8)
		return;
	for (ticks = LONGEST; ticks > shortest && found + idle[ticks] < wanted; ticks--)
		found += idle[ticks];
	retire_idle(table, now, ticks, wanted, FLOW_EVICTED);
}
