// SPDX-License-Identifier: GPL-2.0-only
/* include/slots.h: no choice of keys fills the buckets of the table, without its secret numbers. */
#include "slots.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { SLOTS = 65536, BUCKETS = SLOTS / 2, TABLES = 200, WORDS = SLOT_HASH_KEYS };

static __u8 used[BUCKETS];
static __u64 random_state = 88172645463325252ULL;

/* xorshift64: the same secret numbers each time, so that the test is not one of luck. */
static __u64 random64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* A set of keys: flow @i's words and port, of which at least one differs from all others'. */
struct key_set {
	const char *name;
	__u32 flows;
	void (*make)(__u32 i, __u32 word[WORDS], __u16 *port);
};

static void one_address(__u32 i, __u32 word[WORDS], __u16 *port)
{
	(void)port;
	word[0] += i;
}

static void top_of_address(__u32 i, __u32 word[WORDS], __u16 *port)
{
	(void)port;
	word[1] ^= i << 20;
}

static void both_addresses(__u32 i, __u32 word[WORDS], __u16 *port)
{
	(void)port;
	word[0] ^= i % 64 << 26;
	word[1] ^= i / 64 << 26;
}

/* The bits that cancelled out in a hash which folded its products. */
static void folded(__u32 i, __u32 word[WORDS], __u16 *port)
{
	(void)port;
	word[5] ^= i / 64 << 26;
	word[6] ^= i % 64 << 26;
	word[7] ^= i % 64 << 26;
}

/* Address and port move the other way. */
static void against_port(__u32 i, __u32 word[WORDS], __u16 *port)
{
	word[0] += i;
	*port = (__u16)(0xffff - 2 * i);
}

static void ports_of_hosts(__u32 i, __u32 word[WORDS], __u16 *port)
{
	word[9] += i / 64;
	*port = (__u16)(1024 * (i % 64));
}

/* A scan that fills the table to seven eighths. */
static void scan(__u32 i, __u32 word[WORDS], __u16 *port)
{
	(void)port;
	word[0] += i >> 16;
	word[3] = i & 0xffff;
}

static const struct key_set sets[] = {
	{ "one address after the other", 4096, one_address },
	{ "the top bits of an address", 4096, top_of_address },
	{ "the top bits of two addresses", 4096, both_addresses },
	{ "bits that a folding hash cancels out", 4096, folded },
	{ "an address against a port", 4096, against_port },
	{ "ports at equal distances", 4096, ports_of_hosts },
	{ "one remote port after the other", 57000, scan },
};

static bool place(__u64 hash)
{
	for (__u32 candidate = 0; candidate < SLOT_CANDIDATES; candidate++) {
		__u32 number = slot_bucket_number(hash, candidate, BUCKETS - 1);

		if (used[number] < SLOT_BUCKET_SIZE) {
			used[number]++;
			return true;
		}
	}
	return false;
}

static void check_set(const struct key_set *set)
{
	__u32 lost = 0;

	for (int table = 0; table < TABLES; table++) {
		__u64 keys[SLOT_HASH_KEYS];

		for (int i = 0; i < SLOT_HASH_KEYS; i++)
			keys[i] = random64();
		memset(used, 0, sizeof(used));
		for (__u32 i = 0; i < set->flows; i++) {
			__u32 word[WORDS] = { 0x0100000a, 0x0a00000a, 17, 80, 5, 6, 7, 8, 9, 10 };
			__u16 port = 40000;
			__u64 sum = 0;

			set->make(i, word, &port);
			for (__u32 pair = 0; pair < WORDS / 2; pair++)
				sum = slot_hash_add(sum, keys, pair, word[2 * pair],
						    word[2 * pair + 1]);
			lost += !place(slot_hash_end(sum, port));
		}
	}
	/* One secret in some thousands is a bad one for a lattice of keys: a few flows of one
	 * table. */
	CHECK(lost < set->flows * TABLES / 100000, "%s: %u of %u flows in %d tables find no place",
	      set->name, lost, set->flows * TABLES, TABLES);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		check_set(&sets[i]);
	return check_exit();
}
