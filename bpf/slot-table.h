/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The programs' side of a table of slots (include/slots.h): find a slot by its key, take a free
 * one. A key has three candidate buckets. At a mean load of at most two of seven entries, the first
 * one nearly always has room. The next one is read only if the one before was once full, so looking
 * for a key that is not there reads one cache line. BPF only.
 */
#ifndef BPF_SLOT_TABLE_H
#define BPF_SLOT_TABLE_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#include "slots.h"

/* Constant once loaded. */
const volatile __u32 cfg_slots = 0;
const volatile __u32 cfg_bucket_mask = 0;		 /* buckets - 1 */
const volatile __u32 cfg_ring_mask = 0;			 /* positions of the ring - 1 */
const volatile __u64 cfg_hash_keys[SLOT_HASH_KEYS] = {}; /* secret: see slots.h */

/* Sizes are set before the load. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct slot_bucket);
} buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SLOT_LINE_RING + 1);
	__type(key, __u32);
	__type(value, struct slot_line);
} free_slots SEC(".maps");

/* One for each possible CPU; not a per-CPU array, which would be another cache line to read. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct slot_spare);
} spares SEC(".maps");

static __always_inline struct slot_bucket *slot_bucket_at(__u64 hash, __u32 candidate)
{
	__u32 number = slot_bucket_number(hash, candidate, cfg_bucket_mask);

	return bpf_map_lookup_elem(&buckets, &number);
}

static __always_inline __u64 slot_read(const __u64 *word)
{
	return *(const volatile __u64 *)word;
}

/* The slot of this number if it has this key, or NULL. */
typedef void *(*slot_match)(__u32 number, const void *key);

/**
 * slot_find_first - look where nearly every key is: the first bucket, the first entry with its tag
 * @number: set to the slot's number if it is there
 *
 * One pass selects the entry and one comparison checks it: few instructions to run and to verify.
 * Return: the slot, or NULL.
 */
static __always_inline void *slot_find_first(__u64 hash, const void *key, slot_match match,
					     __u32 *number)
{
	const struct slot_bucket *bucket = slot_bucket_at(hash, 0);
	__u64 entry = 0;

	for (__u32 i = 0; bucket && i < SLOT_BUCKET_SIZE; i++) {
		entry = slot_read(&bucket->entry[i]);
		if (entry >> 32 == hash >> 32)
			break;
	}
	*number = (__u32)entry - 1;
	return match(*number, key);
}

/**
 * slot_sum - add up the low halves of those entries of @bucket that have the tag of @hash
 *
 * Two entries of a bucket hardly ever have one tag. So the sum is nearly always the number of the
 * slot + 1, or 0 if no entry has the tag. There is no branch, since the verifier would follow each.
 * The barrier makes the compiler add one entry after the other: some compilers would compare all of
 * them first, and keep the results on the stack.
 */
static __always_inline __u64 slot_sum(const struct slot_bucket *bucket, __u64 hash)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < SLOT_BUCKET_SIZE; i++) {
		__u64 entry = slot_read(&bucket->entry[i]);
		__u64 same = ((entry ^ hash) >> 32) - 1; /* if so, the upper half is all ones */

		sum += (__u32)entry & same >> 32;
		asm volatile("" : "+r"(sum));
	}
	return sum;
}

/**
 * slot_find - find a slot by its key, in all candidate buckets
 *
 * A loop, not unrolled: the kernel patches each lookup in the code when it loads the program, and
 * copies insn_aux_data of the whole program for that.
 */
static __always_inline void *slot_find(__u64 hash, const void *key, slot_match match, __u32 *number)
{
#pragma clang loop unroll(disable)
	for (__u32 candidate = 0; candidate < SLOT_CANDIDATES; candidate++) {
		const struct slot_bucket *bucket = slot_bucket_at(hash, candidate);

#pragma clang loop unroll(disable)
		for (__u32 i = 0; bucket && i < SLOT_BUCKET_SIZE; i++) {
			__u64 entry = slot_read(&bucket->entry[i]);
			void *slot;

			if (entry >> 32 != hash >> 32)
				continue;
			*number = (__u32)entry - 1; /* an empty entry's is not in the map */
			slot = match(*number, key);
			if (slot)
				return slot;
		}
		if (!bucket || !slot_read(&bucket->spilled))
			break;
	}
	return NULL;
}

