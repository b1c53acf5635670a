// SPDX-License-Identifier: GPL-2.0-only
/* packet-monitor's filter alone: each run asks it about the next key. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "../../bpf/pm-filter.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* user space sets the number of keys before the load */
	__type(key, __u32);
	__type(value, struct pm_key);
} keys SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} answers SEC(".maps");

__u32 place;

SEC("tc")
int filter_key(struct __sk_buff *skb)
{
	__u32 number = place++;
	const struct pm_key *key = bpf_map_lookup_elem(&keys, &number);
	__u64 *answer = bpf_map_lookup_elem(&answers, &number);

	(void)skb;
	if (key && answer)
		*answer = pm_filter_match(key->meta, key->addr[0], key);
	return TC_ACT_UNSPEC;
}

const char LICENSE[] SEC("license") = "GPL";
