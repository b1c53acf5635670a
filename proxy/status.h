/* SPDX-License-Identifier: GPL-2.0-only */
/* Whether a datapath works and is looked after: --status, and what --list warns of. */
#ifndef PROXY_STATUS_H
#define PROXY_STATUS_H

#include <linux/types.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "engine.h"

struct status {
	bool found;	  /* there is a datapath */
	bool translates;  /* and both its filters */
	bool owned;	  /* a process looks after it */
	pid_t owner;	  /* that process; 0: none, or in another pid namespace */
	__u64 heartbeat;  /* how long ago, in nanoseconds; ~0: never */
	char reason[160]; /* why it does not work or is not looked after; "": it does and is */
};

/**
 * status_look - find out how the datapath of an interface is
 * @engine: opened if @found, else only initialised
 */
void status_look(struct status *status, const struct engine *engine, bool found);

/**
 * status_print - print one line for each fact, or one JSON object
 * Return: 0 or a negative errno.
 */
int status_print(FILE *out, const struct status *status, const struct engine *engine, bool jsonl);

#endif /* PROXY_STATUS_H */
