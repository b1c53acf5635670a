// SPDX-License-Identifier: GPL-2.0-only
#include "../../proxy/mapping.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

/* What a list says of itself: "FROM=TO/PROTO ..." in its order. */
static const char *show(const struct mapping_list *list)
{
	static char text[1024];
	char from[ADDR_TEXT_LEN], to[ADDR_TEXT_LEN];
	size_t used = 0;

	text[0] = 0;
	for (size_t i = 0; i < list->count; i++) {
		const struct mapping *m = &list->entries[i];

		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s=%s/%s",
					 i ? " " : "", addr_text(&m->from.addr, m->from.port, from),
					 addr_text(&m->to.addr, m->to.port, to),
					 mapping_proto_text(m->from.proto));
	}
	return text;
}

static void good(const char *text, const char *want)
{
	struct mapping_list list = { 0 };
	struct mapping_error error = { .text = "" };
	int err = mapping_list_add(&list, text, 0, &error) ?: mapping_list_finish(&list, &error);

	CHECK_EQ(err, 0, "\"%s\" is a mapping", text);
	CHECK_STR(show(&list), want, "\"%s\" means what it says", text);
	mapping_list_free(&list);
}

static void bad(const char *text, const char *want)
{
	struct mapping_list list = { 0 };
	struct mapping_error error = { .text = "" };

	CHECK(mapping_list_add(&list, text, 0, &error) == -EINVAL && !list.count &&
		      strstr(error.text, want),
	      "\"%s\" is refused: %s", text, want);
	mapping_list_free(&list);
}

/* Mappings that are right by themselves. */
static void together(const char *name, const char *const *texts, const char *want)
{
	struct mapping_list list = { 0 };
	struct mapping_error error = { .text = "" };
	int err = 0;

	for (; *texts && !err; texts++)
		err = mapping_list_add(&list, *texts, 0, &error);
	if (!err)
		err = mapping_list_finish(&list, &error);
	if (want)
		CHECK(err == -EINVAL && strstr(error.text, want), "%s is refused: %s", name, want);
	else
		CHECK_EQ(err, 0, "%s is taken", name);
	mapping_list_free(&list);
}

/* How many mappings people would say these are. */
static void pairs_are(size_t want, const char *const *texts)
{
	struct mapping_list list = { 0 };
	struct mapping_error error;
	int err = 0;

	for (; *texts && !err; texts++)
		err = mapping_list_add(&list, *texts, 0, &error);
	CHECK_EQ(err ?: mapping_list_finish(&list, &error), 0, "mappings to be counted");
	CHECK_EQ(mapping_list_pairs(&list), want, "their number");
	mapping_list_free(&list);
}

#define PAIRS(want, ...) pairs_are(want, (const char *const[]){ __VA_ARGS__, NULL })

static void counts_pairs(void)
{
	pairs_are(0, (const char *const[]){ NULL });
	PAIRS(1, "10.0.0.1:80=10.0.0.2:80/tcp");
	PAIRS(1, "10.0.0.1:80=10.0.0.2:80");
	PAIRS(1, "10.0.0.1=10.0.0.2");
	PAIRS(1, "[fd00::1]=[fd00::2]");
	PAIRS(1, "10.0.0.1:80=10.0.0.2:80/udp", "10.0.0.1:80=10.0.0.2:80/tcp");
	PAIRS(2, "10.0.0.1:80=10.0.0.2:80/udp", "10.0.0.1:80=10.0.0.2:81/tcp");
	PAIRS(2, "10.0.0.1:80=10.0.0.2:80/udp", "10.0.0.1:80=10.0.0.3:80/tcp");
	PAIRS(3, "10.0.0.1:80=10.0.0.2:80", "10.0.0.1:81=10.0.0.2:81", "10.0.0.1=10.0.0.2");
	PAIRS(2, "[fd00::1]=[fd00::2]", "10.0.0.1=10.0.0.2");
}

#define TOGETHER(name, want, ...) together(name, (const char *const[]){ __VA_ARGS__, NULL }, want)

