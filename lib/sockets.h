/* SPDX-License-Identifier: GPL-2.0-only */
/* What the kernel knows about this host's own connections (sock_diag). */
#ifndef SOCKETS_H
#define SOCKETS_H

#include <linux/types.h>
#include <stdbool.h>

#include "addr.h"

/**
 * sockets_each - tell of every socket in this network namespace that is connected
 * @visit: called with the protocol (IPPROTO_TCP or IPPROTO_UDP), the remote address, and
 * the remote port in network byte order
 * @ctx: handed to @visit; neither is used after the return
 *
 * TCP in every state but LISTEN, CLOSE and TIME_WAIT (SYN_SENT, SYN_RECV ... included), UDP where
 * it is connect()ed. Sockets of the IPv6 family that talk to an IPv4-mapped address
 * (::ffff:a.b.c.d) are connected to an IPv4 address. Those of all users; no privilege is needed.
 *
 * The kernel does not stop the world for its list: what opens or closes meanwhile may be in it or
 * not, and where one closes, a neighbour in its hash bucket may be left out, too. A list that has
 * to be asked for again tells of some sockets twice.
 *
 * Return: 0, or a negative errno if the kernel cannot list them (then some may have been told of
 * already): -ENOENT or -EOPNOTSUPP without the module for it (inet_diag, tcp_diag, udp_diag),
 * -EAGAIN if each of several lists was interrupted, -ENOBUFS if memory was short each time,
 * -ETIMEDOUT if no answer came, -EMSGSIZE or -EPROTO if it was cut off or made no sense.
 */
int sockets_each(void (*visit)(void *ctx, __u8 proto, const struct addr *addr, __be16 port),
		 void *ctx);

/**
 * sockets_listening - tell of every TCP socket in this network namespace that listens
 * @visit: called with IPPROTO_TCP, the local address (0.0.0.0 or :: for any), and the port in
 * network byte order
 *
 * A socket at :: may listen for IPv4 as well. Return: as sockets_each().
 */
int sockets_listening(void (*visit)(void *ctx, __u8 proto, const struct addr *addr, __be16 port),
		      void *ctx);

/* Both ends of a connection, the ports in network byte order. */
struct sockets_pair {
	struct addr local;
	struct addr remote;
	__be16 lport;
	__be16 rport;
	__u8 proto; /* IPPROTO_TCP or IPPROTO_UDP */
};

/**
 * sockets_connected - ask whether this network namespace has a socket with both ends of @pair
 * @connected: set to the answer; states as for sockets_each()
 * Return: 0, or a negative errno as of sockets_each(), with @connected false.
 */
int sockets_connected(const struct sockets_pair *pair, bool *connected);

#endif /* SOCKETS_H */
