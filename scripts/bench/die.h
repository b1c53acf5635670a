/* SPDX-License-Identifier: GPL-2.0-only */
/* How the benchmark's programs fail: a figure that may be wrong is worse than none. */
#ifndef DIE_H
#define DIE_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** die - say what failed, with the text of errno, and end with status 1 */
static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	int err = errno;
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, ": %s\n", strerror(err));
	exit(EXIT_FAILURE);
}

#endif /* DIE_H */
