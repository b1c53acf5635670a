// SPDX-License-Identifier: GPL-2.0-only
#include "programs.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "log.h"
#include "memory.h"
#include "proxy.skel.h"
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

/* A mapping is an entry, and its target another; either may bring an address of its own. */
static int programs_set_sizes(struct proxy *skel, const struct proxy_options *opt, size_t mappings)
{
	struct slot_table_size size = slot_table_size(opt->max_flows, PROXY_FLOW_KEYS);
	__u32 entries = programs_at_least(4 * mappings, ENTRIES_MIN);
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 0)
		return cpus;
	return bpf_map__set_max_entries(skel->maps.flows, size.slots) ?:
	       bpf_map__set_max_entries(skel->maps.buckets, size.buckets) ?:
	       bpf_map__set_max_entries(skel->maps.free_slots, size.lines) ?:
	       bpf_map__set_max_entries(skel->maps.spares, (__u32)cpus) ?:
	       bpf_map__set_max_entries(skel->maps.mappings, entries) ?:
	       bpf_map__set_max_entries(skel->maps.hosts, entries) ?:
	       bpf_map__set_max_entries(skel->maps.nexthops, programs_mapping_ids(mappings)) ?:
	       bpf_map__set_max_entries(skel->maps.mapping_stats,
					(__u32)cpus * programs_mapping_ids(mappings));
}

/* Of what programs do not share with those of another device. */
static int programs_set_own_sizes(struct proxy *skel)
{
	int cpus = libbpf_num_possible_cpus();

	return cpus < 0 ? cpus
			: bpf_map__set_max_entries(skel->maps.cache,
						   (__u32)cpus * PROXY_CACHE_SLOTS);
}

/* The flow table, whose size and hash are constants of the programs. */
static void programs_set_table(struct proxy *skel, __u32 slots, const __u64 *keys)
{
	struct slot_table_size size = slot_table_size(slots, PROXY_FLOW_KEYS);

	skel->rodata->cfg_slots = size.slots;
	skel->rodata->cfg_bucket_mask = size.buckets - 1;
	skel->rodata->cfg_ring_mask = size.ring - 1;
	memcpy(skel->rodata->cfg_hash_keys, keys, sizeof(skel->rodata->cfg_hash_keys));
}

/* The programs for the interface, which has @l2_len bytes before the IP header. */
static void programs_choose(struct proxy *skel, int l2_len)
{
	skel->rodata->cfg_l2_len = (__u32)l2_len;
	bpf_program__set_autoload(skel->progs.proxy_direct, false);
	bpf_program__set_autoload(skel->progs.proxy3_direct, false);
	bpf_program__set_autoload(skel->progs.proxy_egress, l2_len);
	bpf_program__set_autoload(skel->progs.proxy_ingress, l2_len);
	bpf_program__set_autoload(skel->progs.proxy3_egress, !l2_len);
	bpf_program__set_autoload(skel->progs.proxy3_ingress, !l2_len);
}

static int programs_fd(const struct proxy *skel, int l2_len, enum program program)
{
	switch (program) {
	case PROGRAM_PROXY_EGRESS:
		return bpf_program__fd(l2_len ? skel->progs.proxy_egress
					      : skel->progs.proxy3_egress);
	case PROGRAM_PROXY_INGRESS:
		return bpf_program__fd(l2_len ? skel->progs.proxy_ingress
					      : skel->progs.proxy3_ingress);
	default:
		return bpf_program__fd(l2_len ? skel->progs.proxy_direct
					      : skel->progs.proxy3_direct);
	}
}

/* The programs for other devices with @l2_len bytes before the IP header, with the same maps. */
static int programs_load_other(struct programs *programs, const struct maps *maps, int l2_len)
{
	struct proxy *skel = proxy__open();
	int err;

	if (!skel) {
		err = -errno;
		return err ?: -ENOMEM;
	}
	programs_choose(skel, l2_len);
	programs_set_table(skel, maps->index.size.slots, slot_table_keys(&maps->index));
	bpf_program__set_autoload(skel->progs.proxy_egress, false);
	bpf_program__set_autoload(skel->progs.proxy3_egress, false);
	bpf_program__set_autoload(l2_len ? skel->progs.proxy_direct : skel->progs.proxy3_direct,
				  true);
	if (l2_len == programs->l2_len) {
		/* The interface's own does for other devices as well. */
		bpf_program__set_autoload(skel->progs.proxy_ingress, false);
		bpf_program__set_autoload(skel->progs.proxy3_ingress, false);
	}
	err = maps_reuse(maps, skel->obj) ?: programs_set_own_sizes(skel) ?: proxy__load(skel);
	if (err)
		proxy__destroy(skel);
	else
		programs->others[!l2_len] = skel;
	return err;
}

int programs_for(struct programs *programs, const struct maps *maps, int l2_len,
		 enum program program)
{
	struct proxy **skel = &programs->others[!l2_len];
	int err = *skel ? 0 : programs_load_other(programs, maps, l2_len);

	if (err)
		return err;
	return programs_fd(*skel, l2_len, program);
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
	struct proxy *skel;
	__u64 keys[SLOT_HASH_KEYS] = { 0 };

	if (err)
		return err;
	skel = proxy__open();
	if (!skel)
		return log_err(-errno, "cannot open the BPF object");
	programs->own = skel;
	programs->l2_len = l2_len;
	programs_choose(skel, l2_len);
	if (shared)
		err = maps_hash_keys(old, keys);
	else
		err = getrandom(keys, sizeof(keys), 0) < 0 ? -errno : 0;
	if (!err)
		err = programs_set_sizes(skel, opt, mappings) ?: programs_set_own_sizes(skel);
	programs_set_table(skel, shared ? old->max_entries[MAPS_FLOWS] : opt->max_flows, keys);
	if (!err)
		err = maps_reuse(old, skel->obj);
	if (!err)
		err = proxy__load(skel);
	if (err == -ENOMEM || err == -E2BIG)
		return log_err(err,
			       "cannot make tables for %u flows and %zu mappings (a smaller "
			       "--max-flows helps)",
			       opt->max_flows, mappings);
	if (err)
		return log_refused(REFUSED_LOAD, err, "cannot load the BPF programs");
	err = maps_from_object(maps, skel->obj) ?:
	      maps_bind(maps, programs_own(programs, PROGRAM_PROXY_EGRESS)) ?:
	      maps_bind(maps, programs_own(programs, PROGRAM_PROXY_INGRESS)) ?:
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

int programs_own(const struct programs *programs, enum program program)
{
	return programs_fd(programs->own, programs->l2_len, program);
}

void programs_close(struct programs *programs)
{
	proxy__destroy(programs->others[0]);
	proxy__destroy(programs->others[1]);
	proxy__destroy(programs->own);
	*programs = (struct programs){ 0 };
}
