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
enum { TEXT_MAX = 2 * ADDR_TEXT_LEN + sizeof("=/tcp") };

/* TCP, UDP and ICMP echo. */
enum { PROTOS_MAX = 3 };

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
	snprintf(error->cited, sizeof(error->cited), "%s'%.56s%s'", before, text,
		 strlen(text) > 56 ? "..." : "");
	return error->cited;
}

/* As much of a path as leaves room for the rest of a message. */
static const char *mapping_path_end(const char *path)
{
	enum { SHOWN = 100 };
	size_t len = strlen(path);

	return len > SHOWN ? path + len - SHOWN : path;
}

const char *mapping_proto_text(__u8 proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_ICMP:
		return "icmp";
	default:
		return "icmpv6";
	}
}

/* Forms that other tools know, and that mean more than one address or port. */
static int mapping_refuse_many(const char *text, struct mapping_error *error)
{
	const char *slash = strchr(text, '/'), *dash = strchr(text, '-');

	if (*text == '*' || (slash && isdigit((unsigned char)slash[1])))
		return mapping_refuse(error,
				      "prefixes are not supported%s; map each address by itself",
				      mapping_cite(error, ": ", text, ""));
	if (slash)
		return mapping_refuse(error, "the protocol stands at the end: FROM=TO/tcp");
	if (dash && dash > text && dash[-1] != ':')
		return mapping_refuse(error,
				      "ranges are not supported%s; map each address and port by "
				      "itself",
				      mapping_cite(error, ": ", text, ""));
	if (strstr(text, ":*"))
		return mapping_refuse(error, "%s: for every port, leave out ':*' on both sides",
				      mapping_cite(error, "", text, "ADDR:*"));
	if (strpbrk(text, ",*"))
		return mapping_refuse(error, "several targets are not supported%s",
				      mapping_cite(error, ": ", text, ""));
	return 0;
}

/* @text has several colons, but no brackets: say where these belong. */
static int mapping_refuse_bare(char *text, struct mapping_error *error)
{
	char *colon = strrchr(text, ':');
	struct addr addr;
	__u64 port;
	bool whole = !addr_parse(text, &addr), parts;

	*colon = 0;
	parts = !addr_parse(text, &addr) && !number_parse(colon + 1, 1, 65535, &port);
	if (error->in_file && (whole || parts))
		return mapping_refuse(error, "an IPv6 address stands in brackets: [ADDR]:PORT");
	if (whole && parts)
		return mapping_refuse(error,
				      "'%s:%s' can be read in two ways: write [%s]:%s or [%s:%s]",
				      text, colon + 1, text, colon + 1, text, colon + 1);
	if (parts)
		return mapping_refuse(error, "an IPv6 address stands in brackets: write [%s]:%s",
				      text, colon + 1);
	*colon = ':';
	if (whole)
		return mapping_refuse(error, "an IPv6 address stands in brackets: write [%s]",
				      text);
	return mapping_refuse(error, "%s is not an IPv4 address, nor an IPv6 address in brackets",
			      mapping_cite(error, "", text, "ADDR"));
}

/*
 * Split ADDR[:PORT], where an IPv6 address is in brackets.
 * @host: set to the address in @text, which is cut behind it
 * @port: set to the port; NULL: there is none
 */
static int mapping_split(char *text, char **host, char **port, struct mapping_error *error)
{
	char *close = strchr(text, ']'), *colon = strchr(text, ':');

	*host = text;
	*port = NULL;
	if (*text == '[') {
		if (!close)
			return mapping_refuse(error,
					      "%s lacks the closing bracket: write [ADDR]:PORT",
					      mapping_cite(error, "", text, "ADDR"));
		if (close[1] && close[1] != ':')
			return mapping_refuse(error,
					      "%s goes on behind the bracket: write "
					      "[ADDR]:PORT",
					      mapping_cite(error, "", text, "ADDR"));
		*host = text + 1;
		colon = close[1] ? close + 1 : NULL;
		*close = 0;
	} else if (close) {
		return mapping_refuse(error, "%s lacks the opening bracket: write [ADDR]:PORT",
				      mapping_cite(error, "", text, "ADDR"));
	} else if (colon && strchr(colon + 1, ':')) {
		return mapping_refuse_bare(text, error);
	}
	if (colon) {
		*colon = 0;
		*port = colon + 1;
	}
	return 0;
}

static int mapping_parse_host(const char *text, bool brackets, struct addr *addr,
			      struct mapping_error *error)
{
	const char *shown = error->in_file ? "ADDR" : text;
	int err = addr_parse(text, addr);

