// SPDX-License-Identifier: GPL-2.0-only
#include "addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "check.h"

/* What a text is: how it is written again, or NULL if it is refused; and why it cannot be mapped.
 */
static const struct {
	const char *text, *written, *unusable;
	int family;
} addr_cases[] = {
	{ "10.0.0.1", "10.0.0.1", NULL, AF_INET },
	{ "255.255.255.254", "255.255.255.254", NULL, AF_INET },
	{ "127.0.0.1", "127.0.0.1", NULL, AF_INET },
	{ "0.0.0.0", "0.0.0.0", "is the wildcard address", AF_INET },
	{ "0.1.2.3", "0.1.2.3", "is not a host's address (0.0.0.0/8)", AF_INET },
	{ "224.0.0.1", "224.0.0.1", "is a multicast address", AF_INET },
	{ "239.255.255.255", "239.255.255.255", "is a multicast address", AF_INET },
	{ "240.0.0.1", "240.0.0.1", NULL, AF_INET },
	{ "255.255.255.255", "255.255.255.255", "is the broadcast address", AF_INET },
	{ "fd00::10", "fd00::10", NULL, AF_INET6 },
	{ "FD00:0:0:0:0:0:0:10", "fd00::10", NULL, AF_INET6 },
	{ "2001:db8:0:1::", "2001:db8:0:1::", NULL, AF_INET6 },
	{ "64:ff9b::10.0.0.1", "64:ff9b::a00:1", NULL, AF_INET6 },
	{ "::1", "::1", NULL, AF_INET6 },
	{ "::", "::", "is the wildcard address", AF_INET6 },
	{ "ff02::1", "ff02::1", "is a multicast address", AF_INET6 },
	{ "ff0e::1:2", "ff0e::1:2", "is a multicast address", AF_INET6 },
	{ "fe80::1", "fe80::1", "is a link-local address, of another host on each link", AF_INET6 },
	{ "febf::1", "febf::1", "is a link-local address, of another host on each link", AF_INET6 },
	{ "fec0::1", "fec0::1", NULL, AF_INET6 },
	{ "fe7f::1", "fe7f::1", NULL, AF_INET6 },
	{ "::fffe:10.0.0.1", "::fffe:a00:1", NULL, AF_INET6 },
	{ "::ffff:10.0.0.1", NULL, NULL, 0 },
	{ "::ffff:a00:1", NULL, NULL, 0 },
	{ "", NULL, NULL, 0 },
	{ "10.0.0", NULL, NULL, 0 },
	{ "10.0.0.1:80", NULL, NULL, 0 },
	{ "10.0.0.256", NULL, NULL, 0 },
	{ "[fd00::1]", NULL, NULL, 0 },
	{ "fd00::1%eth0", NULL, NULL, 0 },
	{ "fd00::1/64", NULL, NULL, 0 },
	{ "fd00::1::2", NULL, NULL, 0 },
	{ "fd00:1:2:3:4:5:6:7:8", NULL, NULL, 0 },
	{ "fd00::1 ", NULL, NULL, 0 },
};

static void addr_test_case(size_t i)
{
	const char *text = addr_cases[i].text, *written = addr_cases[i].written, *why;
	struct addr before, addr;
	char buf[ADDR_TEXT_LEN];
	size_t len;
	int err;

	memset(&before, 0x5a, sizeof(before));
	addr = before;
	err = addr_parse(text, &addr);
	if (!written) {
		CHECK(err == (strncmp(text, "::ffff", 6) ? -EINVAL : -EAFNOSUPPORT) &&
			      !memcmp(&addr, &before, sizeof(addr)),
		      "refuses '%s'", text);
		return;
	}
	why = addr_unusable(&addr);
	CHECK(!err && addr_family(&addr) == addr_cases[i].family, "parses %s", text);
	CHECK_STR(addr_plain(&addr, buf), written, "writes %s", text);
	CHECK_STR(why ?: "", addr_cases[i].unusable ?: "", "%s can be mapped, or why not", text);
	addr_bytes(&addr, &len);
	CHECK(addr_equal(&addr, &(struct addr){ 0 }) == addr_is_none(&addr) &&
		      len == (addr_cases[i].family == AF_INET ? 4 : 16),
	      "%s has the bytes of its family", text);
}

