/* SPDX-License-Identifier: GPL-2.0-only */
/* What the user asked for. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "exporter.h"
#include "interfaces.h"
#include "output.h"
#include "view.h"

struct pm_options {
	struct interfaces_config interfaces;
	struct view_config view;
	struct exporter_config exporter;
	enum output_format format;
	const char *file; /* NULL: standard output */
	__u64 interval_ns;
	__u64 duration_ns; /* 0: no end */
	__u64 count;	   /* reports; 0: no end */
	__u64 idle_ns;	   /* 0: never */
	bool rows_given;
	bool ends; /* report flows that have left the table */
	bool sort_given;
	bool domain_given;
	bool resolve;
	bool summary;
	bool verbose;
};

/**
 * options_parse - read the command line
 * Leaves by itself: with 0 for --help and --version, with 2 and one line for what makes no sense.
 */
void options_parse(struct pm_options *opt, int argc, char **argv);

#endif /* OPTIONS_H */
