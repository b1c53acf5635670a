// SPDX-License-Identifier: GPL-2.0-only
/*
 * The same packets through two translators, packet by packet: what comes out at the other side of
 * either has to be equal, but for the source port that a translator picks when two flows collide.
 *
 *	nat-twin FAMILY STEPS SEED CLIENT_A TARGET_A CLIENT_B TARGET_B
 *
 * FAMILY is 4 or 6: the IPv6 address of each host is fd00::a.b.c.d. The last four are network
 *namespaces below /run/netns, with an eth0 towards their translator, whose MAC address there is
 *ROUTER_MAC. Nobody in them has an IP address: this program is the clients and the targets. After
 *each step it sends a datagram that nobody translates; when that has come out, all that will come
 *out has.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "random.h"

enum { TWINS = 2, FLOWS = 160, PACKET_MAX = 2000, OUTPUTS = 16, OPTIONS_MAX = 40 };
enum { EXTENSION_MAX = 64, OPTION_SKIP = 0x1e }; /* an option that routers skip (RFC 4727) */
enum side { CLIENT, TARGET };
enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16 };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const uint8_t router_mac[] = { 2, 0, 0, 0, 0, 1 };
static const char *const twin_names[] = { "first", "second" };

/* Host byte order throughout. */
#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))
static const uint32_t target = IP(10, 0, 0, 138);
static const uint32_t clients[] = { IP(192, 168, 1, 2), IP(192, 168, 1, 3) };
static const uint32_t mark_client = IP(192, 168, 1, 9), mark_target = IP(10, 0, 0, 200);

/* Where clients send to; the first two are mapped to the third. */
static const struct {
	uint32_t addr;
	uint16_t port;
} servers[] = {
	{ IP(10, 0, 0, 10), 12345 },
	{ IP(10, 0, 0, 11), 12345 },
	{ IP(10, 0, 0, 138), 23456 },
	{ IP(10, 0, 0, 10), 80 },
};
enum { MAPPED = 2, TARGET_PORT = 23456 };

struct twin_packet {
	uint8_t data[PACKET_MAX];
	size_t len;
};

/* What came out of a translator in one step. */
struct outputs {
	struct twin_packet packets[OUTPUTS];
	size_t n;
};

struct twin_flow {
	uint8_t proto;
	uint32_t client, server;
	uint16_t cport, sport;
	uint32_t answers; /* the address that replies come from */
	uint16_t answers_port;
	uint16_t port[TWINS]; /* the client's port as the target has seen it; 0: nothing yet */
	/* TCP */
	int stage;
	uint32_t client_seq, server_seq;
	/* The last packet that each side has got, for errors about it. */
	struct twin_packet got[TWINS][2];
};

static int sockets[TWINS][2];
static struct twin_flow flows[FLOWS];
static uint64_t steps, packets, compared, ported, failures;
/* Ports that one translator has changed and the other has not, by the reason. */
static uint64_t once_picked, once_refused, once_otherwise;
static uint16_t next_id, next_port = 20000;
static bool ipv6;
/* The flow that has a port of a client at the target, by what the client itself uses. */
struct holder {
	uint32_t server;
	uint16_t sport, cport; /* 0: none has it */
	bool refused;	       /* a connection, by its target */
};
static struct holder holders[TWINS][2][COUNT(clients)][UINT16_MAX + 1];

