// SPDX-License-Identifier: GPL-2.0-only
#include "filter-value.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

#include "number.h"

enum { PORT_MAX = 65535 };

int filter_value_number(const char *text, __u16 max, __u16 *number)
{
	__u64 value;

	if ((text[0] == '0' && text[1]) || number_parse(text, 0, max, &value))
		return -EINVAL;
	*number = (__u16)value;
	return 0;
}

int filter_value_dotted(const char *text, size_t len, __u8 bytes[4])
{
	char part[4];

	memset(bytes, 0, 4);
	for (int count = 1; count <= 4; count++) {
		size_t digits = strspn(text, "0123456789");
		__u16 value;

		if (digits >= sizeof(part))
			return -EINVAL;
		memcpy(part, text, digits);
		part[digits] = '\0';
		if (filter_value_number(part, 255, &value))
			return -EINVAL;
		bytes[count - 1] = (__u8)value;
		if (digits == len)
			return count;
		if (digits > len || text[digits] != '.')
			return -EINVAL;
		text += digits + 1;
		len -= digits + 1;
	}
	return -EINVAL;
}

/* Set the first @bits bits of a mask in network byte order. */
static void set_mask(__u32 mask[4], unsigned int bits)
{
	for (int i = 0; i < 4; i++, bits -= bits < 32 ? bits : 32)
		mask[i] = bits ? htonl(~0U << (bits < 32 ? 32 - bits : 0)) : 0;
}

int filter_value_host(struct filter_term *term, const char *text)
{
	if (inet_pton(AF_INET, text, term->addr) == 1) {
		term->families = FILTER_IPV4;
		set_mask(term->mask, 32);
		return 0;
	}
	term->families = FILTER_IPV6;
	set_mask(term->mask, 128);
	return inet_pton(AF_INET6, text, term->addr) == 1 ? 0 : -EINVAL;
}

int filter_value_net(struct filter_term *term, const char *text)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char address[INET6_ADDRSTRLEN];
	int count = filter_value_dotted(text, len, (__u8 *)term->addr);
	__u16 bits = 128;

	term->families = FILTER_IPV4;
	if (count > 0) {
		bits = (__u16)(count * 8);
	} else {
		term->families = FILTER_IPV6;
		if (len >= sizeof(address))
			return -EINVAL;
		memcpy(address, text, len);
		address[len] = '\0';
		if (inet_pton(AF_INET6, address, term->addr) != 1)
			return -EINVAL;
	}
	if (slash && filter_value_number(slash + 1, bits > 32 ? 128 : 32, &bits))
		return -EINVAL;
	set_mask(term->mask, bits);
	return 0;
}

/* The port of a service, or -1. */
static int service_port(const char *name, const char *proto)
{
	const struct servent *service = getservbyname(name, proto);

	return service ? ntohs((__u16)service->s_port) : -1;
}

int filter_value_port(struct filter_term *term, const char *text, __u16 *port)
{
	int tcp, udp;

	if (!filter_value_number(text, PORT_MAX, port))
		return 0;
	tcp = term->proto == IPPROTO_UDP ? -1 : service_port(text, "tcp");
	udp = term->proto == IPPROTO_TCP ? -1 : service_port(text, "udp");
	*port = (__u16)(tcp < 0 ? udp : tcp);
	if (tcp == udp)
		return tcp < 0 ? -EINVAL : 0;
	/* One of two ports would be a guess. */
	if ((tcp >= 0 && udp >= 0) || term->proto == IPPROTO_SCTP)
		return -EINVAL;
	term->proto = tcp < 0 ? IPPROTO_UDP : IPPROTO_TCP;
	return 0;
}

int filter_value_portrange(struct filter_term *term, const char *text)
{
	const char *dash = strchr(text, '-');
	size_t len = dash ? (size_t)(dash - text) : strlen(text);
	char first[64]; /* as long as the words of an expression */
	__u16 low;

	if (len >= sizeof(first))
		return -EINVAL;
	memcpy(first, text, len);
	first[len] = '\0';
	if (filter_value_port(term, first, &term->low) ||
	    filter_value_port(term, dash ? dash + 1 : first, &term->high))
		return -EINVAL;
	if (term->low > term->high) { /* as tcpdump does */
		low = term->high;
		term->high = term->low;
		term->low = low;
	}
	return 0;
}

bool filter_value_has_more_bits(const struct filter_term *term)
{
	for (int i = 0; i < 4; i++)
		if (term->addr[i] & ~term->mask[i])
			return true;
	return false;
}
