/* SPDX-License-Identifier: GPL-2.0-only */
/* The maps and settings of the proxy, and the accessors that every part of it uses. BPF only. */
#ifndef BPF_PROXY_MAPS_H
#define BPF_PROXY_MAPS_H

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#include "proxy.h"
#include "slot-table.h"

/*
 * Bytes before the IP header: 14, or 0 on a device without a link layer. The fast path does not
 * read it: proxy_* and proxy3_* have the value compiled in.
 */
const volatile __u32 cfg_l2_len = 14;

/*
 * User space gives the tables other sizes before load; these are the defaults. Entries of hash maps
 * get their memory when they are made, since most never are.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, struct proxy_dest);
	__type(value, struct proxy_mapping);
} mappings SEC(".maps");

/* The flows, found by way of "buckets" (slot-table.h, proxy-flow.h). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct proxy_flow);
} flows SEC(".maps");

/* A program that enters a flow into "buckets" holds the lock of its hash. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PROXY_LOCKS);
	__type(key, __u32);
	__type(value, struct proxy_lock);
} locks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16384);
	__type(key, proxy_addr);
	__type(value, struct proxy_host);
} hosts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct proxy_fragment);
	__type(value, struct proxy_fragment_rule);
} fragments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct proxy_nexthop);
} nexthops SEC(".maps");

/*
 * Settings that user space changes while the programs run. A variable: its address is known when
 * the programs are loaded, so that packets need no lookup, nor the test of its result.
 */
struct proxy_state state SEC(".data.state");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct proxy_prefilter);
} prefilter SEC(".maps");

/*
 * Each CPU has a part of its own. With a per-CPU array, a packet would read one more cache line to
 * find that part.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct proxy_mapping_stats);
} mapping_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PROXY_COUNTER_MAX);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/*
 * Large variables of the slow path. Those of IPv4 are on the stack, which has no room for those of
 * IPv6: each area is memory of the CPU's own. Programs at the hooks do not interrupt each other.
 * WORK() declares @name, a pointer to a struct @type, which is NULL only as far as the verifier
 * knows.
 */
enum work_area { WORK_REQUEST, WORK_PACKET, WORK_KEY, WORK_AREAS };

#if PROXY_FAMILY == 4
#define WORK(type, name, area) struct type name##_space, *name = &name##_space
#else
struct work {
	__u64 space[48];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WORK_AREAS);
	__type(key, __u32);
	__type(value, struct work);
} work_areas SEC(".maps");

static __always_inline void *work_at(__u32 area)
{
	return bpf_map_lookup_elem(&work_areas, &area);
}

#define WORK(type, name, area)                                                                     \
	_Static_assert(sizeof(struct type) <= sizeof(struct work), "an area has room for it");     \
	struct type *name = work_at(area)
#endif

/**
 * count - add one to this CPU's counter @what; PROXY_OK counts nothing
 *
 * A call, since it is rare, and each place where it is inlined makes the load longer.
 */
static __noinline void count(enum proxy_counter what)
{
	__u32 index = what;
	__u64 *counter;

	if (what == PROXY_OK)
		return;
	counter = bpf_map_lookup_elem(&counters, &index);
	if (counter)
		(*counter)++;
}

/*
 * Reading the clock takes as long as a hash lookup; jiffies are a load. The program reads the clock
 * only when this many jiffies have passed: 0.1 to 1 second.
 */
#define TICKS 100

/** tick_now - jiffies, but never PROXY_TICK_GONE */
static __always_inline __u32 tick_now(void)
{
	return (__u32)bpf_jiffies64() ?: PROXY_TICK_GONE + 1;
}

/** ticks_passed - whether TICKS jiffies have passed since @tick */
static __always_inline int ticks_passed(__u32 tick)
{
	return (__u32)bpf_jiffies64() - tick >= TICKS;
}

/* No slot of "flows" has this number. */
#define FLOW_NONE 0xffffffffU

/** flow_at - a slot of "flows", or NULL if there is none of this number */
static __always_inline struct proxy_flow *flow_at(__u32 number)
{
	return bpf_map_lookup_elem(&flows, &number);
}

/** maybe_known - false if @addr is surely neither an original nor a target */
static __always_inline int maybe_known(const proxy_addr *addr)
{
	__u32 bit = proxy_prefilter_bit(addr) / PROXY_SUMMARY_SPAN;

	return state.summary[bit / 64] >> bit % 64 & 1;
}

/** known_address - the same, but rarely true for others */
static __always_inline int known_address(const proxy_addr *addr)
{
	struct proxy_prefilter *filter;
	__u32 zero = 0, bit = proxy_prefilter_bit(addr);

	filter = bpf_map_lookup_elem(&prefilter, &zero);
	return filter && filter->words[bit / 64] >> bit % 64 & 1;
}

/** changed - invalidate the caches of all CPUs (proxy-cache.h) */
static __always_inline void changed(void)
{
	__sync_fetch_and_add(&state.generation, 1);
}

/** local_mappings - whether some target is an address of this host */
static __always_inline int local_mappings(void)
{
	return state.flags & PROXY_STATE_LOCAL;
}

#endif /* BPF_PROXY_MAPS_H */
