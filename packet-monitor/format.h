/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses, protocols and quantities as text. */
#ifndef FORMAT_H
#define FORMAT_H

#include <stdbool.h>
#include <stddef.h>

#include "packet-monitor.h"

enum { FORMAT_ADDRESS_MAX = 48, FORMAT_ENDPOINT_MAX = 64, FORMAT_PROTO_MAX = 16, FORMAT_HEADS = 8 };

/** format_address - one end of a flow, without its port: "10.0.0.1", "2001:db8::1", a MAC */
void format_address(char text[FORMAT_ADDRESS_MAX], const struct pm_key *key, bool destination);

/**
 * format_endpoint - one end of a flow for people: "10.0.0.1:80", "[2001:db8::1]:80"
 *
 * Without a port where there are none; ICMP has its type and code at the destination: "10.0.0.1
 * type 8", "10.0.0.1 type 3/1".
 */
void format_endpoint(char text[FORMAT_ENDPOINT_MAX], const struct pm_key *key, bool destination);

/**
 * format_shorten - shorten an endpoint to @width columns: leave out the middle of its address
 * @head: eighths of what is kept of the address that are its beginning; the others are its end
 * @gap: one column, shown in their place
 *
 * The port stays: "[2001:db8::…:5678]:443". Where even that does not fit, the end of the text is
 * kept.
 */
void format_shorten(char text[FORMAT_ENDPOINT_MAX], int width, int head, const char *gap);

/** format_proto - "tcp", a protocol without a name as a number; not IP: the EtherType "0x0806" */
void format_proto(char text[FORMAT_PROTO_MAX], const struct pm_key *key);

/**
 * format_proto_number - the protocol with this name or number
 * Return: 0 and @number, or -EINVAL.
 */
int format_proto_number(const char *name, __u8 *number);

/** format_family - "ipv4", "ipv6", "other" */
const char *format_family(const struct pm_key *key);

/** format_has_ports, format_is_icmp - what the two port fields of a key hold */
bool format_has_ports(const struct pm_key *key);
bool format_is_icmp(const struct pm_key *key);

/** format_si - four significant places and an SI prefix: "1234", "12.35k", "1.235M" */
void format_si(char text[16], double value);

/** format_reason - the name of a reason, as in the JSON fields */
const char *format_reason(enum pm_reason reason);

#endif /* FORMAT_H */
