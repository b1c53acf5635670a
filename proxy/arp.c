// SPDX-License-Identifier: GPL-2.0-only
#include "arp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

struct arp_message {
	struct arphdr header;
	__u8 source_mac[ETH_ALEN];
	__u8 source[4];
	__u8 target_mac[ETH_ALEN];
	__u8 target[4];
} __attribute__((packed));

int arp_open(void)
{
	/* Protocol 0: it receives nothing. */
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

/* The interface's own Ethernet address. */
static int arp_own_mac(int fd, int ifindex, __u8 mac[ETH_ALEN])
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

int arp_request(int fd, int ifindex, __be32 source, __be32 target)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ARP),
				  .sll_ifindex = ifindex,
				  .sll_halen = ETH_ALEN };
	struct arp_message message = { .header = { .ar_hrd = htons(ARPHRD_ETHER),
						   .ar_pro = htons(ETH_P_IP),
						   .ar_hln = ETH_ALEN,
						   .ar_pln = 4,
						   .ar_op = htons(ARPOP_REQUEST) } };
	int err = arp_own_mac(fd, ifindex, message.source_mac);

	if (err)
		return err;
	memset(to.sll_addr, 0xff, ETH_ALEN);
	memcpy(message.source, &source, sizeof(message.source));
	memcpy(message.target, &target, sizeof(message.target));
	if (sendto(fd, &message, sizeof(message), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	return 0;
}
