// SPDX-License-Identifier: GPL-2.0-only
#include "proxy-model.h"

#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <string.h>

/* A transport address pair as it stands in a packet. */
struct ends {
	__u32 src, dst;
	__u16 sport, dport;
};

/* What is known of the frame at hand. */
struct model_view {
	const __u8 *in;
	__u8 *want;
	const __u8 *out;
	size_t len;
	size_t l4;  /* offset of the transport header */
	size_t end; /* offset behind the IP packet */
	__u8 proto;
	__u8 flags; /* of TCP */
	__u16 fragment;
	__u32 id;
	struct ends ends;
};

void model_clear(struct model *model)
{
	model->n_flows = model->n_pins = model->n_fragments = model->n_strangers = 0;
}

/* Checksum fields are 65535 - x where x is the sum of all else modulo 65535, and x is never 0. */
static __u16 check_moved(__u16 check, __u64 removed, __u64 added)
{
	__u64 rest = (65535U - check + added + 65535ULL * 65536 - removed % 65535) % 65535;

	return rest ? 65535 - rest : 0;
}

static __u64 sum_addrs(const struct ends *ends)
{
	return (__u64)addr_sum(ends->src) + addr_sum(ends->dst);
}

static __u64 sum_ports(const struct ends *ends)
{
	return (__u64)ends->sport + ends->dport;
}

/* Put new addresses into the IP header at @at. */
static void set_addrs(__u8 *at, const struct ends *from, const struct ends *to)
{
	if (PROXY_FAMILY == 4)
		put16(at + 10, check_moved(get16(at + 10), sum_addrs(from), sum_addrs(to)));
	addr_put(at + IP_SRC, to->src);
	addr_put(at + IP_DST, to->dst);
}

/*
 * Put the new identifier into the echo message at @at, and correct its checksum: one of 0 would be
 * wrong if all else is 0. Nobody verifies that of a quoted message (@quoted).
 */
static void set_identifier(__u8 *at, const struct ends *from, const struct ends *to, bool quoted)
{
	__u64 removed = sum_ports(from), added = sum_ports(to);

	if (PROXY_FAMILY == 6) {
		removed += sum_addrs(from);
		added += sum_addrs(to);
	}
	put16(at + 4, to->sport + to->dport); /* one of them is 0 */
	if (removed != added)
		put16(at + 2, check_moved(get16(at + 2), removed, added));
	else if (quoted && get16(at + 2) == 65535)
		put16(at + 2, 0); /* the same number */
	if (PROXY_FAMILY == 4 && !quoted && !get16(at + 2))
		put16(at + 2, 65535);
}

/* Put new ports into the transport header at @at, and correct its checksum if @have bytes hold it.
 */
static void set_ports(__u8 *at, __u8 proto, const struct ends *from, const struct ends *to,
		      size_t have, bool quoted)
{
	size_t offset = proto == IPPROTO_TCP ? 16 : 6;
	bool changes = sum_addrs(from) != sum_addrs(to) || sum_ports(from) != sum_ports(to);
	__u16 check;

	if (proto == IP_ICMP_PROTO) {
		set_identifier(at, from, to, quoted);
		return;
	}
	put16(at, to->sport);
	put16(at + 2, to->dport);
	if (have < offset + 2 || !changes)
		return;
	check = get16(at + offset);
	if (proto == IPPROTO_UDP && !check)
		return;
	check = check_moved(check, sum_addrs(from) + sum_ports(from),
			    sum_addrs(to) + sum_ports(to));
	if (proto == IPPROTO_UDP && !check)
		check = 65535;
	put16(at + offset, check);
}

static __u32 prefilter_bit(__u32 addr)
{
	const proxy_addr raw = rig_addr(addr);

	return proxy_prefilter_bit(&raw);
}

