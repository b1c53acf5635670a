/* SPDX-License-Identifier: GPL-2.0-only */
/* How much memory there is for maps, which are allocated at once and not swapped. */
#ifndef MEMORY_H
#define MEMORY_H

#include <linux/types.h>

/**
 * memory_available - bytes that can be had without swapping, as far as the kernel tells
 *
 * Worth a look before a big map is made: a kernel that runs out of memory over it may rather end
 * other programs than refuse.
 * Return: the greatest number if the kernel does not tell.
 */
__u64 memory_available(void);

#endif /* MEMORY_H */
