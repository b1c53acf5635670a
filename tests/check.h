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
 *
 * A test that consists of parts, one function each, runs them by RUN(function, ARGUMENTS...). Then
 * "tests/run.sh bpf/X-test:function" runs only that part.
 *
 * A failed check names its line, and the lines that called the function which it is in.
 */
#ifndef CHECK_H
#define CHECK_H

#include <link.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if __has_include(<execinfo.h>)
#include <execinfo.h>
#endif

static unsigned int check_failures;
static unsigned int check_parts;	 /* run by RUN() */
static const char *check_case;		 /* between check_begin() and check_end() */
static unsigned int check_case_failures; /* of it: the first few are explained */

static inline int check_base(struct dl_phdr_info *info, size_t size, void *base)
{
	(void)size;
	*(unsigned long *)base = info->dlpi_addr;
	return 1; /* the first one is this program */
}

/*
 * Print where a check has failed: @file and @line, or all lines from there up to main(). addr2line
 * (binutils) knows them, those of inlined functions included.
 */
static inline void check_where(const char *file, int line)
{
	unsigned int nr = 0;
#if __has_include(<execinfo.h>)
	char command[512], function[128], where[512];
	unsigned long base = 0;
	void *calls[16];
	int count, len;
	FILE *lines;

	dl_iterate_phdr(check_base, &base);
	count = backtrace(calls, 16);
	len = snprintf(command, sizeof(command), "addr2line -fie /proc/%d/exe", (int)getpid());
	/* The stack holds the addresses behind the calls. */
	for (int i = 0; i < count; i++)
		len += snprintf(command + len, sizeof(command) - (size_t)len, " %lx",
				(unsigned long)calls[i] - base - 1);
	snprintf(command + len, sizeof(command) - (size_t)len, " 2> /dev/null");
	fflush(stdout);
	lines = popen(command, "r");
	/* Two lines for each function: its name; file:line, with remarks behind a blank. */
	while (lines && fscanf(lines, "%127s %511[^\n]", function, where) == 2) {
		const char *slash = strrchr(where, '/');

		if (*where != '?' && strncmp(function, "check_", strlen("check_")))
			printf("%s%.*s in %s", nr++ ? ", called from " : "",
			       (int)strcspn(slash ? slash + 1 : where, " "),
			       slash ? slash + 1 : where, function);
		if (!strcmp(function, "main"))
			break;
	}
	if (lines)
		pclose(lines);
#endif
	if (!nr)
		printf("%s:%d", file, line);
}

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
		printf(": %s (", why);
		check_where(file, line);
		puts(")");
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
	printf("  %s: ", check_case);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf(" (");
	check_where(file, line);
	puts(")");
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

/* Whether a part is to be run: PART in the environment, if set, is in its name. */
static inline bool check_wanted(const char *part)
{
	const char *only = getenv("PART");

	if (only && !strstr(part, only))
		return false;
	check_parts++;
	return true;
}

#define RUN(function, ...)                                                                         \
	do {                                                                                       \
		if (check_wanted(#function))                                                       \
			function(__VA_ARGS__);                                                     \
	} while (0)

static inline int check_exit(void)
{
	if (getenv("PART") && !check_parts)
		check_report(false, __FILE__, __LINE__, "no RUN() names a function like this",
			     "part %s", getenv("PART"));
	return check_failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif /* CHECK_H */