static void twin_die(const char *what)
{
	fprintf(stderr, "nat-twin: cannot %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static uint16_t twin_get16(const uint8_t *at)
{
	return at[0] << 8 | at[1];
}

static uint32_t twin_get32(const uint8_t *at)
{
	return (uint32_t)twin_get16(at) << 16 | twin_get16(at + 2);
}

static void twin_put16(uint8_t *at, uint16_t value)
{
	at[0] = value >> 8;
	at[1] = value;
}

static void twin_put32(uint8_t *at, uint32_t value)
{
	twin_put16(at, value >> 16);
	twin_put16(at + 2, value);
}

static uint32_t sum16(const uint8_t *data, size_t len, uint32_t sum)
{
	for (; len > 1; data += 2, len -= 2)
		sum += twin_get16(data);
	if (len)
		sum += data[0] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint32_t get_addr(const uint8_t *at)
{
	static const uint8_t prefix[12] = { 0xfd };

	if (!ipv6)
		return twin_get32(at);
	return memcmp(at, prefix, sizeof(prefix)) ? 0 : twin_get32(at + sizeof(prefix));
}

static void put_addr(uint8_t *at, uint32_t addr)
{
	if (ipv6) {
		memset(at, 0, 12);
		at[0] = 0xfd;
		at += 12;
	}
	twin_put32(at, addr);
}

/* Where the headers of a packet are. */
struct twin_ip {
	uint8_t proto;
	size_t len;	    /* of all headers before the transport header */
	size_t total;	    /* of the packet, as it says itself */
	size_t fragment_id; /* its place if there is a fragment header of IPv6, else 0 */
	size_t offset;	    /* of a fragment, in bytes */
	bool more;	    /* fragments */
};

static struct twin_ip twin_ip(const uint8_t *ip)
{
	struct twin_ip it = { 0 };
	uint16_t fragment = twin_get16(ip + 6);

	if (!ipv6) {
		it.proto = ip[9];
		it.len = (ip[0] & 15) * 4UL;
		it.total = twin_get16(ip + 2);
		it.offset = (fragment & 0x1fff) * 8UL;
		it.more = fragment & 0x2000;
		return it;
	}
	it.proto = ip[6];
	it.len = 40;
	it.total = 40UL + twin_get16(ip + 4);
	while (it.len < 40 + EXTENSION_MAX) {
		const uint8_t *header = ip + it.len;

		if (it.proto == IPPROTO_FRAGMENT) {
			fragment = twin_get16(header + 2);
			it.fragment_id = it.len + 4;
			it.offset = fragment & 0xfff8;
			it.more = fragment & 1;
			it.len += 8;
		} else if (it.proto == IPPROTO_HOPOPTS || it.proto == IPPROTO_DSTOPTS) {
			it.len += 8UL * (1 + header[1]);
		} else {
			break;
		}
		it.proto = header[0];
	}
	return it;
}

/* What the addresses, the protocol and the length add to a transport checksum. */
static uint32_t twin_pseudo_sum(const uint8_t *ip, uint8_t proto, size_t len)
{
	return sum16(ip + (ipv6 ? 8 : 12), ipv6 ? 32 : 8, proto + len);
}

static size_t twin_check_offset(uint8_t proto)
{
	return proto == IPPROTO_TCP ? 16 : proto == IPPROTO_UDP ? 6 : 2;
}

static bool twin_has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP;
}

static bool twin_is_fragment(const struct twin_ip *it)
{
	return it->more || it->offset;
}

/* --- building ------------------------------------------------------------------------------- */

static void set_ip_check(uint8_t *ip)
{
	if (ipv6)
		return;
	twin_put16(ip + 10, 0);
	twin_put16(ip + 10, ~sum16(ip, twin_ip(ip).len, 0));
}

static void set_l4_check(uint8_t *ip, size_t len)
{
	struct twin_ip it = twin_ip(ip);
	uint8_t *l4 = ip + it.len;
	size_t l4_len = len - it.len;
	uint16_t check;

	twin_put16(l4 + twin_check_offset(it.proto), 0);
	check = ~sum16(l4, l4_len, twin_pseudo_sum(ip, it.proto, l4_len));
	if (it.proto == IPPROTO_UDP && !check)
		check = 0xffff;
	twin_put16(l4 + twin_check_offset(it.proto), check);
}

/* @options: bytes of IPv4 options, or of one extension header of IPv6. */
static void ip_begin(struct twin_packet *packet, uint8_t proto, uint32_t src, uint32_t dst,
		     size_t options)
{
	uint8_t *ip = packet->data, *extension = ip + 40;

	next_id++;
	if (!ipv6) {
		memset(ip, 0, 20);
		ip[0] = 0x40 | (20 + options) / 4;
		twin_put16(ip + 4, next_id);
		ip[8] = 64;
		ip[9] = proto;
		put_addr(ip + 12, src);
		put_addr(ip + 16, dst);
		memset(ip + 20, 1, options); /* no-operation */
		packet->len = 20 + options;
		return;
	}
	twin_put32(ip, 6U << 28 | (uint32_t)next_id << 8); /* traffic class and flow label, too */
	ip[6] = proto;
	ip[7] = 64;
	put_addr(ip + 8, src);
	put_addr(ip + 24, dst);
	packet->len = 40 + options;
	if (!options)
		return;
	ip[6] = next_id & 1 ? IPPROTO_HOPOPTS : IPPROTO_DSTOPTS;
	memset(extension, next_id, options);
	extension[0] = proto;
	extension[1] = options / 8 - 1;
	extension[2] = OPTION_SKIP;
	extension[3] = options - 4;
}

static void ip_end(struct twin_packet *packet)
{
	if (ipv6)
		twin_put16(packet->data + 4, packet->len - 40);
	else
		twin_put16(packet->data + 2, packet->len);
	set_ip_check(packet->data);
}

static void add_payload(struct twin_packet *packet, size_t len, uint8_t seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		packet->data[packet->len++] = seed + i * 31;
}

static void build_udp(struct twin_packet *packet, uint32_t src, uint16_t sport, uint32_t dst,
		      uint16_t dport, size_t payload, uint8_t seed, size_t options, bool checked)
{
	uint8_t *udp;

	ip_begin(packet, IPPROTO_UDP, src, dst, options);
	udp = packet->data + packet->len;
	twin_put16(udp, sport);
	twin_put16(udp + 2, dport);
	twin_put16(udp + 4, 8 + payload);
	twin_put16(udp + 6, 0);
	packet->len += 8;
	add_payload(packet, payload, seed);
	if (checked)
		set_l4_check(packet->data, packet->len);
	ip_end(packet);
}

static void build_tcp(struct twin_packet *packet, uint32_t src, uint16_t sport, uint32_t dst,
		      uint16_t dport, uint8_t flags, uint32_t seq, uint32_t ack, size_t payload,
		      uint8_t seed, size_t options)
{
	uint8_t *tcp;

	ip_begin(packet, IPPROTO_TCP, src, dst, options);
	tcp = packet->data + packet->len;
	memset(tcp, 0, 20);
	twin_put16(tcp, sport);
	twin_put16(tcp + 2, dport);
	twin_put32(tcp + 4, seq);
	twin_put32(tcp + 8, ack);
	tcp[12] = 5 << 4;
	tcp[13] = flags;
	twin_put16(tcp + 14, 65535);
	packet->len += 20;
	add_payload(packet, payload, seed);
	set_l4_check(packet->data, packet->len);
	ip_end(packet);
}

static void build_error(struct twin_packet *packet, uint32_t src, uint32_t dst, uint8_t type,
			uint8_t code, const struct twin_packet *about, size_t quoted)
{
	uint8_t *icmp;

	ip_begin(packet, ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, src, dst, 0);
	icmp = packet->data + packet->len;
	memset(icmp, 0, 8);
	icmp[0] = type;
	icmp[1] = code;
	if (ipv6 ? type == 2 : type == 3 && code == 4)
		twin_put16(icmp + 6, 1280);
	if (quoted > about->len)
		quoted = about->len;
	memcpy(icmp + 8, about->data, quoted);
	packet->len += 8 + quoted;
	if (ipv6)
		set_l4_check(packet->data, packet->len);
	else
		twin_put16(icmp + 2, ~sum16(icmp, 8 + quoted, 0));
	ip_end(packet);
}

/* --- checking ------------------------------------------------------------------------------- */

static const char *twin_l4_wrong(const uint8_t *ip, size_t have)
{
	struct twin_ip it = twin_ip(ip);

	if (!twin_has_ports(it.proto) || twin_is_fragment(&it) || it.total > have ||
	    it.total < it.len + twin_check_offset(it.proto) + 2)
		return NULL;
	if (!ipv6 && it.proto == IPPROTO_UDP && !twin_get16(ip + it.len + 6))
		return NULL;
	return sum16(ip + it.len, it.total - it.len,
		     twin_pseudo_sum(ip, it.proto, it.total - it.len)) == 0xffff
		       ? NULL
		       : "transport checksum";
}

static bool twin_is_error(uint8_t type)
{
	return ipv6 ? type < 128 : type == 3 || type == 11 || type == 12;
}

/* Verify every checksum of a packet, and of one that it quotes. Return: what is wrong, or NULL. */
static const char *packet_wrong(const struct twin_packet *packet)
{
	const uint8_t *ip = packet->data, *icmp, *quote;
	struct twin_ip it = twin_ip(ip);

	if (it.total > packet->len)
		return "length";
	if (!ipv6 && sum16(ip, it.len, 0) != 0xffff)
		return "IP checksum";
	if (it.proto != (ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) || twin_is_fragment(&it))
		return twin_l4_wrong(ip, packet->len);
	icmp = ip + it.len;
	if (sum16(icmp, it.total - it.len,
		  ipv6 ? twin_pseudo_sum(ip, it.proto, it.total - it.len) : 0) != 0xffff)
		return "ICMP checksum";
	if (!twin_is_error(icmp[0]))
		return NULL;
	quote = icmp + 8;
	if (!ipv6 && sum16(quote, twin_ip(quote).len, 0) != 0xffff)
		return "quoted IP checksum";
	return twin_l4_wrong(quote, packet->len - it.len - 8) ? "quoted transport checksum" : NULL;
}

static void hex(const char *name, const struct twin_packet *packet)
{
	size_t i;

	printf("   %-7s", name);
	for (i = 0; i < packet->len && i < 120; i++)
		printf("%02x", packet->data[i]);
	printf(" (%zu bytes)\n", packet->len);
}

static bool differ(const char *what, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool differ(const char *what, const char *fmt, ...)
{
	va_list args;

	if (failures++ < 5) {
		printf("  step %llu, %s: ", (unsigned long long)steps, what);
		va_start(args, fmt);
		vprintf(fmt, args);
		va_end(args);
		printf("\n");
		return true;
	}
	return false;
}

/* --- sending and receiving ------------------------------------------------------------------- */

static int open_socket(const char *netns)
{
	uint16_t protocol = htons(ipv6 ? ETH_P_IPV6 : ETH_P_IP);
	struct sockaddr_ll addr = { .sll_family = AF_PACKET, .sll_protocol = protocol };
	int size = 1 << 22, one = 1, fd, sock;
	char path[256];

	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		twin_die(path);
	close(fd);
	sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, protocol);
	addr.sll_ifindex = (int)if_nametoindex("eth0");
	if (sock < 0 || bind(sock, (struct sockaddr *)&addr, sizeof(addr)) ||
	    setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ||
	    setsockopt(sock, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)))
		twin_die("open a packet socket");
	return sock;
}

static void twin_send_packet(int twin, enum side from, const struct twin_packet *packet)
{
	uint8_t frame[ETH_HLEN + PACKET_MAX] = { 0 };

	memcpy(frame, router_mac, 6);
	frame[6] = 2;
	frame[11] = 9;
	twin_put16(frame + 12, ipv6 ? ETH_P_IPV6 : ETH_P_IP);
	memcpy(frame + ETH_HLEN, packet->data, packet->len);
	if (send(sockets[twin][from], frame, ETH_HLEN + packet->len, 0) < 0)
		twin_die("send");
	packets++;
}

static void send_mark(int twin, enum side from)
{
	struct twin_packet packet;

	if (from == CLIENT)
		build_udp(&packet, mark_client, 9, mark_target, 9, 4, 0, 0, true);
	else
		build_udp(&packet, mark_target, 9, mark_client, 9, 4, 0, 0, true);
	twin_send_packet(twin, from, &packet);
}

/* Everything that comes out at @at before the mark. */
static void twin_receive(int twin, enum side at, struct outputs *out)
{
	out->n = 0;
	for (;;) {
		struct twin_packet *packet = &out->packets[out->n];
		struct pollfd ready = { .fd = sockets[twin][at], .events = POLLIN };
		uint8_t frame[ETH_HLEN + PACKET_MAX];
		uint32_t src;
		ssize_t len;

		if (poll(&ready, 1, 5000) <= 0) {
			differ("nothing comes out", "%s translator", twin_names[twin]);
			exit(EXIT_FAILURE);
		}
		len = recv(sockets[twin][at], frame, sizeof(frame), 0);
		if (len < ETH_HLEN + (ipv6 ? 40 : 20))
			continue;
		packet->len = len - ETH_HLEN;
		memcpy(packet->data, frame + ETH_HLEN, packet->len);
		src = get_addr(packet->data + (ipv6 ? 8 : 12));
		if (src == mark_client || src == mark_target)
			return;
		/* What the translator says itself is its own affair. */
		if (!src || src == IP(192, 168, 1, 1) || src == IP(10, 0, 0, 1))
			continue;
		if (out->n < OUTPUTS - 1)
			out->n++;
	}
}

static int by_offset(const void *a, const void *b)
{
	const struct twin_packet *first = a, *second = b;
	size_t x = twin_ip(first->data).offset, y = twin_ip(second->data).offset;

	return (x > y) - (x < y);
}

/* Replace the port in a transport header, as if it had been that from the beginning. */
static void replace_port(struct twin_packet *packet, size_t offset, uint16_t port)
{
	struct twin_ip it = twin_ip(packet->data);
	uint8_t *l4 = packet->data + it.len, *check = l4 + twin_check_offset(it.proto);
	uint32_t sum = (uint16_t)~twin_get16(check);
	uint16_t old = twin_get16(l4 + offset);

	if (old == port)
		return;
	twin_put16(l4 + offset, port);
	if (it.proto == IPPROTO_UDP && !twin_get16(check))
		return;
	sum += (uint16_t)~old + port;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	twin_put16(check, ~sum);
	if (it.proto == IPPROTO_UDP && !twin_get16(check))
		twin_put16(check, 0xffff);
}

/*
 * Set the identification of all fragments in @out to 0. nftables puts IPv6 datagrams together, and
 * cuts them again, with an identification of its own.
 */
static void hide_fragment_ids(const char *what, int twin, struct outputs *out)
{
	uint32_t id = 0;
	size_t i;

	for (i = 0; i < out->n; i++) {
		size_t at = twin_ip(out->packets[i].data).fragment_id;

		if (!at)
			continue;
		if (id && id != twin_get32(out->packets[i].data + at))
			differ(what, "%s translator: two identifications", twin_names[twin]);
		id = twin_get32(out->packets[i].data + at);
		twin_put32(out->packets[i].data + at, 0);
	}
}

/* Where holders[] has the flow to the target that @twin has given @port of the client of @flow. */
static struct holder *holder_at(int twin, const struct twin_flow *flow, uint16_t port)
{
	return &holders[twin][flow->proto == IPPROTO_TCP][flow->client == clients[1]][port];
}

static bool holder_is(const struct holder *holder, const struct twin_flow *flow)
{
	return holder->server == flow->server && holder->sport == flow->sport &&
	       holder->cport == flow->cport;
}

/*
 * @flow has come out of @twin with source port @port. A translator changes the port only if another
 * flow of the client has it at the target. Return: whether the port was kept.
 */
static bool port_judge(const char *what, int twin, struct twin_flow *flow, uint16_t port)
{
	const struct holder *taken = holder_at(twin, flow, flow->cport);
	struct holder *before = holder_at(twin, flow, flow->port[twin]);
	bool kept = port == flow->cport;

	if (!kept && (port < 1024) != (flow->cport < 1024))
		differ(what, "%s translator: port %d for %d", twin_names[twin], port, flow->cport);
	if (!kept && (!taken->cport || holder_is(taken, flow)))
		differ(what, "%s translator: port %d for %d, which is free", twin_names[twin], port,
		       flow->cport);
	if (flow->answers != target)
		return kept;
	if (flow->port[twin] && flow->port[twin] != port && holder_is(before, flow))
		before->cport = 0;
	*holder_at(twin, flow, port) =
		(struct holder){ flow->server, flow->sport, flow->cport, false };
	return kept;
}

/*
 * One translator has changed the port of @flow, since @holder has it there. In the other it is
 * free: each picks at random which port a flow gets instead of its own; and conntrack forgets a
 * refused connection at once, proxy later.
 */
static void port_count(const struct holder *holder, const struct twin_flow *flow)
{
	if (holder->cport != flow->cport)
		once_picked++;
	else if (holder->refused)
		once_refused++;
	else
		once_otherwise++;
}

/* The target has refused the connection @flow. */
static void port_refused(const struct twin_flow *flow)
{
	int twin;

	for (twin = 0; twin < TWINS; twin++) {
		struct holder *holder = holder_at(twin, flow, flow->port[twin]);

		if (holder_is(holder, flow))
			holder->refused = true;
	}
}

/*
 * Compare what has come out of the two. @flow: the one that the packets belong to, or NULL. The
 * outputs at the target are given the client's own port.
 */
static void twin_compare(const char *what, enum side at, struct twin_flow *flow,
			 const struct twin_packet *sent, bool verify)
{
	struct outputs out[TWINS];
	bool kept[TWINS] = { true, true };
	size_t i;
	int twin;

	for (twin = 0; twin < TWINS; twin++) {
		twin_receive(twin, at, &out[twin]);
		qsort(out[twin].packets, out[twin].n, sizeof(struct twin_packet), by_offset);
		hide_fragment_ids(what, twin, &out[twin]);
		for (i = 0; i < out[twin].n; i++) {
			struct twin_packet *packet = &out[twin].packets[i];
			struct twin_ip it = twin_ip(packet->data);
			const char *wrong = verify ? packet_wrong(packet) : NULL;
			uint16_t port;

			if (wrong && differ(what, "%s translator: %s", twin_names[twin], wrong))
				hex("out", packet);
			if (!flow)
				continue;
			if (!it.offset)
				flow->got[twin][at] = *packet;
			if (at == CLIENT || !twin_has_ports(it.proto) || it.offset ||
			    packet->len < it.len + 8)
				continue;
			port = twin_get16(packet->data + it.len);
			kept[twin] = port_judge(what, twin, flow, port);
			flow->port[twin] = port;
			replace_port(packet, 0, flow->cport);
		}
	}
	ported += !kept[0];
	/* kept[0] is the number of the translator that has changed it. */
	if (kept[0] != kept[1])
		port_count(holder_at(kept[0], flow, flow->cport), flow);
	if (out[0].n != out[1].n) {
		if (differ(what, "%zu packets from the first, %zu from the second", out[0].n,
			   out[1].n)) {
			hex("sent", sent);
			for (twin = 0; twin < TWINS; twin++)
				for (i = 0; i < out[twin].n; i++)
					hex(twin_names[twin], &out[twin].packets[i]);
		}
		return;
	}
	for (i = 0; i < out[0].n; i++) {
		const struct twin_packet *a = &out[0].packets[i], *b = &out[1].packets[i];

		compared++;
		if (a->len == b->len && !memcmp(a->data, b->data, a->len))
			continue;
		if (differ(what, "the packets differ")) {
			hex("sent", sent);
			hex(twin_names[0], a);
			hex(twin_names[1], b);
		}
	}
}

/* Send one packet to both and compare what comes out. */
static void twin_step(const char *what, enum side from, struct twin_flow *flow,
		      const struct twin_packet *packet)
{
	bool right = !packet_wrong(packet);
	int twin;

	for (twin = 0; twin < TWINS; twin++) {
		struct twin_packet mine = *packet;

		/* A reply goes to where this translator's packets have come from. */
		if (from == TARGET && flow && flow->port[twin])
			replace_port(&mine, 2, flow->port[twin]);
		twin_send_packet(twin, from, &mine);
		send_mark(twin, from);
	}
	twin_compare(what, from == CLIENT ? TARGET : CLIENT, flow, packet, right);
}

/* --- the steps ------------------------------------------------------------------------------- */

enum collision { NONE, SAME_CLIENT, SAME_FLOW };

/* Whether another flow has the protocol, the address and the port of @flow's client. */
static enum collision flow_collides(const struct twin_flow *flow)
{
	enum collision found = NONE;
	const struct twin_flow *other;

	for (other = flows; other < flows + FLOWS; other++) {
		if (other == flow || other->proto != flow->proto || other->client != flow->client ||
		    other->cport != flow->cport)
			continue;
		if (other->server == flow->server && other->sport == flow->sport)
			return SAME_FLOW;
		found = SAME_CLIENT;
	}
	return found;
}

static void flow_begin(struct twin_flow *flow)
{
	size_t server = random_below(COUNT(servers));
	const struct twin_flow *other = &flows[random_below(FLOWS)];

	memset(flow, 0, sizeof(*flow));
	flow->proto = random_below(2) ? IPPROTO_TCP : IPPROTO_UDP;
	flow->client = clients[random_below(2)];
	/* Often the port of another flow, so that they collide. */
	flow->cport = other->cport && random_below(2) ? other->cport : next_port++;
	if (next_port > 60000)
		next_port = 20000;
	if (!random_below(20))
		flow->cport = 600 + random_below(400);
	flow->server = servers[server].addr;
	flow->sport = servers[server].port;
	flow->answers = server < MAPPED ? target : flow->server;
	flow->answers_port = server < MAPPED ? TARGET_PORT : flow->sport;
	flow->client_seq = random_below(UINT32_MAX);
	flow->server_seq = random_below(UINT32_MAX);
	if (flow_collides(flow) == SAME_FLOW)
		flow->cport = next_port++;
}

static size_t random_options(void)
{
	size_t unit = ipv6 ? 8 : 4;

	return random_below(6) ? 0 : unit * (1 + random_below(OPTIONS_MAX / unit));
}

/* UDP without a checksum: proxy does not translate it in IPv6, nftables does. */
static bool random_checked(void)
{
	return random_below(6) || ipv6;
}

static void udp_step(struct twin_flow *flow)
{
	size_t payload = random_below(4) ? random_below(100) : random_below(1400),
	       options = random_options();
	bool checked = random_checked();
	struct twin_packet packet;

	if (!flow->port[0] || random_below(2)) {
		build_udp(&packet, flow->client, flow->cport, flow->server, flow->sport, payload,
			  steps, options, checked);
		twin_step("UDP", CLIENT, flow, &packet);
		return;
	}
	build_udp(&packet, flow->answers, flow->answers_port, flow->client, flow->cport, payload,
		  steps, options, checked);
	twin_step("UDP reply", TARGET, flow, &packet);
}

static void tcp_from(struct twin_flow *flow, enum side from, uint8_t flags, size_t payload)
{
	struct twin_packet packet;

	if (from == CLIENT) {
		build_tcp(&packet, flow->client, flow->cport, flow->server, flow->sport, flags,
			  flow->client_seq, flags & TCP_ACK ? flow->server_seq : 0, payload, steps,
			  random_options());
		flow->client_seq += payload + !!(flags & (TCP_SYN | TCP_FIN));
		twin_step("TCP", CLIENT, flow, &packet);
	} else {
		build_tcp(&packet, flow->answers, flow->answers_port, flow->client, flow->cport,
			  flags, flow->server_seq, flow->client_seq, payload, steps,
			  random_options());
		flow->server_seq += payload + !!(flags & (TCP_SYN | TCP_FIN));
		twin_step("TCP reply", TARGET, flow, &packet);
	}
}

/* The next segment of a connection: handshake, data, end. */
static void tcp_step(struct twin_flow *flow)
{
	switch (flow->stage) {
	case 0:
		tcp_from(flow, CLIENT, TCP_SYN, 0);
		break;
	case 1:
		if (!random_below(10) && !flow_collides(flow)) {
			tcp_from(flow, TARGET, TCP_RST | TCP_ACK, 0);
			port_refused(flow);
			/* conntrack forgets a refused connection at once, proxy later: its port is
			 * free for the one, and not for the other. */
			flow_begin(flow);
			return;
		}
		tcp_from(flow, TARGET, TCP_SYN | TCP_ACK, 0);
		break;
	case 2:
		tcp_from(flow, CLIENT, TCP_ACK, 0);
		break;
	case 3:
		if (random_below(8)) { /* stays */
			tcp_from(flow, random_below(2) ? CLIENT : TARGET, TCP_ACK | TCP_PSH,
				 random_below(1300));
			return;
		}
		if (!random_below(4)) {
			tcp_from(flow, random_below(2) ? CLIENT : TARGET, TCP_RST | TCP_ACK, 0);
			flow->stage = 9;
			return;
		}
		tcp_from(flow, CLIENT, TCP_FIN | TCP_ACK, 0);
		break;
	case 4:
		tcp_from(flow, TARGET, TCP_ACK, 0);
		break;
	case 5:
		tcp_from(flow, TARGET, TCP_FIN | TCP_ACK, 0);
		break;
	case 6:
		tcp_from(flow, CLIENT, TCP_ACK, 0);
		break;
	default:
		if (random_below(2)) { /* the same ports again */
			flow->stage = 0;
			flow->client_seq += 1000000;
			flow->server_seq = random_below(UINT32_MAX);
			return;
		}
		flow_begin(flow);
		return;
	}
	flow->stage++;
}

/* An error of the target's about what it has got, or of the client's about what it has got. */
static void error_step(struct twin_flow *flow)
{
	static const struct icmp_kind {
		uint8_t type, code;
	} kinds4[] = { { 3, 0 },  { 3, 1 },  { 3, 2 },	{ 3, 3 }, { 3, 4 },
		       { 3, 10 }, { 3, 13 }, { 11, 0 }, { 12, 0 } },
	  kinds6[] = { { 1, 0 }, { 1, 1 }, { 1, 2 }, { 1, 3 }, { 1, 4 }, { 1, 5 },
		       { 1, 6 }, { 2, 0 }, { 3, 0 }, { 3, 1 }, { 4, 0 }, { 4, 1 } };
	const struct icmp_kind *kind =
		ipv6 ? &kinds6[random_below(COUNT(kinds6))] : &kinds4[random_below(COUNT(kinds4))];
	enum side from = random_below(2) ? CLIENT : TARGET;
	struct twin_packet packet;
	size_t quoted;
	uint16_t id;
	int twin;

	for (twin = 0; twin < TWINS; twin++)
		if (!flow->got[twin][from].len ||
		    !twin_has_ports(twin_ip(flow->got[twin][from].data).proto))
			return;
	/* netfilter corrects a quoted TCP checksum only if the whole header is there. */
	quoted = twin_ip(flow->got[0][from].data).len + 8;
	if (random_below(2))
		quoted += 12 + random_below(600);
	if (flow->port[0] != flow->port[1] && from == CLIENT)
		return; /* the quotes that come out cannot be equal */
	id = next_id;
	for (twin = 0; twin < TWINS; twin++) {
		const struct twin_packet *about = &flow->got[twin][from];

		next_id = id;
		if (from == TARGET)
			build_error(&packet, flow->answers, flow->client, kind->type, kind->code,
				    about, quoted);
		else
			build_error(&packet, flow->client, flow->server, kind->type, kind->code,
				    about, quoted);
		twin_send_packet(twin, from, &packet);
		send_mark(twin, from);
	}
	twin_compare(from == CLIENT ? "ICMP error of the client's" : "ICMP error of the target's",
		     from == CLIENT ? TARGET : CLIENT, NULL, &packet, true);
}

/* Make @fragment of @len bytes behind the IP header of @whole, from @offset on. */
static void cut(struct twin_packet *fragment, const struct twin_packet *whole, size_t offset,
		size_t len, bool more)
{
	uint8_t *ip = fragment->data, *header = ip + 40;
	size_t l4 = twin_ip(whole->data).len;

	memcpy(ip, whole->data, l4);
	fragment->len = l4;
	if (ipv6) {
		header[0] = ip[6];
		header[1] = 0;
		ip[6] = IPPROTO_FRAGMENT;
		twin_put16(header + 2, offset | more);
		twin_put32(header + 4, next_id);
		fragment->len += 8;
	} else {
		twin_put16(ip + 6, (more ? 0x2000 : 0) | offset / 8);
	}
	memcpy(ip + fragment->len, whole->data + l4 + offset, len);
	fragment->len += len;
	ip_end(fragment);
}

/*
 * A datagram in two to four fragments, in order or not. Not to an unmapped port of an original, nor
 * backwards from the target of several: who does not reassemble cannot know the last fragment's
 * flow there.
 */
static void fragment_step(struct twin_flow *flow)
{
	enum side from = flow->port[0] && random_below(2) ? TARGET : CLIENT;
	struct twin_packet whole, pieces[4];
	size_t n = 2 + random_below(3), piece = 8 * (8 + random_below(16)), i, j;
	size_t payload = piece * n - 8 - random_below(8);
	bool ordered = from == TARGET || random_below(2);
	int twin;

	if (flow->server != target && flow->sport != 12345)
		return;
	if (from == CLIENT)
		build_udp(&whole, flow->client, flow->cport, flow->server, flow->sport, payload,
			  steps, 0, random_checked());
	else
		build_udp(&whole, flow->answers, flow->answers_port, flow->client, flow->cport,
			  payload, steps, 0, random_checked());
	for (twin = 0; twin < TWINS; twin++) {
		struct twin_packet mine = whole;

		if (from == TARGET && flow->port[twin])
			replace_port(&mine, 2, flow->port[twin]);
		for (i = 0; i < n; i++) {
			size_t len = i == n - 1 ? payload + 8 - piece * i : piece;

			cut(&pieces[i], &mine, piece * i, len, i < n - 1);
		}
		for (i = 0; i < n; i++) {
			j = ordered ? i : n - 1 - i;
			twin_send_packet(twin, from, &pieces[j]);
		}
		send_mark(twin, from);
	}
	twin_compare(ordered ? "fragments" : "fragments, last one first",
		     from == CLIENT ? TARGET : CLIENT, flow, &pieces[0], true);
}

/* What is not translated, or not a packet at all. */
static void other_step(struct twin_flow *flow)
{
	struct twin_packet packet, about;
	size_t header;
	uint8_t *l4;

	build_udp(&packet, flow->client, flow->cport, flow->server, flow->sport, 20, steps, 0,
		  true);
	header = twin_ip(packet.data).len;
	l4 = packet.data + header;
	switch (random_below(6)) {
	case 0:
		build_udp(&about, 1, 1, 1, 1, 20, 0, 0, false);
		build_error(&packet, flow->client, flow->server, ipv6 ? 128 : 8, 0, &about, 40);
		twin_step("echo request", CLIENT, NULL, &packet);
		return;
	case 1:
		packet.data[ipv6 ? 6 : 9] = IPPROTO_GRE;
		set_ip_check(packet.data);
		twin_step("GRE", CLIENT, NULL, &packet);
		return;
	case 2:
		twin_put16(l4 + 4, 7 + random_below(2) * 100);
		twin_step("UDP of a wrong length", CLIENT, NULL, &packet);
		return;
	case 3:
		build_tcp(&packet, flow->client, next_port++, flow->server, flow->sport, TCP_SYN, 1,
			  0, 0, 0, 0);
		packet.data[header + 12] = (random_below(2) ? 4 : 15) << 4;
		twin_step("TCP of a wrong length", CLIENT, NULL, &packet);
		return;
	case 4:
		build_tcp(&packet, flow->client, next_port++, flow->server, flow->sport, TCP_RST, 1,
			  0, 0, 0, 0);
		twin_step("a reset of nothing", CLIENT, NULL, &packet);
		return;
	default:
		build_udp(&packet, flow->answers, 5353, flow->client, flow->cport, 20, 0, 0, true);
		twin_step("UDP that is no reply", TARGET, NULL, &packet);
	}
}

/*
 * Stay on one CPU: a veth hands packets to the backlog of the sender's CPU, so that after a move
 * the mark could come out before the packets in front of it.
 */
static void stay_on_this_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus)) {
		perror("sched_setaffinity");
		exit(EXIT_FAILURE);
	}
}

