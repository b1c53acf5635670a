/* SPDX-License-Identifier: GPL-2.0-only */
/* One watched interface: its programs, their filters and its flow table. */
#ifndef MONITOR_H
#define MONITOR_H

#include "flow-table.h"
#include "iface.h"
#include "tc-link.h"
#include "tc-watch.h"

struct packet_monitor;

/* What passed one hook since the start. */
struct totals {
	struct pm_count all; /* flows + retired + untracked, in one snapshot */
	struct pm_count flows;
	struct pm_count retired;
	struct pm_count untracked;
	struct pm_count reason[PM_REASONS]; /* the parts of @untracked */
	__u64 flow_count;
	__u64 retired_flows;
};

struct monitor_config {
	bool direction[PM_DIRECTIONS];
	__u32 max_flows;
	bool tcx; /* attach by tcx, not by clsact */
	struct pm_filter filter;
};

enum { MONITOR_RECENT = 20 };

/* MONITOR_INIT: not open. */
struct monitor {
	struct iface iface;
	int watch_fd; /* for poll(): something happened to the interface */
	bool attached;
	const struct monitor_config *config; /* the caller's */
	struct packet_monitor *skel;	     /* NULL: the interface has not been seen yet */
	struct tc_link links[PM_DIRECTIONS];
	struct flow_table table;
	struct pm_untracked *untracked; /* one per possible CPU: room for the kernel's answer */
	int cpus;
	struct totals totals[PM_DIRECTIONS]; /* of the last monitor_snapshot() */
	struct totals before[PM_DIRECTIONS]; /* of the one before that */
	__u64 recent[PM_DIRECTIONS]
		    [MONITOR_RECENT]; /* bytes between snapshots, the last one last */
};

#define MONITOR_INIT ((struct monitor){ .watch_fd = -1 })

/**
 * monitor_open - load the programs and prepare the flow table for the interface @name
 * @wait: it is no error if the interface does not exist yet
 * @config: has to live as long as @monitor
 * Failures are reported. Return: 0 or a negative errno; monitor_close() is right in either case.
 */
int monitor_open(struct monitor *monitor, const char *name, bool wait,
		 const struct monitor_config *config);

/**
 * monitor_attach - put the filters on the interface; from here on packets are counted
 * Return: 0, or a negative errno after reporting it: then no filter of ours remains.
 */
int monitor_attach(struct monitor *monitor);

/** monitor_detach - remove the filters; what was counted stays. Return: 0 or a negative errno. */
int monitor_detach(struct monitor *monitor);

/**
 * monitor_keep - attach again the filters that somebody has removed, and say so
 * Return: 0 or a negative errno, reported.
 */
int monitor_keep(struct monitor *monitor, const struct tc_watch *watch);

/** monitor_lost - the interface is gone, and our filters with it; what was counted stays */
void monitor_lost(struct monitor *monitor);

/**
 * monitor_reattach - look for an interface that is away, and go on counting if it is back
 * Return: 0 whether it is back or not; a negative errno, reported, if it cannot be monitored.
 */
int monitor_reattach(struct monitor *monitor);

/**
 * monitor_snapshot - read all flows once, and the totals with them
 * @visit: called for each flow
 * Return: 0 or a negative errno.
 */
int monitor_snapshot(struct monitor *monitor, __u64 now_ns,
		     void (*visit)(void *ctx, const struct flow *flow), void *ctx);

void monitor_close(struct monitor *monitor);

#endif /* MONITOR_H */
