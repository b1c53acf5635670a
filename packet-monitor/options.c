// SPDX-License-Identifier: GPL-2.0-only
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter.h"
#include "log.h"
#include "number.h"
#include "option-table.h"

enum {
	OPT_IDLE = 256,
	OPT_BY,
	OPT_BIFLOW,
	OPT_CHANGED,
	OPT_ENDS,
	OPT_PROTO,
	OPT_HOST,
	OPT_NET,
	OPT_PORT,
	OPT_RESOLVE,
	OPT_WAIT,
	OPT_EXCLUDE,
	OPT_FILE,
	OPT_NO_SUMMARY,
	OPT_TCX,
	OPT_INNER,
	OPT_IPFIX,
	OPT_ACTIVE,
	OPT_DOMAIN,
};

enum { MAX_FLOWS_DEFAULT = 65536, MAX_FLOWS_LIMIT = 1 << 26 };
enum { IDLE_DEFAULT = 300, ACTIVE_DEFAULT = 60 };

static const struct option_entry table[] = {
	{ "interface", 'i', "IFACE",
	  "watch IFACE; the same as IFACE alone. A name, another name, a quoted pattern such as "
	  "'veth*', or any: every interface. Interfaces that appear later are watched, too" },
	{ "exclude", OPT_EXCLUDE, "PATTERN",
	  "do not watch interfaces whose name matches; may be given several times" },
	{ "direction", 'Q', "in|out|both",
	  "count incoming packets, outgoing packets, or both (default)" },
	{ "output", 'o', "table|classic|jsonl|csv|prom",
	  "form of the reports (default table); prom is for the "
	  "textfile collector of Prometheus' node_exporter" },
	{ "jsonl", 'j', NULL, "the same as --output jsonl" },
	{ "file", OPT_FILE, "FILE",
	  "append to FILE instead of writing to standard output, and open it again on SIGHUP; "
	  "prom replaces FILE at each report" },
	{ "interval", 'I', "SECONDS", "time between reports, 0.1 or more (default 1)" },
	{ "count", 'c', "N", "stop after N reports" },
	{ "duration", 't', "SECONDS", "stop after SECONDS" },
	{ "sort", 's', "bytes|packets|bps|pps|src|dst|age",
	  "sort rows by this (default bytes; on a terminal bps); bps and pps are those of the "
	  "last interval" },
	{ "rows", 'r', "N",
	  "show the first N rows, 0: all (default: as many as fit the "
	  "terminal; 20 in other tables and in prom; else all)" },
	{ "changed", OPT_CHANGED, NULL, "show only flows with packets since the last report" },
	{ "ends", OPT_ENDS, NULL,
	  "jsonl: print an object of the type \"end\" for each flow that leaves the table, "
	  "with its first and last time and the reason" },
	{ "ipfix", OPT_IPFIX, "[udp:|tcp:]HOST[:PORT]",
	  "send the flows to an IPFIX collector as well, over UDP or TCP (port 4739)" },
	{ "active", OPT_ACTIVE, "SECONDS",
	  "send a flow that goes on to the collector once in this time (default 60)" },
	{ "observation-domain", OPT_DOMAIN, "N",
	  "tell the collector this number, to be told apart from others (default 0)" },
	{ "biflow", OPT_BIFLOW, NULL, "show both directions of a connection as one row" },
	{ "by", OPT_BY, "host|port|protocol|iface",
	  "add up the flows of each host, port, protocol or interface" },
	{ "resolve", OPT_RESOLVE, NULL, "show names of hosts and services in tables, where known" },
	{ "filter", 'F', "EXPR",
	  "count only flows that match EXPR, in the language of tcpdump: "
	  "'tcp port 443 and not net 10.0.0.0/8'" },
	{ "proto", OPT_PROTO, "PROTO",
	  "count only this protocol: tcp, udp, icmp, ..., or a number. "
	  "Values of one option are alternatives; a packet must match "
	  "every filter" },
	{ "host", OPT_HOST, "ADDRESS", "count only packets from or to ADDRESS" },
	{ "net", OPT_NET, "ADDRESS/LEN", "count only packets from or to this network" },
	{ "port", OPT_PORT, "PORT", "count only packets from or to PORT" },
	{ "ipv4", '4', NULL, "count only IPv4" },
	{ "ipv6", '6', NULL, "count only IPv6" },
	{ "inner", OPT_INNER, NULL,
	  "count packets in tunnels (IPIP, 6in4, 4in6, GRE, VXLAN, GENEVE) by the innermost flow; "
	  "bytes stay those of the wire" },
	{ "max-flows", 'm', "N",
	  "size of the flow table (default 65536), which all interfaces "
	  "share; each flow takes about 140 bytes: 9 MiB by default, "
	  "134 MiB for a million" },
	{ "idle", OPT_IDLE, "SECONDS",
	  "remove a flow after SECONDS without a packet (default 300, "
	  "0: never); its counts stay in the totals" },
	{ "wait", OPT_WAIT, NULL,
	  "wait for an interface that does not exist yet, or has been "
	  "deleted, instead of exiting; patterns and any always wait" },
	{ "tcx", OPT_TCX, NULL,
	  "attach through tcx (Linux 6.6 or newer): less overhead per "
	  "packet than clsact, runs before clsact filters, removed "
	  "when packet-monitor exits, even after SIGKILL" },
	{ "no-summary", OPT_NO_SUMMARY, NULL, "print no summary on standard error at the end" },
	{ "numeric", 'n', NULL, "show numbers instead of names (default)" },
	{ "verbose", 'v', NULL, "show messages of libbpf and the verifier" },
	{ "version", 'V', NULL, "print the version" },
	{ "help", 'h', NULL, "print this help" },
	{ NULL, 0, NULL, NULL },
};

