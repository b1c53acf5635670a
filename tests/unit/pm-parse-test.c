// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf/pm-parse.h and bpf/pm-wire.h, compiled for this machine: every kind of frame, cut off at
 * every length and at every end of the linear part.
 */
#include "bpf-native.h"
#include "check.h"
#include "frame.h"

#include "../../bpf/pm-parse.h"
#include "../../bpf/pm-wire.h"

enum { FRAMES_MAX = 40 };
static struct frame frames[FRAMES_MAX];
static struct pm_key keys[FRAMES_MAX]; /* what pm_parse() has to make of them */
static __u32 frame_count;

static struct pm_key *key_of(const struct frame *f)
{
	return &keys[f - frames];
}

/* The headers are complete: add data. */
static void frame_end(struct frame *f, __u32 ports, __u8 proto, __u8 kind, __u16 vlan)
{
	if (!f->payload)
		f->payload = f->len;
	frame_fill(f, 20, 0xaa);
	frame_state_length(f, f->len);
	if (f->ip && f->bytes[f->ip] >> 4 == 4)
		key_of(f)->addr[0] = (__u64)bpf_htonl(0x0a00000a) << 32 | bpf_htonl(0x0a000001);
	else if (f->ip)
		memcpy(key_of(f)->addr, f->bytes + f->ip + 8, 32);
	key_of(f)->meta = pm_key_meta(ports, proto, kind, vlan);
}

static struct frame *add(const char *name, __u32 ethertype)
{
	if (frame_count == FRAMES_MAX)
		abort();
	frames[frame_count] = frame_begin(name, ethertype);
	return &frames[frame_count++];
}

/* An IPv4 header that names a tunnel, up to where the inner packet begins. */
static struct frame *add_tunnel(const char *name, __u8 proto)
{
	struct frame *f = add(name, ETH_P_IP);

	frame_ipv4(f, proto, 0, 0);
	f->headers = f->len + (proto == IPPROTO_UDP ? 4 : 0);
	return f;
}

