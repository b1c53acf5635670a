// SPDX-License-Identifier: GPL-2.0-only
#include "counter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "log.h"
#include "packet-monitor.skel.h"
#include "refusal.h"
#include "tc-link.h"

/* Settings and sizes: between open and load, since both are frozen then. */
static int counter_configure(struct counter *counter, const struct counter_config *config)
{
	struct slot_table_size size = slot_table_size(config->max_flows, 1);
	struct packet_monitor *skel = counter->skel;
	int err;

	skel->rodata->cfg_inner = config->inner;
	skel->rodata->cfg_shared = config->shared;
	skel->rodata->cfg_first_ns = config->first;
	skel->rodata->cfg_filtered = config->filter.count != 0;
	skel->rodata->cfg_slots = size.slots;
	skel->rodata->cfg_bucket_mask = size.buckets - 1;
	skel->rodata->cfg_ring_mask = size.ring - 1;
	if (getrandom(skel->rodata->cfg_hash_keys, sizeof(skel->rodata->cfg_hash_keys), 0) < 0)
		return -errno;
	err = bpf_map__set_max_entries(skel->maps.slots, size.slots);
	err = err ?: bpf_map__set_max_entries(skel->maps.origins, size.slots);
	if (config->first)
		err = err ?: bpf_map__set_max_entries(skel->maps.firsts, size.slots);
	err = err ?: bpf_map__set_max_entries(skel->maps.buckets, size.buckets);
	err = err ?: bpf_map__set_max_entries(skel->maps.free_slots, size.lines);
	if (config->shared && config->filter.count)
		err = err ?: bpf_map__set_max_entries(skel->maps.filtered, PM_FILTERED_MAX);
	counter->cpus = libbpf_num_possible_cpus();
	if (counter->cpus < 0)
		return counter->cpus;
	return err ?: bpf_map__set_max_entries(skel->maps.spares, (__u32)counter->cpus);
}

static void counter_choose(const struct packet_monitor *skel, const bool *direction,
			   const struct iface *only)
{
	bool with = !only || only->l2_len, without = !only || !only->l2_len;

	bpf_program__set_autoload(skel->progs.pm_ingress, direction[PM_INGRESS] && with);
	bpf_program__set_autoload(skel->progs.pm_egress, direction[PM_EGRESS] && with);
	bpf_program__set_autoload(skel->progs.pm3_ingress, direction[PM_INGRESS] && without);
	bpf_program__set_autoload(skel->progs.pm3_egress, direction[PM_EGRESS] && without);
}

/*
 * Open the object with the filter in it. In place of packet_monitor__open(), which has no room
 * between the image of the ELF file and the programs made of it.
 */
static int counter_open_object(struct counter *counter, const struct filter *filter)
{
	struct packet_monitor *skel = counter->skel = calloc(1, sizeof(*skel));
	void *elf = NULL;
	int err;

	if (!skel)
		return -ENOMEM;
	err = packet_monitor__create_skeleton(skel);
	if (!err && filter->count) {
		elf = malloc(skel->skeleton->data_sz);
		if (!elf)
			return -ENOMEM;
		memcpy(elf, skel->skeleton->data, skel->skeleton->data_sz);
		skel->skeleton->data = elf;
		err = filter_compile(filter, elf, skel->skeleton->data_sz);
	}
	err = err ?: bpf_object__open_skeleton(skel->skeleton, NULL);
	free(elf);
	return err;
}

/* Have a packet-monitor that starts later see that filters with these programs are in use. */
static void counter_hold(struct counter *counter)
{
	struct bpf_program *prog;
	int i = 0;

	bpf_object__for_each_program(prog, counter->skel->obj)
	{
		struct bpf_prog_info info = { 0 };
		__u32 len = sizeof(info);
		int fd = bpf_program__fd(prog);

		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) && i < COUNTER_PROGRAMS)
			counter->holds[i++] = tc_link_hold(info.id);
	}
}