/* Whether @addr shares its bit in the prefilter with an address of a mapping. */
static bool known(const struct model *model, __u32 addr)
{
	__u32 bit = prefilter_bit(addr);
	size_t i;

	for (i = 0; i < model->n_mappings; i++)
		if (prefilter_bit(model->mappings[i].from) == bit ||
		    prefilter_bit(model->mappings[i].to) == bit)
			return true;
	return false;
}

static const struct model_mapping *find_mapping(const struct model *model, __u8 proto, __u32 addr,
						__u16 port)
{
	return model_find_mapping(model->mappings, model->n_mappings, proto, addr, port);
}

static struct model_flow *find_reply(struct model *model, __u8 proto, __u32 remote, __u16 rport,
				     __u32 local, __u16 lport)
{
	size_t i;

	for (i = 0; i < model->n_flows; i++) {
		struct model_flow *flow = &model->flows[i];

		if (flow->remote == remote && flow->rport == rport && flow->local == local &&
		    flow->lport == lport && flow->proto == proto)
			return flow;
	}
	return NULL;
}

static bool is_from(const struct model_flow *flow, const struct ends *ends)
{
	return flow && flow->client == ends->src && flow->cport == ends->sport &&
	       flow->orig == ends->dst && flow->oport == ends->dport;
}

static struct model_pin *find_pin(struct model *model, __u8 proto, const struct ends *ends)
{
	size_t i;

	for (i = 0; i < model->n_pins; i++) {
		struct model_pin *pin = &model->pins[i];

		if (pin->client == ends->src && pin->cport == ends->sport &&
		    pin->orig == ends->dst && pin->oport == ends->dport && pin->proto == proto)
			return pin;
	}
	return NULL;
}

static bool ended(const struct model_flow *flow)
{
	return flow->rst_in || flow->rst_out || (flow->fin_in && flow->fin_out);
}

static bool starts(const struct model_view *view)
{
	return (view->flags & (TCP_SYN | TCP_ACK | TCP_FIN | TCP_RST)) == TCP_SYN;
}

static void note_out(struct model_flow *flow, const struct model_view *view)
{
	if (view->flags & TCP_RST) {
		flow->rst_out = true;
		return;
	}
	flow->rst_out = false;
	flow->ack |= !!(view->flags & TCP_ACK);
	flow->fin_out |= !!(view->flags & TCP_FIN);
}

static void note_in(struct model_flow *flow, const struct model_view *view)
{
	if (view->flags & TCP_RST) {
		flow->rst_in = true;
		return;
	}
	flow->rst_in = false;
	flow->replied = true;
	flow->fin_in |= !!(view->flags & TCP_FIN);
}

/* Whether @port may stand for @old: of the same class and parity. */
static bool legal_port(__u16 old, __u16 port)
{
	return port && (old < 1024) == (port < 1024) && (old & 1) == (port & 1);
}

/*
 * The flow of a packet at egress, made if need be; without a mapping, only one that is pinned.
 * Return: NULL if there is none, for @reason.
 */
