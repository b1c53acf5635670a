// SPDX-License-Identifier: GPL-2.0-only
#include "interfaces.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "log.h"
#include "number.h"
#include "refusal.h"

static bool interfaces_is_excluded(const char *name, void *list)
{
	return name_list_find(list, name) >= 0;
}

static bool interfaces_is_called(const char *name, void *pattern)
{
	return name_matches(pattern, name);
}

/*
 * Which name of the command line asks for an interface, one that is no pattern before the others;
 * or -1.
 */
static int interfaces_asked_for(struct interfaces *set, const struct iface_news *news)
{
	const struct name_list *watched = &set->config->watched;
	int found = -1;

	if (iface_news_any_name(news, interfaces_is_excluded, (void *)&set->config->excluded))
		return -1;
	for (int i = watched->count - 1; i >= 0; i--) {
		const char *name = watched->names[i];

		if (!iface_news_any_name(news, interfaces_is_called, (void *)name))
			continue;
		set->matched[i] = true;
		if (found < 0 || !name_is_pattern(name))
			found = i;
	}
	return found;
}

static bool interfaces_is_shared(const struct interfaces *set)
{
	return set->config->monitor.counter.shared;
}

/* The interface whose flow this is. */
static struct monitor *interfaces_of_flow(const struct interfaces *set, const struct pm_key *key)
{
	if (!interfaces_is_shared(set))
		return set->list.count ? set->list.monitors[0] : NULL;
	return monitor_list_find(&set->list, (int)key->ifindex);
}

/* --- those that are gone ---------------------------------------------------------------------- */

/* A flow has left the table. */
static void interfaces_on_end(void *ctx, const struct flow *flow, enum flow_reason reason)
{
	const struct interfaces *set = ctx;
	struct monitor *monitor = interfaces_of_flow(set, flow->key);
	enum pm_direction dir = pm_key_direction(flow->key);

	if (!monitor)
		return;
	pm_count_add(&monitor->retired[dir], &flow->total);
	monitor->retired_flows[dir]++;
	if (set->ended)
		set->ended(set->arg, monitor, flow, reason);
}

/* Whether the maps hold something about an interface that the last report has shown. */
static bool interfaces_is_leaving(const struct monitor *monitor)
{
	return monitor->gone && monitor->reported && monitor->iface.ifindex;
}

static bool interfaces_flow_is_leaving(void *ctx, const struct pm_key *key)
{
	const struct monitor *monitor = interfaces_of_flow(ctx, key);

	return monitor && interfaces_is_leaving(monitor);
}

/*
 * Move what was counted for interfaces that are gone from the maps to their totals, so that nothing
 * refers to their ifindex any more: the kernel may give it to another.
 */
static void interfaces_retire_gone(struct interfaces *set)
{
	flow_table_retire(&set->counter.table, loop_now_ns(), interfaces_flow_is_leaving, set);
	for (int i = 0; i < set->list.count; i++) {
		struct monitor *monitor = set->list.monitors[i];

		if (!interfaces_is_leaving(monitor))
			continue;
		counter_untracked(&set->counter, &monitor->iface, &monitor->past);
		counter_remove(&set->counter, &monitor->iface);
		monitor->iface.ifindex = 0;
	}
	monitor_list_sort(&set->list);
}

void interfaces_forget(struct interfaces *set)
{
	int kept = 0;
	bool any = false;

	for (int i = 0; i < set->list.count; i++)
		any |= interfaces_is_leaving(set->list.monitors[i]);
	/* An interface that shares the table with none keeps its flows until it is back. */
	if (any && interfaces_is_shared(set))
		interfaces_retire_gone(set);
	for (int i = 0; i < set->list.count; i++) {
		struct monitor *monitor = set->list.monitors[i];

		if (monitor->gone && monitor->reported && !monitor->awaited)
			free(monitor);
		else
			set->list.monitors[kept++] = monitor;
	}
	set->list.count = kept;
}

