// SPDX-License-Identifier: GPL-2.0-only
#include "netlink.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Datagrams of a dump are at most this long; an answer about one object is far shorter. */
enum { BUFFER_SIZE = 32768 };

struct request {
	struct nlmsghdr header;
	union {
		struct rtmsg route;
		struct ndmsg neigh;
		struct tcmsg tc;
		struct ifinfomsg link;
	};
	char attributes[RTA_SPACE(NETLINK_ALTNAME_LEN)]; /* the longest */
};

int netlink_open(struct netlink *nl, int protocol)
{
	/* The kernel answers at once; this bounds the wait for an answer that was lost. */
	struct timeval patience = { .tv_sec = 2 };

	nl->seq = 0;
	nl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	if (nl->fd < 0)
		return -errno;
	if (setsockopt(nl->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		return -errno;
	return 0;
}

void netlink_close(struct netlink *nl)
{
	if (nl->fd >= 0)
		close(nl->fd);
	nl->fd = -1;
}

static void netlink_init(struct request *req, __u16 type, __u16 flags, size_t body)
{
	memset(req, 0, sizeof(*req));
	req->header.nlmsg_type = type;
	req->header.nlmsg_flags = NLM_F_REQUEST | flags;
	req->header.nlmsg_len = (__u32)NLMSG_LENGTH(body);
}

static void netlink_add(struct request *req, unsigned short type, const void *data, size_t len)
{
	struct rtattr *attr = (void *)((char *)req + NLMSG_ALIGN(req->header.nlmsg_len));

	attr->rta_type = type;
	attr->rta_len = (unsigned short)RTA_LENGTH(len);
	memcpy(RTA_DATA(attr), data, len);
	req->header.nlmsg_len = (__u32)(NLMSG_ALIGN(req->header.nlmsg_len) + RTA_LENGTH(len));
}

static void netlink_add_addr(struct request *req, unsigned short type, const struct addr *addr)
{
	size_t len;
	const void *bytes = addr_bytes(addr, &len);

	netlink_add(req, type, bytes, len);
}

/* Read an attribute that holds an address. Return: whether it is one of @family. */
static bool netlink_read_addr(const struct rtattr *a, int family, struct addr *addr)
{
	size_t len = family == AF_INET ? sizeof(__be32) : sizeof(struct addr);

	if (RTA_PAYLOAD(a) != len)
		return false;
	*addr = addr_from(RTA_DATA(a), len);
	return true;
}

/* Return: the length of the next datagram, or a negative errno. */
static ssize_t netlink_receive(int fd, void *buf, size_t size)
{
	ssize_t got;

	do
		got = recv(fd, buf, size, MSG_TRUNC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return (size_t)got > size ? -EMSGSIZE : got;
}

/* The number that NLMSG_ERROR and NLMSG_DONE begin with: 0 or a negative errno. */
static int netlink_code_of(const struct nlmsghdr *msg)
{
	int code = 0;

	if (msg->nlmsg_len >= NLMSG_LENGTH(sizeof(code)))
		memcpy(&code, NLMSG_DATA(msg), sizeof(code));
	return code > 0 ? -EPROTO : code;
}

/* One answer to a request. */
struct answer {
	const struct nlmsghdr *request;
	int (*visit)(struct nlmsghdr *msg, void *arg);
	void *arg;
};

/* Return: 0 if more follow, 1 if this was the last one, or a negative errno. */
static int netlink_message(const struct answer *answer, struct nlmsghdr *msg)
{
	const __u16 flags = answer->request->nlmsg_flags;

	/* Of a request whose answer came too late. */
	if (msg->nlmsg_seq != answer->request->nlmsg_seq)
		return 0;
	/* The list has changed meanwhile, so that some may be left out of it. */
	if (msg->nlmsg_flags & NLM_F_DUMP_INTR)
		return -EAGAIN;
	switch (msg->nlmsg_type) {
	case NLMSG_DONE:
		return netlink_code_of(msg) ?: (flags & NLM_F_DUMP) == NLM_F_DUMP ? 1 : -EPROTO;
	case NLMSG_ERROR:
		return netlink_code_of(msg) ?: flags & NLM_F_ACK ? 1 : -EPROTO;
	case NLMSG_OVERRUN:
		return -ENOBUFS;
	default:
		return answer->visit(msg, answer->arg);
	}
}

/* Return: as of netlink_message(). */
static int netlink_datagram(const struct answer *answer, struct nlmsghdr *msg, ssize_t len)
{
	int status = 0;

	if (!len)
		return -EPROTO;
	/* Without the padding of the last message, @len ends below 0. */
	for (; len > 0 && !status; msg = NLMSG_NEXT(msg, len))
		status = NLMSG_OK(msg, (size_t)len) ? netlink_message(answer, msg) : -EPROTO;
	return status;
}

int netlink_ask(struct netlink *nl, struct nlmsghdr *request,
		int (*visit)(struct nlmsghdr *msg, void *arg), void *arg)
{
	char buf[BUFFER_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	const struct answer answer = { .request = request, .visit = visit, .arg = arg };
	int status = 0;

	request->nlmsg_seq = ++nl->seq;
	if (send(nl->fd, request, request->nlmsg_len, 0) < 0)
		return -errno;
	while (!status) {
		ssize_t got = netlink_receive(nl->fd, buf, sizeof(buf));

		status =
			got < 0 ? (int)got : netlink_datagram(&answer, (struct nlmsghdr *)buf, got);
	}
	return status < 0 ? status : 0;
}

/* For a request that is answered by an acknowledgement or an error. */
static int netlink_no_answer(struct nlmsghdr *msg, void *arg)
{
	(void)msg;
	(void)arg;
	return -EPROTO;
}

/* IPv4 answers with these errors; IPv6 with a route of such a type. */
static int netlink_route_error(__u8 type)
{
	switch (type) {
	case RTN_UNREACHABLE:
		return -EHOSTUNREACH;
	case RTN_PROHIBIT:
		return -EACCES;
	case RTN_BLACKHOLE:
		return -EINVAL;
	default:
		return 0;
	}
}

struct route_search {
	int family;
	struct netlink_route found;
};

static int netlink_route_visit(struct nlmsghdr *msg, void *arg)
{
	struct route_search *search = arg;
	struct netlink_route *found = &search->found;
	struct rtmsg *info = NLMSG_DATA(msg);
	int len = (int)RTM_PAYLOAD(msg);

	if (msg->nlmsg_type != RTM_NEWROUTE)
		return -EPROTO;
	found->type = info->rtm_type;
	for (struct rtattr *a = RTM_RTA(info); RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		if (a->rta_type == RTA_OIF && RTA_PAYLOAD(a) == sizeof(found->oif))
			memcpy(&found->oif, RTA_DATA(a), sizeof(found->oif));
		else if (a->rta_type == RTA_GATEWAY)
			netlink_read_addr(a, search->family, &found->via);
		else if (a->rta_type == RTA_PREFSRC)
			netlink_read_addr(a, search->family, &found->src);
		else if (a->rta_type == RTA_VIA)
			found->via_ipv6 = true;
	}
	return netlink_route_error(found->type) ?: 1;
}

int netlink_route_get(struct netlink *nl, const struct addr *dst, struct netlink_route *route)
{
	struct route_search search = { .family = addr_family(dst), .found.via = *dst };
	struct request req;
	int err;

	netlink_init(&req, RTM_GETROUTE, 0, sizeof(req.route));
	req.route.rtm_family = (__u8)search.family;
	req.route.rtm_dst_len = search.family == AF_INET ? 32 : 128;
	netlink_add_addr(&req, RTA_DST, dst);
	err = netlink_ask(nl, &req.header, netlink_route_visit, &search);
	if (!err)
		*route = search.found;
	return err;
}

static int netlink_name_visit(struct nlmsghdr *msg, void *name)
{
	int len = (int)IFLA_PAYLOAD(msg);

	for (struct rtattr *a = IFLA_RTA(NLMSG_DATA(msg)); RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		size_t size = strnlen(RTA_DATA(a), RTA_PAYLOAD(a));

		if (a->rta_type != IFLA_IFNAME || size >= IF_NAMESIZE)
			continue;
		memcpy(name, RTA_DATA(a), size);
		((char *)name)[size] = '\0';
		return 1;
	}
	return -ENODEV;
}

int netlink_link_name(struct netlink *nl, const char *altname, char name[IF_NAMESIZE])
{
	size_t size = strlen(altname) + 1;
	struct request req;

	if (size > NETLINK_ALTNAME_LEN)
		return -ENODEV;
	netlink_init(&req, RTM_GETLINK, 0, sizeof(req.link));
	netlink_add(&req, IFLA_ALT_IFNAME, altname, size);
	return netlink_ask(nl, &req.header, netlink_name_visit, name);
}

/* Return: whether the message is about a neighbour's address. */
static bool netlink_neigh_message(struct nlmsghdr *msg, struct netlink_neigh *neigh)
{
	struct ndmsg *info = NLMSG_DATA(msg);
	struct rtattr *a = (void *)((char *)info + NLMSG_ALIGN(sizeof(*info)));
	int len = (int)NLMSG_PAYLOAD(msg, sizeof(*info));
	bool has_addr = false;

	if (info->ndm_family != AF_INET && info->ndm_family != AF_INET6)
		return false;
	memset(neigh, 0, sizeof(*neigh));
	neigh->ifindex = info->ndm_ifindex;
	neigh->state = msg->nlmsg_type == RTM_DELNEIGH ? 0 : info->ndm_state;
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		if (a->rta_type == NDA_DST) {
			has_addr = netlink_read_addr(a, info->ndm_family, &neigh->addr);
		} else if (a->rta_type == NDA_LLADDR && RTA_PAYLOAD(a) == sizeof(neigh->mac)) {
			memcpy(neigh->mac, RTA_DATA(a), sizeof(neigh->mac));
			neigh->has_mac = true;
		}
	}
	return has_addr;
}

/* @addr: NULL: every one of both families */
static void netlink_neigh_request(struct request *req, __u16 type, __u16 flags, int ifindex,
				  const struct addr *addr)
{
	netlink_init(req, type, flags, sizeof(req->neigh));
	req->neigh.ndm_family = (__u8)(addr ? addr_family(addr) : AF_UNSPEC);
	req->neigh.ndm_ifindex = ifindex;
	if (addr)
		netlink_add_addr(req, NDA_DST, addr);
}

static int netlink_neigh_visit(struct nlmsghdr *msg, void *arg)
{
	return msg->nlmsg_type == RTM_NEWNEIGH && netlink_neigh_message(msg, arg) ? 1 : -EPROTO;
}

int netlink_neigh_get(struct netlink *nl, int ifindex, const struct addr *addr,
		      struct netlink_neigh *neigh)
{
	struct netlink_neigh found;
	struct request req;
	int err;

	netlink_neigh_request(&req, RTM_GETNEIGH, 0, ifindex, addr);
	err = netlink_ask(nl, &req.header, netlink_neigh_visit, &found);
	if (!err)
		*neigh = found;
	return err;
}

int netlink_neigh_use(struct netlink *nl, int ifindex, const struct addr *addr)
{
	struct request req;

	netlink_neigh_request(&req, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_ACK, ifindex, addr);
	req.neigh.ndm_flags = NTF_USE;
	return netlink_ask(nl, &req.header, netlink_no_answer, NULL);
}

static int netlink_neigh_delete(struct netlink *nl, int ifindex, const struct addr *addr)
{
	struct request req;

	netlink_neigh_request(&req, RTM_DELNEIGH, NLM_F_ACK, ifindex, addr);
	return netlink_ask(nl, &req.header, netlink_no_answer, NULL);
}

struct mac_search {
	int ifindex;
	const __u8 *mac;
	__u16 states;
	struct addr *found;
	int room, count;
};

static int netlink_mac_visit(struct nlmsghdr *msg, void *arg)
{
	struct mac_search *search = arg;
	struct netlink_neigh neigh;

	if (netlink_neigh_message(msg, &neigh) && neigh.ifindex == search->ifindex &&
	    neigh.state & search->states && neigh.has_mac &&
	    !memcmp(neigh.mac, search->mac, sizeof(neigh.mac)) && search->count < search->room)
		search->found[search->count++] = neigh.addr;
	return 0;
}

int netlink_neigh_with_mac(struct netlink *nl, int ifindex, const __u8 mac[6], __u16 states,
			   struct addr *found, int room)
{
	struct mac_search search = {
		.ifindex = ifindex, .mac = mac, .states = states, .found = found, .room = room
	};
	struct request req;
	int err;

	netlink_neigh_request(&req, RTM_GETNEIGH, NLM_F_DUMP, 0, NULL);
	err = netlink_ask(nl, &req.header, netlink_mac_visit, &search);
	return err ?: search.count;
}

int netlink_neigh_delete_mac(struct netlink *nl, int ifindex, const __u8 mac[6])
{
	enum { ROOM = 256 };
	struct addr found[ROOM];
	int count, err = 0;

	do {
		count = netlink_neigh_with_mac(nl, ifindex, mac, (__u16)~0, found, ROOM);
		for (int i = 0; i < count && !err; i++)
			err = netlink_neigh_delete(nl, ifindex, &found[i]);
	} while (count == ROOM && !err);
	return count < 0 ? count : err;
}

int netlink_clsact_add(struct netlink *nl, int ifindex)
{
	struct request req;

	/* Without NLM_F_EXCL this changes nothing about a clsact that is there. */
	netlink_init(&req, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_ACK, sizeof(req.tc));
	req.tc.tcm_ifindex = ifindex;
	req.tc.tcm_parent = TC_H_CLSACT;
	req.tc.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
	netlink_add(&req, TCA_KIND, "clsact", sizeof("clsact"));
	return netlink_ask(nl, &req.header, netlink_no_answer, NULL);
}

struct filter_search {
	__u32 priority;
	bool (*left_out)(const char *name, const void *arg);
	const void *arg;
	int count;
};

/* The name of a BPF filter, or NULL. @options: attribute TCA_OPTIONS */
static const char *netlink_filter_name(struct rtattr *options)
{
	int len = (int)RTA_PAYLOAD(options);

	for (struct rtattr *a = RTA_DATA(options); RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == TCA_BPF_NAME)
			return RTA_DATA(a);
	return NULL;
}

static int netlink_filter_visit(struct nlmsghdr *msg, void *arg)
{
	struct tcmsg *info = NLMSG_DATA(msg);
	struct filter_search *search = arg;
	int len = (int)TCA_PAYLOAD(msg);
	const char *name = NULL;
	bool bpf = false;

	/* The first message of each priority stands for the classifier itself. */
	if (msg->nlmsg_type != RTM_NEWTFILTER || !info->tcm_handle ||
	    TC_H_MAJ(info->tcm_info) >> 16 >= search->priority)
		return 0;
	for (struct rtattr *a = TCA_RTA(info); RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		if (a->rta_type == TCA_KIND)
			bpf = !strcmp(RTA_DATA(a), "bpf");
		else if (a->rta_type == TCA_OPTIONS && bpf)
			name = netlink_filter_name(a);
	}
	search->count += !name || !search->left_out(name, search->arg);
	return 0;
}

int netlink_filters_before(struct netlink *nl, int ifindex, __u32 parent, __u32 priority,
			   bool (*left_out)(const char *name, const void *arg), const void *arg)
{
	struct filter_search search = { .priority = priority, .left_out = left_out, .arg = arg };
	struct request req;
	int err;

	netlink_init(&req, RTM_GETTFILTER, NLM_F_DUMP, sizeof(req.tc));
	req.tc.tcm_ifindex = ifindex;
	req.tc.tcm_parent = parent;
	err = netlink_ask(nl, &req.header, netlink_filter_visit, &search);
	return err ?: search.count;
}

int netlink_links(struct netlink *nl, int (*visit)(struct nlmsghdr *msg, void *arg), void *arg)
{
	__u32 without_statistics = RTEXT_FILTER_SKIP_STATS;
	struct request req;

	netlink_init(&req, RTM_GETLINK, NLM_F_DUMP, sizeof(req.link));
	netlink_add(&req, IFLA_EXT_MASK, &without_statistics, sizeof(without_statistics));
	return netlink_ask(nl, &req.header, visit, arg);
}

/* The kernel keeps up to this much for us; more at once, and it says that messages are lost. */
enum { SUBSCRIBER_BYTES = 8 << 20 };

int netlink_subscribe(__u32 groups)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = groups };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	int err, room = SUBSCRIBER_BYTES;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

int netlink_watch_open(int family)
{
	const __u32 both = RTMGRP_LINK | RTMGRP_NEIGH;

	return netlink_subscribe(both |
				 (family == AF_INET ? RTMGRP_IPV4_ROUTE | RTMGRP_IPV4_IFADDR |
							      RTMGRP_IPV4_RULE |
							      1 << (RTNLGRP_IPV4_NETCONF - 1)
						    : RTMGRP_IPV6_ROUTE | RTMGRP_IPV6_IFADDR |
							      1 << (RTNLGRP_IPV6_RULE - 1) |
							      1 << (RTNLGRP_IPV6_NETCONF - 1)));
}

enum netlink_event netlink_watch_next(int watch_fd, struct netlink_neigh *neigh)
{
	char buf[BUFFER_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *msg = (struct nlmsghdr *)buf;
	ssize_t got;

	/* One datagram of a notification holds one message. */
	for (;;) {
		got = netlink_receive(watch_fd, buf, sizeof(buf));
		if (got == -ENOBUFS)
			return NETLINK_LOST;
		if (got < 0)
			return NETLINK_NOTHING;
		if (!NLMSG_OK(msg, (size_t)got))
			continue;
		if (msg->nlmsg_type != RTM_NEWNEIGH && msg->nlmsg_type != RTM_DELNEIGH)
			return NETLINK_ROUTES;
		if (netlink_neigh_message(msg, neigh))
			return NETLINK_NEIGH;
	}
}
