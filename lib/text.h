/* SPDX-License-Identifier: GPL-2.0-only */
/* Names and other bytes from outside, made fit for a terminal or a file format. */
#ifndef TEXT_H
#define TEXT_H

#include <stdio.h>

enum text_style {
	TEXT_PLAIN,	 /* for people */
	TEXT_JSON,	 /* inside of a JSON string */
	TEXT_CSV,	 /* inside of a quoted field */
	TEXT_PROMETHEUS, /* inside of a label's value */
};

/**
 * text_string - print @text, as valid UTF-8 without control characters
 *
 * Bytes of control characters (U+0080 to U+009F included) and bytes that are not UTF-8 are printed
 * as \xNN; in JSON as \u00NN and \ufffd. Quotes and backslashes are escaped as the style needs it.
 */
void text_string(FILE *out, enum text_style style, const char *text);

#endif /* TEXT_H */
