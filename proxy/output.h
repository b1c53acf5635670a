/* SPDX-License-Identifier: GPL-2.0-only */
/* The reports: both maps as text or JSON lines. */
#ifndef PROXY_OUTPUT_H
#define PROXY_OUTPUT_H

#include <linux/types.h>
#include <stdbool.h>

#include "maps.h"
#include "table.h"

/**
 * output_report - print one report to stdout and flush it
 * Return: 0; -EPIPE if the reader has gone; another negative errno.
 */
int output_report(const struct table *table, const struct maps *maps, const char *ifname,
		  bool jsonl);

/** output_mappings - the part of a report that is about mappings; Return: as output_report() */
int output_mappings(const struct table *table, const struct maps *maps, const char *ifname,
		    bool jsonl);

#endif /* PROXY_OUTPUT_H */
