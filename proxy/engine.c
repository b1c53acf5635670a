// SPDX-License-Identifier: GPL-2.0-only
#include "engine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "arp.h"
#include "commit.h"
#include "log.h"
#include "loop.h"
#include "memory.h"
#include "number.h"
#include "proxy.skel.h"
#include "refusal.h"

enum {
	WARNINGS_MAX = 5,
	PROBES_MAX = 256,
	PROBE_ROUNDS = 2,
	ENTRIES_MIN = 16384,
	IDS_MIN = 4096,
};

/* The datapath takes an original for absent if a request has gone unanswered for so long. */
#define PROBE_INTERVAL_NS (NSEC_PER_SEC / 5)

/* How often hosts are looked for at originals that the programs answer for. */
#define ABSENT_INTERVAL_NS (5 * NSEC_PER_SEC)

#define ASK_INTERVAL_NS (60 * NSEC_PER_SEC)

void engine_init(struct engine *engine, const struct options *opt, const struct iface *iface)
{
	memset(engine, 0, sizeof(*engine));
	engine->opt = opt;
	engine->iface = *iface;
	engine->hops = NEXTHOPS_INIT;
	engine->at =
		(struct attachment){ .ifindex = iface->ifindex, .ingress_fd = -1, .tcx = opt->tcx };
	engine->gc.timeouts = opt->timeouts;
	maps_init(&engine->maps);
}

void engine_close(struct engine *engine)
{
	free(engine->probes.addrs);
	/* With programs of our own, it belongs to them. */
	if (!engine->skel && engine->at.ingress_fd >= 0)
		close(engine->at.ingress_fd);
	attach_close(&engine->at);
	table_close(&engine->table);
	nexthops_close(&engine->hops);
	maps_close(&engine->maps);
	proxy__destroy(engine->other_skels[0]);
	proxy__destroy(engine->other_skels[1]);
	proxy__destroy(engine->skel);
	engine_init(engine, engine->opt, &engine->iface);
}

/* --- starting --- */

static __u32 at_least(size_t wanted, __u32 least)
{
	return wanted > least ? (__u32)wanted : least;
}

static __u32 mapping_ids(size_t mappings)
{
	return at_least(2 * mappings, IDS_MIN);
}

/* A mapping is an entry, and its target another; either may bring an address of its own. */
static int set_sizes(struct proxy *skel, const struct options *opt, size_t mappings)
{
	struct slot_table_size size = slot_table_size(opt->max_flows, PROXY_FLOW_KEYS);
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 0)
		return cpus;
	return bpf_map__set_max_entries(skel->maps.flows, size.slots) ?:
	       bpf_map__set_max_entries(skel->maps.buckets, size.buckets) ?:
	       bpf_map__set_max_entries(skel->maps.free_slots, size.lines) ?:
	       bpf_map__set_max_entries(skel->maps.spares, (__u32)cpus) ?:
	       bpf_map__set_max_entries(skel->maps.mappings, at_least(4 * mappings, ENTRIES_MIN)) ?:
	       bpf_map__set_max_entries(skel->maps.hosts, at_least(4 * mappings, ENTRIES_MIN)) ?:
	       bpf_map__set_max_entries(skel->maps.nexthops, at_least(2 * mappings, IDS_MIN)) ?:
	       bpf_map__set_max_entries(skel->maps.mapping_stats,
					(__u32)cpus * mapping_ids(mappings));
}

/* Of what programs do not share with those of another device. */
static int set_own_sizes(struct proxy *skel)
{
	int cpus = libbpf_num_possible_cpus();

	return cpus < 0 ? cpus
			: bpf_map__set_max_entries(skel->maps.cache,
						   (__u32)cpus * PROXY_CACHE_SLOTS);
}

