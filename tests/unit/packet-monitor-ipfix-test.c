// SPDX-License-Identifier: GPL-2.0-only
/*
 * IPFIX messages, read by the rules of RFC 7011 alone: fields are found by the templates that the
 * message itself carries. And how a collector is named.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "../../packet-monitor/collector.h"
#include "../../packet-monitor/ipfix.h"
#include "check.h"

enum { TEMPLATES = 2, OPTIONS_TEMPLATES = 3, HEADER = 16 };

struct learned {
	int count, scopes;
	struct {
		__u16 element, len;
	} fields[32];
};

/* What a reader knows: the templates, and the data records so far. */
struct reader {
	struct learned templates[512];
	__u32 time, sequence, domain;
	int count;
	struct {
		__u16 set;
		const __u8 *bytes;
	} records[200];
};

static __u64 read_number(const __u8 *bytes, size_t len)
{
	__u64 value = 0;

	while (len--)
		value = value << 8 | *bytes++;
	return value;
}

/* Return: the bytes of a template, 0 if it is none. */
static size_t learn(struct reader *reader, const __u8 *at, size_t room, bool options)
{
	__u16 id = (__u16)read_number(at, 2), count = (__u16)read_number(at + 2, 2);
	size_t len = options ? 6 : 4;
	struct learned *learned;

	if (id < 256 || id >= 512 || count > 32 || room < len + count * 4U)
		return 0;
	learned = &reader->templates[id];
	learned->count = count;
	learned->scopes = options ? (int)read_number(at + 4, 2) : 0;
	for (int i = 0; i < count; i++, len += 4) {
		learned->fields[i].element = (__u16)read_number(at + len, 2);
		learned->fields[i].len = (__u16)read_number(at + len + 2, 2);
	}
	return len;
}

static size_t record_len(const struct learned *learned)
{
	size_t len = 0;

	for (int i = 0; i < learned->count; i++)
		len += learned->fields[i].len;
	return len;
}

static bool read_set(struct reader *reader, __u16 set, const __u8 *at, size_t len)
{
	while (len) {
		size_t step;

		if (set == TEMPLATES || set == OPTIONS_TEMPLATES) {
			step = len < 6 ? 0 : learn(reader, at, len, set == OPTIONS_TEMPLATES);
		} else {
			step = record_len(&reader->templates[set]);
			reader->records[reader->count].set = set;
			reader->records[reader->count++].bytes = at;
		}
		if (!step || step > len)
			return false;
		at += step;
		len -= step;
	}
	return true;
}

/* Return: whether the message is one by the rules, to the last byte. */
static bool read_message(struct reader *reader, const struct ipfix_message *message)
{
	const __u8 *bytes = message->bytes;
	size_t at = HEADER;

	reader->count = 0;
	reader->time = (__u32)read_number(bytes + 4, 4);
	reader->sequence = (__u32)read_number(bytes + 8, 4);
	reader->domain = (__u32)read_number(bytes + 12, 4);
	if (read_number(bytes, 2) != 10 || read_number(bytes + 2, 2) != message->len)
		return false;
	while (at < message->len) {
		__u16 set = (__u16)read_number(bytes + at, 2);
		size_t len = read_number(bytes + at + 2, 2);

		if (len <= 4 || len > message->len - at || set >= 512 ||
		    !read_set(reader, set, bytes + at + 4, len - 4))
			return false;
		at += len;
	}
	return at == message->len;
}

/* Return: the field of a record, or NULL. */
static const __u8 *field(const struct reader *reader, int record, __u16 element, size_t *len)
{
	const struct learned *learned = &reader->templates[reader->records[record].set];
	const __u8 *at = reader->records[record].bytes;

	for (int i = 0; i < learned->count; i++) {
		*len = learned->fields[i].len;
		if (learned->fields[i].element == element)
			return at;
		at += *len;
	}
	return NULL;
}

