/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The live view: what the table looks like on a terminal, and what the keys change about it.
 *
 * The flows of the last report are kept, so that a key or a new size of the window is answered at
 * once, from the same figures.
 */
#ifndef LIVE_H
#define LIVE_H

#include "loop.h"
#include "monitor.h"
#include "terminal.h"
#include "view.h"

struct report;

enum { LIVE_FILTER_MAX = 40, LIVE_MESSAGES_MAX = 4096 };

/* What the caller has to do after a key or a signal. */
enum live_action {
	LIVE_NOTHING,
	LIVE_DRAW,   /* the last report again */
	LIVE_REPORT, /* a new one */
	LIVE_QUIT,
};

/* A flow of the last report. */
struct live_flow {
	const struct monitor *monitor;
	struct pm_key key;
	struct flow flow; /* its @key is set when it is used: the array moves */
};

/* All zero: not open. */
struct live_view {
	struct terminal terminal;
	struct loop *loop;
	struct loop_fd keys;
	bool watched;		    /* @keys is in the loop */
	struct view_config *config; /* sort, reverse, group: the caller's; keys change it */
	struct view *view;	    /* the caller's: holds what is shown */
	bool rows_given;	    /* @config->limit was chosen by the user */
	const bool *direction;	    /* those that are counted */
	bool names;		    /* show names, not numbers */
	bool bytes;		    /* rates in bytes, not in bits */
	bool paused, help, typing, ending;
	bool hidden[PM_DIRECTIONS];
	char filter[LIVE_FILTER_MAX]; /* what the rows have to contain; "": anything */
	size_t scroll;		      /* rows above the first one that is shown */
	size_t page;		      /* rows that the window has room for */
	const struct report *report;  /* that is being drawn */
	struct live_flow *flows;      /* of the last report */
	size_t count, room;
	bool failed;			  /* out of memory: flows are missing */
	char messages[LIVE_MESSAGES_MAX]; /* lines for stderr, while the terminal is ours */
	__u64 message_ns;		  /* when the last one came */
	struct loop_timer message_timer;
};

/**
 * live_open - see whether there is a terminal, and prepare to take it
 * @live: @config, @view, @direction, @names and @rows_given are set
 * @on_key: called with @arg when live_key() has something to read
 * @on_message: called with @arg when the last report has to be drawn again, with a message
 * Return: 0 or a negative errno.
 */
int live_open(struct live_view *live, struct loop *loop, void (*on_key)(void *arg),
	      void (*on_message)(void *arg), void *arg);

/**
 * live_check - take the terminal if this job is in the foreground, give it up if it is not
 * Return: whether to draw on it.
 */
bool live_check(struct live_view *live);

/** live_on_stderr - return whether stderr is the same terminal */
bool live_on_stderr(const struct live_view *live);

/** live_key - obey the keys that have been pressed; Return: what is left to do */
enum live_action live_key(struct live_view *live);

/** live_signal - obey SIGWINCH, SIGTSTP, SIGCONT; Return: what is left to do, for others: to end */
enum live_action live_signal(struct live_view *live, int signal);

/** live_begin - forget the flows of the last report */
void live_begin(struct live_view *live);

/** live_keep - take one flow into the report */
void live_keep(struct live_view *live, const struct monitor *monitor, const struct flow *flow);

/** live_end - the next report is the last one, and shows everything again */
void live_end(struct live_view *live);

/** live_close - leave the terminal as it was found, and print the messages that it showed */
void live_close(struct live_view *live);

#endif /* LIVE_H */
