// SPDX-License-Identifier: GPL-2.0-only
/*
 * Traffic between two network namespaces, and what it costs.
 *
 * Both ends live in one process, with a socket in either namespace: over veth the kernel carries a
 * packet from the sender's system call to the receiver's socket on the sender's own CPU time. So,
 * without a wake-up, an idle CPU or a second core in the measurement, the CPU time of this process,
 * of ksoftirqd (which takes over when the softirqs of a CPU pile up) and of the tools named by -p
 * is the whole cost of the path.
 *
 *   udp   small datagrams, in bursts, from -f source addresses (flows), in random order
 *   crr   TCP: connect, one byte each way, close
 *   rr    TCP: one byte each way on one connection; latency of each exchange
 *   bulk  TCP: as much as fits into -d seconds
 *   crr2, rr2, bulk2: the same with the server as a thread on the next CPU, and the wake-ups of
 *	   practice
 *
 * Prints one JSON object.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/types.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "die.h"

enum {
	BURST = 32,
	UDP_PAYLOAD = 18, /* the smallest Ethernet frame: 60 bytes without FCS */
	UDP_SOURCE =
		40000, /* the same in each run, so that one run's flows are known to the next */
	BULK_WRITE = 128 << 10,
	TCP_WINDOW = 2 << 20,
	MAX_TOOLS = 16,
};

/* An address and a port of either family. */
union end {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct bench_options {
	const char *client_ns;
	const char *server_ns;
	union end dest;		  /* where the client sends to */
	union end local;	  /* where the server listens */
	struct in_addr flow_base; /* first of the source addresses when there are several flows */
	__u32 flows;
	__u32 count;
	double duration;
	int cpu;
	pid_t tools[MAX_TOOLS];
	int nr_tools;
};

/* CPU time of everything that works for the path, and the time on the wall. */
struct cost {
	__u64 cpu_ns;
	__u64 tool_ns;
	__u64 wall_ns;
};

static __u64 bench_clock_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		die("cannot read a clock");
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static __u64 ksoftirqd_ns(void)
{
	static pid_t pids[256];
	static int nr = -1;
	__u64 sum = 0;

	if (nr < 0) {
		DIR *proc = opendir("/proc");
		struct dirent *entry;

		nr = 0;
		while (proc && (entry = readdir(proc))) {
			char path[300], comm[16] = "";
			FILE *file;

			snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
			file = fopen(path, "r");
			if (!file)
				continue;
			if (fgets(comm, sizeof(comm), file) && !strncmp(comm, "ksoftirqd/", 10) &&
			    nr < (int)(sizeof(pids) / sizeof(pids[0])))
				pids[nr++] = (int)strtoul(entry->d_name, NULL, 10);
			fclose(file);
		}
		if (proc)
			closedir(proc);
	}
	for (int i = 0; i < nr; i++) {
		char path[64], line[128];
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/schedstat", pids[i]);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fgets(line, sizeof(line), file))
			sum += strtoull(line, NULL, 10);
		fclose(file);
	}
	return sum;
}

static struct cost cost_now(const struct bench_options *opt)
{
	struct cost now = { 0 };

	for (int i = 0; i < opt->nr_tools; i++) {
		clockid_t clock;

		if (clock_getcpuclockid(opt->tools[i], &clock))
			die("process %d is gone", opt->tools[i]);
		now.tool_ns += bench_clock_ns(clock);
	}
	now.cpu_ns = ksoftirqd_ns() + now.tool_ns + bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	now.wall_ns = bench_clock_ns(CLOCK_MONOTONIC);
	return now;
}

static void print_result(const char *mode, const struct bench_options *opt, const struct cost *from,
			 __u64 done, const char *more)
{
	struct cost to = cost_now(opt);

	printf("{\"mode\":\"%s\",\"flows\":%u,\"count\":%llu,\"cpu_ns\":%llu,\"tool_ns\":%llu,"
	       "\"wall_ns\":%llu%s}\n",
	       mode, opt->flows, done, to.cpu_ns - from->cpu_ns, to.tool_ns - from->tool_ns,
	       to.wall_ns - from->wall_ns, more);
}

static void bench_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("cannot run on CPU %d", cpu);
}

