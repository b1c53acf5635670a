// SPDX-License-Identifier: GPL-2.0-only
/* When the proxy answers an ARP request for an original address, and when it does not. */
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

enum { ARP_LEN = 42, REQUEST = 1, REPLY = 2 };
#define SECOND 1000000000ULL

static struct rig rig;
static __u8 in[FRAME_MAX], out[FRAME_MAX];
static const __u8 broadcast[6] = { 255, 255, 255, 255, 255, 255 };
/* The test runs take place on lo, whose MAC address is 0: a frame for the client has that. */
static const __u8 client_mac[6] = { 0 }, host_mac[6] = { 2, 0, 0, 0, 0, 3 };
static const __u8 proxy_mac[6] = PROXY_MAC;

/* Changes to a reply: @len @bytes at @at of the frame. */
struct variant {
	const char *what;
	size_t at, len;
	__u8 bytes[6];
};

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

/* Run @in, which passes in any case, as a broadcast if it was for the MAC address of the answers.
 * Return: whether it was answered. */
static bool arp_run(enum rig_direction direction)
{
	__u64 before = rig_counter(&rig, PROXY_ARP);
	__u8 want[ARP_LEN];
	size_t len;
	int verdict = rig_run(&rig, direction, in, ARP_LEN, out, &len);
	bool answered = rig_counter(&rig, PROXY_ARP) != before;
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
	__be32 addr = htonl(ip(ORIGINAL));
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
		memcpy(in + dropped[i].at, dropped[i].bytes, dropped[i].len);
		arp_run(RIG_INGRESS);
		EXPECT(arp_request(ORIGINAL), "believed: %s", dropped[i].what);
	}
	check_end();

	check_begin("a message that it takes does");
	for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++) {
		host_set(SECOND, 0);
		build(client_mac, host_mac, REPLY, ORIGINAL, CLIENT);
		memcpy(in + taken[i].at, taken[i].bytes, taken[i].len);
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
	in[18] = 8;
	EXPECT(!arp_run(RIG_EGRESS), "a hardware address of 8 bytes");
	build(broadcast, client_mac, REPLY, CLIENT, ORIGINAL);
	EXPECT(!arp_run(RIG_EGRESS), "a reply");
	check_end();

	rig_close(&rig);
	return check_exit();
}
