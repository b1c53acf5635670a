/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Strict numbers from the command line: the whole string, within a range, or an error. And the way
 * back, for lines of which there may be a million.
 */
#ifndef NUMBER_H
#define NUMBER_H

#include <linux/types.h>

/**
 * number_parse - a decimal integer of @min to @max
 * Return: 0, -EINVAL (not a number: empty, a sign, trailing characters), -ERANGE; @out is untouched
 * on failure.
 */
int number_parse(const char *text, __u64 min, __u64 max, __u64 *out);

/**
 * number_parse_seconds - seconds with an optional fraction ("0.5"), of @min_ns to @max_ns
 * @out_ns: nanoseconds
 * Return: as number_parse().
 */
int number_parse_seconds(const char *text, __u64 min_ns, __u64 max_ns, __u64 *out_ns);

/**
 * number_append - write @value in decimal at @at, without a terminator
 * @at: room for 10 characters
 * Return: where the next character goes.
 */
char *number_append(char *at, __u32 value);

#define NSEC_PER_SEC 1000000000ULL

#endif /* NUMBER_H */
