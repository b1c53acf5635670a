// SPDX-License-Identifier: GPL-2.0-only
#include "slot-table.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "memory.h"

enum { SLOT_PAGE_BYTES = 4096 };

static __u32 slot_table_power(__u32 at_least)
{
	__u32 power = 1;

	while (power < at_least)
		power *= 2;
	return power;
}

struct slot_table_size slot_table_size(__u32 slots, __u32 keys)
{
	__u32 lines = slot_table_power((slots + SLOT_LINE_SIZE - 1) / SLOT_LINE_SIZE);

	/*
	 * Two entries a bucket on average when every slot is in use, with all its keys: then one
	 * bucket in 200 has been full, and no three of them together.
	 */
	return (struct slot_table_size){
		.slots = slots,
		.buckets = slot_table_power((slots + 1) / 2 * keys),
		.ring = lines * SLOT_LINE_SIZE,
		.lines = lines + SLOT_LINE_RING,
	};
}

__u64 slot_table_bytes(struct slot_table_size size)
{
	return (__u64)size.buckets * sizeof(struct slot_bucket) +
	       (__u64)size.lines * sizeof(struct slot_line);
}

int slot_table_open(struct slot_table *table, struct slot_table_size size, int buckets_fd,
		    int free_fd)
{
	*table = (struct slot_table){ .size = size };
	return memory_map(buckets_fd, size.buckets * sizeof(struct slot_bucket),
			  (void **)&table->buckets)
		       ?: memory_map(free_fd, size.lines * sizeof(struct slot_line),
				     (void **)&table->lines);
}

void slot_table_close(struct slot_table *table)
{
	if (table->buckets)
		munmap(table->buckets, table->size.buckets * sizeof(struct slot_bucket));
	if (table->lines)
		munmap(table->lines, table->size.lines * sizeof(struct slot_line));
	memset(table, 0, sizeof(*table));
}

/* The programs see the slot once they see the tail; x86 and the release order keep the two apart.
 */
void slot_table_put(struct slot_table *table, __u32 slot)
{
	__u64 tail = table->lines[SLOT_LINE_TAIL].end;
	__u64 line = SLOT_LINE_RING + (tail & (table->size.ring - 1)) / SLOT_LINE_SIZE;

	table->lines[line].slot[tail % SLOT_LINE_SIZE] = slot;
	__atomic_store_n(&table->lines[SLOT_LINE_TAIL].end, tail + 1, __ATOMIC_RELEASE);
}

void slot_table_begin(struct slot_table *table, const __u64 *keys)
{
	memcpy(table->lines[SLOT_LINE_KEYS].key, keys, SLOT_HASH_KEYS * sizeof(*keys));
	__atomic_store_n(&table->lines[SLOT_LINE_TAIL].end, table->size.slots, __ATOMIC_RELEASE);
}

/* Read a word of each page. */
static void slot_table_touch_pages(const void *memory, size_t len)
{
	for (size_t at = 0; at < len; at += SLOT_PAGE_BYTES)
		*(const volatile __u64 *)((const char *)memory + at);
}

void slot_table_touch(const struct slot_table *table, const void *slots, size_t slot_size)
{
	slot_table_touch_pages(table->buckets, table->size.buckets * sizeof(struct slot_bucket));
	slot_table_touch_pages(slots, table->size.slots * slot_size);
}

int slot_table_link(const struct slot_table *table, __u64 hash, __u32 slot, __u32 *place)
{
	for (__u32 candidate = 0; candidate < SLOT_CANDIDATES; candidate++) {
		__u32 number = slot_bucket_number(hash, candidate, table->size.buckets - 1);
		struct slot_bucket *bucket = &table->buckets[number];

		for (__u32 i = 0; i < SLOT_BUCKET_SIZE; i++) {
			__u64 empty = 0;

			if (!__atomic_compare_exchange_n(&bucket->entry[i], &empty,
							 hash >> 32 << 32 | (slot + 1), false,
							 __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
				continue;
			*place = number * SLOT_PLACES + i;
			return 0;
		}
		__atomic_store_n(&bucket->spilled, 1, __ATOMIC_SEQ_CST);
	}
	return -ENOSPC;
}

bool slot_table_unlink(const struct slot_table *table, __u32 place, __u32 slot)
{
	/* The place comes from shared memory. */
	__u32 number = place / SLOT_PLACES & (table->size.buckets - 1);
	__u64 *entry = &table->buckets[number].entry[place % SLOT_PLACES % SLOT_BUCKET_SIZE];
	__u64 old = __atomic_load_n(entry, __ATOMIC_RELAXED);

	return (__u32)old == slot + 1 &&
	       __atomic_compare_exchange_n(entry, &old, 0, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

void slot_table_wait(void)
{
	const struct timespec grace = { .tv_nsec = 100000000 };

	/* Programs run under RCU, and the kernel does this with synchronize_rcu(). */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		nanosleep(&grace, NULL);
}

static __u64 slot_table_head(const struct slot_table *table)
{
	return __atomic_load_n(&table->lines[SLOT_LINE_HEAD].end, __ATOMIC_ACQUIRE);
}

__u32 slot_table_limit(const struct slot_table *table)
{
	__u64 taken = slot_table_head(table);

	return taken < table->size.slots ? (__u32)taken : table->size.slots;
}

__u64 slot_table_free(const struct slot_table *table)
{
	return table->lines[SLOT_LINE_TAIL].end - slot_table_head(table);
}
