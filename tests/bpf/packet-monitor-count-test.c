// SPDX-License-Identifier: GPL-2.0-only
/* Frames in, flows and reasons out: what the programs count, run by BPF_PROG_TEST_RUN. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/resource.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../../packet-monitor/filter.h"
#include "../../packet-monitor/format.h"
#include "../../packet-monitor/interfaces.h"
#include "check.h"

#define SECOND 1000000000ULL

/* --- frames ----------------------------------------------------------------------------------- */

enum { FRAME_MAX = 2048 };

struct count_frame {
	__u8 data[FRAME_MAX];
	__u32 len;
};

static void put(struct count_frame *f, const void *data, size_t len)
{
	memcpy(f->data + f->len, data, len);
	f->len += (__u32)len;
}

static void put8(struct count_frame *f, __u8 value)
{
	put(f, &value, 1);
}

static void count_put16(struct count_frame *f, __u16 value)
{
	put8(f, (__u8)(value >> 8));
	put8(f, (__u8)value);
}

static void count_put32(struct count_frame *f, __u32 value)
{
	count_put16(f, (__u16)(value >> 16));
	count_put16(f, (__u16)value);
}

static void put_zero(struct count_frame *f, size_t len)
{
	while (len--)
		put8(f, 0);
}

static void ethernet(struct count_frame *f, __u16 type)
{
	f->len = 0;
	put(f, "\x02\0\0\0\0\x01\x02\0\0\0\0\x02", 12);
	count_put16(f, type);
}

static void tag(struct count_frame *f, __u16 vid, __u16 type)
{
	count_put16(f, vid);
	count_put16(f, type);
}

/* 192.0.2.1 -> 198.51.100.2; @options in words, @len: of what follows */
static void ipv4_fragment(struct count_frame *f, __u8 proto, int options, __u32 len, __u16 id,
			  __u16 frag)
{
	put8(f, (__u8)(0x45 + options));
	put8(f, 0);
	count_put16(f, (__u16)(20 + options * 4 + len));
	count_put16(f, id);
	count_put16(f, frag);
	put8(f, 64);
	put8(f, proto);
	count_put16(f, 0);
	count_put32(f, 0xc0000201);
	count_put32(f, 0xc6336402);
	for (int i = 0; i < options; i++)
		count_put32(f, 0x01010101);
}

static void ipv4(struct count_frame *f, __u8 proto, int options, __u32 len)
{
	ipv4_fragment(f, proto, options, len, 1, 0);
}

/* 2001:db8::1 -> 2001:db8::2 */
static void ipv6(struct count_frame *f, __u8 next, __u32 len)
{
	count_put32(f, 0x60000000);
	count_put16(f, (__u16)len);
	put8(f, next);
	put8(f, 64);
	for (int i = 1; i <= 2; i++) {
		count_put32(f, 0x20010db8);
		put_zero(f, 11);
		put8(f, (__u8)i);
	}
}

static void extension(struct count_frame *f, __u8 next, int words)
{
	put8(f, next);
	put8(f, (__u8)(words - 1));
	put_zero(f, (size_t)words * 8 - 2);
}

static void ipv6_fragment(struct count_frame *f, __u8 next, __u16 offset, __u32 id)
{
	put8(f, next);
	put8(f, 0);
	count_put16(f, offset);
	count_put32(f, id);
}

/* 20 bytes that begin with ports: enough of a header for each of the protocols */
static void ports(struct count_frame *f, __u16 sport, __u16 dport)
{
	count_put16(f, sport);
	count_put16(f, dport);
	put_zero(f, 8);
	put8(f, 0x50); /* TCP: data offset 5 */
	put_zero(f, 7);
}

/* --- running ---------------------------------------------------------------------------------- */

static struct interfaces_config config = {
	.watched = { .names = (const char *[]){ "lo" }, .count = 1 },
	.monitor.counter = { .direction = { true, true }, .max_flows = 4096 },
};
static struct interfaces interfaces = INTERFACES_INIT;
static const struct monitor *lo;
static __u64 now_ns = SECOND;

/* What the last snapshot showed to be new. */
static struct {
	unsigned int flows;
	struct pm_key key;
	struct pm_count count;
	struct pm_count sum;
} seen;

static void see(void *ctx, const struct monitor *monitor, const struct flow *flow)
{
	(void)ctx;
	(void)monitor;
	if (!flow->interval.packets)
		return;
	seen.flows++;
	seen.key = *flow->key;
	seen.count = flow->interval;
	seen.sum.packets += flow->interval.packets;
	seen.sum.bytes += flow->interval.bytes;
}

static void snapshot(void)
{
	memset(&seen, 0, sizeof(seen));
	now_ns += SECOND;
	if (interfaces_snapshot(&interfaces, now_ns, see, NULL))
		exit(EXIT_FAILURE);
}

static int prog_fd(enum pm_direction dir)
{
	return counter_program(&interfaces.counter, &lo->iface, dir);
}

/* The kernel itself: an IP frame of less than an IP header does not become a test. Tagged it does.
 */
enum { REFUSED = -1000 };

/* Return: what the program returned, or REFUSED. */
static int count_pass(enum pm_direction dir, const struct count_frame *f, struct __sk_buff *ctx)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->data, .data_size_in = f->len,
		    .ctx_in = ctx, .ctx_size_in = ctx ? sizeof(*ctx) : 0, .repeat = 1);
	int err = bpf_prog_test_run_opts(prog_fd(dir), &opts);

	return err ? REFUSED : (int)opts.retval;
}

