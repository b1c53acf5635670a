// SPDX-License-Identifier: GPL-2.0-only
#include "monitor.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "refusal.h"

static const enum program monitor_programs[2][PM_DIRECTIONS] = {
	{ PROGRAM_PM3_INGRESS, PROGRAM_PM3_EGRESS }, /* without a link layer */
	{ PROGRAM_PM_INGRESS, PROGRAM_PM_EGRESS },
};

int monitor_refused(const struct iface *iface, int err)
{
	if (err == -EPFNOSUPPORT) {
		log_note("cannot attach to %s: its link layer is neither Ethernet nor IP",
			 iface->name);
		return err;
	}
	return log_refused(REFUSED_ATTACH, err, "cannot attach to %s", iface->name);
}

static int monitor_attach_hook(struct monitor *monitor, enum pm_direction dir)
{
	struct tc_link *link = &monitor->links[dir];
	const struct iface *iface = &monitor->iface;
	int err;

	*link = tc_link_for(monitor_programs[iface->l2_len != 0][dir], iface->ifindex,
			    monitor->config->tcx);
	err = tc_link_attach(link, counter_program(monitor->counter, iface, dir), false);
	if (err == -EOPNOTSUPP)
		log_note("cannot attach to %s: %s", iface->name, tc_link_lacking(link));
	else if (err && (err != -ENODEV || monitor->named)) /* else it came and went */
		monitor_refused(iface, err);
	return err;
}

int monitor_prepare(struct monitor *monitor)
{
	int err = counter_add(monitor->counter, &monitor->iface);

	return err ? log_err(err, "cannot watch %s", monitor->iface.name) : 0;
}

int monitor_attach(struct monitor *monitor)
{
	const bool *direction = monitor->config->counter.direction;
	int err = 0;

	for (int dir = 0; dir < PM_DIRECTIONS && !err; dir++)
		if (direction[dir])
			err = monitor_attach_hook(monitor, dir);
	monitor->attached = !err;
	if (err)
		monitor_detach(monitor);
	return err;
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

void monitor_warn(struct monitor *monitor)
{
	struct tc_link *links[] = { &monitor->links[0], &monitor->links[1] };

	tc_link_warn(links, PM_DIRECTIONS, monitor->iface.name);
}

bool monitor_left_behind(const struct monitor *monitor)
{
	const bool *direction = monitor->config->counter.direction;

	for (int dir = 0; dir < PM_DIRECTIONS; dir++)
		if (direction[dir] && tc_link_left_behind(&monitor->links[dir]))
			return true;
	return false;
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
	monitor->gone = true;
	monitor->reported = false;
}

int monitor_begin(struct monitor *monitor)
{
	struct pm_untracked now = monitor->past;
	int err = 0;

	memcpy(monitor->before, monitor->totals, sizeof(monitor->before));
	memset(monitor->totals, 0, sizeof(monitor->totals));
	if (monitor->iface.ifindex)
		err = counter_untracked(monitor->counter, &monitor->iface, &now);
	for (int dir = 0; dir < PM_DIRECTIONS; dir++) {
		struct totals *totals = &monitor->totals[dir];

		memcpy(totals->reason, now.count[dir], sizeof(now.count[dir]));
		memcpy(totals->partial_reason, now.partial[dir], sizeof(now.partial[dir]));
	}
	return err ? log_err(err, "cannot read the counters of %s", monitor->iface.name) : 0;
}

void monitor_end(struct monitor *monitor)
{
	for (int dir = 0; dir < PM_DIRECTIONS; dir++) {
		struct totals *totals = &monitor->totals[dir];
		__u64 *recent = monitor->recent[dir];

		totals->retired = monitor->retired[dir];
		totals->retired_flows = monitor->retired_flows[dir];
		for (int reason = 0; reason < PM_REASONS; reason++) {
			pm_count_add(&totals->untracked, &totals->reason[reason]);
			pm_count_add(&totals->partial, &totals->partial_reason[reason]);
		}
		pm_count_add(&totals->all, &totals->flows);
		pm_count_add(&totals->all, &totals->retired);
		pm_count_add(&totals->all, &totals->untracked);
		memmove(&recent[0], &recent[1], (MONITOR_RECENT - 1) * sizeof(*recent));
		recent[MONITOR_RECENT - 1] =
			totals_matched(totals).bytes - totals_matched(&monitor->before[dir]).bytes;
	}
}
