// SPDX-License-Identifier: GPL-2.0-only
#include "engine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commit.h"
#include "log.h"
#include "solicit.h"

static const struct nat_layout *const engine_layouts[ENGINE_PATHS] = { &layout_ipv4, &layout_ipv6 };

void engine_init(struct engine *engine, const struct proxy_options *opt, const struct iface *iface)
{
	engine->opt = opt;
	engine->iface = *iface;
	engine->attached = false;
	engine->solicit_fd = -1;
	memset(engine->released, 0, sizeof(engine->released));
	for (int i = 0; i < ENGINE_PATHS; i++)
		datapath_init(&engine->paths[i], engine_layouts[i], opt, &engine->iface);
}

void engine_close(struct engine *engine)
{
	for (int i = 0; i < ENGINE_PATHS; i++)
		datapath_close(&engine->paths[i]);
	if (engine->solicit_fd >= 0)
		close(engine->solicit_fd);
	engine->solicit_fd = -1;
}

/* --- starting --- */

/*
 * Take the mappings of one family out of @list, which is sorted: those of a family are next to each
 * other. @part: borrows them.
 */
static void engine_part(const struct mapping_list *list, int family, struct mapping_list *part)
{
	*part = (struct mapping_list){ .file = list->file };
	for (size_t i = 0; i < list->count; i++) {
		if (addr_family(&list->entries[i].from.addr) != family)
			continue;
		if (!part->count++)
			part->entries = &list->entries[i];
	}
}

int engine_start(struct engine *engine, const struct mapping_list *list)
{
	struct mapping_error error = { .text = "" };
	int err = 0;

	engine->solicit_fd = solicit_open();
	/* IPv6 first: whether IPv4 is needed in any case depends on it. */
	for (int i = ENGINE_PATHS - 1; i >= 0 && !err; i--) {
		struct datapath *path = &engine->paths[i];
		struct mapping_list part;
		bool needed;

		path->hops.solicit_fd = engine->solicit_fd;
		engine_part(list, path->maps.layout->family, &part);
		needed = part.count || (!i && !datapath_is_open(&engine->paths[ENGINE_PATHS - 1]));
		err = datapath_start(path, &part, needed, &error);
		if (err == -ENOENT && !needed)
			err = 0;
	}
	if (err && *error.text)
		log_note("%s", error.text);
	engine->attached = !err;
	/* What one family has begun does not outlive the other's failure. */
	for (int i = 0; i < ENGINE_PATHS && err; i++)
		datapath_undo(&engine->paths[i]);
	return err;
}

int engine_open(struct engine *engine, bool change)
{
	int found = -ENOENT;

	for (int i = 0; i < ENGINE_PATHS; i++) {
		int err = datapath_open(&engine->paths[i], change);

		if (err && err != -ENOENT)
			return err;
		if (!err)
			found = 0;
	}
	return found;
}

int engine_stop(struct engine *engine)
{
	struct datapath *path;
	int err = 0;

	if (!engine->attached)
		return 0;
	engine->attached = false;
	engine_for_each(path, engine)
	{
		int failed = 0;

		if (engine->opt->keep)
			datapath_leave(path);
		else
			failed = datapath_remove(path);
		err = err ?: failed;
	}
	return err;
}

/* Forget a datapath that could not be used, so that it can be started another time. */
static void engine_reset(struct engine *engine, struct datapath *path)
{
	const struct nat_layout *layout = path->maps.layout;

	datapath_close(path);
	datapath_init(path, layout, engine->opt, &engine->iface);
}

/* Start those that have mappings in @parts for the first time. @started: set for them */
static int engine_serve_new(struct engine *engine, const struct mapping_list *parts, bool *started,
			    struct mapping_error *error)
{
	int err = 0;

	for (int i = 0; i < ENGINE_PATHS && !err; i++) {
		struct datapath *path = &engine->paths[i];

		if (datapath_is_open(path) || !parts[i].count)
			continue;
		path->hops.solicit_fd = engine->solicit_fd;
		err = datapath_start(path, &parts[i], true, error);
		if (err && !*error->text)
			snprintf(error->text, sizeof(error->text),
				 "cannot begin to translate %s: %s",
				 path->maps.layout->family == AF_INET ? "IPv4" : "IPv6",
				 strerror(-err));
		if (err)
			engine_reset(engine, path);
		else
			started[i] = true;
	}
	return err;
}

int engine_serve(struct engine *engine, const struct mapping_list *list, bool kill,
		 struct mapping_error *error)
{
	struct mapping_list parts[ENGINE_PATHS], before[ENGINE_PATHS] = { 0 };
	bool started[ENGINE_PATHS] = { false };
	int err = 0, done = 0;

	/* What can be refused is, before the first change. */
	for (int i = 0; i < ENGINE_PATHS; i++) {
		engine_part(list, engine->paths[i].maps.layout->family, &parts[i]);
		if (!err && datapath_is_open(&engine->paths[i]))
			err = datapath_check(&engine->paths[i], &parts[i], error)
				      ?: table_mappings(&engine->paths[i].table, &before[i]);
	}
	err = err ?: engine_serve_new(engine, parts, started, error);
	for (; done < ENGINE_PATHS && !err; done++)
		if (datapath_is_open(&engine->paths[done]) && !started[done])
			err = datapath_serve(&engine->paths[done], &parts[done], kill, error);
	for (int i = 0; i < ENGINE_PATHS; i++) {
		struct mapping_error again;

		if (err && started[i]) {
			datapath_remove(&engine->paths[i]);
			engine_reset(engine, &engine->paths[i]);
		} else if (err && i + 1 < done && datapath_is_open(&engine->paths[i])) {
			datapath_serve(&engine->paths[i], &before[i], false, &again);
		}
		mapping_list_free(&before[i]);
	}
	return err;
}

