/* SPDX-License-Identifier: GPL-2.0-only */
/* An IPv4 packet at a tc hook: reading what NAT needs, and rewriting it. BPF only. */
#ifndef BPF_PROXY_PACKET_H
#define BPF_PROXY_PACKET_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/types.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "csum.h"
#include "pkt.h"
#include "proxy-maps.h"

#define IP_MF 0x2000	 /* more fragments follow */
#define IP_OFFSET 0x1fff /* in units of 8 bytes */

/* Byte 13 of the TCP header. */
enum {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_ACK = 0x10,
};

/* What NAT has to know of a packet; offsets are from the start of the frame. */
struct packet {
	__u32 l4;      /* the transport header */
	__u32 end;     /* behind the IP packet: link-layer padding may follow */
	__u32 headers; /* length of all headers: what each segment of a GSO packet repeats */
	__be32 saddr;
	__be32 daddr;
	union {
		struct {
			__be16 sport;
			__be16 dport;
		};
		__u32 ports; /* as they lie in the packet */
	};
	__be16 check; /* of the IP header */
	__be16 id;
	__u16 fragment; /* in host byte order: IP_MF and IP_OFFSET */
	__u8 proto;
	__u8 tcp_flags; /* 0 for UDP */
};

/* The addresses and ports that a packet is to have. */
struct tuple {
	__be32 saddr;
	__be32 daddr;
	union {
		struct {
			__be16 sport;
			__be16 dport;
		};
		__u32 ports; /* as they lie in the packet */
	};
};

/**
 * packet_read_ip - the IP header: everything of @p but the ports
 * Return: PROXY_OK or PROXY_MALFORMED.
 */
static __always_inline enum proxy_counter packet_read_ip(struct __sk_buff *skb, struct packet *p)
{
	struct iphdr ip;
	__u32 len;

	if (pkt_read(skb, cfg_l2_len, &ip, sizeof(ip)))
		return PROXY_MALFORMED;
	len = bpf_ntohs(ip.tot_len);
	if (!len && skb->gso_segs) /* more than 64 KB: the field cannot hold it (BIG TCP) */
		len = skb->len - cfg_l2_len;
	if (ip.version != 4 || ip.ihl < 5 || len < ip.ihl * 4U || cfg_l2_len + len > skb->len)
		return PROXY_MALFORMED;

	p->l4 = cfg_l2_len + ip.ihl * 4;
	p->end = cfg_l2_len + len;
	p->saddr = ip.saddr;
	p->daddr = ip.daddr;
	p->check = ip.check;
	p->id = ip.id;
	p->fragment = bpf_ntohs(ip.frag_off) & (IP_MF | IP_OFFSET);
	p->proto = ip.protocol;
	return PROXY_OK;
}

/**
 * packet_read_ports - the transport header of a TCP or UDP packet that is no later fragment
 *
 * What conntrack calls invalid is malformed here, too: such packets are not translated.
 * Return: PROXY_OK or PROXY_MALFORMED.
 */
static __always_inline enum proxy_counter packet_read_ports(struct __sk_buff *skb, struct packet *p)
{
	if (p->proto == IPPROTO_TCP) {
		struct {
			__be16 source, dest;
			__be32 seq, ack_seq;
			__u8 doff, flags;
			__be16 window;
		} tcp;
		__u32 len;

		if (pkt_read(skb, p->l4, &tcp, sizeof(tcp)))
			return PROXY_MALFORMED;
		len = (tcp.doff >> 4) * 4;
		p->headers = p->l4 + len;
		if (len < sizeof(struct tcphdr) || p->headers > p->end)
			return PROXY_MALFORMED;
		p->sport = tcp.source;
		p->dport = tcp.dest;
		p->tcp_flags = tcp.flags;
	} else {
		struct udphdr udp;
		__u32 len;

		if (pkt_read(skb, p->l4, &udp, sizeof(udp)))
			return PROXY_MALFORMED;
		p->headers = p->l4 + sizeof(udp);
		len = bpf_ntohs(udp.len);
		if (p->headers > p->end || len < sizeof(udp))
			return PROXY_MALFORMED;
		if (!p->fragment && p->l4 + len > p->end)
			return PROXY_MALFORMED;
		p->sport = udp.source;
		p->dport = udp.dest;
		p->tcp_flags = 0;
	}
	return PROXY_OK;
}

