/* SPDX-License-Identifier: GPL-2.0-only */
/* packet-monitor's filter in the kernel, without the rest of the programs. */
#ifndef FILTER_RIG_H
#define FILTER_RIG_H

#include <stddef.h>

#include "../../packet-monitor/filter.h"

struct filter_rig {
	void *elf; /* the object with the place for the filter */
	size_t elf_size;
	int keys, answers, count;
	__u64 *answer; /* of each key, after filter_rig_run() */
	__u32 ns;      /* that the last run took for each key */
};

/** filter_rig_open - prepare to ask about @count keys; leaves with a line if that fails */
void filter_rig_open(struct filter_rig *rig, const struct pm_key *keys, int count);

/** filter_rig_run - load a filter and ask about all keys; Return: 0 or a negative errno */
int filter_rig_run(struct filter_rig *rig, const struct filter *filter);

#endif /* FILTER_RIG_H */
