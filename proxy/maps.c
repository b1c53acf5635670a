// SPDX-License-Identifier: GPL-2.0-only
#include "maps.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "memory.h"
#include "number.h"

enum { IDS_MAX = 64 };

void maps_init(struct maps *maps, const struct nat_layout *layout)
{
	memset(maps, 0, sizeof(*maps));
	maps->layout = layout;
	for (int i = 0; i < MAPS_COUNT; i++)
		maps->fd[i] = -1;
}

static size_t maps_shared_size(const struct maps *maps, enum maps_index index)
{
	size_t size = (size_t)maps->layout->maps[index].value_size * maps->max_entries[index];
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

static void maps_unmap(const struct maps *maps, enum maps_index index, void *memory)
{
	if (memory)
		munmap(memory, maps_shared_size(maps, index));
}

void maps_close(struct maps *maps)
{
	maps_unmap(maps, MAPS_FLOWS, maps->flows);
	slot_table_close(&maps->index);
	maps_unmap(maps, MAPS_NEXTHOPS, maps->nexthops);
	maps_unmap(maps, MAPS_STATE, maps->state);
	maps_unmap(maps, MAPS_PREFILTER, maps->prefilter);
	maps_unmap(maps, MAPS_MAPPING_STATS, maps->mapping_stats);
	for (int i = 0; i < MAPS_COUNT; i++)
		if (maps->fd[i] >= 0)
			close(maps->fd[i]);
	maps_init(maps, maps->layout);
}

static void maps_set_entries(struct maps *maps, enum maps_index index, __u32 entries)
{
	int cpus = libbpf_num_possible_cpus();

	maps->max_entries[index] = entries;
	if (index == MAPS_MAPPING_STATS && cpus > 0)
		maps->ids = entries / (__u32)cpus;
}

/* Keep @fd if it is one of our maps; it is closed otherwise. */
static int maps_add_fd(struct maps *maps, int fd)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	int err = bpf_obj_get_info_by_fd(fd, &info, &len);

	for (int i = 0; !err && i < MAPS_COUNT; i++) {
		if (maps->fd[i] >= 0 || strcmp(info.name, maps->layout->maps[i].name))
			continue;
		if (info.key_size != maps->layout->maps[i].key_size ||
		    info.value_size != maps->layout->maps[i].value_size) {
			err = -EPROTO;
			break;
		}
		maps->fd[i] = fd;
		maps_set_entries(maps, (enum maps_index)i, info.max_entries);
		return 0;
	}
	close(fd);
	return err;
}

/* The ids of the maps of a program; room for IDS_MAX. Return: their number or a negative errno. */
static int maps_ids_of(__u32 prog_id, __u32 ids[IDS_MAX])
{
	struct bpf_prog_info info = { .map_ids = (__u64)(unsigned long)ids, .nr_map_ids = IDS_MAX };
	__u32 len = sizeof(info);
	int prog_fd = bpf_prog_get_fd_by_id(prog_id), err;

	if (prog_fd < 0)
		return prog_fd;
	err = bpf_obj_get_info_by_fd(prog_fd, &info, &len);
	close(prog_fd);
	return err ?: (int)(info.nr_map_ids < IDS_MAX ? info.nr_map_ids : IDS_MAX);
}

int maps_add_prog(struct maps *maps, __u32 prog_id)
{
	__u32 ids[IDS_MAX];
	int count = maps_ids_of(prog_id, ids), err = count < 0 ? count : 0;

	for (int i = 0; !err && i < count; i++) {
		int fd = bpf_map_get_fd_by_id(ids[i]);

		err = fd < 0 ? fd : maps_add_fd(maps, fd);
	}
	return err;
}

bool maps_used_by(const struct maps *maps, __u32 prog_id)
{
	struct bpf_map_info info = { 0 };
	__u32 ids[IDS_MAX], len = sizeof(info);
	int count = maps_ids_of(prog_id, ids);

	if (bpf_obj_get_info_by_fd(maps->fd[MAPS_STATE], &info, &len))
		return false;
	for (int i = 0; i < count; i++)
		if (ids[i] == info.id)
			return true;
	return false;
}

int maps_check_layout(const struct maps *maps)
{
	struct proxy_state state;
	__u32 key = 0;
	int err;

	for (int i = 0; i < MAPS_COUNT; i++)
		if (maps->fd[i] < 0)
			return -EPROTO;
	err = bpf_map_lookup_elem(maps->fd[MAPS_STATE], &key, &state);
	if (err)
		return err;
	if (state.layout != PROXY_LAYOUT)
		return -EPROTO;
	return maps->ids && state.mapping_ids == maps->ids ? 0 : -EUCLEAN;
}

int maps_reuse(const struct maps *maps, struct bpf_object *obj)
{
	for (int i = 0; i < MAPS_COUNT; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(obj, maps->layout->maps[i].name);
		int err = map ? 0 : -ENOENT;

		if (!err && maps->fd[i] >= 0)
			err = bpf_map__reuse_fd(map, maps->fd[i]);
		if (err)
			return err;
	}
	return 0;
}

