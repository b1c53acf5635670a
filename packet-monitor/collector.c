// SPDX-License-Identifier: GPL-2.0-only
#include "collector.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "addr.h"
#include "log.h"
#include "number.h"

#define COLLECTOR_PORT "4739"

/* Headers of IP and UDP; what every path carries in one piece. */
enum { OVER_IPV4 = 28, OVER_IPV6 = 48, PATH_IPV4 = 512, PATH_IPV6 = 1280 };

/* A connection that takes so long to make, or leaves data unacknowledged, is given up. */
enum { CONNECT_ATTEMPTS = 2, UNREAD_MS = 60000 };

static const char *collector_parse_host(struct collector_config *config, const char *text,
					size_t len)
{
	if (!len)
		return "names no host";
	if (len >= sizeof(config->host))
		return "names a host that is too long";
	memcpy(config->host, text, len);
	config->host[len] = '\0';
	if (strspn(config->host, "0123456789") == len)
		return "names no host: is it a port?";
	return NULL;
}

static const char *collector_parse_port(struct collector_config *config, const char *text)
{
	__u64 port;

	if (number_parse(text, 1, 65535, &port))
		return "has a port that is no number of 1 to 65535";
	snprintf(config->port, sizeof(config->port), "%llu", port);
	return NULL;
}

const char *collector_parse(struct collector_config *config, const char *text)
{
	const char *colon, *why;
	struct addr addr;

	*config = (struct collector_config){ .text = text, .port = COLLECTOR_PORT };
	if (!strncmp(text, "tcp:", 4) || !strncmp(text, "udp:", 4)) {
		config->tcp = *text == 't';
		text += 4;
	}
	if (*text == '[') {
		const char *end = strchr(text, ']');

		if (!end || (end[1] && end[1] != ':'))
			return "has a bracket that is not closed before the port";
		why = collector_parse_host(config, text + 1, (size_t)(end - text - 1));
		if (!why && !strchr(config->host, ':'))
			return "has something else than an IPv6 address in brackets";
		return why || !end[1] ? why : collector_parse_port(config, end + 2);
	}
	colon = strchr(text, ':');
	if (colon && strchr(colon + 1, ':')) {
		if (addr_parse(text, &addr))
			return "is neither HOST:PORT nor an IPv6 address ([ADDRESS]:PORT)";
		colon = NULL;
	}
	why = collector_parse_host(config, text, colon ? (size_t)(colon - text) : strlen(text));
	return why || !colon ? why : collector_parse_port(config, colon + 1);
}

int collector_find(struct collector *collector, const struct collector_config *config)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
				  .ai_socktype = config->tcp ? SOCK_STREAM : SOCK_DGRAM };
	struct addrinfo *found;
	int err;

	*collector = (struct collector){ .config = config, .fd = -1 };
	err = getaddrinfo(config->host, config->port, &hints, &found);
	if (err) {
		log_note("cannot find the collector %s: %s", config->host,
			 err == EAI_SYSTEM ? strerror(errno) : gai_strerror(err));
		return -EHOSTUNREACH;
	}
	memcpy(&collector->address, found->ai_addr, found->ai_addrlen);
	collector->address_len = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

static bool collector_is_ipv4(const struct collector *collector)
{
	return collector->address.ss_family == AF_INET;
}

static int collector_set(const struct collector *collector, int level, int option, int value)
{
	return setsockopt(collector->fd, level, option, &value, sizeof(value)) ? -errno : 0;
}