/* Return: a number in a record; ~0 if it is not there. */
static __u64 value(const struct reader *reader, int record, __u16 element)
{
	size_t len;
	const __u8 *at = field(reader, record, element, &len);

	return at ? read_number(at, len) : ~0ULL;
}

static struct ipfix_record flow4(__u8 proto, __u16 sport, __u16 dport, __u8 kind)
{
	struct ipfix_record record = {
		.set = IPFIX_IPV4,
		.direction = kind & PM_KIND_EGRESS ? PM_EGRESS : PM_INGRESS,
		.reason = IPFIX_REASON_IDLE,
		.ifindex = 7,
		.packets = 0x0102030405060708,
		.bytes = 0x1112131415161718,
		.first_ms = 1700000000123,
		.last_ms = 1700000000456,
		.key = { .meta = pm_key_meta((__u32)sport << 16 | dport, proto, kind, 100),
			 .addr = { (__u64)htonl(0x0a00008a) << 32 | htonl(0x0a000001) },
			 .inner_vlan = 200 },
	};

	return record;
}

static __u8 room[65535];
static struct reader reader;

/* A message of these records, read again. */
static bool carried(const struct ipfix_record *records, int count)
{
	struct ipfix_message message;

	memset(&reader, 0, sizeof(reader));
	ipfix_begin(&message, room, sizeof(room), 9, 1000, 1700000001);
	ipfix_templates(&message);
	for (int i = 0; i < count; i++)
		if (!ipfix_add(&message, &records[i]))
			return false;
	ipfix_end(&message);
	return read_message(&reader, &message) && reader.count == count &&
	       message.count == (__u32)count;
}

static void test_header(void)
{
	struct ipfix_record record = flow4(IPPROTO_TCP, 80, 40000, 0);

	CHECK(carried(&record, 1), "a message is one by RFC 7011");
	CHECK_EQ(reader.time, 1700000001, "export time");
	CHECK_EQ(reader.sequence, 1000, "sequence number");
	CHECK_EQ(reader.domain, 9, "observation domain");
	for (int set = IPFIX_IPV4; set < IPFIX_SETS_END; set++)
		CHECK(reader.templates[set].count, "there is a template %d", set);
	CHECK_EQ(reader.templates[IPFIX_IPV4].scopes, 0, "a flow has no scope");
	for (int set = IPFIX_NAME; set < IPFIX_SETS_END; set++)
		CHECK(reader.templates[set].scopes > 0, "options template %d has a scope", set);
}

static void test_ipv4(void)
{
	struct ipfix_record records[] = { flow4(IPPROTO_TCP, 80, 40000, 0),
					  flow4(IPPROTO_UDP, 1, 2, PM_KIND_EGRESS),
					  flow4(IPPROTO_ICMP, 3 << 8 | 1, 0, 0),
					  flow4(IPPROTO_UDP, 1, 2, PM_KIND_FRAGMENT) };

	CHECK(carried(records, 4), "IPv4: four records");
	CHECK_EQ(value(&reader, 0, 1), 0x1112131415161718, "octetDeltaCount");
	CHECK_EQ(value(&reader, 0, 2), 0x0102030405060708, "packetDeltaCount");
	CHECK_EQ(value(&reader, 0, 4), IPPROTO_TCP, "protocolIdentifier");
	CHECK_EQ(value(&reader, 0, 7), 80, "sourceTransportPort");
	CHECK_EQ(value(&reader, 0, 8), 0x0a000001, "sourceIPv4Address");
	CHECK_EQ(value(&reader, 0, 11), 40000, "destinationTransportPort");
	CHECK_EQ(value(&reader, 0, 12), 0x0a00008a, "destinationIPv4Address");
	CHECK_EQ(value(&reader, 0, 10), 7, "ingressInterface of an incoming flow");
	CHECK_EQ(value(&reader, 0, 14), 0, "egressInterface of an incoming flow");
	CHECK_EQ(value(&reader, 0, 61), 0, "flowDirection: in");
	CHECK_EQ(value(&reader, 0, 136), 1, "flowEndReason");
	CHECK_EQ(value(&reader, 0, 152), 1700000000123, "flowStartMilliseconds");
	CHECK_EQ(value(&reader, 0, 153), 1700000000456, "flowEndMilliseconds");
	CHECK_EQ(value(&reader, 0, 243), 100, "dot1qVlanId");
	CHECK_EQ(value(&reader, 0, 245), 200, "dot1qCustomerVlanId");
	CHECK_EQ(value(&reader, 0, 32), 0, "icmpTypeCodeIPv4 of TCP");
	CHECK_EQ(value(&reader, 1, 10), 0, "ingressInterface of an outgoing flow");
	CHECK_EQ(value(&reader, 1, 14), 7, "egressInterface of an outgoing flow");
	CHECK_EQ(value(&reader, 1, 61), 1, "flowDirection: out");
	CHECK_EQ(value(&reader, 2, 32), 3 << 8 | 1, "icmpTypeCodeIPv4");
	CHECK_EQ(value(&reader, 2, 7), 0, "ICMP has no ports");
	CHECK_EQ(value(&reader, 3, 11), 0, "a fragment has no ports");
}

