// SPDX-License-Identifier: GPL-2.0-only
#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "netns.h"

enum { MANY = 5000, ROOM = MANY + 100 };

/* --- what sockets_each() tells --- */

static struct told {
	__u8 proto;
	struct addr addr;
	__be16 port;
} told[ROOM];
static int n_told; /* may be more than there is room for */

static void sockets_test_note(void *ctx, __u8 proto, const struct addr *addr, __be16 port)
{
	if (n_told < ROOM)
		((struct told *)ctx)[n_told] = (struct told){ proto, *addr, port };
	n_told++;
}

static int sockets_test_ask(void)
{
	n_told = 0;
	return sockets_each(sockets_test_note, told);
}

static struct addr sockets_test_addr(const char *text)
{
	struct addr addr = { 0 };

	if (addr_parse(text, &addr))
		abort();
	return addr;
}

/* How often a socket with this far end was told of; port in host byte order. */
static int times(__u8 proto, const char *text, int port)
{
	struct addr addr = sockets_test_addr(text);
	int count = 0;

	for (int i = 0; i < n_told && i < ROOM; i++)
		count += told[i].proto == proto && addr_equal(&told[i].addr, &addr) &&
			 told[i].port == htons((__u16)port);
	return count;
}

/*
 * --- answers that are not those of the kernel ---
 *
 * The module's send() and recv() are these: what the kernel says is altered on the way.
 */

static struct {
	/* In the dump of this family and protocol; family 0: in none. */
	__u8 family;
	__u8 proto;
	int left;  /* so many calls of recv() */
	int error; /* fail with this errno, before anything is received; or */
	void (*alter)(struct nlmsghdr *msg, ssize_t *got); /* do this to what was received */
	bool now;					   /* the dump under way is meant */
	int dumps;					   /* requests sent */
} fault;

ssize_t send(int fd, const void *buf, size_t size, int flags)
{
	const struct inet_diag_req_v2 *req = NLMSG_DATA((const struct nlmsghdr *)buf);

	fault.now = req->sdiag_family == fault.family && req->sdiag_protocol == fault.proto;
	fault.dumps++;
	return sendto(fd, buf, size, flags, NULL, 0);
}

ssize_t recv(int fd, void *buf, size_t size, int flags)
{
	bool hit = fault.now && fault.left > 0;
	ssize_t got;

	fault.left -= hit;
	if (hit && fault.error) {
		errno = fault.error;
		return -1;
	}
	got = recvfrom(fd, buf, size, flags, NULL, NULL);
	if (hit)
		fault.alter(buf, &got);
	return got;
}

static int ask_with_fault(__u8 family, __u8 proto, int left,
			  void (*alter)(struct nlmsghdr *msg, ssize_t *got))
{
	int err;

	fault.family = family;
	fault.proto = proto;
	fault.left = left;
	fault.alter = alter;
	fault.dumps = 0;
	err = sockets_test_ask();
	fault.family = 0;
	return err;
}

static int ask_with_error(__u8 family, __u8 proto, int left, int error)
{
	int err;

	fault.error = error;
	err = ask_with_fault(family, proto, left, NULL);
	fault.error = 0;
	return err;
}

static void say(struct nlmsghdr *msg, ssize_t *got, __u16 type, int code, size_t len)
{
	msg->nlmsg_type = type;
	msg->nlmsg_flags = 0;
	msg->nlmsg_len = (__u32)NLMSG_LENGTH(len);
	memset(NLMSG_DATA(msg), 0, len);
	memcpy(NLMSG_DATA(msg), &code, len < sizeof(code) ? len : sizeof(code));
	*got = NLMSG_ALIGN(msg->nlmsg_len);
}

static void sockets_test_refuse(struct nlmsghdr *msg, ssize_t *got)
{
	say(msg, got, NLMSG_ERROR, -EOPNOTSUPP, sizeof(struct nlmsgerr));
}

static void end_with_error(struct nlmsghdr *msg, ssize_t *got)
{
	say(msg, got, NLMSG_DONE, -ENOENT, sizeof(int));
}

static void end_without_code(struct nlmsghdr *msg, ssize_t *got)
{
	say(msg, got, NLMSG_DONE, 0, 0);
}

static void acknowledge(struct nlmsghdr *msg, ssize_t *got)
{
	say(msg, got, NLMSG_ERROR, 0, sizeof(struct nlmsgerr));
}

