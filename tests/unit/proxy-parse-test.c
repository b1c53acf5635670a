// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf/proxy-parse.h, compiled for this machine: packets and ICMP quotes, cut off at every length
 * and at every end of the linear part.
 */
#include "bpf-native.h"
#include "check.h"
#include "frame.h"

#include "../../bpf/proxy-parse.h"

enum {
	IP = ETH_HLEN,
	L4 = ETH_HLEN + sizeof(struct ip_head),
	QUOTED_L4 = L4 + 8 + sizeof(struct ip_head), /* of a packet without options */
	TIME_EXCEEDED = PROXY_SIZE(11, 3),
};

static struct frame frames[16];
static enum proxy_counter reasons[16]; /* what is said of each, if all of it is there */
static __u32 frame_count;

#if PROXY_FAMILY == 4

/* Append an IP header. @options: 32-bit words of them; @frag: flags and offset of a fragment */
static void parse_ip(struct frame *f, __u8 proto, __u32 options, __u32 frag)
{
	frame_ipv4(f, proto, options, frag);
}

/* Have the IP header at @ip state 1500 bytes. */
static void parse_state_more(__u8 *ip)
{
	memcpy(ip + 2, "\x05\xdc", 2);
}

#else

static void parse_extension(struct frame *f, __u8 next, __u32 len)
{
	frame_put(f, (const __u8[2]){ next, (__u8)(len / 8 - 1) }, 2);
	frame_fill(f, len - 2, 0);
}

/* The same, with headers of IPv6 for options and a fragment. */
static void parse_ip(struct frame *f, __u8 proto, __u32 options, __u32 frag)
{
	__u32 offset = (frag & IP_OFFSET) << 3 | (frag & IP_MF ? IP6_MORE : 0);
	__u8 inner = frag ? IPPROTO_FRAGMENT : proto;

	frame_ipv6(f, options ? IPPROTO_DSTOPTS : inner);
	if (options)
		parse_extension(f, inner, (options + 1) / 2 * 8);
	if (!frag)
		return;
	frame_put(f, (const __u8[2]){ proto }, 2);
	frame_put16(f, offset);
	frame_put(f, "\0\0\0\7", 4);
}

static void parse_state_more(__u8 *ip)
{
	memcpy(ip + 4, "\x05\xdc", 2);
}

#endif

static struct frame *parse_add(const char *name, __u8 proto, __u32 options, __u32 frag)
{
	struct frame *f = &frames[frame_count++];

	*f = frame_begin(name, PROXY_SIZE(ETH_P_IP, ETH_P_IPV6));
	parse_ip(f, proto, options, frag);
	f->headers = f->len;
	return f;
}

/* UDP over IPv6 has a checksum; what it is does not matter here. */
static void parse_udp(struct frame *f)
{
	frame_udp(f, 1000, 2000);
	f->bytes[f->len - 1] = 1;
}

/* @ports: whether the transport header, with its ports, is there */
static void parse_end(struct frame *f, bool ports)
{
	if (ports)
		f->headers = f->payload = f->len;
	frame_fill(f, 20, 0xaa);
	frame_state_length(f, f->len);
}

#if PROXY_FAMILY == 6

/* @count headers in front of a datagram. */
static struct frame *parse_add_many(const char *name, __u32 count)
{
	static const __u8 kinds[] = { IPPROTO_HOPOPTS, IPPROTO_DSTOPTS, IPPROTO_ROUTING };
	struct frame *f = parse_add(name, kinds[0], 0, 0);

	for (__u32 i = 1; i < count; i++)
		parse_extension(f, kinds[i % 3], 8 + i % 2 * 8);
	parse_extension(f, IPPROTO_UDP, 8);
	parse_udp(f);
	return f;
}

static void parse_make_extensions(void)
{
	struct frame *f;

	parse_end(parse_add_many("eight extension headers", IP_EXTENSIONS_MAX), true);
	parse_end(parse_add_many("nine extension headers", IP_EXTENSIONS_MAX + 1), true);
	reasons[frame_count - 1] = PROXY_MALFORMED;
	f = parse_add("a fragment behind options", IPPROTO_UDP, 3, IP_MF);
	parse_udp(f);
	parse_end(f, true);
	f = parse_add("an authentication header", IPPROTO_AH, 0, 0);
	parse_extension(f, IPPROTO_UDP, 16);
	parse_udp(f);
	parse_end(f, false);
	f = parse_add("a routing header with a segment left", IPPROTO_ROUTING, 0, 0);
	frame_put(f, (const __u8[8]){ IPPROTO_UDP, 0, 4, 1 }, 8);
	parse_udp(f);
	reasons[frame_count - 1] = PROXY_ROUTED;
	parse_end(f, false);
}