int main(int argc, char **argv)
{
	uint64_t total;
	int i;

	if (argc != 8) {
		fprintf(stderr,
			"usage: nat-twin FAMILY STEPS SEED CLIENT_A TARGET_A CLIENT_B TARGET_B\n");
		return 2;
	}
	ipv6 = !strcmp(argv[1], "6");
	total = strtoull(argv[2], NULL, 10);
	random_state = strtoull(argv[3], NULL, 10);
	stay_on_this_cpu();
	for (i = 0; i < 4; i++)
		sockets[i / 2][i % 2] = open_socket(argv[4 + i]);
	for (i = 0; i < FLOWS; i++)
		flow_begin(&flows[i]);
	for (steps = 1; packets < total * 4 && failures < 20; steps++) {
		struct twin_flow *flow = &flows[random_below(FLOWS)];

		switch (random_below(12)) {
		case 0:
			error_step(flow);
			break;
		case 1:
			if (flow->proto == IPPROTO_UDP)
				fragment_step(flow);
			break;
		case 2:
			other_step(flow);
			break;
		default:
			if (flow->proto == IPPROTO_TCP)
				tcp_step(flow);
			else
				udp_step(flow);
		}
	}
	printf("# %llu packets to each, %llu pairs compared, %llu with a changed port; in one of "
	       "the two only: %llu since the other port was picked at random, %llu since a "
	       "connection was refused, %llu otherwise\n",
	       (unsigned long long)packets / 4, (unsigned long long)compared,
	       (unsigned long long)ported, (unsigned long long)once_picked,
	       (unsigned long long)once_refused, (unsigned long long)once_otherwise);
	if (compared < total / 2 || !ported) {
		printf("  too few packets came through to tell\n");
		failures++;
	}
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
