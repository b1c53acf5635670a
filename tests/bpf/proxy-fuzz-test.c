// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random and mutated frames through the proxy's programs, each judged by the model: the same
 * output, right checksums, and egress followed by ingress gives the original back. Arguments: the
 * number of frames and a seed, to repeat a failure.
 */
#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "frame-fields.h"
#include "proxy-model.h"
#include "proxy-rig.h"
#include "random.h"

/* The heartbeat is one of an hour to come: on a busy machine a round takes any time. */
#define AN_HOUR_NS 3600000000000ULL

enum { SHORT_FRAMES = 300000, LONG_FRAMES = 10000000, ROUND = 20000 };

static struct rig rig;
static struct model model;
static __u64 runs, intact, round_trips, mutated;

static const char *const clients[] = { CLIENT, "10.0.0.2", "192.0.2.77" };
static const __u16 client_ports[] = { 40000, 40001, 513, 1023, 1024, 65535, 53 };
static const char *const servers[] = {
	ORIGINAL, ORIGINAL_2, "10.0.0.20", TARGET, TARGET_2, ROUTER
};
static const __u16 server_ports[] = { ORIGINAL_PORT, TARGET_PORT, 80, 53, 4711 };

static const struct {
	const char *from;
	__u16 from_port;
	__u8 proto;
	const char *to;
	__u16 to_port;
} setup[] = {
	{ ORIGINAL, ORIGINAL_PORT, IPPROTO_TCP, TARGET, TARGET_PORT },
	{ ORIGINAL, ORIGINAL_PORT, IPPROTO_UDP, TARGET, TARGET_PORT },
	{ ORIGINAL_2, ORIGINAL_PORT, IPPROTO_TCP, TARGET, TARGET_PORT },
	{ ORIGINAL_2, ORIGINAL_PORT, IPPROTO_UDP, TARGET, TARGET_PORT },
	{ ORIGINAL_2, 80, IPPROTO_TCP, TARGET_2, 80 },
	{ "10.0.0.20", 0, IPPROTO_UDP, TARGET_2, 0 },
	{ "10.0.0.20", 53, IPPROTO_UDP, TARGET_2, 4711 },
	{ "10.0.0.20", 0, IPPROTO_TCP, TARGET_2, 0 },
	{ "10.0.0.20", 0, IP_ICMP_PROTO, TARGET_2, 0 },
	{ ORIGINAL, 0, IP_ICMP_PROTO, TARGET, 0 },
	{ ORIGINAL_2, 0, IP_ICMP_PROTO, TARGET, 0 },
};
enum { SETUP = sizeof(setup) / sizeof(setup[0]) };

static void model_mapping(const char *from, __u16 from_port, __u8 proto, const char *to,
			  __u16 to_port, __u16 flags)
{
	model.mappings[model.n_mappings++] = (struct model_mapping){
		.from = ip(from),
		.from_port = from_port,
		.proto = proto,
		.to = ip(to),
		.to_port = to_port,
		.flags = flags,
		.mac = !(flags & PROXY_MAPPING_DIRECT) && !strcmp(to, TARGET),
	};
}

static void map_all(void)
{
	size_t i, j;

	for (i = 0; i < SETUP; i++) {
		bool seen = false;

		rig_map(&rig, setup[i].from, setup[i].from_port, setup[i].proto, setup[i].to,
			setup[i].to_port, 0);
		model_mapping(setup[i].from, setup[i].from_port, setup[i].proto, setup[i].to,
			      setup[i].to_port, 0);
		for (j = 0; j < i; j++)
			seen |= setup[j].proto == setup[i].proto &&
				setup[j].to_port == setup[i].to_port &&
				!strcmp(setup[j].to, setup[i].to);
		if (!seen)
			model_mapping(setup[i].to, setup[i].to_port, setup[i].proto, setup[i].to,
				      setup[i].to_port, PROXY_MAPPING_DIRECT);
	}
	rig_nexthop(&rig, TARGET, 0x77);
	memcpy(model.nexthop, "\x02\x00\x00\x00\x01\x77", 6);
}

/* Sometimes a mapping changes; the target only between two ports, so that the rest stays the same.
 */