/* The flow table, whose size and hash are constants of the programs. */
static void set_table(struct proxy *skel, __u32 slots, const __u64 *keys)
{
	struct slot_table_size size = slot_table_size(slots, PROXY_FLOW_KEYS);

	skel->rodata->cfg_slots = size.slots;
	skel->rodata->cfg_bucket_mask = size.buckets - 1;
	skel->rodata->cfg_ring_mask = size.ring - 1;
	memcpy(skel->rodata->cfg_hash_keys, keys, sizeof(skel->rodata->cfg_hash_keys));
}

/* The programs for the interface, which has @l2_len bytes before the IP header. */
static void choose(struct proxy *skel, int l2_len)
{
	skel->rodata->cfg_l2_len = (__u32)l2_len;
	bpf_program__set_autoload(skel->progs.proxy_direct, false);
	bpf_program__set_autoload(skel->progs.proxy3_direct, false);
	bpf_program__set_autoload(skel->progs.proxy_egress, l2_len);
	bpf_program__set_autoload(skel->progs.proxy_ingress, l2_len);
	bpf_program__set_autoload(skel->progs.proxy3_egress, !l2_len);
	bpf_program__set_autoload(skel->progs.proxy3_ingress, !l2_len);
}

static int egress_fd(const struct proxy *skel, int l2_len)
{
	return bpf_program__fd(l2_len ? skel->progs.proxy_egress : skel->progs.proxy3_egress);
}

static int ingress_fd(const struct proxy *skel, int l2_len)
{
	return bpf_program__fd(l2_len ? skel->progs.proxy_ingress : skel->progs.proxy3_ingress);
}

static int direct_fd(const struct proxy *skel, int l2_len)
{
	return bpf_program__fd(l2_len ? skel->progs.proxy_direct : skel->progs.proxy3_direct);
}

/* The programs for other devices with @l2_len bytes before the IP header, with the same maps. */
static int load_other(struct engine *engine, int l2_len)
{
	struct proxy *skel = proxy__open();
	int err;

	if (!skel) {
		err = -errno;
		return err ?: -ENOMEM;
	}
	choose(skel, l2_len);
	set_table(skel, engine->maps.index.size.slots, slot_table_keys(&engine->maps.index));
	bpf_program__set_autoload(skel->progs.proxy_egress, false);
	bpf_program__set_autoload(skel->progs.proxy3_egress, false);
	bpf_program__set_autoload(l2_len ? skel->progs.proxy_direct : skel->progs.proxy3_direct,
				  true);
	if (l2_len == engine->iface.l2_len) {
		/* The interface's own does for other devices as well. */
		bpf_program__set_autoload(skel->progs.proxy_ingress, false);
		bpf_program__set_autoload(skel->progs.proxy3_ingress, false);
	}
	bpf_program__set_autoload(skel->progs.proxy_touch, false);
	err = maps_reuse(&engine->maps, skel->obj) ?: set_own_sizes(skel) ?: proxy__load(skel);
	if (err)
		proxy__destroy(skel);
	else
		engine->other_skels[!l2_len] = skel;
	return err;
}

/* Without programs of our own, only the running proxy_ingress is at hand. */
static int program_for(void *arg, int ifindex, enum program program)
{
	struct engine *engine = arg;
	char name[IF_NAMESIZE];
	struct proxy **skel;
	struct iface iface;
	int err;

	if (!if_indextoname((unsigned int)ifindex, name))
		return -ENODEV;
	err = iface_open(name, &iface);
	if (err)
		return err;
	if (program == PROGRAM_PROXY_INGRESS && iface.l2_len == engine->iface.l2_len)
		return engine->at.ingress_fd;
	if (!engine->skel)
		return -EOPNOTSUPP;
	skel = &engine->other_skels[!iface.l2_len];
	err = *skel ? 0 : load_other(engine, iface.l2_len);
	if (err)
		return err;
	return program == PROGRAM_PROXY_INGRESS ? ingress_fd(*skel, iface.l2_len)
						: direct_fd(*skel, iface.l2_len);
}

