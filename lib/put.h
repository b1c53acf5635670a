/* SPDX-License-Identifier: GPL-2.0-only */
/* Writing to a descriptor whose reader may not read. */
#ifndef PUT_H
#define PUT_H

#include <sys/types.h>

/**
 * put_text - write as much of @text as is read
 * @patience_ms: wait for so long whenever nothing is read; 0: not at all
 *
 * Does not block for longer, whatever @fd is. A pipe takes lines of up to PIPE_BUF bytes as a
 * whole. Return: how many bytes were written, or a negative errno.
 */
ssize_t put_text(int fd, const char *text, size_t len, int patience_ms);

#endif /* PUT_H */
