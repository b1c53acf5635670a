// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a packet's way through a BPF program costs, in figures that no clock and no neighbour on the
 * machine can change: the program's instructions are executed here, in user space, one by one, on
 * the maps of the running tool, and counted.
 *
 *	budget-path OBJECT PROGRAM_ID DEVICE PACKET...
 *
 * PACKET: udp|tcp|syn,SRC,SPORT,DST,DPORT (IPv4 or IPv6), arp, or other. Packets pass in turn, and
 * what they leave in the maps is there for the next. The output:
 *
 *	XLATED VERIFIED
 *	INSNS LOOKUPS CALLS STORES VERDICT KERNEL_VERDICT	(for each packet)
 *
 * XLATED: instructions of the loaded program; VERIFIED: that the verifier has gone through;
 * INSNS: instructions executed; LOOKUPS: in hash maps; CALLS: helper functions called, lookups
 * in hash maps among them (not those that the kernel inlines, such as lookups in arrays); STORES:
 *to map memory that CPUs share. KERNEL_VERDICT is what the loaded program itself says to the same
 *packet afterwards (BPF_PROG_TEST_RUN): if the two differ, then this is no faithful execution.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf-insn.h"

enum {
	FRAME_LEN = 74, /* IPv6 and TCP, without payload */
	STACK_LEN = 512,
	DEPTH_MAX = 8,
	STEPS_MAX = 1000000,
	MAPS_MAX = 64,
	VALUES_MAX = 64,
};

static void __attribute__((noreturn, format(printf, 1, 2))) path_die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("budget-path: ", stderr);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

/* --- maps ------------------------------------------------------------------------------------- */

struct map {
	int fd;
	struct bpf_map_info info;
	__u8 *memory; /* of a mmapable array */
	size_t memory_len;
};

/* A value that a lookup has returned a pointer to: a copy, written back when the packet is done. */
struct path_value {
	struct map *map;
	__u8 key[64];
	__u8 *now;
	__u8 *before;
};

struct counts {
	unsigned int insns;
	unsigned int lookups;
	unsigned int calls;
	unsigned int stores;
};

struct machine {
	struct map maps[MAPS_MAX];
	int nr_maps;
	struct path_value values[VALUES_MAX];
	int nr_values;
	struct __sk_buff skb;
	__u8 *packet; /* below 4 GB: programs read its address as a __u32 */
	__u8 stack[DEPTH_MAX][STACK_LEN];
	struct counts counts;
};

