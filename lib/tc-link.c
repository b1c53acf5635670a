// SPDX-License-Identifier: GPL-2.0-only
#include "tc-link.h"

#include <errno.h>
#include <linux/pkt_sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "log.h"
#include "netlink.h"

/* Of Linux 6.6, which headers may be older than. */
enum { TCX_INGRESS = 46, TCX_EGRESS = 47 }; /* enum bpf_attach_type */
enum { TCX_BEFORE = 1 << 3, TCX_AFTER = 1 << 4 };

#define PROGRAM_ENTRY(id, name, hook, priority) { #name, hook, priority },
static const struct {
	const char *name;
	enum bpf_tc_attach_point point;
	__u32 priority;
} programs[PROGRAM_COUNT] = { PROGRAMS(PROGRAM_ENTRY) };

const char *tc_link_program_name(enum program program)
{
	return programs[program].name;
}

struct tc_link tc_link_for(enum program program, int ifindex, bool tcx)
{
	return (struct tc_link){ .ifindex = ifindex,
				 .point = programs[program].point,
				 .tcx = tcx,
				 .priority = programs[program].priority };
}

bool tc_link_expects(const struct tc_link *link, const char *name)
{
	for (int i = 0; i < PROGRAM_COUNT; i++)
		if (programs[i].point == link->point && programs[i].priority == link->priority &&
		    !strcmp(programs[i].name, name))
			return true;
	return false;
}

static int tc_link_no_print(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	(void)fmt;
	(void)args;
	return 0;
}

static enum bpf_attach_type tc_link_tcx_hook(enum bpf_tc_attach_point point)
{
	return (enum bpf_attach_type)(point == BPF_TC_INGRESS ? TCX_INGRESS : TCX_EGRESS);
}

static int tc_link_attach_tcx(struct tc_link *link, int prog_fd)
{
	/* Relative to nothing: before or behind all that are there. */
	LIBBPF_OPTS(bpf_link_create_opts, opts,
		    .flags = link->priority <= TC_PRIO_FIRST6 ? TCX_BEFORE : TCX_AFTER);
	int fd = bpf_link_create(prog_fd, link->ifindex, tc_link_tcx_hook(link->point), &opts);

	/* An older kernel does not know the type. */
	if (fd == -EINVAL)
		return -EOPNOTSUPP;
	if (fd < 0)
		return fd;
	link->fd = fd;
	return 0;
}

static int tc_link_add_clsact(const struct tc_link *link)
{
	struct netlink nl = NETLINK_INIT;
	int err = netlink_open(&nl, NETLINK_ROUTE) ?: netlink_clsact_add(&nl, link->ifindex);

	netlink_close(&nl);
	return err;
}

static int tc_link_attach_clsact(struct tc_link *link, int prog_fd, bool replace)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = link->ifindex, .attach_point = link->point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = link->handle, .priority = link->priority,
		    .prog_fd = prog_fd, .flags = replace ? BPF_TC_F_REPLACE : 0);
	int err = tc_link_add_clsact(link);

	/* The qdisc "ingress" takes filters for egress without complaint, and runs them at ingress.
	 */
	if (err == -EINVAL)
		err = link->point == BPF_TC_INGRESS ? 0 : -EOPNOTSUPP;
	err = err ?: bpf_tc_attach(&hook, &opts);
	/* That is how the kernel says that it has no such qdisc or classifier. */
	if (err == -ENOENT)
		err = -EOPNOTSUPP;
	if (err)
		return err;
	link->handle = opts.handle;
	link->prog_id = opts.prog_id;
	return 0;
}

static bool tc_link_attached(const struct tc_link *link)
{
	return link->prog_id || link->fd > 0;
}

const char *tc_link_hook(const struct tc_link *link)
{
	if (link->priority == TC_PRIO_FIRST6 || link->priority == TC_PRIO_BETWEEN6)
		return "IPv6 egress";
	if (link->priority == TC_PRIO_SECOND6)
		return "IPv6 ingress";
	return link->point == BPF_TC_INGRESS ? "ingress" : "egress";
}

int tc_link_attach(struct tc_link *link, int prog_fd, bool replace)
{
	link->prog_fd = prog_fd;
	link->fixed = link->handle;
	return link->tcx ? tc_link_attach_tcx(link, prog_fd)
			 : tc_link_attach_clsact(link, prog_fd, replace);
}

