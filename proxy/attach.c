// SPDX-License-Identifier: GPL-2.0-only
#include "attach.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "log.h"
#include "number.h"
#include "refusal.h"

/* How long replies may go on to come in by a device that targets are no longer reached by. */
#define UNUSED_NS (15 * NSEC_PER_SEC)

/* There is one proxy per interface, so its place is fixed and can be found again. */
static struct tc_link attach_own_link(const struct attachment *at, enum layout_role role)
{
	struct tc_link link = tc_link_for(at->layout->programs[0][role], at->ifindex, at->tcx);

	link.handle = at->layout->own_handle;
	return link;
}

/* Several proxies may receive replies by one device: a handle for each of them. */
static struct tc_link attach_other_link(const struct attachment *at, enum layout_role role,
					int ifindex)
{
	struct tc_link link = tc_link_for(at->layout->programs[0][role], ifindex, at->tcx);

	link.handle = at->layout->other_handle + (__u32)at->ifindex;
	return link;
}

/*
 * The program in one of our places.
 * Return: 0; -ENOENT: the place is free; -EEXIST: a stranger's, said on stderr.
 */
static int attach_find_own(const struct tc_link *link, const char *ifname, __u32 *id)
{
	char found[BPF_OBJ_NAME_LEN];
	int err = tc_link_query(link, id);

	if (!err)
		err = prog_name(*id, found);
	if (err)
		return err == -ENOENT ? err
				      : log_refused(REFUSED_BY_ID, err,
						    "cannot look at the filters of %s", ifname);
	if (!tc_link_expects(link, found))
		return log_note(
			       "the place of our filter on %s (priority %u, handle %u) is taken by "
			       "program '%s' (id %u); remove that first",
			       ifname, link->priority, link->handle, found, *id),
		       -EEXIST;
	return 0;
}

/* Whether what was found can be used. */
static int attach_check_found(int err, const char *ifname, const struct maps *maps)
{
	if (!err)
		err = maps_check_layout(maps);
	if (err == -EPROTO)
		log_note("%s is served by a datapath of another version of proxy; remove it first: "
			 "remove-filters-and-qdisc.sh %s",
			 ifname, ifname);
	else if (err)
		log_refused(REFUSED_BY_ID, err,
			    "cannot open the running datapath of %s "
			    "(remove-filters-and-qdisc.sh %s removes it)",
			    ifname, ifname);
	return err;
}

int attach_find(struct attachment *at, const char *ifname, struct maps *maps)
{
	struct tc_link egress = attach_own_link(at, LAYOUT_EGRESS);
	struct tc_link ingress = attach_own_link(at, LAYOUT_INGRESS);
	__u32 egress_id, ingress_id;
	int err_egress, err_ingress, err = 0;

	err_egress = attach_find_own(&egress, ifname, &egress_id);
	if (err_egress && err_egress != -ENOENT)
		return err_egress;
	err_ingress = attach_find_own(&ingress, ifname, &ingress_id);
	if (err_ingress && err_ingress != -ENOENT)
		return err_ingress;
	if (err_egress && err_ingress)
		return -ENOENT;
	/* For a moment, both would translate a packet, one after the other. */
	if (at->tcx)
		return log_note("%s is served by filters of clsact: leave out --tcx to take them "
				"over, or remove them: remove-filters-and-qdisc.sh %s",
				ifname, ifname),
		       -EEXIST;
	at->missing = err_egress    ? tc_link_hook(&egress)
		      : err_ingress ? tc_link_hook(&ingress)
				    : NULL;
	if (!err_egress)
		err = maps_add_prog(maps, egress_id);
	if (!err && !err_ingress)
		err = maps_add_prog(maps, ingress_id);
	if (!err && !err_ingress)
		at->ingress_fd = bpf_prog_get_fd_by_id(ingress_id);
	return attach_check_found(err, ifname, maps);
}

int attach_find_tcx(struct attachment *at, const char *ifname, struct maps *maps)
{
	struct tc_link egress = attach_own_link(at, LAYOUT_EGRESS);
	struct tc_link ingress = attach_own_link(at, LAYOUT_INGRESS);
	__u32 ids[TCX_PROGRAMS_MAX], count = tcx_programs(at->ifindex, egress.point, ids);
	char name[BPF_OBJ_NAME_LEN];
	int err = -ENOENT;

	for (__u32 i = 0; i < count && err == -ENOENT; i++)
		if (!prog_name(ids[i], name) && tc_link_expects(&egress, name))
			err = attach_check_found(maps_add_prog(maps, ids[i]), ifname, maps);
	if (err)
		return err;
	at->missing = tc_link_hook(&ingress);
	/* There may be programs of other proxies, too, whose targets reply by this device. */
	count = tcx_programs(at->ifindex, ingress.point, ids);
	for (__u32 i = 0; i < count; i++)
		if (maps_used_by(maps, ids[i]))
			at->missing = NULL;
	return 0;
}

static struct attachment_other *attach_find_other(const struct attachment *at, int ifindex)
{
	for (size_t i = 0; i < at->other_count; i++)
		if (at->others[i].ingress.ifindex == ifindex)
			return &at->others[i];
	return NULL;
}