static void file(const char *name, const char *content, const char *want_error,
		 const char *want_list)
{
	char path[] = "/tmp/proxy-mapping-test.XXXXXX", want[300];
	struct mapping_list list = { 0 };
	struct mapping_error error = { .text = "" };
	int fd = mkstemp(path), err;

	if (fd < 0 || write(fd, content, strlen(content)) != (ssize_t)strlen(content)) {
		CHECK(false, "%s: a temporary file", name);
		return;
	}
	close(fd);
	err = mapping_list_load(&list, path, &error) ?: mapping_list_finish(&list, &error);
	if (want_error) {
		snprintf(want, sizeof(want), "%s%s", path, want_error);
		CHECK(err && strstr(error.text, want), "%s is refused: %s", name, want_error);
	} else {
		CHECK_EQ(err, 0, "%s is read", name);
		CHECK_STR(show(&list), want_list, "%s holds the mappings", name);
	}
	unlink(path);
	mapping_list_free(&list);
}

static void finds(void)
{
	struct mapping_list list = { 0 };
	struct mapping_error error;
	char text[64];

	check_begin("each of 10000 mappings is found, and no other");
	for (int i = 0; i < 10000; i++) {
		snprintf(text, sizeof(text), "10.%d.%d.7:80=192.0.2.1:%d/tcp", i % 100, i / 100,
			 i + 1);
		EXPECT(!mapping_list_add(&list, text, i + 1, &error), "add %s", text);
	}
	EXPECT(!mapping_list_finish(&list, &error), "finish");
	for (int i = 0; i < 10000; i++) {
		struct nat_dest from = { .addr = addr_ipv4(htonl(10U << 24 |
								 (__u32)(i % 100) << 16 |
								 (__u32)(i / 100) << 8 | 7)),
					 .port = htons(80),
					 .proto = IPPROTO_TCP };
		const struct mapping *found = mapping_list_find(&list, &from);

		EXPECT(found && found->line == i + 1, "mapping %d", i);
		from.proto = IPPROTO_UDP;
		EXPECT(!mapping_list_find(&list, &from), "no udp mapping %d", i);
	}
	check_end();
	mapping_list_free(&list);
}

static void names(void)
{
	struct mapping_error error;
	const struct addr ten = addr_ipv4(htonl(0x0a00000a));
	struct nat_dest dest;

	CHECK(!mapping_parse_dest("10.0.0.10:80/udp", &dest, &error) &&
		      addr_equal(&dest.addr, &ten) && dest.port == htons(80) &&
		      dest.proto == IPPROTO_UDP,
	      "a mapping is named by address, port and protocol");
	CHECK(!mapping_parse_dest("10.0.0.10", &dest, &error) && !dest.port && !dest.proto,
	      "or by an address alone");
	CHECK_EQ(mapping_parse_dest("10.0.0.10:", &dest, &error), -EINVAL,
		 "but not with an empty port");
}

