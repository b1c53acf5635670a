/* SPDX-License-Identifier: GPL-2.0-only */
/* One BPF program of ours on a tc hook: attach it, find it, remove exactly it. */
#ifndef TC_LINK_H
#define TC_LINK_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/libbpf.h>

#include "programs.h"

/*
 * Where our programs stand among the others of a hook: a lower priority runs first. packet-monitor
 * sees the packet as it is on the wire: at ingress before proxy has restored the source, at egress
 * after proxy has rewritten the destination. The numbers are far from those that people pick (1, 2)
 * and from those that the kernel picks (49152 and down). tcx has an order, but no numbers: there it
 * is before all others, or behind all.
 */
enum tc_link_priority {
	TC_PRIO_FIRST = 1010,  /* ingress: packet-monitor; egress: proxy */
	TC_PRIO_FIRST6 = 1011, /* egress: proxy for IPv6 */
	/* egress: proxy_direct, behind the proxy of this device and before packet-monitor */
	TC_PRIO_BETWEEN = 1015,
	TC_PRIO_BETWEEN6 = 1016, /* the same for IPv6 */
	TC_PRIO_SECOND = 1020,	 /* ingress: proxy; egress: packet-monitor */
	TC_PRIO_SECOND6 = 1021,	 /* ingress: proxy for IPv6 */
};

enum { TCX_PROGRAMS_MAX = 64 }; /* at one hook: BPF_MPROG_MAX */

/*
 * A program at a hook; all zero but for @ifindex, @point and @tcx: not attached.
 *
 * By default it is a filter of the clsact qdisc, which stays until somebody removes it. With tcx
 * (Linux 6.6) it is a link of this process: the kernel reaches it in less time, runs it before all
 * of clsact, and removes it when the process ends, however that happens.
 */
struct tc_link {
	int ifindex;
	enum bpf_tc_attach_point point;
	bool tcx;
	int fd;		/* tcx: the link; 0: not attached */
	__u32 handle;	/* clsact; 0 before tc_link_attach(): the kernel picks a free one */
	__u32 priority; /* enum tc_link_priority */
	__u32 prog_id;	/* clsact; 0: not attached */
	bool fixed;	/* @handle was given to tc_link_attach() */
	int prog_fd;	/* of the caller; set by tc_link_attach() */
	/* What tc_link_warn() has seen: programs at tcx, and filters before ours. */
	__u32 tcx_seen[TCX_PROGRAMS_MAX];
	__u32 tcx_seen_count;
	int filters_seen;
};

/** tc_link_for - describe a program of ours at its hook and priority, not attached yet */
struct tc_link tc_link_for(enum program program, int ifindex, bool tcx);

/** tc_link_program_name - the name of a program of ours */
const char *tc_link_program_name(enum program program);

/** tc_link_expects - tell whether a program of this name is one that belongs where @link is */
bool tc_link_expects(const struct tc_link *link, const char *name);

/**
 * tc_link_attach - put @prog_fd on the hook, creating clsact if that is to be used and not there
 * @prog_fd: has to stay open for as long as @link may be given to tc_link_restore()
 * @link: ifindex, point, tcx, priority and, if it is to be exclusive, handle are set; on success
 *	  the rest is filled in
 * @replace: swap the program of an existing filter with the same priority and handle atomically;
 *	     not for tcx
 * Return: 0; -EEXIST if the handle is taken and @replace is not set; -EOPNOTSUPP if clsact
 * or BPF filters, or tcx, cannot be had; another negative errno.
 */
int tc_link_attach(struct tc_link *link, int prog_fd, bool replace);

/** tc_link_hook - name the hook of @link: "ingress" or "egress" */
const char *tc_link_hook(const struct tc_link *link);

/** tc_link_lacking - what the kernel or the interface has not got if tc_link_attach() returns
 * -EOPNOTSUPP */
const char *tc_link_lacking(const struct tc_link *link);

/**
 * tc_link_query - which program is attached at @link's priority and handle, in clsact
 * @prog_id: set on success
 * Return: 0, -ENOENT if there is none (or no clsact), another negative errno.
 */
int tc_link_query(const struct tc_link *link, __u32 *prog_id);

/**
 * tc_link_restore - attach our program again if somebody has removed it
 * @restored: set to whether that was necessary, if 0 is returned
 *
 * At the handle where it was, if that was fixed (the kernel picks another otherwise).
 * Return: 0; -ENODEV if the interface is gone; -ESTALE if another program has taken our place;
 * another negative errno.
 */
int tc_link_restore(struct tc_link *link, bool *restored);

/**
 * tc_link_detach - remove our program, and nothing else: not one that has replaced ours
 *
 * The clsact qdisc stays: removing it would remove everybody's filters. A link that is not attached
 * and an interface that is gone are fine.
 * Return: 0, -ESTALE if another program has taken our place, another negative errno.
 */
int tc_link_detach(struct tc_link *link);

/**
 * tc_link_forget - let go of a link without asking clsact to remove anything
 *
 * For when the interface is gone and our program with it, or when the filter is to stay.
 */
void tc_link_forget(struct tc_link *link);

/**
 * tcx_programs - the programs at a tcx hook, in the order in which they run
 * @ids: room for TCX_PROGRAMS_MAX
 * Return: how many; 0 if the kernel has no tcx, or the interface is gone.
 */
__u32 tcx_programs(int ifindex, enum bpf_tc_attach_point point, __u32 *ids);

/** prog_name - the name of BPF program @id. Return: 0 or a negative errno. */
int prog_name(__u32 id, char name[BPF_OBJ_NAME_LEN]);

/**
 * tc_link_warn - say so if programs or filters of others see packets before ours
 * @links: @count of them on one interface; those that are not attached do not count
 *
 * A verdict there (not TCX_NEXT, not TC_ACT_UNSPEC) ends the way of a packet through all hooks of
 * its direction. Each is said once: later calls tell only of those that have come since.
 */
void tc_link_warn(struct tc_link *const *links, int count, const char *ifname);

/**
 * tc_link_hold - show others in this network namespace that a process has program @prog_id
 *
 * It binds a socket to a name that the id is part of. The kernel frees the name when the process
 * ends, however that happens. Nobody needs a privilege or /proc to see that.
 * Return: a file descriptor, owned by the caller, to be kept open while the program is attached;
 * -EADDRINUSE: a process holds it already; another negative errno.
 */
int tc_link_hold(__u32 prog_id);

/**
 * tc_link_left_behind - tell whether clsact has a filter like @link's that no process holds
 *
 * Only for programs whose processes all call tc_link_hold() before they attach them.
 */
bool tc_link_left_behind(const struct tc_link *link);

#endif /* TC_LINK_H */
