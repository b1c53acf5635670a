// SPDX-License-Identifier: GPL-2.0-only
#include "engine.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "commit.h"
#include "log.h"
#include "loop.h"
#include "number.h"
#include "refusal.h"

/* Mappings that are looked at each second after routes have changed, at some 10 us each. */
enum { CHECKS_PER_TICK = 256 };

#define ASK_INTERVAL_NS (60 * NSEC_PER_SEC)

void engine_init(struct engine *engine, const struct proxy_options *opt, const struct iface *iface)
{
	memset(engine, 0, sizeof(*engine));
	engine->opt = opt;
	engine->iface = *iface;
	engine->hops = NEXTHOPS_INIT;
	engine->at =
		(struct attachment){ .ifindex = iface->ifindex, .ingress_fd = -1, .tcx = opt->tcx };
	engine->gc.timeouts = opt->timeouts;
	maps_init(&engine->maps, &layout_ipv4);
}

void engine_close(struct engine *engine)
{
	/* With programs of our own, it belongs to them. */
	if (!engine->programs.own && engine->at.ingress_fd >= 0)
		close(engine->at.ingress_fd);
	engine->at.ingress_fd = -1;
	attach_close(&engine->at);
	table_close(&engine->table);
	nexthops_close(&engine->hops);
	maps_close(&engine->maps);
	programs_close(&engine->programs);
}

/* --- starting --- */

static void engine_heartbeat(struct engine *engine)
{
	__atomic_store_n(&engine->maps.state->heartbeat, maps_now(), __ATOMIC_RELAXED);
}

/* Places of next hops that flows of a former proxy still refer to. */
static void engine_adopt_nexthops(struct engine *engine)
{
	__u32 limit = maps_flow_limit(&engine->maps);
	const struct mapping_list *plan = &engine->table.plan;
	struct nat_flow flow;

	for (size_t i = 0; i < plan->count; i++)
		if (table_shown(&plan->entries[i]))
			nexthops_adopt(&engine->hops, plan->entries[i].to.nexthop,
				       &plan->entries[i].to.addr);
	for (__u32 slot = 0; slot < limit; slot++)
		if (maps_flow(&engine->maps, slot, &flow))
			nexthops_flow_seen(&engine->hops, flow.nexthop, &flow.remote,
					   flow.last_seen);
}

/* Without programs of our own, only the running proxy_ingress is at hand. */
static int engine_program_for(void *arg, int ifindex, enum program program)
{
	struct engine *engine = arg;
	char name[IF_NAMESIZE];
	struct iface iface;
	int err;

	if (!if_indextoname((unsigned int)ifindex, name))
		return -ENODEV;
	err = iface_open(name, &iface);
	if (err)
		return err;
	if (program == PROGRAM_PROXY_INGRESS && iface.l2_len == engine->iface.l2_len)
		return engine->at.ingress_fd;
	if (!engine->programs.own)
		return -EOPNOTSUPP;
	return programs_for(&engine->programs, &engine->maps, iface.l2_len, program);
}

/* Routes may lead by other devices now: these get a filter before the first packet leaves there. */
static void engine_follow(struct engine *engine)
{
	if (!engine->hops.moved)
		return;
	engine->hops.moved = false;
	attach_devices(&engine->at, &engine->hops);
	nexthops_release(&engine->hops);
	table_relocate(&engine->table, &engine->maps, &engine->hops);
}

static int engine_open_error(const struct engine *engine, int err)
{
	const char *ifname = engine->iface.name;

	return log_err(err,
		       "cannot open the datapath of %s (remove-filters-and-qdisc.sh %s removes it)",
		       ifname, ifname);
}

/* With the maps open and mapped: all that reads and changes them. */
static int engine_open_parts(struct engine *engine, bool used_before)
{
	int err = table_open(&engine->table, &engine->maps);

	engine->at.program_for = engine_program_for;
	engine->at.arg = engine;
	if (!err && engine->programs.own && used_before)
		attach_adopt(&engine->at);
	if (!err)
		err = nexthops_open(&engine->hops, &engine->maps, engine->iface.ifindex,
				    engine->iface.loopback);
	if (!err && used_before) {
		engine_adopt_nexthops(engine);
		engine_follow(engine);
	}
	return err ? engine_open_error(engine, err) : 0;
}

