// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf/pm-parse.h and bpf/pm-wire.h, compiled for this machine: every kind of frame, cut off at
 * every length and at every end of the linear part.
 */
#include "bpf-native.h"
#include "check.h"

#include "../../bpf/pm-parse.h"
#include "../../bpf/pm-wire.h"

struct frame {
	const char *name;
	__u8 bytes[256];
	__u32 len;
	__u32 headers;	  /* bytes that the key is made of */
	__u32 payload;	  /* where the data of each segment begins; 0: no frame for GSO */
	__u32 ip;	  /* offset of the outermost IP header; 0: none */
	__u32 l2_len;	  /* bytes of the link layer */
	__be16 ethertype; /* what the kernel says of it */
	struct pm_key key;
};

static void put(struct frame *f, const void *bytes, __u32 len)
{
	memcpy(f->bytes + f->len, bytes, len);
	f->len += len;
}

static void put16(struct frame *f, __u32 value)
{
	put(f, &(__be16){ bpf_htons((__u16)value) }, 2);
}

static void put_fill(struct frame *f, __u32 len, __u8 value)
{
	while (len--)
		put(f, &value, 1);
}

static struct frame frame_begin(const char *name, __u32 ethertype)
{
	struct frame f = { .name = name,
			   .l2_len = ETH_HLEN,
			   .ethertype = bpf_htons((__u16)ethertype) };

	put(&f, "\x02\x01\x01\x01\x01\x01", 6);
	put(&f, "\x02\x02\x02\x02\x02\x02", 6);
	put16(&f, ethertype);
	return f;
}

/* A VLAN tag: the EtherType before it says so already. */
static void put_tag(struct frame *f, __u32 vid, __u32 ethertype)
{
	put16(f, 0x6000 | vid);
	put16(f, ethertype);
}

static void put_ipv4(struct frame *f, __u8 proto, __u32 options, __u32 frag)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = (5 + options) & 0xf,
		.id = bpf_htons(7),
		.frag_off = bpf_htons((__u16)frag),
		.ttl = 64,
		.protocol = proto,
		.saddr = bpf_htonl(0x0a000001),
		.daddr = bpf_htonl(0x0a00000a),
	};

	if (!f->ip)
		f->ip = f->len;
	put(f, &ip, sizeof(ip));
	put_fill(f, options * 4, 1);
}

