// SPDX-License-Identifier: GPL-2.0-only
/* Filters, formats, and the choice of rows: what needs no kernel. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include "../../packet-monitor/filter.h"
#include "../../packet-monitor/format.h"
#include "../../packet-monitor/view.h"
#include "check.h"

static struct pm_key key4(const char *src, __u16 sport, const char *dst, __u16 dport, __u8 proto,
			  __u8 kind)
{
	__u32 from, to;

	inet_pton(AF_INET, src, &from);
	inet_pton(AF_INET, dst, &to);
	return (struct pm_key){ .meta = pm_key_meta((__u32)sport << 16 | dport, proto, kind, 0),
				.addr = { (__u64)to << 32 | from } };
}

static struct pm_key key6(const char *src, __u16 sport, const char *dst, __u16 dport, __u8 proto)
{
	struct pm_key key = { .meta = pm_key_meta((__u32)sport << 16 | dport, proto, PM_KIND_IPV6,
						  0) };

	inet_pton(AF_INET6, src, &key.addr[0]);
	inet_pton(AF_INET6, dst, &key.addr[2]);
	return key;
}

static void test_key(void)
{
	struct pm_key key = { .meta = pm_key_meta(0x12345678, 17, PM_KIND_IPV6 | PM_KIND_EGRESS,
						  0xabc) };

	CHECK_EQ(pm_key_sport(&key), 0x1234, "key: source port");
	CHECK_EQ(pm_key_dport(&key), 0x5678, "key: destination port");
	CHECK_EQ(pm_key_proto(&key), 17, "key: protocol");
	CHECK_EQ(pm_key_vlan(&key), 0xabc, "key: VLAN");
	CHECK_EQ(pm_key_direction(&key), PM_EGRESS, "key: direction");
}

static void check_endpoints(const char *name, const struct pm_key *key, const char *want)
{
	char src[FORMAT_ENDPOINT_MAX], dst[FORMAT_ENDPOINT_MAX], proto[FORMAT_PROTO_MAX];
	char text[2 * FORMAT_ENDPOINT_MAX + FORMAT_PROTO_MAX + 4];

	format_endpoint(src, key, false);
	format_endpoint(dst, key, true);
	format_proto(proto, key);
	snprintf(text, sizeof(text), "%s %s > %s", proto, src, dst);
	CHECK_STR(text, want, "format: %s", name);
}

static void test_format(void)
{
	struct pm_key key = key4("10.0.0.1", 80, "10.0.0.2", 65535, IPPROTO_TCP, 0);

	check_endpoints("IPv4", &key, "tcp 10.0.0.1:80 > 10.0.0.2:65535");
	key = key6("fd00::1", 80, "::", 1, IPPROTO_UDP);
	check_endpoints("IPv6", &key, "udp [fd00::1]:80 > [::]:1");
	key = key4("10.0.0.1", 8 << 8, "10.0.0.2", 0, IPPROTO_ICMP, 0);
	check_endpoints("ICMP", &key, "icmp 10.0.0.1 > 10.0.0.2 type 8");
	key = key4("10.0.0.1", 0, "10.0.0.2", 0, IPPROTO_UDP, PM_KIND_FRAGMENT);
	check_endpoints("fragment", &key, "udp 10.0.0.1 > 10.0.0.2 fragment");
	key = key4("10.0.0.1", 0, "10.0.0.2", 0, 253, 0);
	check_endpoints("a number for a name", &key, "253 10.0.0.1 > 10.0.0.2");
	key = (struct pm_key){ .meta = pm_key_meta(0x0806, 0, PM_KIND_OTHER, 0),
			       .addr = { 0x020000000001, 0xffffffffffff } };
	check_endpoints("ARP", &key, "0x0806 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff");
}

static void check_shorten(const char *text, int width, int head, const char *want)
{
	char shortened[FORMAT_ENDPOINT_MAX];

	snprintf(shortened, sizeof(shortened), "%s", text);
	format_shorten(shortened, width, head, "~");
	CHECK_STR(shortened, want, "shorten: %s to %d, head %d", text, width, head);
}

static void test_shorten(void)
{
	const char *ip6 = "[2001:db8:1234:5678:9abc:def0:1234:5678]:33054";

	check_shorten("10.0.0.1:80", 11, 4, "10.0.0.1:80");
	check_shorten("192.168.100.101:33054", 14, 4, "192~.101:33054");
	check_shorten("192.168.100.101:33054", 14, 0, "~100.101:33054");
	check_shorten("192.168.100.101:33054", 14, 8, "192.168~:33054");
	check_shorten(ip6, 20, 4, "[2001:~4:5678]:33054");
	check_shorten(ip6, 9, 4, "[~]:33054");
	check_shorten(ip6, 8, 4, "~]:33054");
	check_shorten(ip6, 1, 4, "~");
	check_shorten("2001:db8::9abc:def0:1234:5678", 12, 4, "2001:~4:5678");
	check_shorten("aa:bb:cc:dd:ee:ff", 10, 4, "aa:b~ee:ff");
	check_shorten("192.168.100.101 type 3/1", 15, 4, "19~101 type 3/1");
	check_shorten("host.example.com:https", 14, 4, "hos~.com:https");
}

static void check_si(double value, const char *want)
{
	char text[16];

	format_si(text, value);
	CHECK_STR(text, want, "format: %.0f", value);
}

static void test_si(void)
{
	check_si(0, "0");
	check_si(9999, "9999");
	check_si(10000, "10.00k");
	check_si(999949, "999.9k");
	check_si(999999, "1.000M");
	check_si(12345678, "12.35M");
	check_si(18446744073709551615.0, "18.45E");
}

static const struct monitor_config both = { .counter.direction = { true, true } };
static const struct monitor eth = { .config = &both };
static const struct monitor lo = { .config = &both, .iface = { .loopback = true } };

static void view_test_add(struct view *view, const struct monitor *monitor, struct pm_key key,
			  __u64 packets, __u64 interval)
{
	struct flow flow = { .key = &key,
			     .total = { packets, packets * 100 },
			     .interval = { interval, interval * 100 },
			     .age_ns = packets };

	view_add(view, monitor, &flow);
}

static void test_sort(void)
{
	struct view view = { 0 };

	for (size_t limit = 0; limit <= 50; limit += 10) {
		char name[64];

		view_begin(&view, &(struct view_config){ .sort = SORT_PPS, .limit = limit });
		for (unsigned int i = 0; i < 40; i++) {
			unsigned int rate = i * 7 % 40; /* each from 0 to 39, once */

			view_test_add(&view, &eth,
				      key4("10.0.0.1", (__u16)i, "10.0.0.2", 1, IPPROTO_UDP, 0),
				      1000 - rate, rate);
		}
		view_end(&view);
		snprintf(name, sizeof(name), "view: the first %zu of 40", limit);
		check_begin(name);
		EXPECT(view.found == 40, "found %zu", view.found);
		EXPECT(view.count == (limit && limit < 40 ? limit : 40), "shows %zu", view.count);
		for (size_t i = 0; i < view.count; i++)
			EXPECT(view.rows[i].interval[0].packets == 39 - i, "row %zu has %llu", i,
			       view.rows[i].interval[0].packets);
		check_end();
	}
	view_begin(&view, &(struct view_config){ .sort = SORT_DST });
	view_test_add(&view, &eth, key4("10.0.0.9", 1, "10.0.0.200", 1, IPPROTO_UDP, 0), 1, 0);
	view_test_add(&view, &eth, key4("10.0.0.9", 1, "9.0.1.0", 1, IPPROTO_UDP, 0), 1, 0);
	view_test_add(&view, &eth, key6("::1", 1, "::2", 1, IPPROTO_UDP), 1, 0);
	view_test_add(&view, &eth, key4("10.0.0.8", 1, "10.0.0.200", 1, IPPROTO_UDP, 0), 1, 0);
	view_end(&view);
	CHECK_EQ(ntohl((__u32)(view.rows[0].key.addr[0] >> 32)), 0x09000100,
		 "view: addresses are ordered as numbers");
	CHECK_EQ(ntohl((__u32)view.rows[1].key.addr[0]), 0x0a000008, "view: ties by the source");
	CHECK_EQ(pm_key_kind(&view.rows[3].key), PM_KIND_IPV6, "view: IPv6 behind IPv4");
	view_free(&view);
}

