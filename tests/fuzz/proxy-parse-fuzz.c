// SPDX-License-Identifier: GPL-2.0-only
/*
 * The input is an IP packet at a hook of proxy: eight bytes of what the kernel knows about it and
 * of its new addresses, then the frame. bpf/proxy-parse.h and bpf/proxy-rewrite.h, compiled for
 * this machine, have to treat it alike however much of it is in the linear part, and to change
 * nothing but addresses, ports and checksums.
 */
#include "bpf-native.h"

#include "../../bpf/proxy-parse.h"
#include "../../bpf/proxy-rewrite.h"

#include "fuzz.h"

enum { META = 8, FRAME_MAX = 4096 };

struct parse_outcome {
	enum proxy_counter reason;
	struct packet p;
	int quoted;
	struct quote quote;
	__u8 after[FRAME_MAX]; /* the frame when it has been rewritten */
};

static void read_packet(struct native_skb *skb, struct parse_outcome *out)
{
	struct packet plain;

	out->reason = packet_read_other(skb, &out->p, ETH_HLEN);
	MUST(out->reason == PROXY_OK || out->reason == PROXY_MALFORMED ||
	     (PROXY_FAMILY == 6 &&
	      (out->reason == PROXY_ROUTED || out->reason == PROXY_NO_CHECKSUM)));
	memset(&plain, 0, sizeof(plain));
	/* The programs look at the EtherType before; what is behind it may be anything. */
	if (packet_read_plain(skb, &plain))
		MUST(out->reason == PROXY_OK && !memcmp(&plain, &out->p, sizeof(plain)));
	if (out->reason != PROXY_OK)
		return;
	MUST(out->p.l4 <= out->p.end && out->p.end <= skb->len);
	if (packet_has_ports(&out->p))
		MUST(out->p.headers >= out->p.l4 + 8 && out->p.headers <= out->p.end);
	if (out->p.proto != IP_ICMP)
		return;
	out->quoted = !quote_read(skb, &out->p, &out->quote, ICMP_ECHO_REQUEST);
	if (!out->quoted)
		return;
	/* Of an echo message, it is where the last 4 bytes of its header lie. */
	MUST(out->quote.p.l4 + (out->quote.p.proto == IP_ICMP ? 4 : 8) <= out->quote.p.end);
	MUST(out->quote.p.end <= out->p.end);
}

/* Whether the fields of the IP header, transport and checksums are all that differs. */
static void must_differ_in_fields_only(const struct parse_outcome *out, const uint8_t *frame,
				       __u32 len)
{
	const struct packet *p = &out->p;
	__u32 check = p->l4 + (p->proto == IPPROTO_UDP ? offsetof(struct udphdr, check)
						       : offsetof(struct tcphdr, check));

	for (__u32 i = 0; i < len; i++) {
		bool field = (i >= ETH_HLEN + IP_TAIL && i < ETH_HLEN + sizeof(struct ip_head)) ||
			     (i >= p->l4 && i < p->l4 + 4) || i == check || i == check + 1;

		MUST(field || out->after[i] == frame[i]);
	}
}

static void rewrite(struct native_skb *skb, struct parse_outcome *out, const uint8_t *data)
{
	const __u8 *ip = skb->bytes + ETH_HLEN;
	__u32 ip_len = out->p.l4 - ETH_HLEN, before = native_sum(0, ip, ip_len);
	struct change change;
	struct tuple to = { .saddr = out->p.from.saddr };

	to.daddr = out->p.from.daddr;
	memcpy((__u8 *)&to.daddr + sizeof(to.daddr) - 4, data + 2, 4);
	memcpy(&to.ports, data + 4, 4);
	change.to = to;
	change_measure(&change, &out->p);
	/* The checksum of TCP may lie behind the end of a first fragment. */
	if (packet_rewrite(skb, &out->p, &change, NULL))
		return;
	MUST(!memcmp(ip + offsetof(struct ip_head, daddr), &to.daddr, sizeof(to.daddr)));
	MUST(!memcmp(skb->bytes + out->p.l4, &to.ports, 4));
	/* A right checksum stays right, and a wrong one as wrong. That of IPv6 is in the transport.
	 */
	if (PROXY_FAMILY == 4)
		MUST(native_sum_same(native_sum(0, ip, ip_len), before));
	memcpy(out->after, skb->bytes, skb->len);
}

static void parse_run(const uint8_t *data, __u32 len, __u32 linear, struct parse_outcome *out)
{
	struct native_skb skb;

	memset(out, 0, sizeof(*out));
	native_skb_init(&skb, data + META, len, linear);
	skb.summed = *data % 3;
	read_packet(&skb, out);
	if (out->reason == PROXY_OK && packet_has_ports(&out->p)) {
		memcpy(out->after, skb.bytes, len);
		rewrite(&skb, out, data);
		must_differ_in_fields_only(out, data + META, len);
	}
	native_skb_free(&skb);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct parse_outcome whole, part;
	__u32 len;

	if (size < META || size - META > FRAME_MAX)
		return 0;
	len = (__u32)size - META;
	parse_run(data, len, len, &whole);
	parse_run(data, len, data[1] < len ? data[1] : len, &part);
	MUST(part.reason == whole.reason && !memcmp(&part.p, &whole.p, sizeof(part.p)));
	MUST(part.quoted == whole.quoted &&
	     (!part.quoted || !memcmp(&part.quote, &whole.quote, sizeof(part.quote))));
	MUST(!memcmp(part.after, whole.after, len));
	return 0;
}
