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

enum { FRAMES_MAX = 48 };
static struct frame frames[FRAMES_MAX];
static struct pm_key keys[FRAMES_MAX];	 /* what pm_parse() has to make of them */
static struct pm_key inners[FRAMES_MAX]; /* and pm_read_inner() */
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
	frame_state_inner(f, f->len);
	if (f->ip && f->bytes[f->ip] >> 4 == 4)
		key_of(f)->addr[0] = (__u64)bpf_htonl(0x0a00000a) << 32 | bpf_htonl(0x0a000001);
	else if (f->ip)
		memcpy(key_of(f)->addr, f->bytes + f->ip + 8, 32);
	key_of(f)->meta = pm_key_meta(ports, proto, kind, vlan);
	inners[f - frames] = *key_of(f);
}

/* The frame has a second tag. */
static void frame_inner_vlan(struct frame *f, __u16 vlan)
{
	struct pm_key *key = key_of(f);

	key->inner_vlan = vlan;
	key->meta |= (__u64)(PM_KIND_QINQ | PM_KIND_LONG) << 40;
	inners[f - frames] = *key;
}

/* A tunnel carries a packet of this flow; addresses as frame_ipv4() and frame_ipv6() make them. */
static void frame_inner(struct frame *f, __u32 ports, __u8 proto, __u8 kind, __u16 vlan)
{
	struct pm_key *key = &inners[f - frames];

	memset(key->addr, 0, sizeof(key->addr));
	if (kind == PM_KIND_IPV4)
		key->addr[0] = keys[0].addr[0];
	else if (kind == PM_KIND_IPV6)
		memcpy(key->addr,
		       "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
		       "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2",
		       32);
	else
		key->addr[0] = key->addr[1] = 0x020202020202;
	key->meta = pm_key_meta(ports, proto, kind, vlan);
}

/* A frame that is not IP: its key has the addresses of frame_begin(). */
static void frame_end_other(struct frame *f, __u16 ethertype, __u16 vlan)
{
	f->ip = 0;
	f->headers = f->len;
	frame_end(f, ethertype, 0, PM_KIND_OTHER, vlan);
	f->payload = 0;
	key_of(f)->addr[0] = 0x020202020202;
	key_of(f)->addr[1] = 0x020101010101;
	inners[f - frames] = *key_of(f);
}

