// SPDX-License-Identifier: GPL-2.0-only
/*
 * The same packets through two translators, packet by packet: what comes out at the other side of
 * either has to be equal, but for the source port that a translator picks when two flows collide.
 *
 *	nat-twin STEPS SEED CLIENT_A TARGET_A CLIENT_B TARGET_B
 *
 * The last four are network namespaces below /run/netns, with an eth0 towards their translator,
 * whose MAC address there is ROUTER_MAC. Nobody in them has an IP address: this program is the
 * clients and the targets. After each step it sends a datagram that nobody translates; when that
 * has come out, all that will come out has.
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
enum side { CLIENT, TARGET };
enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16 };

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
static uint16_t next_id, next_port = 20000;

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

static size_t header_len(const uint8_t *ip)
{
	return (ip[0] & 15) * 4UL;
}

static size_t twin_check_offset(uint8_t proto)
{
	return proto == IPPROTO_TCP ? 16 : 6;
}

static bool twin_has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP;
}

/* --- building ------------------------------------------------------------------------------- */

static void set_ip_check(uint8_t *ip)
{
	twin_put16(ip + 10, 0);
	twin_put16(ip + 10, ~sum16(ip, header_len(ip), 0));
}

static void set_l4_check(uint8_t *ip, size_t len)
{
	uint8_t *l4 = ip + header_len(ip), proto = ip[9];
	size_t l4_len = len - header_len(ip);
	uint16_t check;

	twin_put16(l4 + twin_check_offset(proto), 0);
	check = ~sum16(l4, l4_len, sum16(ip + 12, 8, proto + l4_len));
	if (proto == IPPROTO_UDP && !check)
		check = 0xffff;
	twin_put16(l4 + twin_check_offset(proto), check);
}

static void ip_begin(struct twin_packet *packet, uint8_t proto, uint32_t src, uint32_t dst,
		     size_t options)
{
	uint8_t *ip = packet->data;

	memset(ip, 0, 20);
	ip[0] = 0x40 | (20 + options) / 4;
	twin_put16(ip + 4, ++next_id);
	ip[8] = 64;
	ip[9] = proto;
	twin_put32(ip + 12, src);
	twin_put32(ip + 16, dst);
	memset(ip + 20, 1, options); /* no-operation */
	packet->len = 20 + options;
}

static void ip_end(struct twin_packet *packet)
{
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

	ip_begin(packet, IPPROTO_ICMP, src, dst, 0);
	icmp = packet->data + packet->len;
	memset(icmp, 0, 8);
	icmp[0] = type;
	icmp[1] = code;
	if (type == 3 && code == 4)
		twin_put16(icmp + 6, 1280);
	if (quoted > about->len)
		quoted = about->len;
	memcpy(icmp + 8, about->data, quoted);
	packet->len += 8 + quoted;
	twin_put16(icmp + 2, ~sum16(icmp, 8 + quoted, 0));
	ip_end(packet);
}

/* --- checking ------------------------------------------------------------------------------- */

static const char *twin_l4_wrong(const uint8_t *ip, size_t have)
{
	size_t header = header_len(ip), len = twin_get16(ip + 2);
	uint8_t proto = ip[9];

	if (!twin_has_ports(proto) || twin_get16(ip + 6) & 0x3fff || len > have ||
	    len < header + twin_check_offset(proto) + 2)
		return NULL;
	if (proto == IPPROTO_UDP && !twin_get16(ip + header + 6))
		return NULL;
	return sum16(ip + header, len - header, sum16(ip + 12, 8, proto + len - header)) == 0xffff
		       ? NULL
		       : "transport checksum";
}

