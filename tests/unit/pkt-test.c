// SPDX-License-Identifier: GPL-2.0-only
/* bpf/pkt.h, compiled for this machine: reads from linear and from paged packets agree. */
#include <linux/bpf.h>
#include <sys/mman.h>

#include "check.h"

static long fake_load_bytes(const void *skb, __u32 off, void *to, __u32 len);

/* What bpf/pkt.h needs of the BPF side's headers. */
#define __BPF_HELPERS__
#define bpf_skb_load_bytes fake_load_bytes
#include "../../bpf/pkt.h"

enum { PACKET = 200 };

static __u8 packet[PACKET];
static unsigned int slow_reads;

static long fake_load_bytes(const void *skb, __u32 off, void *to, __u32 len)
{
	const struct __sk_buff *ctx = skb;

	slow_reads++;
	if (off + len > ctx->len)
		return -EFAULT;
	memcpy(to, packet + off, len);
	return 0;
}

/* __sk_buff has room for 32 bits of an address: the linear part has to lie low. */
static __u8 *low_memory(void)
{
	__u8 *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

#define READ(type, skb, off)                                                                       \
	({                                                                                         \
		type value_;                                                                       \
		int err_ = pkt_read((skb), (off), &value_, sizeof(value_));                        \
		bool there_ = (off) + sizeof(value_) <= (skb)->len;                                \
                                                                                                   \
		EXPECT(err_ == (there_ ? 0 : -ENODATA), "%zu bytes at %u of %u", sizeof(value_),   \
		       (off), (skb)->len);                                                         \
		EXPECT(err_ || !memcmp(&value_, packet + (off), sizeof(value_)),                   \
		       "wrong bytes at %u of %u", (off), (skb)->len);                              \
	})

struct odd {
	__u8 bytes[14];
};

struct header {
	__u32 words[5];
};

int main(void)
{
	__u8 *memory = low_memory();
	struct __sk_buff skb = { 0 };
	__u32 word;

	if (!memory)
		return check_skip("pkt", "no memory below 4 GiB");
	for (int i = 0; i < PACKET; i++)
		packet[i] = (__u8)(i * 7 + 1);
	check_begin("every read of every packet of up to 200 bytes, linear or not");
	for (__u32 len = 0; len <= PACKET; len++) {
		for (__u32 linear = 0; linear <= len; linear += 1 + len / 8) {
			/* At its end, so that reading on would be noticed. */
			__u8 *data = memory + 4096 - linear;

			memcpy(data, packet, linear);
			skb.len = len;
			skb.data = (__u32)(unsigned long)data;
			skb.data_end = skb.data + linear;
			for (__u32 off = 0; off <= PACKET; off += 2) {
				READ(struct odd, &skb, off);
				READ(struct header, &skb, off);
				READ(__u16, &skb, off);
			}
		}
	}
	check_end();
	CHECK_EQ(pkt_read(&skb, PKT_OFF_MAX + 1, &word, sizeof(word)), -ENODATA,
		 "an absurd offset");
	CHECK(slow_reads > 0, "some of them were not linear");
	munmap(memory, 4096);
	return check_exit();
}
