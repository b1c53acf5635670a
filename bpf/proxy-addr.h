/* SPDX-License-Identifier: GPL-2.0-only */
/* proxy: addresses of the family that this object is for (PROXY_FAMILY in include/proxy.h). BPF
 * only. */
#ifndef BPF_PROXY_ADDR_H
#define BPF_PROXY_ADDR_H

#include <linux/types.h>

#include "csum.h"
#include "proxy.h"

#define ADDR_NONE ((proxy_addr){ 0 })

/** addr_equal - compare two addresses */
static __always_inline int addr_equal(proxy_addr a, proxy_addr b)
{
#if PROXY_FAMILY == 4
	return a == b;
#else
	return !((a.half[0] ^ b.half[0]) | (a.half[1] ^ b.half[1]));
#endif
}

/** addr_is_set - tell whether @addr is an address, and not all 0 */
static __always_inline int addr_is_set(proxy_addr addr)
{
#if PROXY_FAMILY == 4
	return addr != 0;
#else
	return (addr.half[0] | addr.half[1]) != 0;
#endif
}

/** addr_mix - make 32 bits that depend on all bits of both addresses */
static __always_inline __u32 addr_mix(proxy_addr a, proxy_addr b)
{
#if PROXY_FAMILY == 4
	return a ^ b;
#else
	__u64 mixed = (a.half[0] ^ b.half[0]) + (a.half[1] ^ b.half[1]);

	return mixed ^ mixed >> 32;
#endif
}

/** addr_csum_add - replace @old by @new in a one's complement sum of 64 bits */
static __always_inline __u64 addr_csum_add(__u64 sum, proxy_addr old, proxy_addr new)
{
	for (__u32 i = 0; i < PROXY_ADDR_WORDS; i++)
		sum = csum_add(sum, proxy_addr_word(old, i), proxy_addr_word(new, i));
	return sum;
}

#endif /* BPF_PROXY_ADDR_H */
