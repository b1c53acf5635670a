// SPDX-License-Identifier: GPL-2.0-only
/* What a CPU remembers of a flow holds as long as it is true, and no longer. */
#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "check.h"
#include "proxy-rig.h"

/* More jiffies than a memory lasts, whatever HZ is. */
enum { IDLE_MS = 1100, MAC = 0x77 };

static struct rig rig;

/* A packet of the client's, or the answer of @target. Return: whether it came out translated. */
static bool cache_pass(enum rig_direction direction, __u8 proto, __u8 flags, const char *target)
{
	const struct spec out_spec = { .src = CLIENT,
				       .dst = ORIGINAL,
				       .sport = CLIENT_PORT,
				       .dport = ORIGINAL_PORT,
				       .proto = proto,
				       .tcp_flags = flags,
				       .payload = 7 };
	const struct spec in_spec = { .src = target,
				      .dst = CLIENT,
				      .sport = TARGET_PORT,
				      .dport = CLIENT_PORT,
				      .proto = proto,
				      .tcp_flags = flags,
				      .payload = 7 };
	bool egress = direction == RIG_EGRESS;
	__u8 in[FRAME_MAX], out[FRAME_MAX];
	size_t len = frame_build(in, egress ? &out_spec : &in_spec), out_len;

	if (rig_run(&rig, direction, in, len, out, &out_len) == TC_ACT_SHOT ||
	    frame_wrong(out, out_len))
		return false;
	return egress ? addr_get(out + L2_LEN + IP_DST) == ip(target)
		      : addr_get(out + L2_LEN + IP_SRC) == ip(ORIGINAL);
}

static bool cache_sent(__u8 proto, __u8 flags)
{
	return cache_pass(RIG_EGRESS, proto, flags, TARGET);
}

static bool cache_answered(__u8 proto, __u8 flags)
{
	return cache_pass(RIG_INGRESS, proto, flags, TARGET);
}

static struct proxy_flow flow_of(__u8 proto)
{
	const struct proxy_flow *flow =
		rig_flow(&rig, TARGET, TARGET_PORT, CLIENT, CLIENT_PORT, proto);

	return flow ? *flow : (struct proxy_flow){ 0 };
}

/* An established connection, whose plain packets both directions remember. */
static void connection(void)
{
	rig_clear(&rig);
	CHECK(cache_sent(IPPROTO_TCP, TCP_SYN) && cache_answered(IPPROTO_TCP, TCP_SYN | TCP_ACK) &&
		      cache_sent(IPPROTO_TCP, TCP_ACK) && cache_sent(IPPROTO_TCP, TCP_ACK) &&
		      cache_answered(IPPROTO_TCP, TCP_ACK) && cache_answered(IPPROTO_TCP, TCP_ACK),
	      "a connection");
}

/* Entries in use on all CPUs. */
static unsigned int cache_remembered(void)
{
	const struct bpf_map *map = rig.skel->maps.cache;
	/* struct cached of bpf/proxy-cache.h, and its field "kind" */
	__u32 value[PROXY_SIZE(16, 32)], kind = PROXY_SIZE(3, 10), count = 0;

	for (__u32 i = 0; i < bpf_map__max_entries(map); i++)
		count += !bpf_map_lookup_elem(bpf_map__fd(map), &i, value) && value[kind];
	return count;
}

static void test_remembered(void)
{
	unsigned int before = cache_remembered();

	connection();
	CHECK_EQ(cache_remembered() - before, 2, "is remembered, once each way");
}

static void cache_idle(void)
{
	const struct timespec time = { .tv_sec = IDLE_MS / 1000,
				       .tv_nsec = IDLE_MS % 1000 * 1000000L };

	nanosleep(&time, NULL);
}