/** slot_entry - the entry @place of "buckets" */
static __always_inline __u64 *slot_entry(__u32 place)
{
	__u32 number = place / SLOT_PLACES;
	struct slot_bucket *bucket = bpf_map_lookup_elem(&buckets, &number);

	return bucket ? &bucket->entry[place % SLOT_PLACES] : NULL;
}

/**
 * slot_place - find an empty entry in the buckets of @hash
 * @place: set to its number, in memory of a map: the verifier then does not tell one place from
 *	   another, and goes through what follows once
 * Return: the entry, or NULL if there is none.
 */
static __always_inline __u64 *slot_place(__u64 hash, __u32 *place)
{
#pragma clang loop unroll(disable)
	for (__u32 candidate = 0; candidate < SLOT_CANDIDATES; candidate++) {
		__u32 number = slot_bucket_number(hash, candidate, cfg_bucket_mask);
		struct slot_bucket *bucket = bpf_map_lookup_elem(&buckets, &number);

#pragma clang loop unroll(disable)
		for (__u32 i = 0; bucket && i < SLOT_BUCKET_SIZE; i++) {
			if (slot_read(&bucket->entry[i]))
				continue;
			*place = number * SLOT_PLACES + i;
			return slot_entry(*(volatile __u32 *)place);
		}
		if (bucket && !slot_read(&bucket->spilled))
			__sync_lock_test_and_set(&bucket->spilled, 1);
	}
	return NULL;
}

/* Races against other CPUs that a packet may lose. */
#define SLOT_TAKE_ATTEMPTS 8

static __always_inline __u64 *slot_ring_end(__u32 line)
{
	struct slot_line *found = bpf_map_lookup_elem(&free_slots, &line);

	return found ? &found->end : NULL;
}

static __always_inline struct slot_spare *slot_spare(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&spares, &cpu);
}

/**
 * slot_take - take a free slot
 * @taken: set to its number + 1
 *
 * The position is reserved before it is read: nobody can fill it again as long as the slot read
 * from it has not been put back, for which user space waits until we have ended. Return: 0, -ENOSPC
 * if there is none, or -EBUSY if too many races were lost.
 */
static __always_inline int slot_take(__u64 *taken)
{
	__u64 *head = slot_ring_end(SLOT_LINE_HEAD), *tail = slot_ring_end(SLOT_LINE_TAIL);
	struct slot_spare *spare = slot_spare();
	struct slot_line *line;
	__u32 number;

	/* Exchanged, not just read: with PREEMPT_RT, another packet may interrupt this one. */
	*taken = spare && spare->taken ? __sync_lock_test_and_set(&spare->taken, 0) : 0;
	if (*taken)
		return 0;
	if (!head || !tail)
		return -ENOSPC;
	for (int i = 0; i < SLOT_TAKE_ATTEMPTS; i++) {
		__u64 position = slot_read(head);

		/* The tail is in a line of its own, and at first never reached. */
		if (position >= cfg_slots && position == slot_read(tail))
			return -ENOSPC;
		if (__sync_val_compare_and_swap(head, position, position + 1) != position)
			continue;
		if (position < cfg_slots) {
			*taken = position + 1;
			return 0;
		}
		number = SLOT_LINE_RING + (position & cfg_ring_mask) / SLOT_LINE_SIZE;
		line = bpf_map_lookup_elem(&free_slots, &number);
		if (!line)
			return -ENOSPC;
		*taken = (__u64)line->slot[position % SLOT_LINE_SIZE] + 1;
		return 0;
	}
	return -EBUSY;
}

/** slot_keep - keep a slot that was taken and not used as this CPU's spare */
static __always_inline void slot_keep(__u64 taken)
{
	struct slot_spare *spare = slot_spare();

	/* The place is empty: slot_take() has emptied it. */
	if (spare)
		__sync_lock_test_and_set(&spare->taken, taken);
}

/** slot_unlink - clear entry @place if it refers to slot @number
 */
static __always_inline void slot_unlink(__u32 place, __u32 number)
{
	__u64 *entry = slot_entry(place), old;

	if (!entry)
		return;
	old = slot_read(entry);
	if ((__u32)old == number + 1)
		__sync_val_compare_and_swap(entry, old, 0);
}

#endif /* BPF_SLOT_TABLE_H */
