// SPDX-License-Identifier: GPL-2.0-only
#include "bpf-native.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <stdio.h>

#include "../../bpf/pm-parse.h"
#include "filter-frames.h"
#include "random.h"

enum { PORT_NEVER = 1 }; /* in no expression */

const char *const hosts4[HOSTS4] = { "10.0.0.1",    "10.0.0.2",	 "10.1.2.3", "172.16.0.1",
				     "192.168.7.9", "127.0.0.1", "0.0.0.0",  "255.255.255.255" };
const char *const hosts6[HOSTS6] = { "fd00::1",	    "fd00::2",	   "2001:db8::1",
				     "2001:db9::1", "fe80::a:b:c", "::1" };
const __u16 vids[VIDS] = { 0, 5, 100, 4095 };
static const __u16 port_numbers[] = { 0, 22, 53, 80, 81, 443, 8080, 50051, 65534, 65535 };

static void frames_put(__u8 *to, __u32 *len, const void *bytes, __u32 count)
{
	memcpy(to + *len, bytes, count);
	*len += count;
}

static void frames_put16(__u8 *to, __u32 *len, __u32 value)
{
	frames_put(to, len, (__u8[]){ (__u8)(value >> 8), (__u8)value }, 2);
}

static void frames_put_both(struct filter_frame *f, const void *bytes, __u32 count)
{
	frames_put(f->bytes, &f->len, bytes, count);
	frames_put(f->plain, &f->plain_len, bytes, count);
}

/* The headers and data behind IP; @never: instead of the ports, in the plain frame only */
static void frames_put_transport(struct filter_frame *f, bool never)
{
	__u8 data[24];

	for (__u32 i = 0; i < sizeof(data); i++)
		data[i] = (__u8)random_below(256);
	for (int i = 0; i < 2; i++) {
		__u16 port = random_one_in(8) ? (__u16)(2 + random_below(65534))
					      : RANDOM_OF(port_numbers);

		data[i * 2] = (__u8)(port >> 8);
		data[i * 2 + 1] = (__u8)port;
	}
	frames_put(f->bytes, &f->len, data, sizeof(data));
	for (int i = 0; i < 4 && never; i++)
		data[i] = i % 2 ? PORT_NEVER : 0;
	frames_put(f->plain, &f->plain_len, data, sizeof(data));
}

static void frames_put_ipv4(struct filter_frame *f)
{
	static const __u8 protos[] = { 6, 6, 6, 17, 17, 17, 132, 1, 2, 47, 50, 58 };
	__u8 ip[40] = { 0 }, options = random_one_in(4) ? (__u8)random_below(6) : 0;
	__u32 frag = random_one_in(6)	? 0x2000
		     : random_one_in(6) ? 1 + random_below(0x1fff)
		     : random_one_in(8) ? 0x4000
					: 0;

	ip[0] = 0x45 + options;
	ip[3] = 20 + options * 4 + 24;
	ip[6] = (__u8)(frag >> 8);
	ip[7] = (__u8)frag;
	ip[8] = 64;
	ip[9] = RANDOM_OF(protos);
	inet_pton(AF_INET, RANDOM_OF(hosts4), ip + 12);
	inet_pton(AF_INET, RANDOM_OF(hosts4), ip + 16);
	memset(ip + 20, 1, 20);
	frames_put_both(f, ip, 20 + options * 4);
	frames_put_transport(f, false);
}

static void frames_put_ipv6(struct filter_frame *f)
{
	static const __u8 protos[] = { 6, 6, 6, 17, 17, 17, 132, 58, 47, 89 };
	static const __u8 extensions[] = { 0, 43, 60, 44, 44 };
	__u8 ip[40] = { 0x60, [7] = 64 }, header[16] = { 0 }, proto = RANDOM_OF(protos);
	__u8 chain[3], count = random_one_in(3) ? (__u8)(1 + random_below(3)) : 0;
	bool later = false;

	for (int i = 0; i < count; i++) {
		chain[i] = RANDOM_OF(extensions);
		if (chain[i] == 44)
			count = (__u8)(i + 1); /* what is behind belongs to a first one only */
	}
	inet_pton(AF_INET6, RANDOM_OF(hosts6), ip + 8);
	inet_pton(AF_INET6, RANDOM_OF(hosts6), ip + 24);
	ip[5] = (__u8)(24 + count * 8);
	ip[6] = count ? chain[0] : proto;
	frames_put(f->bytes, &f->len, ip, sizeof(ip));
	ip[5] = 24;
	ip[6] = proto;
	frames_put(f->plain, &f->plain_len, ip, sizeof(ip));
	for (int i = 0; i < count; i++) {
		__u32 offset = chain[i] == 44 && random_one_in(2) ? 1 + random_below(0x1fff) : 0;

		header[0] = i + 1 < count ? chain[i + 1] : proto;
		header[2] = (__u8)(offset >> 5);
		header[3] = (__u8)(offset << 3);
		later = offset;
		frames_put(f->bytes, &f->len, header, 8);
	}
	frames_put_transport(f, later);
}

static void frames_put_arp(struct filter_frame *f)
{
	__u8 arp[28] = { 0, 1, 8, 0, 6, 4, 0, 1 };

	inet_pton(AF_INET, RANDOM_OF(hosts4), arp + 14);
	inet_pton(AF_INET, RANDOM_OF(hosts4), arp + 24);
	frames_put_both(f, arp, sizeof(arp));
	f->arp = true;
}

void filter_frame_make(struct filter_frame *f)
{
	static const __u16 ethertypes[] = { 0x0800, 0x0800, 0x0800, 0x0800, 0x86dd,
					    0x86dd, 0x86dd, 0x0806, 0x8035, 0x88cc };
	static const __u8 macs[12] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };
	__u16 ethertype = RANDOM_OF(ethertypes);

	frames_put_both(f, macs, sizeof(macs));
	if (random_one_in(3)) {
		f->vid = RANDOM_OF(vids);
		frames_put16(f->bytes, &f->len, 0x8100);
		frames_put16(f->bytes, &f->len, f->vid | random_below(8) << 13);
		if (random_one_in(3)) {
			frames_put16(f->bytes, &f->len, 0x8100);
			frames_put16(f->bytes, &f->len, 7);
		}
	}
	frames_put16(f->bytes, &f->len, ethertype);
	frames_put16(f->plain, &f->plain_len, ethertype);
	if (ethertype == 0x0800)
		frames_put_ipv4(f);
	else if (ethertype == 0x86dd)
		frames_put_ipv6(f);
	else
		frames_put_arp(f);
}

struct pm_key filter_frame_key(const struct filter_frame *f)
{
	struct pm_packet pkt = PM_PACKET_INIT(PM_INGRESS);
	struct native_skb skb;

	native_skb_init(&skb, f->bytes, f->len, f->len);
	if (pm_parse(&skb, &pkt, ETH_HLEN)) {
		printf("FAIL set-up: a frame has no key\n");
		exit(EXIT_FAILURE);
	}
	native_skb_free(&skb);
	return pkt.key;
}
