/* SPDX-License-Identifier: GPL-2.0-only */
/* What the fuzz targets share: lines of the input as strings, and how a target says "wrong". */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** LLVMFuzzerTestOneInput - the target: run the code under test once on @size bytes; Return: 0 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Something that has to be true of any input. libFuzzer saves the input that shows the opposite. */
#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not " #condition "\n", __FILE__, __LINE__);        \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/**
 * fuzz_line - take the next line from the input
 * @data: moved behind the line
 * @size: what is left
 * Return: the line, terminated, in memory of its own, which the caller frees; NULL at the end.
 */
static inline char *fuzz_line(const uint8_t **data, size_t *size)
{
	const uint8_t *end;
	size_t len;
	char *line;

	if (!*size)
		return NULL;
	end = memchr(*data, '\n', *size);
	len = end ? (size_t)(end - *data) : *size;
	line = malloc(len + 1);
	MUST(line);
	memcpy(line, *data, len);
	line[len] = '\0';
	len += end != NULL;
	*data += len;
	*size -= len;
	return line;
}

#endif /* FUZZ_H */