static int check_memory(const struct options *opt)
{
	__u64 needed = ((__u64)opt->max_flows * sizeof(struct proxy_flow) +
			slot_table_bytes(slot_table_size(opt->max_flows, PROXY_FLOW_KEYS))) >>
		       20;
	__u64 available = memory_available() >> 20;

	if (needed < available)
		return 0;
	log_note(
		"%u flows need %llu MB of memory, but %llu MB are available (a smaller --max-flows "
		"helps)",
		opt->max_flows, needed, available);
	return -ENOMEM;
}

/* @old: maps to share, all -1: none. */
static int load(struct engine *engine, const struct maps *old, size_t mappings)
{
	bool shared = old->fd[MAPS_FLOWS] >= 0;
	int err = shared ? 0 : check_memory(engine->opt);
	struct proxy *skel;
	__u64 keys[SLOT_HASH_KEYS] = { 0 };

	if (err)
		return err;
	skel = proxy__open();
	if (!skel)
		return log_err(-errno, "cannot open the BPF object");
	engine->skel = skel;
	choose(skel, engine->iface.l2_len);
	if (shared)
		err = maps_hash_keys(old, keys);
	else
		err = getrandom(keys, sizeof(keys), 0) < 0 ? -errno : 0;
	if (!err)
		err = set_sizes(skel, engine->opt, mappings) ?: set_own_sizes(skel);
	set_table(skel, shared ? old->max_entries[MAPS_FLOWS] : engine->opt->max_flows, keys);
	if (!err)
		err = maps_reuse(old, skel->obj);
	if (!err)
		err = proxy__load(skel);
	if (err == -ENOMEM || err == -E2BIG)
		return log_err(err,
			       "cannot make tables for %u flows and %zu mappings (a smaller "
			       "--max-flows helps)",
			       engine->opt->max_flows, mappings);
	if (err)
		return log_refused(REFUSED_LOAD, err, "cannot load the BPF programs");
	engine->at.egress_fd = egress_fd(skel, engine->iface.l2_len);
	engine->at.ingress_fd = ingress_fd(skel, engine->iface.l2_len);
	err = maps_from_object(&engine->maps, skel->obj) ?:
	      maps_bind(&engine->maps, engine->at.egress_fd) ?:
	      maps_bind(&engine->maps, engine->at.ingress_fd) ?:
	      maps_mmap(&engine->maps);
	if (err)
		return log_err(err, "cannot open the maps");
	if (!shared) {
		slot_table_begin(&engine->maps.index, keys);
		engine->maps.state->layout = PROXY_LAYOUT;
		engine->maps.state->mark = (__u16)(0x8000 | keys[SLOT_HASH_KEYS - 1]);
		engine->maps.state->mapping_ids = mapping_ids(mappings);
	}
	return 0;
}

static void heartbeat(struct engine *engine)
{
	__atomic_store_n(&engine->maps.state->heartbeat, maps_now(), __ATOMIC_RELAXED);
}

/* Places of next hops that flows of a former proxy still refer to. */
static void adopt_nexthops(struct engine *engine)
{
	__u32 limit = maps_flow_limit(&engine->maps);
	const struct mapping_list *plan = &engine->table.plan;
	struct proxy_flow flow;

	for (size_t i = 0; i < plan->count; i++)
		if (table_shown(&plan->entries[i]))
			nexthops_adopt(&engine->hops, plan->entries[i].to.nexthop,
				       plan->entries[i].to.addr);
	for (__u32 slot = 0; slot < limit; slot++)
		if (maps_flow(&engine->maps, slot, &flow))
			nexthops_flow_seen(&engine->hops, flow.nexthop, flow.key.remote,
					   flow.last_seen);
}

static void new_device(void *arg, int device)
{
	attach_device(&((struct engine *)arg)->at, device);
}

