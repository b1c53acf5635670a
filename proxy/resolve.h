/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where packets go: what mapping_find() decides in the programs, decided here for user space. Pure
 * functions of the mappings; no kernel is asked.
 */
#ifndef PROXY_RESOLVE_H
#define PROXY_RESOLVE_H

#include <stdbool.h>

#include "mapping.h"

/**
 * resolve - find the mapping of packets to @dest: that of its port, or else that for any port
 * @plan: sorted mappings; it may have deleted ones, which lead nowhere
 * @dest: address, port and protocol, not deleted
 * Return: the mapping; NULL if packets to @dest pass as they are.
 */
const struct mapping *resolve(const struct mapping_list *plan, const struct nat_dest *dest);

/** resolve_flow - find the mapping that the client's next packet of @flow meets; or NULL */
const struct mapping *resolve_flow(const struct mapping_list *plan, const struct nat_flow *flow);

/* What a change of the mappings is to a flow. */
enum resolve_change {
	RESOLVE_SAME,  /* it goes where it went, or was left where it is by an earlier change */
	RESOLVE_NONE,  /* nothing is mapped any more: new flows go to the original */
	RESOLVE_OTHER, /* new flows go to another target */
};

/** resolve_change - tell what the change from mappings @before to mappings @after is to @flow */
enum resolve_change resolve_change(const struct mapping_list *before,
				   const struct mapping_list *after, const struct nat_flow *flow);

/**
 * resolve_differs - tell whether resolve_change() may be other than RESOLVE_SAME for some flow
 *
 * Without mappings before, in force or deleted, there is no flow.
 */
bool resolve_differs(const struct mapping_list *before, const struct mapping_list *after);

#endif /* PROXY_RESOLVE_H */
