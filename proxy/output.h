/* SPDX-License-Identifier: GPL-2.0-only */
/* The reports: text, JSON lines, or metrics for Prometheus. */
#ifndef PROXY_OUTPUT_H
#define PROXY_OUTPUT_H

#include <linux/types.h>
#include <stdio.h>

#include "engine.h"

/** output_report - print one report to @out; Return: 0 or a negative errno, reported */
int output_report(FILE *out, const struct engine *engine, enum proxy_format format);

/** output_mappings - the part of a report that is about mappings; Return: as output_report() */
int output_mappings(FILE *out, const struct engine *engine, enum proxy_format format);

/** output_counter_name - the field name of a counter */
const char *output_counter_name(enum proxy_counter counter);

#endif /* PROXY_OUTPUT_H */