static int open_error(const struct engine *engine, int err)
{
	const char *ifname = engine->iface.name;

	return log_err(err,
		       "cannot open the datapath of %s (remove-filters-and-qdisc.sh %s removes it)",
		       ifname, ifname);
}

/* With the maps open and mapped: all that reads and changes them. */
static int open_parts(struct engine *engine, bool used_before)
{
	int err = table_open(&engine->table, &engine->maps);

	engine->at.program_for = program_for;
	engine->at.arg = engine;
	engine->hops.new_device = new_device;
	engine->hops.arg = engine;
	if (!err && engine->skel && used_before)
		attach_adopt(&engine->at);
	if (!err)
		err = nexthops_open(&engine->hops, &engine->maps, engine->iface.ifindex,
				    engine->iface.loopback);
	if (!err && used_before)
		adopt_nexthops(engine);
	return err ? open_error(engine, err) : 0;
}

int engine_start(struct engine *engine, const struct mapping_list *list)
{
	struct mapping_error error;
	struct maps old;
	bool takeover;
	int err;

	maps_init(&old);
	err = attach_find(&engine->at, engine->iface.name, &old);
	takeover = !err;
	if (engine->at.ingress_fd >= 0)
		close(engine->at.ingress_fd);
	if (err && err != -ENOENT)
		goto out;
	err = load(engine, &old, list->count);
	if (!err)
		err = open_parts(engine, takeover);
	if (err)
		goto out;
	if (takeover && old.max_entries[MAPS_FLOWS] != engine->opt->max_flows)
		log_note("the running flow table is taken over with its size of %u flows",
			 old.max_entries[MAPS_FLOWS]);
	heartbeat(engine);
	err = engine_check(engine, list, &error);
	if (!err)
		err = engine_serve(engine, list, engine->opt->kill, &error);
	if (err) {
		log_note("%s", error.text);
		goto out;
	}
	attach_follow(&engine->at, &engine->hops, loop_now_ns());
	err = attach_start(&engine->at, engine->iface.name, takeover);
	engine->attached = !err;
out:
	if (err && !takeover)
		attach_stop(&engine->at);
	maps_close(&old);
	return err;
}

int engine_open(struct engine *engine, bool change)
{
	int err = attach_find(&engine->at, engine->iface.name, &engine->maps);

	if (err == -ENOENT)
		err = attach_find_tcx(&engine->at, engine->iface.name, &engine->maps);
	if (err)
		return err;
	if (change && engine->at.missing)
		return log_note("somebody has removed the %s filter of proxy from %s: 'proxy %s' "
				"takes over what is left",
				engine->at.missing, engine->iface.name, engine->iface.name),
		       -ESTALE;
	err = maps_mmap(&engine->maps);
	if (err)
		return log_err(err, "cannot map the tables of %s", engine->iface.name);
	if (change)
		return open_parts(engine, true);
	err = table_open(&engine->table, &engine->maps);
	return err ? open_error(engine, err) : 0;
}

int engine_stop(struct engine *engine)
{
	static const __u8 mac[] = PROXY_MAC;
	int err;

	if (!engine->attached)
		return 0;
	engine->attached = false;
	if (engine->opt->keep) {
		/* The originals that nobody has are to be known as such. */
		for (int ms; (ms = engine_probe(engine)) >= 0;)
			poll(NULL, 0, ms);
		/* Nobody follows the neighbours from now on: the kernel is to be asked. */
		__atomic_store_n(&engine->maps.state->heartbeat, 0, __ATOMIC_RELAXED);
		maps_changed(&engine->maps);
		attach_close(&engine->at);
		return 0;
	}
	err = attach_stop(&engine->at);
	netlink_neigh_delete_mac(&engine->hops.nl, engine->iface.ifindex, mac);
	return err ? log_refused(REFUSED_ATTACH, err, "cannot remove all filters from %s",
				 engine->iface.name)
		   : 0;
}

/* --- checking --- */

