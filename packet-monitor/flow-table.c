// SPDX-License-Identifier: GPL-2.0-only
#include "flow-table.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Times are kept in 32 bits, in tenths of a second: 13 years. */
#define TICK_NS 100000000ULL

/* Where the kernel cannot tell that all programs have ended: they run for microseconds. */
#define GRACE_NS 100000000ULL

/* 24 bytes a slot, touched only where a flow has been. */
struct flow_state {
	struct pm_count seen; /* at the last report; no packets: the slot was free */
	__u32 first;	      /* report that showed the flow first, in ticks */
	__u32 active;	      /* last report that showed new packets, in ticks */
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
		if (state->seen.packets != flow.total.packets)
			state->active = now;
		flow.interval.packets = flow.total.packets - state->seen.packets;
		flow.interval.bytes = flow.total.bytes - state->seen.bytes;
		flow.age_ns = (now - state->first) * TICK_NS;
		flow.idle_ns = (now - state->active) * TICK_NS;
		state->seen = flow.total;
		visit(ctx, &flow);
	}
	table->exhausted = false;
}

/*
 * Wait until every program that runs now has ended: afterwards none knows an index entry that was
 * removed before. The kernel does it with synchronize_rcu(), and refuses on nohz_full machines.
 */
static int wait_for_programs(void)
{
	return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) ? -errno : 0;
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
	table->grace_pending = false;
}

/* Remove the index entries of the flows in @leaving, then take back their slots. */
static void retire(struct flow_table *table, __u64 now_ns)
{
	if (!table->leaving_count)
		return;
	for (__u32 i = 0; i < table->leaving_count; i++)
		slot_table_unlink(&table->index, table->slots[table->leaving[i]].entry,
				  table->leaving[i]);
	table->grace_pending = wait_for_programs() != 0;
	table->grace_ns = now_ns;
	if (!table->grace_pending)
		reclaim(table);
}

/* Whether new flows may be put into @leaving: no earlier ones are waiting in it. */
static bool can_retire(struct flow_table *table, __u64 now_ns)
{
	if (table->grace_pending && now_ns - table->grace_ns < GRACE_NS)
		return false;
	if (table->grace_pending)
		reclaim(table);
	return true;
}

/* Ticks since the flow last moved; false if the slot is free or the flow has moved since the scan.
 */
static bool is_idle(const struct flow_table *table, __u32 i, __u32 now, __u32 *ticks)
{
	const struct flow_state *state = &table->states[i];

	if (!state->seen.packets ||
	    state->seen.packets != __atomic_load_n(&table->slots[i].packets, __ATOMIC_RELAXED))
		return false;
	*ticks = now - state->active;
	return true;
}

/* Let go of flows that have been idle for @at_least ticks, at most @count of them. */
static void retire_idle(struct flow_table *table, __u64 now_ns, __u32 at_least, __u32 count)
{
	__u32 limit = slot_table_limit(&table->index), now = (__u32)(now_ns / TICK_NS), ticks;

	for (__u32 i = 0; i < limit && table->leaving_count < count; i++)
		if (is_idle(table, i, now, &ticks) && ticks >= at_least)
			table->leaving[table->leaving_count++] = i;
	retire(table, now_ns);
}

void flow_table_age(struct flow_table *table, __u64 now_ns, __u64 idle_ns)
{
	if (idle_ns && can_retire(table, now_ns))
		retire_idle(table, now_ns, (__u32)((idle_ns + TICK_NS - 1) / TICK_NS),
			    table->index.size.slots);
}

bool flow_table_under_pressure(const struct flow_table *table)
{
	return slot_table_free(&table->index) < table->index.size.slots / 2;
}

void flow_table_relieve(struct flow_table *table, __u64 now_ns, __u64 min_idle_ns)
{
	enum { LONGEST = 1024 }; /* ticks; longer idle times are all the same */
	__u32 now = (__u32)(now_ns / TICK_NS), limit = slot_table_limit(&table->index);
	__u32 wanted = table->index.size.slots / 4 + 1, found = 0, ticks;
	__u32 shortest = min_idle_ns / TICK_NS < LONGEST ? (__u32)(min_idle_ns / TICK_NS) : LONGEST;
	__u32 idle[LONGEST + 1] = { 0 };

	if (table->exhausted || slot_table_free(&table->index) > table->index.size.slots / 8 ||
	    !can_retire(table, now_ns))
		return;
	/* The clock of reports is not exact to the tick; what has just moved stays in any case. */
	shortest = shortest > 1 ? shortest - 1 : 1;
	for (__u32 i = 0; i < limit; i++)
		if (is_idle(table, i, now, &ticks) && ticks >= shortest)
			idle[ticks < LONGEST ? ticks : LONGEST]++;
	for (ticks = LONGEST; ticks > shortest && found + idle[ticks] < wanted; ticks--)
		found += idle[ticks];
	table->exhausted = found + idle[ticks] < wanted;
	retire_idle(table, now_ns, ticks, wanted);
}