/* IPv4 and UDP, the end of most frames. */
static void frame_end_udp(struct frame *f, __u16 vlan)
{
	frame_ipv4(f, IPPROTO_UDP, 0, 0);
	f->headers = f->len + 4;
	frame_udp(f, 1000, 2000);
	frame_end(f, 1000 << 16 | 2000, IPPROTO_UDP, PM_KIND_IPV4, vlan);
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
	frame_end_udp(f, 0);

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
	frame_end_udp(f, 5);
	frame_inner_vlan(f, 6);

	f = add("four tags", ETH_P_QINQ1);
	frame_tag(f, 0, ETH_P_8021AD);
	frame_tag(f, 0, ETH_P_8021Q);
	frame_tag(f, 7, ETH_P_8021Q);
	frame_tag(f, 8, ETH_P_IP);
	frame_end_udp(f, 0);
	frame_inner_vlan(f, 0);

	f = add("PPPoE", ETH_P_PPP_SES);
	frame_put(f, "\x11\0\1\2\0\x1e\0\x21", 8);
	frame_end_udp(f, 0);

	f = add("IPv6 in PPPoE behind a tag", ETH_P_8021Q);
	frame_tag(f, 9, ETH_P_PPP_SES);
	frame_put(f, "\x11\0\1\2\0\x1e\0\x57", 8);
	frame_ipv6(f, IPPROTO_TCP);
	f->headers = f->len + 4;
	frame_tcp(f, 1000, 2000, 0);
	frame_end(f, ports, IPPROTO_TCP, PM_KIND_IPV6, 9);

	f = add("LCP in PPPoE", ETH_P_PPP_SES);
	frame_put(f, "\x11\0\1\2\0\6\xc0\x21", 8);
	frame_end_other(f, ETH_P_PPP_SES, 0);

	f = add("no session packet of PPPoE", ETH_P_PPP_SES);
	frame_put(f, "\x11\x09\1\2\0\6\0\x21", 8);
	frame_end_other(f, ETH_P_PPP_SES, 0);

	f = add("MPLS", ETH_P_MPLS_UC);
	frame_put(f, "\0\1\0\x40\0\2\x01\x40", 8);
	frame_end_udp(f, 0);

	f = add("IPv6 behind eight labels of MPLS and two tags", ETH_P_8021Q);
	frame_tag(f, 1, ETH_P_8021Q);
	frame_tag(f, 2, ETH_P_MPLS_MC);
	for (int i = 0; i < 7; i++)
		frame_put(f, "\0\1\0\x40", 4);
	frame_put(f, "\0\2\x01\x40", 4);
	frame_ipv6(f, IPPROTO_TCP);
	f->headers = f->len + 4;
	frame_tcp(f, 1000, 2000, 0);
	frame_end(f, ports, IPPROTO_TCP, PM_KIND_IPV6, 1);
	frame_inner_vlan(f, 2);

	f = add("an Ethernet frame behind MPLS", ETH_P_MPLS_UC);
	frame_put(f, "\0\2\x01\x40\0\0\0\1", 8);
	frame_end_other(f, ETH_P_MPLS_UC, 0);

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
	frame_end_other(f, ETH_P_ARP, 0);

	f = add("IEEE 802.3 length", 46);
	frame_end_other(f, ETH_P_802_2, 0);

	f = add("no link layer", ETH_P_IP);
	f->l2_len = f->len = 0;
	frame_ipv4(f, IPPROTO_UDP, 0, 0);
	f->ip = 0;
	f->headers = f->len + 4;
	frame_udp(f, 1000, 2000);
	frame_end(f, ports, IPPROTO_UDP, PM_KIND_IPV4, 0);
	key_of(f)->addr[0] = inners[f - frames].addr[0] = keys[0].addr[0];
	((struct iphdr *)f->bytes)->tot_len = bpf_htons((__u16)f->len);

	f = add_tunnel("TCP in VXLAN", IPPROTO_UDP);
	frame_udp(f, 40000, 4789);
	frame_put(f, "\x08\0\0\0\0\0\x2a\0", 8);
	frame_fill(f, 12, 2);
	frame_put16(f, ETH_P_IP);
	frame_ipv4(f, IPPROTO_TCP, 0, 0);
	frame_tcp(f, 1, 2, 0);
	frame_end(f, 40000u << 16 | 4789, IPPROTO_UDP, PM_KIND_IPV4, 0);
	frame_inner(f, 1 << 16 | 2, IPPROTO_TCP, PM_KIND_IPV4, 0);

	f = add_tunnel("ARP in VXLAN", IPPROTO_UDP);
	f->payload = f->len + 8; /* the kernel aggregates no such packets: these are datagrams */
	frame_udp(f, 40000, 8472);
	frame_put(f, "\x08\0\0\0\0\0\x2a\0", 8);
	frame_fill(f, 12, 2);
	frame_put16(f, ETH_P_ARP);
	frame_end(f, 40000u << 16 | 8472, IPPROTO_UDP, PM_KIND_IPV4, 0);
	frame_inner(f, ETH_P_ARP, 0, PM_KIND_OTHER, 0);

	f = add_tunnel("TCP in VXLAN-GPE", IPPROTO_UDP);
	frame_udp(f, 40000, 4789);
	frame_put(f, "\x0c\0\0\x01\0\0\x2a\0", 8);
	frame_ipv4(f, IPPROTO_TCP, 0, 0);
	frame_tcp(f, 1, 2, 0);
	frame_end(f, 40000u << 16 | 4789, IPPROTO_UDP, PM_KIND_IPV4, 0);
	frame_inner(f, 1 << 16 | 2, IPPROTO_TCP, PM_KIND_IPV4, 0);

	f = add_tunnel("TCP over IPv6 in VXLAN-GPE", IPPROTO_UDP);
	frame_udp(f, 40000, 4789);
	frame_put(f, "\x0c\0\0\x02\0\0\x2a\0", 8);
	frame_ipv6(f, IPPROTO_TCP);
	frame_tcp(f, 1, 2, 0);
	frame_end(f, 40000u << 16 | 4789, IPPROTO_UDP, PM_KIND_IPV4, 0);
	frame_inner(f, 1 << 16 | 2, IPPROTO_TCP, PM_KIND_IPV6, 0);

	f = add_tunnel("UDP over Ethernet in VXLAN-GPE at another port", IPPROTO_UDP);
	frame_udp(f, 40000, 4790);
	frame_put(f, "\x0c\0\0\x03\0\0\x2a\0", 8);
	frame_fill(f, 12, 2);
	frame_put16(f, ETH_P_IP);
	frame_ipv4(f, IPPROTO_UDP, 0, 0);
	frame_udp(f, 1, 2);
	frame_end(f, 40000u << 16 | 4790, IPPROTO_UDP, PM_KIND_IPV4, 0);

	f = add_tunnel("IPv4 behind UDP (FOU) at another port", IPPROTO_UDP);
	frame_udp(f, 40000, 5555);
	frame_ipv4(f, IPPROTO_TCP, 0, 0);
	frame_tcp(f, 1, 2, 0);
	frame_end(f, 40000u << 16 | 5555, IPPROTO_UDP, PM_KIND_IPV4, 0);

	f = add_tunnel("IPv6 behind UDP (FOU) at another port", IPPROTO_UDP);
	frame_udp(f, 40000, 5555);
	frame_ipv6(f, IPPROTO_TCP);
	frame_tcp(f, 1, 2, 0);
	frame_end(f, 40000u << 16 | 5555, IPPROTO_UDP, PM_KIND_IPV4, 0);

	f = add_tunnel("a service header in VXLAN-GPE", IPPROTO_UDP);
	f->payload = f->len + 8;
	frame_udp(f, 40000, 4789);
	frame_put(f, "\x0c\0\0\x04\0\0\x2a\0", 8);
	frame_fill(f, 12, 2);
	frame_end(f, 40000u << 16 | 4789, IPPROTO_UDP, PM_KIND_IPV4, 0);

	f = add_tunnel("VXLAN without a valid VNI", IPPROTO_UDP);
	f->payload = f->len + 8;
	frame_udp(f, 40000, 4789);
	frame_fill(f, 8, 0);
	frame_fill(f, 12, 2);
	frame_put16(f, ETH_P_IP);
	frame_ipv4(f, IPPROTO_UDP, 0, 0);
	frame_end(f, 40000u << 16 | 4789, IPPROTO_UDP, PM_KIND_IPV4, 0);

	f = add_tunnel("TCP behind a tag in VXLAN at another port", IPPROTO_UDP);
	frame_udp(f, 40000, 9999);
	frame_put(f, "\x08\0\0\0\0\0\x2a\0", 8);
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
	frame_inner(f, 1 << 16 | 2, IPPROTO_TCP, PM_KIND_IPV6, 0);

	f = add_tunnel("IPv4 in GENEVE", IPPROTO_UDP);
	frame_udp(f, 40000, 6081);
	frame_put(f, "\0\0\x08\0\0\0\0\0", 8);
	frame_ipv4(f, IPPROTO_UDP, 0, 0);
	frame_udp(f, 1, 2);
	frame_end(f, 40000u << 16 | 6081, IPPROTO_UDP, PM_KIND_IPV4, 0);
	frame_inner(f, 1 << 16 | 2, IPPROTO_UDP, PM_KIND_IPV4, 0);

	f = add_tunnel("a tagged frame in GRE with checksum, key and sequence", IPPROTO_GRE);
	frame_put(f, "\xb0\0\x65\x58\0\0\0\0\0\0\0\1\0\0\0\2", 16);
	frame_fill(f, 12, 2);
	frame_put16(f, ETH_P_8021Q);
	frame_tag(f, 3, ETH_P_IP);
	frame_ipv4(f, IPPROTO_UDP, 0, 0);
	frame_udp(f, 1, 2);
	frame_end(f, 0, IPPROTO_GRE, PM_KIND_IPV4, 0);
	frame_inner(f, 1 << 16 | 2, IPPROTO_UDP, PM_KIND_IPV4, 3);

	f = add_tunnel("another version of GRE", IPPROTO_GRE);
	f->payload = f->len;
	frame_put(f, "\0\1\x08\0", 4);
	frame_ipv4(f, IPPROTO_UDP, 0, 0);
	frame_end(f, 0, IPPROTO_GRE, PM_KIND_IPV4, 0);

	f = add_tunnel("another version of GENEVE", IPPROTO_UDP);
	f->payload = f->len + 8;
	frame_udp(f, 40000, 6081);
	frame_put(f, "\x40\0\x08\0\0\0\0\0", 8);
	frame_ipv4(f, IPPROTO_UDP, 0, 0);
	frame_end(f, 40000u << 16 | 6081, IPPROTO_UDP, PM_KIND_IPV4, 0);

	f = add("the first fragment of a tunnel's packet", ETH_P_IP);
	frame_ipv4(f, IPPROTO_IPIP, 0, IPV4_MORE);
	f->headers = f->len;
	frame_ipv4(f, IPPROTO_UDP, 0, 0);
	frame_udp(f, 1, 2);
	frame_end(f, 0, IPPROTO_IPIP, PM_KIND_IPV4, 0);
	f->payload = 0;

	f = add("4in6", ETH_P_IPV6);
	frame_ipv6(f, IPPROTO_DSTOPTS);
	frame_put(f, "\x04\0\x04\1\4\1\1\0", 8);
	f->headers = f->len;
	frame_ipv4(f, IPPROTO_TCP, 0, 0);
	frame_tcp(f, 1, 2, 0);
	frame_end(f, 0, IPPROTO_IPIP, PM_KIND_IPV6, 0);
	frame_inner(f, 1 << 16 | 2, IPPROTO_TCP, PM_KIND_IPV4, 0);

	f = add_tunnel("four tunnels", IPPROTO_IPIP);
	frame_ipv4(f, IPPROTO_IPV6, 0, 0);
	frame_ipv6(f, IPPROTO_IPIP);
	frame_ipv4(f, IPPROTO_IPV6, 0, 0);
	frame_ipv6(f, IPPROTO_UDP);
	frame_udp(f, 1, 2);
	frame_end(f, 0, IPPROTO_IPIP, PM_KIND_IPV4, 0);
	frame_inner(f, 1 << 16 | 2, IPPROTO_UDP, PM_KIND_IPV6, 0);

	f = add_tunnel("UDP in GRE with a key", IPPROTO_GRE);
	frame_put(f, "\x20\0\x08\0\0\0\0\1", 8);
	frame_ipv4(f, IPPROTO_UDP, 0, 0);
	frame_udp(f, 1, 2);
	frame_end(f, 0, IPPROTO_GRE, PM_KIND_IPV4, 0);
	frame_inner(f, 1 << 16 | 2, IPPROTO_UDP, PM_KIND_IPV4, 0);

	f = add_tunnel("TCP in IPIP", IPPROTO_IPIP);
	frame_ipv4(f, IPPROTO_TCP, 1, 0);
	frame_tcp(f, 1, 2, 1);
	frame_end(f, 0, IPPROTO_IPIP, PM_KIND_IPV4, 0);
	frame_inner(f, 1 << 16 | 2, IPPROTO_TCP, PM_KIND_IPV4, 0);

	f = add_tunnel("TCP in 6in4", IPPROTO_IPV6);
	frame_ipv6(f, IPPROTO_TCP);
	frame_tcp(f, 1, 2, 0);
	frame_end(f, 0, IPPROTO_IPV6, PM_KIND_IPV4, 0);
	frame_inner(f, 1 << 16 | 2, IPPROTO_TCP, PM_KIND_IPV6, 0);
}

