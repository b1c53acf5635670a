/* SPDX-License-Identifier: GPL-2.0-only */
/* Flows that have left the table, until they are reported (--ends). */
#ifndef FLOW_ENDS_H
#define FLOW_ENDS_H

#include <net/if.h>

#include "flow-table.h"

struct flow_end {
	char iface[IF_NAMESIZE]; /* the interface may be gone when this is printed */
	struct pm_key key;
	enum server server;
	struct pm_count total;
	struct pm_count interval; /* that no report has shown */
	double first;		  /* CLOCK_REALTIME, seconds */
	double last;		  /* when the tool last saw that it had moved; @first: one packet */
	enum flow_reason reason;
};

/* All zero: none. */
struct flow_ends {
	struct flow_end *ends;
	size_t count, room;
	size_t limit; /* of @count: while nobody reads the reports */
	__u64 lost;   /* beyond that */
};

/** flow_ends_add - note that @flow of interface @iface has ended now */
void flow_ends_add(struct flow_ends *list, const char *iface, const struct flow *flow,
		   enum flow_reason reason);

/** flow_ends_clear - forget those that have been reported */
void flow_ends_clear(struct flow_ends *list);

void flow_ends_free(struct flow_ends *list);

#endif /* FLOW_ENDS_H */