const char *tc_link_lacking(const struct tc_link *link)
{
	if (!link->tcx && tc_link_add_clsact(link) == -EINVAL)
		return "it has an ingress qdisc in place of clsact, so no egress filters (delete "
		       "that, or use --tcx)";
	return link->tcx ? "this kernel has no tcx (Linux 6.6); leave out --tcx"
			 : "this kernel has no clsact qdisc or no cls_bpf "
			   "(CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_BPF), or the qdisc shares a "
			   "block of filters with others (use --tcx)";
}

int tc_link_query(const struct tc_link *link, __u32 *prog_id)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = link->ifindex, .attach_point = link->point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = link->handle, .priority = link->priority);
	libbpf_print_fn_t print = libbpf_set_print(tc_link_no_print);
	int err = bpf_tc_query(&hook, &opts);

	libbpf_set_print(print);
	/* Without clsact the kernel answers -EINVAL ("Parent Qdisc doesn't exists"). A block that
	 * is shared holds no filter of one interface, and the answer is -EOPNOTSUPP. */
	if (err == -EINVAL || err == -EOPNOTSUPP)
		err = -ENOENT;
	if (!err)
		*prog_id = opts.prog_id;
	return err;
}

/* The program of a tcx link, or 0. */
static __u32 tc_link_tcx_own(const struct tc_link *link)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);

	return link->fd > 0 && !bpf_obj_get_info_by_fd(link->fd, &info, &len) ? info.prog_id : 0;
}

static bool tc_link_is_in(__u32 id, const __u32 *ids, __u32 count)
{
	for (__u32 i = 0; i < count; i++)
		if (ids[i] == id)
			return true;
	return false;
}

/* Whether the tcx link is at its hook still: somebody may have detached it. */
static int tc_link_query_tcx(const struct tc_link *link)
{
	__u32 ids[TCX_PROGRAMS_MAX], count = tcx_programs(link->ifindex, link->point, ids);

	return tc_link_is_in(tc_link_tcx_own(link), ids, count) ? 0 : -ENOENT;
}

int tc_link_restore(struct tc_link *link, bool *restored)
{
	__u32 prog_id;
	int err;

	*restored = false;
	if (!tc_link_attached(link))
		return 0;
	err = link->tcx ? tc_link_query_tcx(link) : tc_link_query(link, &prog_id);
	if (!err && !link->tcx && prog_id != link->prog_id)
		return -ESTALE;
	if (err != -ENOENT)
		return err;
	if (link->fd > 0) {
		close(link->fd);
		link->fd = 0;
	}
	link->prog_id = 0;
	if (!link->fixed)
		link->handle = 0;
	err = tc_link_attach(link, link->prog_fd, false);
	*restored = !err;
	return err;
}

int tc_link_detach(struct tc_link *link)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = link->ifindex, .attach_point = link->point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = link->handle, .priority = link->priority);
	__u32 prog_id;
	int err;

	if (link->fd > 0) {
		close(link->fd);
		link->fd = 0;
	}
	if (!link->prog_id)
		return 0;
	/* netlink has no compare-and-delete: between the two calls a small race remains. */
	err = tc_link_query(link, &prog_id);
	if (!err && prog_id != link->prog_id)
		err = -ESTALE;
	if (!err)
		err = bpf_tc_detach(&hook, &opts);
	link->prog_id = 0;
	return err == -ENODEV || err == -ENOENT ? 0 : err;
}

void tc_link_forget(struct tc_link *link)
{
	link->prog_id = 0;
	tc_link_detach(link);
}

__u32 tcx_programs(int ifindex, enum bpf_tc_attach_point point, __u32 *ids)
{
	LIBBPF_OPTS(bpf_prog_query_opts, opts, .prog_ids = ids, .prog_cnt = TCX_PROGRAMS_MAX);

	return bpf_prog_query_opts(ifindex, tc_link_tcx_hook(point), &opts) ? 0 : opts.prog_cnt;
}

int prog_name(__u32 id, char name[BPF_OBJ_NAME_LEN])
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id), err;

	if (fd < 0)
		return fd;
	err = bpf_obj_get_info_by_fd(fd, &info, &len);
	close(fd);
	if (!err)
		memcpy(name, info.name, BPF_OBJ_NAME_LEN);
	return err;
}

/* Programs of this project leave packets to those behind them. */
static bool tc_link_is_ours(__u32 id)
{
	char name[BPF_OBJ_NAME_LEN];

	if (prog_name(id, name))
		return false;
	for (int i = 0; i < PROGRAM_COUNT; i++)
		if (!strcmp(name, programs[i].name))
			return true;
	return false;
}

