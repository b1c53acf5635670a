// SPDX-License-Identifier: GPL-2.0-only
#include "format.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "number.h"

static const struct {
	__u8 number;
	const char *name;
} protos[] = {
	{ IPPROTO_ICMP, "icmp" }, { IPPROTO_IGMP, "igmp" }, { IPPROTO_IPIP, "ipip" },
	{ IPPROTO_TCP, "tcp" },	  { IPPROTO_UDP, "udp" },   { IPPROTO_DCCP, "dccp" },
	{ IPPROTO_IPV6, "ipv6" }, { IPPROTO_RSVP, "rsvp" }, { IPPROTO_GRE, "gre" },
	{ IPPROTO_ESP, "esp" },	  { IPPROTO_AH, "ah" },	    { IPPROTO_ICMPV6, "icmpv6" },
	{ 88, "eigrp" },	  { 89, "ospf" },	    { IPPROTO_PIM, "pim" },
	{ 112, "vrrp" },	  { IPPROTO_SCTP, "sctp" }, { IPPROTO_UDPLITE, "udplite" },
	{ 115, "l2tp" },
};

static __u32 format_family_of(const struct pm_key *key)
{
	return pm_key_kind(key) & PM_KIND_FAMILY;
}

bool format_is_icmp(const struct pm_key *key)
{
	return format_family_of(key) != PM_KIND_OTHER &&
	       (pm_key_proto(key) == IPPROTO_ICMP || pm_key_proto(key) == IPPROTO_ICMPV6);
}

bool format_has_ports(const struct pm_key *key)
{
	if (format_family_of(key) == PM_KIND_OTHER || pm_key_kind(key) & PM_KIND_FRAGMENT)
		return false;
	switch (pm_key_proto(key)) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
	case IPPROTO_UDPLITE:
		return true;
	default:
		return false;
	}
}

void format_address(char text[FORMAT_ADDRESS_MAX], const struct pm_key *key, bool destination)
{
	struct in_addr ip = { .s_addr = (__u32)(key->addr[0] >> (destination ? 32 : 0)) };
	__u64 mac = key->addr[destination];

	switch (format_family_of(key)) {
	case PM_KIND_IPV4:
		inet_ntop(AF_INET, &ip, text, FORMAT_ADDRESS_MAX);
		break;
	case PM_KIND_IPV6:
		inet_ntop(AF_INET6, &key->addr[destination ? 2 : 0], text, FORMAT_ADDRESS_MAX);
		break;
	default:
		snprintf(text, FORMAT_ADDRESS_MAX, "%02x:%02x:%02x:%02x:%02x:%02x",
			 (__u8)(mac >> 40), (__u8)(mac >> 32), (__u8)(mac >> 24), (__u8)(mac >> 16),
			 (__u8)(mac >> 8), (__u8)mac);
	}
}

void format_endpoint(char text[FORMAT_ENDPOINT_MAX], const struct pm_key *key, bool destination)
{
	__u16 port = destination ? pm_key_dport(key) : pm_key_sport(key);
	char address[FORMAT_ADDRESS_MAX];

	format_address(address, key, destination);
	if (format_has_ports(key))
		snprintf(text, FORMAT_ENDPOINT_MAX,
			 format_family_of(key) == PM_KIND_IPV6 ? "[%s]:%u" : "%s:%u", address,
			 port);
	else if (destination && format_is_icmp(key) && pm_key_sport(key) & 0xff)
		snprintf(text, FORMAT_ENDPOINT_MAX, "%s type %u/%u", address,
			 pm_key_sport(key) >> 8, pm_key_sport(key) & 0xff);
	else if (destination && format_is_icmp(key))
		snprintf(text, FORMAT_ENDPOINT_MAX, "%s type %u", address, pm_key_sport(key) >> 8);
	else if (destination && pm_key_kind(key) & PM_KIND_FRAGMENT)
		snprintf(text, FORMAT_ENDPOINT_MAX, "%s fragment", address);
	else
		snprintf(text, FORMAT_ENDPOINT_MAX, "%s", address);
}

/* Where an endpoint's address ends: at its port, at "type 8", at the end of the text. */
static size_t address_length(const char *text)
{
	const char *end = strchr(text, *text == '[' ? ']' : ' ');

	if (!end && strchr(text, ':') == strrchr(text, ':'))
		end = strchr(text, ':');
	return end ? (size_t)(end - text) : strlen(text);
}

void format_shorten(char text[FORMAT_ENDPOINT_MAX], int width, int head, const char *gap)
{
	int len = (int)strlen(text), begin = *text == '[', end = (int)address_length(text);
	int room = width - 1 - begin - (len - end); /* for characters of the address */
	char from[FORMAT_ENDPOINT_MAX];

	if (len <= width || width < 1)
		return;
	memcpy(from, text, (size_t)len + 1);
	if (room < 0) {
		begin = room = 0;
		end = len - (width - 1);
	}
	head = room * head / FORMAT_HEADS;
	snprintf(text, FORMAT_ENDPOINT_MAX, "%.*s%s%s", begin + head, from, gap,
		 from + end - (room - head));
}

void format_proto(char text[FORMAT_PROTO_MAX], const struct pm_key *key)
{
	if (format_family_of(key) == PM_KIND_OTHER) {
		snprintf(text, FORMAT_PROTO_MAX, "0x%04x", pm_key_dport(key));
		return;
	}
	for (size_t i = 0; i < sizeof(protos) / sizeof(protos[0]); i++) {
		if (protos[i].number == pm_key_proto(key)) {
			snprintf(text, FORMAT_PROTO_MAX, "%s", protos[i].name);
			return;
		}
	}
	snprintf(text, FORMAT_PROTO_MAX, "%u", pm_key_proto(key));
}

int format_proto_number(const char *name, __u8 *number)
{
	__u64 value;

	for (size_t i = 0; i < sizeof(protos) / sizeof(protos[0]); i++) {
		if (!strcmp(protos[i].name, name)) {
			*number = protos[i].number;
			return 0;
		}
	}
	if (!strcmp(name, "icmp6")) {
		*number = IPPROTO_ICMPV6;
		return 0;
	}
	if (number_parse(name, 0, 255, &value))
		return -EINVAL;
	*number = (__u8)value;
	return 0;
}

const char *format_family(const struct pm_key *key)
{
	switch (format_family_of(key)) {
	case PM_KIND_IPV4:
		return "ipv4";
	case PM_KIND_IPV6:
		return "ipv6";
	default:
		return "other";
	}
}

void format_si(char text[16], double value)
{
	static const char prefixes[] = " kMGTPE";
	int at = 0;

	if (value < 9999.5) {
		snprintf(text, 16, "%.0f", value);
		return;
	}
	for (; value >= 999.95 && prefixes[at + 1]; at++)
		value /= 1000;
	snprintf(text, 16,
		 value < 9.9995	  ? "%.3f%c"
		 : value < 99.995 ? "%.2f%c"
				  : "%.1f%c",
		 value, prefixes[at]);
}

const char *format_reason(enum pm_reason reason)
{
	static const char *const names[PM_REASONS] = {
		[PM_OK] = "ok",
		[PM_FILTERED] = "filtered",
		[PM_FULL] = "table_full",
		[PM_CROWDED] = "crowded",
		[PM_BUSY] = "busy",
		[PM_TRUNCATED] = "truncated",
		[PM_MALFORMED] = "malformed",
		[PM_NESTED] = "nested",
	};

	return names[reason];
}