/* What the programs make of the first @len bytes of a frame. */
struct parsed {
	enum pm_reason reason;
	struct pm_key key;
	struct pm_key inner; /* with --inner */
	enum pm_reason inner_reason;
};

static struct parsed parse_frame(const struct frame *f, __u32 len, __u32 linear)
{
	struct pm_packet pkt = PM_PACKET_INIT(PM_INGRESS);
	struct native_skb skb;
	struct pm_key plain = {};
	struct pm_count wire;
	struct parsed out;

	native_skb_init(&skb, f->bytes, len, linear);
	skb.protocol = f->ethertype;
	out.reason = out.inner_reason = pm_parse(&skb, &pkt, f->l2_len);
	out.key = pkt.key;
	wire = pm_wire_count(&skb, &pkt);
	if (!out.reason)
		out.inner_reason = pm_read_inner(&skb, &pkt);
	out.inner = pkt.key;
	EXPECT(wire.packets == 1 && wire.bytes == len, "%s: %llu bytes of %u", f->name, wire.bytes,
	       len);
	if (pm_parse_plain(&skb, PM_INGRESS, &plain, f->l2_len))
		EXPECT(!out.reason && !memcmp(&plain, &out.key, sizeof(plain)) &&
			       (pm_may_be_tunnel(&plain) ||
				!memcmp(&plain, &out.inner, sizeof(plain))),
		       "%s, %u of %u bytes: plain, but pm_parse() says %d", f->name, linear, len,
		       out.reason);
	native_skb_free(&skb);
	return out;
}

