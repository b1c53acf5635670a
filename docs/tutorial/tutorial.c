// SPDX-License-Identifier: GPL-2.0-only
/* User space's half of docs/tutorial.md: tutorial IFACE ORIGINAL TARGET */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "tutorial.skel.h"

static volatile sig_atomic_t ended;

static void end(int signal)
{
	ended = signal;
}

static void print_counts(int packets_fd)
{
	char text[INET_ADDRSTRLEN];
	__be32 address, *last = NULL;
	__u64 count;

	for (; !bpf_map_get_next_key(packets_fd, last, &address); last = &address)
		if (!bpf_map_lookup_elem(packets_fd, &address, &count))
			printf("%s: %llu packets\n",
			       inet_ntop(AF_INET, &address, text, sizeof(text)), count);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const enum bpf_tc_attach_point points[] = { BPF_TC_INGRESS, BPF_TC_EGRESS };
	struct tutorial *skel = tutorial__open();
	int ifindex = argc == 4 ? (int)if_nametoindex(argv[1]) : 0, failed = !skel || !ifindex;

	/* Read-only data is part of the program: it is set before the load. */
	failed = failed || inet_pton(AF_INET, argv[2], (void *)&skel->rodata->original) != 1 ||
		 inet_pton(AF_INET, argv[3], (void *)&skel->rodata->target) != 1 ||
		 tutorial__load(skel);
	signal(SIGINT, end);
	for (int step = 0; step < 4 && !failed; step++) { /* attach to both hooks, then detach */
		LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
			    .attach_point = points[step % 2]);
		LIBBPF_OPTS(bpf_tc_opts, filter, .handle = 1, .priority = 1);

		for (; step == 2 && !ended; sleep(1))
			print_counts(bpf_map__fd(skel->maps.packets));
		if (step == 0)
			bpf_tc_hook_create(&hook); /* clsact; fails if it is there already */
		if (step < 2)
			filter.prog_fd = bpf_program__fd(skel->progs.tutorial);
		failed = step < 2 ? bpf_tc_attach(&hook, &filter) : bpf_tc_detach(&hook, &filter);
	}
	tutorial__destroy(skel);
	return failed;
}
