// SPDX-License-Identifier: GPL-2.0-only
#include "number.h"

#include <errno.h>
#include <stdbool.h>

/* Digits up to the first other character; sets @wide if their value has no room in @value. */
static const char *number_digits(const char *text, __u64 *value, bool *wide)
{
	__u64 sum = 0;

	*wide = false;
	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(sum, 10, &sum) ||
		    __builtin_add_overflow(sum, (__u64)(*text - '0'), &sum))
			*wide = true;
	*value = sum;
	return text;
}

static int number_in_range(__u64 value, __u64 min, __u64 max, __u64 *out)
{
	if (value < min || value > max)
		return -ERANGE;
	*out = value;
	return 0;
}

int number_parse(const char *text, __u64 min, __u64 max, __u64 *out)
{
	bool wide;
	__u64 value;
	const char *end = number_digits(text, &value, &wide);

	if (end == text || *end)
		return -EINVAL;
	if (wide)
		return -ERANGE;
	return number_in_range(value, min, max, out);
}

int number_parse_seconds(const char *text, __u64 min_ns, __u64 max_ns, __u64 *out_ns)
{
	__u64 seconds, fraction = 0, unit = NSEC_PER_SEC, ns;
	bool wide;
	const char *end = number_digits(text, &seconds, &wide);
	int count = (int)(end - text);

	if (*end == '.') {
		for (end++; *end >= '0' && *end <= '9'; end++, count++) {
			unit /= 10; /* beyond nanoseconds: 0, read and ignored */
			fraction += unit * (__u64)(*end - '0');
		}
	}
	if (!count || *end)
		return -EINVAL;
	if (wide || __builtin_mul_overflow(seconds, NSEC_PER_SEC, &ns) ||
	    __builtin_add_overflow(ns, fraction, &ns))
		return -ERANGE;
	return number_in_range(ns, min_ns, max_ns, out_ns);
}

char *number_append(char *at, __u32 value)
{
	char *end = at + 1, *digit;

	for (__u32 rest = value / 10; rest; rest /= 10)
		end++;
	for (digit = end; digit > at; value /= 10)
		*--digit = (char)('0' + value % 10);
	return end;
}
