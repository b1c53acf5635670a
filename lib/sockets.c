// SPDX-License-Identifier: GPL-2.0-only
#include "sockets.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink.h"

enum {
	TRIES = 4,
	/*
	 * Bits of their own, such as that of bound sockets that do nothing, stay out: those have no
	 * remote address. A connect()ed UDP socket counts as TCP_ESTABLISHED, any other as
	 * TCP_CLOSE.
	 */
	STATES = 1 << TCP_ESTABLISHED | 1 << TCP_SYN_SENT | 1 << TCP_SYN_RECV | 1 << TCP_FIN_WAIT1 |
		 1 << TCP_FIN_WAIT2 | 1 << TCP_CLOSE_WAIT | 1 << TCP_LAST_ACK | 1 << TCP_CLOSING,
};

/* One question: for a list (the kernel has one for each family and protocol), or for one socket. */
struct sockets_search {
	__u8 family;
	__u8 proto;
	bool listening; /* those that listen, in place of those that are connected */
	const struct sockets_pair *one; /* NULL: the list */
	void (*visit)(void *ctx, __u8 proto, const struct addr *addr, __be16 port);
	void *ctx;
};

static void sockets_set_addr(__be32 words[4], const struct addr *addr)
{
	size_t len;
	const void *bytes = addr_bytes(addr, &len);

	memcpy(words, bytes, len);
}

static int sockets_visit(struct nlmsghdr *msg, void *arg)
{
	const struct inet_diag_msg *info = NLMSG_DATA(msg);
	const struct sockets_search *search = arg;
	struct addr addr;

	if (msg->nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return 0;
	if (msg->nlmsg_len < NLMSG_LENGTH(sizeof(*info)))
		return -EPROTO;
	if (search->one) {
		*(bool *)search->ctx = 1 << info->idiag_state & STATES;
		return 1;
	}
	addr = addr_from(search->listening ? info->id.idiag_src : info->id.idiag_dst,
			 info->idiag_family == AF_INET ? 4 : 16);
	search->visit(search->ctx, search->proto, &addr,
		      search->listening ? info->id.idiag_sport : info->id.idiag_dport);
	return 0;
}

/* A socket for each try: what is left of a dump that broke off, or still runs, goes with it. */
static int sockets_try_once(struct sockets_search *search)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 body;
	} req = {
		.header = { .nlmsg_len = sizeof(req),
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST | (search->one ? 0 : NLM_F_DUMP) },
		.body = { .sdiag_family = search->family,
			  .sdiag_protocol = search->proto,
			  .idiag_states = search->listening ? 1 << TCP_LISTEN : STATES,
			  .id = { .idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } } },
	};
	struct netlink nl = NETLINK_INIT;
	int err;

	if (search->one) {
		sockets_set_addr(req.body.id.idiag_src, &search->one->local);
		req.body.id.idiag_sport = search->one->lport;
		sockets_set_addr(req.body.id.idiag_dst, &search->one->remote);
		req.body.id.idiag_dport = search->one->rport;
	}
	err = netlink_open(&nl, NETLINK_SOCK_DIAG)
		      ?: netlink_ask(&nl, &req.header, sockets_visit, search);
	netlink_close(&nl);
	return err;
}

/* Again if the list has holes; not for ever, since a busy host may interrupt each. */
static int sockets_list(struct sockets_search *search)
{
	int err, tries = 0;

	do
		err = sockets_try_once(search);
	while ((err == -EAGAIN || err == -ENOBUFS) && ++tries < TRIES);
	return err;
}

/*
 * Whether the kernel runs without IPv6 (ipv6.disable=1, or not built or loaded), so that no socket
 * of that family exists. Opening one would tell, too, but may load the module, and systemd's
 * RestrictAddressFamilies= makes it fail the same way. Where there is no /proc, IPv6 may well be.
 */
static bool sockets_without_ipv6(void)
{
	return !access("/proc/self/net/dev", F_OK) && access("/proc/self/net/if_inet6", F_OK) &&
	       errno == ENOENT;
}

/* The lists of both families. */
static int sockets_list_families(struct sockets_search *search)
{
	static const __u8 families[] = { AF_INET, AF_INET6 };

	for (int i = 0; i < 2; i++) {
		int err;

		search->family = families[i];
		err = sockets_list(search);
		if (err && !(search->family == AF_INET6 && sockets_without_ipv6()))
			return err;
	}
	return 0;
}

int sockets_each(void (*visit)(void *ctx, __u8 proto, const struct addr *addr, __be16 port),
		 void *ctx)
{
	struct sockets_search tcp = { .proto = IPPROTO_TCP, .visit = visit, .ctx = ctx };
	struct sockets_search udp = { .proto = IPPROTO_UDP, .visit = visit, .ctx = ctx };

	return sockets_list_families(&tcp) ?: sockets_list_families(&udp);
}

int sockets_listening(void (*visit)(void *ctx, __u8 proto, const struct addr *addr, __be16 port),
		      void *ctx)
{
	struct sockets_search tcp = {
		.proto = IPPROTO_TCP, .listening = true, .visit = visit, .ctx = ctx
	};

	return sockets_list_families(&tcp);
}

int sockets_connected(const struct sockets_pair *pair, bool *connected)
{
	/* The kernel compares addresses, not families: it finds IPv4-mapped ones, too. */
	struct sockets_search search = { .family = (__u8)addr_family(&pair->remote),
					 .proto = pair->proto,
					 .one = pair,
					 .ctx = connected };
	int err;

	*connected = false;
	err = sockets_try_once(&search);
	return err == -ENOENT ? 0 : err;
}
