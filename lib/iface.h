/* SPDX-License-Identifier: GPL-2.0-only */
/* A network interface: what it is at attach time, and what becomes of it afterwards. */
#ifndef IFACE_H
#define IFACE_H

#include <net/if.h>
#include <stdbool.h>

struct iface {
	char name[IF_NAMESIZE]; /* follows a rename while watched */
	int ifindex;
	int l2_len; /* bytes before the IP header at the tc hooks: 14, or 0 on an L3 device */
	bool loopback;
	bool up;
};

/**
 * iface_open - look an interface up by name, or one of its other names, in this network namespace
 * Return: 0; -ENODEV; -EPFNOSUPPORT for a link layer that is neither Ethernet-like nor bare IP;
 * another negative errno. @iface is untouched on failure.
 */
int iface_open(const char *name, struct iface *iface);

/* What a watched interface has just done; IFACE_RENAMED has already updated the name. */
enum iface_event { IFACE_NOTHING, IFACE_RENAMED, IFACE_DOWN, IFACE_UP, IFACE_GONE };

/**
 * iface_watch_open - a netlink socket that hears of every change of this namespace's links
 * Return: a non-blocking file descriptor for poll(), owned by the caller; or a negative errno.
 */
int iface_watch_open(void);

/**
 * iface_watch_next - the next change of @iface that waits on @watch_fd
 *
 * Messages about other interfaces are skipped. When the socket has overflowed, the state of the
 * interface is looked up afresh, so that no removal is missed.
 * Return: IFACE_NOTHING when no message waits any more.
 */
enum iface_event iface_watch_next(int watch_fd, struct iface *iface);

#endif /* IFACE_H */
