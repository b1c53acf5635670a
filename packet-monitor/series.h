/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counters that outlive the flows behind them: the series of -o prom.
 *
 * A row (a host, a port...) that is among the busiest gets a place. Its series grows for as long as
 * it has that place, whatever becomes of its flows. Rows without a place count together, in one
 * rest per interface, which only grows as well: what a row has counted before it got its place
 * stays there. A series that begins is shown as 0 first, because Prometheus takes no notice of the
 * first value that it sees. A row that gets a place again goes on with its former value.
 */
#ifndef SERIES_H
#define SERIES_H

#include "view.h"

/* A row that has a series of its own. */
struct series_place {
	const struct monitor *monitor; /* NULL: none */
	struct pm_key key;
	struct pm_count count[WAYS];
	struct pm_count since[WAYS]; /* since the value that was shown last */
	__u64 weight; /* what it counted of late: half of it is forgotten each time */
	bool fresh;   /* @count is without @since, which the next report shows */
};

/* What an interface has counted in no series. */
struct series_rest {
	const struct monitor *monitor;
	struct pm_count other[WAYS];  /* in rows without a place */
	struct pm_count hidden[WAYS]; /* in former series, and by those that are fresh */
};

/* Series that share places. */
struct series_set {
	struct view_config config;
	struct view gathered; /* rows since the last report */
	struct series_place *places;
	size_t count, room;
	struct series_place *former; /* those that lost their places last, in a ring */
	size_t former_next;
	struct series_rest *rests; /* ordered by monitor */
	size_t rest_count;
	bool begun;  /* there has been a report */
	bool shown;  /* the last report has been shown, and nothing been taken in since */
	bool failed; /* out of memory: counts are missing */
};

/* All zero: none. */
struct series {
	enum group group;
	struct series_set sets[PM_DIRECTIONS];
	int count;    /* of sets: one for each direction, if a series has one direction only */
	bool reading; /* from series_begin() to series_end() */
};

/**
 * series_open - begin without any series
 * @group: what a series stands for; GROUP_INTERFACE: there are none
 * @sort: SORT_PACKETS or SORT_PPS: packets make a row busy; else bytes
 * @limit: places in each set; 0: as many as there can be
 * Return: 0 or -ENOMEM; series_free() is right in either case.
 */
int series_open(struct series *series, enum group group, enum sort sort, size_t limit);

/** series_add - count what @flow, which a report reads, has counted since the last report */
void series_add(struct series *series, const struct monitor *monitor, const struct flow *flow);

/** series_add_ended - the same for a flow that leaves the table between reports */
void series_add_ended(struct series *series, const struct monitor *monitor,
		      const struct flow *flow);

/**
 * series_begin - begin a report: take in the flows that have ended
 * To be called before interfaces_forget(): also lets go of all that refers to what that frees.
 */
void series_begin(struct series *series);

/**
 * series_end - take in the flows that the report has read, and give the busiest rows places
 * Return: false if counts are missing, for lack of memory.
 */
bool series_end(struct series *series);

/** series_find_rest - return what @monitor has counted in no series of @set; all zero: nothing yet
 */
struct series_rest series_find_rest(const struct series_set *set, const struct monitor *monitor);

void series_free(struct series *series);

#endif /* SERIES_H */
