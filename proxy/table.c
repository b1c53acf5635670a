// SPDX-License-Identifier: GPL-2.0-only
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "hosts.h"
#include "resolve.h"
#include "sockets.h"

enum { READ_BATCH = 1024 };

static int table_read_entry(struct mapping_list *plan, const struct maps *maps, const void *key,
			    const void *value)
{
	struct mapping entry = { 0 };

	maps->layout->dest_get(key, &entry.from);
	maps->layout->target_get(value, &entry.to);
	/* Another process has made them. */
	if (entry.to.id >= maps->ids || entry.to.nexthop >= maps->max_entries[MAPS_NEXTHOPS])
		return -EUCLEAN;
	return mapping_list_append(plan, &entry);
}

static int table_read(struct mapping_list *plan, const struct maps *maps)
{
	const __u32 key_size = maps->layout->maps[MAPS_MAPPINGS].key_size;
	const __u32 value_size = maps->layout->maps[MAPS_MAPPINGS].value_size;
	char *keys = calloc(READ_BATCH, key_size), *values = calloc(READ_BATCH, value_size);
	__u32 position = 0;
	int err = keys && values ? 0 : -ENOMEM, last = 0;

	for (bool first = true; !err && !last; first = false) {
		__u32 got = READ_BATCH, next;

		last = bpf_map_lookup_batch(maps->fd[MAPS_MAPPINGS], first ? NULL : &position,
					    &next, keys, values, &got, NULL);
		if (last && last != -ENOENT)
			err = last;
		position = next;
		for (__u32 i = 0; i < got && !err; i++)
			err = table_read_entry(plan, maps, keys + i * key_size,
					       values + i * value_size);
	}
	free(keys);
	free(values);
	if (!err)
		mapping_list_sort(plan);
	return err;
}

static void table_count_ids(struct table *table)
{
	memset(table->taken, 0, table->id_max * sizeof(*table->taken));
	table->id_end = 1; /* 0 counts direct traffic */
	for (size_t i = 0; i < table->plan.count; i++) {
		const struct mapping *entry = &table->plan.entries[i];

		if (!table_shown(entry) || entry->to.id >= table->id_max)
			continue;
		table->taken[entry->to.id] = true;
		if (table->id_end <= entry->to.id)
			table->id_end = entry->to.id + 1;
	}
}

int table_open(struct table *table, const struct maps *maps)
{
	int err;

	memset(table, 0, sizeof(*table));
	table->id_max = maps->ids;
	table->taken = calloc(table->id_max, sizeof(*table->taken));
	table->met = calloc(table->id_max, sizeof(*table->met));
	table->bits = calloc(PROXY_PREFILTER_BITS / 64, sizeof(*table->bits));
	if (!table->taken || !table->met || !table->bits)
		return -ENOMEM;
	table->changed = true;
	err = table_read(&table->plan, maps);
	table_count_ids(table);
	return err;
}

void table_close(struct table *table)
{
	mapping_list_free(&table->plan);
	free(table->taken);
	free(table->met);
	free(table->bits);
	memset(table, 0, sizeof(*table));
}

int table_mappings(const struct table *table, struct mapping_list *list)
{
	int err = 0;

	for (size_t i = 0; i < table->plan.count && !err; i++)
		if (table_in_force(&table->plan.entries[i]))
			err = mapping_list_append(list, &table->plan.entries[i]);
	return err;
}

static bool table_is_down(const struct maps *maps, const struct mapping *entry)
{
	struct nat_nexthop hop;

	if (entry->to.nexthop == PROXY_NEXTHOP_NONE || entry->to.flags & PROXY_MAPPING_LOCAL)
		return false;
	maps->layout->nexthop_get(maps_nexthop(maps, entry->to.nexthop), &hop);
	return !hop.oif || hop.flags & PROXY_NEXTHOP_SILENT;
}

static int table_compare_targets(const void *a, const void *b)
{
	return addr_compare(&((const struct table_target *)a)->addr,
			    &((const struct table_target *)b)->addr);
}

int table_targets(const struct table *table, const struct maps *maps, struct table_target **targets,
		  size_t *count)
{
	struct table_target *all =
		reallocarray(*targets, *count + table->plan.count + 1, sizeof(*all));
	size_t found = 0, kept = 0;

	if (!all)
		return -ENOMEM;
	*targets = all;
	all += *count;
	for (size_t i = 0; i < table->plan.count; i++) {
		const struct mapping *entry = &table->plan.entries[i];

		if (table_in_force(entry))
			all[found++] =
				(struct table_target){ entry->to.addr, table_is_down(maps, entry) };
	}
	qsort(all, found, sizeof(*all), table_compare_targets);
	for (size_t i = 0; i < found; i++)
		if (!i || !addr_equal(&all[i].addr, &all[kept - 1].addr))
			all[kept++] = all[i];
	*count += kept;
	return 0;
}

int table_id_take(struct table *table, const struct maps *maps, __u32 *from, __u32 *id)
{
	for (; *from < table->id_max; (*from)++) {
		if (table->taken[*from])
			continue;
		*id = (*from)++;
		table->taken[*id] = true;
		maps_mapping_stats_clear(maps, *id);
		return 0;
	}
	return -ENOSPC;
}

void table_settle(struct table *table, struct nexthops *hops)
{
	table->changed = true;
	table_count_ids(table);
	nexthops_clear_users(hops);
	for (size_t i = 0; i < table->plan.count; i++)
		if (table_shown(&table->plan.entries[i]))
			nexthops_add_user(hops, table->plan.entries[i].to.nexthop);
}

static bool table_in_use(const struct mapping *entry, const bool *met)
{
	return table_in_force(entry) || (table_shown(entry) && met[entry->to.id]);
}

