// SPDX-License-Identifier: GPL-2.0-only
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "number.h"
#include "option-table.h"

enum {
	OPT_MAX_FLOWS = 256,
	OPT_TCP_SYN,
	OPT_TCP_ESTABLISHED,
	OPT_TCP_CLOSING,
	OPT_UDP,
	OPT_KILL,
	OPT_LIST,
	OPT_ADD,
	OPT_DELETE,
	OPT_FLUSH,
	OPT_TCX,
	OPT_WAIT,
	OPT_STATUS,
	OPT_FILE,
	FLOWS_DEFAULT = 262144,
	FLOWS_MAX = 1 << 30,
};

#define INTERVAL_MIN_NS (NSEC_PER_SEC / 10)

static const struct option_entry table[] = {
	{ "map", 'm', "FROM=TO[/PROTO]",
	  "send packets for FROM (ADDR[:PORT]) to TO instead; PROTO is "
	  "tcp or udp (default: both); FROM without a port means every "
	  "port, and without PROTO ping as well; repeatable (default " MAPPING_BUILTIN ")" },
	{ "map-file", 'f', "FILE", "read mappings from FILE, one a line, and again on SIGHUP" },
	{ "interface", 'i', "IFACE", "the same as the operand IFACE" },
	{ "keep", 'k', NULL, "leave the filters working after proxy exits" },
	{ "tcx", OPT_TCX, NULL,
	  "attach through tcx (Linux 6.6 or newer): less overhead per "
	  "packet than clsact, runs before clsact filters, removed "
	  "when proxy exits, even after SIGKILL" },
	{ "wait", OPT_WAIT, NULL,
	  "if IFACE does not exist, or is deleted, wait for one of that name" },
	{ "kill", OPT_KILL, NULL,
	  "when a mapping is changed or deleted, end its running flows "
	  "at once" },
	{ "max-flows", OPT_MAX_FLOWS, "N",
	  "size of the flow table of each family (default 262144; 130 bytes "
	  "a flow, IPv6: 200)" },
	{ "tcp-syn", OPT_TCP_SYN, "SECONDS",
	  "remove a half-open TCP flow after SECONDS without a packet "
	  "(default 240)" },
	{ "tcp-established", OPT_TCP_ESTABLISHED, "SECONDS",
	  "remove an idle TCP flow after SECONDS (default 7440)" },
	{ "tcp-closing", OPT_TCP_CLOSING, "SECONDS",
	  "remove a closed TCP flow after SECONDS (default 240)" },
	{ "udp", OPT_UDP, "SECONDS", "remove an idle UDP flow after SECONDS (default 300)" },
	{ "output", 'o', "text|jsonl|prom",
	  "form of the reports (default text); prom is for the textfile collector of Prometheus" },
	{ "file", OPT_FILE, "FILE",
	  "append reports to FILE instead of writing to standard output, and open it again on "
	  "SIGHUP; prom replaces FILE at each report" },
	{ "interval", 'I', "SECONDS", "time between reports, 0.1 or more (default 1)" },
	{ "count", 'c', "N", "stop after N reports" },
	{ "duration", 't', "SECONDS", "stop after SECONDS" },
	{ "list", OPT_LIST, NULL, "print the mappings of a running or kept proxy" },
	{ "status", OPT_STATUS, NULL,
	  "print whether it works and is looked after; if not, end with 1" },
	{ "add", OPT_ADD, "MAP", "add a mapping to it, or change the target of one" },
	{ "delete", OPT_DELETE, "MAP|FROM", "delete a mapping from it" },
	{ "flush-flows", OPT_FLUSH, NULL, "remove all its flows" },
	{ "verbose", 'v', NULL, "show messages of libbpf and the verifier" },
	{ "version", 'V', NULL, "print the version" },
	{ "help", 'h', NULL, "print this help" },
	{ NULL, 0, NULL, NULL },
};

static void options_help(void)
{
	printf("Usage: proxy [OPTIONS] IFACE\n"
	       "       proxy --list|--status|--add MAP|--delete MAP|--flush-flows IFACE\n"
	       "Rewrite the destination of packets that leave by IFACE, and the source of the\n"
	       "replies, without netfilter.\n\n");
	option_table_help(table);
}

static void options_set_verb(struct proxy_options *opt, enum proxy_verb verb, const char *arg)
{
	struct mapping_list parsed = { 0 };
	struct mapping_error error;
	struct mapping name;

	if (opt->verb != PROXY_RUN)
		option_table_misuse("only one of --list, --status, --add, --delete, --flush-flows");

	if (verb == PROXY_ADD && mapping_list_add(&parsed, arg, 0, &error))
		option_table_misuse("--add: %s", error.text);
	if (verb == PROXY_DELETE && mapping_parse_name(arg, &name, &error))
		option_table_misuse("--delete: %s", error.text);
	mapping_list_free(&parsed);
	opt->verb = verb;
	opt->verb_arg = arg;
}

static void options_set_interface(struct proxy_options *opt, const char *name)
{
	if (!*name)
		option_table_misuse("which interface? The name is empty (try --help)");
	if (opt->ifname) {
		option_table_misuse("one interface only, not '%s' and '%s'; run one proxy for each",
				    opt->ifname, name);
	}
	opt->ifname = name;
}