static struct addr addr_of(const char *text)
{
	struct addr addr = { 0 };

	if (addr_parse(text, &addr))
		abort();
	return addr;
}

static void addr_test_text(const char *text, __u16 port, const char *want)
{
	struct addr addr = addr_of(text);
	char buf[ADDR_TEXT_LEN + 1];

	memset(buf, '.', sizeof(buf));
	CHECK_STR(addr_text(&addr, htons(port), buf), want, "writes %s with port %u", text, port);
	CHECK(buf[ADDR_TEXT_LEN] == '.', "%s stays within its room", want);
}

/* In ascending order. */
static const char *const addr_ordered[] = { "1.2.3.4", "2.0.0.0", "127.0.0.1", "200.0.0.1", "::1",
					    "64::",    "fd00::1", "fd00::2",   "fd00::100" };

static void addr_test_order(void)
{
	enum { COUNT = sizeof(addr_ordered) / sizeof(*addr_ordered) };

	check_begin("addresses are in order: IPv4 first, then by value");
	for (int i = 0; i < COUNT; i++) {
		for (int j = 0; j < COUNT; j++) {
			struct addr a = addr_of(addr_ordered[i]), b = addr_of(addr_ordered[j]);
			int order = addr_compare(&a, &b);

			EXPECT((order > 0) - (order < 0) == (i > j) - (i < j), "%s and %s",
			       addr_ordered[i], addr_ordered[j]);
			EXPECT(addr_equal(&a, &b) == (i == j), "%s equals %s", addr_ordered[i],
			       addr_ordered[j]);
		}
	}
	check_end();
}

/* Hosts that are numbered one after the other, in any of the words, fill a table evenly. */
static void addr_test_hash(int word)
{
	enum { SLOTS = 4096 };
	static unsigned int used[SLOTS];
	unsigned int most = 0;

	memset(used, 0, sizeof(used));
	for (__u32 i = 0; i < SLOTS; i++) {
		struct addr addr = addr_of("fd00::10");
		unsigned int *slot;

		addr.word[word] = htonl(ntohl(addr.word[word]) + i);
		slot = &used[addr_hash(&addr) % SLOTS];
		most = ++*slot > most ? *slot : most;
	}
	CHECK(most <= 12, "neighbours in word %d do not share a hash (at most %u)", word, most);
}

int main(void)
{
	const __u8 ip[] = { 10, 0, 0, 1 };
	struct addr addr = addr_from(ip, sizeof(ip)), other = addr_of("10.0.0.1");
	struct addr loopback = addr_of("::1"), host = addr_of("::2"), low = addr_of("127.3.2.1");

	for (size_t i = 0; i < sizeof(addr_cases) / sizeof(*addr_cases); i++)
		addr_test_case(i);
	addr_test_text("10.0.0.1", 80, "10.0.0.1:80");
	addr_test_text("10.0.0.1", 0, "10.0.0.1");
	addr_test_text("fd00::10", 80, "[fd00::10]:80");
	addr_test_text("fd00::10", 0, "[fd00::10]");
	addr_test_text("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535,
		       "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
	addr_test_text("255.255.255.255", 65535, "255.255.255.255:65535");
	CHECK(addr_equal(&addr, &other), "4 bytes are an IPv4 address");
	addr = addr_from(&host, sizeof(host));
	CHECK(addr_equal(&addr, &host), "16 bytes are an IPv6 address");
	CHECK(addr_is_loopback(&loopback) && addr_is_loopback(&low) && !addr_is_loopback(&host) &&
		      !addr_is_loopback(&other),
	      "loopback addresses of both families are told");
	addr_test_order();
	for (int word = 0; word < 4; word++)
		addr_test_hash(word);
	return check_exit();
}
