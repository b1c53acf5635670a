// SPDX-License-Identifier: GPL-2.0-only
#include "tc-watch.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "netlink.h"
#include "number.h"

/* However fast filters of others come and go. */
#define PAUSE_NS (NSEC_PER_SEC / 10)

static void tc_watch_look(void *arg)
{
	struct tc_watch *watch = arg;

	watch->check(watch->arg);
	watch->checked_ns = loop_now_ns();
	loop_set(watch->loop, &watch->timer, watch->checked_ns + NSEC_PER_SEC);
}

/* All messages that wait lead to one look. */
static void tc_watch_on_change(void *arg)
{
	struct tc_watch *watch = arg;
	/* A message is longer, and one datagram holds one. */
	struct {
		struct nlmsghdr header;
		struct tcmsg tc;
	} message;

	for (;;) {
		ssize_t got = recv(watch->changes.fd, &message, sizeof(message), 0);

		if (got < 0 && errno != ENOBUFS)
			break;
		if (watch->changed)
			watch->changed(watch->arg,
				       got == sizeof(message) ? message.tc.tcm_ifindex : 0);
	}
	loop_set(watch->loop, &watch->timer, watch->checked_ns + PAUSE_NS);
}

int tc_watch_open(struct tc_watch *watch, struct loop *loop,
		  void (*changed)(void *arg, int ifindex), void (*check)(void *arg), void *arg)
{
	*watch = (struct tc_watch){ .loop = loop, .changed = changed, .check = check, .arg = arg };
	watch->timer = (struct loop_timer){ .expired = tc_watch_look, .arg = watch };
	watch->changes = (struct loop_fd){ .ready = tc_watch_on_change, .arg = watch };
	watch->changes.fd = netlink_subscribe(RTMGRP_TC);
	if (watch->changes.fd < 0)
		return watch->changes.fd;
	watch->checked_ns = loop_now_ns();
	loop_set(loop, &watch->timer, watch->checked_ns + NSEC_PER_SEC);
	return loop_add(loop, &watch->changes);
}

void tc_watch_close(struct tc_watch *watch)
{
	if (watch->changes.fd < 0)
		return;
	loop_remove(watch->loop, &watch->changes);
	loop_unset(watch->loop, &watch->timer);
	close(watch->changes.fd);
	watch->changes.fd = -1;
}

/* Return: 0 or a negative errno, reported. */
static int tc_watch_keep(const struct tc_watch *watch, struct tc_link *link, const char *ifname,
			 const char *done)
{
	bool restored;
	int err = tc_link_restore(link, &restored);
	double gap = (double)(loop_now_ns() - watch->checked_ns) / NSEC_PER_SEC;

	if (restored)
		log_note("somebody has removed the %s filter from %s; it is attached again, "
			 "nothing was %s there for at most %.1f s",
			 tc_link_hook(link), ifname, done, gap);
	/* Whoever watches the interface hears of it. */
	if (!err || err == -ENODEV)
		return 0;
	if (err == -ESTALE)
		return log_note("somebody has put another program in place of the %s filter of %s",
				tc_link_hook(link), ifname),
		       err;
	if (err == -EOPNOTSUPP)
		return log_note("somebody has removed the %s filter from %s; cannot attach it "
				"again: %s",
				tc_link_hook(link), ifname, tc_link_lacking(link)),
		       err;
	return log_err(err, "somebody has removed the %s filter from %s; cannot attach it again",
		       tc_link_hook(link), ifname);
}

int tc_watch_links(const struct tc_watch *watch, struct tc_link *const *links, int count,
		   const char *ifname, const char *done)
{
	int err = 0;

	for (int i = 0; i < count && !err; i++)
		err = tc_watch_keep(watch, links[i], ifname, done);
	if (!err)
		tc_link_warn(links, count, ifname);
	return err;
}
