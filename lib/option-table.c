// SPDX-License-Identifier: GPL-2.0-only
#include "option-table.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "number.h"

enum { OPTIONS_MAX = 64 };

#define SECONDS_MAX 1000000000ULL

static const char *option_table_name(const struct option_entry *table, int id)
{
	while (table->name && table->id != id)
		table++;
	return table->name;
}

/* How many options there are whose name begins with the @len bytes at @text. */
static int option_table_like(const struct option_entry *table, const char *text, size_t len)
{
	int count = 0;

	for (; table->name; table++)
		count += !strncmp(table->name, text, len);
	return count;
}

/* Say what is wrong with the word that getopt_long() has just refused with '?'. */
static void option_table_complain(const struct option_entry *table, const char *word)
{
	const char *known = option_table_name(table, optopt), *name = word + strspn(word, "-");

	if (known)
		log_note("option '--%s' takes no argument (try --help)", known);
	else if (optopt)
		log_note("unknown option '-%c' (try --help)", optopt);
	else if (option_table_like(table, name, strcspn(name, "=")) > 1)
		log_note("'%s' may be one of several options (try --help)", word);
	else
		log_note("unknown option '%s' (try --help)", word);
}

int option_table_next(const struct option_entry *table, int argc, char **argv)
{
	static struct option longs[OPTIONS_MAX + 1];
	static char shorts[3 * OPTIONS_MAX + 2];
	int id;

	if (!longs[0].name) {
		char *s = shorts;

		*s++ = ':'; /* tell a missing argument from an unknown option */
		for (int i = 0; i < OPTIONS_MAX && table[i].name; i++) {
			longs[i].name = table[i].name;
			longs[i].has_arg = table[i].arg ? required_argument : no_argument;
			longs[i].val = table[i].id;
			if (table[i].id > 255)
				continue;
			*s++ = (char)table[i].id;
			if (table[i].arg)
				*s++ = ':';
		}
		opterr = 0;
	}
	id = getopt_long(argc, argv, shorts, longs, NULL);
	if (id == ':')
		log_note("option '%s' needs an argument (try --help)", argv[optind - 1]);
	else if (id == '?')
		option_table_complain(table, argv[optind - 1]);
	else if (id != -1 && optarg && !*optarg)
		option_table_misuse("the argument of --%s is empty (try --help)",
				    option_table_name(table, id));
	return id == ':' ? '?' : id;
}

enum { HELP_COLUMN = 30, HELP_WIDTH = 80 - HELP_COLUMN };

__u64 option_table_number(const char *option, __u64 min, __u64 max)
{
	__u64 value;

	if (number_parse(optarg, min, max, &value))
		option_table_misuse("--%s must be %llu to %llu, not '%s'", option, min, max,
				    optarg);
	return value;
}

__u64 option_table_seconds(const char *option, __u64 min_ns)
{
	__u64 value;

	if (number_parse_seconds(optarg, min_ns, SECONDS_MAX * NSEC_PER_SEC, &value))
		option_table_misuse("--%s must be %g to %llu seconds, not '%s'", option,
				    (double)min_ns / NSEC_PER_SEC, SECONDS_MAX, optarg);
	return value;
}

int option_table_choice(const char *option, const char *const *names, int count)
{
	char list[128] = "";
	size_t len = 0;

	for (int i = 0; i < count; i++) {
		if (!strcmp(optarg, names[i]))
			return i;
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s",
					!i		? ""
					: i + 1 < count ? ", "
							: " or ",
					names[i]);
	}
	option_table_misuse("--%s must be %s, not '%s'", option, list, optarg);
}

void option_table_misuse(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_vnote(fmt, args);
	va_end(args);
	exit(EXIT_USAGE);
}

void option_table_exit(void)
{
	exit(log_flush() ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* Print @text, broken at spaces; further lines are indented to the column of the first. */
static void option_table_wrap(const char *text)
{
	while (strlen(text) > HELP_WIDTH) {
		int used = HELP_WIDTH;

		while (used > 1 && text[used] != ' ')
			used--;
		printf("%.*s\n%*s", used, text, HELP_COLUMN, "");
		text += used + 1;
	}
	printf("%s\n", text);
}

void option_table_help(const struct option_entry *table)
{
	for (; table->name; table++) {
		char left[64];
		int used;

		if (!table->help)
			continue;
		used = snprintf(left, sizeof(left), table->id > 255 ? "      " : "  -%c, ",
				table->id);
		snprintf(left + used, sizeof(left) - (size_t)used, "--%s%s%s", table->name,
			 table->arg ? " " : "", table->arg ? table->arg : "");
		if (strlen(left) + 2 > HELP_COLUMN)
			printf("%s\n%*s", left, HELP_COLUMN, "");
		else
			printf("%-*s", HELP_COLUMN, left);
		option_table_wrap(table->help);
	}
}
