// SPDX-License-Identifier: GPL-2.0-only
/* The block for people: aligned rows, then a line of totals and losses per hook. */
#include <string.h>
#include <time.h>

#include "format.h"
#include "output.h"
#include "text.h"

enum { BAR_WIDTH = 10, SUMMARY_ROWS = 5 };

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

/* "host.example:http", as far as the names are known. */
static void named_endpoint(char text[FORMAT_ENDPOINT_MAX], const struct report *report,
			   const struct pm_key *key, bool destination)
{
	__u16 port = destination ? pm_key_dport(key) : pm_key_sport(key);
	char host[FORMAT_ADDRESS_MAX], service[16];

	if (!resolver_host(report->resolver, key, destination, host, sizeof(host))) {
		format_address(host, key, destination);
		if ((pm_key_kind(key) & PM_KIND_FAMILY) == PM_KIND_IPV6) {
			format_endpoint(text, key, destination);
			return;
		}
	}
	if (!format_has_ports(key)) {
		format_endpoint(text, key, destination);
		return;
	}
	if (!resolver_service(report->resolver, key, destination, service, sizeof(service)))
		snprintf(service, sizeof(service), "%u", port);
	snprintf(text, FORMAT_ENDPOINT_MAX, "%s:%s", host, service);
}

/* An endpoint column's text. */
static void cell(char text[FORMAT_ENDPOINT_MAX], const struct report *report, const struct row *row,
		 int column)
{
	switch (report->view->config.group) {
	case GROUP_NONE:
	case GROUP_BIFLOW:
		if (report->view->config.group == GROUP_BIFLOW && format_is_icmp(&row->key))
			format_address(text, &row->key, column == 1);
		else if (report->resolver)
			named_endpoint(text, report, &row->key, column == 1);
		else
			format_endpoint(text, &row->key, column == 1);
		break;
	case GROUP_HOST:
		if (!report->resolver ||
		    !resolver_host(report->resolver, &row->key, false, text, FORMAT_ENDPOINT_MAX))
			format_address(text, &row->key, false);
		break;
	case GROUP_PORT:
		if (format_has_ports(&row->key))
			snprintf(text, FORMAT_ENDPOINT_MAX, "%u", pm_key_dport(&row->key));
		else
			snprintf(text, FORMAT_ENDPOINT_MAX, "-");
		break;
	case GROUP_PROTOCOL:
		snprintf(text, FORMAT_ENDPOINT_MAX, "%s", format_family(&row->key));
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
	fprintf(out, layout->proto ? "%-7s " : "", "PROTO");
	for (int column = 0; column < 2 && layout->names[column]; column++)
		fprintf(out, "%-*s ", width[column], layout->names[column]);
	fprintf(out, layout->flows ? "%7s" : "", "FLOWS");
	for (int way = 0; way < 2; way++) {
		if (layout->ways[way])
			fprintf(out, " %s", layout->ways[way]);
		else if (way)
			break;
		fprintf(out, " %8s %8s %7s %7s", "PACKETS", "BYTES", "PKT/S", "BIT/S");
	}
	fputc('\n', out);
}

/* A bar of up to @width columns, in eighths where the terminal can show them. */
static void print_bar(FILE *out, const struct terminal *terminal, __u64 value, __u64 max, int width)
{
	static const char *const eighths[] = { "", "▏", "▎", "▍", "▌", "▋", "▊", "▉" };
	double length = max ? (double)value / (double)max * width : 0;
	int whole = (int)length;

	fputc(' ', out);
	for (int i = 0; i < whole; i++)
		fputs(terminal->utf8 ? "█" : "#", out);
	if (terminal->utf8)
		fputs(eighths[(int)((length - whole) * 8)], out);
}

static __u64 rate_of(const struct row *row)
{
	return row->interval[WAY_FORTH].bytes + row->interval[WAY_BACK].bytes;
}

static __u64 highest_rate(const struct view *view)
{
	__u64 max = 0;

	for (size_t i = 0; i < view->count; i++)
		if (rate_of(&view->rows[i]) > max)
			max = rate_of(&view->rows[i]);
	return max;
}

static void table_print_row(FILE *out, const struct report *report, const struct layout *layout,
			    const int width[2], const struct row *row, __u64 max)
{
	char text[FORMAT_ENDPOINT_MAX], proto[FORMAT_PROTO_MAX];

	if (report->monitor_count > 1) {
		text_string(out, TEXT_PLAIN, row->monitor->iface.name);
		fprintf(out, "%*s", 9 - (int)strnlen(row->monitor->iface.name, 8), "");
	}
	if (layout->direction)
		fputs(pm_key_direction(&row->key) == PM_INGRESS ? "in  " : "out ", out);
	format_proto(proto, &row->key);
	fprintf(out, layout->proto ? "%-7s " : "", proto);
	for (int column = 0; column < 2 && layout->names[column]; column++) {
		cell(text, report, row, column);
		fprintf(out, "%-*s ", width[column], text);
	}
	fprintf(out, layout->flows ? "%7llu" : "", row->flows);
	for (int way = 0; way < 2; way++) {
		if (layout->ways[way])
			fprintf(out, " %*s", (int)strlen(layout->ways[way]), "");
		else if (way)
			break;
		print_quantities(out, &row->total[way], &row->interval[way], report->seconds);
	}
	if (pm_key_vlan(&row->key))
		fprintf(out, " vlan %u", pm_key_vlan(&row->key));
	if (report->terminal)
		print_bar(out, report->terminal, rate_of(row), max, BAR_WIDTH);
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

/* What passed a hook in the last intervals. */
static void print_sparkline(FILE *out, const struct terminal *terminal,
			    const __u64 recent[MONITOR_RECENT])
{
	static const char *const levels[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	__u64 max = 1;

	for (int i = 0; i < MONITOR_RECENT; i++)
		max = recent[i] > max ? recent[i] : max;
	for (int i = 0; i < MONITOR_RECENT; i++) {
		int level = (int)((double)recent[i] / (double)max * 7);

		if (terminal->utf8)
			fputs(levels[level], out);
		else
			fputc("_.-=+*%#"[level], out);
	}
	fputc(' ', out);
}

static void table_print_hook(FILE *out, const struct monitor *monitor, enum pm_direction dir)
{
	const struct totals *totals = &monitor->totals[dir];

	fprintf(out, "%llu packets, %llu bytes, %llu flows", totals->all.packets, totals->all.bytes,
		totals->flow_count);
	print_losses(out, totals);
}

static void print_place(FILE *out, const struct monitor *monitor, enum pm_direction dir)
{
	text_string(out, TEXT_PLAIN, monitor->iface.name);
	fputs(dir == PM_INGRESS ? " in: " : " out: ", out);
}

static void table_print_totals(FILE *out, const struct report *report,
			       const struct monitor *monitor, enum pm_direction dir)
{
	const struct pm_count *all = &monitor->totals[dir].all;
	const struct pm_count *before = &monitor->before[dir].all;
	double seconds = report->seconds > 0 ? report->seconds : 1;
	char pps[16], bps[16];

	format_si(pps, (double)(all->packets - before->packets) / seconds);
	format_si(bps, (double)(all->bytes - before->bytes) * 8 / seconds);
	print_place(out, monitor, dir);
	if (report->terminal)
		print_sparkline(out, report->terminal, monitor->recent[dir]);
	fprintf(out, "%s pkt/s, %s bit/s, ", pps, bps);
	table_print_hook(out, monitor, dir);
}

int output_table_height(const struct report *report)
{
	int lines = 3; /* two above the rows, and the keys */

	for (int i = 0; i < report->monitor_count; i++)
		for (int dir = 0; dir < PM_DIRECTIONS; dir++)
			lines += report->monitors[i].config->direction[dir];
	return lines;
}

static void print_rows(FILE *out, const struct report *report, size_t count)
{
	const struct view *view = report->view;
	const struct layout *layout = &layouts[view->config.group];
	__u64 max = highest_rate(view);
	int width[2] = { 0 };

	measure(report, layout, width);
	print_heading(out, report, layout, width);
	for (size_t i = 0; i < count; i++)
		table_print_row(out, report, layout, width, &view->rows[i], max);
}

void output_table(FILE *out, const struct report *report)
{
	const struct view *view = report->view;
	time_t now = (time_t)report->ts;
	struct tm local;
	char clock[16];

	localtime_r(&now, &local);
	strftime(clock, sizeof(clock), "%H:%M:%S", &local);
	fprintf(out, "--- %s, by %s", clock, sort_names[view->config.sort]);
	if (view->count < view->found)
		fprintf(out, ", the first %zu of %zu", view->count, view->found);
	fputc('\n', out);
	print_rows(out, report, view->count);
	for (int i = 0; i < report->monitor_count; i++)
		for (int dir = 0; dir < PM_DIRECTIONS; dir++)
			if (report->monitors[i].config->direction[dir])
				table_print_totals(out, report, &report->monitors[i], dir);
	if (report->terminal && report->terminal->keys)
		fputs("s: sort by another key  space: pause  q: quit\n", out);
}

void output_summary(FILE *out, const struct report *report)
{
	const struct view *view = report->view;
	size_t count = view->count < SUMMARY_ROWS ? view->count : SUMMARY_ROWS;

	for (int i = 0; i < report->monitor_count; i++) {
		const struct monitor *monitor = &report->monitors[i];

		for (int dir = 0; dir < PM_DIRECTIONS; dir++) {
			if (!monitor->config->direction[dir])
				continue;
			print_place(out, monitor, dir);
			table_print_hook(out, monitor, dir);
		}
	}
	if (!view->count)
		return;
	fprintf(out, "The first %zu of %zu by %s:\n", count, view->found,
		sort_names[view->config.sort]);
	print_rows(out, report, count);
}
