// SPDX-License-Identifier: GPL-2.0-only
/* Packet in, packet out: what the proxy's programs make of every kind of packet. */
#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <string.h>

#include <bpf/bpf.h>

#include "check.h"
#include "frame-fields.h"
#include "proxy-rig.h"

/* Offsets and lengths in a frame without options. */
enum { L4 = L2_LEN + IP_LEN, QUOTE_MIN = IP_LEN + 8 };
enum { ERROR_MAX = PROXY_SIZE(576, 1280), QUOTE_MAX = ERROR_MAX - IP_LEN - 8 };

static struct rig rig;
static __u8 in[FRAME_MAX], out[FRAME_MAX], want[FRAME_MAX];

/* Run @in, which has to come out as @expected with verdict @verdict. */
static void nat_run(const char *name, enum rig_direction direction, size_t len,
		    const __u8 *expected, int verdict)
{
	size_t out_len;
	int got = rig_run(&rig, direction, in, len, out, &out_len);
	const char *differs = frame_differs(out, expected, len);

	check_begin(name);
	EXPECT(got == verdict, "verdict %d, want %d", got, verdict);
	EXPECT(out_len == len, "length %zu, want %zu", out_len, len);
	EXPECT(verdict == TC_ACT_SHOT || !differs, "%s", differs);
	check_end();
}

/* A packet that becomes another one, or (@to NULL) stays as it is. */
static void packet(const char *name, enum rig_direction direction, struct spec from,
		   const struct spec *to)
{
	size_t len = frame_build(in, &from);

	if (to)
		frame_build(want, to);
	nat_run(name, direction, len, to ? want : in, TC_ACT_UNSPEC);
}

/* @spec with other addresses and ports. */
static struct spec with(struct spec spec, const char *src, __u16 sport, const char *dst,
			__u16 dport)
{
	spec.src = src;
	spec.sport = sport;
	spec.dst = dst;
	spec.dport = dport;
	return spec;
}

static struct spec with_flags(struct spec spec, __u8 flags)
{
	spec.tcp_flags = flags;
	return spec;
}

static const struct spec tcp_syn = {
	.src = CLIENT,
	.dst = ORIGINAL,
	.sport = CLIENT_PORT,
	.dport = ORIGINAL_PORT,
	.proto = IPPROTO_TCP,
	.tcp_flags = TCP_SYN,
};
static const struct spec udp = {
	.src = CLIENT,
	.dst = ORIGINAL,
	.sport = CLIENT_PORT,
	.dport = ORIGINAL_PORT,
	.proto = IPPROTO_UDP,
	.payload = 18,
};

/* What the target gets of a packet of the client, and what it answers. */
static struct spec at_target(struct spec spec)
{
	return with(spec, spec.src, spec.sport, TARGET, TARGET_PORT);
}

static struct spec reply(struct spec spec)
{
	return with(spec, spec.dst, spec.dport, spec.src, spec.sport);
}

static void both_ways(const char *name, struct spec spec)
{
	struct spec sent = at_target(spec), answer = reply(sent), back = reply(spec);
	char line[128];

	snprintf(line, sizeof(line), "%s, egress", name);
	packet(line, RIG_EGRESS, spec, &sent);
	snprintf(line, sizeof(line), "%s, ingress", name);
	if (answer.proto == IPPROTO_TCP)
		answer.tcp_flags = back.tcp_flags = TCP_SYN | TCP_ACK;
	packet(line, RIG_INGRESS, answer, &back);
}

static void translation(void)
{
	struct spec spec;
	int payload;

	both_ways("TCP", tcp_syn);
	both_ways("UDP", udp);
	spec = udp;
	spec.no_check = true;
	if (PROXY_FAMILY == 4) {
		both_ways("UDP without a checksum", spec);
	} else {
		packet("UDP without a checksum passes", RIG_EGRESS, spec, NULL);
		packet("and from the target, too", RIG_INGRESS, reply(at_target(spec)), NULL);
		CHECK_EQ(rig_counter(&rig, PROXY_NO_CHECKSUM), 2, "which is counted");
	}
	spec = tcp_syn;
	spec.options = 10;
	both_ways("TCP with IP options", spec);
	spec = udp;
	spec.options = 1;
	both_ways("UDP with IP options", spec);
	spec = udp;
	spec.payload = 1471;
	both_ways("UDP of odd length", spec);

	check_begin("UDP checksums come out right, never as 0");
	for (payload = 0; payload < 1400; payload++) {
		size_t len, out_len;

		spec = udp;
		spec.payload = payload % 64;
		spec.id = payload;
		len = frame_build(in, &spec);
		if (spec.payload >= 2) { /* so that every value of the sum occurs */
			put16(in + L4 + 8, payload * 47);
			put16(in + L4 + 6, 0);
			put16(in + L4 + 6,
			      ~sum16(in + L4, 8 + spec.payload,
				     sum16(in + L2_LEN + IP_SRC, 2 * sizeof(proxy_addr),
					   17 + 8 + spec.payload))
				      ?: 0xffff);
		}
		rig_run(&rig, RIG_EGRESS, in, len, out, &out_len);
		EXPECT(!frame_wrong(out, out_len), "length %d: %s", payload,
		       frame_wrong(out, out_len));
		EXPECT(get16(out + L4 + 6), "length %d: 0", payload);
	}
	check_end();
}

static void not_ours(void)
{
	__u64 misses = 0;
	enum proxy_counter counter;
	struct spec spec;
	size_t len;

	rig_clear(&rig);
	packet("another port of the original", RIG_EGRESS,
	       with(tcp_syn, CLIENT, CLIENT_PORT, ORIGINAL, 80), NULL);
	packet("another host", RIG_EGRESS, with(udp, CLIENT, CLIENT_PORT, ROUTER, ORIGINAL_PORT),
	       NULL);
	packet("a packet of the target that is no reply", RIG_INGRESS,
	       with(udp, TARGET, 53, CLIENT, CLIENT_PORT), NULL);
	spec = udp;
	spec.proto = IPPROTO_GRE;
	packet("another protocol", RIG_EGRESS, spec, NULL);
	frame_build(want, &udp);
	len = frame_error(in, CLIENT, ORIGINAL, 8, 0, want, QUOTE_MIN);
	nat_run("an echo request to the original", RIG_EGRESS, len, in, TC_ACT_UNSPEC);
	len = frame_build(in, &tcp_syn);
	put16(in + 12, PROXY_SIZE(0x86dd, 0x0800));
	nat_run("the other family", RIG_EGRESS, len, in, TC_ACT_UNSPEC);
	for (counter = PROXY_OK; counter < PROXY_COUNTER_MAX; counter++)
		if (counter != PROXY_FLOWS)
			misses += rig_counter(&rig, counter);
	CHECK_EQ(misses, 0, "none of which is counted");
}

