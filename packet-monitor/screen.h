/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the live view shows on the terminal: a title, the rows, and below them the interfaces, the
 * packets that are in no row, messages and keys. Everything fits the window.
 */
#ifndef SCREEN_H
#define SCREEN_H

#include <stdio.h>

struct live_view;
struct report;

/** screen_draw - print to @out what shows @report as @live has it, in the window last measured */
void screen_draw(struct live_view *live, FILE *out, const struct report *report);

#endif /* SCREEN_H */