static struct model_flow *open_flow(struct model *model, const struct model_mapping *mapping,
				    const struct model_view *view, enum proxy_counter *reason,
				    const char **wrong)
{
	const struct ends *ends = &view->ends;
	__u32 remote = mapping ? mapping->to : 0;
	__u16 rport = mapping && mapping->to_port ? mapping->to_port : ends->dport;
	bool direct = mapping && mapping->flags & PROXY_MAPPING_DIRECT;
	bool tcp = view->proto == IPPROTO_TCP, pin = model->pin_new;
	struct model_flow *flow, *fresh, *other;
	struct model_pin *pinned = NULL;

	*reason = PROXY_OK;
	flow = find_reply(model, view->proto, remote, rport, ends->src, ends->sport);
	if (!is_from(flow, ends)) {
		flow = NULL;
		pinned = find_pin(model, view->proto, ends);
		if (pinned) {
			bool moved = pinned->remote != remote || pinned->rport != rport;

			flow = find_reply(model, view->proto, pinned->remote, pinned->rport,
					  ends->src, pinned->lport);
			if (moved && (!tcp || !flow || (ended(flow) && starts(view)))) {
				*pinned = model->pins[--model->n_pins];
				if (tcp && flow)
					*flow = model->flows[--model->n_flows];
				pinned = NULL;
				flow = NULL;
			}
		}
	}
	if (flow && !(tcp && ended(flow) && starts(view)))
		return flow;
	if (!mapping)
		return NULL;
	if (flow) {
		flow->ack = flow->replied = flow->fin_in = flow->fin_out = false;
		flow->rst_in = flow->rst_out = false;
		return flow;
	}
	if (tcp && !starts(view)) {
		__u8 kind = view->flags & (TCP_SYN | TCP_ACK | TCP_RST);

		if (kind == (TCP_SYN | TCP_ACK) && !direct) {
			/* The original itself has opened this one. */
			remote = ends->dst;
			rport = ends->dport;
			direct = pin = true;
		} else if (kind != TCP_ACK) {
			*reason = direct ? PROXY_OK : PROXY_NO_FLOW;
			return NULL;
		}
	}
	if (model->n_flows == MODEL_FLOWS || model->n_pins == MODEL_FLOWS) {
		*wrong = "too many flows for the model";
		return NULL;
	}
	fresh = &model->flows[model->n_flows];
	*fresh = (struct model_flow){
		.proto = view->proto,
		.client = ends->src,
		.local = ends->src,
		.cport = ends->sport,
		.orig = ends->dst,
		.oport = ends->dport,
		.remote = remote,
		.rport = rport,
		.lport = ends->sport,
		.direct = direct,
		.mac = mapping->mac && !direct,
	};
	other = find_reply(model, view->proto, remote, rport, ends->src, ends->sport);
	if (is_from(other, ends)) { /* left from before the mapping pointed elsewhere */
		*other = *fresh;
		fresh = other;
	} else if (other) {
		__u16 port = get16(view->out + view->l4 + (view->proto == IP_ICMP_PROTO ? 4 : 0));

		if (!legal_port(ends->sport, port)) {
			*wrong = "the new source port is not of the same kind";
			return NULL;
		}
		if (find_reply(model, view->proto, remote, rport, ends->src, port)) {
			*wrong = "the new source port is in use";
			return NULL;
		}
		fresh->lport = port;
		model->counters[PROXY_PORTS]++;
	}
	if (pin || fresh->lport != fresh->cport)
		model->pins[model->n_pins++] = (struct model_pin){
			.proto = view->proto,
			.client = ends->src,
			.cport = ends->sport,
			.orig = ends->dst,
			.oport = ends->dport,
			.remote = remote,
			.rport = rport,
			.lport = fresh->lport,
		};
	model->counters[PROXY_FLOWS]++;
	model->n_flows += fresh == &model->flows[model->n_flows];
	return fresh;
}

static bool unchanged(const struct model_flow *flow)
{
	return flow->direct && flow->lport == flow->cport;
}

static void set_mac(const struct model *model, const struct model_view *view)
{
	memcpy(view->want, model->nexthop, sizeof(model->nexthop));
}

static struct model_fragment *find_fragment(struct model_fragment *list, size_t n,
					    const struct model_view *view, bool out, __u32 id)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (list[i].src == view->ends.src && list[i].dst == view->ends.dst &&
		    (PROXY_FAMILY == 6 || list[i].proto == view->proto) && list[i].out == out &&
		    list[i].id == id)
			return &list[i];
	return NULL;
}

static void model_first_fragment(struct model *model, const struct model_view *view, bool out,
				 __u32 addr, bool mac)
{
	struct model_fragment fragment = {
		.src = view->ends.src,
		.dst = view->ends.dst,
		.addr = addr,
		.id = view->id,
		.proto = view->proto,
		.out = out,
		.mac = mac,
	};
	struct model_fragment *old =
		find_fragment(model->fragments, model->n_fragments, view, out, view->id);

	*(old ? old : &model->fragments[model->n_fragments++]) = fragment;
	fragment.id = 0;
	if (!addr && !find_fragment(model->strangers, model->n_strangers, view, out, 0))
		model->strangers[model->n_strangers++] = fragment;
}