static void pm_help(void)
{
	printf("Usage: packet-monitor [OPTIONS] IFACE...|any\n"
	       "Count the packets and bytes of every flow on network interfaces, as the wire\n"
	       "carries them.\n\n");
	option_table_help(table);
	option_table_exit();
}

static void add_name(struct name_list *list, const char *name)
{
	if (!*name)
		option_table_misuse("which interface? The name is empty (try --help)");
	if (!name_list_add(list, name))
		return;
	log_err(-ENOMEM, "cannot read the command line");
	exit(EXIT_FAILURE);
}

static void check_interfaces(struct interfaces_config *config)
{
	const struct name_list *watched = &config->watched;

	if (!watched->count)
		option_table_misuse("which interface? (try --help)");
	for (int i = 0; i < watched->count; i++)
		if (!name_is_pattern(watched->names[i]) &&
		    name_list_find(&config->excluded, watched->names[i]) >= 0)
			option_table_misuse("--exclude takes away %s, which is to be watched",
					    watched->names[i]);
	config->monitor.counter.shared = watched->count > 1 || name_is_pattern(watched->names[0]);
}

static void set_direction(struct pm_options *opt)
{
	static const char *const names[] = { "in", "out", "both", "inout" };
	int direction = option_table_choice("direction", names, 4);

	opt->interfaces.monitor.counter.direction[PM_INGRESS] = direction != 1;
	opt->interfaces.monitor.counter.direction[PM_EGRESS] = direction != 0;
}

static void set_group(struct pm_options *opt, enum group group)
{
	if (opt->view.group != GROUP_NONE && opt->view.group != group)
		option_table_misuse(
			"--biflow and --by exclude each other, and so do two different --by");
	opt->view.group = group;
}

/* What the options ask for that are no expression: values of one kind are alternatives. */
struct filter_options {
	struct filter families, protos, ports, nets;
};

static void add_filter(struct filter *filter, const char *option, enum filter_type type)
{
	char why[FILTER_WHY_MAX];

	if (filter_add(filter, type, optarg, why))
		option_table_misuse("--%s: %s", option, why);
}

static void add_expression(struct pm_options *opt)
{
	char why[FILTER_WHY_MAX];

	if (filter_parse(&opt->interfaces.monitor.counter.filter, optarg, why))
		option_table_misuse("--filter: %s", why);
}