static void test_others(void)
{
	struct ipfix_record records[5] = { flow4(IPPROTO_ICMPV6, 128 << 8, 0, PM_KIND_IPV6),
					   flow4(0, 0, 0x0806, PM_KIND_OTHER) };
	struct in6_addr src, dst;
	const __u8 *at;
	size_t len;

	inet_pton(AF_INET6, "fd00::1", &src);
	inet_pton(AF_INET6, "2001:db8::9abc:138", &dst);
	records[0].set = (__u16)ipfix_set_of(&records[0].key);
	memcpy(&records[0].key.addr[0], &src, sizeof(src));
	memcpy(&records[0].key.addr[2], &dst, sizeof(dst));
	records[1].set = (__u16)ipfix_set_of(&records[1].key);
	records[1].key.addr[0] = 0x020000000001;
	records[1].key.addr[1] = 0xffffffffffff;
	records[2] = (struct ipfix_record){ .set = IPFIX_NAME, .ifindex = 7, .name = "eth0" };
	records[3] = (struct ipfix_record){ .set = IPFIX_IGNORED,
					    .direction = PM_EGRESS,
					    .ifindex = 7,
					    .packets = 5,
					    .bytes = 300 };
	records[4] = (struct ipfix_record){
		.set = IPFIX_NOT_SENT, .ifindex = 4711, .packets = 6, .bytes = 400, .flows = 2
	};
	CHECK(carried(records, 5), "a record of each kind");
	CHECK_EQ(reader.records[0].set, IPFIX_IPV6, "IPv6 has a template of its own");
	at = field(&reader, 0, 27, &len);
	CHECK(at && len == 16 && !memcmp(at, &src, 16), "sourceIPv6Address");
	at = field(&reader, 0, 28, &len);
	CHECK(at && len == 16 && !memcmp(at, &dst, 16), "destinationIPv6Address");
	CHECK_EQ(value(&reader, 0, 139), 128 << 8, "icmpTypeCodeIPv6");
	CHECK_EQ(value(&reader, 1, 56), 0x020000000001, "sourceMacAddress");
	CHECK_EQ(value(&reader, 1, 80), 0xffffffffffff, "destinationMacAddress");
	CHECK_EQ(value(&reader, 1, 256), 0x0806, "ethernetType");
	at = field(&reader, 2, 82, &len);
	CHECK(at && len == IF_NAMESIZE && !strcmp((const char *)at, "eth0"), "interfaceName");
	CHECK_EQ(value(&reader, 2, 10), 7, "the interface with this name");
	CHECK_EQ(value(&reader, 3, 14), 7, "the interface of what was ignored");
	CHECK_EQ(value(&reader, 3, 61), 1, "and its direction");
	CHECK_EQ(value(&reader, 3, 164), 5, "ignoredPacketTotalCount");
	CHECK_EQ(value(&reader, 3, 165), 300, "ignoredOctetTotalCount");
	CHECK_EQ(value(&reader, 4, 144), 4711, "exportingProcessId");
	CHECK_EQ(value(&reader, 4, 166), 2, "notSentFlowTotalCount");
	CHECK_EQ(value(&reader, 4, 167), 6, "notSentPacketTotalCount");
	CHECK_EQ(value(&reader, 4, 168), 400, "notSentOctetTotalCount");
}