static struct pm_count sum_of(const struct totals *totals)
{
	return totals->all;
}

/* Pass a frame and look at what became of it. */
static bool count_count(enum pm_direction dir, const struct count_frame *f, struct __sk_buff *ctx)
{
	int verdict = count_pass(dir, f, ctx);

	snapshot();
	return verdict == TC_ACT_UNSPEC;
}

static __u64 untracked(enum pm_direction dir, enum pm_reason reason)
{
	return lo->totals[dir].reason[reason].packets - lo->before[dir].reason[reason].packets;
}

static __u64 partial(enum pm_direction dir, enum pm_reason reason)
{
	return lo->totals[dir].partial_reason[reason].packets -
	       lo->before[dir].partial_reason[reason].packets;
}

/*
 * A flow as text: "in ipv4 vlan 0 udp 192.0.2.1:1 > 198.51.100.2:2, 1 packets 62 bytes". With a
 * second tag "vlan 100.7", and in the end the reason if some of the headers could not be read.
 */
static const char *described(void)
{
	static char text[256];
	char inner[8] = "";
	char src[FORMAT_ENDPOINT_MAX], dst[FORMAT_ENDPOINT_MAX], proto[FORMAT_PROTO_MAX];
	int len;

	if (seen.flows != 1) {
		for (int dir = 0; dir < PM_DIRECTIONS; dir++)
			for (int reason = PM_OK + 1; reason < PM_REASONS; reason++)
				if (untracked(dir, reason) && !seen.flows)
					return format_reason(reason);
		snprintf(text, sizeof(text), "%u flows", seen.flows);
		return text;
	}
	format_endpoint(src, &seen.key, false);
	format_endpoint(dst, &seen.key, true);
	format_proto(proto, &seen.key);
	if (pm_key_kind(&seen.key) & PM_KIND_QINQ)
		snprintf(inner, sizeof(inner), ".%u", seen.key.inner_vlan);
	len = snprintf(text, sizeof(text), "%s %s vlan %u%s %s %s > %s, %llu packets %llu bytes",
		       pm_key_direction(&seen.key) == PM_INGRESS ? "in" : "out",
		       format_family(&seen.key), pm_key_vlan(&seen.key), inner, proto, src, dst,
		       seen.count.packets, seen.count.bytes);
	for (int dir = 0; dir < PM_DIRECTIONS; dir++)
		for (int reason = PM_OK + 1; reason < PM_REASONS; reason++)
			if (partial(dir, reason))
				snprintf(text + len, sizeof(text) - (size_t)len, ", %s",
					 format_reason(reason));
	return text;
}

static void check_frame(const char *name, const struct count_frame *f, const char *want)
{
	CHECK(count_count(PM_INGRESS, f, NULL), "%s: no verdict", name);
	CHECK_STR(described(), want, "%s", name);
}

/* --- the tests -------------------------------------------------------------------------------- */

#define V4 "192.0.2.1"
#define V4_TO "198.51.100.2"

static void test_ip(void)
{
	struct count_frame f;

	ethernet(&f, ETH_P_IP);
	ipv4(&f, IPPROTO_UDP, 0, 20);
	ports(&f, 1000, 53);
	check_frame("UDP", &f,
		    "in ipv4 vlan 0 udp 192.0.2.1:1000 > 198.51.100.2:53, 1 packets 54 bytes");
	CHECK(count_count(PM_EGRESS, &f, NULL), "UDP, egress");
	CHECK_STR(described(),
		  "out ipv4 vlan 0 udp 192.0.2.1:1000 > 198.51.100.2:53, 1 packets 54 bytes",
		  "each direction is a flow of its own");

	ethernet(&f, ETH_P_IP);
	ipv4(&f, IPPROTO_TCP, 10, 20);
	ports(&f, 0xfedc, 80);
	check_frame("TCP behind 40 bytes of options", &f,
		    "in ipv4 vlan 0 tcp 192.0.2.1:65244 > 198.51.100.2:80, 1 packets 94 bytes");

	ethernet(&f, ETH_P_IP);
	ipv4(&f, IPPROTO_ICMP, 0, 20);
	count_put32(&f, 0x0301abcd);
	put_zero(&f, 16);
	check_frame("ICMP type and code", &f,
		    "in ipv4 vlan 0 icmp 192.0.2.1 > 198.51.100.2 type 3/1, 1 packets 54 bytes");

	ethernet(&f, ETH_P_IP);
	ipv4(&f, 99, 0, 20);
	ports(&f, 5, 6);
	check_frame("a protocol without ports and name", &f,
		    "in ipv4 vlan 0 99 192.0.2.1 > 198.51.100.2, 1 packets 54 bytes");

	ethernet(&f, ETH_P_IP);
	ipv4(&f, IPPROTO_SCTP, 0, 20);
	ports(&f, 7, 8);
	check_frame("SCTP", &f,
		    "in ipv4 vlan 0 sctp 192.0.2.1:7 > 198.51.100.2:8, 1 packets 54 bytes");

	ethernet(&f, ETH_P_IPV6);
	ipv6(&f, IPPROTO_TCP, 20);
	ports(&f, 4000, 443);
	check_frame(
		"IPv6", &f,
		"in ipv6 vlan 0 tcp [2001:db8::1]:4000 > [2001:db8::2]:443, 1 packets 74 bytes");

	ethernet(&f, ETH_P_IPV6);
	ipv6(&f, IPPROTO_HOPOPTS, 8 + 24 + 8 + 8 + 12 + 20);
	extension(&f, IPPROTO_ROUTING, 1);
	extension(&f, IPPROTO_DSTOPTS, 3);
	extension(&f, 135, 1);
	extension(&f, IPPROTO_AH, 1);
	put8(&f, IPPROTO_UDP); /* AH of 12 bytes: length 1, in words of 4, less 2 */
	put8(&f, 1);
	put_zero(&f, 10);
	ports(&f, 4001, 443);
	check_frame("IPv6 behind five kinds of extension headers", &f,
		    "in ipv6 vlan 0 udp [2001:db8::1]:4001 > [2001:db8::2]:443, "
		    "1 packets 134 bytes");

	ethernet(&f, ETH_P_IPV6);
	ipv6(&f, IPPROTO_ICMPV6, 20);
	count_put32(&f, 0x87001234);
	put_zero(&f, 16);
	check_frame("ICMPv6", &f,
		    "in ipv6 vlan 0 icmpv6 2001:db8::1 > 2001:db8::2 type 135, 1 packets 74 bytes");
}

