// SPDX-License-Identifier: GPL-2.0-only
/*
 * Yardstick: the least that a flow counter on a kernel hash can do. IPv4 without options, TCP and
 * UDP; one 16-byte key, two counters; no direction, VLAN, fragment or segment is thought of.
 * minimal_percpu is the same with a counter per CPU.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct minimal_key {
	__be32 saddr;
	__be32 daddr;
	__be16 sport;
	__be16 dport;
	__u32 protocol;
};

struct minimal_count {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct minimal_key);
	__type(value, struct minimal_count);
} shared_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct minimal_key);
	__type(value, struct minimal_count);
} percpu_counts SEC(".maps");

static __always_inline int minimal_parse(struct __sk_buff *skb, struct minimal_key *key)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	__be16 *ports = (void *)(ip + 1);

	if ((void *)(ports + 2) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5 ||
	    (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP))
		return -1;
	key->saddr = ip->saddr;
	key->daddr = ip->daddr;
	key->sport = ports[0];
	key->dport = ports[1];
	key->protocol = ip->protocol;
	return 0;
}

SEC("tc")
int minimal(struct __sk_buff *skb)
{
	struct minimal_count *count;
	struct minimal_key key;

	if (minimal_parse(skb, &key))
		return TC_ACT_UNSPEC;
	count = bpf_map_lookup_elem(&shared_counts, &key);
	if (!count) {
		struct minimal_count zero = {};

		bpf_map_update_elem(&shared_counts, &key, &zero, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&shared_counts, &key);
		if (!count)
			return TC_ACT_UNSPEC;
	}
	__sync_fetch_and_add(&count->packets, 1);
	__sync_fetch_and_add(&count->bytes, skb->len);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int minimal_percpu(struct __sk_buff *skb)
{
	struct minimal_count *count;
	struct minimal_key key;

	if (minimal_parse(skb, &key))
		return TC_ACT_UNSPEC;
	count = bpf_map_lookup_elem(&percpu_counts, &key);
	if (!count) {
		struct minimal_count zero = {};

		bpf_map_update_elem(&percpu_counts, &key, &zero, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&percpu_counts, &key);
		if (!count)
			return TC_ACT_UNSPEC;
	}
	count->packets += 1;
	count->bytes += skb->len;
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "GPL";
