/* SPDX-License-Identifier: GPL-2.0-only */
/* The maps of a datapath, whether just loaded or found through a filter that is attached. */
#ifndef PROXY_MAPS_H
#define PROXY_MAPS_H

#include <linux/types.h>
#include <stdbool.h>

#include <bpf/libbpf.h>

#include "proxy.h"

enum maps_index {
	MAPS_EGRESS,
	MAPS_INGRESS,
	MAPS_PINNED,
	MAPS_NEXTHOPS,
	MAPS_HOSTS,
	MAPS_FRAGMENTS,
	MAPS_STATE,
	MAPS_PREFILTER,
	MAPS_MAPPING_STATS,
	MAPS_COUNTERS,
	MAPS_COUNT,
};

struct maps {
	int fd[MAPS_COUNT]; /* -1: not there */
	__u32 max_entries[MAPS_COUNT];
	struct proxy_nexthop
		*nexthops; /* memory shared with the programs; NULL before maps_mmap() */
	struct proxy_state *state;
	struct proxy_prefilter *prefilter;
	struct proxy_mapping_stats *mapping_stats;
};

/** maps_init - make @maps empty, so that maps_close() is right from now on */
void maps_init(struct maps *maps);

void maps_close(struct maps *maps);

/**
 * maps_add_prog - open those maps of a loaded program that are ours and not yet open
 * @prog_id: an id from tc_link_query()
 * Return: 0; -EPROTO if a map is of another layout; another negative errno.
 */
int maps_add_prog(struct maps *maps, __u32 prog_id);

/**
 * maps_check_layout - whether a datapath that has been found is one that we understand
 * Return: 0, -EPROTO, or another negative errno.
 */
int maps_check_layout(const struct maps *maps);

/** maps_reuse - have @obj, open but not loaded, use the maps of @maps instead of new ones */
int maps_reuse(const struct maps *maps, struct bpf_object *obj);

/** maps_from_object - open the maps of @obj, which is loaded; Return: 0 or a negative errno */
int maps_from_object(struct maps *maps, struct bpf_object *obj);

/** maps_mmap - map the shared memory; Return: 0 or a negative errno */
int maps_mmap(struct maps *maps);

/** maps_counters - sum each counter over the CPUs; Return: 0 or a negative errno */
int maps_counters(const struct maps *maps, __u64 sums[PROXY_COUNTER_MAX]);

/** maps_mapping_stats - sum the counters of the mappings 0 to @count - 1 over the CPUs */
void maps_mapping_stats(const struct maps *maps, struct proxy_mapping_stats *sums, __u32 count);

/** maps_mapping_stats_clear - set the counters of mapping @id to 0 */
void maps_mapping_stats_clear(const struct maps *maps, __u32 id);

/**
 * maps_write - store entries in a hash map at once, as far as the kernel can
 * Return: 0 or a negative errno; some entries may then have been stored.
 */
int maps_write(int map_fd, const void *keys, const void *values, __u32 count);

/**
 * maps_changed - make void what the programs remember of flows, after a change of mappings, next
 * hops or flows: no packet that comes from now on is treated as before it
 */
void maps_changed(const struct maps *maps);

/** maps_wait_programs - return when no program that has read an older state runs any more */
void maps_wait_programs(void);

/* A part of the flow table, in the table's own order. */
struct flow_batch {
	struct proxy_reply *keys;
	struct proxy_flow *flows;
	__u32 count;
	__u32 position; /* the kernel's */
	bool started;
	bool done; /* this part was the last */
};

/** flow_batch_open - Return: 0 or -ENOMEM; flow_batch_close() is right in either case */
int flow_batch_open(struct flow_batch *batch);

void flow_batch_close(struct flow_batch *batch);

/** flow_batch_rewind - begin at the table's start again */
void flow_batch_rewind(struct flow_batch *batch);

/**
 * flow_batch_next - read the next part
 *
 * Flows that come or go meanwhile may be missed or met, but none that stays is missed.
 * Return: 0 or a negative errno; @batch->done tells when to stop.
 */
int flow_batch_next(struct flow_batch *batch, const struct maps *maps);

/** flow_origin - the key of @flow in "pinned" */
struct proxy_origin flow_origin(const struct proxy_reply *key, const struct proxy_flow *flow);

#endif /* PROXY_MAPS_H */
