// SPDX-License-Identifier: GPL-2.0-only
#include "number.h"

#include <errno.h>
#include <string.h>

#include "check.h"

static void number_test_parse(const char *text, __u64 min, __u64 max, int want_err, __u64 want)
{
	__u64 got = 77;
	int err = number_parse(text, min, max, &got);

	CHECK(err == want_err && got == (want_err ? 77 : want),
	      "number_parse \"%s\" within %llu to %llu", text, min, max);
}

static void number_test_parse_seconds(const char *text, __u64 min, __u64 max, int want_err,
				      __u64 want)
{
	__u64 got = 77;
	int err = number_parse_seconds(text, min, max, &got);

	CHECK(err == want_err && got == (want_err ? 77 : want),
	      "number_parse_seconds \"%s\" within %llu to %llu ns", text, min, max);
}

static void number_test_append(__u32 value, const char *want)
{
	char text[16];
	char *end;

	memset(text, '.', sizeof(text));
	end = number_append(text, value);

	CHECK(end == text + strlen(want) && !strncmp(text, want, strlen(want)) && *end == '.',
	      "number_append %u", value);
}

int main(void)
{
	const __u64 most = ~0ULL;

	number_test_append(0, "0");
	number_test_append(9, "9");
	number_test_append(10, "10");
	number_test_append(4294967295U, "4294967295");
	number_test_parse("0", 0, 10, 0, 0);
	number_test_parse("10", 0, 10, 0, 10);
	number_test_parse("007", 0, 10, 0, 7);
	number_test_parse("11", 0, 10, -ERANGE, 0);
	number_test_parse("0", 1, 10, -ERANGE, 0);
	number_test_parse("", 0, 10, -EINVAL, 0);
	number_test_parse("-1", 0, most, -EINVAL, 0);
	number_test_parse("+1", 0, most, -EINVAL, 0);
	number_test_parse(" 1", 0, most, -EINVAL, 0);
	number_test_parse("1 ", 0, most, -EINVAL, 0);
	number_test_parse("12abc", 0, most, -EINVAL, 0);
	number_test_parse("0x10", 0, most, -EINVAL, 0);
	number_test_parse("1.5", 0, most, -EINVAL, 0);
	number_test_parse("18446744073709551615", 0, most, 0, most);
	number_test_parse("18446744073709551616", 0, most, -ERANGE, 0);
	number_test_parse("99999999999999999999999999", 0, most, -ERANGE, 0);

	number_test_parse_seconds("1", 0, most, 0, NSEC_PER_SEC);
	number_test_parse_seconds("0.1", 0, most, 0, NSEC_PER_SEC / 10);
	number_test_parse_seconds(".5", 0, most, 0, NSEC_PER_SEC / 2);
	number_test_parse_seconds("2.", 0, most, 0, 2 * NSEC_PER_SEC);
	number_test_parse_seconds("0.0000000019", 0, most, 0, 1);
	number_test_parse_seconds("0.05", NSEC_PER_SEC / 10, most, -ERANGE, 0);
	number_test_parse_seconds("18446744074", 0, most, -ERANGE, 0);
	number_test_parse_seconds("99999999999999999999", 0, most, -ERANGE, 0);
	number_test_parse_seconds("", 0, most, -EINVAL, 0);
	number_test_parse_seconds(".", 0, most, -EINVAL, 0);
	number_test_parse_seconds("-1", 0, most, -EINVAL, 0);
	number_test_parse_seconds("1e3", 0, most, -EINVAL, 0);
	number_test_parse_seconds("1.2.3", 0, most, -EINVAL, 0);
	number_test_parse_seconds("1s", 0, most, -EINVAL, 0);
	return check_exit();
}
