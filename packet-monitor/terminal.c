// SPDX-License-Identifier: GPL-2.0-only
#include "terminal.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void terminal_open(struct terminal *terminal)
{
	struct termios raw;

	if (!isatty(STDOUT_FILENO))
		return;
	terminal->open = true;
	setlocale(LC_CTYPE, "");
	terminal->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	terminal_measure(terminal);
	/* A background job must not touch the terminal's settings. */
	if (tcgetpgrp(STDIN_FILENO) != getpgrp() || tcgetattr(STDIN_FILENO, &terminal->saved))
		return;
	raw = terminal->saved;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	terminal->keys = !tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

void terminal_measure(struct terminal *terminal)
{
	struct winsize size = { 0 };

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	terminal->rows = size.ws_row ? size.ws_row : 24;
	terminal->columns = size.ws_col ? size.ws_col : 80;
}

/* The bytes of @line that fill @columns; UTF-8 continuation bytes take no column of their own. */
static size_t fit(const char *line, size_t len, int columns)
{
	size_t at = 0;

	for (; at < len; at++)
		if (((unsigned char)line[at] & 0xc0) != 0x80 && columns-- == 0)
			break;
	return at;
}

void terminal_draw(struct terminal *terminal, FILE *out, const char *text, size_t len)
{
	const char *end = text + len, *newline;

	/* From the top left corner on, or on an empty window. */
	fputs(terminal->drawn ? "\033[H" : "\033[H\033[2J", out);
	terminal->drawn = true;
	for (int row = 0; row < terminal->rows && text < end; row++, text = newline + 1) {
		newline = memchr(text, '\n', (size_t)(end - text)) ?: end;
		fwrite(text, 1, fit(text, (size_t)(newline - text), terminal->columns), out);
		fputs(row + 1 < terminal->rows ? "\033[K\n" : "\033[K", out);
	}
	fputs("\033[J", out);
}

int terminal_key(void)
{
	unsigned char key;

	return read(STDIN_FILENO, &key, 1) == 1 ? key : TERMINAL_GONE;
}

void terminal_close(struct terminal *terminal)
{
	if (terminal->keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &terminal->saved);
	memset(terminal, 0, sizeof(*terminal));
}