static bool is_percpu(const struct map *map)
{
	return map->info.type == BPF_MAP_TYPE_PERCPU_ARRAY ||
	       map->info.type == BPF_MAP_TYPE_PERCPU_HASH ||
	       map->info.type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

/* Whether each CPU writes to a part of its own: arrays of proxy's that are not per-CPU by type,
 * too. */
static bool is_parted(const struct map *map)
{
	return is_percpu(map) || !strcmp(map->info.name, "cache") ||
	       !strcmp(map->info.name, "mapping_stats");
}

static bool is_array(const struct map *map)
{
	return map->info.type == BPF_MAP_TYPE_ARRAY || map->info.type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

static size_t array_stride(const struct map *map)
{
	return (map->info.value_size + 7) / 8 * 8;
}

static struct map *map_of_fd(struct machine *m, int fd)
{
	struct map *map;
	__u32 len = sizeof(map->info);

	for (int i = 0; i < m->nr_maps; i++)
		if (m->maps[i].fd == fd)
			return &m->maps[i];
	if (m->nr_maps == MAPS_MAX)
		path_die("too many maps");
	map = &m->maps[m->nr_maps++];
	map->fd = fd;
	if (bpf_obj_get_info_by_fd(fd, &map->info, &len))
		path_die("no map behind descriptor %d", fd);
	if (map->info.type == BPF_MAP_TYPE_ARRAY && map->info.map_flags & BPF_F_MMAPABLE) {
		int prot = PROT_READ | (map->info.map_flags & BPF_F_RDONLY_PROG ? 0 : PROT_WRITE);
		void *memory;

		map->memory_len = array_stride(map) * map->info.max_entries;
		memory = mmap(NULL, map->memory_len, prot, MAP_SHARED, fd, 0);
		if (memory == MAP_FAILED)
			path_die("cannot map %s: %s", map->info.name, strerror(errno));
		map->memory = memory;
	}
	return map;
}

static struct path_value *value_find(struct machine *m, const struct map *map, const void *key)
{
	for (int i = 0; i < m->nr_values; i++)
		if (m->values[i].map == map && !memcmp(m->values[i].key, key, map->info.key_size))
			return &m->values[i];
	return NULL;
}

static void *map_lookup(struct machine *m, struct map *map, const void *key)
{
	struct path_value *value;

	if (is_array(map)) {
		if (*(const __u32 *)key >= map->info.max_entries)
			return NULL;
		if (map->memory)
			return map->memory + array_stride(map) * *(const __u32 *)key;
	} else {
		m->counts.lookups++;
		m->counts.calls++;
	}
	value = value_find(m, map, key);
	if (value)
		return value->now;
	if (m->nr_values == VALUES_MAX || map->info.key_size > sizeof(value->key))
		path_die("too many values, or a key too long");
	value = &m->values[m->nr_values];
	value->map = map;
	memcpy(value->key, key, map->info.key_size);
	value->now = calloc(2, map->info.value_size);
	if (!value->now)
		path_die("out of memory");
	value->before = value->now + map->info.value_size;
	/* A per-CPU value is a scratch: nobody reads what is counted there. */
	if (!is_percpu(map)) {
		if (bpf_map_lookup_elem(map->fd, key, value->now)) {
			free(value->now);
			return NULL;
		}
		memcpy(value->before, value->now, map->info.value_size);
	}
	m->nr_values++;
	return value->now;
}

static __u64 map_update(struct machine *m, struct map *map, const void *key, const void *from,
			__u64 flags)
{
	struct path_value *value = value_find(m, map, key);

	if (bpf_map_update_elem(map->fd, key, from, flags))
		return -errno;
	if (value) {
		memcpy(value->now, from, map->info.value_size);
		memcpy(value->before, from, map->info.value_size);
	}
	return 0;
}

static void values_write_back(struct machine *m)
{
	for (int i = 0; i < m->nr_values; i++) {
		struct path_value *value = &m->values[i];

		if (!is_percpu(value->map) &&
		    memcmp(value->now, value->before, value->map->info.value_size))
			bpf_map_update_elem(value->map->fd, value->key, value->now, BPF_EXIST);
		free(value->now);
	}
	m->nr_values = 0;
}

/* Whether @addr is in map memory that CPUs share. */
static bool is_shared(const struct machine *m, const __u8 *addr)
{
	for (int i = 0; i < m->nr_maps; i++)
		if (m->maps[i].memory && !is_parted(&m->maps[i]) && addr >= m->maps[i].memory &&
		    addr < m->maps[i].memory + m->maps[i].memory_len)
			return true;
	for (int i = 0; i < m->nr_values; i++)
		if (!is_percpu(m->values[i].map) && addr >= m->values[i].now &&
		    addr < m->values[i].before)
			return true;
	return false;
}

/* --- helper functions ------------------------------------------------------------------------- */

static __u64 path_clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* Where @len bytes at @off of the packet are, or NULL if it is shorter. */
static __u8 *packet_bytes(const struct machine *m, __u32 off, __u32 len)
{
	return off <= m->skb.len && len <= m->skb.len - off ? m->packet + off : NULL;
}

/* The kernel's, of which a program may have kept an older one. */
static __u64 jiffies(void)
{
	FILE *file = fopen("/proc/timer_list", "r");
	unsigned long long now = 0;
	char line[256];

	while (file && !now && fgets(line, sizeof(line), file))
		if (!strncmp(line, "jiffies: ", 9))
			now = strtoull(line + 9, NULL, 10);
	if (!now)
		path_die("cannot read the jiffies from /proc/timer_list");
	fclose(file);
	return now;
}

static __u64 path_call_helper(struct machine *m, int id, const __u64 r[11])
{
	void *r2 = (void *)r[2], *r3 = (void *)r[3];
	__u8 *bytes;

	/* The kernel inlines some, and map_lookup() knows which lookups. */
	if (id != BPF_FUNC_map_lookup_elem && id != BPF_FUNC_jiffies64 &&
	    id != BPF_FUNC_get_smp_processor_id)
		m->counts.calls++;
	switch (id) {
	case BPF_FUNC_map_lookup_elem:
		return (__u64)map_lookup(m, (struct map *)r[1], r2);
	case BPF_FUNC_map_update_elem:
		return map_update(m, (struct map *)r[1], r2, r3, r[4]);
	case BPF_FUNC_map_delete_elem:
		return bpf_map_delete_elem(((struct map *)r[1])->fd, r2) ? -errno : 0;
	case BPF_FUNC_ktime_get_ns:
		return path_clock_ns(CLOCK_MONOTONIC);
	case BPF_FUNC_ktime_get_coarse_ns:
		return path_clock_ns(CLOCK_MONOTONIC_COARSE);
	case BPF_FUNC_jiffies64:
		return jiffies();
	case BPF_FUNC_get_prandom_u32:
		return 1; /* the same way each time */
	case BPF_FUNC_skb_load_bytes:
		bytes = packet_bytes(m, r[2], r[4]);
		if (!bytes)
			return -EFAULT;
		memcpy(r3, bytes, r[4]);
		return 0;
	case BPF_FUNC_skb_store_bytes:
		bytes = packet_bytes(m, r[2], r[4]);
		if (!bytes)
			return -EFAULT;
		memcpy(bytes, r3, r[4]);
		return 0;
	case BPF_FUNC_l3_csum_replace:
	case BPF_FUNC_l4_csum_replace:
	case BPF_FUNC_csum_diff:
	case BPF_FUNC_csum_update:
	case BPF_FUNC_skb_change_head:
	case BPF_FUNC_clone_redirect:
	case BPF_FUNC_trace_printk:
	case BPF_FUNC_sk_release:
	case BPF_FUNC_skc_lookup_tcp: /* no such socket */
	case BPF_FUNC_sk_lookup_tcp:
	case BPF_FUNC_sk_lookup_udp:
	case BPF_FUNC_spin_lock: /* nobody else is there */
	case BPF_FUNC_spin_unlock:
	case BPF_FUNC_get_smp_processor_id:
		return 0;
	case BPF_FUNC_redirect:
	case BPF_FUNC_redirect_neigh:
		return TC_ACT_REDIRECT;
	default:
		path_die("helper %d is not known here: teach path_call_helper() about it", id);
	}
}

/* --- instructions ----------------------------------------------------------------------------- */

static __u64 path_load(const void *from, int size)
{
	__u64 value = 0;

	memcpy(&value, from, size); /* little endian, as everything here */
	return value;
}

static void atomic(const struct bpf_insn *insn, __u8 *addr, __u64 r[11])
{
	int size = insn_size(insn);
	__u64 old = path_load(addr, size), src = r[insn->src_reg], new = old;

	switch (insn->imm & ~BPF_FETCH) {
	case BPF_ADD:
		new = old + src;
		break;
	case BPF_OR:
		new = old | src;
		break;
	case BPF_AND:
		new = old &src;
		break;
	case BPF_XOR:
		new = old ^ src;
		break;
	case BPF_XCHG & ~BPF_FETCH:
		new = src;
		break;
	case BPF_CMPXCHG & ~BPF_FETCH:
		if (old == path_load(&r[0], size))
			new = src;
		break;
	default:
		path_die("unknown atomic operation %#x", insn->imm);
	}
	memcpy(addr, &new, size);
	if (insn->imm == BPF_CMPXCHG)
		r[0] = old;
	else if (insn->imm & BPF_FETCH)
		r[insn->src_reg] = old;
}

static __u64 load_imm64(struct machine *m, const struct bpf_insn *insn)
{
	switch (insn->src_reg) {
	case 0:
		return (__u32)insn[0].imm | (__u64)insn[1].imm << 32;
	case BPF_PSEUDO_MAP_FD:
		return (__u64)map_of_fd(m, insn->imm);
	case BPF_PSEUDO_MAP_VALUE: {
		struct map *map = map_of_fd(m, insn->imm);

		if (!map->memory)
			path_die("global data of %s is not mapped", map->info.name);
		return (__u64)map->memory + insn[1].imm;
	}
	default:
		path_die("unknown kind of constant: %d", insn->src_reg);
	}
}

/* Run the program, or the function at @pc with the arguments in @args, to its end. */
// NOLINTNEXTLINE(misc-no-recursion): to DEPTH_MAX
static __u64 execute(struct machine *m, const struct bpf_insn *insns, int pc, const __u64 *args,
		     int depth)
{
	__u64 r[11] = { 0 };

	if (depth == DEPTH_MAX)
		path_die("calls nested too deeply");
	memcpy(&r[1], args, 5 * sizeof(r[0]));
	r[10] = (__u64)(m->stack[depth] + STACK_LEN);
	for (;; pc++) {
		const struct bpf_insn *insn = &insns[pc];
		__u64 src = BPF_SRC(insn->code) == BPF_X ? r[insn->src_reg] : (__u64)insn->imm;
		__u64 *dst = &r[insn->dst_reg];
		__u8 *addr;
		bool taken;

		if (m->counts.insns++ == STEPS_MAX)
			path_die("the program does not end");
		switch (BPF_CLASS(insn->code)) {
		case BPF_ALU:
		case BPF_ALU64:
			if (!insn_alu(insn, *dst, src, dst))
				path_die("unknown ALU operation %#x", insn->code);
			break;
		case BPF_LDX:
			*dst = path_load((void *)(r[insn->src_reg] + insn->off), insn_size(insn));
			break;
		case BPF_ST:
		case BPF_STX:
			addr = (__u8 *)*dst + insn->off;
			m->counts.stores += is_shared(m, addr);
			src = BPF_CLASS(insn->code) == BPF_ST ? (__u64)insn->imm : r[insn->src_reg];
			if (BPF_MODE(insn->code) == BPF_ATOMIC)
				atomic(insn, addr, r);
			else
				memcpy(addr, &src, insn_size(insn));
			break;
		case BPF_LD:
			*dst = load_imm64(m, insn);
			pc++; /* it takes the place of two */
			break;
		case BPF_JMP:
		case BPF_JMP32:
			if (insn->code == (BPF_JMP | BPF_EXIT))
				return r[0];
			if (insn->code != (BPF_JMP | BPF_CALL)) {
				if (!insn_jump(insn, *dst, src, &taken))
					path_die("unknown jump %#x", insn->code);
				pc += taken ? insn->off : 0;
			} else if (insn->src_reg == BPF_PSEUDO_CALL) {
				r[0] = execute(m, insns, pc + 1 + insn->imm, &r[1], depth + 1);
			} else {
				r[0] = path_call_helper(m, insn->imm, r);
			}
			break;
		}
	}
}

/* --- packets ---------------------------------------------------------------------------------- */

static void parse_ports(char **text, __be16 *sport, __be16 *dport, char **src, char **dst)
{
	*src = strsep(text, ",");
	*sport = htons(strtoul(strsep(text, ",") ?: "", NULL, 10));
	*dst = strsep(text, ",");
	*dport = htons(strtoul(strsep(text, ",") ?: "", NULL, 10));
	if (!*src || !*dst || !*sport || !*dport)
		path_die("a packet needs SRC,SPORT,DST,DPORT");
}

static void path_make_frame(char *text, __u8 frame[FRAME_LEN])
{
	struct ethhdr *eth = (void *)frame;
	const char *kind = strsep(&text, ",");
	__u8 protocol = strcmp(kind, "udp") ? IPPROTO_TCP : IPPROTO_UDP, *l4;
	__be16 sport, dport;
	char *src, *dst;

	memset(frame, 0, FRAME_LEN);
	memset(frame, 0x02, 2 * ETH_ALEN);
	eth->h_proto = htons(strcmp(kind, "arp") ? ETH_P_LLDP : ETH_P_ARP);
	if (!text)
		return;
	parse_ports(&text, &sport, &dport, &src, &dst);
	if (strchr(src, ':')) {
		struct ipv6hdr ip6 = { .version = 6, .nexthdr = protocol, .hop_limit = 64 };

		ip6.payload_len = htons(FRAME_LEN - ETH_HLEN - sizeof(ip6));
		if (inet_pton(AF_INET6, src, &ip6.saddr) != 1 ||
		    inet_pton(AF_INET6, dst, &ip6.daddr) != 1)
			path_die("%s or %s is no IPv6 address", src, dst);
		eth->h_proto = htons(ETH_P_IPV6);
		memcpy(frame + ETH_HLEN, &ip6, sizeof(ip6));
		l4 = frame + ETH_HLEN + sizeof(ip6);
	} else {
		struct iphdr ip = { .version = 4, .ihl = 5, .protocol = protocol, .ttl = 64 };

		ip.tot_len = htons(FRAME_LEN - ETH_HLEN);
		if (inet_pton(AF_INET, src, &ip.saddr) != 1 ||
		    inet_pton(AF_INET, dst, &ip.daddr) != 1)
			path_die("%s or %s is no IPv4 address", src, dst);
		eth->h_proto = htons(ETH_P_IP);
		memcpy(frame + ETH_HLEN, &ip, sizeof(ip));
		l4 = frame + ETH_HLEN + sizeof(ip);
	}
	if (protocol == IPPROTO_UDP) {
		struct udphdr udp = { .source = sport, .dest = dport, .check = 0x5555 };

		udp.len = htons(frame + FRAME_LEN - l4);
		memcpy(l4, &udp, sizeof(udp));
	} else {
		struct tcphdr tcp = { .source = sport, .dest = dport, .doff = 5 };

		tcp.syn = !strcmp(kind, "syn");
		tcp.ack = !tcp.syn;
		memcpy(l4, &tcp, sizeof(tcp));
	}
}

static int kernel_verdict(int prog_fd, __u8 frame[FRAME_LEN], __u32 ifindex)
{
	struct __sk_buff ctx = { .ifindex = ifindex };
	__u8 out[FRAME_LEN + 64];
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = FRAME_LEN,
		    .data_out = out, .data_size_out = sizeof(out), .repeat = 1, .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx));

	if (bpf_prog_test_run_opts(prog_fd, &run))
		path_die("cannot run the program in the kernel: %s", strerror(errno));
	return run.retval;
}

