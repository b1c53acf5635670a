// SPDX-License-Identifier: GPL-2.0-only
/* One JSON object a line. */
#include "format.h"
#include "output.h"
#include "text.h"

static void jsonl_print_head(FILE *out, const struct report *report, const char *type,
			     const char *iface)
{
	fprintf(out, "{\"type\":\"%s\",\"ts\":%.3f,\"iface\":\"", type, report->ts);
	text_string(out, TEXT_JSON, iface);
	fputc('"', out);
}

static void jsonl_print_counts(FILE *out, const char *suffix, const struct pm_count *total,
			       const struct pm_count *interval)
{
	fprintf(out,
		",\"packets%s\":%llu,\"bytes%s\":%llu"
		",\"interval_packets%s\":%llu,\"interval_bytes%s\":%llu",
		suffix, total->packets, suffix, total->bytes, suffix, interval->packets, suffix,
		interval->bytes);
}

static void print_proto(FILE *out, const struct pm_key *key)
{
	char proto[FORMAT_PROTO_MAX];

	format_proto(proto, key);
	if ((pm_key_kind(key) & PM_KIND_FAMILY) == PM_KIND_OTHER)
		fprintf(out, ",\"ethertype\":\"%s\"", proto);
	fprintf(out, ",\"proto\":\"%s\"", proto);
}

/* What a flow and both ways of one have in common. */
static void print_flow_key(FILE *out, const struct pm_key *key)
{
	char src[FORMAT_ADDRESS_MAX], dst[FORMAT_ADDRESS_MAX];
	bool ports = format_has_ports(key);

	format_address(src, key, false);
	format_address(dst, key, true);
	fprintf(out, ",\"family\":\"%s\",\"vlan\":%u", format_family(key), pm_key_vlan(key));
	if (pm_key_kind(key) & PM_KIND_QINQ)
		fprintf(out, ",\"inner_vlan\":%u", key->inner_vlan);
	print_proto(out, key);
	fprintf(out, ",\"src\":\"%s\",\"sport\":%u,\"dst\":\"%s\",\"dport\":%u", src,
		ports ? pm_key_sport(key) : 0U, dst, ports ? pm_key_dport(key) : 0U);
	if (pm_key_kind(key) & PM_KIND_FRAGMENT)
		fputs(",\"fragment\":true", out);
}

static void print_server(FILE *out, enum server server)
{
	if (server)
		fprintf(out, ",\"server\":\"%s\"", server == SERVER_DST ? "dst" : "src");
}

/* What a flow in the table and one that has left it have in common. */
static void jsonl_print_fields(FILE *out, const struct pm_key *key, enum server server,
			       const struct pm_count *total, const struct pm_count *interval)
{
	fprintf(out, ",\"dir\":\"%s\"", pm_key_direction(key) == PM_INGRESS ? "in" : "out");
	print_flow_key(out, key);
	if (format_is_icmp(key) && !(pm_key_kind(key) & PM_KIND_FRAGMENT))
		fprintf(out, ",\"icmp_type\":%u,\"icmp_code\":%u", pm_key_sport(key) >> 8,
			pm_key_sport(key) & 0xff);
	print_server(out, server);
	jsonl_print_counts(out, "", total, interval);
}

static void jsonl_print_flow(FILE *out, const struct report *report, const struct row *row)
{
	jsonl_print_head(out, report, "flow", row->monitor->iface.name);
	jsonl_print_fields(out, &row->key, row->server, &row->total[WAY_FORTH],
			   &row->interval[WAY_FORTH]);
	fputs("}\n", out);
}

static void jsonl_print_end(FILE *out, const struct report *report, const struct flow_end *end)
{
	static const char *const reasons[] = {
		[FLOW_IDLE] = "idle",
		[FLOW_EVICTED] = "evicted",
		[FLOW_INTERFACE] = "interface",
		[FLOW_EXIT] = "exit",
	};

	jsonl_print_head(out, report, "end", end->iface);
	jsonl_print_fields(out, &end->key, end->server, &end->total, &end->interval);
	fprintf(out, ",\"first\":%.3f,\"last\":%.3f,\"reason\":\"%s\"}\n", end->first, end->last,
		reasons[end->reason]);
}

static void print_biflow(FILE *out, const struct report *report, const struct row *row)
{
	jsonl_print_head(out, report, "biflow", row->monitor->iface.name);
	print_flow_key(out, &row->key);
	print_server(out, row->server);
	jsonl_print_counts(out, "", &row->total[WAY_FORTH], &row->interval[WAY_FORTH]);
	jsonl_print_counts(out, "_back", &row->total[WAY_BACK], &row->interval[WAY_BACK]);
	fputs("}\n", out);
}

