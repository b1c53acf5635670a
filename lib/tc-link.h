/* SPDX-License-Identifier: GPL-2.0-only */
/* One BPF filter of ours on a clsact hook: attach it, find it, remove exactly it. */
#ifndef TC_LINK_H
#define TC_LINK_H

#include <linux/types.h>
#include <stdbool.h>

#include <bpf/libbpf.h>

/*
 * Where our filters stand among the others of a hook: a lower priority runs first. packet-monitor
 * sees the packet as it is on the wire: at ingress before proxy has restored the source, at egress
 * after proxy has rewritten the destination. The numbers are far from those that people pick (1, 2)
 * and from those that the kernel picks (49152 and down).
 */
enum tc_link_priority {
	TC_PRIO_FIRST = 1010,  /* ingress: packet-monitor; egress: proxy */
	TC_PRIO_SECOND = 1020, /* ingress: proxy; egress: packet-monitor */
};

/* A filter; all zero but for @ifindex and @point: not attached. */
struct tc_link {
	int ifindex;
	enum bpf_tc_attach_point point;
	__u32 handle;	/* 0 before tc_link_attach(): the kernel picks a free one */
	__u32 priority; /* enum tc_link_priority */
	__u32 prog_id;	/* 0: not attached */
};

/**
 * tc_link_attach - put @prog_fd on the hook, creating clsact if the interface has none
 * @link: ifindex, point, priority and, if it is to be exclusive, handle are set; on success handle
 *	  and prog_id are filled in
 * @replace: swap the program of an existing filter with the same priority and handle atomically
 * Return: 0; -EEXIST if the handle is taken and @replace is not set; -EOPNOTSUPP if the kernel
 *lacks clsact or BPF filters; another negative errno.
 */
int tc_link_attach(struct tc_link *link, int prog_fd, bool replace);

/**
 * tc_link_query - which program is attached at @link's priority and handle
 * @prog_id: set on success
 * Return: 0, -ENOENT if there is none (or no clsact), another negative errno.
 */
int tc_link_query(const struct tc_link *link, __u32 *prog_id);

/**
 * tc_link_detach - remove our filter, and nothing else: not a program that has replaced ours
 *
 * The clsact qdisc stays: removing it would remove everybody's filters. A link that is not attached
 * and an interface that is gone are fine.
 * Return: 0, -ESTALE if another program has taken our place, another negative errno.
 */
int tc_link_detach(struct tc_link *link);

#endif /* TC_LINK_H */
