/* SPDX-License-Identifier: GPL-2.0-only */
/* ARP requests sent by hand, where the kernel's neighbour table is not to be touched. */
#ifndef PROXY_ARP_H
#define PROXY_ARP_H

#include <linux/types.h>

/**
 * arp_open - a socket that sends ARP on Ethernet-like interfaces
 * Return: a file descriptor owned by the caller, or a negative errno.
 */
int arp_open(void);

/**
 * arp_request - broadcast "who has @target" on @ifindex
 * @source: the sender's IPv4 address; 0 for a probe (RFC 5227), which no cache learns from
 * Return: 0 or a negative errno.
 */
int arp_request(int fd, int ifindex, __be32 source, __be32 target);

#endif /* PROXY_ARP_H */
