/* SPDX-License-Identifier: GPL-2.0-only */
/* Why the kernel has refused something, and what helps: one line. */
#ifndef REFUSAL_H
#define REFUSAL_H

/* What the kernel was asked for: each needs other capabilities. */
enum refused {
	REFUSED_LOAD,	/* to make maps and load programs */
	REFUSED_ATTACH, /* to attach a filter to an interface, or to look at the interface */
	REFUSED_BY_ID,	/* to open programs or maps of other processes, by their ids */
};

/**
 * log_refused - say on stderr what the kernel refused, why, and what helps
 * @err: its answer, a negative errno
 *
 * Asks the kernel: for the capabilities of this process, for its BTF, and whether it knows the
 * newest instructions that the programs use.
 * Return: @err
 */
int log_refused(enum refused what, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* REFUSAL_H */
