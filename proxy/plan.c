// SPDX-License-Identifier: GPL-2.0-only
#include "plan.h"

#include <string.h>

#include "resolve.h"

static int plan_mapping(struct table *table, const struct maps *maps, struct nexthops *hops,
			const struct mapping *wanted, __u32 *id_from, struct mapping_list *plan)
{
	const struct mapping *old = mapping_list_find(&table->plan, &wanted->from);
	struct mapping entry = { .from = wanted->from,
				 .to = { .addr = wanted->to.addr,
					 .port = wanted->to.port,
					 .flags = PROXY_MAPPING_ASK } };
	struct proxy_dest deleted = wanted->from;
	int err = nexthops_get(hops, wanted->to.addr, &entry.to.nexthop);

	deleted.deleted = 1;
	if (!old || !table_shown(old))
		old = mapping_list_find(&table->plan, &deleted);
	else if (old->to.addr == wanted->to.addr && old->to.port == wanted->to.port)
		entry.to.flags &= old->to.flags;
	if (nexthops_local(hops, entry.to.nexthop))
		entry.to.flags |= PROXY_MAPPING_LOCAL;
	if (old)
		entry.to.id = old->to.id;
	else if (!err)
		err = table_id_take(table, maps, id_from, &entry.to.id);
	return err ?: mapping_list_append(plan, &entry);
}

/* Enter those that are not wanted any more as deleted: flows may have their ids. */
static int plan_deleted(const struct table *table, const struct mapping_list *list,
			struct mapping_list *plan)
{
	int err = 0;

	for (size_t i = 0; i < table->plan.count && !err; i++) {
		struct mapping entry = table->plan.entries[i];

		entry.from.deleted = 0;
		if (!table_shown(&entry) || mapping_list_find(list, &entry.from))
			continue;
		entry.from.deleted = 1;
		err = mapping_list_append(plan, &entry);
	}
	return err;
}

/* Enter the targets: a direct flow must not collide with a mapped one. */
static int plan_targets(struct mapping_list *plan)
{
	size_t mappings = plan->count, kept = 0;
	int err = 0;

	mapping_list_sort(plan);
	for (size_t i = 0; i < mappings && !err; i++) {
		const struct mapping_list sorted = { .entries = plan->entries, .count = mappings };
		struct mapping entry = { .from = table_target(&plan->entries[i]),
					 .to = { .flags = PROXY_MAPPING_DIRECT } };

		/* The target of a deleted mapping may be mapped itself now. */
		if (resolve(&sorted, &entry.from))
			continue;
		entry.to.addr = entry.from.addr;
		entry.to.port = entry.from.port;
		err = mapping_list_append(plan, &entry);
	}
	mapping_list_sort(plan);
	/* Several mappings may share a target. */
	for (size_t i = 0; i < plan->count; i++)
		if (!i || memcmp(&plan->entries[i].from, &plan->entries[kept - 1].from,
				 sizeof(plan->entries[i].from)))
			plan->entries[kept++] = plan->entries[i];
	plan->count = kept;
	return err;
}

int plan_make(struct table *table, const struct maps *maps, struct nexthops *hops,
	      const struct mapping_list *list, struct mapping_list *plan)
{
	__u32 id_from = 1;
	int err = 0;

	for (size_t i = 0; i < list->count && !err; i++)
		err = plan_mapping(table, maps, hops, &list->entries[i], &id_from, plan);
	return err ?: plan_deleted(table, list, plan) ?: plan_targets(plan);
}
