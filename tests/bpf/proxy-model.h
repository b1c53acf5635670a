/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the proxy is to do, written down a second time: a translator in user space that shares
 * nothing with the BPF programs but the description of what a NAT does. It keeps flows in lists,
 * reads frames byte by byte and computes checksums modulo 65535.
 */
#ifndef PROXY_MODEL_H
#define PROXY_MODEL_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "proxy-plan-model.h"
#include "proxy-rig.h"

enum { MODEL_MAPPINGS = 32, MODEL_FLOWS = 4096, MODEL_FRAGMENTS = 4096 };

struct model_flow {
	__u8 proto;
	__u32 client, orig, remote, local;
	__u16 cport, oport, rport, lport;
	bool direct, mac;
	bool ack, replied, fin_out, fin_in, rst_out, rst_in;
};

/* A flow that is found by its origin whatever the mapping says. */
struct model_pin {
	__u8 proto;
	__u32 client, orig, remote;
	__u16 cport, oport, rport, lport;
};

struct model_fragment {
	__u32 src, dst, addr; /* addr 0: untouched */
	__u32 id;
	__u8 proto;
	bool out, mac;
};

struct model {
	struct model_mapping mappings[MODEL_MAPPINGS];
	struct model_flow flows[MODEL_FLOWS];
	struct model_pin pins[MODEL_FLOWS];
	struct model_fragment fragments[MODEL_FRAGMENTS];
	struct model_fragment strangers[MODEL_FRAGMENTS]; /* pairs of hosts, nothing is guessed */
	size_t n_mappings, n_flows, n_pins, n_fragments, n_strangers;
	bool pin_new; /* new flows are pinned */
	__u8 nexthop[6];
	__u64 counters[PROXY_COUNTER_MAX];
	__u64 translated;
	bool last_translated; /* the last frame was */
};

/** model_clear - forget flows and fragments */
void model_clear(struct model *model);

/**
 * model_step - judge what a program has made of a frame, and remember it
 *
 * Only the choice of a new source port is taken from the program, and only if it is a legal one.
 * Return: NULL if it is right, or what is wrong; @want is then the frame that was expected.
 */
const char *model_step(struct model *model, enum rig_direction direction, const __u8 *in,
		       size_t len, const __u8 *out, size_t out_len, int verdict, __u8 *want);

#endif /* PROXY_MODEL_H */
