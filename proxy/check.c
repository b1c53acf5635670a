// SPDX-License-Identifier: GPL-2.0-only
#include "check.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "number.h"
#include "table.h"

enum { WARNINGS_MAX = 5 };

static int check_refuse(struct mapping_error *error, const struct mapping_list *list,
			const struct mapping *mapping, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static int check_refuse(struct mapping_error *error, const struct mapping_list *list,
			const struct mapping *mapping, const char *fmt, ...)
{
	char from[ADDR_TEXT_LEN], to[ADDR_TEXT_LEN], place[MAPPING_PLACE_LEN];
	size_t used;
	va_list args;

	snprintf(error->text, sizeof(error->text),
		 "%s%s=%s: ", mapping_place_text(list, mapping, place),
		 addr_text(&mapping->from.addr, mapping->from.port, from),
		 addr_text(&mapping->to.addr, mapping->to.port, to));
	used = strlen(error->text);
	va_start(args, fmt);
	vsnprintf(error->text + used, sizeof(error->text) - used, fmt, args);
	va_end(args);
	return -EINVAL;
}

static bool check_is_local(struct nexthops *hops, const struct addr *addr)
{
	struct netlink_route route;

	return !netlink_route_get(&hops->nl, addr, &route) && route.type == RTN_LOCAL;
}

static int check_one(struct nexthops *hops, const struct iface *iface,
		     const struct mapping_list *list, const struct mapping *mapping,
		     struct mapping_error *error)
{
	const struct nexthop *hop;
	struct netlink_route route;
	__u32 index;
	int err;

	if (iface->loopback) {
		if (!check_is_local(hops, &mapping->from.addr) ||
		    !check_is_local(hops, &mapping->to.addr))
			return check_refuse(
				error, list, mapping,
				"both must be addresses of this host on %s, the loopback device",
				iface->name);
		return 0;
	}
	if (addr_is_loopback(&mapping->from.addr) || addr_is_loopback(&mapping->to.addr))
		return check_refuse(
			error, list, mapping,
			"loopback addresses can be mapped on the loopback device only, not %s",
			iface->name);
	if (!netlink_route_get(&hops->nl, &mapping->from.addr, &route) &&
	    route.type == RTN_BROADCAST)
		return check_refuse(error, list, mapping, "FROM is a broadcast address");
	err = nexthops_get(hops, &mapping->to.addr, &index);
	if (err)
		return check_refuse(error, list, mapping,
				    "too many targets for the running datapath"),
		       err;
	hop = nexthops_at(hops, index);
	if (hop && hop->error == -EADDRNOTAVAIL)
		return check_refuse(error, list, mapping, "TO is a broadcast address");
	return 0;
}

int check_mappings(struct nexthops *hops, const struct iface *iface,
		   const struct mapping_list *list, struct mapping_error *error)
{
	int err = 0;

	for (size_t i = 0; i < list->count && !err; i++)
		err = check_one(hops, iface, list, &list->entries[i], error);
	return err;
}

static bool check_strict_rp_filter(int ifindex)
{
	static const char *const names[] = { "all", NULL };
	char device[IF_NAMESIZE], path[96], line[16];
	__u64 strict = 0;

	if (!if_indextoname((unsigned int)ifindex, device))
		return false;
	for (int i = 0; i < 2; i++) {
		__u64 value = 0;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/rp_filter",
			 names[i] ?: device);
		file = fopen(path, "re");
		if (file && fgets(line, sizeof(line), file)) {
			line[strcspn(line, "\n")] = '\0';
			number_parse(line, 0, 2, &value);
		}
		if (file)
			fclose(file);
		strict = value > strict ? value : strict; /* the kernel takes the greater */
	}
	return strict == 1;
}

