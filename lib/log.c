// SPDX-License-Identifier: GPL-2.0-only
#include "log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/libbpf.h>

static const char *log_tool = "";
static bool log_verbose;

static int log_libbpf(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	return log_verbose ? vfprintf(stderr, fmt, args) : 0;
}

/* The wrong way round, so that its use still fails. */
static void occupy_stdio(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

void log_setup(const char *tool, bool verbose)
{
	occupy_stdio();
	log_tool = tool;
	log_verbose = verbose;
	libbpf_set_print(log_libbpf);
}

static void log_line(int err, const char *fmt, va_list args)
{
	fprintf(stderr, "%s: ", log_tool);
	vfprintf(stderr, fmt, args);
	if (err)
		fprintf(stderr, ": %s", strerror(-err));
	fputc('\n', stderr);
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
	log_line(0, fmt, args);
	va_end(args);
}
