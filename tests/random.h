/* SPDX-License-Identifier: GPL-2.0-only */
/* Random numbers for tests: the same for the same seed, everywhere. */
#ifndef TESTS_RANDOM_H
#define TESTS_RANDOM_H

#include <linux/types.h>

static __u64 random_state = 1; /* the seed; not 0 */

/** random_below - return a number from 0 to @below - 1 (xorshift64*) */
static inline __u32 random_below(__u32 below)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (random_state * 0x2545f4914f6cdd1dULL >> 32) % below;
}

#define RANDOM_OF(list) ((list)[random_below(sizeof(list) / sizeof((list)[0]))])

#endif /* TESTS_RANDOM_H */
