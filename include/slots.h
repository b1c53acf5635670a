/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A hash table in memory that programs and user space share: "buckets" leads from a hash to the
 * number of a slot, and "free_slots" is a ring of the slots that may be taken. Each tool has slots
 * and keys of its own. bpf/slot-table.h is the programs' side, lib/slot-table.c user space's.
 */
#ifndef SLOTS_H
#define SLOTS_H

#include <linux/types.h>

/*
 * Element of "buckets". An entry is the tag (the upper half of the hash) above the number of the
 * slot + 1; 0: the entry is empty.
 */
enum { SLOT_BUCKET_SIZE = 7 };
struct slot_bucket {
	__u64 entry[SLOT_BUCKET_SIZE];
	__u64 spilled; /* whether a key has ever had to go to its next bucket */
};
_Static_assert(sizeof(struct slot_bucket) == 64, "slot_bucket is one cache line");

/* The number of a place in "buckets": the bucket's times SLOT_PLACES, and the entry's in it. */
enum { SLOT_PLACES = 8 };

/* Secret numbers of the hash: one for each word of 32 bits in a key (slot_hash_add()). */
enum { SLOT_HASH_KEYS = 12 };

/*
 * Entry of "free_slots". The ends of the ring come first, each on a cache line of its own, then the
 * secret numbers of the hash, for programs that are loaded later. The ends only ever grow. Position
 * N is slot[N % SLOT_LINE_SIZE] of line SLOT_LINE_RING + N / SLOT_LINE_SIZE, modulo the size of the
 * ring. At first all slots are free, in order: position N then means slot N as long as N is less
 * than their number, and the ring is not read.
 */
enum { SLOT_LINE_HEAD, SLOT_LINE_TAIL, SLOT_LINE_KEYS, SLOT_LINE_RING = SLOT_LINE_KEYS + 2 };
enum { SLOT_LINE_SIZE = 16 };
struct slot_line {
	union {
		__u32 slot[SLOT_LINE_SIZE];
		__u64 end;    /* head: next to take, by programs; tail: next to put */
		__u64 key[8]; /* of the hash; they take two lines */
	};
};
_Static_assert(sizeof(struct slot_line) == 64, "slot_line is one cache line");

/* Element of "spares", one for each CPU: number + 1 of a slot that was taken, not used; or 0. */
struct slot_spare {
	__u64 taken;
	__u64 reserved[7];
};
_Static_assert(sizeof(struct slot_spare) == 64, "slot_spare is one cache line");

/**
 * slot_hash_add - add two words of a key to the sum that its hash is made of
 * @sum: 0 for the first two words
 * @keys: SLOT_HASH_KEYS secret numbers
 * @pair: 0 for the first two words, 1 for the next, and so on
 *
 * The sum is one of products with secret numbers K. For words a, b, c, d it is
 * (K0 + a) * (K1 + b) + (K2 + c) * (K3 + d) modulo 2^64: multilinear hashing in the form with half
 * the multiplications (Lemire and Kaser, "Strongly universal string hashing is fast", 2014).
 *
 * Nobody without K can choose keys that share a bucket. If two keys differ in word a, their sums
 * differ by (a - a') * K1, and by more that does not depend on K1. |a - a'| is less than 2^32, so
 * that the upper 33 bits of the product take every value equally often, whatever a and a' are. For
 * a given K1, each sum itself takes every value, by K0. Thus the upper halves of two sums are a
 * pair of random numbers, and slot_hash_end() only exchanges these for others, one for one.
 */
static inline __u64 slot_hash_add(__u64 sum, const volatile __u64 *keys, __u32 pair, __u32 first,
				  __u32 second)
{
	return sum + (keys[2 * pair] + first) * (keys[2 * pair + 1] + second);
}

/**
 * slot_hash_end - make the hash of a key from the sum of all its words, except @port
 * @port: in host byte order
 *
 * Low half: the first bucket. High half: the tag, which also leads to the other two buckets.
 *
 * The port moves the bucket on by one for each two ports: hosts take their ports one after the
 * other, so that new flows find their buckets side by side, in the cache. That helps nobody to aim
 * at a bucket: two flows with all else in common never have the same port.
 *
 * Words at equal distances, such as the ports of a scan, have sums at equal distances. Folding the
 * number of the bucket keeps those from meeting in few buckets: without, 3 % of all tables lost one
 * in 100 of 57,000 such flows.
 */
static inline __u64 slot_hash_end(__u64 sum, __u16 port)
{
	__u32 bucket = sum >> 32;
	/* The upper half of a product depends on all bits. */
	__u64 tag = (sum ^ bucket ^ port) * 0x9e3779b97f4a7c15ULL;

	bucket ^= bucket >> 16;
	return tag >> 32 << 32 | (__u32)(bucket + port / 2);
}

enum { SLOT_CANDIDATES = 3 };

/** slot_bucket_number - where a key of @hash may be; @mask: the number of buckets - 1 */
static inline __u32 slot_bucket_number(__u64 hash, __u32 candidate, __u32 mask)
{
	__u32 tag = hash >> 32;

	return ((__u32)hash ^ tag * candidate * 0x5bd1e995U) & mask;
}

#endif /* SLOTS_H */
