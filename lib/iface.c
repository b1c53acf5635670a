// SPDX-License-Identifier: GPL-2.0-only
#include "iface.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink.h"

/* Bytes of link-layer header at the tc hooks, or -EPFNOSUPPORT. */
static int iface_l2_len(unsigned short arphrd)
{
	switch (arphrd) {
	case ARPHRD_ETHER:
	case ARPHRD_LOOPBACK:
		return ETH_HLEN;
	case ARPHRD_NONE: /* tun, WireGuard */
	case ARPHRD_PPP:
	case ARPHRD_RAWIP:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
		return 0;
	default:
		return -EPFNOSUPPORT;
	}
}

/*
 * A name that ioctl() takes: 15 characters. Other names of an interface may be longer. For eth0:1,
 * an address of eth0, ioctl() would answer for eth0.
 */
static int iface_short_name(const char *name, char out[IF_NAMESIZE])
{
	struct netlink nl = NETLINK_INIT;
	size_t len = strlen(name);
	int err;

	if (strchr(name, ':'))
		return -ENODEV;
	if (len < IF_NAMESIZE) {
		memcpy(out, name, len + 1);
		return 0;
	}
	err = netlink_open(&nl, NETLINK_ROUTE) ?: netlink_link_name(&nl, name, out);
	netlink_close(&nl);
	return err;
}

int iface_open(const char *name, struct iface *iface)
{
	struct iface found = { 0 };
	struct ifreq request = { 0 };
	int fd, err = iface_short_name(name, request.ifr_name);

	if (err)
		return err;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCGIFINDEX, &request))
		err = -errno;
	found.ifindex = request.ifr_ifindex;
	/* @name may be one of its other names. */
	if (!err && ioctl(fd, SIOCGIFNAME, &request))
		err = -errno;
	memcpy(found.name, request.ifr_name, sizeof(found.name));
	if (!err && ioctl(fd, SIOCGIFFLAGS, &request))
		err = -errno;
	found.up = request.ifr_flags & IFF_UP;
	found.loopback = request.ifr_flags & IFF_LOOPBACK;
	if (!err && ioctl(fd, SIOCGIFHWADDR, &request))
		err = -errno;
	close(fd);
	if (err)
		return err;
	found.l2_len = iface_l2_len(request.ifr_hwaddr.sa_family);
	if (found.l2_len < 0)
		return found.l2_len;
	*iface = found;
	return 0;
}

int iface_watch_open(void)
{
	return netlink_subscribe(RTMGRP_LINK);
}

static enum iface_event iface_set_up(struct iface *iface, bool up)
{
	if (iface->up == up)
		return IFACE_NOTHING;
	iface->up = up;
	return up ? IFACE_UP : IFACE_DOWN;
}

static enum iface_event iface_set_name(struct iface *iface, const char *name)
{
	size_t len;

	if (!strncmp(iface->name, name, sizeof(iface->name)))
		return IFACE_NOTHING;
	len = strnlen(name, sizeof(iface->name) - 1);
	memcpy(iface->name, name, len);
	iface->name[len] = '\0';
	return IFACE_RENAMED;
}

/*
 * What a message says about an interface. Return: whether it does: a bridge announces its ports,
 * and the departure of one, with the same types of message and family AF_BRIDGE.
 */
static bool iface_read_news(const struct nlmsghdr *msg, struct iface_news *news)
{
	struct ifinfomsg *info = NLMSG_DATA(msg);
	int len = (int)IFLA_PAYLOAD(msg);

	if ((msg->nlmsg_type != RTM_NEWLINK && msg->nlmsg_type != RTM_DELLINK) || len < 0 ||
	    info->ifi_family != AF_UNSPEC)
		return false;
	*news = (struct iface_news){ .attributes = IFLA_RTA(info), .attributes_len = len };
	news->gone = msg->nlmsg_type == RTM_DELLINK;
	news->iface.ifindex = info->ifi_index;
	news->iface.l2_len = iface_l2_len(info->ifi_type);
	news->iface.loopback = info->ifi_flags & IFF_LOOPBACK;
	news->iface.up = info->ifi_flags & IFF_UP;
	for (struct rtattr *a = IFLA_RTA(info); RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == IFLA_IFNAME)
			iface_set_name(&news->iface, RTA_DATA(a));
	return true;
}

