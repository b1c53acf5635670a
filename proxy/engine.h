/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A datapath with all that belongs to it. Its owner (see owner.h) runs it, or only opens one that
 * was left by --keep, to change it.
 */
#ifndef PROXY_ENGINE_H
#define PROXY_ENGINE_H

#include <linux/types.h>
#include <stdbool.h>

#include "attach.h"
#include "check.h"
#include "gc.h"
#include "iface.h"
#include "mapping.h"
#include "maps.h"
#include "nexthop.h"
#include "options.h"
#include "probe.h"
#include "programs.h"
#include "table.h"

struct engine {
	const struct proxy_options *opt;
	struct iface iface;
	struct programs programs; /* not loaded: opened, not running */
	struct maps maps;
	struct nexthops hops;
	struct table table;
	struct attachment at;
	struct gc gc;
	struct probes probes;
	struct check_pass check;
	__u64 ask_at; /* when to look again whether mappings must ask for sockets; 0: none does */
	bool attached;
};

/** engine_init - make @engine empty, so that engine_close() is right from now on */
void engine_init(struct engine *engine, const struct proxy_options *opt, const struct iface *iface);

/** engine_close - forget the datapath; what is attached stays, see engine_stop() */
void engine_close(struct engine *engine);

/**
 * engine_start - load the programs, take over what a former proxy has left, serve @list, attach
 * Return: 0 or a negative errno, said on stderr already.
 */
int engine_start(struct engine *engine, const struct mapping_list *list);

/**
 * engine_open - open the datapath that is attached already
 * @change: whether to be able to change it; else only the maps and the table are open
 * Return: 0; -ENOENT if there is none; another negative errno, said on stderr already.
 */
int engine_open(struct engine *engine, bool change);

/**
 * engine_stop - end: remove the filters and the neighbours that we invented, or leave them (--keep)
 * Return: 0 or a negative errno, said on stderr already.
 */
int engine_stop(struct engine *engine);

/**
 * engine_serve - from now on serve exactly the mappings of @list, if they can work here
 * Return: 0, or a negative errno with @error set.
 */
int engine_serve(struct engine *engine, const struct mapping_list *list, bool kill,
		 struct mapping_error *error);

/** engine_settle - once the programs see the packets: what makes these cheaper, and can wait until
 * now */
void engine_settle(struct engine *engine);

/** engine_warn - say which of the mappings in force will not do what they look like */
void engine_warn(struct engine *engine);

/** engine_tick - the work of each second; Return: 0 or a negative errno */
int engine_tick(struct engine *engine);

/** engine_event - take in what waits on engine->hops.watch_fd */
void engine_event(struct engine *engine);

/**
 * engine_probe - ask by ARP for the originals whose turn it is
 * Return: when the next are due, as loop_now_ns(); 0 if none are.
 */
__u64 engine_probe(struct engine *engine);

#endif /* PROXY_ENGINE_H */