/* The only address that @addr is exchanged for in any mapping, or 0. */
static __u32 counterpart(const struct model *model, __u32 addr, bool out, bool *mac, bool *listed)
{
	__u32 found = 0;
	size_t i;

	*listed = *mac = false;
	for (i = 0; i < model->n_mappings; i++) {
		const struct model_mapping *mapping = &model->mappings[i];
		__u32 other;

		if (mapping->flags & PROXY_MAPPING_DIRECT)
			continue;
		if (mapping->from == addr || mapping->to == addr)
			*listed = true;
		if ((out ? mapping->from : mapping->to) != addr)
			continue;
		other = out ? mapping->to : mapping->from;
		if (found && found != other)
			return 0;
		found = other;
		*mac = out && mapping->mac;
	}
	return found;
}

static enum proxy_counter later_fragment(struct model *model, const struct model_view *view,
					 bool out)
{
	struct model_fragment *fragment =
		find_fragment(model->fragments, model->n_fragments, view, out, view->id);
	struct ends to = view->ends;
	bool mac, listed;
	__u32 addr;

	if (!fragment && view->proto == IP_ICMP_PROTO) {
		const struct model_mapping *echo =
			find_mapping(model, view->proto, out ? view->ends.dst : view->ends.src, 0);

		if (!echo || out == !!(echo->flags & PROXY_MAPPING_DIRECT))
			return PROXY_OK;
	}
	if (fragment) {
		addr = fragment->addr;
		mac = fragment->mac;
		if (!addr)
			return PROXY_OK;
	} else {
		addr = counterpart(model, out ? view->ends.dst : view->ends.src, out, &mac,
				   &listed);
		if (!listed)
			return PROXY_OK;
		if (!addr || find_fragment(model->strangers, model->n_strangers, view, out, 0))
			return PROXY_FRAGMENT;
		model->counters[PROXY_GUESSED]++;
	}
	if (out)
		to.dst = addr;
	else
		to.src = addr;
	set_addrs(view->want + L2_LEN, &view->ends, &to);
	if (mac)
		set_mac(model, view);
	model->last_translated = true;
	return PROXY_OK;
}

static enum proxy_counter read_ports(struct model_view *view)
{
	const __u8 *l4 = view->in + view->l4;
	size_t have = view->end - view->l4, need;

	if (view->proto == IP_ICMP_PROTO) /* model_icmp() has read it */
		return PROXY_OK;
	if (view->proto == IPPROTO_TCP) {
		if (have < 20)
			return PROXY_MALFORMED;
		need = (l4[12] >> 4) * 4UL;
		if (need < 20 || need > have)
			return PROXY_MALFORMED;
		view->flags = l4[13];
	} else {
		if (have < 8)
			return PROXY_MALFORMED;
		need = get16(l4 + 4);
		if (need < 8 || (!view->fragment && need > have))
			return PROXY_MALFORMED;
		if (PROXY_FAMILY == 6 && !get16(l4 + 6))
			return PROXY_NO_CHECKSUM;
		view->flags = 0;
	}
	view->ends.sport = get16(l4);
	view->ends.dport = get16(l4 + 2);
	return PROXY_OK;
}

static void translate(struct model *model, const struct model_view *view, const struct ends *to)
{
	set_addrs(view->want + L2_LEN, &view->ends, to);
	set_ports(view->want + view->l4, view->proto, &view->ends, to, view->end - view->l4, false);
	model->last_translated = true;
}

