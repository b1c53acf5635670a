/* SPDX-License-Identifier: GPL-2.0-only */
/* The maps of a datapath, whether just loaded or found through a filter that is attached. */
#ifndef PROXY_MAPS_H
#define PROXY_MAPS_H

#include <linux/types.h>
#include <stdbool.h>

#include <bpf/libbpf.h>

#include "layout.h"
#include "proxy.h"
#include "slot-table.h"

struct maps {
	const struct nat_layout *layout; /* of the family */
	int fd[MAPS_COUNT];		 /* -1: not there */
	__u32 max_entries[MAPS_COUNT];
	__u32 ids; /* mapping ids: entries of "mapping_stats" for each CPU */
	/* Memory shared with the programs; NULL before maps_mmap(). */
	void *flows;		 /* "flows" */
	struct slot_table index; /* of the flows */
	void *nexthops;
	struct proxy_state *state;
	struct proxy_prefilter *prefilter;
	struct proxy_mapping_stats *mapping_stats;
};

/** maps_init - make @maps empty, so that maps_close() is right from now on */
void maps_init(struct maps *maps, const struct nat_layout *layout);

void maps_close(struct maps *maps);

/**
 * maps_add_prog - open those maps of a loaded program that are ours and not yet open
 * @prog_id: an id from tc_link_query()
 * Return: 0; -EPROTO if a map is of another layout; another negative errno.
 */
int maps_add_prog(struct maps *maps, __u32 prog_id);

/** maps_used_by - tell whether a program is of the datapath whose maps are open */
bool maps_used_by(const struct maps *maps, __u32 prog_id);

/**
 * maps_check_layout - check that a datapath which another process made is one that we understand
 * Return: 0; -EPROTO for another layout; -EUCLEAN if its sizes contradict each other; another
 * negative errno.
 */
int maps_check_layout(const struct maps *maps);

/** maps_reuse - have @obj, open but not loaded, use the maps of @maps instead of new ones */
int maps_reuse(const struct maps *maps, struct bpf_object *obj);

/** maps_hash_keys - read the secret numbers of the flow table's hash; Return: 0 or a negative errno
 */
int maps_hash_keys(const struct maps *maps, __u64 keys[SLOT_HASH_KEYS]);

/** maps_from_object - open the maps of @obj, which is loaded; Return: 0 or a negative errno */
int maps_from_object(struct maps *maps, struct bpf_object *obj);

/**
 * maps_bind - keep all maps for as long as the program @prog_fd exists, used by it or not
 *
 * So each filter leads to the whole datapath, even if the other one has been removed.
 * Return: 0 or a negative errno.
 */
int maps_bind(const struct maps *maps, int prog_fd);

/** maps_mmap - map the shared memory; Return: 0 or a negative errno */
int maps_mmap(struct maps *maps);

/** maps_counters - sum each counter over the CPUs; Return: 0 or a negative errno */
int maps_counters(const struct maps *maps, __u64 sums[PROXY_COUNTER_MAX]);

/** maps_mapping_stats - sum the counters of the mappings 0 to @count - 1 over the CPUs */
void maps_mapping_stats(const struct maps *maps, struct proxy_mapping_stats *sums, __u32 count);

/** maps_mapping_set - store an entry of "mappings"; @flags: BPF_*; Return: 0 or a negative errno */
int maps_mapping_set(const struct maps *maps, const struct nat_dest *from,
		     const struct nat_target *to, __u64 flags);

/** maps_mapping_delete - delete an entry of "mappings", if it is there */
void maps_mapping_delete(const struct maps *maps, const struct nat_dest *from);

/** maps_nexthop - a place of "nexthops", in the shared memory */
static inline void *maps_nexthop(const struct maps *maps, __u32 index)
{
	return (char *)maps->nexthops +
	       (size_t)index * maps->layout->maps[MAPS_NEXTHOPS].value_size;
}

/** maps_mapping_stats_clear - set the counters of mapping @id to 0 */
void maps_mapping_stats_clear(const struct maps *maps, __u32 id);

/**
 * maps_changed - invalidate the programs' cache, after a change of mappings, next hops or flows
 */
void maps_changed(const struct maps *maps);

/** maps_flow_limit - the slots of all flows are below this number */
static inline __u32 maps_flow_limit(const struct maps *maps)
{
	return slot_table_limit(&maps->index);
}

/**
 * maps_flow - copy the flow of slot @slot
 *
 * Flows that come or go during a pass over all slots may be missed or met, but none that stays is
 * missed, or met twice. Return: whether there is one.
 */
bool maps_flow(const struct maps *maps, __u32 slot, struct nat_flow *flow);

/** maps_flow_clear - clear @bits of the state of the flow in slot @slot; packets may set them again
 */
void maps_flow_clear(const struct maps *maps, __u32 slot, __u32 bits);

/** maps_flow_end - remove the flow of slot @slot, whatever uses it */
void maps_flow_end(const struct maps *maps, __u32 slot);

/**
 * maps_flow_expire - remove the flow of slot @slot, unless a packet uses it
 * @tick: of the flow when maps_flow() found it idle
 *
 * Packets do not find the flow from the first step on, and make it anew; none waits. A packet that
 * has found it before stores another tick, and the flow then stays.
 * Return: whether it is gone.
 */
bool maps_flow_expire(const struct maps *maps, __u32 slot, __u32 tick);

/**
 * maps_flow_reclaim - give the slot of a flow that has been removed back to the programs
 *
 * Not before no program that has found the flow can run any more: @now (CLOCK_MONOTONIC_COARSE) is
 * MAPS_GRACE_NS later.
 */
void maps_flow_reclaim(struct maps *maps, __u32 slot, __u64 now);

/* Programs run for microseconds. */
#define MAPS_GRACE_NS 100000000ULL

/** maps_reclaim - the same for all, after as long as it takes: for a datapath that nobody looks
 * after */
void maps_reclaim(struct maps *maps);

/** maps_now - CLOCK_MONOTONIC_COARSE, which the programs use */
__u64 maps_now(void);

/**
 * maps_pin - add the second index entry of a flow, under the client's tuple (enum proxy_side)
 * Return: 0, or -ENOSPC.
 */
int maps_pin(const struct maps *maps, __u32 slot);

#endif /* PROXY_MAPS_H */