/* Have the header say that @len bytes follow it. */
static void set_length(__u8 *frame, size_t len)
{
	put16(frame + L2_LEN + PROXY_SIZE(2, 4), (__u16)(len + PROXY_SIZE(IP_LEN, 0)));
}

static void malformed(void)
{
	enum rig_direction direction;
	size_t len, full, out_len;
	__u64 before;
	struct spec spec;

	rig_clear(&rig);
	both_ways("a flow, for what follows", udp);
	both_ways("another, for what follows", tcp_syn);
	check_begin("a frame cut short at any length passes untouched");
	for (direction = RIG_EGRESS; direction <= RIG_INGRESS; direction++) {
		static const __u8 protos[] = { IPPROTO_UDP, IPPROTO_TCP };
		unsigned int i;

		for (i = 0; i < 2; i++) {
			spec = i ? tcp_syn : udp;
			spec.proto = protos[i];
			spec.options = 3;
			if (direction == RIG_INGRESS)
				spec = reply(at_target(spec));
			full = frame_build(in, &spec);
			for (len = L4; len < full; len++) {
				int got = rig_run(&rig, direction, in, len, out, &out_len);

				EXPECT(got == TC_ACT_UNSPEC && out_len == len &&
					       !memcmp(in, out, len),
				       "protocol %d, direction %d, length %zu", protos[i],
				       direction, len);
			}
		}
	}
	check_end();

	before = rig_counter(&rig, PROXY_MALFORMED);
	len = frame_build(in, &tcp_syn);
	if (PROXY_FAMILY == 4) {
		in[L2_LEN] = 0x44;
		nat_run("an IP header of 16 bytes", RIG_EGRESS, len, in, TC_ACT_UNSPEC);
	}
	in[L2_LEN] = PROXY_SIZE(0x65, 0x45);
	nat_run("the version of the other family", RIG_EGRESS, len, in, TC_ACT_UNSPEC);
	frame_build(in, &tcp_syn);
	set_length(in, 21);
	nat_run("a length beyond the frame", RIG_EGRESS, len, in, TC_ACT_UNSPEC);
	set_length(in, 19);
	nat_run("a length within the TCP header", RIG_EGRESS, len, in, TC_ACT_UNSPEC);
	put16(in + L2_LEN + PROXY_SIZE(2, 4), 0);
	nat_run("a length of 0", RIG_EGRESS, len, in, TC_ACT_UNSPEC);
	frame_build(in, &tcp_syn);
	in[L4 + 12] = 4 << 4;
	nat_run("a TCP header of 16 bytes", RIG_EGRESS, len, in, TC_ACT_UNSPEC);
	in[L4 + 12] = 6 << 4;
	nat_run("a TCP header beyond the packet", RIG_EGRESS, len, in, TC_ACT_UNSPEC);
	len = frame_build(in, &udp);
	put16(in + L4 + 4, 7);
	nat_run("a UDP length of 7", RIG_EGRESS, len, in, TC_ACT_UNSPEC);
	put16(in + L4 + 4, 27);
	nat_run("a UDP length beyond the packet", RIG_EGRESS, len, in, TC_ACT_UNSPEC);
	CHECK_EQ(rig_counter(&rig, PROXY_MALFORMED) - before, PROXY_SIZE(9, 8), "which is counted");

	len = frame_build(in, &udp);
	spec = at_target(udp);
	frame_build(want, &spec);
	memset(in + len, 0xa5, 6);
	memset(want + len, 0xa5, 6);
	nat_run("link-layer padding is left alone", RIG_EGRESS, len + 6, want, TC_ACT_UNSPEC);
}

/* Of IPv6 only: packets that no mapping is for because of their extension headers. */
static void extensions(void)
{
	struct spec spec = udp, to = at_target(udp);
	__u64 before = rig_counter(&rig, PROXY_ROUTED);
	__u8 *first = in + L2_LEN + IP_LEN;
	size_t len;

	rig_clear(&rig);
	spec.options = to.options = 2;
	len = frame_build(in, &spec);
	in[L2_LEN + IP_PROTO] = IPPROTO_ROUTING;
	first[3] = 1;
	nat_run("a routing header with a segment left passes", RIG_EGRESS, len, in, TC_ACT_UNSPEC);
	CHECK_EQ(rig_counter(&rig, PROXY_ROUTED) - before, 1, "and is counted");
	first[3] = 0;
	frame_build(want, &to);
	want[L2_LEN + IP_PROTO] = IPPROTO_ROUTING;
	memcpy(want + L2_LEN + IP_LEN, first, 8);
	nat_run("one without is stepped over", RIG_EGRESS, len, want, TC_ACT_UNSPEC);
	in[L2_LEN + IP_PROTO] = IPPROTO_AH;
	nat_run("an authentication header is not", RIG_EGRESS, len, in, TC_ACT_UNSPEC);

	before = rig_counter(&rig, PROXY_MALFORMED);
	for (int headers = 8; headers <= 9; headers++) {
		spec.options = to.options = 2 * headers;
		len = frame_build(in, &spec);
		frame_build(want, &to);
		for (int i = 0; i < headers; i++) {
			__u8 *extension = first + 8 * i;

			extension[0] = i == headers - 1 ? IPPROTO_UDP : IPPROTO_DSTOPTS;
			extension[1] = 0;
			extension[2] = 1;
			extension[3] = 4;
		}
		memcpy(want + L2_LEN + IP_LEN, first, 8UL * headers);
		nat_run(headers == 8 ? "eight extension headers" : "nine extension headers pass",
			RIG_EGRESS, len, headers == 8 ? want : in, TC_ACT_UNSPEC);
	}
	CHECK_EQ(rig_counter(&rig, PROXY_MALFORMED) - before, 1, "and are counted");
}

