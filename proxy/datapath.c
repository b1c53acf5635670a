// SPDX-License-Identifier: GPL-2.0-only
#include "datapath.h"

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

void datapath_init(struct datapath *path, const struct nat_layout *layout,
		   const struct proxy_options *opt, const struct iface *iface)
{
	memset(path, 0, sizeof(*path));
	path->opt = opt;
	path->iface = iface;
	path->hops = NEXTHOPS_INIT;
	path->at = (struct attachment){
		.layout = layout, .ifindex = iface->ifindex, .ingress_fd = -1, .tcx = opt->tcx
	};
	path->gc.timeouts = opt->timeouts;
	maps_init(&path->maps, layout);
}

void datapath_close(struct datapath *path)
{
	/* With programs of our own, it belongs to them. */
	if (!programs_loaded(&path->programs) && path->at.ingress_fd >= 0)
		close(path->at.ingress_fd);
	path->at.ingress_fd = -1;
	attach_close(&path->at);
	table_close(&path->table);
	nexthops_close(&path->hops);
	maps_close(&path->maps);
	programs_close(&path->programs);
}

/* --- starting --- */

static void datapath_heartbeat(struct datapath *path)
{
	__atomic_store_n(&path->maps.state->heartbeat, maps_now(), __ATOMIC_RELAXED);
}

/* Places of next hops that flows of a former proxy still refer to. */
static void datapath_adopt_nexthops(struct datapath *path)
{
	__u32 limit = maps_flow_limit(&path->maps);
	const struct mapping_list *plan = &path->table.plan;
	struct nat_flow flow;

	for (size_t i = 0; i < plan->count; i++)
		if (table_shown(&plan->entries[i]))
			nexthops_adopt(&path->hops, plan->entries[i].to.nexthop,
				       &plan->entries[i].to.addr);
	for (__u32 slot = 0; slot < limit; slot++)
		if (maps_flow(&path->maps, slot, &flow))
			nexthops_flow_seen(&path->hops, flow.nexthop, &flow.remote, flow.last_seen);
}

/* Without programs of our own, only the running proxy_ingress is at hand. */
static int datapath_program_for(void *arg, int ifindex, enum layout_role role)
{
	struct datapath *path = arg;
	char name[IF_NAMESIZE];
	struct iface iface;
	int err;

	if (!if_indextoname((unsigned int)ifindex, name))
		return -ENODEV;
	err = iface_open(name, &iface);
	if (err)
		return err;
	if (role == LAYOUT_INGRESS && iface.l2_len == path->iface->l2_len)
		return path->at.ingress_fd;
	if (!programs_loaded(&path->programs))
		return -EOPNOTSUPP;
	return programs_for(&path->programs, &path->maps, iface.l2_len, role);
}

/* Routes may lead by other devices now: these get a filter before the first packet leaves there. */
static void datapath_follow(struct datapath *path)
{
	if (!path->hops.moved)
		return;
	path->hops.moved = false;
	attach_devices(&path->at, &path->hops);
	nexthops_release(&path->hops);
	table_relocate(&path->table, &path->maps, &path->hops);
}

static int datapath_open_error(const struct datapath *path, int err)
{
	const char *ifname = path->iface->name;

	return log_err(err,
		       "cannot open the datapath of %s (remove-filters-and-qdisc.sh %s removes it)",
		       ifname, ifname);
}

/* With the maps open and mapped: all that reads and changes them. */
static int datapath_open_parts(struct datapath *path, bool used_before)
{
	int err = table_open(&path->table, &path->maps);

	path->at.program_for = datapath_program_for;
	path->at.arg = path;
	if (!err && programs_loaded(&path->programs) && used_before)
		attach_adopt(&path->at);
	if (!err)
		err = nexthops_open(&path->hops, &path->maps, path->iface->ifindex,
				    path->iface->loopback);
	if (!err && used_before) {
		datapath_adopt_nexthops(path);
		datapath_follow(path);
	}
	return err ? datapath_open_error(path, err) : 0;
}

int datapath_start(struct datapath *path, const struct mapping_list *list, bool needed,
		   struct mapping_error *error)
{
	struct maps old;
	bool takeover;
	int err;

	*error->text = '\0';
	maps_init(&old, path->maps.layout);
	err = attach_find(&path->at, path->iface->name, &old);
	takeover = !err;
	if (path->at.ingress_fd >= 0)
		close(path->at.ingress_fd);
	path->at.ingress_fd = -1;
	if (err == -ENOENT)
		err = needed ? 0 : -ENOENT;
	if (err)
		goto out;
	err = programs_load(&path->programs, &path->maps, &old, path->opt, path->iface->l2_len,
			    list->count);
	if (err)
		goto out;
	path->at.egress_fd = programs_own(&path->programs, LAYOUT_EGRESS);
	path->at.ingress_fd = programs_own(&path->programs, LAYOUT_INGRESS);
	err = datapath_open_parts(path, takeover);
	if (err)
		goto out;
	if (takeover && old.max_entries[MAPS_FLOWS] != path->opt->max_flows)
		log_note("the running flow table is taken over with its size of %u flows",
			 old.max_entries[MAPS_FLOWS]);
	datapath_heartbeat(path);
	err = datapath_check(path, list, error)
		      ?: datapath_serve(path, list, path->opt->kill, error);
	if (err)
		goto out;
	attach_follow(&path->at, &path->hops, loop_now_ns());
	err = attach_start(&path->at, path->iface->name, takeover);
	path->attached = !err;
	path->taken_over = takeover;
out:
	if (err && !takeover)
		attach_stop(&path->at);
	maps_close(&old);
	return err;
}