	if (strchr(text, '%'))
		return mapping_refuse(error,
				      "%s has a zone, as only link-local addresses do: these "
				      "cannot be mapped",
				      mapping_cite(error, "", text, "ADDR"));
	if (err == -EAFNOSUPPORT)
		return mapping_refuse(error, "%s is an IPv4-mapped address: write a.b.c.d",
				      mapping_cite(error, "", text, "ADDR"));
	if (err)
		return mapping_refuse(error,
				      brackets
					      ? "%s is not an IPv6 address"
					      : "%s is not an IPv4 address, nor an IPv6 address in "
						"brackets",
				      mapping_cite(error, "", text, "ADDR"));
	if (brackets && addr_family(addr) == AF_INET)
		return mapping_refuse(error, "%s is an IPv4 address: write it without brackets",
				      shown);
	if (addr_unusable(addr))
		return mapping_refuse(error, "%s %s, which cannot be mapped", shown,
				      addr_unusable(addr));
	return 0;
}

/* ADDR[:PORT]; @text is cut. */
static int mapping_parse_addr(char *text, struct addr *addr, __be16 *port,
			      struct mapping_error *error)
{
	char *host, *port_text;
	__u64 number = 0;
	int err = mapping_refuse_many(text, error) ?:
		  mapping_split(text, &host, &port_text, error) ?:
		  mapping_parse_host(host, host != text, addr, error);

	if (err)
		return err;
	if (port_text && number_parse(port_text, 1, 65535, &number))
		return mapping_refuse(error, "port must be 1 to 65535%s",
				      mapping_cite(error, ", not ", port_text, ""));
	*port = htons((__u16)number);
	return 0;
}