static void errors(void)
{
	static const struct {
		__u8 type, code;
	} kinds[] = { { 3, 0 }, { 3, 1 }, { 3, 3 }, { 3, 4 }, { 3, 13 }, { 11, 0 }, { 12, 0 } };
	struct spec spec, sent, answer, back;
	__u64 before, seen_before;
	const struct proxy_flow *flow;
	unsigned int i, proto;
	size_t len, quoted;
	__u8 about[FRAME_MAX];
	char name[128];

	for (proto = 0; proto < 2; proto++) {
		rig_clear(&rig);
		spec = proto ? tcp_syn : udp;
		both_ways(proto ? "a TCP flow" : "a UDP flow", spec);
		sent = at_target(spec);
		answer = reply(sent);
		back = reply(spec);
		for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
			for (quoted = QUOTE_MIN; quoted <= QUOTE_MIN + 12; quoted += 12) {
				bool from_target = i % 2;

				snprintf(name, sizeof(name),
					 "ICMP %d/%d about %s from %s, %zu bytes quoted",
					 kinds[i].type, kinds[i].code, proto ? "TCP" : "UDP",
					 from_target ? "the target" : "a router", quoted);
				frame_build(about, &sent);
				len = frame_error(in, from_target ? TARGET : ROUTER, CLIENT,
						  kinds[i].type, kinds[i].code, about, quoted);
				frame_build(about, &spec);
				frame_error(want, from_target ? ORIGINAL : ROUTER, CLIENT,
					    kinds[i].type, kinds[i].code, about, quoted);
				nat_run(name, RIG_INGRESS, len, want, TC_ACT_UNSPEC);

				snprintf(name, sizeof(name),
					 "ICMP %d/%d about %s of the client's, %zu bytes quoted",
					 kinds[i].type, kinds[i].code, proto ? "TCP" : "UDP",
					 quoted);
				frame_build(about, &back);
				len = frame_error(in, CLIENT, ORIGINAL, kinds[i].type,
						  kinds[i].code, about, quoted);
				frame_build(about, &answer);
				frame_error(want, CLIENT, TARGET, kinds[i].type, kinds[i].code,
					    about, quoted);
				nat_run(name, RIG_EGRESS, len, want, TC_ACT_UNSPEC);
			}
		}
	}

	/* A short datagram, then the padding and the extension of RFC 4884 where TCP's checksum is.
	 */
	spec = udp;
	spec.payload = 0;
	sent = at_target(spec);
	both_ways("an empty datagram", spec);
	memset(about, 0, sizeof(about));
	frame_build(about, &sent);
	memset(about + L4 + 8, 0, 108);
	len = frame_error(in, ROUTER, CLIENT, 11, 0, about, QUOTE_MIN + 108);
	memset(about, 0, sizeof(about));
	frame_build(about, &spec);
	memset(about + L4 + 8, 0, 108);
	frame_error(want, ROUTER, CLIENT, 11, 0, about, QUOTE_MIN + 108);
	nat_run("a quote with an extension behind it", RIG_INGRESS, len, want, TC_ACT_UNSPEC);

	sent = at_target(tcp_syn);
	frame_build(about, &sent);
	len = frame_error(in, ROUTER, CLIENT, 5, 1, about, QUOTE_MIN);
	nat_run("a redirect passes untouched", RIG_INGRESS, len, in, TC_ACT_UNSPEC);
	len = frame_error(in, ROUTER, CLIENT, 3, 1, about, QUOTE_MIN - 1);
	nat_run("a quote of 7 bytes passes untouched", RIG_INGRESS, len, in, TC_ACT_UNSPEC);
	sent.fragment = FRAGMENT_MORE | 1;
	sent.payload = 64;
	quoted = frame_build(about, &sent) - L2_LEN;
	len = frame_error(in, ROUTER, CLIENT, 3, 1, about, quoted);
	nat_run("an error about a later fragment passes untouched", RIG_INGRESS, len, in,
		TC_ACT_UNSPEC);

	rig_clear(&rig);
	before = rig_counter(&rig, PROXY_ICMP);
	frame_build(about, &back);
	len = frame_error(in, CLIENT, ORIGINAL, 3, 3, about, QUOTE_MIN);
	nat_run("an error about no known flow passes untouched", RIG_EGRESS, len, in,
		TC_ACT_UNSPEC);
	CHECK_EQ(rig_counter(&rig, PROXY_ICMP) - before, 1, "and is counted");
	CHECK_EQ(rig_count_flows(&rig), 0, "and makes no flow");

	both_ways("a flow, once more", tcp_syn);
	flow = rig_flow(&rig, TARGET, TARGET_PORT, CLIENT, CLIENT_PORT, IPPROTO_TCP);
	if (!CHECK(flow, "which is there"))
		return;
	seen_before = flow->state;
	sent = at_target(tcp_syn);
	frame_build(about, &sent);
	len = frame_error(in, TARGET, CLIENT, 3, 3, about, QUOTE_MIN);
	frame_build(about, &tcp_syn);
	frame_error(want, ORIGINAL, CLIENT, 3, 3, about, QUOTE_MIN);
	nat_run("an error about it", RIG_INGRESS, len, want, TC_ACT_UNSPEC);
	CHECK_EQ(flow->state, seen_before, "does not change its state (RFC 5508, REQ-6)");
}

static struct spec fragment(struct spec spec, __u16 fragment_field, __u16 id)
{
	spec.fragment = fragment_field;
	spec.id = id;
	spec.payload = 64;
	return spec;
}

/* The first fragment of a datagram claims the length of the whole. */
static size_t nat_first_fragment(__u8 *frame, struct spec spec, __u16 id)
{
	struct spec first = fragment(spec, FRAGMENT_MORE, id);

	return frame_build(frame, &first);
}

static void fragments(void)
{
	struct spec answer = reply(at_target(udp)), back = reply(udp), later, to;
	struct spec other = with(udp, TARGET, 53, CLIENT, CLIENT_PORT);
	bool is_later;
	__u64 before;
	__u8 proto;
	size_t len;

	rig_clear(&rig);
	to = at_target(udp);
	len = nat_first_fragment(in, udp, 1);
	nat_first_fragment(want, to, 1);
	nat_run("a first fragment, egress", RIG_EGRESS, len, want, TC_ACT_UNSPEC);
	later = fragment(udp, FRAGMENT_MORE | 9, 1);
	to = fragment(to, FRAGMENT_MORE | 9, 1);
	packet("a middle fragment, egress", RIG_EGRESS, later, &to);
	later.fragment = to.fragment = 18;
	packet("the last fragment, egress", RIG_EGRESS, later, &to);

	len = nat_first_fragment(in, answer, 2);
	nat_first_fragment(want, back, 2);
	nat_run("a first fragment, ingress", RIG_INGRESS, len, want, TC_ACT_UNSPEC);
	later = fragment(answer, 9, 2);
	to = fragment(back, 9, 2);
	packet("the last fragment, ingress", RIG_INGRESS, later, &to);

	before = rig_counter(&rig, PROXY_GUESSED);
	later.id = to.id = 3;
	packet("a fragment that overtakes its first one, ingress", RIG_INGRESS, later, &to);
	CHECK_EQ(rig_counter(&rig, PROXY_GUESSED) - before, 1, "is known by the hosts");

	len = nat_first_fragment(in, other, 4);
	nat_run("a first fragment of other traffic of the target", RIG_INGRESS, len, in,
		TC_ACT_UNSPEC);
	packet("the last fragment of it", RIG_INGRESS, fragment(other, 9, 4), NULL);
	before = rig_counter(&rig, PROXY_FRAGMENT);
	packet("after which nothing is guessed any more", RIG_INGRESS, fragment(answer, 9, 5),
	       NULL);
	CHECK_EQ(rig_counter(&rig, PROXY_FRAGMENT) - before, 1, "which is counted");
	packet("but what is known still goes on", RIG_INGRESS, fragment(answer, 9, 2),
	       &(struct spec){
		       .src = ORIGINAL,
		       .dst = CLIENT,
		       .proto = IPPROTO_UDP,
		       .fragment = 9,
		       .id = 2,
		       .payload = 64,
	       });

	/* 8 bytes of TCP header: legal, but its checksum is in the next fragment. */
	before = rig_counter(&rig, PROXY_MALFORMED);
	later = fragment(tcp_syn, FRAGMENT_MORE, 0);
	frame_build(in, &later);
	len = frame_l4(in, &proto, &is_later) + 8;
	set_length(in, len - L4);
	nat_run("a TCP header in two fragments", RIG_EGRESS, len, in, TC_ACT_UNSPEC);
	CHECK_EQ(rig_counter(&rig, PROXY_MALFORMED) - before, 1, "passes and is counted");
}

