// SPDX-License-Identifier: GPL-2.0-only
#include "filter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "format.h"
#include "number.h"

int filter_add_proto(struct pm_filter *filter, const char *text)
{
	__u8 proto;

	if (format_proto_number(text, &proto))
		return -EINVAL;
	if (filter->protos == PM_FILTER_MAX)
		return -E2BIG;
	filter->proto[filter->protos++] = proto;
	return 0;
}

int filter_add_port(struct pm_filter *filter, const char *text)
{
	__u64 port;

	if (number_parse(text, 1, 65535, &port))
		return -EINVAL;
	if (filter->ports == PM_FILTER_MAX)
		return -E2BIG;
	filter->port[filter->ports++] = (__u16)port;
	return 0;
}

/* The first @bits bits of an address in network order. */
static void set_mask(__u64 mask[2], unsigned int bits)
{
	__u8 *bytes = (__u8 *)mask;

	for (unsigned int i = 0; i < 16; i++, bits -= bits < 8 ? bits : 8)
		bytes[i] = bits >= 8 ? 0xff : (__u8)(0xff00 >> bits);
}

int filter_add_net(struct pm_filter *filter, const char *text, bool prefix)
{
	struct pm_net net = { .family = PM_KIND_IPV4 };
	const char *slash = strchr(text, '/');
	char address[INET6_ADDRSTRLEN];
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	__u64 bits, max = 32;

	if (!slash != !prefix || len >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = '\0';
	if (inet_pton(AF_INET, address, net.addr) != 1) {
		net.family = PM_KIND_IPV6;
		max = 128;
		if (inet_pton(AF_INET6, address, net.addr) != 1)
			return -EINVAL;
	}
	bits = max;
	if (slash && number_parse(slash + 1, 0, max, &bits))
		return -EINVAL;
	if (filter->nets == PM_FILTER_MAX)
		return -E2BIG;
	set_mask(net.mask, (unsigned int)bits);
	for (int i = 0; i < 2; i++)
		net.addr[i] &= net.mask[i];
	filter->net[filter->nets++] = net;
	return 0;
}

static bool has_ports(__u8 proto)
{
	struct pm_key key = { .meta = pm_key_meta(0, proto, PM_KIND_IPV4, 0) };

	return format_has_ports(&key);
}

const char *filter_contradiction(const struct pm_filter *filter)
{
	bool ports = !filter->protos, family = !filter->nets || !filter->families;

	for (__u32 i = 0; i < filter->protos; i++)
		ports |= has_ports(filter->proto[i]);
	if (filter->ports && !ports)
		return "--port needs a protocol with ports";
	for (__u32 i = 0; i < filter->nets; i++)
		family |= (filter->families & 1U << filter->net[i].family) != 0;
	if (!family)
		return "-4 or -6 excludes every --host and --net";
	return NULL;
}
