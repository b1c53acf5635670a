/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The values in an expression: numbers, addresses, networks and ports as pcap-filter(7) has them.
 * Each function returns 0, or -EINVAL if the text is no such value; the result is then undefined.
 */
#ifndef FILTER_VALUE_H
#define FILTER_VALUE_H

#include "filter.h"

/** filter_value_number - read a number, but none with a 0 before it: tcpdump reads that as octal */
int filter_value_number(const char *text, __u16 max, __u16 *number);

/**
 * filter_value_dotted - read up to four numbers with dots between them
 * @bytes: set to them, with zeroes behind
 * Return: how many, or -EINVAL.
 */
int filter_value_dotted(const char *text, size_t len, __u8 bytes[4]);

/** filter_value_host - set the address, mask and family of @term to those of one address */
int filter_value_host(struct filter_term *term, const char *text);

/**
 * filter_value_net - set the address, mask and family of @term to those of a network
 * @text: such as "10", "10.1", "10.1.0.0/16", "fd00::/8"
 */
int filter_value_net(struct filter_term *term, const char *text);

/** filter_value_has_more_bits - return whether bits of the address are set behind the mask */
bool filter_value_has_more_bits(const struct filter_term *term);

/**
 * filter_value_port - read a port: its number, or the name of a service
 * @term: its protocol has to be the service's; it is set if the name is one of TCP or of UDP only
 * @port: set to it, in host byte order
 */
int filter_value_port(struct filter_term *term, const char *text, __u16 *port);

/** filter_value_portrange - set the ports of @term; a range that runs backwards is turned round */
int filter_value_portrange(struct filter_term *term, const char *text);

#endif /* FILTER_VALUE_H */
