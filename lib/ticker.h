/* SPDX-License-Identifier: GPL-2.0-only */
/* When to report and when to stop: signals, an interval and a duration as descriptors for poll().
 */
#ifndef TICKER_H
#define TICKER_H

#include <linux/types.h>
#include <stdbool.h>

struct ticker {
	int signal_fd; /* SIGINT, SIGTERM, SIGHUP, SIGPIPE blocked and read from here */
	int timer_fd;  /* readable when a report is due */
};

#define TICKER_INIT                                                                                \
	{                                                                                          \
		.signal_fd = -1, .timer_fd = -1                                                    \
	}

/**
 * ticker_block_signals - block the signals that the ticker reads; the first thing main() does
 *
 * From here on no signal ends the process without clean-up. SIGPIPE is ignored: a write to a reader
 * that has gone fails with EPIPE instead.
 */
void ticker_block_signals(void);

/**
 * ticker_open - start to tick every @interval_ns, beginning one interval from now
 * Return: 0 or a negative errno; ticker_close() is right in either case.
 */
int ticker_open(struct ticker *ticker, __u64 interval_ns);

/** ticker_signal - the signal that waits, or 0 */
int ticker_signal(struct ticker *ticker);

/** ticker_due - whether a report is due; late ticks are merged into one */
bool ticker_due(struct ticker *ticker);

void ticker_close(struct ticker *ticker);

/** ticker_now_ns - CLOCK_MONOTONIC, in nanoseconds */
__u64 ticker_now_ns(void);

/** ticker_wall_clock - CLOCK_REALTIME in seconds, for "ts" fields */
double ticker_wall_clock(void);

#endif /* TICKER_H */
