// SPDX-License-Identifier: GPL-2.0-only
#include "ipfix.h"

#include <netinet/in.h>
#include <string.h>

#include "format.h"

enum { IPFIX_VERSION = 10, IPFIX_SET_HEADER_LEN = 4 };

/* Sets that hold templates. */
enum { IPFIX_TEMPLATES = 2, IPFIX_OPTIONS_TEMPLATES = 3 };

/* Information elements, as IANA numbers them. */
enum ipfix_element {
	OCTET_DELTA_COUNT = 1,
	PACKET_DELTA_COUNT = 2,
	PROTOCOL_IDENTIFIER = 4,
	SOURCE_TRANSPORT_PORT = 7,
	SOURCE_IPV4_ADDRESS = 8,
	INGRESS_INTERFACE = 10,
	DESTINATION_TRANSPORT_PORT = 11,
	DESTINATION_IPV4_ADDRESS = 12,
	EGRESS_INTERFACE = 14,
	SOURCE_IPV6_ADDRESS = 27,
	DESTINATION_IPV6_ADDRESS = 28,
	ICMP_TYPE_CODE_IPV4 = 32,
	SOURCE_MAC_ADDRESS = 56,
	FLOW_DIRECTION = 61,
	DESTINATION_MAC_ADDRESS = 80,
	INTERFACE_NAME = 82,
	FLOW_END_REASON = 136,
	ICMP_TYPE_CODE_IPV6 = 139,
	EXPORTING_PROCESS_ID = 144,
	FLOW_START_MILLISECONDS = 152,
	FLOW_END_MILLISECONDS = 153,
	IGNORED_PACKET_TOTAL_COUNT = 164,
	IGNORED_OCTET_TOTAL_COUNT = 165,
	NOT_SENT_FLOW_TOTAL_COUNT = 166,
	NOT_SENT_PACKET_TOTAL_COUNT = 167,
	NOT_SENT_OCTET_TOTAL_COUNT = 168,
	DOT1Q_VLAN_ID = 243,
	DOT1Q_CUSTOMER_VLAN_ID = 245,
	ETHERNET_TYPE = 256,
};

struct ipfix_field {
	__u16 element;
	__u16 len;
};

/*
 * The fields of each set. What all flows have stands first: collectors look for the counts there.
 * clang-format would put each field on a line of its own, and its versions differ.
 */
/* clang-format off */
#define IPFIX_FLOW_FIELDS                                                                          \
	{ OCTET_DELTA_COUNT, 8 }, { PACKET_DELTA_COUNT, 8 },                                       \
	{ FLOW_START_MILLISECONDS, 8 }, { FLOW_END_MILLISECONDS, 8 },                              \
	{ INGRESS_INTERFACE, 4 }, { EGRESS_INTERFACE, 4 },                                         \
	{ FLOW_DIRECTION, 1 }, { FLOW_END_REASON, 1 },                                             \
	{ DOT1Q_VLAN_ID, 2 }, { DOT1Q_CUSTOMER_VLAN_ID, 2 }
#define IPFIX_IP_FIELDS                                                                            \
	{ PROTOCOL_IDENTIFIER, 1 }, { SOURCE_TRANSPORT_PORT, 2 }, { DESTINATION_TRANSPORT_PORT, 2 }