static void print_host(FILE *out, const struct report *report, const struct row *row)
{
	char host[FORMAT_ADDRESS_MAX];

	format_address(host, &row->key, false);
	jsonl_print_head(out, report, "host", row->monitor->iface.name);
	fprintf(out, ",\"host\":\"%s\",\"flows\":%llu", host, row->flows);
	jsonl_print_counts(out, "_sent", &row->total[WAY_FORTH], &row->interval[WAY_FORTH]);
	jsonl_print_counts(out, "_received", &row->total[WAY_BACK], &row->interval[WAY_BACK]);
	fputs("}\n", out);
}

static void print_port(FILE *out, const struct report *report, const struct row *row)
{
	jsonl_print_head(out, report, "port", row->monitor->iface.name);
	print_proto(out, &row->key);
	if (format_has_ports(&row->key))
		fprintf(out, ",\"port\":%u", pm_key_dport(&row->key));
	fprintf(out, ",\"flows\":%llu", row->flows);
	jsonl_print_counts(out, "_to", &row->total[WAY_FORTH], &row->interval[WAY_FORTH]);
	jsonl_print_counts(out, "_from", &row->total[WAY_BACK], &row->interval[WAY_BACK]);
	fputs("}\n", out);
}

static void print_protocol(FILE *out, const struct report *report, const struct row *row)
{
	jsonl_print_head(out, report, "protocol", row->monitor->iface.name);
	fprintf(out, ",\"family\":\"%s\"", format_family(&row->key));
	print_proto(out, &row->key);
	fprintf(out, ",\"flows\":%llu", row->flows);
	jsonl_print_counts(out, "_in", &row->total[WAY_FORTH], &row->interval[WAY_FORTH]);
	jsonl_print_counts(out, "_out", &row->total[WAY_BACK], &row->interval[WAY_BACK]);
	fputs("}\n", out);
}

static void print_interface(FILE *out, const struct report *report, const struct row *row)
{
	jsonl_print_head(out, report, "iface", row->monitor->iface.name);
	fprintf(out, ",\"flows\":%llu", row->flows);
	jsonl_print_counts(out, "_in", &row->total[WAY_FORTH], &row->interval[WAY_FORTH]);
	jsonl_print_counts(out, "_out", &row->total[WAY_BACK], &row->interval[WAY_BACK]);
	fputs("}\n", out);
}

static void jsonl_print_total(FILE *out, const struct report *report, const struct monitor *monitor,
			      enum pm_direction dir)
{
	const struct totals *totals = &monitor->totals[dir];
	const struct totals *before = &monitor->before[dir];
	struct pm_count matched = totals_matched(totals);

	jsonl_print_head(out, report, "total", monitor->iface.name);
	fprintf(out, ",\"dir\":\"%s\",\"packets\":%llu,\"bytes\":%llu,\"flows\":%llu",
		dir == PM_INGRESS ? "in" : "out", totals->all.packets, totals->all.bytes,
		totals->flow_count);
	fprintf(out, ",\"interval_packets\":%llu,\"interval_bytes\":%llu",
		totals->all.packets - before->all.packets, totals->all.bytes - before->all.bytes);
	fprintf(out, ",\"retired_packets\":%llu,\"retired_bytes\":%llu,\"retired_flows\":%llu",
		totals->retired.packets, totals->retired.bytes, totals->retired_flows);
	fprintf(out, ",\"untracked_packets\":%llu,\"untracked_bytes\":%llu",
		totals->untracked.packets, totals->untracked.bytes);
	fprintf(out, ",\"partial_packets\":%llu,\"partial_bytes\":%llu", totals->partial.packets,
		totals->partial.bytes);
	for (int reason = PM_OK + 1; reason < PM_REASONS; reason++) {
		struct pm_count all = totals->reason[reason];

		pm_count_add(&all, &totals->partial_reason[reason]);
		fprintf(out, ",\"%s_packets\":%llu,\"%s_bytes\":%llu", format_reason(reason),
			all.packets, format_reason(reason), all.bytes);
	}
	if (monitor->config->counter.filter.count)
		fprintf(out, ",\"matched_packets\":%llu,\"matched_bytes\":%llu", matched.packets,
			matched.bytes);
	fputs("}\n", out);
}

void output_jsonl(FILE *out, const struct report *report)
{
	static void (*const print[])(FILE *, const struct report *, const struct row *) = {
		[GROUP_NONE] = jsonl_print_flow,   [GROUP_BIFLOW] = print_biflow,
		[GROUP_HOST] = print_host,	   [GROUP_PORT] = print_port,
		[GROUP_PROTOCOL] = print_protocol, [GROUP_INTERFACE] = print_interface,
	};
	const struct view *view = report->view;

	for (size_t i = 0; i < report->ends->count; i++)
		jsonl_print_end(out, report, &report->ends->ends[i]);
	flow_ends_clear(report->ends);
	if (report->only_ends)
		return;
	for (size_t i = 0; i < view->count; i++)
		print[view->config.group](out, report, &view->rows[i]);
	for (int i = 0; i < report->monitor_count; i++)
		for (int dir = 0; dir < PM_DIRECTIONS; dir++)
			if (report->monitors[i]->config->counter.direction[dir])
				jsonl_print_total(out, report, report->monitors[i], dir);
}
