/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * proxy: all that differs between the headers of IPv4 and IPv6. The two halves of this file define
 * the same names; the other parts of proxy are written once, for either. BPF only;
 * tests/bpf-native.h compiles it for this machine, too.
 */
#ifndef BPF_PROXY_IP_H
#define BPF_PROXY_IP_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/types.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "csum.h"
#include "pkt.h"
#include "proxy-addr.h"
#include "proxy.h"

#define IP_MF 0x2000	 /* more fragments follow */
#define IP_OFFSET 0x1fff /* in units of 8 bytes */

/** struct tuple - the addresses and ports of a packet: what NAT changes */
struct tuple {
	proxy_addr saddr;
	proxy_addr daddr;
	union {
		struct {
			__be16 sport;
			__be16 dport;
		};
		__u32 ports; /* as they lie in the packet */
	};
};

/** tuple_copy - set @to to @from, without the padding, which nobody writes */
static __always_inline void tuple_copy(struct tuple *to, const struct tuple *from)
{
	to->saddr = from->saddr;
	to->daddr = from->daddr;
	to->ports = from->ports;
}

/** struct change - the new addresses and ports of a packet, and the differences of its checksums */
struct change {
	struct tuple to;
	__u16 addr_sum;	  /* the difference that the addresses make */
	__u16 ports_half; /* half of the difference that the ports make: packet_rewrite_plain() */
};

/* Zero: the only 4-byte number that verifiers before 5.16 know again after it was on the stack. */
enum { PACKET_UNREAD };

/* The header fields of a packet that NAT needs. Offsets are from the start of the frame. */
struct packet {
	/*
	 * The transport header; of an ICMP echo message that echo_read() has read, the identifier.
	 * PACKET_UNREAD: nothing else is set yet.
	 */
	__u32 l4;
	__u32 end;     /* end of the IP packet: link-layer padding may follow */
	__u32 headers; /* length of all headers: each segment of a GSO packet repeats them; 0: no
			  ports */
	struct tuple from;
#if PROXY_FAMILY == 4
	__be16 check; /* of the IP header */
	__be16 id;
#else
	__be32 id; /* of a fragment; otherwise 0 */
#endif
	__u16 fragment; /* in host byte order: IP_MF and IP_OFFSET */
	__u8 proto;
	__u8 tcp_flags; /* 0 for UDP */
};

#if PROXY_FAMILY == 4

#define IP_ETHERTYPE ETH_P_IP
#define IP_ICMP IPPROTO_ICMP
#define ip_head iphdr

/* From the byte IP_PEEK of the header on: what tells most packets apart that are not for us. */
#define IP_PEEK offsetof(struct iphdr, ttl)
struct ip_peek {
	__u8 ttl, protocol;
	__be16 check;
	proxy_addr saddr;
};

/** packet_set_id - set those fields of @p that a packet with header @ip has in its family only */
static __always_inline void packet_set_id(struct packet *p, const struct ip_head *ip)
{
	p->check = ip->check;
	p->id = ip->id;
}

/** packet_read_ip - read the IP header: everything of @p except the ports */
static __always_inline enum proxy_counter packet_read_ip(struct __sk_buff *skb, struct packet *p,
							 __u32 l2_len)
{
	struct ip_head ip;
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
	p->from.saddr = ip.saddr;
	p->from.daddr = ip.daddr;
	packet_set_id(p, &ip);
	p->fragment = bpf_ntohs(ip.frag_off) & (IP_MF | IP_OFFSET);
	p->proto = ip.protocol;
	return PROXY_OK;
}

/** ip_is_extension - tell whether @proto is an extension header that may be stepped over */
static __always_inline int ip_is_extension(__u8 proto)
{
	(void)proto;
	return 0;
}

/** ip_is_plain - tell whether neither options nor a fragment follow this header */
static __always_inline int ip_is_plain(const struct ip_head *ip)
{
	return *(const __u8 *)ip == 0x45 && !(ip->frag_off & bpf_htons(IP_MF | IP_OFFSET));
}

/** ip_packet_len - return the length of a packet with this header */
static __always_inline __u32 ip_packet_len(const struct ip_head *ip)
{
	return bpf_ntohs(ip->tot_len);
}

/**
 * quote_read_ip - read the IP header @ip of a quoted packet
 * @p: its @l4 is where the header lies, set to where it ends; other fields are 0
 * Return: whether it is one, and not of a later fragment.
 */