/* Take all filters together: a packet has to match every one. */
static void finish_filter(struct pm_options *opt, const struct filter_options *options)
{
	const struct filter *const lists[] = { &options->families, &options->protos,
					       &options->ports, &options->nets };
	struct filter *filter = &opt->interfaces.monitor.counter.filter;
	int err = 0;

	for (int i = 0; i < 4 && !err; i++)
		err = filter_join(filter, lists[i], FILTER_AND);
	err = err ?: filter_check(filter);
	if (err == -E2BIG)
		option_table_misuse("the filter is too long for the programs");
	if (err == -EINVAL)
		option_table_misuse("no packet can match: the filter contradicts itself");
	if (err) {
		log_err(err, "cannot prepare the filter");
		exit(EXIT_FAILURE);
	}
}

static void set_collector(struct pm_options *opt)
{
	const char *why;

	if (opt->exporter.collector.text)
		option_table_misuse("--ipfix may be given once");
	why = collector_parse(&opt->exporter.collector, optarg);
	if (why)
		option_table_misuse("--ipfix: '%s' %s", optarg, why);
	opt->interfaces.monitor.counter.first = true;
}

/* Who types a filter as tcpdump takes it is told how to do it here. */
static void check_operands(char **words, int count)
{
	struct iface iface;
	char text[256] = "";
	size_t len = 0;
	int first = 0;

	while (first < count &&
	       (!filter_begins(words[first]) || iface_open(words[first], &iface) != -ENODEV))
		first++;
	if (first == count)
		return;
	for (int i = first; i < count && len < sizeof(text); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
					i > first ? " " : "", words[i]);
	option_table_misuse("there is no interface '%s'; for a filter, type: -F '%s'", words[first],
			    text);
}

static void set_option(struct pm_options *opt, struct filter_options *filters, int id)
{
	static const char *const outputs[] = { "table", "classic", "jsonl", "csv", "prom" };
	static const char *const groups[] = { "host", "port", "protocol", "proto", "iface" };
	static const enum group group_ids[] = { GROUP_HOST, GROUP_PORT, GROUP_PROTOCOL,
						GROUP_PROTOCOL, GROUP_INTERFACE };

	switch (id) {
	case 'i':
		add_name(&opt->interfaces.watched, optarg);
		break;
	case OPT_EXCLUDE:
		add_name(&opt->interfaces.excluded, optarg);
		break;
	case 'Q':
		set_direction(opt);
		break;
	case 'o':
		opt->format = (enum output_format)option_table_choice("output", outputs, 5);
		break;
	case 'j':
		opt->format = OUTPUT_JSONL;
		break;
	case OPT_FILE:
		opt->file = strcmp(optarg, "-") ? optarg : NULL;
		break;
	case 'I':
		opt->interval_ns = option_table_seconds("interval", NSEC_PER_SEC / 10);
		break;
	case 'c':
		opt->count = option_table_number("count", 1, ~0ULL);
		break;
	case 't':
		opt->duration_ns = option_table_seconds("duration", NSEC_PER_SEC / 1000);
		break;
	case 's':
		opt->view.sort = (enum sort)option_table_choice("sort", sort_names, SORT_KEYS);
		opt->sort_given = true;
		break;
	case 'r':
		opt->view.limit = option_table_number("rows", 0, MAX_FLOWS_LIMIT);
		opt->rows_given = true;
		break;
	case OPT_CHANGED:
		opt->view.changed = true;
		break;
	case OPT_ENDS:
		opt->ends = opt->interfaces.monitor.counter.first = true;
		break;
	case OPT_IPFIX:
		set_collector(opt);
		break;
	case OPT_ACTIVE:
		opt->exporter.active_ns = option_table_seconds("active", NSEC_PER_SEC);
		break;
	case OPT_DOMAIN:
		opt->exporter.domain = (__u32)option_table_number("observation-domain", 0, ~0U);
		opt->domain_given = true;
		break;
	case OPT_BIFLOW:
		set_group(opt, GROUP_BIFLOW);
		break;
	case OPT_BY:
		set_group(opt, group_ids[option_table_choice("by", groups, 5)]);
		break;
	case OPT_RESOLVE:
		opt->resolve = true;
		break;
	case 'n':
		opt->resolve = false;
		break;
	case 'F':
		add_expression(opt);
		break;
	case OPT_PROTO:
		add_filter(&filters->protos, "proto", FILTER_TYPE_PROTO);
		break;
	case OPT_HOST:
		add_filter(&filters->nets, "host", FILTER_TYPE_HOST);
		break;
	case OPT_NET:
		add_filter(&filters->nets, "net", FILTER_TYPE_NET);
		break;
	case OPT_PORT:
		add_filter(&filters->ports, "port", FILTER_TYPE_PORT);
		break;
	case '4':
		filter_add_family(&filters->families, PM_KIND_IPV4);
		break;
	case '6':
		filter_add_family(&filters->families, PM_KIND_IPV6);
		break;
	case 'm':
		opt->interfaces.monitor.counter.max_flows =
			(__u32)option_table_number("max-flows", 1, MAX_FLOWS_LIMIT);
		break;
	case OPT_IDLE:
		opt->idle_ns = option_table_seconds("idle", 0);
		break;
	case OPT_WAIT:
		opt->interfaces.wait = true;
		break;
	case OPT_INNER:
		opt->interfaces.monitor.counter.inner = true;
		break;
	case OPT_TCX:
		opt->interfaces.monitor.tcx = true;
		break;
	case OPT_NO_SUMMARY:
		opt->summary = false;
		break;
	case 'v':
		opt->verbose = true;
		break;
	case 'V':
		puts("packet-monitor " VERSION);
		option_table_exit();
	case 'h':
		pm_help();
		break;
	default:
		exit(EXIT_USAGE); /* option_table_next() has said why */
	}
}

