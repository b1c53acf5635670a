// SPDX-License-Identifier: GPL-2.0-only
/*
 * Traffic for tests, many times faster than a shell makes it:
 *
 *	proxy-traffic serve PORT                answer TCP connections and UDP datagrams
 *	proxy-traffic connect ADDR PORT N       N connections: open, a byte each way, close
 *	proxy-traffic datagrams ADDR PORT N     N datagrams of 1 to 1472 bytes and their echoes
 *	proxy-traffic flows ADDR PORT N         N UDP flows of one datagram each, no echo needed;
 *						each 60000 go to the next higher port
 *
 * ADDR is an IPv4 or an IPv6 address. All sockets are of IPv6: to it, the IPv4 address a.b.c.d is
 * ::ffff:a.b.c.d (RFC 4291, 2.5.5.2).
 *
 * The clients print what went wrong, if anything, and exit with 1 then.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SIZE_MAX_UDP = 1472, PATIENCE_MS = 5000 };

static void __attribute__((noreturn)) traffic_die(const char *what, long number)
{
	fprintf(stderr, "proxy-traffic: %s (%ld): %s\n", what, number, strerror(errno));
	exit(1);
}

static struct sockaddr_in6 address(const char *addr, const char *port)
{
	struct sockaddr_in6 sin = { .sin6_family = AF_INET6,
				    .sin6_port = htons((unsigned short)atoi(port)) };
	char text[INET6_ADDRSTRLEN];

	snprintf(text, sizeof(text), "%s%s", strchr(addr, ':') ? "" : "::ffff:", addr);
	if (inet_pton(AF_INET6, text, &sin.sin6_addr) != 1)
		traffic_die("not an address", 0);
	return sin;
}

static int new_socket(int type)
{
	int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		traffic_die("socket", type);
	return fd;
}

/* An answer that does not come within the time is a failure. */
static ssize_t traffic_receive(int fd, char *buf, size_t size, long number)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	ssize_t got;

	errno = ETIMEDOUT;
	if (poll(&poller, 1, PATIENCE_MS) != 1)
		traffic_die("no answer", number);
	got = recv(fd, buf, size, 0);
	if (got < 0)
		traffic_die("receive", number);
	return got;
}

static void serve_connection(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	char byte;

	if (fd < 0)
		return;
	if (poll(&poller, 1, PATIENCE_MS) == 1 && recv(fd, &byte, 1, 0) == 1) {
		byte++;
		send(fd, &byte, 1, MSG_NOSIGNAL);
		/* The client closes first, as most do, and keeps the port in TIME-WAIT. */
		if (poll(&poller, 1, PATIENCE_MS) == 1)
			recv(fd, &byte, 1, 0);
	}
	close(fd);
}

static void serve_datagram(int fd)
{
	char buf[SIZE_MAX_UDP];
	struct sockaddr_in6 from;
	socklen_t len = sizeof(from);
	ssize_t got = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);

	if (got >= 0)
		sendto(fd, buf, (size_t)got, 0, (struct sockaddr *)&from, len);
}

static void traffic_serve(const char *port)
{
	struct sockaddr_in6 any = address("::", port);
	int tcp = new_socket(SOCK_STREAM), udp = new_socket(SOCK_DGRAM), one = 1;
	struct pollfd pollers[] = { { .fd = tcp, .events = POLLIN },
				    { .fd = udp, .events = POLLIN } };

	setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(tcp, (struct sockaddr *)&any, sizeof(any)) || listen(tcp, 1024))
		traffic_die("listen", 0);
	if (bind(udp, (struct sockaddr *)&any, sizeof(any)))
		traffic_die("bind", 0);
	while (poll(pollers, 2, -1) > 0) {
		if (pollers[0].revents)
			serve_connection(tcp);
		if (pollers[1].revents)
			serve_datagram(udp);
	}
}

static void connections(const struct sockaddr_in6 *to, long count)
{
	for (long i = 0; i < count; i++) {
		int fd = new_socket(SOCK_STREAM);
		char byte = (char)i;

		if (connect(fd, (const struct sockaddr *)to, sizeof(*to)))
			traffic_die("connect", i);
		if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
			traffic_die("send", i);
		if (traffic_receive(fd, &byte, 1, i) != 1 || byte != (char)(i + 1))
			traffic_die("wrong answer", i);
		close(fd);
	}
}

/* Each datagram has a content of its own. */
static size_t fill(char *buf, long number)
{
	size_t size = (size_t)(number % SIZE_MAX_UDP) + 1;

	for (size_t i = 0; i < size; i++)
		buf[i] = (char)((size_t)number * 31 + i * 7 + (i >> 8));
	return size;
}

static void datagrams(const struct sockaddr_in6 *to, long count)
{
	char sent[SIZE_MAX_UDP], got[SIZE_MAX_UDP + 1];
	int fd = new_socket(SOCK_DGRAM);

	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)))
		traffic_die("connect", 0);
	for (long i = 0; i < count; i++) {
		size_t size = fill(sent, i);

		if (send(fd, sent, size, 0) != (ssize_t)size)
			traffic_die("send", i);
		if (traffic_receive(fd, got, sizeof(got), i) != (ssize_t)size ||
		    memcmp(sent, got, size))
			traffic_die("another datagram than was sent", i);
	}
}

static void traffic_flows(struct sockaddr_in6 to, long count)
{
	enum { PORTS = 60000 };
	unsigned short first = ntohs(to.sin6_port);

	for (long i = 0; i < count; i++) {
		struct sockaddr_in6 from = {
			.sin6_family = AF_INET6,
			.sin6_port = htons((unsigned short)(1024 + i % PORTS)),
		};
		int fd = new_socket(SOCK_DGRAM);

		to.sin6_port = htons((unsigned short)(first + i / PORTS));
		if (bind(fd, (struct sockaddr *)&from, sizeof(from)) ||
		    sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) != 1)
			traffic_die("send", i);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in6 to;

	if (argc == 3 && !strcmp(argv[1], "serve")) {
		traffic_serve(argv[2]);
		return 1;
	}
	if (argc != 5) {
		fputs("see the head of proxy-traffic.c\n", stderr);
		return 2;
	}
	to = address(argv[2], argv[3]);
	if (!strcmp(argv[1], "connect"))
		connections(&to, atol(argv[4]));
	else if (!strcmp(argv[1], "datagrams"))
		datagrams(&to, atol(argv[4]));
	else
		traffic_flows(to, atol(argv[4]));
	return 0;
}
