/* SPDX-License-Identifier: GPL-2.0-only */
/* The prefilter: a bit for each address that the programs have to look at. */
#ifndef PROXY_PREFILTER_H
#define PROXY_PREFILTER_H

#include <linux/types.h>

#include "maps.h"

/** prefilter_add - let packets to and from @addr through, from now on */
void prefilter_add(const struct maps *maps, __be32 addr);

/** prefilter_note - set the bit of @addr in @words, which has PROXY_PREFILTER_BITS */
void prefilter_note(__u64 *words, __be32 addr);

/** prefilter_set - let only the addresses of @words through */
void prefilter_set(const struct maps *maps, const __u64 *words);

#endif /* PROXY_PREFILTER_H */