static void nat_tcp_state(const char *name, enum proxy_tcp_phase phase)
{
	const struct proxy_flow *flow =
		rig_flow(&rig, TARGET, TARGET_PORT, CLIENT, CLIENT_PORT, IPPROTO_TCP);

	if (CHECK(flow, "%s: the flow is there", name))
		CHECK_EQ(proxy_tcp_phase(flow->state), phase, "%s", name);
}

static void tcp_send(__u8 flags, bool from_client)
{
	struct spec spec = with_flags(from_client ? tcp_syn : reply(at_target(tcp_syn)), flags);
	size_t len = frame_build(in, &spec), out_len;

	rig_run(&rig, from_client ? RIG_EGRESS : RIG_INGRESS, in, len, out, &out_len);
}

static void tcp_states(void)
{
	__u64 before;

	rig_clear(&rig);
	tcp_send(TCP_SYN, true);
	nat_tcp_state("after SYN: opening", PROXY_TCP_OPENING);
	tcp_send(TCP_SYN | TCP_ACK, false);
	nat_tcp_state("after SYN-ACK: opening", PROXY_TCP_OPENING);
	tcp_send(TCP_ACK, true);
	nat_tcp_state("after ACK: established", PROXY_TCP_ESTABLISHED);
	tcp_send(TCP_SYN, true);
	nat_tcp_state("a stray SYN changes nothing", PROXY_TCP_ESTABLISHED);
	tcp_send(TCP_ACK | TCP_FIN, true);
	nat_tcp_state("after one FIN: established (half closed)", PROXY_TCP_ESTABLISHED);
	tcp_send(TCP_ACK | TCP_FIN, false);
	nat_tcp_state("after both FINs: closing", PROXY_TCP_CLOSING);
	tcp_send(TCP_ACK, true);
	nat_tcp_state("the last ACK: still closing", PROXY_TCP_CLOSING);
	tcp_send(TCP_SYN, true);
	nat_tcp_state("a new SYN: opening", PROXY_TCP_OPENING);
	tcp_send(TCP_RST | TCP_ACK, false);
	nat_tcp_state("refused: closing", PROXY_TCP_CLOSING);
	tcp_send(TCP_SYN, true);
	tcp_send(TCP_SYN | TCP_ACK, false);
	tcp_send(TCP_ACK, true);
	nat_tcp_state("again: established", PROXY_TCP_ESTABLISHED);
	tcp_send(TCP_RST, false);
	nat_tcp_state("a reset: closing", PROXY_TCP_CLOSING);
	tcp_send(TCP_ACK, true);
	nat_tcp_state("still, whatever the other side had on the way", PROXY_TCP_CLOSING);
	tcp_send(TCP_ACK, false);
	nat_tcp_state("not if its sender goes on talking: it was forged", PROXY_TCP_ESTABLISHED);
	CHECK_EQ(rig_count_flows(&rig), 1, "all of it is one flow");

	rig_clear(&rig);
	tcp_send(TCP_ACK | TCP_PSH, true);
	CHECK_EQ(rig_count_flows(&rig), 1, "a connection is picked up in the middle");
	tcp_send(TCP_ACK, false);
	nat_tcp_state("and established once it is answered", PROXY_TCP_ESTABLISHED);

	rig_clear(&rig);
	before = rig_counter(&rig, PROXY_NO_FLOW);
	packet("a reset of nothing", RIG_EGRESS, with_flags(tcp_syn, TCP_RST), NULL);
	packet("no flags at all", RIG_EGRESS, with_flags(tcp_syn, 0), NULL);
	packet("SYN and FIN", RIG_EGRESS, with_flags(tcp_syn, TCP_SYN | TCP_FIN), NULL);
	CHECK_EQ(rig_counter(&rig, PROXY_NO_FLOW) - before, 3, "are counted");
	CHECK_EQ(rig_count_flows(&rig), 0, "and make no flow");

	packet("an answer to a connection of the original's own", RIG_EGRESS,
	       with_flags(tcp_syn, TCP_SYN | TCP_ACK), NULL);
	packet("which goes on undisturbed", RIG_EGRESS, with_flags(tcp_syn, TCP_ACK), NULL);
	packet("in both directions", RIG_INGRESS, with_flags(reply(tcp_syn), TCP_ACK), NULL);
}

/* Make the flow of @spec's mapping an old one, run a frame, and tell whether it counts as used. */
static bool refreshes(enum rig_direction direction, const struct spec *spec)
{
	struct proxy_flow *flow =
		rig_flow(&rig, TARGET, TARGET_PORT, CLIENT, CLIENT_PORT, IPPROTO_UDP);
	size_t len, out_len;

	if (!flow)
		return false;
	flow->last_seen = 1;
	flow->tick -= 1000;
	rig_changed(&rig);
	len = frame_build(in, spec);
	rig_run(&rig, direction, in, len, out, &out_len);
	return flow->last_seen > 1;
}

static void refresh(void)
{
	struct spec answer = reply(at_target(udp));
	size_t len;

	rig_clear(&rig);
	len = frame_build(in, &udp);
	rig_run(&rig, RIG_EGRESS, in, len, out, &len);
	CHECK(refreshes(RIG_EGRESS, &udp), "a packet of the client refreshes");
	CHECK(refreshes(RIG_INGRESS, &answer), "one of the target, too");
	answer.sport++;
	CHECK(!refreshes(RIG_INGRESS, &answer), "one of another flow does not");
}

/* The source port of a frame that went out, when its flow may have been given another. */
static __u16 port_out(struct spec spec)
{
	size_t len = frame_build(in, &spec), out_len;

	if (rig_run(&rig, RIG_EGRESS, in, len, out, &out_len) != TC_ACT_UNSPEC)
		return 0;
	return frame_wrong(out, out_len) ? 0 : get16(out + L4);
}

