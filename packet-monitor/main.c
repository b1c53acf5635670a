// SPDX-License-Identifier: GPL-2.0-only
/*
 * packet-monitor: who sends what to whom over an interface, exactly.
 *
 * options.c reads the command line; monitor.c loads and attaches the programs of each interface;
 * flow-table.c reads and recycles what they count; view.c chooses the rows of a report and
 * output-*.c print it. The loop here only decides when.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "memory.h"
#include "number.h"
#include "options.h"
#include "output.h"
#include "privileges.h"
#include "ticker.h"

/* How often a table that fills up is looked after. */
enum { PRESSURE_CHECK_MS = 100 };

struct session {
	struct options opt;
	struct monitor monitors[INTERFACES_MAX];
	struct view view;
	struct ticker ticker;
	__u64 start_ns;
	__u64 last_ns; /* of the last report */
	__u64 reports;
	struct output output;
	struct resolver *resolver; /* NULL: not wanted */
	bool paused;
	bool mute;		       /* a report could not be written: no more of them */
	const struct monitor *visited; /* by the snapshot that is being taken */
};

static void visit_flow(void *ctx, const struct flow *flow)
{
	struct session *session = ctx;

	view_add(&session->view, session->visited, flow);
}

static struct report take_report(struct session *session, __u64 now_ns)
{
	return (struct report){
		.ts = ticker_wall_clock(),
		.seconds = (double)(now_ns - session->last_ns) / 1e9,
		.monitors = session->monitors,
		.monitor_count = session->opt.interface_count,
		.view = &session->view,
		.resolver = session->resolver,
		.terminal = session->output.terminal.open ? &session->output.terminal : NULL,
	};
}

/* As many rows as the window has room for. */
static void fit_window(struct session *session, const struct report *report)
{
	int room;

	if (!report->terminal || session->opt.rows_given)
		return;
	terminal_measure(&session->output.terminal);
	room = report->terminal->rows - output_table_height(report);
	session->opt.view.limit = room > 1 ? (size_t)room : 1;
}

/* Return: 0, -EPIPE if the reader has gone, or another negative errno, reported. */
static int report(struct session *session)
{
	__u64 now_ns = ticker_now_ns();
	struct report report = take_report(session, now_ns);
	int err = 0;

	fit_window(session, &report);
	view_begin(&session->view, &session->opt.view);
	for (int i = 0; i < session->opt.interface_count && !err; i++) {
		session->visited = &session->monitors[i];
		err = monitor_snapshot(&session->monitors[i], now_ns, visit_flow, session);
	}
	view_end(&session->view);
	if (session->view.failed)
		log_note("not enough memory for all rows (try --rows)");
	if (!err) {
		err = output_write(&session->output, &report);
		session->mute = err;
	}
	session->last_ns = now_ns;
	session->reports++;
	return err;
}

/* Make room for new flows. */
static void recycle(struct session *session, bool after_report)
{
	__u64 now_ns = ticker_now_ns();

	for (int i = 0; i < session->opt.interface_count; i++) {
		struct flow_table *table = &session->monitors[i].table;

		if (!session->monitors[i].skel)
			continue;
		if (after_report)
			flow_table_age(table, now_ns, session->opt.idle_ns);
		flow_table_relieve(table, now_ns, session->opt.interval_ns);
	}
}

/* What became of the interfaces. Return: 0, or -ENODEV if one is gone and not waited for. */
static int watch(struct session *session)
{
	int err = 0;

	for (int i = 0; i < session->opt.interface_count; i++) {
		struct monitor *monitor = &session->monitors[i];
		char name[IF_NAMESIZE];
		enum iface_event event;

		memcpy(name, monitor->iface.name, sizeof(name));
		while ((event = iface_watch_next(monitor->watch_fd, &monitor->iface))) {
			if (!monitor->attached)
				continue;
			if (event == IFACE_RENAMED) {
				log_note("%s is now called %s", name, monitor->iface.name);
				memcpy(name, monitor->iface.name, sizeof(name));
			} else if (event == IFACE_UP) {
				log_note("%s is up", name);
			} else {
				log_note("%s %s%s", name,
					 event == IFACE_GONE ? "is gone" : "went down",
					 session->opt.wait ? ", waiting for it" : "");
				if (event == IFACE_GONE)
					monitor_lost(monitor);
				if (!session->opt.wait)
					err = -ENODEV;
			}
		}
	}
	return err;
}

static int reattach(struct session *session)
{
	int err = 0;

	for (int i = 0; i < session->opt.interface_count && !err; i++)
		if (!session->monitors[i].attached)
			err = monitor_reattach(&session->monitors[i]);
	return err;
}

static bool under_pressure(const struct session *session)
{
	for (int i = 0; i < session->opt.interface_count; i++)
		if (session->monitors[i].skel &&
		    flow_table_under_pressure(&session->monitors[i].table))
			return true;
	return false;
}

