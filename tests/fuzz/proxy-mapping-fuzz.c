// SPDX-License-Identifier: GPL-2.0-only
/* The input is a file of mappings. What is accepted says the same when it is written and read. */
#include "../../proxy/mapping.h"

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

static void same(const struct mapping *a, const struct mapping *b)
{
	MUST(addr_equal(&a->from.addr, &b->from.addr) && a->from.port == b->from.port &&
	     a->from.proto == b->from.proto && addr_equal(&a->to.addr, &b->to.addr) &&
	     a->to.port == b->to.port);
}

static void write_and_read(const struct mapping *mapping)
{
	char from[ADDR_TEXT_LEN], to[ADDR_TEXT_LEN], text[2 * ADDR_TEXT_LEN + 8];
	const char *proto = mapping_proto_text(mapping->from.proto);
	bool echo = !strncmp(proto, "icmp", 4); /* the last of a text without a protocol */
	struct mapping_list list = { 0 };
	struct mapping_error error;
	struct nat_dest dest;

	snprintf(text, sizeof(text), "%s=%s%s%s",
		 addr_text(&mapping->from.addr, mapping->from.port, from),
		 addr_text(&mapping->to.addr, mapping->to.port, to), echo ? "" : "/",
		 echo ? "" : proto);
	MUST(!mapping_list_add(&list, text, 0, &error) && list.count == (echo ? 3 : 1));
	same(&list.entries[list.count - 1], mapping);
	mapping_list_free(&list);
	MUST(!mapping_parse_dest(from, &dest, &error));
	MUST(addr_equal(&dest.addr, &mapping->from.addr) && dest.port == mapping->from.port &&
	     !dest.proto);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char path[32];
	static int fd = -1;
	struct mapping_list list = { 0 };
	struct mapping_error error;
	char place[MAPPING_PLACE_LEN];
	int err;

	if (fd < 0) {
		fd = memfd_create("mappings", 0);
		MUST(fd >= 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	MUST(!ftruncate(fd, 0) && pwrite(fd, data, size, 0) == (ssize_t)size);
	err = mapping_list_load(&list, path, &error);
	MUST(!err || *error.text);
	for (size_t i = 0; i < list.count; i++)
		write_and_read(&list.entries[i]);
	if (!err && !mapping_list_finish(&list, &error)) {
		for (size_t i = 0; i < list.count; i++) {
			MUST(mapping_list_find(&list, &list.entries[i].from) == &list.entries[i]);
			mapping_place_text(&list, &list.entries[i], place);
		}
	}
	mapping_list_free(&list);
	return 0;
}
