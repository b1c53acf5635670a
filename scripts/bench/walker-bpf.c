// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stands in front of a program in BPF_PROG_TEST_RUN, whose repetitions otherwise all see one
 * packet: makes the packet one of another flow, and calls the program. The packet is Ethernet, IPv4
 * without options, TCP or UDP. Addresses and ports are all written afresh each time, since the
 * program may have translated them; checksums are not kept right: nobody looks at them here.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bench.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} target SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WALKER_CPUS);
	__type(key, __u32);
	__type(value, struct walker_state);
} states SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct walker_config);
} config SEC(".maps");

SEC("tc")
int walker(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 cpu = bpf_get_smp_processor_id(), zero = 0, flow;
	struct iphdr *ip = data + ETH_HLEN;
	__be16 *ports = (void *)(ip + 1);
	struct walker_config *cfg = bpf_map_lookup_elem(&config, &zero);
	struct walker_state *state = bpf_map_lookup_elem(&states, &cpu);

	if (!cfg || !state || (void *)(ports + 2) > end)
		return TC_ACT_SHOT;
	if (cfg->orderly) {
		flow = state->next++;
		if (flow + 1 >= cfg->flows)
			state->next = 0;
	} else {
		state->random ^= state->random << 13;
		state->random ^= state->random >> 7;
		state->random ^= state->random << 17;
		flow = ((state->random >> 32) * cfg->flows) >> 32;
	}
	if (cfg->own_flows)
		flow += cpu * cfg->flows;
	ip->saddr = cfg->vary_dst ? cfg->saddr : bpf_htonl(bpf_ntohl(cfg->saddr) + flow);
	ip->daddr = cfg->vary_dst ? bpf_htonl(bpf_ntohl(cfg->daddr) + flow) : cfg->daddr;
	ports[0] = cfg->sport;
	ports[1] = cfg->dport;
	bpf_tail_call(skb, &target, 0);
	return TC_ACT_SHOT;
}

SEC("tc")
int empty(struct __sk_buff *skb __attribute__((unused)))
{
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "GPL";