/* --- those that come -------------------------------------------------------------------------- */

static const char *interfaces_hooks(const struct interfaces *set)
{
	const bool *direction = set->config->monitor.counter.direction;

	if (direction[PM_INGRESS] && direction[PM_EGRESS])
		return "ingress, egress";
	return direction[PM_INGRESS] ? "ingress" : "egress";
}

static bool interfaces_is_left_out(const struct interfaces *set, int ifindex)
{
	for (int i = 0; i < set->left_out_count; i++)
		if (set->left_out[i] == ifindex)
			return true;
	return false;
}

/* Do not try again whenever it changes; it is known why. */
static int interfaces_leave_out(struct interfaces *set, int ifindex)
{
	int *left_out =
		reallocarray(set->left_out, (size_t)set->left_out_count + 1, sizeof(*left_out));

	if (!left_out)
		return log_err(-ENOMEM, "cannot watch interfaces");
	set->left_out = left_out;
	set->left_out[set->left_out_count++] = ifindex;
	return 0;
}

static void interfaces_let_in(struct interfaces *set, int ifindex)
{
	int kept = 0;

	for (int i = 0; i < set->left_out_count; i++)
		if (set->left_out[i] != ifindex)
			set->left_out[kept++] = set->left_out[i];
	set->left_out_count = kept;
}

/* The interface of this name that went and is awaited, or NULL. */
static struct monitor *interfaces_awaited(const struct interfaces *set, int name)
{
	for (int i = 0; i < set->list.count; i++)
		if (set->list.monitors[i]->gone && set->list.monitors[i]->name == name &&
		    set->list.monitors[i]->awaited)
			return set->list.monitors[i];
	return NULL;
}

/*
 * Whether an interface is watched alone: its flows do not name it. Another may get its name after
 * it was renamed.
 */
static bool interfaces_has_its_one(const struct interfaces *set)
{
	return !interfaces_is_shared(set) && set->list.count && !set->list.monitors[0]->gone;
}

/* A new entry of the list, or NULL, reported. */
static struct monitor *interfaces_new(struct interfaces *set, int name, const struct iface *iface)
{
	struct monitor *monitor = calloc(1, sizeof(*monitor));

	if (monitor) {
		monitor->config = &set->config->monitor;
		monitor->counter = &set->counter;
		monitor->name = name;
		monitor->named = !name_is_pattern(set->config->watched.names[name]);
		monitor->awaited = monitor->named && set->config->wait;
		monitor->iface = *iface;
		if (!monitor_list_add(&set->list, monitor))
			return monitor;
		free(monitor);
	}
	log_err(-ENOMEM, "cannot watch %s", iface->name);
	return NULL;
}

/* Let an interface have the entry of the one whose place it takes. */
static void interfaces_revive(struct interfaces *set, struct monitor *monitor,
			      const struct iface *iface)
{
	monitor->reported = true;
	if (interfaces_is_leaving(monitor) && interfaces_is_shared(set))
		interfaces_retire_gone(set);
	monitor->iface = *iface;
	monitor->gone = monitor->reported = false;
	monitor_list_sort(&set->list);
}

/*
 * An interface that comes cannot be attached to. If it is named, that is an error; one that a
 * pattern has led to is left out.
 */
static int interfaces_give_up(struct interfaces *set, struct monitor *monitor, int err)
{
	int ifindex = monitor->iface.ifindex;

	/* It has packets already if the first of two filters was attached. */
	monitor_lost(monitor);
	monitor->reported = true;
	if (err == -ENODEV)
		return 0;
	if (monitor->named || err == -EPERM || err == -EACCES)
		return err;
	return interfaces_leave_out(set, ifindex);
}

static int interfaces_attach_new(struct interfaces *set, struct monitor *monitor)
{
	int err = monitor_prepare(monitor);

	if (err)
		return err;
	err = monitor_attach(monitor);
	if (err)
		return interfaces_give_up(set, monitor, err);
	log_note("attached to %s (%s)", monitor->iface.name, interfaces_hooks(set));
	monitor_warn(monitor);
	return 0;
}

