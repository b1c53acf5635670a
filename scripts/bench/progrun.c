// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nanoseconds per packet of a loaded tc program, by BPF_PROG_TEST_RUN: the program of a running
 * tool (by id), with the maps that the tool has set up, over one or many flows, on one CPU or on
 * several at a time. walker-bpf.c goes from flow to flow; what it costs itself is measured in turn
 * with an empty program behind it, and subtracted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/types.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bench.h"
#include "die.h"

enum {
	FRAME_LEN = 60,
	ROUNDS_MAX = 64,
};

struct progrun_options {
	const char *walker;
	const char *object; /* the program to load, unless prog_id names a loaded one */
	const char *program;
	__u32 prog_id;
	__u32 ifindex;
	__u32 repeat;
	__u32 rounds;
	__u32 cpus;
	__u8 protocol;
	struct walker_config walk;
};

struct worker {
	pthread_t thread;
	pthread_barrier_t *start;
	const struct progrun_options *opt;
	int prog_fd;
	__u32 repeat;
	int cpu;
	__u32 ns;
	int verdict;
};

static void progrun_make_frame(const struct progrun_options *opt, __u8 frame[FRAME_LEN])
{
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = htons(FRAME_LEN - ETH_HLEN),
		.ttl = 64,
		.protocol = opt->protocol,
		.saddr = opt->walk.saddr,
		.daddr = opt->walk.daddr,
	};
	__u8 *l4 = frame + ETH_HLEN + sizeof(ip);

	memset(frame, 0, FRAME_LEN);
	memset(frame, 0x02, 2 * ETH_ALEN);
	frame[2 * ETH_ALEN] = ETH_P_IP >> 8;
	memcpy(frame + ETH_HLEN, &ip, sizeof(ip));
	memcpy(l4, &opt->walk.sport, 2);
	memcpy(l4 + 2, &opt->walk.dport, 2);
	if (opt->protocol == IPPROTO_UDP) {
		l4[5] = FRAME_LEN - ETH_HLEN - sizeof(ip); /* length */
		l4[6] = l4[7] = 0x55; /* a checksum, or there is none to change */
	} else {
		l4[12] = 5 << 4; /* header length */
		l4[13] = 0x10;	 /* ACK */
	}
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	__u8 frame[FRAME_LEN], out[FRAME_LEN + 64];
	struct __sk_buff ctx = { .ifindex = worker->opt->ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = sizeof(frame),
		    .data_out = out, .data_size_out = sizeof(out), .repeat = worker->repeat,
		    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx));
	cpu_set_t set;

	progrun_make_frame(worker->opt, frame);
	CPU_ZERO(&set);
	CPU_SET(worker->cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("cannot run on CPU %d", worker->cpu);
	pthread_barrier_wait(worker->start);
	if (bpf_prog_test_run_opts(worker->prog_fd, &run))
		die("cannot run the program");
	worker->ns = run.duration;
	worker->verdict = run.retval;
	return NULL;
}

/* Runs on all CPUs at a time; the mean over them. */
static double run_once(const struct progrun_options *opt, int walker_fd, __u32 repeat, int *verdict)
{
	struct worker workers[WALKER_CPUS] = { 0 };
	pthread_barrier_t start;
	double sum = 0;

	pthread_barrier_init(&start, NULL, opt->cpus);
	for (__u32 i = 0; i < opt->cpus; i++) {
		workers[i] = (struct worker){ .opt = opt,
					      .start = &start,
					      .prog_fd = walker_fd,
					      .repeat = repeat,
					      .cpu = i };
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			die("cannot start a thread");
	}
	for (__u32 i = 0; i < opt->cpus; i++) {
		pthread_join(workers[i].thread, NULL);
		sum += workers[i].ns;
		*verdict = workers[i].verdict;
	}
	pthread_barrier_destroy(&start);
	return sum / opt->cpus;
}

static int compare_double(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(double *values, int n)
{
	qsort(values, n, sizeof(*values), compare_double);
	return values[n / 2];
}

static struct bpf_object *progrun_load(const char *path, const char *program, __u32 entries)
{
	struct bpf_object *obj = bpf_object__open(path);
	struct bpf_program *prog;
	struct bpf_map *map;

	if (!obj)
		die("cannot open %s", path);
	bpf_object__for_each_program(prog, obj)
	{
		if (program && strcmp(bpf_program__name(prog), program))
			bpf_program__set_autoload(prog, false);
	}
	/* Room for all flows; arrays are as large as they have to be. */
	bpf_object__for_each_map(map, obj)
	{
		if ((bpf_map__type(map) == BPF_MAP_TYPE_HASH ||
		     bpf_map__type(map) == BPF_MAP_TYPE_PERCPU_HASH) &&
		    bpf_map__max_entries(map) < entries)
			bpf_map__set_max_entries(map, entries);
	}
	if (bpf_object__load(obj))
		die("cannot load %s", path);
	return obj;
}

static int program_fd(const struct bpf_object *obj, const char *name)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(obj, name);

	return prog ? bpf_program__fd(prog) : -1;
}

static void set_config(int map_fd, const struct walker_config *config)
{
	__u32 zero = 0;

	if (bpf_map_update_elem(map_fd, &zero, config, BPF_ANY))
		die("cannot configure the walker");
}

static void set_target(int map_fd, int prog_fd)
{
	__u32 zero = 0;

	if (bpf_map_update_elem(map_fd, &zero, &prog_fd, BPF_ANY))
		die("cannot call the program from the walker");
}

