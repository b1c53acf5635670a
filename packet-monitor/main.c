// SPDX-License-Identifier: GPL-2.0-only
/*
 * packet-monitor: who sends what to whom over an interface, exactly.
 *
 * options.c reads the command line; monitor.c loads and attaches the programs of each interface;
 * flow-table.c reads and recycles what they count; view.c chooses the rows of a report and
 * output-*.c print it. The loop here only decides when.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "loop.h"
#include "memory.h"
#include "number.h"
#include "options.h"
#include "output.h"
#include "privileges.h"

/* After this time, a terminal shows the first figures. */
enum { FIRST_NS = 200000000 };

struct pm_session {
	struct pm_options opt;
	struct monitor monitors[INTERFACES_MAX];
	struct view view;
	struct loop loop;
	struct tc_watch filters;
	struct loop_fd ifaces[INTERFACES_MAX];
	struct loop_timer report_timer, first_timer, end_timer, recycle_timer;
	__u64 last_ns; /* of the last report */
	__u64 reports;
	struct output output;
	struct live_view live;
	struct report report;	       /* the last one */
	struct resolver *resolver;     /* NULL: not wanted yet */
	bool mute;		       /* a report could not be written: no more of them */
	const struct monitor *visited; /* by the snapshot that is being taken */
};

static void visit_flow(void *ctx, const struct flow *flow)
{
	struct pm_session *session = ctx;

	if (session->live.terminal.live)
		live_keep(&session->live, session->visited, flow);
	else
		view_add(&session->view, session->visited, flow);
}

static struct report take_report(struct pm_session *session, __u64 now_ns)
{
	return (struct report){
		.ts = loop_wall_clock(),
		.seconds = (double)(now_ns - session->last_ns) / 1e9,
		.monitors = session->monitors,
		.monitor_count = session->opt.interface_count,
		.view = &session->view,
	};
}

/* Write the last report. Return: 0, -EPIPE if the reader has gone, or another negative errno. */
static int pm_write(struct pm_session *session, bool last)
{
	struct live_view *live = &session->live;

	if (live->names && !session->resolver)
		session->resolver = resolver_open();
	session->report.resolver = live->names ? session->resolver : NULL;
	session->report.live = live->terminal.live ? live : NULL;
	session->mute = output_write(&session->output, &session->report, last);
	if (session->view.failed)
		log_note("not enough memory for all rows (try --rows)");
	return session->mute;
}

/* Return: 0, -EPIPE if the reader has gone, or another negative errno, reported. */
static int pm_report(struct pm_session *session, bool last)
{
	__u64 now_ns = loop_now_ns();
	int err = 0;

	session->report = take_report(session, now_ns);
	session->last_ns = now_ns;
	live_check(&session->live);
	live_begin(&session->live);
	view_begin(&session->view, &session->opt.view);
	for (int i = 0; i < session->opt.interface_count && !err; i++) {
		session->visited = &session->monitors[i];
		err = monitor_snapshot(&session->monitors[i], now_ns, visit_flow, session);
	}
	view_end(&session->view);
	return err ?: pm_write(session, last);
}

/* Make room for new flows. */
static void on_recycle(void *arg)
{
	struct pm_session *session = arg;

	for (int i = 0; i < session->opt.interface_count; i++)
		if (session->monitors[i].skel)
			flow_table_relieve(&session->monitors[i].table, loop_now_ns());
}

/* After a report: let go of flows that it has shown to be idle. */
static void age(struct pm_session *session)
{
	for (int i = 0; i < session->opt.interface_count; i++)
		if (session->monitors[i].skel)
			flow_table_age(&session->monitors[i].table, loop_now_ns(),
				       session->opt.idle_ns);
}

/* What became of the interfaces; the end if one is gone and not waited for. */
static void pm_on_iface(void *arg)
{
	struct pm_session *session = arg;

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
					loop_end(&session->loop, -ENODEV);
			}
		}
	}
}