int table_drop(struct table *table, const struct maps *maps, struct nexthops *hops, const bool *met)
{
	struct mapping_list *plan = &table->plan;
	bool *needed = calloc(plan->count + 1, sizeof(*needed));
	size_t kept = 0;

	if (!needed)
		return -ENOMEM;
	for (size_t i = 0; i < plan->count; i++) {
		const struct nat_dest key = table_target(&plan->entries[i]);
		const struct mapping *target = mapping_list_find(plan, &key);

		if (!table_in_use(&plan->entries[i], met))
			continue;
		needed[i] = true;
		if (target)
			needed[target - plan->entries] = true;
	}
	/* Direct flows of a target that goes may be pinned. */
	__atomic_or_fetch(&maps->state->flags, PROXY_STATE_UNMAPPED, __ATOMIC_RELEASE);
	for (size_t i = 0; i < plan->count; i++) {
		if (needed[i])
			plan->entries[kept++] = plan->entries[i];
		else
			maps_mapping_delete(maps, &plan->entries[i].from);
	}
	plan->count = kept;
	free(needed);
	table_settle(table, hops);
	return 0;
}

/* For each entry of a table, whether a socket is connected to the target that it stands for. */
struct connected {
	const struct mapping_list *plan;
	bool *entries;
};

static void table_connected_to(void *arg, __u8 proto, const struct addr *addr, __be16 port)
{
	const struct connected *connected = arg;
	struct nat_dest dest = { .addr = *addr, .port = port, .proto = proto };
	const struct mapping *entry = mapping_list_find(connected->plan, &dest);

	if (entry)
		connected->entries[entry - connected->plan->entries] = true;
	dest.port = 0;
	entry = mapping_list_find(connected->plan, &dest);
	if (entry)
		connected->entries[entry - connected->plan->entries] = true;
}

static bool table_target_connected(const struct connected *connected, const struct mapping *entry)
{
	const struct nat_dest dest = table_target(entry);
	const struct mapping *target = mapping_list_find(connected->plan, &dest);

	return !target || connected->entries[target - connected->plan->entries];
}

/* Store the flags of an entry that packets meet. */
static int table_write_flags(const struct maps *maps, struct mapping *entry, __u16 flags)
{
	if (flags == entry->to.flags)
		return 0;
	entry->to.flags = flags;
	return maps_mapping_set(maps, &entry->from, &entry->to, BPF_EXIST);
}

bool table_ask_less(struct table *table, const struct maps *maps)
{
	struct connected connected = { .plan = &table->plan };
	bool asking = false;

	connected.entries = calloc(table->plan.count + 1, sizeof(*connected.entries));
	/* If the kernel cannot tell, all go on asking. */
	if (!connected.entries || sockets_each(table_connected_to, &connected)) {
		free(connected.entries);
		return true;
	}
	for (size_t i = 0; i < table->plan.count; i++) {
		struct mapping *entry = &table->plan.entries[i];

		if (!table_in_force(entry) || !(entry->to.flags & PROXY_MAPPING_ASK))
			continue;
		if (table_target_connected(&connected, entry))
			asking = true;
		else
			table_write_flags(maps, entry, entry->to.flags & (__u16)~PROXY_MAPPING_ASK);
	}
	free(connected.entries);
	return asking;
}

int table_relocate(struct table *table, const struct maps *maps, const struct nexthops *hops)
{
	int err = 0;

	for (size_t i = 0; i < table->plan.count && !err; i++) {
		struct mapping *entry = &table->plan.entries[i];
		__u16 flags = entry->to.flags & (__u16)~PROXY_MAPPING_LOCAL;

		if (!table_shown(entry))
			continue;
		if (nexthops_local(hops, entry->to.nexthop)) {
			flags |= PROXY_MAPPING_LOCAL;
			__atomic_or_fetch(&maps->state->flags, PROXY_STATE_LOCAL, __ATOMIC_RELEASE);
		}
		err = table_write_flags(maps, entry, flags);
	}
	maps_changed(maps);
	return err;
}

void table_flow_seen(struct table *table, const struct maps *maps, const struct nat_flow *flow)
{
	hosts_prefilter_note(maps, table->bits, &flow->remote);
	hosts_prefilter_note(maps, table->bits, &flow->orig);
	if (flow->mapping < table->id_max)
		table->met[flow->mapping] = true;
	if (flow->state & PROXY_FLOW_PINNED && !resolve_flow(&table->plan, flow))
		table->unmapped = true;
}

/* Have nothing that neither an entry nor a flow needs. */
static int table_sweep(struct table *table, const struct maps *maps, struct nexthops *hops)
{
	bool unused = false;

	for (size_t i = 0; i < table->plan.count; i++) {
		const struct mapping *entry = &table->plan.entries[i];

		hosts_prefilter_note(maps, table->bits, &entry->from.addr);
		hosts_prefilter_note(maps, table->bits, &entry->to.addr);
		unused |= entry->from.deleted && !table_in_use(entry, table->met);
	}
	hosts_prefilter_set(maps, table->bits);
	if (!table->unmapped)
		__atomic_and_fetch(&maps->state->flags, ~PROXY_STATE_UNMAPPED, __ATOMIC_RELEASE);
	return unused ? table_drop(table, maps, hops, table->met) : 0;
}

int table_flows_done(struct table *table, const struct maps *maps, struct nexthops *hops)
{
	bool whole = !table->changed;
	int err;

	table->changed = false;
	err = whole ? table_sweep(table, maps, hops) : 0;
	memset(table->bits, 0, PROXY_PREFILTER_BITS / 8);
	memset(table->met, 0, table->id_max * sizeof(*table->met));
	table->unmapped = false;
	return err;
}
