/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The datapath of one family, with all that belongs to it: its programs, maps and filters, the next
 * hops of its targets, its flows.
 */
#ifndef PROXY_DATAPATH_H
#define PROXY_DATAPATH_H

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

struct datapath {
	const struct proxy_options *opt;
	const struct iface *iface;
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
	bool taken_over; /* from a former proxy */
};

/**
 * datapath_init - make @path empty, so that datapath_close() is right from now on
 * @iface: the caller's, as long as @path
 */
void datapath_init(struct datapath *path, const struct nat_layout *layout,
		   const struct proxy_options *opt, const struct iface *iface);

/** datapath_close - forget the datapath; what is attached stays, see datapath_stop() */
void datapath_close(struct datapath *path);

/** datapath_is_open - tell whether there is one */
static inline bool datapath_is_open(const struct datapath *path)
{
	return path->maps.state;
}

/**
 * datapath_start - load the programs, take over what a former proxy has left, serve @list, attach
 * @needed: else nothing is done if there is nothing to take over
 * @error: set to why the mappings are refused; empty: said on stderr already
 * Return: 0, -ENOENT if nothing was done, or another negative errno.
 */
int datapath_start(struct datapath *path, const struct mapping_list *list, bool needed,
		   struct mapping_error *error);

/**
 * datapath_open - open the datapath that is attached already
 * @change: whether to be able to change it; else only the maps and the table are open
 * Return: 0; -ENOENT if there is none; another negative errno, said on stderr already.
 */
int datapath_open(struct datapath *path, bool change);

/** datapath_idle - tell whether it is open without any mapping or flow, so that packets pass */
bool datapath_idle(const struct datapath *path);

/** datapath_detach - remove the filters; Return: 0 or a negative errno, said on stderr already */
int datapath_detach(struct datapath *path);

/** datapath_leave - leave the filters working, without anybody who looks after them */
void datapath_leave(struct datapath *path);

/**
 * datapath_remove - remove the filters and the neighbours that we invented
 * Return: 0 or a negative errno, said on stderr already.
 */
int datapath_remove(struct datapath *path);

/** datapath_undo - the same for one that datapath_start() has just made, and not taken over */
void datapath_undo(struct datapath *path);

/**
 * datapath_check - tell whether the mappings of @list can work here
 * Return: 0, or a negative errno with @error set.
 */
int datapath_check(struct datapath *path, const struct mapping_list *list,
		   struct mapping_error *error);

/**
 * datapath_serve - from now on serve exactly the mappings of @list, which datapath_check() has
 * passed Return: 0, or a negative errno with @error set.
 */
int datapath_serve(struct datapath *path, const struct mapping_list *list, bool kill,
		   struct mapping_error *error);

/** datapath_settle - do what makes packets cheaper, and can wait until the programs see them */
void datapath_settle(struct datapath *path);

/** datapath_warn - say which of the mappings in force will not do what they look like */
void datapath_warn(struct datapath *path);

/** datapath_tick - do the work of each second; Return: 0 or a negative errno */
int datapath_tick(struct datapath *path);

/** datapath_event - take in what waits on path->hops.watch_fd */
void datapath_event(struct datapath *path);

/**
 * datapath_probe - ask on the link for the originals whose turn it is
 * Return: when the next are due, as loop_now_ns(); 0 if none are.
 */
__u64 datapath_probe(struct datapath *path);

#endif /* PROXY_DATAPATH_H */