static void test_link(void)
{
	struct count_frame f;

	ethernet(&f, ETH_P_ARP);
	put_zero(&f, 28);
	check_frame("ARP", &f,
		    "in other vlan 0 0x0806 02:00:00:00:00:02 > 02:00:00:00:00:01, "
		    "1 packets 42 bytes");
	ethernet(&f, 38);
	put_zero(&f, 46);
	check_frame("an 802.3 length is no EtherType", &f,
		    "in other vlan 0 0x0004 02:00:00:00:00:02 > 02:00:00:00:00:01, "
		    "1 packets 60 bytes");
	ethernet(&f, ETH_P_8021AD);
	tag(&f, 0x2064, ETH_P_8021Q);
	tag(&f, 7, ETH_P_IP);
	ipv4(&f, IPPROTO_UDP, 0, 20);
	ports(&f, 1, 2);
	check_frame("two tags are part of the flow", &f,
		    "in ipv4 vlan 100.7 udp 192.0.2.1:1 > 198.51.100.2:2, 1 packets 62 bytes");
	ethernet(&f, ETH_P_8021Q);
	for (int i = 0; i < 9; i++)
		tag(&f, 5, ETH_P_8021Q);
	tag(&f, 5, ETH_P_IP);
	ipv4(&f, IPPROTO_UDP, 0, 20);
	ports(&f, 1, 2);
	check_frame("ten tags", &f,
		    "in other vlan 5.5 0x8100 02:00:00:00:00:02 > 02:00:00:00:00:01, "
		    "1 packets 94 bytes, nested");
	for (__u16 customer = 1; customer <= 2; customer++) {
		ethernet(&f, ETH_P_QINQ1);
		tag(&f, 10, ETH_P_8021Q);
		tag(&f, customer, ETH_P_IP);
		ipv4(&f, IPPROTO_UDP, 0, 20);
		ports(&f, 1, 2);
		count_pass(PM_INGRESS, &f, NULL);
	}
	snapshot();
	CHECK_EQ(seen.flows, 2, "two customers behind one outer tag are two flows");
	ethernet(&f, ETH_P_8021Q);
	tag(&f, 10, ETH_P_PPP_SES);
	count_put32(&f, 0x11000001);
	count_put32(&f, 42 << 16 | 0x0021);
	ipv4(&f, IPPROTO_UDP, 0, 20);
	ports(&f, 1, 2);
	check_frame("PPPoE behind a tag", &f,
		    "in ipv4 vlan 10 udp 192.0.2.1:1 > 198.51.100.2:2, 1 packets 66 bytes");
	ethernet(&f, ETH_P_MPLS_UC);
	count_put32(&f, 100 << 12 | 64);
	count_put32(&f, 200 << 12 | 0x140);
	ipv6(&f, IPPROTO_TCP, 20);
	ports(&f, 3, 4);
	check_frame("two labels of MPLS", &f,
		    "in ipv6 vlan 0 tcp [2001:db8::1]:3 > [2001:db8::2]:4, 1 packets 82 bytes");
	f.data[16] |= 1; /* the bottom of the stack */
	check_frame("one label, and no IP behind it", &f,
		    "in other vlan 0 0x8847 02:00:00:00:00:02 > 02:00:00:00:00:01, "
		    "1 packets 82 bytes");
}

#define NO_PORTS "192.0.2.1:0 > 198.51.100.2:0"

