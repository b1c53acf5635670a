/* SPDX-License-Identifier: GPL-2.0-only */
/* Names for the bytes of a frame, for tests that compare frames. */
#ifndef FRAME_FIELDS_H
#define FRAME_FIELDS_H

#include <linux/types.h>
#include <stddef.h>

/**
 * frame_differs - name the fields in which two frames of @len bytes differ
 * @want: the frame whose headers say which field a byte belongs to
 * Return: NULL if they are equal, or a text such as "ip.check is 1a2b, want 3c4d; tcp.source is
 * ...", valid until the next call.
 */
const char *frame_differs(const __u8 *got, const __u8 *want, size_t len);

#endif /* FRAME_FIELDS_H */
