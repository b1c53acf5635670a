/* SPDX-License-Identifier: GPL-2.0-only */
/* A declarative table of command-line options that feeds getopt_long() and --help alike. */
#ifndef OPTION_TABLE_H
#define OPTION_TABLE_H

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
 * A wrong option is reported on stderr ("tool: unknown option '--x' (try --help)").
 * Return: an @id of the table, -1 at the end (optind is the first operand), '?' for a wrong option.
 */
int option_table_next(const struct option_entry *table, int argc, char **argv);

/** option_table_help - print the options to stdout, aligned and wrapped at 80 columns */
void option_table_help(const struct option_entry *table);

/** option_table_exit - leave after --help or --version, with 1 and a line if it was not written */
void option_table_exit(void) __attribute__((noreturn));

#endif /* OPTION_TABLE_H */
