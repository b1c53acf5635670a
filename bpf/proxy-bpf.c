// SPDX-License-Identifier: GPL-2.0-only
/* The programs of proxy for IPv4. */
#include "proxy-hook.h"

SEC("tc")
int proxy_egress(struct __sk_buff *skb)
{
	return at_egress(skb, ETH_HLEN);
}

/* proxy3_*: on a device without a link layer ("layer 3 device"). */
SEC("tc")
int proxy3_egress(struct __sk_buff *skb)
{
	return at_egress(skb, 0);
}

SEC("tc")
int proxy_ingress(struct __sk_buff *skb)
{
	return at_ingress(skb, ETH_HLEN);
}

SEC("tc")
int proxy3_ingress(struct __sk_buff *skb)
{
	return at_ingress(skb, 0);
}

/* At the egress of other devices that targets are reached by. */
SEC("tc")
int proxy_direct(struct __sk_buff *skb)
{
	return at_other_egress(skb, ETH_HLEN);
}

SEC("tc")
int proxy3_direct(struct __sk_buff *skb)
{
	return at_other_egress(skb, 0);
}

char _license[] SEC("license") = "GPL";
