/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The terminal on standard output: its window, its keys and its settings. Only the job in the
 * foreground draws on it and changes its settings; a job in the background leaves it alone.
 *
 * The escape codes are those that every terminal of today shares (ECMA-48). A library such as
 * ncurses writes by itself, and is held up by a terminal that is stopped (Ctrl-S); writer.c is not.
 */
#ifndef TERMINAL_H
#define TERMINAL_H

#include <stdbool.h>
#include <stdio.h>
#include <termios.h>

/* All zero: not open. */
struct terminal {
	bool able;   /* standard output is a terminal that knows escape codes */
	bool live;   /* this is the job in the foreground, and draws */
	bool keys;   /* standard input is a terminal, too, and gives single keys */
	bool utf8;   /* may show characters beyond ASCII */
	bool color;  /* may show colors */
	bool drawn;  /* something has been drawn: the next time begins at the top */
	bool pushed; /* what others had written has been scrolled away */
	int rows;    /* of the window, at the last terminal_measure() */
	int columns;
	bool known; /* @saved is valid */
	struct termios saved;
	size_t typed; /* bytes in @input that terminal_key() has not used up */
	char input[64];
};

/** terminal_open - see what standard output is; nothing is changed yet */
void terminal_open(struct terminal *terminal);

/**
 * terminal_check - take the terminal if this job is in the foreground, give it up if it is not
 * Return: whether it is ours, so that it may be drawn on.
 */
bool terminal_check(struct terminal *terminal);

/** terminal_leave - leave the terminal as it was found; the last drawing stays visible */
void terminal_leave(struct terminal *terminal);

/** terminal_stop - stop, as SIGTSTP asks that is blocked; return when continued */
void terminal_stop(void);

/** terminal_measure - look how large the window is now */
void terminal_measure(struct terminal *terminal);

/** terminal_draw - print to @out what shows @text instead of what was shown last, cut to the window
 */
void terminal_draw(struct terminal *terminal, FILE *out, const char *text, size_t len);

/** terminal_width - return how many columns @text takes; escape codes take none */
int terminal_width(const char *text);

/* What terminal_key() returns besides bytes. */
enum {
	TERMINAL_GONE = -1,
	TERMINAL_NONE = 0,
	TERMINAL_ESCAPE = '\033',
	TERMINAL_UP = 256,
	TERMINAL_DOWN,
	TERMINAL_PAGE_UP,
	TERMINAL_PAGE_DOWN,
	TERMINAL_HOME,
	TERMINAL_END,
	TERMINAL_OTHER,
};

/** terminal_read - read what has been typed. Return: false if standard input has ended. */
bool terminal_read(struct terminal *terminal);

/** terminal_key - return the next key that has been read, or TERMINAL_NONE */
int terminal_key(struct terminal *terminal);

#endif /* TERMINAL_H */
