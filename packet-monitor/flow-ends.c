// SPDX-License-Identifier: GPL-2.0-only
#include "flow-ends.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "loop.h"

void flow_ends_add(struct flow_ends *list, const char *iface, const struct flow *flow,
		   enum flow_reason reason)
{
	__u64 now_ns = loop_now_ns();
	double now = loop_wall_clock();
	double first = now - (double)(now_ns - flow->first_ns) / 1e9;
	double last = now - (double)flow->idle_ns / 1e9;
	struct flow_end *end;

	if (list->count == list->room && list->room < list->limit) {
		size_t room = list->room ? list->room * 2 : 256;
		struct flow_end *ends = reallocarray(list->ends, room, sizeof(*ends));

		if (ends) {
			list->ends = ends;
			list->room = room;
		}
	}
	if (list->count == list->room) {
		list->lost++;
		return;
	}
	end = &list->ends[list->count++];
	*end = (struct flow_end){ .key = *flow->key,
				  .server = flow->server,
				  .total = flow->total,
				  .interval = flow->interval,
				  .first = first,
				  .last = last,
				  .reason = reason };
	/* The idle time is in tenths of a second: the last packet did not come before the first. */
	if (flow->total.packets == 1 || last < first)
		end->last = first;
	memcpy(end->iface, iface, strnlen(iface, sizeof(end->iface) - 1));
}

void flow_ends_clear(struct flow_ends *list)
{
	if (list->lost)
		log_note("%llu flows have ended without a record: nobody read the reports",
			 list->lost);
	list->count = 0;
	list->lost = 0;
}

void flow_ends_free(struct flow_ends *list)
{
	free(list->ends);
	memset(list, 0, sizeof(*list));
}