static void packet_pass(struct machine *m, const struct bpf_insn *insns, int prog_fd, __u32 ifindex,
			const char *text)
{
	const struct ethhdr *eth = (void *)m->packet;
	__u64 args[5] = { (__u64)&m->skb };
	__u8 frame[FRAME_LEN];
	int verdict;

	path_make_frame(strdupa(text), frame);
	memcpy(m->packet, frame, FRAME_LEN);
	m->skb = (struct __sk_buff){
		.len = FRAME_LEN,
		.wire_len = FRAME_LEN,
		.protocol = eth->h_proto,
		.ifindex = ifindex,
		.data = (__u32)(long)m->packet,
		.data_end = (__u32)(long)m->packet + FRAME_LEN,
	};
	memset(&m->counts, 0, sizeof(m->counts));
	verdict = (int)execute(m, insns, 0, args, 0);
	values_write_back(m);
	printf("%u %u %u %u %d %d\n", m->counts.insns, m->counts.lookups, m->counts.calls,
	       m->counts.stores, verdict, kernel_verdict(prog_fd, frame, ifindex));
}

/* --- the program and the tool's maps ---------------------------------------------------------- */

/* Let @obj, once it is loaded, use the maps of the loaded program @info. */
static void use_maps(struct bpf_object *obj, const struct bpf_prog_info *info)
{
	const __u32 *ids = (const __u32 *)info->map_ids;
	struct bpf_map *map;

	for (__u32 i = 0; i < info->nr_map_ids; i++) {
		int fd = bpf_map_get_fd_by_id(ids[i]);
		struct bpf_map_info map_info = { 0 };
		__u32 len = sizeof(map_info);

		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &map_info, &len))
			path_die("cannot open map %u: %s", ids[i], strerror(errno));
		bpf_object__for_each_map(map, obj)
		{
			const char *name = bpf_map__name(map), *dot = strchr(name, '.');

			/* Of the name of global data, "OBJECT.rodata", the kernel has a part. */
			if (dot ? strchr(map_info.name, '.') &&
					    !strcmp(strchr(map_info.name, '.'), dot)
				: !strcmp(map_info.name, name))
				if (bpf_map__reuse_fd(map, fd))
					path_die("cannot reuse map %s: %s", name, strerror(errno));
		}
		close(fd);
	}
}

