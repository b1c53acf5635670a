/* SPDX-License-Identifier: GPL-2.0-only */
/* The map "hosts": what the programs know of the address of an original or a target. */
#ifndef PROXY_HOSTS_H
#define PROXY_HOSTS_H

#include "mapping.h"
#include "maps.h"

/**
 * hosts_write - enter what the mappings of @plan say of their addresses
 * Return: 0 or a negative errno; some addresses may then have been entered.
 */
int hosts_write(const struct maps *maps, const struct mapping_list *plan);

/** hosts_delete - remove the addresses that some mapping of @before names, and none of @plan */
void hosts_delete(const struct maps *maps, const struct mapping_list *before,
		  const struct mapping_list *plan);

#endif /* PROXY_HOSTS_H */
