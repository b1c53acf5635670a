// SPDX-License-Identifier: GPL-2.0-only
#include "terminal.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "put.h"

void terminal_open(struct terminal *terminal)
{
	const char *type = getenv("TERM"), *no_color = getenv("NO_COLOR");

	*terminal = (struct terminal){ 0 };
	terminal->able = isatty(STDOUT_FILENO) && type && *type && strcmp(type, "dumb") != 0;
	setlocale(LC_CTYPE, "");
	terminal->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	terminal->color = !no_color || !*no_color;
}

/* A terminal that controls no job of ours, such as another console, is nobody else's either. */
static bool terminal_in_background(int fd)
{
	pid_t group = tcgetpgrp(fd);

	return group > 0 && group != getpgrp();
}

static void terminal_take_keys(struct terminal *terminal)
{
	struct termios raw;

	if (tcgetpgrp(STDIN_FILENO) != getpgrp() || tcgetattr(STDIN_FILENO, &raw))
		return;
	if (!terminal->known)
		terminal->saved = raw;
	terminal->known = true;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	terminal->keys = !tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

bool terminal_check(struct terminal *terminal)
{
	if (!terminal->able)
		return false;
	if (terminal_in_background(STDOUT_FILENO)) {
		terminal->live = terminal->keys = false;
	} else if (!terminal->live) {
		terminal->live = true;
		terminal->drawn = terminal->pushed = false;
		terminal->typed = 0;
		terminal_take_keys(terminal);
	}
	return terminal->live;
}

void terminal_leave(struct terminal *terminal)
{
	if (!terminal_check(terminal))
		return;
	if (terminal->drawn)
		put_text(STDOUT_FILENO, "\n", 1, 0);
	if (terminal->keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &terminal->saved);
	terminal->live = terminal->keys = false;
}

void terminal_stop(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	raise(SIGTSTP);
	/* Stops here. */
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

void terminal_measure(struct terminal *terminal)
{
	struct winsize size = { 0 };

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	terminal->rows = size.ws_row ? size.ws_row : 24;
	terminal->columns = size.ws_col ? size.ws_col : 80;
}

/* The bytes at @text that are one escape code, or one character; @width: set to its columns */
static size_t terminal_next(const char *text, size_t len, int *width)
{
	size_t at = 1;

	*width = 1;
	if (*text == '\033') {
		*width = 0;
		while (at < len && text[at] != 'm')
			at++;
		return at + (at < len);
	}
	while (at < len && ((unsigned char)text[at] & 0xc0) == 0x80)
		at++;
	return at;
}

int terminal_width(const char *text)
{
	int width, columns = 0;

	for (size_t len = strlen(text), size; len; text += size, len -= size) {
		size = terminal_next(text, len, &width);
		columns += width;
	}
	return columns;
}

/* The bytes of @line that fill @columns, with the escape codes behind them. */
static size_t terminal_fit(const char *line, size_t len, int columns)
{
	size_t at = 0, size;
	int width;

	for (; at < len; at += size) {
		size = terminal_next(line + at, len - at, &width);
		if (width > columns)
			break;
		columns -= width;
	}
	return at;
}

void terminal_draw(struct terminal *terminal, FILE *out, const char *text, size_t len)
{
	const char *end = text + len, *newline;

	/* What the shell has shown can be scrolled back to. */
	for (int row = terminal->pushed ? 0 : terminal->rows; row > 0; row--)
		fputs(row == terminal->rows ? "\033[999H\n" : "\n", out);
	terminal->pushed = true;
	/* From the top left corner on, or on an empty window. */
	fputs(terminal->drawn ? "\033[H" : "\033[H\033[2J", out);
	terminal->drawn = true;
	for (int row = 0; row < terminal->rows && text < end; row++, text = newline + 1) {
		newline = memchr(text, '\n', (size_t)(end - text)) ?: end;
		if (row)
			fputc('\n', out);
		fwrite(text, 1, terminal_fit(text, (size_t)(newline - text), terminal->columns),
		       out);
		fputs("\033[m\033[K", out);
	}
	fputs("\033[J", out);
}

bool terminal_read(struct terminal *terminal)
{
	ssize_t got = read(STDIN_FILENO, terminal->input + terminal->typed,
			   sizeof(terminal->input) - terminal->typed);

	if (got < 0 && errno == EINTR)
		return true;
	if (got > 0)
		terminal->typed += (size_t)got;
	return got > 0;
}

static int terminal_sequence(char last, int number)
{
	switch (last) {
	case 'A':
		return TERMINAL_UP;
	case 'B':
		return TERMINAL_DOWN;
	case 'H':
		return TERMINAL_HOME;
	case 'F':
		return TERMINAL_END;
	case '~':
		return number == 1 || number == 7   ? TERMINAL_HOME
		       : number == 4 || number == 8 ? TERMINAL_END
		       : number == 5		    ? TERMINAL_PAGE_UP
		       : number == 6		    ? TERMINAL_PAGE_DOWN
						    : TERMINAL_OTHER;
	default:
		return TERMINAL_OTHER;
	}
}

/* The key at the beginning of @input; @size: set to its bytes, 0 if it is not complete */
static int terminal_parse(const char *input, size_t len, size_t *size)
{
	size_t at = 2;
	int number = 0;

	*size = 1;
	if (*input != '\033' || len == 1 || (input[1] != '[' && input[1] != 'O'))
		return (unsigned char)*input ?: TERMINAL_OTHER;
	for (; at < len && (input[at] < '@' || input[at] > '~'); at++)
		if (input[at] >= '0' && input[at] <= '9')
			number = (number * 10 + input[at] - '0') % 100;
	*size = at < len ? at + 1 : 0;
	return at < len ? terminal_sequence(input[at], number) : TERMINAL_NONE;
}

int terminal_key(struct terminal *terminal)
{
	size_t size = 0;
	int key = TERMINAL_NONE;

	if (terminal->typed)
		key = terminal_parse(terminal->input, terminal->typed, &size);
	/* What is so long and still not complete is no key. */
	if (!size && terminal->typed == sizeof(terminal->input))
		size = terminal->typed;
	terminal->typed -= size;
	memmove(terminal->input, terminal->input + size, terminal->typed);
	return key;
}
