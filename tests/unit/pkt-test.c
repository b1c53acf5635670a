// SPDX-License-Identifier: GPL-2.0-only
/* bpf/pkt.h, compiled for this machine: reads from linear and from paged packets agree. */
#include "bpf-native.h"
#include "check.h"

#include "../../bpf/pkt.h"

enum { PACKET = 200 };

static __u8 packet[PACKET];

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
	struct native_skb skb;
	__u32 word;

	for (int i = 0; i < PACKET; i++)
		packet[i] = (__u8)(i * 7 + 1);
	check_begin("every read of every packet of up to 200 bytes, linear or not");
	for (__u32 len = 0; len <= PACKET; len++) {
		for (__u32 linear = 0; linear <= len; linear += 1 + len / 8) {
			native_skb_init(&skb, packet, len, linear);
			for (__u32 off = 0; off <= PACKET; off += 2) {
				READ(struct odd, &skb, off);
				READ(struct header, &skb, off);
				READ(__u16, &skb, off);
			}
			native_skb_free(&skb);
		}
	}
	check_end();
	native_skb_init(&skb, packet, PACKET, 0);
	CHECK_EQ(pkt_read(&skb, PKT_OFF_MAX + 1, &word, sizeof(word)), -ENODATA,
		 "an absurd offset");
	native_skb_free(&skb);
	return check_exit();
}
