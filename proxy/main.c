// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "engine.h"
#include "iface.h"
#include "log.h"
#include "loop.h"
#include "notify.h"
#include "number.h"
#include "option-table.h"
#include "options.h"
#include "output.h"
#include "owner.h"
#include "privileges.h"
#include "refusal.h"
#include "writer.h"

struct proxy_session {
	const struct proxy_options *opt;
	struct engine engine;
	struct loop loop;
	struct owner owner;
	struct loop_fd requests, iface, routes[ENGINE_PATHS];
	struct tc_watch filters;
	struct loop_timer report_timer, end_timer, tick_timer, probe_timer, routes_timer;
	struct mapping_list list; /* to be served when the interface is there */
	__u64 end_at;		  /* 0: no limit */
	__u64 reports;
	uid_t uid; /* that the tool was started by */
	struct writer writer;
};

/* The mappings of the command line, and those of the file. */
static int proxy_read_mappings(const struct proxy_options *opt, struct mapping_list *list,
			       struct mapping_error *error)
{
	int err = 0;

	for (size_t i = 0; i < opt->maps.count && !err; i++)
		err = mapping_list_append(list, &opt->maps.entries[i]);
	if (!err && opt->map_file)
		return mapping_list_load(list, opt->map_file, error)
			       ?: mapping_list_finish(list, error);
	if (!err && !list->count)
		err = mapping_list_add(list, MAPPING_BUILTIN, 0, error);
	return err ?: mapping_list_finish(list, error);
}

/* @due_ns: a time of loop_now_ns(); 0: never */
static void proxy_set_timer(struct proxy_session *session, struct loop_timer *timer, __u64 due_ns)
{
	if (due_ns)
		loop_set(&session->loop, timer, due_ns);
}

static void proxy_on_routes(void *arg)
{
	struct proxy_session *session = arg;

	proxy_set_timer(session, &session->routes_timer, engine_event(&session->engine));
}

/* Follow the routes of each family; datapaths may have come and gone since the last call. */
static int proxy_watch_routes(struct proxy_session *session)
{
	int err = 0;

	for (int i = 0; i < ENGINE_PATHS; i++) {
		const struct datapath *path = &session->engine.paths[i];
		struct loop_fd *routes = &session->routes[i];

		if (routes->fd == path->hops.watch_fd)
			continue;
		/* One that was there before is closed: the kernel has taken it from the loop. */
		*routes = (struct loop_fd){ .fd = path->hops.watch_fd,
					    .ready = proxy_on_routes,
					    .arg = session };
		if (routes->fd >= 0)
			err = err ?: loop_add(&session->loop, routes);
	}
	return err;
}

/* Ask for originals, and come back when the next are due. */
static void proxy_on_probe(void *arg)
{
	struct proxy_session *session = arg;

	proxy_set_timer(session, &session->probe_timer, engine_probe(&session->engine));
}

/* Read the mappings again: all of them, or none. Without the interface, they are for its return. */
static void proxy_reload(struct proxy_session *session)
{
	struct engine *engine = &session->engine;
	struct mapping_list list = { 0 };
	struct mapping_error error;
	int err = proxy_read_mappings(session->opt, &list, &error);
	size_t pairs = mapping_list_pairs(&list);

	if (!err && engine->attached)
		err = engine_serve(engine, &list, session->opt->kill, &error);
	if (err) {
		log_note("%s; the running mappings stay", error.text);
		mapping_list_free(&list);
		return;
	}
	log_note("%s read again, %zu mapping%s", session->opt->map_file, pairs,
		 pairs == 1 ? "" : "s");
	mapping_list_free(&session->list);
	session->list = list;
	if (engine->attached) {
		proxy_watch_routes(session);
		engine_warn(engine);
		proxy_on_probe(session);
	}
}

/* Return: 0; -EPIPE if the reader has gone; another negative errno, said on stderr already. */
static int proxy_report(struct proxy_session *session, bool last)
{
	struct engine *engine = &session->engine;
	FILE *out;
	int err = writer_begin(&session->writer, last, &out);

	session->reports++;
	if (err)
		return err == -EAGAIN ? 0 : err;
	err = output_report(out, engine, session->opt->format);
	return writer_end(&session->writer, err);
}

/* A pipe would have been read to its end, or hold up the loop. */
static bool proxy_can_reload(const char *path)
{
	struct stat status;

	if (stat(path, &status) || S_ISREG(status.st_mode))
		return true;
	log_note("cannot read %s again: it is no regular file; the running mappings stay", path);
	return false;
}

static void proxy_on_signal(void *arg, int signal)
{
	struct proxy_session *session = arg;
	const struct proxy_options *opt = session->opt;

	if (signal != SIGHUP || (!opt->map_file && !opt->file))
		return loop_end(&session->loop, 0);
	if (opt->file)
		writer_reopen(&session->writer);
	if (opt->map_file && proxy_can_reload(opt->map_file))
		proxy_reload(session);
}