static socklen_t end_len(const union end *end)
{
	return end->any.sa_family == AF_INET ? sizeof(end->v4) : sizeof(end->v6);
}

/* A socket stays in the namespace in which it was made. */
static int socket_in(const struct bench_options *opt, const char *ns, int type)
{
	int ns_fd = open(ns, O_RDONLY | O_CLOEXEC), fd;

	if (ns_fd < 0)
		die("cannot open %s", ns);
	if (setns(ns_fd, CLONE_NEWNET))
		die("cannot enter %s", ns);
	close(ns_fd);
	fd = socket(opt->dest.any.sa_family, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("cannot open a socket");
	return fd;
}

static void bench_set_option(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)))
		die("cannot set socket option %d", name);
}

static int listen_tcp(const struct bench_options *opt)
{
	int fd = socket_in(opt, opt->server_ns, SOCK_STREAM);

	bench_set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	/* No more in flight than a CPU's backlog takes: a drop would be measured, not the path. */
	bench_set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, TCP_WINDOW);
	if (bind(fd, &opt->local.any, end_len(&opt->local)) || listen(fd, 128))
		die("cannot listen");
	return fd;
}

static __u32 next_random(__u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state >> 32;
}

struct burst {
	struct mmsghdr msgs[BURST];
	struct iovec iov;
	union {
		char buf[CMSG_SPACE(sizeof(struct in_pktinfo))];
		struct cmsghdr align;
	} control[BURST];
	char payload[2048];
};

static void burst_init(struct burst *burst, const struct bench_options *opt, bool send)
{
	memset(burst, 0, sizeof(*burst));
	burst->iov.iov_base = burst->payload;
	burst->iov.iov_len = send ? UDP_PAYLOAD : sizeof(burst->payload);
	for (int i = 0; i < BURST; i++) {
		struct msghdr *msg = &burst->msgs[i].msg_hdr;
		struct cmsghdr *cmsg;

		msg->msg_iov = &burst->iov;
		msg->msg_iovlen = 1;
		if (!send || opt->flows == 1)
			continue;
		msg->msg_control = burst->control[i].buf;
		msg->msg_controllen = sizeof(burst->control[i].buf);
		cmsg = CMSG_FIRSTHDR(msg);
		cmsg->cmsg_level = IPPROTO_IP;
		cmsg->cmsg_type = IP_PKTINFO;
		cmsg->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
	}
}

static void burst_set_source(struct burst *burst, int i, struct in_addr addr)
{
	struct in_pktinfo info = { .ipi_spec_dst = addr };

	memcpy(CMSG_DATA(&burst->control[i].align), &info, sizeof(info));
}

static void run_udp(const struct bench_options *opt)
{
	int server = socket_in(opt, opt->server_ns, SOCK_DGRAM);
	int client = socket_in(opt, opt->client_ns, SOCK_DGRAM);
	union end source = { .any.sa_family = opt->dest.any.sa_family };
	__u64 random = 88172645463325252ULL, sent = 0, got = 0;
	static struct burst out, in;
	struct cost from;
	char more[64];

	source.v4.sin_port = htons(UDP_SOURCE); /* in IPv6 it is at the same place */
	bench_set_option(server, SOL_SOCKET, SO_RCVBUF, 4 << 20);
	if (bind(server, &opt->local.any, end_len(&opt->local)))
		die("cannot bind the receiver");
	if (bind(client, &source.any, end_len(&source)))
		die("cannot bind the sender");
	if (connect(client, &opt->dest.any, end_len(&opt->dest)))
		die("cannot set the destination");
	burst_init(&out, opt, true);
	burst_init(&in, opt, false);

	from = cost_now(opt);
	while (sent < opt->count) {
		int n;

		for (int i = 0; i < BURST && opt->flows > 1; i++) {
			/* The first round visits each flow once, in order: a warm-up is complete.
			 */
			__u32 flow = opt->duration > 0
					     ? ((__u64)next_random(&random) * opt->flows) >> 32
					     : (sent + i) % opt->flows;

			burst_set_source(
				&out, i,
				(struct in_addr){ htonl(ntohl(opt->flow_base.s_addr) + flow) });
		}
		n = sendmmsg(client, out.msgs, BURST, 0);
		if (n < 0)
			die("cannot send");
		sent += n;
		while ((n = recvmmsg(server, in.msgs, BURST, MSG_DONTWAIT, NULL)) == BURST)
			got += n;
		got += n > 0 ? n : 0;
	}
	snprintf(more, sizeof(more), ",\"received\":%llu", (unsigned long long)got);
	print_result("udp", opt, &from, sent, more);
}

