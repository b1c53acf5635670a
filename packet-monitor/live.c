// SPDX-License-Identifier: GPL-2.0-only
#include "live.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "number.h"
#include "output.h"
#include "text.h"

/* A flow of the last report. */
struct live_flow {
	const struct monitor *monitor;
	struct pm_key key;
	struct flow flow; /* its @key is set when it is used: the array moves */
};

/* A message is shown for ten seconds, on three lines at most. */
enum { MESSAGE_LINES = 3, SMALL = 20 /* rows */, CELL_MAX = FORMAT_ENDPOINT_MAX + 40 };
#define MESSAGE_NS (10ULL * NSEC_PER_SEC)

#define RED "\033[31m"
#define YELLOW "\033[33m"
#define PLAIN "\033[m"

static const char live_keys[] =
	"h help  q quit  space pause  s sort  / filter  b both ways  g group  d direction  "
	"n names  u bytes  r reverse";

static const char *const live_help[][2] = {
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

int live_open(struct live_view *live, struct loop *loop, void (*on_key)(void *arg),
	      void (*on_message)(void *arg), void *arg)
{
	static const int signals[] = { SIGWINCH, SIGTSTP, SIGCONT, SIGQUIT };
	int err = 0;

	live->loop = loop;
	live->keys = (struct loop_fd){ .fd = STDIN_FILENO, .ready = on_key, .arg = arg };
	live->message_timer = (struct loop_timer){ .expired = on_message, .arg = arg };
	terminal_open(&live->terminal);
	for (int i = 0; i < 4 && live->terminal.able && !err; i++)
		err = loop_take_signal(loop, signals[i]);
	return err;
}

/* Keep a message until the terminal is given back; the oldest make room. */
static void take_message(void *arg, const char *text, size_t len)
{
	struct live_view *live = arg;
	size_t used = strlen(live->messages), room = sizeof(live->messages) - 1;

	if (len > room) {
		text += len - room;
		len = room;
	}
	if (used + len > room) {
		const char *rest = strchr(live->messages + used + len - room - 1, '\n');

		used = rest ? strlen(++rest) : 0;
		memmove(live->messages, rest ?: "", used);
	}
	memcpy(live->messages + used, text, len);
	live->messages[used + len] = '\0';
	live->message_ns = loop_now_ns();
	loop_set(live->loop, &live->message_timer, live->message_ns);
}

static bool same_terminal(void)
{
	struct stat out, err;

	return !fstat(STDOUT_FILENO, &out) && !fstat(STDERR_FILENO, &err) && S_ISCHR(err.st_mode) &&
	       out.st_rdev == err.st_rdev;
}

static void watch_keys(struct live_view *live)
{
	bool wanted = live->terminal.live && live->terminal.keys;

	if (wanted == live->watched)
		return;
	if (live->watched)
		loop_remove(live->loop, &live->keys);
	live->watched = wanted && !loop_add(live->loop, &live->keys);
}

/* The terminal has been taken or given up. */
static void live_changed(struct live_view *live)
{
	watch_keys(live);
	if (live->terminal.live) {
		if (same_terminal())
			log_divert(take_message, live);
		return;
	}
	live->typing = live->help = live->paused = false;
	log_divert(NULL, NULL);
	log_text(live->messages, strlen(live->messages));
	live->messages[0] = '\0';
}

bool live_check(struct live_view *live)
{
	bool before = live->terminal.live;

	if (terminal_check(&live->terminal) != before)
		live_changed(live);
	return live->terminal.live;
}

static void next_direction(struct live_view *live)
{
	bool *hidden = live->hidden;

	/* Both, in, out. */
	if (!live->direction[PM_INGRESS] || !live->direction[PM_EGRESS])
		return;
	if (!hidden[PM_INGRESS] && !hidden[PM_EGRESS])
		hidden[PM_EGRESS] = true;
	else if (hidden[PM_EGRESS])
		hidden[PM_EGRESS] = !(hidden[PM_INGRESS] = true);
	else
		hidden[PM_INGRESS] = false;
}

static void live_group(struct live_view *live, int group)
{
	live->config->group = (enum group)(group % GROUPS);
	live->scroll = 0;
}

/* A key while the filter is typed. Return: false if it is none of the filter's. */
static bool live_type(struct live_view *live, int key)
{
	size_t len = strlen(live->filter);

	if (key == TERMINAL_ESCAPE) {
		live->filter[0] = '\0';
		live->typing = false;
	} else if (key == '\r' || key == '\n') {
		live->typing = false;
	} else if (key == '\b' || key == 0x7f) {
		while (len && ((unsigned char)live->filter[--len] & 0xc0) == 0x80)
			;
		live->filter[len] = '\0';
	} else if (key >= ' ' && key < 0x100) {
		if (len + 1 < sizeof(live->filter)) {
			live->filter[len] = (char)key;
			live->filter[len + 1] = '\0';
		}
	} else {
		return false;
	}
	live->scroll = 0;
	return true;
}

static void live_scroll(struct live_view *live, int key)
{
	size_t page = live->page > 1 ? live->page - 1 : 1;
	size_t step = key == TERMINAL_PAGE_UP || key == TERMINAL_PAGE_DOWN ? page : 1;

	if (key == TERMINAL_HOME)
		live->scroll = 0;
	else if (key == TERMINAL_END)
		live->scroll = live->count * 2; /* live_draw() knows better */
	else if (key == TERMINAL_UP || key == TERMINAL_PAGE_UP)
		live->scroll -= step < live->scroll ? step : live->scroll;
	else
		live->scroll += step;
}

static enum live_action obey(struct live_view *live, int key)
{
	if (live->typing && live_type(live, key))
		return LIVE_DRAW;
	if (live->help && key != 'q') {
		live->help = false;
		return LIVE_DRAW;
	}
	switch (key) {
	case 'h':
	case '?':
		live->help = true;
		break;
	case 's':
		live->config->sort = (live->config->sort + 1) % SORT_KEYS;
		live->scroll = 0;
		break;
	case 'r':
		live->config->reverse = !live->config->reverse;
		live->scroll = 0;
		break;
	case 'd':
		next_direction(live);
		live->scroll = 0;
		break;
	case 'b':
		live_group(live, live->config->group == GROUP_BIFLOW ? GROUP_NONE : GROUP_BIFLOW);
		break;
	case 'g':
		live_group(live,
			   live->config->group < GROUP_HOST ? GROUP_HOST : live->config->group + 1);
		break;
	case 'n':
		live->names = !live->names;
		break;
	case 'u':
		live->bytes = !live->bytes;
		break;
	case '/':
		live->typing = true;
		break;
	case TERMINAL_ESCAPE:
		live->filter[0] = '\0';
		live->scroll = 0;
		break;
	case TERMINAL_UP:
	case TERMINAL_DOWN:
	case TERMINAL_PAGE_UP:
	case TERMINAL_PAGE_DOWN:
	case TERMINAL_HOME:
	case TERMINAL_END:
		live_scroll(live, key);
		break;
	case ' ':
		live->paused = !live->paused;
		return live->paused ? LIVE_DRAW : LIVE_REPORT;
	case 'q':
		return LIVE_QUIT;
	default:
		return LIVE_NOTHING;
	}
	return LIVE_DRAW;
}

enum live_action live_key(struct live_view *live)
{
	enum live_action all = LIVE_NOTHING;
	int key;

	/* A key that is pressed while this job is in the background is the shell's. */
	if (!live_check(live))
		return LIVE_NOTHING;
	if (!terminal_read(&live->terminal)) {
		live->terminal.keys = false;
		watch_keys(live);
		return LIVE_NOTHING;
	}
	while ((key = terminal_key(&live->terminal)) != TERMINAL_NONE) {
		enum live_action action = obey(live, key);

		all = action > all ? action : all;
	}
	return all;
}

enum live_action live_signal(struct live_view *live, int signal)
{
	bool before = live->terminal.live;

	switch (signal) {
	case SIGWINCH:
		live->terminal.drawn = false;
		return !live_check(live) ? LIVE_NOTHING : before ? LIVE_DRAW : LIVE_REPORT;
	case SIGTSTP:
		if (live_check(live)) {
			terminal_leave(&live->terminal);
			live_changed(live);
		}
		terminal_stop();
		return LIVE_NOTHING;
	case SIGCONT:
		/* The shell has used the terminal meanwhile, and changed its settings. */
		if (live->terminal.live) {
			live->terminal.live = false;
			live_changed(live);
		}
		return live_check(live) ? LIVE_REPORT : LIVE_NOTHING;
	case SIGQUIT:
		return LIVE_QUIT;
	default:
		return LIVE_NOTHING;
	}
}

void live_begin(struct live_view *live)
{
	live->count = 0;
	live->failed = false;
}

void live_keep(struct live_view *live, const struct monitor *monitor, const struct flow *flow)
{
	if (live->count == live->room) {
		size_t room = live->room ? live->room * 2 : 256;
		struct live_flow *flows = reallocarray(live->flows, room, sizeof(*flows));

		if (!flows) {
			live->failed = true;
			return;
		}
		live->flows = flows;
		live->room = room;
	}
	live->flows[live->count++] =
		(struct live_flow){ .monitor = monitor, .key = *flow->key, .flow = *flow };
}

static bool live_matches(void *arg, const struct row *row)
{
	const struct live_view *live = arg;
	char text[256];

	output_row_text(live->report, row, text, sizeof(text));
	return strcasestr(text, live->filter);
}

/* Choose the rows that the window has room for. */
static void live_view(struct live_view *live)
{
	struct view *view = live->view;
	struct view_config config = *live->config;
	size_t most = live->rows_given && config.limit ? config.limit : SIZE_MAX;

	config.limit = live->scroll + live->page < most ? live->scroll + live->page : most;
	memcpy(config.hidden, live->hidden, sizeof(config.hidden));
	config.matches = live->filter[0] ? live_matches : NULL;
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
struct lines {
	struct live_view *live;
	FILE *out;
	int count;
	FILE *line; /* between line_begin() and line_end() */
	char *text;
	size_t len;
};

static FILE *line_begin(struct lines *lines)
{
	lines->line = open_memstream(&lines->text, &lines->len);
	return lines->line;
}

static void line_print(struct lines *lines, const char *color, const char *text, int len)
{
	fprintf(lines->out, "%s%.*s\n", lines->live->terminal.color ? color : "", len, text);
	lines->count++;
}

/* Print the line, and no more of its parts (", ") than the window has room for. */
static void line_end(struct lines *lines, const char *color)
{
	char *comma;

	fclose(lines->line);
	while (terminal_width(lines->text) > lines->live->terminal.columns &&
	       (comma = strrchr(lines->text, ',')))
		*comma = '\0';
	line_print(lines, color, lines->text, INT_MAX);
	free(lines->text);
}

/* Print all of @text, on up to @most lines. */
static void line_wrap(struct lines *lines, const char *color, const char *text, int most)
{
	int columns = lines->live->terminal.columns, len = (int)strlen(text);

	while (len > columns && most-- > 1) {
		int size = columns;

		while (size && text[size] != ' ')
			size--;
		size = size ?: columns;
		line_print(lines, color, text, size);
		size += text[size] == ' ';
		text += size;
		len -= size;
	}
	line_print(lines, color, text, len);
}

/* What passed in one direction since the report before. */
static struct pm_count passed(const struct monitor *monitor, int dir)
{
	return (struct pm_count){
		monitor->totals[dir].all.packets - monitor->before[dir].all.packets,
		monitor->totals[dir].all.bytes - monitor->before[dir].all.bytes,
	};
}

static double per_second(const struct live_view *live, __u64 count)
{
	return live->report->seconds > 0 ? (double)count / live->report->seconds : 0;
}

static void print_rate(FILE *out, const struct live_view *live, __u64 bytes, bool unit)
{
	char text[16];

	format_si(text, per_second(live, live->bytes ? bytes : bytes * 8));
	fprintf(out, unit ? "%6s %s" : "%s", text, live->bytes ? "byte/s" : "bit/s");
}

static void print_packet_rate(FILE *out, const struct live_view *live, __u64 packets)
{
	char text[16];

	format_si(text, per_second(live, packets));
	fprintf(out, "%6s pkt/s", text);
}

/* The bytes of the last intervals. */
static void print_sparkline(FILE *out, const struct live_view *live,
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

/* At the end, no interface is attached any more. */
static const char *state_of(const struct live_view *live, const struct monitor *monitor)
{
	return live->ending ? NULL : output_state(monitor);
}

static const char *color_of(const struct live_view *live, const struct monitor *monitor)
{
	return state_of(live, monitor) ? RED : "";
}

/* Print "eth0 in:" and, if the interface is not up, its state. */
static void live_place(FILE *out, const struct live_view *live, const struct monitor *monitor,
		       int width, const char *dir)
{
	char name[FORMAT_ENDPOINT_MAX];

	output_name(name, monitor);
	fprintf(out, "%s%s:%*s", name, dir, width + 5 - terminal_width(name) - (int)strlen(dir),
		"");
	if (state_of(live, monitor))
		fprintf(out, "%s, ", state_of(live, monitor));
}

/* A line for one direction of an interface. */
static void line_of_hook(struct lines *lines, const struct monitor *monitor, int dir, int width)
{
	const struct totals *totals = &monitor->totals[dir];
	struct pm_count count = passed(monitor, dir);
	FILE *out = line_begin(lines);
	char packets[16], bytes[16];

	if (!out)
		return;
	format_si(packets, (double)totals->all.packets);
	format_si(bytes, (double)totals->all.bytes);
	live_place(out, lines->live, monitor, width, dir == PM_INGRESS ? " in" : " out");
	print_rate(out, lines->live, count.bytes, true);
	fputs(", ", out);
	print_packet_rate(out, lines->live, count.packets);
	fprintf(out, ", %6s bytes, %6s packets, %llu flows, ", bytes, packets, totals->flow_count);
	print_sparkline(out, lines->live, monitor->recent[dir]);
	line_end(lines, color_of(lines->live, monitor));
}

/* The rates of both directions, in the order of their weight. */
static void print_both(FILE *out, const struct live_view *live, const struct pm_count count[])
{
	static const char *const names[] = { "in", "out" };

	for (int dir = 0; dir < PM_DIRECTIONS; dir++) {
		if (!live->direction[dir])
			continue;
		fprintf(out, "%s ", names[dir]);
		print_rate(out, live, count[dir].bytes, true);
		fputs(", ", out);
	}
	for (int dir = 0; dir < PM_DIRECTIONS; dir++) {
		if (!live->direction[dir])
			continue;
		fprintf(out, "%s ", names[dir]);
		print_packet_rate(out, live, count[dir].packets);
		fputs(", ", out);
	}
}

/* A line for an interface. */
static void line_of_interface(struct lines *lines, const struct monitor *monitor, int width)
{
	struct pm_count count[] = { passed(monitor, 0), passed(monitor, 1) };
	FILE *out = line_begin(lines);

	if (!out)
		return;
	live_place(out, lines->live, monitor, width - 4, "");
	print_both(out, lines->live, count);
	fprintf(out, "%llu flows", monitor->totals[0].flow_count + monitor->totals[1].flow_count);
	line_end(lines, color_of(lines->live, monitor));
}

/* Those that are not up first, then the busiest. */
static int compare_monitors(const void *a, const void *b, void *live)
{
	const struct monitor *one = *(const struct monitor *const *)a;
	const struct monitor *other = *(const struct monitor *const *)b;
	__u64 mine = passed(one, 0).bytes + passed(one, 1).bytes;
	__u64 yours = passed(other, 0).bytes + passed(other, 1).bytes;

	if (!state_of(live, one) != !state_of(live, other))
		return state_of(live, one) ? -1 : 1;
	return (mine < yours) - (mine > yours) ?: (one > other) - (one < other);
}

/* "eth0 1.235M/12.35k" or "eth0 down" */
static void make_cell(char cell[CELL_MAX], const struct live_view *live,
		      const struct monitor *monitor)
{
	const char *state = state_of(live, monitor), *separator = " ";
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
		__u64 bytes = passed(monitor, dir).bytes;

		if (!live->direction[dir])
			continue;
		format_si(text, per_second(live, live->bytes ? bytes : bytes * 8));
		len += snprintf(cell + len, CELL_MAX - (size_t)len, "%s%s", separator, text);
		separator = "/";
	}
}

/* One line of cells; @last: say how many are left. Return: how many it had room for. */
static int line_of_cells(struct lines *lines, const struct monitor **monitors, int count, bool last)
{
	int room = lines->live->terminal.columns, shown = 0;
	const int more = (int)sizeof("  and 1234 more") - 1;
	const char *separator = "";
	char cell[CELL_MAX];
	FILE *out = line_begin(lines);

	if (!out)
		return count;
	for (; shown < count; shown++) {
		int width;

		make_cell(cell, lines->live, monitors[shown]);
		width = terminal_width(cell) + (int)strlen(separator);
		if (width + (last && shown < count - 1 ? more : 0) > room)
			break;
		fprintf(out, "%s%s", separator, cell);
		room -= width;
		separator = "  ";
	}
	if (last && shown < count)
		fprintf(out, "%sand %d more", separator, count - shown);
	line_end(lines, "");
	return last || !shown ? count : shown;
}

/* All interfaces in @most lines: their sum, and as many of them as there is room for. */
static void lines_of_many(struct lines *lines, int most)
{
	const struct report *report = lines->live->report;
	int count = report->monitor_count, shown = 0, up = 0;
	const struct monitor **monitors = calloc((size_t)count, sizeof(*monitors));
	struct pm_count sum[PM_DIRECTIONS] = { 0 };
	FILE *out = line_begin(lines);

	for (int i = 0; i < count; i++) {
		const struct monitor *monitor = &report->monitors[i];

		for (int dir = 0; dir < PM_DIRECTIONS; dir++) {
			struct pm_count one = passed(monitor, dir);

			pm_count_add(&sum[dir], &one);
		}
		up += !state_of(lines->live, monitor);
		if (monitors)
			monitors[i] = monitor;
	}
	if (out) {
		fprintf(out, "%d interfaces, %d up: ", count, up);
		print_both(out, lines->live, sum);
		line_end(lines, up < count ? RED : "");
	}
	if (!monitors)
		return;
	qsort_r(monitors, (size_t)count, sizeof(*monitors), compare_monitors, lines->live);
	for (int row = 1; row < most && shown < count; row++)
		shown += line_of_cells(lines, monitors + shown, count - shown, row == most - 1);
	free(monitors);
}

static void lines_of_interfaces(struct lines *lines)
{
	const struct report *report = lines->live->report;
	int most = (lines->live->terminal.rows - 4) / 3, width = 0, hooks = 0;
	char name[FORMAT_ENDPOINT_MAX];

	for (int i = 0; i < report->monitor_count; i++) {
		int columns = terminal_width(output_name(name, &report->monitors[i]));

		width = columns > width ? columns : width;
		hooks += lines->live->direction[PM_INGRESS] + lines->live->direction[PM_EGRESS];
	}
	if (report->monitor_count > 1 && report->monitor_count > most)
		return lines_of_many(lines, most > 2 ? most : 2);
	for (int i = 0; i < report->monitor_count; i++) {
		if (hooks > most && hooks > report->monitor_count)
			line_of_interface(lines, &report->monitors[i], width);
		else
			for (int dir = 0; dir < PM_DIRECTIONS; dir++)
				if (lines->live->direction[dir])
					line_of_hook(lines, &report->monitors[i], dir, width);
	}
}

static void totals_add(struct totals *sum, const struct totals *totals)
{
	pm_count_add(&sum->retired, &totals->retired);
	pm_count_add(&sum->untracked, &totals->untracked);
	for (int reason = 0; reason < PM_REASONS; reason++)
		pm_count_add(&sum->reason[reason], &totals->reason[reason]);
	sum->retired_flows += totals->retired_flows;
}

/* What is in no row, and why. */
static void lines_of_losses(struct lines *lines)
{
	const struct report *report = lines->live->report;
	struct totals sum = { 0 };
	bool lost;

	for (int i = 0; i < report->monitor_count; i++)
		for (int dir = 0; dir < PM_DIRECTIONS; dir++)
			totals_add(&sum, &report->monitors[i].totals[dir]);
	lost = sum.untracked.packets != sum.reason[PM_FILTERED].packets;
	if (!line_begin(lines))
		return;
	output_losses(lines->line, &sum);
	fclose(lines->line);
	line_wrap(lines, lost ? RED : "", lines->text, MESSAGE_LINES);
	free(lines->text);
}

/* The last two messages, or the last one in a small window, for a while. */
static void lines_of_messages(struct lines *lines)
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
			line_wrap(lines, YELLOW, text, MESSAGE_LINES);
		free(text);
	}
}

