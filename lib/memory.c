// SPDX-License-Identifier: GPL-2.0-only
#include "memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__u64 memory_available(void)
{
	static const char name[] = "MemAvailable:";
	FILE *info = fopen("/proc/meminfo", "re");
	__u64 available = ~0ULL;
	char line[128];

	if (!info)
		return available;
	while (fgets(line, sizeof(line), info))
		if (!strncmp(line, name, strlen(name)))
			available = strtoull(line + strlen(name), NULL, 10) * 1024;
	fclose(info);
	return available;
}