int engine_mappings(const struct engine *engine, struct mapping_list *list)
{
	const struct datapath *path;
	int err = 0;

	engine_for_each(path, engine) err = err ?: table_mappings(&path->table, list);
	return err;
}

const char *engine_missing(const struct engine *engine)
{
	const struct datapath *path;

	engine_for_each(path, engine) if (path->at.missing) return path->at.missing;
	return NULL;
}

static int engine_add_counters(const struct datapath *path, __u64 sums[PROXY_COUNTER_MAX])
{
	__u64 counters[PROXY_COUNTER_MAX];
	int err = maps_counters(&path->maps, counters);

	for (int i = 0; i < PROXY_COUNTER_MAX && !err; i++)
		sums[i] += counters[i];
	return err;
}

int engine_counters(const struct engine *engine, __u64 sums[PROXY_COUNTER_MAX])
{
	const struct datapath *path;
	int err = 0;

	memcpy(sums, engine->released, sizeof(engine->released));
	engine_for_each(path, engine) err = err ?: engine_add_counters(path, sums);
	return err;
}

int engine_targets(const struct engine *engine, struct table_target **targets, size_t *count)
{
	const struct datapath *path;
	int err = 0;

	engine_for_each(path, engine) err =
		err ?: table_targets(&path->table, &path->maps, targets, count);
	return err;
}

__u32 engine_max_flows(const struct engine *engine)
{
	const struct datapath *path;
	__u32 sum = 0;

	engine_for_each(path, engine) sum += path->maps.max_entries[MAPS_FLOWS];
	return sum;
}

/* The filters on the interface; room for two of each datapath. */
static int engine_links(struct engine *engine, struct tc_link **links)
{
	struct datapath *path;
	int count = 0;

	engine_for_each(path, engine)
	{
		links[count++] = &path->at.ingress;
		links[count++] = &path->at.egress;
	}
	return count;
}

int engine_keep(struct engine *engine, const struct tc_watch *watch)
{
	struct tc_link *links[2 * ENGINE_PATHS] = { NULL };
	int count = engine_links(engine, links);
	struct datapath *path;
	int err = tc_watch_links(watch, links, count, engine->iface.name, "translated");

	engine_for_each(path, engine) err = err ?: attach_keep_others(&path->at, watch);
	return err;
}

void engine_warn(struct engine *engine)
{
	struct tc_link *links[2 * ENGINE_PATHS] = { NULL };
	struct datapath *path;

	tc_link_warn(links, engine_links(engine, links), engine->iface.name);
	engine_for_each(path, engine) datapath_warn(path);
}

void engine_settle(struct engine *engine)
{
	struct datapath *path;

	engine_for_each(path, engine) datapath_settle(path);
}

/*
 * Remove a datapath whose last mapping has gone, once no flow needs it any more: its programs see
 * the packets of the other family, too. One stays in any case: for other processes to find.
 */
static int engine_release(struct engine *engine)
{
	int open = 0, err = 0;
	struct datapath *path;

	engine_for_each(path, engine) open++;
	for (int i = ENGINE_PATHS - 1; i >= 0 && open > 1 && !err; i--) {
		path = &engine->paths[i];
		if (!datapath_idle(path))
			continue;
		err = engine_add_counters(path, engine->released) ?: datapath_detach(path);
		engine_reset(engine, path);
		open--;
	}
	return err;
}

int engine_tick(struct engine *engine)
{
	struct datapath *path;
	int err = 0;

	engine_for_each(path, engine) err = datapath_tick(path) ?: err;
	return err ?: engine_release(engine);
}

/* The earlier of two times, of which 0 is none. */
static __u64 engine_earlier(__u64 one, __u64 other)
{
	return !one || (other && other < one) ? other : one;
}

__u64 engine_event(struct engine *engine)
{
	struct datapath *path;
	__u64 due = 0;

	engine_for_each(path, engine)
	{
		datapath_event(path);
		due = engine_earlier(due, nexthops_due(&path->hops));
	}
	return due;
}

__u64 engine_probe(struct engine *engine)
{
	struct datapath *path;
	__u64 due = 0;

	engine_for_each(path, engine) due = engine_earlier(due, datapath_probe(path));
	return due;
}

int engine_kill_deleted(struct engine *engine, const struct mapping *name)
{
	struct datapath *path;
	int err = -ENOENT;

	engine_for_each(path,
			engine) if (path->maps.layout->family == addr_family(&name->from.addr))
		err = commit_kill_deleted(&path->table, &path->maps, &path->hops, name);
	return err;
}

void engine_finish(struct engine *engine)
{
	struct datapath *path;

	engine_for_each(path, engine)
	{
		if (path->attached)
			datapath_leave(path);
		maps_reclaim(&path->maps);
	}
}

void engine_flush(struct engine *engine)
{
	struct datapath *path;

	engine_for_each(path, engine) commit_flush(&path->maps);
}