void options_parse(struct pm_options *opt, int argc, char **argv)
{
	struct filter_options filters = { 0 };
	int id;

	*opt = (struct pm_options){
		.interfaces.monitor.counter = { .direction = { true, true },
						.max_flows = MAX_FLOWS_DEFAULT },
		.interval_ns = NSEC_PER_SEC,
		.idle_ns = IDLE_DEFAULT * NSEC_PER_SEC,
		.summary = true,
	};
	while ((id = option_table_next(table, argc, argv)) != -1)
		set_option(opt, &filters, id);
	check_operands(argv + optind, argc - optind);
	for (int i = optind; i < argc; i++)
		add_name(&opt->interfaces.watched, argv[i]);
	check_interfaces(&opt->interfaces);
	if (opt->ends && opt->format != OUTPUT_JSONL)
		option_table_misuse("--ends needs --output jsonl");
	if (opt->view.changed && (opt->view.group != GROUP_NONE || opt->format == OUTPUT_PROM))
		option_table_misuse("--changed shows flows: not with --biflow, --by or "
				    "--output prom");
	if (opt->view.group != GROUP_NONE && opt->format == OUTPUT_CLASSIC)
		option_table_misuse("--output classic shows flows: not with --biflow or --by");
	if (opt->view.group == GROUP_BIFLOW && opt->format == OUTPUT_PROM)
		option_table_misuse("--output prom tells directions apart: not with --biflow");
	if (opt->view.group == GROUP_NONE && opt->format == OUTPUT_PROM)
		opt->view.group = GROUP_SERVICE;
	if (!opt->exporter.collector.text && (opt->exporter.active_ns || opt->domain_given))
		option_table_misuse("--active and --observation-domain need --ipfix");
	if (!opt->exporter.active_ns)
		opt->exporter.active_ns = ACTIVE_DEFAULT * NSEC_PER_SEC;
	finish_filter(opt, &filters);
	if (!opt->rows_given && (opt->format == OUTPUT_TABLE || opt->format == OUTPUT_PROM))
		opt->view.limit = 20;
}
