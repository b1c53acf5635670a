// SPDX-License-Identifier: GPL-2.0-only
#include "programs.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "log.h"
#include "memory.h"
#include "refusal.h"

enum { ENTRIES_MIN = 16384, IDS_MIN = 4096 };

static __u32 programs_at_least(size_t wanted, __u32 least)
{
	return wanted > least ? (__u32)wanted : least;
}

static __u32 programs_mapping_ids(size_t mappings)
{
	return programs_at_least(2 * mappings, IDS_MIN);
}

static int programs_resize(struct bpf_object *obj, const char *name, __u32 entries)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, name);

	return map ? bpf_map__set_max_entries(map, entries) : -ENOENT;
}

/* A mapping is an entry, and its target another; either may bring an address of its own. */
static int programs_set_sizes(const struct nat_layout *layout, struct bpf_object *obj,
			      const struct proxy_options *opt, size_t mappings)
{
	struct slot_table_size size = slot_table_size(opt->max_flows, PROXY_FLOW_KEYS);
	__u32 entries = programs_at_least(4 * mappings, ENTRIES_MIN);
	int cpus = libbpf_num_possible_cpus(), err = cpus < 0 ? cpus : 0;
	const __u32 sizes[MAPS_COUNT] = {
		[MAPS_FLOWS] = size.slots,
		[MAPS_BUCKETS] = size.buckets,
		[MAPS_FREE_SLOTS] = size.lines,
		[MAPS_SPARES] = (__u32)cpus,
		[MAPS_MAPPINGS] = entries,
		[MAPS_HOSTS] = entries,
		[MAPS_NEXTHOPS] = programs_mapping_ids(mappings),
		[MAPS_MAPPING_STATS] = (__u32)cpus * programs_mapping_ids(mappings),
	};

	for (int i = 0; i < MAPS_COUNT && !err; i++)
		if (sizes[i])
			err = programs_resize(obj, layout->maps[i].name, sizes[i]);
	return err;
}

/* Of what programs do not share with those of another device. */
static int programs_set_own_sizes(struct bpf_object *obj)
{
	int cpus = libbpf_num_possible_cpus();

	return cpus < 0 ? cpus : programs_resize(obj, "cache", (__u32)cpus * PROXY_CACHE_SLOTS);
}

static struct bpf_program *programs_find(const struct programs *programs,
					 const struct programs_object *object, int l2_len,
					 enum layout_role role)
{
	enum program id = programs->layout->programs[!l2_len][role];

	return bpf_object__find_program_by_name(object->obj, tc_link_program_name(id));
}

/* Load the programs of these @roles for a device with @l2_len bytes before the IP header. */
static void programs_choose(const struct programs *programs, const struct programs_object *object,
			    int l2_len, __u32 roles)
{
	struct bpf_program *prog = NULL;

	while ((prog = bpf_object__next_program(object->obj, prog)))
		bpf_program__set_autoload(prog, false);
	for (int role = 0; role < LAYOUT_ROLES; role++) {
		prog = programs_find(programs, object, l2_len, (enum layout_role)role);
		if (prog && roles & 1U << role)
			bpf_program__set_autoload(prog, true);
	}
}

/* The size and the hash of the flow table are constants of the programs. */
static void programs_configure(const struct programs *programs,
			       const struct programs_object *object, int l2_len, __u32 slots,
			       const __u64 *keys)
{
	const struct layout_config config = { .l2_len = (__u32)l2_len,
					      .size = slot_table_size(slots, PROXY_FLOW_KEYS),
					      .hash_keys = keys };

	programs->layout->configure(object->skel, &config);
}

static int programs_open(const struct programs *programs, struct programs_object *object)
{
	int err;

	object->skel = programs->layout->open(&object->obj);
	err = object->skel ? 0 : -errno;
	return object->skel ? 0 : err ?: -ENOMEM;
}

static void programs_destroy(const struct programs *programs, struct programs_object *object)
{
	if (object->skel)
		programs->layout->destroy(object->skel);
	*object = (struct programs_object){ 0 };
}