int main(void)
{
	good("10.0.0.10:12345=10.0.0.138:23456",
	     "10.0.0.10:12345=10.0.0.138:23456/tcp 10.0.0.10:12345=10.0.0.138:23456/udp");
	good("10.0.0.10:1=10.0.0.138:65535/udp", "10.0.0.10:1=10.0.0.138:65535/udp");
	good("10.0.0.10=10.0.0.138/tcp", "10.0.0.10=10.0.0.138/tcp");
	good("10.0.0.10=10.0.0.138",
	     "10.0.0.10=10.0.0.138/icmp 10.0.0.10=10.0.0.138/tcp 10.0.0.10=10.0.0.138/udp");
	good("10.0.0.10=10.0.0.138:80", "10.0.0.10=10.0.0.138:80/tcp 10.0.0.10=10.0.0.138:80/udp");
	good("[fd00::10]=[fd00::138]",
	     "[fd00::10]=[fd00::138]/tcp [fd00::10]=[fd00::138]/udp [fd00::10]=[fd00::138]/icmpv6");
	good("10.0.0.10=10.0.0.138:80/tcp", "10.0.0.10=10.0.0.138:80/tcp");
	good("10.0.0.10:80=10.0.0.138/tcp", "10.0.0.10:80=10.0.0.138:80/tcp");
	good("10.0.0.10:80=10.0.0.10:8080/tcp", "10.0.0.10:80=10.0.0.10:8080/tcp");
	good("127.0.0.1:80=127.0.0.1:8080/tcp", "127.0.0.1:80=127.0.0.1:8080/tcp");
	good("[fd00::10]:80=[fd00::138]:8080/tcp", "[fd00::10]:80=[fd00::138]:8080/tcp");
	good("[fd00::10]=[fd00::138]/udp", "[fd00::10]=[fd00::138]/udp");
	good("[fd00::10]=[fd00::138]:80/udp", "[fd00::10]=[fd00::138]:80/udp");
	good("[FD00:0::10]:80=[fd00::10]:81/udp", "[fd00::10]:80=[fd00::10]:81/udp");
	good("[2fff:ffff:ffff:ffff:ffff:ffff:ffff:fff0]:65535=[fd00:2000:2000:2000:2000:2000:2000:"
	     "2000]:65535/tcp",
	     "[2fff:ffff:ffff:ffff:ffff:ffff:ffff:fff0]:65535=[fd00:2000:2000:2000:2000:2000:2000:"
	     "2000]:65535/tcp");

	bad("", "FROM=TO");
	bad("10.0.0.10:80", "FROM=TO");
	bad("=10.0.0.1:80", "not an IPv4 address");
	bad("10.0.0.10:80=", "not an IPv4 address");
	bad("10.0.0.10:80=x:80", "'x' is not an IPv4 address");
	bad("10.0.0:80=10.0.0.1:80", "not an IPv4 address");
	bad("010.0.0.1:80=10.0.0.2:80", "not an IPv4 address");
	bad("10.0.0.256:80=10.0.0.1:80", "not an IPv4 address");
	bad(" 10.0.0.10:80=10.0.0.1:80", "not an IPv4 address");
	bad("10.0.0.10:0=10.0.0.1:80", "port must be 1 to 65535, not '0'");
	bad("10.0.0.10:80=10.0.0.1:65536", "port must be 1 to 65535, not '65536'");
	bad("10.0.0.10:=10.0.0.1:80", "port must be");
	bad("10.0.0.10:80=10.0.0.1:+80", "port must be");
	bad("10.0.0.10:80=10.0.0.1:80 ", "port must be");
	bad("10.0.0.10:80=10.0.0.1:80/sctp", "protocol must be tcp or udp, not 'sctp'");
	bad("10.0.0.10:80=10.0.0.1:80/", "protocol must be");
	bad("10.0.0.10:80/tcp=10.0.0.1:80", "the protocol stands at the end: FROM=TO/tcp");
	bad("10.0.0.10:80=10.0.0.1:80=10.0.0.2:80", "not an IPv4 address");
	bad("0.0.0.0:80=10.0.0.1:80", "wildcard");
	bad("10.0.0.1:80=0.0.0.0:80", "wildcard");
	bad("0.1.2.3:80=10.0.0.1:80", "0.0.0.0/8");
	bad("224.0.0.1:80=10.0.0.1:80", "multicast");
	bad("10.0.0.1:80=239.1.2.3:80", "multicast");
	bad("255.255.255.255:80=10.0.0.1:80", "broadcast");
	bad("10.0.0.10:80=10.0.0.10:80", "to itself");
	bad("10.0.0.10=10.0.0.10", "to itself");
	bad("10.0.0.10:80=10.0.0.10", "to itself");
	bad("10.0.0.100:10000=10.0.0.100:1000000000000000000000000000000000000000000000000000000000"
	    "00000000000000/tcp",
	    "too long");

	bad("10.0.0.10=[fd00::138]", "'10.0.0.10=[fd00::138]' mixes IPv4 and IPv6");
	bad("[fd00::10]:80=10.0.0.138:80", "both sides must be of one family");
	bad("[fe80::1%eth0]:80=[fd00::138]:80", "'fe80::1%eth0' has a zone");
	bad("[fd00::10%1]=[fd00::138]", "has a zone");
	bad("[fe80::1]=[fd00::138]", "fe80::1 is a link-local address, of another host on each");
	bad("[fd00::10]=[febf::1]", "which cannot be mapped");
	bad("[ff02::1]=[fd00::138]", "ff02::1 is a multicast address, which cannot be mapped");
	bad("[::]=[fd00::138]", "wildcard");
	bad("[::ffff:10.0.0.10]=[fd00::138]",
	    "'::ffff:10.0.0.10' is an IPv4-mapped address: write");
	bad("[fd00::10]=[::ffff:a00:1]", "IPv4-mapped");
	bad("[fd00::10:80=[fd00::138]:80", "'[fd00::10:80' lacks the closing bracket");
	bad("[fd00::10]:80=[fd00::138:8080/tcp", "'[fd00::138:8080' lacks the closing bracket");
	bad("fd00::10]:80=[fd00::138]:80", "'fd00::10]:80' lacks the opening bracket");
	bad("[fd00::10]80=[fd00::138]:80", "'[fd00::10]80' goes on behind the bracket");
	bad("[fd00::10]:=[fd00::138]:80", "port must be 1 to 65535, not ''");
	bad("[fd00::10]:0=[fd00::138]:80", "port must be 1 to 65535, not '0'");
	bad("[fd00::10]:80=[fd00::138]:80/sctp", "protocol must be tcp or udp, not 'sctp'");
	bad("[10.0.0.10]:80=10.0.0.138:80", "10.0.0.10 is an IPv4 address: write it without");
	bad("[]=[fd00::138]", "'' is not an IPv6 address");
	bad("[fd00::10::]=[fd00::138]", "'fd00::10::' is not an IPv6 address");
	bad("fd00::10:80=[fd00::138]:80",
	    "'fd00::10:80' can be read in two ways: write [fd00::10]:80 or [fd00::10:80]");
	bad("[fd00::10]:80=fd00::138:8080/tcp", "write [fd00::138]:8080 or [fd00::138:8080]");
	bad("fd00::10=fd00::138", "an IPv6 address stands in brackets: write [fd00::10]");
	bad("fd00::a=[fd00::138]", "an IPv6 address stands in brackets: write [fd00::a]");
	bad("1:2:3:4:5:6:7:8:80=[fd00::138]", "write [1:2:3:4:5:6:7:8]:80");
	bad("10.0.0.1:80:90=10.0.0.138:80", "'10.0.0.1:80:90' is not an IPv4 address");
	bad("[fd00::10]=[fd00::10]", "to itself");
	bad("10.0.0.0/24=10.1.0.0/24", "prefixes are not supported: '10.0.0.0/24'; map each");
	bad("10.0.0.0/24=10.0.0.138", "prefixes are not supported: '10.0.0.0/24'");
	bad("10.0.0.10=10.0.0.138/24", "prefixes are not supported");
	bad("[fd00::/64]=[fd01::/64]", "prefixes are not supported");
	bad("[fd00::]/64=[fd01::]/64", "prefixes are not supported");
	bad("10.0.0.10:80-90=10.0.0.138:80-90", "ranges are not supported: '10.0.0.10:80-90'");
	bad("10.0.0.1-10.0.0.9=10.0.0.138", "ranges are not supported");
	bad("[fd00::1]-[fd00::9]=[fd00::138]", "ranges are not supported");
	bad("10.0.0.10=10.0.0.138*2,10.0.0.139", "several targets are not supported");

	TOGETHER("one FROM for either protocol", NULL, "10.0.0.1:80=10.0.0.2:80/tcp",
		 "10.0.0.1:80=10.0.0.3:80/udp");
	TOGETHER("an exact FROM beside any port", NULL, "10.0.0.1=10.0.0.2",
		 "10.0.0.1:80=10.0.0.3:80");
	TOGETHER("two FROMs with one TO", NULL, "10.0.0.1:80=10.0.0.9:80",
		 "10.0.0.2:80=10.0.0.9:80");
	TOGETHER("two hosts that stand in for each other at different ports", NULL,
		 "10.0.0.1:80=10.0.0.2:80", "10.0.0.2:22=10.0.0.1:22");
	TOGETHER("the same FROM twice", "10.0.0.1:80/tcp is mapped twice",
		 "10.0.0.1:80=10.0.0.2:80/tcp", "10.0.0.1:80=10.0.0.3:80/tcp");
	TOGETHER("the same FROM, once for both protocols", "10.0.0.1:80/udp is mapped twice",
		 "10.0.0.1:80=10.0.0.2:80", "10.0.0.1:80=10.0.0.3:80/udp");
	TOGETHER("the same mapping twice", "is mapped twice", "10.0.0.1:80=10.0.0.2:80/tcp",
		 "10.0.0.1:80=10.0.0.2:80/tcp");
	TOGETHER("a chain", "10.0.0.1:80=10.0.0.2:80: the target is itself mapped",
		 "10.0.0.1:80=10.0.0.2:80", "10.0.0.2:80=10.0.0.3:80");
	TOGETHER("a circle", "the target is itself mapped", "10.0.0.1:80=10.0.0.2:80",
		 "10.0.0.2:80=10.0.0.1:80");
	TOGETHER("a chain into any port", "the target is itself mapped", "10.0.0.1:80=10.0.0.2:80",
		 "10.0.0.2=10.0.0.3");
	TOGETHER("a chain out of any port", "the target is itself mapped", "10.0.0.1=10.0.0.2",
		 "10.0.0.2:80=10.0.0.3:80");
	TOGETHER("any port of an address to one of its own", "the target is itself mapped",
		 "10.0.0.1=10.0.0.1:80");
	TOGETHER("both families", NULL, "10.0.0.1:80=10.0.0.2:80", "[fd00::1]:80=[fd00::2]:80",
		 "10.0.0.3=10.0.0.4", "[fd00::3]=[fd00::4]");
	TOGETHER("the same FROM twice in IPv6", "[fd00::1]:80/tcp is mapped twice",
		 "[fd00::1]:80=[fd00::2]:80", "[fd00:0::1]:80=[fd00::3]:80");
	TOGETHER("a chain in IPv6", "[fd00::1]:80=[fd00::2]:80: the target is itself mapped",
		 "[fd00::1]:80=[fd00::2]:80", "[fd00::2]=[fd00::3]");
	TOGETHER("a chain of different protocols", NULL, "10.0.0.1:80=10.0.0.2:80/tcp",
		 "10.0.0.2:80=10.0.0.3:80/udp");

	file("a file", "# a comment\n\n 10.0.0.2:80=10.0.0.9:80/tcp # why\r\n10.0.0.1=10.0.0.8/udp",
	     NULL, "10.0.0.1=10.0.0.8/udp 10.0.0.2:80=10.0.0.9:80/tcp");
	file("an empty file", "", NULL, "");
	file("a file of comments", "#\n   # x\n", NULL, "");
	file("a file with a broken line", "10.0.0.1:80=10.0.0.9:80\n\n10.0.0.2:0=10.0.0.9:80\n",
	     ":3: port must be 1 to 65535", NULL);
	file("a file with two mappings on a line",
	     "10.0.0.1:80=10.0.0.9:80/tcp 10.0.0.2:80=10.0.0.9:80/tcp\n", ":1: ", NULL);
	file("a file with a secret", "10.0.0.1:80=10.0.0.9:80\nfd00::10:80=[fd00::1]:80\n",
	     ":2: an IPv6 address stands in brackets: [ADDR]:PORT", NULL);
	file("a file with a broken bracket", "[fd00::10=[fd00::1]\n",
	     ":1: ADDR lacks the closing bracket: write [ADDR]:PORT", NULL);
	file("a file with a prefix", "10.0.0.0/24=10.1.0.0/24\n",
	     ":1: prefixes are not supported; map each address by itself", NULL);
	file("a file with a FROM twice", "10.0.0.1:80=10.0.0.9:80\n#\n10.0.0.1:80=10.0.0.8:80\n",
	     ":3: 10.0.0.1:80/tcp is mapped twice", NULL);
	{
		struct mapping_list list = { 0 };
		struct mapping_error error;

		CHECK(mapping_list_load(&list, "/nonexistent/maps", &error) == -ENOENT &&
			      !strcmp(error.text,
				      "cannot read /nonexistent/maps: No such file or directory"),
		      "a missing file is named");
		CHECK(mapping_list_load(&list, "/tmp", &error) == -EISDIR &&
			      strstr(error.text, "/tmp"),
		      "a directory is no file of mappings");
		mapping_list_free(&list);
	}
	RUN(finds);
	RUN(names);
	RUN(counts_pairs);
	return check_exit();
}