static void make_frames(void)
{
	const __u32 ports = 1000 << 16 | 2000;
	struct frame *f;

	f = add("UDP", ETH_P_IP);
	frame_ipv4(f, IPPROTO_UDP, 0, 0);
	f->headers = f->len + 4;
	frame_udp(f, 1000, 2000);
	frame_end(f, ports, IPPROTO_UDP, PM_KIND_IPV4, 0);

	f = add("TCP with options", ETH_P_IP);
	frame_ipv4(f, IPPROTO_TCP, 0, 0);
	f->headers = f->len + 4;
	frame_tcp(f, 1000, 2000, 3);
	frame_end(f, ports, IPPROTO_TCP, PM_KIND_IPV4, 0);

	f = add("IPv4 with options", ETH_P_IP);
	frame_ipv4(f, IPPROTO_UDP, 10, 0);
	f->headers = f->len + 4;
	frame_udp(f, 1000, 2000);
	frame_end(f, ports, IPPROTO_UDP, PM_KIND_IPV4, 0);

	f = add("ICMP", ETH_P_IP);
	frame_ipv4(f, IPPROTO_ICMP, 0, 0);
	f->headers = f->len + 4;
	f->payload = f->len;
	frame_put(f, "\x08\x05\x12\x34", 4);
	frame_end(f, 0x08050000, IPPROTO_ICMP, PM_KIND_IPV4, 0);

	f = add("a protocol without ports", ETH_P_IP);
	frame_ipv4(f, IPPROTO_ESP, 0, 0);
	f->headers = f->len;
	frame_end(f, 0, IPPROTO_ESP, PM_KIND_IPV4, 0);

	f = add("first fragment", ETH_P_IP);
	frame_ipv4(f, IPPROTO_UDP, 0, IPV4_MORE);
	f->headers = f->len + 4;
	frame_udp(f, 1000, 2000);
	frame_end(f, ports, IPPROTO_UDP, PM_KIND_IPV4, 0);

	f = add("later fragment of an unknown first", ETH_P_IP);
	frame_ipv4(f, IPPROTO_UDP, 0, 5);
	f->headers = f->len;
	frame_end(f, 0, IPPROTO_UDP, PM_KIND_IPV4 | PM_KIND_FRAGMENT, 0);
	f->payload += 8;

	f = add("two tags", ETH_P_8021AD);
	frame_tag(f, 5, ETH_P_8021Q);
	frame_tag(f, 6, ETH_P_IP);
	frame_ipv4(f, IPPROTO_UDP, 0, 0);
	f->headers = f->len + 4;
	frame_udp(f, 1000, 2000);
	frame_end(f, ports, IPPROTO_UDP, PM_KIND_IPV4, 5);

	f = add("UDP over IPv6", ETH_P_IPV6);
	frame_ipv6(f, IPPROTO_UDP);
	f->headers = f->len + 4;
	frame_udp(f, 1000, 2000);
	frame_end(f, ports, IPPROTO_UDP, PM_KIND_IPV6, 0);

	f = add("extension headers", ETH_P_IPV6);
	frame_ipv6(f, IPPROTO_HOPOPTS);
	frame_put(f, (const __u8[8]){ IPPROTO_DSTOPTS }, 8);
	frame_put(f, (const __u8[24]){ IPPROTO_AH, 2 }, 24);
	frame_put(f, (const __u8[12]){ IPPROTO_FRAGMENT, 1 }, 12);
	frame_put(f, (const __u8[8]){ IPPROTO_TCP, 0, 0, 1, 0, 0, 0, 9 }, 8);
	f->headers = f->len + 4;
	frame_tcp(f, 1000, 2000, 0);
	frame_end(f, ports, IPPROTO_TCP, PM_KIND_IPV6, 0);

	f = add("later IPv6 fragment", ETH_P_IPV6);
	frame_ipv6(f, IPPROTO_FRAGMENT);
	frame_put(f, (const __u8[8]){ IPPROTO_UDP, 0, 0, 8, 0, 0, 0, 9 }, 8);
	f->headers = f->len;
	frame_end(f, 0, IPPROTO_UDP, PM_KIND_IPV6 | PM_KIND_FRAGMENT, 0);
	f->payload += 8;

	f = add("ARP", ETH_P_ARP);
	f->headers = f->len;
	frame_end(f, ETH_P_ARP, 0, PM_KIND_OTHER, 0);
	f->payload = 0;
	key_of(f)->addr[0] = 0x020202020202;
	key_of(f)->addr[1] = 0x020101010101;

	f = add("IEEE 802.3 length", 46);
	f->headers = f->len;
	frame_end(f, ETH_P_802_2, 0, PM_KIND_OTHER, 0);
	f->payload = 0;
	key_of(f)->addr[0] = 0x020202020202;
	key_of(f)->addr[1] = 0x020101010101;

	f = add("no link layer", ETH_P_IP);
	f->l2_len = f->len = 0;
	frame_ipv4(f, IPPROTO_UDP, 0, 0);
	f->ip = 0;
	f->headers = f->len + 4;
	frame_udp(f, 1000, 2000);
	frame_end(f, ports, IPPROTO_UDP, PM_KIND_IPV4, 0);
	key_of(f)->addr[0] = keys[0].addr[0];
	((struct iphdr *)f->bytes)->tot_len = bpf_htons((__u16)f->len);

	f = add_tunnel("TCP in VXLAN", IPPROTO_UDP);
	frame_udp(f, 40000, 4789);
	frame_fill(f, 8, 0);
	frame_fill(f, 12, 2);
	frame_put16(f, ETH_P_IP);
	frame_ipv4(f, IPPROTO_TCP, 0, 0);
	frame_tcp(f, 1, 2, 0);
	frame_end(f, 40000u << 16 | 4789, IPPROTO_UDP, PM_KIND_IPV4, 0);

	f = add_tunnel("TCP behind a tag in VXLAN at another port", IPPROTO_UDP);
	frame_udp(f, 40000, 9999);
	frame_fill(f, 8, 0);
	frame_fill(f, 12, 2);
	frame_put16(f, ETH_P_8021Q);
	frame_tag(f, 3, ETH_P_IP);
	frame_ipv4(f, IPPROTO_TCP, 0, 0);
	frame_tcp(f, 1, 2, 0);
	frame_end(f, 40000u << 16 | 9999, IPPROTO_UDP, PM_KIND_IPV4, 0);

	f = add_tunnel("TCP over IPv6 in GENEVE with options", IPPROTO_UDP);
	frame_udp(f, 40000, 6081);
	frame_put(f, "\x02\0\x65\x58\0\0\0\0", 8);
	frame_fill(f, 8, 0);
	frame_fill(f, 12, 2);
	frame_put16(f, ETH_P_IPV6);
	frame_ipv6(f, IPPROTO_TCP);
	frame_tcp(f, 1, 2, 2);
	frame_end(f, 40000u << 16 | 6081, IPPROTO_UDP, PM_KIND_IPV4, 0);

	f = add_tunnel("UDP in GRE with a key", IPPROTO_GRE);
	frame_put(f, "\x20\0\x08\0\0\0\0\1", 8);
	frame_ipv4(f, IPPROTO_UDP, 0, 0);
	frame_udp(f, 1, 2);
	frame_end(f, 0, IPPROTO_GRE, PM_KIND_IPV4, 0);

	f = add_tunnel("TCP in IPIP", IPPROTO_IPIP);
	frame_ipv4(f, IPPROTO_TCP, 1, 0);
	frame_tcp(f, 1, 2, 1);
	frame_end(f, 0, IPPROTO_IPIP, PM_KIND_IPV4, 0);

	f = add_tunnel("TCP in 6in4", IPPROTO_IPV6);
	frame_ipv6(f, IPPROTO_TCP);
	frame_tcp(f, 1, 2, 0);
	frame_end(f, 0, IPPROTO_IPV6, PM_KIND_IPV4, 0);
}