int counter_open(struct counter *counter, const struct counter_config *config,
		 const struct iface *only)
{
	int err = counter_open_object(counter, &config->filter);
	struct packet_monitor *skel = counter->skel;
	struct flow_table_maps maps;

	if (err)
		return log_err(err, "cannot open the BPF object");
	counter_choose(skel, config->direction, only);
	err = counter_configure(counter, config);
	if (err)
		return log_err(err, "cannot configure the BPF programs");
	/* libbpf takes it away if its own trial of such a map has failed. */
	err = packet_monitor__load(skel) ?: skel->rodata ? 0 : -ENOMEM;
	if (err == -ENOMEM)
		return log_err(err, "cannot make room for %u flows (try a smaller --max-flows)",
			       config->max_flows);
	if (err)
		return log_refused(REFUSED_LOAD, err, "cannot load the BPF programs");
	counter_hold(counter);
	maps = (struct flow_table_maps){
		.slots = bpf_map__fd(skel->maps.slots),
		.origins = bpf_map__fd(skel->maps.origins),
		.firsts = config->first ? bpf_map__fd(skel->maps.firsts) : -1,
		.buckets = bpf_map__fd(skel->maps.buckets),
		.free_slots = bpf_map__fd(skel->maps.free_slots),
	};
	err = flow_table_open(&counter->table, config->max_flows, skel->rodata->cfg_hash_keys,
			      &maps);
	counter->room = calloc((size_t)counter->cpus, sizeof(*counter->room));
	if (err || !counter->room)
		return log_err(err ?: -ENOMEM, "cannot map the flow table");
	return 0;
}

void counter_close(struct counter *counter)
{
	flow_table_close(&counter->table);
	packet_monitor__destroy(counter->skel);
	free(counter->room);
	for (int i = 0; i < COUNTER_PROGRAMS; i++)
		if (counter->holds[i] > 0)
			close(counter->holds[i]);
	memset(counter, 0, sizeof(*counter));
}

int counter_program(const struct counter *counter, const struct iface *iface, enum pm_direction dir)
{
	const struct packet_monitor *skel = counter->skel;

	if (iface->l2_len)
		return bpf_program__fd(dir == PM_INGRESS ? skel->progs.pm_ingress
							 : skel->progs.pm_egress);
	return bpf_program__fd(dir == PM_INGRESS ? skel->progs.pm3_ingress
						 : skel->progs.pm3_egress);
}

__u32 counter_key(const struct counter *counter, const struct iface *iface)
{
	return counter->skel->rodata->cfg_shared ? (__u32)iface->ifindex : 0;
}

static int counter_untracked_fd(const struct counter *counter)
{
	return bpf_map__fd(counter->skel->maps.untracked);
}

static int counter_filtered_fd(const struct counter *counter)
{
	return bpf_map__fd(counter->skel->maps.filtered);
}

/* A millisecond each. */
enum { ADD_ATTEMPTS = 1000 };

int counter_add(const struct counter *counter, const struct iface *iface)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	__u32 key = counter_key(counter, iface);
	int err = 0;

	memset(counter->room, 0, (size_t)counter->cpus * sizeof(*counter->room));
	/* The kernel keeps a few elements ready, and makes new ones in the background. */
	for (int i = 0; i < ADD_ATTEMPTS; i++) {
		err = bpf_map_update_elem(counter_untracked_fd(counter), &key, counter->room,
					  BPF_NOEXIST)
			      ? -errno
			      : 0;
		if (err != -ENOMEM)
			break;
		nanosleep(&pause, NULL);
	}
	return err == -EEXIST ? 0 : err;
}

void counter_remove(const struct counter *counter, const struct iface *iface)
{
	__u32 key = counter_key(counter, iface);

	bpf_map_delete_elem(counter_untracked_fd(counter), &key);
	/* Elements of an array stay. */
	memset(counter->room, 0, (size_t)counter->cpus * sizeof(*counter->room));
	bpf_map_update_elem(counter_filtered_fd(counter), &key, counter->room, BPF_EXIST);
}

/* Add the packets in "filtered", where there is room for so high a number. */
static void counter_filtered(struct counter *counter, __u32 key, struct pm_untracked *sum)
{
	const struct pm_filtered *room = (const void *)counter->room;

	if (!counter->skel->rodata->cfg_filtered ||
	    bpf_map_lookup_elem(counter_filtered_fd(counter), &key, counter->room))
		return;
	for (int cpu = 0; cpu < counter->cpus; cpu++)
		for (int dir = 0; dir < PM_DIRECTIONS; dir++)
			pm_count_add(&sum->count[dir][PM_FILTERED], &room[cpu].count[dir]);
}

int counter_untracked(struct counter *counter, const struct iface *iface, struct pm_untracked *sum)
{
	__u32 key = counter_key(counter, iface);

	if (bpf_map_lookup_elem(counter_untracked_fd(counter), &key, counter->room))
		return -errno;
	for (int cpu = 0; cpu < counter->cpus; cpu++)
		for (int dir = 0; dir < PM_DIRECTIONS; dir++)
			for (int reason = 0; reason < PM_REASONS; reason++) {
				pm_count_add(&sum->count[dir][reason],
					     &counter->room[cpu].count[dir][reason]);
				pm_count_add(&sum->partial[dir][reason],
					     &counter->room[cpu].partial[dir][reason]);
			}
	counter_filtered(counter, key, sum);
	return 0;
}
