// SPDX-License-Identifier: GPL-2.0-only
/* The block for people: aligned rows, then a line of totals and losses per hook. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "format.h"
#include "output.h"
#include "text.h"

enum { BAR_WIDTH = 10, SUMMARY_ROWS = 5, FEW_INTERFACES = 10 };

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
	[GROUP_INTERFACE] = { { NULL, NULL }, { "IN", "OUT" }, false, false, true },
};

static const char *const direction_names[PM_DIRECTIONS] = { "in", "out" };

const char *output_name(char text[FORMAT_ENDPOINT_MAX], const struct monitor *monitor)
{
	FILE *out = fmemopen(text, FORMAT_ENDPOINT_MAX, "w");

	*text = '\0';
	if (!out)
		return text;
	text_string(out, TEXT_PLAIN, monitor->iface.name);
	fclose(out);
	return text;
}

const char *output_state(const struct monitor *monitor)
{
	if (monitor->gone)
		return monitor->awaited ? "waiting" : "gone";
	return monitor->iface.up ? NULL : "down";
}

bool output_is_silent(const struct monitor *monitor)
{
	return !monitor->totals[PM_INGRESS].all.packets && !monitor->totals[PM_EGRESS].all.packets;
}

/* The VLAN of a row, "" without one. */
static void vlan_text(char text[16], const struct pm_key *key)
{
	*text = '\0';
	if (pm_key_kind(key) & PM_KIND_QINQ)
		snprintf(text, 16, "%u.%u", pm_key_vlan(key), key->inner_vlan);
	else if (pm_key_vlan(key))
		snprintf(text, 16, "%u", pm_key_vlan(key));
}

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
	case GROUP_INTERFACE:
	case GROUP_SERVICE:
		*text = '\0';
		break;
	}
}

/* The text by which a row is filtered on a terminal. */
void output_row_text(const struct report *report, const struct row *row, char *text, size_t size)
{
	const struct layout *layout = &layouts[report->view->config.group];
	char ends[2][FORMAT_ENDPOINT_MAX] = { "", "" }, proto[FORMAT_PROTO_MAX], vlan[16];

	for (int column = 0; column < 2 && layout->names[column]; column++)
		cell(ends[column], report, row, column);
	format_proto(proto, &row->key);
	vlan_text(vlan, &row->key);
	snprintf(text, size, "%s %s %s %s %s%s%s", row->monitor->iface.name,
		 layout->direction ? direction_names[pm_key_direction(&row->key)] : "", proto,
		 ends[0], ends[1], *vlan ? " vlan " : "", vlan);
}

/* The columns of figures, and in which order they make room in a narrow window. */
enum figure { FIGURE_PACKETS, FIGURE_PPS, FIGURE_BYTES, FIGURE_RATE, FIGURES };

/* Narrower than this, an address says little: figures other than the rate make room for it. */
enum { ENDPOINT_MIN = 14, IFACE_MIN = 8 };

/* One table on its way to @out. Widths of columns; 0: not shown. */
struct pm_table {
	FILE *out;
	const struct report *report;
	const struct layout *layout;
	const struct output_window *window; /* NULL: as wide as it gets */
	size_t first, end;		    /* rows */
	int iface, direction, proto, vlan, flows;
	int endpoint[2];
	int head[2]; /* how to shorten the addresses: as format_shorten() has it */
	int figure[FIGURES];
	bool begun; /* something of this line has been printed */
};

static void measure(int *width, const char *text)
{
	int columns = terminal_width(text);

	if (columns > *width)
		*width = columns;
}

static void table_measure(struct pm_table *table)
{
	static const int wide[FIGURES] = { 9, 7, 8, 7 }, narrow[FIGURES] = { 6, 6, 6, 6 };
	const struct report *report = table->report;
	char text[FORMAT_ENDPOINT_MAX];

	memcpy(table->figure, table->window ? narrow : wide, sizeof(wide));
	table->direction = table->layout->direction ? 3 : 0;
	table->flows = table->layout->flows ? 7 : 0;
	table->proto = !table->layout->proto ? 0 : table->window ? 5 : 7;
	if (report->monitor_count > 1 || !table->layout->names[0])
		table->iface = 5;
	for (int i = 0; i < report->monitor_count && table->iface; i++)
		measure(&table->iface, output_name(text, report->monitors[i]));
	for (int column = 0; column < 2 && table->layout->names[column]; column++)
		measure(&table->endpoint[column], table->layout->names[column]);
	for (size_t i = table->first; i < table->end; i++) {
		const struct row *row = &report->view->rows[i];

		for (int column = 0; column < 2 && table->layout->names[column]; column++) {
			cell(text, report, row, column);
			measure(&table->endpoint[column], text);
		}
		vlan_text(text, &row->key);
		if (*text && !table->vlan)
			table->vlan = 4;
		measure(&table->vlan, text);
		if (table->proto) {
			format_proto(text, &row->key);
			measure(&table->proto, text);
		}
	}
}

