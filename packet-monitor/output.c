// SPDX-License-Identifier: GPL-2.0-only
#include "output.h"

#include <errno.h>
#include <stdlib.h>

#include "log.h"

int output_open(struct output *output, struct loop *loop)
{
	if (output->format == OUTPUT_TABLE && !output->path)
		terminal_open(&output->terminal);
	return writer_open(&output->writer, loop, output->path, output->format == OUTPUT_PROM);
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

int output_write(struct output *output, const struct report *report, bool last)
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

int output_reopen(struct output *output)
{
	if (!output->path)
		return -ENOENT;
	writer_reopen(&output->writer);
	return 0;
}

int output_close(struct output *output)
{
	int err = writer_close(&output->writer);

	terminal_close(&output->terminal);
	return err;
}
