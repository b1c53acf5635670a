/* SPDX-License-Identifier: GPL-2.0-only */
/* Random numbers for tests: the same for the same seed, everywhere. */
#ifndef TESTS_RANDOM_H
#define TESTS_RANDOM_H

#include <linux/types.h>
#include <stdbool.h>

static __u64 random_state = 1; /* the seed; not 0 */

/** random_below - return a number from 0 to @below - 1 (xorshift64*) */
static inline __u32 random_below(__u32 below)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (random_state * 0x2545f4914f6cdd1dULL >> 32) % below;
}

/** random_one_in - return true once in @n times */
static inline bool random_one_in(__u32 n)
{
	return !random_below(n);
}

/** random_seed - begin the row of numbers that belongs to @seed, which may be near to another's */
static inline void random_seed(__u64 seed)
{
	random_state = (seed + 1) * 0x9e3779b97f4a7c15ULL;
	for (int i = 0; i < 8; i++)
		random_below(2);
}

#define RANDOM_OF(list) ((list)[random_below(sizeof(list) / sizeof((list)[0]))])

#endif /* TESTS_RANDOM_H */