static __always_inline int quote_read_ip(struct __sk_buff *skb, const struct ip_head *ip,
					 struct packet *p)
{
	(void)skb;
	if (ip->version != 4 || ip->ihl < 5 || ip->frag_off & bpf_htons(IP_OFFSET))
		return 0;
	p->check = ip->check;
	p->proto = ip->protocol;
	p->l4 += ip->ihl * 4;
	return 1;
}

#define IP_TAIL offsetof(struct iphdr, check)

/**
 * ip_store - give the IP header at offset @ip the addresses of @to
 * @addr_sum: the difference that they make in a checksum
 * @flags: of bpf_skb_store_bytes(), for IPv6: the checksum of IPv4 cancels out in skb->csum what
 *the addresses change Return: 0 or a negative errno.
 */
static __always_inline int ip_store(struct __sk_buff *skb, __u32 ip, const struct packet *p,
				    const struct tuple *to, __u16 addr_sum, __u64 flags)
{
	struct {
		__be16 check;
		__be16 addrs[4]; /* source, destination: only 2-byte aligned here */
	} tail = { .check = csum_apply(p->check, addr_sum) };

	(void)flags;
	__builtin_memcpy(&tail.addrs[0], &to->saddr, 4);
	__builtin_memcpy(&tail.addrs[2], &to->daddr, 4);
	return bpf_skb_store_bytes(skb, ip + IP_TAIL, &tail, sizeof(tail), 0);
}

/** ip_check_sum - add the difference of the IP checksum that @addr_sum makes to @sum */
static __always_inline __u64 ip_check_sum(__u64 sum, const struct packet *p, __u16 addr_sum)
{
	return csum_add(sum, p->check, csum_apply(p->check, addr_sum));
}

/** ip_head_change - give @new the addresses of @change, and the checksum that @old then has */
static __always_inline void ip_head_change(struct ip_head *new, const struct ip_head *old,
					   const struct change *change)
{
	new->check = csum_apply(old->check, change->addr_sum);
	new->saddr = change->to.saddr;
	new->daddr = change->to.daddr;
}

/* <linux/icmp.h> cannot be included for the bpf target. */
enum {
	ICMP_ECHO_REPLY = 0,
	ICMP_DEST_UNREACH = 3,
	ICMP_ECHO_REQUEST = 8,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETERPROB = 12,
};

static __always_inline int icmp_is_error(__u8 type)
{
	return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED ||
	       type == ICMP_PARAMETERPROB;
}

#else /* IPv6 */

#define IP_ETHERTYPE ETH_P_IPV6
#define IP_ICMP IPPROTO_ICMPV6

/* The header of IPv6 (RFC 8200), with addresses of our type. */
struct ip_head {
	__be32 flow;
	__be16 payload_len;
	__u8 protocol;
	__u8 hop_limit;
	proxy_addr saddr;
	proxy_addr daddr;
};
_Static_assert(sizeof(struct ip_head) == 40, "as on the wire");

#define IP_PEEK 0
struct ip_peek {
	__be32 flow;
	__be16 payload_len;
	__u8 protocol;
	__u8 hop_limit;
	proxy_addr saddr;
};

static __always_inline void packet_set_id(struct packet *p, const struct ip_head *ip)
{
	(void)ip;
	p->id = 0;
}

/* More extension headers than any sender has a use for are malformed. */
#define IP_EXTENSIONS_MAX 8

/* The first 8 bytes of each extension header that a packet for us may have. */
struct ip_extension {
	__u8 next;
	__u8 len;      /* in units of 8 bytes, without the first */
	__be16 offset; /* of a fragment header: in units of 8 bytes << 3, IP6_MORE */
	__be32 id;     /* of a fragment header */
};

#define IP6_MORE 1

static __always_inline int ip_is_extension(__u8 proto)
{
	return proto == IPPROTO_HOPOPTS || proto == IPPROTO_ROUTING || proto == IPPROTO_DSTOPTS ||
	       proto == IPPROTO_FRAGMENT;
}

/*
 * Step over the extension headers from @p->l4 on, up to the transport header, or the end of the
 * fragment header of a later fragment. An authentication header is not one of them: what it
 * protects must not be translated. A global function: the verifier goes through its loop once.
 * Return: PROXY_OK, PROXY_MALFORMED, or PROXY_ROUTED if the destination of the packet is not its
 * last.
 */
