// SPDX-License-Identifier: GPL-2.0-only
#include "servers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "sockets.h"

int servers_open(struct servers *servers)
{
	servers->peers = calloc(2 * SERVERS_PORTS, sizeof(*servers->peers));
	servers->listens = calloc(SERVERS_PORTS, sizeof(*servers->listens));
	return servers->peers && servers->listens ? 0 : -ENOMEM;
}

void servers_close(struct servers *servers)
{
	free(servers->peers);
	free(servers->listens);
	free(servers->listeners);
	free(servers->locals);
	memset(servers, 0, sizeof(*servers));
}

void servers_begin(struct servers *servers)
{
	memset(servers->peers, 0, 2 * SERVERS_PORTS * sizeof(*servers->peers));
	servers->listed = false;
}

/* Make room for one more. Return: the array, or NULL: it stays as it is. */
static void *servers_grow(void *array, size_t count, size_t *room, size_t size)
{
	size_t more = *room ? *room * 2 : 64;

	if (count < *room)
		return array;
	array = reallocarray(array, more, size);
	if (array)
		*room = more;
	return array;
}

static void servers_add_listener(void *ctx, __u8 proto, const struct addr *addr, __be16 port)
{
	struct servers *servers = ctx;
	struct listener *listeners = servers_grow(servers->listeners, servers->listener_count,
						  &servers->listener_room, sizeof(*listeners));

	(void)proto;
	if (!listeners)
		return;
	servers->listeners = listeners;
	listeners[servers->listener_count++] = (struct listener){ .addr = *addr, .port = port };
	servers->listens[ntohs(port)] = true;
}

static void servers_add_local(struct servers *servers, const struct sockaddr *sockaddr)
{
	const struct sockaddr_in6 *in6 = (const void *)sockaddr;
	const struct sockaddr_in *in = (const void *)sockaddr;
	struct addr *locals;

	if (!sockaddr || (sockaddr->sa_family != AF_INET && sockaddr->sa_family != AF_INET6))
		return;
	locals = servers_grow(servers->locals, servers->local_count, &servers->local_room,
			      sizeof(*locals));
	if (!locals)
		return;
	servers->locals = locals;
	locals[servers->local_count++] = sockaddr->sa_family == AF_INET
						 ? addr_ipv4(in->sin_addr.s_addr)
						 : addr_ipv6(&in6->sin6_addr);
}

static int servers_compare(const void *a, const void *b)
{
	return addr_compare(a, b);
}

static void servers_list(struct servers *servers)
{
	struct ifaddrs *all = NULL;

	servers->listed = true;
	servers->listener_count = servers->local_count = 0;
	memset(servers->listens, 0, SERVERS_PORTS * sizeof(*servers->listens));
	sockets_listening(servers_add_listener, servers);
	if (getifaddrs(&all))
		return;
	for (const struct ifaddrs *one = all; one; one = one->ifa_next)
		servers_add_local(servers, one->ifa_addr);
	freeifaddrs(all);
	if (servers->local_count)
		qsort(servers->locals, servers->local_count, sizeof(*servers->locals),
		      servers_compare);
}

/* The counters of @key's protocol, or NULL: it has no ports, or they are unknown. */
static __u32 *servers_peers(const struct servers *servers, const struct pm_key *key)
{
	__u8 kind = pm_key_kind(key);

	if ((kind & PM_KIND_FAMILY) == PM_KIND_OTHER || kind & PM_KIND_FRAGMENT)
		return NULL;
	switch (pm_key_proto(key)) {
	case IPPROTO_TCP:
		return servers->peers;
	case IPPROTO_UDP:
		return servers->peers + SERVERS_PORTS;
	default:
		return NULL;
	}
}

void servers_note(struct servers *servers, const struct pm_key *key, __u32 began)
{
	__u32 *peers = servers_peers(servers, key);

	if (!peers)
		return;
	if (began != PM_BEGAN_SYN)
		peers[pm_key_sport(key)]++;
	if (began != PM_BEGAN_SYN_ACK)
		peers[pm_key_dport(key)]++;
	if (!began && !servers->listed && pm_key_proto(key) == IPPROTO_TCP)
		servers_list(servers);
}

static struct addr servers_addr(const struct pm_key *key, bool destination)
{
	if ((pm_key_kind(key) & PM_KIND_FAMILY) == PM_KIND_IPV6)
		return addr_ipv6(&key->addr[destination ? 2 : 0]);
	return addr_ipv4((__be32)(key->addr[0] >> (destination ? 32 : 0)));
}

/* Whether a socket of this host listens at this end of the flow. */
static bool servers_listens(const struct servers *servers, const struct pm_key *key,
			    bool destination)
{
	__u16 port = destination ? pm_key_dport(key) : pm_key_sport(key);
	const struct addr any_ipv4 = addr_ipv4(0);
	struct addr addr;
	bool any = false;

	if (!servers->listed || !servers->listens[port])
		return false;
	addr = servers_addr(key, destination);
	for (size_t i = 0; i < servers->listener_count; i++) {
		const struct listener *listener = &servers->listeners[i];

		if (listener->port != htons(port))
			continue;
		if (addr_equal(&listener->addr, &addr))
			return true;
		any |= addr_is_none(&listener->addr) || addr_equal(&listener->addr, &any_ipv4);
	}
	/* Packets of others may pass, too, and their ports say nothing about this host. */
	return any && servers->local_count &&
	       bsearch(&addr, servers->locals, servers->local_count, sizeof(addr), servers_compare);
}

enum server servers_tell(const struct servers *servers, const struct pm_key *key, __u32 began)
{
	const __u32 *peers;
	bool from, to;

	if (began)
		return began == PM_BEGAN_SYN ? SERVER_DST : SERVER_SRC;
	peers = servers ? servers_peers(servers, key) : NULL;
	if (!peers)
		return SERVER_UNKNOWN;
	if (pm_key_proto(key) == IPPROTO_TCP) {
		from = servers_listens(servers, key, false);
		to = servers_listens(servers, key, true);
		if (from != to)
			return from ? SERVER_SRC : SERVER_DST;
	}
	if (peers[pm_key_sport(key)] == peers[pm_key_dport(key)])
		return SERVER_UNKNOWN;
	return peers[pm_key_sport(key)] > peers[pm_key_dport(key)] ? SERVER_SRC : SERVER_DST;
}
