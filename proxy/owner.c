// SPDX-License-Identifier: GPL-2.0-only
#include "owner.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <bpf/bpf.h>

#ifndef SO_NETNS_COOKIE /* of Linux 5.14 */
#define SO_NETNS_COOKIE 71
#endif

#define TOKEN_NAME "proxy_owner"

enum { RETRIES = 200, RETRY_MS = 10, BACKLOG = 16, REQUEST_PATIENCE_MS = 100 };

/* The one entry of the map that is a token. All zero: its owner is just making it. */
struct token {
	__u64 netns;
	__u32 ifindex;
	__u64 pid_ns; /* which @pid belongs to */
	__u32 pid;
	__u32 uid;     /* of the process that listens */
	char name[24]; /* of its socket: abstract, and not to be guessed */
};

static int owner_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static socklen_t owner_addr(const struct token *token, struct sockaddr_un *addr)
{
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	/* sun_path[0] stays 0: an abstract name. */
	memcpy(addr->sun_path + 1, token->name, sizeof(token->name));
	return offsetof(struct sockaddr_un, sun_path) + 1 +
	       (socklen_t)strnlen(token->name, sizeof(token->name));
}

/* Read the map of this id, if it is a token. Return: whether it is. */
static bool owner_token_read(__u32 id, struct token *token)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info), zero = 0;
	int fd = bpf_map_get_fd_by_id(id);
	bool found;

	if (fd < 0) /* it has just gone */
		return false;
	found = !bpf_obj_get_info_by_fd(fd, &info, &len) && !strcmp(info.name, TOKEN_NAME) &&
		info.type == BPF_MAP_TYPE_ARRAY && info.value_size == sizeof(*token) &&
		!bpf_map_lookup_elem(fd, &zero, token);
	close(fd);
	return found;
}

/*
 * Find the oldest token for the interface and the namespace of @wanted.
 * @before: if not 0, only among those with lower ids, and one that is just being made counts, too:
 *	    it may be for them; it is found with an empty name
 *
 * Return: 0, -ENOENT, or another negative errno; -EPERM: only CAP_SYS_ADMIN sees others' maps.
 */
static int owner_token_find(const struct token *wanted, __u32 before, struct token *found)
{
	__u32 id = 0;
	int err;

	memset(found, 0, sizeof(*found));
	while (!(err = bpf_map_get_next_id(id, &id)) && (!before || id < before)) {
		if (!owner_token_read(id, found))
			continue;
		if (found->netns == wanted->netns && found->ifindex == wanted->ifindex)
			return 0;
		if (before && !found->netns) /* still being made; cookies begin with 1 */
			return 0;
	}
	return err ?: -ENOENT;
}

/* What the token for @ifindex in this network namespace begins with. @fd: any socket */
static int owner_token_init(struct token *token, int fd, int ifindex)
{
	socklen_t len = sizeof(token->netns);
	struct stat pid_ns;

	memset(token, 0, sizeof(*token));
	if (!stat("/proc/self/ns/pid", &pid_ns))
		token->pid_ns = pid_ns.st_ino;
	token->pid = (__u32)getpid();
	token->ifindex = (__u32)ifindex;
	return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &token->netns, &len) ? -errno : 0;
}

/* Connect @fd to the process that @token is of. @peer: set on success */
static int owner_token_connect(const struct token *token, int fd, struct ucred *peer)
{
	struct timeval patience = { .tv_sec = 1 };
	socklen_t len = sizeof(*peer);
	struct sockaddr_un addr;

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&addr, owner_addr(token, &addr)) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &len))
		return -errno;
	/* It has ended since, and somebody else has taken the name, which is no secret. */
	return peer->uid == token->uid ? 0 : -ECONNREFUSED;
}

/* Return: 0 with *holder set if the process that @token is of listens, a negative errno if not. */
static int owner_token_listens(const struct token *token, pid_t *holder)
{
	struct ucred peer = { 0 };
	int fd = owner_socket(), err;

	if (fd < 0)
		return fd;
	err = owner_token_connect(token, fd, &peer);
	close(fd);
	if (err == -EAGAIN) /* there is no room for one more request */
		err = 0;
	if (!err)
		*holder = peer.pid;
	return err;
}

int owner_find(int ifindex, pid_t *holder)
{
	struct token wanted, token = { 0 };
	int fd = owner_socket(), err;

	*holder = 0;
	if (fd < 0)
		return fd;
	err = owner_token_init(&wanted, fd, ifindex) ?: owner_token_find(&wanted, 0, &token);
	close(fd);
	if (!err && token.pid_ns == wanted.pid_ns)
		*holder = (pid_t)token.pid;
	return err;
}

/* Make a token. @id: set to the map's */
static int owner_token_make(struct owner *owner, const struct token *token, __u32 *id)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info), zero = 0;
	int err;

	owner->token_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, TOKEN_NAME, sizeof(zero),
					 sizeof(*token), 1, NULL);
	if (owner->token_fd < 0)
		return -errno;
	err = bpf_obj_get_info_by_fd(owner->token_fd, &info, &len);
	*id = info.id;
	return err ?: bpf_map_update_elem(owner->token_fd, &zero, token, BPF_ANY);
}