/* Cut "/tcp" or "/udp" off @text; a protocol of 0 stands for all. */
static int mapping_parse_proto(char *text, __u8 *proto, struct mapping_error *error)
{
	char *slash = strchr(strrchr(text, ']') ?: text, '/');

	*proto = 0;
	/* A prefix is for mapping_refuse_many() to name. */
	if (!slash || isdigit((unsigned char)slash[1]))
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

int mapping_parse_dest(const char *text, struct nat_dest *dest, struct mapping_error *error)
{
	struct nat_dest found = { 0 };
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
	return addr_equal(&mapping->from.addr, &name->from.addr) &&
	       mapping->from.port == name->from.port &&
	       (!name->from.proto || mapping->from.proto == name->from.proto) &&
	       (addr_is_none(&name->to.addr) || (addr_equal(&mapping->to.addr, &name->to.addr) &&
						 mapping->to.port == name->to.port));
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
	if (addr_family(&mapping->from.addr) != addr_family(&mapping->to.addr))
		return mapping_refuse(error,
				      "%s mixes IPv4 and IPv6: both sides must be of one "
				      "family",
				      mapping_cite(error, "", text, "it"));
	if (addr_equal(&mapping->from.addr, &mapping->to.addr) &&
	    mapping->from.port == mapping->to.port)
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

/* The protocols that @mapping is for. Return: their number. */
static size_t mapping_protos(const struct mapping *mapping, __u8 protos[PROTOS_MAX])
{
	size_t count = 0;

	if (mapping->from.proto) {
		protos[count++] = mapping->from.proto;
		return count;
	}
	protos[count++] = IPPROTO_TCP;
	protos[count++] = IPPROTO_UDP;
	if (!mapping->to.port)
		protos[count++] =
			addr_family(&mapping->from.addr) == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	return count;
}

int mapping_list_add(struct mapping_list *list, const char *text, int line,
		     struct mapping_error *error)
{
	struct mapping mapping = { .line = line };
	__u8 protos[PROTOS_MAX];
	size_t count = list->count, protos_count;
	int err;

	error->in_file = line;
	err = mapping_parse(text, &mapping, error);

	if (err)
		return err;
	protos_count = mapping_protos(&mapping, protos);
	for (size_t i = 0; i < protos_count && !err; i++) {
		mapping.from.proto = protos[i];
		err = mapping_list_append(list, &mapping);
	}
	if (err) {
		list->count = count;
		mapping_refuse(error, "cannot hold the mappings: %s", strerror(-err));
		return err;
	}
	return 0;
}

int mapping_parse_name(const char *text, struct mapping *name, struct mapping_error *error)
{
	struct mapping_list parsed = { 0 };
	int err;

	*name = (struct mapping){ 0 };
	if (!strchr(text, '='))
		return mapping_parse_dest(text, &name->from, error);
	err = mapping_list_add(&parsed, text, 0, error);
	if (!err)
		*name = parsed.entries[0];
	if (parsed.count > 1)
		name->from.proto = 0;
	mapping_list_free(&parsed);
	return err;
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
		mapping_refuse(error, "cannot read %s: %s", mapping_path_end(path), strerror(-err));
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
		mapping_refuse(error, "%s:%d: %s", mapping_path_end(path), line, why.text);
	} else if (ferror(file)) {
		err = -errno;
		mapping_refuse(error, "cannot read %s: %s", mapping_path_end(path), strerror(-err));
	}
	free(buf);
	fclose(file);
	return err;
}

static int mapping_compare_dest(const struct nat_dest *a, const struct nat_dest *b)
{
	__u16 port_a = ntohs(a->port), port_b = ntohs(b->port);
	int addrs = addr_compare(&a->addr, &b->addr);

	if (addrs)
		return addrs;
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
					   const struct nat_dest *from)
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

struct mapping *mapping_list_find(const struct mapping_list *list, const struct nat_dest *from)
{
	struct mapping *found = list->count ? mapping_lower_bound(list, from) : NULL;

	if (!found || found == list->entries + list->count ||
	    mapping_compare_dest(&found->from, from))
		return NULL;
	return found;
}

/* Whether @mapping is the first of its pair, in the order of mapping_protos(). */
static bool mapping_begins_pair(const struct mapping_list *list, const struct mapping *mapping)
{
	static const __u8 order[] = { IPPROTO_TCP, IPPROTO_UDP };
	struct nat_dest from = mapping->from;

	for (size_t i = 0; i < sizeof(order) && order[i] != mapping->from.proto; i++) {
		const struct mapping *other;

		from.proto = order[i];
		other = mapping_list_find(list, &from);
		if (other && addr_equal(&other->to.addr, &mapping->to.addr) &&
		    other->to.port == mapping->to.port)
			return false;
	}
	return true;
}

size_t mapping_list_pairs(const struct mapping_list *list)
{
	size_t pairs = 0;

	for (size_t i = 0; i < list->count; i++)
		pairs += mapping_begins_pair(list, &list->entries[i]);
	return pairs;
}

/* The mapping that takes packets to @mapping's TO; for a TO of any port, one that takes some. */
static const struct mapping *mapping_next_in_chain(const struct mapping_list *list,
						   const struct mapping *mapping)
{
	const struct nat_dest to = { .addr = mapping->to.addr,
				     .port = mapping->to.port,
				     .proto = mapping->from.proto };
	const struct mapping *found = mapping_lower_bound(list, &to);

	if (to.port)
		return resolve(list, &to);
	return found < list->entries + list->count && addr_equal(&found->from.addr, &to.addr) &&
			       found->from.proto == to.proto
		       ? found
		       : NULL;
}

const char *mapping_place_text(const struct mapping_list *list, const struct mapping *mapping,
			       char buf[MAPPING_PLACE_LEN])
{
	*buf = 0;
	if (mapping->line)
		snprintf(buf, MAPPING_PLACE_LEN,
			 "%s:%d: ", list->file ? mapping_path_end(list->file) : "line",
			 mapping->line);
	return buf;
}

int mapping_list_finish(struct mapping_list *list, struct mapping_error *error)
{
	char from[ADDR_TEXT_LEN], to[ADDR_TEXT_LEN];
	char place[MAPPING_PLACE_LEN];

	mapping_list_sort(list);
	for (size_t i = 1; i < list->count; i++) {
		const struct mapping *first = &list->entries[i - 1], *second = &list->entries[i];

		/* Those for ICMP come with those for TCP, which people have heard of. */
		if (!mapping_compare_dest(&first->from, &second->from) &&
		    second->from.proto != IPPROTO_ICMP)
			return mapping_refuse(
				error, "%s%s/%s is mapped twice; keep one of the two",
				mapping_place_text(list, second, place),
				addr_text(&second->from.addr, second->from.port, from),
				mapping_proto_text(second->from.proto));
	}
	for (size_t i = 0; i < list->count; i++) {
		const struct mapping *mapping = &list->entries[i];

		if (mapping_next_in_chain(list, mapping))
			return mapping_refuse(
				error,
				"%s%s=%s: the target is itself mapped, and a packet is translated "
				"once; map to the final target",
				mapping_place_text(list, mapping, place),
				addr_text(&mapping->from.addr, mapping->from.port, from),
				addr_text(&mapping->to.addr, mapping->to.port, to));
	}
	return 0;
}