/* Verify every checksum of a packet, and of one that it quotes. Return: what is wrong, or NULL. */
static const char *packet_wrong(const struct twin_packet *packet)
{
	const uint8_t *ip = packet->data, *icmp, *quote;
	size_t header = header_len(ip), len = twin_get16(ip + 2);

	if (len > packet->len)
		return "length";
	if (sum16(ip, header, 0) != 0xffff)
		return "IP checksum";
	if (ip[9] != IPPROTO_ICMP || twin_get16(ip + 6) & 0x3fff)
		return twin_l4_wrong(ip, packet->len);
	icmp = ip + header;
	if (sum16(icmp, len - header, 0) != 0xffff)
		return "ICMP checksum";
	if (icmp[0] != 3 && icmp[0] != 11 && icmp[0] != 12)
		return NULL;
	quote = icmp + 8;
	if (sum16(quote, header_len(quote), 0) != 0xffff)
		return "quoted IP checksum";
	return twin_l4_wrong(quote, packet->len - header - 8) ? "quoted transport checksum" : NULL;
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
	struct sockaddr_ll addr = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP) };
	int size = 1 << 22, one = 1, fd, sock;
	char path[256];

	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		twin_die(path);
	close(fd);
	sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_IP));
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
	twin_put16(frame + 12, ETH_P_IP);
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
		if (len < ETH_HLEN + 20)
			continue;
		packet->len = len - ETH_HLEN;
		memcpy(packet->data, frame + ETH_HLEN, packet->len);
		src = twin_get32(packet->data + 12);
		if (src == mark_client || src == mark_target)
			return;
		/* What the translator says itself is its own affair. */
		if ((src & 0xffffff00) == IP(192, 168, 1, 0) ? (src & 255) == 1
							     : src == IP(10, 0, 0, 1))
			continue;
		if (out->n < OUTPUTS - 1)
			out->n++;
	}
}

static int by_offset(const void *a, const void *b)
{
	const struct twin_packet *first = a, *second = b;
	int x = twin_get16(first->data + 6) & 0x1fff, y = twin_get16(second->data + 6) & 0x1fff;

	return (x > y) - (x < y);
}

/* Replace the port in a transport header, as if it had been that from the beginning. */
static void replace_port(struct twin_packet *packet, size_t offset, uint16_t port)
{
	uint8_t *ip = packet->data, *l4 = ip + header_len(ip),
		*check = l4 + twin_check_offset(ip[9]);
	uint32_t sum = (uint16_t)~twin_get16(check);
	uint16_t old = twin_get16(l4 + offset);

	if (old == port)
		return;
	twin_put16(l4 + offset, port);
	if (ip[9] == IPPROTO_UDP && !twin_get16(check))
		return;
	sum += (uint16_t)~old + port;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	twin_put16(check, ~sum);
	if (ip[9] == IPPROTO_UDP && !twin_get16(check))
		twin_put16(check, 0xffff);
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
		for (i = 0; i < out[twin].n; i++) {
			struct twin_packet *packet = &out[twin].packets[i];
			uint8_t *ip = packet->data;
			const char *wrong = verify ? packet_wrong(packet) : NULL;

			if (wrong && differ(what, "%s translator: %s", twin_names[twin], wrong))
				hex("out", packet);
			if (!flow)
				continue;
			if (!(twin_get16(ip + 6) & 0x1fff))
				flow->got[twin][at] = *packet;
			if (at == CLIENT || !twin_has_ports(ip[9]) || twin_get16(ip + 6) & 0x1fff ||
			    packet->len < header_len(ip) + 8)
				continue;
			flow->port[twin] = twin_get16(ip + header_len(ip));
			kept[twin] = flow->port[twin] == flow->cport;
			if (!kept[twin] && (flow->port[twin] < 1024) != (flow->cport < 1024))
				differ(what, "%s translator: port %d for %d", twin_names[twin],
				       flow->port[twin], flow->cport);
			replace_port(packet, 0, flow->cport);
		}
	}
	ported += !kept[0];
	if (kept[0] != kept[1])
		differ(what, "the port was %s by the first, %s by the second",
		       kept[0] ? "kept" : "changed", kept[1] ? "kept" : "changed");
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

static void flow_begin(struct twin_flow *flow)
{
	size_t server = random_below(sizeof(servers) / sizeof(servers[0]));
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
	for (other = flows; other < flows + FLOWS; other++) {
		if (other == flow || other->proto != flow->proto || other->client != flow->client ||
		    other->cport != flow->cport || other->server != flow->server ||
		    other->sport != flow->sport)
			continue;
		flow->cport = next_port++; /* the same flow twice */
		break;
	}
}

static size_t random_options(void)
{
	return random_below(6) ? 0 : 4 * (1 + random_below(OPTIONS_MAX / 4));
}

