/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ARP requests and neighbour solicitations sent by hand, where the kernel's neighbour table is not
 * to be touched.
 */
#ifndef PROXY_SOLICIT_H
#define PROXY_SOLICIT_H

#include "addr.h"

/**
 * solicit_open - open a socket that sends to Ethernet-like interfaces
 * Return: a file descriptor owned by the caller, or a negative errno.
 */
int solicit_open(void);

/**
 * solicit - ask on @ifindex who has @target
 * @source: the sender's address, of the same family; with none an ARP request is a probe (RFC
 *5227), which no cache learns from. IPv6 needs one: a solicitation without a source is duplicate
 *	    address detection, and would keep a host from taking @target.
 * Return: 0 or a negative errno.
 */
int solicit(int fd, int ifindex, const struct addr *source, const struct addr *target);

#endif /* PROXY_SOLICIT_H */
