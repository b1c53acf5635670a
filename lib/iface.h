/* SPDX-License-Identifier: GPL-2.0-only */
/* A network interface: what it is at attach time, and what becomes of it afterwards. */
#ifndef IFACE_H
#define IFACE_H

#include <net/if.h>
#include <stdbool.h>

struct rtattr;

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

/* What the kernel says about an interface. */
struct iface_news {
	struct iface iface; /* @l2_len: or -EPFNOSUPPORT, see iface_open() */
	bool gone;
	struct rtattr *attributes; /* of the message, which holds the other names */
	int attributes_len;
};

/** iface_news_any_name - Return: whether @match accepts the name of an interface, or another one */
bool iface_news_any_name(const struct iface_news *news, bool (*match)(const char *name, void *arg),
			 void *arg);

/**
 * iface_each - have @visit see every interface of this network namespace, once at least
 * Return: 0 or a negative errno.
 */
int iface_each(void (*visit)(const struct iface_news *news, void *arg), void *arg);

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

/**
 * iface_watch_each - have @visit see what waits on @watch_fd, of any interface; or a part of it
 * Return: 0; -ENOBUFS if messages were lost, so that only iface_each() tells the state of things;
 * another negative errno.
 */
int iface_watch_each(int watch_fd, void (*visit)(const struct iface_news *news, void *arg),
		     void *arg);

/** iface_follow - bring @iface up to date. Return: what it has done; of two things one per call. */
enum iface_event iface_follow(struct iface *iface, const struct iface_news *news);

#endif /* IFACE_H */