#endif

static void parse_make_frames(void)
{
	struct frame *f;

	f = parse_add("TCP", IPPROTO_TCP, 0, 0);
	frame_tcp(f, 1000, 2000, 0);
	parse_end(f, true);
	f = parse_add("TCP with options", IPPROTO_TCP, 0, 0);
	frame_tcp(f, 1000, 2000, 4);
	parse_end(f, true);
	f = parse_add("UDP", IPPROTO_UDP, 0, 0);
	parse_udp(f);
	parse_end(f, true);
	f = parse_add("UDP behind IP options", IPPROTO_UDP, 3, 0);
	parse_udp(f);
	parse_end(f, true);
	f = parse_add("first fragment", IPPROTO_UDP, 0, IP_MF);
	parse_udp(f);
	parse_end(f, true);
	f = parse_add("later fragment", IPPROTO_TCP, 0, 3);
	parse_end(f, false);
	f = parse_add("another protocol", IPPROTO_ESP, 0, 0);
	parse_end(f, false);
	f = parse_add("UDP without a checksum", IPPROTO_UDP, 0, 0);
	frame_udp(f, 1000, 2000);
	reasons[frame_count - 1] = PROXY_SIZE(PROXY_OK, PROXY_NO_CHECKSUM);
	parse_end(f, true);
#if PROXY_FAMILY == 6
	parse_make_extensions();
#endif
}

/* Read @len bytes of @f. Return: what both readers agree on. */
static enum proxy_counter read_both(const struct frame *f, __u32 len, __u32 linear)
{
	struct native_skb skb;
	enum proxy_counter reason;
	struct packet p, plain;

	native_skb_init(&skb, f->bytes, len, linear);
	reason = packet_read_other(&skb, &p, ETH_HLEN);
	memset(&plain, 0, sizeof(plain));
	if (packet_read_plain(&skb, &plain))
		EXPECT(reason == PROXY_OK && !memcmp(&plain, &p, sizeof(p)),
		       "%s, %u of %u bytes: plain, but not so for packet_read_other()", f->name,
		       linear, len);
	if (reason == PROXY_OK && f->payload)
		EXPECT(p.headers == f->headers && p.from.sport == bpf_htons(1000) &&
			       p.from.dport == bpf_htons(2000),
		       "%s, %u of %u bytes: ports", f->name, linear, len);
	native_skb_free(&skb);
	return reason;
}

static void check_packets(void)
{
	check_begin("packets that end within their headers are malformed, others are read");
	for (__u32 i = 0; i < frame_count; i++) {
		struct frame f = frames[i];

		for (__u32 len = 0; len <= f.len; len++)
			for (__u32 linear = 0; linear <= len; linear++)
				EXPECT(read_both(&f, len, linear) ==
					       (len < f.len ? PROXY_MALFORMED : reasons[i]),
				       "%s cut at %u, %u linear", f.name, len, linear);
		for (__u32 len = IP + PROXY_SIZE(0, L4 - IP); len <= f.len; len++) {
			frame_state_length(&f, len);
			for (__u32 linear = 0; linear <= f.len; linear++)
				EXPECT(read_both(&f, f.len, linear) ==
					       (len < f.headers ? PROXY_MALFORMED : reasons[i]),
				       "%s of %u bytes, %u linear", f.name, len, linear);
		}
	}
	check_end();
}

/* An error about a packet with @options words of IP options. Return: where the quoted ports end. */
static __u32 make_error(struct frame *f, __u8 type, __u8 proto, __u32 options)
{
	__u32 enough;

	*f = frame_begin("error", PROXY_SIZE(ETH_P_IP, ETH_P_IPV6));
	parse_ip(f, IP_ICMP, 0, 0);
	frame_put(f, (const __u8[8]){ type }, 8);
	parse_ip(f, proto, options, 0);
	enough = f->len + 8;
	frame_tcp(f, 3000, 4000, 0);
	/* The quote states more than there is. */
	parse_state_more(f->bytes + L4 + 8);
	frame_state_length(f, f->len);
	return enough;
}

static int read_quote(const struct frame *f, __u32 len, __u32 linear, struct quote *quote)
{
	struct native_skb skb;
	struct packet outer;
	int err = -EINVAL;

	memset(quote, 0, sizeof(*quote));
	native_skb_init(&skb, f->bytes, len, linear);
	if (packet_read_other(&skb, &outer, ETH_HLEN) == PROXY_OK)
		err = quote_read(&skb, &outer, quote, ICMP_ECHO_REQUEST);
	native_skb_free(&skb);
	return err;
}