static void put_ipv6(struct frame *f, __u8 nexthdr)
{
	struct ipv6hdr ip = { .version = 6, .nexthdr = nexthdr, .hop_limit = 64 };

	if (!f->ip)
		f->ip = f->len;
	memcpy(&ip.saddr, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	memcpy(&ip.daddr, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2", 16);
	put(f, &ip, sizeof(ip));
}

static void put_udp(struct frame *f, __u32 sport, __u32 dport)
{
	put16(f, sport);
	put16(f, dport);
	put_fill(f, 4, 0);
}

static void put_tcp(struct frame *f, __u32 sport, __u32 dport, __u32 options)
{
	put16(f, sport);
	put16(f, dport);
	put_fill(f, 8, 0);
	put(f, &(__u8){ (__u8)((5 + options) << 4) }, 1);
	put_fill(f, 7 + options * 4, 0);
}

/* The IP header says that the packet is @len bytes of the frame. */
static void state_length(struct frame *f, __u32 len)
{
	__u16 value;

	if (!f->ip || len < f->ip)
		return;
	if (f->bytes[f->ip] >> 4 == 4) {
		value = bpf_htons((__u16)(len - f->ip));
		memcpy(f->bytes + f->ip + 2, &value, 2);
	} else if (len >= f->ip + sizeof(struct ipv6hdr)) {
		value = bpf_htons((__u16)(len - f->ip - sizeof(struct ipv6hdr)));
		memcpy(f->bytes + f->ip + 4, &value, 2);
	}
}

/* The headers are complete: add data. */
static void frame_end(struct frame *f, __u32 ports, __u8 proto, __u8 kind, __u16 vlan)
{
	if (!f->payload)
		f->payload = f->len;
	put_fill(f, 20, 0xaa);
	state_length(f, f->len);
	if (f->ip && f->bytes[f->ip] >> 4 == 4)
		f->key.addr[0] = (__u64)bpf_htonl(0x0a00000a) << 32 | bpf_htonl(0x0a000001);
	else if (f->ip)
		memcpy(f->key.addr, f->bytes + f->ip + 8, 32);
	f->key.meta = pm_key_meta(ports, proto, kind, vlan);
}

enum { FRAMES_MAX = 40 };
static struct frame frames[FRAMES_MAX];
static __u32 frame_count;

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

	put_ipv4(f, proto, 0, 0);
	f->headers = f->len + (proto == IPPROTO_UDP ? 4 : 0);
	return f;
}

static void make_frames(void)
{
	const __u32 ports = 1000 << 16 | 2000;
	struct frame *f;

	f = add("UDP", ETH_P_IP);
	put_ipv4(f, IPPROTO_UDP, 0, 0);
	f->headers = f->len + 4;
	put_udp(f, 1000, 2000);
	frame_end(f, ports, IPPROTO_UDP, PM_KIND_IPV4, 0);

	f = add("TCP with options", ETH_P_IP);
	put_ipv4(f, IPPROTO_TCP, 0, 0);
	f->headers = f->len + 4;
	put_tcp(f, 1000, 2000, 3);
	frame_end(f, ports, IPPROTO_TCP, PM_KIND_IPV4, 0);

	f = add("IPv4 with options", ETH_P_IP);
	put_ipv4(f, IPPROTO_UDP, 10, 0);
	f->headers = f->len + 4;
	put_udp(f, 1000, 2000);
	frame_end(f, ports, IPPROTO_UDP, PM_KIND_IPV4, 0);

	f = add("ICMP", ETH_P_IP);
	put_ipv4(f, IPPROTO_ICMP, 0, 0);
	f->headers = f->len + 4;
	f->payload = f->len;
	put(f, "\x08\x05\x12\x34", 4);
	frame_end(f, 0x08050000, IPPROTO_ICMP, PM_KIND_IPV4, 0);

	f = add("a protocol without ports", ETH_P_IP);
	put_ipv4(f, IPPROTO_ESP, 0, 0);
	f->headers = f->len;
	frame_end(f, 0, IPPROTO_ESP, PM_KIND_IPV4, 0);

	f = add("first fragment", ETH_P_IP);
	put_ipv4(f, IPPROTO_UDP, 0, IPV4_MORE);
	f->headers = f->len + 4;
	put_udp(f, 1000, 2000);
	frame_end(f, ports, IPPROTO_UDP, PM_KIND_IPV4, 0);

	f = add("later fragment of an unknown first", ETH_P_IP);
	put_ipv4(f, IPPROTO_UDP, 0, 5);
	f->headers = f->len;
	frame_end(f, 0, IPPROTO_UDP, PM_KIND_IPV4 | PM_KIND_FRAGMENT, 0);
	f->payload += 8;

	f = add("two tags", ETH_P_8021AD);
	put_tag(f, 5, ETH_P_8021Q);
	put_tag(f, 6, ETH_P_IP);
	put_ipv4(f, IPPROTO_UDP, 0, 0);
	f->headers = f->len + 4;
	put_udp(f, 1000, 2000);
	frame_end(f, ports, IPPROTO_UDP, PM_KIND_IPV4, 5);

	f = add("UDP over IPv6", ETH_P_IPV6);
	put_ipv6(f, IPPROTO_UDP);
	f->headers = f->len + 4;
	put_udp(f, 1000, 2000);
	frame_end(f, ports, IPPROTO_UDP, PM_KIND_IPV6, 0);

	f = add("extension headers", ETH_P_IPV6);
	put_ipv6(f, IPPROTO_HOPOPTS);
	put(f, (const __u8[8]){ IPPROTO_DSTOPTS }, 8);
	put(f, (const __u8[24]){ IPPROTO_AH, 2 }, 24);
	put(f, (const __u8[12]){ IPPROTO_FRAGMENT, 1 }, 12);
	put(f, (const __u8[8]){ IPPROTO_TCP, 0, 0, 1, 0, 0, 0, 9 }, 8);
	f->headers = f->len + 4;
	put_tcp(f, 1000, 2000, 0);
	frame_end(f, ports, IPPROTO_TCP, PM_KIND_IPV6, 0);

	f = add("later IPv6 fragment", ETH_P_IPV6);
	put_ipv6(f, IPPROTO_FRAGMENT);
	put(f, (const __u8[8]){ IPPROTO_UDP, 0, 0, 8, 0, 0, 0, 9 }, 8);
	f->headers = f->len;
	frame_end(f, 0, IPPROTO_UDP, PM_KIND_IPV6 | PM_KIND_FRAGMENT, 0);
	f->payload += 8;

	f = add("ARP", ETH_P_ARP);
	f->headers = f->len;
	frame_end(f, ETH_P_ARP, 0, PM_KIND_OTHER, 0);
	f->payload = 0;
	f->key.addr[0] = 0x020202020202;
	f->key.addr[1] = 0x020101010101;

	f = add("IEEE 802.3 length", 46);
	f->headers = f->len;
	frame_end(f, ETH_P_802_2, 0, PM_KIND_OTHER, 0);
	f->payload = 0;
	f->key.addr[0] = 0x020202020202;
	f->key.addr[1] = 0x020101010101;

	f = add("no link layer", ETH_P_IP);
	f->l2_len = f->len = 0;
	put_ipv4(f, IPPROTO_UDP, 0, 0);
	f->ip = 0;
	f->headers = f->len + 4;
	put_udp(f, 1000, 2000);
	frame_end(f, ports, IPPROTO_UDP, PM_KIND_IPV4, 0);
	f->key.addr[0] = frames[0].key.addr[0];
	((struct iphdr *)f->bytes)->tot_len = bpf_htons((__u16)f->len);

	f = add_tunnel("TCP in VXLAN", IPPROTO_UDP);
	put_udp(f, 40000, 4789);
	put_fill(f, 8, 0);
	put_fill(f, 12, 2);
	put16(f, ETH_P_IP);
	put_ipv4(f, IPPROTO_TCP, 0, 0);
	put_tcp(f, 1, 2, 0);
	frame_end(f, 40000u << 16 | 4789, IPPROTO_UDP, PM_KIND_IPV4, 0);

	f = add_tunnel("TCP over IPv6 in GENEVE with options", IPPROTO_UDP);
	put_udp(f, 40000, 6081);
	put(f, "\x02\0\x65\x58\0\0\0\0", 8);
	put_fill(f, 8, 0);
	put_fill(f, 12, 2);
	put16(f, ETH_P_IPV6);
	put_ipv6(f, IPPROTO_TCP);
	put_tcp(f, 1, 2, 2);
	frame_end(f, 40000u << 16 | 6081, IPPROTO_UDP, PM_KIND_IPV4, 0);

	f = add_tunnel("UDP in GRE with a key", IPPROTO_GRE);
	put(f, "\x20\0\x08\0\0\0\0\1", 8);
	put_ipv4(f, IPPROTO_UDP, 0, 0);
	put_udp(f, 1, 2);
	frame_end(f, 0, IPPROTO_GRE, PM_KIND_IPV4, 0);

	f = add_tunnel("TCP in IPIP", IPPROTO_IPIP);
	put_ipv4(f, IPPROTO_TCP, 1, 0);
	put_tcp(f, 1, 2, 1);
	frame_end(f, 0, IPPROTO_IPIP, PM_KIND_IPV4, 0);

	f = add_tunnel("TCP in 6in4", IPPROTO_IPV6);
	put_ipv6(f, IPPROTO_TCP);
	put_tcp(f, 1, 2, 0);
	frame_end(f, 0, IPPROTO_IPV6, PM_KIND_IPV4, 0);
}

static enum pm_reason parse(const struct frame *f, __u32 len, __u32 linear, struct pm_key *key)
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
			enum pm_reason reason = parse(f, len, linear, &key);

			EXPECT(reason == (cut ? PM_TRUNCATED : PM_OK), "%s, %u of %u bytes: %d",
			       f->name, linear, len, reason);
			EXPECT(reason || !memcmp(&key, &f->key, sizeof(key)),
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
		state_length(&f, len);
		if (len >= f.ip + (f.bytes[f.ip] >> 4 == 4 ? sizeof(struct iphdr)
							   : sizeof(struct ipv6hdr) + 1))
			EXPECT(parse(&f, f.len, f.len, &key) == expected(&f, len),
			       "%s, %u bytes with padding", f.name, len);
		for (__u32 linear = 0; linear <= len; linear++) {
			enum pm_reason reason = parse(&f, len, linear, &key);

			EXPECT(reason == expected(&f, len), "%s, %u of %u bytes: %d", f.name,
			       linear, len, reason);
			EXPECT(reason || !memcmp(&key, &f.key, sizeof(key)),
			       "%s, %u of %u bytes: key", f.name, linear, len);
		}
	}
}

/* A GSO packet: each segment repeats all headers. Cut off, it counts at least what is there. */
static void check_wire(const struct frame *f)
{
	const __u64 segments = 3;

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
		if (len == f->len)
			EXPECT(wire.packets == (len - f->payload + 6) / 7 &&
				       wire.bytes == len + (wire.packets - 1) * f->payload +
							     4 * wire.packets,
			       "%s: %llu packets of %llu bytes", f->name, wire.packets, wire.bytes);
		native_skb_free(&skb);
	}
}

int main(void)
{
	make_frames();
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