static enum pm_reason parse_frame(const struct frame *f, __u32 len, __u32 linear,
				  struct pm_key *key)
{
	struct pm_packet pkt = { .kind = 0 };
	struct native_skb skb;
	struct pm_key plain = {};
	enum pm_reason reason;
	struct pm_count wire;

	native_skb_init(&skb, f->bytes, len, linear);
	skb.protocol = f->ethertype;
	reason = pm_parse(&skb, &pkt, f->l2_len);
	wire = pm_wire_count(&skb, &pkt);
	EXPECT(wire.packets == 1 && wire.bytes == len, "%s: %llu bytes of %u", f->name, wire.bytes,
	       len);
	if (pm_parse_plain(&skb, PM_INGRESS, &plain, f->l2_len))
		EXPECT(!reason && !memcmp(&plain, &pkt.key, sizeof(plain)),
		       "%s, %u of %u bytes: plain, but pm_parse() says %d", f->name, linear, len,
		       reason);
	*key = pkt.key;
	native_skb_free(&skb);
	return reason;
}

/* As the IP header says it at @len bytes of @f. */
static enum pm_reason expected(const struct frame *f, __u32 len)
{
	__u32 options = f->bytes[f->ip] >> 4 == 4 ? (f->bytes[f->ip] & 0xf) * 4U : 0;

	if (f->ip && options && len >= f->ip + sizeof(struct iphdr) && len < f->ip + options)
		return PM_MALFORMED;
	return len < f->headers ? PM_TRUNCATED : PM_OK;
}

/* The frame ends early; its headers still say how long it was. */
static void check_cut(const struct frame *f)
{
	bool ip = f->ip || !f->l2_len;
	struct pm_key key;

	for (__u32 len = 0; len <= f->len; len++) {
		bool cut = ip ? len < f->len : len < f->headers;

		for (__u32 linear = 0; linear <= len; linear++) {
			enum pm_reason reason = parse_frame(f, len, linear, &key);

			EXPECT(reason == (cut ? PM_TRUNCATED : PM_OK), "%s, %u of %u bytes: %d",
			       f->name, linear, len, reason);
			EXPECT(reason || !memcmp(&key, key_of(f), sizeof(key)),
			       "%s, %u of %u bytes: key", f->name, linear, len);
		}
	}
}

