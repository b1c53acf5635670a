/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs know of addresses: the map "hosts" has those of originals and targets, and the
 * prefilter a bit for each address that the programs have to look at.
 */
#ifndef PROXY_HOSTS_H
#define PROXY_HOSTS_H

#include <linux/types.h>

#include "mapping.h"
#include "maps.h"

/**
 * hosts_write - enter what the mappings of @plan say of their addresses
 * Return: 0 or a negative errno; some addresses may then have been entered.
 */
int hosts_write(const struct maps *maps, const struct mapping_list *plan);

/** hosts_delete - remove the addresses that some mapping of @before names, and none of @plan */
void hosts_delete(const struct maps *maps, const struct mapping_list *before,
		  const struct mapping_list *plan);

/** hosts_prefilter_add - let packets to and from @addr through, from now on */
void hosts_prefilter_add(const struct maps *maps, const struct addr *addr);

/** hosts_prefilter_note - set the bit of @addr in @words, which has PROXY_PREFILTER_BITS */
void hosts_prefilter_note(const struct maps *maps, __u64 *words, const struct addr *addr);

/** hosts_prefilter_set - let only the addresses of @words through */
void hosts_prefilter_set(const struct maps *maps, const __u64 *words);

#endif /* PROXY_HOSTS_H */
