/* SPDX-License-Identifier: GPL-2.0-only */
/* Which rows a report shows, and in which order: group, select the first N, sort. */
#ifndef VIEW_H
#define VIEW_H

#include <stddef.h>

#include "monitor.h"

enum sort { SORT_BYTES, SORT_PACKETS, SORT_BPS, SORT_PPS, SORT_SRC, SORT_DST, SORT_AGE, SORT_KEYS };

/** sort_names - as the command line has them, by enum sort */
extern const char *const sort_names[SORT_KEYS];

enum group {
	GROUP_NONE,
	GROUP_BIFLOW,
	GROUP_HOST,
	GROUP_PORT,
	GROUP_PROTOCOL,
	GROUP_INTERFACE,
	GROUPS,			/* those above can be chosen */
	GROUP_SERVICE = GROUPS, /* of -o prom: flows without the port of the client */
};

/* Both ways of a row: [0] as the key says, [1] back. */
enum way { WAY_FORTH, WAY_BACK, WAYS };

struct row {
	const struct monitor *monitor;
	/*
	 * A flow's key, or what the rows of a group have in common: for GROUP_BIFLOW a key without
	 * a direction; for GROUP_HOST the host as the source; for GROUP_PORT the port as the
	 * destination's; for GROUP_PROTOCOL protocol and family; for GROUP_INTERFACE nothing; for
	 * GROUP_SERVICE all but the port of the client, and the type of an ICMP message.
	 */
	struct pm_key key;
	/*
	 * GROUP_NONE uses [WAY_FORTH] only. The ways are: for GROUP_HOST, sent and received by it;
	 * for GROUP_PORT, to and from it; for the groups below it, in and out.
	 */
	struct pm_count total[WAYS];
	struct pm_count interval[WAYS];
	__u64 age_ns;
	__u64 flows;	    /* that make up the row */
	enum server server; /* GROUP_NONE and GROUP_BIFLOW */
};

struct view_config {
	enum sort sort;
	enum group group;
	size_t limit; /* rows; 0: all */
	bool reverse; /* the last rows first */
	bool changed; /* only flows that have moved since the report before */
	bool hidden[PM_DIRECTIONS];
	/* Whether to show a row; NULL: all. */
	bool (*matches)(void *arg, const struct row *row);
	void *arg;
};

/* All zero: empty. */
struct view {
	struct view_config config;
	struct row *rows;
	size_t count;
	size_t room;
	size_t found;	  /* rows there would be without a limit */
	__u32 *hash;	  /* row + 1 by key, for groups; open addressing */
	size_t hash_size; /* a power of two */
	bool failed;	  /* out of memory: rows are missing */
};

/** view_begin - forget the rows of the last report */
void view_begin(struct view *view, const struct view_config *config);

/** view_add - take one flow into the report */
void view_add(struct view *view, const struct monitor *monitor, const struct flow *flow);

/**
 * view_find - return the row of @monitor with @key, or NULL
 * Only for groups, and before view_end().
 */
struct row *view_find(const struct view *view, const struct monitor *monitor,
		      const struct pm_key *key);

/** view_end - afterwards @rows holds @count rows in the order in which they are to be shown */
void view_end(struct view *view);

void view_free(struct view *view);

/** row_compare - less than 0 if @a is to be shown before @b; 0 only for equal keys */
int row_compare(const struct row *a, const struct row *b, enum sort sort);

#endif /* VIEW_H */
