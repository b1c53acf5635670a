// SPDX-License-Identifier: GPL-2.0-only
/* When the proxy answers a request for the MAC address of an original, and when it does not. */
#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "check.h"
#include "frame-fields.h"
#include "proxy-rig.h"

/* ARP messages; or solicitations and advertisements of IPv6, with a MAC address as their option. */
enum {
	ARP_LEN = PROXY_SIZE(42, 86),
	REQUEST = PROXY_SIZE(1, 135),
	REPLY = PROXY_SIZE(2, 136),
};
#define ANSWERED (PROXY_FAMILY == 4 ? PROXY_ARP : PROXY_SOLICITED)
#define SECOND 1000000000ULL

static struct rig rig;
static __u8 in[FRAME_MAX], out[FRAME_MAX];
/* Where a request for ORIGINAL goes to. */
static const __u8 broadcast[6] = {
	PROXY_SIZE(255, 0x33), PROXY_SIZE(255, 0x33), 255,
	PROXY_SIZE(255, 0),    PROXY_SIZE(255, 0),    PROXY_SIZE(255, 10),
};
/* The test runs take place on lo, whose MAC address is 0: a frame for the client has that. */
static const __u8 client_mac[6] = { 0 }, host_mac[6] = { 2, 0, 0, 0, 0, 3 };
static const __u8 proxy_mac[6] = PROXY_MAC;

/* Changes to a reply: @len @bytes at @at of the frame. */
struct variant {
	const char *what;
	size_t at, len;
	__u8 bytes[16];
};

#if PROXY_FAMILY == 4

static const struct variant dropped[] = {
	{ "hardware type 99", 14, 2, { 0, 99 } },
	{ "hardware type 0", 14, 2, { 0, 0 } },
	{ "operation 0", 20, 2, { 0, 0 } },
	{ "an RARP operation", 20, 2, { 0, 4 } },
	{ "for another host", 0, 6, { 2, 0, 0, 0, 0, 4 } },
	{ "asking for a multicast address", 38, 4, { 224, 0, 0, 1 } },
	{ "asking for a loopback address", 38, 4, { 127, 0, 0, 1 } },
};

static const struct variant taken[] = {
	{ "a reply", 0, 0, { 0 } },
	{ "a request", 20, 2, { 0, REQUEST } },
	{ "hardware type 6", 14, 2, { 0, 6 } },
	{ "a broadcast", 0, 6, { 255, 255, 255, 255, 255, 255 } },
	{ "a multicast", 0, 6, { 1, 0, 94, 0, 0, 1 } },
	{ "an announcement", 38, 4, { 10, 0, 0, 10 } },
	{ "an answer to a probe", 38, 4, { 0 } },
};

static void build(const __u8 *dmac, const __u8 *smac, __u16 op, const char *sender,
		  const char *target)
{
	static const __u8 kind[] = { 8, 6, 0, 1, 8, 0, 6, 4 };

	memset(in, 0, ARP_LEN);
	memcpy(in, dmac, 6);
	memcpy(in + 6, smac, 6);
	memcpy(in + 12, kind, sizeof(kind));
	put16(in + 20, op);
	memcpy(in + 22, smac, 6);
	put32(in + 28, ip(sender));
	put32(in + 38, ip(target));
}

static void arp_vary(const struct variant *variant)
{
	memcpy(in + variant->at, variant->bytes, variant->len);
}

#else

enum { ICMP = L2_LEN + IP_LEN, TARGET_AT = ICMP + 8, OPTION = TARGET_AT + 16, CHECK = ICMP + 2 };

static const struct variant dropped[] = {
	{ "hop limit 254", L2_LEN + 7, 1, { 254 } },
	{ "code 1", ICMP + 1, 1, { 1 } },
	{ "a wrong checksum", CHECK, 2, { 0x12, 0x34 } },
	{ "a redirect", ICMP, 1, { 137 } },
	{ "for another host", 0, 6, { 2, 0, 0, 0, 0, 4 } },
	{ "solicited, and to all nodes",
	  L2_LEN + IP_DST,
	  16,
	  { 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 } },
	{ "an option of length 0", OPTION + 1, 1, { 0 } },
};

static const struct variant taken[] = {
	{ "an advertisement", 0, 0, { 0 } },
	{ "a solicitation", ICMP, 1, { REQUEST } },
	{ "an advertisement that nobody asked for", ICMP + 4, 1, { 0x20 } },
	{ "a multicast", 0, 6, { 0x33, 0x33, 0, 0, 0, 1 } },
};