/*
 * What nearly every packet begins with, and two bytes before it: as in the kernel's own buffers
 * (NET_IP_ALIGN), they put every field at a multiple of its size.
 */
struct plain_head {
	__u16 pad;
	struct ethhdr eth;
	struct iphdr ip;
	union {
		struct tcphdr tcp;
		struct udphdr udp; /* the ports are at the same place */
		__u32 ports;	   /* both of them */
	};
} __attribute__((aligned(8)));
_Static_assert(sizeof(struct plain_head) == 56, "laid out as said");

#define PLAIN_OFF offsetof(struct plain_head, eth)
#define PLAIN_UDP_LEN (offsetof(struct plain_head, udp) + sizeof(struct udphdr) - PLAIN_OFF)
#define PLAIN_TCP_LEN (sizeof(struct plain_head) - PLAIN_OFF)

/**
 * packet_read_plain - all of @p at once if the packet, on an Ethernet device, is plain
 *
 * Plain is Ethernet, IPv4 without options, no fragment, TCP or UDP, in the linear part, and well
 * formed. For such a packet the result is that of packet_read_ip() and packet_read_ports(), with
 * one bounds check and none of their questions.
 * Return: whether it is; if not, @p is untouched.
 */
static __always_inline int packet_read_plain(struct __sk_buff *skb, struct packet *p)
{
	const void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	const struct plain_head *head = data - PLAIN_OFF;
	__u32 len, headers;

	if (data + PLAIN_UDP_LEN > end)
		return 0;
	if (*(const __u8 *)&head->ip != 0x45 || head->ip.frag_off & bpf_htons(IP_MF | IP_OFFSET))
		return 0;
	len = bpf_ntohs(head->ip.tot_len);
	if (ETH_HLEN + len > skb->len)
		return 0;
	if (head->ip.protocol == IPPROTO_TCP) {
		const __u8 *tcp = (const __u8 *)&head->tcp;

		if (data + PLAIN_TCP_LEN > end)
			return 0;
		headers = (tcp[12] >> 4) * 4;
		if (headers < sizeof(head->tcp) || sizeof(head->ip) + headers > len)
			return 0;
		p->tcp_flags = tcp[13];
	} else if (head->ip.protocol == IPPROTO_UDP) {
		__u32 udp_len = bpf_ntohs(head->udp.len);

		headers = sizeof(head->udp);
		if (udp_len < headers || sizeof(head->ip) + udp_len > len)
			return 0;
		p->tcp_flags = 0;
	} else {
		return 0;
	}
	p->l4 = ETH_HLEN + sizeof(head->ip);
	p->end = ETH_HLEN + len;
	p->headers = p->l4 + headers;
	p->saddr = head->ip.saddr;
	p->daddr = head->ip.daddr;
	p->ports = head->ports;
	p->check = head->ip.check;
	p->id = head->ip.id;
	p->fragment = 0;
	p->proto = head->ip.protocol;
	return 1;
}

static __always_inline int is_later_fragment(const struct packet *p)
{
	return (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP) && p->fragment & IP_OFFSET;
}

/** packet_has_ports - whether @p, which has been read, has some */
static __always_inline int packet_has_ports(const struct packet *p)
{
	return (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP) && !(p->fragment & IP_OFFSET);
}

/**
 * packet_read_other - what NAT has to know of any IPv4 packet; what it does not have is 0
 * Return: PROXY_OK or PROXY_MALFORMED.
 */
static __noinline enum proxy_counter packet_read_other(struct __sk_buff *skb, struct packet *p)
{
	enum proxy_counter reason;

	__builtin_memset(p, 0, sizeof(*p));
	reason = packet_read_ip(skb, p);
	return reason == PROXY_OK && packet_has_ports(p) ? packet_read_ports(skb, p) : reason;
}