static void udp_step(struct twin_flow *flow)
{
	size_t payload = random_below(4) ? random_below(100) : random_below(1400),
	       options = random_options();
	bool checked = random_below(6);
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
		if (!random_below(10)) {
			tcp_from(flow, TARGET, TCP_RST | TCP_ACK, 0);
			/* conntrack forgets a refused connection at once, errors about it too. */
			memset(flow->got, 0, sizeof(flow->got));
			flow->stage = 9;
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
	static const struct {
		uint8_t type, code;
	} kinds[] = { { 3, 0 },	 { 3, 1 },  { 3, 2 },  { 3, 3 }, { 3, 4 },
		      { 3, 10 }, { 3, 13 }, { 11, 0 }, { 12, 0 } };
	enum side from = random_below(2) ? CLIENT : TARGET;
	size_t kind = random_below(sizeof(kinds) / sizeof(kinds[0])), quoted;
	struct twin_packet packet;
	int twin;

	for (twin = 0; twin < TWINS; twin++)
		if (!flow->got[twin][from].len || !twin_has_ports(flow->got[twin][from].data[9]))
			return;
	/* netfilter corrects a quoted TCP checksum only if the whole header is there. */
	quoted = header_len(flow->got[0][from].data) + 8;
	if (random_below(2))
		quoted += 12 + random_below(600);
	if (flow->port[0] != flow->port[1] && from == CLIENT)
		return; /* the quotes that come out cannot be equal */
	for (twin = 0; twin < TWINS; twin++) {
		const struct twin_packet *about = &flow->got[twin][from];

		if (from == TARGET)
			build_error(&packet, flow->answers, flow->client, kinds[kind].type,
				    kinds[kind].code, about, quoted);
		else
			build_error(&packet, flow->client, flow->server, kinds[kind].type,
				    kinds[kind].code, about, quoted);
		twin_put16(packet.data + 4, steps);
		set_ip_check(packet.data);
		twin_send_packet(twin, from, &packet);
		send_mark(twin, from);
	}
	twin_compare(from == CLIENT ? "ICMP error of the client's" : "ICMP error of the target's",
		     from == CLIENT ? TARGET : CLIENT, NULL, &packet, true);
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
			  steps, 0, random_below(6));
	else
		build_udp(&whole, flow->answers, flow->answers_port, flow->client, flow->cport,
			  payload, steps, 0, random_below(6));
	for (twin = 0; twin < TWINS; twin++) {
		struct twin_packet mine = whole;

		if (from == TARGET && flow->port[twin])
			replace_port(&mine, 2, flow->port[twin]);
		for (i = 0; i < n; i++) {
			size_t len = i == n - 1 ? payload + 8 - piece * i : piece;

			memcpy(pieces[i].data, mine.data, 20);
			memcpy(pieces[i].data + 20, mine.data + 20 + piece * i, len);
			pieces[i].len = 20 + len;
			twin_put16(pieces[i].data + 6, (i == n - 1 ? 0 : 0x2000) | piece * i / 8);
			ip_end(&pieces[i]);
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
	uint8_t *l4;

	build_udp(&packet, flow->client, flow->cport, flow->server, flow->sport, 20, steps, 0,
		  true);
	l4 = packet.data + 20;
	switch (random_below(6)) {
	case 0:
		build_udp(&about, 1, 1, 1, 1, 20, 0, 0, false);
		build_error(&packet, flow->client, flow->server, 8, 0, &about, 40);
		twin_step("echo request", CLIENT, NULL, &packet);
		return;
	case 1:
		packet.data[9] = IPPROTO_GRE;
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
		packet.data[20 + 12] = (random_below(2) ? 4 : 15) << 4;
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

	if (argc != 7) {
		fprintf(stderr, "usage: nat-twin STEPS SEED CLIENT_A TARGET_A CLIENT_B TARGET_B\n");
		return 2;
	}
	total = strtoull(argv[1], NULL, 10);
	random_state = strtoull(argv[2], NULL, 10);
	stay_on_this_cpu();
	for (i = 0; i < 4; i++)
		sockets[i / 2][i % 2] = open_socket(argv[3 + i]);
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
	printf("# %llu packets to each, %llu pairs compared, %llu with a changed port\n",
	       (unsigned long long)packets / 4, (unsigned long long)compared,
	       (unsigned long long)ported);
	if (compared < total / 2 || !ported) {
		printf("  too few packets came through to tell\n");
		failures++;
	}
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
