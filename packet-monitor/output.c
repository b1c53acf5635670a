// SPDX-License-Identifier: GPL-2.0-only
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

static bool replaces(const struct output *output)
{
	return output->path && output->format == OUTPUT_PROM;
}

/* Anything else in its place, a device for example, would be gone. */
static int check_regular(const char *path)
{
	struct stat status;

	if (lstat(path, &status) || S_ISREG(status.st_mode))
		return 0;
	log_note("cannot replace %s, as prom does: it is no regular file", path);
	return -EINVAL;
}

int output_open(struct output *output, struct loop *loop)
{
	if (output->format == OUTPUT_TABLE && !output->path)
		terminal_open(&output->terminal);
	if (!replaces(output))
		return writer_open(&output->writer, loop, output->path);
	return writer_open(&output->writer, loop, NULL) ?: check_regular(output->path);
}

static void print(struct output *output, FILE *out, const struct report *report)
{
	static void (*const formats[])(FILE *, const struct report *) = {
		[OUTPUT_TABLE] = output_table, [OUTPUT_CLASSIC] = output_classic,
		[OUTPUT_JSONL] = output_jsonl, [OUTPUT_CSV] = output_csv,
		[OUTPUT_PROM] = output_prom,
	};

	if (output->format == OUTPUT_CSV && !output->writer.begun)
		output_csv_head(out, &report->view->config);
	formats[output->format](out, report);
}

static int draw(struct output *output, FILE *out, const struct report *report)
{
	char *text = NULL;
	size_t len = 0;
	FILE *screen = open_memstream(&text, &len);
	int err;

	if (!screen)
		return log_err(-errno, "cannot write the report");
	print(output, screen, report);
	err = fclose(screen) ? -errno : 0;
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

/* Make a file beside @path that nobody can have prepared. @name: set to its name */
static int open_beside(const char *path, char name[PATH_MAX])
{
	unsigned long long nonce;
	int fd;

	if (getrandom(&nonce, sizeof(nonce), 0) < 0)
		return -errno;
	if (snprintf(name, PATH_MAX, "%s.%016llx.tmp", path, nonce) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd;
}

/* Beside the file, then in its place. */
static int replace(struct output *output, const struct report *report)
{
	int fd, err = check_regular(output->path);
	char temporary[PATH_MAX];
	FILE *out;

	if (err)
		return err;
	fd = open_beside(output->path, temporary);
	if (fd < 0)
		return log_err(fd, "cannot write %s", output->path);
	out = fdopen(fd, "w");
	if (!out) {
		err = -errno;
		close(fd);
	} else {
		print(output, out, report);
		err = ferror(out) ? -EIO : 0;
		if (fclose(out) && !err)
			err = -errno;
	}
	if (!err && rename(temporary, output->path))
		err = -errno;
	if (!err)
		return 0;
	unlink(temporary);
	return log_err(err, "cannot write %s", output->path);
}

int output_write(struct output *output, const struct report *report, bool last)
{
	return replaces(output) ? replace(output, report) : append(output, report, last);
}

int output_reopen(struct output *output)
{
	if (!output->path)
		return -ENOENT;
	if (!replaces(output))
		writer_reopen(&output->writer);
	return 0;
}

int output_close(struct output *output)
{
	int err = writer_close(&output->writer);

	terminal_close(&output->terminal);
	return err;
}
