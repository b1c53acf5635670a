/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One line per message on stderr: "tool: cannot <do> <object>: <reason>". If nobody
 * reads them, the tool waits for a second at most; the number of lost lines is said later.
 */
#ifndef LOG_H
#define LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/**
 * log_setup - name the tool in every later line, and tame libbpf
 * @tool: static string, put before each line
 * @verbose: let libbpf's own messages (verifier log included) through; otherwise they are dropped,
 *	     since the caller says in one line of its own what failed
 *
 * Also keeps whatever is opened later from becoming standard input, output or error where those are
 * closed: a report would be written into a socket or a map. And ignores SIGPIPE.
 */
void log_setup(const char *tool, bool verbose);

/**
 * log_err - say what failed, with the text of @err behind it, and hand @err back
 * @err: a negative errno; 0 adds no text
 * Return: @err, so that "return log_err(err, ...)" reports and propagates in one line.
 */
int log_err(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** log_text - lines as they are, without the tool's name before them */
void log_text(const char *text, size_t len);

/**
 * log_divert - hand what would go to stderr to @take from now on; NULL: no more
 * @take: called with @arg and whole lines
 */
void log_divert(void (*take)(void *arg, const char *text, size_t len), void *arg);

/** log_note - a line that is no error: "attached to eth0", a warning */
void log_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** log_vnote - log_note() for a function that takes such arguments itself */
void log_vnote(const char *fmt, va_list args) __attribute__((format(printf, 1, 0)));

/**
 * log_flush - write what has been printed to stdout
 * Return: 0, also if its reader has gone, or a negative errno, reported.
 */
int log_flush(void);

#endif /* LOG_H */