/** struct change - what a packet's addresses and ports become, and its checksums by that */
struct change {
	__be32 saddr;
	__be32 daddr;
	__u32 ports;	  /* source and destination, as they lie in the packet */
	__u16 addr_sum;	  /* the difference that the addresses make */
	__u16 ports_half; /* half of that of the ports: see packet_rewrite_plain() */
};

/** change_sum - the difference that the addresses and the ports make together */
static __always_inline __u16 change_sum(const struct change *change)
{
	return csum_add16(csum_add16(change->addr_sum, change->ports_half), change->ports_half);
}

/** change_of - what makes of @p a packet with the addresses and ports of @to */
static __always_inline struct change change_of(const struct packet *p, const struct tuple *to)
{
	return (struct change){
		.saddr = to->saddr,
		.daddr = to->daddr,
		.ports = to->ports,
		.addr_sum =
			csum_fold(csum_add(csum_add(0, p->saddr, to->saddr), p->daddr, to->daddr)),
		.ports_half = csum_half(csum_fold(csum_add(0, p->ports, to->ports))),
	};
}

/* The end of the IP header, and the ports behind it if it has no options. */
struct ip_tail {
	__be16 check;
	__be16 addrs[4]; /* source, destination: only 2-byte aligned here */
	__be16 ports[2];
};
_Static_assert(sizeof(struct ip_tail) == 14, "contiguous in the packet");

#define IP_TAIL offsetof(struct iphdr, check)

static __always_inline void ip_tail_set(struct ip_tail *tail, const struct packet *p,
					const struct change *change)
{
	tail->check = csum_apply(p->check, change->addr_sum);
	__builtin_memcpy(&tail->addrs[0], &change->saddr, 4);
	__builtin_memcpy(&tail->addrs[2], &change->daddr, 4);
	__builtin_memcpy(tail->ports, &change->ports, 4);
}

/**
 * packet_rewrite_ip - give a packet the addresses of @to and nothing else: a later fragment, or the
 * outer header of an ICMP error
 * Return: 0 or a negative errno; the packet is unusable after a failure.
 */
static __always_inline int packet_rewrite_ip(struct __sk_buff *skb, const struct packet *p,
					     const struct tuple *to)
{
	const struct change change = change_of(p, to);
	struct ip_tail tail;

	ip_tail_set(&tail, p, &change);
	return bpf_skb_store_bytes(skb, cfg_l2_len + IP_TAIL, &tail,
				   offsetof(struct ip_tail, ports), 0);
}

/*
 * Apply @sum to the transport checksum, by the helper that knows what that is. The addresses go
 * into it with BPF_F_PSEUDO_HDR and the ports without: on an skb with CHECKSUM_PARTIAL the field
 * holds the sum of the pseudo-header only, so that a port must not go in, and on CHECKSUM_COMPLETE
 * an address changes skb->csum while a port cancels out.
 */
static __always_inline int l4_csum_change(struct __sk_buff *skb, const struct packet *p, __u16 sum,
					  __u64 flags)
{
	__u32 check = p->l4 + (p->proto == IPPROTO_UDP ? offsetof(struct udphdr, check)
						       : offsetof(struct tcphdr, check));

	/* A UDP checksum of 0 means none: it stays, and none becomes 0 (RFC 768). */
	if (p->proto == IPPROTO_UDP)
		flags |= BPF_F_MARK_MANGLED_0;
	/* From 0 to a difference: to add it. */
	return bpf_l4_csum_replace(skb, check, 0, sum, flags | sizeof(sum));
}

