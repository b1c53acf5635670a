// SPDX-License-Identifier: GPL-2.0-only
/* The kernel's half of docs/tutorial.md: count packets, and redirect those for one address. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

/* Set before the load: packets for "original" go to "target" instead. In network byte order. */
const volatile __be32 original = 0, target = 0;

/* How many packets went to each IPv4 address. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __be32);
	__type(value, __u64);
} packets SEC(".maps");

/* Replace the address at offset @at of a TCP packet, and what both checksums owe to it. */
static void replace(struct __sk_buff *skb, __u32 at, __be32 from, __be32 to)
{
	__u32 tcp = ETH_HLEN + sizeof(struct iphdr);

	bpf_l4_csum_replace(skb, tcp + offsetof(struct tcphdr, check), from, to,
			    BPF_F_PSEUDO_HDR | sizeof(to));
	bpf_l3_csum_replace(skb, ETH_HLEN + offsetof(struct iphdr, check), from, to, sizeof(to));
	bpf_skb_store_bytes(skb, at, &to, sizeof(to), 0);
}

SEC("tc")
int tutorial(struct __sk_buff *skb)
{
	struct iphdr *ip = (void *)(long)skb->data + ETH_HLEN;
	__u64 *count, one = 1;
	__be32 source, dest;

	if (skb->protocol != bpf_htons(ETH_P_IP) || (void *)(ip + 1) > (void *)(long)skb->data_end)
		return TC_ACT_UNSPEC;
	source = ip->saddr;
	dest = ip->daddr;
	count = bpf_map_lookup_elem(&packets, &dest);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&packets, &dest, &one, BPF_NOEXIST);
	if (ip->protocol == IPPROTO_TCP && ip->ihl == 5 && dest == original)
		replace(skb, ETH_HLEN + offsetof(struct iphdr, daddr), original, target);
	else if (ip->protocol == IPPROTO_TCP && ip->ihl == 5 && source == target)
		replace(skb, ETH_HLEN + offsetof(struct iphdr, saddr), target, original);
	return TC_ACT_UNSPEC;
}