/* As the IP header says it at @len bytes of @f. */
static enum pm_reason expected(const struct frame *f, __u32 len)
{
	__u32 options = f->bytes[f->ip] >> 4 == 4 ? (f->bytes[f->ip] & 0xf) * 4U : 0;

	if (f->ip && options && len >= f->ip + sizeof(struct iphdr) && len < f->ip + options)
		return PM_MALFORMED;
	return len < f->headers ? PM_TRUNCATED : PM_OK;
}

static __u32 family_of(const struct pm_key *key)
{
	return pm_key_kind(key) & PM_KIND_FAMILY;
}

/*
 * The key of @len bytes of @f is the whole frame's as far as these bytes go: no address, tag or
 * port is invented.
 */
static void check_partial(const struct frame *f, __u32 len, const struct pm_key *key)
{
	const struct pm_key *want = key_of(f);
	bool ip = f->ip || !f->l2_len;
	__u32 addresses =
		f->ip + (f->bytes[f->ip] >> 4 == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));

	if (len < f->l2_len) {
		EXPECT(!key->addr[0] && !key->addr[1], "%s, %u bytes: addresses", f->name, len);
	} else if (!ip || len < addresses) {
		EXPECT(family_of(key) == PM_KIND_OTHER, "%s, %u bytes: IP", f->name, len);
		EXPECT(!f->l2_len ||
			       (key->addr[0] == 0x020202020202 && key->addr[1] == 0x020101010101),
		       "%s, %u bytes: MAC addresses", f->name, len);
	} else {
		EXPECT(!memcmp(key->addr, want->addr, sizeof(key->addr)) &&
			       family_of(key) == family_of(want) &&
			       pm_key_vlan(key) == pm_key_vlan(want) &&
			       key->inner_vlan == want->inner_vlan,
		       "%s, %u bytes: addresses and tags", f->name, len);
		EXPECT((__u32)key->meta == (len < f->headers ? 0 : (__u32)want->meta),
		       "%s, %u bytes: ports %x", f->name, len, (__u32)key->meta);
	}
}

