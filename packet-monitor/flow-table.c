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

static __u32 power_of_two(__u32 at_least)
{
	__u32 power = 1;

	while (power < at_least)
		power *= 2;
	return power;
}

struct flow_table_size flow_table_size(__u32 max_flows)
{
	/*
	 * Two flows a bucket on average when every slot is in use: then one bucket in 4000 is full,
	 * and no three of them together.
	 */
	return (struct flow_table_size){
		.max_flows = max_flows,
		.buckets = power_of_two((max_flows + 1) / 2),
		.free_lines = power_of_two((max_flows + PM_FREE_LINE - 1) / PM_FREE_LINE),
	};
}

__u64 flow_table_bytes(__u32 max_flows)
{
	struct flow_table_size size = flow_table_size(max_flows);

	return (__u64)size.max_flows * (sizeof(struct pm_slot) + sizeof(struct flow_state)) +
	       (__u64)size.buckets * sizeof(struct pm_bucket) +
	       (__u64)size.free_lines * sizeof(struct pm_free_line);
}

static void *map_open(int fd, size_t len)
{
	return mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

static void map_close(void *memory, size_t len)
{
	if (memory && memory != MAP_FAILED)
		munmap(memory, len);
}

/* The programs see the slot once they see the tail; x86 and the release order keep the two apart.
 */
static void put_slot(struct flow_table *table, __u32 slot)
{
	__u64 tail = table->free_ends->tail;
	__u64 line = tail / PM_FREE_LINE & (table->size.free_lines - 1);

	table->free_lines[line].slot[tail % PM_FREE_LINE] = slot;
	__atomic_store_n(&table->free_ends->tail, tail + 1, __ATOMIC_RELEASE);
}

int flow_table_open(struct flow_table *table, struct flow_table_size size, int slots_fd,
		    int buckets_fd, int free_fd, struct pm_free_ends *free_ends)
{
	table->size = size;
	table->free_ends = free_ends;
	table->slots = map_open(slots_fd, size.max_flows * sizeof(struct pm_slot));
	table->buckets = map_open(buckets_fd, size.buckets * sizeof(struct pm_bucket));
	table->free_lines = map_open(free_fd, size.free_lines * sizeof(struct pm_free_line));
	if (table->slots == MAP_FAILED || table->buckets == MAP_FAILED ||
	    table->free_lines == MAP_FAILED)
		return -errno;
	table->states = calloc(size.max_flows, sizeof(*table->states));
	table->leaving = malloc(size.max_flows * sizeof(*table->leaving));
	if (!table->states || !table->leaving)
		return -ENOMEM;
	for (__u32 slot = 0; slot < size.max_flows; slot++)
		put_slot(table, slot);
	return 0;
}

void flow_table_close(struct flow_table *table)
{
	map_close(table->slots, table->size.max_flows * sizeof(struct pm_slot));
	map_close(table->buckets, table->size.buckets * sizeof(struct pm_bucket));
	map_close(table->free_lines, table->size.free_lines * sizeof(struct pm_free_line));
	free(table->states);
	free(table->leaving);
	memset(table, 0, sizeof(*table));
}

/* Slots are first taken in order: those from here on have never been used. */
static __u32 used_limit(const struct flow_table *table)
{
	__u64 head = __atomic_load_n(&table->free_ends->head, __ATOMIC_ACQUIRE);

	return head < table->size.max_flows ? (__u32)head : table->size.max_flows;
}

static __u64 free_count(const struct flow_table *table)
{
	return table->free_ends->tail - __atomic_load_n(&table->free_ends->head, __ATOMIC_ACQUIRE);
}

void flow_table_scan(struct flow_table *table, __u64 now_ns,
		     void (*visit)(void *ctx, const struct flow *flow), void *ctx)
{
	__u32 limit = used_limit(table), now = (__u32)(now_ns / TICK_NS);

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
		put_slot(table, number);
	}
	table->leaving_count = 0;
	table->grace_pending = false;
}

/* Remove the index entries of the flows in @leaving, then take back their slots. */
static void retire(struct flow_table *table, __u64 now_ns)
{
	if (!table->leaving_count)
		return;
	for (__u32 i = 0; i < table->leaving_count; i++) {
		__u32 entry = table->slots[table->leaving[i]].entry;
		__u64 *place =
			&table->buckets[entry / PM_BUCKET_SIZE].entry[entry % PM_BUCKET_SIZE];

		__atomic_store_n(place, 0, __ATOMIC_RELAXED);
	}
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
	__u32 limit = used_limit(table), now = (__u32)(now_ns / TICK_NS), ticks;

	for (__u32 i = 0; i < limit && table->leaving_count < count; i++)
		if (is_idle(table, i, now, &ticks) && ticks >= at_least)
			table->leaving[table->leaving_count++] = i;
	retire(table, now_ns);
}

void flow_table_age(struct flow_table *table, __u64 now_ns, __u64 idle_ns)
{
	if (idle_ns && can_retire(table, now_ns))
		retire_idle(table, now_ns, (__u32)((idle_ns + TICK_NS - 1) / TICK_NS),
			    table->size.max_flows);
}

bool flow_table_under_pressure(const struct flow_table *table)
{
	return free_count(table) < table->size.max_flows / 2;
}

void flow_table_relieve(struct flow_table *table, __u64 now_ns, __u64 min_idle_ns)
{
	enum { LONGEST = 1024 }; /* ticks; longer idle times are all the same */
	__u32 now = (__u32)(now_ns / TICK_NS), limit = used_limit(table);
	__u32 wanted = table->size.max_flows / 4 + 1, found = 0, ticks;
	__u32 shortest = min_idle_ns / TICK_NS < LONGEST ? (__u32)(min_idle_ns / TICK_NS) : LONGEST;
	__u32 idle[LONGEST + 1] = { 0 };

	if (table->exhausted || free_count(table) > table->size.max_flows / 8 ||
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
