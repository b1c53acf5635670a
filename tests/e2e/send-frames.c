// SPDX-License-Identifier: GPL-2.0-only
/*
 * Send UDP datagrams as whole frames from an interface, whatever addresses it has:
 *
 *	send-frames DEV VLAN SRC SPORT DST DPORT COUNT BYTES
 *
 * COUNT frames of BYTES each, FCS not counted, between two IPv4 or two IPv6 addresses; VLAN 0: no
 * tag; SPORT FIRST-LAST: COUNT frames from each of these ports. Few BYTES end within the headers.
 * The MAC addresses are made up.
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned char frame[1514];

static int number(const char *text, int min, int max)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*end || value < min || value > max) {
		fprintf(stderr, "send-frames: '%s' is no number of %d to %d\n", text, min, max);
		exit(2);
	}
	return (int)value;
}

static size_t put_ethernet(int vlan, uint16_t type)
{
	uint16_t fields[] = { htons(ETHERTYPE_VLAN), htons((uint16_t)vlan), htons(type) };
	size_t first = vlan ? 0 : 2, len = sizeof(fields) - first * sizeof(*fields);

	memcpy(frame, "\x02\0\0\0\0\x02\x02\0\0\0\0\x01", 12);
	memcpy(frame + 12, fields + first, len);
	return 12 + len;
}

/* Return: the length of the headers before UDP, or 0 if the addresses are none. */
static size_t put_ip(int vlan, const char *src, const char *dst, size_t len)
{
	struct iphdr ip4 = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP };
	struct ip6_hdr ip6 = { .ip6_flow = htonl(6U << 28),
			       .ip6_nxt = IPPROTO_UDP,
			       .ip6_hlim = 64 };
	size_t at;

	if (inet_pton(AF_INET, src, &ip4.saddr) == 1 && inet_pton(AF_INET, dst, &ip4.daddr) == 1) {
		at = put_ethernet(vlan, ETHERTYPE_IP);
		ip4.tot_len = htons((uint16_t)(len - at));
		memcpy(frame + at, &ip4, sizeof(ip4));
		return at + sizeof(ip4);
	}
	if (inet_pton(AF_INET6, src, &ip6.ip6_src) != 1 ||
	    inet_pton(AF_INET6, dst, &ip6.ip6_dst) != 1)
		return 0;
	at = put_ethernet(vlan, ETHERTYPE_IPV6);
	ip6.ip6_plen = htons((uint16_t)(len - at - sizeof(ip6)));
	memcpy(frame + at, &ip6, sizeof(ip6));
	return at + sizeof(ip6);
}

/* Read a port, or FIRST-LAST. Return: the first one */
static int source_ports(char *text, int *last)
{
	char *dash = strchr(text, '-');

	if (dash)
		*dash = '\0';
	*last = number(dash ? dash + 1 : text, 0, 65535);
	return number(text, 0, 65535);
}

int main(int argc, char **argv)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET };
	struct udphdr udp = { 0 };
	int fd, count, port, last;
	size_t at, len;

	if (argc != 9) {
		fprintf(stderr, "usage: send-frames DEV VLAN SRC SPORT DST DPORT COUNT BYTES\n");
		return 2;
	}
	len = (size_t)number(argv[8], 36, sizeof(frame));
	at = put_ip(number(argv[2], 0, 4094), argv[3], argv[5], len);
	if (!at) {
		fprintf(stderr, "send-frames: %s and %s are no addresses\n", argv[3], argv[5]);
		return 2;
	}
	udp.dest = htons((uint16_t)number(argv[6], 0, 65535));
	udp.len = htons((uint16_t)(len - at));
	count = number(argv[7], 1, 1000000);
	to.sll_ifindex = (int)if_nametoindex(argv[1]);
	fd = socket(AF_PACKET, SOCK_RAW, 0);
	for (port = source_ports(argv[4], &last); port <= last; port++) {
		udp.source = htons((uint16_t)port);
		memcpy(frame + at, &udp, sizeof(udp));
		for (int i = 0; i < count; i++) {
			if (sendto(fd, frame, len, 0, (struct sockaddr *)&to, sizeof(to)) < 0) {
				perror("send-frames: cannot send");
				return 1;
			}
		}
	}
	close(fd);
	return 0;
}