static void overrun(struct nlmsghdr *msg, ssize_t *got)
{
	say(msg, got, NLMSG_OVERRUN, 0, sizeof(int));
}

static void say_too_little(struct nlmsghdr *msg, ssize_t *got)
{
	say(msg, got, SOCK_DIAG_BY_FAMILY, 0, sizeof(struct inet_diag_msg) - 1);
}

static void interrupt_dump(struct nlmsghdr *msg, ssize_t *got)
{
	(void)got;
	msg->nlmsg_flags |= NLM_F_DUMP_INTR;
}

static void cut_off(struct nlmsghdr *msg, ssize_t *got)
{
	(void)msg;
	*got = 100000;
}

static void cut_short(struct nlmsghdr *msg, ssize_t *got)
{
	(void)msg;
	*got -= 1;
}

static void say_nothing(struct nlmsghdr *msg, ssize_t *got)
{
	(void)msg;
	*got = 0;
}

/* --- sockets --- */

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static union address address_of(const char *text, int port)
{
	union address addr = { .in.sin_family = AF_INET };

	if (strchr(text, ':')) {
		addr.in6.sin6_family = AF_INET6;
		addr.in6.sin6_port = htons((__u16)port);
		inet_pton(AF_INET6, text, &addr.in6.sin6_addr);
	} else {
		addr.in.sin_port = htons((__u16)port);
		inet_pton(AF_INET, text, &addr.in.sin_addr);
	}
	return addr;
}

/* The test is over if what it needs cannot be had. */
static int need(int result, const char *what)
{
	if (result < 0) {
		printf("FAIL set-up: %s: %s\n", what, strerror(errno));
		exit(EXIT_FAILURE);
	}
	return result;
}

static int connected(int type, const char *text, int port)
{
	union address addr = address_of(text, port);
	int fd = need(socket(addr.any.sa_family, type | SOCK_CLOEXEC, 0), "socket");

	need(connect(fd, &addr.any, sizeof(addr)), text);
	return fd;
}

/* A listening socket whose connections can wait as TCP_SYN_RECV for 60 s of silence. */
static int listening(const char *text, bool defer, int *port)
{
	union address addr = address_of(text, 0);
	int fd = need(socket(addr.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
	int off = 0, patience = 60;
	socklen_t len = sizeof(addr);

	if (addr.any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (defer)
		setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &patience, sizeof(patience));
	need(bind(fd, &addr.any, sizeof(addr)), "bind");
	need(listen(fd, 0), "listen");
	need(getsockname(fd, &addr.any, &len), "getsockname");
	/* The port is at the same place in both families. */
	*port = ntohs(addr.in.sin_port);
	return fd;
}

static int port_of(int fd)
{
	union address addr = { 0 };
	socklen_t len = sizeof(addr);

	need(getsockname(fd, &addr.any, &len), "getsockname");
	return ntohs(addr.in.sin_port);
}

static void close_all(int *fds, int n)
{
	for (int i = 0; i < n; i++)
		close(fds[i]);
}

static void wait_until(int fd, short events)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };

	need(poll(&poll_fd, 1, 5000) == 1 ? 0 : -1, "poll");
}

/* --- the tests --- */

/* A namespace of its own whose lo is up, whatever the one is in which the test was started. */
static void enter_namespace(void)
{
	need(unshare(CLONE_NEWNET), "unshare");
	run("ip link set lo up");
}

static void test_namespace(void)
{
	int fd;

	enter_namespace();
	CHECK(!sockets_test_ask() && n_told == 0, "nothing in an empty namespace");
	fd = connected(SOCK_DGRAM, "127.0.0.1", 7);
	CHECK(!sockets_test_ask() && n_told == 1, "one socket");
	enter_namespace();
	CHECK(!sockets_test_ask() && n_told == 0, "none of another namespace");
	close(fd);
}

/* Whether the kernel has the TCP socket @addr:@lport that talks to @addr:@rport. */
static bool have_pair(const char *addr, int lport, int rport)
{
	const struct sockets_pair pair = { .local = sockets_test_addr(addr),
					   .remote = sockets_test_addr(addr),
					   .lport = htons((__u16)lport),
					   .rport = htons((__u16)rport),
					   .proto = IPPROTO_TCP };
	bool connected;

	return need(sockets_connected(&pair, &connected), "ask for one") == 0 && connected;
}

