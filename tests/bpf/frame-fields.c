// SPDX-License-Identifier: GPL-2.0-only
#include "frame-fields.h"

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "proxy-rig.h"

/* A header: its name, and its fields in their order. They are called as in the kernel's structs. */
struct fields_layout {
	const char *name;
	struct {
		const char *name;
		size_t len;
	} fields[12];
};

static const struct fields_layout eth = { "eth",
					  { { "dest", 6 }, { "source", 6 }, { "proto", 2 } } };
static const struct fields_layout vlan = { "vlan", { { "tci", 2 }, { "proto", 2 } } };
static const struct fields_layout arp = { "arp",
					  { { "hrd", 2 },
					    { "pro", 2 },
					    { "hln", 1 },
					    { "pln", 1 },
					    { "op", 2 },
					    { "sha", 6 },
					    { "sip", 4 },
					    { "tha", 6 },
					    { "tip", 4 } } };
static const struct fields_layout ipv4 = { "ip",
					   { { "version+ihl", 1 },
					     { "tos", 1 },
					     { "tot_len", 2 },
					     { "id", 2 },
					     { "frag_off", 2 },
					     { "ttl", 1 },
					     { "protocol", 1 },
					     { "check", 2 },
					     { "saddr", 4 },
					     { "daddr", 4 } } };
static const struct fields_layout ipv6 = { "ipv6",
					   { { "version+flow", 4 },
					     { "payload_len", 2 },
					     { "nexthdr", 1 },
					     { "hop_limit", 1 },
					     { "saddr", 16 },
					     { "daddr", 16 } } };
static const struct fields_layout tcp = { "tcp",
					  { { "source", 2 },
					    { "dest", 2 },
					    { "seq", 4 },
					    { "ack_seq", 4 },
					    { "doff", 1 },
					    { "flags", 1 },
					    { "window", 2 },
					    { "check", 2 },
					    { "urg_ptr", 2 } } };
static const struct fields_layout udp = {
	"udp", { { "source", 2 }, { "dest", 2 }, { "len", 2 }, { "check", 2 } }
};
static const struct fields_layout icmp = {
	"icmp", { { "type", 1 }, { "code", 1 }, { "checksum", 2 }, { "un", 4 } }
};

/* Where a byte is: in the field @name, which is @len bytes from @at on. */
struct place {
	char name[48];
	size_t at;
	size_t len;
};

/* Step over a header at @*off. Return: whether byte @at is in it; then @place says where. */
static bool fields_step(const struct fields_layout *header, const char *prefix, size_t *off,
			size_t at, struct place *place)
{
	for (int i = 0; i < 12 && header->fields[i].name; i++) {
		size_t len = header->fields[i].len;

		if (at < *off + len) {
			snprintf(place->name, sizeof(place->name), "%s%s.%s", prefix, header->name,
				 header->fields[i].name);
			place->at = *off;
			place->len = len;
			return true;
		}
		*off += len;
	}
	return false;
}

static const struct fields_layout *transport(__u8 proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return &tcp;
	case IPPROTO_UDP:
		return &udp;
	case IPPROTO_ICMP:
		return &icmp;
	}
	return NULL;
}

/* Step over the IP header at @*off, and what is behind it: twice if that is an ICMP error. */
static bool step_ip(const __u8 *frame, size_t *off, size_t at, struct place *place)
{
	static const char *const prefix[] = { "", "quoted " };

	for (int i = 0; i < 2; i++) {
		size_t start = *off;
		bool version4 = frame[start] >> 4 == 4;
		__u8 proto = frame[start + (version4 ? 9 : 6)];
		const struct fields_layout *next = transport(proto);

		if (fields_step(version4 ? &ipv4 : &ipv6, prefix[i], off, at, place))
			return true;
		if (version4) {
			*off = start + (frame[start] & 15) * 4UL;
			if (at < *off || get16(frame + start + 6) & 0x1fff)
				return false; /* an option, or a fragment without ports */
		}
		start = *off;
		if (!next || fields_step(next, prefix[i], off, at, place))
			return next;
		if (proto != IPPROTO_ICMP || !(0x1838 >> frame[start] % 32 & 1))
			return false; /* not of the types 3, 4, 5, 11 and 12, which quote a packet
				       */
	}
	return false;
}

static struct place fields_find(const __u8 *frame, size_t at)
{
	struct place place = { .at = at, .len = 1 };
	size_t off = 0;
	__u16 proto;

	if (fields_step(&eth, "", &off, at, &place))
		return place;
	while ((proto = get16(frame + off - 2)) == ETH_P_8021Q || proto == ETH_P_8021AD)
		if (fields_step(&vlan, "", &off, at, &place))
			return place;
	if (proto == ETH_P_ARP && fields_step(&arp, "", &off, at, &place))
		return place;
	if ((proto == ETH_P_IP || proto == ETH_P_IPV6) && step_ip(frame, &off, at, &place))
		return place;
	place = (struct place){ .at = at, .len = 1 };
	snprintf(place.name, sizeof(place.name), "byte %zu", at);
	return place;
}

const char *frame_differs(const __u8 *got, const __u8 *want, size_t len)
{
	static char text[512];
	size_t used = 0;

	for (size_t at = 0; at < len; at++) {
		struct place place;

		if (got[at] == want[at])
			continue;
		place = fields_find(want, at);
		if (used + 2 * place.len * 2 + sizeof(place.name) + 16 > sizeof(text)) {
			snprintf(text + used, sizeof(text) - used, " ...");
			return text;
		}
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s is ",
					 used ? "; " : "", place.name);
		for (size_t i = 0; i < place.len; i++)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%02x",
						 got[place.at + i]);
		used += (size_t)snprintf(text + used, sizeof(text) - used, ", want ");
		for (size_t i = 0; i < place.len; i++)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%02x",
						 want[place.at + i]);
		at = place.at + place.len - 1;
	}
	return used ? text : NULL;
}
