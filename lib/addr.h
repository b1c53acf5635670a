/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses of both families, and addresses with a port, as people read and write them. */
#ifndef ADDR_H
#define ADDR_H

#include <linux/types.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

/*
 * In network byte order; IPv4 as ::ffff:a.b.c.d (RFC 4291, section 2.5.5.2), so that both families
 * are compared and ordered as 16 bytes. All zero: no address.
 */
struct addr {
	__be32 word[4];
};

/** addr_ipv4 - make an address of the 4 bytes @ip, in network byte order */
struct addr addr_ipv4(__be32 ip);

/** addr_ipv6 - make an address of the 16 bytes at @bytes */
struct addr addr_ipv6(const void *bytes);

/** addr_from - make an address of the @len bytes at @bytes: 4 for IPv4, 16 for IPv6 */
struct addr addr_from(const void *bytes, size_t len);

/** addr_family - AF_INET or AF_INET6; for no address AF_INET6 */
int addr_family(const struct addr *addr);

/**
 * addr_bytes - the address as it is in a packet: 4 or 16 bytes
 * @len: set to how many
 * Return: a pointer into @addr.
 */
const void *addr_bytes(const struct addr *addr, size_t *len);

static inline bool addr_is_none(const struct addr *addr)
{
	return !(addr->word[0] | addr->word[1] | addr->word[2] | addr->word[3]);
}

static inline bool addr_equal(const struct addr *a, const struct addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/** addr_compare - order by family (IPv4 first), then by value; Return: as memcmp() */
int addr_compare(const struct addr *a, const struct addr *b);

/** addr_hash - a hash whose lower bits depend on all of @addr; not secret */
__u32 addr_hash(const struct addr *addr);

/** addr_is_loopback - tell whether @addr is in 127.0.0.0/8 or is ::1 */
bool addr_is_loopback(const struct addr *addr);

/** addr_is_link_local - tell whether @addr is in fe80::/10 */
bool addr_is_link_local(const struct addr *addr);

/**
 * addr_unusable - say why packets to or from @addr cannot be translated
 * Return: how a sentence about @addr goes on ("is a multicast address"); NULL if they can be.
 */
const char *addr_unusable(const struct addr *addr);

/**
 * addr_parse - parse a whole text: "10.0.0.1" or "fd00::1", without brackets and without a zone
 * Return: 0; -EAFNOSUPPORT for ::ffff:a.b.c.d, which would be taken for IPv4; -EINVAL if it is no
 * address. @addr is untouched on failure.
 */
int addr_parse(const char *text, struct addr *addr);

/* "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", and the terminator */
enum { ADDR_TEXT_LEN = 48 };

/**
 * addr_append - write "ADDR:PORT", or "ADDR" for port 0, without a terminator
 * @at: room for ADDR_TEXT_LEN characters
 * @port: in network byte order
 *
 * An IPv6 address is in brackets, also without a port. Return: where the next character goes.
 */
char *addr_append(char *at, const struct addr *addr, __be16 port);

/** addr_text - write the same with a terminator to @buf; Return: @buf */
const char *addr_text(const struct addr *addr, __be16 port, char buf[ADDR_TEXT_LEN]);

/** addr_plain - write @addr alone, without brackets, to @buf; Return: @buf */
const char *addr_plain(const struct addr *addr, char buf[ADDR_TEXT_LEN]);

#endif /* ADDR_H */
