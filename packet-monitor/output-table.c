// SPDX-License-Identifier: GPL-2.0-only
/* The block for people: aligned rows, then a line of totals and losses per hook. */
#include <string.h>
#include <time.h>

#include "format.h"
#include "output.h"

/* The columns of a view: what its rows are called by, and what its two ways mean. */
struct layout {
	const char *names[2]; /* of the columns that hold endpoints; NULL: none */
	const char *ways[2];  /* NULL: one way only */
	bool direction;
	bool proto;
	bool flows;
};

static const struct layout layouts[] = {
	[GROUP_NONE] = { { "SOURCE", "DESTINATION" }, { NULL, NULL }, true, true, false },
	[GROUP_BIFLOW] = { { "CLIENT", "SERVER" }, { "->", "<-" }, false, true, false },
	[GROUP_HOST] = { { "HOST", NULL }, { "SENT", "RECEIVED" }, false, false, true },
	[GROUP_PORT] = { { "PORT", NULL }, { "TO", "FROM" }, false, true, true },
	[GROUP_PROTOCOL] = { { "FAMILY", NULL }, { "IN", "OUT" }, false, true, true },
};

/* An endpoint column's text. */
static void cell(char text[FORMAT_ENDPOINT_MAX], const struct report *report, const struct row *row,
		 int column)
{
	switch (report->view->config.group) {
	case GROUP_NONE:
	case GROUP_BIFLOW:
		format_endpoint(text, &row->key, column == 1);
		break;
	case GROUP_HOST:
		format_address(text, &row->key, false);
		break;
	case GROUP_PORT:
		if (format_has_ports(&row->key))
			snprintf(text, FORMAT_ENDPOINT_MAX, "%u", pm_key_dport(&row->key));
		else
			strcpy(text, "-");
		break;
	case GROUP_PROTOCOL:
		strcpy(text, format_family(&row->key));
		break;
	}
}

/* The widths that the endpoint columns need. */
static void measure(const struct report *report, const struct layout *layout, int width[2])
{
	char text[FORMAT_ENDPOINT_MAX];

	for (int column = 0; column < 2 && layout->names[column]; column++) {
		width[column] = (int)strlen(layout->names[column]);
		for (size_t i = 0; i < report->view->count; i++) {
			cell(text, report, &report->view->rows[i], column);
			if ((int)strlen(text) > width[column])
				width[column] = (int)strlen(text);
		}
	}
}

static void print_quantities(FILE *out, const struct pm_count *total,
			     const struct pm_count *interval, double seconds)
{
	char text[16];

	format_si(text, (double)total->packets);
	fprintf(out, " %8s", text);
	format_si(text, (double)total->bytes);
	fprintf(out, " %8s", text);
	format_si(text, seconds > 0 ? (double)interval->packets / seconds : 0);
	fprintf(out, " %7s", text);
	format_si(text, seconds > 0 ? (double)interval->bytes * 8 / seconds : 0);
	fprintf(out, " %7s", text);
}

static void print_heading(FILE *out, const struct report *report, const struct layout *layout,
			  const int width[2])
{
	fprintf(out, report->monitor_count > 1 ? "%-8s " : "", "IFACE");
	fputs(layout->direction ? "DIR " : "", out);
	fprintf(out, layout->proto ? "%-7s" : "", "PROTO");
	for (int column = 0; column < 2 && layout->names[column]; column++)
		fprintf(out, " %-*s", width[column], layout->names[column]);
	fprintf(out, layout->flows ? " %7s" : "", "FLOWS");
	for (int way = 0; way < 2; way++) {
		if (layout->ways[way])
			fprintf(out, " %s", layout->ways[way]);
		else if (way)
			break;
		fprintf(out, " %8s %8s %7s %7s", "PACKETS", "BYTES", "PKT/S", "BIT/S");
	}
	fputc('\n', out);
}

