// SPDX-License-Identifier: GPL-2.0-only
#include "resolve.h"

const struct mapping *resolve(const struct mapping_list *plan, const struct nat_dest *dest)
{
	const struct nat_dest any_port = { .addr = dest->addr, .proto = dest->proto };

	return mapping_list_find(plan, dest) ?: mapping_list_find(plan, &any_port);
}

static struct nat_dest resolve_dest(const struct nat_flow *flow)
{
	return (struct nat_dest){ .addr = flow->orig, .port = flow->oport, .proto = flow->proto };
}

const struct mapping *resolve_flow(const struct mapping_list *plan, const struct nat_flow *flow)
{
	const struct nat_dest dest = resolve_dest(flow);

	return resolve(plan, &dest);
}

/* Where packets to @dest arrive; without a mapping, there. */
static struct nat_dest resolve_target(const struct mapping_list *plan, const struct nat_dest *dest)
{
	const struct mapping *mapping = resolve(plan, dest);
	struct nat_dest target = *dest;

	if (mapping) {
		target.addr = mapping->to.addr;
		target.port = mapping->to.port ?: dest->port;
	}
	return target;
}

static bool resolve_equal(const struct nat_dest *a, const struct nat_dest *b)
{
	return addr_equal(&a->addr, &b->addr) && a->port == b->port;
}

enum resolve_change resolve_change(const struct mapping_list *before,
				   const struct mapping_list *after, const struct nat_flow *flow)
{
	const struct nat_dest dest = resolve_dest(flow);
	const struct nat_dest own = { .addr = flow->remote, .port = flow->rport };
	const struct nat_dest now = resolve_target(after, &dest);
	struct nat_dest was;

	if (resolve_equal(&own, &now))
		return RESOLVE_SAME;
	was = resolve_target(before, &dest);
	if (resolve_equal(&was, &now))
		return RESOLVE_SAME;
	return resolve_equal(&dest, &now) ? RESOLVE_NONE : RESOLVE_OTHER;
}

/* Whether packets to some FROM of @keys go elsewhere after than before. */
static bool resolve_keys_differ(const struct mapping_list *keys, const struct mapping_list *before,
				const struct mapping_list *after)
{
	for (size_t i = 0; i < keys->count; i++) {
		const struct nat_dest *key = &keys->entries[i].from;
		const struct nat_dest from = { .addr = key->addr,
					       .port = key->port,
					       .proto = key->proto };
		const struct nat_dest was = resolve_target(before, &from);
		const struct nat_dest now = resolve_target(after, &from);

		if (!resolve_equal(&was, &now))
			return true;
	}
	return false;
}

bool resolve_differs(const struct mapping_list *before, const struct mapping_list *after)
{
	/* Where neither names a port, both lead as their mapping for any port does. */
	return before->count && (resolve_keys_differ(before, before, after) ||
				 resolve_keys_differ(after, before, after));
}