static void proxy_on_iface(void *arg)
{
	struct proxy_session *session = arg;
	struct iface *iface = &session->engine.iface;
	enum iface_event event;

	while ((event = iface_watch_next(session->iface.fd, iface)) != IFACE_NOTHING) {
		if (event == IFACE_GONE) {
			log_note("%s is gone%s", iface->name,
				 session->opt->wait ? ", waiting for it" : "");
			return loop_end(&session->loop, -ENODEV);
		}
		if (event == IFACE_RENAMED)
			log_note("the interface is now called %s", iface->name);
		else
			log_note("%s has gone %s", iface->name,
				 event == IFACE_DOWN ? "down" : "up again");
	}
}

/* Filters may have been removed. */
static void proxy_on_filters(void *arg)
{
	struct proxy_session *session = arg;
	int err = engine_keep(&session->engine, &session->filters);

	if (err)
		loop_end(&session->loop, err);
}

static void proxy_on_request(void *arg)
{
	struct proxy_session *session = arg;

	/* What is done is to be in force when the answer says so. */
	proxy_on_filters(session);
	if (session->loop.ended)
		return;
	control_serve(&session->engine, &session->owner);
	proxy_watch_routes(session);
	proxy_on_probe(session);
}

static void proxy_on_tick(void *arg)
{
	struct proxy_session *session = arg;
	int err = engine_tick(&session->engine);

	if (err)
		return loop_end(&session->loop, err);
	proxy_watch_routes(session);
}

static bool proxy_enough(const struct proxy_session *session, __u64 reports)
{
	return session->opt->count && reports >= session->opt->count;
}

static void proxy_on_report(void *arg)
{
	struct proxy_session *session = arg;
	bool last = proxy_enough(session, session->reports + 1);
	int err = proxy_report(session, last);

	if (err || last)
		loop_end(&session->loop, err);
}

static void proxy_on_end(void *arg)
{
	struct proxy_session *session = arg;

	loop_end(&session->loop, 0);
}

/* Return: 0 for a good end, or a negative errno, said on stderr already. */
static int proxy_wait_for_end(struct proxy_session *session)
{
	struct loop *loop = &session->loop;
	int err;

	session->requests.fd = session->owner.socket_fd;
	for (int i = 0; i < ENGINE_PATHS; i++)
		session->routes[i].fd = -1;
	err = loop_add(loop, &session->requests) ?:
	      loop_add(loop, &session->iface) ?:
	      proxy_watch_routes(session) ?:
	      tc_watch_open(&session->filters, loop, NULL, proxy_on_filters, session);
	if (err)
		return log_err(err, "cannot wait");
	loop_every(loop, &session->tick_timer, NSEC_PER_SEC);
	proxy_on_probe(session);
	return loop_run(loop);
}

static int proxy_acquire(struct proxy_session *session, const struct iface *iface)
{
	pid_t holder;
	int err = owner_acquire(&session->owner, iface->ifindex, session->uid, &holder);

	if (err == -EBUSY && holder)
		log_note("%s is served by proxy (pid %d) already", iface->name, (int)holder);
	else if (err == -EBUSY)
		log_note("%s is served by another proxy already", iface->name);
	else if (err)
		log_refused(REFUSED_LOAD, err, "cannot become the owner of %s", iface->name);
	return err;
}

/* From here on no program or map of another process can be opened. */
static int proxy_drop_privileges(const struct proxy_options *opt)
{
	int err = privileges_drop(PRIVILEGES_LOAD | (opt->map_file ? PRIVILEGES_READ : 0) |
				  (opt->file ? PRIVILEGES_WRITE : 0) |
				  (opt->wait ? PRIVILEGES_PACKETS : 0));

	return err ? log_err(err, "cannot drop privileges") : 0;
}

/* Have the mappings in force served again when the interface is back, those of --add included. */
static void proxy_keep_mappings(struct proxy_session *session)
{
	struct mapping_list list = { 0 };

	if (engine_mappings(&session->engine, &list)) {
		mapping_list_free(&list);
		return;
	}
	mapping_list_free(&session->list);
	session->list = list;
}

static void proxy_refuse_iface(int err, const char *ifname)
{
	if (err == -EPFNOSUPPORT)
		log_note("cannot attach to %s: neither Ethernet nor bare IP", ifname);
	else
		log_refused(REFUSED_ATTACH, err, "cannot attach to %s", ifname);
}