int datapath_open(struct datapath *path, bool change)
{
	int err = attach_find(&path->at, path->iface->name, &path->maps);

	if (err == -ENOENT)
		err = attach_find_tcx(&path->at, path->iface->name, &path->maps);
	if (err)
		return err;
	if (change && path->at.missing)
		return log_note("somebody has removed the %s filter of proxy from %s: 'proxy %s' "
				"takes over what is left",
				path->at.missing, path->iface->name, path->iface->name),
		       -ESTALE;
	err = maps_mmap(&path->maps);
	if (err)
		return log_err(err, "cannot map the tables of %s", path->iface->name);
	if (change)
		return datapath_open_parts(path, true);
	err = table_open(&path->table, &path->maps);
	return err ? datapath_open_error(path, err) : 0;
}

static void datapath_sleep_until(__u64 due_ns)
{
	const struct timespec due = { .tv_sec = (time_t)(due_ns / NSEC_PER_SEC),
				      .tv_nsec = (long)(due_ns % NSEC_PER_SEC) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
}

void datapath_leave(struct datapath *path)
{
	/* The originals that nobody has are to be known as such. */
	for (__u64 due; (due = datapath_probe(path));)
		datapath_sleep_until(due);
	/* Nobody follows the neighbours from now on: the kernel is to be asked. */
	__atomic_store_n(&path->maps.state->heartbeat, 0, __ATOMIC_RELAXED);
	maps_changed(&path->maps);
	attach_close(&path->at);
	path->attached = false;
}

bool datapath_idle(const struct datapath *path)
{
	static const __u64 none[4];

	/* Each original, each target and each flow has a bit there. */
	return datapath_is_open(path) && !memcmp(path->maps.state->summary, none, sizeof(none));
}

int datapath_detach(struct datapath *path)
{
	int err = attach_stop(&path->at);

	path->attached = false;
	return err ? log_refused(REFUSED_ATTACH, err, "cannot remove all filters from %s",
				 path->iface->name)
		   : 0;
}

int datapath_remove(struct datapath *path)
{
	static const __u8 mac[] = PROXY_MAC;
	int err = datapath_detach(path);

	netlink_neigh_delete_mac(&path->hops.nl, path->iface->ifindex, mac);
	return err;
}

void datapath_undo(struct datapath *path)
{
	if (path->attached && !path->taken_over)
		datapath_remove(path);
}

void datapath_warn(struct datapath *path)
{
	check_start(&path->check, true);
	check_step(&path->check, &path->hops, path->iface, &path->table.plan, SIZE_MAX);
}

/* --- running --- */

/* Whether mappings have to ask for sockets: a look at all sockets, and so not a frequent one. */
static void datapath_ask_less(struct datapath *path)
{
	bool asking = table_ask_less(&path->table, &path->maps);

	path->ask_at = asking ? loop_now_ns() + ASK_INTERVAL_NS : 0;
}

void datapath_settle(struct datapath *path)
{
	slot_table_touch(&path->maps.index, path->maps.flows,
			 path->maps.layout->maps[MAPS_FLOWS].value_size);
	datapath_ask_less(path);
}

__u64 datapath_probe(struct datapath *path)
{
	return probe_step(&path->probes, &path->hops);
}

int datapath_check(struct datapath *path, const struct mapping_list *list,
		   struct mapping_error *error)
{
	return check_mappings(&path->hops, path->iface, list, error);
}

int datapath_serve(struct datapath *path, const struct mapping_list *list, bool kill,
		   struct mapping_error *error)
{
	int err;

	datapath_follow(path);
	err = commit_mappings(&path->table, &path->maps, &path->hops, list, kill, error);
	if (err)
		return err;
	if (programs_loaded(&path->programs) && !path->iface->loopback && path->iface->l2_len)
		probe_plan(&path->probes, &path->table.plan);
	check_start(&path->check, false);
	if (path->attached)
		datapath_ask_less(path);
	return 0;
}

void datapath_event(struct datapath *path)
{
	if (nexthops_event(&path->hops))
		check_start(&path->check, false);
	datapath_follow(path);
}

static int datapath_count_traffic(struct datapath *path)
{
	const struct table *table = &path->table;
	struct proxy_mapping_stats *stats = calloc(table->id_end, sizeof(*stats));

	if (!stats)
		return -ENOMEM;
	maps_mapping_stats(&path->maps, stats, table->id_end);
	for (size_t i = 0; i < table->plan.count; i++) {
		const struct nat_target *to = &table->plan.entries[i].to;

		if (table_shown(&table->plan.entries[i]))
			nexthops_traffic(&path->hops, to->nexthop, stats[to->id].packets_out,
					 stats[to->id].packets_in);
	}
	free(stats);
	return 0;
}

int datapath_tick(struct datapath *path)
{
	int err;

	datapath_heartbeat(path);
	err = gc_step(&path->gc, &path->maps, &path->table, &path->hops, maps_now());
	if (!err)
		err = datapath_count_traffic(path);
	nexthops_tick(&path->hops, loop_now_ns());
	check_step(&path->check, &path->hops, path->iface, &path->table.plan, CHECKS_PER_TICK);
	probe_absent(&path->probes, &path->hops, loop_now_ns());
	datapath_follow(path);
	if (path->ask_at && loop_now_ns() >= path->ask_at)
		datapath_ask_less(path);
	attach_follow(&path->at, &path->hops, loop_now_ns());
	return err ? log_err(err, "cannot read the tables of %s", path->iface->name) : 0;
}
