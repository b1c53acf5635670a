// SPDX-License-Identifier: GPL-2.0-only
#include "screen.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"
#include "output.h"
#include "text.h"

/* A message is shown for ten seconds, on three lines at most. */
enum { MESSAGE_LINES = 3, SMALL = 20 /* rows */, CELL_MAX = FORMAT_ENDPOINT_MAX + 40 };
#define MESSAGE_NS (10ULL * NSEC_PER_SEC)

#define RED "\033[31m"
#define YELLOW "\033[33m"
#define PLAIN "\033[m"

static const char screen_keys[] =
	"h help, q quit, space pause, s sort, / filter, b both ways, g group, d direction, "
	"n names, u bytes, r reverse";

static const char *const screen_help[][2] = {
	{ "s", "sort by the next key" },
	{ "r", "reverse the order" },
	{ "d", "only in, only out" },
	{ "b", "both ways in one row" },
	{ "g", "group: host, port..." },
	{ "n", "names or numbers" },
	{ "/", "filter; Esc: all rows" },
	{ "u", "bits or bytes" },
	{ "arrows", "scroll, as page keys" },
	{ "space", "pause, go on" },
	{ "q", "quit" },
};

static bool screen_row_matches(void *arg, const struct row *row)
{
	const struct live_view *live = arg;
	char text[256];

	output_row_text(live->report, row, text, sizeof(text));
	return strcasestr(text, live->filter);
}

/* Choose the rows that the window has room for. */
static void screen_choose_rows(struct live_view *live)
{
	struct view *view = live->view;
	struct view_config config = *live->config;
	size_t most = live->rows_given && config.limit ? config.limit : SIZE_MAX;

	config.limit = live->scroll + live->page < most ? live->scroll + live->page : most;
	memcpy(config.hidden, live->hidden, sizeof(config.hidden));
	config.matches = live->filter[0] ? screen_row_matches : NULL;
	config.arg = live;
	view_begin(view, &config);
	view->failed = live->failed;
	for (size_t i = 0; i < live->count; i++) {
		live->flows[i].flow.key = &live->flows[i].key;
		view_add(view, live->flows[i].monitor, &live->flows[i].flow);
	}
	view_end(view);
	if (view->found > most)
		view->found = most;
	if (live->scroll + live->page > view->found)
		live->scroll = view->found > live->page ? view->found - live->page : 0;
}

/* What stands below the rows, a line at a time. */
struct screen_lines {
	struct live_view *live;
	FILE *out;
	int count;
	FILE *line; /* between screen_begin_line() and screen_end_line() */
	char *text;
	size_t len;
};

static FILE *screen_begin_line(struct screen_lines *lines)
{
	lines->line = open_memstream(&lines->text, &lines->len);
	return lines->line;
}

static void screen_print_line(struct screen_lines *lines, const char *color, const char *text,
			      int len)
{
	fprintf(lines->out, "%s%.*s\n", lines->live->terminal.color ? color : "", len, text);
	lines->count++;
}

/* Print the line, and no more of its parts (", ") than the window has room for. */
static void screen_end_line(struct screen_lines *lines, const char *color)
{
	char *comma;

	fclose(lines->line);
	while (terminal_width(lines->text) > lines->live->terminal.columns &&
	       (comma = strrchr(lines->text, ',')))
		*comma = '\0';
	screen_print_line(lines, color, lines->text, INT_MAX);
	free(lines->text);
}

/* Print all of @text, on up to @most lines. */
static void screen_wrap_line(struct screen_lines *lines, const char *color, const char *text,
			     int most)
{
	int columns = lines->live->terminal.columns, len = (int)strlen(text);

	while (len > columns && most-- > 1) {
		int size = columns;

		while (size && text[size] != ' ')
			size--;
		size = size ?: columns;
		screen_print_line(lines, color, text, size);
		size += text[size] == ' ';
		text += size;
		len -= size;
	}
	screen_print_line(lines, color, text, len);
}

/* What passed in one direction, and the filter, since the report before. */
static struct pm_count screen_passed(const struct monitor *monitor, int dir)
{
	struct pm_count now = totals_matched(&monitor->totals[dir]);
	struct pm_count before = totals_matched(&monitor->before[dir]);

	return (struct pm_count){ now.packets - before.packets, now.bytes - before.bytes };
}

static double screen_per_second(const struct live_view *live, __u64 count)
{
	return live->report->seconds > 0 ? (double)count / live->report->seconds : 0;
}