/* One that is not in the list. Return: 0, or a negative errno, reported. */
static int interfaces_come(struct interfaces *set, const struct iface_news *news)
{
	int name = interfaces_asked_for(set, news);
	struct monitor *monitor;

	if (name < 0 || interfaces_has_its_one(set) ||
	    interfaces_is_left_out(set, news->iface.ifindex))
		return 0;
	if (news->iface.l2_len < 0) {
		monitor_refused(&news->iface, news->iface.l2_len);
		if (!name_is_pattern(set->config->watched.names[name]))
			return news->iface.l2_len;
		return interfaces_leave_out(set, news->iface.ifindex);
	}
	monitor = interfaces_awaited(set, name);
	if (monitor)
		interfaces_revive(set, monitor, &news->iface);
	else
		monitor = interfaces_new(set, name, &news->iface);
	if (!monitor)
		return -ENOMEM;
	monitor->round = set->round;
	return set->loop ? interfaces_attach_new(set, monitor) : 0;
}

/* --- events ----------------------------------------------------------------------------------- */

static void interfaces_lose(struct interfaces *set, struct monitor *monitor)
{
	log_note("%s is gone%s", monitor->iface.name, monitor->awaited ? ", waiting for it" : "");
	monitor_lost(monitor);
	set->lost = true;
	if (monitor->named && !set->config->wait)
		set->err = -ENODEV;
}

/* What became of one in the list. */
static void interfaces_follow(struct interfaces *set, struct monitor *monitor,
			      const struct iface_news *news)
{
	enum iface_event event = IFACE_RENAMED;
	char name[IF_NAMESIZE];

	while (event != IFACE_NOTHING && event != IFACE_GONE) {
		memcpy(name, monitor->iface.name, sizeof(name));
		event = iface_follow(&monitor->iface, news);
		if (event == IFACE_GONE)
			interfaces_lose(set, monitor);
		else if (event == IFACE_RENAMED)
			log_note("%s is now called %s", name, monitor->iface.name);
		else if (event == IFACE_UP && monitor->named)
			log_note("%s is up", name);
		if (event != IFACE_DOWN || !monitor->named)
			continue;
		log_note("%s went down%s", name, set->config->wait ? ", waiting for it" : "");
		if (!set->config->wait)
			set->err = -ENODEV;
	}
}

static void interfaces_see(const struct iface_news *news, void *arg)
{
	struct interfaces *set = arg;
	struct monitor *monitor = monitor_list_find(&set->list, news->iface.ifindex);

	if (set->err)
		return;
	if (news->gone)
		interfaces_let_in(set, news->iface.ifindex);
	if (monitor && !monitor->gone) {
		monitor->round = set->round;
		interfaces_follow(set, monitor, news);
		return;
	}
	if (news->gone)
		return;
	if (monitor && interfaces_is_shared(set)) {
		/* Its ifindex is another's now; the next report shows it for the last time. */
		bool reported = monitor->reported;

		monitor->reported = true;
		interfaces_retire_gone(set);
		monitor->reported = reported;
	}
	set->err = interfaces_come(set, news);
}

/* Look at all interfaces: those of the list that are not among them are gone. */
static int interfaces_look_at_all(struct interfaces *set)
{
	int err;

	set->lost = false;
	set->round++;
	err = iface_each(interfaces_see, set);
	if (err)
		return log_err(err, "cannot look at interfaces");
	for (int i = 0; i < set->list.count && !set->err; i++)
		if (!set->list.monitors[i]->gone && set->list.monitors[i]->round != set->round)
			interfaces_lose(set, set->list.monitors[i]);
	return set->err;
}