static const struct ipfix_template {
	__u16 scopes; /* the first fields, which say what the others are about; 0: no options */
	struct ipfix_field fields[20];
} ipfix_layouts[IPFIX_SETS_END - IPFIX_IPV4] = {
	[0] = { 0, { /* IPFIX_IPV4 */
		IPFIX_FLOW_FIELDS, { SOURCE_IPV4_ADDRESS, 4 }, { DESTINATION_IPV4_ADDRESS, 4 },
		IPFIX_IP_FIELDS, { ICMP_TYPE_CODE_IPV4, 2 } } },
	[IPFIX_IPV6 - IPFIX_IPV4] = { 0, {
		IPFIX_FLOW_FIELDS, { SOURCE_IPV6_ADDRESS, 16 }, { DESTINATION_IPV6_ADDRESS, 16 },
		IPFIX_IP_FIELDS, { ICMP_TYPE_CODE_IPV6, 2 } } },
	[IPFIX_OTHER - IPFIX_IPV4] = { 0, {
		IPFIX_FLOW_FIELDS, { SOURCE_MAC_ADDRESS, 6 }, { DESTINATION_MAC_ADDRESS, 6 },
		{ ETHERNET_TYPE, 2 } } },
	[IPFIX_NAME - IPFIX_IPV4] = { 1, {
		{ INGRESS_INTERFACE, 4 }, { INTERFACE_NAME, IF_NAMESIZE } } },
	[IPFIX_IGNORED - IPFIX_IPV4] = { 3, {
		{ INGRESS_INTERFACE, 4 }, { EGRESS_INTERFACE, 4 }, { FLOW_DIRECTION, 1 },
		{ IGNORED_PACKET_TOTAL_COUNT, 8 }, { IGNORED_OCTET_TOTAL_COUNT, 8 } } },
	[IPFIX_NOT_SENT - IPFIX_IPV4] = { 1, {
		{ EXPORTING_PROCESS_ID, 4 }, { NOT_SENT_FLOW_TOTAL_COUNT, 8 },
		{ NOT_SENT_PACKET_TOTAL_COUNT, 8 }, { NOT_SENT_OCTET_TOTAL_COUNT, 8 } } },
};
/* clang-format on */

enum ipfix_set ipfix_set_of(const struct pm_key *key)
{
	switch (pm_key_kind(key) & PM_KIND_FAMILY) {
	case PM_KIND_IPV4:
		return IPFIX_IPV4;
	case PM_KIND_IPV6:
		return IPFIX_IPV6;
	default:
		return IPFIX_OTHER;
	}
}

static void ipfix_put(struct ipfix_message *message, __u64 value, size_t len)
{
	while (len--)
		message->bytes[message->len++] = (__u8)(value >> 8 * len);
}

static void ipfix_put_at(struct ipfix_message *message, size_t at, __u16 value)
{
	message->bytes[at] = (__u8)(value >> 8);
	message->bytes[at + 1] = (__u8)value;
}

static void ipfix_copy(struct ipfix_message *message, const void *bytes, size_t len)
{
	memcpy(message->bytes + message->len, bytes, len);
	message->len += len;
}

/* An interface is the one that a flow comes in by, or goes out by; the other is 0: not known. */
static __u32 ipfix_interface(const struct ipfix_record *record, enum pm_direction dir)
{
	return record->direction == dir || record->set == IPFIX_NAME ? record->ifindex : 0;
}

/* Return: a field that is a number, MAC addresses and IPv4 addresses included. */
static __u64 ipfix_value(const struct ipfix_record *record, enum ipfix_element element)
{
	const struct pm_key *key = &record->key;

	switch (element) {
	case OCTET_DELTA_COUNT:
	case IGNORED_OCTET_TOTAL_COUNT:
	case NOT_SENT_OCTET_TOTAL_COUNT:
		return record->bytes;
	case PACKET_DELTA_COUNT:
	case IGNORED_PACKET_TOTAL_COUNT:
	case NOT_SENT_PACKET_TOTAL_COUNT:
		return record->packets;
	case NOT_SENT_FLOW_TOTAL_COUNT:
		return record->flows;
	case EXPORTING_PROCESS_ID:
		return record->ifindex;
	case INGRESS_INTERFACE:
		return ipfix_interface(record, PM_INGRESS);
	case EGRESS_INTERFACE:
		return ipfix_interface(record, PM_EGRESS);
	case FLOW_DIRECTION:
		return record->direction == PM_EGRESS;
	case FLOW_END_REASON:
		return record->reason;
	case FLOW_START_MILLISECONDS:
		return record->first_ms;
	case FLOW_END_MILLISECONDS:
		return record->last_ms;
	case DOT1Q_VLAN_ID:
		return pm_key_vlan(key);
	case DOT1Q_CUSTOMER_VLAN_ID:
		return key->inner_vlan;
	case PROTOCOL_IDENTIFIER:
		return pm_key_proto(key);
	case SOURCE_IPV4_ADDRESS:
		return ntohl((__u32)key->addr[0]);
	case DESTINATION_IPV4_ADDRESS:
		return ntohl((__u32)(key->addr[0] >> 32));
	case SOURCE_TRANSPORT_PORT:
		return format_has_ports(key) ? pm_key_sport(key) : 0;
	case DESTINATION_TRANSPORT_PORT:
		return format_has_ports(key) ? pm_key_dport(key) : 0;
	case ICMP_TYPE_CODE_IPV4:
	case ICMP_TYPE_CODE_IPV6:
		return format_is_icmp(key) ? pm_key_sport(key) : 0;
	case SOURCE_MAC_ADDRESS:
		return key->addr[0];
	case DESTINATION_MAC_ADDRESS:
		return key->addr[1];
	case ETHERNET_TYPE:
		return pm_key_dport(key);
	default:
		return 0;
	}
}

