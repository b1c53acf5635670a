/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One process at a time owns the datapath of an interface: the one that has bound an abstract unix
 * socket named after the ifindex. Such names belong to the network namespace, as the interface
 * does, and vanish with the process, so the lock cannot go stale. A proxy that runs listens on the
 * socket for the requests of --add, --delete and --flush-flows.
 */
#ifndef PROXY_OWNER_H
#define PROXY_OWNER_H

#include <stddef.h>
#include <sys/types.h>

/* A request or an answer: one line of text, one datagram. */
enum { OWNER_TEXT_MAX = 512 };

/**
 * owner_acquire - become the owner of @ifindex
 * @holder: set to the process that owns it, for -EBUSY; 0 if that is in another pid namespace
 *
 * An owner that does not listen is about to finish: it is waited for, at most two seconds.
 * Return: a file descriptor that holds the ownership; -EBUSY; another negative errno.
 */
int owner_acquire(int ifindex, pid_t *holder);

/** owner_listen - take requests from now on; Return: 0 or a negative errno */
int owner_listen(int owner_fd);

/**
 * owner_accept - the next request
 * @request: at least OWNER_TEXT_MAX bytes; set to a terminated text
 *
 * Requests of users other than root and the owner's are dropped.
 * Return: a descriptor for owner_answer(), or -EAGAIN if none waits.
 */
int owner_accept(int owner_fd, char *request);

/** owner_answer - send @text, "" for success, and close @request_fd */
void owner_answer(int request_fd, const char *text);

/**
 * owner_request - have the owner of @ifindex carry out @request
 * @answer: at least OWNER_TEXT_MAX bytes; "" if it was done, else why not
 * Return: 0 if it has answered; -ECONNREFUSED if there is no owner that listens; another negative
 * errno.
 */
int owner_request(int ifindex, const char *request, char *answer);

#endif /* PROXY_OWNER_H */
