// SPDX-License-Identifier: GPL-2.0-only
#include "loop.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "number.h"

/* Those that people send, and that would end the process without clean-up. */
static sigset_t loop_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	return set;
}

void loop_block_signals(void)
{
	sigset_t set = loop_signals();

	/* writer.c lets it through where it wants it, which no other thread may take away. */
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static void loop_read_signal(void *arg)
{
	struct signalfd_siginfo info;
	struct loop *loop = arg;

	if (read(loop->signals.fd, &info, sizeof(info)) == sizeof(info))
		loop->on_signal(loop->arg, (int)info.ssi_signo);
}

int loop_open(struct loop *loop, void (*on_signal)(void *arg, int signal), void *arg)
{
	loop_block_signals();
	*loop = LOOP_INIT;
	loop->taken = loop_signals();
	loop->on_signal = on_signal;
	loop->arg = arg;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		return -errno;
	loop->signals =
		(struct loop_fd){ .fd = signalfd(-1, &loop->taken, SFD_NONBLOCK | SFD_CLOEXEC),
				  .ready = loop_read_signal,
				  .arg = loop };
	return loop->signals.fd < 0 ? -errno : loop_add(loop, &loop->signals);
}

int loop_take_signal(struct loop *loop, int signal)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	sigaddset(&loop->taken, signal);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(loop->signals.fd, &loop->taken, 0) < 0 ? -errno : 0;
}

bool loop_is_to_end(void)
{
	sigset_t pending;

	return !sigpending(&pending) &&
	       (sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM) ||
		sigismember(&pending, SIGQUIT));
}

void loop_close(struct loop *loop)
{
	if (loop->signals.fd >= 0)
		close(loop->signals.fd);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	*loop = LOOP_INIT;
}

int loop_add(struct loop *loop, struct loop_fd *watch)
{
	struct epoll_event event = { .events = watch->write ? EPOLLOUT : EPOLLIN,
				     .data.ptr = watch };

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) ? -errno : 0;
}

void loop_remove(struct loop *loop, struct loop_fd *watch)
{
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
}

void loop_unset(struct loop *loop, struct loop_timer *timer)
{
	struct loop_timer **at = &loop->timers;

	while (*at && *at != timer)
		at = &(*at)->next;
	if (*at)
		*at = timer->next;
}

void loop_set(struct loop *loop, struct loop_timer *timer, __u64 at_ns)
{
	struct loop_timer **at = &loop->timers;

	loop_unset(loop, timer);
	while (*at && (*at)->at_ns <= at_ns)
		at = &(*at)->next;
	timer->at_ns = at_ns;
	timer->next = *at;
	*at = timer;
}

void loop_every(struct loop *loop, struct loop_timer *timer, __u64 every_ns)
{
	timer->every_ns = every_ns;
	loop_set(loop, timer, loop_now_ns() + every_ns);
}

/* Call the first timer if it is due. Return: milliseconds until the first one is, -1 for none. */
static int loop_run_timer(struct loop *loop)
{
	struct loop_timer *timer = loop->timers;
	__u64 now, ms;

	if (!timer)
		return -1;
	now = loop_now_ns();
	if (timer->at_ns > now) {
		ms = (timer->at_ns - now + 999999) / 1000000;
		return ms < 3600000 ? (int)ms : 3600000;
	}
	loop_unset(loop, timer);
	if (timer->every_ns)
		loop_set(loop, timer,
			 now + timer->every_ns - (now - timer->at_ns) % timer->every_ns);
	timer->expired(timer->arg);
	return 0;
}

/*
 * One timer and one descriptor in turn, so that neither holds up the other. epoll puts a descriptor
 * that stays ready behind the others, and never hands out one that a callback has just removed.
 */
int loop_run(struct loop *loop)
{
	while (!loop->ended) {
		int timeout = loop_run_timer(loop), count;
		struct epoll_event event;

		if (loop->ended)
			break;
		count = epoll_wait(loop->epoll_fd, &event, 1, timeout);
		if (count < 0 && errno != EINTR)
			return log_err(-errno, "cannot wait");
		if (count == 1) {
			struct loop_fd *watch = event.data.ptr;

			watch->ready(watch->arg);
		}
	}
	return loop->err;
}

void loop_end(struct loop *loop, int err)
{
	if (loop->ended)
		return;
	loop->ended = true;
	loop->err = err;
}

__u64 loop_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (__u64)now.tv_sec * NSEC_PER_SEC + (__u64)now.tv_nsec;
}

double loop_wall_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
