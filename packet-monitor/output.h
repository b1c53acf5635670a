/* SPDX-License-Identifier: GPL-2.0-only */
/* One report in each of the formats, and the summary at the end. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdio.h>

#include "flow-ends.h"
#include "format.h"
#include "interfaces.h"
#include "live.h"
#include "resolver.h"
#include "series.h"
#include "view.h"
#include "writer.h"

/* Everything that a report says. */
struct report {
	double ts;	/* CLOCK_REALTIME, seconds */
	double seconds; /* since the report before: rates are per this time */
	struct monitor *const *monitors;
	int monitor_count;
	const struct view *view;
	const struct series *series; /* of -o prom */
	struct flow_ends *ends;	     /* to be printed once */
	bool only_ends;
	struct resolver *resolver; /* NULL: numbers only */
	struct live_view *live;	   /* NULL: not on a terminal */
};

enum output_format { OUTPUT_TABLE, OUTPUT_CLASSIC, OUTPUT_JSONL, OUTPUT_CSV, OUTPUT_PROM };

/* Where reports go. */
struct output {
	enum output_format format;
	const char *path; /* NULL: standard output */
	struct writer writer;
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

/** output_ready - return whether the reader has read all reports before */
bool output_ready(const struct output *output);

/** output_reopen - open the file again; Return: 0, or -ENOENT without a file */
int output_reopen(struct output *output);

/** output_close - wait a moment for the reader; Return: as output_write() */
int output_close(struct output *output);

/* Each prints one report; the caller flushes and checks for errors. */
void output_table(FILE *out, const struct report *report);

/** output_clock - print the local time of @report: 16:40:05 */
void output_clock(FILE *out, const struct report *report);
void output_classic(FILE *out, const struct report *report);
void output_jsonl(FILE *out, const struct report *report);
void output_csv(FILE *out, const struct report *report);
void output_prom(FILE *out, const struct report *report);

/** output_csv_head - the line with the names of the columns */
void output_csv_head(FILE *out, const struct view_config *config);

/* The part of a terminal that shows rows. */
struct output_window {
	int columns;
	bool bytes; /* rates in bytes, not in bits */
	bool utf8;
	bool color;
};

/**
 * output_window - print a heading and the rows from @first to before @end
 * @window: what the lines have to fit; NULL: anything
 */
void output_window(FILE *out, const struct report *report, const struct output_window *window,
		   size_t first, size_t end);

/** output_row_text - all that a row shows besides its figures, to be searched */
void output_row_text(const struct report *report, const struct row *row, char *text, size_t size);

/** output_name - make the name of an interface fit to be shown. Return: @text */
const char *output_name(char text[FORMAT_ENDPOINT_MAX], const struct monitor *monitor);

/** output_state - "down", "gone", "waiting"; NULL if the interface is up */
const char *output_state(const struct monitor *monitor);

/** output_is_silent - return whether no packet has passed the interface since the start */
bool output_is_silent(const struct monitor *monitor);

/** output_losses - print "12 not tracked (10 table_full, 2 truncated)" */
void output_losses(FILE *out, const struct totals *totals);

/** output_summary - totals per direction, loss by reason and the first rows, at the end */
void output_summary(FILE *out, const struct report *report);

#endif /* OUTPUT_H */