static int refuse(struct mapping_error *error, const struct mapping_list *list,
		  const struct mapping *mapping, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static int refuse(struct mapping_error *error, const struct mapping_list *list,
		  const struct mapping *mapping, const char *fmt, ...)
{
	char from[MAPPING_ADDR_LEN], to[MAPPING_ADDR_LEN], place[MAPPING_PLACE_LEN];
	size_t used;
	va_list args;

	snprintf(error->text, sizeof(error->text),
		 "%s%s=%s: ", mapping_place_text(list, mapping, place),
		 mapping_addr_text(mapping->from.addr, mapping->from.port, from),
		 mapping_addr_text(mapping->to.addr, mapping->to.port, to));
	used = strlen(error->text);
	va_start(args, fmt);
	vsnprintf(error->text + used, sizeof(error->text) - used, fmt, args);
	va_end(args);
	return -EINVAL;
}

static bool is_loopback(__be32 addr)
{
	return ntohl(addr) >> 24 == IN_LOOPBACKNET;
}

static bool is_local(struct engine *engine, __be32 addr)
{
	struct netlink_route route;

	return !netlink_route_get(&engine->hops.nl, addr, &route) && route.type == RTN_LOCAL;
}

static int check_one(struct engine *engine, const struct mapping_list *list,
		     const struct mapping *mapping, struct mapping_error *error)
{
	const struct nexthop *hop;
	struct netlink_route route;
	__u32 index;
	int err;

	if (engine->iface.loopback) {
		if (!is_local(engine, mapping->from.addr) || !is_local(engine, mapping->to.addr))
			return refuse(
				error, list, mapping,
				"both must be addresses of this host on %s, the loopback device",
				engine->iface.name);
		return 0;
	}
	if (is_loopback(mapping->from.addr) || is_loopback(mapping->to.addr))
		return refuse(
			error, list, mapping,
			"loopback addresses can be mapped on the loopback device only, not %s",
			engine->iface.name);
	if (!netlink_route_get(&engine->hops.nl, mapping->from.addr, &route) &&
	    route.type == RTN_BROADCAST)
		return refuse(error, list, mapping, "FROM is a broadcast address");
	err = nexthops_get(&engine->hops, mapping->to.addr, &index);
	if (err)
		return refuse(error, list, mapping, "too many targets for the running datapath"),
		       err;
	hop = nexthops_at(&engine->hops, index);
	if (hop && hop->error == -EADDRNOTAVAIL)
		return refuse(error, list, mapping, "TO is a broadcast address");
	return 0;
}

int engine_check(struct engine *engine, const struct mapping_list *list,
		 struct mapping_error *error)
{
	int err = 0;

	for (size_t i = 0; i < list->count && !err; i++)
		err = check_one(engine, list, &list->entries[i], error);
	return err;
}

static bool strict_rp_filter(int ifindex)
{
	static const char *const names[] = { "all", NULL };
	char device[IF_NAMESIZE], path[96], line[16];
	__u64 strict = 0;

	if (!if_indextoname((unsigned int)ifindex, device))
		return false;
	for (int i = 0; i < 2; i++) {
		__u64 value = 0;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/rp_filter",
			 names[i] ?: device);
		file = fopen(path, "re");
		if (file && fgets(line, sizeof(line), file)) {
			line[strcspn(line, "\n")] = '\0';
			number_parse(line, 0, 2, &value);
		}
		if (file)
			fclose(file);
		strict = value > strict ? value : strict; /* the kernel takes the greater */
	}
	return strict == 1;
}