static void collisions(void)
{
	struct spec second = with(tcp_syn, CLIENT, CLIENT_PORT, ORIGINAL_2, ORIGINAL_PORT);
	struct spec direct = with(tcp_syn, CLIENT, CLIENT_PORT, TARGET, TARGET_PORT), to, back;
	__u16 ports[3], low;

	rig_clear(&rig);
	ports[0] = port_out(tcp_syn);
	ports[1] = port_out(second);
	ports[2] = port_out(direct);
	CHECK_EQ(ports[0], CLIENT_PORT, "the first flow keeps its port");
	CHECK(ports[1] >= 1024 && ports[1] != CLIENT_PORT && !(ports[1] & 1),
	      "a second one to the same target gets another");
	CHECK(ports[2] >= 1024 && ports[2] != CLIENT_PORT && ports[2] != ports[1],
	      "so does one without the proxy");
	CHECK_EQ(rig_count_flows(&rig), 3, "three flows");

	to = with(second, CLIENT, ports[1], TARGET, TARGET_PORT);
	packet("the second goes on with its port", RIG_EGRESS, second, &to);
	back = reply(second);
	packet("and gets its replies", RIG_INGRESS, reply(to), &back);
	to = with(direct, CLIENT, ports[2], TARGET, TARGET_PORT);
	packet("so does the direct one", RIG_EGRESS, direct, &to);
	back = reply(direct);
	packet("and its replies", RIG_INGRESS, reply(to), &back);
	to = at_target(tcp_syn);
	packet("and the first", RIG_EGRESS, tcp_syn, &to);
	back = reply(tcp_syn);
	packet("with its own replies", RIG_INGRESS, reply(to), &back);

	rig_clear(&rig);
	CHECK_EQ(port_out(direct), CLIENT_PORT, "a direct flow that comes first keeps its port");
	CHECK(port_out(tcp_syn) != CLIENT_PORT, "and a mapped one gets another");
	packet("whose replies are left alone", RIG_INGRESS, reply(direct), NULL);

	rig_clear(&rig);
	second.sport = direct.sport = 513;
	port_out(direct);
	low = port_out(second);
	CHECK(low && low < 1024 && low != 513 && low & 1,
	      "a privileged port stays privileged, an odd one odd");
}

static void no_port(void)
{
	struct spec spec = with(udp, CLIENT, CLIENT_PORT, ORIGINAL_2, ORIGINAL_PORT), other = udp;
	__u64 before = rig_counter(&rig, PROXY_NO_PORT);
	size_t len, out_len;
	__u32 port;

	rig_clear(&rig);
	for (port = 1; port < 65536; port++) {
		other.sport = port;
		rig_run(&rig, RIG_EGRESS, in, frame_build(in, &other), out, &out_len);
	}
	CHECK_EQ(rig_count_flows(&rig), 65535, "a flow from each port");
	len = frame_build(in, &spec);
	nat_run("a flow for which no port is free is dropped", RIG_EGRESS, len, in, TC_ACT_SHOT);
	CHECK_EQ(rig_counter(&rig, PROXY_NO_PORT) - before, 1, "and counted");
	rig_clear(&rig);
}

/* As the tool does before a mapping gets another target. */
static bool pin_all(void)
{
	__u32 limit = maps_flow_limit(&rig.maps);
	struct nat_flow flow;
	bool done = true;

	for (__u32 slot = 0; slot < limit; slot++)
		if (maps_flow(&rig.maps, slot, &flow))
			done = !maps_pin(&rig.maps, slot) && done;
	return done;
}

static void changes(void)
{
	struct spec to = at_target(tcp_syn), moved, back, data = with_flags(tcp_syn, TCP_ACK);
	struct spec other = with(tcp_syn, CLIENT, CLIENT_PORT + 1, ORIGINAL, ORIGINAL_PORT);
	__u8 about[FRAME_MAX];
	size_t len, out_len;

	rig_clear(&rig);
	rig_pin_new(&rig, true);
	packet("a connection begins while its mapping is about to change", RIG_EGRESS, tcp_syn,
	       &to);
	rig_pin_new(&rig, false);
	rig_mapping_set(&rig, ORIGINAL, ORIGINAL_PORT, IPPROTO_TCP, TARGET_2, TARGET_PORT, 0);
	to = with_flags(to, TCP_ACK);
	packet("it keeps its target", RIG_EGRESS, data, &to);
	moved = with(other, CLIENT, CLIENT_PORT + 1, TARGET_2, TARGET_PORT);
	packet("a new one gets the new target", RIG_EGRESS, other, &moved);
	back = with_flags(reply(tcp_syn), TCP_ACK);
	packet("replies of the old target are restored", RIG_INGRESS,
	       with_flags(reply(to), TCP_ACK), &back);
	tcp_send(TCP_FIN | TCP_ACK, true);
	tcp_send(TCP_FIN | TCP_ACK, false);
	moved = with(tcp_syn, CLIENT, CLIENT_PORT, TARGET_2, TARGET_PORT);
	packet("its ports begin a connection anew: to the new target", RIG_EGRESS, tcp_syn, &moved);
	moved = with_flags(moved, TCP_ACK);
	packet("and stay there", RIG_EGRESS, data, &moved);
	CHECK(pin_all(), "all flows can be pinned");
	rig_mapping_set(&rig, ORIGINAL, ORIGINAL_PORT, IPPROTO_TCP, TARGET, TARGET_PORT, 0);
	packet("even if the mapping goes back to where they were before", RIG_EGRESS, data, &moved);

	rig_clear(&rig);
	to = at_target(udp);
	packet("a UDP flow", RIG_EGRESS, udp, &to);
	rig_mapping_set(&rig, ORIGINAL, ORIGINAL_PORT, IPPROTO_UDP, TARGET_2, TARGET_PORT, 0);
	moved = with(udp, CLIENT, CLIENT_PORT, TARGET_2, TARGET_PORT);
	packet("moves with its mapping", RIG_EGRESS, udp, &moved);

	rig_mapping_set(&rig, ORIGINAL, ORIGINAL_PORT, IPPROTO_TCP, TARGET, TARGET_PORT, 0);
	rig_mapping_set(&rig, ORIGINAL, ORIGINAL_PORT, IPPROTO_UDP, TARGET, TARGET_PORT, 0);
	rig_clear(&rig);
	to = at_target(tcp_syn);
	packet("a connection of a mapping", RIG_EGRESS, tcp_syn, &to);
	CHECK(pin_all(), "is pinned");
	rig_mapping_delete(&rig, ORIGINAL, ORIGINAL_PORT, IPPROTO_TCP);
	to = with_flags(to, TCP_ACK);
	packet("goes on when that is deleted", RIG_EGRESS, data, &to);
	packet("and its replies do", RIG_INGRESS, with_flags(reply(to), TCP_ACK), &back);
	len = frame_build(about, &back);
	len = frame_error(in, CLIENT, ORIGINAL, 3, 3, about, len - L2_LEN);
	rig_run(&rig, RIG_EGRESS, in, len, out, &out_len);
	CHECK(addr_get(out + L2_LEN + IP_DST) == ip(TARGET) && !frame_wrong(out, out_len),
	      "and errors about these");
	packet("a new one passes untouched", RIG_EGRESS, other, NULL);
	tcp_send(TCP_FIN | TCP_ACK, true);
	tcp_send(TCP_FIN | TCP_ACK, false);
	packet("also with the ports of the old one, when that has ended", RIG_EGRESS, tcp_syn,
	       NULL);
	packet("and goes on so", RIG_EGRESS, data, NULL);
	rig_mapping_set(&rig, ORIGINAL, ORIGINAL_PORT, IPPROTO_TCP, TARGET, TARGET_PORT, 0);
}