/* The time of the last packet, which decides on a flow's end, goes on while packets come. */
static void test_tick(void)
{
	struct proxy_flow before, after;

	rig_clear(&rig);
	CHECK(cache_sent(IPPROTO_UDP, 0) && cache_sent(IPPROTO_UDP, 0), "datagrams");
	before = flow_of(IPPROTO_UDP);
	cache_idle();
	CHECK(cache_sent(IPPROTO_UDP, 0), "and one later");
	after = flow_of(IPPROTO_UDP);
	CHECK(after.tick != before.tick && after.last_seen > before.last_seen,
	      "the later one is noted");
	CHECK(cache_answered(IPPROTO_UDP, 0) && cache_answered(IPPROTO_UDP, 0), "answers");
	before = flow_of(IPPROTO_UDP);
	cache_idle();
	CHECK(cache_answered(IPPROTO_UDP, 0), "and one later");
	after = flow_of(IPPROTO_UDP);
	CHECK(after.tick != before.tick && after.last_seen > before.last_seen,
	      "that is noted, too");
}

static void test_reset(void)
{
	connection();
	cache_sent(IPPROTO_TCP, TCP_RST);
	CHECK_EQ(proxy_tcp_phase(flow_of(IPPROTO_TCP).state), PROXY_TCP_CLOSING,
		 "reset by the client");
	cache_sent(IPPROTO_TCP, TCP_ACK);
	CHECK_EQ(proxy_tcp_phase(flow_of(IPPROTO_TCP).state), PROXY_TCP_ESTABLISHED,
		 "it was somebody else: the client goes on");
	cache_answered(IPPROTO_TCP, TCP_RST);
	CHECK_EQ(proxy_tcp_phase(flow_of(IPPROTO_TCP).state), PROXY_TCP_CLOSING,
		 "reset by the target");
	cache_answered(IPPROTO_TCP, TCP_ACK);
	CHECK_EQ(proxy_tcp_phase(flow_of(IPPROTO_TCP).state), PROXY_TCP_ESTABLISHED,
		 "it was somebody else: the target goes on");
}

/* The next connection with the same ports has to show anew how far it is. */
static void test_reopened(void)
{
	connection();
	cache_sent(IPPROTO_TCP, TCP_ACK | TCP_FIN);
	cache_answered(IPPROTO_TCP, TCP_ACK | TCP_FIN);
	CHECK_EQ(proxy_tcp_phase(flow_of(IPPROTO_TCP).state), PROXY_TCP_CLOSING, "it ends");
	cache_sent(IPPROTO_TCP, TCP_SYN);
	cache_answered(IPPROTO_TCP, TCP_SYN | TCP_ACK);
	CHECK_EQ(proxy_tcp_phase(flow_of(IPPROTO_TCP).state), PROXY_TCP_OPENING, "another begins");
	cache_sent(IPPROTO_TCP, TCP_ACK);
	CHECK_EQ(proxy_tcp_phase(flow_of(IPPROTO_TCP).state), PROXY_TCP_ESTABLISHED,
		 "and is established");
}

/* As the tool does for a connection whose mapping gets another target. */
static void cache_pin(void)
{
	const struct proxy_flow *flow =
		rig_flow(&rig, TARGET, TARGET_PORT, CLIENT, CLIENT_PORT, IPPROTO_TCP);

	CHECK(flow && !maps_pin(&rig.maps, (__u32)(flow - rig.flows)), "pinned");
}

static void test_moved(void)
{
	connection();
	cache_pin();
	rig_mapping_set(&rig, ORIGINAL, ORIGINAL_PORT, IPPROTO_TCP, TARGET_2, TARGET_PORT, 0);
	CHECK(cache_sent(IPPROTO_TCP, TCP_ACK) && cache_sent(IPPROTO_TCP, TCP_ACK),
	      "moved: the connection keeps its target");
	cache_sent(IPPROTO_TCP, TCP_ACK | TCP_FIN);
	cache_answered(IPPROTO_TCP, TCP_ACK | TCP_FIN);
	CHECK(cache_sent(IPPROTO_TCP, TCP_ACK), "to its end");
	CHECK(cache_pass(RIG_EGRESS, IPPROTO_TCP, TCP_SYN, TARGET_2),
	      "the next one goes to the new one");
	CHECK(cache_pass(RIG_EGRESS, IPPROTO_TCP, TCP_ACK, TARGET_2), "with all its packets");
	rig_mapping_set(&rig, ORIGINAL, ORIGINAL_PORT, IPPROTO_TCP, TARGET, TARGET_PORT, 0);
	rig_clear(&rig);
}

