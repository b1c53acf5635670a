// SPDX-License-Identifier: GPL-2.0-only
#include "commit.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "hosts.h"
#include "resolve.h"

struct commit {
	struct table *table;
	const struct maps *maps;
	struct mapping_list plan; /* what the table is to be */
	__u32 id_from;		  /* where to look for a free mapping id */
	bool kill;
	bool *met;     /* by mapping id: a flow has it after the change */
	bool unmapped; /* some pinned flow has no mapping after it */
};

/* --- planning: what the entries of "mappings" are to be --- */

static int commit_plan_mapping(struct commit *commit, struct nexthops *hops,
			       const struct mapping *wanted)
{
	struct table *table = commit->table;
	const struct mapping *old = mapping_list_find(&table->plan, &wanted->from);
	struct mapping entry = { .from = wanted->from,
				 .to = { .addr = wanted->to.addr,
					 .port = wanted->to.port,
					 .flags = PROXY_MAPPING_ASK } };
	struct nat_dest deleted = wanted->from;
	int err = nexthops_get(hops, &wanted->to.addr, &entry.to.nexthop);

	/* The kernel knows no sockets that are connected by an identifier of ICMP. */
	if (wanted->from.proto != IPPROTO_TCP && wanted->from.proto != IPPROTO_UDP)
		entry.to.flags = 0;
	deleted.deleted = 1;
	if (!old || !table_shown(old))
		old = mapping_list_find(&table->plan, &deleted);
	else if (addr_equal(&old->to.addr, &wanted->to.addr) && old->to.port == wanted->to.port)
		entry.to.flags &= old->to.flags;
	if (nexthops_local(hops, entry.to.nexthop))
		entry.to.flags |= PROXY_MAPPING_LOCAL;
	if (old)
		entry.to.id = old->to.id;
	else if (!err)
		err = table_id_take(table, commit->maps, &commit->id_from, &entry.to.id);
	return err ?: mapping_list_append(&commit->plan, &entry);
}

/* Keep the mappings that @list no longer has as deleted entries: flows may have their ids. */
static int commit_plan_deleted(struct commit *commit, const struct mapping_list *list)
{
	const struct mapping_list *before = &commit->table->plan;
	int err = 0;

	for (size_t i = 0; i < before->count && !err; i++) {
		struct mapping entry = before->entries[i];

		entry.from.deleted = 0;
		if (!table_shown(&entry) || mapping_list_find(list, &entry.from))
			continue;
		entry.from.deleted = 1;
		err = mapping_list_append(&commit->plan, &entry);
	}
	return err;
}

/* Add an entry for each target: a direct flow must not collide with a mapped one. */
static int commit_plan_targets(struct mapping_list *plan)
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

/*
 * Plan the entries that serve the mappings of @list, which mapping_list_finish() has sorted: those
 * mappings, a DIRECT entry for each target, and a deleted one for each mapping of the table that
 * @list lacks. Mappings that stay, or come back, keep their ids.
 * Return: 0, -ENOMEM, or -ENOSPC if there are too few ids or places for next hops.
 */
static int commit_make_plan(struct commit *commit, struct nexthops *hops,
			    const struct mapping_list *list)
{
	int err = 0;

	for (size_t i = 0; i < list->count && !err; i++)
		err = commit_plan_mapping(commit, hops, &list->entries[i]);
	return err ?: commit_plan_deleted(commit, list) ?: commit_plan_targets(&commit->plan);
}

/* --- flows --- */

/* Call @act for each flow: its slot, and a copy of it. */
static int commit_each_flow(const struct maps *maps,
			    int (*act)(void *arg, __u32 slot, const struct nat_flow *flow),
			    void *arg)
{
	__u32 limit = maps_flow_limit(maps);
	struct nat_flow flow;
	int err = 0;

	for (__u32 slot = 0; !err && slot < limit; slot++)
		if (maps_flow(maps, slot, &flow))
			err = act(arg, slot, &flow);
	return err;
}

static int commit_flush_one(void *arg, __u32 slot, const struct nat_flow *flow)
{
	(void)flow;
	maps_flow_end(arg, slot);
	return 0;
}

void commit_flush(const struct maps *maps)
{
	commit_each_flow(maps, commit_flush_one, (void *)maps);
	maps_changed(maps);
}

/* Before the change: a connection that it would move is to be found without its mapping. */
static int commit_pin_one(void *arg, __u32 slot, const struct nat_flow *flow)
{
	const struct commit *commit = arg;

	if (flow->proto != IPPROTO_TCP ||
	    resolve_change(&commit->table->plan, &commit->plan, flow) == RESOLVE_SAME)
		return 0;
	return maps_pin(commit->maps, slot);
}

