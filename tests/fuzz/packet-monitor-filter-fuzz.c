// SPDX-License-Identifier: GPL-2.0-only
/*
 * The filter of the command line: the first line is an expression, each further one an option, by a
 * letter and its argument. What is accepted becomes instructions, which have to be as the verifier
 * wants them: jumps lead forward to instructions of the filter, each of which can be reached.
 */
#include "../../packet-monitor/filter.h"

#include <errno.h>
#include <linux/bpf.h>

#include "fuzz.h"

static struct bpf_insn object[2 + PM_FILTER_ROOM + 1];

/* An object with nothing but the place for the filter. */
static void fuzz_place(void)
{
	for (int i = 0; i < PM_FILTER_ROOM; i++)
		object[2 + i] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K,
						   .imm = PM_FILTER_PLACE };
	object[1] = (struct bpf_insn){ .code = BPF_JMP | BPF_JEQ, .off = PM_FILTER_ROOM };
	object[2 + PM_FILTER_ROOM] = (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT };
}

static void fuzz_instructions(const struct filter *filter)
{
	bool reached[2 + PM_FILTER_ROOM + 1] = { false };
	int end = 2 + PM_FILTER_ROOM, first;

	fuzz_place();
	MUST(!filter_compile(filter, object, sizeof(object)));
	first = 2 + object[1].off;
	MUST(first > 2 && first < end);
	reached[first] = true;
	for (int i = first; i < end; i++) {
		const struct bpf_insn *insn = &object[i];
		int class = BPF_CLASS(insn->code);
		bool jump = class == BPF_JMP || class == BPF_JMP32;

		MUST(reached[i]);
		if (jump) {
			MUST(insn->off >= 0 && i + 1 + insn->off <= end);
			reached[i + 1 + insn->off] = true;
		}
		if (!jump || BPF_OP(insn->code) != BPF_JA)
			reached[i + 1] = true;
	}
	MUST(reached[end]);
}

static int fuzz_option(struct filter *filter, const char *line, char why[FILTER_WHY_MAX])
{
	switch (*line) {
	case 'p':
		return filter_add(filter, FILTER_TYPE_PROTO, line + 1, why);
	case 'P':
		return filter_add(filter, FILTER_TYPE_PORT, line + 1, why);
	case 'h':
		return filter_add(filter, FILTER_TYPE_HOST, line + 1, why);
	case 'n':
		return filter_add(filter, FILTER_TYPE_NET, line + 1, why);
	case '4':
		return filter_add_family(filter, PM_KIND_IPV4);
	default:
		return filter_add_family(filter, PM_KIND_IPV6);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct filter filter = { 0 }, options = { 0 };
	char why[FILTER_WHY_MAX] = "", *line;
	int err = 0;

	line = fuzz_line(&data, &size);
	if (!line)
		return 0;
	filter_begins(line);
	err = filter_parse(&filter, line, why);
	free(line);
	while (!err && (line = fuzz_line(&data, &size))) {
		*why = '\0';
		err = fuzz_option(&options, line, why);
		free(line);
	}
	if (err) {
		MUST(err == -E2BIG || (err == -EINVAL && *why));
		return 0;
	}
	MUST(filter.count > 0 && filter.count <= FILTER_TERMS_MAX);
	err = filter_join(&filter, &options, FILTER_AND) ?: filter_check(&filter);
	MUST(!err || err == -E2BIG || err == -EINVAL);
	if (!err)
		fuzz_instructions(&filter);
	return 0;
}
