// SPDX-License-Identifier: GPL-2.0-only
#include "gc.h"

#include <netinet/in.h>

#include "number.h"
#include "sockets.h"

enum { SLOTS_PER_STEP = 1 << 20 };

/* The program stores a time only when the old one is so much older; its clock is coarse, too. */
#define SLACK_NS (NSEC_PER_SEC + NSEC_PER_SEC / 10)

/* Idle times when the table is so many per cent full; 0: as configured. */
static const struct {
	__u32 percent;
	struct proxy_timeouts most;
} gc_pressure[] = {
	{ 95,
	  { .tcp_closing = NSEC_PER_SEC,
	    .tcp_syn = 5 * NSEC_PER_SEC,
	    .udp = 10 * NSEC_PER_SEC,
	    .icmp = 10 * NSEC_PER_SEC } },
	{ 80,
	  { .tcp_closing = 10 * NSEC_PER_SEC,
	    .tcp_syn = 30 * NSEC_PER_SEC,
	    .udp = 60 * NSEC_PER_SEC } },
};

static __u64 gc_at_most(__u64 value, __u64 most)
{
	return most && value > most ? most : value;
}

/* Return: whether there is pressure. */
static bool gc_effective_timeouts(const struct gc *gc, __u32 capacity, struct proxy_timeouts *out)
{
	*out = gc->timeouts;
	for (size_t i = 0; i < sizeof(gc_pressure) / sizeof(gc_pressure[0]); i++) {
		if (gc->flows * 100 < (__u64)capacity * gc_pressure[i].percent)
			continue;
		out->tcp_closing = gc_at_most(out->tcp_closing, gc_pressure[i].most.tcp_closing);
		out->tcp_syn = gc_at_most(out->tcp_syn, gc_pressure[i].most.tcp_syn);
		out->udp = gc_at_most(out->udp, gc_pressure[i].most.udp);
		out->icmp = gc_at_most(out->icmp, gc_pressure[i].most.icmp);
		return true;
	}
	return false;
}

static __u64 gc_idle_limit(const struct proxy_timeouts *timeouts, const struct nat_flow *flow)
{
	if (flow->proto == IPPROTO_UDP)
		return timeouts->udp;
	if (flow->proto != IPPROTO_TCP)
		return timeouts->icmp;
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

static bool gc_expired(const struct proxy_timeouts *timeouts, const struct nat_flow *flow,
		       __u64 now)
{
	/* A packet may have come after @now was read. */
	return now > flow->last_seen &&
	       now - flow->last_seen > gc_idle_limit(timeouts, flow) + SLACK_NS;
}

static void gc_keep(struct gc *gc, const struct maps *maps, struct table *table,
		    struct nexthops *hops, const struct nat_flow *flow)
{
	gc->counting++;
	table_flow_seen(table, maps, flow);
	nexthops_flow_seen(hops, flow->nexthop, &flow->remote, flow->last_seen);
}

/*
 * Whether the client, a socket of this host, has ignored the RST that made @flow look closed: its
 * sequence number was wrong, so somebody else has sent it (RFC 5961). The flow then goes on as if
 * there had been no RST.
 */
static bool gc_reset_ignored(const struct maps *maps, __u32 slot, const struct nat_flow *flow)
{
	const struct sockets_pair pair = { .local = flow->client,
					   .remote = flow->orig,
					   .lport = flow->cport,
					   .rport = flow->oport,
					   .proto = flow->proto };
	bool connected;

	if (!(flow->state & PROXY_FLOW_RST_IN) || sockets_connected(&pair, &connected) ||
	    !connected)
		return false;
	maps_flow_clear(maps, slot, PROXY_FLOW_RST_IN);
	return true;
}

static void gc_look_at(struct gc *gc, struct maps *maps, struct table *table, struct nexthops *hops,
		       const struct proxy_timeouts *timeouts, __u64 now)
{
	struct nat_flow flow;

	if (!maps_flow(maps, gc->slot, &flow))
		maps_flow_reclaim(maps, gc->slot, now);
	else if (!gc_expired(timeouts, &flow, now) || gc_reset_ignored(maps, gc->slot, &flow) ||
		 !maps_flow_expire(maps, gc->slot, flow.tick))
		gc_keep(gc, maps, table, hops, &flow);
}

static int gc_pass_done(struct gc *gc, struct maps *maps, struct table *table,
			struct nexthops *hops, __u64 made)
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
	__u32 capacity = maps->max_entries[MAPS_FLOWS], limit = maps_flow_limit(maps), end;
	struct proxy_timeouts timeouts;
	__u64 counters[PROXY_COUNTER_MAX];
	int err = maps_counters(maps, counters);
	bool pressed;

	if (err)
		return err;
	gc->flows += counters[PROXY_FLOWS] - gc->made;
	gc->made = counters[PROXY_FLOWS];
	pressed = gc_effective_timeouts(gc, capacity, &timeouts);
	end = pressed || limit - gc->slot < SLOTS_PER_STEP ? limit : gc->slot + SLOTS_PER_STEP;
	for (; gc->slot < end; gc->slot++)
		gc_look_at(gc, maps, table, hops, &timeouts, now);
	if (gc->slot == limit)
		err = gc_pass_done(gc, maps, table, hops, counters[PROXY_FLOWS]);
	return err;
}
