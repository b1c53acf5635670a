// SPDX-License-Identifier: GPL-2.0-only
#include "owner.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { RETRIES = 200, RETRY_MS = 10, BACKLOG = 16, REQUEST_PATIENCE_MS = 100 };

static socklen_t owner_name(int ifindex, struct sockaddr_un *addr)
{
	int len;

	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	/* sun_path[0] stays 0: an abstract name. */
	len = snprintf(addr->sun_path + 1, sizeof(addr->sun_path) - 1, "proxy/ifindex/%d", ifindex);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
}

static int owner_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/* Return: a connected socket or a negative errno; -ECONNREFUSED: nobody listens. */
static int owner_connect(int ifindex)
{
	struct sockaddr_un addr;
	socklen_t len = owner_name(ifindex, &addr);
	int fd = owner_socket(), err;

	if (fd < 0)
		return fd;
	if (!connect(fd, (struct sockaddr *)&addr, len))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* Return: 0 with *holder set if somebody listens, a negative errno otherwise. */
static int owner_holder(int ifindex, pid_t *holder)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	int fd = owner_connect(ifindex);

	if (fd < 0)
		return fd;
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	close(fd);
	*holder = peer.pid;
	return 0;
}

int owner_acquire(int ifindex, pid_t *holder)
{
	struct sockaddr_un addr;
	socklen_t len = owner_name(ifindex, &addr);
	int fd = owner_socket(), err = -EBUSY;

	if (fd < 0)
		return fd;
	*holder = 0;
	for (int i = 0; i < RETRIES && err == -EBUSY; i++) {
		if (!bind(fd, (struct sockaddr *)&addr, len))
			return fd;
		if (errno != EADDRINUSE)
			err = -errno;
		else if (!owner_holder(ifindex, holder))
			break;
		else
			poll(NULL, 0, RETRY_MS);
	}
	close(fd);
	return err;
}

int owner_listen(int owner_fd)
{
	return listen(owner_fd, BACKLOG) ? -errno : 0;
}

/* Wait a moment for the peer, so that no silent one can stop the owner's own work. */
static ssize_t receive_line(int fd, char *text, int patience_ms)
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

int owner_accept(int owner_fd, char *request)
{
	struct pollfd poller = { .fd = owner_fd, .events = POLLIN };

	while (poll(&poller, 1, 0) == 1) {
		int fd = accept4(owner_fd, NULL, NULL, SOCK_CLOEXEC);
		struct ucred peer = { .uid = (uid_t)-1 };
		socklen_t len = sizeof(peer);

		if (fd < 0)
			return -EAGAIN;
		if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) &&
		    (!peer.uid || peer.uid == geteuid()) &&
		    receive_line(fd, request, REQUEST_PATIENCE_MS) > 0)
			return fd;
		close(fd);
	}
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

int owner_request(int ifindex, const char *request, char *answer)
{
	enum { ANSWER_PATIENCE_MS = 10000 };
	int fd = owner_connect(ifindex);
	ssize_t got;

	if (fd < 0)
		return fd;
	got = send(fd, request, strlen(request), MSG_NOSIGNAL) < 0
		      ? -errno
		      : receive_line(fd, answer, ANSWER_PATIENCE_MS);
	close(fd);
	if (got <= 0)
		return got ? (int)got : -ECONNRESET;
	memmove(answer, answer + 1, (size_t)got);
	return 0;
}
