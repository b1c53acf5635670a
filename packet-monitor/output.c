// SPDX-License-Identifier: GPL-2.0-only
#include "output.h"

#include <errno.h>

#include "screen.h"

int output_open(struct output *output, struct loop *loop)
{
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

int output_write(struct output *output, const struct report *report, bool last)
{
	FILE *out;
	int err = writer_begin(&output->writer, last, &out);

	if (err)
		return err == -EAGAIN ? 0 : err;
	if (report->live && report->live->terminal.live)
		screen_draw(report->live, out, report);
	else
		print(output, out, report);
	return writer_end(&output->writer, err);
}

bool output_ready(const struct output *output)
{
	return !output->writer.now.bytes;
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
	return writer_close(&output->writer);
}
