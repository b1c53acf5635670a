/* SPDX-License-Identifier: GPL-2.0-only */
/* For C tests that make interfaces: tests/run.sh gives them a network namespace of their own. */
#ifndef NETNS_H
#define NETNS_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Runs a shell command such as "ip link ..."; the test is over if it fails. */
__attribute__((format(printf, 1, 2))) static inline void run(const char *fmt, ...)
{
	char command[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	if (system(command)) { // NOLINT(cert-env33-c): a shell is what is wanted
		printf("FAIL set-up: '%s' failed\n", command);
		exit(EXIT_FAILURE);
	}
}

#endif /* NETNS_H */
