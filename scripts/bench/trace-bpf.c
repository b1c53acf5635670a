// SPDX-License-Identifier: GPL-2.0-only
/*
 * Yardstick: the data path that most first programs of this kind have: a hash that counts the
 * packets of a flow, and a line in the trace buffer for each packet.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct trace_key {
	__be32 saddr;
	__be32 daddr;
	__be16 sport;
	__be16 dport;
	__u32 protocol;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1000);
	__type(key, struct trace_key);
	__type(value, __u64);
} counts SEC(".maps");

SEC("tc")
int trace(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	__be16 *ports = (void *)(ip + 1);
	struct trace_key key = {};
	__u64 *count, one = 1;

	if ((void *)(ports + 2) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return TC_ACT_OK;
	key.saddr = ip->saddr;
	key.daddr = ip->daddr;
	key.sport = ports[0];
	key.dport = ports[1];
	key.protocol = ip->protocol;
	count = bpf_map_lookup_elem(&counts, &key);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&counts, &key, &one, BPF_ANY);
	bpf_printk("%x -> %x proto %d", key.saddr, key.daddr, key.protocol);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