/**
 * packet_rewrite_plain - give a plain packet the addresses and ports of @change
 * @dmac: the frame's new destination MAC address, by the same store, or NULL to leave it
 *
 * Only helpers write: a direct store anywhere in a tc program makes the verifier un-clone every
 * cloned packet before the program starts, and all TCP data that is sent locally is cloned.
 *
 * Two calls do, though only the helper for transport checksums knows what the field holds, and the
 * addresses' difference A and the ports' P are to go into it in different ways: a sum becomes s + A
 * (CHECKSUM_PARTIAL), and a complement of a sum s - A - P. The store puts s - P/2 there, and the
 * helper then adds A + P/2 to the one, or takes it from the other. With CHECKSUM_COMPLETE it takes
 * as much from skb->csum, to which the store has added what it has changed, in sum P/2: that is
 * less by A, as is right. (At egress, where a MAC address may be in the store, it means nothing.)
 *
 * Return: 0 or a negative errno; the packet is unusable after a failure.
 */
static __always_inline int packet_rewrite_plain(struct __sk_buff *skb, const struct packet *p,
						const struct change *change, const void *dmac)
{
	const void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	const struct plain_head *old = data - PLAIN_OFF;
	__u32 from = ETH_HLEN + IP_TAIL, to;
	__u16 less = ~change->ports_half;
	struct plain_head new;

	if (data + PLAIN_UDP_LEN > end)
		return -ENODATA;
	if (dmac) {
		__builtin_memcpy(new.eth.h_dest, __builtin_assume_aligned(dmac, 2), ETH_ALEN);
		__builtin_memcpy(new.eth.h_source, __builtin_assume_aligned(&old->eth.h_source, 8),
				 8);
		__builtin_memcpy(&new.ip, __builtin_assume_aligned(&old->ip, 8), IP_TAIL);
		from = 0; /* here: a second branch on @dmac makes a path that reads unset stack */
	}
	new.ip.check = csum_apply(old->ip.check, change->addr_sum);
	new.ip.saddr = change->saddr;
	new.ip.daddr = change->daddr;
	new.ports = change->ports;
	if (p->proto == IPPROTO_UDP) {
		new.udp.len = old->udp.len;
		new.udp.check = old->udp.check ? csum_add16(old->udp.check, less) : 0;
		to = PLAIN_UDP_LEN;
	} else {
		if (data + PLAIN_TCP_LEN > end)
			return -ENODATA;
		__builtin_memcpy(&new.tcp.seq, __builtin_assume_aligned(&old->tcp.seq, 8),
				 offsetof(struct tcphdr, check) - offsetof(struct tcphdr, seq));
		new.tcp.check = csum_add16(old->tcp.check, less);
		to = offsetof(struct plain_head, tcp.check) + sizeof(old->tcp.check) - PLAIN_OFF;
	}
	if (bpf_skb_store_bytes(skb, from, (void *)&new.eth + from, to - from,
				BPF_F_RECOMPUTE_CSUM))
		return -EFAULT;
	return l4_csum_change(skb, p, csum_add16(change->addr_sum, change->ports_half),
			      BPF_F_PSEUDO_HDR);
}

/** packet_rewrite - the same for any TCP or UDP packet */
static __noinline int packet_rewrite(struct __sk_buff *skb, const struct packet *p,
				     const struct change *change, const void *dmac)
{
	const void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 plain_len = p->proto == IPPROTO_UDP ? PLAIN_UDP_LEN : PLAIN_TCP_LEN;
	struct ip_tail tail;

	/* An offset that only Ethernet makes: the length of an IP header is a multiple of 4. */
	if (likely(p->l4 == ETH_HLEN + sizeof(struct iphdr) && data + plain_len <= end))
		return packet_rewrite_plain(skb, p, change, dmac);
	if (dmac && bpf_skb_store_bytes(skb, 0, dmac, ETH_ALEN, 0))
		return -EFAULT;
	ip_tail_set(&tail, p, change);
	if (bpf_skb_store_bytes(skb, cfg_l2_len + IP_TAIL, &tail, offsetof(struct ip_tail, ports),
				0) ||
	    bpf_skb_store_bytes(skb, p->l4, tail.ports, sizeof(tail.ports), 0) ||
	    l4_csum_change(skb, p, csum_add16(change->ports_half, change->ports_half), 0))
		return -EFAULT;
	return l4_csum_change(skb, p, change->addr_sum, BPF_F_PSEUDO_HDR);
}

#endif /* BPF_PROXY_PACKET_H */
