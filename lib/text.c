// SPDX-License-Identifier: GPL-2.0-only
#include "text.h"

#include <linux/types.h>
#include <string.h>

/* Decode one character of UTF-8. Return: its length; 0: it is none (RFC 3629, section 4). */
static size_t text_decode(const char *text, size_t len, __u32 *code)
{
	static const __u32 least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	__u8 first = (__u8)*text;
	size_t size = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	if (!size || first > 0xf4 || size > len)
		return 0;
	*code = size == 1 ? first : first & (0x7fU >> size);
	for (size_t i = 1; i < size; i++) {
		if (((__u8)text[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | ((__u8)text[i] & 0x3f);
	}
	if (*code < least[size] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000))
		return 0;
	return size;
}

static void text_quote(FILE *out, enum text_style style, char c)
{
	if (style == TEXT_JSON || style == TEXT_PROMETHEUS)
		fputc('\\', out);
	else if (style == TEXT_CSV && c == '"')
		fputc('"', out);
	fputc(c, out);
}

void text_string(FILE *out, enum text_style style, const char *text)
{
	for (size_t size, len = strlen(text); len; text += size, len -= size) {
		__u32 code = 0xfffd;
		size_t valid = text_decode(text, len, &code);

		size = valid ?: 1;
		if (valid && (code == '"' || code == '\\'))
			text_quote(out, style, *text);
		else if (valid && code >= ' ' && (code < 0x7f || code >= 0xa0))
			fwrite(text, 1, size, out);
		else if (style == TEXT_JSON)
			fprintf(out, "\\u%04x", valid ? code : 0xfffdU);
		else
			for (size_t i = 0; i < size; i++)
				fprintf(out, style == TEXT_PROMETHEUS ? "\\\\x%02x" : "\\x%02x",
					(__u8)text[i]);
	}
}