static void line_of_keys(struct lines *lines)
{
	const struct live_view *live = lines->live;

	if (live->ending || !live->terminal.keys)
		return;
	if (live->typing)
		fprintf(lines->out, "rows with (Enter keeps, Esc clears): %s", live->filter);
	else if (live->help)
		fputs("any key: back to the rows  q: quit", lines->out);
	else
		fputs(live_keys, lines->out);
	lines->count++;
}

static void print_title(FILE *out, const struct live_view *live)
{
	const struct report *report = live->report;
	const struct view *view = report->view;
	time_t now = (time_t)report->ts;
	struct tm local;
	char clock[16];

	localtime_r(&now, &local);
	strftime(clock, sizeof(clock), "%H:%M:%S", &local);
	fputs(clock, out);
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
static void print_help(FILE *out)
{
	int count = sizeof(live_help) / sizeof(live_help[0]), half = (count + 1) / 2;

	for (int i = 0; i < half; i++) {
		fprintf(out, "%-7s%-23s", live_help[i][0], live_help[i][1]);
		if (i + half < count)
			fprintf(out, "%-7s%s", live_help[i + half][0], live_help[i + half][1]);
		fputc('\n', out);
	}
}

/* @bottom: the lines below the rows */
static void print_screen(FILE *out, struct live_view *live, const char *bottom)
{
	const struct terminal *terminal = &live->terminal;
	const struct view *view = live->report->view;
	const struct output_window window = { .columns = terminal->columns,
					      .bytes = live->bytes,
					      .utf8 = terminal->utf8,
					      .color = terminal->color };
	size_t used;

	print_title(out, live);
	if (live->help) {
		print_help(out);
		used = sizeof(live_help) / sizeof(live_help[0]) / 2;
	} else {
		output_window(out, live->report, &window, live->scroll, view->count);
		used = view->count - live->scroll;
	}
	for (; used < live->page; used++)
		fputc('\n', out);
	fputs(bottom, out);
}

void live_draw(struct live_view *live, FILE *out, const struct report *report)
{
	char *bottom = NULL, *screen = NULL;
	size_t bottom_len = 0, len = 0;
	struct lines lines = { .live = live, .out = open_memstream(&bottom, &bottom_len) };
	FILE *text = open_memstream(&screen, &len);

	terminal_measure(&live->terminal);
	live->report = report;
	if (lines.out && text) {
		lines_of_interfaces(&lines);
		lines_of_losses(&lines);
		lines_of_messages(&lines);
		line_of_keys(&lines);
		fflush(lines.out);
		live->page = live->terminal.rows > lines.count + 3
				     ? (size_t)(live->terminal.rows - lines.count - 2)
				     : 1;
		live_view(live);
		print_screen(text, live, bottom);
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

void live_end(struct live_view *live)
{
	live->ending = true;
	live->paused = live->help = live->typing = false;
	live->filter[0] = '\0';
	live->scroll = 0;
	memset(live->hidden, 0, sizeof(live->hidden));
}

void live_close(struct live_view *live)
{
	bool before = live->terminal.live;

	terminal_leave(&live->terminal);
	if (before)
		live_changed(live);
	free(live->flows);
	live->flows = NULL;
	live->count = live->room = 0;
}
