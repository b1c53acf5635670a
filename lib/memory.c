// SPDX-License-Identifier: GPL-2.0-only
#include "memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

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

int memory_map(int fd, size_t len, void **memory)
{
	void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	*memory = at;
	return 0;
}
