/* SPDX-License-Identifier: GPL-2.0-only */
/* --list, --add, --delete and --flush-flows: asked for, and carried out. */
#ifndef PROXY_CONTROL_H
#define PROXY_CONTROL_H

#include "engine.h"
#include "options.h"
#include "owner.h"

/**
 * control_verb - carry out the verb of the command line on a datapath that runs or was kept
 * Return: the exit status; what failed is said on stderr.
 */
int control_verb(const struct proxy_options *opt, const struct iface *iface);

/** control_serve - carry out one request that waits for @owner */
void control_serve(struct engine *engine, const struct owner *owner);

#endif /* PROXY_CONTROL_H */