int main(int argc, char **argv)
{
	static struct machine machine;
	__u32 map_ids[MAPS_MAX], len = sizeof(struct bpf_prog_info), ifindex;
	struct bpf_prog_info info = { .nr_map_ids = MAPS_MAX, .map_ids = (__u64)map_ids };
	struct bpf_program *prog;
	struct bpf_object *obj;
	int prog_fd;

	if (argc < 5)
		path_die("usage: budget-path OBJECT PROGRAM_ID DEVICE PACKET...");
	prog_fd = bpf_prog_get_fd_by_id(strtoul(argv[2], NULL, 10));
	if (prog_fd < 0 || bpf_obj_get_info_by_fd(prog_fd, &info, &len))
		path_die("no program %s: %s", argv[2], strerror(errno));
	ifindex = if_nametoindex(argv[3]);
	if (!ifindex)
		path_die("no device %s", argv[3]);

	obj = bpf_object__open(argv[1]);
	if (!obj)
		path_die("cannot open %s: %s", argv[1], strerror(errno));
	use_maps(obj, &info);
	/* The settings are those of this program: what the tool did not load may not load. */
	bpf_object__for_each_program(prog, obj)
	{
		bpf_program__set_autoload(prog, !strcmp(bpf_program__name(prog), info.name));
	}
	if (bpf_object__load(obj))
		path_die("cannot load %s: %s", argv[1], strerror(errno));
	prog = bpf_object__find_program_by_name(obj, info.name);
	if (!prog)
		path_die("%s has no program %s", argv[1], info.name);

	/* Not by MAP_32BIT, which is x86's alone. Nothing else lies there. */
	machine.packet = mmap((void *)0x40000000, 4096, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (machine.packet == MAP_FAILED)
		path_die("no memory below 4 GB: %s", strerror(errno));
	printf("%u %u\n", info.xlated_prog_len / (__u32)sizeof(struct bpf_insn),
	       info.verified_insns);
	for (int i = 4; i < argc; i++)
		packet_pass(&machine, bpf_program__insns(prog), prog_fd, ifindex, argv[i]);
	bpf_object__close(obj);
	return EXIT_SUCCESS;
}
