/* SPDX-License-Identifier: GPL-2.0-only */
/* The programs of a datapath, loaded into the kernel. */
#ifndef PROXY_PROGRAMS_H
#define PROXY_PROGRAMS_H

#include <stdbool.h>
#include <stddef.h>

#include "maps.h"
#include "options.h"
#include "tc-link.h"

/* One object: its programs and maps; all zero: not open. */
struct programs_object {
	void *skel;
	struct bpf_object *obj;
};

/* All zero: not loaded. */
struct programs {
	const struct nat_layout *layout;
	struct programs_object own;	  /* for the interface */
	struct programs_object others[2]; /* for other devices with and without a link layer */
	int l2_len;			  /* bytes before the IP header on the interface */
};

/** programs_loaded - tell whether there are programs of ours */
static inline bool programs_loaded(const struct programs *programs)
{
	return programs->own.skel;
}

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
int programs_own(const struct programs *programs, enum layout_role role);

/**
 * programs_for - load a program for other devices with @l2_len bytes before the IP header
 * @maps: of the datapath
 * @role: LAYOUT_DIRECT, or LAYOUT_INGRESS if @l2_len is not the interface's
 * Return: its descriptor, which stays ours, or a negative errno.
 */
int programs_for(struct programs *programs, const struct maps *maps, int l2_len,
		 enum layout_role role);

#endif /* PROXY_PROGRAMS_H */