static void change_mapping(void)
{
	size_t which = random_below(4), i;
	bool deleted = !random_below(5);
	__u16 port = random_below(4) ? TARGET_PORT : TARGET_PORT + 1;

	model.pin_new = !random_below(4);
	rig_pin_new(&rig, model.pin_new);
	if (deleted)
		rig_mapping_delete(&rig, setup[which].from, setup[which].from_port,
				   setup[which].proto);
	else
		rig_mapping_set(&rig, setup[which].from, setup[which].from_port, setup[which].proto,
				TARGET, port, 0);
	for (i = 0; i < model.n_mappings; i++) {
		struct model_mapping *mapping = &model.mappings[i];

		if (mapping->from == ip(setup[which].from) &&
		    mapping->proto == setup[which].proto &&
		    mapping->from_port == setup[which].from_port) {
			mapping->to_port = port;
			mapping->deleted = deleted;
		}
	}
}

static const char *fuzz_text(__u32 addr, char buf[INET_ADDRSTRLEN])
{
	const struct in_addr in = { .s_addr = htonl(addr) };

	return inet_ntop(AF_INET, &in, buf, INET_ADDRSTRLEN);
}

/* Mostly a request that leaves, or a reply that arrives. */
static struct spec fuzz_echo(struct spec spec, enum rig_direction direction)
{
	if (spec.proto != IP_ICMP_PROTO)
		return spec;
	spec.tcp_flags = direction == RIG_EGRESS ? ECHO_REQUEST : ECHO_REPLY;
	if (!random_below(8))
		spec.tcp_flags ^= ECHO_REQUEST;
	if (direction == RIG_EGRESS)
		spec.dport = 0;
	else
		spec.sport = 0;
	return spec;
}

static struct spec random_spec(enum rig_direction direction)
{
	static const __u8 protos[] = { IPPROTO_TCP, IPPROTO_TCP,   IPPROTO_UDP,
				       IPPROTO_UDP, IP_ICMP_PROTO, IPPROTO_SCTP };
	static const __u8 flags[] = { TCP_SYN,		 TCP_SYN, TCP_SYN | TCP_ACK,
				      TCP_ACK,		 TCP_ACK, TCP_ACK | TCP_PSH,
				      TCP_ACK | TCP_FIN, TCP_RST, TCP_RST | TCP_ACK };
	struct spec spec = {
		.src = RANDOM_OF(clients),
		.sport = RANDOM_OF(client_ports),
		.dst = RANDOM_OF(servers),
		.dport = RANDOM_OF(server_ports),
		.proto = protos[random_below(16) ? random_below(5) : 5],
		.tcp_flags = random_below(8) ? RANDOM_OF(flags) : random_below(256),
		.options = random_below(8) ? 0 : random_below(11),
		.no_check = !random_below(8),
		.id = random_below(16),
		.payload = random_below(8) ? random_below(64) : random_below(1400),
	};
	struct model_flow *flow;

	if (!random_below(6)) {
		static const __u16 fragments[] = { FRAGMENT_MORE, FRAGMENT_MORE, FRAGMENT_MORE | 9,
						   9, 18 };

		spec.fragment = RANDOM_OF(fragments);
	}
	if (direction == RIG_EGRESS)
		return fuzz_echo(spec, direction);
	spec.src = RANDOM_OF(servers);
	spec.sport = RANDOM_OF(server_ports);
	spec.dst = RANDOM_OF(clients);
	spec.dport = RANDOM_OF(client_ports);
	if (model.n_flows && random_below(4)) { /* mostly something that is a reply */
		static char remote[INET_ADDRSTRLEN], local[INET_ADDRSTRLEN];

		flow = &model.flows[random_below(model.n_flows)];
		spec.src = fuzz_text(flow->remote, remote);
		spec.dst = fuzz_text(flow->local, local);
		spec.sport = flow->rport;
		spec.dport = flow->lport;
		spec.proto = flow->proto;
	}
	return fuzz_echo(spec, direction);
}

