/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory of maps: it is allocated at once, not swapped, and shared with the programs. */
#ifndef MEMORY_H
#define MEMORY_H

#include <linux/types.h>
#include <stddef.h>

/**
 * memory_available - bytes that can be had without swapping, as far as the kernel tells
 *
 * Worth a look before a big map is made: a kernel that runs out of memory over it may rather end
 * other programs than refuse.
 * Return: the greatest number if the kernel does not tell.
 */
__u64 memory_available(void);

/**
 * memory_map - map the first @len bytes of an array of BPF_F_MMAPABLE, to read and to write
 * @fd: the array's; it stays the caller's
 * @memory: set to the address, to be given to munmap(); untouched on failure
 * Return: 0 or a negative errno.
 */
int memory_map(int fd, size_t len, void **memory);

#endif /* MEMORY_H */
