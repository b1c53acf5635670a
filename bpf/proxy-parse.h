/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * proxy: reading the headers of a packet, and of the packet that an ICMP error quotes. BPF only;
 * tests/bpf-native.h compiles it for this machine, too.
 */
#ifndef BPF_PROXY_PARSE_H
#define BPF_PROXY_PARSE_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/tcp.h>
#include <linux/types.h>
#include <linux/udp.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "pkt.h"
#include "proxy-ip.h"
#include "proxy.h"

/* Byte 13 of the TCP header. */
enum {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_ACK = 0x10,
};

/*
 * Read the transport header of a TCP or UDP packet that is not a later fragment. A packet that
 * conntrack calls invalid is malformed here, too, and is not translated.
 * Return: PROXY_OK; PROXY_MALFORMED; or PROXY_NO_CHECKSUM: UDP over IPv6 needs one, and a datagram
 * without may be of a tunnel that has its own rules (RFC 8200, section 8.1).
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
		p->from.sport = tcp.source;
		p->from.dport = tcp.dest;
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
		if (PROXY_FAMILY == 6 && !udp.check)
			return PROXY_NO_CHECKSUM;
		p->from.sport = udp.source;
		p->from.dport = udp.dest;
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
	struct ip_head ip;
	union {
		struct tcphdr tcp;
		struct udphdr udp; /* the ports are at the same place */
		__u32 ports;	   /* both of them */
	};
} __attribute__((aligned(8)));
_Static_assert(offsetof(struct plain_head, tcp) == PROXY_SIZE(36, 56), "laid out as said");

#define PLAIN_OFF offsetof(struct plain_head, eth)
#define PLAIN_UDP_LEN (offsetof(struct plain_head, udp) + sizeof(struct udphdr) - PLAIN_OFF)
#define PLAIN_TCP_LEN (offsetof(struct plain_head, tcp) + sizeof(struct tcphdr) - PLAIN_OFF)

/**
 * packet_read_plain - read a plain packet of an Ethernet device with one bounds check
 *
 * A plain packet is well-formed IP over Ethernet without IP options or extension headers, not a
 * fragment, with TCP or UDP; all headers lie in the linear part. packet_read_other() gives the same
 * result for it, but takes longer. Return: whether the packet is plain; if not, @p is unchanged.
 */
static __always_inline int packet_read_plain(struct __sk_buff *skb, struct packet *p)
{
	const void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	const struct plain_head *head = data - PLAIN_OFF;
	__u32 len, headers;

	if (data + PLAIN_UDP_LEN > end)
		return 0;
	if (!ip_is_plain(&head->ip))
		return 0;
	len = ip_packet_len(&head->ip);
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
		if (PROXY_FAMILY == 6 && !head->udp.check)
			return 0;
		p->tcp_flags = 0;
	} else {
		return 0;
	}
	p->l4 = ETH_HLEN + sizeof(head->ip);
	p->end = ETH_HLEN + len;
	p->headers = p->l4 + headers;
	p->from.saddr = head->ip.saddr;
	p->from.daddr = head->ip.daddr;
	p->from.ports = head->ports;
	packet_set_id(p, &head->ip);
	p->fragment = 0;
	p->proto = head->ip.protocol;
	return 1;
}

/**
 * is_later_fragment - tell whether @p is a fragment without ports that may be TCP, UDP or ICMP
 *
 * One of IPv6 names the first header of what was fragmented, which may be an extension header.
 */
static __always_inline int is_later_fragment(const struct packet *p)
{
	return (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP || p->proto == IP_ICMP ||
		ip_is_extension(p->proto)) &&
	       p->fragment & IP_OFFSET;
}

/** packet_has_ports - tell whether @p is TCP or UDP and not a later fragment */
static __always_inline int packet_has_ports(const struct packet *p)
{
	return (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP) && !(p->fragment & IP_OFFSET);
}