static enum proxy_counter ports_out(struct model *model, struct model_view *view,
				    const char **wrong)
{
	const struct model_mapping *mapping;
	enum proxy_counter reason;
	struct model_flow *flow;
	struct ends to;

	reason = read_ports(view);
	if (reason != PROXY_OK)
		return reason;
	mapping = find_mapping(model, view->proto, view->ends.dst, view->ends.dport);
	flow = open_flow(model, mapping, view, &reason, wrong);
	if (!flow && !mapping && view->fragment)
		model_first_fragment(model, view, true, 0, false);
	if (!flow)
		return reason;
	note_out(flow, view);
	if (view->fragment)
		model_first_fragment(model, view, true, unchanged(flow) ? 0 : flow->remote,
				     flow->mac);
	if (unchanged(flow))
		return PROXY_OK;
	to = (struct ends){
		.src = view->ends.src,
		.sport = flow->lport,
		.dst = flow->remote,
		.dport = flow->rport,
	};
	translate(model, view, &to);
	if (flow->mac)
		set_mac(model, view);
	return PROXY_OK;
}

static enum proxy_counter ports_in(struct model *model, struct model_view *view)
{
	enum proxy_counter reason = read_ports(view);
	struct model_flow *flow;
	struct ends to;

	if (reason != PROXY_OK)
		return reason;
	flow = find_reply(model, view->proto, view->ends.src, view->ends.sport, view->ends.dst,
			  view->ends.dport);
	if (flow)
		note_in(flow, view);
	if (!flow || unchanged(flow)) {
		if (view->fragment)
			model_first_fragment(model, view, false, 0, false);
		return PROXY_OK;
	}
	if (view->fragment)
		model_first_fragment(model, view, false, flow->orig, false);
	to = (struct ends){
		.src = flow->orig,
		.sport = flow->oport,
		.dst = view->ends.dst,
		.dport = flow->cport,
	};
	translate(model, view, &to);
	return PROXY_OK;
}

#if PROXY_FAMILY == 4

static bool is_error(__u8 type)
{
	return type == 3 || type == 11 || type == 12;
}

static bool may_have_ports(__u8 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IP_ICMP_PROTO;
}

/* Read the IP header at @at; what a quote says of its length may be more than there is of it. */
static enum proxy_counter read_ip(struct model_view *view, size_t at, bool quote)
{
	const __u8 *l3 = view->in + at;
	size_t end = quote ? view->end : view->len, total, header;

	if (at + IP_LEN > view->len)
		return PROXY_MALFORMED;
	total = get16(l3 + 2);
	header = (l3[0] & 15) * 4UL;
	if (l3[0] >> 4 != 4 || header < 20 || (!quote && (total < header || at + total > end)))
		return PROXY_MALFORMED;
	view->l4 = at + header;
	view->end = at + total < end ? at + total : end;
	view->proto = l3[9];
	view->id = get16(l3 + 4);
	view->fragment = get16(l3 + 6) & 0x3fff;
	view->ends.src = addr_get(l3 + IP_SRC);
	view->ends.dst = addr_get(l3 + IP_DST);
	return PROXY_OK;
}

#else

static bool is_error(__u8 type)
{
	return type > 0 && type < 128;
}

static bool is_extension(__u8 proto)
{
	return proto == IPPROTO_HOPOPTS || proto == IPPROTO_DSTOPTS || proto == IPPROTO_ROUTING ||
	       proto == IPPROTO_FRAGMENT;
}

static bool may_have_ports(__u8 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IP_ICMP_PROTO ||
	       is_extension(proto);
}

static enum proxy_counter read_ip(struct model_view *view, size_t at, bool quote)
{
	const __u8 *l3 = view->in + at;
	size_t end = quote ? view->end : view->len, total, off = at + IP_LEN;

