/* SPDX-License-Identifier: GPL-2.0-only */
/* The command line of proxy. */
#ifndef PROXY_OPTIONS_H
#define PROXY_OPTIONS_H

#include <linux/types.h>
#include <stdbool.h>

#include "mapping.h"

enum proxy_verb {
	PROXY_RUN,
	PROXY_LIST,
	PROXY_STATUS,
	PROXY_ADD,
	PROXY_DELETE,
	PROXY_FLUSH,
};

enum proxy_format { PROXY_TEXT, PROXY_JSONL, PROXY_PROM };

/* How long a flow may be idle before it leaves the table, in nanoseconds. */
struct proxy_timeouts {
	__u64 tcp_syn;
	__u64 tcp_established;
	__u64 tcp_closing;
	__u64 udp;
	__u64 icmp;
};

struct proxy_options {
	enum proxy_verb verb;
	const char *verb_arg; /* of --add and --delete */
	const char *ifname;
	struct mapping_list maps; /* of --map, in the order given */
	const char *map_file;	  /* NULL: none */
	const char *file;	  /* for reports; NULL: standard output */
	enum proxy_format format;
	struct proxy_timeouts timeouts;
	__u64 interval_ns;
	__u64 count;	   /* 0: no limit */
	__u64 duration_ns; /* 0: no limit */
	__u32 max_flows;
	bool keep;
	bool tcx;  /* attach by tcx, not by clsact */
	bool wait; /* for an interface that does not exist */
	bool kill;
	bool verbose;
};

/**
 * options_parse - read the command line into @opt
 *
 * Leaves the process by itself: 0 after --help and --version, 2 with one line on stderr for a
 * wrong use.
 */
void options_parse(struct proxy_options *opt, int argc, char **argv);

void options_free(struct proxy_options *opt);

#endif /* PROXY_OPTIONS_H */