struct icmphdr {
	__u8 type;
	__u8 code;
	__be16 checksum;
	union {
		__be32 rest;
		__be16 id; /* of an echo message */
	};
};

/* Offset of the checksum from the identifier, where @l4 of an echo message points. */
#define ECHO_CHECK ((int)offsetof(struct icmphdr, checksum) - (int)offsetof(struct icmphdr, id))

/*
 * Read the identifier of an ICMP echo message that lies from @off to @end. A global function: the
 * verifier goes through it once. Return: whether it is one of type @type.
 */
__noinline int echo_id(struct __sk_buff *skb, __u32 off, __u32 end, __u8 type, __u16 *id)
{
	struct icmphdr icmp;

	if (!id || off + sizeof(icmp) > end || bpf_skb_load_bytes(skb, off, &icmp, sizeof(icmp)))
		return 0;
	*id = icmp.id;
	return icmp.type == type;
}

/**
 * echo_read - read the identifier of @p if it is an ICMP echo message of type @type
 * @p: its @l4 is where the message begins; set to where the identifier lies
 *
 * The identifier takes the place of the port of the side that asks (RFC 5508, section 3.1). That of
 * the other side is 0. Return: whether it is such a message; if not, @p is unchanged.
 */
static __always_inline int echo_read(struct __sk_buff *skb, struct packet *p, __u8 type)
{
	__u16 id = 0;

	if (p->proto != IP_ICMP || p->fragment & IP_OFFSET ||
	    !echo_id(skb, p->l4, p->end, type, &id))
		return 0;
	p->l4 += offsetof(struct icmphdr, id);
	p->from.sport = type == ICMP_ECHO_REQUEST ? id : 0;
	p->from.dport = type == ICMP_ECHO_REQUEST ? 0 : id;
	return 1;
}

/**
 * packet_read_other - read the headers of any packet
 * @p: filled in; a field that the packet does not have is 0
 * @l2_len: bytes before the IP header: ETH_HLEN, or 0 without a link layer
 *
 * Return: PROXY_OK, or why it is not to be translated.
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

/* The packet that an ICMP error quotes: its IP header and at least 8 bytes, rarely all of it. */
struct quote {
	struct packet p; /* offsets are in the whole frame; @end: end of the quoted part */
	__u32 ip;	 /* offset of its IP header */
};

/**
 * quote_read - read the packet that ICMP error @outer quotes
 * @echo: the type of ICMP echo messages that it may be
 * Return: 0; -ENOENT if @outer is not an error, or the quoted packet has no ports.
 */
static __always_inline int quote_read(struct __sk_buff *skb, const struct packet *outer,
				      struct quote *quote, __u8 echo)
{
	struct {
		struct icmphdr icmp;
		struct ip_head ip;
	} head;
	struct packet *p = &quote->p;
	__be16 ports[2];

	if (outer->fragment || pkt_read(skb, outer->l4, &head, sizeof(head)) ||
	    !icmp_is_error(head.icmp.type))
		return -ENOENT;
	quote->ip = outer->l4 + sizeof(head.icmp);
	__builtin_memset(p, 0, sizeof(*p));
	p->l4 = quote->ip;
	/* Behind a short datagram there may be padding and an extension (RFC 4884). */
	p->end = quote->ip + ip_packet_len(&head.ip);
	if (p->end > outer->end)
		p->end = outer->end;
	if (!quote_read_ip(skb, &head.ip, p))
		return -ENOENT;
	p->from.saddr = head.ip.saddr;
	p->from.daddr = head.ip.daddr;
	if (echo_read(skb, p, echo))
		return 0;
	if ((p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP) || p->l4 + 8 > p->end ||
	    pkt_read(skb, p->l4, ports, sizeof(ports)))
		return -ENOENT;
	p->from.sport = ports[0];
	p->from.dport = ports[1];
	return 0;
}

#endif /* BPF_PROXY_PARSE_H */
