// SPDX-License-Identifier: GPL-2.0-only
/*
 * The text format of Prometheus. The number of series is bounded: the rows of the view, and all
 * other flows as one per hook.
 */
#include <string.h>

#include "format.h"
#include "output.h"
#include "text.h"

static void print_label(FILE *out, const char *name, const char *value)
{
	fprintf(out, "%s=\"", name);
	text_string(out, TEXT_PROMETHEUS, value);
	fputc('"', out);
}

static void prom_print_hook(FILE *out, const char *metric, const struct monitor *monitor,
			    enum pm_direction dir)
{
	fprintf(out, "packet_monitor_%s{", metric);
	print_label(out, "iface", monitor->iface.name);
	fprintf(out, ",dir=\"%s\"", dir == PM_INGRESS ? "in" : "out");
}

static void prom_head(FILE *out, const char *metric, const char *type, const char *text)
{
	fprintf(out, "# HELP packet_monitor_%s %s\n# TYPE packet_monitor_%s %s\n", metric, text,
		metric, type);
}

static void prom_print_flow(FILE *out, const char *metric, const struct row *row, __u64 value)
{
	char src[FORMAT_ENDPOINT_MAX], dst[FORMAT_ENDPOINT_MAX], proto[FORMAT_PROTO_MAX];

	format_endpoint(src, &row->key, false);
	format_endpoint(dst, &row->key, true);
	format_proto(proto, &row->key);
	prom_print_hook(out, metric, row->monitor, pm_key_direction(&row->key));
	fprintf(out, ",vlan=\"%u\"", pm_key_vlan(&row->key));
	if (pm_key_kind(&row->key) & PM_KIND_QINQ)
		fprintf(out, ",inner_vlan=\"%u\"", row->key.inner_vlan);
	fprintf(out, ",proto=\"%s\",src=\"%s\",dst=\"%s\"} %llu\n", proto, src, dst, value);
}

/* The flows that are in the table, but not in the view. */
static struct pm_count others(const struct report *report, const struct monitor *monitor,
			      enum pm_direction dir)
{
	struct pm_count rest = monitor->totals[dir].flows;

	for (size_t i = 0; i < report->view->count; i++) {
		const struct row *row = &report->view->rows[i];

		if (row->monitor != monitor || pm_key_direction(&row->key) != dir)
			continue;
		rest.packets -= row->total[WAY_FORTH].packets;
		rest.bytes -= row->total[WAY_FORTH].bytes;
	}
	return rest;
}

static void print_flows(FILE *out, const struct report *report, const char *metric, bool bytes)
{
	prom_head(out, metric, "gauge", "The largest flows, and the others as one.");
	for (size_t i = 0; i < report->view->count; i++) {
		const struct pm_count *count = &report->view->rows[i].total[WAY_FORTH];

		prom_print_flow(out, metric, &report->view->rows[i],
				bytes ? count->bytes : count->packets);
	}
	for (int i = 0; i < report->monitor_count; i++) {
		const struct monitor *monitor = report->monitors[i];

		for (int dir = 0; dir < PM_DIRECTIONS; dir++) {
			struct pm_count rest = others(report, monitor, dir);

			if (!monitor->config->counter.direction[dir])
				continue;
			prom_print_hook(out, metric, monitor, dir);
			fprintf(out, ",vlan=\"\",proto=\"\",src=\"other\",dst=\"other\"} %llu\n",
				bytes ? rest.bytes : rest.packets);
		}
	}
}

/* One metric with a value per hook. */
static void prom_print_totals(FILE *out, const struct report *report, const char *metric,
			      const char *type, const char *text,
			      __u64 (*value)(const struct totals *totals))
{
	prom_head(out, metric, type, text);
	for (int i = 0; i < report->monitor_count; i++) {
		const struct monitor *monitor = report->monitors[i];

		for (int dir = 0; dir < PM_DIRECTIONS; dir++) {
			if (!monitor->config->counter.direction[dir])
				continue;
			prom_print_hook(out, metric, monitor, dir);
			fprintf(out, "} %llu\n", value(&monitor->totals[dir]));
		}
	}
}

static __u64 packets(const struct totals *totals)
{
	return totals->all.packets;
}

static __u64 bytes(const struct totals *totals)
{
	return totals->all.bytes;
}

static __u64 matched_packets(const struct totals *totals)
{
	return totals_matched(totals).packets;
}

static __u64 matched_bytes(const struct totals *totals)
{
	return totals_matched(totals).bytes;
}

static __u64 flows(const struct totals *totals)
{
	return totals->flow_count;
}

static __u64 retired(const struct totals *totals)
{
	return totals->retired.packets;
}

static void print_untracked(FILE *out, const struct report *report)
{
	prom_head(out, "untracked_packets_total", "counter", "Packets counted without a flow.");
	for (int i = 0; i < report->monitor_count; i++) {
		const struct monitor *monitor = report->monitors[i];

		for (int dir = 0; dir < PM_DIRECTIONS; dir++) {
			if (!monitor->config->counter.direction[dir])
				continue;
			for (int reason = PM_OK + 1; reason < PM_REASONS; reason++) {
				prom_print_hook(out, "untracked_packets_total", monitor, dir);
				fprintf(out, ",reason=\"%s\"} %llu\n", format_reason(reason),
					monitor->totals[dir].reason[reason].packets);
			}
		}
	}
}

void output_prom(FILE *out, const struct report *report)
{
	prom_print_totals(out, report, "packets_total", "counter", "Packets that passed the hook.",
			  packets);
	prom_print_totals(out, report, "bytes_total", "counter", "Bytes that passed the hook.",
			  bytes);
	if (report->monitors[0]->config->counter.filter.count) {
		prom_print_totals(out, report, "matched_packets_total", "counter",
				  "Packets that the filter accepted.", matched_packets);
		prom_print_totals(out, report, "matched_bytes_total", "counter",
				  "Bytes that the filter accepted.", matched_bytes);
	}
	prom_print_totals(out, report, "flows", "gauge", "Flows in the table.", flows);
	prom_print_totals(out, report, "retired_packets_total", "counter",
			  "Packets of flows that have left the table.", retired);
	print_untracked(out, report);
	print_flows(out, report, "flow_packets", false);
	print_flows(out, report, "flow_bytes", true);
}
