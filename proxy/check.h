/* SPDX-License-Identifier: GPL-2.0-only */
/* Which mappings cannot work on an interface, and which will not do what they look like. */
#ifndef PROXY_CHECK_H
#define PROXY_CHECK_H

#include "iface.h"
#include "mapping.h"
#include "nexthop.h"

/**
 * check_mappings - refuse mappings that cannot work on @iface
 * @hops: gets a place for each target, looked up
 * Return: 0, or a negative errno with @error set.
 */
int check_mappings(struct nexthops *hops, const struct iface *iface,
		   const struct mapping_list *list, struct mapping_error *error);

/** check_warn - say on stderr which of the mappings in force in @plan will not work as they look */
void check_warn(struct nexthops *hops, const struct iface *iface, const struct mapping_list *plan);

#endif /* PROXY_CHECK_H */
