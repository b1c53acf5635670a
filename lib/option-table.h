/* SPDX-License-Identifier: GPL-2.0-only */
/* A declarative table of command-line options that feeds getopt_long() and --help alike. */
#ifndef OPTION_TABLE_H
#define OPTION_TABLE_H

#include <linux/types.h>

enum { EXIT_USAGE = 2 };

/* One option; a table of them ends with an entry whose @name is NULL. */
struct option_entry {
	const char *name; /* long name */
	int id;		  /* the short option's letter, or a value above 255 if it has none */
	const char *arg;  /* name of the argument in --help; NULL: none */
	const char *help; /* one sentence, wrapped by the table; NULL: accepted, not shown */
};

/**
 * option_table_next - the next option of argv, as getopt_long() returns it
 *
 * A wrong option is reported on stderr ("tool: unknown option '--x' (try --help)"). Leaves as
 * option_table_misuse() does if the argument is empty: a variable of a script that is not set.
 * Return: an @id of the table, -1 at the end (optind is the first operand), '?' for a wrong option.
 */
int option_table_next(const struct option_entry *table, int argc, char **argv);

/**
 * option_table_number - read the argument of the option that option_table_next() returned
 * @option: its long name, for the message
 * Return: an integer of @min to @max. Leaves as option_table_misuse() does for any other text.
 */
__u64 option_table_number(const char *option, __u64 min, __u64 max);

/**
 * option_table_seconds - the same for seconds, of @min_ns nanoseconds to 1,000,000,000 seconds
 * Return: nanoseconds.
 */
__u64 option_table_seconds(const char *option, __u64 min_ns);

/**
 * option_table_choice - the same for one of the @count @names
 * Return: its index. The names take less than 128 bytes in the message.
 */
int option_table_choice(const char *option, const char *const *names, int count);

/** option_table_misuse - say on one line what is wrong with the command line; exit with EXIT_USAGE
 */
void option_table_misuse(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/** option_table_help - print the options to stdout, aligned and wrapped at 80 columns */
void option_table_help(const struct option_entry *table);

/** option_table_exit - leave after --help or --version, with 1 and a line if it was not written */
void option_table_exit(void) __attribute__((noreturn));

#endif /* OPTION_TABLE_H */