/* Filters may have been removed. */
static void pm_on_filters(void *arg)
{
	struct pm_session *session = arg;

	for (int i = 0; i < session->opt.interface_count; i++) {
		int err = monitor_keep(&session->monitors[i], &session->filters);

		if (err)
			loop_end(&session->loop, err);
	}
}

static int reattach(struct pm_session *session)
{
	int err = 0;

	for (int i = 0; i < session->opt.interface_count && !err; i++)
		if (!session->monitors[i].attached)
			err = monitor_reattach(&session->monitors[i]);
	return err;
}

static void act(struct pm_session *session, enum live_action action)
{
	int err = 0;

	if (action == LIVE_QUIT)
		loop_end(&session->loop, 0);
	else if (action == LIVE_REPORT)
		err = pm_report(session, false);
	else if (action == LIVE_DRAW && output_ready(&session->output))
		err = pm_write(session, false);
	if (err)
		loop_end(&session->loop, err);
}

static void on_key(void *arg)
{
	struct pm_session *session = arg;

	act(session, live_key(&session->live));
}

static void on_message(void *arg)
{
	act(arg, LIVE_DRAW);
}

/* What is paused is drawn again: names may have been found, interfaces have gone. */
static void report_or_redraw(struct pm_session *session)
{
	act(session, session->live.paused ? LIVE_DRAW : LIVE_REPORT);
}

/* On a terminal, the first figures come early; they are no report that counts. */
static void on_first(void *arg)
{
	report_or_redraw(arg);
}

static void pm_on_report(void *arg)
{
	struct pm_session *session = arg;
	const struct pm_options *opt = &session->opt;
	int err;

	session->reports++;
	/* The last report comes after the end of counting. */
	if (opt->count && session->reports >= opt->count)
		return loop_end(&session->loop, 0);
	err = reattach(session);
	if (err)
		return loop_end(&session->loop, err);
	report_or_redraw(session);
	age(session);
}

static void pm_on_end(void *arg)
{
	struct pm_session *session = arg;

	loop_end(&session->loop, 0);
}

static void pm_on_signal(void *arg, int signal)
{
	struct pm_session *session = arg;

	if (signal == SIGINT || signal == SIGTERM ||
	    (signal == SIGHUP && output_reopen(&session->output)))
		pm_on_end(arg);
	else if (signal != SIGHUP)
		act(session, live_signal(&session->live, signal));
}

static int check_memory(const struct pm_options *opt)
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

/* Prepare to wait: what is left out is not wanted. */
static int watch(struct pm_session *session)
{
	struct loop *loop = &session->loop;
	int err = 0;

	session->report_timer = (struct loop_timer){ .expired = pm_on_report, .arg = session };
	session->end_timer = (struct loop_timer){ .expired = pm_on_end, .arg = session };
	session->recycle_timer = (struct loop_timer){ .expired = on_recycle, .arg = session };
	session->first_timer = (struct loop_timer){ .expired = on_first, .arg = session };
	for (int i = 0; i < session->opt.interface_count && !err; i++) {
		session->ifaces[i] = (struct loop_fd){ .fd = session->monitors[i].watch_fd,
						       .ready = pm_on_iface,
						       .arg = session };
		err = loop_add(loop, &session->ifaces[i]);
	}
	err = err ?: tc_watch_open(&session->filters, loop, pm_on_filters, session);
	if (err)
		return log_err(err, "cannot wait for events");
	loop_every(loop, &session->report_timer, session->opt.interval_ns);
	loop_every(loop, &session->recycle_timer,
		   flow_table_period(session->opt.monitor.max_flows));
	return 0;
}

