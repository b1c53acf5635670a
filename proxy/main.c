// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control.h"
#include "engine.h"
#include "iface.h"
#include "log.h"
#include "number.h"
#include "options.h"
#include "output.h"
#include "owner.h"
#include "ticker.h"

enum { EXIT_USAGE = 2, GONE_PATIENCE_MS = 50 };

/* What the loop waits for. */
enum { POLL_SIGNAL, POLL_REPORT, POLL_OWNER, POLL_ROUTES, POLL_IFACE, POLL_COUNT };

struct session {
	const struct options *opt;
	struct engine engine;
	struct ticker ticker;
	int owner_fd;
	int iface_fd;
	__u64 reports;
	bool mute;     /* stdout does not take any more */
	__u64 end_at;  /* 0: no limit */
	__u64 tick_at; /* when engine_tick() is due */
};

/* The mappings of the command line, and those of the file. */
static int read_mappings(const struct options *opt, struct mapping_list *list,
			 struct mapping_error *error)
{
	int err = 0;

	for (size_t i = 0; i < opt->maps.count && !err; i++)
		err = mapping_list_append(list, &opt->maps.entries[i]);
	list->texts = opt->maps.texts;
	if (!err && opt->map_file)
		return mapping_list_load(list, opt->map_file, error)
			       ?: mapping_list_finish(list, error);
	if (!err && !list->count)
		err = mapping_list_add(list, MAPPING_BUILTIN, 0, error);
	return err ?: mapping_list_finish(list, error);
}

/* Read the file again: all of it, or nothing. */
static void reload(struct session *session)
{
	struct engine *engine = &session->engine;
	struct mapping_list list = { 0 };
	struct mapping_error error;
	int err = read_mappings(session->opt, &list, &error) ?:
		  engine_check(engine, &list, &error) ?:
		  engine_serve(engine, &list, session->opt->kill, &error);

	if (err) {
		log_note("%s; the running mappings stay", error.text);
	} else {
		log_note("%s read again, %zu mapping%s", session->opt->map_file, list.texts,
			 list.texts == 1 ? "" : "s");
		engine_warn(engine);
	}
	mapping_list_free(&list);
}

/* Return: 0; -EPIPE if the reader has gone; another negative errno, said on stderr already. */
static int report(struct session *session)
{
	struct engine *engine = &session->engine;
	int err = output_report(&engine->table, &engine->maps, engine->iface.name,
				session->opt->jsonl);

	session->reports++;
	session->mute = err;
	return err && err != -EPIPE ? log_err(err, "cannot write the report") : err;
}

/* Return: 0 to go on, 1 to end well, or a negative errno. */
static int on_signal(struct session *session)
{
	int signal = ticker_signal(&session->ticker);

	if (signal == SIGHUP && session->opt->map_file) {
		reload(session);
		return 0;
	}
	return signal ? 1 : 0;
}

static int on_iface(struct session *session)
{
	struct pollfd more = { .fd = session->iface_fd, .events = POLLIN };
	struct iface *iface = &session->engine.iface;
	enum iface_event event;
	bool down = false;

	do {
		while ((event = iface_watch_next(session->iface_fd, iface)) != IFACE_NOTHING) {
			if (event == IFACE_GONE)
				return log_note("%s is gone", iface->name), -ENODEV;
			if (event == IFACE_RENAMED)
				log_note("the interface is now called %s", iface->name);
			else
				down = event == IFACE_DOWN;
		}
		/* An interface that is removed goes down first. */
	} while (down && poll(&more, 1, GONE_PATIENCE_MS) == 1);
	return down ? (log_note("%s has gone down", iface->name), -ENETDOWN) : 0;
}

static int milliseconds_to(__u64 at, __u64 now)
{
	__u64 ms = at > now ? (at - now + 999999) / 1000000 : 0;

	return ms > 1000 ? 1000 : (int)ms;
}

static int sooner(int a, int b)
{
	return b >= 0 && b < a ? b : a;
}

/* Do what is due; *timeout is set to the time until the next is. */
static int on_time(struct session *session, int *timeout)
{
	__u64 now = ticker_now_ns();
	int err = 0;

	if (now >= session->tick_at) {
		err = engine_tick(&session->engine);
		session->tick_at = now + NSEC_PER_SEC;
	}
	*timeout = milliseconds_to(session->tick_at, now);
	if (session->end_at)
		*timeout = sooner(*timeout, milliseconds_to(session->end_at, now));
	*timeout = sooner(*timeout, engine_probe(&session->engine));
	*timeout = sooner(*timeout, nexthops_wait_ms(&session->engine.hops, now));
	if (!err && session->end_at && now >= session->end_at)
		return 1;
	return err;
}

static bool enough(const struct session *session)
{
	return session->opt->count && session->reports >= session->opt->count;
}

static int on_report(struct session *session)
{
	int err;

	if (!ticker_due(&session->ticker))
		return 0;
	err = report(session);
	return err ?: enough(session);
}