/* Serve the interface until the end, or until it is gone (-ENODEV). */
static int proxy_serve(struct proxy_session *session, const struct iface *iface)
{
	const struct mapping_list *list = &session->list;
	size_t pairs = mapping_list_pairs(list);
	struct engine *engine = &session->engine;
	int err, undo, written;

	engine_init(engine, session->opt, iface);
	err = proxy_acquire(session, iface);
	if (err) {
		owner_release(&session->owner);
		return err;
	}
	err = writer_open(&session->writer, &session->loop, session->opt->file,
			  session->opt->format == PROXY_PROM);
	if (err)
		goto out;
	loop_every(&session->loop, &session->report_timer, session->opt->interval_ns);
	err = engine_start(engine, list);
	if (err)
		goto out;
	err = owner_listen(&session->owner);
	if (err)
		log_err(err, "cannot take requests");
	log_note("attached to %s (ingress, egress), %zu mapping%s", iface->name, pairs,
		 pairs == 1 ? "" : "s");
	engine_warn(engine);
	engine_settle(engine);
	err = err ?: proxy_drop_privileges(session->opt);
	if (!err) {
		notify_ready();
		err = proxy_wait_for_end(session);
	}
	if (!proxy_enough(session, session->reports))
		proxy_report(session, true);
	if (err == -ENODEV && session->opt->wait)
		proxy_keep_mappings(session);
out:
	undo = engine_stop(engine);
	engine_close(engine);
	tc_watch_close(&session->filters);
	/* Whoever owns the interface next finds nothing half removed. */
	owner_release(&session->owner);
	written = writer_close(&session->writer);
	err = err ?: written;
	return err && err != -EPIPE ? err : undo;
}

static void proxy_on_link(void *arg)
{
	struct proxy_session *session = arg;
	struct iface iface = { 0 };

	/* Which one has changed does not matter: it is looked for by its name. */
	iface_watch_next(session->iface.fd, &iface);
	if (iface_open(session->opt->ifname, &iface) != -ENODEV)
		loop_end(&session->loop, -EAGAIN);
}

/* One turn: wait for the interface, or serve it. Return: -EAGAIN or -ENODEV for another. */
static int proxy_turn(struct proxy_session *session, bool first)
{
	const struct proxy_options *opt = session->opt;
	struct iface iface;
	int err;

	session->loop = (struct loop)LOOP_INIT;
	session->iface.fd = iface_watch_open();
	err = session->iface.fd < 0 ? session->iface.fd
				    : loop_open(&session->loop, proxy_on_signal, session);
	if (err) {
		log_err(err, "cannot watch %s", opt->ifname);
		goto out;
	}
	if (session->end_at)
		loop_set(&session->loop, &session->end_timer, session->end_at);
	/* First the watch, then the look: what happens in between is not missed. */
	err = iface_open(opt->ifname, &iface);
	session->iface.ready = err ? proxy_on_link : proxy_on_iface;
	if (!err) {
		err = proxy_serve(session, &iface);
	} else if (err == -ENODEV && opt->wait) {
		if (first)
			log_note("there is no %s, waiting for it", opt->ifname);
		notify_ready();
		err = loop_add(&session->loop, &session->iface) ?: loop_run(&session->loop);
	} else {
		proxy_refuse_iface(err, opt->ifname);
	}
out:
	loop_close(&session->loop);
	if (session->iface.fd >= 0)
		close(session->iface.fd);
	return err;
}

static int proxy_run(const struct proxy_options *opt, struct mapping_list *list)
{
	static struct proxy_session session;
	bool first = true;
	int err;

	session = (struct proxy_session){
		.opt = opt,
		.uid = geteuid(),
		.list = *list,
		.filters = TC_WATCH_INIT,
		.requests = { .ready = proxy_on_request, .arg = &session },
		.iface = { .arg = &session },
		.report_timer = { .expired = proxy_on_report, .arg = &session },
		.end_timer = { .expired = proxy_on_end, .arg = &session },
		.tick_timer = { .expired = proxy_on_tick, .arg = &session },
		.probe_timer = { .expired = proxy_on_probe, .arg = &session },
		.routes_timer = { .expired = proxy_on_routes, .arg = &session },
	};
	if (opt->duration_ns)
		session.end_at = loop_now_ns() + opt->duration_ns;
	do {
		err = proxy_turn(&session, first);
		first = false;
	} while (opt->wait && (err == -EAGAIN || err == -ENODEV));
	*list = session.list;
	return err;
}

int main(int argc, char **argv)
{
	struct mapping_list list = { 0 };
	struct mapping_error error;
	struct proxy_options opt;
	struct iface iface;
	int err, status = EXIT_FAILURE;

	log_setup("proxy", false);
	options_parse(&opt, argc, argv);
	log_setup("proxy", opt.verbose);
	err = proxy_read_mappings(&opt, &list, &error);
	if (err) {
		log_note("%s", error.text);
		status = opt.map_file ? EXIT_FAILURE : EXIT_USAGE;
	} else if (opt.verb == PROXY_RUN) {
		status = proxy_run(&opt, &list) ? EXIT_FAILURE : EXIT_SUCCESS;
	} else {
		err = iface_open(opt.ifname, &iface);
		if (err)
			proxy_refuse_iface(err, opt.ifname);
		else
			status = control_verb(&opt, &iface);
	}
	mapping_list_free(&list);
	options_free(&opt);
	return status;
}
