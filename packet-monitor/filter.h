/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The filter of the command line: from the text of -F and of the shorter options to instructions of
 * the BPF programs. filter-parse.c makes terms of the text, filter.c makes instructions of those.
 */
#ifndef FILTER_H
#define FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "packet-monitor.h"

enum {
	FILTER_TERMS_MAX = 128,
	FILTER_DEPTH_MAX = 32, /* parentheses in each other */
	FILTER_WHY_MAX = 256,
};

/* Terms stand in reverse Polish order: FILTER_NOT refers to the one before it, AND and OR to two.
 */
enum filter_kind {
	FILTER_FAMILY,	  /* nothing but @families */
	FILTER_ETHERTYPE, /* @low: a frame that is not IP */
	FILTER_PROTO,	  /* @low */
	FILTER_ADDRESS,	  /* @ends, @addr, @mask */
	FILTER_PORT,	  /* @ends, @low to @high, @proto */
	FILTER_VLAN,	  /* @low to @high: the VID of the outer tag, or 0 */
	FILTER_NOT,
	FILTER_AND,
	FILTER_OR,
};

/* Families of a term, of which it may have several. */
enum {
	FILTER_IPV4 = 1 << PM_KIND_IPV4,
	FILTER_IPV6 = 1 << PM_KIND_IPV6,
	FILTER_IP = FILTER_IPV4 | FILTER_IPV6,
	FILTER_OTHER = 1 << PM_KIND_OTHER,
};

/* Which end of a flow has to match. Without FILTER_BOTH, one of those that are set is enough. */
enum { FILTER_SRC = 1, FILTER_DST = 2, FILTER_BOTH = 4 };

struct filter_term {
	__u8 kind;
	__u8 families; /* FILTER_IPV4 and so on; flows of others do not match */
	__u8 ends;
	__u8 proto; /* IPPROTO_*; 0: any that has ports */
	__u16 low, high;
	__u32 addr[4]; /* network byte order; IPv4: the first */
	__u32 mask[4];
};

/* Empty: there is no filter. */
struct filter {
	int count;
	struct filter_term terms[FILTER_TERMS_MAX];
};

/* What a word stands for that has none of these before it: an address, or a network with its "/".
 */
enum filter_type {
	FILTER_TYPE_ANY,
	FILTER_TYPE_HOST,
	FILTER_TYPE_NET,
	FILTER_TYPE_PORT,
	FILTER_TYPE_PORTRANGE,
	FILTER_TYPE_PROTO,
};

/**
 * filter_parse - read an expression in the language of pcap-filter(7), and require it, too
 * @why: set to one line, which names the place, if there is an error
 * Return: 0 or -EINVAL. After an error @filter is of no use.
 */
int filter_parse(struct filter *filter, const char *text, char why[FILTER_WHY_MAX]);

/** filter_begins - whether the first word of @text could begin an expression */
bool filter_begins(const char *text);

/**
 * filter_add - accept one more value, beside those that @filter has
 * @type: what @text is; a network may have bits behind its length here, which are ignored
 * @why: set to one line if there is an error
 * Return: 0 or -EINVAL. After an error @filter is of no use.
 */
int filter_add(struct filter *filter, enum filter_type type, const char *text,
	       char why[FILTER_WHY_MAX]);

/** filter_add_family - accept PM_KIND_IPV4 or PM_KIND_IPV6, too; Return: 0 or -E2BIG */
int filter_add_family(struct filter *filter, enum pm_kind family);

/**
 * filter_join - append what @other asks for
 * @op: FILTER_AND or FILTER_OR: how the two are to be taken together if neither is empty
 * Return: 0 or -E2BIG.
 */
int filter_join(struct filter *filter, const struct filter *other, enum filter_kind op);

/** filter_push - append one term; Return: 0 or -E2BIG */
int filter_push(struct filter *filter, const struct filter_term *term);

/**
 * filter_check - see whether a filter makes sense as a whole
 * Return: 0; -EINVAL if no flow can match, whatever its addresses and ports; -E2BIG if it takes
 * more instructions than the programs have room for; -ENOMEM.
 */
int filter_check(const struct filter *filter);

/**
 * filter_compile - write a filter that is not empty into the programs
 * @elf, @size: the image of their ELF file, with places for it (bpf/pm-filter.h)
 * Return: 0; -E2BIG if the programs have too little room; -ENOENT if they have none; -ENOMEM.
 */
int filter_compile(const struct filter *filter, void *elf, size_t size);

#endif /* FILTER_H */