static void ipfix_put_field(struct ipfix_message *message, const struct ipfix_record *record,
			    const struct ipfix_field *field)
{
	switch (field->element) {
	case SOURCE_IPV6_ADDRESS:
		ipfix_copy(message, &record->key.addr[0], field->len);
		break;
	case DESTINATION_IPV6_ADDRESS:
		ipfix_copy(message, &record->key.addr[2], field->len);
		break;
	case INTERFACE_NAME:
		ipfix_copy(message, record->name, field->len);
		break;
	default:
		ipfix_put(message, ipfix_value(record, field->element), field->len);
	}
}

static void ipfix_close_set(struct ipfix_message *message)
{
	if (message->open)
		ipfix_put_at(message, message->open + 2, (__u16)(message->len - message->open));
	message->open = 0;
}

static void ipfix_open_set(struct ipfix_message *message, __u16 set)
{
	ipfix_close_set(message);
	message->open = message->len;
	ipfix_put(message, set, 2);
	ipfix_put(message, 0, 2);
}

void ipfix_begin(struct ipfix_message *message, __u8 *bytes, size_t size, __u32 domain,
		 __u32 sequence, __u32 now_s)
{
	*message = (struct ipfix_message){ .bytes = bytes, .size = size };
	ipfix_put(message, IPFIX_VERSION, 2);
	ipfix_put(message, 0, 2);
	ipfix_put(message, now_s, 4);
	ipfix_put(message, sequence, 4);
	ipfix_put(message, domain, 4);
}

static void ipfix_put_template(struct ipfix_message *message, enum ipfix_set set)
{
	const struct ipfix_template *layout = &ipfix_layouts[set - IPFIX_IPV4];
	__u16 count = 0;

	while (layout->fields[count].len)
		count++;
	ipfix_put(message, set, 2);
	ipfix_put(message, count, 2);
	if (layout->scopes)
		ipfix_put(message, layout->scopes, 2);
	for (__u16 i = 0; i < count; i++) {
		ipfix_put(message, layout->fields[i].element, 2);
		ipfix_put(message, layout->fields[i].len, 2);
	}
}

void ipfix_templates(struct ipfix_message *message)
{
	ipfix_open_set(message, IPFIX_TEMPLATES);
	for (enum ipfix_set set = IPFIX_IPV4; set < IPFIX_NAME; set++)
		ipfix_put_template(message, set);
	ipfix_open_set(message, IPFIX_OPTIONS_TEMPLATES);
	for (enum ipfix_set set = IPFIX_NAME; set < IPFIX_SETS_END; set++)
		ipfix_put_template(message, set);
	ipfix_close_set(message);
}

bool ipfix_add(struct ipfix_message *message, const struct ipfix_record *record)
{
	const struct ipfix_field *fields = ipfix_layouts[record->set - IPFIX_IPV4].fields;
	bool open = message->open && message->bytes[message->open] == record->set >> 8 &&
		    message->bytes[message->open + 1] == (__u8)record->set;
	size_t need = open ? 0 : IPFIX_SET_HEADER_LEN;

	for (int i = 0; fields[i].len; i++)
		need += fields[i].len;
	if (message->size - message->len < need)
		return false;
	if (!open)
		ipfix_open_set(message, record->set);
	for (int i = 0; fields[i].len; i++)
		ipfix_put_field(message, record, &fields[i]);
	message->count++;
	return true;
}

void ipfix_end(struct ipfix_message *message)
{
	ipfix_close_set(message);
	ipfix_put_at(message, 2, (__u16)message->len);
}
