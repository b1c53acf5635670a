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

enum {
	/* The kernel makes the datagrams of a dump as long as the buffer, up to this. */
	BUFFER_SIZE = 32768,
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
struct dump {
	__u8 family;
	__u8 proto;
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

static int sockets_request(int fd, const struct dump *dump)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 body;
	} req = {
		.header = { .nlmsg_len = sizeof(req),
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST | (dump->one ? 0 : NLM_F_DUMP) },
		.body = { .sdiag_family = dump->family,
			  .sdiag_protocol = dump->proto,
			  .idiag_states = STATES,
			  .id = { .idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } } },
	};
	ssize_t sent;

	if (dump->one) {
		sockets_set_addr(req.body.id.idiag_src, &dump->one->local);
		req.body.id.idiag_sport = dump->one->lport;
		sockets_set_addr(req.body.id.idiag_dst, &dump->one->remote);
		req.body.id.idiag_dport = dump->one->rport;
	}

	do
		sent = send(fd, &req, sizeof(req), 0);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* Return: the length of the next datagram, or a negative errno. */
static ssize_t sockets_receive(int fd, void *buf, size_t size)
{
	ssize_t got;

	do
		got = recv(fd, buf, size, MSG_TRUNC);
	while (got < 0 && errno == EINTR);
	/* -EAGAIN is for what another try may mend. */
	if (got < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return (size_t)got > size ? -EMSGSIZE : got;
}

static int sockets_visit(const struct dump *dump, const struct nlmsghdr *msg)
{
	const struct inet_diag_msg *info = NLMSG_DATA(msg);
	struct addr remote;

	if (msg->nlmsg_len < NLMSG_LENGTH(sizeof(*info)))
		return -EPROTO;
	if (dump->one) {
		*(bool *)dump->ctx = 1 << info->idiag_state & STATES;
		return 1;
	}
	remote = addr_from(info->id.idiag_dst, info->idiag_family == AF_INET ? 4 : 16);
	dump->visit(dump->ctx, dump->proto, &remote, info->id.idiag_dport);
	return 0;
}

/* The number that NLMSG_ERROR and NLMSG_DONE begin with; 0 if it is missing. */
static int sockets_code_of(const struct nlmsghdr *msg)
{
	int code = 0;

	if (msg->nlmsg_len >= NLMSG_LENGTH(sizeof(code)))
		memcpy(&code, NLMSG_DATA(msg), sizeof(code));
	return code;
}

/* Return: 0 if more follow, 1 if this was the last one, or a negative errno. */
static int sockets_handle_message(const struct dump *dump, const struct nlmsghdr *msg)
{
	int code = sockets_code_of(msg);

	/*
	 * The list changed in a way that may have made the kernel leave some out. Today's sock_diag
	 * does not tell; should it learn to, half a list must not pass for a whole one.
	 */
	if (msg->nlmsg_flags & NLM_F_DUMP_INTR)
		return -EAGAIN;
	switch (msg->nlmsg_type) {
	case SOCK_DIAG_BY_FAMILY:
		return sockets_visit(dump, msg);
	case NLMSG_DONE:
		/* This is how recent kernels say that the module for the protocol is missing. */
		return code < 0 ? code : 1;
	case NLMSG_ERROR:
		return code < 0 ? code : -EPROTO;
	case NLMSG_OVERRUN:
		return -ENOBUFS;
	default:
		return 0;
	}
}

/* Return: as of sockets_handle_message(). */
static int sockets_handle_datagram(const struct dump *dump, const char *buf, ssize_t len)
{
	const struct nlmsghdr *msg = (const void *)buf;
	int status = 0;

	if (len == 0)
		return -EPROTO;
	/* Without the padding of the last message, len ends below 0. */
	while (len > 0 && !status) {
		if (!NLMSG_OK(msg, (size_t)len))
			return -EPROTO;
		status = sockets_handle_message(dump, msg);
		len -= NLMSG_ALIGN(msg->nlmsg_len);
		msg = (const void *)((const char *)msg + NLMSG_ALIGN(msg->nlmsg_len));
	}
	return status;
}

/* Return: as of sockets_handle_message(), but never 0. */
static int sockets_talk(int fd, const struct dump *dump)
{
	char buf[BUFFER_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	/* The kernel answers at once; this bounds the wait for an answer that was lost. */
	struct timeval patience = { .tv_sec = 2 };
	int status;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		return -errno;
	status = sockets_request(fd, dump);
	while (!status) {
		ssize_t got = sockets_receive(fd, buf, sizeof(buf));

		status = got < 0 ? (int)got : sockets_handle_datagram(dump, buf, got);
	}
	return status;
}

/* A socket for each try: what is left of a dump that broke off, or still runs, goes with it. */
static int sockets_try_once(const struct dump *dump)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	int status;

	if (fd < 0)
		return -errno;
	status = sockets_talk(fd, dump);
	close(fd);
	return status < 0 ? status : 0;
}

/* Again if the list has holes; not for ever, since a busy host may interrupt each. */
static int sockets_list(const struct dump *dump)
{
	int err, tries = 0;

	do
		err = sockets_try_once(dump);
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

int sockets_each(void (*visit)(void *ctx, __u8 proto, const struct addr *addr, __be16 port),
		 void *ctx)
{
	static const __u8 families[] = { AF_INET, AF_INET6 };
	static const __u8 protos[] = { IPPROTO_TCP, IPPROTO_UDP };

	for (int i = 0; i < 4; i++) {
		struct dump dump = { .family = families[i / 2],
				     .proto = protos[i % 2],
				     .visit = visit,
				     .ctx = ctx };
		int err = sockets_list(&dump);

		if (err && !(dump.family == AF_INET6 && sockets_without_ipv6()))
			return err;
	}
	return 0;
}

int sockets_connected(const struct sockets_pair *pair, bool *connected)
{
	/* The kernel compares addresses, not families: it finds IPv4-mapped ones, too. */
	const struct dump dump = { .family = (__u8)addr_family(&pair->remote),
				   .proto = pair->proto,
				   .one = pair,
				   .ctx = connected };
	int err;

	*connected = false;
	err = sockets_try_once(&dump);
	return err == -ENOENT ? 0 : err;
}
