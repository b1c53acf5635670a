// SPDX-License-Identifier: GPL-2.0-only
#include "solicit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

struct solicit_arp {
	struct arphdr header;
	__u8 source_mac[ETH_ALEN];
	__u8 source[4];
	__u8 target_mac[ETH_ALEN];
	__u8 target[4];
} __attribute__((packed));

/* RFC 4861, sections 4.3 and 4.6.1 */
struct solicit_nd {
	struct ip6_hdr ip;
	struct nd_neighbor_solicit message;
	struct nd_opt_hdr option;
	__u8 source_mac[ETH_ALEN];
};
_Static_assert(sizeof(struct solicit_nd) == 72, "as on the wire");

int solicit_open(void)
{
	/* Protocol 0: it receives nothing. */
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

/* The interface's own Ethernet address. */
static int solicit_own_mac(int fd, int ifindex, __u8 mac[ETH_ALEN])
{
	struct ifreq request = { 0 };

	if (!if_indextoname((unsigned int)ifindex, request.ifr_name) ||
	    ioctl(fd, SIOCGIFHWADDR, &request))
		return -errno;
	if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return -EPFNOSUPPORT;
	memcpy(mac, request.ifr_hwaddr.sa_data, ETH_ALEN);
	return 0;
}

static int solicit_send(int fd, struct sockaddr_ll *to, const void *message, size_t len)
{
	to->sll_family = AF_PACKET;
	to->sll_halen = ETH_ALEN;
	if (sendto(fd, message, len, 0, (struct sockaddr *)to, sizeof(*to)) < 0)
		return -errno;
	return 0;
}

static int solicit_ipv4(int fd, int ifindex, const __u8 mac[ETH_ALEN], const struct addr *source,
			const struct addr *target)
{
	struct sockaddr_ll to = { .sll_protocol = htons(ETH_P_ARP), .sll_ifindex = ifindex };
	struct solicit_arp message = { .header = { .ar_hrd = htons(ARPHRD_ETHER),
						   .ar_pro = htons(ETH_P_IP),
						   .ar_hln = ETH_ALEN,
						   .ar_pln = 4,
						   .ar_op = htons(ARPOP_REQUEST) } };

	memset(to.sll_addr, 0xff, ETH_ALEN);
	memcpy(message.source_mac, mac, ETH_ALEN);
	memcpy(message.source, &source->word[3], sizeof(message.source));
	memcpy(message.target, &target->word[3], sizeof(message.target));
	return solicit_send(fd, &to, &message, sizeof(message));
}

/* The checksum of ICMPv6, with its pseudo header (RFC 4443, section 2.3). */
static __u16 solicit_checksum(const struct solicit_nd *asked)
{
	const __u8 *at = (const __u8 *)&asked->ip.ip6_src, *end = (const __u8 *)(asked + 1);
	__u32 sum = ntohs(asked->ip.ip6_plen) + IPPROTO_ICMPV6;

	for (; at < end; at += 2)
		sum += (__u32)at[0] << 8 | at[1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((__u16)~sum);
}

static int solicit_ipv6(int fd, int ifindex, const __u8 mac[ETH_ALEN], const struct addr *source,
			const struct addr *target)
{
	static const __u8 group[13] = { 0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xff };
	struct sockaddr_ll to = { .sll_protocol = htons(ETH_P_IPV6), .sll_ifindex = ifindex };
	struct solicit_nd asked = {
		.message = { .nd_ns_type = ND_NEIGHBOR_SOLICIT },
		.option = { .nd_opt_type = ND_OPT_SOURCE_LINKADDR, .nd_opt_len = 1 },
	};

	asked.ip.ip6_vfc = 6 << 4;
	asked.ip.ip6_plen = htons(sizeof(asked) - sizeof(asked.ip));
	asked.ip.ip6_nxt = IPPROTO_ICMPV6;
	asked.ip.ip6_hlim = 255;
	memcpy(&asked.ip.ip6_src, source, sizeof(asked.ip.ip6_src));
	/* The solicited-node address, and the Ethernet address that belongs to it. */
	memcpy(&asked.ip.ip6_dst, target, sizeof(asked.ip.ip6_dst));
	memcpy(&asked.ip.ip6_dst, group, sizeof(group));
	memset(to.sll_addr, 0x33, 2);
	memcpy(to.sll_addr + 2, &asked.ip.ip6_dst.s6_addr32[3], 4);
	memcpy(&asked.message.nd_ns_target, target, sizeof(asked.message.nd_ns_target));
	memcpy(asked.source_mac, mac, ETH_ALEN);
	asked.message.nd_ns_cksum = solicit_checksum(&asked);
	return solicit_send(fd, &to, &asked, sizeof(asked));
}

int solicit(int fd, int ifindex, const struct addr *source, const struct addr *target)
{
	__u8 mac[ETH_ALEN];
	int err = solicit_own_mac(fd, ifindex, mac);

	if (err)
		return err;
	if (addr_family(target) == AF_INET)
		return solicit_ipv4(fd, ifindex, mac, source, target);
	if (addr_is_none(source))
		return -EADDRNOTAVAIL;
	return solicit_ipv6(fd, ifindex, mac, source, target);
}