/* What is suspicious about a mapping, or false. */
static bool suspect(struct engine *engine, const struct mapping *entry, char *text, size_t size)
{
	const struct nexthop *hop = nexthops_at(&engine->hops, entry->to.nexthop);
	const char *ifname = engine->iface.name;
	char from[MAPPING_ADDR_LEN], to[MAPPING_ADDR_LEN], device[IF_NAMESIZE] = "?";
	struct netlink_route route = { 0 };
	int err = netlink_route_get(&engine->hops.nl, entry->from.addr, &route);

	mapping_addr_text(entry->from.addr, 0, from);
	mapping_addr_text(entry->to.addr, 0, to);
	if (!err)
		if_indextoname((unsigned int)route.oif, device);
	if (err)
		snprintf(text, size,
			 "%s has no route, so nothing sent to it reaches %s "
			 "(ip route add %s dev %s)",
			 from, ifname, from, ifname);
	else if (route.type == RTN_LOCAL)
		snprintf(text, size,
			 "%s is this host's own address: only what others sent to it "
			 "and leaves by %s is mapped",
			 from, ifname);
	else if (route.oif != engine->iface.ifindex)
		snprintf(text, size,
			 "the route to %s leaves by %s, so only packets that %s sends on by %s are "
			 "mapped",
			 from, device, device, ifname);
	else if (hop && hop->error)
		snprintf(text, size, "the target %s cannot be reached: %s", to,
			 strerror(-hop->error));
	else if (hop && hop->route.type == RTN_UNICAST && hop->route.oif != engine->iface.ifindex &&
		 strict_rp_filter(hop->route.oif) &&
		 if_indextoname((unsigned int)hop->route.oif, device))
		snprintf(text, size,
			 "replies of %s come in by %s, where rp_filter=1 drops them (sysctl "
			 "net.ipv4.conf.%s.rp_filter=2)",
			 to, device, device);
	else
		return false;
	return true;
}

void engine_warn(struct engine *engine)
{
	struct tc_link *const links[] = { &engine->at.ingress, &engine->at.egress };
	char text[256], last[256] = "";
	size_t warned = 0;

	tc_link_warn(links, 2, engine->iface.name);
	if (engine->iface.loopback)
		return;
	for (size_t i = 0; i < engine->table.plan.count; i++) {
		const struct mapping *entry = &engine->table.plan.entries[i];

		if (!table_in_force(entry) || !suspect(engine, entry, text, sizeof(text)) ||
		    !strcmp(text, last))
			continue;
		snprintf(last, sizeof(last), "%s", text);
		if (warned++ < WARNINGS_MAX)
			log_note("warning: %s", text);
	}
	if (warned > WARNINGS_MAX)
		log_note("warning: %zu more of this kind", warned - WARNINGS_MAX);
}

/* --- running --- */

/* Whether mappings have to ask for sockets: a look at all sockets, and so not a frequent one. */
static void ask_less(struct engine *engine)
{
	bool asking = table_ask_less(&engine->table, &engine->maps);

	engine->ask_at = asking ? loop_now_ns() + ASK_INTERVAL_NS : 0;
}

void engine_settle(struct engine *engine)
{
	slot_table_touch(engine->maps.index.size, bpf_program__fd(engine->skel->progs.proxy_touch));
	ask_less(engine);
}

/* Ask for the originals on the link that the kernel does not know. */
static void plan_probes(struct engine *engine)
{
	struct probes *probes = &engine->probes;
	__be32 last = 0;

	if (!engine->skel || engine->iface.loopback || !engine->iface.l2_len ||
	    engine->hops.arp_fd < 0)
		return;
	if (!probes->addrs)
		probes->addrs = calloc(PROBES_MAX, sizeof(*probes->addrs));
	probes->count = 0;
	for (size_t i = 0; probes->addrs && i < engine->table.plan.count; i++) {
		const struct mapping *entry = &engine->table.plan.entries[i];

		if (!table_shown(entry) || entry->from.addr == last || probes->count == PROBES_MAX)
			continue;
		last = entry->from.addr;
		probes->addrs[probes->count++] = last;
	}
	probes->rounds = PROBE_ROUNDS;
	probes->next_at = loop_now_ns();
}

