// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rows of a report as comma-separated values (RFC 4180 but for the line ends), totals included:
 * the first column tells them apart. The columns are the same in every view.
 */
#include <string.h>

#include "format.h"
#include "output.h"
#include "text.h"

void output_csv_head(FILE *out, const struct view_config *config)
{
	static const char *const back[] = {
		[GROUP_BIFLOW] = "back",  [GROUP_HOST] = "received", [GROUP_PORT] = "from",
		[GROUP_PROTOCOL] = "out", [GROUP_INTERFACE] = "out",
	};
	static const char *const forth[] = {
		[GROUP_BIFLOW] = "",	  [GROUP_HOST] = "_sent",    [GROUP_PORT] = "_to",
		[GROUP_PROTOCOL] = "_in", [GROUP_INTERFACE] = "_in",
	};
	const char *way = forth[config->group] ?: "";

	fprintf(out,
		"type,ts,iface,dir,family,vlan,inner_vlan,proto,src,sport,dst,dport,packets%s,"
		"bytes%s,interval_packets%s,interval_bytes%s",
		way, way, way, way);
	if (config->group != GROUP_NONE) {
		way = back[config->group];
		fprintf(out, ",packets_%s,bytes_%s,interval_packets_%s,interval_bytes_%s", way, way,
			way, way);
	}
	fputs(",flows,retired_packets,retired_bytes,untracked_packets,untracked_bytes,"
	      "matched_packets,matched_bytes\n",
	      out);
}

/* The kernel allows any byte but '/', ':' and white space in the name of an interface. */
static void print_name(FILE *out, const char *name)
{
	const char *quote = strpbrk(name, "\",") ? "\"" : "";

	fputs(quote, out);
	text_string(out, TEXT_CSV, name);
	fputs(quote, out);
}

static void csv_print_head(FILE *out, const struct report *report, const char *type,
			   const struct monitor *monitor)
{
	fprintf(out, "%s,%.3f,", type, report->ts);
	print_name(out, monitor->iface.name);
	fputc(',', out);
}

static void csv_print_counts(FILE *out, const struct pm_count *total,
			     const struct pm_count *interval)
{
	fprintf(out, ",%llu,%llu,%llu,%llu", total->packets, total->bytes, interval->packets,
		interval->bytes);
}

static void csv_print_row(FILE *out, const struct report *report, const struct row *row)
{
	static const char *const types[] = {
		[GROUP_NONE] = "flow", [GROUP_BIFLOW] = "biflow",     [GROUP_HOST] = "host",
		[GROUP_PORT] = "port", [GROUP_PROTOCOL] = "protocol", [GROUP_INTERFACE] = "iface",
	};
	enum group group = report->view->config.group;
	const struct pm_key *key = &row->key;
	char src[FORMAT_ADDRESS_MAX] = "", dst[FORMAT_ADDRESS_MAX] = "", proto[FORMAT_PROTO_MAX];
	bool ports = format_has_ports(key);

	if (group <= GROUP_HOST)
		format_address(src, key, false);
	if (group <= GROUP_BIFLOW)
		format_address(dst, key, true);
	format_proto(proto, key);
	csv_print_head(out, report, types[group], row->monitor);
	if (group == GROUP_NONE)
		fputs(pm_key_direction(key) == PM_INGRESS ? "in" : "out", out);
	fprintf(out, ",%s,%u,",
		group == GROUP_PORT || group == GROUP_INTERFACE ? "" : format_family(key),
		pm_key_vlan(key));
	if (pm_key_kind(key) & PM_KIND_QINQ)
		fprintf(out, "%u", key->inner_vlan);
	fprintf(out, ",%s,%s,%u,%s,%u",
		group == GROUP_HOST || group == GROUP_INTERFACE ? "" : proto, src,
		ports ? pm_key_sport(key) : 0U, dst, ports ? pm_key_dport(key) : 0U);
	csv_print_counts(out, &row->total[WAY_FORTH], &row->interval[WAY_FORTH]);
	if (group != GROUP_NONE)
		csv_print_counts(out, &row->total[WAY_BACK], &row->interval[WAY_BACK]);
	fprintf(out, ",%llu,,,,,,\n", row->flows);
}

static void csv_print_total(FILE *out, const struct report *report, const struct monitor *monitor,
			    enum pm_direction dir)
{
	const struct totals *totals = &monitor->totals[dir];
	const struct totals *before = &monitor->before[dir];
	struct pm_count interval = { totals->all.packets - before->all.packets,
				     totals->all.bytes - before->all.bytes };
	struct pm_count matched = totals_matched(totals);

	csv_print_head(out, report, "total", monitor);
	fprintf(out, "%s,,,,,,,,", dir == PM_INGRESS ? "in" : "out");
	csv_print_counts(out, &totals->all, &interval);
	if (report->view->config.group != GROUP_NONE)
		fputs(",,,,", out);
	fprintf(out, ",%llu,%llu,%llu,%llu,%llu,%llu,%llu\n", totals->flow_count,
		totals->retired.packets, totals->retired.bytes, totals->untracked.packets,
		totals->untracked.bytes, matched.packets, matched.bytes);
}

void output_csv(FILE *out, const struct report *report)
{
	for (size_t i = 0; i < report->view->count; i++)
		csv_print_row(out, report, &report->view->rows[i]);
	for (int i = 0; i < report->monitor_count; i++)
		for (int dir = 0; dir < PM_DIRECTIONS; dir++)
			if (report->monitors[i]->config->counter.direction[dir])
				csv_print_total(out, report, report->monitors[i], dir);
}
