// SPDX-License-Identifier: GPL-2.0-only
/* How next hops follow what the kernel announces. */
#include "../../proxy/nexthop.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "netns.h"

enum { PLACES = 16, NEIGHBOURS = 250 };

static bool more_waits(const struct nexthops *hops)
{
	struct pollfd waits = { .fd = hops->watch_fd, .events = POLLIN };

	return poll(&waits, 1, 0) == 1;
}

/* The last byte of the MAC address that the datapath knows, or -1. */
static int published(const struct maps *maps, __u32 index)
{
	struct nat_nexthop hop;

	maps->layout->nexthop_get(maps_nexthop(maps, index), &hop);
	return hop.flags & PROXY_NEXTHOP_MAC ? hop.mac[5] : -1;
}

/* However many neighbours change, what else the tool has to do gets its turn in between. */
static void test_storm(void)
{
	struct nexthops hops = NEXTHOPS_INIT;
	const struct addr target = addr_ipv4(inet_addr("10.0.0.138"));
	struct maps maps;
	int turns = 0;
	__u32 index;

	maps_init(&maps, &layout_ipv4);
	maps.max_entries[MAPS_NEXTHOPS] = PLACES;
	maps.nexthops = calloc(PLACES, layout_ipv4.maps[MAPS_NEXTHOPS].value_size);
	maps.state = calloc(1, sizeof(*maps.state));
	if (!maps.nexthops || !maps.state ||
	    nexthops_open(&hops, &maps, (int)if_nametoindex("va"), false))
		abort();
	run("ip neigh replace 10.0.0.138 lladdr 02:00:00:00:00:01 dev va nud permanent");
	CHECK_EQ(nexthops_get(&hops, &target, &index), 0, "a target gets a next hop");
	CHECK_EQ(published(&maps, index), 1, "its MAC address is known");
	while (more_waits(&hops))
		nexthops_event(&hops);

	run("for i in $(seq %d); do echo neigh replace 10.0.1.$i lladdr 02:00:00:00:00:03 dev va "
	    "nud permanent; done | ip -batch -",
	    NEIGHBOURS);
	run("ip neigh replace 10.0.0.138 lladdr 02:00:00:00:00:02 dev va nud permanent");
	nexthops_event(&hops);
	CHECK(more_waits(&hops), "one turn does not take in all of a storm of neighbours");
	for (; more_waits(&hops) && turns < NEIGHBOURS; turns++)
		nexthops_event(&hops);
	CHECK(!more_waits(&hops), "some more turns do");
	CHECK_EQ(published(&maps, index), 2, "the last message, of another MAC address, counts");

	nexthops_close(&hops);
	free(maps.nexthops);
	free(maps.state);
}

int main(void)
{
	run("ip link add va type veth peer name vb; ip link set va up; ip link set vb up");
	run("ip address add 10.0.0.1/23 dev va");
	RUN(test_storm);
	return check_exit();
}
