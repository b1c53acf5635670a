/* SPDX-License-Identifier: GPL-2.0-only */
/* The interfaces that the command line asks for, as they come and go. */
#ifndef INTERFACES_H
#define INTERFACES_H

#include "loop.h"
#include "monitor-list.h"
#include "name-list.h"

struct interfaces_config {
	struct name_list watched;
	struct name_list excluded;
	bool wait; /* an interface that is named may be missing */
	struct monitor_config monitor;
};

/* INTERFACES_INIT: not open. */
struct interfaces {
	const struct interfaces_config *config; /* the caller's */
	/* The caller's, or NULL: called with @arg for each flow that leaves the table. */
	void (*ended)(void *arg, const struct monitor *monitor, const struct flow *flow,
		      enum flow_reason reason);
	void *arg;
	struct counter counter;
	bool *matched; /* for each name that is watched: whether an interface has it */
	struct monitor_list list;
	struct loop *loop;    /* the caller's */
	struct loop_fd links; /* tells of interfaces that come, change and go */
	struct tc_watch filters;
	__u32 round;   /* counts looks at all interfaces */
	int *left_out; /* interfaces that match a pattern, but cannot be watched */
	int left_out_count;
	int err;	 /* of a visit */
	bool lost;	 /* one has gone since the last look at all */
	int next_look;	 /* the monitor whose filters are to be looked at next */
	__u64 looked_ns; /* when that was done last */
};

#define INTERFACES_INIT ((struct interfaces){ .links.fd = -1, .filters.changes.fd = -1 })

/**
 * interfaces_open - find the interfaces, and load the programs for them
 * @config: has to live as long as @set
 * Failures are reported. Return: 0 or a negative errno; interfaces_close() is right in either case.
 */
int interfaces_open(struct interfaces *set, const struct interfaces_config *config);

/**
 * interfaces_attach - attach to all that are there; from now on watch from @loop
 *
 * From then on those that come are attached, too. The loop ends if one that is named goes down or
 * away, unless that is to be waited for. Return: 0 or a negative errno, reported.
 */
int interfaces_attach(struct interfaces *set, struct loop *loop);

/** interfaces_detach - remove all filters; what was counted stays. Return: 0 or a negative errno.
 */
int interfaces_detach(struct interfaces *set);

/**
 * interfaces_snapshot - read all flows once, and the totals of all interfaces with them
 * @visit: called for each flow, with the interface it is of
 * Return: 0 or a negative errno.
 */
int interfaces_snapshot(struct interfaces *set, __u64 now_ns,
			void (*visit)(void *ctx, const struct monitor *monitor,
				      const struct flow *flow),
			void *ctx);

/**
 * interfaces_forget - let go of interfaces that are gone, and of their flows
 *
 * The snapshot after they went has shown them; nothing may refer to them any more.
 */
void interfaces_forget(struct interfaces *set);

void interfaces_close(struct interfaces *set);

#endif /* INTERFACES_H */
