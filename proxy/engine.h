/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What one proxy does on an interface: a datapath for each family that has mappings. Its owner (see
 * owner.h) runs it, or only opens one that was left by --keep, to change it.
 */
#ifndef PROXY_ENGINE_H
#define PROXY_ENGINE_H

#include <linux/types.h>
#include <stdbool.h>

#include "datapath.h"
#include "iface.h"
#include "mapping.h"
#include "options.h"

enum { ENGINE_PATHS = 2 };

struct engine {
	const struct proxy_options *opt;
	struct iface iface;
	struct datapath paths[ENGINE_PATHS]; /* IPv4, IPv6; not open: without mappings */
	__u64 released[PROXY_COUNTER_MAX];   /* counters of those that were open before */
	int solicit_fd; /* opened before the capability for it is dropped; -1: none */
	bool attached;
};

/* Each datapath that is open. */
#define engine_for_each(path, engine)                                                              \
	for ((path) = (engine)->paths; (path) < (engine)->paths + ENGINE_PATHS; (path)++)          \
		if (datapath_is_open(path))

/** engine_init - make @engine empty, so that engine_close() is right from now on */
void engine_init(struct engine *engine, const struct proxy_options *opt, const struct iface *iface);

/** engine_close - forget the datapaths; what is attached stays, see engine_stop() */
void engine_close(struct engine *engine);

/**
 * engine_start - take over what a former proxy has left, and serve @list
 *
 * Without mappings and without anything to take over, that of IPv4 is started.
 * Return: 0 or a negative errno, said on stderr already.
 */
int engine_start(struct engine *engine, const struct mapping_list *list);

/**
 * engine_open - open the datapaths that are attached already
 * @change: whether to be able to change them; else only the maps and the tables are open
 * Return: 0; -ENOENT if there are none; another negative errno, said on stderr already.
 */
int engine_open(struct engine *engine, bool change);

/**
 * engine_stop - end: remove the filters and the neighbours that we invented, or leave them (--keep)
 * Return: 0 or a negative errno, said on stderr already.
 */
int engine_stop(struct engine *engine);

/**
 * engine_serve - from now on serve exactly the mappings of @list, if they can work here
 *
 * Starts the datapath of a family that has none so far.
 * Return: 0, or a negative errno with @error set, and the mappings of before in force.
 */
int engine_serve(struct engine *engine, const struct mapping_list *list, bool kill,
		 struct mapping_error *error);

/** engine_mappings - append the mappings in force to @list; Return: 0 or -ENOMEM */
int engine_mappings(const struct engine *engine, struct mapping_list *list);

/** engine_counters - sum each counter over the datapaths; Return: 0 or a negative errno */
int engine_counters(const struct engine *engine, __u64 sums[PROXY_COUNTER_MAX]);

/** engine_targets - table_targets() of all datapaths */
int engine_targets(const struct engine *engine, struct table_target **targets, size_t *count);

/** engine_max_flows - how many flows have room in all */
__u32 engine_max_flows(const struct engine *engine);

/** engine_missing - as tc_link_hook(): somebody has removed that filter; NULL: none */
const char *engine_missing(const struct engine *engine);

/** engine_keep - attach again the filters that somebody has removed; Return: as attach_keep() */
int engine_keep(struct engine *engine, const struct tc_watch *watch);

/** engine_settle - do what makes packets cheaper, and can wait until the programs see them */
void engine_settle(struct engine *engine);

/** engine_kill_deleted - commit_kill_deleted() in the datapath of @name's family */
int engine_kill_deleted(struct engine *engine, const struct mapping *name);

/** engine_finish - end a change by a process that does not stay to look after the datapaths */
void engine_finish(struct engine *engine);

/** engine_flush - remove all flows */
void engine_flush(struct engine *engine);

/** engine_warn - say which of the mappings in force will not do what they look like */
void engine_warn(struct engine *engine);

/**
 * engine_tick - do the work of each second
 *
 * Removes the datapath of a family that has neither mappings nor flows any more, if there is one of
 * the other family. Return: 0 or a negative errno.
 */
int engine_tick(struct engine *engine);

/**
 * engine_event - take in what waits on the watch_fd of each datapath's next hops
 * Return: when postponed events are due for another call, as loop_now_ns(); 0: there are none.
 */
__u64 engine_event(struct engine *engine);

/**
 * engine_probe - ask on the link for the originals whose turn it is
 * Return: when the next are due, as loop_now_ns(); 0 if none are.
 */
__u64 engine_probe(struct engine *engine);

#endif /* PROXY_ENGINE_H */
