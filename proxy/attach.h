/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The filters of a datapath: proxy_egress and proxy_ingress on the interface, and proxy_direct and
 * proxy_ingress on every other device by which a target is reached.
 */
#ifndef PROXY_ATTACH_H
#define PROXY_ATTACH_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "maps.h"
#include "nexthop.h"
#include "tc-link.h"
#include "tc-watch.h"

/* Another device by which targets are reached. */
struct attachment_other {
	struct tc_link ingress; /* proxy_ingress: replies of mapped flows */
	struct tc_link egress;	/* proxy_direct: flows to the targets themselves; see @direct */
	bool direct;		/* whether that has been tried */
	__u64 unused_since;	/* when the last target ceased to be reached by it; 0: one is */
};

struct attachment {
	const struct nat_layout *layout; /* of the family */
	int ifindex;
	int egress_fd; /* the programs; the caller's */
	int ingress_fd;
	bool tcx; /* by tcx instead of clsact */
	/* As tc_link_hook(): only the other filter has been found; else NULL */
	const char *missing;
	/*
	 * The program for another device, which may have another link layer (LAYOUT_INGRESS or
	 * LAYOUT_DIRECT): its descriptor, or a negative errno.
	 */
	int (*program_for)(void *arg, int ifindex, enum layout_role role);
	void *arg;
	struct tc_link egress;
	struct tc_link ingress;
	struct attachment_other *others;
	size_t other_count;
};

/**
 * attach_find - the filters that a former proxy has left on @at->ifindex; one of them is enough
 * @ifname: for messages
 * @maps: initialised; the maps of what is found are opened
 *
 * Sets @at->ingress_fd, owned by the caller, if proxy_ingress is there. If @at is to use tcx, what
 * is found is in its way. Return: 0; -ENOENT if there is nothing; another negative errno, said on
 * stderr already.
 */
int attach_find(struct attachment *at, const char *ifname, struct maps *maps);

/**
 * attach_find_tcx - the maps of a proxy that runs on @at->ifindex by tcx
 * Return: as attach_find().
 */
int attach_find_tcx(struct attachment *at, const char *ifname, struct maps *maps);

/** attach_adopt - with our programs, replace a former proxy's on other devices */
void attach_adopt(struct attachment *at);

/**
 * attach_devices - attach to the devices by which replies of the targets of @hops come
 *
 * To be done before a packet leaves by a device: replies that are not restored would make this host
 * reset their connections. Flows to the targets themselves are known there only from
 * attach_follow() on, since loading that program takes a tenth of a second.
 */
void attach_devices(struct attachment *at, const struct nexthops *hops);

/**
 * attach_start - put both programs on the interface
 * @at: ifindex and the programs are set
 * @takeover: atomically in place of a former proxy's, whose maps they share
 * Return: 0; a negative errno, said on stderr already, with nothing left that was not there before.
 */
int attach_start(struct attachment *at, const char *ifname, bool takeover);

/**
 * attach_keep_others - attach again the filters that somebody has removed from other devices
 * Return: 0 or a negative errno, said on stderr already.
 */
int attach_keep_others(struct attachment *at, const struct tc_watch *watch);

/**
 * attach_follow - attach to the other devices by which targets are reached, and detach from those
 *		   by which none is reached any more
 * @now: CLOCK_MONOTONIC; a device that is not used any more keeps its filters for a while, since
 *	 replies may still take the old way
 */
void attach_follow(struct attachment *at, const struct nexthops *hops, __u64 now);

/** attach_stop - remove our filters; Return: 0 or a negative errno */
int attach_stop(struct attachment *at);

/** attach_close - forget the filters without removing them */
void attach_close(struct attachment *at);

#endif /* PROXY_ATTACH_H */
