// SPDX-License-Identifier: GPL-2.0-only
#include "flow-table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Times are kept in 32 bits, in tenths of a second: 13 years. */
#define TICK_NS 100000000ULL

/* 32 bytes a slot, touched only where a flow has been. */
struct flow_state {
	struct pm_count seen; /* at the last report; no packets: no report has shown the flow */
	__u64 packets;	      /* at the last look, be it for a report or for relief */
	__u32 first;	      /* report that showed the flow first, in ticks */
	__u32 active;	      /* last look that showed new packets, in ticks */
};

__u64 flow_table_bytes(__u32 max_flows)
{
	return (__u64)max_flows * (sizeof(struct pm_slot) + sizeof(struct flow_state)) +
	       slot_table_bytes(slot_table_size(max_flows, 1));
}

int flow_table_open(struct flow_table *table, __u32 max_flows, const __u64 *keys, int slots_fd,
		    int buckets_fd, int free_fd)
{
	int err =
		slot_table_open(&table->index, slot_table_size(max_flows, 1), buckets_fd, free_fd);

	if (err)
		return err;
	table->slots = mmap(NULL, max_flows * sizeof(struct pm_slot), PROT_READ | PROT_WRITE,
			    MAP_SHARED, slots_fd, 0);
	if (table->slots == MAP_FAILED) {
		table->slots = NULL;
		return -errno;
	}
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
		munmap(table->slots, table->index.size.slots * sizeof(struct pm_slot));
	slot_table_close(&table->index);
	free(table->states);
	free(table->leaving);
	memset(table, 0, sizeof(*table));
}

/* Note that a slot has counted @packets. Return: ticks since it was last seen to move. */
static __u32 flow_state_look(struct flow_state *state, __u64 packets, __u32 now)
{
	if (state->packets != packets)
		state->active = now;
	state->packets = packets;
	return now - state->active;
}

void flow_table_scan(struct flow_table *table, __u64 now_ns,
		     void (*visit)(void *ctx, const struct flow *flow), void *ctx)
{
	__u32 limit = slot_table_limit(&table->index), now = (__u32)(now_ns / TICK_NS);

	for (__u32 i = 0; i < limit; i++) {
		struct pm_slot *slot = &table->slots[i];
		struct flow_state *state = &table->states[i];
		struct flow flow = { .key = &slot->key };

		flow.total.packets = __atomic_load_n(&slot->packets, __ATOMIC_ACQUIRE);
		if (!flow.total.packets)
			continue;
		flow.total.bytes = __atomic_load_n(&slot->bytes, __ATOMIC_RELAXED);
		if (!state->seen.packets)
			state->first = now;
		flow.idle_ns = flow_state_look(state, flow.total.packets, now) * TICK_NS;
		flow.interval.packets = flow.total.packets - state->seen.packets;
		flow.interval.bytes = flow.total.bytes - state->seen.bytes;
		flow.age_ns = (now - state->first) * TICK_NS;
		state->seen = flow.total;
		visit(ctx, &flow);
	}
}

/* No program can reach the slots any more: their counters are final. */
static void reclaim(struct flow_table *table)
{
	for (__u32 i = 0; i < table->leaving_count; i++) {
		__u32 number = table->leaving[i];
		struct pm_slot *slot = &table->slots[number];
		enum pm_direction dir = pm_key_direction(&slot->key);

		table->retired[dir].packets += slot->packets;
		table->retired[dir].bytes += slot->bytes;
		table->retired_flows[dir]++;
		memset(slot, 0, sizeof(*slot));
		memset(&table->states[number], 0, sizeof(table->states[number]));
		slot_table_put(&table->index, number);
	}
	table->leaving_count = 0;
}

/* Remove the index entries of the flows in @leaving, then take back their slots. */
static void retire(struct flow_table *table)
{
	if (!table->leaving_count)
		return;
	for (__u32 i = 0; i < table->leaving_count; i++)
		slot_table_unlink(&table->index, table->slots[table->leaving[i]].entry,
				  table->leaving[i]);
	slot_table_wait();
	reclaim(table);
}

/* Let go of flows that had been idle for @at_least ticks at the last look, at most @count. */
static void retire_idle(struct flow_table *table, __u32 now, __u32 at_least, __u32 count)
{
	__u32 limit = slot_table_limit(&table->index);

	for (__u32 i = 0; i < limit && table->leaving_count < count; i++) {
		const struct flow_state *state = &table->states[i];

		if (state->packets && now - state->active >= at_least &&
		    state->packets == __atomic_load_n(&table->slots[i].packets, __ATOMIC_RELAXED))
			table->leaving[table->leaving_count++] = i;
	}
	retire(table);
}

void flow_table_age(struct flow_table *table, __u64 now_ns, __u64 idle_ns)
{
	if (idle_ns)
		retire_idle(table, (__u32)(now_ns / TICK_NS),
			    (__u32)((idle_ns + TICK_NS - 1) / TICK_NS), table->index.size.slots);
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
	retire_idle(table, now, ticks, wanted);
}