static void test_malformed(void)
{
	struct count_frame f;

	for (__u8 ihl = 0; ihl < 5; ihl++) {
		ethernet(&f, ETH_P_IP);
		ipv4(&f, IPPROTO_UDP, 0, 20);
		ports(&f, 1, 2);
		f.data[14] = 0x40 | ihl;
		count_count(PM_INGRESS, &f, NULL);
		CHECK_STR(described(),
			  "in ipv4 vlan 0 udp " NO_PORTS ", 1 packets 54 bytes, malformed",
			  "IHL %u", ihl);
	}
	ethernet(&f, ETH_P_IP);
	ipv4(&f, IPPROTO_UDP, 0, 20);
	ports(&f, 1, 2);
	f.data[14] = 0x65;
	check_frame("version 6 in an IPv4 frame", &f,
		    "in other vlan 0 0x0800 02:00:00:00:00:02 > 02:00:00:00:00:01, "
		    "1 packets 54 bytes, malformed");
	f.data[14] = 0x45;
	f.data[17] = 19;
	check_frame("a total length shorter than the header", &f,
		    "in ipv4 vlan 0 udp " NO_PORTS ", 1 packets 54 bytes, malformed");
	f.data[17] = 20;
	check_frame("ports in the padding are no ports", &f,
		    "in ipv4 vlan 0 udp " NO_PORTS ", 1 packets 54 bytes, truncated");
	f.data[17] = 41;
	check_frame("a total length beyond the frame", &f,
		    "in ipv4 vlan 0 udp 192.0.2.1:1 > 198.51.100.2:2, 1 packets 54 bytes, "
		    "truncated");

	ethernet(&f, ETH_P_IPV6);
	ipv6(&f, IPPROTO_HOPOPTS, 16 * 8);
	for (int i = 0; i < 16; i++)
		extension(&f, IPPROTO_HOPOPTS, 1);
	check_frame("endless extension headers", &f,
		    "in ipv6 vlan 0 0 2001:db8::1 > 2001:db8::2, 1 packets 182 bytes, nested");
	ethernet(&f, ETH_P_IPV6);
	ipv6(&f, IPPROTO_DSTOPTS, 8);
	extension(&f, IPPROTO_TCP, 1);
	f.data[14 + 40 + 1] = 255;
	check_frame("an extension header beyond the packet", &f,
		    "in ipv6 vlan 0 tcp [2001:db8::1]:0 > [2001:db8::2]:0, 1 packets 62 bytes, "
		    "truncated");
	snapshot();
	CHECK_EQ(lo->totals[0].flows.packets + lo->totals[0].retired.packets +
			 lo->totals[0].untracked.packets,
		 lo->totals[0].all.packets, "packets that are read in part count once");
}

static void test_fragments(void)
{
	struct count_frame f;

	ethernet(&f, ETH_P_IP);
	ipv4_fragment(&f, IPPROTO_UDP, 0, 20, 77, 0x2000 | 3);
	ports(&f, 9, 9);
	check_frame("a later fragment before the first: no invented ports", &f,
		    "in ipv4 vlan 0 udp 192.0.2.1 > 198.51.100.2 fragment, 1 packets 54 bytes");
	CHECK_EQ((__u32)seen.key.meta, 0, "nor in its key");
	ethernet(&f, ETH_P_IP);
	ipv4_fragment(&f, IPPROTO_UDP, 0, 20, 77, 0x2000);
	ports(&f, 4444, 53);
	check_frame("the first fragment", &f,
		    "in ipv4 vlan 0 udp 192.0.2.1:4444 > 198.51.100.2:53, 1 packets 54 bytes");
	ethernet(&f, ETH_P_IP);
	ipv4_fragment(&f, IPPROTO_UDP, 0, 20, 77, 3);
	ports(&f, 9, 9);
	check_frame("the last fragment goes to its flow", &f,
		    "in ipv4 vlan 0 udp 192.0.2.1:4444 > 198.51.100.2:53, 1 packets 54 bytes");
	check_frame("the same id again, much later, does not", &f,
		    "in ipv4 vlan 0 udp 192.0.2.1 > 198.51.100.2 fragment, 1 packets 54 bytes");

	ethernet(&f, ETH_P_IPV6);
	ipv6(&f, IPPROTO_FRAGMENT, 28);
	ipv6_fragment(&f, IPPROTO_UDP, 1, 0xabcdef);
	ports(&f, 4445, 53);
	check_frame("IPv6: the first fragment", &f,
		    "in ipv6 vlan 0 udp [2001:db8::1]:4445 > [2001:db8::2]:53, 1 packets 82 bytes");
	ethernet(&f, ETH_P_IPV6);
	ipv6(&f, IPPROTO_FRAGMENT, 12);
	ipv6_fragment(&f, IPPROTO_UDP, 24, 0xabcdef);
	put_zero(&f, 4);
	check_frame("IPv6: the last fragment goes to its flow", &f,
		    "in ipv6 vlan 0 udp [2001:db8::1]:4445 > [2001:db8::2]:53, 1 packets 66 bytes");
	ethernet(&f, ETH_P_IPV6);
	ipv6(&f, IPPROTO_FRAGMENT, 28);
	ipv6_fragment(&f, IPPROTO_UDP, 0, 1);
	ports(&f, 4446, 53);
	check_frame("IPv6: an atomic fragment is none", &f,
		    "in ipv6 vlan 0 udp [2001:db8::1]:4446 > [2001:db8::2]:53, 1 packets 82 bytes");
}

/* Bytes on the wire: the payload, and the headers once per segment. */
static void check_gso(const char *name, struct count_frame *f, __u32 headers, __u32 size,
		      __u32 segs)
{
	struct __sk_buff ctx = { .gso_size = size, .gso_segs = segs };
	__u32 payload, wire;

	put_zero(f, FRAME_MAX - f->len);
	payload = f->len - headers;
	wire = (payload + size - 1) / size;
	f->data[16] = (__u8)((f->len - 14) >> 8); /* the outermost IPv4 header's total length */
	f->data[17] = (__u8)(f->len - 14);
	CHECK(count_count(PM_EGRESS, f, &ctx), "%s: no verdict", name);
	CHECK_EQ(seen.count.packets, wire, "%s: packets", name);
	CHECK_EQ(seen.count.bytes, payload + wire * headers, "%s: bytes", name);
}

