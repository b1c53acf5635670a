/* SPDX-License-Identifier: GPL-2.0-only */
/* An IPv4 packet at a tc hook: reading what NAT needs, and rewriting it. BPF only. */
#ifndef PROXY_PACKET_H
#define PROXY_PACKET_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/types.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

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
	__be16 sport;
	__be16 dport;
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
	__be16 sport;
	__be16 dport;
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

/* What nearly every packet begins with; headers begin at even addresses. */
struct plain_head {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp; /* TCP has its ports at the same place */
} __attribute__((packed, aligned(2)));

/**
 * packet_read_plain - all of @p at once if the packet is plain
 *
 * Plain is Ethernet, IPv4 without options, no fragment, TCP or UDP, in the linear part, and well
 * formed. For such a packet the result is that of packet_read_ip() and packet_read_ports(), with
 * one bounds check and none of their questions.
 * Return: whether it is; if not, @p is untouched.
 */
static __always_inline int packet_read_plain(struct __sk_buff *skb, struct packet *p)
{
	const struct plain_head *head = (void *)(long)skb->data;
	const void *end = (void *)(long)skb->data_end;
	const struct tcphdr *tcp = (void *)&head->udp;
	__u32 len, headers;

	if (cfg_l2_len != ETH_HLEN || (void *)(head + 1) > end)
		return 0;
	if (*(const __u8 *)&head->ip != 0x45 || head->ip.frag_off & bpf_htons(IP_MF | IP_OFFSET))
		return 0;
	len = bpf_ntohs(head->ip.tot_len);
	if (ETH_HLEN + len > skb->len)
		return 0;
	if (head->ip.protocol == IPPROTO_TCP) {
		if ((void *)(tcp + 1) > end)
			return 0;
		headers = (((const __u8 *)tcp)[12] >> 4) * 4;
		if (headers < sizeof(*tcp) || sizeof(head->ip) + headers > len)
			return 0;
		p->tcp_flags = ((const __u8 *)tcp)[13];
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
	p->sport = head->udp.source;
	p->dport = head->udp.dest;
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

/** packet_has_ports - whether packet_read() has found some */
static __always_inline int packet_has_ports(const struct packet *p)
{
	return (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP) && !(p->fragment & IP_OFFSET);
}

static __noinline enum proxy_counter packet_read_other(struct __sk_buff *skb, struct packet *p)
{
	enum proxy_counter reason = packet_read_ip(skb, p);

	return reason == PROXY_OK && packet_has_ports(p) ? packet_read_ports(skb, p) : reason;
}

/**
 * packet_read - what NAT has to know of an IPv4 packet
 * Return: PROXY_OK or PROXY_MALFORMED.
 */
static __always_inline enum proxy_counter packet_read(struct __sk_buff *skb, struct packet *p)
{
	return likely(packet_read_plain(skb, p)) ? PROXY_OK : packet_read_other(skb, p);
}

/** csum_add - a one's complement sum in 64 bits (RFC 1071), with @old replaced by @new (RFC 1624)
 */
static __always_inline __u64 csum_add(__u64 sum, __u32 old, __u32 new)
{
	return sum + (__u32)~old + new;
}

/** csum_fold32 - the same sum in 32 bits, as the checksum helpers take it */
static __always_inline __u32 csum_fold32(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (sum & 0xffffffff) + (sum >> 32);
}

/** csum_apply - checksum field @check after the changes that @sum has collected */
static __always_inline __be16 csum_apply(__be16 check, __u64 sum)
{
	sum += (__u16)~check;
	sum = csum_fold32(sum);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* The end of the IP header, and the ports behind it if it has no options. */
struct ip_tail {
	__be16 check;
	__be16 addrs[4]; /* source, destination: only 2-byte aligned here */
	__be16 sport;
	__be16 dport;
};
_Static_assert(sizeof(struct ip_tail) == 14, "contiguous in the packet");

#define IP_TAIL offsetof(struct iphdr, check)

/* A frame without IP options, up to there: what packet_rewrite() changes is at either end. */
struct frame_start {
	__be16 dmac[ETH_ALEN / 2];
	__be16 kept[9];
	struct ip_tail tail;
};
_Static_assert(sizeof(struct frame_start) == 38, "contiguous in the packet");

static __always_inline void ip_tail_set(struct ip_tail *tail, const struct packet *p,
					const struct tuple *to)
{
	__u64 sum = csum_add(csum_add(0, p->saddr, to->saddr), p->daddr, to->daddr);

	tail->check = csum_apply(p->check, sum);
	__builtin_memcpy(&tail->addrs[0], &to->saddr, 4);
	__builtin_memcpy(&tail->addrs[2], &to->daddr, 4);
	tail->sport = to->sport;
	tail->dport = to->dport;
}

/**
 * packet_rewrite_ip - give a packet the addresses of @to and nothing else: a later fragment, or the
 * outer header of an ICMP error
 * Return: 0 or a negative errno; the packet is unusable after a failure.
 */
static __always_inline int packet_rewrite_ip(struct __sk_buff *skb, const struct packet *p,
					     const struct tuple *to)
{
	struct ip_tail tail;

	ip_tail_set(&tail, p, to);
	return bpf_skb_store_bytes(skb, cfg_l2_len + IP_TAIL, &tail,
				   offsetof(struct ip_tail, sport), 0);
}

/**
 * packet_rewrite - give a TCP or UDP packet the addresses and ports of @to
 * @dmac: the frame's new destination, by the same store, or NULL; an Ethernet frame without IP
 *	  options is required then
 *
 * Only helpers write: a direct store anywhere in a tc program makes the verifier un-clone every
 * cloned packet before the program starts, and all TCP data that is sent locally is cloned.
 *
 * The address and the port go into the transport checksum by separate calls: on an skb with
 * CHECKSUM_PARTIAL the field holds the sum of the pseudo-header only, so that a port must not go
 * in, and on CHECKSUM_COMPLETE an address changes skb->csum while a port cancels out.
 *
 * Return: 0 or a negative errno; the packet is unusable after a failure.
 */
static __always_inline int packet_rewrite(struct __sk_buff *skb, const struct packet *p,
					  const struct tuple *to, const __u8 *dmac)
{
	/* A UDP checksum of 0 means none: it stays, and none becomes 0 (RFC 768). */
	__u64 flags = p->proto == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	__u32 check = p->l4 + (p->proto == IPPROTO_UDP ? offsetof(struct udphdr, check)
						       : offsetof(struct tcphdr, check));
	__u32 old_ports = (__u32)p->sport << 16 | p->dport;
	__u32 new_ports = (__u32)to->sport << 16 | to->dport;
	struct frame_start start;
	struct ip_tail *tail = &start.tail;
	int err;

	ip_tail_set(tail, p, to);
	if (dmac) {
		__builtin_memcpy(start.dmac, dmac, ETH_ALEN);
		err = pkt_read(skb, ETH_ALEN, start.kept, sizeof(start.kept));
		err = err ?: bpf_skb_store_bytes(skb, 0, &start, sizeof(start), 0);
	} else if (p->l4 == cfg_l2_len + sizeof(struct iphdr)) {
		err = bpf_skb_store_bytes(skb, cfg_l2_len + IP_TAIL, tail, sizeof(*tail), 0);
	} else {
		err = bpf_skb_store_bytes(skb, cfg_l2_len + IP_TAIL, tail,
					  offsetof(struct ip_tail, sport), 0);
		err = err ?: bpf_skb_store_bytes(skb, p->l4, &tail->sport, 4, 0);
	}
	if (old_ports != new_ports)
		err = err ?: bpf_l4_csum_replace(skb, check, old_ports, new_ports, flags | 4);
	if (p->daddr != to->daddr)
		err = err
			      ?: bpf_l4_csum_replace(skb, check, p->daddr, to->daddr,
						     flags | BPF_F_PSEUDO_HDR | 4);
	if (p->saddr != to->saddr)
		err = err
			      ?: bpf_l4_csum_replace(skb, check, p->saddr, to->saddr,
						     flags | BPF_F_PSEUDO_HDR | 4);
	return err;
}

#endif /* PROXY_PACKET_H */