static void interfaces_on_links(void *arg)
{
	struct interfaces *set = arg;
	int err = iface_watch_each(set->links.fd, interfaces_see, set);

	/* The name of one that was lost may be another's by now. */
	if (err == -ENOBUFS || (!err && set->lost && !interfaces_is_shared(set)))
		err = interfaces_look_at_all(set);
	else if (err)
		log_err(err, "cannot watch interfaces");
	if (err || set->err)
		loop_end(set->loop, err ?: set->err);
}

/* Filters of one interface have changed; 0: of any. */
static void interfaces_on_filter(void *arg, int ifindex)
{
	struct interfaces *set = arg;
	struct monitor *monitor = ifindex ? monitor_list_find(&set->list, ifindex) : NULL;

	if (monitor)
		monitor->unsure = true;
	for (int i = 0; i < set->list.count && !ifindex; i++)
		set->list.monitors[i]->unsure = true;
}

/*
 * The kernel tells of changes of clsact, but not of tcx: look at the next few once a second. Links
 * of our own at tcx are each looked at every two seconds.
 */
static void interfaces_choose_some(struct interfaces *set)
{
	enum { AT_LEAST = 32 };
	int count = set->config->monitor.tcx ? (set->list.count + 1) / 2 : 0;

	if (loop_now_ns() - set->looked_ns < NSEC_PER_SEC * 9 / 10)
		return;
	set->looked_ns = loop_now_ns();
	count = count > AT_LEAST ? count : AT_LEAST;
	for (int i = 0; i < count && i < set->list.count; i++)
		set->list.monitors[set->next_look++ % set->list.count]->unsure = true;
	set->next_look = set->list.count ? set->next_look % set->list.count : 0;
}

static void interfaces_on_filters(void *arg)
{
	struct interfaces *set = arg;
	int err = 0;

	interfaces_choose_some(set);
	for (int i = 0; i < set->list.count && !err; i++) {
		struct monitor *monitor = set->list.monitors[i];

		if (monitor->unsure && monitor->attached)
			err = monitor_keep(monitor, &set->filters);
		monitor->unsure = false;
	}
	if (err)
		loop_end(set->loop, err);
}

/* --- all -------------------------------------------------------------------------------------- */

/* An interface that is to come. */
static int interfaces_await(struct interfaces *set, int name)
{
	const char *text = set->config->watched.names[name];
	struct iface iface = { .up = false };
	struct monitor *monitor;

	memcpy(iface.name, text, strnlen(text, sizeof(iface.name) - 1));
	monitor = interfaces_new(set, name, &iface);
	if (!monitor)
		return -ENOMEM;
	monitor->gone = monitor->reported = true;
	log_note("there is no %s, waiting for it", text);
	return 0;
}

/* Look which names have led to nothing yet. Return: 0 or a negative errno, reported. */
static int interfaces_look_for_missing(struct interfaces *set)
{
	int err = 0;

	for (int i = 0; i < set->config->watched.count && !err; i++) {
		const char *name = set->config->watched.names[i];

		if (set->matched[i])
			continue;
		if (name_is_pattern(name))
			log_note("no interface matches '%s' yet, waiting", name);
		else if (set->config->wait)
			err = interfaces_await(set, i);
		else
			err = log_refused(REFUSED_ATTACH, -ENODEV, "cannot attach to %s", name);
	}
	return err;
}

int interfaces_open(struct interfaces *set, const struct interfaces_config *config)
{
	const struct iface *only = NULL;
	int err;

	set->config = config;
	/* First the watch, then the look: what happens in between is not missed. */
	set->links = (struct loop_fd){ .fd = iface_watch_open(),
				       .ready = interfaces_on_links,
				       .arg = set };
	if (set->links.fd < 0)
		return log_err(set->links.fd, "cannot watch interfaces");
	set->matched = calloc((size_t)config->watched.count, sizeof(*set->matched));
	if (!set->matched)
		return log_err(-ENOMEM, "cannot watch interfaces");
	err = interfaces_look_at_all(set) ?: interfaces_look_for_missing(set);
	if (!err && set->list.count && !interfaces_is_shared(set) && !config->wait)
		only = &set->list.monitors[0]->iface;
	err = err ?: counter_open(&set->counter, &config->monitor.counter, only);
	set->counter.table.ended = interfaces_on_end;
	set->counter.table.arg = set;
	for (int i = 0; i < set->list.count && !err; i++)
		if (!set->list.monitors[i]->gone)
			err = monitor_prepare(set->list.monitors[i]);
	return err;
}

