// SPDX-License-Identifier: GPL-2.0-only
/*
 * packet-monitor: who sends what to whom over an interface, exactly.
 *
 * options.c reads the command line; interfaces.c finds the interfaces, and monitor.c attaches to
 * each; counter.c loads the programs; flow-table.c reads and recycles what they count; view.c (for
 * Prometheus series.c) chooses the rows of a report, and output-*.c print it. exporter.c sends
 * flows to a collector. On a terminal, live.c obeys keys and screen.c draws. The loop here only
 * decides when.
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
#include "notify.h"
#include "number.h"
#include "options.h"
#include "output.h"
#include "privileges.h"

/* After this time, a terminal shows the first figures. */
enum { FIRST_NS = 200000000 };

/* Flows that have ended are written with the next report, or once there are this many. */
enum { ENDS_AT_ONCE = 4096 };

struct pm_session {
	struct pm_options opt;
	struct interfaces interfaces;
	struct servers servers;
	struct view view;
	struct flow_ends ends;
	struct series series;
	struct exporter exporter;
	bool ending; /* the report that is taken is the last one */
	struct loop loop;
	struct loop_timer report_timer, first_timer, end_timer, recycle_timer;
	__u64 last_ns; /* of the last report */
	__u64 reports;
	struct output output;
	struct live_view live;
	struct report report;	   /* the last one */
	struct resolver *resolver; /* NULL: not wanted yet */
	bool mute;		   /* a report could not be written: no more of them */
};

/* A flow has left the table. */
static void on_end(void *arg, const struct monitor *monitor, const struct flow *flow,
		   enum flow_reason reason)
{
	struct pm_session *session = arg;

	if (session->opt.ends)
		flow_ends_add(&session->ends, monitor->iface.name, flow, reason);
	series_add_ended(&session->series, monitor, flow);
	exporter_end(&session->exporter, flow, reason);
}

static void visit_flow(void *ctx, const struct monitor *monitor, const struct flow *flow)
{
	struct pm_session *session = ctx;

	if (session->ending && session->opt.ends)
		flow_ends_add(&session->ends, monitor->iface.name, flow, FLOW_EXIT);
	if (session->series.count)
		series_add(&session->series, monitor, flow);
	else if (session->live.terminal.live)
		live_keep(&session->live, monitor, flow);
	else
		view_add(&session->view, monitor, flow);
}

static struct report take_report(struct pm_session *session, __u64 now_ns)
{
	return (struct report){
		.ts = loop_wall_clock(),
		.seconds = (double)(now_ns - session->last_ns) / 1e9,
		.monitors = session->interfaces.list.monitors,
		.monitor_count = session->interfaces.list.count,
		.view = &session->view,
		.series = &session->series,
		.ends = &session->ends,
	};
}

/* Write what has ended, before it takes more memory; its reports may be far apart. */
static void write_ends(struct pm_session *session)
{
	struct report report = take_report(session, session->last_ns);

	report.only_ends = true;
	if (output_ready(&session->output) && output_write(&session->output, &report, false))
		session->mute = true;
}

/* Write the last report. Return: 0, -EPIPE if the reader has gone, or another negative errno. */
static int pm_write(struct pm_session *session, bool last)
{
	struct live_view *live = &session->live;
	int err;

	if (live->names && !session->resolver)
		session->resolver = resolver_open();
	session->report.resolver = live->names ? session->resolver : NULL;
	session->report.live = live->terminal.able ? live : NULL;
	if (live->terminal.able)
		terminal_measure(&live->terminal);
	/* Interfaces may have come since. */
	session->report.monitors = session->interfaces.list.monitors;
	session->report.monitor_count = session->interfaces.list.count;
	err = output_write(&session->output, &session->report, last);
	session->mute = err;
	if (session->view.failed)
		log_note("not enough memory for all rows (try --rows)");
	return err;
}

/* Return: 0, -EPIPE if the reader has gone, or another negative errno, reported. */
static int pm_report(struct pm_session *session, bool last)
{
	__u64 now_ns = loop_now_ns();
	int err;

	/* From here on nothing refers to the interfaces and flows of the last report. */
	live_check(&session->live);
	live_begin(&session->live);
	view_begin(&session->view, &session->opt.view);
	series_begin(&session->series);
	interfaces_forget(&session->interfaces);
	session->report = take_report(session, now_ns);
	session->last_ns = now_ns;
	err = interfaces_snapshot(&session->interfaces, now_ns, visit_flow, session);
	view_end(&session->view);
	if (!series_end(&session->series))
		session->view.failed = true;
	exporter_leave(&session->exporter);
	return err ?: pm_write(session, last);
}

/* Make room for new flows. */
static void on_recycle(void *arg)
{
	struct pm_session *session = arg;

	flow_table_relieve(&session->interfaces.counter.table, loop_now_ns());
	if (session->ends.count >= ENDS_AT_ONCE && !session->mute)
		write_ends(session);
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

	session->reports++;
	/* The last report comes after the end of counting. */
	if (opt->count && session->reports >= opt->count)
		return loop_end(&session->loop, 0);
	report_or_redraw(session);
	/* Let go of flows that the report has shown to be idle. */
	flow_table_age(&session->interfaces.counter.table, loop_now_ns(), opt->idle_ns);
}