static int attach_other(struct attachment *at, int ifindex)
{
	struct attachment_other *grown, other = {
		.ingress = attach_other_link(at, LAYOUT_INGRESS, ifindex),
		.egress = attach_other_link(at, LAYOUT_DIRECT, ifindex),
	};
	int fd = at->program_for(at->arg, ifindex, LAYOUT_INGRESS), err;

	if (fd < 0)
		return fd;
	grown = reallocarray(at->others, at->other_count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	at->others = grown;
	err = tc_link_attach(&other.ingress, fd, true);
	if (!err)
		at->others[at->other_count++] = other;
	return err;
}

static void attach_direct(const struct attachment *at, struct attachment_other *other)
{
	int fd = at->program_for(at->arg, other->egress.ifindex, LAYOUT_DIRECT);
	int err = fd < 0 ? fd : tc_link_attach(&other->egress, fd, true);
	char name[IF_NAMESIZE] = "?";

	other->direct = true;
	if (!err)
		return;
	if_indextoname((unsigned int)other->egress.ifindex, name);
	log_err(err, "cannot attach to the egress of %s, by which a target is reached", name);
}

void attach_adopt(struct attachment *at)
{
	struct if_nameindex *all = if_nameindex();

	for (struct if_nameindex *i = all; i && i->if_index; i++) {
		struct tc_link link = attach_other_link(at, LAYOUT_INGRESS, (int)i->if_index);
		char name[BPF_OBJ_NAME_LEN];

		if (!tc_link_query(&link, &link.prog_id) && !prog_name(link.prog_id, name) &&
		    tc_link_expects(&link, name))
			attach_other(at, link.ifindex);
	}
	if (all)
		if_freenameindex(all);
}

static void attach_device(struct attachment *at, int ifindex)
{
	char name[IF_NAMESIZE] = "?";
	int err;

	if (ifindex == at->ifindex || attach_find_other(at, ifindex))
		return;
	err = attach_other(at, ifindex);
	if_indextoname((unsigned int)ifindex, name);
	if (err)
		log_refused(REFUSED_ATTACH, err,
			    "cannot attach to %s, by which a target is reached", name);
}

/* One line that names the likely cause. */
static int attach_error(const struct attachment *at, int err, const char *ifname)
{
	if (err == -EOPNOTSUPP || err == -ENOENT)
		return log_note("cannot attach to %s: %s", ifname, tc_link_lacking(&at->ingress)),
		       err;
	if (err == -EINVAL)
		return log_note("cannot attach to %s: priority %u or %u is taken by a filter of "
				"another kind",
				ifname, TC_PRIO_FIRST, TC_PRIO_SECOND),
		       err;
	return log_refused(REFUSED_ATTACH, err, "cannot attach to %s", ifname);
}

int attach_start(struct attachment *at, const char *ifname, bool takeover)
{
	int err;

	at->egress = attach_own_link(at, LAYOUT_EGRESS);
	at->ingress = attach_own_link(at, LAYOUT_INGRESS);
	/* Replies can be restored before the first packet is sent to a target. */
	err = tc_link_attach(&at->ingress, at->ingress_fd, takeover);
	if (!err)
		err = tc_link_attach(&at->egress, at->egress_fd, takeover);
	if (err) {
		/* What has been taken over goes on with the new half: they share all state. */
		if (!takeover)
			tc_link_detach(&at->ingress);
		return attach_error(at, err, ifname);
	}
	return 0;
}

int attach_keep_others(struct attachment *at, const struct tc_watch *watch)
{
	int err = 0;

	for (size_t i = 0; i < at->other_count && !err; i++) {
		struct tc_link *other[] = { &at->others[i].ingress, &at->others[i].egress };
		char name[IF_NAMESIZE];

		if (if_indextoname((unsigned int)other[0]->ifindex, name))
			err = tc_watch_links(watch, other, 2, name, "translated");
	}
	return err;
}

/* The other device by which a target's packets go and come, or 0. */
static int attach_other_device(const struct attachment *at, const struct nexthop *hop)
{
	if (!hop->taken || hop->error || hop->route.type != RTN_UNICAST ||
	    hop->route.oif == at->ifindex)
		return 0;
	return hop->route.oif;
}

static bool attach_wanted(const struct attachment *at, const struct nexthops *hops, int ifindex)
{
	for (__u32 i = 1; i < hops->count; i++)
		if (attach_other_device(at, nexthops_at(hops, i)) == ifindex)
			return true;
	return false;
}

void attach_devices(struct attachment *at, const struct nexthops *hops)
{
	for (__u32 i = 1; i < hops->count; i++) {
		int ifindex = attach_other_device(at, nexthops_at(hops, i));

		if (ifindex)
			attach_device(at, ifindex);
	}
}

void attach_follow(struct attachment *at, const struct nexthops *hops, __u64 now)
{
	attach_devices(at, hops);
	for (size_t i = 0; i < at->other_count;) {
		struct attachment_other *other = &at->others[i];

		if (!other->direct)
			attach_direct(at, other);
		if (attach_wanted(at, hops, other->ingress.ifindex))
			other->unused_since = 0;
		else if (!other->unused_since)
			other->unused_since = now;
		if (!other->unused_since || now - other->unused_since < UNUSED_NS) {
			i++;
			continue;
		}
		tc_link_detach(&other->egress);
		tc_link_detach(&other->ingress);
		*other = at->others[--at->other_count];
	}
}

int attach_stop(struct attachment *at)
{
	/* Egress first: no packet is sent to a target any more whose replies nobody restores. */
	int err = tc_link_detach(&at->egress), other = tc_link_detach(&at->ingress);

	for (size_t i = 0; i < at->other_count; i++) {
		other = tc_link_detach(&at->others[i].egress) ?: other;
		other = tc_link_detach(&at->others[i].ingress) ?: other;
	}
	attach_close(at);
	return err ?: other;
}

void attach_close(struct attachment *at)
{
	free(at->others);
	at->others = NULL;
	at->other_count = 0;
	tc_link_forget(&at->egress);
	tc_link_forget(&at->ingress);
}
