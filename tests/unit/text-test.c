// SPDX-License-Identifier: GPL-2.0-only
#include "text.h"

#include <stdlib.h>

#include "check.h"

static void shows(enum text_style style, const char *text, const char *want, const char *name)
{
	char *got = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&got, &len);

	text_string(out, style, text);
	fclose(out);
	CHECK_STR(got, want, "%s", name);
	free(got);
}

int main(void)
{
	shows(TEXT_PLAIN, "eth0 \"x\" \\ ~", "eth0 \"x\" \\ ~", "what is printable stays");
	shows(TEXT_PLAIN, "a\033[2J\n\r\t\177", "a\\x1b[2J\\x0a\\x0d\\x09\\x7f",
	      "control characters");
	shows(TEXT_PLAIN, "\302\200\302\237\302\240", "\\xc2\\x80\\xc2\\x9f\302\240",
	      "the control characters above ASCII");
	shows(TEXT_PLAIN, "\303\244\342\202\254\360\237\230\200\364\217\277\277",
	      "\303\244\342\202\254\360\237\230\200\364\217\277\277",
	      "UTF-8 of 2 to 4 bytes stays");
	shows(TEXT_PLAIN, "\300\257 \340\200\257 \360\200\200\257",
	      "\\xc0\\xaf \\xe0\\x80\\xaf \\xf0\\x80\\x80\\xaf", "overlong forms");
	shows(TEXT_PLAIN, "\355\240\200 \364\220\200\200 \365",
	      "\\xed\\xa0\\x80 \\xf4\\x90\\x80\\x80 \\xf5", "surrogates, and what is no character");
	shows(TEXT_PLAIN, "\200a\342\202", "\\x80a\\xe2\\x82", "pieces of characters");
	shows(TEXT_JSON, "\"\\/\n\033\177\302\205", "\\\"\\\\/\\u000a\\u001b\\u007f\\u0085",
	      "JSON: quotes, backslashes, control characters");
	shows(TEXT_JSON, "\377\303\244\342\202", "\\ufffd\303\244\\ufffd\\ufffd",
	      "JSON: what is not UTF-8");
	shows(TEXT_CSV, "a\"b,\\\n", "a\"\"b,\\\\x0a", "CSV");
	shows(TEXT_PROMETHEUS, "a\"\\\n\377", "a\\\"\\\\\\\\x0a\\\\xff", "Prometheus");
	return check_exit();
}