static void test_gso(void)
{
	struct count_frame f;

	ethernet(&f, ETH_P_IP);
	ipv4(&f, IPPROTO_TCP, 0, 20);
	ports(&f, 1, 2);
	check_gso("TCP segments", &f, 54, 500, 4);
	ethernet(&f, ETH_P_IP);
	ipv4(&f, IPPROTO_TCP, 0, 20);
	ports(&f, 1, 2);
	check_gso("TCP segments that nobody has counted", &f, 54, 333, 0);
	ethernet(&f, ETH_P_IP);
	ipv4(&f, IPPROTO_TCP, 2, 32);
	ports(&f, 1, 2);
	f.data[f.len - 8] = 0x80; /* with twelve bytes of TCP options */
	put_zero(&f, 12);
	check_gso("TCP segments with options", &f, 74, 500, 4);
	ethernet(&f, ETH_P_IP);
	ipv4(&f, IPPROTO_UDP, 0, 8);
	ports(&f, 1, 2);
	check_gso("UDP segments", &f, 42, 1000, 3);
	ethernet(&f, ETH_P_IP);
	ipv4(&f, IPPROTO_IPIP, 0, 40);
	ipv4(&f, IPPROTO_TCP, 0, 20);
	ports(&f, 1, 2);
	check_gso("TCP in IP in IP", &f, 74, 500, 4);
	ethernet(&f, ETH_P_IP);
	ipv4(&f, IPPROTO_UDP, 0, 70);
	count_put32(&f, 50000U << 16 | 4789);
	put_zero(&f, 4);
	put(&f, "\x08\0\0\0\0\0\x2a\0", 8);
	put(&f, "\x02\0\0\0\0\x03\x02\0\0\0\0\x04\x08", 14);
	ipv4(&f, IPPROTO_TCP, 0, 20);
	ports(&f, 1, 2);
	check_gso("TCP in VXLAN", &f, 104, 500, 4);
	ethernet(&f, ETH_P_IP);
	ipv4(&f, IPPROTO_GRE, 0, 64);
	count_put32(&f, 0x20000800);
	count_put32(&f, 1);
	ipv4(&f, IPPROTO_TCP, 0, 20);
	ports(&f, 1, 2);
	check_gso("TCP in GRE with a key", &f, 82, 500, 4);
}

static void test_big_tcp(void)
{
	struct __sk_buff ctx = { .gso_size = 500, .gso_segs = 4 };
	struct count_frame f;

	ethernet(&f, ETH_P_IPV6);
	ipv6(&f, IPPROTO_HOPOPTS, 0);
	put(&f, "\x06\0\xc2\x04\0\0\x07\xd0", 8);
	ports(&f, 1, 2);
	put_zero(&f, 1900);
	CHECK(count_count(PM_EGRESS, &f, &ctx), "BIG TCP over IPv6: no verdict");
	CHECK_EQ(seen.count.packets, 4, "BIG TCP over IPv6: packets");
	CHECK_EQ(seen.count.bytes, 1900 + 4 * 74, "BIG TCP over IPv6: no segment has the option");
}

static void test_truncation(void)
{
	static const __u16 types[] = { ETH_P_IP, ETH_P_IPV6, ETH_P_ARP, ETH_P_8021Q, ETH_P_8021AD };
	struct count_frame f;

	check_begin("a frame cut after 14 to 200 bytes is counted once, with its bytes");
	for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
		for (__u32 len = 14; len <= 200; len++) {
			ethernet(&f, types[t]);
			if (types[t] == ETH_P_8021Q)
				tag(&f, 3, ETH_P_IPV6);
			if (types[t] == ETH_P_8021AD)
				tag(&f, 3, ETH_P_IP);
			if (types[t] == ETH_P_IP || types[t] == ETH_P_8021AD)
				ipv4(&f, IPPROTO_TCP, 0, 200 - f.len - 20);
			else if (types[t] != ETH_P_ARP)
				ipv6(&f, IPPROTO_UDP, 200 - f.len - 40);
			ports(&f, 1, 2);
			put_zero(&f, 200);
			f.len = len;
			if (len < 54 && count_pass(PM_INGRESS, &f, NULL) == REFUSED)
				continue;
			snapshot();
			EXPECT(count_count(PM_INGRESS, &f, NULL), "%u bytes: verdict", len);
			EXPECT(lo->totals[0].all.packets == lo->before[0].all.packets + 1 &&
				       lo->totals[0].all.bytes == lo->before[0].all.bytes + len,
			       "%u bytes: totals", len);
			EXPECT(seen.flows == 1, "%u bytes of 0x%04x: no flow", len, types[t]);
			EXPECT(partial(0, PM_TRUNCATED) == (types[t] != ETH_P_ARP && len < 200),
			       "%u bytes of 0x%04x: %s", len, types[t], described());
		}
	}
	check_end();
}

