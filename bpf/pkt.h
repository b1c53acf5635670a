/* SPDX-License-Identifier: GPL-2.0-only */
/* Reading packets at a tc hook, linear or not. BPF only. */
#ifndef PKT_H
#define PKT_H

#include <linux/bpf.h>
#include <linux/errno.h>

#include <bpf/bpf_helpers.h>

/* Offsets stay below this, which tells the verifier that the sums with them cannot wrap. */
#define PKT_OFF_MAX 0x7fffU

/**
 * pkt_read - copy @len bytes (a constant) at @off of the packet to @dst
 *
 * Direct access where the bytes are in the linear part, which is nearly always;
 * bpf_skb_load_bytes() where they are not (page fragments): it reads those without pulling or
 * un-cloning anything. No packet pointer outlives the call, so helpers that move data cannot make
 * one stale. Return: 0, or -ENODATA if the packet ends before; @dst is then undefined.
 */
static __always_inline int pkt_read(struct __sk_buff *skb, __u32 off, void *dst, __u32 len)
{
	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;

	if (off > PKT_OFF_MAX)
		return -ENODATA;
	if (data + off + len <= end) {
		__builtin_memcpy(dst, data + off, len);
		return 0;
	}
	return bpf_skb_load_bytes(skb, off, dst, len) ? -ENODATA : 0;
}

#endif /* PKT_H */
