// SPDX-License-Identifier: GPL-2.0-only
#include "tc-link.h"

#include <errno.h>
#include <unistd.h>

#include <bpf/bpf.h>

static int no_print(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	(void)fmt;
	(void)args;
	return 0;
}

/* An existing clsact is what we want, yet libbpf and the kernel would complain about it aloud. */
static int hook_create(struct bpf_tc_hook *hook)
{
	libbpf_print_fn_t print = libbpf_set_print(no_print);
	int err = bpf_tc_hook_create(hook);

	libbpf_set_print(print);
	return err == -EEXIST ? 0 : err;
}

int tc_link_attach(struct tc_link *link, int prog_fd, bool replace)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = link->ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = link->handle, .priority = link->priority,
		    .prog_fd = prog_fd, .flags = replace ? BPF_TC_F_REPLACE : 0);
	int err = hook_create(&hook);

	if (!err) {
		hook.attach_point = link->point;
		err = bpf_tc_attach(&hook, &opts);
	}
	/* That is how the kernel says that it has no such qdisc or classifier. */
	if (err == -ENOENT)
		err = -EOPNOTSUPP;
	if (err)
		return err;
	link->handle = opts.handle;
	link->prog_id = opts.prog_id;
	return 0;
}

int tc_link_query(const struct tc_link *link, __u32 *prog_id)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = link->ifindex, .attach_point = link->point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = link->handle, .priority = link->priority);
	libbpf_print_fn_t print = libbpf_set_print(no_print);
	int err = bpf_tc_query(&hook, &opts);

	libbpf_set_print(print);
	/* Without clsact the kernel answers -EINVAL ("Parent Qdisc doesn't exists"). */
	if (err == -EINVAL)
		err = -ENOENT;
	if (!err)
		*prog_id = opts.prog_id;
	return err;
}

int tc_link_detach(struct tc_link *link)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = link->ifindex, .attach_point = link->point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = link->handle, .priority = link->priority);
	__u32 prog_id;
	int err;

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
