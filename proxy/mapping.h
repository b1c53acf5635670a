/* SPDX-License-Identifier: GPL-2.0-only */
/* Mappings as people write them: FROM=TO[/tcp|/udp], on the command line or one a line in a file.
 */
#ifndef PROXY_MAPPING_H
#define PROXY_MAPPING_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "layout.h"

#define MAPPING_BUILTIN "10.0.0.10:12345=10.0.0.138:23456"

/*
 * One address and protocol to rewrite. A text without a protocol makes two of these, and if it has
 * no port either, a third for ICMP echo.
 */
struct mapping {
	struct nat_dest from;
	struct nat_target to; /* as parsed: the address and the port alone */
	int line;	      /* of the file; 0: the command line */
};

/* Why a mapping is refused: one line for people. */
struct mapping_error {
	char text[384];
	bool in_file; /* what is refused must not be shown */
	char cited[80];
};

/* An owned, growing array; all zero: empty. */
struct mapping_list {
	struct mapping *entries;
	size_t count;
	size_t room;
	const char *file; /* that the numbered lines are from; borrowed */
};

void mapping_list_free(struct mapping_list *list);

/**
 * mapping_list_add - parse @text and append what it maps: one entry, or two or three without a
 * protocol
 * @line: line of the file, 0 for the command line
 * Return: 0; -EINVAL or -ENOMEM with @error set and @list untouched.
 */
int mapping_list_add(struct mapping_list *list, const char *text, int line,
		     struct mapping_error *error);

/** mapping_list_append - append a copy of @mapping; Return: 0 or -ENOMEM */
int mapping_list_append(struct mapping_list *list, const struct mapping *mapping);

/** mapping_list_sort - sort by FROM: address, protocol, port (any port first), deleted last */
void mapping_list_sort(struct mapping_list *list);

/**
 * mapping_list_load - append what the lines of the file @path map; "#" begins a comment
 *
 * A broken line is named by its number in @error, and not shown. @path has to live as long as the
 * list. Return: 0; a negative errno with @error set; @list may then have grown.
 */
int mapping_list_load(struct mapping_list *list, const char *path, struct mapping_error *error);

/**
 * mapping_list_finish - sort the list by FROM, and refuse what cannot work together
 *
 * Refused are the same FROM twice, and a TO that another mapping takes as its FROM: a packet is
 * translated once, so A to B and B to C would send A's packets to B and not to C.
 * Return: 0, or -EINVAL with @error set.
 */
int mapping_list_finish(struct mapping_list *list, struct mapping_error *error);

/**
 * mapping_list_pairs - count the pairs of FROM and TO in a sorted list
 *
 * That is how many mappings people would say these are: a pair is one, for however many protocols.
 */
size_t mapping_list_pairs(const struct mapping_list *list);

/** mapping_list_find - find the entry for exactly @from in a sorted list; Return: it, or NULL */
struct mapping *mapping_list_find(const struct mapping_list *list, const struct nat_dest *from);

/**
 * mapping_parse_dest - parse ADDR[:PORT][/PROTO], the name of a mapping
 * @dest: a protocol of 0 stands for all
 * Return: 0, or -EINVAL with @error set.
 */
int mapping_parse_dest(const char *text, struct nat_dest *dest, struct mapping_error *error);

/**
 * mapping_parse_name - parse FROM[/PROTO], or a whole mapping, which then has to match
 * @name: for mapping_named()
 * Return: 0; -EINVAL or -ENOMEM with @error set.
 */
int mapping_parse_name(const char *text, struct mapping *name, struct mapping_error *error);

/**
 * mapping_named - tell whether @mapping is one that @name stands for
 * @name: a protocol of 0 stands for all; without a target (no address), any target will do
 */
bool mapping_named(const struct mapping *mapping, const struct mapping *name);

/* "FILE:LINE: ", as long as messages need it. */
enum { MAPPING_PLACE_LEN = 128 };

/** mapping_place_text - write where @mapping of @list is from to @buf; "": the command line */
const char *mapping_place_text(const struct mapping_list *list, const struct mapping *mapping,
			       char buf[MAPPING_PLACE_LEN]);

/** mapping_proto_text - "tcp", "udp", "icmp" or "icmpv6" */
const char *mapping_proto_text(__u8 proto);

#endif /* PROXY_MAPPING_H */
