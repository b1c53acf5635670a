/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where packets go, found by a look at every mapping. The programs, proxy/resolve.c and the check
 * for chains are each compared with this, and so with each other.
 */
#ifndef PROXY_PLAN_MODEL_H
#define PROXY_PLAN_MODEL_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

struct model_mapping {
	__u32 from, to;
	__u16 from_port, to_port; /* 0: any, the same */
	__u8 proto;
	__u16 flags;  /* enum proxy_mapping_flags */
	bool mac;     /* the frame gets the MAC address of "nexthop" */
	bool deleted; /* no packet meets it */
};

/** model_find_mapping - find the mapping of packets to @addr and @port; Return: it, or NULL */
static inline const struct model_mapping *model_find_mapping(const struct model_mapping *mappings,
							     size_t count, __u8 proto, __u32 addr,
							     __u16 port)
{
	const struct model_mapping *any = NULL;

	for (size_t i = 0; i < count; i++) {
		const struct model_mapping *mapping = &mappings[i];

		if (mapping->proto != proto || mapping->from != addr || mapping->deleted)
			continue;
		if (mapping->from_port == port)
			return mapping;
		if (!mapping->from_port)
			any = mapping;
	}
	return any;
}

/** model_target - change @addr and @port to where packets to them arrive */
static inline void model_target(const struct model_mapping *mappings, size_t count, __u8 proto,
				__u32 *addr, __u16 *port)
{
	const struct model_mapping *mapping =
		model_find_mapping(mappings, count, proto, *addr, *port);

	if (!mapping)
		return;
	*addr = mapping->to;
	*port = mapping->to_port ? mapping->to_port : *port;
}

#endif /* PROXY_PLAN_MODEL_H */
