// SPDX-License-Identifier: GPL-2.0-only
#include "mapping.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"
#include "resolve.h"

/* Longest text that can be right: two addresses with ports, "=", a protocol. */
enum { TEXT_MAX = 64 };

static int mapping_refuse(struct mapping_error *error, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int mapping_refuse(struct mapping_error *error, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(error->text, sizeof(error->text), fmt, args);
	va_end(args);
	return -EINVAL;
}

/*
 * @text in quotes behind @before, or @instead for a line of a file: whoever may start the tool as
 * another user must not be shown that user's files.
 */
static const char *mapping_cite(struct mapping_error *error, const char *before, const char *text,
				const char *instead)
{
	if (error->in_file)
		return instead;
	snprintf(error->cited, sizeof(error->cited), "%s'%.40s%s'", before, text,
		 strlen(text) > 40 ? "..." : "");
	return error->cited;
}

char *mapping_addr_append(char *at, __be32 addr, __be16 port)
{
	const __u8 *bytes = (const __u8 *)&addr;

	at = number_append(at, bytes[0]);
	for (int i = 1; i < 4; i++) {
		*at++ = '.';
		at = number_append(at, bytes[i]);
	}
	if (port) {
		*at++ = ':';
		at = number_append(at, ntohs(port));
	}
	return at;
}

const char *mapping_addr_text(__be32 addr, __be16 port, char buf[MAPPING_ADDR_LEN])
{
	*mapping_addr_append(buf, addr, port) = '\0';
	return buf;
}

const char *mapping_proto_text(__u8 proto)
{
	return proto == IPPROTO_TCP ? "tcp" : "udp";
}

/* Addresses that no single host can have. */
static const char *mapping_unusable(__be32 addr)
{
	__u32 host = ntohl(addr);

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

/* ADDR[:PORT]; @text is cut at the colon. */
static int mapping_parse_addr(char *text, __be32 *addr, __be16 *port, struct mapping_error *error)
{
	char *colon = strchr(text, ':');
	struct in_addr in;
	__u64 number = 0;

	if (colon)
		*colon = 0;
	if (inet_pton(AF_INET, text, &in) != 1)
		return mapping_refuse(error, "%s is not an IPv4 address",
				      mapping_cite(error, "", text, "ADDR"));
	if (mapping_unusable(in.s_addr))
		return mapping_refuse(error, "%s %s, which cannot be mapped",
				      error->in_file ? "ADDR" : text, mapping_unusable(in.s_addr));
	if (colon && number_parse(colon + 1, 1, 65535, &number))
		return mapping_refuse(error, "port must be 1 to 65535%s",
				      mapping_cite(error, ", not ", colon + 1, ""));
	*addr = in.s_addr;
	*port = htons((__u16)number);
	return 0;
}

/* Cut "/tcp" or "/udp" off @text; a protocol of 0 stands for both. */
static int mapping_parse_proto(char *text, __u8 *proto, struct mapping_error *error)
{
	char *slash = strchr(text, '/');

	*proto = 0;
	if (!slash)
		return 0;
	if (!strcmp(slash, "/tcp"))
		*proto = IPPROTO_TCP;
	else if (!strcmp(slash, "/udp"))
		*proto = IPPROTO_UDP;
	else
		return mapping_refuse(error, "protocol must be tcp or udp%s",
				      mapping_cite(error, ", not ", slash + 1, ""));
	*slash = 0;
	return 0;
}

int mapping_parse_dest(const char *text, struct proxy_dest *dest, struct mapping_error *error)
{
	struct proxy_dest found = { 0 };
	size_t len = strlen(text);
	char copy[TEXT_MAX];
	int err;

	error->in_file = false;
	if (len >= sizeof(copy))
		return mapping_refuse(error, "%s is too long for ADDR[:PORT][/tcp|/udp]",
				      mapping_cite(error, "", text, ""));
	memcpy(copy, text, len + 1);
	err = mapping_parse_proto(copy, &found.proto, error)
		      ?: mapping_parse_addr(copy, &found.addr, &found.port, error);
	if (!err)
		*dest = found;
	return err;
}

bool mapping_named(const struct mapping *mapping, const struct mapping *name)
{
	return mapping->from.addr == name->from.addr && mapping->from.port == name->from.port &&
	       (!name->from.proto || mapping->from.proto == name->from.proto) &&
	       (!name->to.addr ||
		(mapping->to.addr == name->to.addr && mapping->to.port == name->to.port));
}

static int mapping_parse(const char *text, struct mapping *mapping, struct mapping_error *error)
{
	size_t len = strlen(text);
	char copy[TEXT_MAX], *to;
	int err;

	if (len >= sizeof(copy))
		return mapping_refuse(error, "%s is too long for FROM=TO[/tcp|/udp]",
				      mapping_cite(error, "", text, "it"));
	memcpy(copy, text, len + 1);
	to = strchr(copy, '=');
	if (!to)
		return mapping_refuse(error, "%s is not FROM=TO[/tcp|/udp]",
				      mapping_cite(error, "", text, "it"));
	*to++ = 0;
	err = mapping_parse_proto(to, &mapping->from.proto, error) ?:
	      mapping_parse_addr(copy, &mapping->from.addr, &mapping->from.port, error) ?:
	      mapping_parse_addr(to, &mapping->to.addr, &mapping->to.port, error);
	if (err)
		return err;
	if (!mapping->to.port)
		mapping->to.port = mapping->from.port;
	if (mapping->from.addr == mapping->to.addr && mapping->from.port == mapping->to.port)
		return mapping_refuse(error, "%s maps an address to itself",
				      mapping_cite(error, "", text, "it"));
	return 0;
}

void mapping_list_free(struct mapping_list *list)
{
	free(list->entries);
	memset(list, 0, sizeof(*list));
}

int mapping_list_append(struct mapping_list *list, const struct mapping *mapping)
{
	size_t room = list->room ? 2 * list->room : 16;
	struct mapping *grown;

	if (list->count == list->room) {
		grown = reallocarray(list->entries, room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		list->entries = grown;
		list->room = room;
	}
	list->entries[list->count++] = *mapping;
	return 0;
}

int mapping_list_add(struct mapping_list *list, const char *text, int line,
		     struct mapping_error *error)
{
	static const __u8 both[] = { IPPROTO_TCP, IPPROTO_UDP };
	struct mapping mapping = { .line = line };
	size_t count = list->count;
	int err;

	error->in_file = line;
	err = mapping_parse(text, &mapping, error);

	if (err)
		return err;
	if (mapping.from.proto)
		err = mapping_list_append(list, &mapping);
	for (size_t i = 0; !mapping.from.proto && i < sizeof(both) && !err; i++) {
		struct mapping one = mapping;

		one.from.proto = both[i];
		err = mapping_list_append(list, &one);
	}
	if (err) {
		list->count = count;
		mapping_refuse(error, "cannot hold the mappings: %s", strerror(-err));
		return err;
	}
	list->texts++;
	return 0;
}

/* Cut a comment and the space around the rest. */
static char *mapping_trim(char *line)
{
	char *end = line + strcspn(line, "#\r\n");

	while (end > line && isspace((unsigned char)end[-1]))
		end--;
	*end = 0;
	while (isspace((unsigned char)*line))
		line++;
	return line;
}

int mapping_list_load(struct mapping_list *list, const char *path, struct mapping_error *error)
{
	struct mapping_error why;
	char *buf = NULL, *text;
	size_t size = 0;
	int line = 0, err = 0;
	FILE *file = fopen(path, "re");

	if (!file) {
		err = -errno;
		mapping_refuse(error, "cannot read %s: %s", path, strerror(errno));
		return err;
	}
	list->file = path;
	while (!err && getline(&buf, &size, file) >= 0) {
		line++;
		text = mapping_trim(buf);
		if (*text)
			err = mapping_list_add(list, text, line, &why);
	}
	if (err) {
		mapping_refuse(error, "%s:%d: %s", path, line, why.text);
	} else if (ferror(file)) {
		err = -errno;
		mapping_refuse(error, "cannot read %s: %s", path, strerror(errno));
	}
	free(buf);
	fclose(file);
	return err;
}

static int mapping_compare_dest(const struct proxy_dest *a, const struct proxy_dest *b)
{
	__u32 addr_a = ntohl(a->addr), addr_b = ntohl(b->addr);
	__u16 port_a = ntohs(a->port), port_b = ntohs(b->port);

	if (addr_a != addr_b)
		return addr_a < addr_b ? -1 : 1;
	if (a->proto != b->proto)
		return a->proto < b->proto ? -1 : 1;
	if (port_a != port_b)
		return port_a < port_b ? -1 : 1;
	return (int)a->deleted - (int)b->deleted;
}

static int mapping_compare(const void *a, const void *b)
{
	const struct mapping *one = a, *two = b;

	return mapping_compare_dest(&one->from, &two->from)
		       ?: (one->line > two->line) - (one->line < two->line);
}

void mapping_list_sort(struct mapping_list *list)
{
	if (list->count)
		qsort(list->entries, list->count, sizeof(*list->entries), mapping_compare);
}

/* The first entry that is not before @from; may be one past the end. */
static struct mapping *mapping_lower_bound(const struct mapping_list *list,
					   const struct proxy_dest *from)
{
	size_t low = 0, high = list->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (mapping_compare_dest(&list->entries[middle].from, from) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return list->entries + low;
}

struct mapping *mapping_list_find(const struct mapping_list *list, const struct proxy_dest *from)
{
	struct mapping *found = list->count ? mapping_lower_bound(list, from) : NULL;

	if (!found || found == list->entries + list->count ||
	    mapping_compare_dest(&found->from, from))
		return NULL;
	return found;
}

/* The mapping that takes packets to @mapping's TO; for a TO of any port, one that takes some. */
static const struct mapping *mapping_next_in_chain(const struct mapping_list *list,
						   const struct mapping *mapping)
{
	const struct proxy_dest to = { .addr = mapping->to.addr,
				       .port = mapping->to.port,
				       .proto = mapping->from.proto };
	const struct mapping *found = mapping_lower_bound(list, &to);

	if (to.port)
		return resolve(list, &to);
	return found < list->entries + list->count && found->from.addr == to.addr &&
			       found->from.proto == to.proto
		       ? found
		       : NULL;
}

const char *mapping_place_text(const struct mapping_list *list, const struct mapping *mapping,
			       char buf[MAPPING_PLACE_LEN])
{
	*buf = 0;
	if (mapping->line)
		snprintf(buf, MAPPING_PLACE_LEN, "%s:%d: ", list->file ?: "line", mapping->line);
	return buf;
}

int mapping_list_finish(struct mapping_list *list, struct mapping_error *error)
{
	char from[MAPPING_ADDR_LEN], to[MAPPING_ADDR_LEN];
	char place[MAPPING_PLACE_LEN];

	mapping_list_sort(list);
	for (size_t i = 1; i < list->count; i++) {
		const struct mapping *first = &list->entries[i - 1], *second = &list->entries[i];

		if (!mapping_compare_dest(&first->from, &second->from))
			return mapping_refuse(
				error, "%s%s/%s is mapped twice; keep one of the two",
				mapping_place_text(list, second, place),
				mapping_addr_text(second->from.addr, second->from.port, from),
				mapping_proto_text(second->from.proto));
	}
	for (size_t i = 0; i < list->count; i++) {
		const struct mapping *mapping = &list->entries[i];

		if (mapping_next_in_chain(list, mapping))
			return mapping_refuse(
				error, "%s%s=%s: the target is mapped on; map to the final target",
				mapping_place_text(list, mapping, place),
				mapping_addr_text(mapping->from.addr, mapping->from.port, from),
				mapping_addr_text(mapping->to.addr, mapping->to.port, to));
	}
	return 0;
}
