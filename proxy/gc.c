// SPDX-License-Identifier: GPL-2.0-only
#include "gc.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

#include "number.h"
#include "sockets.h"

enum { SLOTS_PER_STEP = 1 << 20 };

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
	return 0;
}

void gc_close(struct gc *gc)
{
	if (gc->doomed)
		munmap(gc->doomed, doomed_size);
	gc->doomed = NULL;
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

static __u64 idle_limit(const struct proxy_timeouts *timeouts, const struct proxy_flow *flow)
{
	if (flow->key.proto != IPPROTO_TCP)
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

static bool expired(const struct proxy_timeouts *timeouts, const struct proxy_flow *flow, __u64 now)
{
	/* A packet may have come after @now was read. */
	return now > flow->last_seen &&
	       now - flow->last_seen > idle_limit(timeouts, flow) + SLACK_NS;
}

static void keep(struct gc *gc, struct table *table, struct nexthops *hops,
		 const struct proxy_flow *flow)
{
	gc->counting++;
	table_flow_seen(table, flow);
	nexthops_flow_seen(hops, flow->nexthop, flow->key.remote, flow->last_seen);
}

/* Have the program remove what is in "doomed"; flows that a packet has used meanwhile stay. */
static int reap(struct gc *gc, struct maps *maps, struct table *table, struct nexthops *hops)
{
	static const __u8 frame[ETH_HLEN]; /* the least that the kernel runs a program with */
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = sizeof(frame),
		    .repeat = (int)gc->doomed_count);
	struct proxy_flow flow;
	int err;

	if (!gc->doomed_count)
		return 0;
	err = bpf_prog_test_run_opts(gc->reap_fd, &run);
	if (err == -EINTR) /* between two of them: the rest stays, and has another turn */
		err = 0;
	for (__u32 i = 0; !err && i < gc->doomed_count; i++)
		if (!gc->doomed[i].gone && maps_flow(maps, gc->doomed[i].slot, &flow))
			keep(gc, table, hops, &flow);
	gc->doomed_count = 0;
	return err;
}

/*
 * Whether the client, a socket of this host, has ignored the RST that made @flow look closed: its
 * sequence number was wrong, so somebody else has sent it (RFC 5961). The flow then goes on as if
 * there had been no RST.
 */
static bool gc_reset_ignored(const struct maps *maps, __u32 slot, const struct proxy_flow *flow)
{
	const struct sockets_pair pair = { .local = flow->client,
					   .remote = flow->orig,
					   .lport = flow->cport,
					   .rport = flow->oport,
					   .proto = flow->key.proto };
	bool connected;

	if (!(flow->state & PROXY_FLOW_RST_IN) || sockets_connected(&pair, &connected) ||
	    !connected)
		return false;
	maps_flow_clear(maps, slot, PROXY_FLOW_RST_IN);
	return true;
}

static int look_at(struct gc *gc, struct maps *maps, struct table *table, struct nexthops *hops,
		   const struct proxy_timeouts *timeouts, __u64 now)
{
	struct proxy_flow flow;

	if (!maps_flow(maps, gc->slot, &flow)) {
		maps_flow_reclaim(maps, gc->slot, now);
		return 0;
	}
	if (!expired(timeouts, &flow, now) || gc_reset_ignored(maps, gc->slot, &flow)) {
		keep(gc, table, hops, &flow);
		return 0;
	}
	gc->doomed[gc->doomed_count++] =
		(struct proxy_doomed){ .slot = gc->slot, .tick = flow.tick };
	return gc->doomed_count == PROXY_DOOMED_MAX ? reap(gc, maps, table, hops) : 0;
}

static int pass_done(struct gc *gc, struct maps *maps, struct table *table, struct nexthops *hops,
		     __u64 made)
{
	int err = table_flows_done(table, maps, hops);

	nexthops_flows_done(hops);
	gc->flows = gc->counting;
	gc->made = made;
	gc->counting = 0;
	gc->slot = 0;
	return err;
}

int gc_step(struct gc *gc, struct maps *maps, struct table *table, struct nexthops *hops, __u64 now)
{
	__u32 capacity = maps->max_entries[MAPS_INGRESS], limit = maps_flow_limit(maps), end;
	struct proxy_timeouts timeouts;
	__u64 counters[PROXY_COUNTER_MAX];
	int err = maps_counters(maps, counters);
	bool pressed;

	if (err)
		return err;
	gc->flows += counters[PROXY_FLOWS] - gc->made;
	gc->made = counters[PROXY_FLOWS];
	pressed = effective_timeouts(gc, capacity, &timeouts);
	end = pressed || limit - gc->slot < SLOTS_PER_STEP ? limit : gc->slot + SLOTS_PER_STEP;
	for (; !err && gc->slot < end; gc->slot++)
		err = look_at(gc, maps, table, hops, &timeouts, now);
	err = err ?: reap(gc, maps, table, hops);
	if (!err && gc->slot == limit)
		err = pass_done(gc, maps, table, hops, counters[PROXY_FLOWS]);
	return err;
}
