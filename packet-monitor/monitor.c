// SPDX-License-Identifier: GPL-2.0-only
#include "monitor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "log.h"
#include "packet-monitor.skel.h"
#include "refusal.h"

static const enum program programs[PM_DIRECTIONS] = { PROGRAM_PM_INGRESS, PROGRAM_PM_EGRESS };

/* Settings and sizes: between open and load, since both are frozen then. */
static int configure(struct monitor *monitor)
{
	const struct monitor_config *config = monitor->config;
	struct slot_table_size size = slot_table_size(config->max_flows, 1);
	struct packet_monitor *skel = monitor->skel;
	int err;

	skel->rodata->cfg_l2_len = (__u32)monitor->iface.l2_len;
	skel->rodata->cfg_slots = size.slots;
	skel->rodata->cfg_bucket_mask = size.buckets - 1;
	skel->rodata->cfg_ring_mask = size.ring - 1;
	skel->rodata->cfg_filter = config->filter;
	if (getrandom(skel->rodata->cfg_hash_keys, sizeof(skel->rodata->cfg_hash_keys), 0) < 0)
		return -errno;
	err = bpf_map__set_max_entries(skel->maps.slots, size.slots);
	err = err ?: bpf_map__set_max_entries(skel->maps.buckets, size.buckets);
	err = err ?: bpf_map__set_max_entries(skel->maps.free_slots, size.lines);
	monitor->cpus = libbpf_num_possible_cpus();
	if (monitor->cpus < 0)
		return monitor->cpus;
	err = err ?: bpf_map__set_max_entries(skel->maps.spares, (__u32)monitor->cpus);
	bpf_program__set_autoload(skel->progs.pm_ingress, config->direction[PM_INGRESS]);
	bpf_program__set_autoload(skel->progs.pm_egress, config->direction[PM_EGRESS]);
	return err;
}

static int load(struct monitor *monitor)
{
	const struct monitor_config *config = monitor->config;
	struct packet_monitor *skel;
	int err;

	skel = monitor->skel = packet_monitor__open();
	if (!skel)
		return log_err(-errno, "cannot open the BPF object");
	err = configure(monitor);
	if (err)
		return log_err(err, "cannot configure the BPF programs");
	err = packet_monitor__load(skel);
	if (err == -ENOMEM)
		return log_err(err, "cannot make room for %u flows (try a smaller --max-flows)",
			       config->max_flows);
	if (err)
		return log_refused(REFUSED_LOAD, err, "cannot load the BPF programs");
	err = flow_table_open(&monitor->table, config->max_flows, skel->rodata->cfg_hash_keys,
			      bpf_map__fd(skel->maps.slots), bpf_map__fd(skel->maps.buckets),
			      bpf_map__fd(skel->maps.free_slots));
	if (err)
		return log_err(err, "cannot map the flow table of %s", monitor->iface.name);
	monitor->untracked = calloc((size_t)monitor->cpus, sizeof(*monitor->untracked));
	if (!monitor->untracked)
		return log_err(-ENOMEM, "cannot watch %s", monitor->iface.name);
	return 0;
}

static int report_iface(int err, const char *name)
{
	if (err == -EPFNOSUPPORT) {
		log_note("cannot attach to %s: its link layer is neither Ethernet nor IP", name);
		return err;
	}
	return log_refused(REFUSED_ATTACH, err, "cannot attach to %s", name);
}

int monitor_open(struct monitor *monitor, const char *name, bool wait,
		 const struct monitor_config *config)
{
	int err;

	monitor->config = config;
	/* First the watch, then the look: what happens in between is not missed. */
	monitor->watch_fd = iface_watch_open();
	if (monitor->watch_fd < 0)
		return log_err(monitor->watch_fd, "cannot watch interfaces");
	err = iface_open(name, &monitor->iface);
	if (err == -ENODEV && wait && strlen(name) < sizeof(monitor->iface.name)) {
		memcpy(monitor->iface.name, name, strlen(name) + 1);
		log_note("there is no %s, waiting for it", name);
		return 0;
	}
	return err ? report_iface(err, name) : load(monitor);
}

static void report_attach(int err, const struct monitor *monitor, const struct tc_link *link)
{
	if (err == -EOPNOTSUPP)
		log_note("cannot attach to %s: %s", monitor->iface.name, tc_link_lacking(link));
	else
		log_refused(REFUSED_ATTACH, err, "cannot attach to %s", monitor->iface.name);
}