int owner_acquire(struct owner *owner, int ifindex, uid_t uid, pid_t *holder)
{
	struct token token, rival = { 0 };
	struct sockaddr_un addr;
	__u64 nonce;
	__u32 id = 0;
	int err;

	*owner = OWNER_INIT;
	*holder = 0;
	owner->uid = uid;
	owner->socket_fd = owner_socket();
	if (owner->socket_fd < 0)
		return owner->socket_fd;
	err = owner_token_init(&token, owner->socket_fd, ifindex);
	if (!err && getrandom(&nonce, sizeof(nonce), 0) < 0)
		err = -errno;
	if (err)
		return err;
	token.uid = geteuid();
	snprintf(token.name, sizeof(token.name), "proxy/%016llx", nonce);
	if (bind(owner->socket_fd, (struct sockaddr *)&addr, owner_addr(&token, &addr)))
		return -errno;
	err = owner_token_make(owner, &token, &id);
	/* Of two that start at once, each sees the other's token: the older one stays. */
	for (int i = 0; i < RETRIES && !err; i++) {
		/* Who may not look finds the filters of another owner in the way. */
		if (owner_token_find(&token, id, &rival))
			return 0;
		if (*rival.name && !owner_token_listens(&rival, holder))
			break;
		poll(NULL, 0, RETRY_MS);
	}
	return err ?: -EBUSY;
}

void owner_release(struct owner *owner)
{
	if (owner->socket_fd >= 0)
		close(owner->socket_fd);
	if (owner->token_fd >= 0)
		close(owner->token_fd);
	*owner = OWNER_INIT;
}

int owner_listen(struct owner *owner)
{
	struct token token;
	__u32 zero = 0;
	int err = bpf_map_lookup_elem(owner->token_fd, &zero, &token);

	token.uid = geteuid();
	err = err ?: bpf_map_update_elem(owner->token_fd, &zero, &token, BPF_ANY);
	if (!err && listen(owner->socket_fd, BACKLOG))
		err = -errno;
	return err;
}

/* Wait a moment for the peer, so that no silent one can stop the owner's own work. */
static ssize_t owner_receive(int fd, char *text, int patience_ms)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	ssize_t got;

	if (poll(&poller, 1, patience_ms) != 1)
		return -ETIMEDOUT;
	got = recv(fd, text, OWNER_TEXT_MAX - 1, MSG_DONTWAIT);
	if (got < 0)
		return -errno;
	text[got] = 0;
	return got;
}

/* The peer has given up: it has told its user that nothing was done. */
static bool owner_peer_gone(int fd)
{
	struct pollfd poller = { .fd = fd };

	return poll(&poller, 1, 0) == 1;
}

int owner_accept(const struct owner *owner, char *request)
{
	struct pollfd poller = { .fd = owner->socket_fd, .events = POLLIN };
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(peer);
	int fd;

	if (poll(&poller, 1, 0) != 1)
		return -EAGAIN;
	fd = accept4(owner->socket_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return -EAGAIN;
	if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) &&
	    (!peer.uid || peer.uid == owner->uid) &&
	    owner_receive(fd, request, REQUEST_PATIENCE_MS) > 0 && !owner_peer_gone(fd))
		return fd;
	close(fd);
	return -EAGAIN;
}

void owner_answer(int request_fd, const char *text)
{
	/* "+" alone is success: an empty datagram would look like the end of the connection. */
	char answer[OWNER_TEXT_MAX];
	int len = snprintf(answer, sizeof(answer), "+%s", text);

	if (len >= (int)sizeof(answer))
		len = sizeof(answer) - 1;
	send(request_fd, answer, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(request_fd);
}

/*
 * Ask once. Return: as owner_request() does; or -EPIPE if the owner has closed the connection
 * without reading the request: it had waited for that long enough.
 */
static int owner_ask(int ifindex, const char *request, char *answer)
{
	enum { ANSWER_PATIENCE_MS = 10000 };
	struct token token = { 0 }, wanted;
	struct ucred peer;
	int fd = owner_socket(), err;
	ssize_t got = 0;

	if (fd < 0)
		return fd;
	err = owner_token_init(&wanted, fd, ifindex) ?: owner_token_find(&wanted, 0, &token);
	if (err == -ENOENT)
		err = -ECONNREFUSED;
	if (!err)
		err = owner_token_connect(&token, fd, &peer);
	if (!err)
		got = send(fd, request, strlen(request), MSG_NOSIGNAL) < 0
			      ? -errno
			      : owner_receive(fd, answer, ANSWER_PATIENCE_MS);
	close(fd);
	if (err == -EAGAIN) /* it does not even take more requests */
		err = -ETIMEDOUT;
	if (got == -ECONNRESET) /* what was sent has not been read */
		err = -EPIPE;
	if (err || got <= 0)
		return err ?: got ? (int)got : -ECONNRESET;
	memmove(answer, answer + 1, (size_t)got);
	return 0;
}

int owner_request(int ifindex, const char *request, char *answer)
{
	int err, attempts = 10;

	/* On a busy machine, this process may not have run between connecting and sending. */
	do
		err = owner_ask(ifindex, request, answer);
	while (err == -EPIPE && --attempts);
	return err;
}