static void progrun_run(const struct progrun_options *opt)
{
	struct bpf_object *walker = progrun_load(opt->walker, NULL, 0), *object = NULL;
	int walker_fd = program_fd(walker, "walker"), empty_fd = program_fd(walker, "empty");
	int target = bpf_object__find_map_fd_by_name(walker, "target");
	int states = bpf_object__find_map_fd_by_name(walker, "states");
	int config = bpf_object__find_map_fd_by_name(walker, "config");
	double base[ROUNDS_MAX] = { 0 }, full[ROUNDS_MAX] = { 0 };
	int prog_fd, verdict = 0, base_verdict = 0;
	struct walker_config orderly = opt->walk;

	if (opt->object) {
		object = progrun_load(opt->object, opt->program, opt->walk.flows * opt->cpus);
		prog_fd = program_fd(object, opt->program);
	} else {
		prog_fd = bpf_prog_get_fd_by_id(opt->prog_id);
	}
	if (walker_fd < 0 || empty_fd < 0 || target < 0 || states < 0 || config < 0 || prog_fd < 0)
		die("cannot find the program");
	for (__u32 cpu = 0; cpu < WALKER_CPUS; cpu++) {
		struct walker_state state = { .random = 88172645463325252ULL * (2 * cpu + 1) };

		if (bpf_map_update_elem(states, &cpu, &state, BPF_ANY))
			die("cannot set up the walker");
	}

	/* Once through all flows, so that each is known to the program. */
	orderly.orderly = 1;
	set_config(config, &orderly);
	set_target(target, prog_fd);
	run_once(opt, walker_fd, opt->walk.flows, &verdict);

	set_config(config, &opt->walk);
	for (__u32 i = 0; i < opt->rounds; i++) {
		set_target(target, empty_fd);
		base[i] = run_once(opt, walker_fd, opt->repeat, &base_verdict);
		set_target(target, prog_fd);
		full[i] = run_once(opt, walker_fd, opt->repeat, &verdict);
	}
	for (__u32 i = 0; i < opt->rounds; i++)
		full[i] -= base[i];
	printf("{\"flows\":%u,\"cpus\":%u,\"own_flows\":%u,\"ns\":%.1f,\"walker_ns\":%.1f,"
	       "\"verdict\":%d}\n",
	       opt->walk.flows, opt->cpus, opt->walk.own_flows, median(full, opt->rounds),
	       median(base, opt->rounds), verdict);
	bpf_object__close(object);
	bpf_object__close(walker);
}

static void progrun_parse_addr(const char *text, __be32 *addr, __be16 *port)
{
	const char *colon = strchr(text, ':');
	char host[INET_ADDRSTRLEN] = "";

	if (colon && (size_t)(colon - text) < sizeof(host))
		memcpy(host, text, colon - text);
	if (!colon || inet_pton(AF_INET, host, addr) != 1) {
		errno = EINVAL;
		die("%s is not ADDRESS:PORT", text);
	}
	*port = htons((__u16)strtoul(colon + 1, NULL, 10));
}

static const char usage[] =
	"usage: progrun -w WALKER.o (-i PROG_ID | -o OBJECT -p PROGRAM) -s ADDR:PORT -t ADDR:PORT\n"
	"  -f N      flows: N addresses from the source's on\n"
	"  -D        from the destination's on instead\n"
	"  -T        TCP instead of UDP\n"
	"  -c N      on CPUs 0 to N-1 at a time\n"
	"  -O        each CPU with flows of its own\n"
	"  -n N      packets in a round   -r N  rounds\n"
	"  -d DEV    the packets' interface\n";

int main(int argc, char **argv)
{
	struct progrun_options opt = { .repeat = 1000000,
				       .rounds = 5,
				       .cpus = 1,
				       .protocol = IPPROTO_UDP,
				       .walk = { .flows = 1 } };
	int c;

	while ((c = getopt(argc, argv, "w:i:o:p:s:t:f:DTc:On:r:d:h")) != -1) {
		switch (c) {
		case 'w':
			opt.walker = optarg;
			break;
		case 'i':
			opt.prog_id = strtoul(optarg, NULL, 10);
			break;
		case 'o':
			opt.object = optarg;
			break;
		case 'p':
			opt.program = optarg;
			break;
		case 's':
			progrun_parse_addr(optarg, &opt.walk.saddr, &opt.walk.sport);
			break;
		case 't':
			progrun_parse_addr(optarg, &opt.walk.daddr, &opt.walk.dport);
			break;
		case 'f':
			opt.walk.flows = strtoul(optarg, NULL, 10);
			break;
		case 'D':
			opt.walk.vary_dst = 1;
			break;
		case 'T':
			opt.protocol = IPPROTO_TCP;
			break;
		case 'c':
			opt.cpus = strtoul(optarg, NULL, 10);
			break;
		case 'O':
			opt.walk.own_flows = 1;
			break;
		case 'n':
			opt.repeat = strtoul(optarg, NULL, 10);
			break;
		case 'r':
			opt.rounds = strtoul(optarg, NULL, 10);
			break;
		case 'd':
			opt.ifindex = if_nametoindex(optarg);
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (!opt.walker || !(opt.prog_id || (opt.object && opt.program)) || !opt.walk.flows ||
	    !opt.repeat || opt.rounds < 1 || opt.rounds > ROUNDS_MAX || opt.cpus < 1 ||
	    opt.cpus > WALKER_CPUS) {
		fputs(usage, stderr);
		return 2;
	}
	progrun_run(&opt);
	return EXIT_SUCCESS;
}