/* Frames that are nearly right: the totals have to be, whatever becomes of them. */
static void test_fuzz(void)
{
	int rounds = check_soak() ? 3000000 : 300000;
	struct pm_count before, passed = { 0 };
	struct count_frame seeds[4], f;
	unsigned int seed = 12345;
	int verdict;

	ethernet(&seeds[0], ETH_P_IP);
	ipv4(&seeds[0], IPPROTO_UDP, 2, 40);
	ports(&seeds[0], 1, 2);
	ethernet(&seeds[1], ETH_P_IPV6);
	ipv6(&seeds[1], IPPROTO_HOPOPTS, 60);
	extension(&seeds[1], IPPROTO_FRAGMENT, 1);
	ipv6_fragment(&seeds[1], IPPROTO_DSTOPTS, 1, 1);
	extension(&seeds[1], IPPROTO_TCP, 2);
	ethernet(&seeds[2], ETH_P_8021AD);
	tag(&seeds[2], 1, ETH_P_8021Q);
	tag(&seeds[2], 2, ETH_P_IP);
	ipv4_fragment(&seeds[2], IPPROTO_ICMP, 0, 30, 3, 0x2000);
	ethernet(&seeds[3], ETH_P_IP);
	ipv4(&seeds[3], IPPROTO_GRE, 0, 64);
	count_put32(&seeds[3], 0x20006558);
	for (int i = 0; i < 4; i++)
		put_zero(&seeds[i], 60);

	snapshot();
	before = sum_of(&lo->totals[PM_EGRESS]);
	check_begin("mutated frames get no verdict");
	for (int i = 0; i < rounds; i++) {
		struct __sk_buff ctx = { 0 };

		f = seeds[rand_r(&seed) % 4];
		for (int n = rand_r(&seed) % 6; n >= 0; n--)
			f.data[12 + (__u32)rand_r(&seed) % (f.len - 12)] = (__u8)rand_r(&seed);
		if (rand_r(&seed) % 4 == 0)
			f.len = 14 + (__u32)rand_r(&seed) % (f.len - 14);
		if (rand_r(&seed) % 4 == 0)
			ctx.gso_size = (__u32)rand_r(&seed) % 3; /* none, absurd, absurd */
		verdict = count_pass(ctx.gso_size ? PM_INGRESS : PM_EGRESS, &f,
				     ctx.gso_size ? &ctx : NULL);
		EXPECT(verdict == TC_ACT_UNSPEC || (verdict == REFUSED && f.len < 54), "round %d",
		       i);
		if (verdict == TC_ACT_UNSPEC && !ctx.gso_size) {
			passed.packets++;
			passed.bytes += f.len;
		}
	}
	check_end();
	snapshot();
	CHECK_EQ(lo->totals[PM_EGRESS].all.packets - before.packets, passed.packets,
		 "mutated frames: all packets are in the totals");
	CHECK_EQ(lo->totals[PM_EGRESS].all.bytes - before.bytes, passed.bytes,
		 "mutated frames: all bytes are in the totals");
	CHECK_EQ(lo->totals[PM_EGRESS].flows.packets + lo->totals[PM_EGRESS].retired.packets +
			 lo->totals[PM_EGRESS].untracked.packets,
		 lo->totals[PM_EGRESS].all.packets, "the parts make up the total");
}

static void udp_from(struct count_frame *f, __u32 number)
{
	ethernet(f, ETH_P_IP);
	ipv4(f, IPPROTO_UDP, 0, 20);
	ports(f, (__u16)(number & 0xffff), 9);
	f->data[27] = (__u8)(number >> 16);
}

static bool open_with(__u32 max_flows, const struct filter *filter)
{
	static const struct filter none;

	interfaces_close(&interfaces);
	config.monitor.counter.max_flows = max_flows;
	config.monitor.counter.filter = filter ? *filter : none;
	if (!CHECK(!interfaces_open(&interfaces, &config), "opens with %u flows", max_flows))
		return false;
	lo = interfaces.list.monitors[0];
	return true;
}

static void test_inner(void)
{
	struct count_frame f;

	config.monitor.counter.inner = true;
	if (!open_with(64, NULL))
		return;
	ethernet(&f, ETH_P_IP);
	ipv4(&f, IPPROTO_UDP, 0, 8 + 8 + 14 + 60);
	count_put32(&f, 40000U << 16 | 4789);
	count_put32(&f, (8 + 8 + 14 + 60) << 16);
	put(&f, "\x08\0\0\0\0\0\x2a\0", 8);
	put(&f, "\x02\0\0\0\0\x03\x02\0\0\0\0\x04\x86\xdd", 14);
	ipv6(&f, IPPROTO_TCP, 20);
	ports(&f, 1, 2);
	check_frame("inner: VXLAN", &f,
		    "in ipv6 vlan 0 tcp [2001:db8::1]:1 > [2001:db8::2]:2, 1 packets 124 bytes");
	f.data[14 + 20 + 8] = 0;
	check_frame("inner: VXLAN without a network identifier", &f,
		    "in ipv4 vlan 0 udp 192.0.2.1:40000 > 198.51.100.2:4789, "
		    "1 packets 124 bytes");
	f.data[14 + 20 + 8] = 8;
	f.data[14 + 20 + 8 + 8 + 14 + 5]++;
	check_frame("inner: a packet longer than its tunnel", &f,
		    "in ipv4 vlan 0 udp 192.0.2.1:40000 > 198.51.100.2:4789, "
		    "1 packets 124 bytes");
	udp_from(&f, 7);
	check_frame("inner: no tunnel", &f,
		    "in ipv4 vlan 0 udp 192.0.2.1:7 > 198.51.100.2:9, 1 packets 54 bytes");
	config.monitor.counter.inner = false;
}

