// SPDX-License-Identifier: GPL-2.0-only
#include "table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "sockets.h"

enum { READ_BATCH = 1024 };

/* What happens to a mapping: why its flows have to be looked at. */
enum mark {
	MARK_NONE,
	MARK_SPLIT, /* one of its ports has a mapping of its own from now on */
	MARK_MOVED,
	MARK_GONE,
	MARK_GONE_IN_USE, /* as a pass over the flows has found out */
};

static int compare_dest(const struct proxy_dest *a, const struct proxy_dest *b)
{
	__u32 addr_a = ntohl(a->addr), addr_b = ntohl(b->addr);

	if (addr_a != addr_b)
		return addr_a < addr_b ? -1 : 1;
	if (a->proto != b->proto)
		return a->proto < b->proto ? -1 : 1;
	return (int)ntohs(a->port) - (int)ntohs(b->port);
}

static int compare(const void *a, const void *b)
{
	const struct table_entry *one = a, *two = b;

	return compare_dest(&one->from, &two->from);
}

static int compare_key(const void *key, const void *entry)
{
	return compare_dest(key, &((const struct table_entry *)entry)->from);
}

static struct table_entry *find(struct table_entry *entries, size_t count,
				const struct proxy_dest *from)
{
	return count ? bsearch(from, entries, count, sizeof(*entries), compare_key) : NULL;
}

/* A growing array of entries, on the way to become a table's. */
struct draft {
	struct table_entry *entries;
	size_t count;
	size_t room;
};

