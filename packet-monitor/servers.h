/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which end of a flow is the server: by its SYN, else by a listening socket of this host, else by
 * the port with more peers.
 */
#ifndef SERVERS_H
#define SERVERS_H

#include <stdbool.h>
#include <stddef.h>

#include "addr.h"
#include "packet-monitor.h"

enum server { SERVER_UNKNOWN, SERVER_DST, SERVER_SRC };

enum { SERVERS_PORTS = 65536 };

/* A listening TCP socket. */
struct listener {
	struct addr addr; /* none, or 0.0.0.0: any of this host's */
	__be16 port;
};

/* What the flows of one report and the sockets of this host tell. All zero: nothing. */
struct servers {
	__u32 *peers; /* flows of TCP by port, then those of UDP; the client's end only if unsure */
	bool *listens; /* whether there is a listener at the port */
	bool listed;   /* the two lists are those of this report */
	struct listener *listeners;
	size_t listener_count, listener_room;
	struct addr *locals; /* addresses of this host, ordered */
	size_t local_count, local_room;
};

/** servers_open - Return: 0 or -ENOMEM; servers_close() is right in either case. */
int servers_open(struct servers *servers);

void servers_close(struct servers *servers);

/** servers_begin - forget the last report: servers_note() is called for each flow of the next */
void servers_begin(struct servers *servers);

/**
 * servers_note - learn from a flow
 * @began: enum pm_began, or 0: no SYN was seen
 *
 * Lists the sockets for the first TCP flow without a SYN. Without memory, or where the kernel
 * cannot list them, they tell nothing.
 */
void servers_note(struct servers *servers, const struct pm_key *key, __u32 began);

/**
 * servers_tell - return which end of a flow is the server
 * @servers: NULL: only the SYN tells
 * @began: as for servers_note()
 */
enum server servers_tell(const struct servers *servers, const struct pm_key *key, __u32 began);

/** server_turn - return the same of the flow in the other direction */
static inline enum server server_turn(enum server server)
{
	return server == SERVER_SRC ? SERVER_DST : server == SERVER_DST ? SERVER_SRC : server;
}

#endif /* SERVERS_H */