/* Records of changing kinds, into messages of every size. */
static void test_sizes(void)
{
	struct ipfix_record kinds[] = { flow4(IPPROTO_UDP, 1, 2, 0),
					flow4(IPPROTO_UDP, 1, 2, PM_KIND_IPV6),
					flow4(0, 0, 0x0806, PM_KIND_OTHER) };
	struct ipfix_message message;

	for (int i = 0; i < 3; i++)
		kinds[i].set = (__u16)ipfix_set_of(&kinds[i].key);
	check_begin("a message of any size is full, and no longer than it may be");
	for (size_t size = IPFIX_SIZE_MIN; size < 1600; size++) {
		int count = 0;

		memset(&reader, 0, sizeof(reader));
		ipfix_begin(&message, room, size, 0, 0, 0);
		ipfix_templates(&message);
		EXPECT(message.len <= size, "size %zu: no room for the templates", size);
		while (ipfix_add(&message, &kinds[count / 2 % 3]))
			count++;
		ipfix_end(&message);
		EXPECT(message.len <= size && message.len + 100 > size, "size %zu: length %zu",
		       size, message.len);
		EXPECT(count > 0, "size %zu: no room for a record", size);
		EXPECT(read_message(&reader, &message), "size %zu: it cannot be read", size);
		EXPECT(reader.count == count, "size %zu: %d records of %d", size, reader.count,
		       count);
	}
	check_end();
}

static void check_collector(const char *text, bool tcp, const char *host, const char *port)
{
	struct collector_config config;
	const char *why = collector_parse(&config, text);

	if (!CHECK(!why, "collector '%s'", text))
		return;
	CHECK_STR(config.host, host, "collector '%s': host", text);
	CHECK_STR(config.port, port, "collector '%s': port", text);
	CHECK_EQ(config.tcp, tcp, "collector '%s': over TCP", text);
}

static void check_no_collector(const char *text)
{
	struct collector_config config;

	CHECK(collector_parse(&config, text), "no collector: '%s'", text);
}

static void test_collector(void)
{
	check_collector("10.0.0.138", false, "10.0.0.138", "4739");
	check_collector("10.0.0.138:9995", false, "10.0.0.138", "9995");
	check_collector("udp:collector.example.com:2055", false, "collector.example.com", "2055");
	check_collector("tcp:collector", true, "collector", "4739");
	check_collector("tcp:[fd00::138]:9995", true, "fd00::138", "9995");
	check_collector("[fe80::1%eth0]", false, "fe80::1%eth0", "4739");
	check_collector("fd00::138", false, "fd00::138", "4739");
	check_no_collector("");
	check_no_collector("tcp:");
	check_no_collector(":4739");
	check_no_collector("tcp:4739");
	check_no_collector("host:");
	check_no_collector("host:0");
	check_no_collector("host:65536");
	check_no_collector("host:ipfix");
	check_no_collector("host:1:2");
	check_no_collector("fd00::138:99999");
	check_no_collector("[fd00::138");
	check_no_collector("[fd00::138]4739");
	check_no_collector("[fd00::138]:");
	check_no_collector("[10.0.0.138]:4739");
	check_no_collector("[]:4739");
}

int main(void)
{
	test_header();
	test_ipv4();
	test_others();
	test_sizes();
	test_collector();
	return check_exit();
}
