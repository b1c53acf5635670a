/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One process at a time owns the datapath of an interface: the one that holds the oldest token for
 * it. A token is a BPF map that nothing but the owner refers to, so it vanishes with the process,
 * and only root can make one or find one. It names a unix socket, which a proxy that runs listens
 * on for the requests of --add, --delete and --flush-flows.
 */
#ifndef PROXY_OWNER_H
#define PROXY_OWNER_H

#include <stddef.h>
#include <sys/types.h>

/* A request or an answer: one line of text, one datagram. */
enum { OWNER_TEXT_MAX = 512 };

struct owner {
	int token_fd;
	int socket_fd; /* for poll(), once owner_listen() was called: a request waits */
	uid_t uid;     /* besides root, whose requests are taken */
};

#define OWNER_INIT ((struct owner){ .token_fd = -1, .socket_fd = -1 })

/**
 * owner_acquire - become the owner of @ifindex, in this network namespace
 * @uid: the user whose requests are taken besides root's, see owner_accept()
 * @holder: set to the process that owns it, for -EBUSY; 0 if that is in another pid namespace, or
 *	    does not listen
 *
 * An owner that does not listen is about to finish: it is waited for, at most two seconds.
 * Return: 0; -EBUSY; another negative errno. owner_release() is right in any case.
 */
int owner_acquire(struct owner *owner, int ifindex, uid_t uid, pid_t *holder);

/**
 * owner_find - find the process that owns @ifindex
 * @holder: set to it; 0 if it is in another pid namespace
 * Return: 0; -ENOENT; another negative errno.
 */
int owner_find(int ifindex, pid_t *holder);

/** owner_release - let another process become the owner */
void owner_release(struct owner *owner);

/**
 * owner_listen - take requests from now on; Return: 0 or a negative errno
 *
 * Clients know the owner by the user id that the process has at this moment.
 */
int owner_listen(struct owner *owner);

/**
 * owner_accept - take one connection, and its request
 * @request: at least OWNER_TEXT_MAX bytes; set to a terminated text
 *
 * Requests of users other than root and the one given to owner_acquire() are dropped, and those of
 * peers that do not wait for an answer any more.
 * Return: a descriptor for owner_answer(), or -EAGAIN if there was no request.
 */
int owner_accept(const struct owner *owner, char *request);

/** owner_answer - send @text, "" for success, and close @request_fd */
void owner_answer(int request_fd, const char *text);

/**
 * owner_request - have the owner of @ifindex carry out @request
 * @answer: at least OWNER_TEXT_MAX bytes; "" if it was done, else why not
 * Return: 0 if it has answered; -ECONNREFUSED if there is no owner that listens; -ETIMEDOUT if it
 * has not answered in time, and will not carry out the request either; another negative errno.
 */
int owner_request(int ifindex, const char *request, char *answer);

#endif /* PROXY_OWNER_H */