/* The frame ends early; its headers still say how long it was. */
static void check_cut(const struct frame *f)
{
	bool ip = f->ip || !f->l2_len;

	for (__u32 len = 0; len <= f->len; len++) {
		bool cut = ip ? len < f->len : len < f->headers;

		for (__u32 linear = 0; linear <= len; linear++) {
			struct parsed got = parse_frame(f, len, linear);

			EXPECT(got.reason == (cut ? PM_TRUNCATED : PM_OK), "%s, %u of %u bytes: %d",
			       f->name, linear, len, got.reason);
			EXPECT(cut || (!memcmp(&got.key, key_of(f), sizeof(got.key)) &&
				       !memcmp(&got.inner, &inners[f - frames], sizeof(got.key))),
			       "%s, %u of %u bytes: key", f->name, linear, len);
			check_partial(f, len, &got.key);
		}
	}
}

/* The packet is shorter, and its IP header says so. Padding behind it changes nothing. */
static void check_short(const struct frame *whole)
{
	const struct pm_key *inner = &inners[whole - frames];
	struct frame f = *whole;

	for (__u32 len = 0; f.ip && len <= f.len; len++) {
		frame_state_length(&f, len);
		if (len >= f.ip + (f.bytes[f.ip] >> 4 == 4 ? sizeof(struct iphdr)
							   : sizeof(struct ipv6hdr) + 1)) {
			struct parsed got = parse_frame(&f, f.len, f.len);

			EXPECT(got.reason == expected(&f, len), "%s, %u bytes with padding", f.name,
			       len);
			EXPECT(got.reason || len == f.len || family_of(inner) == PM_KIND_OTHER ||
				       !memcmp(&got.inner, &got.key, sizeof(got.key)),
			       "%s, %u bytes with padding: inner key", f.name, len);
		}
		for (__u32 linear = 0; linear <= len; linear++) {
			struct parsed got = parse_frame(&f, len, linear);

			EXPECT(got.reason == expected(&f, len), "%s, %u of %u bytes: %d", f.name,
			       linear, len, got.reason);
			EXPECT(got.reason || !memcmp(&got.key, key_of(whole), sizeof(got.key)),
			       "%s, %u of %u bytes: key", f.name, linear, len);
			/* What is inside ends too early: it is not believed. */
			EXPECT(got.reason || len == f.len || family_of(inner) == PM_KIND_OTHER ||
				       !memcmp(&got.inner, &got.key, sizeof(got.key)),
			       "%s, %u of %u bytes: inner key", f.name, linear, len);
		}
	}
}

