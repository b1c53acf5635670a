/* SPDX-License-Identifier: GPL-2.0-only */
/* What progrun.c and walker-bpf.c share. */
#ifndef BENCH_H
#define BENCH_H

#include <linux/types.h>

enum { WALKER_CPUS = 256 };

/* One CPU's place in the walk; a cache line each. */
struct walker_state {
	__u64 random;
	__u32 next; /* next flow of an orderly walk */
	__u32 reserved[13];
};
_Static_assert(sizeof(struct walker_state) == 64, "walker_state is shared with user space");

struct walker_config {
	__be32 saddr;
	__be32 daddr;
	__be16 sport;
	__be16 dport;
	__u32 flows;	 /* per CPU if @own_flows */
	__u32 own_flows; /* each CPU has flows of its own */
	__u32 vary_dst;	 /* the walk changes the destination instead of the source address */
	__u32 orderly;	 /* each flow in turn instead of at random */
	__u32 reserved;
};
_Static_assert(sizeof(struct walker_config) == 32, "walker_config is shared with user space");

#endif /* BENCH_H */
