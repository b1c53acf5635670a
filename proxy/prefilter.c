// SPDX-License-Identifier: GPL-2.0-only
#include "prefilter.h"

void prefilter_add(const struct maps *maps, __be32 addr)
{
	__u32 bit = proxy_prefilter_bit(addr);

	__atomic_or_fetch(&maps->prefilter->words[bit / 64], 1ULL << bit % 64, __ATOMIC_RELAXED);
	bit /= PROXY_SUMMARY_SPAN;
	__atomic_or_fetch(&maps->state->summary[bit / 64], 1ULL << bit % 64, __ATOMIC_RELAXED);
}

void prefilter_note(__u64 *words, __be32 addr)
{
	__u32 bit = proxy_prefilter_bit(addr);

	words[bit / 64] |= 1ULL << bit % 64;
}

void prefilter_set(const struct maps *maps, const __u64 *words)
{
	__u64 summary[4] = { 0 };

	for (int i = 0; i < PROXY_PREFILTER_BITS / 64; i++) {
		int bit = i * 64 / PROXY_SUMMARY_SPAN;

		if (words[i])
			summary[bit / 64] |= 1ULL << bit % 64;
		if (maps->prefilter->words[i] != words[i])
			__atomic_store_n(&maps->prefilter->words[i], words[i], __ATOMIC_RELAXED);
	}
	for (int i = 0; i < 4; i++)
		__atomic_store_n(&maps->state->summary[i], summary[i], __ATOMIC_RELAXED);
}