/* What is suspicious about a mapping, or false. */
static bool check_suspect(struct nexthops *hops, const struct iface *iface,
			  const struct mapping *entry, char *text, size_t size)
{
	const struct nexthop *hop = nexthops_at(hops, entry->to.nexthop);
	const char *ifname = iface->name;
	int family = addr_family(&entry->to.addr);
	char from[ADDR_TEXT_LEN], to[ADDR_TEXT_LEN], device[IF_NAMESIZE] = "?";
	struct netlink_route route = { 0 };
	int err = netlink_route_get(&hops->nl, &entry->from.addr, &route);

	addr_plain(&entry->from.addr, from);
	addr_plain(&entry->to.addr, to);
	if (!err)
		if_indextoname((unsigned int)route.oif, device);
	if (err)
		snprintf(text, size,
			 "%s has no route, so nothing sent to it reaches %s "
			 "(ip %sroute add %s dev %s)",
			 from, ifname, family == AF_INET ? "" : "-6 ", from, ifname);
	else if (route.type == RTN_LOCAL)
		snprintf(text, size,
			 "%s is this host's own address: only what others sent to it "
			 "and leaves by %s is mapped",
			 from, ifname);
	else if (route.oif != iface->ifindex)
		snprintf(text, size,
			 "the route to %s leaves by %s, so only packets that %s sends on by %s are "
			 "mapped",
			 from, device, device, ifname);
	else if (hop && hop->error)
		snprintf(text, size, "the target %s cannot be reached: %s", to,
			 hop->error == -EAFNOSUPPORT ? "its gateway has an IPv6 address"
						     : strerror(-hop->error));
	else if (hop && hop->silent)
		snprintf(text, size,
			 "the target %s cannot be reached: its next hop does not answer %s", to,
			 family == AF_INET ? "ARP" : "neighbour solicitations");
	else if (hop && hop->route.type == RTN_UNICAST && hop->route.oif != iface->ifindex &&
		 family == AF_INET && check_strict_rp_filter(hop->route.oif) &&
		 if_indextoname((unsigned int)hop->route.oif, device))
		snprintf(text, size,
			 "replies of %s come in by %s, where rp_filter=1 drops them (sysctl "
			 "net/ipv4/conf/%s/rp_filter=2)",
			 to, device, device);
	else
		return false;
	return true;
}

static __u64 check_hash(const char *text)
{
	__u64 hash = 0xcbf29ce484222325ULL; /* FNV-1a */

	while (*text)
		hash = (hash ^ (__u8)*text++) * 0x100000001b3ULL;
	return hash;
}

/* Note that @text holds in the pass under way. Return: whether that is new. */
static bool check_note(struct check_pass *pass, const char *text)
{
	__u64 hash = check_hash(text);

	for (size_t i = 0; i < pass->count; i++)
		if (pass->found[i] == hash)
			return false;
	if (pass->count < CHECK_FOUND_MAX)
		pass->found[pass->count++] = hash;
	for (size_t i = 0; i < pass->known_count; i++)
		if (pass->known[i] == hash)
			return false;
	return true;
}

void check_start(struct check_pass *pass, bool all)
{
	if (all)
		pass->known_count = pass->next = 0;
	/* One that is under way is not begun afresh, or changes that go on would keep it at that.
	 */
	pass->again = pass->next;
	pass->due = true;
	if (!pass->next)
		pass->count = pass->said = 0;
}

void check_step(struct check_pass *pass, struct nexthops *hops, const struct iface *iface,
		const struct mapping_list *plan, size_t most)
{
	size_t end = most < plan->count ? pass->next + most : plan->count;
	char text[256];

	if (!pass->due || iface->loopback || nexthops_down(hops))
		return;
	for (; pass->next < end && pass->next < plan->count; pass->next++) {
		const struct mapping *entry = &plan->entries[pass->next];

		if (table_in_force(entry) &&
		    check_suspect(hops, iface, entry, text, sizeof(text)) &&
		    check_note(pass, text) && pass->said++ < WARNINGS_MAX)
			log_note("warning: %s", text);
	}
	if (pass->next < plan->count)
		return;
	if (pass->said > WARNINGS_MAX)
		log_note("warning: %zu more of this kind", pass->said - WARNINGS_MAX);
	memcpy(pass->known, pass->found, pass->count * sizeof(*pass->found));
	pass->known_count = pass->count;
	pass->next = pass->count = pass->said = 0;
	pass->due = pass->again;
	pass->again = false;
}
