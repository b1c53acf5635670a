/* SPDX-License-Identifier: GPL-2.0-only */
/* Which mappings cannot work on an interface, and which will not do what they look like. */
#ifndef PROXY_CHECK_H
#define PROXY_CHECK_H

#include "iface.h"
#include "mapping.h"
#include "nexthop.h"

/**
 * check_mappings - refuse mappings that cannot work on @iface
 * @hops: gets a place for each target, looked up
 * Return: 0, or a negative errno with @error set.
 */
int check_mappings(struct nexthops *hops, const struct iface *iface,
		   const struct mapping_list *list, struct mapping_error *error);

enum { CHECK_FOUND_MAX = 1024 };

/* A pass over the mappings in force, and what the last one has found; all zero: none yet. */
struct check_pass {
	bool due;   /* to be begun or gone on with */
	bool again; /* and then once more */
	size_t next;
	size_t said;
	size_t count, known_count;
	__u64 found[CHECK_FOUND_MAX]; /* hashes of warnings */
	__u64 known[CHECK_FOUND_MAX]; /* the same, of the pass before */
};

/**
 * check_start - begin a pass, since mappings, routes or settings of the kernel may have changed
 * @all: say again what was known already
 */
void check_start(struct check_pass *pass, bool all);

/**
 * check_step - say on stderr which of the mappings in force in @plan will not work as they look
 * @most: mappings to look at now; a pass that is not complete goes on with the next call
 */
void check_step(struct check_pass *pass, struct nexthops *hops, const struct iface *iface,
		const struct mapping_list *plan, size_t most);

#endif /* PROXY_CHECK_H */