	if (off > view->len)
		return PROXY_MALFORMED;
	total = IP_LEN + get16(l3 + 4);
	if (l3[0] >> 4 != 6 || (!quote && at + total > end))
		return PROXY_MALFORMED;
	view->end = at + total < end ? at + total : end;
	view->proto = l3[6];
	view->fragment = 0;
	view->id = 0;
	view->ends.src = addr_get(l3 + IP_SRC);
	view->ends.dst = addr_get(l3 + IP_DST);
	for (int i = 0; is_extension(view->proto); i++) {
		const __u8 *header = view->in + off;

		if (i == 8 || off + 8 > view->len)
			return PROXY_MALFORMED;
		if (view->proto == IPPROTO_ROUTING && header[3])
			return PROXY_ROUTED;
		if (view->proto == IPPROTO_FRAGMENT) {
			view->fragment = get16(header + 2) >> 3 | (header[3] & 1) << 13;
			view->id = get32(header + 4);
			off += 8;
		} else {
			off += 8 + header[1] * 8UL;
		}
		view->proto = header[0];
		if (view->fragment & 0x1fff)
			break;
	}
	view->l4 = off;
	return off > view->end ? PROXY_MALFORMED : PROXY_OK;
}

#endif

/* Whether the ICMP message at @at is an echo request (@request) or reply; its @ends are set then.
 */
static bool model_read_echo(const __u8 *at, size_t have, bool request, struct ends *ends)
{
	const __u8 wanted = PROXY_FAMILY == 4 ? (request ? 8 : 0) : (request ? 128 : 129);

	if (have < 8 || at[0] != wanted)
		return false;
	ends->sport = request ? get16(at + 4) : 0;
	ends->dport = request ? 0 : get16(at + 4);
	return true;
}

static enum proxy_counter error(struct model *model, const struct model_view *view, bool out)
{
	const __u8 *icmp = view->in + view->l4, *quote = icmp + 8;
	size_t have = view->end - view->l4;
	struct ends inside, to, outer = view->ends;
	struct model_flow *flow = NULL;
	__u8 *want = view->want + view->l4;
	struct model_view quoted = { .in = view->in, .len = view->len, .end = view->end };

	if (view->fragment || have < 8 + IP_LEN || !is_error(icmp[0]))
		return PROXY_OK;
	if (read_ip(&quoted, view->l4 + 8, true) != PROXY_OK || quoted.fragment & 0x1fff ||
	    quoted.l4 + 8 > quoted.end)
		return PROXY_OK;
	inside = quoted.ends;
	if (quoted.proto == IP_ICMP_PROTO) {
		if (!model_read_echo(view->in + quoted.l4, quoted.end - quoted.l4, !out, &inside))
			return PROXY_OK;
	} else if (quoted.proto == IPPROTO_TCP || quoted.proto == IPPROTO_UDP) {
		inside.sport = get16(view->in + quoted.l4);
		inside.dport = get16(view->in + quoted.l4 + 2);
	} else {
		return PROXY_OK;
	}
	to = inside;
	if (out) {
		const struct ends sent = {
			.src = inside.dst,
			.dst = inside.src,
			.sport = inside.dport,
			.dport = inside.sport,
		};
		const struct model_mapping *mapping =
			find_mapping(model, quoted.proto, sent.dst, sent.dport);
		struct model_pin *pin = find_pin(model, quoted.proto, &sent);

		if (mapping)
			flow = find_reply(model, quoted.proto, mapping->to,
					  mapping->to_port ? mapping->to_port : sent.dport,
					  sent.src, sent.sport);
		if (!is_from(flow, &sent))
			flow = pin ? find_reply(model, quoted.proto, pin->remote, pin->rport,
						sent.src, pin->lport)
				   : NULL;
		if (!flow)
			return !mapping || mapping->flags & PROXY_MAPPING_DIRECT ? PROXY_OK
										 : PROXY_ICMP;
		to.src = flow->remote;
		to.sport = flow->rport;
		to.dport = flow->lport;
		if (outer.dst == flow->orig)
			outer.dst = flow->remote;
	} else {
		flow = find_reply(model, quoted.proto, inside.dst, inside.dport, inside.src,
				  inside.sport);
		if (!flow)
			return PROXY_OK;
		to.dst = flow->orig;
		to.dport = flow->oport;
		to.sport = flow->cport;
		if (outer.src == flow->remote)
			outer.src = flow->orig;
	}
	if (unchanged(flow))
		return PROXY_OK;
	set_addrs(want + 8, &inside, &to);
	set_ports(view->want + quoted.l4, quoted.proto, &inside, &to, quoted.end - quoted.l4, true);
	/* All that has changed lies on even offsets. */
	put16(want + 2, check_moved(get16(icmp + 2),
				    sum16(quote, (have - 8) & ~1UL, 0) +
					    (PROXY_FAMILY == 6 ? sum_addrs(&view->ends) : 0),
				    sum16(want + 8, (have - 8) & ~1UL, 0) +
					    (PROXY_FAMILY == 6 ? sum_addrs(&outer) : 0)));
	set_addrs(view->want + L2_LEN, &view->ends, &outer);
	if (out && flow->mac)
		set_mac(model, view);
	model->last_translated = true;
	return PROXY_OK;
}