/* How wide a line is without its endpoints. */
static int width_of_figures(const struct pm_table *table)
{
	const int columns[] = { table->iface, table->direction, table->proto, table->vlan,
				table->flows };
	int ways = 1 + !!table->layout->ways[1], width = -1;

	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		width += columns[i] ? columns[i] + 1 : 0;
	for (int figure = 0; figure < FIGURES; figure++)
		width += table->figure[figure] ? ways * (table->figure[figure] + 1) : 0;
	for (int way = 0; way < 2 && table->layout->ways[way]; way++)
		width += (int)strlen(table->layout->ways[way]) + 1;
	return width + !!table->layout->names[0] + !!table->layout->names[1];
}

static int least(int a, int b)
{
	return a < b ? a : b;
}

/* Make a line fit the window: addresses are shortened, and where that is not enough, some columns
 * of figures are left out. No figure is ever cut.
 */
static void table_fit(struct pm_table *table)
{
	int *endpoint = table->endpoint, columns = table->window->columns;
	int wanted = least(endpoint[0], ENDPOINT_MIN) + least(endpoint[1], ENDPOINT_MIN), room;

	for (int figure = 0; figure < FIGURE_RATE; figure++)
		if (columns - width_of_figures(table) < wanted)
			table->figure[figure] = 0;
	room = columns - width_of_figures(table);
	if (room < wanted && table->iface > IFACE_MIN) {
		int less = least(wanted - room, table->iface - IFACE_MIN);

		table->iface -= less;
		room += less;
	}
	if (room < endpoint[0] + endpoint[1]) {
		if (endpoint[0] <= room / 2)
			endpoint[1] = room - endpoint[0];
		else if (endpoint[1] <= room - room / 2)
			endpoint[0] = room - endpoint[1];
		else
			endpoint[0] = endpoint[1] ? room / 2 : room,
			endpoint[1] = room - endpoint[0];
	}
}

