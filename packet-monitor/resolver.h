/* SPDX-License-Identifier: GPL-2.0-only */
/* Names of hosts and services, looked up by a thread of their own: nobody waits for an answer. */
#ifndef RESOLVER_H
#define RESOLVER_H

#include <stdbool.h>
#include <stddef.h>

#include "packet-monitor.h"

struct resolver;

/** resolver_open - start the thread. Return: NULL if that cannot be done. */
struct resolver *resolver_open(void);

/**
 * resolver_host - the name of one end of a flow
 * Return: false if it has none or it is not known (yet): it is then looked up for the next report.
 */
bool resolver_host(struct resolver *resolver, const struct pm_key *key, bool destination,
		   char *name, size_t size);

/** resolver_service - the name of the port at one end of a flow; as resolver_host() */
bool resolver_service(struct resolver *resolver, const struct pm_key *key, bool destination,
		      char *name, size_t size);

#endif /* RESOLVER_H */
