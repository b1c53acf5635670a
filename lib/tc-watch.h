/* SPDX-License-Identifier: GPL-2.0-only */
/* Notice that somebody removes our programs from their hooks, or puts others in front of them. */
#ifndef TC_WATCH_H
#define TC_WATCH_H

#include <linux/types.h>

#include "loop.h"
#include "tc-link.h"

/*
 * The kernel tells of changes of clsact at once. Of tcx it tells nothing: so there is a look each
 * second, too.
 */
struct tc_watch {
	struct loop *loop; /* the caller's */
	struct loop_fd changes;
	struct loop_timer timer;
	void (*changed)(void *arg, int ifindex);
	void (*check)(void *arg);
	void *arg;
	__u64 checked_ns; /* when @check was last called */
};

#define TC_WATCH_INIT ((struct tc_watch){ .changes.fd = -1 })

/**
 * tc_watch_open - from now on, call @check with @arg when filters may have changed
 * @changed: called before that for each change, with the interface, or 0 if some changes are not
 *	     known; NULL: not wanted
 * @check: calls tc_watch_links() for the links that may have been changed
 * Return: 0 or a negative errno; tc_watch_close() is right in either case.
 */
int tc_watch_open(struct tc_watch *watch, struct loop *loop,
		  void (*changed)(void *arg, int ifindex), void (*check)(void *arg), void *arg);

void tc_watch_close(struct tc_watch *watch);

/**
 * tc_watch_links - attach again what somebody has removed, and say so
 * @links: @count of them on one interface; those that are not attached do not count
 * @done: what the programs do with packets, as a participle: "counted"
 *
 * Also warns of programs and filters that have come in front, see tc_link_warn().
 * Return: 0, also if the interface is gone; a negative errno, said on stderr already.
 */
int tc_watch_links(const struct tc_watch *watch, struct tc_link *const *links, int count,
		   const char *ifname, const char *done);

#endif /* TC_WATCH_H */