static void wildcards(void)
{
	struct spec spec = with(udp, CLIENT, CLIENT_PORT, "10.0.0.20", 4711), to;

	rig_clear(&rig);
	rig_map(&rig, "10.0.0.20", 0, IPPROTO_UDP, "10.0.0.140", 0, 0);
	rig_map(&rig, "10.0.0.20", 53, IPPROTO_UDP, "10.0.0.141", 5353, 0);
	to = with(spec, CLIENT, CLIENT_PORT, "10.0.0.140", 4711);
	packet("any port of an address", RIG_EGRESS, spec, &to);
	packet("and back", RIG_INGRESS, reply(to),
	       &(struct spec){ .src = "10.0.0.20",
			       .dst = CLIENT,
			       .sport = 4711,
			       .dport = CLIENT_PORT,
			       .proto = IPPROTO_UDP,
			       .payload = 18 });
	spec.dport = 53;
	to = with(spec, CLIENT, CLIENT_PORT, "10.0.0.141", 5353);
	packet("an exact match wins", RIG_EGRESS, spec, &to);
	spec.proto = IPPROTO_TCP;
	spec.tcp_flags = TCP_SYN;
	packet("the protocol counts", RIG_EGRESS, spec, NULL);
}

static void nexthops(void)
{
	struct spec to = at_target(udp);
	struct spec answer = reply(to);
	size_t len, out_len;

	rig_clear(&rig);
	rig_nexthop(&rig, TARGET, 0x77);
	len = frame_build(in, &udp);
	frame_build(want, &to);
	memcpy(want, "\x02\x00\x00\x00\x01\x77", 6);
	nat_run("the target's MAC address is put in", RIG_EGRESS, len, want, TC_ACT_UNSPEC);
	len = frame_build(in, &answer);
	rig_run(&rig, RIG_INGRESS, in, len, out, &out_len);
	CHECK(!frame_differs(out, in, L2_LEN), "a reply's stay as they are");
	rig_heartbeat(&rig, PROXY_HEARTBEAT_NS + 1000000000ULL);
	len = frame_build(in, &udp);
	CHECK_EQ(rig_run(&rig, RIG_EGRESS, in, len, out, &out_len), TC_ACT_REDIRECT,
		 "without a heartbeat the kernel resolves it");
	rig_heartbeat(&rig, 0);
}

/* The originals and the target of ICMP echo, whose mappings have no port. */
#define PINGED "10.0.0.40"
#define PINGED_2 "10.0.0.41"
#define PING_TARGET "10.0.0.142"
enum { PING_ID = 777 };

static const struct spec ping = {
	.src = CLIENT,
	.dst = PINGED,
	.sport = PING_ID,
	.proto = IP_ICMP_PROTO,
	.tcp_flags = ECHO_REQUEST,
	.payload = 56,
};

/* The same request to another address, with another identifier. */
static struct spec ping_to(struct spec spec, const char *dst, __u16 id)
{
	return with(spec, spec.src, id, dst, 0);
}

static struct spec ping_reply(struct spec spec)
{
	spec = reply(spec);
	spec.tcp_flags = ECHO_REPLY;
	return spec;
}

static void echoes(void)
{
	struct spec to = ping_to(ping, PING_TARGET, PING_ID), back = ping_reply(ping), spec;
	__u8 about[FRAME_MAX];
	size_t len, quoted;

	rig_clear(&rig);
	packet("ping of an original that is mapped by port", RIG_EGRESS,
	       ping_to(ping, ORIGINAL, PING_ID), NULL);
	rig_map(&rig, PINGED, 0, IP_ICMP_PROTO, PING_TARGET, 0, 0);
	rig_map(&rig, PINGED_2, 0, IP_ICMP_PROTO, PING_TARGET, 0, 0);
	packet("an echo request", RIG_EGRESS, ping, &to);
	packet("its reply", RIG_INGRESS, ping_reply(to), &back);
	CHECK_EQ(rig_count_flows(&rig), 1, "one flow");
	packet("a reply with another identifier", RIG_INGRESS,
	       ping_reply(ping_to(to, PING_TARGET, PING_ID + 1)), NULL);
	packet("a request of the target's", RIG_INGRESS, with(to, PING_TARGET, PING_ID, CLIENT, 0),
	       NULL);
	spec = with(back, CLIENT, 0, PINGED, PING_ID);
	packet("a reply to the original's own request", RIG_EGRESS, spec, NULL);
	spec = ping;
	spec.tcp_flags = 13;
	packet("another kind of request", RIG_EGRESS, spec, NULL);
	spec = with(udp, CLIENT, CLIENT_PORT, PINGED, 0);
	packet("a datagram to the same original", RIG_EGRESS, spec, NULL);
	for (size_t payload = 0; payload < 4; payload++) {
		spec = ping;
		spec.payload = to.payload = payload;
		spec.options = to.options = payload;
		packet("of any length, behind any options", RIG_EGRESS, spec, &to);
	}
	to = ping_to(ping, PING_TARGET, PING_ID);

	/* Errors: about a request on its way to the target, and about a reply on its way here. */
	for (quoted = QUOTE_MIN; quoted <= QUOTE_MIN + 56; quoted += 56) {
		frame_build(about, &to);
		len = frame_error(in, ROUTER, CLIENT, 11, 0, about, quoted);
		frame_build(about, &ping);
		frame_error(want, ROUTER, CLIENT, 11, 0, about, quoted);
		nat_run("an error about a request", RIG_INGRESS, len, want, TC_ACT_UNSPEC);
		frame_build(about, &back);
		len = frame_error(in, CLIENT, PINGED, 3, 13, about, quoted);
		spec = ping_reply(to);
		frame_build(about, &spec);
		frame_error(want, CLIENT, PING_TARGET, 3, 13, about, quoted);
		nat_run("an error about a reply", RIG_EGRESS, len, want, TC_ACT_UNSPEC);
	}
	spec = with(ping_reply(to), CLIENT, 0, PING_TARGET, PING_ID);
	frame_build(about, &spec);
	len = frame_error(in, ROUTER, CLIENT, 3, 1, about, QUOTE_MIN);
	nat_run("an error about a reply to the target", RIG_INGRESS, len, in, TC_ACT_UNSPEC);
}

