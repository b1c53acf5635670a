// SPDX-License-Identifier: GPL-2.0-only
#include "hosts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "table.h"

/* One side of a mapping: @addr is an original or a target, @other the other side. */
struct host_side {
	struct addr addr;
	struct addr other;
	__u32 nexthop;
	bool original;
};

static int hosts_compare(const void *a, const void *b)
{
	const struct host_side *one = a, *two = b;

	return addr_compare(&one->addr, &two->addr) ?: (int)two->original - (int)one->original;
}

/* Fold the sides of one address, which lie next to each other, into what "hosts" says of it. */
static size_t hosts_fold(const struct host_side *sides, size_t count, struct nat_host *host)
{
	const struct addr none = { 0 };
	bool targets_differ = false, origs_differ = false;
	size_t i;

	memset(host, 0, sizeof(*host));
	for (i = 0; i < count && addr_equal(&sides[i].addr, &sides[0].addr); i++) {
		struct addr *sole = sides[i].original ? &host->sole_target : &host->sole_orig;
		bool *differ = sides[i].original ? &targets_differ : &origs_differ;

		*differ |= !addr_is_none(sole) && !addr_equal(sole, &sides[i].other);
		*sole = sides[i].other;
		if (sides[i].original) {
			host->flags |= PROXY_HOST_ANSWER;
			host->nexthop = sides[i].nexthop;
		}
	}
	if (targets_differ)
		host->sole_target = none;
	if (origs_differ)
		host->sole_orig = none;
	if (addr_is_none(&host->sole_target))
		host->nexthop = 0;
	return i;
}

static struct host_side *hosts_sides(const struct mapping_list *plan, size_t *made)
{
	struct host_side *sides = calloc(2 * plan->count + 1, sizeof(*sides));
	size_t n = 0;

	for (size_t i = 0; sides && i < plan->count; i++) {
		const struct mapping *entry = &plan->entries[i];

		if (!table_in_force(entry))
			continue;
		sides[n++] = (struct host_side){ entry->from.addr, entry->to.addr,
						 entry->to.nexthop, true };
		sides[n++] = (struct host_side){ entry->to.addr, entry->from.addr, 0, false };
	}
	if (sides)
		qsort(sides, n, sizeof(*sides), hosts_compare);
	*made = n;
	return sides;
}

static int hosts_write_one(const struct maps *maps, const struct addr *addr,
			   const struct nat_host *wanted)
{
	__u64 key[LAYOUT_MAX / 8], value[LAYOUT_MAX / 8] = { 0 }, before[LAYOUT_MAX / 8];
	int fd = maps->fd[MAPS_HOSTS];
	bool there;

	maps->layout->addr_put(key, addr);
	there = !bpf_map_lookup_elem(fd, key, value);
	memcpy(before, value, sizeof(before));
	maps->layout->host_put(value, wanted);
	if (there && !memcmp(before, value, sizeof(before)))
		return 0;
	return bpf_map_update_elem(fd, key, value, there ? BPF_EXIST : BPF_ANY);
}

int hosts_write(const struct maps *maps, const struct mapping_list *plan)
{
	size_t made, used;
	struct host_side *sides = hosts_sides(plan, &made);
	int err = sides ? 0 : -ENOMEM;
	struct nat_host host;

	for (size_t i = 0; i < made && !err; i += used) {
		used = hosts_fold(sides + i, made - i, &host);
		err = hosts_write_one(maps, &sides[i].addr, &host);
	}
	free(sides);
	return err;
}

void hosts_delete(const struct maps *maps, const struct mapping_list *before,
		  const struct mapping_list *plan)
{
	size_t old_made, new_made;
	struct host_side *old = hosts_sides(before, &old_made);
	struct host_side *kept = hosts_sides(plan, &new_made);

	for (size_t i = 0, k = 0; old && kept && i < old_made; i++) {
		__u64 key[LAYOUT_MAX / 8];

		while (k < new_made && addr_compare(&kept[k].addr, &old[i].addr) < 0)
			k++;
		if (k < new_made && addr_equal(&kept[k].addr, &old[i].addr))
			continue;
		maps->layout->addr_put(key, &old[i].addr);
		bpf_map_delete_elem(maps->fd[MAPS_HOSTS], key);
	}
	free(old);
	free(kept);
}

void hosts_prefilter_add(const struct maps *maps, const struct addr *addr)
{
	__u32 bit = maps->layout->prefilter_bit(addr);

	__atomic_or_fetch(&maps->prefilter->words[bit / 64], 1ULL << bit % 64, __ATOMIC_RELAXED);
	bit /= PROXY_SUMMARY_SPAN;
	__atomic_or_fetch(&maps->state->summary[bit / 64], 1ULL << bit % 64, __ATOMIC_RELAXED);
}

void hosts_prefilter_note(const struct maps *maps, __u64 *words, const struct addr *addr)
{
	__u32 bit = maps->layout->prefilter_bit(addr);

	words[bit / 64] |= 1ULL << bit % 64;
}

void hosts_prefilter_set(const struct maps *maps, const __u64 *words)
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