static int draft_add(struct draft *draft, const struct table_entry *entry)
{
	if (draft->count == draft->room) {
		size_t room = draft->room ? 2 * draft->room : 16;
		struct table_entry *grown = reallocarray(draft->entries, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		draft->entries = grown;
		draft->room = room;
	}
	draft->entries[draft->count++] = *entry;
	return 0;
}

static void draft_sort(struct draft *draft)
{
	if (draft->count)
		qsort(draft->entries, draft->count, sizeof(*draft->entries), compare);
}

static int read_egress(const struct maps *maps, struct draft *draft)
{
	struct proxy_dest keys[READ_BATCH];
	struct proxy_mapping values[READ_BATCH];
	__u32 position = 0;
	int err = 0;

	for (bool first = true; !err; first = false) {
		__u32 got = READ_BATCH, next;
		int add = 0;

		err = bpf_map_lookup_batch(maps->fd[MAPS_EGRESS], first ? NULL : &position, &next,
					   keys, values, &got, NULL);
		if (err && err != -ENOENT)
			return err;
		position = next;
		for (__u32 i = 0; i < got && !add; i++)
			add = draft_add(draft, &(struct table_entry){ keys[i], values[i] });
		if (add)
			return add;
	}
	return 0;
}

int table_open(struct table *table, const struct maps *maps)
{
	struct draft draft = { 0 };
	int err;

	memset(table, 0, sizeof(*table));
	table->id_max = maps->state->mapping_ids;
	table->id_end = 1; /* 0 counts direct traffic */
	table->ids = calloc(table->id_max, sizeof(*table->ids));
	table->bits = calloc(PROXY_PREFILTER_BITS / 64, sizeof(*table->bits));
	if (!table->ids || !table->bits)
		return -ENOMEM;
	table->changed = true;
	err = read_egress(maps, &draft);
	draft_sort(&draft);
	table->entries = draft.entries;
	table->count = draft.count;
	for (size_t i = 0; i < table->count; i++) {
		__u32 id = table->entries[i].to.id;

		if (!table_shown(&table->entries[i]) || id >= table->id_max)
			continue;
		table->ids[id].taken = true;
		if (table->entries[i].to.flags & PROXY_MAPPING_DRAINING)
			table->ids[id].quiet_pass = 1;
		if (table->id_end <= id)
			table->id_end = id + 1;
	}
	return err;
}

void table_close(struct table *table)
{
	free(table->entries);
	free(table->ids);
	free(table->bits);
	memset(table, 0, sizeof(*table));
}

int table_mappings(const struct table *table, struct mapping_list *list)
{
	int err = 0;

	for (size_t i = 0; i < table->count && !err; i++) {
		const struct table_entry *entry = &table->entries[i];
		struct mapping mapping = { .from = entry->from,
					   .to_addr = entry->to.addr,
					   .to_port = entry->to.port };

		if (table_shown(entry) && !(entry->to.flags & PROXY_MAPPING_DRAINING))
			err = mapping_list_append(list, &mapping);
	}
	return err;
}

/* --- what depends on the entries --- */

static void prefilter_set(struct maps *maps, __be32 addr)
{
	__u32 bit = proxy_prefilter_bit(addr);

	__atomic_or_fetch(&maps->prefilter->words[bit / 64], 1ULL << bit % 64, __ATOMIC_RELAXED);
	bit /= PROXY_SUMMARY_SPAN;
	__atomic_or_fetch(&maps->state->summary[bit / 64], 1ULL << bit % 64, __ATOMIC_RELAXED);
}

static void bits_set(__u64 *words, __be32 addr)
{
	__u32 bit = proxy_prefilter_bit(addr);

	words[bit / 64] |= 1ULL << bit % 64;
}

static __u32 state_flags(const struct table_entry *entries, size_t count)
{
	__u32 flags = 0;

	for (size_t i = 0; i < count; i++) {
		if (!entries[i].from.port)
			flags |= PROXY_STATE_WILDCARDS;
		if (entries[i].to.flags & PROXY_MAPPING_LOCAL)
			flags |= PROXY_STATE_LOCAL;
	}
	return flags;
}

/* One side of a mapping, for "hosts": @addr is an original or a target, @other the other side. */
struct side {
	__be32 addr;
	__be32 other;
	__u32 nexthop;
	bool original;
};

static int compare_side(const void *a, const void *b)
{
	const struct side *one = a, *two = b;

	if (one->addr != two->addr)
		return one->addr < two->addr ? -1 : 1;
	return (int)two->original - (int)one->original;
}

/* Fold the sides of one address, which lie next to each other, into what "hosts" says of it. */
static size_t fold(const struct side *sides, size_t count, struct proxy_host *host)
{
	bool targets_differ = false, origs_differ = false;
	size_t i;

	memset(host, 0, sizeof(*host));
	for (i = 0; i < count && sides[i].addr == sides[0].addr; i++) {
		__be32 *sole = sides[i].original ? &host->sole_target : &host->sole_orig;
		bool *differ = sides[i].original ? &targets_differ : &origs_differ;

		*differ |= *sole && *sole != sides[i].other;
		*sole = sides[i].other;
		if (sides[i].original) {
			host->flags |= PROXY_HOST_ANSWER;
			host->nexthop = sides[i].nexthop;
		}
	}
	if (targets_differ)
		host->sole_target = 0;
	if (origs_differ)
		host->sole_orig = 0;
	if (!host->sole_target)
		host->nexthop = 0;
	return i;
}

static struct side *make_sides(const struct table_entry *entries, size_t count, size_t *made)
{
	struct side *sides = calloc(2 * count + 1, sizeof(*sides));
	size_t n = 0;

	for (size_t i = 0; sides && i < count; i++) {
		const struct table_entry *entry = &entries[i];

		if (!table_shown(entry) || entry->to.flags & PROXY_MAPPING_DRAINING)
			continue;
		sides[n++] =
			(struct side){ entry->from.addr, entry->to.addr, entry->to.nexthop, true };
		sides[n++] = (struct side){ entry->to.addr, entry->from.addr, 0, false };
	}
	if (sides)
		qsort(sides, n, sizeof(*sides), compare_side);
	*made = n;
	return sides;
}

/* The program's own fields of an entry stay as they are. */
static int write_host(int map_fd, __be32 addr, const struct proxy_host *wanted)
{
	struct proxy_host host;

	if (bpf_map_lookup_elem(map_fd, &addr, &host))
		return bpf_map_update_elem(map_fd, &addr, wanted, BPF_ANY);
	if (host.flags == wanted->flags && host.sole_target == wanted->sole_target &&
	    host.sole_orig == wanted->sole_orig && host.nexthop == wanted->nexthop)
		return 0;
	host.flags = wanted->flags;
	host.sole_target = wanted->sole_target;
	host.sole_orig = wanted->sole_orig;
	host.nexthop = wanted->nexthop;
	return bpf_map_update_elem(map_fd, &addr, &host, BPF_EXIST);
}

static int write_hosts(struct maps *maps, const struct table_entry *entries, size_t count)
{
	size_t made, used;
	struct side *sides = make_sides(entries, count, &made);
	int err = sides ? 0 : -ENOMEM;
	struct proxy_host host;

	for (size_t i = 0; i < made && !err; i += used) {
		used = fold(sides + i, made - i, &host);
		err = write_host(maps->fd[MAPS_HOSTS], sides[i].addr, &host);
	}
	free(sides);
	return err;
}

/* Delete the hosts that no mapping of @now names, but one of @before did. */
static int delete_hosts(struct maps *maps, const struct table_entry *before, size_t before_count,
			const struct table_entry *now, size_t now_count)
{
	size_t old_made, new_made;
	struct side *old = make_sides(before, before_count, &old_made);
	struct side *kept = make_sides(now, now_count, &new_made);
	int err = old && kept ? 0 : -ENOMEM;

	for (size_t i = 0, k = 0; !err && i < old_made; i++) {
		while (k < new_made && kept[k].addr < old[i].addr)
			k++;
		if (k == new_made || kept[k].addr != old[i].addr)
			bpf_map_delete_elem(maps->fd[MAPS_HOSTS], &old[i].addr);
	}
	free(old);
	free(kept);
	return err;
}

/* --- changing the entries --- */

static void id_release(struct table *table, __u32 id)
{
	memset(&table->ids[id], 0, sizeof(table->ids[id]));
	while (table->id_end > 1 && !table->ids[table->id_end - 1].taken)
		table->id_end--;
}

/* @from: where to begin to look; advanced. */
static int id_take(struct table *table, const struct maps *maps, __u32 *from, __u32 *id)
{
	for (; *from < table->id_max; (*from)++) {
		if (table->ids[*from].taken)
			continue;
		*id = (*from)++;
		table->ids[*id] = (struct table_id){ .taken = true };
		if (table->id_end <= *id)
			table->id_end = *id + 1;
		maps_mapping_stats_clear(maps, *id);
		return 0;
	}
	return -ENOSPC;
}

struct change {
	struct table *table;
	struct maps *maps;
	struct nexthops *hops;
	const struct mapping_list *list;
	bool kill;
	struct draft next; /* what the table is to be */
	__u8 *marks;	   /* enum mark per mapping id */
	bool moved;
	bool gone;
};

static bool same_target(const struct table_entry *entry, const struct mapping *mapping)
{
	return entry->to.addr == mapping->to_addr && entry->to.port == mapping->to_port;
}

/* The flows that @mapping, which is new, takes away from one for any port of the same address. */
static void split(struct change *change, const struct mapping *mapping)
{
	const struct proxy_dest any = { .addr = mapping->from.addr, .proto = mapping->from.proto };
	const struct table *table = change->table;
	const struct table_entry *old = find(table->entries, table->count, &any);

	if (!old || !table_shown(old) || change->marks[old->to.id] != MARK_NONE)
		return;
	change->marks[old->to.id] = MARK_SPLIT;
	change->moved = true;
}

/* Enter the mappings of the list. */
static int draft_mappings(struct change *change)
{
	const struct mapping_list *list = change->list;
	struct table *table = change->table;
	__u32 id_from = 1;
	int err = 0;

	for (size_t i = 0; i < list->count && !err; i++) {
		const struct mapping *mapping = &list->entries[i];
		struct table_entry *old = find(table->entries, table->count, &mapping->from);
		struct table_entry entry = { .from = mapping->from,
					     .to = { .addr = mapping->to_addr,
						     .port = mapping->to_port } };

		err = nexthops_get(change->hops, mapping->to_addr, &entry.to.nexthop);
		entry.to.flags = PROXY_MAPPING_ASK;
		if (!err && old && table_shown(old)) {
			entry.to.id = old->to.id;
			if (!same_target(old, mapping)) {
				change->marks[entry.to.id] = MARK_MOVED;
				change->moved = true;
			} else {
				entry.to.flags &= old->to.flags;
			}
		} else if (!err) {
			split(change, mapping);
			err = id_take(table, change->maps, &id_from, &entry.to.id);
		}
		if (nexthops_local(change->hops, entry.to.nexthop))
			entry.to.flags |= PROXY_MAPPING_LOCAL;
		if (!err)
			err = draft_add(&change->next, &entry);
	}
	return err;
}

/* Whether a deleted mapping has no flow left, by a pass that began after it was deleted. */
static bool drained(const struct table *table, const struct table_entry *entry)
{
	return table_shown(entry) && entry->to.flags & PROXY_MAPPING_DRAINING &&
	       !table->ids[entry->to.id].flows &&
	       table->ids[entry->to.id].quiet_pass <= table->pass;
}

/* Keep, for their flows, the mappings that the list has no longer. */
static int draft_draining(struct change *change)
{
	const struct mapping_list *list = change->list;
	int err = 0;

	for (size_t i = 0; i < change->table->count && !err; i++) {
		struct table_entry entry = change->table->entries[i];

		if (!table_shown(&entry) || mapping_list_find(list, &entry.from) ||
		    drained(change->table, &entry))
			continue;
		if (entry.to.flags & PROXY_MAPPING_DRAINING && !change->kill) {
			err = draft_add(&change->next, &entry);
			continue;
		}
		change->marks[entry.to.id] = MARK_GONE;
		change->gone = true;
		entry.to.flags |= PROXY_MAPPING_DRAINING;
		if (!change->kill)
			err = draft_add(&change->next, &entry);
	}
	return err;
}

/* Enter the targets, so that who talks to one directly does not collide with a mapped flow. */
static int draft_targets(struct change *change)
{
	struct draft *next = &change->next;
	size_t mappings = next->count;
	int err = 0;

	draft_sort(next);
	for (size_t i = 0; i < mappings && !err; i++) {
		struct table_entry *from,
			entry = { .from = { .addr = next->entries[i].to.addr,
					    .port = next->entries[i].to.port,
					    .proto = next->entries[i].from.proto },
				  .to = { .flags = PROXY_MAPPING_DIRECT } };

		/* A deleted original that is a target now: its flows have been pinned. */
		from = find(next->entries, mappings, &entry.from);
		if (from) {
			from->to = (struct proxy_mapping){ .addr = entry.from.addr,
							   .port = entry.from.port,
							   .flags = PROXY_MAPPING_DIRECT };
			continue;
		}
		entry.to.addr = entry.from.addr;
		entry.to.port = entry.from.port;
		err = draft_add(next, &entry);
	}
	draft_sort(next);
	/* Several mappings may share a target. */
	for (size_t i = 1, kept = 1; i <= next->count; i++) {
		if (i == next->count)
			next->count = next->count ? kept : 0;
		else if (compare(&next->entries[i], &next->entries[kept - 1]))
			next->entries[kept++] = next->entries[i];
	}
	return err;
}

/* Ids that only the failed draft has are free again. */
static void draft_abandon(struct change *change)
{
	struct table *table = change->table;

	for (__u32 id = 1; id < table->id_end; id++)
		table->ids[id].taken = false;
	for (size_t i = 0; i < table->count; i++)
		if (table_shown(&table->entries[i]))
			table->ids[table->entries[i].to.id].taken = true;
}

/* Call @act for each flow: its slot, and a copy of it. */
static int each_flow(const struct maps *maps,
		     int (*act)(void *arg, __u32 slot, const struct proxy_flow *flow), void *arg)
{
	__u32 limit = maps_flow_limit(maps);
	struct proxy_flow flow;
	int err = 0;

	for (__u32 slot = 0; !err && slot < limit; slot++)
		if (maps_flow(maps, slot, &flow))
			err = act(arg, slot, &flow);
	return err;
}

static int forget(int err)
{
	return err == -ENOENT ? 0 : err;
}

static int flush_one(void *arg, __u32 slot, const struct proxy_flow *flow)
{
	(void)flow;
	maps_flow_end(arg, slot);
	return 0;
}

int table_flush(const struct maps *maps)
{
	int err = each_flow(maps, flush_one, (void *)maps);

	maps_changed(maps);
	return err;
}

/* Whether the list has a mapping for the packets of @flow alone that was not there before. */
static bool taken_over(const struct change *change, const struct proxy_flow *flow)
{
	const struct proxy_dest from = { .addr = flow->orig,
					 .port = flow->oport,
					 .proto = flow->key.proto };
	const struct table *table = change->table;
	const struct table_entry *old = find(table->entries, table->count, &from);

	return mapping_list_find(change->list, &from) && !(old && table_shown(old));
}

static enum mark mark_of(const struct change *change, const struct proxy_flow *flow)
{
	enum mark mark;

	if (flow->state & PROXY_FLOW_DIRECT || flow->mapping >= change->table->id_max)
		return MARK_NONE;
	mark = change->marks[flow->mapping];
	if (mark == MARK_SPLIT)
		mark = taken_over(change, flow) ? MARK_MOVED : MARK_NONE;
	return mark;
}

/* TCP keeps its old target, which it is now found by; UDP does not. */
static int pin_one(void *arg, __u32 slot, const struct proxy_flow *flow)
{
	struct change *change = arg;
	enum mark mark = mark_of(change, flow);

	if (mark == MARK_NONE)
		return 0;
	if (mark == MARK_GONE && flow->key.proto == IPPROTO_TCP)
		change->marks[flow->mapping] = MARK_GONE_IN_USE;
	if (flow->key.proto == IPPROTO_TCP)
		return maps_pin(change->maps, slot);
	/* A reply that is under way is still translated if the mapping stays. */
	if (mark == MARK_MOVED)
		maps_unpin(change->maps, slot);
	else
		maps_flow_end(change->maps, slot);
	return 0;
}

/* UDP flows that began while new flows were pinned. */
static int unpin_one(void *arg, __u32 slot, const struct proxy_flow *flow)
{
	struct change *change = arg;

	if (mark_of(change, flow) == MARK_MOVED && flow->key.proto != IPPROTO_TCP)
		maps_unpin(change->maps, slot);
	return 0;
}

static int kill_one(void *arg, __u32 slot, const struct proxy_flow *flow)
{
	struct change *change = arg;

	if (mark_of(change, flow) != MARK_NONE)
		maps_flow_end(change->maps, slot);
	return 0;
}

/* Set the entries whose flows are to be pinned or to drain to @flag or back to what they were. */
static int flag_old(struct change *change, bool set)
{
	int err = 0;

	for (size_t i = 0; i < change->table->count && !err; i++) {
		struct table_entry entry = change->table->entries[i];
		enum mark mark = table_shown(&entry) ? change->marks[entry.to.id] : MARK_NONE;

		if (mark == MARK_NONE)
			continue;
		if (set)
			entry.to.flags |=
				mark == MARK_GONE ? PROXY_MAPPING_DRAINING : PROXY_MAPPING_PIN;
		err = bpf_map_update_elem(change->maps->fd[MAPS_EGRESS], &entry.from, &entry.to,
					  BPF_EXIST);
	}
	return err;
}

/* Before any target changes: see to it that running TCP flows are found without their mapping. */
static int pin_flows(struct change *change)
{
	struct draft *next = &change->next;
	size_t kept = 0;
	int err = flag_old(change, true);

	maps_wait_programs();
	if (!err)
		err = each_flow(change->maps, pin_one, change);
	for (size_t i = 0; !err && i < next->count; i++)
		if (!(next->entries[i].to.flags & PROXY_MAPPING_DRAINING) ||
		    change->marks[next->entries[i].to.id] != MARK_GONE)
			next->entries[kept++] = next->entries[i];
	if (!err)
		next->count = kept;
	return err;
}

/* Write the entries that are new or different in batches, since there may be thousands. */
static int write_entries(struct change *change)
{
	const struct table *table = change->table;
	const struct draft *next = &change->next;
	struct proxy_dest *keys = calloc(next->count + 1, sizeof(*keys));
	struct proxy_mapping *values = calloc(next->count + 1, sizeof(*values));
	int err = keys && values ? 0 : -ENOMEM;
	__u32 count = 0;

	for (size_t i = 0; !err && i < next->count; i++) {
		const struct table_entry *entry = &next->entries[i];
		const struct table_entry *old = find(table->entries, table->count, &entry->from);

		if (old && !memcmp(&old->to, &entry->to, sizeof(old->to)) &&
		    (!table_shown(old) || change->marks[old->to.id] == MARK_NONE))
			continue;
		keys[count] = entry->from;
		values[count++] = entry->to;
	}
	if (!err)
		err = maps_write(change->maps->fd[MAPS_EGRESS], keys, values, count);
	free(keys);
	free(values);
	return err;
}

static int delete_entries(struct change *change)
{
	const struct table *table = change->table;
	struct draft *next = &change->next;
	int err = 0;

	for (size_t i = 0; i < table->count && !err; i++)
		if (!find(next->entries, next->count, &table->entries[i].from))
			err = forget(bpf_map_delete_elem(change->maps->fd[MAPS_EGRESS],
							 &table->entries[i].from));
	return err;
}

/* From here on the draft is the table. */
static void adopt_draft(struct change *change)
{
	struct table *table = change->table;

	free(table->entries);
	table->entries = change->next.entries;
	table->count = change->next.count;
	change->next.entries = NULL;
	table->changed = true;
	for (__u32 id = 1; id < table->id_end; id++)
		table->ids[id].taken = false;
	nexthops_clear_users(change->hops);
	for (size_t i = 0; i < table->count; i++) {
		const struct table_entry *entry = &table->entries[i];
		struct table_id *id = &table->ids[entry->to.id];

		if (!table_shown(entry))
			continue;
		id->taken = true;
		if (entry->to.flags & PROXY_MAPPING_DRAINING && !id->quiet_pass)
			id->quiet_pass = table->pass + 1;
		else if (!(entry->to.flags & PROXY_MAPPING_DRAINING))
			id->quiet_pass = 0;
		nexthops_add_user(change->hops, entry->to.nexthop);
	}
	for (__u32 id = table->id_end; id-- > 1;)
		if (!table->ids[id].taken)
			id_release(table, id);
}

/* The draft is complete: make the datapath what it says. */
static int commit(struct change *change)
{
	struct table *table = change->table;
	struct maps *maps = change->maps;
	struct draft *next = &change->next;
	__u32 flags = state_flags(next->entries, next->count);
	int err = 0;

	/* What a packet meets first is ready before what leads to it. */
	for (size_t i = 0; i < next->count; i++) {
		prefilter_set(maps, next->entries[i].from.addr);
		prefilter_set(maps, next->entries[i].to.addr);
	}
	__atomic_or_fetch(&maps->state->flags, flags, __ATOMIC_RELEASE);
	err = write_hosts(maps, next->entries, next->count);
	if (!err)
		err = write_entries(change);
	if (!err)
		err = delete_entries(change);
	maps_changed(maps);
	if (!err && (change->moved || change->gone)) {
		maps_wait_programs();
		err = each_flow(maps, change->kill ? kill_one : unpin_one, change);
		maps_changed(maps);
	}
	if (!err)
		err = delete_hosts(maps, table->entries, table->count, next->entries, next->count);
	if (!err)
		__atomic_store_n(&maps->state->flags, flags, __ATOMIC_RELEASE);
	return err;
}

static int apply(struct change *change)
{
	bool pin;
	int err = draft_mappings(change) ?: draft_draining(change);

	pin = !err && !change->kill && (change->moved || change->gone);
	if (pin)
		err = pin_flows(change);
	if (!err)
		err = draft_targets(change);
	if (!err && change->next.count > change->maps->max_entries[MAPS_EGRESS])
		err = -ENOSPC;
	if (!err)
		err = commit(change);
	if (err && pin)
		flag_old(change, false);
	return err;
}

int table_apply(struct table *table, struct maps *maps, struct nexthops *hops,
		const struct mapping_list *list, bool kill, struct mapping_error *error)
{
	struct change change = {
		.table = table, .maps = maps, .hops = hops, .list = list, .kill = kill
	};
	int err;

	change.marks = calloc(table->id_max, sizeof(*change.marks));
	err = change.marks ? apply(&change) : -ENOMEM;
	if (!err) {
		adopt_draft(&change);
	} else {
		draft_abandon(&change);
		snprintf(error->text, sizeof(error->text), "cannot enter %zu mappings: %s",
			 list->count,
			 err == -ENOSPC || err == -E2BIG
				 ? "the tables of the running datapath are too small for them"
				 : strerror(-err));
	}
	free(change.next.entries);
	free(change.marks);
	return err;
}

/* For each entry of a table, whether a socket is connected to the target that it stands for. */
struct connected {
	const struct table *table;
	bool *entries;
};

static void connected_to(void *arg, __u8 proto, __be32 addr, __be16 port)
{
	const struct connected *connected = arg;
	struct table *table = (struct table *)connected->table;
	struct proxy_dest dest = { .addr = addr, .port = port, .proto = proto };
	const struct table_entry *entry = find(table->entries, table->count, &dest);

	if (entry)
		connected->entries[entry - table->entries] = true;
	dest.port = 0;
	entry = find(table->entries, table->count, &dest);
	if (entry)
		connected->entries[entry - table->entries] = true;
}

static bool target_connected(const struct connected *connected, const struct table_entry *entry)
{
	const struct table *table = connected->table;
	const struct proxy_dest dest = { .addr = entry->to.addr,
					 .port = entry->to.port,
					 .proto = entry->from.proto };
	const struct table_entry *target = find(table->entries, table->count, &dest);

	return !target || connected->entries[target - table->entries];
}

bool table_ask_less(struct table *table, struct maps *maps)
{
	struct connected connected = { .table = table };
	bool asking = false;

	connected.entries = calloc(table->count + 1, sizeof(*connected.entries));
	/* If the kernel cannot tell, all go on asking. */
	if (!connected.entries || sockets_each(connected_to, &connected)) {
		free(connected.entries);
		return true;
	}
	for (size_t i = 0; i < table->count; i++) {
		struct table_entry *entry = &table->entries[i];

		if (!table_shown(entry) || !(entry->to.flags & PROXY_MAPPING_ASK))
			continue;
		if (target_connected(&connected, entry)) {
			asking = true;
			continue;
		}
		entry->to.flags &= (__u16)~PROXY_MAPPING_ASK;
		bpf_map_update_elem(maps->fd[MAPS_EGRESS], &entry->from, &entry->to, BPF_EXIST);
	}
	free(connected.entries);
	return asking;
}

int table_relocate(struct table *table, struct maps *maps, struct nexthops *hops)
{
	int err = 0;

	for (size_t i = 0; i < table->count && !err; i++) {
		struct table_entry *entry = &table->entries[i];
		__u16 flags = entry->to.flags & (__u16)~PROXY_MAPPING_LOCAL;

		if (!table_shown(entry))
			continue;
		if (nexthops_local(hops, entry->to.nexthop))
			flags |= PROXY_MAPPING_LOCAL;
		if (flags == entry->to.flags)
			continue;
		entry->to.flags = flags;
		if (flags & PROXY_MAPPING_LOCAL)
			__atomic_or_fetch(&maps->state->flags, PROXY_STATE_LOCAL, __ATOMIC_RELEASE);
		err = bpf_map_update_elem(maps->fd[MAPS_EGRESS], &entry->from, &entry->to,
					  BPF_EXIST);
	}
	maps_changed(maps);
	return err;
}

void table_flow_seen(struct table *table, const struct proxy_flow *flow)
{
	bits_set(table->bits, flow->key.remote);
	bits_set(table->bits, flow->orig);
	if (flow->mapping < table->id_max)
		table->ids[flow->mapping].counting++;
}

/* Clear the bits that neither an entry nor a flow needs. */
static void prefilter_sweep(struct table *table, struct maps *maps)
{
	__u64 summary[4] = { 0 };

	for (size_t i = 0; i < table->count; i++) {
		bits_set(table->bits, table->entries[i].from.addr);
		bits_set(table->bits, table->entries[i].to.addr);
	}
	for (int i = 0; i < PROXY_PREFILTER_BITS / 64; i++) {
		int bit = i * 64 / PROXY_SUMMARY_SPAN;

		if (table->bits[i])
			summary[bit / 64] |= 1ULL << bit % 64;
		if (maps->prefilter->words[i] != table->bits[i])
			__atomic_store_n(&maps->prefilter->words[i], table->bits[i],
					 __ATOMIC_RELAXED);
	}
	for (int i = 0; i < 4; i++)
		__atomic_store_n(&maps->state->summary[i], summary[i], __ATOMIC_RELAXED);
}

int table_flows_done(struct table *table, struct maps *maps, struct nexthops *hops,
		     struct mapping_error *error)
{
	struct mapping_list list = { 0 };
	bool ended = false;
	int err = 0;

	for (__u32 id = 0; id < table->id_end; id++) {
		table->ids[id].flows = table->ids[id].counting;
		table->ids[id].counting = 0;
	}
	if (!table->changed)
		prefilter_sweep(table, maps);
	memset(table->bits, 0, PROXY_PREFILTER_BITS / 8);
	table->changed = false;
	for (size_t i = 0; i < table->count; i++)
		ended |= drained(table, &table->entries[i]);
	if (ended)
		err = table_mappings(table, &list) ?:
		      mapping_list_finish(&list, error) ?:
		      table_apply(table, maps, hops, &list, false, error);
	mapping_list_free(&list);
	table->pass++;
	return err;
}