static void echo_collisions(void)
{
	struct spec second = ping_to(ping, PINGED_2, PING_ID), back = ping_reply(second), to;
	struct spec direct = ping_to(ping, PING_TARGET, PING_ID);
	__u8 zeros[8] = { 0 };
	__u16 id, own;
	size_t len, out_len;

	rig_clear(&rig);
	len = frame_build(in, &ping);
	rig_run(&rig, RIG_EGRESS, in, len, out, &out_len);
	CHECK_EQ(get16(out + L4 + 4), PING_ID, "the first ping keeps its identifier");
	len = frame_build(in, &second);
	rig_run(&rig, RIG_EGRESS, in, len, out, &out_len);
	id = get16(out + L4 + 4);
	CHECK(id && id != PING_ID, "another one to the same target gets another");
	len = frame_build(in, &direct);
	rig_run(&rig, RIG_EGRESS, in, len, out, &out_len);
	own = get16(out + L4 + 4);
	CHECK(own && own != PING_ID && own != id, "so does one without the proxy");
	CHECK(!frame_wrong(out, out_len), "with a right checksum");
	to = ping_to(second, PING_TARGET, id);
	packet("the second goes on with it", RIG_EGRESS, second, &to);
	packet("and gets its reply", RIG_INGRESS, ping_reply(to), &back);
	to = ping_to(direct, PING_TARGET, own);
	back = ping_reply(direct);
	packet("so does the direct one", RIG_INGRESS, ping_reply(to), &back);

	/* The identifier 0, as it is in an empty message without a sequence number. */
	rig_clear(&rig);
	second = ping_to(second, PINGED_2, 0);
	second.payload = 0;
	to = ping_to(second, PING_TARGET, 0);
	packet("an identifier of 0", RIG_EGRESS, second, &to);
	to = ping_reply(to);
	back = ping_reply(second);
	len = frame_build(in, &to);
	frame_build(want, &back);
	CHECK(PROXY_FAMILY == 6 || !memcmp(want + L4 + 4, zeros, 4), "all of it is 0");
	nat_run("its reply has a right checksum", RIG_INGRESS, len, want, TC_ACT_UNSPEC);
}

static void echo_fragments(void)
{
	struct spec to = ping_to(ping, PING_TARGET, PING_ID), back = ping_reply(ping), later, at;
	__u64 before;
	size_t len;

	rig_clear(&rig);
	len = nat_first_fragment(in, ping, 1);
	nat_first_fragment(want, to, 1);
	nat_run("the first fragment of a ping", RIG_EGRESS, len, want, TC_ACT_UNSPEC);
	later = fragment(ping, 9, 1);
	at = fragment(to, 9, 1);
	packet("the last one", RIG_EGRESS, later, &at);
	len = nat_first_fragment(in, ping_reply(to), 2);
	nat_first_fragment(want, back, 2);
	nat_run("the first fragment of its reply", RIG_INGRESS, len, want, TC_ACT_UNSPEC);
	later = fragment(ping_reply(to), 9, 2);
	at = fragment(back, 9, 2);
	packet("the last one of it", RIG_INGRESS, later, &at);
	before = rig_counter(&rig, PROXY_GUESSED);
	later = fragment(ping, 9, 3);
	at = fragment(to, 9, 3);
	packet("one that overtakes its first one", RIG_EGRESS, later, &at);
	CHECK_EQ(rig_counter(&rig, PROXY_GUESSED) - before, 1, "is known by the hosts");
	packet("one to an original that is mapped by port", RIG_EGRESS,
	       fragment(ping_to(ping, ORIGINAL, PING_ID), 9, 4), NULL);
	len = nat_first_fragment(in, with(to, PING_TARGET, PING_ID, CLIENT, 0), 5);
	nat_run("the first fragment of the target's own ping", RIG_INGRESS, len, in, TC_ACT_UNSPEC);
	packet("the last fragment of that", RIG_INGRESS,
	       fragment(with(to, PING_TARGET, PING_ID, CLIENT, 0), 9, 5), NULL);
}

/* A frame that turns back: it becomes @to, addressed to the MAC address that it has come from. */
static void turns_back(const char *name, size_t len)
{
	memcpy(want, in + 6, 6);
	nat_run(name, RIG_EGRESS, len, want, TC_ACT_REDIRECT);
}

/* The same of a packet that is described, and of what becomes of it. */
static void turns_into(const char *name, const struct spec *spec, const struct spec *back)
{
	size_t len = frame_build(in, spec);

	frame_build(want, back);
	turns_back(name, len);
}

/*
 * @spec turns back as host unreachable. Its quote is as long as is allowed, also if it ends between
 * two words.
 */
static void unreachable(const char *name, struct spec spec)
{
	size_t len = frame_build(in, &spec), out_len, quoted = len - L2_LEN;
	int verdict = rig_run(&rig, RIG_EGRESS, in, len, out, &out_len);

	if (quoted > QUOTE_MAX)
		quoted = QUOTE_MAX;
	check_begin(name);
	EXPECT(verdict == TC_ACT_REDIRECT, "verdict %d", verdict);
	EXPECT(addr_get(out + L2_LEN + IP_SRC) == addr_get(in + L2_LEN + IP_DST) &&
		       addr_get(out + L2_LEN + IP_DST) == ip(CLIENT),
	       "not from the original to the client");
	EXPECT(get16(out + L4) == PROXY_SIZE(0x0301, 0x0103), "type and code %04x",
	       get16(out + L4));
	EXPECT(out_len == (L4 + 8 - L2_LEN + quoted + 3) / 4 * 4 + L2_LEN, "length %zu", out_len);
	EXPECT(!memcmp(out + L4 + 8, in + L2_LEN, quoted), "the quote is not the packet as it was");
	EXPECT(!frame_wrong(out, L4 + 8 + quoted), "a checksum is wrong: %s",
	       frame_wrong(out, L4 + 8 + quoted));
	check_end();
}