/* Each link of tcx is a descriptor. */
static void interfaces_raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int interfaces_attach(struct interfaces *set, struct loop *loop)
{
	char names[MONITOR_LIST_TEXT_MAX];
	int err = tc_watch_open(&set->filters, loop, interfaces_on_filter, interfaces_on_filters,
				set);

	set->loop = loop;
	err = err ?: loop_add(loop, &set->links);
	if (err)
		return log_err(err, "cannot wait for events");
	if (set->config->monitor.tcx)
		interfaces_raise_descriptors();
	for (int i = 0; i < set->list.count && !loop_is_to_end(); i++) {
		if (set->list.monitors[i]->gone)
			continue;
		err = monitor_attach(set->list.monitors[i]);
		if (err == -ENODEV && set->list.monitors[i]->named && !set->config->wait)
			return err;
		if (err)
			err = interfaces_give_up(set, set->list.monitors[i], err);
		if (err)
			return err;
	}
	if (monitor_list_attached(&set->list, names))
		log_note("attached to %s (%s)", names, interfaces_hooks(set));
	for (int i = 0; i < set->list.count; i++)
		if (set->list.monitors[i]->attached)
			monitor_warn(set->list.monitors[i]);
	monitor_list_warn_of_left(&set->list);
	slot_table_touch(&set->counter.table.index, set->counter.table.slots,
			 sizeof(*set->counter.table.slots));
	return 0;
}

int interfaces_detach(struct interfaces *set)
{
	int err = 0;

	for (int i = 0; i < set->list.count; i++) {
		int failed = monitor_detach(set->list.monitors[i]);

		err = err ?: failed;
	}
	return err;
}

struct interfaces_scan {
	struct interfaces *set;
	void (*visit)(void *ctx, const struct monitor *monitor, const struct flow *flow);
	void *ctx;
};

static void interfaces_count_flow(void *ctx, const struct flow *flow)
{
	struct interfaces_scan *scan = ctx;
	struct monitor *monitor = interfaces_of_flow(scan->set, flow->key);
	struct totals *totals;

	if (!monitor)
		return;
	totals = &monitor->totals[pm_key_direction(flow->key)];
	pm_count_add(&totals->flows, &flow->total);
	totals->flow_count++;
	scan->visit(scan->ctx, monitor, flow);
}

int interfaces_snapshot(struct interfaces *set, __u64 now_ns,
			void (*visit)(void *ctx, const struct monitor *monitor,
				      const struct flow *flow),
			void *ctx)
{
	struct interfaces_scan scan = { .set = set, .visit = visit, .ctx = ctx };

	for (int i = 0; i < set->list.count; i++) {
		int err = monitor_begin(set->list.monitors[i]);

		if (err)
			return err;
	}
	flow_table_scan(&set->counter.table, now_ns, interfaces_count_flow, &scan);
	for (int i = 0; i < set->list.count; i++) {
		monitor_end(set->list.monitors[i]);
		set->list.monitors[i]->reported = set->list.monitors[i]->gone;
	}
	return 0;
}

void interfaces_close(struct interfaces *set)
{
	interfaces_detach(set);
	tc_watch_close(&set->filters);
	for (int i = 0; i < set->list.count; i++)
		free(set->list.monitors[i]);
	free(set->list.monitors);
	free(set->left_out);
	free(set->matched);
	counter_close(&set->counter);
	if (set->links.fd >= 0)
		close(set->links.fd);
	*set = INTERFACES_INIT;
}
