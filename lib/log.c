// SPDX-License-Identifier: GPL-2.0-only
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "put.h"
#include "text.h"

/* How long a line waits for a reader who has stopped reading stderr. */
enum { PATIENCE_MS = 1000 };

static const char *log_tool = "";
static bool log_verbose;
static void (*log_take)(void *arg, const char *text, size_t len);
static void *log_take_arg;

void log_divert(void (*take)(void *arg, const char *text, size_t len), void *arg)
{
	log_take = take;
	log_take_arg = arg;
}

/* A reader who has stopped is waited for once, not for each line. */
void log_text(const char *text, size_t len)
{
	static bool stopped;
	static unsigned long long lost;
	char notice[96];
	int notice_len;

	if (log_take) {
		log_take(log_take_arg, text, len);
		return;
	}
	if (lost) {
		notice_len = snprintf(notice, sizeof(notice),
				      "%s: %llu message%s lost here: nobody read them\n", log_tool,
				      lost, lost == 1 ? " was" : "s were");
		if (put_text(STDERR_FILENO, notice, (size_t)notice_len, 0) == notice_len)
			lost = 0;
	}
	stopped = put_text(STDERR_FILENO, text, len, stopped ? 0 : PATIENCE_MS) != (ssize_t)len;
	lost += stopped;
}

static int log_libbpf(enum libbpf_print_level level, const char *fmt, va_list args)
{
	char *text;
	int len;

	(void)level;
	if (!log_verbose)
		return 0;
	len = vasprintf(&text, fmt, args);
	if (len < 0)
		return 0;
	log_text(text, (size_t)len);
	free(text);
	return len;
}

/* The wrong way round, so that its use still fails. */
static void log_occupy_stdio(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

void log_setup(const char *tool, bool verbose)
{
	log_occupy_stdio();
	/* A write to a reader that has gone fails with EPIPE instead; beyond ulimit -f: EFBIG. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	log_tool = tool;
	log_verbose = verbose;
	libbpf_set_print(log_libbpf);
}

static void log_line(int err, const char *fmt, va_list args)
{
	size_t len = 0;
	char *text = NULL, *message;
	FILE *line = open_memstream(&text, &len);

	if (!line)
		return;
	fprintf(line, "%s: ", log_tool);
	if (vasprintf(&message, fmt, args) >= 0) {
		text_string(line, TEXT_PLAIN, message);
		free(message);
	}
	if (err)
		fprintf(line, ": %s", strerror(-err));
	fputc('\n', line);
	if (!fclose(line))
		log_text(text, len);
	free(text);
}

int log_err(int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_line(err, fmt, args);
	va_end(args);
	return err;
}

void log_note(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_vnote(fmt, args);
	va_end(args);
}

void log_vnote(const char *fmt, va_list args)
{
	log_line(0, fmt, args);
}

int log_flush(void)
{
	int err;

	errno = 0;
	if (!fflush(stdout) && !ferror(stdout))
		return 0;
	err = errno ? -errno : -EIO;
	return err == -EPIPE ? 0 : log_err(err, "cannot write to standard output");
}