/* Return: 0 for a good end, or a negative errno, said on stderr already. */
static int loop(struct session *session)
{
	struct pollfd fds[POLL_COUNT] = {
		[POLL_SIGNAL] = { .fd = session->ticker.signal_fd, .events = POLLIN },
		[POLL_REPORT] = { .fd = session->ticker.timer_fd, .events = POLLIN },
		[POLL_OWNER] = { .fd = session->owner_fd, .events = POLLIN },
		[POLL_ROUTES] = { .fd = session->engine.hops.watch_fd, .events = POLLIN },
		[POLL_IFACE] = { .fd = session->iface_fd, .events = POLLIN },
	};
	const struct nexthops *hops = &session->engine.hops;
	int end = 0, timeout;

	while (!end) {
		end = on_time(session, &timeout);
		if (end)
			break;
		if (poll(fds, POLL_COUNT, timeout) < 0 && errno != EINTR)
			return log_err(-errno, "cannot wait");
		if (fds[POLL_SIGNAL].revents)
			end = on_signal(session);
		if (!end && (fds[POLL_ROUTES].revents || !nexthops_wait_ms(hops, ticker_now_ns())))
			engine_event(&session->engine);
		if (!end && fds[POLL_IFACE].revents)
			end = on_iface(session);
		if (!end && fds[POLL_OWNER].revents)
			control_serve(&session->engine, session->owner_fd);
		if (!end && fds[POLL_REPORT].revents)
			end = on_report(session);
	}
	return end > 0 ? 0 : end;
}

/* Return: how the tool ends; a reader that has gone is no failure. */
static int last_report(struct session *session, int err)
{
	int written = 0;

	if (!session->mute && !enough(session))
		written = report(session);
	err = err ?: written;
	return err == -EPIPE ? 0 : err;
}

static int acquire(const struct iface *iface)
{
	pid_t holder;
	int fd = owner_acquire(iface->ifindex, &holder);

	if (fd == -EBUSY && holder)
		log_note("%s is served by proxy (pid %d) already", iface->name, (int)holder);
	else if (fd == -EBUSY)
		log_note("%s is served by another proxy already", iface->name);
	else if (fd < 0)
		log_err(fd, "cannot become the owner of %s", iface->name);
	return fd;
}

static int run(const struct options *opt, const struct iface *iface,
	       const struct mapping_list *list)
{
	struct session session = {
		.opt = opt, .ticker = TICKER_INIT, .owner_fd = -1, .iface_fd = -1
	};
	struct engine *engine = &session.engine;
	int err, undo;

	engine_init(engine, opt, iface);
	session.owner_fd = acquire(iface);
	if (session.owner_fd < 0)
		return session.owner_fd;
	session.iface_fd = iface_watch_open();
	err = session.iface_fd < 0 ? session.iface_fd
				   : ticker_open(&session.ticker, opt->interval_ns);
	if (err) {
		log_err(err, "cannot watch %s", iface->name);
		goto out;
	}
	err = engine_start(engine, list);
	if (err)
		goto out;
	err = owner_listen(session.owner_fd);
	if (err)
		log_err(err, "cannot take requests");
	log_note("attached to %s (ingress, egress), %zu mapping%s", iface->name, list->texts,
		 list->texts == 1 ? "" : "s");
	engine_warn(engine);
	engine_settle(engine);
	if (opt->duration_ns)
		session.end_at = ticker_now_ns() + opt->duration_ns;
	session.tick_at = ticker_now_ns() + NSEC_PER_SEC;
	err = err ?: loop(&session);
	err = last_report(&session, err);
out:
	undo = engine_stop(engine);
	engine_close(engine);
	ticker_close(&session.ticker);
	if (session.iface_fd >= 0)
		close(session.iface_fd);
	/* The last: whoever owns the interface next finds nothing half removed. */
	close(session.owner_fd);
	return err ?: undo;
}

int main(int argc, char **argv)
{
	static char out[1 << 16]; /* a report lists every flow: few, long writes */
	struct mapping_list list = { 0 };
	struct mapping_error error;
	struct options opt;
	struct iface iface;
	int err, status = EXIT_FAILURE;

	setvbuf(stdout, out, _IOFBF, sizeof(out));
	log_setup("proxy", false);
	options_parse(&opt, argc, argv);
	log_setup("proxy", opt.verbose);
	ticker_block_signals();
	err = read_mappings(&opt, &list, &error);
	if (err) {
		log_note("%s", error.text);
		status = opt.map_file ? EXIT_FAILURE : EXIT_USAGE;
		goto out;
	}
	err = iface_open(opt.ifname, &iface);
	if (err == -EPFNOSUPPORT)
		log_note("cannot attach to %s: neither Ethernet nor bare IP", opt.ifname);
	else if (err)
		log_err(err, "cannot attach to %s", opt.ifname);
	else if (opt.verb != PROXY_RUN)
		status = control_verb(&opt, &iface);
	else
		status = run(&opt, &iface, &list) ? EXIT_FAILURE : EXIT_SUCCESS;
out:
	mapping_list_free(&list);
	options_free(&opt);
	return status;
}
