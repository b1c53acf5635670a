/* SPDX-License-Identifier: GPL-2.0-only */
/* The terminal that the table is drawn on again and again, and its keys. */
#ifndef TERMINAL_H
#define TERMINAL_H

#include <stdbool.h>
#include <stdio.h>
#include <termios.h>

/* All zero: not open. */
struct terminal {
	bool open;
	bool keys;  /* standard input is a terminal, too */
	bool utf8;  /* may show block characters */
	bool drawn; /* something has been drawn: the next time begins at the top */
	int rows;   /* of the window, at the last terminal_measure() */
	int columns;
	struct termios saved;
};

/** terminal_open - if standard output is a terminal, get ready to draw on it */
void terminal_open(struct terminal *terminal);

/** terminal_measure - look how large the window is now */
void terminal_measure(struct terminal *terminal);

/** terminal_draw - print to @out what shows @text instead of what was shown last, cut to the window
 */
void terminal_draw(struct terminal *terminal, FILE *out, const char *text, size_t len);

enum { TERMINAL_GONE = -1 };

/** terminal_key - read the key that standard input holds; Return: it, or TERMINAL_GONE */
int terminal_key(void);

/** terminal_close - leave the terminal as it was found; the last drawing stays visible */
void terminal_close(struct terminal *terminal);

#endif /* TERMINAL_H */
