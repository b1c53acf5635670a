// SPDX-License-Identifier: GPL-2.0-only
/* Yardstick: what it costs to have a program at the hook at all. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

SEC("tc")
int empty(struct __sk_buff *skb __attribute__((unused)))
{
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "GPL";