static void pm_on_end(void *arg)
{
	struct pm_session *session = arg;

	loop_end(&session->loop, 0);
}

static void pm_on_signal(void *arg, int signal)
{
	struct pm_session *session = arg;

	if (signal != SIGHUP || output_reopen(&session->output))
		act(session, live_signal(&session->live, signal));
}

static int check_memory(const struct pm_options *opt)
{
	__u32 max_flows = opt->interfaces.monitor.counter.max_flows;
	__u64 need = flow_table_bytes(max_flows, opt->interfaces.monitor.counter.first) +
		     (opt->exporter.collector.text ? exporter_bytes(max_flows) : 0);
	__u64 have = memory_available();

	if (need <= have)
		return 0;
	log_note("cannot hold %u flows: that takes %llu MiB, and %llu MiB are available "
		 "(try a smaller --max-flows)",
		 max_flows, need >> 20, have >> 20);
	return -ENOMEM;
}

/* Prepare to wait: what is left out is not wanted. */
static int watch(struct pm_session *session)
{
	struct loop *loop = &session->loop;

	session->report_timer = (struct loop_timer){ .expired = pm_on_report, .arg = session };
	session->end_timer = (struct loop_timer){ .expired = pm_on_end, .arg = session };
	session->recycle_timer = (struct loop_timer){ .expired = on_recycle, .arg = session };
	session->first_timer = (struct loop_timer){ .expired = on_first, .arg = session };
	loop_every(loop, &session->report_timer, session->opt.interval_ns);
	loop_every(loop, &session->recycle_timer,
		   flow_table_period(session->opt.interfaces.monitor.counter.max_flows));
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
	live->direction = opt->interfaces.monitor.counter.direction;
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

/* If reports tell of servers, learn from each who they are. */
static int learn_servers(struct pm_session *session)
{
	const struct pm_options *opt = &session->opt;
	int err;

	if (opt->view.group == GROUP_NONE && opt->format != OUTPUT_JSONL &&
	    !session->live.terminal.able)
		return 0;
	err = servers_open(&session->servers);
	if (err)
		return log_err(err, "cannot learn who the servers are");
	session->interfaces.counter.table.servers = &session->servers;
	return 0;
}

static int start(struct pm_session *session)
{
	const struct pm_options *opt = &session->opt;
	int err;

	session->output.format = opt->format;
	session->output.path = opt->file;
	err = exporter_find(&session->exporter, &opt->exporter);
	if (err)
		return err;
	err = loop_open(&session->loop, pm_on_signal, session);
	if (err)
		return log_err(err, "cannot wait for events");
	err = check_memory(opt) ?: output_open(&session->output, &session->loop);
	err = err ?: take_terminal(session);
	session->interfaces.ended = on_end;
	session->interfaces.arg = session;
	session->ends.limit = opt->interfaces.monitor.counter.max_flows + ENDS_AT_ONCE;
	if (!err && opt->format == OUTPUT_PROM &&
	    series_open(&session->series, opt->view.group, opt->view.sort, opt->view.limit))
		err = log_err(-ENOMEM, "cannot hold so many rows");
	err = err ?: interfaces_open(&session->interfaces, &opt->interfaces);
	err = err ?: exporter_open(&session->exporter, &session->interfaces, &session->loop);
	err = err ?: learn_servers(session);
	err = err ?: watch(session);
	err = err ?: interfaces_attach(&session->interfaces, &session->loop);
	session->last_ns = loop_now_ns();
	if (err)
		return err;
	if (opt->duration_ns)
		loop_set(&session->loop, &session->end_timer, session->last_ns + opt->duration_ns);
	err = privileges_drop(opt->file ? PRIVILEGES_WRITE : 0);
	if (err)
		return log_err(err, "cannot drop privileges");
	notify_ready();
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
	int failed = interfaces_detach(&session->interfaces), written = 0;

	live_end(&session->live);
	session->ending = true;
	if (!session->mute && err != -EPIPE)
		written = pm_report(session, true);
	written = output_close(&session->output) ?: written;
	live_close(&session->live);
	exporter_finish(&session->exporter);
	if (written != -EPIPE && session->opt.summary) {
		struct report summary = take_report(session, session->last_ns);

		summary.resolver = session->report.resolver;
		summary.live = live_on_stderr(&session->live) ? &session->live : NULL;
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
	exporter_close(&session->exporter);
	interfaces_close(&session->interfaces);
	servers_close(&session->servers);
	view_free(&session->view);
	flow_ends_free(&session->ends);
	series_free(&session->series);
	loop_close(&session->loop);
	return err;
}

int main(int argc, char **argv)
{
	static struct pm_session session = { .loop = LOOP_INIT, .interfaces = INTERFACES_INIT };

	log_setup("packet-monitor", false);
	options_parse(&session.opt, argc, argv);
	log_setup("packet-monitor", session.opt.verbose);
	return pm_run(&session) ? EXIT_FAILURE : EXIT_SUCCESS;
}