int engine_start(struct engine *engine, const struct mapping_list *list)
{
	struct mapping_error error;
	struct maps old;
	bool takeover;
	int err;

	maps_init(&old, engine->maps.layout);
	err = attach_find(&engine->at, engine->iface.name, &old);
	takeover = !err;
	if (engine->at.ingress_fd >= 0)
		close(engine->at.ingress_fd);
	engine->at.ingress_fd = -1;
	if (err && err != -ENOENT)
		goto out;
	err = programs_load(&engine->programs, &engine->maps, &old, engine->opt,
			    engine->iface.l2_len, list->count);
	if (err)
		goto out;
	engine->at.egress_fd = programs_own(&engine->programs, PROGRAM_PROXY_EGRESS);
	engine->at.ingress_fd = programs_own(&engine->programs, PROGRAM_PROXY_INGRESS);
	err = engine_open_parts(engine, takeover);
	if (err)
		goto out;
	if (takeover && old.max_entries[MAPS_FLOWS] != engine->opt->max_flows)
		log_note("the running flow table is taken over with its size of %u flows",
			 old.max_entries[MAPS_FLOWS]);
	engine_heartbeat(engine);
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
		return engine_open_parts(engine, true);
	err = table_open(&engine->table, &engine->maps);
	return err ? engine_open_error(engine, err) : 0;
}

static void engine_sleep_until(__u64 due_ns)
{
	const struct timespec due = { .tv_sec = (time_t)(due_ns / NSEC_PER_SEC),
				      .tv_nsec = (long)(due_ns % NSEC_PER_SEC) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
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
		for (__u64 due; (due = engine_probe(engine));)
			engine_sleep_until(due);
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

void engine_warn(struct engine *engine)
{
	struct tc_link *const links[] = { &engine->at.ingress, &engine->at.egress };

	tc_link_warn(links, 2, engine->iface.name);
	check_start(&engine->check, true);
	check_step(&engine->check, &engine->hops, &engine->iface, &engine->table.plan, SIZE_MAX);
}

/* --- running --- */

/* Whether mappings have to ask for sockets: a look at all sockets, and so not a frequent one. */
static void engine_ask_less(struct engine *engine)
{
	bool asking = table_ask_less(&engine->table, &engine->maps);

	engine->ask_at = asking ? loop_now_ns() + ASK_INTERVAL_NS : 0;
}

void engine_settle(struct engine *engine)
{
	slot_table_touch(&engine->maps.index, engine->maps.flows,
			 engine->maps.layout->maps[MAPS_FLOWS].value_size);
	engine_ask_less(engine);
}

__u64 engine_probe(struct engine *engine)
{
	return probe_step(&engine->probes, &engine->hops);
}

int engine_serve(struct engine *engine, const struct mapping_list *list, bool kill,
		 struct mapping_error *error)
{
	int err = check_mappings(&engine->hops, &engine->iface, list, error);

	if (err)
		return err;
	engine_follow(engine);
	err = commit_mappings(&engine->table, &engine->maps, &engine->hops, list, kill, error);
	if (err)
		return err;
	if (engine->programs.own && !engine->iface.loopback && engine->iface.l2_len)
		probe_plan(&engine->probes, &engine->table.plan);
	check_start(&engine->check, false);
	if (engine->attached)
		engine_ask_less(engine);
	return 0;
}

void engine_event(struct engine *engine)
{
	if (nexthops_event(&engine->hops))
		check_start(&engine->check, false);
	engine_follow(engine);
}

static int engine_count_traffic(struct engine *engine)
{
	const struct table *table = &engine->table;
	struct proxy_mapping_stats *stats = calloc(table->id_end, sizeof(*stats));

	if (!stats)
		return -ENOMEM;
	maps_mapping_stats(&engine->maps, stats, table->id_end);
	for (size_t i = 0; i < table->plan.count; i++) {
		const struct nat_target *to = &table->plan.entries[i].to;

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

	engine_heartbeat(engine);
	err = gc_step(&engine->gc, &engine->maps, &engine->table, &engine->hops, maps_now());
	if (!err)
		err = engine_count_traffic(engine);
	nexthops_tick(&engine->hops, loop_now_ns());
	check_step(&engine->check, &engine->hops, &engine->iface, &engine->table.plan,
		   CHECKS_PER_TICK);
	probe_absent(&engine->probes, &engine->hops, loop_now_ns());
	engine_follow(engine);
	if (engine->ask_at && loop_now_ns() >= engine->ask_at)
		engine_ask_less(engine);
	attach_follow(&engine->at, &engine->hops, loop_now_ns());
	return err ? log_err(err, "cannot read the tables of %s", engine->iface.name) : 0;
}
