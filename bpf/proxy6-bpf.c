// SPDX-License-Identifier: GPL-2.0-only
/* The programs of proxy for IPv6. */
#define PROXY_FAMILY 6

#include "proxy-hook.h"

SEC("tc")
int proxy6_egress(struct __sk_buff *skb)
{
	return at_egress(skb, ETH_HLEN);
}

/* proxy36_*: on a device without a link layer ("layer 3 device"). */
SEC("tc")
int proxy36_egress(struct __sk_buff *skb)
{
	return at_egress(skb, 0);
}

SEC("tc")
int proxy6_ingress(struct __sk_buff *skb)
{
	return at_ingress(skb, ETH_HLEN);
}

SEC("tc")
int proxy36_ingress(struct __sk_buff *skb)
{
	return at_ingress(skb, 0);
}

/* At the egress of other devices that targets are reached by. */
SEC("tc")
int proxy6_direct(struct __sk_buff *skb)
{
	return at_other_egress(skb, ETH_HLEN);
}

SEC("tc")
int proxy36_direct(struct __sk_buff *skb)
{
	return at_other_egress(skb, 0);
}

char _license[] SEC("license") = "GPL";
