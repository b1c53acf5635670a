/* SPDX-License-Identifier: GPL-2.0-only */
/* Reading packets at a tc hook, linear or not. BPF only. */
#ifndef BPF_PKT_H
#define BPF_PKT_H

#include <linux/bpf.h>
#include <linux/errno.h>

#include <bpf/bpf_helpers.h>

/* Hints: the compiler lays the likely path out in one piece. libbpf 1.7 defines both as well. */
#ifndef likely
#define likely(condition) __builtin_expect(!!(condition), 1)
#endif
#ifndef unlikely
#define unlikely(condition) __builtin_expect(!!(condition), 0)
#endif

/* Offsets stay below this, which tells the verifier that the sums with them cannot wrap. */
#define PKT_OFF_MAX 0x7fffU

/* The longest reads of pkt_read() and pkt_read_short(), in 8-byte words. */
#define PKT_READ_MAX 6
#define PKT_READ_SHORT_MAX 2

/* @slow: its address goes to the helper, so that @dst can stay in registers on the other path */
static __always_inline int pkt_read_by(struct __sk_buff *skb, __u32 off, void *dst, __u32 len,
				       __u64 *slow)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;

	if (unlikely(off > PKT_OFF_MAX))
		return -ENODATA;
	if (likely(data + off + len <= end)) {
		/* Headers begin at even addresses; unaligned words would be read byte by byte. */
		if (len % 4 == 0) // NOLINT(bugprone-branch-clone): not for the compiler
			__builtin_memcpy(dst, __builtin_assume_aligned(data + off, 4), len);
		else
			__builtin_memcpy(dst, __builtin_assume_aligned(data + off, 2), len);
		return 0;
	}
	if (bpf_skb_load_bytes(skb, off, slow, len))
		return -ENODATA;
	__builtin_memcpy(dst, slow, len);
	/* Keep the copies apart: the verifier knows a pointer as one kind only. */
	asm volatile("");
	return 0;
}

/**
 * pkt_read - copy @len bytes (a constant, at most 48) at @off of the packet to @dst
 *
 * Direct access where the bytes are in the linear part, which is nearly always;
 * bpf_skb_load_bytes() where they are not (page fragments): it reads those without pulling or
 * un-cloning anything. No packet pointer outlives the call, so helpers that move data cannot make
 * one stale. Return: 0, or -ENODATA if the packet ends before; @dst is then undefined.
 */
static __always_inline int pkt_read(struct __sk_buff *skb, __u32 off, void *dst, __u32 len)
{
	__u64 slow[PKT_READ_MAX];

	return pkt_read_by(skb, off, dst, len, slow);
}

/** pkt_read_short - do the same for at most 16 bytes, with less stack: for calls in a long chain */
static __always_inline int pkt_read_short(struct __sk_buff *skb, __u32 off, void *dst, __u32 len)
{
	__u64 slow[PKT_READ_SHORT_MAX];

	return pkt_read_by(skb, off, dst, len, slow);
}

#endif /* BPF_PKT_H */