static void test_mac(void)
{
	connection();
	rig_nexthop(&rig, TARGET, MAC + 1);
	CHECK(cache_sent(IPPROTO_TCP, TCP_ACK), "another MAC address");
	/* cache_pass() has not looked at it. */
	const struct spec spec = { .src = CLIENT,
				   .dst = ORIGINAL,
				   .sport = CLIENT_PORT,
				   .dport = ORIGINAL_PORT,
				   .proto = IPPROTO_TCP,
				   .tcp_flags = TCP_ACK };
	__u8 in[FRAME_MAX], out[FRAME_MAX];
	size_t in_len = frame_build(in, &spec), out_len;

	rig_run(&rig, RIG_EGRESS, in, in_len, out, &out_len);
	CHECK_EQ(out[5], MAC + 1, "is used at once");
	rig_nexthop(&rig, TARGET, MAC);
}

static struct proxy_mapping_stats counted(void)
{
	struct proxy_mapping_stats sum = { 0 }, stats;

	for (__u32 i = 0; i < bpf_map__max_entries(rig.skel->maps.mapping_stats); i++) {
		bpf_map_lookup_elem(bpf_map__fd(rig.skel->maps.mapping_stats), &i, &stats);
		sum.packets_out += stats.packets_out;
		sum.bytes_out += stats.bytes_out;
		sum.packets_in += stats.packets_in;
		sum.bytes_in += stats.bytes_in;
	}
	return sum;
}

/* Every packet is counted, whatever way it took, on whatever CPU. */
static void test_counts(void)
{
	enum { PACKETS = 100, LEN = L2_LEN + IP_LEN + 8 + 7 };
	struct proxy_mapping_stats before = counted(), after;
	int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN), bad = 0;
	cpu_set_t all, one;

	rig_clear(&rig);
	sched_getaffinity(0, sizeof(all), &all);
	for (int i = 0; i < PACKETS; i++) {
		CPU_ZERO(&one);
		CPU_SET(i / 5 % cpus, &one);
		sched_setaffinity(0, sizeof(one), &one);
		bad += !cache_sent(IPPROTO_UDP, 0) + !cache_answered(IPPROTO_UDP, 0);
	}
	sched_setaffinity(0, sizeof(all), &all);
	after = counted();
	CHECK_EQ(bad, 0, "on %d CPUs in turn all are translated", cpus);
	CHECK_EQ(after.packets_out - before.packets_out, PACKETS, "and counted on their way out");
	CHECK_EQ(after.packets_in - before.packets_in, PACKETS, "and in");
	CHECK_EQ(after.bytes_out - before.bytes_out, PACKETS * LEN, "with their bytes out");
	CHECK_EQ(after.bytes_in - before.bytes_in, PACKETS * LEN, "and in");
}

int main(void)
{
	rig_open(&rig, (struct rig_sizes){ 0 });
	rig_map(&rig, ORIGINAL, ORIGINAL_PORT, IPPROTO_UDP, TARGET, TARGET_PORT, 0);
	rig_map(&rig, ORIGINAL, ORIGINAL_PORT, IPPROTO_TCP, TARGET, TARGET_PORT, 0);
	rig_nexthop(&rig, TARGET, MAC);
	RUN(test_remembered);
	RUN(test_tick);
	RUN(test_reset);
	RUN(test_reopened);
	RUN(test_moved);
	RUN(test_mac);
	RUN(test_counts);
	rig_close(&rig);
	return check_exit();
}
