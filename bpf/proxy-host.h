/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Original addresses without a host. The kernel sends nothing to an address that it cannot resolve,
 * so that its packets would never reach the egress hook: where nobody answers a request for the MAC
 * address of an original, the proxy does, with one of its own. proxy-arp.h reads and answers the
 * requests of IPv4, proxy-neighbour.h those of IPv6. BPF only.
 */
#ifndef BPF_PROXY_HOST_H
#define BPF_PROXY_HOST_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#include "proxy-maps.h"
#include "tc-index.h"

/*
 * How long a request has to go unanswered: a host on the link takes far less. One that has been
 * heard of gets as long as the kernel takes to give a neighbour up, so that a single lost frame
 * does not cut it off.
 */
#define HOST_WAIT_NEW 150000000ULL
#define HOST_WAIT_HEARD 2500000000ULL

enum host_answer {
	HOST_NOT_OURS, /* not an original */
	HOST_WAIT,     /* its host may yet answer */
	HOST_ABSENT,   /* answer in its place */
};

/** host_asked - note a request for @addr; Return: what to do about it */
static __always_inline enum host_answer host_asked(const proxy_addr *addr)
{
	struct proxy_host *host = bpf_map_lookup_elem(&hosts, addr);
	__u64 now;

	if (!host || !(host->flags & PROXY_HOST_ANSWER))
		return HOST_NOT_OURS;
	now = bpf_ktime_get_coarse_ns();
	if (!host->asked)
		host->asked = now;
	else if (now - host->asked >= (host->heard ? HOST_WAIT_HEARD : HOST_WAIT_NEW))
		return HOST_ABSENT;
	return HOST_WAIT;
}

/** host_heard - note that @addr has told its MAC address */
static __always_inline void host_heard(const proxy_addr *addr)
{
	struct proxy_host *host = bpf_map_lookup_elem(&hosts, addr);

	if (!host)
		return;
	host->heard = bpf_ktime_get_coarse_ns();
	host->asked = 0;
}

/** host_mac_is_ours - tell whether @mac is the one that we answer with */
static __always_inline int host_mac_is_ours(const void *mac)
{
	static const __u8 ours[ETH_ALEN] __attribute__((aligned(2))) = PROXY_MAC;
	const __u16 *a = mac, *b = (const __u16 *)ours;

	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2];
}

/** host_mac_set - copy the MAC address that we answer with to @mac */
static __always_inline void host_mac_set(void *mac)
{
	static const __u8 ours[ETH_ALEN] __attribute__((aligned(2))) = PROXY_MAC;

	__builtin_memcpy(mac, ours, ETH_ALEN);
}

/** host_deliver - let this host receive a copy of @skb, in which an answer has been written */
static __always_inline void host_deliver(struct __sk_buff *skb)
{
	/* No frame of the wire: packet-monitor is not to count it. */
	skb->tc_index = TC_INDEX_INJECTED;
	bpf_clone_redirect(skb, skb->ifindex, BPF_F_INGRESS);
	skb->tc_index = 0;
}

#endif /* BPF_PROXY_HOST_H */