static bool port_is_odd(void *arg, const struct row *row)
{
	(void)arg;
	return pm_key_sport(&row->key) % 2 || pm_key_dport(&row->key) % 2;
}

static void test_choice(void)
{
	struct view_config config = { .sort = SORT_PACKETS, .limit = 2, .reverse = true };
	struct view view = { 0 };

	for (int matched = 0; matched < 2; matched++) {
		config.matches = matched ? port_is_odd : NULL;
		view_begin(&view, &config);
		for (__u16 i = 2; i < 10; i++)
			view_test_add(&view, &eth,
				      key4("10.0.0.1", i, "10.0.0.2", 80, IPPROTO_UDP, 0), i, 0);
		view_end(&view);
		CHECK_EQ(view.found, matched ? 4 : 8, "view: rows that match");
		CHECK(view.count == 2 && view.rows[0].total[0].packets == (matched ? 3 : 2) &&
			      view.rows[1].total[0].packets == (matched ? 5 : 3),
		      "view: the last ones first");
	}
	config.group = GROUP_PORT;
	view_begin(&view, &config);
	for (__u16 i = 2; i < 10; i++)
		view_test_add(&view, &eth, key4("10.0.0.1", 1000, "10.0.0.2", i, IPPROTO_UDP, 0), i,
			      0);
	view_end(&view);
	CHECK_EQ(view.found, 4, "view: groups that match");
	config = (struct view_config){ .hidden = { [PM_EGRESS] = true } };
	view_begin(&view, &config);
	view_test_add(&view, &eth, key4("10.0.0.1", 1, "10.0.0.2", 1, IPPROTO_UDP, 0), 1, 0);
	view_test_add(&view, &eth, key4("10.0.0.2", 1, "10.0.0.1", 1, IPPROTO_UDP, PM_KIND_EGRESS),
		      1, 0);
	view_end(&view);
	CHECK(view.count == 1 && pm_key_direction(&view.rows[0].key) == PM_INGRESS,
	      "view: one direction is hidden");
	view_free(&view);
}

