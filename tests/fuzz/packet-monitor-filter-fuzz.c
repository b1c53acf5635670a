// SPDX-License-Identifier: GPL-2.0-only
/* Each line of the input is a filter option: a letter for the option, then its argument. */
#include "../../packet-monitor/filter.h"

#include <errno.h>

#include "fuzz.h"

static int take(struct pm_filter *filter, const char *line)
{
	switch (*line) {
	case 'p':
		return filter_add_proto(filter, line + 1);
	case 'P':
		return filter_add_port(filter, line + 1);
	case 'h':
		return filter_add_net(filter, line + 1, false);
	case 'n':
		return filter_add_net(filter, line + 1, true);
	case '4':
		filter->families |= 1U << PM_KIND_IPV4;
		return 0;
	case '6':
		filter->families |= 1U << PM_KIND_IPV6;
		return 0;
	}
	return -EINVAL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pm_filter filter = { 0 };
	char *line;

	while ((line = fuzz_line(&data, &size))) {
		struct pm_filter before = filter;
		int err = take(&filter, line);

		MUST(!err || err == -EINVAL || err == -E2BIG);
		MUST(!err || !memcmp(&filter, &before, sizeof(filter)));
		free(line);
	}
	MUST(filter.protos <= PM_FILTER_MAX && filter.ports <= PM_FILTER_MAX &&
	     filter.nets <= PM_FILTER_MAX);
	for (__u32 i = 0; i < filter.nets; i++)
		for (int half = 0; half < 2; half++)
			MUST(!(filter.net[i].addr[half] & ~filter.net[i].mask[half]));
	for (__u32 i = 0; i < filter.ports; i++)
		MUST(filter.port[i]);
	filter_contradiction(&filter);
	return 0;
}