/* Ask how large a message may be. */
static void collector_measure(struct collector *collector)
{
	bool ipv4 = collector_is_ipv4(collector);
	int mtu, over = ipv4 ? OVER_IPV4 : OVER_IPV6;
	socklen_t len = sizeof(mtu);

	if (getsockopt(collector->fd, ipv4 ? IPPROTO_IP : IPPROTO_IPV6, ipv4 ? IP_MTU : IPV6_MTU,
		       &mtu, &len))
		mtu = ipv4 ? PATH_IPV4 : PATH_IPV6;
	if (mtu < PATH_IPV4) {
		/* No message is that small. */
		collector_set(collector, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
		mtu = PATH_IPV4;
	}
	collector->size = (size_t)(mtu - over);
	if (collector->size > COLLECTOR_MESSAGE_MAX)
		collector->size = COLLECTOR_MESSAGE_MAX;
}

/* No datagram is fragmented, and the kernel tells of each that does not arrive. */
static int collector_prepare_udp(struct collector *collector)
{
	if (collector_is_ipv4(collector))
		return collector_set(collector, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
			       ?: collector_set(collector, IPPROTO_IP, IP_RECVERR, 1);
	return collector_set(collector, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO)
		       ?: collector_set(collector, IPPROTO_IPV6, IPV6_RECVERR, 1);
}

static int collector_prepare_tcp(struct collector *collector)
{
	return collector_set(collector, IPPROTO_TCP, TCP_SYNCNT, CONNECT_ATTEMPTS)
		       ?: collector_set(collector, IPPROTO_TCP, TCP_USER_TIMEOUT, UNREAD_MS);
}

int collector_open(struct collector *collector)
{
	bool tcp = collector->config->tcp;
	int err;

	collector->written = 0;
	collector->rest = collector->rest_len = 0;
	collector->size = COLLECTOR_MESSAGE_MAX;
	collector->fd = socket(collector->address.ss_family,
			       (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (collector->fd < 0)
		return -errno;
	err = tcp ? collector_prepare_tcp(collector) : collector_prepare_udp(collector);
	if (!err &&
	    connect(collector->fd, (struct sockaddr *)&collector->address,
		    collector->address_len) &&
	    errno != EINPROGRESS)
		err = -errno;
	if (!err && !tcp)
		collector_measure(collector);
	return err;
}

void collector_close(struct collector *collector)
{
	if (collector->fd >= 0)
		close(collector->fd);
	collector->fd = -1;
}

/* Give the kernel what it had no room for. Return: 0, -EAGAIN or another negative errno. */
static int collector_send_rest(struct collector *collector)
{
	while (collector->rest < collector->rest_len) {
		ssize_t sent = send(collector->fd, collector->message + collector->rest,
				    collector->rest_len - collector->rest, MSG_NOSIGNAL);

		if (sent < 0)
			return -errno;
		collector->rest += (size_t)sent;
		collector->written += (__u64)sent;
	}
	return 0;
}

int collector_send(struct collector *collector, const __u8 *bytes, size_t len)
{
	ssize_t sent;
	int err;

	if (collector->fd < 0)
		return -ENOTCONN;
	err = collector_send_rest(collector);
	if (err)
		return err;
	sent = send(collector->fd, bytes, len, MSG_NOSIGNAL);
	if (sent < 0) {
		err = errno == ENOBUFS ? -EAGAIN : -errno;
		if (err == -EMSGSIZE)
			collector_measure(collector);
		return err;
	}
	collector->written += (__u64)sent;
	if ((size_t)sent < len) {
		memcpy(collector->message, bytes, len);
		collector->rest = (size_t)sent;
		collector->rest_len = len;
	}
	return 0;
}

__u64 collector_given(const struct collector *collector)
{
	return collector->written + collector->rest_len - collector->rest;
}

__u64 collector_taken(const struct collector *collector)
{
	int bytes;

	if (collector->fd < 0 || ioctl(collector->fd, SIOCOUTQ, &bytes))
		return 0;
	return collector->written - (__u64)bytes;
}

/* Of an error: what it was, and the beginning of the message that caused it. */
static int collector_read_error(struct collector *collector, __u8 *message, size_t *len)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(struct sock_extended_err) +
				     sizeof(struct sockaddr_in6))];
	} control;
	struct iovec iov = { .iov_base = message, .iov_len = *len };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t got = recvmsg(collector->fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT);
	int err = 0;

	if (got < 0)
		return 0;
	*len = (size_t)got;
	for (struct cmsghdr *at = CMSG_FIRSTHDR(&msg); at; at = CMSG_NXTHDR(&msg, at)) {
		struct sock_extended_err said;

		if ((at->cmsg_level != IPPROTO_IP || at->cmsg_type != IP_RECVERR) &&
		    (at->cmsg_level != IPPROTO_IPV6 || at->cmsg_type != IPV6_RECVERR))
			continue;
		memcpy(&said, CMSG_DATA(at), sizeof(said));
		err = -(int)said.ee_errno;
	}
	return err;
}

int collector_error(struct collector *collector, __u32 *sequence, bool *known)
{
	__u8 bytes[1024];
	size_t len = sizeof(bytes);
	ssize_t got;
	int err = 0;

	*known = false;
	if (collector->fd < 0)
		return 0;
	if (!collector->config->tcp)
		err = collector_read_error(collector, bytes, &len);
	if (err) {
		__be32 number;

		*known = len >= 12 && bytes[0] == 0 && bytes[1] == 10;
		memcpy(&number, bytes + 8, sizeof(number));
		*sequence = ntohl(number);
		if (err == -EMSGSIZE)
			collector_measure(collector);
		return err;
	}
	/* A collector says nothing, but may end the connection. */
	got = recv(collector->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)))
		return 0;
	if (got < 0)
		return -errno;
	return collector->config->tcp ? -ECONNRESET : 0;
}
