// SPDX-License-Identifier: GPL-2.0-only
/* What -F says about expressions that make no sense. tests/bpf/ has what it makes of the others. */
#include "../../packet-monitor/filter.h"

#include <errno.h>
#include <string.h>

#include "check.h"

static void test_nonsense(void)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "", "at the end a term" },
		{ " \t", "at the end a term" },
		{ "tcp and", "at the end a term" },
		{ "port", "at the end a term" },
		{ "not", "at the end a term" },
		{ "src or dst", "at the end a term" },
		{ "and tcp", "'and' at character 1 comes too early" },
		{ "tcp and or udp", "'or' at character 9 comes too early" },
		{ "src tcp", "'tcp' at character 5 comes too early" },
		{ "port 80 or and", "'and' at character 12 comes too early" },
		{ "()", "')' at character 2 comes too early" },
		{ "tcp udp", "'udp' at character 5 needs 'and' or 'or'" },
		{ "tcp & udp", "'&' at character 5 needs 'and' or 'or'" },
		{ "port 80 90", "'90' at character 9 needs 'and' or 'or'" },
		{ "tcp and (udp", "'(' at character 9 has no ')'" },
		{ "tcp)", "')' at character 4 has no '('" },
		{ "prot 6", "'prot' at character 1 is neither an address nor one of" },
		{ "ether host 2:0:0:0:0:1", "'ether' at character 1 is neither" },
		{ "tcp[13] = 2", "'tcp[13]' at character 1 is neither" },
		{ "TCP", "'TCP' at character 1 is neither" },
		{ "80", "'80' at character 1 needs host, net, port or proto" },
		{ "tcp or 80", "'80' at character 8 needs host, net, port or proto" },
		{ "port 65536", "'65536' at character 6 is no port" },
		{ "port -1", "'-1' at character 6 is no port" },
		{ "port 010", "'010' at character 6 is no port" },
		{ "port 80 or tpc", "'tpc' at character 12 is no port" },
		{ "portrange 1-x", "'1-x' at character 11 is no range" },
		{ "portrange 1-", "'1-' at character 11 is no range" },
		{ "portrange 1-2-3", "'1-2-3' at character 11 is no range" },
		{ "host example.org",
		  "'example.org' at character 6 is no IPv4 or IPv6 address, and host "
		  "names are not looked up" },
		{ "host 10.0.0", "'10.0.0' at character 6 is no IPv4" },
		{ "host 10.0.0.0/8", "'10.0.0.0/8' at character 6 is no IPv4" },
		{ "net 10.0.0.1/8", "'10.0.0.1/8' at character 5 has bits set behind" },
		{ "net fd00::1/64", "'fd00::1/64' at character 5 has bits set behind" },
		{ "net 10/33", "'10/33' at character 5 is no network" },
		{ "net 10.0.0.0/", "'10.0.0.0/' at character 5 is no network" },
		{ "net 10./8", "'10./8' at character 5 is no network" },
		{ "net 1.2.3.4.5", "'1.2.3.4.5' at character 5 is no network" },
		{ "net 010.0.0.0/8", "'010.0.0.0/8' at character 5 is no network" },
		{ "net fd00::/129", "'fd00::/129' at character 5 is no network" },
		{ "net 10 mask 255", "'mask' at character 8 needs a whole address" },
		{ "net fd00:: mask 255.0.0.0", "'mask' at character 12 needs a whole address" },
		{ "net 10.0.0.1 mask 255.0.0.0", "'10.0.0.1' at character 5 has bits set behind" },
		{ "proto foo", "'foo' at character 7 is no protocol" },
		{ "ip proto 256", "'256' at character 10 is no protocol" },
		{ "src proto 6", "'proto' at character 5 does not go with src and dst" },
		{ "tcp host 10.0.0.1", "'host' at character 5 does not go with 'tcp'" },
		{ "icmp port 3", "'port' at character 6 does not go with 'icmp'" },
		{ "ip port 3", "'port' at character 4 does not go with 'ip'" },
		{ "arp src 10.0.0.1", "'src' at character 5 does not go with 'arp'" },
		{ "ip host ::1", "'::1' at character 9 is no address of ip" },
		{ "ip6 net 10", "'10' at character 9 is no address of ip6" },
		{ "vlan 0", "'0' at character 6 is no VLAN ID" },
		{ "vlan 4096", "'4096' at character 6 is no VLAN ID" },
	};
	char why[FILTER_WHY_MAX];

	check_begin("what makes no sense is named, with its place");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct filter filter = { 0 };
		int err = filter_parse(&filter, cases[i].text, why);

		EXPECT(err == -EINVAL, "'%s': %d", cases[i].text, err);
		EXPECT(!strncmp(why, cases[i].why, strlen(cases[i].why)), "'%s': %s", cases[i].text,
		       why);
	}
	check_end();
}