/* From here on the terminal is ours. */
static int take_terminal(struct pm_session *session)
{
	struct pm_options *opt = &session->opt;
	struct live_view *live = &session->live;
	int err;

	live->config = &opt->view;
	live->view = &session->view;
	live->direction = opt->monitor.direction;
	live->names = opt->resolve;
	live->rows_given = opt->rows_given;
	if (opt->format != OUTPUT_TABLE || opt->file)
		return 0;
	err = live_open(live, &session->loop, on_key, on_message, session);
	if (err)
		return log_err(err, "cannot wait for events");
	if (live->terminal.able && !opt->sort_given)
		opt->view.sort = SORT_BPS;
	live_check(live);
	return 0;
}

/* The first screen, without waiting for a whole interval. */
static int show_first(struct pm_session *session)
{
	if (!live_check(&session->live))
		return 0;
	if (session->opt.interval_ns > FIRST_NS)
		loop_set(&session->loop, &session->first_timer, session->last_ns + FIRST_NS);
	return pm_report(session, false);
}

static int start(struct pm_session *session)
{
	const struct pm_options *opt = &session->opt;
	int err;

	session->output.format = opt->format;
	session->output.path = opt->file;
	err = loop_open(&session->loop, pm_on_signal, session);
	if (err)
		return log_err(err, "cannot wait for events");
	err = check_memory(opt) ?: output_open(&session->output, &session->loop);
	err = err ?: take_terminal(session);
	for (int i = 0; i < opt->interface_count && !err; i++)
		err = monitor_open(&session->monitors[i], opt->interfaces[i], opt->wait,
				   &opt->monitor);
	if (err)
		return err;
	err = watch(session);
	for (int i = 0; i < opt->interface_count && !err; i++)
		if (session->monitors[i].skel)
			err = monitor_attach(&session->monitors[i]);
	session->last_ns = loop_now_ns();
	if (err)
		return err;
	if (opt->duration_ns)
		loop_set(&session->loop, &session->end_timer, session->last_ns + opt->duration_ns);
	err = privileges_drop((opt->wait ? PRIVILEGES_LOAD : 0) |
			      (opt->file ? PRIVILEGES_WRITE : 0));
	if (err)
		return log_err(err, "cannot drop privileges");
	return show_first(session);
}

static int summarize(const struct report *report)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return log_err(-errno, "cannot write the report");
	output_summary(out, report);
	fclose(out);
	log_text(text, len);
	free(text);
	return 0;
}

/* Stop counting, then report: what is shown is final. */
static int finish(struct pm_session *session, int err)
{
	int failed = 0, written = 0;

	for (int i = 0; i < session->opt.interface_count; i++) {
		int undo = monitor_detach(&session->monitors[i]);

		failed = failed ?: undo;
	}
	live_end(&session->live);
	if (!session->mute && err != -EPIPE)
		written = pm_report(session, true);
	written = output_close(&session->output) ?: written;
	live_close(&session->live);
	if (written != -EPIPE && session->opt.summary) {
		struct report summary = take_report(session, session->last_ns);

		summarize(&summary);
	}
	err = err ?: written;
	return err && err != -EPIPE ? err : failed;
}

static int pm_run(struct pm_session *session)
{
	int err = start(session);

	if (!err)
		err = finish(session, loop_run(&session->loop));
	else
		output_close(&session->output);
	live_close(&session->live);
	for (int i = 0; i < session->opt.interface_count; i++)
		monitor_close(&session->monitors[i]);
	view_free(&session->view);
	tc_watch_close(&session->filters);
	loop_close(&session->loop);
	return err;
}

int main(int argc, char **argv)
{
	static struct pm_session session = { .loop = LOOP_INIT, .filters = TC_WATCH_INIT };

	log_setup("packet-monitor", false);
	for (int i = 0; i < INTERFACES_MAX; i++)
		session.monitors[i] = MONITOR_INIT;
	options_parse(&session.opt, argc, argv);
	log_setup("packet-monitor", session.opt.verbose);
	return pm_run(&session) ? EXIT_FAILURE : EXIT_SUCCESS;
}
