/* SPDX-License-Identifier: GPL-2.0-only */
/* The filter options as the BPF programs read them. */
#ifndef FILTER_H
#define FILTER_H

#include <stdbool.h>

#include "packet-monitor.h"

/*
 * filter_add_*() - one more accepted protocol, port or network
 * Return: 0, -EINVAL if @text is none, -E2BIG if there are PM_FILTER_MAX already.
 */
int filter_add_proto(struct pm_filter *filter, const char *text);
int filter_add_port(struct pm_filter *filter, const char *text);

/** filter_add_net - @text is ADDRESS/LEN if @prefix, else ADDRESS; bits behind LEN are ignored */
int filter_add_net(struct pm_filter *filter, const char *text, bool prefix);

/** filter_contradiction - why no packet can ever match, or NULL */
const char *filter_contradiction(const struct pm_filter *filter);

#endif /* FILTER_H */
