// SPDX-License-Identifier: GPL-2.0-only
#include "monitor-list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

/* Where an interface is in the list, or would be. */
static int monitor_list_place(const struct monitor_list *list, int ifindex)
{
	int low = 0, high = list->count;

	while (low < high) {
		int middle = (low + high) / 2;

		if (list->monitors[middle]->iface.ifindex < ifindex)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct monitor *monitor_list_find(const struct monitor_list *list, int ifindex)
{
	int at = monitor_list_place(list, ifindex);

	if (at == list->count || list->monitors[at]->iface.ifindex != ifindex)
		return NULL;
	return list->monitors[at];
}

int monitor_list_add(struct monitor_list *list, struct monitor *monitor)
{
	int at = monitor_list_place(list, monitor->iface.ifindex);

	if (list->count == list->room) {
		int room = list->room ? list->room * 2 : 16;
		struct monitor **monitors =
			reallocarray(list->monitors, (size_t)room, sizeof(struct monitor *));

		if (!monitors)
			return -ENOMEM;
		list->monitors = monitors;
		list->room = room;
	}
	memmove(&list->monitors[at + 1], &list->monitors[at],
		(size_t)(list->count - at) * sizeof(struct monitor *));
	list->monitors[at] = monitor;
	list->count++;
	return 0;
}

static int monitor_list_compare(const void *a, const void *b)
{
	const struct monitor *const *first = a, *const *second = b;
	int x = (*first)->iface.ifindex, y = (*second)->iface.ifindex;

	return (x > y) - (x < y);
}

void monitor_list_sort(struct monitor_list *list)
{
	qsort(list->monitors, (size_t)list->count, sizeof(struct monitor *), monitor_list_compare);
}

int monitor_list_attached(const struct monitor_list *list, char text[MONITOR_LIST_TEXT_MAX])
{
	size_t len = 0;
	int count = 0;

	text[0] = '\0';
	for (int i = 0; i < list->count; i++) {
		if (!list->monitors[i]->attached || ++count > MONITOR_LIST_NAMES)
			continue;
		len += (size_t)snprintf(text + len, MONITOR_LIST_TEXT_MAX - len, "%s%s",
					count > 1 ? ", " : "", list->monitors[i]->iface.name);
	}
	if (count > MONITOR_LIST_NAMES)
		snprintf(text + len, MONITOR_LIST_TEXT_MAX - len, " and %d more",
			 count - MONITOR_LIST_NAMES);
	return count;
}

void monitor_list_warn_of_left(const struct monitor_list *list)
{
	const char *first = NULL;
	int more = -1;

	for (int i = 0; i < list->count; i++) {
		const struct monitor *monitor = list->monitors[i];

		if (!monitor->attached || !monitor_left_behind(monitor))
			continue;
		first = first ?: monitor->iface.name;
		more++;
	}
	if (more > 0)
		log_note("warning: a killed packet-monitor has left filters on %s and %d more (end "
			 "this one, then run remove-filters-and-qdisc.sh)",
			 first, more);
	else if (first)
		log_note("warning: a killed packet-monitor has left filters on %s (end this one, "
			 "then run remove-filters-and-qdisc.sh %s)",
			 first, first);
}
