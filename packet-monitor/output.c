// SPDX-License-Identifier: GPL-2.0-only
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

/* A device or a pipe that nobody reads must not hold up the loop; nor does the tool want a tty. */
static int open_file(struct output *output)
{
	int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	int fd = open(output->path, flags, 0666);
	struct stat status;

	if (fd < 0)
		return log_err(-errno, "cannot write %s", output->path);
	output->begun = !fstat(fd, &status) && status.st_size;
	return fd;
}

int output_open(struct output *output, struct loop *loop)
{
	int fd = STDOUT_FILENO;

	if (output->path && output->format != OUTPUT_PROM)
		fd = open_file(output);
	else if (output->format == OUTPUT_TABLE)
		terminal_open(&output->terminal);
	writer_open(&output->writer, loop, fd, output->path ?: "standard output");
	return fd < 0 ? fd : 0;
}

static void print(struct output *output, FILE *out, const struct report *report)
{
	static void (*const formats[])(FILE *, const struct report *) = {
		[OUTPUT_TABLE] = output_table, [OUTPUT_CLASSIC] = output_classic,
		[OUTPUT_JSONL] = output_jsonl, [OUTPUT_CSV] = output_csv,
		[OUTPUT_PROM] = output_prom,
	};

	if (output->format == OUTPUT_CSV && !output->begun)
		output_csv_head(out, &report->view->config);
	output->begun = true;
	formats[output->format](out, report);
}

static int draw(struct output *output, FILE *out, const struct report *report)
{
	char *text = NULL;
	size_t len = 0;
	FILE *screen = open_memstream(&text, &len);
	int err = screen ? 0 : -errno;

	if (!err) {
		print(output, screen, report);
		err = fclose(screen) ? -errno : 0;
	}
	if (!err)
		terminal_draw(&output->terminal, out, text, len);
	free(text);
	return err ? log_err(err, "cannot write the report") : 0;
}

static int append(struct output *output, const struct report *report, bool last)
{
	FILE *out;
	int err = writer_begin(&output->writer, last, &out);

	/* What is said about a report that is dropped stands on the screen. */
	if (err == -EAGAIN)
		output->terminal.drawn = false;
	if (err)
		return err == -EAGAIN ? 0 : err;
	if (output->terminal.open)
		err = draw(output, out, report);
	else
		print(output, out, report);
	return writer_end(&output->writer, err);
}

/* Beside the file, then in its place. */
static int replace(struct output *output, const struct report *report)
{
	char temporary[PATH_MAX];
	FILE *out;
	int err;

	if (snprintf(temporary, sizeof(temporary), "%s.%d.tmp", output->path, (int)getpid()) >=
	    (int)sizeof(temporary))
		return -ENAMETOOLONG;
	out = fopen(temporary, "we");
	if (!out)
		return -errno;
	print(output, out, report);
	err = ferror(out) ? -EIO : 0;
	if (fclose(out) && !err)
		err = -errno;
	if (!err && rename(temporary, output->path))
		err = -errno;
	if (err)
		unlink(temporary);
	return err;
}

int output_write(struct output *output, const struct report *report, bool last)
{
	int err;

	if (!output->path || output->format != OUTPUT_PROM)
		return append(output, report, last);
	err = replace(output, report);
	return err ? log_err(err, "cannot write the report") : 0;
}

int output_close(struct output *output)
{
	int err = writer_close(&output->writer);

	terminal_close(&output->terminal);
	if (output->writer.watch.fd > STDERR_FILENO)
		close(output->writer.watch.fd);
	return err;
}
