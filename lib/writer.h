/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reports for a reader who may stop reading: a pager, a stopped terminal, a full pipe. The loop
 * does not wait for the reader. The writer keeps one report that is not read yet, and drops those
 * that follow; no report is cut in half.
 */
#ifndef WRITER_H
#define WRITER_H

#include <stdio.h>

#include "loop.h"

/* One report on its way. */
struct writer_text {
	char *bytes; /* NULL: none */
	size_t len;
	size_t done;
};

struct writer {
	const char *path; /* NULL: standard output */
	struct loop *loop;
	struct loop_fd watch;
	FILE *stream; /* between writer_begin() and writer_end() */
	bool replace; /* each report takes the place of the file */
	bool begun;   /* something has been written to the file */
	struct writer_text now, next;
	bool progress; /* something was read at the last attempt */
	__u64 dropped; /* reports since the reader stopped reading */
	int err;       /* why nothing can be written any more; 0: it can */
};

/**
 * writer_open - prepare to write to standard output or to a file
 * @path: of the file; borrowed; NULL: standard output
 * @replace: each report replaces the file atomically; else reports are appended to it
 *
 * A file that is no regular one is not replaced: a device would be lost. The new file is made in
 * the same directory, under a name that nobody can guess. When writing fails, -EPIPE for a reader
 * that has gone included, @loop ends with that error. Any other error is reported. Return: 0 or a
 * negative errno; writer_close() is right in either case.
 */
int writer_open(struct writer *writer, struct loop *loop, const char *path, bool replace);

/**
 * writer_reopen - open the file again, which has been renamed; if that fails, keep the old one
 *
 * Does nothing if no file is open, as with @replace.
 */
void writer_reopen(struct writer *writer);

/**
 * writer_begin - begin a report
 * @last: keep it even if the report before has not been read, for writer_close()
 * @out: set to the stream to print the report to
 * Return: 0; -EAGAIN if the report is dropped, since the one before has not been read; another
 * negative errno.
 */
int writer_begin(struct writer *writer, bool last, FILE **out);

/**
 * writer_end - the report is complete: write as much of it as is read at once
 * @err: 0, or a negative errno: the report is not wanted
 * Return: @err, or why writing failed.
 */
int writer_end(struct writer *writer, int err);

/**
 * writer_close - wait until the last reports have been read
 *
 * A reader that takes nothing for a second is not waited for, nor is any after another signal; what
 * is dropped then is said on stderr. Return: 0 or why writing failed.
 */
int writer_close(struct writer *writer);

#endif /* WRITER_H */