/* A GSO packet: each segment repeats all headers. Cut off, it counts at least what is there. */
static void check_wire(const struct frame *f)
{
	const __u64 segments = (f->len - f->payload + 6) / 7;

	for (__u32 len = 0; len <= f->len; len++) {
		struct pm_packet pkt = PM_PACKET_INIT(PM_INGRESS);
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
		/* What the count has looked for leaves no trace in the innermost key. */
		if (len == f->len) {
			pm_read_inner(&skb, &pkt);
			EXPECT(!memcmp(&pkt.key, &inners[f - frames], sizeof(pkt.key)),
			       "%s: inner key of a GSO packet", f->name);
		}
		native_skb_free(&skb);
	}
}

/* The innermost packet ends within its ports: its addresses count. */
static void check_inner_short(const struct frame *whole)
{
	const struct pm_key *want = &inners[whole - frames];
	__u32 last = 0, ports;
	struct frame f = *whole;

	for (int i = 0; i < 4 && f.inner[i]; i++)
		last = f.inner[i];
	if (!last || !memcmp(want, key_of(whole), sizeof(*want)))
		return;
	ports = last + 4 +
		(f.bytes[last] >> 4 == 4 ? (f.bytes[last] & 0xf) * 4U : sizeof(struct ipv6hdr));
	f.inner[0] = last;
	f.inner[1] = 0;
	for (__u32 len = ports - 3; len <= f.len; len++) {
		bool cut = len < ports;
		struct parsed got;

		frame_state_inner(&f, len);
		got = parse_frame(&f, f.len, f.len);
		EXPECT(!got.reason && got.inner_reason == (cut ? PM_TRUNCATED : PM_OK),
		       "%s, %u bytes inside: %d", f.name, len, got.inner_reason);
		EXPECT(!memcmp(got.inner.addr, want->addr, sizeof(want->addr)) &&
			       (__u32)got.inner.meta == (cut ? 0 : (__u32)want->meta),
		       "%s, %u bytes inside: key", f.name, len);
	}
}

