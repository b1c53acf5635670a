// SPDX-License-Identifier: GPL-2.0-only
#include "filter-rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

static void filter_rig_fail(const char *what)
{
	printf("FAIL set-up: cannot %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static void *filter_rig_map(int *map, const char *name, size_t size, int count)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	void *memory;

	*map = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, 4, (__u32)size, (__u32)count, &opts);
	if (*map < 0)
		filter_rig_fail("make a map");
	memory = mmap(NULL, size * (size_t)count, PROT_READ | PROT_WRITE, MAP_SHARED, *map, 0);
	if (memory == MAP_FAILED)
		filter_rig_fail("map a map");
	return memory;
}

void filter_rig_open(struct filter_rig *rig, const struct pm_key *keys, int count)
{
	enum { ELF_MAX = 1 << 20 };
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/tests/bpf/filter-keys-bpf.o", getenv("BUILD") ?: "build");
	file = fopen(path, "r");
	if (!file)
		filter_rig_fail("open filter-keys-bpf.o");
	rig->elf = malloc(ELF_MAX);
	rig->elf_size = fread(rig->elf, 1, ELF_MAX, file);
	fclose(file);
	rig->count = count;
	memcpy(filter_rig_map(&rig->keys, "keys", sizeof(*keys), count), keys,
	       (size_t)count * sizeof(*keys));
	rig->answer = filter_rig_map(&rig->answers, "answers", sizeof(*rig->answer), count);
}

int filter_rig_run(struct filter_rig *rig, const struct filter *filter)
{
	__u8 packet[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = rig->count);
	void *elf = malloc(rig->elf_size);
	struct bpf_object *object = NULL;
	const bool on = filter->count;
	int err;

	if (!elf)
		return -ENOMEM;
	memcpy(elf, rig->elf, rig->elf_size);
	err = on ? filter_compile(filter, elf, rig->elf_size) : 0;
	if (!err)
		object = bpf_object__open_mem(elf, rig->elf_size, NULL);
	if (object) {
		bpf_map__set_initial_value(bpf_object__find_map_by_name(object, ".rodata"), &on,
					   sizeof(on));
		bpf_map__reuse_fd(bpf_object__find_map_by_name(object, "keys"), rig->keys);
		bpf_map__reuse_fd(bpf_object__find_map_by_name(object, "answers"), rig->answers);
		err = bpf_object__load(object);
		err = err
			      ?: bpf_prog_test_run_opts(
					 bpf_program__fd(bpf_object__next_program(object, NULL)),
					 &run);
		rig->ns = run.duration;
	}
	bpf_object__close(object);
	free(elf);
	return err ?: object ? 0 : -ENOEXEC;
}
