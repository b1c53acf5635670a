/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The event loop of a tool: descriptors, timers and signals, each with a function to call. The
 * caller owns every struct loop_fd and struct loop_timer; the loop only refers to those that are
 * added, and allocates nothing. A callback may add, set and remove any of them, its own included.
 */
#ifndef LOOP_H
#define LOOP_H

#include <linux/types.h>
#include <signal.h>
#include <stdbool.h>

/* A descriptor that is waited for. */
struct loop_fd {
	int fd;
	bool write;		  /* until it can be written, not until it can be read */
	void (*ready)(void *arg); /* called again and again for as long as @fd is ready */
	void *arg;
};

/* A time that is waited for; all zero: not set. */
struct loop_timer {
	void (*expired)(void *arg);
	void *arg;
	__u64 at_ns;	/* CLOCK_MONOTONIC */
	__u64 every_ns; /* 0: once; else again after each of these, the missed ones left out */
	struct loop_timer *next;
};

struct loop {
	int epoll_fd;
	struct loop_fd signals;
	sigset_t taken; /* what @signals hears of */
	void (*on_signal)(void *arg, int signal);
	void *arg;
	struct loop_timer *timers; /* those that are set */
	bool ended;		   /* loop_end() was called */
	int err;		   /* as given to loop_end() */
};

#define LOOP_INIT ((struct loop){ .epoll_fd = -1, .signals.fd = -1 })

/** loop_block_signals - from here on only SIGKILL ends the process without clean-up */
void loop_block_signals(void);

/**
 * loop_open - prepare to wait, and block signals; call before there is anything to clean up
 * @on_signal: called with @arg for each SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2
 * Return: 0 or a negative errno; loop_close() is right in either case.
 */
int loop_open(struct loop *loop, void (*on_signal)(void *arg, int signal), void *arg);

/**
 * loop_take_signal - have @on_signal called for @signal, too, instead of what the kernel would do
 * Return: 0 or a negative errno.
 */
int loop_take_signal(struct loop *loop, int signal);

/** loop_is_to_end - tell whether SIGINT, SIGTERM or SIGQUIT waits to be read */
bool loop_is_to_end(void);

void loop_close(struct loop *loop);

/**
 * loop_run - wait for what has been added, and call back, until loop_end() is called
 * Return: what loop_end() was given first, or a negative errno, reported, if waiting fails.
 */
int loop_run(struct loop *loop);

/** loop_end - let loop_run() return @err, 0 or a negative errno, after this callback */
void loop_end(struct loop *loop, int err);

/**
 * loop_add - call @watch->ready whenever @watch->fd can be read or written, or has failed
 * Return: 0 or a negative errno; -EPERM for a regular file, which never has to be waited for.
 */
int loop_add(struct loop *loop, struct loop_fd *watch);

/** loop_remove - do not wait for @watch any more; call before its descriptor is closed */
void loop_remove(struct loop *loop, struct loop_fd *watch);

/** loop_set - call @timer->expired at @at_ns, and no more at the time that was set before */
void loop_set(struct loop *loop, struct loop_timer *timer, __u64 at_ns);

/** loop_every - call @timer->expired every @every_ns, beginning @every_ns from now */
void loop_every(struct loop *loop, struct loop_timer *timer, __u64 every_ns);

/** loop_unset - do not call @timer->expired; nothing happens if @timer is not set */
void loop_unset(struct loop *loop, struct loop_timer *timer);

/** loop_now_ns - CLOCK_MONOTONIC, in nanoseconds */
__u64 loop_now_ns(void);

/** loop_wall_clock - CLOCK_REALTIME in seconds, for "ts" fields */
double loop_wall_clock(void);

#endif /* LOOP_H */