static void print_row(FILE *out, const struct report *report, const struct layout *layout,
		      const int width[2], const struct row *row)
{
	char text[FORMAT_ENDPOINT_MAX], proto[FORMAT_PROTO_MAX];

	fprintf(out, report->monitor_count > 1 ? "%-8s " : "", row->monitor->iface.name);
	if (layout->direction)
		fputs(pm_key_direction(&row->key) == PM_INGRESS ? "in  " : "out ", out);
	format_proto(proto, &row->key);
	fprintf(out, layout->proto ? "%-7s" : "", proto);
	for (int column = 0; column < 2 && layout->names[column]; column++) {
		cell(text, report, row, column);
		fprintf(out, " %-*s", width[column], text);
	}
	fprintf(out, layout->flows ? " %7llu" : "", row->flows);
	for (int way = 0; way < 2; way++) {
		if (layout->ways[way])
			fprintf(out, " %*s", (int)strlen(layout->ways[way]), "");
		else if (way)
			break;
		print_quantities(out, &row->total[way], &row->interval[way], report->seconds);
	}
	if (pm_key_vlan(&row->key))
		fprintf(out, " vlan %u", pm_key_vlan(&row->key));
	fputc('\n', out);
}

/* "12 not tracked (10 table_full, 2 truncated)" */
static void print_losses(FILE *out, const struct totals *totals)
{
	__u64 lost = totals->untracked.packets - totals->reason[PM_FILTERED].packets;
	const char *separator = " (";

	if (totals->reason[PM_FILTERED].packets)
		fprintf(out, ", %llu filtered out", totals->reason[PM_FILTERED].packets);
	if (totals->retired_flows)
		fprintf(out, ", %llu packets of %llu flows retired", totals->retired.packets,
			totals->retired_flows);
	fprintf(out, ", %llu not tracked", lost);
	for (int reason = PM_FILTERED + 1; reason < PM_REASONS; reason++) {
		if (!totals->reason[reason].packets)
			continue;
		fprintf(out, "%s%llu %s", separator, totals->reason[reason].packets,
			format_reason(reason));
		separator = ", ";
	}
	fputs(lost ? ")\n" : "\n", out);
}

static void print_totals(FILE *out, const struct report *report, const struct monitor *monitor,
			 enum pm_direction dir)
{
	const struct totals *totals = &monitor->totals[dir];
	const struct pm_count *before = &monitor->before[dir].all;
	double seconds = report->seconds > 0 ? report->seconds : 1;
	char pps[16], bps[16];

	format_si(pps, (double)(totals->all.packets - before->packets) / seconds);
	format_si(bps, (double)(totals->all.bytes - before->bytes) * 8 / seconds);
	fprintf(out, "%s %s: %s pkt/s, %s bit/s, %llu packets, %llu bytes, %llu flows",
		monitor->iface.name, dir == PM_INGRESS ? "in" : "out", pps, bps,
		totals->all.packets, totals->all.bytes, totals->flow_count);
	print_losses(out, totals);
}

void output_table(FILE *out, const struct report *report)
{
	const struct view *view = report->view;
	const struct layout *layout = &layouts[view->config.group];
	time_t now = (time_t)report->ts;
	struct tm local;
	char clock[16];
	int width[2];

	localtime_r(&now, &local);
	strftime(clock, sizeof(clock), "%H:%M:%S", &local);
	fprintf(out, "--- %s, by %s", clock, sort_names[view->config.sort]);
	if (view->count < view->found)
		fprintf(out, ", the first %zu of %zu", view->count, view->found);
	fputc('\n', out);
	measure(report, layout, width);
	print_heading(out, report, layout, width);
	for (size_t i = 0; i < view->count; i++)
		print_row(out, report, layout, width, &view->rows[i]);
	for (int i = 0; i < report->monitor_count; i++)
		for (int dir = 0; dir < PM_DIRECTIONS; dir++)
			if (report->monitors[i].config->direction[dir])
				print_totals(out, report, &report->monitors[i], dir);
}

void output_summary(FILE *out, const struct report *report)
{
	for (int i = 0; i < report->monitor_count; i++) {
		const struct monitor *monitor = &report->monitors[i];

		for (int dir = 0; dir < PM_DIRECTIONS; dir++) {
			const struct totals *totals = &monitor->totals[dir];

			if (!monitor->config->direction[dir])
				continue;
			fprintf(out, "%s %s: %llu packets, %llu bytes, %llu flows",
				monitor->iface.name, dir == PM_INGRESS ? "in" : "out",
				totals->all.packets, totals->all.bytes, totals->flow_count);
			print_losses(out, totals);
		}
	}
}
