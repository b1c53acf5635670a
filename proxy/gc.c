// SPDX-License-Identifier: GPL-2.0-only
#include "gc.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

#include "log.h"
#include "number.h"

enum { FLOWS_PER_STEP = 131072 };

/* The program stores a time only when the old one is so much older; its clock is coarse, too. */
#define SLACK_NS (NSEC_PER_SEC + NSEC_PER_SEC / 10)

/* Idle times when the table is so many per cent full; 0: as configured. */
static const struct {
	__u32 percent;
	struct proxy_timeouts most;
} pressure[] = {
	{ 95,
	  { .tcp_closing = NSEC_PER_SEC, .tcp_syn = 5 * NSEC_PER_SEC, .udp = 10 * NSEC_PER_SEC } },
	{ 80,
	  { .tcp_closing = 10 * NSEC_PER_SEC,
	    .tcp_syn = 30 * NSEC_PER_SEC,
	    .udp = 60 * NSEC_PER_SEC } },
};

static const size_t doomed_size = PROXY_DOOMED_MAX * sizeof(struct proxy_doomed);

int gc_open(struct gc *gc, const struct proxy_timeouts *timeouts, int reap_fd, int doomed_fd)
{
	void *doomed = mmap(NULL, doomed_size, PROT_READ | PROT_WRITE, MAP_SHARED, doomed_fd, 0);

	*gc = (struct gc){ .timeouts = *timeouts, .reap_fd = reap_fd };
	if (doomed == MAP_FAILED)
		return -errno;
	gc->doomed = doomed;
	return flow_batch_open(&gc->batch);
}

void gc_close(struct gc *gc)
{
	if (gc->doomed)
		munmap(gc->doomed, doomed_size);
	gc->doomed = NULL;
	flow_batch_close(&gc->batch);
}

static __u64 at_most(__u64 value, __u64 most)
{
	return most && value > most ? most : value;
}

/* Return: whether there is pressure. */
static bool effective_timeouts(const struct gc *gc, __u32 capacity, struct proxy_timeouts *out)
{
	*out = gc->timeouts;
	for (size_t i = 0; i < sizeof(pressure) / sizeof(pressure[0]); i++) {
		if (gc->flows * 100 < (__u64)capacity * pressure[i].percent)
			continue;
		out->tcp_closing = at_most(out->tcp_closing, pressure[i].most.tcp_closing);
		out->tcp_syn = at_most(out->tcp_syn, pressure[i].most.tcp_syn);
		out->udp = at_most(out->udp, pressure[i].most.udp);
		return true;
	}
	return false;
}

static __u64 idle_limit(const struct proxy_timeouts *timeouts, const struct proxy_reply *key,
			const struct proxy_flow *flow)
{
	if (key->proto != IPPROTO_TCP)
		return timeouts->udp;
	switch (proxy_tcp_phase(flow->state)) {
	case PROXY_TCP_OPENING:
		return timeouts->tcp_syn;
	case PROXY_TCP_ESTABLISHED:
		return timeouts->tcp_established;
	case PROXY_TCP_CLOSING:
		return timeouts->tcp_closing;
	}
	return timeouts->tcp_established;
}

static bool expired(const struct proxy_timeouts *timeouts, const struct proxy_reply *key,
		    const struct proxy_flow *flow, __u64 now)
{
	/* A packet may have come after @now was read. */
	return now > flow->last_seen &&
	       now - flow->last_seen > idle_limit(timeouts, key, flow) + SLACK_NS;
}

static void keep(struct gc *gc, struct table *table, struct nexthops *hops,
		 const struct proxy_reply *key, const struct proxy_flow *flow)
{
	gc->counting++;
	table_flow_seen(table, key, flow);
	nexthops_flow_seen(hops, flow->nexthop, key->remote, flow->last_seen);
}

/* Have the program remove what is in "doomed"; flows that a packet has used meanwhile stay. */
static int reap(struct gc *gc, struct table *table, struct nexthops *hops)
{
	static const __u8 frame[ETH_HLEN]; /* the least that the kernel runs a program with */
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = sizeof(frame),
		    .repeat = (int)gc->doomed_count);
	int err;

	if (!gc->doomed_count)
		return 0;
	err = bpf_prog_test_run_opts(gc->reap_fd, &run);
	if (err == -EINTR) /* between two of them: the rest stays, and has another turn */
		err = 0;
	for (__u32 i = 0; !err && i < gc->doomed_count; i++)
		if (!gc->doomed[i].gone)
			keep(gc, table, hops, &gc->doomed[i].key, gc->idle[i]);
	gc->doomed_count = 0;
	return err;
}

static int look_at(struct gc *gc, struct table *table, struct nexthops *hops,
		   const struct proxy_timeouts *timeouts, __u32 i, __u64 now)
{
	const struct proxy_reply *key = &gc->batch.keys[i];
	const struct proxy_flow *flow = &gc->batch.flows[i];

	if (!expired(timeouts, key, flow, now)) {
		keep(gc, table, hops, key, flow);
		return 0;
	}
	gc->idle[gc->doomed_count] = flow;
	gc->doomed[gc->doomed_count++] = (struct proxy_doomed){
		.key = *key,
		.origin = flow_origin(key, flow),
		.tick = flow->tick,
	};
	return gc->doomed_count == PROXY_DOOMED_MAX ? reap(gc, table, hops) : 0;
}

static int pass_done(struct gc *gc, struct maps *maps, struct table *table, struct nexthops *hops,
		     __u64 made)
{
	struct mapping_error error;
	int err = table_flows_done(table, maps, hops, &error);

	if (err)
		log_note("%s", error.text);
	nexthops_flows_done(hops);
	gc->flows = gc->counting;
	gc->made = made;
	gc->counting = 0;
	flow_batch_rewind(&gc->batch);
	return err;
}

int gc_step(struct gc *gc, struct maps *maps, struct table *table, struct nexthops *hops, __u64 now)
{
	__u32 capacity = maps->max_entries[MAPS_INGRESS], looked = 0;
	struct proxy_timeouts timeouts;
	__u64 counters[PROXY_COUNTER_MAX];
	int err = maps_counters(maps, counters);
	bool pressed;

	if (err)
		return err;
	gc->flows += counters[PROXY_FLOWS] - gc->made;
	gc->made = counters[PROXY_FLOWS];
	pressed = effective_timeouts(gc, capacity, &timeouts);
	do {
		err = flow_batch_next(&gc->batch, maps);
		for (__u32 i = 0; !err && i < gc->batch.count; i++)
			err = look_at(gc, table, hops, &timeouts, i, now);
		err = err ?: reap(gc, table, hops); /* before the next part takes its place */
		looked += gc->batch.count;
	} while (!err && !gc->batch.done && (pressed || looked < FLOWS_PER_STEP));
	if (!err && gc->batch.done)
		err = pass_done(gc, maps, table, hops, counters[PROXY_FLOWS]);
	return err;
}