/* @ours: the other side has an address that may be ours. */
static enum proxy_counter model_icmp(struct model *model, struct model_view *view, bool out,
				     bool ours, const char **wrong)
{
	const __u8 *icmp = view->in + view->l4;

	view->flags = 0;
	if (ours && model_read_echo(icmp, view->end - view->l4, out, &view->ends))
		return out ? ports_out(model, view, wrong) : ports_in(model, view);
	if (ours && view->fragment)
		model_first_fragment(model, view, out, 0, false);
	return error(model, view, out);
}

/* What is to become of the frame in @view: the reason, or PROXY_OK with the result in view->want.
 */
static enum proxy_counter model_judge(struct model *model, bool out, struct model_view *view,
				      const char **wrong)
{
	/* What the programs look at first ends with the source, or with the destination. */
	const size_t peek = L2_LEN + (out ? IP_DST : IP_SRC) + sizeof(proxy_addr);
	const __u8 *l3 = view->in + L2_LEN;
	enum proxy_counter reason;
	bool ours;

	if (view->len < peek || get16(view->in + 12) != PROXY_SIZE(0x0800, 0x86dd))
		return PROXY_OK;
	ours = known(model, addr_get(l3 + (out ? IP_DST : IP_SRC)));
	if (!ours && (out || l3[IP_PROTO] != IP_ICMP_PROTO))
		return PROXY_OK;
	reason = read_ip(view, L2_LEN, false);
	if (reason != PROXY_OK)
		return ours ? reason : PROXY_OK;
	if (view->fragment & 0x1fff)
		return ours && may_have_ports(view->proto) ? later_fragment(model, view, out)
							   : PROXY_OK;
	if (view->proto == IP_ICMP_PROTO)
		return model_icmp(model, view, out, ours, wrong);
	if (view->proto != IPPROTO_TCP && view->proto != IPPROTO_UDP)
		return PROXY_OK;
	return out ? ports_out(model, view, wrong) : ports_in(model, view);
}

const char *model_step(struct model *model, enum rig_direction direction, const __u8 *in,
		       size_t len, const __u8 *out, size_t out_len, int verdict, __u8 *want)
{
	struct model_view view = { .in = in, .out = out, .want = want, .len = len };
	const char *wrong = NULL;
	enum proxy_counter reason;

	model->last_translated = false;
	memcpy(want, in, len);
	if (model->n_fragments == MODEL_FRAGMENTS || model->n_strangers == MODEL_FRAGMENTS)
		return "too many fragments for the model";
	if (out_len != len)
		return "length";
	reason = model_judge(model, direction == RIG_EGRESS, &view, &wrong);
	if (wrong)
		return wrong;
	if (reason != PROXY_OK)
		model->counters[reason]++;
	model->translated += model->last_translated;
	if (verdict != TC_ACT_UNSPEC)
		return "verdict";
	return memcmp(out, want, len) ? "frame" : NULL;
}
