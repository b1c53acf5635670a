// SPDX-License-Identifier: GPL-2.0-only
/* Compiled once for each family: layout6.c includes this file with PROXY_FAMILY 6. */
#include "layout.h"

#include <string.h>
#include <sys/socket.h>

#include "proxy.h"

#if PROXY_FAMILY == 6
#include "proxy6.skel.h"
#define LAYOUT_NAME layout_ipv6
#define LAYOUT_FAMILY AF_INET6
#define LAYOUT_SKELETON proxy6
#define LAYOUT_PROGRAM(l3, role) PROGRAM_PROXY##l3##6_##role
enum { LAYOUT_HANDLE = 2, LAYOUT_OTHER_HANDLE = 0x40000000 };
#else
#include "proxy.skel.h"
#define LAYOUT_NAME layout_ipv4
#define LAYOUT_FAMILY AF_INET
#define LAYOUT_SKELETON proxy
#define LAYOUT_PROGRAM(l3, role) PROGRAM_PROXY##l3##_##role
enum { LAYOUT_HANDLE = 1, LAYOUT_OTHER_HANDLE = 0x10000 };
#endif

/* proxy__open() and so on */
#define LAYOUT_JOIN(skeleton, verb) skeleton##__##verb
#define LAYOUT_VERB(skeleton, verb) LAYOUT_JOIN(skeleton, verb)
#define LAYOUT_CALL(verb) LAYOUT_VERB(LAYOUT_SKELETON, verb)

static void *layout_open(struct bpf_object **obj)
{
	struct LAYOUT_SKELETON *skel = LAYOUT_CALL(open)();

	if (skel)
		*obj = skel->obj;
	return skel;
}

static void layout_configure(void *skel, const struct layout_config *config)
{
	struct LAYOUT_SKELETON *own = skel;

	own->rodata->cfg_l2_len = config->l2_len;
	own->rodata->cfg_slots = config->size.slots;
	own->rodata->cfg_bucket_mask = config->size.buckets - 1;
	own->rodata->cfg_ring_mask = config->size.ring - 1;
	memcpy(own->rodata->cfg_hash_keys, config->hash_keys, sizeof(own->rodata->cfg_hash_keys));
}

static int layout_load(void *skel)
{
	return LAYOUT_CALL(load)(skel);
}

static void layout_destroy(void *skel)
{
	LAYOUT_CALL(destroy)(skel);
}

/* An address in the maps; no address is all zero there, too. */
static proxy_addr layout_raw(const struct addr *addr)
{
	proxy_addr raw;

	/* The last bytes: all of IPv6, and what IPv4 has. */
	memcpy(&raw, (const char *)(addr + 1) - sizeof(raw), sizeof(raw));
	return raw;
}

static struct addr layout_addr(const proxy_addr *raw)
{
	static const proxy_addr none;

	if (!memcmp(raw, &none, sizeof(none)))
		return (struct addr){ 0 };
	return addr_from(raw, sizeof(*raw));
}

static void layout_addr_put(void *key, const struct addr *addr)
{
	proxy_addr raw = layout_raw(addr);

	memcpy(key, &raw, sizeof(raw));
}

static void layout_dest_put(void *key, const struct nat_dest *dest)
{
	*(struct proxy_dest *)key = (struct proxy_dest){
		.addr = layout_raw(&dest->addr),
		.port = dest->port,
		.proto = dest->proto,
		.deleted = dest->deleted,
	};
}

static void layout_dest_get(const void *key, struct nat_dest *dest)
{
	const struct proxy_dest *raw = key;

	*dest = (struct nat_dest){
		.addr = layout_addr(&raw->addr),
		.port = raw->port,
		.proto = raw->proto,
		.deleted = raw->deleted,
	};
}

static void layout_target_put(void *value, const struct nat_target *target)
{
	*(struct proxy_mapping *)value = (struct proxy_mapping){
		.addr = layout_raw(&target->addr),
		.port = target->port,
		.flags = target->flags,
		.id = target->id,
		.nexthop = target->nexthop,
	};
}

static void layout_target_get(const void *value, struct nat_target *target)
{
	const struct proxy_mapping *raw = value;

	*target = (struct nat_target){
		.addr = layout_addr(&raw->addr),
		.port = raw->port,
		.flags = raw->flags,
		.id = raw->id,
		.nexthop = raw->nexthop,
	};
}

static void layout_host_put(void *value, const struct nat_host *host)
{
	struct proxy_host *raw = value;

	raw->flags = host->flags;
	raw->sole_target = layout_raw(&host->sole_target);
	raw->sole_orig = layout_raw(&host->sole_orig);
	raw->nexthop = host->nexthop;
}

static bool layout_nexthop_put(void *slot, const struct nat_nexthop *nexthop)
{
	struct proxy_nexthop *shared = slot, now = { .oif = nexthop->oif };
	bool same_way;

	now.flags = nexthop->flags;
	memcpy(now.dmac, nexthop->mac, sizeof(now.dmac));
	now.via = layout_raw(&nexthop->via);
	same_way = shared->oif == now.oif && !memcmp(&shared->via, &now.via, sizeof(now.via));
	if (same_way && shared->link == now.link)
		return false;
	if (!same_way) {
		/* No packet may see the old MAC address with the new device. */
		__atomic_store_n(&shared->link, 0, __ATOMIC_RELEASE);
		__atomic_store_n(&shared->oif, now.oif, __ATOMIC_RELEASE);
		shared->via = now.via;
	}
	__atomic_store_n(&shared->link, now.link, __ATOMIC_RELEASE);
	return true;
}

