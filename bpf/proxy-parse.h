/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * proxy: reading the headers of an IPv4 packet, and of the packet that an ICMP error quotes. BPF
 * only; tests/bpf-native.h compiles it for this machine, too.
 */
#ifndef BPF_PROXY_PARSE_H
#define BPF_PROXY_PARSE_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/types.h>
#include <linux/udp.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "pkt.h"
#include "proxy.h"

#define IP_MF 0x2000	 /* more fragments follow */
#define IP_OFFSET 0x1fff /* in units of 8 bytes */

/* Byte 13 of the TCP header. */
enum {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_ACK = 0x10,
};

/* Zero: the only 4-byte number that verifiers before 5.16 know again after it was on the stack. */
enum { PACKET_UNREAD };

/* The header fields of a packet that NAT needs. Offsets are from the start of the frame. */
struct packet {
	__u32 l4;      /* the transport header; PACKET_UNREAD: nothing else is set yet */
	__u32 end;     /* end of the IP packet: link-layer padding may follow */
	__u32 headers; /* length of all headers: each segment of a GSO packet repeats them */
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

/* Read the IP header: everything of @p except the ports. Return: PROXY_OK or PROXY_MALFORMED. */
static __always_inline enum proxy_counter packet_read_ip(struct __sk_buff *skb, struct packet *p,
							 __u32 l2_len)
{
	struct iphdr ip;
	__u32 len;

	if (pkt_read(skb, l2_len, &ip, sizeof(ip)))
		return PROXY_MALFORMED;
	len = bpf_ntohs(ip.tot_len);
	if (!len && skb->gso_segs) /* more than 64 KB: the field cannot hold it (BIG TCP) */
		len = skb->len - l2_len;
	if (ip.version != 4 || ip.ihl < 5 || len < ip.ihl * 4U || l2_len + len > skb->len)
		return PROXY_MALFORMED;

	p->l4 = l2_len + ip.ihl * 4;
	p->end = l2_len + len;
	p->saddr = ip.saddr;
	p->daddr = ip.daddr;
	p->check = ip.check;
	p->id = ip.id;
	p->fragment = bpf_ntohs(ip.frag_off) & (IP_MF | IP_OFFSET);
	p->proto = ip.protocol;
	return PROXY_OK;
}

/*
 * Read the transport header of a TCP or UDP packet that is not a later fragment. A packet that
 * conntrack calls invalid is malformed here, too, and is not translated.
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
 * The headers of a plain packet (packet_read_plain()), and two bytes before them. As in the
 * kernel's own buffers (NET_IP_ALIGN), these put every field at a multiple of its size.
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
 * packet_read_plain - read a plain packet of an Ethernet device with one bounds check
 *
 * A plain packet is well-formed IPv4 over Ethernet without IP options, not a fragment, with TCP or
 * UDP; all headers lie in the linear part. packet_read_other() gives the same result for it, but
 * takes longer.
 * Return: whether the packet is plain; if not, @p is unchanged.
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

/** is_later_fragment - tell whether @p is a TCP or UDP fragment without ports */
static __always_inline int is_later_fragment(const struct packet *p)
{
	return (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP) && p->fragment & IP_OFFSET;
}

/** packet_has_ports - tell whether @p is TCP or UDP and not a later fragment */
static __always_inline int packet_has_ports(const struct packet *p)
{
	return (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP) && !(p->fragment & IP_OFFSET);
}

/**
 * packet_read_other - read the headers of any IPv4 packet
 * @p: filled in; a field that the packet does not have is 0
 * @l2_len: bytes before the IP header: ETH_HLEN, or 0 without a link layer
 *
 * Return: PROXY_OK or PROXY_MALFORMED.
 */
static __noinline enum proxy_counter packet_read_other(struct __sk_buff *skb, struct packet *p,
						       __u32 l2_len)
{
	enum proxy_counter reason;

	__builtin_memset(p, 0, sizeof(*p));
	reason = packet_read_ip(skb, p, l2_len);
	return reason == PROXY_OK && packet_has_ports(p) ? packet_read_ports(skb, p) : reason;
}

/**
 * packet_read - read the headers of @p unless packet_read_plain() has read them
 *
 * Compilers may keep the answer to that as a number of their own, which older verifiers do not
 * know again (see PACKET_UNREAD). Hence volatile.
 * Return: as packet_read_other().
 */
static __always_inline enum proxy_counter packet_read(struct __sk_buff *skb, struct packet *p,
						      __u32 l2_len)
{
	const volatile __u32 *l4 = &p->l4;

	return *l4 == PACKET_UNREAD ? packet_read_other(skb, p, l2_len) : PROXY_OK;
}

/* <linux/icmp.h> cannot be included for the bpf target. */
enum {
	ICMP_DEST_UNREACH = 3,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETERPROB = 12,
};

struct icmphdr {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 rest;
};

/* The packet that an ICMP error quotes: its IP header and at least 8 bytes, rarely all of it. */
struct quote {
	struct packet p; /* offsets are in the whole frame; @end: end of the quoted part */
	__u32 ip;	 /* offset of its IP header */
};

static __always_inline int icmp_is_error(__u8 type)
{
	return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED ||
	       type == ICMP_PARAMETERPROB;
}

/**
 * quote_read - read the packet that ICMP error @outer quotes
 * Return: 0; -ENOENT if @outer is not an error, or the quoted packet has no ports.
 */
static __always_inline int quote_read(struct __sk_buff *skb, const struct packet *outer,
				      struct quote *quote)
{
	struct {
		struct icmphdr icmp;
		struct iphdr ip;
	} head;
	struct packet *p = &quote->p;
	__be16 ports[2];

	if (outer->fragment || pkt_read(skb, outer->l4, &head, sizeof(head)) ||
	    !icmp_is_error(head.icmp.type))
		return -ENOENT;
	if (head.ip.version != 4 || head.ip.ihl < 5 || head.ip.frag_off & bpf_htons(IP_OFFSET) ||
	    (head.ip.protocol != IPPROTO_TCP && head.ip.protocol != IPPROTO_UDP))
		return -ENOENT;
	quote->ip = outer->l4 + sizeof(head.icmp);
	p->l4 = quote->ip + head.ip.ihl * 4;
	/* Behind a short datagram there may be padding and an extension (RFC 4884). */
	p->end = quote->ip + bpf_ntohs(head.ip.tot_len);
	if (p->end > outer->end)
		p->end = outer->end;
	if (p->l4 + 8 > p->end || pkt_read(skb, p->l4, ports, sizeof(ports)))
		return -ENOENT;
	p->saddr = head.ip.saddr;
	p->daddr = head.ip.daddr;
	p->check = head.ip.check;
	p->proto = head.ip.protocol;
	p->sport = ports[0];
	p->dport = ports[1];
	return 0;
}

#endif /* BPF_PROXY_PARSE_H */
