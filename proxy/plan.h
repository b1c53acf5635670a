/* SPDX-License-Identifier: GPL-2.0-only */
/* From the mappings that people want to the entries that the programs need. */
#ifndef PROXY_PLAN_H
#define PROXY_PLAN_H

#include "mapping.h"
#include "maps.h"
#include "nexthop.h"
#include "table.h"

/**
 * plan_make - plan the entries of "mappings" that serve the mappings of @list
 * @table: the entries now; mappings that stay, or come back, keep their ids, and new ones take some
 * @list: as mapping_list_finish() has left it
 * @plan: an empty list; then, sorted, the mappings, a DIRECT entry for each target, and a deleted
 *	  one for each mapping of @table that is not in @list. The caller's to free.
 * Return: 0, -ENOMEM, or -ENOSPC if there are too few ids or places for next hops.
 */
int plan_make(struct table *table, const struct maps *maps, struct nexthops *hops,
	      const struct mapping_list *list, struct mapping_list *plan);

#endif /* PROXY_PLAN_H */
