/* SPDX-License-Identifier: GPL-2.0-only */
/* What the tests of the proxy's datapath share: its programs loaded, and frames for them. */
#ifndef PROXY_RIG_H
#define PROXY_RIG_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../proxy/maps.h"
#include "proxy.h"

/*
 * A test of the datapath for IPv4 is one for IPv6 as well: tests/bpf/proxy6-X-test.c defines
 * PROXY_FAMILY and includes it, with this rig.
 */
#if PROXY_FAMILY == 4
#include "proxy.skel.h"
#define RIG_SKELETON struct proxy
#define RIG_LAYOUT layout_ipv4
#define RIG(name) proxy##name
#define RIG3(name) proxy3##name
#else
#include "proxy6.skel.h"
#define RIG_SKELETON struct proxy6
#define RIG_LAYOUT layout_ipv6
#define RIG(name) proxy6##name
#define RIG3(name) proxy36##name
#endif

enum { FRAME_MAX = 2048, L2_LEN = 14 };

/* The IP header: its length, and where its fields are. */
enum {
	IP_LEN = PROXY_SIZE(20, 40),
	IP_PROTO = PROXY_SIZE(9, 6),
	IP_SRC = PROXY_SIZE(12, 8),
	IP_DST = PROXY_SIZE(16, 24),
	IP_ICMP_PROTO = PROXY_SIZE(1, 58),
};

/*
 * The hosts and ports of the tests. An address is 32 bits here; those of IPv6 have 96 bits more in
 * front, which are always the same (addr_get()).
 */
#define CLIENT "10.0.0.1"
#define ORIGINAL "10.0.0.10"
#define ORIGINAL_2 "10.0.0.11"
#define TARGET "10.0.0.138"
#define TARGET_2 "10.0.0.139"
#define ROUTER "10.0.0.254"
enum { CLIENT_PORT = 40000, ORIGINAL_PORT = 12345, TARGET_PORT = 23456 };

enum rig_direction { RIG_EGRESS, RIG_INGRESS };

struct rig {
	RIG_SKELETON *skel;
	struct maps maps;
	struct proxy_flow *flows; /* the slots, in the shared memory */
	__u32 nexthops;		  /* given out */
	__u32 mappings;
};

struct rig_sizes {
	__u32 flows;
	__u32 buckets; /* a power of two, of those that there are for so many flows */
	__u32 fragments;
	bool one_hash; /* no secret in it: all clients of TARGET with one port have the same hash */
};

/** rig_open - load the programs; ends the test if that fails. 0 in @sizes: the default */
void rig_open(struct rig *rig, struct rig_sizes sizes);
void rig_close(struct rig *rig);

/** rig_map - enter a mapping as the tool does, with the target's own entry beside it */
void rig_map(struct rig *rig, const char *from, __u16 from_port, __u8 proto, const char *to,
	     __u16 to_port, __u16 flags);

/** rig_mapping_set - enter a mapping, or change the flags and the target of one that is there */
void rig_mapping_set(struct rig *rig, const char *from, __u16 from_port, __u8 proto, const char *to,
		     __u16 to_port, __u16 flags);

/** rig_mapping_delete - delete a mapping, so that only a pin leads to its flows */
void rig_mapping_delete(struct rig *rig, const char *from, __u16 from_port, __u8 proto);

/** rig_pin_new - have new flows pinned, as the tool does while mappings change */
void rig_pin_new(struct rig *rig, bool pin);

/** rig_nexthop - make the MAC address of the next hop to @target known; its last byte is @mac */
void rig_nexthop(struct rig *rig, const char *target, __u8 mac);

/** rig_heartbeat - the tool's heartbeat, @ago_ns ago */
void rig_heartbeat(struct rig *rig, __u64 ago_ns);

/** rig_changed - tell the programs, as the tool does, that flows have been changed from outside */
void rig_changed(struct rig *rig);

/**
 * rig_run - send a frame through a program
 * @out: FRAME_MAX bytes; the frame afterwards
 * Return: the verdict.
 */
int rig_run(struct rig *rig, enum rig_direction direction, const void *in, size_t len, void *out,
	    size_t *out_len);

/** rig_counter - the sum of a counter over the processors */
__u64 rig_counter(struct rig *rig, enum proxy_counter counter);

/** rig_flow - the flow whose replies have these addresses, in the shared memory, or NULL */
struct proxy_flow *rig_flow(struct rig *rig, const char *remote, __u16 rport, const char *local,
			    __u16 lport, __u8 proto);

size_t rig_count_flows(struct rig *rig);

/** rig_clear - forget all flows and fragments */
void rig_clear(struct rig *rig);

/* A packet; 0 is a sensible value of each further field. */
struct spec {
	const char *src;
	const char *dst;
	__u16 sport;
	__u16 dport;
	__u8 proto;
	__u8 tcp_flags;
	__u8 options;	/* 32-bit words of IP options, or of a header with destination options */
	bool no_check;	/* UDP checksum 0 */
	__u16 fragment; /* flags and offset, as in the header of IPv4 */
	__u16 id;
	size_t payload;
};

enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16 };
enum { FRAGMENT_MORE = 0x2000 };

/* Types of ICMP. Of an echo message that frame_build() makes, the port that is not 0 is the
 * identifier: @sport of a request, @dport of a reply. @tcp_flags is its type, as in IPv4.
 */
enum { ECHO_REPLY = 0, ECHO_REQUEST = 8 };

/** frame_build - a frame with right checksums. Return: its length */
size_t frame_build(__u8 *frame, const struct spec *spec);

/**
 * frame_error - an ICMP error
 * @type: of IPv4, and so is @code; one of IPv6 gets what is nearest to it
 * @about: the frame whose IP packet it quotes, @quoted bytes of it
 */
size_t frame_error(__u8 *frame, const char *src, const char *dst, __u8 type, __u8 code,
		   const __u8 *about, size_t quoted);

/**
 * frame_wrong - verify every checksum of a frame from scratch, those of a quoted packet included
 * Return: NULL, or what is wrong.
 */
const char *frame_wrong(const __u8 *frame, size_t len);

/** sum16 - the one's complement sum (RFC 1071) of @len bytes, on top of @sum */
__u32 sum16(const __u8 *data, size_t len, __u32 sum);

/* Fields of frames, in host byte order. */
static inline __u16 get16(const __u8 *at)
{
	return at[0] << 8 | at[1];
}

static inline __u32 get32(const __u8 *at)
{
	return (__u32)get16(at) << 16 | get16(at + 2);
}

static inline void put16(__u8 *at, __u16 value)
{
	at[0] = value >> 8;
	at[1] = value;
}

static inline void put32(__u8 *at, __u32 value)
{
	put16(at, value >> 16);
	put16(at + 2, value);
}

/** ip - an address in host byte order */
__u32 ip(const char *text);

/** rig_addr - an address as it is in maps */
proxy_addr rig_addr(__u32 addr);

/**
 * addr_get - the address at @at of a frame, in host byte order
 *
 * One of IPv6 that is not of the tests, as mutated frames have, has a number until rig_clear().
 */
__u32 addr_get(const __u8 *at);

/** addr_put - write an address to @at of a frame */
void addr_put(__u8 *at, __u32 addr);

/** addr_sum - the sum of an address in a checksum */
__u32 addr_sum(__u32 addr);

/**
 * frame_l4 - find the transport header of a well-formed frame
 * @proto: set to its protocol
 * @later: set to whether there is none, since the frame is a later fragment
 */
size_t frame_l4(const __u8 *frame, __u8 *proto, bool *later);

#endif /* PROXY_RIG_H */
