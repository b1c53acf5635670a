/* SPDX-License-Identifier: GPL-2.0-only */
/* The programs of a datapath, loaded into the kernel. */
#ifndef PROXY_PROGRAMS_H
#define PROXY_PROGRAMS_H

#include <stddef.h>

#include "maps.h"
#include "options.h"
#include "tc-link.h"

struct proxy;

/* All zero: not loaded. */
struct programs {
	struct proxy *own; /* for the interface */
	struct proxy
		*others[2]; /* for other devices with and without a link layer; NULL: not yet */
	int l2_len;	    /* bytes before the IP header on the interface */
};

/**
 * programs_load - load the programs for the interface, and open and map their maps
 * @maps: initialised; set
 * @old: the maps of a running datapath to share; all -1: none
 * @mappings: how many the maps are made for
 * Return: 0 or a negative errno, said on stderr already; programs_close() is right in either case.
 */
int programs_load(struct programs *programs, struct maps *maps, const struct maps *old,
		  const struct proxy_options *opt, int l2_len, size_t mappings);

void programs_close(struct programs *programs);

/** programs_own - the descriptor of a program for the interface, which stays ours */
int programs_own(const struct programs *programs, enum program program);

/**
 * programs_for - load a program for other devices with @l2_len bytes before the IP header
 * @maps: of the datapath
 * @program: PROGRAM_PROXY_DIRECT, or PROGRAM_PROXY_INGRESS if @l2_len is not the interface's
 * Return: its descriptor, which stays ours, or a negative errno.
 */
int programs_for(struct programs *programs, const struct maps *maps, int l2_len,
		 enum program program);

#endif /* PROXY_PROGRAMS_H */