static void test_count_filter(void)
{
	struct filter filter = { 0 };
	char why[FILTER_WHY_MAX];
	struct count_frame f;

	CHECK(!filter_parse(&filter,
			    "udp and port (53 or 54) and (net 198.51.100.0/24 or host 2001:db8::2)",
			    why),
	      "filter: is understood");
	if (!open_with(64, &filter))
		return;
	ethernet(&f, ETH_P_IP);
	ipv4(&f, IPPROTO_UDP, 0, 20);
	ports(&f, 1000, 54);
	check_frame("filter: matches", &f,
		    "in ipv4 vlan 0 udp 192.0.2.1:1000 > 198.51.100.2:54, 1 packets 54 bytes");
	f.data[23] = IPPROTO_TCP;
	check_frame("filter: another protocol", &f, "filtered");
	f.data[23] = IPPROTO_UDP;
	f.data[37] = 55;
	check_frame("filter: another port", &f, "filtered");
	f.data[37] = 53;
	f.data[32] = 101;
	check_frame("filter: another network", &f, "filtered");
	ethernet(&f, ETH_P_IPV6);
	ipv6(&f, IPPROTO_UDP, 20);
	ports(&f, 53, 1000);
	check_frame("filter: the other family", &f,
		    "in ipv6 vlan 0 udp [2001:db8::1]:53 > [2001:db8::2]:1000, "
		    "1 packets 74 bytes");
	f.data[14 + 39] = 3;
	check_frame("filter: another IPv6 host", &f, "filtered");
	ethernet(&f, ETH_P_ARP);
	put_zero(&f, 28);
	check_frame("filter: not IP", &f, "filtered");
	filter.count = 0;
	filter_add_family(&filter, PM_KIND_IPV6);
	if (!open_with(64, &filter))
		return;
	udp_from(&f, 1);
	check_frame("filter: IPv6 only", &f, "filtered");
}

static void test_full(void)
{
	enum { ROOM = 512, FLOWS = 2000 };
	struct count_frame f;

	if (!open_with(ROOM, NULL))
		return;
	for (__u32 i = 0; i < FLOWS; i++) {
		udp_from(&f, i);
		count_pass(PM_INGRESS, &f, NULL);
	}
	snapshot();
	CHECK_EQ(lo->totals[0].flow_count, ROOM, "full: every slot is in use");
	CHECK_EQ(lo->totals[0].reason[PM_FULL].packets + lo->totals[0].reason[PM_CROWDED].packets,
		 FLOWS - ROOM, "full: the other packets are counted as such");
	CHECK_EQ(lo->totals[0].all.bytes, FLOWS * 54, "full: totals are exact");
	/* A second report in which nothing has moved: a quarter of the flows makes room. */
	snapshot();
	flow_table_relieve(&interfaces.counter.table, now_ns);
	snapshot();
	CHECK_EQ(lo->totals[0].flow_count, ROOM - ROOM / 4 - 1,
		 "relief: a quarter of the flows leaves");
	CHECK_EQ(lo->totals[0].retired.packets, ROOM / 4 + 1, "relief: their packets do not");
	udp_from(&f, 70000);
	check_frame("relief: there is room again", &f,
		    "in ipv4 vlan 0 udp 192.1.2.1:4464 > 198.51.100.2:9, 1 packets 54 bytes");
}

static void test_longest_idle(void)
{
	enum { ROOM = 512 };
	struct count_frame f;

	if (!open_with(ROOM, NULL))
		return;
	for (__u32 i = 0; i < ROOM; i++) {
		udp_from(&f, i);
		count_pass(PM_INGRESS, &f, NULL);
	}
	snapshot();
	for (__u32 i = 0; i < ROOM - ROOM / 4 - 1; i++) { /* all but the last of them go on */
		udp_from(&f, i);
		count_pass(PM_INGRESS, &f, NULL);
	}
	snapshot();
	flow_table_relieve(&interfaces.counter.table, now_ns);
	for (__u32 i = 0; i < ROOM - ROOM / 4 - 1; i++) {
		udp_from(&f, i);
		count_pass(PM_INGRESS, &f, NULL);
	}
	snapshot();
	CHECK_EQ(lo->totals[0].retired.packets, ROOM / 4 + 1, "relief: the idle ones leave");
	CHECK_EQ(seen.flows, ROOM - ROOM / 4 - 1, "relief: those that move stay");
	CHECK_EQ(lo->totals[0].reason[PM_FULL].packets, 0, "relief: none of those was lost");
}

/*
 * 300,000 new flows in six seconds by a clock of ours, through the default table of 65,536:
 * whatever the time between reports, none is lost.
 */
static void test_recycling(void)
{
	static const __u32 reports[] = { 2, 10, 50 }; /* periods between two of them */
	enum { PERIODS = 60, NEW = 5000 };
	__u64 period = flow_table_period(65536);
	struct count_frame f;

	for (size_t r = 0; r < sizeof(reports) / sizeof(reports[0]); r++) {
		if (!open_with(65536, NULL))
			return;
		for (__u32 i = 1; i <= PERIODS; i++) {
			for (__u32 flow = 0; flow < NEW; flow++) {
				udp_from(&f, i * NEW + flow);
				count_pass(PM_INGRESS, &f, NULL);
			}
			now_ns += period;
			if (i % reports[r] == 0) {
				snapshot();
				now_ns -= SECOND;
			}
			flow_table_relieve(&interfaces.counter.table, now_ns);
		}
		snapshot();
		CHECK_EQ(lo->totals[0].reason[PM_FULL].packets, 0,
			 "recycling: no flow is lost with a report every %u periods", reports[r]);
		/* A few keys share buckets by chance, with any hash. */
		CHECK(lo->totals[0].untracked.packets < PERIODS * NEW / 10000,
		      "recycling: hardly a bucket is crowded");
		CHECK_EQ(lo->totals[0].all.packets, PERIODS * NEW, "recycling: all are counted");
	}
}