static size_t random_frame(__u8 *frame, enum rig_direction direction)
{
	static const __u8 types[] = { 3, 3, 3, 11, 12, 5, 8, 0 };
	struct spec spec = random_spec(direction);
	size_t len = frame_build(frame, &spec), most;
	char src[INET_ADDRSTRLEN], dst[INET_ADDRSTRLEN];
	__u8 about[FRAME_MAX];

	if (random_below(5))
		return len;
	/* An error about a packet that came the other way. */
	spec = random_spec(direction == RIG_EGRESS ? RIG_INGRESS : RIG_EGRESS);
	if (model.n_flows && random_below(4)) {
		const struct model_flow *flow = &model.flows[random_below(model.n_flows)];
		bool out = direction == RIG_EGRESS;

		spec.src = fuzz_text(out ? flow->orig : flow->local, src);
		spec.dst = fuzz_text(out ? flow->client : flow->remote, dst);
		spec.sport = out ? flow->oport : flow->lport;
		spec.dport = out ? flow->cport : flow->rport;
		spec.proto = flow->proto;
		spec = fuzz_echo(spec, out ? RIG_INGRESS : RIG_EGRESS);
	}
	most = frame_build(about, &spec) - L2_LEN;
	if (most > IP_LEN + 8 && random_below(2))
		most = IP_LEN + 8 + random_below(most - IP_LEN - 8);
	return frame_error(frame, direction == RIG_EGRESS ? RANDOM_OF(clients) : RANDOM_OF(servers),
			   direction == RIG_EGRESS ? RANDOM_OF(servers) : RANDOM_OF(clients),
			   RANDOM_OF(types), random_below(16), about, most);
}

static size_t mutate(__u8 *frame, size_t len)
{
	__u32 n = 1 + random_below(3);

	while (n--) {
		switch (random_below(6)) {
		case 0: /* cut; the kernel refuses test runs with less than an IP header */
			len = L2_LEN + IP_LEN + random_below(len - L2_LEN - IP_LEN + 1);
			break;
		case 1: /* pad */
			if (len < FRAME_MAX - 64) {
				size_t more = random_below(64);

				memset(frame + len, 0x5a, more);
				len += more;
			}
			break;
		case 2: /* any byte */
			frame[12 + random_below(len - 12)] = random_below(256);
			break;
		case 3: /* one bit */
			frame[12 + random_below(len - 12)] ^= 1 << random_below(8);
			break;
		default: /* a byte of the headers, more likely to matter */
			if (len > L2_LEN + 60)
				frame[L2_LEN + random_below(60)] =
					random_below(4) ? random_below(256) : random_below(2) * 255;
		}
	}
	return len;
}

static bool fuzz_report(const char *wrong, enum rig_direction direction, const __u8 *in, size_t len,
			const __u8 *out, const __u8 *want)
{
	size_t i;

	if (check_case_failures >= 3)
		return false;
	printf("  frame %llu, %s: %s: %s\n   in  ", runs,
	       direction == RIG_EGRESS ? "egress" : "ingress", wrong,
	       frame_differs(out, want, len) ?: "all bytes are right");
	for (i = 0; i < len && i < 100; i++)
		printf("%02x", in[i]);
	printf("\n   out ");
	for (i = 0; i < len && i < 100; i++)
		printf("%02x", out[i]);
	printf("\n   want");
	for (i = 0; i < len && i < 100; i++)
		printf("%02x", want[i]);
	printf("\n");
	return false;
}

static bool fuzz_step(enum rig_direction direction, const __u8 *in, size_t len, __u8 *out)
{
	__u8 want[FRAME_MAX];
	const char *wrong;
	size_t out_len;
	int verdict = rig_run(&rig, direction, in, len, out, &out_len);

	runs++;
	wrong = model_step(&model, direction, in, len, out, out_len, verdict, want);
	if (!wrong)
		return true;
	fuzz_report(wrong, direction, in, len, out, want);
	return EXPECT(false, "the model disagrees");
}

/* Whether the frame is a TCP or UDP packet that is no later fragment. */
static bool fuzz_has_ports(const __u8 *frame)
{
	bool later;
	__u8 proto;

	frame_l4(frame, &proto, &later);
	return (proto == IPPROTO_TCP || proto == IPPROTO_UDP) && !later;
}