int maps_hash_keys(const struct maps *maps, __u64 keys[SLOT_HASH_KEYS])
{
	struct slot_line lines[SLOT_LINE_RING - SLOT_LINE_KEYS];
	int err = 0;

	for (__u32 i = SLOT_LINE_KEYS; !err && i < SLOT_LINE_RING; i++)
		err = bpf_map_lookup_elem(maps->fd[MAPS_FREE_SLOTS], &i,
					  &lines[i - SLOT_LINE_KEYS]);
	if (!err)
		memcpy(keys, lines, SLOT_HASH_KEYS * sizeof(*keys));
	return err;
}

int maps_from_object(struct maps *maps, struct bpf_object *obj)
{
	for (int i = 0; i < MAPS_COUNT; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(obj, maps->layout->maps[i].name);

		if (!map)
			return -ENOENT;
		maps->fd[i] = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 0);
		if (maps->fd[i] < 0)
			return -errno;
		maps_set_entries(maps, (enum maps_index)i, bpf_map__max_entries(map));
	}
	return 0;
}

int maps_bind(const struct maps *maps, int prog_fd)
{
	int err = 0;

	for (int i = 0; i < MAPS_COUNT && !err; i++)
		err = bpf_prog_bind_map(prog_fd, maps->fd[i], NULL);
	return err;
}

static int maps_map(const struct maps *maps, enum maps_index index, void **memory)
{
	return memory_map(maps->fd[index], maps_shared_size(maps, index), memory);
}

int maps_mmap(struct maps *maps)
{
	struct slot_table_size size =
		slot_table_size(maps->max_entries[MAPS_FLOWS], PROXY_FLOW_KEYS);

	return maps_map(maps, MAPS_FLOWS, (void **)&maps->flows) ?:
	       slot_table_open(&maps->index, size, maps->fd[MAPS_BUCKETS],
			       maps->fd[MAPS_FREE_SLOTS]) ?:
	       maps_map(maps, MAPS_NEXTHOPS, (void **)&maps->nexthops) ?:
	       maps_map(maps, MAPS_STATE, (void **)&maps->state) ?:
	       maps_map(maps, MAPS_PREFILTER, (void **)&maps->prefilter) ?:
	       maps_map(maps, MAPS_MAPPING_STATS, (void **)&maps->mapping_stats);
}

int maps_counters(const struct maps *maps, __u64 sums[PROXY_COUNTER_MAX])
{
	int cpus = libbpf_num_possible_cpus(), err = 0;
	__u64 *values;

	if (cpus < 0)
		return cpus;
	values = calloc((size_t)cpus, sizeof(*values));
	memset(sums, 0, PROXY_COUNTER_MAX * sizeof(*sums));
	for (__u32 i = 0; values && !err && i < PROXY_COUNTER_MAX; i++) {
		err = bpf_map_lookup_elem(maps->fd[MAPS_COUNTERS], &i, values);
		for (int cpu = 0; !err && cpu < cpus; cpu++)
			sums[i] += values[cpu];
	}
	free(values);
	return values ? err : -ENOMEM;
}

void maps_mapping_stats(const struct maps *maps, struct proxy_mapping_stats *sums, __u32 count)
{
	memset(sums, 0, count * sizeof(*sums));
	for (__u32 i = 0; i < maps->max_entries[MAPS_MAPPING_STATS]; i += maps->ids) {
		for (__u32 id = 0; id < count; id++) {
			const struct proxy_mapping_stats *stats = &maps->mapping_stats[i + id];

			sums[id].packets_out += stats->packets_out;
			sums[id].bytes_out += stats->bytes_out;
			sums[id].packets_in += stats->packets_in;
			sums[id].bytes_in += stats->bytes_in;
		}
	}
}

void maps_mapping_stats_clear(const struct maps *maps, __u32 id)
{
	for (__u32 i = id; i < maps->max_entries[MAPS_MAPPING_STATS]; i += maps->ids)
		memset(&maps->mapping_stats[i], 0, sizeof(maps->mapping_stats[i]));
}

void maps_changed(const struct maps *maps)
{
	__atomic_add_fetch(&maps->state->generation, 1, __ATOMIC_SEQ_CST);
}

__u64 maps_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (__u64)now.tv_sec * NSEC_PER_SEC + (__u64)now.tv_nsec;
}

static void *maps_slot(const struct maps *maps, __u32 slot)
{
	return (char *)maps->flows + (size_t)slot * maps->layout->maps[MAPS_FLOWS].value_size;
}

static struct nat_flow_words maps_words(const struct maps *maps, __u32 slot)
{
	return maps->layout->flow_words(maps_slot(maps, slot));
}

static __u64 maps_hash(const struct maps *maps, __u32 slot, bool pinned)
{
	return maps->layout->flow_hash(slot_table_keys(&maps->index), maps_slot(maps, slot),
				       pinned);
}

bool maps_flow(const struct maps *maps, __u32 slot, struct nat_flow *flow)
{
	__u32 tick = __atomic_load_n(maps_words(maps, slot).tick, __ATOMIC_ACQUIRE);

	if (tick == PROXY_TICK_GONE)
		return false;
	maps->layout->flow_get(maps_slot(maps, slot), flow);
	flow->tick = tick; /* as it was before anything else was read: for maps_flow_expire() */
	return true;
}