/*
 * Count the tcx programs of others that see the packets of @link's hook before it does, and were
 * not there the last time. Without CAP_SYS_ADMIN no program can be asked for its name, so that one
 * of ours that comes later may be taken for another's.
 */
static __u32 tc_link_new_programs(struct tc_link *link)
{
	__u32 ids[TCX_PROGRAMS_MAX], found = 0, own = tc_link_tcx_own(link);
	__u32 count = tcx_programs(link->ifindex, link->point, ids);

	for (__u32 i = 0; i < count && ids[i] != own; i++)
		found += !tc_link_is_in(ids[i], link->tcx_seen, link->tcx_seen_count) &&
			 !tc_link_is_ours(ids[i]);
	memcpy(link->tcx_seen, ids, count * sizeof(*ids));
	link->tcx_seen_count = count;
	return found;
}

/* libbpf names a filter "PROGRAM:[ID]". Return: which program of ours that is, or PROGRAM_COUNT. */
static int tc_link_program_of(const char *name)
{
	size_t len = strcspn(name, ":");
	int i = 0;

	while (i < PROGRAM_COUNT &&
	       (strlen(programs[i].name) != len || strncmp(name, programs[i].name, len) != 0))
		i++;
	return i;
}

static bool tc_link_named_like_ours(const char *name, const void *arg)
{
	(void)arg;
	return tc_link_program_of(name) < PROGRAM_COUNT;
}

/* Count the filters of clsact before @priority, except those that @left_out leaves out. */
static int tc_link_count(const struct tc_link *link, __u32 priority,
			 bool (*left_out)(const char *name, const void *link))
{
	__u32 parent = TC_H_MAKE(TC_H_CLSACT, link->point == BPF_TC_INGRESS ? TC_H_MIN_INGRESS
									    : TC_H_MIN_EGRESS);
	struct netlink nl = NETLINK_INIT;
	int count = netlink_open(&nl, NETLINK_ROUTE);

	if (!count)
		count = netlink_filters_before(&nl, link->ifindex, parent, priority, left_out,
					       link);
	netlink_close(&nl);
	return count;
}

/* Whether clsact has more filters of others before @link than the last time. */
static bool tc_link_new_filters(struct tc_link *link)
{
	int before = link->filters_seen;

	link->filters_seen =
		link->tcx ? 0 : tc_link_count(link, link->priority, tc_link_named_like_ours);
	return link->filters_seen > before;
}

int tc_link_hold(__u32 prog_id)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX }; /* @sun_path begins with 0: abstract */
	int len = snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "tc-link/%u", prog_id);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	if (!bind(fd, (struct sockaddr *)&addr,
		  (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1 + (socklen_t)len))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* Whether a filter is anything but one of @arg's kind that no process holds. */
static bool tc_link_not_left_behind(const char *name, const void *arg)
{
	const struct tc_link *link = arg;
	int i = tc_link_program_of(name), fd;

	if (i == PROGRAM_COUNT || programs[i].point != link->point ||
	    programs[i].priority != link->priority || !strchr(name, '['))
		return true;
	fd = tc_link_hold((__u32)strtoul(strchr(name, '[') + 1, NULL, 10));
	if (fd >= 0)
		close(fd);
	return fd < 0;
}

bool tc_link_left_behind(const struct tc_link *link)
{
	return tc_link_count(link, link->priority + 1, tc_link_not_left_behind) > 0;
}

void tc_link_warn(struct tc_link *const *links, int count, const char *ifname)
{
	bool seen[2] = { false };
	__u32 found = 0;

	for (int i = 0; i < count; i++) {
		const bool ingress = links[i]->point == BPF_TC_INGRESS;
		__u32 programs_new;
		bool filters_new;

		if (!tc_link_attached(links[i]))
			continue;
		programs_new = tc_link_new_programs(links[i]);
		filters_new = tc_link_new_filters(links[i]);
		/* What is before one of ours is before the next one, too. */
		if (seen[ingress])
			continue;
		seen[ingress] = true;
		found += programs_new;
		if (filters_new)
			log_note("warning: filters on %s may take packets first (tc filter show "
				 "dev %s %s)",
				 ifname, ifname, ingress ? "ingress" : "egress");
	}
	if (found)
		log_note("warning: %u tcx program%s on %s may take packets first (bpftool net)",
			 found, found == 1 ? "" : "s", ifname);
}
