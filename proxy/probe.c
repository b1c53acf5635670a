// SPDX-License-Identifier: GPL-2.0-only
#include "probe.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "loop.h"
#include "number.h"
#include "proxy.h"
#include "solicit.h"
#include "table.h"

enum { PROBE_ROUNDS = 2 };

/* The datapath takes an original for absent if a request has gone unanswered for so long. */
#define PROBE_INTERVAL_NS (NSEC_PER_SEC / 5)

/* How often hosts are looked for at originals that the programs answer for. */
#define ABSENT_INTERVAL_NS (5 * NSEC_PER_SEC)

void probe_plan(struct probes *probes, const struct mapping_list *plan)
{
	const struct addr *last = NULL;

	probes->count = 0;
	for (size_t i = 0; i < plan->count; i++) {
		const struct mapping *entry = &plan->entries[i];

		if (!table_shown(entry) || (last && addr_equal(&entry->from.addr, last)) ||
		    probes->count == PROBES_MAX)
			continue;
		last = &entry->from.addr;
		probes->addrs[probes->count++] = *last;
	}
	probes->rounds = PROBE_ROUNDS;
	probes->next_at = loop_now_ns();
}

/* Ask for an original on the link that the kernel does not know. */
static void probe_one(struct nexthops *hops, const struct addr *addr)
{
	struct netlink_route route;
	struct netlink_neigh neigh;

	if (netlink_route_get(&hops->nl, addr, &route) || route.type != RTN_UNICAST ||
	    route.oif != hops->ifindex || !addr_equal(&route.via, addr) || addr_is_none(&route.src))
		return;
	if (!netlink_neigh_get(&hops->nl, route.oif, addr, &neigh) && neigh.has_mac &&
	    !(neigh.state & (NUD_FAILED | NUD_INCOMPLETE)))
		return;
	solicit(hops->solicit_fd, route.oif, &route.src, addr);
}

__u64 probe_step(struct probes *probes, struct nexthops *hops)
{
	__u64 now = loop_now_ns();

	if (!probes->rounds || hops->solicit_fd < 0)
		return 0;
	if (now >= probes->next_at) {
		for (size_t i = 0; i < probes->count; i++)
			probe_one(hops, &probes->addrs[i]);
		probes->next_at = now + PROBE_INTERVAL_NS;
		probes->rounds--;
	}
	return probes->rounds ? probes->next_at : 0;
}

void probe_absent(struct probes *probes, struct nexthops *hops, __u64 now)
{
	static const __u8 mac[] = PROXY_MAC;
	struct addr absent[PROBES_MAX];
	int count;

	if (now < probes->absent_at || hops->solicit_fd < 0)
		return;
	probes->absent_at = now + ABSENT_INTERVAL_NS;
	count = netlink_neigh_with_mac(&hops->nl, hops->ifindex, mac,
				       NUD_REACHABLE | NUD_DELAY | NUD_PROBE, absent, PROBES_MAX);
	for (int i = 0; i < count; i++) {
		/*
		 * IPv4 without a source: the programs do not answer such a request, a host does
		 * (RFC 5227). In IPv6 the host's answer comes after theirs, and overrides it.
		 */
		struct netlink_route route = { 0 };

		if (addr_family(&absent[i]) != hops->maps->layout->family)
			continue;
		if (addr_family(&absent[i]) == AF_INET6 &&
		    netlink_route_get(&hops->nl, &absent[i], &route))
			continue;
		solicit(hops->solicit_fd, hops->ifindex, &route.src, &absent[i]);
	}
}