static void test_biflow(void)
{
	struct view view = { 0 };
	struct pm_key arp = { .meta = pm_key_meta(0x0806, 0, PM_KIND_OTHER, 0), .addr = { 1, 2 } };
	struct pm_key arp_back = {
		.meta = pm_key_meta(0x0806, 0, PM_KIND_OTHER | PM_KIND_EGRESS, 0), .addr = { 2, 1 }
	};
	struct pm_key forth, back;

	view_begin(&view, &(struct view_config){ .group = GROUP_BIFLOW, .sort = SORT_PACKETS });
	view_test_add(&view, &eth,
		      key4("10.0.0.1", 40000, "10.0.0.2", 80, IPPROTO_TCP, PM_KIND_EGRESS), 50, 5);
	view_test_add(&view, &eth, key4("10.0.0.2", 80, "10.0.0.1", 40000, IPPROTO_TCP, 0), 70, 7);
	view_test_add(&view, &eth, key6("::1", 40000, "::2", 80, IPPROTO_TCP), 30, 0);
	view_test_add(&view, &eth, key6("::2", 80, "::1", 40000, IPPROTO_TCP), 40, 0);
	view_test_add(&view, &eth, key4("10.0.0.1", 8 << 8, "10.0.0.2", 0, IPPROTO_ICMP, 0), 10, 0);
	view_test_add(&view, &eth, key4("10.0.0.2", 0, "10.0.0.1", 0, IPPROTO_ICMP, 0), 10, 0);
	view_test_add(&view, &eth, arp, 1, 0);
	view_test_add(&view, &eth, arp_back, 2, 0);
	view_end(&view);
	if (CHECK_EQ(view.count, 4, "biflow: four pairs")) {
		CHECK_EQ(view.rows[0].total[WAY_FORTH].packets, 50, "biflow: to the server");
		CHECK_EQ(view.rows[0].total[WAY_BACK].packets, 70, "biflow: and back");
		CHECK_EQ(view.rows[0].interval[WAY_BACK].bytes, 700, "biflow: interval");
		CHECK_EQ(pm_key_dport(&view.rows[0].key), 80,
			 "biflow: the server is the destination");
		CHECK_EQ(view.rows[1].total[WAY_BACK].packets, 40, "biflow: IPv6");
		CHECK_EQ(view.rows[2].total[WAY_FORTH].packets +
				 view.rows[2].total[WAY_BACK].packets,
			 20, "biflow: echo request and reply");
		CHECK_EQ(pm_key_dport(&view.rows[3].key), 0x0806, "biflow: ARP keeps its type");
	}
	view_begin(&view, &(struct view_config){ .group = GROUP_BIFLOW });
	for (__u16 customer = 6; customer <= 7; customer++) {
		__u8 kind = PM_KIND_QINQ | PM_KIND_LONG;

		forth = key4("10.0.0.1", 5, "10.0.0.2", 6, IPPROTO_UDP, kind);
		back = key4("10.0.0.2", 6, "10.0.0.1", 5, IPPROTO_UDP, kind);
		forth.inner_vlan = back.inner_vlan = customer;
		view_test_add(&view, &eth, forth, 1, 0);
		view_test_add(&view, &eth, back, 1, 0);
	}
	view_end(&view);
	CHECK(view.count == 2 && view.rows[0].key.inner_vlan == 6 &&
		      view.rows[1].key.inner_vlan == 7,
	      "biflow: customers behind one outer tag stay apart");
	view_begin(&view, &(struct view_config){ .group = GROUP_BIFLOW });
	view_test_add(&view, &lo, key4("127.0.0.1", 5, "127.0.0.1", 6, IPPROTO_UDP, PM_KIND_EGRESS),
		      3, 0);
	view_test_add(&view, &lo, key4("127.0.0.1", 5, "127.0.0.1", 6, IPPROTO_UDP, 0), 3, 0);
	view_end(&view);
	CHECK(view.count == 1 && view.rows[0].total[0].packets + view.rows[0].total[1].packets == 3,
	      "biflow: lo counts a packet once");
	/* The client has the lower port, and only the flow from it knows who the server is. */
	back = key4("10.0.0.2", 50051, "10.0.0.1", 1000, IPPROTO_TCP, 0);
	forth = key4("10.0.0.1", 1000, "10.0.0.2", 50051, IPPROTO_TCP, PM_KIND_EGRESS);
	view_begin(&view, &(struct view_config){ .group = GROUP_BIFLOW });
	view_test_add(&view, &eth, back, 7, 0);
	view_add(&view, &eth,
		 &(struct flow){ .key = &forth, .total = { 5, 500 }, .server = SERVER_DST });
	view_end(&view);
	CHECK(view.count == 1 && pm_key_dport(&view.rows[0].key) == 50051 &&
		      view.rows[0].server == SERVER_DST &&
		      view.rows[0].total[WAY_FORTH].packets == 5 &&
		      view.rows[0].total[WAY_BACK].packets == 7,
	      "biflow: one of the two flows knows the server");
	view_free(&view);
}

