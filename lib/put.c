// SPDX-License-Identifier: GPL-2.0-only
#include "put.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

/* For how long poll() may have been wrong. */
enum { WRITE_MS = 10 };

static void put_on_alarm(int signal)
{
	(void)signal;
}

/*
 * write(), interrupted after a moment. O_NONBLOCK would be set for everybody who has the same pipe
 * or terminal open, the user's shell among them; opening it a second time, through /proc, is not
 * allowed everywhere and does not work with sockets; a thread keeps privileges of its own. poll()
 * alone is not enough: a terminal says that there is room if there is room for one byte.
 */
static ssize_t put_briefly(int fd, const char *text, size_t len)
{
	const struct itimerval tick = { { 0, WRITE_MS * 1000 }, { 0, WRITE_MS * 1000 } };
	const struct itimerval never = { 0 };
	struct sigaction action = { .sa_handler = put_on_alarm };
	sigset_t alarm, before;
	ssize_t got;

	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	sigaction(SIGALRM, &action, NULL);
	sigprocmask(SIG_UNBLOCK, &alarm, &before);
	setitimer(ITIMER_REAL, &tick, NULL);
	got = write(fd, text, len);
	if (got < 0)
		got = -errno;
	setitimer(ITIMER_REAL, &never, NULL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return got;
}

/* As many whole lines as a pipe takes at once or not at all. */
static size_t put_next_chunk(const char *text, size_t len)
{
	const char *newline;

	if (len <= PIPE_BUF)
		return len;
	newline = memrchr(text, '\n', PIPE_BUF);
	return newline ? (size_t)(newline + 1 - text) : PIPE_BUF;
}

ssize_t put_text(int fd, const char *text, size_t len, int patience_ms)
{
	struct pollfd out = { .fd = fd, .events = POLLOUT };
	size_t done = 0;

	while (done < len && poll(&out, 1, patience_ms) == 1) {
		ssize_t got = put_briefly(fd, text + done, put_next_chunk(text + done, len - done));

		if (got == -EINTR || got == -EAGAIN)
			break;
		if (got < 0)
			return got;
		done += (size_t)got;
	}
	return (ssize_t)done;
}