/* "1.235M bit/s", or the same in bytes. */
static void screen_rate(FILE *out, const struct live_view *live, __u64 bytes)
{
	char text[16];

	format_si(text, screen_per_second(live, live->bytes ? bytes : bytes * 8));
	fprintf(out, "%6s %s", text, live->bytes ? "byte/s" : "bit/s");
}

/* The bytes of the last intervals. */
static void screen_sparkline(FILE *out, const struct live_view *live,
			     const __u64 recent[MONITOR_RECENT])
{
	static const char *const levels[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	__u64 max = 1;

	for (int i = 0; i < MONITOR_RECENT; i++)
		max = recent[i] > max ? recent[i] : max;
	for (int i = 0; i < MONITOR_RECENT; i++) {
		int level = (int)((double)recent[i] / (double)max * 7);

		if (live->terminal.utf8)
			fputs(levels[level], out);
		else
			fputc("_.-=+*%#"[level], out);
	}
}

/* A line for one direction of an interface. */
static void screen_hook(struct screen_lines *lines, const struct monitor *monitor, int dir,
			int width)
{
	const struct totals *totals = &monitor->totals[dir];
	struct pm_count count = screen_passed(monitor, dir), matched = totals_matched(totals);
	FILE *out = screen_begin_line(lines);
	char name[FORMAT_ENDPOINT_MAX], pps[16], packets[16], bytes[16];
	const char *state = output_state(monitor);

	if (!out)
		return;
	output_name(name, monitor);
	format_si(pps, screen_per_second(lines->live, count.packets));
	format_si(packets, (double)matched.packets);
	format_si(bytes, (double)matched.bytes);
	fprintf(out, "%s%*s%s ", name, width - terminal_width(name), "",
		dir == PM_INGRESS ? " in: " : " out:");
	fprintf(out, "%s%s", state ?: "", state ? ", " : "");
	screen_rate(out, lines->live, count.bytes);
	fprintf(out, ", %6s pkt/s, %6s bytes, %6s packets, %llu flows, ", pps, bytes, packets,
		totals->flow_count);
	screen_sparkline(out, lines->live, monitor->recent[dir]);
	screen_end_line(lines, state ? RED : "");
}

/* An interface among many, and what passed it since the report before. */
struct screen_entry {
	const struct monitor *monitor;
	__u64 bytes;
};

/* Those that are not up first, then the busiest. */
static int screen_compare(const void *a, const void *b)
{
	const struct screen_entry *one = a, *other = b;

	if (!output_state(one->monitor) != !output_state(other->monitor))
		return output_state(one->monitor) ? -1 : 1;
	return (one->bytes < other->bytes) - (one->bytes > other->bytes)
		       ?: (one->monitor > other->monitor) - (one->monitor < other->monitor);
}

/* "eth0 1.235M/12.35k" or "eth0 down" */
static void screen_cell(char cell[CELL_MAX], const struct live_view *live,
			const struct monitor *monitor)
{
	const char *state = output_state(monitor), *separator = " ";
	char name[FORMAT_ENDPOINT_MAX], text[16];
	int len;

	output_name(name, monitor);
	if (state) {
		snprintf(cell, CELL_MAX, "%s%s %s%s", live->terminal.color ? RED : "", name, state,
			 live->terminal.color ? PLAIN : "");
		return;
	}
	len = snprintf(cell, CELL_MAX, "%s", name);
	for (int dir = 0; dir < PM_DIRECTIONS; dir++) {
		__u64 bytes = screen_passed(monitor, dir).bytes;

		if (!live->direction[dir])
			continue;
		format_si(text, screen_per_second(live, live->bytes ? bytes : bytes * 8));
		len += snprintf(cell + len, CELL_MAX - (size_t)len, "%s%s", separator, text);
		separator = "/";
	}
}

/* One line of cells; @last: say how many are left. Return: how many it had room for. */
static int screen_cells(struct screen_lines *lines, const struct screen_entry *entries, int count,
			bool last)
{
	int room = lines->live->terminal.columns, shown = 0;
	const int more = (int)sizeof("  and 1234 more") - 1;
	const char *separator = "";
	char cell[CELL_MAX];
	FILE *out = screen_begin_line(lines);

	if (!out)
		return count;
	for (; shown < count; shown++) {
		int width;

		screen_cell(cell, lines->live, entries[shown].monitor);
		width = terminal_width(cell) + (int)strlen(separator);
		if (width + (last && shown < count - 1 ? more : 0) > room)
			break;
		fprintf(out, "%s%s", separator, cell);
		room -= width;
		separator = "  ";
	}
	if (last && shown < count)
		fprintf(out, "%sand %d more", separator, count - shown);
	screen_end_line(lines, "");
	return last || !shown ? count : shown;
}

/* All interfaces in @most lines: their sum, and as many of them as there is room for. */
static void screen_sum(struct screen_lines *lines, int most)
{
	const struct report *report = lines->live->report;
	int count = report->monitor_count, listed = 0, shown = 0, up = 0;
	struct screen_entry *entries = calloc((size_t)count + 1, sizeof(*entries));
	__u64 sum[PM_DIRECTIONS] = { 0 };
	FILE *out = entries ? screen_begin_line(lines) : NULL;

	if (!out)
		goto out;
	for (int i = 0; i < count; i++) {
		const struct monitor *monitor = report->monitors[i];
		__u64 bytes[] = { screen_passed(monitor, PM_INGRESS).bytes,
				  screen_passed(monitor, PM_EGRESS).bytes };

		up += !output_state(monitor);
		if (output_state(monitor) || !output_is_silent(monitor))
			entries[listed++] = (struct screen_entry){ monitor, bytes[0] + bytes[1] };
		sum[PM_INGRESS] += bytes[PM_INGRESS];
		sum[PM_EGRESS] += bytes[PM_EGRESS];
	}
	fprintf(out, "%d interfaces, %d up", count, up);
	for (int dir = 0; dir < PM_DIRECTIONS; dir++) {
		if (!lines->live->direction[dir])
			continue;
		fputs(dir == PM_INGRESS ? ", in " : ", out ", out);
		screen_rate(out, lines->live, sum[dir]);
	}
	if (listed < count)
		fprintf(out, ", %d without packets", count - listed);
	screen_end_line(lines, up < count ? RED : "");
	qsort(entries, (size_t)listed, sizeof(*entries), screen_compare);
	for (int row = 1; row < most && shown < listed; row++)
		shown += screen_cells(lines, entries + shown, listed - shown, row == most - 1);
out:
	free(entries);
}

/* A third of the window at most: a line for each hook, or for several interfaces. */
static void screen_interfaces(struct screen_lines *lines)
{
	const struct report *report = lines->live->report;
	const bool *direction = lines->live->direction;
	int most = (lines->live->terminal.rows - 4) / 3, width = 0;
	char name[FORMAT_ENDPOINT_MAX];

	if (report->monitor_count != 1 &&
	    (!report->monitor_count ||
	     report->monitor_count * (direction[PM_INGRESS] + direction[PM_EGRESS]) > most)) {
		screen_sum(lines, most > 2 ? most : 2);
		return;
	}
	for (int i = 0; i < report->monitor_count; i++) {
		int columns = terminal_width(output_name(name, report->monitors[i]));

		width = columns > width ? columns : width;
	}
	for (int i = 0; i < report->monitor_count; i++)
		for (int dir = 0; dir < PM_DIRECTIONS; dir++)
			if (direction[dir])
				screen_hook(lines, report->monitors[i], dir, width);
}

static void screen_add_totals(struct totals *sum, const struct totals *totals)
{
	pm_count_add(&sum->retired, &totals->retired);
	pm_count_add(&sum->untracked, &totals->untracked);
	pm_count_add(&sum->partial, &totals->partial);
	for (int reason = 0; reason < PM_REASONS; reason++) {
		pm_count_add(&sum->reason[reason], &totals->reason[reason]);
		pm_count_add(&sum->partial_reason[reason], &totals->partial_reason[reason]);
	}
	sum->retired_flows += totals->retired_flows;
}

/* What is in no row, and why. */
static void screen_losses(struct screen_lines *lines)
{
	const struct report *report = lines->live->report;
	struct totals sum = { 0 };
	bool lost;

	for (int i = 0; i < report->monitor_count; i++)
		for (int dir = 0; dir < PM_DIRECTIONS; dir++)
			screen_add_totals(&sum, &report->monitors[i]->totals[dir]);
	lost = sum.untracked.packets != sum.reason[PM_FILTERED].packets;
	if (!screen_begin_line(lines))
		return;
	output_losses(lines->line, &sum);
	fclose(lines->line);
	screen_wrap_line(lines, lost ? RED : "", lines->text, MESSAGE_LINES);
	free(lines->text);
}

/* The last two messages, or the last one in a small window, for a while. */
static void screen_messages(struct screen_lines *lines)
{
	const struct live_view *live = lines->live;
	const char *begin = live->messages + strlen(live->messages), *newline;

	if (live->ending || loop_now_ns() - live->message_ns > MESSAGE_NS)
		return;
	for (int back = live->terminal.rows < SMALL ? 1 : 2; begin > live->messages; begin--)
		if (begin[-1] == '\n' && back-- == 0)
			break;
	for (; (newline = strchr(begin, '\n')); begin = newline + 1) {
		char *text = strndup(begin, (size_t)(newline - begin));

		if (text)
			screen_wrap_line(lines, YELLOW, text, MESSAGE_LINES);
		free(text);
	}
}

static void screen_key_line(struct screen_lines *lines)
{
	const struct live_view *live = lines->live;
	FILE *out;

	if (live->ending || !live->terminal.keys)
		return;
	out = screen_begin_line(lines);
	if (!out)
		return;
	if (live->typing) {
		fputs("rows with (Enter keeps, Esc clears): ", out);
		text_string(out, TEXT_PLAIN, live->filter);
	} else {
		fputs(live->help ? "any key: back to the rows" : screen_keys, out);
	}
	screen_end_line(lines, "");
}

static void screen_title(FILE *out, const struct live_view *live)
{
	const struct report *report = live->report;
	const struct view *view = report->view;

	output_clock(out, report);
	if (live->paused)
		fprintf(out, ", %sPAUSED%s", live->terminal.color ? "\033[7m" : "",
			live->terminal.color ? PLAIN : "");
	fprintf(out, ", by %s%s", sort_names[view->config.sort],
		view->config.reverse ? " reversed" : "");
	if (live->hidden[PM_INGRESS] || live->hidden[PM_EGRESS])
		fputs(live->hidden[PM_EGRESS] ? ", only in" : ", only out", out);
	if (view->count < view->found || live->scroll)
		fprintf(out, ", rows %zu to %zu of %zu", live->scroll + 1, view->count,
			view->found);
	if (live->filter[0]) {
		fputs(", with \"", out);
		text_string(out, TEXT_PLAIN, live->filter);
		fputc('"', out);
	}
	fputc('\n', out);
}

/* In two columns. */
static void screen_print_help(FILE *out)
{
	int count = sizeof(screen_help) / sizeof(screen_help[0]), half = (count + 1) / 2;

	for (int i = 0; i < half; i++) {
		fprintf(out, "%-7s%-23s", screen_help[i][0], screen_help[i][1]);
		if (i + half < count)
			fprintf(out, "%-7s%s", screen_help[i + half][0], screen_help[i + half][1]);
		fputc('\n', out);
	}
}

/* @bottom: the lines below the rows */
static void screen_print(FILE *out, struct live_view *live, const char *bottom)
{
	const struct terminal *terminal = &live->terminal;
	const struct view *view = live->report->view;
	const struct output_window window = { .columns = terminal->columns,
					      .bytes = live->bytes,
					      .utf8 = terminal->utf8,
					      .color = terminal->color };
	size_t used;

	screen_title(out, live);
	if (live->help) {
		screen_print_help(out);
		used = sizeof(screen_help) / sizeof(screen_help[0]) / 2;
	} else {
		output_window(out, live->report, &window, live->scroll, view->count);
		used = view->count - live->scroll;
	}
	for (; used < live->page; used++)
		fputc('\n', out);
	fputs(bottom, out);
}

void screen_draw(struct live_view *live, FILE *out, const struct report *report)
{
	char *bottom = NULL, *screen = NULL;
	size_t bottom_len = 0, len = 0;
	struct screen_lines lines = { .live = live, .out = open_memstream(&bottom, &bottom_len) };
	FILE *text = open_memstream(&screen, &len);

	live->report = report;
	if (lines.out && text) {
		screen_interfaces(&lines);
		screen_losses(&lines);
		screen_messages(&lines);
		screen_key_line(&lines);
		fflush(lines.out);
		live->page = live->terminal.rows > lines.count + 3
				     ? (size_t)(live->terminal.rows - lines.count - 2)
				     : 1;
		screen_choose_rows(live);
		screen_print(text, live, bottom);
		fflush(text);
		terminal_draw(&live->terminal, out, screen, len);
	}
	if (lines.out)
		fclose(lines.out);
	if (text)
		fclose(text);
	free(bottom);
	free(screen);
	live->report = NULL;
}