static void test_groups(void)
{
	struct view view = { 0 };

	view_begin(&view, &(struct view_config){ .group = GROUP_HOST, .limit = 2 });
	for (__u16 i = 1; i <= 200; i++)
		view_test_add(&view, &eth, key4("10.0.0.1", i, "10.0.0.2", 80, IPPROTO_TCP, 0), 1,
			      0);
	view_test_add(&view, &eth, key4("10.0.0.3", 1, "10.0.0.2", 80, IPPROTO_TCP, 0), 5, 0);
	view_end(&view);
	CHECK_EQ(view.found, 3, "by host: three hosts");
	CHECK_EQ(view.count, 2, "by host: two are shown");
	CHECK_EQ(view.rows[0].total[WAY_BACK].packets, 205, "by host: received");
	CHECK_EQ(view.rows[1].total[WAY_FORTH].packets, 200, "by host: sent");
	CHECK_EQ(view.rows[1].flows, 200, "by host: flows");

	view_begin(&view, &(struct view_config){ .group = GROUP_PORT });
	view_test_add(&view, &eth, key4("10.0.0.1", 40000, "10.0.0.2", 80, IPPROTO_TCP, 0), 1, 0);
	view_test_add(&view, &eth, key4("10.0.0.2", 80, "10.0.0.1", 40000, IPPROTO_TCP, 0), 2, 0);
	view_test_add(&view, &eth, key4("10.0.0.2", 80, "10.0.0.1", 40000, IPPROTO_UDP, 0), 9, 0);
	view_end(&view);
	CHECK(view.count == 2 && view.rows[1].total[WAY_FORTH].packets == 1 &&
		      view.rows[1].total[WAY_BACK].packets == 2,
	      "by port: to and from, by protocol");

	view_begin(&view, &(struct view_config){ .group = GROUP_PROTOCOL });
	view_test_add(&view, &eth, key4("10.0.0.1", 40000, "10.0.0.2", 80, IPPROTO_TCP, 0), 1, 0);
	view_test_add(&view, &eth, key4("10.0.0.2", 81, "10.0.0.1", 1, IPPROTO_TCP, PM_KIND_EGRESS),
		      2, 0);
	view_test_add(&view, &eth, key6("::1", 81, "::2", 1, IPPROTO_TCP), 4, 0);
	view_end(&view);
	CHECK(view.count == 2 && view.rows[1].total[WAY_FORTH].packets == 1 &&
		      view.rows[1].total[WAY_BACK].packets == 2,
	      "by protocol: in and out");
	view_free(&view);
}

int main(void)
{
	RUN(test_key);
	RUN(test_format);
	RUN(test_shorten);
	RUN(test_si);
	RUN(test_sort);
	RUN(test_choice);
	RUN(test_biflow);
	RUN(test_groups);
	return check_exit();
}
