// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf/csum.h and bpf/proxy-rewrite.h, compiled for this machine: a packet gets new addresses and
 * ports, whose checksums differ from the old ones by every difference that there is, in each of the
 * three states of a checksum field.
 */
#include "bpf-native.h"
#include "check.h"

#include "../../bpf/proxy-rewrite.h"

enum { DATA = 5, L4 = ETH_HLEN + sizeof(struct ip_head), OPTIONS = 8 };

struct test {
	const char *name;
	enum native_summed summed;
	__u8 proto;
	bool options; /* IP options, or an extension header: the packet is not plain */
};

static const struct test tests[] = {
	{ "TCP, complete checksum", NATIVE_NONE, IPPROTO_TCP, false },
	{ "TCP, sum of the pseudo-header", NATIVE_PARTIAL, IPPROTO_TCP, false },
	{ "TCP, complete checksum and sum of the packet", NATIVE_COMPLETE, IPPROTO_TCP, false },
	{ "UDP, complete checksum", NATIVE_NONE, IPPROTO_UDP, false },
	{ "UDP, sum of the pseudo-header", NATIVE_PARTIAL, IPPROTO_UDP, false },
	{ "UDP, complete checksum and sum of the packet", NATIVE_COMPLETE, IPPROTO_UDP, false },
	{ "IP options, complete checksum", NATIVE_NONE, IPPROTO_TCP, true },
	{ "IP options, sum of the pseudo-header", NATIVE_PARTIAL, IPPROTO_UDP, true },
	{ "IP options, complete checksum and sum of the packet", NATIVE_COMPLETE, IPPROTO_UDP,
	  true },
};

#define SADDR (ETH_HLEN + offsetof(struct ip_head, saddr))

/* An address that ends with @word. */
static proxy_addr csum_addr(__be32 word)
{
	proxy_addr addr = { 0 };

	memcpy((__u8 *)(&addr + 1) - sizeof(word), &word, sizeof(word));
	return addr;
}

/* The sum of the pseudo-header of the frame's packet (RFC 9293, 3.1; RFC 8200, 8.1). */
static __u32 csum_pseudo_sum(const __u8 *bytes, __u8 proto, __u32 l4, __u32 len)
{
	__u32 sum = native_sum(0, bytes + SADDR, 2 * sizeof(proxy_addr));
	const __be16 words[2] = { bpf_htons(proto), bpf_htons((__u16)(len - l4)) };

	return native_sum(sum, words, sizeof(words));
}

static __u32 csum_check_offset(__u8 proto)
{
	return proto == IPPROTO_UDP ? offsetof(struct udphdr, check)
				    : offsetof(struct tcphdr, check);
}

/* The IP header of a packet whose transport header is at @l4, and which ends at @len. */
static void csum_make_ip(__u8 *bytes, __u8 proto, __u32 l4, __u32 len)
{
#if PROXY_FAMILY == 4
	struct iphdr ip = {
		.version = 4,
		.ihl = (l4 - ETH_HLEN) / 4 & 0xf,
		.ttl = 64,
		.protocol = proto,
		.tot_len = bpf_htons((__u16)(len - ETH_HLEN)),
		.saddr = csum_addr(bpf_htonl(0x0a000001)),
		.daddr = csum_addr(bpf_htonl(0x0a00000a)),
	};
	__u16 sum;

	bytes[12] = 8;
	memcpy(bytes + ETH_HLEN, &ip, sizeof(ip));
	memset(bytes + L4, 1, l4 - L4);
	sum = (__u16)~native_sum(0, bytes + ETH_HLEN, l4 - ETH_HLEN);
	memcpy(bytes + ETH_HLEN + offsetof(struct iphdr, check), &sum, 2);
#else
	struct ip_head ip = {
		.flow = bpf_htonl(0x60000000),
		.payload_len = bpf_htons((__u16)(len - L4)),
		.protocol = l4 == L4 ? proto : IPPROTO_DSTOPTS,
		.hop_limit = 64,
		.saddr = csum_addr(bpf_htonl(0x0a000001)),
		.daddr = csum_addr(bpf_htonl(0x0a00000a)),
	};

	bytes[12] = 0x86;
	bytes[13] = 0xdd;
	memcpy(bytes + ETH_HLEN, &ip, sizeof(ip));
	if (l4 > L4) {
		bytes[L4] = proto;
		bytes[L4 + 2] = 1; /* PadN */
		bytes[L4 + 3] = 4;
	}
#endif
}

/* A frame with valid checksums, or what else the field holds. Return: its length. */
static __u32 csum_make_frame(const struct test *test, __u8 *bytes)
{
	__u32 l4 = L4 + (test->options ? OPTIONS : 0), len, check;
	__u32 headers = test->proto == IPPROTO_UDP ? sizeof(struct udphdr) : sizeof(struct tcphdr);
	__u16 sum;

	len = l4 + headers + DATA;
	memset(bytes, 0, len);
	csum_make_ip(bytes, test->proto, l4, len);
	memcpy(bytes + l4, "\x9c\x40\x30\x39", 4);
	if (test->proto == IPPROTO_UDP)
		bytes[l4 + 5] = (__u8)(headers + DATA);
	else
		memcpy(bytes + l4 + 4, "\1\2\3\4\5\6\7\x08\x50\x10\xff\xff", 12);
	memcpy(bytes + l4 + headers, "hello", DATA);
	check = csum_pseudo_sum(bytes, test->proto, l4, len);
	if (test->summed != NATIVE_PARTIAL)
		check = ~native_sum(check, bytes + l4, len - l4);
	sum = (__u16)check;
	memcpy(bytes + l4 + csum_check_offset(test->proto), &sum, 2);
	return len;
}

