/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The filters of a datapath: proxy_egress and proxy_ingress on the interface, and proxy_ingress on
 * every other device by which replies of a target come in.
 */
#ifndef PROXY_ATTACH_H
#define PROXY_ATTACH_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "maps.h"
#include "nexthop.h"
#include "tc-link.h"

struct attachment {
	int ifindex;
	int egress_fd; /* the programs; the caller's */
	int ingress_fd;
	struct tc_link egress;
	struct tc_link ingress;
	struct tc_link *others; /* ingress of other devices */
	size_t other_count;
};

/**
 * attach_find - the filters that a former proxy has left on @ifindex
 * @ifname: for messages
 * @maps: initialised; the maps of what is found are opened
 * Return: 0; -ENOENT if there is nothing; another negative errno, said on stderr already.
 */
int attach_find(int ifindex, const char *ifname, struct maps *maps);

/**
 * attach_start - put both programs on the interface
 * @at: ifindex and the programs are set
 * @takeover: atomically in place of a former proxy's, whose maps they share
 * Return: 0; a negative errno, said on stderr already, with nothing left that was not there before.
 */
int attach_start(struct attachment *at, const char *ifname, bool takeover);

/** attach_follow - have the filter on those other devices by which targets are reached, only */
void attach_follow(struct attachment *at, const struct nexthops *hops);

/** attach_stop - remove our filters; Return: 0 or a negative errno */
int attach_stop(struct attachment *at);

/** attach_close - forget the filters without removing them */
void attach_close(struct attachment *at);

#endif /* PROXY_ATTACH_H */
