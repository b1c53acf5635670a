// SPDX-License-Identifier: GPL-2.0-only
#include "ticker.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "number.h"

static sigset_t ticker_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	return set;
}

void ticker_block_signals(void)
{
	sigset_t set = ticker_signals();

	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int ticker_open(struct ticker *ticker, __u64 interval_ns)
{
	struct timespec interval = { .tv_sec = (time_t)(interval_ns / NSEC_PER_SEC),
				     .tv_nsec = (long)(interval_ns % NSEC_PER_SEC) };
	struct itimerspec timer = { .it_interval = interval, .it_value = interval };
	sigset_t set = ticker_signals();

	ticker->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (ticker->signal_fd < 0)
		return -errno;
	ticker->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (ticker->timer_fd < 0 || timerfd_settime(ticker->timer_fd, 0, &timer, NULL))
		return -errno;
	return 0;
}

int ticker_signal(struct ticker *ticker)
{
	struct signalfd_siginfo info;

	if (read(ticker->signal_fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	return (int)info.ssi_signo;
}

bool ticker_due(struct ticker *ticker)
{
	__u64 ticks;

	return read(ticker->timer_fd, &ticks, sizeof(ticks)) == sizeof(ticks);
}

void ticker_close(struct ticker *ticker)
{
	if (ticker->signal_fd >= 0)
		close(ticker->signal_fd);
	if (ticker->timer_fd >= 0)
		close(ticker->timer_fd);
	ticker->signal_fd = ticker->timer_fd = -1;
}

__u64 ticker_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (__u64)now.tv_sec * NSEC_PER_SEC + (__u64)now.tv_nsec;
}

double ticker_wall_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