/* A user's datagram stays one, whatever port and content it has. */
static void check_own_datagram(void)
{
	struct bpf_sock sk = { .protocol = IPPROTO_UDP, .src_port = 40000 };
	struct udp_tunnel udp = { .sport = bpf_htons(40000), .dport = bpf_htons(4789), .first = 8 };
	__be16 ethertype;
	struct native_skb skb;

	native_skb_init(&skb, "", 0, 0);
	CHECK_EQ(pm_udp_tunnel(&skb, 34, &udp, false, &ethertype), 50, "a tunnel by its port");
	skb.sk = &sk;
	CHECK_EQ(pm_udp_tunnel(&skb, 34, &udp, true, &ethertype), 0, "no tunnel: a socket's data");
	CHECK_EQ(pm_udp_tunnel(&skb, 34, &udp, false, &ethertype), 0, "nor for its flow");
	sk.src_port = 1;
	CHECK_EQ(pm_udp_tunnel(&skb, 34, &udp, false, &ethertype), 50,
		 "a tunnel: another socket's data");
	native_skb_free(&skb);
}

/* Datagrams of a tunnel in one packet: only the headers up to UDP are what the packet repeats. */
static void check_whole_datagrams(void)
{
	struct udp_tunnel udp = { .dport = bpf_htons(4789), .first = 8 };
	__u8 bytes[34 + 8 + 2 * 30] = { [42] = 8, [42 + 30] = 8 };
	__be16 ethertype;
	struct native_skb skb;

	native_skb_init(&skb, bytes, sizeof(bytes), 50);
	skb.gso_size = 30;
	CHECK_EQ(pm_udp_tunnel(&skb, 34, &udp, true, &ethertype), 0, "whole datagrams");
	CHECK_EQ(pm_udp_tunnel(&skb, 34, &udp, false, &ethertype), 50, "the flow in the first");
	skb.gso_segs = 2;
	CHECK_EQ(pm_udp_tunnel(&skb, 34, &udp, true, &ethertype), 0, "two of them");
	skb.gso_segs = 1;
	CHECK_EQ(pm_udp_tunnel(&skb, 34, &udp, true, &ethertype), 50, "payload like a header");
	skb.bytes[42 + 30 + 7] = 1;
	CHECK_EQ(pm_udp_tunnel(&skb, 34, &udp, true, &ethertype), 50, "segments of one datagram");
	native_skb_free(&skb);
}

int main(void)
{
	make_frames();
	check_own_datagram();
	check_whole_datagrams();
	check_begin("frames that end early have the flow of what is there, linear or not");
	for (__u32 i = 0; i < frame_count; i++)
		check_cut(&frames[i]);
	check_end();
	check_begin("packets of every length have the flow of their headers");
	for (__u32 i = 0; i < frame_count; i++)
		check_short(&frames[i]);
	check_end();
	check_begin("packets inside of every length have the flow of what is there");
	for (__u32 i = 0; i < frame_count; i++)
		check_inner_short(&frames[i]);
	check_end();
	check_begin("each segment of a GSO packet repeats its headers");
	for (__u32 i = 0; i < frame_count; i++)
		if (frames[i].payload)
			check_wire(&frames[i]);
	check_end();
	return check_exit();
}
