/* SPDX-License-Identifier: GPL-2.0-only */
/* One watched interface: its filters and what was counted there. */
#ifndef MONITOR_H
#define MONITOR_H

#include "counter.h"
#include "tc-link.h"
#include "tc-watch.h"

/* What passed one hook since the start. */
struct totals {
	struct pm_count all; /* flows + retired + untracked, in one snapshot */
	struct pm_count flows;
	struct pm_count retired;
	struct pm_count untracked;
	struct pm_count partial;		    /* in flows by a part of their headers */
	struct pm_count reason[PM_REASONS];	    /* the parts of @untracked */
	struct pm_count partial_reason[PM_REASONS]; /* and of @partial */
	__u64 flow_count;
	__u64 retired_flows;
};

/** totals_matched - what the filter did not keep out: all if there is none */
static inline struct pm_count totals_matched(const struct totals *totals)
{
	const struct pm_count *filtered = &totals->reason[PM_FILTERED];

	return (struct pm_count){ totals->all.packets - filtered->packets,
				  totals->all.bytes - filtered->bytes };
}

struct monitor_config {
	struct counter_config counter;
	bool tcx; /* attach by tcx, not by clsact */
};

enum { MONITOR_RECENT = 20 };

struct monitor {
	struct iface iface;
	bool attached;
	bool gone;			     /* from this network namespace */
	bool reported;			     /* since it is gone */
	bool named;			     /* by the command line, not by a pattern */
	bool awaited;			     /* while it is gone */
	bool unsure;			     /* its filters may have been changed */
	__u32 round;			     /* in which it was seen: see interfaces.c */
	int name;			     /* of the command line: which one has led to it */
	const struct monitor_config *config; /* the caller's */
	struct counter *counter;	     /* the caller's */
	struct tc_link links[PM_DIRECTIONS];
	/* Counted at its hooks by flows that have left the table, and before it went and came. */
	struct pm_count retired[PM_DIRECTIONS];
	__u64 retired_flows[PM_DIRECTIONS];
	struct pm_untracked past;
	struct totals totals[PM_DIRECTIONS]; /* of the last interfaces_snapshot() */
	struct totals before[PM_DIRECTIONS]; /* of the one before that */
	__u64 recent[PM_DIRECTIONS]
		    [MONITOR_RECENT]; /* bytes between snapshots, the last one last */
};

/**
 * monitor_prepare - make room for what is counted; call before monitor_attach()
 * Return: 0 or a negative errno, reported.
 */
int monitor_prepare(struct monitor *monitor);

/**
 * monitor_attach - put the filters on the interface; from here on packets are counted
 * Return: 0, or a negative errno after reporting it: then no filter of ours remains.
 */
int monitor_attach(struct monitor *monitor);

/** monitor_detach - remove the filters; what was counted stays. Return: 0 or a negative errno. */
int monitor_detach(struct monitor *monitor);

/** monitor_warn - say so if others see packets first, see tc_link_warn() */
void monitor_warn(struct monitor *monitor);

/** monitor_left_behind - tell whether a packet-monitor that was killed has left filters there */
bool monitor_left_behind(const struct monitor *monitor);

/**
 * monitor_keep - attach again the filters that somebody has removed, and say so
 * Return: 0 or a negative errno, reported.
 */
int monitor_keep(struct monitor *monitor, const struct tc_watch *watch);

/** monitor_lost - the interface is gone, and our filters with it; what was counted stays */
void monitor_lost(struct monitor *monitor);

/** monitor_refused - say why @iface cannot be watched. Return: @err */
int monitor_refused(const struct iface *iface, int err);

/**
 * monitor_begin - begin a snapshot of the totals with the packets that have no flow
 * Return: 0 or a negative errno.
 */
int monitor_begin(struct monitor *monitor);

/** monitor_end - end the snapshot once all flows have been added to @totals */
void monitor_end(struct monitor *monitor);

#endif /* MONITOR_H */