__noinline int ip_skip_extensions(struct __sk_buff *skb, struct packet *p)
{
	struct ip_extension ext;
	__u32 off, proto;

	if (!p)
		return PROXY_FAILED;
	off = p->l4;
	proto = p->proto;

#pragma clang loop unroll(disable)
	for (int i = 0; i < IP_EXTENSIONS_MAX && ip_is_extension(proto); i++) {
		if (pkt_read(skb, off, &ext, sizeof(ext)))
			return PROXY_MALFORMED;
		/* The second byte of @offset is that of the segments left. */
		if (proto == IPPROTO_ROUTING && ext.offset & bpf_htons(0xff))
			return PROXY_ROUTED;
		off += sizeof(ext);
		if (proto == IPPROTO_FRAGMENT) {
			__u16 fragment = bpf_ntohs(ext.offset);

			p->id = ext.id;
			p->fragment = fragment >> 3 | (fragment & IP6_MORE ? IP_MF : 0);
		} else {
			off += ext.len * 8U;
		}
		proto = ext.next;
		if (p->fragment & IP_OFFSET)
			break;
	}
	p->l4 = off;
	p->proto = proto;
	if (off > p->end || (ip_is_extension(proto) && !(p->fragment & IP_OFFSET)))
		return PROXY_MALFORMED;
	return PROXY_OK;
}

static __always_inline __u32 ip_packet_len(const struct ip_head *ip)
{
	return sizeof(*ip) + bpf_ntohs(ip->payload_len);
}

static __always_inline int ip_is_plain(const struct ip_head *ip)
{
	return *(const __u8 *)ip >> 4 == 6;
}

static __always_inline enum proxy_counter packet_read_ip(struct __sk_buff *skb, struct packet *p,
							 __u32 l2_len)
{
	struct ip_head ip;
	__u32 len;

	if (pkt_read(skb, l2_len, &ip, sizeof(ip)))
		return PROXY_MALFORMED;
	len = ip_packet_len(&ip);
	if (!ip.payload_len && skb->gso_segs) /* more than 64 KB (BIG TCP, RFC 2675) */
		len = skb->len - l2_len;
	if (!ip_is_plain(&ip) || l2_len + len > skb->len)
		return PROXY_MALFORMED;

	p->l4 = l2_len + sizeof(ip);
	p->end = l2_len + len;
	p->from.saddr = ip.saddr;
	p->from.daddr = ip.daddr;
	p->proto = ip.protocol;
	return likely(!ip_is_extension(p->proto)) ? PROXY_OK : ip_skip_extensions(skb, p);
}

static __always_inline int quote_read_ip(struct __sk_buff *skb, const struct ip_head *ip,
					 struct packet *p)
{
	if (!ip_is_plain(ip))
		return 0;
	p->proto = ip->protocol;
	p->l4 += sizeof(*ip);
	return ip_skip_extensions(skb, p) == PROXY_OK && !(p->fragment & IP_OFFSET);
}

#define IP_TAIL offsetof(struct ip_head, saddr)

static __always_inline int ip_store(struct __sk_buff *skb, __u32 ip, const struct packet *p,
				    const struct tuple *to, __u16 addr_sum, __u64 flags)
{
	(void)p;
	(void)addr_sum;
	return bpf_skb_store_bytes(skb, ip + IP_TAIL, to, offsetof(struct tuple, ports), flags);
}

static __always_inline __u64 ip_check_sum(__u64 sum, const struct packet *p, __u16 addr_sum)
{
	(void)p;
	(void)addr_sum;
	return sum;
}

static __always_inline void ip_head_change(struct ip_head *new, const struct ip_head *old,
					   const struct change *change)
{
	(void)old;
	new->saddr = change->to.saddr;
	new->daddr = change->to.daddr;
}

/* <linux/icmpv6.h> cannot be included for the bpf target. */
enum {
	ICMP_DEST_UNREACH = 1,
	ICMP_PKT_TOOBIG = 2,
	ICMP_ECHO_REQUEST = 128,
	ICMP_ECHO_REPLY = 129,
};

/* Errors of types that nobody knows are reported to the sender, too (RFC 4443, 2.4). */
static __always_inline int icmp_is_error(__u8 type)
{
	return type && type < 128;
}

#endif

#endif /* BPF_PROXY_IP_H */