int monitor_attach(struct monitor *monitor)
{
	int fds[PM_DIRECTIONS] = { bpf_program__fd(monitor->skel->progs.pm_ingress),
				   bpf_program__fd(monitor->skel->progs.pm_egress) };
	const bool *direction = monitor->config->direction;
	int err;

	for (int dir = 0; dir < PM_DIRECTIONS; dir++) {
		if (!direction[dir])
			continue;
		monitor->links[dir] =
			tc_link_for(programs[dir], monitor->iface.ifindex, monitor->config->tcx);
		err = tc_link_attach(&monitor->links[dir], fds[dir], false);
		if (err) {
			report_attach(err, monitor, &monitor->links[dir]);
			monitor_detach(monitor);
			return err;
		}
	}
	monitor->attached = true;
	log_note("attached to %s (%s%s%s)", monitor->iface.name,
		 direction[PM_INGRESS] ? "ingress" : "",
		 direction[PM_INGRESS] && direction[PM_EGRESS] ? ", " : "",
		 direction[PM_EGRESS] ? "egress" : "");
	tc_link_warn((struct tc_link *[]){ &monitor->links[0], &monitor->links[1] }, PM_DIRECTIONS,
		     monitor->iface.name);
	slot_table_touch(&monitor->table.index, monitor->table.slots,
			 sizeof(*monitor->table.slots));
	return 0;
}

int monitor_detach(struct monitor *monitor)
{
	int err = 0;

	for (int dir = 0; dir < PM_DIRECTIONS; dir++) {
		int failed = tc_link_detach(&monitor->links[dir]);

		if (failed)
			err = log_refused(REFUSED_ATTACH, failed, "cannot detach from %s",
					  monitor->iface.name);
	}
	monitor->attached = false;
	return err;
}

int monitor_keep(struct monitor *monitor, const struct tc_watch *watch)
{
	struct tc_link *links[] = { &monitor->links[0], &monitor->links[1] };

	return tc_watch_links(watch, links, PM_DIRECTIONS, monitor->iface.name, "counted");
}

void monitor_lost(struct monitor *monitor)
{
	for (int dir = 0; dir < PM_DIRECTIONS; dir++)
		tc_link_forget(&monitor->links[dir]);
	monitor->attached = false;
}

int monitor_reattach(struct monitor *monitor)
{
	int err, l2_len = monitor->iface.l2_len;
	char name[IF_NAMESIZE];

	memcpy(name, monitor->iface.name, sizeof(name));
	err = iface_open(name, &monitor->iface);
	if (err == -ENODEV)
		return 0;
	if (err)
		return report_iface(err, name);
	if (!monitor->skel)
		err = load(monitor);
	else if (monitor->iface.l2_len != l2_len)
		err = report_iface(-EPFNOSUPPORT, name);
	return err ?: monitor_attach(monitor);
}

struct scan {
	struct monitor *monitor;
	void (*visit)(void *ctx, const struct flow *flow);
	void *ctx;
};

static void count_flow(void *ctx, const struct flow *flow)
{
	struct scan *scan = ctx;
	struct totals *totals = &scan->monitor->totals[pm_key_direction(flow->key)];

	pm_count_add(&totals->flows, &flow->total);
	totals->flow_count++;
	scan->visit(scan->ctx, flow);
}

static int read_untracked(struct monitor *monitor)
{
	__u32 zero = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(monitor->skel->maps.untracked), &zero,
				monitor->untracked))
		return -errno;
	for (int dir = 0; dir < PM_DIRECTIONS; dir++)
		for (int cpu = 0; cpu < monitor->cpus; cpu++)
			for (int reason = 0; reason < PM_REASONS; reason++)
				pm_count_add(&monitor->totals[dir].reason[reason],
					     &monitor->untracked[cpu].count[dir][reason]);
	return 0;
}

int monitor_snapshot(struct monitor *monitor, __u64 now_ns,
		     void (*visit)(void *ctx, const struct flow *flow), void *ctx)
{
	struct scan scan = { .monitor = monitor, .visit = visit, .ctx = ctx };
	int err;

	memcpy(monitor->before, monitor->totals, sizeof(monitor->before));
	memset(monitor->totals, 0, sizeof(monitor->totals));
	if (!monitor->skel)
		return 0;
	err = read_untracked(monitor);
	if (err)
		return log_err(err, "cannot read the counters of %s", monitor->iface.name);
	flow_table_scan(&monitor->table, now_ns, count_flow, &scan);
	for (int dir = 0; dir < PM_DIRECTIONS; dir++) {
		struct totals *totals = &monitor->totals[dir];

		totals->retired = monitor->table.retired[dir];
		totals->retired_flows = monitor->table.retired_flows[dir];
		for (int reason = 0; reason < PM_REASONS; reason++)
			pm_count_add(&totals->untracked, &totals->reason[reason]);
		pm_count_add(&totals->all, &totals->flows);
		pm_count_add(&totals->all, &totals->retired);
		pm_count_add(&totals->all, &totals->untracked);
		memmove(&monitor->recent[dir][0], &monitor->recent[dir][1],
			sizeof(monitor->recent[dir]) - sizeof(monitor->recent[dir][0]));
		monitor->recent[dir][MONITOR_RECENT - 1] =
			totals->all.bytes - monitor->before[dir].all.bytes;
	}
	return 0;
}

void monitor_close(struct monitor *monitor)
{
	monitor_detach(monitor);
	flow_table_close(&monitor->table);
	packet_monitor__destroy(monitor->skel);
	free(monitor->untracked);
	if (monitor->watch_fd >= 0)
		close(monitor->watch_fd);
	*monitor = MONITOR_INIT;
}
