// SPDX-License-Identifier: GPL-2.0-only
/*
 * Judges packets with CHECKSUM_COMPLETE at ingress: skb->csum has to be the sum of what follows the
 * link layer, and the checksum of TCP, UDP or ICMP has to be right.
 */
#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum { OTHER, RIGHT, CSUM_WRONG, TRANSPORT_WRONG, VERDICTS };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, VERDICTS);
	__type(key, __u32);
	__type(value, __u64);
} complete SEC(".maps");

/* A packet as far as it can be judged: what is shorter is filled up with zeroes, which add nothing.
 */
enum { LEN_MAX = 256 };
struct scratch {
	__u8 data[LEN_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

static __u16 fold(__u64 sum)
{
	for (int i = 0; i < 4; i++)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

enum { OPTIONS_LEN = 8 }; /* of the only extension header that comes by */

/* What the pseudo header adds to the transport header and what follows, less all before these. */
static __u64 complete_pseudo(const struct scratch *scratch, __u32 len)
{
	const struct iphdr *ip = (const void *)scratch;
	const struct ipv6hdr *ip6 = (const void *)scratch;
	__be32 *words = (__be32 *)scratch;
	__u32 sum;

	if (ip->version == 4 && ip->protocol == IPPROTO_ICMP) /* has no pseudo header */
		return 0;
	if (ip->version == 4) /* whose header's sum is 0 */
		return (__u64)ip->saddr + ip->daddr + bpf_htons(ip->protocol) +
		       bpf_htons(bpf_ntohs(ip->tot_len) - ip->ihl * 4);
	sum = bpf_csum_diff(words, sizeof(*ip6), (__be32 *)&ip6->saddr, 32, 0);
	if (ip6->nexthdr != IPPROTO_DSTOPTS)
		return (__u64)sum + bpf_htons(ip6->nexthdr) + bpf_htons(len - sizeof(*ip6));
	sum = bpf_csum_diff((__be32 *)(ip6 + 1), OPTIONS_LEN, NULL, 0, sum);
	return (__u64)sum + bpf_htons(scratch->data[sizeof(*ip6)]) +
	       bpf_htons(len - sizeof(*ip6) - OPTIONS_LEN);
}

/* Of ICMP: echo replies and errors. Hosts send more by themselves, such as MLD reports. */
static bool complete_is_ours(const struct scratch *scratch)
{
	const struct iphdr *ip = (const void *)scratch;
	const struct ipv6hdr *ip6 = (const void *)scratch;
	__u8 proto = ip->version == 4 ? ip->protocol : ip6->nexthdr;

	if (proto == IPPROTO_ICMP)
		return scratch->data[sizeof(*ip)] == 0 || scratch->data[sizeof(*ip)] == 3;
	if (proto == IPPROTO_ICMPV6)
		return scratch->data[sizeof(*ip6)] == 129 || scratch->data[sizeof(*ip6)] < 128;
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_DSTOPTS;
}

static __u32 complete_judge(struct __sk_buff *skb)
{
	__s64 csum = bpf_csum_update(skb, 0); /* only with CHECKSUM_COMPLETE it is there */
	__u32 zero = 0, len = skb->len - ETH_HLEN;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);
	__u64 sum;

	if (csum < 0 || !scratch || len < 28 || len > LEN_MAX ||
	    (skb->protocol != bpf_htons(ETH_P_IP) && skb->protocol != bpf_htons(ETH_P_IPV6)))
		return OTHER;
	__builtin_memset(scratch, 0, sizeof(*scratch));
	if (bpf_skb_load_bytes(skb, ETH_HLEN, scratch, len) || !complete_is_ours(scratch))
		return OTHER;
	sum = bpf_csum_diff(NULL, 0, (__be32 *)scratch, sizeof(*scratch), 0);
	if (fold(sum) != fold((__u32)csum))
		return CSUM_WRONG;
	return fold(sum + complete_pseudo(scratch, len)) == 0xffff ? RIGHT : TRANSPORT_WRONG;
}

SEC("tc")
int csum_judge(struct __sk_buff *skb)
{
	__u32 verdict = complete_judge(skb);
	__u64 *count = bpf_map_lookup_elem(&complete, &verdict);

	if (count)
		__sync_fetch_and_add(count, 1);
	return TC_ACT_UNSPEC;
}

const char LICENSE[] SEC("license") = "GPL";