static void test_limits(void)
{
	char text[8 * FILTER_TERMS_MAX] = "", why[FILTER_WHY_MAX];
	struct filter filter = { 0 };

	for (int i = 0; i < FILTER_TERMS_MAX; i++)
		strcat(text, "!");
	strcat(text, "tcp");
	CHECK(!filter_parse(&filter, text, why) && filter.count == 1, "an even number of \"not\"");
	memset(text, 0, sizeof(text));
	memset(text, '(', FILTER_DEPTH_MAX);
	strcpy(text + FILTER_DEPTH_MAX, "tcp");
	memset(text + FILTER_DEPTH_MAX + 3, ')', FILTER_DEPTH_MAX);
	filter.count = 0;
	CHECK(!filter_parse(&filter, text, why), "as many parentheses as there may be");
	memset(text, '(', FILTER_DEPTH_MAX + 1);
	filter_parse(&filter, text, why);
	CHECK(strstr(why, "'(' at character 33 is too deep"), "one more: %s", why);
	strcpy(text, "tcp");
	for (int i = 0; i < FILTER_TERMS_MAX / 2; i++)
		strcat(text, " or tcp");
	filter.count = 0;
	filter_parse(&filter, text, why);
	CHECK(strstr(why, "is too much: 128 terms are the most"), "too many terms: %s", why);
	CHECK(!filter_begins("eth0") && filter_begins("port") && filter_begins("(tcp)") &&
		      filter_begins("10.0.0.1 or"),
	      "tells the beginning of a filter");
}

static int judge(const char *text)
{
	struct filter filter = { 0 };
	char why[FILTER_WHY_MAX];

	return filter_parse(&filter, text, why) ?: filter_check(&filter);
}

static void test_contradictions(void)
{
	static const char *const never[] = { "tcp and udp",
					     "ip and ip6",
					     "arp and host 10.0.0.1",
					     "icmp and port 80",
					     "not ip and not ip6 and tcp",
					     "host 10.0.0.1 and host ::1",
					     "ip proto 58 and icmp6",
					     "not (tcp or not tcp)",
					     "tcp port 80 and proto 17" };
	static const char *const possible[] = { "tcp or udp",		"not arp",
						"vlan 5 and arp",	"ip proto 58",
						"icmp and not port 80", "tcp port 80 or udp" };

	check_begin("what no packet can match is told from what one can");
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		EXPECT(judge(never[i]) == -EINVAL, "'%s'", never[i]);
	for (size_t i = 0; i < sizeof(possible) / sizeof(possible[0]); i++)
		EXPECT(!judge(possible[i]), "'%s'", possible[i]);
	check_end();
}

static void test_options(void)
{
	struct filter filter = { 0 }, families = { 0 };
	char why[FILTER_WHY_MAX];

	CHECK(!filter_add(&filter, FILTER_TYPE_NET, "10.1.2.3/12", why) &&
		      !memcmp(filter.terms[0].addr, (__u8[4]){ 10 }, 4),
	      "--net: bits behind the length are ignored");
	CHECK(!filter_add(&filter, FILTER_TYPE_HOST, "fd00::1", why) && filter.count == 3 &&
		      filter.terms[2].kind == FILTER_OR,
	      "values of one option are alternatives");
	CHECK(filter_add(&filter, FILTER_TYPE_HOST, "10.0.0.0/8", why) == -EINVAL,
	      "--host: no network");
	CHECK_STR(why, "'10.0.0.0/8' is no IPv4 or IPv6 address, and host names are not looked up",
		  "--host: says so without a place");
	CHECK(filter_add(&filter, FILTER_TYPE_PORT, "80 or", why) == -EINVAL, "one value only");
	filter_add_family(&families, PM_KIND_IPV4);
	filter_join(&families, &filter, FILTER_AND);
	CHECK(families.count == 5 && families.terms[4].kind == FILTER_AND,
	      "all options have to match");
}

int main(void)
{
	RUN(test_nonsense);
	RUN(test_limits);
	RUN(test_contradictions);
	RUN(test_options);
	return check_exit();
}
