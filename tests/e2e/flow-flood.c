// SPDX-License-Identifier: GPL-2.0-only
/*
 * Send frames of many flows from an interface, whatever addresses it has:
 *
 *	flow-flood DEV FIRST COUNT RATE
 *
 * COUNT flows, the first with the number FIRST, RATE of them a second. Each has one to three UDP
 * datagrams of 60 to 187 bytes; every fourth flow is IPv6, every hundredth frame is no IP. Prints
 * "FRAMES BYTES", FCS not counted.
 */
#include <arpa/inet.h>
#include <errno.h>
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
#include <time.h>

static unsigned char frame[256];

static unsigned long flood_number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || end == text || value > 100000000) {
		fprintf(stderr, "flow-flood: '%s' is no number\n", text);
		exit(2);
	}
	return value;
}

/* Make the frame of a flow. Return: its length. */
static size_t flood_frame(uint32_t flow)
{
	struct udphdr udp = { .source = htons((uint16_t)(1024 + flow % 50000)), .dest = htons(53) };
	size_t len = 60 + flow % 128, at = sizeof(struct ether_header);
	uint16_t type = htons(flow % 100 == 0 ? 0x88b5 : flow % 4 ? ETHERTYPE_IP : ETHERTYPE_IPV6);

	memset(frame, 0, sizeof(frame));
	memcpy(frame, "\x02\0\0\0\0\x02\x02\0\0\0\0\x01", 12);
	memcpy(frame + 12, &type, sizeof(type));
	if (flow % 100 == 0) {
		memcpy(frame + 8, &flow, sizeof(flow));
		return len;
	}
	if (flow % 4) {
		struct iphdr ip = { .version = 4,
				    .ihl = 5,
				    .ttl = 64,
				    .protocol = IPPROTO_UDP,
				    .tot_len = htons((uint16_t)(len - at)),
				    .saddr = htonl(0x0b000000 + flow),
				    .daddr = htonl(0x0c000001) };

		memcpy(frame + at, &ip, sizeof(ip));
		at += sizeof(ip);
	} else {
		struct ip6_hdr ip = { .ip6_flow = htonl(6U << 28),
				      .ip6_nxt = IPPROTO_UDP,
				      .ip6_hlim = 64 };

		len += 20;
		ip.ip6_plen = htons((uint16_t)(len - at - sizeof(ip)));
		ip.ip6_src.s6_addr32[0] = ip.ip6_dst.s6_addr32[0] = htonl(0x20010db8);
		ip.ip6_src.s6_addr32[3] = htonl(flow);
		memcpy(frame + at, &ip, sizeof(ip));
		at += sizeof(ip);
	}
	udp.len = htons((uint16_t)(len - at));
	memcpy(frame + at, &udp, sizeof(udp));
	return len;
}

int main(int argc, char **argv)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET };
	unsigned long first, count, rate, frames = 0, bytes = 0;
	struct timespec begin, now;
	int fd;

	if (argc != 5) {
		fprintf(stderr, "usage: flow-flood DEV FIRST COUNT RATE\n");
		return 2;
	}
	first = flood_number(argv[2]);
	count = flood_number(argv[3]);
	rate = flood_number(argv[4]);
	to.sll_ifindex = (int)if_nametoindex(argv[1]);
	fd = socket(AF_PACKET, SOCK_RAW, 0);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (unsigned long i = 0; i < count; i++) {
		size_t len = flood_frame((uint32_t)(first + i));

		for (unsigned long n = 0; n <= (first + i) % 3; n++) {
			while (sendto(fd, frame, len, 0, (struct sockaddr *)&to, sizeof(to)) < 0) {
				if (errno != ENOBUFS) {
					perror("flow-flood: cannot send");
					return 1;
				}
			}
			frames++;
			bytes += len;
		}
		/* Not faster than asked for. */
		do
			clock_gettime(CLOCK_MONOTONIC, &now);
		while ((double)(now.tv_sec - begin.tv_sec) +
				       (double)(now.tv_nsec - begin.tv_nsec) / 1e9 <
			       (double)i / (double)rate &&
		       nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL) <= 0);
	}
	printf("%lu %lu\n", frames, bytes);
	return 0;
}