static void probe(struct engine *engine, __be32 addr)
{
	struct netlink_route route;
	struct netlink_neigh neigh;

	if (netlink_route_get(&engine->hops.nl, addr, &route) || route.type != RTN_UNICAST ||
	    route.oif != engine->iface.ifindex || route.via != addr || !route.src)
		return;
	if (!netlink_neigh_get(&engine->hops.nl, route.oif, addr, &neigh) && neigh.has_mac &&
	    !(neigh.state & (NUD_FAILED | NUD_INCOMPLETE)))
		return;
	arp_request(engine->hops.arp_fd, route.oif, route.src, addr);
}

int engine_probe(struct engine *engine)
{
	struct probes *probes = &engine->probes;
	__u64 now = loop_now_ns();

	if (!probes->rounds)
		return -1;
	if (now >= probes->next_at) {
		for (size_t i = 0; i < probes->count; i++)
			probe(engine, probes->addrs[i]);
		probes->next_at = now + PROBE_INTERVAL_NS;
		if (!--probes->rounds)
			return -1;
	}
	return (int)((probes->next_at - now) / 1000000) + 1;
}

/*
 * Look for a host at each original that is in use and that the programs answer for. The kernel asks
 * the MAC address that they gave it, and does not ask at all while replies come in.
 */
static void ask_absent(struct engine *engine, __u64 now)
{
	static const __u8 mac[] = PROXY_MAC;
	__be32 absent[PROBES_MAX];
	int count;

	if (now < engine->absent_at || engine->hops.arp_fd < 0)
		return;
	engine->absent_at = now + ABSENT_INTERVAL_NS;
	count = netlink_neigh_with_mac(&engine->hops.nl, engine->iface.ifindex, mac,
				       NUD_REACHABLE | NUD_DELAY | NUD_PROBE, absent, PROBES_MAX);
	/* Without a source: the programs do not answer such a request, a host does (RFC 5227). */
	for (int i = 0; i < count; i++)
		arp_request(engine->hops.arp_fd, engine->iface.ifindex, 0, absent[i]);
}

int engine_serve(struct engine *engine, const struct mapping_list *list, bool kill,
		 struct mapping_error *error)
{
	int err = commit_mappings(&engine->table, &engine->maps, &engine->hops, list, kill, error);

	if (err)
		return err;
	plan_probes(engine);
	if (engine->attached)
		ask_less(engine);
	return 0;
}

static void follow(struct engine *engine)
{
	if (!engine->hops.moved)
		return;
	engine->hops.moved = false;
	table_relocate(&engine->table, &engine->maps, &engine->hops);
}

void engine_event(struct engine *engine)
{
	nexthops_event(&engine->hops);
	follow(engine);
}

static int count_traffic(struct engine *engine)
{
	const struct table *table = &engine->table;
	struct proxy_mapping_stats *stats = calloc(table->id_end, sizeof(*stats));

	if (!stats)
		return -ENOMEM;
	maps_mapping_stats(&engine->maps, stats, table->id_end);
	for (size_t i = 0; i < table->plan.count; i++) {
		const struct proxy_mapping *to = &table->plan.entries[i].to;

		if (table_shown(&table->plan.entries[i]))
			nexthops_traffic(&engine->hops, to->nexthop, stats[to->id].packets_out,
					 stats[to->id].packets_in);
	}
	free(stats);
	return 0;
}

int engine_tick(struct engine *engine)
{
	int err;

	heartbeat(engine);
	err = gc_step(&engine->gc, &engine->maps, &engine->table, &engine->hops, maps_now());
	if (!err)
		err = count_traffic(engine);
	nexthops_tick(&engine->hops, loop_now_ns());
	ask_absent(engine, loop_now_ns());
	follow(engine);
	if (engine->ask_at && loop_now_ns() >= engine->ask_at)
		ask_less(engine);
	attach_follow(&engine->at, &engine->hops, loop_now_ns());
	return err ? log_err(err, "cannot read the tables of %s", engine->iface.name) : 0;
}
