/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Checks of the C tests. Each prints one line, "ok NAME" or "FAIL NAME: why", which tests/run.sh
 * counts; main() ends with "return check_exit();".
 *
 *	CHECK(err == 0, "opens %s", name);		a condition
 *	CHECK_EQ(got, want, "counts the packets");	integers; both are shown on failure
 *	CHECK_STR(got, want, "prints the port");	strings
 *
 * A check that is made of thousands of comparisons prints one line, too:
 *
 *	check_begin("every truncation is refused");
 *	for (len = 0; len < 200; len++)
 *		EXPECT(parse(frame, len) == -ENODATA, "length %d", len);
 *	check_end();
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned int check_failures;
static const char *check_case;		 /* between check_begin() and check_end() */
static unsigned int check_case_failures; /* of it: the first few are explained */

static inline bool check_report(bool good, const char *file, int line, const char *why,
				const char *name, ...) __attribute__((format(printf, 5, 6)));
static inline bool check_report(bool good, const char *file, int line, const char *why,
				const char *name, ...)
{
	va_list args;

	va_start(args, name);
	fputs(good ? "ok " : "FAIL ", stdout);
	vprintf(name, args);
	va_end(args);
	if (good) {
		putchar('\n');
	} else {
		printf(": %s (%s:%d)\n", why, file, line);
		check_failures++;
	}
	fflush(stdout);
	return good;
}

/* All macros are expressions that are true when the check holds. */
#define CHECK(condition, ...)                                                                      \
	check_report((condition), __FILE__, __LINE__, "not " #condition, __VA_ARGS__)

#define CHECK_EQ(got, want, ...)                                                                   \
	({                                                                                         \
		long long got_ = (long long)(got), want_ = (long long)(want);                      \
		char why_[96];                                                                     \
                                                                                                   \
		snprintf(why_, sizeof(why_), "got %lld (0x%llx), want %lld (0x%llx)", got_, got_,  \
			 want_, want_);                                                            \
		check_report(got_ == want_, __FILE__, __LINE__, why_, __VA_ARGS__);                \
	})

#define CHECK_STR(got, want, ...)                                                                  \
	({                                                                                         \
		const char *got_ = (got), *want_ = (want);                                         \
		char why_[1024];                                                                   \
                                                                                                   \
		snprintf(why_, sizeof(why_), "got \"%s\", want \"%s\"", got_, want_);              \
		check_report(!strcmp(got_, want_), __FILE__, __LINE__, why_, __VA_ARGS__);         \
	})

static inline void check_begin(const char *name)
{
	check_case = name;
	check_case_failures = 0;
}

static inline bool check_expect(bool good, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static inline bool check_expect(bool good, const char *file, int line, const char *fmt, ...)
{
	va_list args;

	if (good || check_case_failures++ >= 10)
		return good;
	printf("  %s: %s:%d: ", check_case, file, line);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	return good;
}

#define EXPECT(condition, ...) check_expect((condition), __FILE__, __LINE__, __VA_ARGS__)

static inline bool check_end(void)
{
	if (check_case_failures) {
		printf("FAIL %s: %u expectations failed\n", check_case, check_case_failures);
		check_failures++;
	} else {
		printf("ok %s\n", check_case);
	}
	fflush(stdout);
	check_case = NULL;
	return !check_case_failures;
}

/* One check that cannot be made here; if that goes for all of them, "return check_skip(...)". */
static inline int check_skip(const char *name, const char *why)
{
	printf("skip %s: %s\n", name, why);
	fflush(stdout);
	return 77;
}

/* Whether the long variants are asked for: make soak sets SOAK=1. */
static inline bool check_soak(void)
{
	const char *soak = getenv("SOAK");

	return soak && !strcmp(soak, "1");
}

static inline int check_exit(void)
{
	return check_failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif /* CHECK_H */
