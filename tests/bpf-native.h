/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Compiles headers of bpf/ for this machine: include this first, then "../../bpf/X.h".
 *
 * A packet is a struct native_skb, in place of struct __sk_buff. Its linear part lies in memory of
 * its own, which ends where the linear part ends: AddressSanitizer then sees every read beyond it.
 * The helpers that load and store bytes, and those for checksums, do what the kernel's do. Maps are
 * empty: a lookup finds nothing, and an update is forgotten.
 */
#ifndef BPF_NATIVE_H
#define BPF_NATIVE_H

#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* The global functions of bpf/ have no prototypes, and no test uses all functions of a header. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunknown-pragmas"

/* In place of <bpf/bpf_helpers.h>. */
#define __BPF_HELPERS__
#define SEC(name)
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))
/* The BPF compiler reads whole words by it, from memory that may be aligned to less. */
#define __builtin_assume_aligned(address, alignment) (address)

/* What the kernel knows of a packet's checksum (skb->ip_summed). */
enum native_summed { NATIVE_NONE, NATIVE_PARTIAL, NATIVE_COMPLETE };

struct native_skb {
	unsigned long data, data_end; /* the linear part */
	__u32 len;
	__u32 protocol;
	__u32 vlan_present;
	__u32 vlan_tci;
	__u32 gso_segs;
	__u32 gso_size;
	__u32 ifindex;
	__u32 tc_index;
	__u32 mark;
	struct bpf_sock *sk; /* of the sender */
	/* Not seen by the programs. */
	enum native_summed summed;
	__u32 csum;  /* with NATIVE_COMPLETE: the sum of the IP packet */
	__u8 *bytes; /* all of the packet */
	__u8 *linear;
};

#define __sk_buff native_skb

/* Headers begin as in the kernel's buffers (NET_IP_ALIGN): the IP header at a multiple of 4. */
enum { NATIVE_PAD = 2 };

/** native_skb_init - make a packet of @len bytes, of which @linear are in the linear part */
static inline void native_skb_init(struct native_skb *skb, const void *bytes, __u32 len,
				   __u32 linear)
{
	*skb = (struct native_skb){ .len = len };
	skb->bytes = malloc(len + 1);
	skb->linear = malloc(NATIVE_PAD + linear);
	if (!skb->bytes || !skb->linear)
		abort();
	memcpy(skb->bytes, bytes, len);
	memcpy(skb->linear + NATIVE_PAD, bytes, linear);
	skb->data = (unsigned long)skb->linear + NATIVE_PAD;
	skb->data_end = skb->data + linear;
}

static inline void native_skb_free(struct native_skb *skb)
{
	free(skb->bytes);
	free(skb->linear);
}

/** native_sum - add the @len bytes at @at, of which the first is at an even offset, to @sum */
static inline __u32 native_sum(__u32 sum, const void *at, __u32 len)
{
	const __u8 *bytes = at;
	__u64 all = sum;

	for (__u32 i = 0; i + 1 < len; i += 2)
		all += (__u32)(bytes[i] | bytes[i + 1] << 8);
	if (len % 2)
		all += bytes[len - 1];
	while (all >> 16)
		all = (all & 0xffff) + (all >> 16);
	return (__u32)all;
}

/** native_sum_same - compare two sums: 0 and 0xffff are equal */
static inline bool native_sum_same(__u32 a, __u32 b)
{
	return a % 0xffff == b % 0xffff;
}

static inline long bpf_skb_load_bytes(const struct native_skb *skb, __u32 off, void *to, __u32 len)
{
	if (off > 0xffff || off + len > skb->len)
		return -EFAULT;
	memcpy(to, skb->bytes + off, len);
	return 0;
}

/* As in the kernel: skb->csum follows what is stored, whatever part of the frame that is. */
static inline long bpf_skb_store_bytes(struct native_skb *skb, __u32 off, const void *from,
				       __u32 len, __u64 flags)
{
	bool follow = flags & BPF_F_RECOMPUTE_CSUM && skb->summed == NATIVE_COMPLETE;
	__u32 linear = (__u32)(skb->data_end - skb->data);

	if (flags & ~(__u64)(BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH))
		return -EINVAL;
	if (off > 0xffff || off + len > skb->len)
		return -EFAULT;
	if (follow)
		skb->csum = native_sum(skb->csum + 0xffff - native_sum(0, skb->bytes + off, len),
				       from, len);
	memcpy(skb->bytes + off, from, len);
	if (off < linear)
		memcpy((void *)(skb->data + off), from, off + len < linear ? len : linear - off);
	return 0;
}

/* As in the kernel; @from is 0, so that @to is a difference. */
static inline long bpf_l4_csum_replace(struct native_skb *skb, __u32 off, __u64 from, __u64 to,
				       __u64 flags)
{
	bool mangled = flags & BPF_F_MARK_MANGLED_0;
	__u16 check, sum = (__u16)native_sum((__u16)(to >> 16), &(__u16){ (__u16)to }, 2);

	if (from || bpf_skb_load_bytes(skb, off, &check, sizeof(check)))
		return -EINVAL;
	if (mangled && !check)
		return 0;
	if (skb->summed == NATIVE_PARTIAL) {
		/* The field holds the sum of the pseudo-header, and not its complement. */
		if (flags & BPF_F_PSEUDO_HDR)
			check = (__u16)native_sum(check, &sum, sizeof(sum));
	} else {
		check = (__u16)~native_sum((__u16)~check, &sum, sizeof(sum));
		if (skb->summed == NATIVE_COMPLETE && flags & BPF_F_PSEUDO_HDR)
			skb->csum = native_sum(skb->csum + 0xffff - sum, NULL, 0);
	}
	if (mangled && !check)
		check = 0xffff;
	return bpf_skb_store_bytes(skb, off, &check, sizeof(check), 0);
}

static inline void *bpf_map_lookup_elem(const void *map, const void *key)
{
	(void)map;
	(void)key;
	return NULL;
}

static inline long bpf_map_update_elem(const void *map, const void *key, const void *value,
				       __u64 flags)
{
	(void)map;
	(void)key;
	(void)value;
	(void)flags;
	return 0;
}

static inline long bpf_map_delete_elem(const void *map, const void *key)
{
	(void)map;
	(void)key;
	return -ENOENT;
}

static inline struct bpf_sock *bpf_sk_fullsock(struct bpf_sock *sk)
{
	return sk;
}

/* The clocks stand still. */
static inline __u64 bpf_ktime_get_ns(void)
{
	return 1;
}

static inline __u64 bpf_jiffies64(void)
{
	return 1;
}

static inline __u32 bpf_get_smp_processor_id(void)
{
	return 0;
}

#endif /* BPF_NATIVE_H */