/*
 * After the change: connections are pinned, and datagrams meet the new mapping by themselves. Flows
 * that are not to go on are removed: of a deleted mapping, or with --kill, of any that changes.
 */
static int commit_settle_one(void *arg, __u32 slot, const struct nat_flow *flow)
{
	struct commit *commit = arg;
	enum resolve_change change = resolve_change(&commit->table->plan, &commit->plan, flow);
	bool ends = commit->kill ? change != RESOLVE_SAME
				 : change == RESOLVE_NONE && flow->proto != IPPROTO_TCP;

	if (ends && !(flow->state & PROXY_FLOW_DIRECT)) {
		maps_flow_end(commit->maps, slot);
		return 0;
	}
	if (flow->state & PROXY_FLOW_PINNED && !resolve_flow(&commit->plan, flow))
		commit->unmapped = true;
	if (flow->mapping < commit->table->id_max)
		commit->met[flow->mapping] = true;
	return 0;
}

/* --- entries --- */

static __u32 commit_state_flags(const struct mapping_list *plan)
{
	__u32 flags = 0;

	for (size_t i = 0; i < plan->count; i++) {
		if (!plan->entries[i].from.port)
			flags |= PROXY_STATE_WILDCARDS;
		if (plan->entries[i].to.flags & PROXY_MAPPING_LOCAL)
			flags |= PROXY_STATE_LOCAL;
	}
	return flags;
}

/*
 * Write the entries that packets meet, and that are new or different, in batches: there may be
 * thousands.
 */
static int commit_write(const struct commit *commit)
{
	const struct nat_layout *layout = commit->maps->layout;
	const __u32 key_size = layout->maps[MAPS_MAPPINGS].key_size;
	const __u32 value_size = layout->maps[MAPS_MAPPINGS].value_size;
	const struct mapping_list *plan = &commit->plan;
	char *keys = calloc(plan->count + 1, key_size);
	char *values = calloc(plan->count + 1, value_size);
	int err = keys && values ? 0 : -ENOMEM;
	__u32 count = 0;

	for (size_t i = 0; !err && i < plan->count; i++) {
		const struct mapping *entry = &plan->entries[i];
		const struct mapping *old = mapping_list_find(&commit->table->plan, &entry->from);

		if (entry->from.deleted || (old && !memcmp(&old->to, &entry->to, sizeof(old->to))))
			continue;
		layout->dest_put(keys + count * key_size, &entry->from);
		layout->target_put(values + count * value_size, &entry->to);
		count++;
	}
	if (!err && count)
		err = bpf_map_update_batch(commit->maps->fd[MAPS_MAPPINGS], keys, values, &count,
					   NULL);
	free(keys);
	free(values);
	return err;
}

static void commit_delete(const struct commit *commit)
{
	const struct mapping_list *before = &commit->table->plan;

	for (size_t i = 0; i < before->count; i++)
		if (!mapping_list_find(&commit->plan, &before->entries[i].from))
			maps_mapping_delete(commit->maps, &before->entries[i].from);
}

/* Note the deleted mappings that flows have, for other processes and the next owner. */
static void commit_note_deleted(const struct commit *commit)
{
	for (size_t i = 0; i < commit->plan.count; i++) {
		const struct mapping *entry = &commit->plan.entries[i];

		if (entry->from.deleted && commit->met[entry->to.id])
			maps_mapping_set(commit->maps, &entry->from, &entry->to, BPF_ANY);
	}
}

/* What a packet meets first is ready before what leads to it. */
static int commit_entries(const struct commit *commit)
{
	int err;

	for (size_t i = 0; i < commit->plan.count; i++) {
		hosts_prefilter_add(commit->maps, &commit->plan.entries[i].from.addr);
		hosts_prefilter_add(commit->maps, &commit->plan.entries[i].to.addr);
	}
	err = hosts_write(commit->maps, &commit->plan) ?: commit_write(commit);
	if (!err)
		commit_delete(commit);
	maps_changed(commit->maps);
	return err;
}

/*
 * Make the change that moves flows. While new flows are pinned, the connections of before are, too:
 * none is without a pin when its mapping changes.
 */
