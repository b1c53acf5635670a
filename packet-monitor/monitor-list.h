/* SPDX-License-Identifier: GPL-2.0-only */
/* Monitors in the order of ifindex; those of interfaces that are away for good have 0. */
#ifndef MONITOR_LIST_H
#define MONITOR_LIST_H

#include "monitor.h"

enum {
	MONITOR_LIST_NAMES = 10,
	MONITOR_LIST_TEXT_MAX = (MONITOR_LIST_NAMES + 2) * (IF_NAMESIZE + 2),
};

struct monitor_list {
	struct monitor **monitors;
	int count;
	int room;
};

/** monitor_list_find - return the monitor of an interface, or NULL */
struct monitor *monitor_list_find(const struct monitor_list *list, int ifindex);

/** monitor_list_add - insert a monitor, which the list does not own; Return: 0 or -ENOMEM */
int monitor_list_add(struct monitor_list *list, struct monitor *monitor);

/** monitor_list_sort - put monitors in order after their ifindex has changed */
void monitor_list_sort(struct monitor_list *list);

/**
 * monitor_list_attached - name those that are attached: "eth0, eth1 and 290 more"
 * Return: how many are attached.
 */
int monitor_list_attached(const struct monitor_list *list, char text[MONITOR_LIST_TEXT_MAX]);

/**
 * monitor_list_warn_of_left - name interfaces with filters of a killed packet-monitor
 *
 * These count into a table that nobody reads, and take as much time per packet as ours.
 */
void monitor_list_warn_of_left(const struct monitor_list *list);

#endif /* MONITOR_LIST_H */
