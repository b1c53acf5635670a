// SPDX-License-Identifier: GPL-2.0-only
#include "frame.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <string.h>

void frame_put(struct frame *f, const void *bytes, __u32 len)
{
	memcpy(f->bytes + f->len, bytes, len);
	f->len += len;
}

void frame_put16(struct frame *f, __u32 value)
{
	frame_put(f, &(__be16){ htons((__u16)value) }, 2);
}

void frame_fill(struct frame *f, __u32 len, __u8 value)
{
	while (len--)
		frame_put(f, &value, 1);
}

struct frame frame_begin(const char *name, __u32 ethertype)
{
	struct frame f = { .name = name, .l2_len = ETH_HLEN, .ethertype = htons((__u16)ethertype) };

	frame_put(&f, "\x02\x01\x01\x01\x01\x01", 6);
	frame_put(&f, "\x02\x02\x02\x02\x02\x02", 6);
	frame_put16(&f, ethertype);
	return f;
}

void frame_tag(struct frame *f, __u32 vid, __u32 ethertype)
{
	frame_put16(f, 0x6000 | vid);
	frame_put16(f, ethertype);
}

static void note_ip(struct frame *f)
{
	__u32 i = 0;

	if (!f->ip) {
		f->ip = f->len;
		return;
	}
	while (f->inner[i])
		i++;
	f->inner[i] = f->len;
}

void frame_ipv4(struct frame *f, __u8 proto, __u32 options, __u32 frag)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = (5 + options) & 0xf,
		.id = htons(7),
		.frag_off = htons((__u16)frag),
		.ttl = 64,
		.protocol = proto,
		.saddr = htonl(0x0a000001),
		.daddr = htonl(0x0a00000a),
	};

	note_ip(f);
	frame_put(f, &ip, sizeof(ip));
	frame_fill(f, options * 4, 1);
}

void frame_ipv6(struct frame *f, __u8 nexthdr)
{
	struct ipv6hdr ip = { .version = 6, .nexthdr = nexthdr, .hop_limit = 64 };

	note_ip(f);
	memcpy(&ip.saddr, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	memcpy(&ip.daddr, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2", 16);
	frame_put(f, &ip, sizeof(ip));
}

void frame_udp(struct frame *f, __u32 sport, __u32 dport)
{
	frame_put16(f, sport);
	frame_put16(f, dport);
	frame_put16(f, 8);
	frame_fill(f, 2, 0);
}

void frame_tcp(struct frame *f, __u32 sport, __u32 dport, __u32 options)
{
	frame_put16(f, sport);
	frame_put16(f, dport);
	frame_fill(f, 8, 0);
	frame_put(f, &(__u8){ (__u8)((5 + options) << 4) }, 1);
	frame_put(f, "\x10", 1); /* ACK */
	frame_fill(f, 6 + options * 4, 0);
}

static void state_length(struct frame *f, __u32 ip, __u32 len)
{
	__u16 value;

	if (!ip || len < ip)
		return;
	if (f->bytes[ip] >> 4 == 4) {
		value = htons((__u16)(len - ip));
		memcpy(f->bytes + ip + 2, &value, 2);
	} else if (len >= ip + sizeof(struct ipv6hdr)) {
		value = htons((__u16)(len - ip - sizeof(struct ipv6hdr)));
		memcpy(f->bytes + ip + 4, &value, 2);
	}
}

void frame_state_length(struct frame *f, __u32 len)
{
	state_length(f, f->ip, len);
}

void frame_state_inner(struct frame *f, __u32 len)
{
	for (__u32 i = 0; i < sizeof(f->inner) / sizeof(f->inner[0]); i++)
		state_length(f, f->inner[i], len);
}