static int commit_moving(struct commit *commit)
{
	__u32 *flags = &commit->maps->state->flags;
	int err = 0;

	__atomic_or_fetch(flags, PROXY_STATE_UNMAPPED | (commit->kill ? 0 : PROXY_STATE_PIN),
			  __ATOMIC_SEQ_CST);
	if (!commit->kill) {
		slot_table_wait();
		err = commit_each_flow(commit->maps, commit_pin_one, commit);
	}
	if (!err)
		err = commit_entries(commit);
	/* No program knows the mappings of before any more. */
	slot_table_wait();
	__atomic_and_fetch(flags, ~PROXY_STATE_PIN, __ATOMIC_SEQ_CST);
	if (err)
		return err;
	commit_each_flow(commit->maps, commit_settle_one, commit);
	maps_changed(commit->maps);
	if (!commit->unmapped)
		__atomic_and_fetch(flags, ~PROXY_STATE_UNMAPPED, __ATOMIC_SEQ_CST);
	commit_note_deleted(commit);
	return 0;
}

/* From here on the plan is the table's. */
static int commit_adopt(struct commit *commit, struct nexthops *hops, bool moving)
{
	struct table *table = commit->table;

	hosts_delete(commit->maps, &table->plan, &commit->plan);
	mapping_list_free(&table->plan);
	table->plan = commit->plan;
	commit->plan = (struct mapping_list){ 0 };
	table_settle(table, hops);
	return moving ? table_drop(table, commit->maps, hops, commit->met) : 0;
}

static int commit_run(struct commit *commit, struct nexthops *hops)
{
	bool moving = resolve_differs(&commit->table->plan, &commit->plan);
	__u32 *state = &commit->maps->state->flags, flags = commit_state_flags(&commit->plan);
	const __u32 others = ~(PROXY_STATE_WILDCARDS | PROXY_STATE_LOCAL);
	int err;

	__atomic_or_fetch(state, flags, __ATOMIC_RELEASE);
	err = moving ? commit_moving(commit) : commit_entries(commit);
	if (err)
		return err;
	__atomic_and_fetch(state, flags | others, __ATOMIC_RELEASE);
	return commit_adopt(commit, hops, moving);
}

/* Whether the entries that packets meet fit into the map. */
static bool commit_fits(const struct commit *commit)
{
	size_t count = 0;

	for (size_t i = 0; i < commit->plan.count; i++)
		count += !commit->plan.entries[i].from.deleted;
	return count <= commit->maps->max_entries[MAPS_MAPPINGS];
}

int commit_mappings(struct table *table, const struct maps *maps, struct nexthops *hops,
		    const struct mapping_list *list, bool kill, struct mapping_error *error)
{
	struct commit commit = { .table = table, .maps = maps, .id_from = 1, .kill = kill };
	int err = commit_make_plan(&commit, hops, list);

	commit.met = calloc(table->id_max, sizeof(*commit.met));
	if (!commit.met)
		err = -ENOMEM;
	if (!err && !commit_fits(&commit))
		err = -ENOSPC;
	err = err ?: commit_run(&commit, hops);
	if (err) {
		table_settle(table, hops);
		snprintf(error->text, sizeof(error->text), "cannot enter %zu mappings: %s",
			 list->count,
			 err == -ENOSPC || err == -E2BIG
				 ? "the tables of the running datapath are too small for them"
				 : strerror(-err));
	}
	mapping_list_free(&commit.plan);
	free(commit.met);
	return err;
}

/* Remove the flows whose ids are not among those to keep. */
static int commit_kill_one(void *arg, __u32 slot, const struct nat_flow *flow)
{
	const struct commit *commit = arg;

	if (flow->mapping < commit->table->id_max && !commit->met[flow->mapping])
		maps_flow_end(commit->maps, slot);
	return 0;
}

int commit_kill_deleted(struct table *table, const struct maps *maps, struct nexthops *hops,
			const struct mapping *name)
{
	struct commit commit = { .table = table, .maps = maps };
	int err = -ENOENT;

	commit.met = malloc(table->id_max * sizeof(*commit.met));
	if (!commit.met)
		return -ENOMEM;
	memset(commit.met, true, table->id_max * sizeof(*commit.met));
	for (size_t i = 0; i < table->plan.count; i++) {
		const struct mapping *entry = &table->plan.entries[i];

		if (entry->from.deleted && mapping_named(entry, name)) {
			commit.met[entry->to.id] = false;
			err = 0;
		}
	}
	if (!err) {
		commit_each_flow(maps, commit_kill_one, &commit);
		maps_changed(maps);
		err = table_drop(table, maps, hops, commit.met);
	}
	free(commit.met);
	return err;
}