static void options_add_map(struct proxy_options *opt, const char *text)
{
	struct mapping_error error;

	if (mapping_list_add(&opt->maps, text, 0, &error))
		option_table_misuse("--map: %s", error.text);
}

static void options_set_output(struct proxy_options *opt)
{
	static const char *const names[] = {
		[PROXY_TEXT] = "text",
		[PROXY_JSONL] = "jsonl",
		[PROXY_PROM] = "prom",
	};

	opt->format = (enum proxy_format)option_table_choice("output", names, PROXY_PROM + 1);
}

static void options_apply(struct proxy_options *opt, int id, const char *arg)
{
	switch (id) {
	case 'm':
		options_add_map(opt, arg);
		break;
	case 'f':
		opt->map_file = strcmp(arg, "-") ? arg : "/dev/stdin";
		break;
	case 'i':
		options_set_interface(opt, arg);
		break;
	case 'k':
		opt->keep = true;
		break;
	case 'o':
		options_set_output(opt);
		break;
	case 'I':
		opt->interval_ns = option_table_seconds("interval", INTERVAL_MIN_NS);
		break;
	case 'c':
		opt->count = option_table_number("count", 1, ~0U);
		break;
	case 't':
		opt->duration_ns = option_table_seconds("duration", NSEC_PER_SEC / 1000);
		break;
	case 'v':
		opt->verbose = true;
		break;
	case OPT_FILE:
		opt->file = strcmp(arg, "-") ? arg : NULL;
		break;
	case OPT_TCX:
		opt->tcx = true;
		break;
	case OPT_WAIT:
		opt->wait = true;
		break;
	case OPT_KILL:
		opt->kill = true;
		break;
	case OPT_MAX_FLOWS:
		opt->max_flows = (__u32)option_table_number("max-flows", 1, FLOWS_MAX);
		break;
	case OPT_TCP_SYN:
		opt->timeouts.tcp_syn = option_table_seconds("tcp-syn", NSEC_PER_SEC);
		break;
	case OPT_TCP_ESTABLISHED:
		opt->timeouts.tcp_established =
			option_table_seconds("tcp-established", NSEC_PER_SEC);
		break;
	case OPT_TCP_CLOSING:
		opt->timeouts.tcp_closing = option_table_seconds("tcp-closing", NSEC_PER_SEC);
		break;
	case OPT_UDP:
		opt->timeouts.udp = option_table_seconds("udp", NSEC_PER_SEC);
		break;
	case OPT_LIST:
		options_set_verb(opt, PROXY_LIST, NULL);
		break;
	case OPT_STATUS:
		options_set_verb(opt, PROXY_STATUS, NULL);
		break;
	case OPT_ADD:
		options_set_verb(opt, PROXY_ADD, arg);
		break;
	case OPT_DELETE:
		options_set_verb(opt, PROXY_DELETE, arg);
		break;
	case OPT_FLUSH:
		options_set_verb(opt, PROXY_FLUSH, NULL);
		break;
	case 'V':
		puts("proxy " VERSION);
		option_table_exit();
	case 'h':
		options_help();
		option_table_exit();
	default:
		exit(EXIT_USAGE); /* option_table_next() has said why */
	}
}

void options_parse(struct proxy_options *opt, int argc, char **argv)
{
	int id;

	*opt = (struct proxy_options){
		/* RFC 5382 REQ-5 (2 h 4 min, 4 min), RFC 7857 section 2.1, RFC 4787 REQ-5. */
		.timeouts = { .tcp_syn = 240 * NSEC_PER_SEC,
			      .tcp_established = 7440 * NSEC_PER_SEC,
			      .tcp_closing = 240 * NSEC_PER_SEC,
			      .udp = 300 * NSEC_PER_SEC,
			      .icmp = 60 * NSEC_PER_SEC },
		.interval_ns = NSEC_PER_SEC,
		.max_flows = FLOWS_DEFAULT,
	};
	while ((id = option_table_next(table, argc, argv)) != -1)
		options_apply(opt, id, optarg);
	for (; optind < argc; optind++)
		options_set_interface(opt, argv[optind]);
	if (!opt->ifname)
		option_table_misuse("which interface? (try --help)");

	if (opt->tcx && (opt->keep || opt->verb != PROXY_RUN))
		option_table_misuse(
			"--tcx ends with the proxy that uses it: not with --keep, nor with --list, "
			"--status, --add, --delete or --flush-flows");

	if (opt->verb != PROXY_RUN && opt->format == PROXY_PROM)
		option_table_misuse("--output prom belongs to a proxy that runs; use jsonl");
	if (opt->verb != PROXY_RUN && (opt->maps.count || opt->map_file))
		option_table_misuse("--map and --map-file belong to a proxy that runs; use --add");
	if (opt->verb != PROXY_RUN && opt->file)
		option_table_misuse("--file belongs to a proxy that runs; write '> FILE'");
}

void options_free(struct proxy_options *opt)
{
	mapping_list_free(&opt->maps);
}
