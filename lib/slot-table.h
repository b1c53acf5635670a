/* SPDX-License-Identifier: GPL-2.0-only */
/* User space's side of a table of slots (include/slots.h). */
#ifndef SLOT_TABLE_H
#define SLOT_TABLE_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "slots.h"

/* How large to make the maps. */
struct slot_table_size {
	__u32 slots;
	__u32 buckets; /* a power of two */
	__u32 ring;    /* positions, a power of two */
	__u32 lines;   /* entries of "free_slots" */
};

/** slot_table_size - for @slots slots, each of which up to @keys keys lead to */
struct slot_table_size slot_table_size(__u32 slots, __u32 keys);

/** slot_table_bytes - memory that "buckets" and "free_slots" take */
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
 * slot_table_begin - hand every slot of a new table to the programs; call before they run
 * @keys: the SLOT_HASH_KEYS secret numbers of the hash, which the programs have as well
 */
void slot_table_begin(struct slot_table *table, const __u64 *keys);

/**
 * slot_table_touch - read a word of each page of the buckets and of the slots in @slots
 *
 * The first access to a page may take 13 microseconds, in a virtual machine whose host keeps the
 * page tables. Packets then do not wait for it.
 */
void slot_table_touch(const struct slot_table *table, const void *slots, size_t slot_size);

/** slot_table_keys - return the secret numbers of the hash of a table that is in use */
static inline const __u64 *slot_table_keys(const struct slot_table *table)
{
	return table->lines[SLOT_LINE_KEYS].key;
}

/**
 * slot_table_wait - return when every program that runs now has ended
 *
 * Afterwards no program knows what it has read from an entry that was removed before. Where the
 * kernel refuses to wait for programs (nohz_full), this sleeps for 100 ms: they take microseconds.
 */
void slot_table_wait(void);

/** slot_table_put - give back a slot that nothing refers to, and that no program can know any more
 */
void slot_table_put(struct slot_table *table, __u32 slot);

/**
 * slot_table_link - have packets from now on find a slot by a further key
 * @hash: of the key
 * @place: set to where "buckets" refers to it
 * Return: 0, or -ENOSPC if there is no room in the buckets of this hash.
 */
int slot_table_link(const struct slot_table *table, __u64 hash, __u32 slot, __u32 *place);

/**
 * slot_table_unlink - have packets from now on not find a slot; those under way may still use it
 * @place: where "buckets" refers to it, as slot_place() has told
 * Return: whether it did; if not, nothing is done.
 */
bool slot_table_unlink(const struct slot_table *table, __u32 place, __u32 slot);

/** slot_table_limit - slots are first taken in order: those from here on have never been used */
__u32 slot_table_limit(const struct slot_table *table);

/** slot_table_free - how many slots may be taken */
__u64 slot_table_free(const struct slot_table *table);

#endif /* SLOT_TABLE_H */