int maps_pin(const struct maps *maps, __u32 slot)
{
	struct nat_flow_words flow = maps_words(maps, slot);
	int err;

	/* Before it may be found: programs look for pins only if there is one. */
	__atomic_store_n(&maps->state->pins, 1, __ATOMIC_SEQ_CST);
	if (__atomic_fetch_or(flow.state, PROXY_FLOW_PINNED, __ATOMIC_SEQ_CST) & PROXY_FLOW_PINNED)
		return 0;
	err = slot_table_link(&maps->index, maps_hash(maps, slot, true), slot, flow.pin);
	if (err)
		__atomic_fetch_and(flow.state, ~PROXY_FLOW_PINNED, __ATOMIC_SEQ_CST);
	return err;
}

/* Undo that, if it is pinned. */
static void maps_unpin(const struct maps *maps, __u32 slot)
{
	struct nat_flow_words flow = maps_words(maps, slot);

	/* Two keys never share a place: otherwise a program is still about to pin it. */
	if (__atomic_fetch_and(flow.state, ~PROXY_FLOW_PINNED, __ATOMIC_SEQ_CST) &
		    PROXY_FLOW_PINNED &&
	    *flow.pin != *flow.place)
		slot_table_unlink(&maps->index, *flow.pin, slot);
}

void maps_flow_clear(const struct maps *maps, __u32 slot, __u32 bits)
{
	__atomic_and_fetch(maps_words(maps, slot).state, ~bits, __ATOMIC_SEQ_CST);
}

static void maps_flow_ended(const struct nat_flow_words *flow)
{
	*flow->last_seen = maps_now();
	__atomic_store_n(flow->ended, 1, __ATOMIC_RELEASE);
}

void maps_flow_end(const struct maps *maps, __u32 slot)
{
	struct nat_flow_words flow = maps_words(maps, slot);

	/*
	 * First the entries: a packet in between makes the flow anew, and does not wait for its
	 * end. A slot without an entry is the programs': they make it, or have removed it.
	 */
	maps_unpin(maps, slot);
	if (!slot_table_unlink(&maps->index, *flow.place, slot))
		return;
	__atomic_store_n(flow.tick, PROXY_TICK_GONE, __ATOMIC_SEQ_CST);
	maps_flow_ended(&flow);
}

bool maps_flow_expire(const struct maps *maps, __u32 slot, __u32 tick)
{
	struct nat_flow_words flow = maps_words(maps, slot);
	bool pinned = *flow.state & PROXY_FLOW_PINNED;
	__u32 found = tick;

	/* First, as above: no packet meets a flow that is about to go, and none is dropped. */
	maps_unpin(maps, slot);
	slot_table_unlink(&maps->index, *flow.place, slot);
	if (__atomic_compare_exchange_n(flow.tick, &found, PROXY_TICK_GONE, false, __ATOMIC_SEQ_CST,
					__ATOMIC_SEQ_CST)) {
		maps_flow_ended(&flow);
		return true;
	}
	if (found == PROXY_TICK_GONE) /* a program has removed it */
		return true;
	/* Without room, it is found no more, and expires once again. */
	slot_table_link(&maps->index, maps_hash(maps, slot, false), slot, flow.place);
	if (pinned)
		maps_pin(maps, slot);
	return false;
}

void maps_reclaim(struct maps *maps)
{
	__u32 limit = maps_flow_limit(maps), slot = 0;

	while (slot < limit && !*maps_words(maps, slot).ended)
		slot++;
	if (slot == limit)
		return;
	poll(NULL, 0, MAPS_GRACE_NS / 1000000 + 10);
	for (; slot < limit; slot++)
		maps_flow_reclaim(maps, slot, maps_now());
}

void maps_flow_reclaim(struct maps *maps, __u32 slot, __u64 now)
{
	struct nat_flow_words flow = maps_words(maps, slot);

	if (!__atomic_load_n(flow.ended, __ATOMIC_ACQUIRE) || now < *flow.last_seen + MAPS_GRACE_NS)
		return;
	memset(maps_slot(maps, slot), 0, maps->layout->maps[MAPS_FLOWS].value_size);
	slot_table_put(&maps->index, slot);
}

int maps_mapping_set(const struct maps *maps, const struct nat_dest *from,
		     const struct nat_target *to, __u64 flags)
{
	__u64 key[LAYOUT_MAX / 8], value[LAYOUT_MAX / 8];

	maps->layout->dest_put(key, from);
	maps->layout->target_put(value, to);
	return bpf_map_update_elem(maps->fd[MAPS_MAPPINGS], key, value, flags);
}

void maps_mapping_delete(const struct maps *maps, const struct nat_dest *from)
{
	__u64 key[LAYOUT_MAX / 8];

	maps->layout->dest_put(key, from);
	bpf_map_delete_elem(maps->fd[MAPS_MAPPINGS], key);
}