static bool iface_any_altname(struct rtattr *list, bool (*match)(const char *name, void *arg),
			      void *arg)
{
	int len = (int)RTA_PAYLOAD(list);

	for (struct rtattr *a = RTA_DATA(list); RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == IFLA_ALT_IFNAME && match(RTA_DATA(a), arg))
			return true;
	return false;
}

bool iface_news_any_name(const struct iface_news *news, bool (*match)(const char *name, void *arg),
			 void *arg)
{
	int len = news->attributes_len;

	if (match(news->iface.name, arg))
		return true;
	for (struct rtattr *a = news->attributes; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if ((a->rta_type & NLA_TYPE_MASK) == IFLA_PROP_LIST &&
		    iface_any_altname(a, match, arg))
			return true;
	return false;
}

struct iface_visitor {
	void (*visit)(const struct iface_news *news, void *arg);
	void *arg;
};

static int iface_visit(struct nlmsghdr *msg, void *arg)
{
	const struct iface_visitor *visitor = arg;
	struct iface_news news;

	if (iface_read_news(msg, &news))
		visitor->visit(&news, visitor->arg);
	return 0;
}

int iface_each(void (*visit)(const struct iface_news *news, void *arg), void *arg)
{
	struct iface_visitor visitor = { .visit = visit, .arg = arg };
	struct netlink nl = NETLINK_INIT;
	int err = netlink_open(&nl, NETLINK_ROUTE), attempts = 100;

	while (!err) {
		err = netlink_links(&nl, iface_visit, &visitor);
		/* Interfaces have come or gone meanwhile, so that some may have been left out. */
		if (err != -EAGAIN || !--attempts)
			break;
		err = 0;
	}
	netlink_close(&nl);
	return err;
}

/* Longer than a message about an interface with many other names. */
enum { MESSAGE_BYTES = 16384 };

/* Messages that are read before other events get their turn. */
enum { MESSAGES_AT_ONCE = 64 };

int iface_watch_each(int watch_fd, void (*visit)(const struct iface_news *news, void *arg),
		     void *arg)
{
	char buf[MESSAGE_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct iface_visitor visitor = { .visit = visit, .arg = arg };

	for (int i = 0; i < MESSAGES_AT_ONCE; i++) {
		ssize_t got = recv(watch_fd, buf, sizeof(buf), 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == EAGAIN ? 0 : -errno;
		/* One datagram of a link notification holds one message. */
		if (NLMSG_OK((struct nlmsghdr *)buf, (size_t)got))
			iface_visit((struct nlmsghdr *)buf, &visitor);
	}
	return 0;
}

/* The kernel dropped messages: ask for the present state instead. */
static enum iface_event iface_resync(struct iface *iface)
{
	char name[IF_NAMESIZE];
	struct iface now = *iface;

	if (!if_indextoname((unsigned int)iface->ifindex, name) || iface_open(name, &now))
		return IFACE_GONE;
	return iface_set_name(iface, name) ?: iface_set_up(iface, now.up);
}

enum iface_event iface_follow(struct iface *iface, const struct iface_news *news)
{
	if (news->gone)
		return IFACE_GONE;
	return iface_set_name(iface, news->iface.name) ?: iface_set_up(iface, news->iface.up);
}

static enum iface_event iface_link_message(const struct nlmsghdr *msg, struct iface *iface)
{
	struct iface_news news;

	if (!iface_read_news(msg, &news) || news.iface.ifindex != iface->ifindex)
		return IFACE_NOTHING;
	return iface_follow(iface, &news);
}

enum iface_event iface_watch_next(int watch_fd, struct iface *iface)
{
	char buf[MESSAGE_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
	enum iface_event event;
	ssize_t got;

	/* One datagram of a link notification holds one message. */
	for (;;) {
		got = recv(watch_fd, buf, sizeof(buf), 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == ENOBUFS)
			event = iface_resync(iface);
		else if (got < 0)
			return IFACE_NOTHING;
		else if (NLMSG_OK((struct nlmsghdr *)buf, (size_t)got))
			event = iface_link_message((struct nlmsghdr *)buf, iface);
		else
			event = IFACE_NOTHING;
		if (event)
			return event;
	}
}