static void set_nonblocking(int fd)
{
	if (fcntl(fd, F_SETFL, O_NONBLOCK))
		die("cannot make a socket non-blocking");
}

static void move_byte(int from, int to)
{
	char byte = 'x';
	ssize_t n;

	if (send(from, &byte, 1, MSG_NOSIGNAL) != 1)
		die("cannot send");
	do
		n = recv(to, &byte, 1, MSG_DONTWAIT);
	while (n < 0 && errno == EAGAIN);
	if (n != 1)
		die("connection lost");
}

static int tcp_connect(const struct bench_options *opt)
{
	const struct sockaddr_in source = { .sin_family = AF_INET, .sin_addr = opt->flow_base };
	int fd = socket(opt->dest.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("cannot open a socket");
	bench_set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	if (opt->dest.any.sa_family == AF_INET &&
	    bind(fd, (const struct sockaddr *)&source, sizeof(source)))
		die("cannot bind the client");
	if (connect(fd, &opt->dest.any, end_len(&opt->dest)))
		die("cannot connect");
	bench_set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	return fd;
}

static void tcp_pair(const struct bench_options *opt, int listener, int *client, int *server)
{
	*client = tcp_connect(opt);
	*server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (*server < 0)
		die("cannot accept");
	bench_set_option(*server, IPPROTO_TCP, TCP_NODELAY, 1);
}

static int next_cpu(const struct bench_options *opt)
{
	return (opt->cpu + 1) % sysconf(_SC_NPROCESSORS_ONLN);
}

/* The other end as a thread on the next CPU. */
struct server {
	pthread_t thread;
	int listener;
	int cpu;
	bool once; /* close after the first exchange */
};

static void *bench_serve(void *arg)
{
	const struct server *server = arg;
	char byte;
	int fd;

	bench_pin(server->cpu);
	while ((fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		bench_set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
		while (recv(fd, &byte, 1, 0) == 1 && send(fd, &byte, 1, MSG_NOSIGNAL) == 1 &&
		       !server->once)
			;
		close(fd); /* TIME_WAIT stays here, so that the client's port is free again */
	}
	return NULL;
}

static void server_start(struct server *server, const struct bench_options *opt, bool once)
{
	*server =
		(struct server){ .listener = listen_tcp(opt), .cpu = next_cpu(opt), .once = once };
	if (pthread_create(&server->thread, NULL, bench_serve, server))
		die("cannot start a thread");
}

static void server_stop(const struct server *server)
{
	shutdown(server->listener, SHUT_RD);
	pthread_join(server->thread, NULL);
}

static void exchange_byte(int fd)
{
	char byte = 'x';

	if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) != 1)
		die("connection lost");
}

static void enter_client_ns(const struct bench_options *opt)
{
	close(socket_in(opt, opt->client_ns, SOCK_DGRAM));
}

static void run_crr(const struct bench_options *opt)
{
	int listener = listen_tcp(opt), client, server;
	struct cost from;
	char byte;

	enter_client_ns(opt);
	from = cost_now(opt);
	for (__u32 i = 0; i < opt->count; i++) {
		tcp_pair(opt, listener, &client, &server);
		move_byte(client, server);
		move_byte(server, client);
		close(server); /* TIME_WAIT stays here, so that the client's port is free again */
		if (recv(client, &byte, 1, 0) != 0)
			die("no end of connection");
		close(client);
	}
	print_result("crr", opt, &from, opt->count, "");
}

static void run_crr2(const struct bench_options *opt)
{
	struct server server;
	struct cost from;
	char byte;

	server_start(&server, opt, true);
	enter_client_ns(opt);
	from = cost_now(opt);
	for (__u32 i = 0; i < opt->count; i++) {
		int fd = tcp_connect(opt);

		exchange_byte(fd);
		if (recv(fd, &byte, 1, 0) != 0)
			die("no end of connection");
		close(fd);
	}
	print_result("crr2", opt, &from, opt->count, "");
	server_stop(&server);
}

