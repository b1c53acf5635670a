/* SPDX-License-Identifier: GPL-2.0-only */
/* The socket to an IPFIX collector. Nothing here waits for the collector. */
#ifndef COLLECTOR_H
#define COLLECTOR_H

#include <linux/types.h>
#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* The largest message: what fits into a packet of Ethernet, by IPv4 and UDP. */
enum { COLLECTOR_MESSAGE_MAX = 1500 - 28 };

/* What the command line says. */
struct collector_config {
	const char *text; /* as it was given; NULL: no collector */
	char host[256];
	char port[NI_MAXSERV];
	bool tcp;
};

/**
 * collector_parse - read [udp:|tcp:]HOST[:PORT]
 *
 * An IPv6 address stands in brackets if a port follows. Return: NULL, or what is wrong with @text,
 * as the end of a sentence.
 */
const char *collector_parse(struct collector_config *config, const char *text);

struct collector {
	const struct collector_config *config; /* the caller's */
	struct sockaddr_storage address;
	socklen_t address_len;
	int fd;	       /* -1: no socket */
	size_t size;   /* that a message may have at present */
	__u64 written; /* bytes that this connection was given */
	size_t rest; /* of the last message: bytes at the end of it that the kernel has no room for
		      */
	size_t rest_len;
	__u8 message[COLLECTOR_MESSAGE_MAX]; /* the last one, if there is a rest */
};

/**
 * collector_find - look up the address; waits for a name server
 * Failures are reported. Return: 0 or a negative errno.
 */
int collector_find(struct collector *collector, const struct collector_config *config);

/**
 * collector_open - make a socket and begin to connect
 * Return: 0 or a negative errno. collector_close() is right in either case.
 */
int collector_open(struct collector *collector);

void collector_close(struct collector *collector);

/**
 * collector_send - send a message
 * Return: 0 if the kernel has taken it; -EAGAIN if there is no room now, or no connection yet;
 * -EMSGSIZE if it is too large, and @collector->size is less now; any other negative errno: the
 * collector cannot be reached.
 */
int collector_send(struct collector *collector, const __u8 *bytes, size_t len);

/** collector_given - return the bytes of this connection up to the end of the last message */
__u64 collector_given(const struct collector *collector);

/** collector_taken - return how many of them the collector's host has acknowledged; TCP */
__u64 collector_taken(const struct collector *collector);

/**
 * collector_error - read what the kernel says of what was sent
 * @sequence: set to that of the message that did not arrive, if it is known
 * @known: set to whether it is
 * Return: 0 if there is nothing; -EMSGSIZE if the message was too large, as in collector_send();
 * any other negative errno: the collector cannot be reached.
 */
int collector_error(struct collector *collector, __u32 *sequence, bool *known);

#endif /* COLLECTOR_H */
