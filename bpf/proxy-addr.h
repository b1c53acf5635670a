/* SPDX-License-Identifier: GPL-2.0-only */
/* proxy: addresses of the family that this object is for (PROXY_FAMILY in include/proxy.h). BPF
 * only. */
#ifndef BPF_PROXY_ADDR_H
#define BPF_PROXY_ADDR_H

#include <linux/types.h>

#include "csum.h"
#include "proxy.h"

#define ADDR_NONE ((proxy_addr){ 0 })

/** proxy_addr_equal - compare two addresses */
static __always_inline int proxy_addr_equal(const proxy_addr *a, const proxy_addr *b)
{
#if PROXY_FAMILY == 4
	return *a == *b;
#else
	return !((a->half[0] ^ b->half[0]) | (a->half[1] ^ b->half[1]));
#endif
}

/** proxy_addr_is_set - tell whether @addr is an address, and not all 0 */
static __always_inline int proxy_addr_is_set(const proxy_addr *addr)
{
#if PROXY_FAMILY == 4
	return *addr != 0;
#else
	return (addr->half[0] | addr->half[1]) != 0;
#endif
}

/** proxy_addr_mix - make 32 bits that depend on all bits of both addresses */
static __always_inline __u32 proxy_addr_mix(const proxy_addr *a, const proxy_addr *b)
{
#if PROXY_FAMILY == 4
	return *a ^ *b;
#else
	__u64 mixed = (a->half[0] ^ b->half[0]) + (a->half[1] ^ b->half[1]);

	return mixed ^ mixed >> 32;
#endif
}

/** proxy_addr_csum - replace @old by @new in a one's complement sum of 64 bits */
static __always_inline __u64 proxy_addr_csum(__u64 sum, const proxy_addr *old,
					     const proxy_addr *new)
{
#if PROXY_FAMILY == 4
	return csum_add(sum, *old, *new);
#else
	sum = csum_add(sum, (__u32)old->half[0], (__u32) new->half[0]);
	sum = csum_add(sum, old->half[0] >> 32, new->half[0] >> 32);
	sum = csum_add(sum, (__u32)old->half[1], (__u32) new->half[1]);
	return csum_add(sum, old->half[1] >> 32, new->half[1] >> 32);
#endif
}

#endif /* BPF_PROXY_ADDR_H */
