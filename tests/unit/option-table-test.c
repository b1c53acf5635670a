// SPDX-License-Identifier: GPL-2.0-only
#include "option-table.h"

#include <getopt.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "log.h"

enum { OPT_LONG_ONLY = 256, OPT_HIDDEN };

static const struct option_entry table[] = {
	{ "count", 'c', "N", "stop after N reports, and then go on with a second line" },
	{ "verbose", 'v', NULL, "say more" },
	{ "rather-a-long-name", OPT_LONG_ONLY, "SECONDS", "has no letter" },
	{ "hidden", OPT_HIDDEN, NULL, NULL },
	{ "version", 'V', NULL, NULL },
	{ 0 },
};

/* Runs @fn with @stream going to a file, and returns what it wrote. */
static const char *capture(FILE *stream, void (*fn)(void *), void *arg)
{
	static char text[4096];
	int saved = dup(fileno(stream));
	FILE *file = tmpfile();
	size_t len;

	fflush(stream);
	dup2(fileno(file), fileno(stream));
	fn(arg);
	fflush(stream);
	dup2(saved, fileno(stream));
	close(saved);
	fseek(file, 0, SEEK_SET);
	len = fread(text, 1, sizeof(text) - 1, file);
	text[len] = '\0';
	fclose(file);
	return text;
}

struct parse {
	int argc;
	char **argv;
	int ids[8];
	const char *args[8];
	int nr;
};

static void option_test_parse(void *arg)
{
	struct parse *p = arg;
	int id;

	optind = 0; /* glibc: begin anew */
	for (p->nr = 0; p->nr < 8;) {
		id = option_table_next(table, p->argc, p->argv);
		if (id == -1)
			break;
		p->args[p->nr] = optarg;
		p->ids[p->nr++] = id;
		if (id == '?')
			break;
	}
}

#define PARSE(...)                                                                                 \
	({                                                                                         \
		char *argv_[] = { "tool", __VA_ARGS__, NULL };                                     \
		p = (struct parse){ .argc = sizeof(argv_) / sizeof(argv_[0]) - 1, .argv = argv_ }; \
		capture(stderr, option_test_parse, &p);                                            \
	})

static void option_test_help(void *arg)
{
	(void)arg;
	option_table_help(table);
}

/* The exit status of reading "--count ''". */
static int option_test_empty(void)
{
	struct parse p = { .argc = 3, .argv = (char *[]){ "tool", "--count", "", NULL } };
	int status;

	if (!fork()) {
		capture(stderr, option_test_parse, &p);
		_exit(0);
	}
	return wait(&status) < 0 ? -1 : WEXITSTATUS(status);
}

int main(void)
{
	const char *text;
	struct parse p;

	log_setup("tool", false);

	PARSE("-c", "3", "--verbose", "--rather-a-long-name=7", "--hidden", "eth0");
	CHECK(p.nr == 4 && p.ids[0] == 'c' && !strcmp(p.args[0], "3") && p.ids[1] == 'v' &&
		      p.ids[2] == OPT_LONG_ONLY && !strcmp(p.args[2], "7") &&
		      p.ids[3] == OPT_HIDDEN,
	      "short, long, long-only and hidden options are read");
	CHECK_EQ(optind, 6, "optind is the first operand");
	PARSE("eth0", "-vc5");
	CHECK(p.nr == 2 && p.ids[1] == 'c' && !strcmp(p.args[1], "5"),
	      "clustered options, after an operand");
	PARSE("-v", "--", "-c");
	CHECK(p.nr == 1 && p.ids[0] == 'v', "-- ends the options");

	CHECK_STR(PARSE("-x"), "tool: unknown option '-x' (try --help)\n", "an unknown letter");
	CHECK_EQ(p.ids[0], '?', "is reported as wrong");
	CHECK_STR(PARSE("--nosuch"), "tool: unknown option '--nosuch' (try --help)\n",
		  "an unknown word");
	CHECK_STR(PARSE("--ver"), "tool: '--ver' may be one of several options (try --help)\n",
		  "a word that begins several options");
	CHECK_STR(PARSE("--verbose", "-xv"), "tool: unknown option '-x' (try --help)\n",
		  "an unknown letter before a known one");
	CHECK_STR(PARSE("-c"), "tool: option '-c' needs an argument (try --help)\n",
		  "a missing argument");
	CHECK_STR(PARSE("--verbose=1"), "tool: option '--verbose' takes no argument (try --help)\n",
		  "an argument too many");
	CHECK_STR(PARSE("eth0", "--hidden=1"),
		  "tool: option '--hidden' takes no argument (try --help)\n",
		  "an argument too many, behind an operand");

	CHECK_EQ(option_test_empty(), EXIT_USAGE, "an argument that is empty");

	text = capture(stdout, option_test_help, NULL);
	CHECK_STR(
		text,
		"  -c, --count N               stop after N reports, and then go on with a second\n"
		"                              line\n"
		"  -v, --verbose               say more\n"
		"      --rather-a-long-name SECONDS\n"
		"                              has no letter\n",
		"the help is aligned and leaves out what is hidden");
	return check_exit();
}
