// SPDX-License-Identifier: GPL-2.0-only
#include "addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include "number.h"

enum { ADDR_IPV4_WORD = 3 };

struct addr addr_ipv4(__be32 ip)
{
	return (struct addr){ { 0, 0, htonl(0xffff), ip } };
}

struct addr addr_ipv6(const void *bytes)
{
	struct addr addr;

	memcpy(&addr, bytes, sizeof(addr));
	return addr;
}

struct addr addr_from(const void *bytes, size_t len)
{
	__be32 ip;

	if (len == sizeof(struct addr))
		return addr_ipv6(bytes);
	memcpy(&ip, bytes, sizeof(ip));
	return addr_ipv4(ip);
}

static bool addr_is_ipv4(const struct addr *addr)
{
	return !addr->word[0] && !addr->word[1] && addr->word[2] == htonl(0xffff);
}

int addr_family(const struct addr *addr)
{
	return addr_is_ipv4(addr) ? AF_INET : AF_INET6;
}

const void *addr_bytes(const struct addr *addr, size_t *len)
{
	*len = addr_is_ipv4(addr) ? sizeof(__be32) : sizeof(*addr);
	return addr_is_ipv4(addr) ? &addr->word[ADDR_IPV4_WORD] : &addr->word[0];
}

int addr_compare(const struct addr *a, const struct addr *b)
{
	int families = (int)addr_is_ipv4(b) - (int)addr_is_ipv4(a);

	return families ?: memcmp(a, b, sizeof(*a));
}

__u32 addr_hash(const struct addr *addr)
{
	__u64 hash = 0;

	/* Fibonacci hashing: the upper half of a product depends on all bits. */
	for (int i = 0; i < 4; i++)
		hash = ((hash >> 32) + addr->word[i]) * 0x9e3779b97f4a7c15ULL;
	return (__u32)(hash >> 32);
}

/* An IPv4 address in host byte order, only to be asked for one. */
static __u32 addr_ipv4_value(const struct addr *addr)
{
	return ntohl(addr->word[ADDR_IPV4_WORD]);
}

bool addr_is_loopback(const struct addr *addr)
{
	if (addr_is_ipv4(addr))
		return addr_ipv4_value(addr) >> 24 == IN_LOOPBACKNET;
	return !memcmp(addr, &in6addr_loopback, sizeof(*addr));
}

bool addr_is_link_local(const struct addr *addr)
{
	return ntohl(addr->word[0]) >> 22 == 0xfe80 >> 6;
}

static const char *addr_unusable_ipv4(__u32 host)
{
	if (!host)
		return "is the wildcard address";
	if (host >> 24 == 0)
		return "is not a host's address (0.0.0.0/8)";
	if (IN_MULTICAST(host))
		return "is a multicast address";
	if (host == INADDR_BROADCAST)
		return "is the broadcast address";
	return NULL;
}

const char *addr_unusable(const struct addr *addr)
{
	if (addr_is_ipv4(addr))
		return addr_unusable_ipv4(addr_ipv4_value(addr));
	if (addr_is_none(addr))
		return "is the wildcard address";
	if (ntohl(addr->word[0]) >> 24 == 0xff)
		return "is a multicast address";
	if (addr_is_link_local(addr))
		return "is a link-local address, of another host on each link";
	return NULL;
}

int addr_parse(const char *text, struct addr *addr)
{
	struct addr found;
	__be32 ip;

	if (inet_pton(AF_INET, text, &ip) == 1)
		found = addr_ipv4(ip);
	else if (inet_pton(AF_INET6, text, &found) != 1)
		return -EINVAL;
	else if (addr_is_ipv4(&found))
		return -EAFNOSUPPORT;
	*addr = found;
	return 0;
}

/* inet_ntop() takes as long for one IPv4 address as all the rest of a line. */
static char *addr_append_ipv4(char *at, const struct addr *addr)
{
	const __u8 *bytes = (const __u8 *)&addr->word[ADDR_IPV4_WORD];

	at = number_append(at, bytes[0]);
	for (int i = 1; i < 4; i++) {
		*at++ = '.';
		at = number_append(at, bytes[i]);
	}
	return at;
}

const char *addr_plain(const struct addr *addr, char buf[ADDR_TEXT_LEN])
{
	if (!addr_is_ipv4(addr))
		return inet_ntop(AF_INET6, addr, buf, ADDR_TEXT_LEN);
	*addr_append_ipv4(buf, addr) = '\0';
	return buf;
}

char *addr_append(char *at, const struct addr *addr, __be16 port)
{
	if (addr_is_ipv4(addr)) {
		at = addr_append_ipv4(at, addr);
	} else {
		*at++ = '[';
		addr_plain(addr, at);
		at += strlen(at);
		*at++ = ']';
	}
	if (port) {
		*at++ = ':';
		at = number_append(at, ntohs(port));
	}
	return at;
}

const char *addr_text(const struct addr *addr, __be16 port, char buf[ADDR_TEXT_LEN])
{
	*addr_append(buf, addr, port) = '\0';
	return buf;
}
