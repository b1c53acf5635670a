/* SPDX-License-Identifier: GPL-2.0-only */
/* Frames for the tests of parsers, put together header by header. */
#ifndef TEST_FRAME_H
#define TEST_FRAME_H

#include <linux/types.h>

struct frame {
	const char *name;
	__u8 bytes[256];
	__u32 len;
	__u32 l2_len;	  /* bytes of the link layer */
	__be16 ethertype; /* the kernel's word for what follows the link layer */
	__u32 ip;	  /* offset of the outermost IP header; 0: none */
	__u32 inner[4];	  /* offsets of the IP headers behind it, as many as there are */
	__u32 headers;	  /* bytes that a parser needs, by the test */
	__u32 payload;	  /* start of the data of a GSO packet, by the test; 0: no frame for GSO */
};

/** frame_begin - begin a frame with an Ethernet header; @ethertype in host byte order */
struct frame frame_begin(const char *name, __u32 ethertype);

/** frame_put - append @len bytes */
void frame_put(struct frame *f, const void *bytes, __u32 len);

/** frame_put16 - append @value in network byte order */
void frame_put16(struct frame *f, __u32 value);

/** frame_fill - append @len bytes of @value */
void frame_fill(struct frame *f, __u32 len, __u8 value);

/** frame_tag - append the rest of a VLAN tag, whose type the EtherType before it has stated */
void frame_tag(struct frame *f, __u32 vid, __u32 ethertype);

/** frame_ipv4 - append a header from 10.0.0.1 to 10.0.0.10; @options: words of options */
void frame_ipv4(struct frame *f, __u8 proto, __u32 options, __u32 frag);

/** frame_ipv6 - append a header from fd00::1 to fd00::2 */
void frame_ipv6(struct frame *f, __u8 nexthdr);

/** frame_udp - append a header that states a datagram without data */
void frame_udp(struct frame *f, __u32 sport, __u32 dport);

/** frame_tcp - append a header with the ACK flag; @options: words of options */
void frame_tcp(struct frame *f, __u32 sport, __u32 dport, __u32 options);

/** frame_state_length - have the outermost IP header state that its packet ends at offset @len */
void frame_state_length(struct frame *f, __u32 len);

/** frame_state_inner - have the other IP headers state that their packets end at offset @len */
void frame_state_inner(struct frame *f, __u32 len);

#endif /* TEST_FRAME_H */