/* The programs for other devices with @l2_len bytes before the IP header, with the same maps. */
static int programs_load_other(struct programs *programs, const struct maps *maps, int l2_len)
{
	/* The interface's own for replies does for other devices as well. */
	__u32 roles = 1U << LAYOUT_DIRECT | (l2_len == programs->l2_len ? 0 : 1U << LAYOUT_INGRESS);
	struct programs_object *object = &programs->others[!l2_len];
	int err = programs_open(programs, object);

	if (err)
		return err;
	programs_choose(programs, object, l2_len, roles);
	programs_configure(programs, object, l2_len, maps->index.size.slots,
			   slot_table_keys(&maps->index));
	err = maps_reuse(maps, object->obj) ?: programs_set_own_sizes(object->obj) ?:
	      programs->layout->load(object->skel);
	if (err)
		programs_destroy(programs, object);
	return err;
}

int programs_for(struct programs *programs, const struct maps *maps, int l2_len,
		 enum layout_role role)
{
	struct programs_object *object = &programs->others[!l2_len];
	int err = object->skel ? 0 : programs_load_other(programs, maps, l2_len);

	if (err)
		return err;
	return bpf_program__fd(programs_find(programs, object, l2_len, role));
}

static int programs_check_memory(const struct nat_layout *layout, const struct proxy_options *opt)
{
	__u64 needed = ((__u64)opt->max_flows * layout->maps[MAPS_FLOWS].value_size +
			slot_table_bytes(slot_table_size(opt->max_flows, PROXY_FLOW_KEYS))) >>
		       20;
	__u64 available = memory_available() >> 20;

	if (needed < available)
		return 0;
	log_note(
		"%u flows need %llu MB of memory, but %llu MB are available (a smaller --max-flows "
		"helps)",
		opt->max_flows, needed, available);
	return -ENOMEM;
}

int programs_load(struct programs *programs, struct maps *maps, const struct maps *old,
		  const struct proxy_options *opt, int l2_len, size_t mappings)
{
	bool shared = old->fd[MAPS_FLOWS] >= 0;
	int err = shared ? 0 : programs_check_memory(old->layout, opt);
	struct programs_object *own = &programs->own;
	__u64 keys[SLOT_HASH_KEYS] = { 0 };

	if (err)
		return err;
	programs->layout = maps->layout;
	programs->l2_len = l2_len;
	err = programs_open(programs, own);
	if (err)
		return log_err(err, "cannot open the BPF object");
	programs_choose(programs, own, l2_len, 1U << LAYOUT_EGRESS | 1U << LAYOUT_INGRESS);
	if (shared)
		err = maps_hash_keys(old, keys);
	else
		err = getrandom(keys, sizeof(keys), 0) < 0 ? -errno : 0;
	if (!err)
		err = programs_set_sizes(maps->layout, own->obj, opt, mappings)
			      ?: programs_set_own_sizes(own->obj);
	programs_configure(programs, own, l2_len,
			   shared ? old->max_entries[MAPS_FLOWS] : opt->max_flows, keys);
	if (!err)
		err = maps_reuse(old, own->obj);
	if (!err)
		err = maps->layout->load(own->skel);
	if (err == -ENOMEM || err == -E2BIG)
		return log_err(err,
			       "cannot make tables for %u flows and %zu mappings (a smaller "
			       "--max-flows helps)",
			       opt->max_flows, mappings);
	if (err)
		return log_refused(REFUSED_LOAD, err, "cannot load the BPF programs");
	err = maps_from_object(maps, own->obj) ?:
	      maps_bind(maps, programs_own(programs, LAYOUT_EGRESS)) ?:
	      maps_bind(maps, programs_own(programs, LAYOUT_INGRESS)) ?:
	      maps_mmap(maps);
	if (err)
		return log_err(err, "cannot open the maps");
	if (!shared) {
		slot_table_begin(&maps->index, keys);
		maps->state->layout = PROXY_LAYOUT;
		maps->state->mark = (__u16)(0x8000 | keys[SLOT_HASH_KEYS - 1]);
		maps->state->mapping_ids = programs_mapping_ids(mappings);
	}
	return 0;
}

int programs_own(const struct programs *programs, enum layout_role role)
{
	return bpf_program__fd(programs_find(programs, &programs->own, programs->l2_len, role));
}

void programs_close(struct programs *programs)
{
	programs_destroy(programs, &programs->others[0]);
	programs_destroy(programs, &programs->others[1]);
	programs_destroy(programs, &programs->own);
	*programs = (struct programs){ 0 };
}