/* Exchange source and destination: no checksum changes. */
static void fuzz_turn(__u8 *frame)
{
	__u8 *l3 = frame + L2_LEN, *l4, kept[sizeof(proxy_addr)], proto;
	bool later;

	l4 = frame + frame_l4(frame, &proto, &later);
	memcpy(kept, l3 + IP_SRC, sizeof(kept));
	memcpy(l3 + IP_SRC, l3 + IP_DST, sizeof(kept));
	memcpy(l3 + IP_DST, kept, sizeof(kept));
	memcpy(kept, l4, 2);
	memcpy(l4, l4 + 2, 2);
	memcpy(l4 + 2, kept, 2);
}

/* The target returns what it has got; the client has to get what it has sent. */
static void round_trip(const __u8 *in, size_t len, const __u8 *translated)
{
	__u8 back[FRAME_MAX], out[FRAME_MAX];

	memcpy(back, translated, len);
	fuzz_turn(back);
	if (!fuzz_step(RIG_INGRESS, back, len, out))
		return;
	fuzz_turn(out);
	round_trips++;
	if (!EXPECT(!memcmp(in + 12, out + 12, len - 12), "egress and ingress do not cancel out"))
		fuzz_report("round trip", RIG_INGRESS, in, len, out, in);
}

static void fuzz(__u64 frames, __u64 seed)
{
	__u8 in[FRAME_MAX], out[FRAME_MAX];
	char name[96];

	random_state = seed;
	snprintf(name, sizeof(name), "%llu frames come out as the model says (seed %llu)", frames,
		 seed);
	check_begin(name);
	while (runs < frames && check_case_failures < 10) {
		enum rig_direction direction = random_below(2) ? RIG_EGRESS : RIG_INGRESS;
		size_t len = random_frame(in, direction);
		bool whole = random_below(3);

		if (!whole) {
			len = mutate(in, len);
			mutated++;
		}
		if (!fuzz_step(direction, in, len, out))
			continue;
		if (whole && !frame_wrong(in, len)) {
			intact++;
			if (!EXPECT(!frame_wrong(out, len), "frame %llu: %s", runs,
				    frame_wrong(out, len)))
				fuzz_report("checksum", direction, in, len, out, in);
			if (direction == RIG_EGRESS && model.last_translated && fuzz_has_ports(in))
				round_trip(in, len, out);
		}
		if (!random_below(2000))
			change_mapping();
		if (runs / ROUND != (runs - 1) / ROUND) {
			rig_heartbeat(&rig, -AN_HOUR_NS);
			rig_clear(&rig);
			model_clear(&model);
		}
	}
	check_end();
}

int main(int argc, char **argv)
{
	__u64 frames = argc > 1	      ? strtoull(argv[1], NULL, 10)
		       : check_soak() ? LONG_FRAMES
				      : SHORT_FRAMES;
	enum proxy_counter counter;

	rig_open(&rig, (struct rig_sizes){ .flows = 16384, .fragments = 65536 });
	map_all();
	rig_heartbeat(&rig, -AN_HOUR_NS);
	fuzz(frames, argc > 2 ? strtoull(argv[2], NULL, 10) : 1);
	check_begin("what is counted is what the model counts");
	for (counter = PROXY_OK + 1; counter < PROXY_COUNTER_MAX; counter++)
		EXPECT(rig_counter(&rig, counter) == model.counters[counter],
		       "counter %d: %llu, want %llu", counter, rig_counter(&rig, counter),
		       model.counters[counter]);
	check_end();
	CHECK(model.translated > frames / 5 && round_trips > frames / 50 && mutated > frames / 10,
	      "enough of them were to the point");
	printf("# %llu frames: %llu translated, %llu intact, %llu mutated, %llu round trips\n",
	       runs, model.translated, intact, mutated, round_trips);
	for (counter = PROXY_OK + 1; counter < PROXY_COUNTER_MAX; counter++)
		printf("# counter %d: %llu\n", counter, model.counters[counter]);
	rig_close(&rig);
	return check_exit();
}
