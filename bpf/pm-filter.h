/* SPDX-License-Identifier: GPL-2.0-only */
/* packet-monitor: the filter of --proto, --port, --host and --net. BPF only. */
#ifndef BPF_PM_FILTER_H
#define BPF_PM_FILTER_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "packet-monitor.h"

/* Constant once loaded: the verifier removes the parts of the filter that are not used. */
const volatile struct pm_filter cfg_filter = {};
const volatile bool cfg_filtered = false; /* whether there is a filter at all */

static __always_inline bool pm_net_match(const volatile struct pm_net *net, __u64 low, __u64 high)
{
	return (low & net->mask[0]) == net->addr[0] && (high & net->mask[1]) == net->addr[1];
}

/* Whether the filter accepts flow @key. Each list that is not empty has to contain a match. */
__noinline int pm_filter_match(const struct pm_key *key)
{
	__u32 family;
	bool match;

	if (!key)
		return false;
	family = pm_key_kind(key) & PM_KIND_FAMILY;

	if (cfg_filter.families && !(cfg_filter.families & 1 << family))
		return false;
	if (cfg_filter.protos) {
		match = false;
		for (__u32 i = 0; i < PM_FILTER_MAX && i < cfg_filter.protos; i++)
			match |= cfg_filter.proto[i] == pm_key_proto(key);
		if (!match || family == PM_KIND_OTHER)
			return false;
	}
	if (cfg_filter.ports) {
		match = false;
		for (__u32 i = 0; i < PM_FILTER_MAX && i < cfg_filter.ports; i++)
			match |= cfg_filter.port[i] == pm_key_sport(key) ||
				 cfg_filter.port[i] == pm_key_dport(key);
		if (!match || family == PM_KIND_OTHER || pm_key_proto(key) == IPPROTO_ICMP ||
		    pm_key_proto(key) == IPPROTO_ICMPV6)
			return false;
	}
	if (cfg_filter.nets) {
		match = false;
		for (__u32 i = 0; i < PM_FILTER_MAX && i < cfg_filter.nets; i++) {
			if (cfg_filter.net[i].family != family)
				continue;
			if (family == PM_KIND_IPV4)
				match |= pm_net_match(&cfg_filter.net[i], (__u32)key->addr[0], 0) ||
					 pm_net_match(&cfg_filter.net[i], key->addr[0] >> 32, 0);
			else
				match |= pm_net_match(&cfg_filter.net[i], key->addr[0],
						      key->addr[1]) ||
					 pm_net_match(&cfg_filter.net[i], key->addr[2],
						      key->addr[3]);
		}
		if (!match)
			return false;
	}
	return true;
}

#endif /* BPF_PM_FILTER_H */
