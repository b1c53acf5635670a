/* SPDX-License-Identifier: GPL-2.0-only */
/* User space's side of a table of slots (include/slots.h). */
#ifndef SLOT_TABLE_H
#define SLOT_TABLE_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "slots.h"

/* The sizes of the maps. */
struct slot_table_size {
	__u32 slots;
	__u32 buckets; /* a power of two */
	__u32 ring;    /* positions, a power of two */
	__u32 lines;   /* entries of "free_slots" */
};

/** slot_table_size - compute the sizes for @slots slots with up to @keys index entries each */
struct slot_table_size slot_table_size(__u32 slots, __u32 keys);

/** slot_table_bytes - return the memory of "buckets" and "free_slots" */
__u64 slot_table_bytes(struct slot_table_size size);

/* All zero: not open. */
struct slot_table {
	struct slot_table_size size;
	struct slot_bucket *buckets; /* memory shared with the programs */
	struct slot_line *lines;
};

/**
 * slot_table_open - map the table
 * @buckets_fd, @free_fd: its maps; they stay the caller's
 * Return: 0 or a negative errno; slot_table_close() is right in either case.
 */
int slot_table_open(struct slot_table *table, struct slot_table_size size, int buckets_fd,
		    int free_fd);

void slot_table_close(struct slot_table *table);

/**
 * slot_table_begin - make every slot of a new table free; call before the programs run
 * @keys: the SLOT_HASH_KEYS secret numbers of the hash, which the programs have as well
 */
void slot_table_begin(struct slot_table *table, const __u64 *keys);

/**
 * slot_table_touch - read a word of each page of the buckets and of the slots in @slots
 *
 * In a virtual machine, the first access to a page may take 13 microseconds. Packets do not wait
 * for that after this call.
 */
void slot_table_touch(const struct slot_table *table, const void *slots, size_t slot_size);

/** slot_table_keys - return the secret numbers of the hash of a table that is in use */
static inline const __u64 *slot_table_keys(const struct slot_table *table)
{
	return table->lines[SLOT_LINE_KEYS].key;
}

/**
 * slot_table_wait - wait until every program that runs now has ended
 *
 * Afterwards no program uses a slot whose entry was removed before the call. Where the kernel
 * refuses to wait for programs (nohz_full), this sleeps for 100 ms: they run for microseconds.
 */
void slot_table_wait(void);

/** slot_table_put - make a slot free again; no entry refers to it, and no program uses it */
void slot_table_put(struct slot_table *table, __u32 slot);

/**
 * slot_table_link - add an index entry, by which programs find a slot under a further key
 * @hash: of the key
 * @place: set to the place of the entry in "buckets"
 * Return: 0, or -ENOSPC if there is no room in the buckets of this hash.
 */
int slot_table_link(const struct slot_table *table, __u64 hash, __u32 slot, __u32 *place);

/**
 * slot_table_unlink - clear the index entry at @place if it refers to slot @slot
 *
 * Programs that have found the slot before may still use it, see slot_table_wait().
 * Return: whether it did refer to it.
 */
bool slot_table_unlink(const struct slot_table *table, __u32 place, __u32 slot);

/** slot_table_limit - return a number that no slot in use so far reaches: they are taken in order
 */
__u32 slot_table_limit(const struct slot_table *table);

/** slot_table_free - return the number of free slots */
__u64 slot_table_free(const struct slot_table *table);

#endif /* SLOT_TABLE_H */