static void arp_put(__u8 *at, const char *addr)
{
	if (strcmp(addr, "0.0.0.0") != 0)
		addr_put(at, ip(addr));
}

static void arp_sum(void)
{
	put16(in + CHECK, 0);
	put16(in + CHECK,
	      ~sum16(in + ICMP, 32, sum16(in + L2_LEN + IP_SRC, 32, IPPROTO_ICMPV6 + 32)));
}

/* @target is asked for by a request, and told by a reply about @sender. */
static void build(const __u8 *dmac, const __u8 *smac, __u16 op, const char *sender,
		  const char *target)
{
	static const __u8 solicited_node[13] = { 0xff, 2, [11] = 1, 0xff };
	__u8 *l3 = in + L2_LEN;

	memset(in, 0, ARP_LEN);
	memcpy(in, dmac, 6);
	memcpy(in + 6, smac, 6);
	put16(in + 12, 0x86dd);
	l3[0] = 0x60;
	put16(l3 + 4, 32);
	l3[6] = IPPROTO_ICMPV6;
	l3[7] = 255;
	arp_put(l3 + IP_SRC, sender);
	arp_put(l3 + IP_DST, target);
	if (op == REQUEST && dmac[0] == 0x33) /* otherwise to see whether it is still there */
		memcpy(l3 + IP_DST, solicited_node, sizeof(solicited_node));
	in[ICMP] = op;
	in[ICMP + 4] = op == REPLY ? 0x60 : 0; /* solicited, override */
	arp_put(in + TARGET_AT, op == REPLY ? sender : target);
	in[OPTION] = op == REPLY ? 2 : 1;
	in[OPTION + 1] = 1;
	memcpy(in + OPTION + 2, smac, 6);
	arp_sum();
}

static void arp_vary(const struct variant *variant)
{
	memcpy(in + variant->at, variant->bytes, variant->len);
	if (variant->at != CHECK)
		arp_sum();
}

#endif

/* Run @in, which passes in any case, as a broadcast if it was for the MAC address of the answers.
 * Return: whether it was answered. */
static bool arp_run(enum rig_direction direction)
{
	__u64 before = rig_counter(&rig, ANSWERED);
	__u8 want[ARP_LEN];
	size_t len;
	int verdict = rig_run(&rig, direction, in, ARP_LEN, out, &len);
	bool answered = rig_counter(&rig, ANSWERED) != before;
	const char *differs;

	memcpy(want, in, ARP_LEN);
	if (answered || !memcmp(in, proxy_mac, 6))
		memcpy(want, broadcast, 6);
	EXPECT(verdict == TC_ACT_UNSPEC && len == ARP_LEN, "the message itself goes on");
	differs = frame_differs(out, want, ARP_LEN);
	EXPECT(!differs, "the message itself changes: %s", differs);
	return answered;
}

static bool arp_request(const char *whom)
{
	build(broadcast, client_mac, REQUEST, CLIENT, whom);
	return arp_run(RIG_EGRESS);
}

/* The state of ORIGINAL: asked and heard of so long ago (0: never). */
static void host_set(__u64 asked_ago, __u64 heard_ago)
{
	int fd = bpf_map__fd(rig.skel->maps.hosts);
	const proxy_addr addr = rig_addr(ip(ORIGINAL));
	struct proxy_host host;
	struct timespec ts;
	__u64 now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	now = ts.tv_sec * SECOND + ts.tv_nsec;
	bpf_map_lookup_elem(fd, &addr, &host);
	host.asked = asked_ago ? now - asked_ago : 0;
	host.heard = heard_ago ? now - heard_ago : 0;
	bpf_map_update_elem(fd, &addr, &host, BPF_ANY);
}

