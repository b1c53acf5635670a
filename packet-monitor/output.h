/* SPDX-License-Identifier: GPL-2.0-only */
/* One report in each of the formats, and the summary at the end. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdio.h>

#include "monitor.h"
#include "view.h"

struct resolver;
struct terminal;

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

/* Each writes one report to @out, which the caller flushes and checks. */
void output_table(FILE *out, const struct report *report);
void output_classic(FILE *out, const struct report *report);
void output_jsonl(FILE *out, const struct report *report);
void output_csv(FILE *out, const struct report *report);
void output_prom(FILE *out, const struct report *report);

/** output_csv_head - the line with the names of the columns */
void output_csv_head(FILE *out, const struct view_config *config);

/** output_summary - totals per direction, loss by reason and the top flows, at the end */
void output_summary(FILE *out, const struct report *report);

#endif /* OUTPUT_H */