static void expect_rewrite(const struct test *test, const struct tuple *to, const void *dmac)
{
	__u8 bytes[128];
	__u32 len = csum_make_frame(test, bytes), l4, field;
	struct native_skb skb;
	struct packet p;
	struct change change;
	struct tuple now;
	__u16 check;

	native_skb_init(&skb, bytes, len, len);
	skb.summed = test->summed;
	skb.csum = native_sum(0, bytes + ETH_HLEN, len - ETH_HLEN);
	EXPECT(packet_read_other(&skb, &p, ETH_HLEN) == PROXY_OK, "%s: read", test->name);
	change.to = *to;
	change_measure(&change, &p);
	EXPECT(!packet_rewrite(&skb, &p, &change, dmac), "%s: rewritten", test->name);
	l4 = p.l4;
	memcpy(&now, skb.bytes + SADDR, 2 * sizeof(proxy_addr));
	memcpy(&now.ports, skb.bytes + l4, 4);
	EXPECT(!memcmp(&now, to, 2 * sizeof(proxy_addr)) && now.ports == to->ports,
	       "%s: addresses and ports", test->name);
	EXPECT(!dmac || !memcmp(skb.bytes, dmac, ETH_ALEN), "%s: MAC address", test->name);
	EXPECT(PROXY_FAMILY == 6 || native_sum(0, skb.bytes + ETH_HLEN, l4 - ETH_HLEN) == 0xffff,
	       "%s: IP checksum, to ports %08x", test->name, to->ports);
	memcpy(&check, skb.bytes + l4 + csum_check_offset(test->proto), 2);
	field = csum_pseudo_sum(skb.bytes, test->proto, l4, len);
	if (test->summed == NATIVE_PARTIAL)
		EXPECT(native_sum_same(check, field), "%s: %04x in place of %04x, to ports %08x",
		       test->name, check, field, to->ports);
	else
		EXPECT(native_sum(field, skb.bytes + l4, len - l4) == 0xffff,
		       "%s: checksum %04x, to ports %08x", test->name, check, to->ports);
	EXPECT(test->proto != IPPROTO_UDP || check, "%s: UDP checksum of 0 means none", test->name);
	if (test->summed == NATIVE_COMPLETE && !dmac)
		EXPECT(native_sum_same(skb.csum,
				       native_sum(0, skb.bytes + ETH_HLEN, len - ETH_HLEN)),
		       "%s: the packet's sum, to ports %08x", test->name, to->ports);
	EXPECT(!memcmp(skb.bytes + len - DATA, "hello", DATA), "%s: data", test->name);
	native_skb_free(&skb);
}

static void check_rewrites(const struct test *test)
{
	const __u8 dmac[ETH_ALEN] __attribute__((aligned(2))) = { 2, 0, 0, 0, 0, 9 };

	for (__u32 d = 0; d <= 0xffff; d++) {
		struct tuple to = { .saddr = csum_addr(bpf_htonl(0x0a000001)),
				    .daddr = csum_addr(bpf_htonl(0x0a00008a)) };

		/* Either half takes every value, and so the difference to the old one does. */
		to.ports = d << 16 | 0x409c;
		expect_rewrite(test, &to, NULL);
		to.ports = 0x3930409c;
		to.daddr = csum_addr(d << 16 | 0x000a);
		expect_rewrite(test, &to, NULL);
		to.saddr = csum_addr(d | 0x01000000);
		to.daddr = csum_addr(0x8a00000a);
		to.ports = d << 16 | (0xffff - d);
		expect_rewrite(test, &to, d % 2 ? dmac : NULL);
	}
}

/* A UDP datagram without a checksum gets none. */
static void check_no_checksum(void)
{
	const struct test test = { "UDP without", NATIVE_NONE, IPPROTO_UDP, false };
	struct tuple to = { csum_addr(1), csum_addr(2), .ports = 3 };
	struct native_skb skb;
	struct change change;
	struct packet p;
	__u8 bytes[128];
	__u32 len = csum_make_frame(&test, bytes);

	memset(bytes + L4 + offsetof(struct udphdr, check), 0, 2);
	native_skb_init(&skb, bytes, len, len);
	packet_read_other(&skb, &p, ETH_HLEN);
	change.to = to;
	change_measure(&change, &p);
	CHECK_EQ(packet_rewrite(&skb, &p, &change, NULL), 0, "UDP without a checksum: rewritten");
	CHECK(!memcmp(skb.bytes + L4 + offsetof(struct udphdr, check), "\0\0", 2),
	      "UDP without a checksum: still without");
	native_skb_free(&skb);
}

static void check_arithmetic(void)
{
	check_begin("every sum has a half");
	for (__u32 sum = 0; sum <= 0xffff; sum++) {
		__u16 half = csum_half((__u16)sum);

		EXPECT(native_sum_same(csum_add16(half, half), sum), "%04x: %04x", sum, half);
	}
	check_end();
	check_begin("a checksum field follows every difference");
	for (__u32 d = 0; d <= 0xffff; d++) {
		__u16 data[3] = { 0x1234, 0x0800, 0 }, changed = (__u16)d;

		data[2] = (__u16)~native_sum(0, data, 4);
		data[2] = csum_apply(data[2], csum_fold(csum_add(0, data[0], changed)));
		data[0] = changed;
		EXPECT(native_sum(0, data, 6) == 0xffff, "%04x", d);
	}
	check_end();
}

int main(void)
{
	check_arithmetic();
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		check_begin(tests[i].name);
		check_rewrites(&tests[i]);
		check_end();
	}
	if (PROXY_FAMILY == 4) /* one of IPv6 is not translated */
		check_no_checksum();
	return check_exit();
}