/* A target that cannot be reached, by a device with the target's neighbour or by none. */
static void unreachable_targets(void)
{
	const proxy_addr addr = rig_addr(ip(TARGET));
	struct proxy_nexthop *entry;
	int verdict = TC_ACT_REDIRECT, tries;
	struct spec spec;
	struct proxy_host host;
	size_t len, out_len;
	__u64 before;

	rig_clear(&rig);
	bpf_map_lookup_elem(bpf_map__fd(rig.skel->maps.hosts), &addr, &host);
	entry = maps_nexthop(&rig.maps, host.nexthop);
	for (__u32 oif = 0; oif <= 1; oif++) {
		*entry = (struct proxy_nexthop){ .flags = PROXY_NEXTHOP_DOWN,
						 .oif = oif,
						 .via = addr };
		rig_changed(&rig);
		before = rig_counter(&rig, PROXY_UNREACHABLE);
		unreachable("a packet to a target that is down turns back", udp);
		CHECK_EQ(rig_counter(&rig, PROXY_UNREACHABLE) - before, 1, "and is counted");
	}
	for (spec = udp; spec.payload < 5; spec.payload++)
		unreachable("a short datagram, with all of it", spec);
	spec.payload = QUOTE_MAX - QUOTE_MIN;
	unreachable("one that has room in an error", spec);
	spec.payload++;
	unreachable("one that has not", spec);
	spec.payload = 1400;
	spec.options = 2;
	unreachable("one with options", spec);
	spec = tcp_syn;
	spec.payload = 1400;
	unreachable("a TCP segment", spec);
	len = frame_build(in, &udp);
	before = rig_counter(&rig, PROXY_UNREACHABLE);
	for (tries = 0; tries < 1000000 && verdict == TC_ACT_REDIRECT; tries++)
		verdict = rig_run(&rig, RIG_EGRESS, in, len, out, &out_len);
	CHECK_EQ(verdict, TC_ACT_SHOT, "of a flood, not all are answered");
	CHECK(tries > 900, "but 1000 a second are (%d)", tries);
	CHECK_EQ(rig_counter(&rig, PROXY_UNREACHABLE) - before, tries, "all are counted");
	rig_heartbeat(&rig, PROXY_HEARTBEAT_NS + 1000000000ULL);
	before = rig_counter(&rig, PROXY_UNREACHABLE);
	len = frame_build(in, &udp);
	rig_run(&rig, RIG_EGRESS, in, len, out, &out_len);
	CHECK_EQ(rig_counter(&rig, PROXY_UNREACHABLE) - before, 0,
		 "without a heartbeat that is not believed");
	rig_heartbeat(&rig, 0);
	rig_nexthop(&rig, TARGET, 0x77);
}

static void echo_unreachable(void)
{
	const proxy_addr addr = rig_addr(ip(PING_TARGET));
	struct proxy_nexthop *entry;
	struct proxy_host host;

	rig_clear(&rig);
	bpf_map_lookup_elem(bpf_map__fd(rig.skel->maps.hosts), &addr, &host);
	entry = maps_nexthop(&rig.maps, host.nexthop);
	*entry = (struct proxy_nexthop){ .flags = PROXY_NEXTHOP_DOWN, .oif = 1, .via = addr };
	rig_changed(&rig);
	unreachable("a ping of a target that is down turns back", ping);
}

static void echo_local(void)
{
	struct spec spec = ping_to(ping, "10.0.0.43", PING_ID), to, answer, back;

	rig_clear(&rig);
	rig_map(&rig, "10.0.0.43", 0, IP_ICMP_PROTO, CLIENT, 0, PROXY_MAPPING_LOCAL);
	to = with(spec, "10.0.0.43", PING_ID, CLIENT, 0);
	turns_into("a ping of this host itself comes from the original", &spec, &to);
	answer = ping_reply(to);
	back = ping_reply(spec);
	turns_into("its reply comes from there, too", &answer, &back);
}

static void local_targets(void)
{
	struct spec spec = with(udp, CLIENT, CLIENT_PORT, "10.0.0.30", 80), to, answer, back;
	__u8 about[FRAME_MAX];
	size_t len;

	rig_clear(&rig);
	rig_map(&rig, "10.0.0.30", 80, IPPROTO_UDP, CLIENT, 8080, PROXY_MAPPING_LOCAL);
	to = with(spec, "10.0.0.30", CLIENT_PORT, CLIENT, 8080);
	turns_into("a packet to this host itself comes from the original", &spec, &to);
	answer = reply(to);
	back = reply(spec);
	turns_into("its answer comes from there, too", &answer, &back);

	frame_build(about, &to);
	len = frame_error(in, CLIENT, "10.0.0.30", 3, 3, about, QUOTE_MIN);
	frame_build(about, &spec);
	frame_error(want, "10.0.0.30", CLIENT, 3, 3, about, QUOTE_MIN);
	turns_back("an error instead of the answer", len);
	frame_build(about, &back);
	len = frame_error(in, CLIENT, "10.0.0.30", 3, 3, about, QUOTE_MIN);
	frame_build(about, &answer);
	frame_error(want, "10.0.0.30", CLIENT, 3, 3, about, QUOTE_MIN);
	turns_back("an error about the answer", len);

	spec.fragment = FRAGMENT_MORE;
	to.fragment = FRAGMENT_MORE;
	spec.id = to.id = 9;
	turns_into("a first fragment", &spec, &to);
	spec.fragment = to.fragment = 9;
	turns_into("and the last one", &spec, &to);
}

static void full(void)
{
	struct rig_sizes sizes = { .flows = 16 };
	struct spec spec = udp, to;
	__u64 before;
	size_t len;
	int i, passed = 0;

	rig_close(&rig);
	rig_open(&rig, sizes);
	rig_map(&rig, ORIGINAL, ORIGINAL_PORT, IPPROTO_UDP, TARGET, TARGET_PORT, 0);
	for (i = 0; i < 16; i++) {
		spec.sport = CLIENT_PORT + i;
		passed += port_out(spec) == CLIENT_PORT + i;
	}
	CHECK_EQ(passed, 16, "a table of 16 holds 16 flows");
	before = rig_counter(&rig, PROXY_FULL);
	spec.sport = CLIENT_PORT + 100;
	len = frame_build(in, &spec);
	nat_run("one more is dropped", RIG_EGRESS, len, in, TC_ACT_SHOT);
	CHECK_EQ(rig_counter(&rig, PROXY_FULL) - before, 1, "and counted");
	to = at_target(udp);
	packet("those that are there go on", RIG_EGRESS, udp, &to);
}

int main(void)
{
	rig_open(&rig, (struct rig_sizes){ 0 });
	rig_map(&rig, ORIGINAL, ORIGINAL_PORT, IPPROTO_TCP, TARGET, TARGET_PORT, 0);
	rig_map(&rig, ORIGINAL, ORIGINAL_PORT, IPPROTO_UDP, TARGET, TARGET_PORT, 0);
	RUN(not_ours);
	RUN(translation);
	RUN(malformed);
	if (PROXY_FAMILY == 6)
		RUN(extensions);
	RUN(errors);
	RUN(fragments);
	RUN(tcp_states);
	rig_map(&rig, ORIGINAL_2, ORIGINAL_PORT, IPPROTO_TCP, TARGET, TARGET_PORT, 0);
	rig_map(&rig, ORIGINAL_2, ORIGINAL_PORT, IPPROTO_UDP, TARGET, TARGET_PORT, 0);
	RUN(collisions);
	RUN(no_port);
	RUN(changes);
	RUN(wildcards);
	RUN(nexthops);
	RUN(echoes);
	RUN(echo_collisions);
	RUN(echo_fragments);
	RUN(echo_unreachable);
	RUN(unreachable_targets);
	RUN(echo_local);
	RUN(local_targets);
	RUN(refresh);
	RUN(full);
	rig_close(&rig);
	return check_exit();
}