static void check_quotes(void)
{
	struct quote quote;
	struct frame f;

	check_begin("ICMP errors are read if they quote the ports");
	for (__u32 options = 0; options <= 10; options += 5) {
		__u32 enough = make_error(&f, ICMP_DEST_UNREACH, IPPROTO_TCP, options),
		      full = f.len;

		for (__u32 len = L4 + 8; len <= full; len++) {
			frame_state_length(&f, len);
			for (__u32 linear = 0; linear <= len; linear++) {
				int err = read_quote(&f, len, linear, &quote);

				EXPECT(!err == (len >= enough), "%u bytes, %u linear: %d", len,
				       linear, err);
				EXPECT(err || (quote.p.end == len && quote.ip == L4 + 8 &&
					       quote.p.l4 == enough - 8 &&
					       quote.p.from.sport == bpf_htons(3000) &&
					       quote.p.from.dport == bpf_htons(4000)),
				       "%u bytes, %u linear: fields", len, linear);
			}
		}
	}
	check_end();
	make_error(&f, ICMP_ECHO_REQUEST, IPPROTO_TCP, 0);
	CHECK_EQ(read_quote(&f, f.len, f.len, &quote), -ENOENT, "an echo request quotes nothing");
	make_error(&f, TIME_EXCEEDED, IPPROTO_ESP, 0);
	CHECK_EQ(read_quote(&f, f.len, f.len, &quote), -ENOENT, "a quoted ESP packet: no ports");
	make_error(&f, TIME_EXCEEDED, IP_ICMP, 0);
	f.bytes[QUOTED_L4] = ICMP_ECHO_REPLY;
	CHECK_EQ(read_quote(&f, f.len, f.len, &quote), -ENOENT,
		 "nor has an echo reply to an error");
	f.bytes[QUOTED_L4] = ICMP_ECHO_REQUEST;
	memcpy(f.bytes + QUOTED_L4 + 4, "\x12\x34", 2);
	CHECK(!read_quote(&f, f.len, f.len, &quote) && quote.p.from.sport == bpf_htons(0x1234) &&
		      !quote.p.from.dport && quote.p.l4 == QUOTED_L4 + 4,
	      "a quoted echo request has its identifier");
}

/* An echo message with the identifier 0x1234, which ends @cut bytes early. */
static int parse_read_echo(__u8 type, __u32 frag, __u32 cut, __u32 linear, struct packet *p)
{
	struct native_skb skb;
	struct frame f = frame_begin("echo", PROXY_SIZE(ETH_P_IP, ETH_P_IPV6));
	int found;

	parse_ip(&f, IP_ICMP, 0, frag);
	frame_put(&f, (const __u8[8]){ type, 0, 0, 0, 0x12, 0x34, 0, 1 }, 8);
	frame_state_length(&f, f.len - cut);
	native_skb_init(&skb, f.bytes, f.len, linear < f.len ? linear : f.len);
	found = packet_read_other(&skb, p, ETH_HLEN) == PROXY_OK &&
		echo_read(&skb, p, ICMP_ECHO_REQUEST);
	native_skb_free(&skb);
	return found;
}

static void check_echo(void)
{
	struct packet p;

	for (__u32 linear = L4; linear <= L4 + 8; linear += 8)
		CHECK(parse_read_echo(ICMP_ECHO_REQUEST, 0, 0, linear, &p) && p.l4 == L4 + 4 &&
			      p.from.sport == bpf_htons(0x1234) && !p.from.dport,
		      "an echo request is read, %u bytes linear", linear);
	CHECK(parse_read_echo(ICMP_ECHO_REQUEST, IP_MF, 0, L4 + 8, &p), "so is its first fragment");
	CHECK(!parse_read_echo(ICMP_ECHO_REQUEST, 1, 0, L4 + 8, &p), "but not a later one");
	CHECK(!parse_read_echo(ICMP_ECHO_REPLY, 0, 0, L4 + 8, &p),
	      "nor a reply, where it is not meant");
	CHECK(!parse_read_echo(ICMP_ECHO_REQUEST, 0, 1, L4 + 8, &p) && p.l4 == L4,
	      "nor a message of 7 bytes, which stays as it was");
}

int main(void)
{
	parse_make_frames();
	check_packets();
	check_quotes();
	check_echo();
	return check_exit();
}