static void test_flood(void)
{
	enum { FLOWS = 3000000, ROOM = 65536 };
	struct rusage early, late;
	struct count_frame f;

	if (!open_with(ROOM, NULL))
		return;
	udp_from(&f, 0);
	for (__u32 i = 0; i < FLOWS; i++) {
		f.data[27] = (__u8)(i >> 16);
		f.data[34] = (__u8)(i >> 8);
		f.data[35] = (__u8)i;
		count_pass(PM_INGRESS, &f, NULL);
		if (i % 100000 == 99999) {
			snapshot();
			flow_table_relieve(&interfaces.counter.table, now_ns);
		}
		if (i == 300000)
			getrusage(RUSAGE_SELF, &early);
	}
	snapshot();
	getrusage(RUSAGE_SELF, &late);
	CHECK_EQ(lo->totals[0].all.packets, FLOWS, "flood: all packets are in the totals");
	CHECK_EQ(lo->totals[0].all.bytes, FLOWS * 54LL, "flood: all bytes are in the totals");
	CHECK_EQ(lo->totals[0].untracked.packets,
		 lo->totals[0].reason[PM_FULL].packets + lo->totals[0].reason[PM_CROWDED].packets,
		 "flood: the reasons add up");
	CHECK(lo->totals[0].retired_flows > 10 * ROOM / 4, "flood: slots are used again");
	CHECK(lo->totals[0].reason[PM_CROWDED].packets < FLOWS / 1000,
	      "flood: hardly a bucket is crowded");
	CHECK(late.ru_maxrss - early.ru_maxrss < 1024, "flood: memory is flat");
}

/*
 * Flows that were made to share buckets: in a hash that folds each product with its upper half, the
 * top bits of one word of a key and those of both halves of the next cancelled out, whatever the
 * seed. 4096 such flows found places for 1344.
 */
static void test_aimed(void)
{
	enum { FLOWS = 4096, SOURCE = 22 };
	struct count_frame f, aimed;
	__u64 word[2];

	ethernet(&f, ETH_P_IPV6);
	ipv6(&f, IPPROTO_UDP, 20);
	ports(&f, 1, 2);
	for (int first = 0; first < 3; first++) {
		if (!open_with(65536, NULL))
			return;
		for (__u64 i = 0; i < FLOWS; i++) {
			__u64 top = i / 64, both = i % 64;

			aimed = f;
			memcpy(word, f.data + SOURCE + 8 * first, sizeof(word));
			word[0] ^= top << 58;
			word[1] ^= both << 58 | both << 26;
			memcpy(aimed.data + SOURCE + 8 * first, word, sizeof(word));
			count_pass(PM_INGRESS, &aimed, NULL);
		}
		snapshot();
		CHECK_EQ(seen.flows, FLOWS, "aimed at the hash, words %d and %d: all find places",
			 first, first + 1);
	}
}

/* --- several CPUs ----------------------------------------------------------------------------- */

enum { RACERS = 4, RACE_FLOWS = 200, RACE_BURST = 10 };

static __u32 race_bursts(void)
{
	return check_soak() ? 3000000 : 150000;
}

static int racing; /* threads that still run */

static void *racer(void *arg)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .repeat = RACE_BURST);
	__u32 bursts = race_bursts();
	struct count_frame f;

	(void)arg;
	for (__u32 i = 0; i < bursts; i++) {
		udp_from(&f, i % RACE_FLOWS);
		opts.data_in = f.data;
		opts.data_size_in = f.len;
		bpf_prog_test_run_opts(prog_fd(PM_INGRESS), &opts);
	}
	__atomic_sub_fetch(&racing, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* All CPUs make the same flows, while those that pause for a moment are taken away. */
static void test_count_race(void)
{
	__u64 packets = (__u64)RACERS * RACE_BURST * race_bursts();
	pthread_t threads[RACERS];

	if (!open_with(128, NULL))
		return;
	racing = RACERS;
	for (int i = 0; i < RACERS; i++)
		pthread_create(&threads[i], NULL, racer, NULL);
	while (__atomic_load_n(&racing, __ATOMIC_SEQ_CST)) {
		snapshot();
		flow_table_age(&interfaces.counter.table, now_ns + SECOND, SECOND);
	}
	for (int i = 0; i < RACERS; i++)
		pthread_join(threads[i], NULL);
	snapshot();
	CHECK_EQ(lo->totals[0].all.packets, packets, "race: no packet is lost or counted twice");
	CHECK_EQ(lo->totals[0].all.bytes, packets * 54, "race: nor any byte");
	CHECK(lo->totals[0].retired_flows > RACE_FLOWS, "race: %llu flows were retired meanwhile",
	      lo->totals[0].retired_flows);
	printf("# race: %llu in the table, %llu retired, %llu untracked\n",
	       lo->totals[0].flows.packets, lo->totals[0].retired.packets,
	       lo->totals[0].untracked.packets);
}

int main(void)
{
	if (!open_with(4096, NULL))
		return check_exit();
	RUN(test_ip);
	RUN(test_link);
	RUN(test_malformed);
	RUN(test_fragments);
	RUN(test_gso);
	RUN(test_big_tcp);
	RUN(test_truncation);
	RUN(test_fuzz);
	RUN(test_inner);
	RUN(test_count_filter);
	RUN(test_full);
	RUN(test_longest_idle);
	RUN(test_recycling);
	RUN(test_flood);
	RUN(test_aimed);
	RUN(test_count_race);
	interfaces_close(&interfaces);
	return check_exit();
}
