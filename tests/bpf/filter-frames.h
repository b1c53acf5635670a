/* SPDX-License-Identifier: GPL-2.0-only */
/* Generated frames, for packet-monitor's filter and for libpcap's. */
#ifndef FILTER_FRAMES_H
#define FILTER_FRAMES_H

#include <linux/types.h>
#include <stdbool.h>

#include "packet-monitor.h"

enum { HOSTS4 = 8, HOSTS6 = 6, VIDS = 4, FILTER_FRAME_MAX = 256 };

/* What frames are made of, and expressions, too. */
extern const char *const hosts4[HOSTS4];
extern const char *const hosts6[HOSTS6];
extern const __u16 vids[VIDS];

struct filter_frame {
	__u8 bytes[FILTER_FRAME_MAX]; /* as on the wire */
	__u8 plain[FILTER_FRAME_MAX]; /* as libpcap gets it: no VLAN tag, no extension header */
	__u32 len, plain_len;
	__u16 vid; /* of the outer tag */
	bool arp;
};

/** filter_frame_make - make a random frame of @f, which is all zero */
void filter_frame_make(struct filter_frame *f);

/** filter_frame_key - the key that the programs make of a frame */
struct pm_key filter_frame_key(const struct filter_frame *f);

#endif /* FILTER_FRAMES_H */