static void layout_nexthop_get(const void *slot, struct nat_nexthop *nexthop)
{
	const struct proxy_nexthop *raw = slot;

	*nexthop = (struct nat_nexthop){
		.via = layout_addr(&raw->via),
		.oif = raw->oif,
		.flags = raw->flags,
	};
	memcpy(nexthop->mac, raw->dmac, sizeof(nexthop->mac));
}

static __u32 layout_prefilter_bit(const struct addr *addr)
{
	const proxy_addr raw = layout_raw(addr);

	return proxy_prefilter_bit(&raw);
}

static void layout_flow_get(const void *slot, struct nat_flow *flow)
{
	const struct proxy_flow *raw = slot;

	*flow = (struct nat_flow){
		.remote = layout_addr(&raw->key.remote),
		.local = layout_addr(&raw->key.local),
		.orig = layout_addr(&raw->orig),
		.client = layout_addr(&raw->client),
		.rport = raw->key.rport,
		.lport = raw->key.lport,
		.oport = raw->oport,
		.cport = raw->cport,
		.proto = raw->key.proto,
		.state = raw->state,
		.mapping = raw->mapping,
		.nexthop = raw->nexthop,
		.tick = raw->tick,
		.last_seen = raw->last_seen,
	};
}

static struct nat_flow_words layout_flow_words(void *slot)
{
	struct proxy_flow *raw = slot;

	return (struct nat_flow_words){
		.last_seen = &raw->last_seen,
		.state = &raw->state,
		.tick = &raw->tick,
		.place = &raw->place,
		.pin = &raw->pin,
		.ended = &raw->ended,
	};
}

static __u64 layout_flow_hash(const __u64 *keys, const void *slot, bool pinned)
{
	const struct proxy_flow *raw = slot;
	const struct proxy_reply client = proxy_client_side(raw);

	return proxy_flow_hash(keys, pinned ? &client : &raw->key);
}

#define LAYOUT_OF(key, value) sizeof(key), sizeof(value)

const struct nat_layout LAYOUT_NAME = {
	.family = LAYOUT_FAMILY,
	.programs = {
		{ LAYOUT_PROGRAM(, EGRESS), LAYOUT_PROGRAM(, INGRESS), LAYOUT_PROGRAM(, DIRECT) },
		{ LAYOUT_PROGRAM(3, EGRESS), LAYOUT_PROGRAM(3, INGRESS),
		  LAYOUT_PROGRAM(3, DIRECT) },
	},
	.own_handle = LAYOUT_HANDLE,
	.other_handle = LAYOUT_OTHER_HANDLE,
	.maps = {
		[MAPS_MAPPINGS] = { "mappings", LAYOUT_OF(struct proxy_dest,
							    struct proxy_mapping) },
		[MAPS_FLOWS] = { "flows", LAYOUT_OF(__u32, struct proxy_flow) },
		[MAPS_BUCKETS] = { "buckets", LAYOUT_OF(__u32, struct slot_bucket) },
		[MAPS_FREE_SLOTS] = { "free_slots", LAYOUT_OF(__u32, struct slot_line) },
		[MAPS_SPARES] = { "spares", LAYOUT_OF(__u32, struct slot_spare) },
		[MAPS_LOCKS] = { "locks", LAYOUT_OF(__u32, struct proxy_lock) },
		[MAPS_NEXTHOPS] = { "nexthops", LAYOUT_OF(__u32, struct proxy_nexthop) },
		[MAPS_HOSTS] = { "hosts", LAYOUT_OF(proxy_addr, struct proxy_host) },
		[MAPS_FRAGMENTS] = { "fragments", LAYOUT_OF(struct proxy_fragment,
					      struct proxy_fragment_rule) },
		[MAPS_STATE] = { ".data.state", LAYOUT_OF(__u32, struct proxy_state) },
		[MAPS_PREFILTER] = { "prefilter", LAYOUT_OF(__u32, struct proxy_prefilter) },
		[MAPS_MAPPING_STATS] = { "mapping_stats", LAYOUT_OF(__u32,
						  struct proxy_mapping_stats) },
		[MAPS_COUNTERS] = { "counters", LAYOUT_OF(__u32, __u64) },
	},
	.open = layout_open,
	.configure = layout_configure,
	.load = layout_load,
	.destroy = layout_destroy,
	.dest_put = layout_dest_put,
	.dest_get = layout_dest_get,
	.target_put = layout_target_put,
	.target_get = layout_target_get,
	.addr_put = layout_addr_put,
	.host_put = layout_host_put,
	.nexthop_put = layout_nexthop_put,
	.nexthop_get = layout_nexthop_get,
	.prefilter_bit = layout_prefilter_bit,
	.flow_get = layout_flow_get,
	.flow_words = layout_flow_words,
	.flow_hash = layout_flow_hash,
};
_Static_assert(sizeof(struct proxy_flow) <= LAYOUT_MAX && sizeof(struct proxy_host) <= LAYOUT_MAX &&
		       sizeof(struct proxy_mapping) <= LAYOUT_MAX &&
		       sizeof(struct proxy_dest) <= LAYOUT_MAX,
	       "the longest value has room");
