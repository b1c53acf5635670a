// SPDX-License-Identifier: GPL-2.0-only
#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "check.h"
#include "number.h"

/* What has been called back, in order, one letter each. */
static char trace[64];
static struct loop loop = LOOP_INIT;

static void loop_test_note(char letter)
{
	size_t len = strlen(trace);

	if (len + 1 < sizeof(trace))
		trace[len] = letter;
}

struct called {
	struct loop_timer timer;
	struct loop_fd watch;
	char letter;
	int times; /* the loop ends with the last of them */
};

static void loop_test_call(struct called *called)
{
	loop_test_note(called->letter);
	if (called->times == 1)
		loop_end(&loop, 0);
	if (called->times)
		called->times--;
}

static void on_called(void *arg)
{
	loop_test_call(arg);
}

static void on_byte(void *arg)
{
	struct called *called = arg;
	char byte;

	if (read(called->watch.fd, &byte, 1) == 1)
		loop_test_call(called);
}

/* Leaves what can be read where it is. */
static void on_unread(void *arg)
{
	struct called *called = arg;

	loop_remove(&loop, &called->watch);
	loop_test_call(called);
}

static struct called called(char letter, int times)
{
	return (struct called){ .letter = letter, .times = times };
}

static void set(struct called *called, __u64 at_ns)
{
	called->timer.expired = on_called;
	called->timer.arg = called;
	loop_set(&loop, &called->timer, at_ns);
}

static void loop_test_add(struct called *called, int fd, void (*ready)(void *arg))
{
	called->watch = (struct loop_fd){ .fd = fd, .ready = ready, .arg = called };
	CHECK_EQ(loop_add(&loop, &called->watch), 0, "%c is added", called->letter);
}

static void loop_test_on_signal(void *arg, int signal)
{
	(void)arg;
	loop_test_note(signal == SIGHUP ? 'H' : 'T');
	if (signal == SIGTERM)
		loop_end(&loop, -EINTR);
}

static void loop_test_begin(void)
{
	memset(trace, 0, sizeof(trace));
	CHECK_EQ(loop_open(&loop, loop_test_on_signal, NULL), 0, "a loop opens");
}

static void loop_test_run(int want_err, const char *want, const char *name)
{
	CHECK_EQ(loop_run(&loop), want_err, "%s: how the loop ends", name);
	CHECK_STR(trace, want, "%s", name);
	loop_close(&loop);
}

static void test_timers(void)
{
	struct called a = called('a', 0), b = called('b', 0), c = called('c', 0),
		      d = called('d', 0), e = called('e', 1);
	__u64 now = loop_now_ns();

	loop_test_begin();
	set(&e, now + 5000000);
	set(&c, now - 1);
	set(&a, now - 3);
	set(&b, now - 2);
	set(&d, now - 4);
	loop_unset(&loop, &d.timer);
	loop_unset(&loop, &d.timer);
	set(&a, now + 1000000);
	loop_test_run(0, "bcae", "timers expire once, in order, at the time that was set last");
}

/* A timer whose time has passed many times over is called once for all of them. */
static void test_periodic(void)
{
	struct called a = called('a', 3), b = called('b', 0);
	__u64 now = loop_now_ns();

	loop_test_begin();
	a.timer.every_ns = NSEC_PER_SEC / 100;
	set(&b, now);
	set(&a, now - NSEC_PER_SEC);
	loop_test_run(0, "abaa", "missed times of a periodic timer are left out");
	CHECK((a.timer.at_ns - now) % a.timer.every_ns == 0, "a periodic timer keeps its beat");
}

static void test_descriptors(void)
{
	struct called a = called('a', 0), b = called('b', 0), c = called('c', 4);
	int first[2], second[2];

	loop_test_begin();
	if (pipe(first) || pipe(second) || write(first[1], "1", 1) != 1 ||
	    write(second[1], "1234", 4) != 4) {
		CHECK(false, "pipes");
		return;
	}
	loop_test_add(&a, first[0], on_unread);
	loop_test_add(&c, second[0], on_byte);
	set(&b, loop_now_ns() - 1);
	loop_test_run(0, "bacccc",
		      "what stays ready holds up neither a timer nor another descriptor");
	CHECK_EQ(loop_open(&loop, loop_test_on_signal, NULL), 0, "a loop opens again");
	a.watch.fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	CHECK_EQ(loop_add(&loop, &a.watch), -EPERM, "a regular file cannot be waited for");
	close(a.watch.fd);
	loop_close(&loop);
	for (int i = 0; i < 2; i++) {
		close(first[i]);
		close(second[i]);
	}
}

static void test_signals(void)
{
	loop_test_begin();
	kill(getpid(), SIGHUP);
	kill(getpid(), SIGTERM);
	loop_test_run(-EINTR, "HT", "signals that were sent before the loop ran are read in it");
}

int main(void)
{
	test_timers();
	test_periodic();
	test_descriptors();
	test_signals();
	return check_exit();
}
