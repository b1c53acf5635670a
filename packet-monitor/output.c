// SPDX-License-Identifier: GPL-2.0-only
#include "output.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "log.h"

int output_open(struct output *output)
{
	if (output->format == OUTPUT_TABLE && !output->path)
		terminal_open(&output->terminal);
	output->file = stdout;
	if (!output->path || output->format == OUTPUT_PROM)
		return 0;
	output->file = fopen(output->path, "we");
	if (!output->file)
		return log_err(-errno, "cannot write %s", output->path);
	return 0;
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

static int draw(struct output *output, const struct report *report)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int err;

	if (!out)
		return -errno;
	print(output, out, report);
	err = fclose(out) ? -errno : terminal_draw(&output->terminal, text, len);
	free(text);
	return err;
}

static int append(struct output *output, const struct report *report)
{
	errno = 0;
	print(output, output->file, report);
	if (fflush(output->file) || ferror(output->file))
		return errno ? -errno : -EIO;
	return 0;
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

int output_write(struct output *output, const struct report *report)
{
	int err = output->terminal.open				  ? draw(output, report)
		  : output->path && output->format == OUTPUT_PROM ? replace(output, report)
								  : append(output, report);

	if (err && err != -EPIPE)
		log_err(err, "cannot write the report");
	return err;
}

void output_close(struct output *output)
{
	terminal_close(&output->terminal);
	if (output->file && output->file != stdout)
		fclose(output->file);
	output->file = NULL;
}
