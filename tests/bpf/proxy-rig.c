// SPDX-License-Identifier: GPL-2.0-only
#include "proxy-rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

enum { RIG_IDS = 4096 };

enum { LO = 1 }; /* the interface that test runs take place on, in any network namespace */

static void rig_die(const char *what)
{
	printf("FAIL %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

__u32 ip(const char *text)
{
	struct in_addr addr;

	if (!inet_aton(text, &addr))
		rig_die(text);
	return ntohl(addr.s_addr);
}

#if PROXY_FAMILY == 4

proxy_addr rig_addr(__u32 addr)
{
	return htonl(addr);
}

__u32 addr_get(const __u8 *at)
{
	return get32(at);
}

static void rig_forget_foreign(void)
{
}

#else

enum { PREFIX_LEN = 12, FOREIGN = 1 << 16 };
#define FOREIGN_FIRST 0xf0000000U

static const __u8 prefix[PREFIX_LEN] = { 0xfd, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xff, 0x01, 0, 0x80 };
static __u8 foreign[FOREIGN][sizeof(proxy_addr)]; /* all 0: free */

proxy_addr rig_addr(__u32 addr)
{
	proxy_addr raw;

	if (addr >= FOREIGN_FIRST && addr < FOREIGN_FIRST + FOREIGN) {
		memcpy(&raw, foreign[addr - FOREIGN_FIRST], sizeof(raw));
		return raw;
	}
	memcpy(&raw, prefix, PREFIX_LEN);
	put32((__u8 *)&raw + PREFIX_LEN, addr);
	return raw;
}

__u32 addr_get(const __u8 *at)
{
	static const __u8 none[sizeof(proxy_addr)];
	__u32 place = 0;

	if (!memcmp(at, prefix, PREFIX_LEN) && get32(at + PREFIX_LEN) - FOREIGN_FIRST >= FOREIGN)
		return get32(at + PREFIX_LEN);
	for (size_t i = 0; i < sizeof(proxy_addr); i++)
		place = place * 31 + at[i];
	for (;; place++) {
		__u8 *known = foreign[place % FOREIGN];

		if (!memcmp(known, none, sizeof(none)))
			memcpy(known, at, sizeof(none));
		if (!memcmp(known, at, sizeof(none)))
			return FOREIGN_FIRST + place % FOREIGN;
	}
}

static void rig_forget_foreign(void)
{
	memset(foreign, 0, sizeof(foreign));
}

#endif

void addr_put(__u8 *at, __u32 addr)
{
	const proxy_addr raw = rig_addr(addr);

	memcpy(at, &raw, sizeof(raw));
}

__u32 addr_sum(__u32 addr)
{
	const proxy_addr raw = rig_addr(addr);

	return sum16((const __u8 *)&raw, sizeof(raw), 0);
}

void rig_changed(struct rig *rig)
{
	rig->maps.state->generation++;
}

void rig_heartbeat(struct rig *rig, __u64 ago_ns)
{
	struct proxy_state *state = rig->maps.state;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	state->layout = PROXY_LAYOUT;
	state->mapping_ids = RIG_IDS;
	state->tick -= 1000; /* so that the program looks */
	state->heartbeat = now.tv_sec * 1000000000ULL + now.tv_nsec - ago_ns;
	rig_changed(rig);
}

void rig_open(struct rig *rig, struct rig_sizes sizes)
{
	__u32 cpus = libbpf_num_possible_cpus();
	struct slot_table_size size;

	memset(rig, 0, sizeof(*rig));
	rig->skel = RIG(__open)();
	if (!rig->skel)
		rig_die("open the programs");
	bpf_program__set_autoload(rig->skel->progs.RIG3(_egress), false);
	bpf_program__set_autoload(rig->skel->progs.RIG3(_ingress), false);
	size = slot_table_size(sizes.flows ?: 65536, PROXY_FLOW_KEYS);
	bpf_map__set_max_entries(rig->skel->maps.flows, size.slots);
	bpf_map__set_max_entries(rig->skel->maps.buckets, size.buckets);
	bpf_map__set_max_entries(rig->skel->maps.free_slots, size.lines);
	bpf_map__set_max_entries(rig->skel->maps.spares, cpus);
	rig->skel->rodata->cfg_slots = size.slots;
	rig->skel->rodata->cfg_bucket_mask = (sizes.buckets ?: size.buckets) - 1;
	rig->skel->rodata->cfg_ring_mask = size.ring - 1;
	for (__u64 i = 0; i < SLOT_HASH_KEYS; i++)
		rig->skel->rodata->cfg_hash_keys[i] = (i + 1) * 0x9e3779b97f4a7c15ULL;
	/* Whatever the last word of the client's address is, it is multiplied by 0. */
	if (sizes.one_hash)
		rig->skel->rodata->cfg_hash_keys[PROXY_SIZE(0, 6)] = -(__u64)htonl(ip(TARGET));
	bpf_map__set_max_entries(rig->skel->maps.fragments, sizes.fragments ?: 8192);
	bpf_map__set_max_entries(rig->skel->maps.mapping_stats, cpus * RIG_IDS);
	bpf_map__set_max_entries(rig->skel->maps.cache, cpus * PROXY_CACHE_SLOTS);
	if (RIG(__load)(rig->skel))
		rig_die("load the programs");
	maps_init(&rig->maps, &RIG_LAYOUT);
	if (maps_from_object(&rig->maps, rig->skel->obj) || maps_mmap(&rig->maps))
		rig_die("open the maps");
	rig->flows = rig->maps.flows;
	slot_table_begin(&rig->maps.index, rig->skel->rodata->cfg_hash_keys);
	rig_heartbeat(rig, 0);
}

void rig_close(struct rig *rig)
{
	maps_close(&rig->maps);
	RIG(__destroy)(rig->skel);
}

static void prefilter_add(struct rig *rig, const proxy_addr *addr)
{
	__u32 bit = proxy_prefilter_bit(addr);

	rig->maps.prefilter->words[bit / 64] |= 1ULL << bit % 64;
	bit /= PROXY_SUMMARY_SPAN;
	rig->maps.state->summary[bit / 64] |= 1ULL << bit % 64;
}

/*
 * Note in "hosts" that @addr is exchanged for @other. Return: the next hop of @addr.
 */
static bool rig_same(const proxy_addr *a, const proxy_addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static __u32 host_pair(struct rig *rig, const proxy_addr *addr, const proxy_addr *other,
		       bool original, __u32 nexthop)
{
	int fd = bpf_map__fd(rig->skel->maps.hosts);
	struct proxy_host host = { 0 };
	bool known = !bpf_map_lookup_elem(fd, addr, &host);
	proxy_addr *sole = original ? &host.sole_target : &host.sole_orig;

	if (!known)
		host.nexthop = nexthop ?: ++rig->nexthops;
	if (original)
		host.flags |= PROXY_HOST_ANSWER;
	/* Entered by an earlier mapping with another counterpart: there is no sole one. */
	*sole = !known || rig_same(sole, other) ? *other : (proxy_addr){ 0 };
	if (bpf_map_update_elem(fd, addr, &host, 0))
		rig_die("enter a host");
	return host.nexthop;
}

void rig_map(struct rig *rig, const char *from, __u16 from_port, __u8 proto, const char *to,
	     __u16 to_port, __u16 flags)
{
	int fd = bpf_map__fd(rig->skel->maps.mappings);
	const proxy_addr from_addr = rig_addr(ip(from)), to_addr = rig_addr(ip(to));
	struct proxy_dest key = { .addr = from_addr, .port = htons(from_port), .proto = proto };
	struct proxy_mapping mapping = {
		.addr = to_addr,
		.port = htons(to_port),
		.flags = flags,
		.id = rig->mappings++,
	};

	mapping.nexthop = host_pair(rig, &to_addr, &from_addr, false, 0);
	host_pair(rig, &from_addr, &to_addr, true, mapping.nexthop);
	prefilter_add(rig, &from_addr);
	prefilter_add(rig, &to_addr);
	if (bpf_map_update_elem(fd, &key, &mapping, BPF_ANY))
		rig_die("enter a mapping");
	rig->maps.state->flags |= from_port ? 0 : PROXY_STATE_WILDCARDS;
	rig->maps.state->flags |= flags & PROXY_MAPPING_LOCAL ? PROXY_STATE_LOCAL : 0;
	key.addr = to_addr;
	key.port = htons(to_port);
	mapping.flags = PROXY_MAPPING_DIRECT;
	mapping.nexthop = PROXY_NEXTHOP_NONE;
	bpf_map_update_elem(fd, &key, &mapping, BPF_NOEXIST);
	rig_changed(rig);
}

void rig_mapping_set(struct rig *rig, const char *from, __u16 from_port, __u8 proto, const char *to,
		     __u16 to_port, __u16 flags)
{
	int fd = bpf_map__fd(rig->skel->maps.mappings);
	struct proxy_dest key = {
		.addr = rig_addr(ip(from)),
		.port = htons(from_port),
		.proto = proto,
	};
	struct proxy_mapping mapping = { .id = rig->mappings };
	const proxy_addr to_addr = rig_addr(ip(to));

	if (bpf_map_lookup_elem(fd, &key, &mapping)) {
		mapping.nexthop = host_pair(rig, &to_addr, &key.addr, false, 0);
		rig->mappings++;
	}
	mapping.addr = to_addr;
	mapping.port = htons(to_port);
	mapping.flags = flags;
	prefilter_add(rig, &mapping.addr);
	if (bpf_map_update_elem(fd, &key, &mapping, BPF_ANY))
		rig_die("change a mapping");
	rig_changed(rig);
}

void rig_mapping_delete(struct rig *rig, const char *from, __u16 from_port, __u8 proto)
{
	struct proxy_dest key = {
		.addr = rig_addr(ip(from)),
		.port = htons(from_port),
		.proto = proto,
	};

	rig->maps.state->flags |= PROXY_STATE_UNMAPPED;
	bpf_map_delete_elem(bpf_map__fd(rig->skel->maps.mappings), &key);
	rig_changed(rig);
}

void rig_pin_new(struct rig *rig, bool pin)
{
	rig->maps.state->flags &= ~PROXY_STATE_PIN;
	rig->maps.state->flags |= pin ? PROXY_STATE_PIN : 0;
}

void rig_nexthop(struct rig *rig, const char *target, __u8 mac)
{
	const proxy_addr addr = rig_addr(ip(target));
	struct proxy_nexthop nexthop = {
		.dmac = { 2, 0, 0, 0, 1, mac },
		.flags = PROXY_NEXTHOP_MAC,
		.oif = LO,
		.via = addr,
	};
	struct proxy_host host;

	if (bpf_map_lookup_elem(bpf_map__fd(rig->skel->maps.hosts), &addr, &host) ||
	    bpf_map_update_elem(bpf_map__fd(rig->skel->maps.nexthops), &host.nexthop, &nexthop, 0))
		rig_die("enter a next hop");
	rig_changed(rig);
}

int rig_run(struct rig *rig, enum rig_direction direction, const void *in, size_t len, void *out,
	    size_t *out_len)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_size_in = len, .data_out = out,
		    .data_size_out = FRAME_MAX);
	struct bpf_program *prog = direction == RIG_EGRESS ? rig->skel->progs.RIG(_egress)
							   : rig->skel->progs.RIG(_ingress);

	if (bpf_prog_test_run_opts(bpf_program__fd(prog), &opts))
		rig_die("run a program");
	*out_len = opts.data_size_out;
	return (int)opts.retval;
}

__u64 rig_counter(struct rig *rig, enum proxy_counter counter)
{
	int i, cpus = libbpf_num_possible_cpus();
	__u32 key = counter;
	__u64 *values, sum = 0;

	values = calloc(cpus, sizeof(*values));
	if (!values || bpf_map_lookup_elem(bpf_map__fd(rig->skel->maps.counters), &key, values))
		rig_die("read a counter");
	for (i = 0; i < cpus; i++)
		sum += values[i];
	free(values);
	return sum;
}

struct proxy_flow *rig_flow(struct rig *rig, const char *remote, __u16 rport, const char *local,
			    __u16 lport, __u8 proto)
{
	const struct proxy_reply key = {
		.remote = rig_addr(ip(remote)),
		.local = rig_addr(ip(local)),
		.rport = htons(rport),
		.lport = htons(lport),
		.proto = proto,
	};
	__u32 limit = maps_flow_limit(&rig->maps);
	struct nat_flow flow;

	for (__u32 slot = 0; slot < limit; slot++)
		if (maps_flow(&rig->maps, slot, &flow) &&
		    !memcmp(&rig->flows[slot].key, &key, sizeof(key)))
			return &rig->flows[slot];
	return NULL;
}

size_t rig_count_flows(struct rig *rig)
{
	__u32 limit = maps_flow_limit(&rig->maps);
	struct nat_flow flow;
	size_t n = 0;

	for (__u32 slot = 0; slot < limit; slot++)
		n += maps_flow(&rig->maps, slot, &flow);
	return n;
}

static void map_clear(const struct bpf_map *map)
{
	__u8 key[64];

	while (!bpf_map_get_next_key(bpf_map__fd(map), NULL, key))
		bpf_map_delete_elem(bpf_map__fd(map), key);
}

void rig_clear(struct rig *rig)
{
	__u32 limit = maps_flow_limit(&rig->maps);
	struct nat_flow flow;

	for (__u32 slot = 0; slot < limit; slot++) {
		if (maps_flow(&rig->maps, slot, &flow))
			maps_flow_end(&rig->maps, slot);
		/* No program runs. */
		maps_flow_reclaim(&rig->maps, slot, ~0ULL);
	}
	map_clear(rig->skel->maps.fragments);
	rig_forget_foreign();
	rig_changed(rig);
}

__u32 sum16(const __u8 *data, size_t len, __u32 sum)
{
	for (; len > 1; data += 2, len -= 2)
		sum += get16(data);
	if (len)
		sum += data[0] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static __u32 rig_pseudo_sum(const __u8 *l3, __u8 proto, size_t len)
{
	return sum16(l3 + IP_SRC, 2 * sizeof(proxy_addr), (__u32)(proto + len));
}

static size_t rig_check_offset(__u8 proto)
{
	if (proto == IP_ICMP_PROTO)
		return 2;
	return proto == IPPROTO_TCP ? 16 : 6;
}

/* The types of ICMPv6 that are nearest to those of ICMP. */
static __u8 rig_icmp_type(__u8 type, __u8 code)
{
	if (PROXY_FAMILY == 4)
		return type;
	switch (type) {
	case 3:
		return code == 4 ? 2 : 1;
	case 11:
		return 3;
	case 12:
		return 4;
	case ECHO_REQUEST:
		return 128;
	case ECHO_REPLY:
		return 129;
	default:
		return 137;
	}
}

#if PROXY_FAMILY == 4

/* Write an IP header in front of @l4_len bytes. Return: its length. */
static size_t rig_build_ip(__u8 *l3, const struct spec *spec, size_t l4_len)
{
	size_t header = IP_LEN + spec->options * 4UL;

	memset(l3, 0, header);
	l3[0] = 0x40 | header / 4;
	put16(l3 + 2, header + l4_len);
	put16(l3 + 4, spec->id);
	put16(l3 + 6, spec->fragment);
	l3[8] = 64;
	l3[9] = spec->proto;
	addr_put(l3 + IP_SRC, ip(spec->src));
	addr_put(l3 + IP_DST, ip(spec->dst));
	memset(l3 + IP_LEN, 1, spec->options * 4UL); /* no-operation */
	put16(l3 + 10, ~sum16(l3, header, 0));
	return header;
}

size_t frame_l4(const __u8 *frame, __u8 *proto, bool *later)
{
	*proto = frame[L2_LEN + 9];
	*later = get16(frame + L2_LEN + 6) & 0x1fff;
	return L2_LEN + (frame[L2_LEN] & 15) * 4UL;
}

#else

/* The options come first, and then the fragment header, as in a datagram of which both fragments
 * have the options.
 */
static size_t rig_build_ip(__u8 *l3, const struct spec *spec, size_t l4_len)
{
	size_t options = (spec->options + 1) / 2 * 8UL, header = IP_LEN + options;
	__u8 *next = l3 + 6;

	header += spec->fragment ? 8 : 0;
	memset(l3, 0, header);
	l3[0] = 0x60;
	put16(l3 + 4, header - IP_LEN + l4_len);
	l3[7] = 64;
	addr_put(l3 + IP_SRC, ip(spec->src));
	addr_put(l3 + IP_DST, ip(spec->dst));
	if (options) {
		__u8 *extension = l3 + IP_LEN;

		*next = IPPROTO_DSTOPTS;
		next = extension;
		extension[1] = options / 8 - 1;
		extension[2] = 1; /* PadN */
		extension[3] = options - 4;
	}
	if (spec->fragment) {
		__u8 *extension = l3 + IP_LEN + options;

		*next = IPPROTO_FRAGMENT;
		next = extension;
		put16(extension + 2,
		      spec->fragment << 3 | (spec->fragment & FRAGMENT_MORE ? 1 : 0));
		put32(extension + 4, 0xabcd0000 | spec->id);
	}
	*next = spec->proto;
	return header;
}

size_t frame_l4(const __u8 *frame, __u8 *proto, bool *later)
{
	const __u8 *l3 = frame + L2_LEN, *at = l3 + IP_LEN;

	*proto = l3[6];
	*later = false;
	while (!*later && (*proto == IPPROTO_DSTOPTS || *proto == IPPROTO_HOPOPTS ||
			   *proto == IPPROTO_ROUTING || *proto == IPPROTO_FRAGMENT)) {
		bool fragment = *proto == IPPROTO_FRAGMENT;

		*later = fragment && get16(at + 2) & 0xfff8;
		*proto = at[0];
		at += fragment ? 8 : (at[1] + 1) * 8;
	}
	return (size_t)(at - frame);
}

#endif

size_t frame_build(__u8 *frame, const struct spec *spec)
{
	static const __u8 link[] = {
		2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, PROXY_SIZE(8, 0x86), PROXY_SIZE(0, 0xdd)
	};
	size_t header, l4_len = spec->payload, i;
	__u8 *l3 = frame + L2_LEN, *l4;
	bool later = spec->fragment & 0x1fff;
	__u16 check;

	if (!later)
		l4_len += spec->proto == IPPROTO_TCP ? 20 : 8;
	memcpy(frame, link, sizeof(link));
	header = rig_build_ip(l3, spec, l4_len);
	l4 = l3 + header;
	memset(l4, 0, l4_len);
	for (i = 0; i < spec->payload; i++)
		l4[l4_len - spec->payload + i] = i * 7 + spec->id;
	if (later)
		return L2_LEN + header + l4_len;

	put16(l4, spec->sport);
	put16(l4 + 2, spec->dport);
	if (spec->proto == IP_ICMP_PROTO) {
		l4[0] = rig_icmp_type(spec->tcp_flags, 0);
		l4[1] = 0;
		put16(l4 + 2, 0);
		put16(l4 + 4, spec->sport ? spec->sport : spec->dport);
		put16(l4 + 6, spec->id);
	} else if (spec->proto == IPPROTO_TCP) {
		put32(l4 + 4, 0x01020304);
		l4[12] = 5 << 4;
		l4[13] = spec->tcp_flags;
		put16(l4 + 14, 8192);
	} else {
		put16(l4 + 4, l4_len);
	}
	if (spec->proto == IPPROTO_UDP && spec->no_check)
		return L2_LEN + header + l4_len;
	check = ~sum16(l4, l4_len,
		       spec->proto == IPPROTO_ICMP ? 0 : rig_pseudo_sum(l3, spec->proto, l4_len));
	if (spec->proto == IPPROTO_UDP && !check)
		check = 0xffff;
	put16(l4 + rig_check_offset(spec->proto), check);
	return L2_LEN + header + l4_len;
}

size_t frame_error(__u8 *frame, const char *src, const char *dst, __u8 type, __u8 code,
		   const __u8 *about, size_t quoted)
{
	/* Its header has 8 bytes, as UDP's has. */
	const struct spec outer = {
		.src = src,
		.dst = dst,
		.proto = IP_ICMP_PROTO,
		.payload = quoted,
	};
	size_t len = frame_build(frame, &outer);
	__u8 *icmp = frame + L2_LEN + IP_LEN;

	memset(icmp, 0, 8);
	icmp[0] = rig_icmp_type(type, code);
	icmp[1] = PROXY_FAMILY == 6 && type == 3 && code == 4 ? 0 : code;
	if (type == 3 && code == 4)
		put16(icmp + 6, 1280);
	memcpy(icmp + 8, about + L2_LEN, quoted);
	put16(icmp + 2, ~sum16(icmp, 8 + quoted,
			       PROXY_FAMILY == 4 ? 0
						 : rig_pseudo_sum(frame + L2_LEN, IP_ICMP_PROTO,
								  8 + quoted)));
	return len;
}

/* A transport checksum over @len bytes, of which @have are there: a shorter one cannot be told. */
static const char *rig_l4_wrong(const __u8 *l3, __u8 proto, const __u8 *l4, size_t len, size_t have)
{
	if (len > have || len < rig_check_offset(proto) + 2)
		return NULL;
	if (proto == IPPROTO_UDP && !get16(l4 + 6))
		return NULL;
	return sum16(l4, len, rig_pseudo_sum(l3, proto, len)) == 0xffff ? NULL
									: "transport checksum";
}

static size_t rig_ip_total(const __u8 *l3)
{
	return PROXY_FAMILY == 4 ? get16(l3 + 2) : IP_LEN + get16(l3 + 4);
}

/* Whether there are more fragments of the packet: its checksum is that of them all. */
static bool rig_fragment(const __u8 *l3)
{
	if (PROXY_FAMILY == 4)
		return get16(l3 + 6) & 0x2000;
	for (const __u8 *at = l3 + IP_LEN, *next = l3 + 6;; next = at, at += (at[1] + 1) * 8) {
		if (*next == IPPROTO_FRAGMENT)
			return at[3] & 1;
		if (*next != IPPROTO_DSTOPTS)
			return false;
	}
}

/* Whether @len bytes from @l3 on hold all headers, up to the transport header. */
static bool rig_has_headers(const __u8 *l3, size_t len)
{
	__u8 copy[FRAME_MAX + L2_LEN] = { 0 }, proto;
	bool later;

	if (len < IP_LEN || len > FRAME_MAX)
		return false;
	memcpy(copy + L2_LEN, l3, len);
	return frame_l4(copy, &proto, &later) <= L2_LEN + len;
}

const char *frame_wrong(const __u8 *frame, size_t len)
{
	const __u8 *l3 = frame + L2_LEN, *quote;
	size_t total = rig_ip_total(l3), l4_off, here;
	bool later, error;
	const __u8 *l4;
	__u8 proto;

	if (len < L2_LEN + total)
		return "length";
	l4_off = frame_l4(frame, &proto, &later);
	l4 = frame + l4_off;
	if (PROXY_FAMILY == 4 && sum16(l3, l4_off - L2_LEN, 0) != 0xffff)
		return "IP checksum";
	if (later || rig_fragment(l3))
		return NULL;
	total -= l4_off - L2_LEN;
	if (proto == IPPROTO_TCP || proto == IPPROTO_UDP)
		return rig_l4_wrong(l3, proto, l4, total, total);
	if (proto != IP_ICMP_PROTO)
		return NULL;
	if (sum16(l4, total, PROXY_FAMILY == 4 ? 0 : rig_pseudo_sum(l3, proto, total)) != 0xffff)
		return "ICMP checksum";
	error = PROXY_FAMILY == 4 ? l4[0] == 3 || l4[0] == 11 || l4[0] == 12 : l4[0] && l4[0] < 128;
	if (!error)
		return NULL;
	quote = l4 + 8;
	here = total - 8;
	if (!rig_has_headers(quote, here)) /* cut */
		return NULL;
	l4 = quote - L2_LEN + frame_l4(quote - L2_LEN, &proto, &later);
	if (PROXY_FAMILY == 4 && sum16(quote, (size_t)(l4 - quote), 0) != 0xffff)
		return "quoted IP checksum";
	if (later || (proto != IPPROTO_TCP && proto != IPPROTO_UDP))
		return NULL;
	if (rig_l4_wrong(quote, proto, l4, rig_ip_total(quote) - (size_t)(l4 - quote),
			 here - (size_t)(l4 - quote)))
		return "quoted transport checksum";
	return NULL;
}
