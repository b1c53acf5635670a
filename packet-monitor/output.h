/* SPDX-License-Identifier: GPL-2.0-only */
/* One report in each of the formats, and the summary at the end. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdio.h>

#include "monitor.h"
#include "resolver.h"
#include "terminal.h"
#include "view.h"
#include "writer.h"

/* Everything that a report says. */
struct report {
	double ts;	/* CLOCK_REALTIME, seconds */
	double seconds; /* since the report before: rates are per this time */
	const struct monitor *monitors;
	int monitor_count;
	const struct view *view;
	struct resolver *resolver;	 /* NULL: numbers only */
	const struct terminal *terminal; /* NULL: not on a terminal */
};

enum output_format { OUTPUT_TABLE, OUTPUT_CLASSIC, OUTPUT_JSONL, OUTPUT_CSV, OUTPUT_PROM };

/* Where reports go. */
struct output {
	enum output_format format;
	const char *path; /* NULL: standard output */
	struct writer writer;
	struct terminal terminal; /* open: the table is drawn on it */
};

/**
 * output_open - get ready to write reports from @loop; @format and @path are set
 * Failures are reported. Return: 0 or a negative errno; output_close() is right in either case.
 */
int output_open(struct output *output, struct loop *loop);

/**
 * output_write - write one report
 * @last: it waits for its reader until output_close()
 *
 * A file that is read by Prometheus is replaced as a whole, so that nobody reads half of it. Other
 * reports are dropped while nobody reads them.
 * Return: 0, -EPIPE if the reader has gone, or another negative errno, reported.
 */
int output_write(struct output *output, const struct report *report, bool last);

/** output_reopen - open the file again; Return: 0, or -ENOENT without a file */
int output_reopen(struct output *output);

/** output_close - wait a moment for the reader; Return: as output_write() */
int output_close(struct output *output);

/* Each prints one report; the caller flushes and checks for errors. */
void output_table(FILE *out, const struct report *report);
void output_classic(FILE *out, const struct report *report);
void output_jsonl(FILE *out, const struct report *report);
void output_csv(FILE *out, const struct report *report);
void output_prom(FILE *out, const struct report *report);

/** output_csv_head - the line with the names of the columns */
void output_csv_head(FILE *out, const struct view_config *config);

/** output_table_height - lines of a table that are not rows */
int output_table_height(const struct report *report);

/** output_summary - totals per direction, loss by reason and the first rows, at the end */
void output_summary(FILE *out, const struct report *report);

#endif /* OUTPUT_H */