/* What is told of a connection to "::ffff:a.b.c.d": the address without that. */
static const char *sockets_test_told(const char *address)
{
	const char mapped[] = "::ffff:";

	return address + (strncmp(address, mapped, strlen(mapped)) ? 0 : strlen(mapped));
}

static void test_connection(const char *listen_on, const char *address, const char *what)
{
	const char *end = sockets_test_told(address);
	int fds[3], port, peer;

	fds[0] = listening(listen_on, false, &port);
	CHECK(!sockets_test_ask() && n_told == 0, "%s: no listening socket", what);
	n_told = 0;
	CHECK(!sockets_listening(sockets_test_note, told) && n_told == 1 &&
		      times(IPPROTO_TCP, listen_on, port) == 1,
	      "%s: the listening socket, if asked for", what);
	fds[1] = connected(SOCK_STREAM, address, port);
	fds[2] = need(accept4(fds[0], NULL, NULL, SOCK_CLOEXEC), "accept");
	peer = port_of(fds[1]);
	CHECK_EQ(sockets_test_ask(), 0, "%s: no error", what);
	CHECK_EQ(times(IPPROTO_TCP, end, port), 1, "%s: the end that connected", what);
	CHECK_EQ(times(IPPROTO_TCP, end, peer), 1, "%s: the end that accepted", what);
	CHECK_EQ(n_told, 2, "%s: nothing else", what);
	n_told = 0;
	CHECK(!sockets_listening(sockets_test_note, told) && n_told == 1,
	      "%s: connected sockets do not listen", what);
	CHECK(have_pair(end, peer, port), "%s: asked for, the end that connected", what);
	CHECK(have_pair(end, port, peer), "%s: asked for, the end that accepted", what);
	CHECK(!have_pair(end, port, peer + 1), "%s: another port is not connected", what);
	close_all(fds, 3);
}

static int sockets_test_tcp_state(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	need(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), "TCP_INFO");
	return info.tcpi_state;
}

/* The same addresses. */
static void test_closing(const char *listen_on, const char *address, const char *what)
{
	const char *end = sockets_test_told(address);
	int port, peer, tries = 0;
	int listener = listening(listen_on, false, &port);
	int client = connected(SOCK_STREAM, address, port);
	int server = need(accept4(listener, NULL, NULL, SOCK_CLOEXEC), "accept");
	char byte;

	peer = port_of(client);
	close(client);
	need(read(server, &byte, 1) == 0 ? 0 : -1, "end of file");
	CHECK(!sockets_test_ask() && n_told == 2 && times(IPPROTO_TCP, end, port) == 1 &&
		      times(IPPROTO_TCP, end, peer) == 1,
	      "%s: FIN_WAIT2 and CLOSE_WAIT", what);
	shutdown(server, SHUT_WR);
	while (sockets_test_tcp_state(server) != TCP_CLOSE && tries++ < 1000)
		poll(NULL, 0, 5);
	CHECK(!sockets_test_ask() && n_told == 0, "%s: neither TIME_WAIT nor CLOSE", what);
	CHECK(!have_pair(end, peer, port), "%s: asked for, TIME_WAIT is not connected", what);
	close(server);
	close(listener);
}

