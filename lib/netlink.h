/* SPDX-License-Identifier: GPL-2.0-only */
/* rtnetlink: ask for routes, neighbours and tc filters, hear of changes, keep neighbours alive. */
#ifndef NETLINK_H
#define NETLINK_H

#include <linux/netlink.h>
#include <linux/types.h>
#include <net/if.h>
#include <stdbool.h>

#include "addr.h"

/* A socket for requests; one answer at a time. */
struct netlink {
	int fd;
	__u32 seq;
};

#define NETLINK_INIT ((struct netlink){ .fd = -1 })

/**
 * netlink_open - open a socket for requests
 * @protocol: NETLINK_ROUTE for all functions below but netlink_ask()
 * Return: 0 or a negative errno; netlink_close() is right in either case.
 */
int netlink_open(struct netlink *nl, int protocol);

void netlink_close(struct netlink *nl);

/**
 * netlink_ask - send @request, and call @visit for each message of the answer
 * @request: complete but for its sequence number; with NLM_F_DUMP the answer is a list, with
 *	     NLM_F_ACK an acknowledgement
 * @visit: returns 0 to see the next message, 1 if it was the one asked for, or a negative errno
 * Return: 0; the kernel's or @visit's error; -EAGAIN if the kernel says that its list may have
 * holes, -ENOBUFS if memory was short, -ETIMEDOUT if no answer came, -EMSGSIZE if it was cut off,
 * -EPROTO if it made no sense.
 */
int netlink_ask(struct netlink *nl, struct nlmsghdr *request,
		int (*visit)(struct nlmsghdr *msg, void *arg), void *arg);

/* The way to an address, as this host's own packets take it. */
struct netlink_route {
	__u8 type; /* RTN_* */
	int oif;
	struct addr via; /* the gateway, or the address itself where it is on the link */
	struct addr src; /* the source address that the kernel would pick; none: it did not say */
	bool via_ipv6;	 /* to an IPv4 address: the gateway has only an IPv6 one */
};

/**
 * netlink_route_get - look up the route to @dst
 * Return: 0; -ENETUNREACH, -EHOSTUNREACH or what else the routing table says; another negative
 * errno. @route is untouched on failure.
 */
int netlink_route_get(struct netlink *nl, const struct addr *dst, struct netlink_route *route);

enum { NETLINK_ALTNAME_LEN = 128 }; /* with its end: ALTIFNAMSIZ */

/**
 * netlink_link_name - find the interface that has @altname as one of its other names
 * @name: set to the kernel's name of it
 * Return: 0; -ENODEV if there is none; another negative errno.
 */
int netlink_link_name(struct netlink *nl, const char *altname, char name[IF_NAMESIZE]);

struct netlink_neigh {
	int ifindex;
	struct addr addr;
	__u16 state; /* NUD_*; 0: the entry is gone */
	bool has_mac;
	__u8 mac[6];
};

/**
 * netlink_neigh_get - the neighbour entry of @addr on @ifindex
 * Return: 0; -ENOENT if there is none; another negative errno. @neigh is untouched on failure.
 */
int netlink_neigh_get(struct netlink *nl, int ifindex, const struct addr *addr,
		      struct netlink_neigh *neigh);

/**
 * netlink_neigh_use - tell the kernel that the entry is in use, as a packet sent through it would
 *
 * The entry is created and resolved if need be; a stale one is verified.
 */
int netlink_neigh_use(struct netlink *nl, int ifindex, const struct addr *addr);

/**
 * netlink_neigh_with_mac - find the entries, of both families, of @ifindex that hold the Ethernet
 *			    address @mac
 * @states: NUD_*, or-ed: only entries in one of them
 * @found: room for @room addresses
 * Return: how many were found, @room at most; or a negative errno.
 */
int netlink_neigh_with_mac(struct netlink *nl, int ifindex, const __u8 mac[6], __u16 states,
			   struct addr *found, int room);

/**
 * netlink_neigh_delete_mac - delete each entry of @ifindex that holds the Ethernet address @mac
 * Return: 0 or a negative errno.
 */
int netlink_neigh_delete_mac(struct netlink *nl, int ifindex, const __u8 mac[6]);

/**
 * netlink_clsact_add - give an interface the qdisc clsact if it has none
 * Return: 0; -EINVAL if it has the qdisc "ingress" in its place; -ENOENT if the kernel has no such
 * qdisc; another negative errno.
 */
int netlink_clsact_add(struct netlink *nl, int ifindex);

/**
 * netlink_filters_before - count the tc filters that run before those of a priority
 * @parent: TC_H_* of the hook
 * @left_out: whether not to count a BPF filter of this name
 * Return: their number (what tc shows as a filter; u32 has more), or a negative errno.
 */
int netlink_filters_before(struct netlink *nl, int ifindex, __u32 parent, __u32 priority,
			   bool (*left_out)(const char *name, const void *arg), const void *arg);

/**
 * netlink_links - have @visit see RTM_NEWLINK of each interface of this namespace
 * Return: as of netlink_ask().
 */
int netlink_links(struct netlink *nl, int (*visit)(struct nlmsghdr *msg, void *arg), void *arg);

/**
 * netlink_subscribe - a socket that hears of what happens in this namespace
 * @groups: RTMGRP_* of <linux/rtnetlink.h>, or-ed
 * Return: a non-blocking file descriptor for poll(), owned by the caller; or a negative errno.
 */
int netlink_subscribe(__u32 groups);

/* What has changed in this namespace. */
enum netlink_event {
	NETLINK_NOTHING, /* no message waits any more */
	NETLINK_NEIGH,	 /* one neighbour entry */
	NETLINK_ROUTES,	 /* routes, rules, addresses, links, settings: any route may be another */
	NETLINK_LOST,	 /* the socket has overflowed: anything may be another */
};

/**
 * netlink_watch_open - a socket that hears of changes of links, and of @family's neighbours,
 * routes, addresses and settings of links, such as rp_filter
 *
 * Neighbours of the other family are heard of, too.
 * Return: a non-blocking file descriptor for poll(), owned by the caller; or a negative errno.
 */
int netlink_watch_open(int family);

/**
 * netlink_watch_next - the next change that waits on @watch_fd
 * @neigh: set for NETLINK_NEIGH
 */
enum netlink_event netlink_watch_next(int watch_fd, struct netlink_neigh *neigh);

#endif /* NETLINK_H */
