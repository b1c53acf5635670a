/* SPDX-License-Identifier: GPL-2.0-only */
/* The loaded programs and their maps: one flow table for all interfaces. */
#ifndef COUNTER_H
#define COUNTER_H

#include "filter.h"
#include "flow-table.h"
#include "iface.h"

struct packet_monitor;

struct counter_config {
	bool direction[PM_DIRECTIONS];
	__u32 max_flows;
	bool inner;  /* count by the innermost flow */
	bool shared; /* several interfaces use the table */
	bool first;  /* note when each flow began */
	struct filter filter;
};

enum { COUNTER_PROGRAMS = 2 * PM_DIRECTIONS }; /* with and without a link layer */

/* All zero: not open. */
struct counter {
	struct packet_monitor *skel;
	struct flow_table table;
	struct pm_untracked *room; /* for the kernel's answer: one for each possible CPU */
	int cpus;
	int holds[COUNTER_PROGRAMS]; /* of tc_link_hold(), where greater than 0 */
};

/**
 * counter_open - load the programs and map the flow table
 * @only: the one interface to watch, or NULL: programs for every kind of interface are loaded
 * Failures are reported. Return: 0 or a negative errno; counter_close() is right in either case.
 */
int counter_open(struct counter *counter, const struct counter_config *config,
		 const struct iface *only);

void counter_close(struct counter *counter);

/** counter_program - return the program that counts at this hook of @iface: a file descriptor */
int counter_program(const struct counter *counter, const struct iface *iface,
		    enum pm_direction dir);

/** counter_key - return what keys of flows of @iface have as their interface */
__u32 counter_key(const struct counter *counter, const struct iface *iface);

/**
 * counter_add - make room for packets of @iface without a flow; call before its programs run
 * Return: 0 or a negative errno.
 */
int counter_add(const struct counter *counter, const struct iface *iface);

/** counter_remove - undo counter_add() once no program runs on @iface any more */
void counter_remove(const struct counter *counter, const struct iface *iface);

/**
 * counter_untracked - add up the packets of @iface under a reason, of all CPUs
 * @sum: they are added to it
 * Return: 0 or a negative errno.
 */
int counter_untracked(struct counter *counter, const struct iface *iface, struct pm_untracked *sum);

#endif /* COUNTER_H */