static void test_opening(void)
{
	int fds[4], port, peer, tries = 0;
	union address addr;

	/* A queue that is full with one makes the kernel ignore the next SYN. */
	fds[0] = listening("127.0.0.1", false, &port);
	fds[1] = connected(SOCK_STREAM, "127.0.0.1", port);
	wait_until(fds[0], POLLIN);
	fds[2] = need(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
	addr = address_of("127.0.0.1", port);
	CHECK(connect(fds[2], &addr.any, sizeof(addr)) && errno == EINPROGRESS &&
		      sockets_test_tcp_state(fds[2]) == TCP_SYN_SENT,
	      "opening: a socket in SYN_SENT");
	CHECK(!sockets_test_ask() && n_told == 3 && times(IPPROTO_TCP, "127.0.0.1", port) == 2,
	      "opening: SYN_SENT");
	fds[3] = need(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
	addr = address_of("127.0.0.1", 0);
	need(bind(fds[3], &addr.any, sizeof(addr)), "bind");
	CHECK(!sockets_test_ask() && n_told == 3, "opening: no socket that is only bound");
	close_all(fds, 4);

	/* The end that connected says nothing, so that the other one never becomes a socket. */
	fds[0] = listening("127.0.0.1", true, &port);
	fds[1] = connected(SOCK_STREAM, "127.0.0.1", port);
	peer = port_of(fds[1]);
	while (!sockets_test_ask() && !times(IPPROTO_TCP, "127.0.0.1", peer) && tries++ < 1000)
		poll(NULL, 0, 5);
	CHECK_EQ(times(IPPROTO_TCP, "127.0.0.1", peer), 1, "opening: SYN_RECV");
	close_all(fds, 2);
}

static void test_udp(void)
{
	union address unspec = { .any.sa_family = AF_UNSPEC };
	int fds[2];

	fds[0] = connected(SOCK_DGRAM, "127.0.0.2", 1234);
	fds[1] = connected(SOCK_DGRAM, "127.0.0.3", 4321);
	CHECK(!sockets_test_ask() && n_told == 2 && times(IPPROTO_UDP, "127.0.0.2", 1234) == 1 &&
		      times(IPPROTO_UDP, "127.0.0.3", 4321) == 1,
	      "udp: connected");
	need(connect(fds[1], &unspec.any, sizeof(unspec)), "disconnect");
	CHECK(!sockets_test_ask() && n_told == 1 && times(IPPROTO_UDP, "127.0.0.2", 1234) == 1,
	      "udp: not connected any more");
	close_all(fds, 2);
	fds[0] = need(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
	unspec = address_of("127.0.0.1", 0);
	need(bind(fds[0], &unspec.any, sizeof(unspec)), "bind");
	CHECK(!sockets_test_ask() && n_told == 0, "udp: never connected");
	close(fds[0]);
}

static bool have_ipv6(void)
{
	union address addr = address_of("::1", 0);
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool have = fd >= 0 && !bind(fd, &addr.any, sizeof(addr));

	close(fd);
	return have;
}

static void test_ipv6(void)
{
	int fds[1];

	if (!have_ipv6()) {
		check_skip("ipv6", "there is no ::1");
		return;
	}
	test_connection("::", "::ffff:127.0.0.1", "ipv6");
	enter_namespace();
	test_closing("::", "::ffff:127.0.0.1", "ipv6");

	enter_namespace();
	test_connection("::1", "::1", "ipv6 alone");
	enter_namespace();
	fds[0] = connected(SOCK_DGRAM, "::ffff:127.0.0.9", 1234);
	CHECK(!sockets_test_ask() && n_told == 1 && times(IPPROTO_UDP, "127.0.0.9", 1234) == 1,
	      "ipv6: udp to a mapped address");
	close(fds[0]);
}

static void raise_limit(rlim_t files)
{
	struct rlimit limit = { 0 };

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= files)
		return;
	limit.rlim_cur = files;
	if (limit.rlim_max < files)
		limit.rlim_max = files;
	need(setrlimit(RLIMIT_NOFILE, &limit), "RLIMIT_NOFILE");
}

static void test_many(void)
{
	static int fds[MANY];
	static int seen[MANY];
	const struct addr addr = sockets_test_addr("127.0.0.1");

	enter_namespace();
	raise_limit(ROOM);
	for (int i = 0; i < MANY; i++)
		fds[i] = connected(SOCK_DGRAM, "127.0.0.1", 10000 + i);
	CHECK_EQ(sockets_test_ask(), 0, "many: no error");
	CHECK_EQ(n_told, MANY, "many: none left out, none twice");
	for (int i = 0; i < n_told && i < ROOM; i++) {
		int which = ntohs(told[i].port) - 10000;

		if (told[i].proto == IPPROTO_UDP && addr_equal(&told[i].addr, &addr) &&
		    which >= 0 && which < MANY)
			seen[which]++;
	}
	check_begin("many: each exactly once");
	for (int i = 0; i < MANY; i++)
		EXPECT(seen[i] == 1, "port %d: %d times", 10000 + i, seen[i]);
	check_end();
	close_all(fds, MANY);
}

static void test_faults(void)
{
	int fd = connected(SOCK_DGRAM, "127.0.0.1", 7);

	CHECK_EQ(ask_with_fault(AF_INET, IPPROTO_TCP, 1, sockets_test_refuse), -EOPNOTSUPP,
		 "refused");
	CHECK_EQ(ask_with_fault(AF_INET, IPPROTO_UDP, 1, end_with_error), -ENOENT,
		 "no module for UDP");
	CHECK_EQ(ask_with_fault(AF_INET, IPPROTO_TCP, 1, acknowledge), -EPROTO,
		 "an acknowledgement nobody asked for");
	CHECK_EQ(ask_with_fault(AF_INET, IPPROTO_TCP, 1, say_too_little), -EPROTO,
		 "too short a message");
	CHECK_EQ(ask_with_fault(AF_INET, IPPROTO_UDP, 1, cut_short), -EPROTO,
		 "a message that is longer than the datagram");
	CHECK_EQ(ask_with_fault(AF_INET, IPPROTO_UDP, 1, say_nothing), -EPROTO,
		 "an empty datagram");
	CHECK_EQ(ask_with_fault(AF_INET, IPPROTO_UDP, 1, cut_off), -EMSGSIZE,
		 "a datagram longer than the buffer");
	CHECK_EQ(ask_with_error(AF_INET, IPPROTO_UDP, 1, EAGAIN), -ETIMEDOUT, "no answer");
	CHECK(!ask_with_fault(AF_INET, IPPROTO_TCP, 1, end_without_code) && n_told == 1,
	      "an end that does not say how");
	CHECK(!ask_with_error(AF_INET, IPPROTO_UDP, 3, EINTR) && n_told == 1 && fault.left == 0 &&
		      fault.dumps == 4,
	      "a signal is no error");
	CHECK(!ask_with_fault(AF_INET, IPPROTO_UDP, 1, interrupt_dump) && n_told == 1 &&
		      fault.dumps == 5,
	      "an interrupted list is asked for again");
	CHECK_EQ(ask_with_fault(AF_INET, IPPROTO_UDP, 1000, interrupt_dump), -EAGAIN,
		 "a list that is interrupted each time");
	CHECK(!ask_with_error(AF_INET, IPPROTO_UDP, 2, ENOBUFS) && n_told == 1 && fault.dumps == 6,
	      "a list that broke off is asked for again");
	CHECK_EQ(ask_with_error(AF_INET, IPPROTO_UDP, 1000, ENOBUFS), -ENOBUFS,
		 "a list that breaks off each time");
	CHECK_EQ(ask_with_fault(AF_INET, IPPROTO_UDP, 1000, overrun), -ENOBUFS, "overrun");
	CHECK(!sockets_test_ask() && n_told == 1, "no harm done");
	close(fd);
}

/* A kernel without IPv6 is one that shows no if_inet6; last, for it hides a part of /proc. */
static void test_without_ipv6(void)
{
	int fd;

	if (!access("/proc/self/net/if_inet6", F_OK))
		CHECK_EQ(ask_with_fault(AF_INET6, IPPROTO_TCP, 1, end_with_error), -ENOENT,
			 "no module for IPv6");
	need(unshare(CLONE_NEWNS), "unshare");
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private mounts");
	if (mount("none", "/proc/self/net", "tmpfs", 0, NULL)) {
		check_skip("without IPv6", "cannot mount over /proc/self/net");
		return;
	}
	CHECK_EQ(ask_with_fault(AF_INET6, IPPROTO_TCP, 1, end_with_error), -ENOENT,
		 "IPv6 may be there where /proc does not tell");
	fd = need(open("/proc/self/net/dev", O_CREAT | O_WRONLY | O_CLOEXEC, 0600), "a file");
	close(fd);
	CHECK_EQ(ask_with_fault(AF_INET6, IPPROTO_TCP, 1, end_with_error), 0,
		 "without IPv6 nobody misses its module");
	CHECK_EQ(ask_with_fault(AF_INET, IPPROTO_TCP, 1, end_with_error), -ENOENT,
		 "without IPv6 that of IPv4 is missed all the same");
}

int main(void)
{
	if (geteuid())
		return check_skip("all", "needs root");
	RUN(test_namespace);
	enter_namespace();
	RUN(test_connection, "127.0.0.1", "127.0.0.1", "tcp");
	enter_namespace();
	RUN(test_closing, "127.0.0.1", "127.0.0.1", "closing");
	enter_namespace();
	RUN(test_opening);
	enter_namespace();
	RUN(test_udp);
	RUN(test_ipv6);
	RUN(test_many);
	RUN(test_faults);
	RUN(test_without_ipv6);
	return check_exit();
}
