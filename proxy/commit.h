/* SPDX-License-Identifier: GPL-2.0-only */
/* Changing the mappings of a datapath while packets and flows use them. */
#ifndef PROXY_COMMIT_H
#define PROXY_COMMIT_H

#include <stdbool.h>

#include "mapping.h"
#include "maps.h"
#include "nexthop.h"
#include "table.h"

/**
 * commit_mappings - make the datapath serve exactly the mappings of @list
 * @list: as mapping_list_finish() has left it
 * @kill: flows of mappings that change or go are removed; otherwise TCP flows keep their target
 *	  until they end
 *
 * Each entry changes atomically. Nothing has changed if this fails for want of room.
 * Return: 0, or a negative errno with @error set.
 */
int commit_mappings(struct table *table, const struct maps *maps, struct nexthops *hops,
		    const struct mapping_list *list, bool kill, struct mapping_error *error);

/**
 * commit_kill_deleted - remove the flows of deleted mappings, and with them these
 * @name: which; see mapping_named()
 * Return: 0; -ENOENT if no mapping of this name is deleted and has flows; -ENOMEM.
 */
int commit_kill_deleted(struct table *table, const struct maps *maps, struct nexthops *hops,
			const struct mapping *name);

/** commit_flush - remove all flows */
void commit_flush(const struct maps *maps);

#endif /* PROXY_COMMIT_H */