/* The packet is shorter, and its IP header says so. Padding behind it changes nothing. */
static void check_short(const struct frame *whole)
{
	struct frame f = *whole;
	struct pm_key key;

	for (__u32 len = 0; f.ip && len <= f.len; len++) {
		frame_state_length(&f, len);
		if (len >= f.ip + (f.bytes[f.ip] >> 4 == 4 ? sizeof(struct iphdr)
							   : sizeof(struct ipv6hdr) + 1))
			EXPECT(parse_frame(&f, f.len, f.len, &key) == expected(&f, len),
			       "%s, %u bytes with padding", f.name, len);
		for (__u32 linear = 0; linear <= len; linear++) {
			enum pm_reason reason = parse_frame(&f, len, linear, &key);

			EXPECT(reason == expected(&f, len), "%s, %u of %u bytes: %d", f.name,
			       linear, len, reason);
			EXPECT(reason || !memcmp(&key, key_of(whole), sizeof(key)),
			       "%s, %u of %u bytes: key", f.name, linear, len);
		}
	}
}

/* A GSO packet: each segment repeats all headers. Cut off, it counts at least what is there. */
static void check_wire(const struct frame *f)
{
	const __u64 segments = (f->len - f->payload + 6) / 7;

	for (__u32 len = 0; len <= f->len; len++) {
		struct pm_packet pkt = { .kind = 0 };
		enum pm_reason reason;
		struct native_skb skb;
		struct pm_count wire;

		native_skb_init(&skb, f->bytes, len, len / 2);
		skb.protocol = f->ethertype;
		skb.gso_size = 7;
		skb.gso_segs = segments;
		reason = pm_parse(&skb, &pkt, f->l2_len);
		wire = pm_wire_count(&skb, &pkt);
		EXPECT(wire.packets == segments && wire.bytes >= len &&
			       wire.bytes <= segments * len,
		       "%s, %u bytes: %llu packets of %llu bytes", f->name, len, wire.packets,
		       wire.bytes);
		if (len == f->len)
			EXPECT(!reason && wire.bytes == len + (segments - 1) * f->payload,
			       "%s: %llu bytes, headers of %u", f->name, wire.bytes, f->payload);
		skb.gso_segs = 0;
		skb.vlan_present = 1;
		wire = pm_wire_count(&skb, &pkt);
		/* Without their number, a tunnel at an unknown port is a datagram. */
		if (len == f->len && !strstr(f->name, "another port"))
			EXPECT(wire.packets == (len - f->payload + 6) / 7 &&
				       wire.bytes == len + (wire.packets - 1) * f->payload +
							     4 * wire.packets,
			       "%s: %llu packets of %llu bytes", f->name, wire.packets, wire.bytes);
		native_skb_free(&skb);
	}
}

/* A user's datagram stays one, whatever port and content it has. */
static void check_own_datagram(void)
{
	struct bpf_sock sk = { .protocol = IPPROTO_UDP, .src_port = 40000 };
	struct udp_tunnel udp = { .sport = bpf_htons(40000), .dport = bpf_htons(4789) };
	__be16 ethertype;
	struct native_skb skb;

	native_skb_init(&skb, "", 0, 0);
	CHECK_EQ(pm_udp_tunnel(&skb, 34, &udp, &ethertype), 50, "a tunnel by its port");
	skb.sk = &sk;
	CHECK_EQ(pm_udp_tunnel(&skb, 34, &udp, &ethertype), 0, "no tunnel: a socket sends it");
	sk.src_port = 1;
	CHECK_EQ(pm_udp_tunnel(&skb, 34, &udp, &ethertype), 50, "a tunnel: another socket's data");
	native_skb_free(&skb);
}

int main(void)
{
	make_frames();
	check_own_datagram();
	check_begin("frames that end early have no flow, linear or not");
	for (__u32 i = 0; i < frame_count; i++)
		check_cut(&frames[i]);
	check_end();
	check_begin("packets of every length have the flow of their headers");
	for (__u32 i = 0; i < frame_count; i++)
		check_short(&frames[i]);
	check_end();
	check_begin("each segment of a GSO packet repeats its headers");
	for (__u32 i = 0; i < frame_count; i++)
		if (frames[i].payload)
			check_wire(&frames[i]);
	check_end();
	return check_exit();
}
