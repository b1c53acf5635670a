// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each line of the input is a request to a running proxy. The datapath behind is a list: after each
 * request it holds mappings that can work together.
 */
#define engine_mappings fuzz_mappings
#define engine_flush fuzz_flush
#define engine_serve fuzz_serve
/* The request parser has no name outside of that file. */
#include "../../proxy/control.c" // NOLINT(bugprone-suspicious-include)

#include "fuzz.h"

static struct mapping_list served;

static void copy(struct mapping_list *to, const struct mapping_list *from)
{
	for (size_t i = 0; i < from->count; i++)
		MUST(!mapping_list_append(to, &from->entries[i]));
}

int fuzz_mappings(const struct engine *engine, struct mapping_list *list)
{
	(void)engine;
	copy(list, &served);
	return 0;
}

void fuzz_flush(struct engine *engine)
{
	(void)engine;
}

int fuzz_serve(struct engine *engine, const struct mapping_list *list, bool kill,
	       struct mapping_error *error)
{
	(void)engine;
	(void)kill;
	(void)error;
	mapping_list_free(&served);
	copy(&served, list);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct engine engine;
	struct mapping_list again = { 0 };
	char *request;

	while ((request = fuzz_line(&data, &size))) {
		struct mapping_error error = { .text = "" };

		MUST(!control_carry_out(&engine, request, &error) == !*error.text);
		free(request);
		copy(&again, &served);
		MUST(!mapping_list_finish(&again, &error) && again.count == served.count);
		mapping_list_free(&again);
	}
	mapping_list_free(&served);
	return 0;
}