static int compare_u32(const void *a, const void *b)
{
	const __u32 *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void print_latency(const char *mode, const struct bench_options *opt,
			  const struct cost *from, __u32 *latency)
{
	char more[128];

	qsort(latency, opt->count, sizeof(*latency), compare_u32);
	snprintf(more, sizeof(more), ",\"p50_ns\":%u,\"p99_ns\":%u", latency[opt->count / 2],
		 latency[(__u64)opt->count * 99 / 100]);
	print_result(mode, opt, from, opt->count, more);
}

static __u32 *latency_alloc(const struct bench_options *opt)
{
	__u32 *latency = calloc(opt->count, sizeof(*latency));

	if (!latency || !opt->count)
		die("cannot keep %u latencies", opt->count);
	return latency;
}

static void run_rr(const struct bench_options *opt)
{
	int listener = listen_tcp(opt), client, server;
	__u32 *latency = latency_alloc(opt);
	struct cost from;

	enter_client_ns(opt);
	tcp_pair(opt, listener, &client, &server);
	set_nonblocking(client);
	set_nonblocking(server);
	from = cost_now(opt);
	for (__u32 i = 0; i < opt->count; i++) {
		__u64 start = bench_clock_ns(CLOCK_MONOTONIC);

		move_byte(client, server);
		move_byte(server, client);
		latency[i] = bench_clock_ns(CLOCK_MONOTONIC) - start;
	}
	print_latency("rr", opt, &from, latency);
	free(latency);
}

static void run_rr2(const struct bench_options *opt)
{
	__u32 *latency = latency_alloc(opt);
	struct server server;
	struct cost from;
	int fd;

	server_start(&server, opt, false);
	enter_client_ns(opt);
	fd = tcp_connect(opt);
	from = cost_now(opt);
	for (__u32 i = 0; i < opt->count; i++) {
		__u64 start = bench_clock_ns(CLOCK_MONOTONIC);

		exchange_byte(fd);
		latency[i] = bench_clock_ns(CLOCK_MONOTONIC) - start;
	}
	print_latency("rr2", opt, &from, latency);
	close(fd);
	server_stop(&server);
	free(latency);
}

static void run_bulk(const struct bench_options *opt)
{
	int listener = listen_tcp(opt), client, server;
	static char buf[BULK_WRITE];
	__u64 end, bytes = 0;
	struct cost from;
	ssize_t n;

	enter_client_ns(opt);
	tcp_pair(opt, listener, &client, &server);
	set_nonblocking(client);
	set_nonblocking(server);
	from = cost_now(opt);
	end = from.wall_ns + opt->duration * 1e9;
	while (bench_clock_ns(CLOCK_MONOTONIC) < end) {
		if (send(client, buf, sizeof(buf), MSG_NOSIGNAL) < 0 && errno != EAGAIN)
			die("cannot send");
		while ((n = recv(server, buf, sizeof(buf), 0)) > 0)
			bytes += n;
	}
	print_result("bulk", opt, &from, bytes, "");
}

struct receiver {
	int fd;
	int cpu;
	__u64 bytes;
};

static void *bulk_receive(void *arg)
{
	struct receiver *receiver = arg;
	static char buf[BULK_WRITE];
	ssize_t n;

	bench_pin(receiver->cpu);
	while ((n = recv(receiver->fd, buf, sizeof(buf), 0)) > 0)
		receiver->bytes += n;
	return NULL;
}

static void run_bulk2(const struct bench_options *opt)
{
	int listener = listen_tcp(opt), client;
	struct receiver receiver = { .cpu = next_cpu(opt) };
	static char buf[BULK_WRITE];
	pthread_t thread;
	struct cost from;
	__u64 end;

	enter_client_ns(opt);
	tcp_pair(opt, listener, &client, &receiver.fd);
	if (pthread_create(&thread, NULL, bulk_receive, &receiver))
		die("cannot start a thread");
	from = cost_now(opt);
	end = from.wall_ns + opt->duration * 1e9;
	while (bench_clock_ns(CLOCK_MONOTONIC) < end)
		if (send(client, buf, sizeof(buf), MSG_NOSIGNAL) < 0)
			die("cannot send");
	shutdown(client, SHUT_WR);
	pthread_join(thread, NULL);
	print_result("bulk2", opt, &from, receiver.bytes, "");
}

/* ADDRESS:PORT, or [ADDRESS]:PORT for IPv6 */
static union end bench_parse_addr(const char *text)
{
	const char *colon = strrchr(text, ':');
	bool ipv6 = *text == '[';
	char host[INET6_ADDRSTRLEN + 2];
	union end end = { .any.sa_family = ipv6 ? AF_INET6 : AF_INET };
	void *addr = ipv6 ? (void *)&end.v6.sin6_addr : &end.v4.sin_addr;
	size_t len = colon ? (size_t)(colon - text) : 0;
	const size_t brackets = ipv6 ? 2 : 0;

	if (len <= brackets || len >= sizeof(host))
		len = 0;
	else
		len -= brackets;
	memcpy(host, text + brackets / 2, len);
	host[len] = '\0';
	if (!len || inet_pton(end.any.sa_family, host, addr) != 1) {
		errno = EINVAL;
		die("%s is not ADDRESS:PORT", text);
	}
	end.v4.sin_port = htons((__u16)strtoul(colon + 1, NULL, 10));
	return end;
}

static const char usage[] =
	"usage: traffic -c CLIENT_NS -s SERVER_NS -t TO:PORT -l LISTEN:PORT [OPTIONS] MODE\n"
	"  modes: udp, crr, rr, crr2, rr2, bulk, bulk2\n"
	"  -n N      packets, connections or exchanges\n"
	"  -d SEC    bulk: how long; udp: any value above 0 visits the flows in random order\n"
	"  -f N      udp: flows (source addresses from -b on); IPv4 only\n"
	"  -b ADDR   udp: first source address; TCP: the source address; IPv4 only\n"
	"  -u CPU    where to run\n"
	"  -p PID    add the CPU time of this process (repeatable)\n";

int main(int argc, char **argv)
{
	struct bench_options opt = { .flows = 1, .count = 100000 };
	static const struct {
		const char *name;
		void (*run)(const struct bench_options *opt);
	} modes[] = {
		{ "udp", run_udp },	{ "crr", run_crr }, { "rr", run_rr },
		{ "crr2", run_crr2 },	{ "rr2", run_rr2 }, { "bulk", run_bulk },
		{ "bulk2", run_bulk2 },
	};
	int c;

	while ((c = getopt(argc, argv, "c:s:t:l:n:d:f:b:u:p:h")) != -1) {
		switch (c) {
		case 'c':
			opt.client_ns = optarg;
			break;
		case 's':
			opt.server_ns = optarg;
			break;
		case 't':
			opt.dest = bench_parse_addr(optarg);
			break;
		case 'l':
			opt.local = bench_parse_addr(optarg);
			break;
		case 'n':
			opt.count = strtoul(optarg, NULL, 10);
			break;
		case 'd':
			opt.duration = strtod(optarg, NULL);
			break;
		case 'f':
			opt.flows = strtoul(optarg, NULL, 10);
			break;
		case 'b':
			if (inet_pton(AF_INET, optarg, &opt.flow_base) != 1)
				die("%s is no address", optarg);
			break;
		case 'u':
			opt.cpu = (int)strtoul(optarg, NULL, 10);
			break;
		case 'p':
			if (opt.nr_tools < MAX_TOOLS)
				opt.tools[opt.nr_tools++] = (int)strtoul(optarg, NULL, 10);
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind != argc - 1 || !opt.client_ns || !opt.server_ns || !opt.dest.v4.sin_port ||
	    !opt.local.v4.sin_port || opt.dest.any.sa_family != opt.local.any.sa_family ||
	    !opt.flows) {
		fputs(usage, stderr);
		return 2;
	}
	bench_pin(opt.cpu);
	/* Whoever else runs here would not cost CPU time of ours, but leave cold caches behind. */
	if (setpriority(PRIO_PROCESS, 0, -20))
		die("cannot raise the priority");
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (!strcmp(modes[i].name, argv[optind])) {
			modes[i].run(&opt);
			return EXIT_SUCCESS;
		}
	}
	fputs(usage, stderr);
	return 2;
}
