// SPDX-License-Identifier: GPL-2.0-only
#include "live.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

int live_open(struct live_view *live, struct loop *loop, void (*on_key)(void *arg),
	      void (*on_message)(void *arg), void *arg)
{
	static const int signals[] = { SIGWINCH, SIGTSTP, SIGCONT };
	int err = 0;

	live->loop = loop;
	live->keys = (struct loop_fd){ .fd = STDIN_FILENO, .ready = on_key, .arg = arg };
	live->message_timer = (struct loop_timer){ .expired = on_message, .arg = arg };
	terminal_open(&live->terminal);
	for (int i = 0; i < 3 && live->terminal.able && !err; i++)
		err = loop_take_signal(loop, signals[i]);
	return err;
}

/* Keep a message until the terminal is given back; the oldest make room. */
static void live_message(void *arg, const char *text, size_t len)
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

bool live_on_stderr(const struct live_view *live)
{
	struct stat out, err;

	return live->terminal.able && !fstat(STDOUT_FILENO, &out) && !fstat(STDERR_FILENO, &err) &&
	       S_ISCHR(err.st_mode) && out.st_rdev == err.st_rdev;
}

static void live_watch_keys(struct live_view *live)
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
	live_watch_keys(live);
	if (live->terminal.live) {
		if (live_on_stderr(live))
			log_divert(live_message, live);
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

static void live_next_direction(struct live_view *live)
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
		do
			len -= len ? 1 : 0;
		while (len && ((unsigned char)live->filter[len] & 0xc0) == 0x80);
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

static enum live_action live_obey(struct live_view *live, int key)
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
		live_next_direction(live);
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
		live_watch_keys(live);
		return LIVE_NOTHING;
	}
	while ((key = terminal_key(&live->terminal)) != TERMINAL_NONE) {
		enum live_action action = live_obey(live, key);

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
	default:
		return LIVE_QUIT;
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