static const char *gap(const struct pm_table *table)
{
	return table->window->utf8 ? "…" : "~";
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* How many different texts a column of endpoints has when shortened to @width. */
static size_t count_texts(const struct pm_table *table, int column, int width, int head,
			  char (*texts)[FORMAT_ENDPOINT_MAX])
{
	size_t count = table->end - table->first, different = 0;

	for (size_t i = 0; i < count; i++) {
		cell(texts[i], table->report, &table->report->view->rows[table->first + i], column);
		format_shorten(texts[i], width, head, gap(table));
	}
	qsort(texts, count, sizeof(*texts), compare_texts);
	for (size_t i = 0; i < count; i++)
		different += !i || strcmp(texts[i - 1], texts[i]) != 0;
	return different;
}

/* Leave out that part of the addresses whose loss makes the fewest of them look the same. */
static void table_choose_heads(struct pm_table *table)
{
	size_t count = table->end - table->first, best, different;
	char(*texts)[FORMAT_ENDPOINT_MAX] = calloc(count ?: 1, sizeof(*texts));

	for (int column = 0; column < 2 && texts; column++) {
		int width = table->endpoint[column];

		table->head[column] = FORMAT_HEADS * 3 / 8;
		best = count_texts(table, column, width, table->head[column], texts);
		if (!width || best == count_texts(table, column, INT_MAX, 0, texts))
			continue;
		for (int head = 0; head <= FORMAT_HEADS; head++) {
			different = count_texts(table, column, width, head, texts);
			if (different > best) {
				best = different;
				table->head[column] = head;
			}
		}
	}
	free(texts);
}

/* One column of a line. */
static void put_cell(struct pm_table *table, const char *text, int width, bool right)
{
	int pad = width - terminal_width(text);

	if (!width)
		return;
	fprintf(table->out, "%s%*s%s%*s", table->begun ? " " : "", right && pad > 0 ? pad : 0, "",
		text, !right && pad > 0 ? pad : 0, "");
	table->begun = true;
}

static void print_heading(struct pm_table *table)
{
	const struct layout *layout = table->layout;
	const char *names[FIGURES] = { table->window ? "PKTS" : "PACKETS", "PKT/S", "BYTES",
				       table->window && table->window->bytes ? "BYTE/S" : "BIT/S" };

	table->begun = false;
	put_cell(table, "IFACE", table->iface, false);
	put_cell(table, "DIR", table->direction, false);
	put_cell(table, "PROTO", table->proto, false);
	put_cell(table, "VLAN", table->vlan, false);
	for (int column = 0; column < 2; column++)
		put_cell(table, layout->names[column] ?: "", table->endpoint[column], false);
	put_cell(table, "FLOWS", table->flows, true);
	for (int way = 0; way < 2; way++) {
		if (layout->ways[way])
			put_cell(table, layout->ways[way], (int)strlen(layout->ways[way]), false);
		else if (way)
			break;
		put_cell(table, names[FIGURE_PACKETS], table->figure[FIGURE_PACKETS], true);
		put_cell(table, names[FIGURE_BYTES], table->figure[FIGURE_BYTES], true);
		put_cell(table, names[FIGURE_PPS], table->figure[FIGURE_PPS], true);
		put_cell(table, names[FIGURE_RATE], table->figure[FIGURE_RATE], true);
	}
}

static void put_figure(struct pm_table *table, enum figure figure, double value)
{
	char text[16];

	format_si(text, value);
	put_cell(table, text, table->figure[figure], true);
}

static void put_way(struct pm_table *table, const struct row *row, int way)
{
	const struct pm_count *total = &row->total[way], *interval = &row->interval[way];
	double seconds = table->report->seconds;
	double bytes = seconds > 0 ? (double)interval->bytes / seconds : 0;

	put_figure(table, FIGURE_PACKETS, (double)total->packets);
	put_figure(table, FIGURE_BYTES, (double)total->bytes);
	put_figure(table, FIGURE_PPS, seconds > 0 ? (double)interval->packets / seconds : 0);
	put_figure(table, FIGURE_RATE, table->window && table->window->bytes ? bytes : bytes * 8);
}

static void table_print_row(struct pm_table *table, const struct row *row)
{
	const struct layout *layout = table->layout;
	char text[FORMAT_ENDPOINT_MAX];

	table->begun = false;
	output_name(text, row->monitor);
	if (table->window)
		format_shorten(text, table->iface, FORMAT_HEADS / 2, gap(table));
	put_cell(table, text, table->iface, false);
	put_cell(table, direction_names[pm_key_direction(&row->key)], table->direction, false);
	format_proto(text, &row->key);
	put_cell(table, text, table->proto, false);
	vlan_text(text, &row->key);
	put_cell(table, text, table->vlan, false);
	for (int column = 0; column < 2 && layout->names[column]; column++) {
		cell(text, table->report, row, column);
		if (table->window)
			format_shorten(text, table->endpoint[column], table->head[column],
				       gap(table));
		put_cell(table, text, table->endpoint[column], false);
	}
	snprintf(text, sizeof(text), "%llu", row->flows);
	put_cell(table, text, table->flows, true);
	for (int way = 0; way < 2; way++) {
		if (layout->ways[way])
			put_cell(table, "", (int)strlen(layout->ways[way]), false);
		else if (way)
			break;
		put_way(table, row, way);
	}
}

static __u64 rate_of(const struct row *row)
{
	return row->interval[WAY_FORTH].bytes + row->interval[WAY_BACK].bytes;
}

/* A bar of up to @width columns, in eighths where the terminal can show them. */
static void print_bar(const struct pm_table *table, __u64 value, __u64 max, int width)
{
	static const char *const eighths[] = { "", "▏", "▎", "▍", "▌", "▋", "▊", "▉" };
	double length = max ? (double)value / (double)max * width : 0;
	int whole = (int)length;

	fputs(table->window->color ? " \033[34m" : " ", table->out);
	for (int i = 0; i < whole; i++)
		fputs(table->window->utf8 ? "█" : "#", table->out);
	if (table->window->utf8)
		fputs(eighths[(int)((length - whole) * 8)], table->out);
}

static void table_print(struct pm_table *table)
{
	const struct view *view = table->report->view;
	const struct output_window *window = table->window;
	int bar = 0;
	__u64 max = 0;

	table->layout = &layouts[view->config.group];
	table_measure(table);
	if (window) {
		table_fit(table);
		table_choose_heads(table);
		bar = least(window->columns - width_of_figures(table) - table->endpoint[0] -
				    table->endpoint[1] - 1,
			    BAR_WIDTH);
		fputs(window->color ? "\033[1m" : "", table->out);
	}
	print_heading(table);
	fputc('\n', table->out);
	for (size_t i = table->first; i < table->end; i++)
		max = rate_of(&view->rows[i]) > max ? rate_of(&view->rows[i]) : max;
	for (size_t i = table->first; i < table->end; i++) {
		table_print_row(table, &view->rows[i]);
		if (bar > 1)
			print_bar(table, rate_of(&view->rows[i]), max, bar);
		fputc('\n', table->out);
	}
}

void output_window(FILE *out, const struct report *report, const struct output_window *window,
		   size_t first, size_t end)
{
	struct pm_table table = {
		.out = out, .report = report, .window = window, .first = first, .end = end
	};

	table_print(&table);
}

/* " (10 table_full, 2 truncated)", or nothing */
static void print_reasons(FILE *out, const struct pm_count reasons[PM_REASONS])
{
	const char *separator = " (";

	for (int reason = PM_FILTERED + 1; reason < PM_REASONS; reason++) {
		if (!reasons[reason].packets)
			continue;
		fprintf(out, "%s%llu %s", separator, reasons[reason].packets,
			format_reason(reason));
		separator = ", ";
	}
	fputs(*separator == ',' ? ")" : "", out);
}

void output_losses(FILE *out, const struct totals *totals)
{
	__u64 lost = totals->untracked.packets - totals->reason[PM_FILTERED].packets;

	if (totals->reason[PM_FILTERED].packets)
		fprintf(out, "%llu filtered out, ", totals->reason[PM_FILTERED].packets);
	if (totals->retired_flows)
		fprintf(out, "%llu packets of %llu flows retired, ", totals->retired.packets,
			totals->retired_flows);
	fprintf(out, "%llu not tracked", lost);
	print_reasons(out, totals->reason);
	if (!totals->partial.packets)
		return;
	fprintf(out, ", %llu read in part", totals->partial.packets);
	print_reasons(out, totals->partial_reason);
}

/* Rates, with @seconds since the report before, and totals of one hook. */
static void table_print_hook(FILE *out, const struct monitor *monitor, enum pm_direction dir,
			     double seconds)
{
	const struct totals *totals = &monitor->totals[dir];
	struct pm_count all = totals_matched(totals);
	struct pm_count before = totals_matched(&monitor->before[dir]);
	char pps[16], bps[16];

	text_string(out, TEXT_PLAIN, monitor->iface.name);
	fputs(dir == PM_INGRESS ? " in: " : " out: ", out);
	if (seconds > 0) {
		format_si(pps, (double)(all.packets - before.packets) / seconds);
		format_si(bps, (double)(all.bytes - before.bytes) * 8 / seconds);
		fprintf(out, "%s pkt/s, %s bit/s, ", pps, bps);
	}
	fprintf(out, "%llu packets, %llu bytes, %llu flows, ", all.packets, all.bytes,
		totals->flow_count);
	output_losses(out, totals);
	fputc('\n', out);
}

/* Of many interfaces, only those that packets have passed; of few, all. */
static void table_print_totals(FILE *out, const struct report *report, double seconds)
{
	int silent = 0;

	for (int i = 0; i < report->monitor_count; i++) {
		const struct monitor *monitor = report->monitors[i];

		if (report->monitor_count > FEW_INTERFACES && output_is_silent(monitor)) {
			silent++;
			continue;
		}
		for (int dir = 0; dir < PM_DIRECTIONS; dir++)
			if (monitor->config->counter.direction[dir])
				table_print_hook(out, monitor, dir, seconds);
	}
	if (silent)
		fprintf(out, "%d interface%s without packets\n", silent, silent == 1 ? "" : "s");
}

/* On a terminal, also in the background, no line is wrapped. */
static void table_print_rows(FILE *out, const struct report *report, size_t count)
{
	const struct terminal *terminal = report->live ? &report->live->terminal : NULL;
	const struct output_window window = { .columns = terminal ? terminal->columns : 0,
					      .utf8 = terminal && terminal->utf8 };

	output_window(out, report, terminal ? &window : NULL, 0, count);
}

void output_clock(FILE *out, const struct report *report)
{
	time_t now = (time_t)report->ts;
	struct tm local;
	char text[16];

	localtime_r(&now, &local);
	strftime(text, sizeof(text), "%H:%M:%S", &local);
	fputs(text, out);
}

void output_table(FILE *out, const struct report *report)
{
	const struct view *view = report->view;

	fputs("--- ", out);
	output_clock(out, report);
	fprintf(out, ", by %s", sort_names[view->config.sort]);
	if (view->count < view->found)
		fprintf(out, ", the first %zu of %zu", view->count, view->found);
	fputc('\n', out);
	table_print_rows(out, report, view->count);
	table_print_totals(out, report, report->seconds > 0 ? report->seconds : 1);
}

void output_summary(FILE *out, const struct report *report)
{
	const struct view *view = report->view;
	size_t count = view->count < SUMMARY_ROWS ? view->count : SUMMARY_ROWS;

	table_print_totals(out, report, 0);
	if (!view->count)
		return;
	fprintf(out, "The first %zu of %zu by %s:\n", count, view->found,
		sort_names[view->config.sort]);
	table_print_rows(out, report, count);
}
