/* SPDX-License-Identifier: GPL-2.0-only */
/* Internet checksums (RFC 1071), updated by the difference of a change (RFC 1624). */
#ifndef BPF_CSUM_H
#define BPF_CSUM_H

#include <linux/types.h>

/** csum_add - replace @old by @new in a one's complement sum of 64 bits */
static __always_inline __u64 csum_add(__u64 sum, __u32 old, __u32 new)
{
	return sum + (__u32)~old + new;
}

/** csum_fold - reduce a one's complement sum to 16 bits */
static __always_inline __u16 csum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/** csum_add16 - add two one's complement sums of 16 bits */
static __always_inline __u16 csum_add16(__u16 a, __u16 b)
{
	__u32 sum = (__u32)a + b;

	return sum + (sum >> 16);
}

/** csum_apply - update checksum field @check by the difference @sum */
static __always_inline __u16 csum_apply(__u16 check, __u16 sum)
{
	return ~csum_add16(~check, sum);
}

/**
 * csum_half - return the sum that gives @sum when it is added to itself
 *
 * Every sum has a half: halving is multiplying by 32768, since 2 * 32768 is 1 modulo 65535.
 */
static __always_inline __u16 csum_half(__u16 sum)
{
	return sum >> 1 | sum << 15;
}

#endif /* BPF_CSUM_H */
