/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A hash table in memory that programs and user space share: "buckets" leads from a hash to the
 * number of a slot, and "free_slots" is a ring of the slots that may be taken. What a slot holds,
 * its key included, is the business of each tool. bpf/slot-table.h is the programs' side,
 * lib/slot-table.c user space's.
 */
#ifndef SLOTS_H
#define SLOTS_H

#include <linux/types.h>

/* Entry of "buckets". Each entry in it: tag (high half of the hash), slot + 1 (low half), or 0. */
enum { SLOT_BUCKET_SIZE = 7 };
struct slot_bucket {
	__u64 entry[SLOT_BUCKET_SIZE];
	__u64 spilled; /* whether a key has ever had to go to its next bucket */
};
_Static_assert(sizeof(struct slot_bucket) == 64, "slot_bucket is one cache line");

/* Buckets in a page of memory; slots are as large. */
enum { SLOT_PAGE = 4096 / sizeof(struct slot_bucket) };

/* The number of a place in "buckets": the bucket's times SLOT_PLACES, and the entry's in it. */
enum { SLOT_PLACES = 8 };

/*
 * Entry of "free_slots". The ends of the ring come first, each on a cache line of its own. They
 * only ever grow; position N is slot[N % SLOT_LINE_SIZE] of line SLOT_LINE_RING + N /
 * SLOT_LINE_SIZE, modulo the size of the ring. At first all slots are free, in order: as long as N
 * is less than their number, slot N is meant, and the ring is not looked at.
 */
enum { SLOT_LINE_HEAD, SLOT_LINE_TAIL, SLOT_LINE_RING };
enum { SLOT_LINE_SIZE = 16 };
struct slot_line {
	union {
		__u32 slot[SLOT_LINE_SIZE];
		struct {
			__u64 end;  /* head: next to take, by programs; tail: next to put */
			__u64 seed; /* of the hash, with the tail: for programs loaded later */
		};
	};
};
_Static_assert(sizeof(struct slot_line) == 64, "slot_line is one cache line");

/* Entry of "spares", of one CPU: a slot that was taken, but not needed in the end: slot + 1; or 0.
 */
struct slot_spare {
	__u64 taken;
	__u64 reserved[7];
};
_Static_assert(sizeof(struct slot_spare) == 64, "slot_spare is one cache line");

/*
 * The hash of a key's words: slot_hash_begin(), slot_hash_step() for each further, and the end with
 * a port.
 * @seed: so that nobody can aim at a bucket
 */
static inline __u64 slot_hash_begin(__u64 seed, __u64 word)
{
	__u64 hash = (word ^ seed) * 0xff51afd7ed558ccdULL;

	return hash ^ hash >> 32;
}

static inline __u64 slot_hash_step(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * 0xc4ceb9fe1a85ec53ULL;
	return hash ^ hash >> 32;
}

/**
 * slot_hash_end - the hash of a key whose words, all but @port, have led to @hash
 * @port: in host byte order
 *
 * Low half: the first bucket. High half: the tag, which also leads to the other two.
 *
 * The port only moves the bucket on: hosts take their ports one after the other, so that new flows
 * find their buckets beside each other, in the cache. Nobody can aim at a bucket by it, since two
 * flows with the rest in common never have the same port.
 */
static inline __u64 slot_hash_end(__u64 hash, __u16 port)
{
	/* The upper half of a product depends on all bits. */
	__u64 tag = (hash ^ port) * 0x9e3779b97f4a7c15ULL >> 32;

	return tag << 32 | (__u32)(hash + port / 2);
}

enum { SLOT_CANDIDATES = 3 };

/** slot_bucket_number - where a key of @hash may be; @mask: the number of buckets - 1 */
static inline __u32 slot_bucket_number(__u64 hash, __u32 candidate, __u32 mask)
{
	__u32 tag = hash >> 32;

	return ((__u32)hash ^ tag * candidate * 0x5bd1e995U) & mask;
}

#endif /* SLOTS_H */