int main(void)
{
	rig_open(&rig, (struct rig_sizes){ 0 });
	rig_map(&rig, ORIGINAL, ORIGINAL_PORT, IPPROTO_TCP, TARGET, TARGET_PORT, 0);

	check_begin("the first request waits for somebody else's answer");
	EXPECT(!arp_request(ORIGINAL), "answered");
	EXPECT(!arp_request(ORIGINAL), "a second one at once was answered");
	check_end();

	check_begin("a request is answered once the first has gone unanswered");
	host_set(SECOND / 5, 0);
	EXPECT(arp_request(ORIGINAL), "not answered");
	EXPECT(arp_request(ORIGINAL), "the next one not answered");
	check_end();

	check_begin("a probe of our own MAC address is answered, and goes on as a broadcast");
	build(proxy_mac, client_mac, REQUEST, CLIENT, ORIGINAL);
	EXPECT(arp_run(RIG_EGRESS), "not answered");
	check_end();

	check_begin("our own answer does not count as a host");
	build(client_mac, proxy_mac, REPLY, ORIGINAL, CLIENT);
	arp_run(RIG_INGRESS);
	EXPECT(arp_request(ORIGINAL), "not answered");
	check_end();

	check_begin("a host that answers is left in peace");
	build(client_mac, host_mac, REPLY, ORIGINAL, CLIENT);
	arp_run(RIG_INGRESS);
	EXPECT(!arp_request(ORIGINAL), "answered");
	host_set(SECOND, 2 * SECOND);
	EXPECT(!arp_request(ORIGINAL), "answered after one lost reply");
	check_end();

	check_begin("unless it has been silent for as long as the kernel would wait");
	host_set(3 * SECOND, 4 * SECOND);
	EXPECT(arp_request(ORIGINAL), "not answered");
	check_end();

	check_begin("a host that only asks is a host, too");
	host_set(SECOND, 0);
	build(broadcast, host_mac, REQUEST, ORIGINAL, CLIENT);
	arp_run(RIG_INGRESS);
	EXPECT(!arp_request(ORIGINAL), "answered");
	check_end();

	check_begin("a message that the kernel drops says nothing about a host");
	for (size_t i = 0; i < sizeof(dropped) / sizeof(*dropped); i++) {
		host_set(SECOND, 0);
		build(client_mac, host_mac, REPLY, ORIGINAL, CLIENT);
		arp_vary(&dropped[i]);
		arp_run(RIG_INGRESS);
		EXPECT(arp_request(ORIGINAL), "believed: %s", dropped[i].what);
	}
	check_end();

	check_begin("a message that it takes does");
	for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++) {
		host_set(SECOND, 0);
		build(client_mac, host_mac, REPLY, ORIGINAL, CLIENT);
		arp_vary(&taken[i]);
		arp_run(RIG_INGRESS);
		EXPECT(!arp_request(ORIGINAL), "not believed: %s", taken[i].what);
	}
	check_end();

	check_begin("a request to the MAC address of the answers finds a host that is back");
	host_set(SECOND, SECOND);
	build(proxy_mac, client_mac, REQUEST, CLIENT, ORIGINAL);
	EXPECT(!arp_run(RIG_EGRESS), "answered, though a host was heard of");
	check_end();

	check_begin("whoever is about to take the address is not told that it is taken");
	host_set(SECOND, 0);
	build(broadcast, client_mac, REQUEST, "0.0.0.0", ORIGINAL);
	EXPECT(!arp_run(RIG_EGRESS), "a probe was answered");
	build(broadcast, client_mac, REQUEST, ORIGINAL, ORIGINAL);
	EXPECT(!arp_run(RIG_EGRESS), "an announcement was answered");
	check_end();

	check_begin("other addresses and malformed messages are none of our business");
	EXPECT(!arp_request(TARGET), "the target");
	EXPECT(!arp_request(ROUTER), "a stranger");
	build(broadcast, client_mac, REQUEST, CLIENT, ORIGINAL);
	arp_vary(&(struct variant){ .at = PROXY_SIZE(18, 79), .len = 1, .bytes = { 8 } });
	EXPECT(!arp_run(RIG_EGRESS), "a hardware address of another length");
	build(broadcast, client_mac, REPLY, CLIENT, ORIGINAL);
	EXPECT(!arp_run(RIG_EGRESS), "a reply");
	check_end();

	check_begin("a request is answered however many addresses are known");
	host_set(SECOND, 0);
	memset(rig.maps.state->summary, 0xff, sizeof(rig.maps.state->summary));
	EXPECT(arp_request(ORIGINAL), "not answered when every bit of the summary is set");
	memset(rig.maps.prefilter->words, 0xff, sizeof(rig.maps.prefilter->words));
	EXPECT(arp_request(ORIGINAL), "not answered when every bit of the prefilter is set");
	check_end();

	rig_close(&rig);
	return check_exit();
}