/* Sleep until something is to be done, or the duration is over. */
static int wait_for_work(struct session *session, __u64 end_ns)
{
	struct pollfd fds[INTERFACES_MAX + 3] = {
		{ .fd = session->ticker.signal_fd, .events = POLLIN },
		{ .fd = session->ticker.timer_fd, .events = POLLIN },
		{ .fd = session->output.terminal.keys ? STDIN_FILENO : -1, .events = POLLIN },
	};
	int count = session->opt.interface_count, timeout = -1;

	for (int i = 0; i < count; i++)
		fds[i + 3] =
			(struct pollfd){ .fd = session->monitors[i].watch_fd, .events = POLLIN };
	if (end_ns) {
		__u64 now_ns = ticker_now_ns();

		if (now_ns >= end_ns)
			return 0;
		timeout = end_ns - now_ns < 3600 * NSEC_PER_SEC
				  ? (int)((end_ns - now_ns) / 1000000) + 1
				  : 3600 * 1000;
	}
	if (under_pressure(session) && (timeout < 0 || timeout > PRESSURE_CHECK_MS))
		timeout = PRESSURE_CHECK_MS;
	if (poll(fds, (nfds_t)count + 3, timeout) < 0 && errno != EINTR)
		return -errno;
	return 0;
}

/* Return: false for the key that ends the tool. */
static bool handle_key(struct session *session)
{
	switch (terminal_key(&session->output.terminal)) {
	case 's':
		session->opt.view.sort = (session->opt.view.sort + 1) % SORT_KEYS;
		break;
	case ' ':
		session->paused = !session->paused;
		break;
	case 'q':
		return false;
	}
	return true;
}

/* Return: 0 at the end that was asked for, or a negative errno. */
static int loop(struct session *session)
{
	const struct options *opt = &session->opt;
	__u64 end_ns = opt->duration_ns ? session->start_ns + opt->duration_ns : 0;
	bool more = true;
	int err = 0;

	while (!err && more) {
		err = wait_for_work(session, end_ns);
		if (err)
			return log_err(err, "cannot wait for events");
		if (ticker_signal(&session->ticker) || (end_ns && ticker_now_ns() >= end_ns) ||
		    !handle_key(session))
			return 0;
		err = watch(session);
		if (err)
			return err;
		if (ticker_due(&session->ticker)) {
			/* The last report comes after the end of counting. */
			more = !opt->count || session->reports + 1 < opt->count;
			if (!more)
				break;
			err = reattach(session);
			if (!err && !session->paused)
				err = report(session);
			recycle(session, true);
		} else {
			recycle(session, false);
		}
	}
	return err;
}

static int check_memory(const struct options *opt)
{
	__u64 need = flow_table_bytes(opt->monitor.max_flows) * (__u64)opt->interface_count;
	__u64 have = memory_available();

	if (need <= have)
		return 0;
	log_note("cannot hold %u flows: that takes %llu MiB, and %llu MiB are available "
		 "(try a smaller --max-flows)",
		 opt->monitor.max_flows, need >> 20, have >> 20);
	return -ENOMEM;
}

static int start(struct session *session)
{
	const struct options *opt = &session->opt;
	int err;

	session->output.format = opt->format;
	session->output.path = opt->file;
	err = check_memory(opt) ?: output_open(&session->output);
	for (int i = 0; i < opt->interface_count && !err; i++)
		err = monitor_open(&session->monitors[i], opt->interfaces[i], opt->wait,
				   &opt->monitor);
	if (err)
		return err;
	err = ticker_open(&session->ticker, opt->interval_ns);
	if (err)
		return log_err(err, "cannot start the clock");
	for (int i = 0; i < opt->interface_count && !err; i++)
		if (session->monitors[i].skel)
			err = monitor_attach(&session->monitors[i]);
	session->start_ns = session->last_ns = ticker_now_ns();
	if (err)
		return err;
	/* A report that replaces a file may need the right to write where root has none. */
	if (!opt->file)
		err = privileges_drop();
	if (err)
		return log_err(err, "cannot drop privileges");
	if (opt->resolve)
		session->resolver = resolver_open();
	return 0;
}

/* Stop counting, then report: what is shown is final. */
static int finish(struct session *session, int err)
{
	int failed = 0;
	bool gone = err == -EPIPE;

	for (int i = 0; i < session->opt.interface_count; i++) {
		int undo = monitor_detach(&session->monitors[i]);

		failed = failed ?: undo;
	}
	if (!gone) {
		int last = session->mute ? 0 : report(session);
		struct report summary = take_report(session, session->last_ns);

		gone = last == -EPIPE;
		failed = failed ?: gone ? 0 : last;
		if (session->opt.summary)
			output_summary(stderr, &summary);
	}
	return err && err != -EPIPE ? err : failed;
}

static int run(struct session *session)
{
	int err = start(session);

	if (!err)
		err = finish(session, loop(session));
	for (int i = 0; i < session->opt.interface_count; i++)
		monitor_close(&session->monitors[i]);
	view_free(&session->view);
	output_close(&session->output);
	ticker_close(&session->ticker);
	return err;
}

int main(int argc, char **argv)
{
	static struct session session = { .ticker = TICKER_INIT };

	ticker_block_signals();
	log_setup("packet-monitor", false);
	for (int i = 0; i < INTERFACES_MAX; i++)
		session.monitors[i] = (struct monitor)MONITOR_INIT;
	options_parse(&session.opt, argc, argv);
	log_setup("packet-monitor", session.opt.verbose);
	return run(&session) ? EXIT_FAILURE : EXIT_SUCCESS;
}
