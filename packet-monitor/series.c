// SPDX-License-Identifier: GPL-2.0-only
#include "series.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	SERIES_MAX = 65536,	 /* places */
	SERIES_FORMER = 4096,	 /* a series that returns among these goes on where it was */
	SERIES_GATHERED = 65536, /* rows between two reports */
	SERIES_FRACTION = 8,	 /* of the places may change hands in one report, or one of them */
	SERIES_STRONGER = 2,	 /* than the weight of the row that loses its place */
};

static int series_open_set(struct series_set *set, enum group group, enum sort sort, size_t limit)
{
	*set = (struct series_set){ .config = { .group = group, .changed = true } };
	set->config.sort = sort == SORT_PACKETS || sort == SORT_PPS ? SORT_PPS : SORT_BPS;
	set->room = limit && limit < SERIES_MAX ? limit : SERIES_MAX;
	set->places = calloc(set->room, sizeof(*set->places));
	set->former = calloc(SERIES_FORMER, sizeof(*set->former));
	if (!set->places || !set->former)
		return -ENOMEM;
	view_begin(&set->gathered, &set->config);
	return 0;
}

static void series_free_set(struct series_set *set)
{
	view_free(&set->gathered);
	free(set->places);
	free(set->former);
	free(set->rests);
}

/* Where the rest of @monitor is, or would be. */
static size_t series_rest_place(const struct series_set *set, const struct monitor *monitor)
{
	size_t low = 0, high = set->rest_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (set->rests[middle].monitor < monitor)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct series_rest series_find_rest(const struct series_set *set, const struct monitor *monitor)
{
	size_t at = series_rest_place(set, monitor);

	if (at < set->rest_count && set->rests[at].monitor == monitor)
		return set->rests[at];
	return (struct series_rest){ .monitor = monitor };
}

/* The rest of @monitor, made if there is none yet; NULL: no memory. */
static struct series_rest *series_rest_of(struct series_set *set, const struct monitor *monitor)
{
	size_t at = series_rest_place(set, monitor);
	struct series_rest *rests;

	if (at < set->rest_count && set->rests[at].monitor == monitor)
		return &set->rests[at];
	rests = reallocarray(set->rests, set->rest_count + 1, sizeof(*rests));
	if (!rests) {
		set->failed = true;
		return NULL;
	}
	set->rests = rests;
	memmove(&rests[at + 1], &rests[at], (set->rest_count++ - at) * sizeof(*rests));
	rests[at] = (struct series_rest){ .monitor = monitor };
	return &rests[at];
}

static void series_move(struct pm_count from[WAYS], struct pm_count to[WAYS],
			const struct pm_count count[WAYS])
{
	for (int way = 0; way < WAYS; way++) {
		from[way].packets -= count[way].packets;
		from[way].bytes -= count[way].bytes;
		pm_count_add(&to[way], &count[way]);
	}
}

static __u64 series_weigh(const struct series_set *set, const struct pm_count count[WAYS])
{
	return set->config.sort == SORT_PPS ? count[0].packets + count[1].packets
					    : count[0].bytes + count[1].bytes;
}

/* After a report: the series that began with it go on with what they have counted meanwhile. */
static void series_continue(struct series_set *set)
{
	for (size_t i = 0; i < set->count; i++) {
		struct series_place *place = &set->places[i];
		struct series_rest *rest = series_rest_of(set, place->monitor);

		if (place->fresh && rest)
			series_move(rest->hidden, place->count, place->since);
		else
			memset(place->since, 0, sizeof(place->since));
		place->fresh = false;
		place->weight /= 2;
	}
	set->shown = false;
}

/* Count a row of what has been gathered where it has a place; it is in the rest by now. */
static void series_settle_place(struct series_set *set, struct series_place *place)
{
	struct row *row = view_find(&set->gathered, place->monitor, &place->key);
	struct series_rest *rest = row ? series_rest_of(set, place->monitor) : NULL;

	if (!rest)
		return;
	series_move(rest->other, place->count, row->interval);
	for (int way = 0; way < WAYS; way++)
		pm_count_add(&place->since[way], &row->interval[way]);
	place->weight += series_weigh(set, row->interval);
	row->flows = 0; /* see series_has_no_place() */
}

/* Count what has been gathered. */
static void series_settle(struct series_set *set)
{
	const struct view *view = &set->gathered;

	if (set->shown)
		series_continue(set);
	for (size_t i = 0; i < view->count; i++) {
		struct series_rest *rest = series_rest_of(set, view->rows[i].monitor);

		for (int way = 0; way < WAYS && rest; way++)
			pm_count_add(&rest->other[way], &view->rows[i].interval[way]);
	}
	for (size_t i = 0; i < set->count; i++)
		series_settle_place(set, &set->places[i]);
	set->failed |= view->failed;
}

static void series_clear(struct series_set *set)
{
	series_settle(set);
	view_begin(&set->gathered, &set->config);
}

static bool series_is_leaving(const struct monitor *monitor)
{
	return monitor && monitor->gone && monitor->reported && !monitor->awaited;
}

/* Let go of interfaces that are gone. */
static void series_forget(struct series_set *set)
{
	size_t kept = 0;

	for (size_t i = 0; i < set->count; i++)
		if (!series_is_leaving(set->places[i].monitor))
			set->places[kept++] = set->places[i];
	set->count = kept;
	for (size_t i = 0; i < SERIES_FORMER; i++)
		if (series_is_leaving(set->former[i].monitor))
			set->former[i].monitor = NULL;
	kept = 0;
	for (size_t i = 0; i < set->rest_count; i++)
		if (!series_is_leaving(set->rests[i].monitor))
			set->rests[kept++] = set->rests[i];
	set->rest_count = kept;
}

static void series_begin_set(struct series_set *set)
{
	series_clear(set);
	series_forget(set);
}

/* --- who gets a place --- */

static bool series_has_no_place(void *arg, const struct row *row)
{
	(void)arg;
	return row->flows;
}

static int series_weakest_first(const void *a, const void *b)
{
	const struct series_place *x = a, *y = b;

	return (x->weight > y->weight) - (x->weight < y->weight);
}

/* What the series of a row had counted before it lost its place. */
static void series_recall(struct series_set *set, struct series_rest *rest,
			  struct series_place *place)
{
	for (size_t i = 0; i < SERIES_FORMER; i++) {
		struct series_place *former = &set->former[i];

		if (former->monitor != place->monitor ||
		    memcmp(&former->key, &place->key, sizeof(place->key)) != 0)
			continue;
		series_move(rest->hidden, place->count, former->count);
		former->monitor = NULL;
		return;
	}
}

/* A series ends: what it has counted since it was shown last is in no value of it. */
static void series_evict(struct series_set *set, struct series_place *place)
{
	struct series_rest *rest = series_rest_of(set, place->monitor);

	if (rest) {
		series_move(place->count, rest->other, place->since);
		for (int way = 0; way < WAYS; way++)
			pm_count_add(&rest->hidden[way], &place->count[way]);
	}
	set->former[set->former_next] = *place;
	set->former_next = (set->former_next + 1) % SERIES_FORMER;
}

/*
 * A series begins. The first report shows what it has counted, as it does for all others. Later
 * ones show the former value, or 0, and what it has counted in this interval with the next report.
 */
static void series_settle_in(struct series_set *set, struct series_place *place,
			     const struct row *row)
{
	struct series_rest *rest = series_rest_of(set, row->monitor);

	*place = (struct series_place){ .monitor = row->monitor,
					.key = row->key,
					.weight = series_weigh(set, row->interval) };
	if (!rest)
		return;
	series_recall(set, rest, place);
	series_move(rest->other, set->begun ? rest->hidden : place->count, row->interval);
	memcpy(place->since, row->interval, sizeof(place->since));
	place->fresh = set->begun;
}

/* Give rows, the busiest first, the places that are free, then those of much weaker ones. */
static void series_choose(struct series_set *set, const struct row *rows, size_t count)
{
	size_t free_places = set->room - set->count, weakest = 0;

	for (size_t i = 0; i < count && i < free_places; i++)
		series_settle_in(set, &set->places[set->count++], &rows[i]);
	if (count <= free_places)
		return;
	qsort(set->places, set->count, sizeof(*set->places), series_weakest_first);
	for (size_t i = free_places; i < count; i++) {
		struct series_place *place = &set->places[weakest++];

		if (series_weigh(set, rows[i].interval) / SERIES_STRONGER <= place->weight)
			return;
		series_evict(set, place);
		series_settle_in(set, place, &rows[i]);
	}
}

static void series_end_set(struct series_set *set)
{
	struct view *view = &set->gathered;

	series_settle(set);
	view->config.limit = set->room - set->count + (set->room / SERIES_FRACTION ?: 1);
	view->config.matches = series_has_no_place;
	view_end(view);
	series_choose(set, view->rows, view->count);
	view_begin(view, &set->config);
	set->begun = set->shown = true;
}

/* --- all sets --- */

int series_open(struct series *series, enum group group, enum sort sort, size_t limit)
{
	int err = 0;

	*series = (struct series){ .group = group };
	if (group == GROUP_INTERFACE)
		return 0;
	series->count = group == GROUP_SERVICE ? PM_DIRECTIONS : 1;
	for (int i = 0; i < series->count; i++)
		err = err ?: series_open_set(&series->sets[i], group, sort, limit);
	return err;
}

static struct series_set *series_set_of(struct series *series, const struct flow *flow)
{
	return &series->sets[series->count > 1 ? pm_key_direction(flow->key) : 0];
}

void series_add(struct series *series, const struct monitor *monitor, const struct flow *flow)
{
	if (series->count)
		view_add(&series_set_of(series, flow)->gathered, monitor, flow);
}

void series_add_ended(struct series *series, const struct monitor *monitor, const struct flow *flow)
{
	struct series_set *set = series_set_of(series, flow);

	/* Only the flows of interfaces that are forgotten: the last report has shown all of them.
	 */
	if (!series->count || series->reading)
		return;
	view_add(&set->gathered, monitor, flow);
	if (set->gathered.count >= SERIES_GATHERED)
		series_clear(set);
}

void series_begin(struct series *series)
{
	for (int i = 0; i < series->count; i++)
		series_begin_set(&series->sets[i]);
	series->reading = true;
}

bool series_end(struct series *series)
{
	bool failed = false;

	for (int i = 0; i < series->count; i++) {
		series_end_set(&series->sets[i]);
		failed |= series->sets[i].failed;
	}
	series->reading = false;
	return !failed;
}

void series_free(struct series *series)
{
	for (int i = 0; i < series->count; i++)
		series_free_set(&series->sets[i]);
	memset(series, 0, sizeof(*series));
}
