// SPDX-License-Identifier: GPL-2.0-only
/* A flow is removed only if no packet has used it, and a packet never uses one that is removed. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "check.h"
#include "proxy-rig.h"

/* A second of jiffies at the least, whatever HZ is: then the next packet counts as a new use. */
enum { IDLE_MS = 1100, RACE_FLOWS = 4000, RACE_ROUNDS = PROXY_SIZE(4, 2) };

static struct rig rig;

static struct proxy_flow *reap_flow_at(__u16 port)
{
	return rig_flow(&rig, TARGET, TARGET_PORT, CLIENT, port, IPPROTO_UDP);
}

static __u32 slot_of(__u16 port)
{
	const struct proxy_flow *flow = reap_flow_at(port);

	return flow ? (__u32)(flow - rig.flows) : ~0U;
}

/* Remove an idle flow, as gc_step() does. */
static bool expire(__u32 slot, __u32 tick)
{
	return maps_flow_expire(&rig.maps, slot, tick);
}

static void reap_idle(void)
{
	const struct timespec time = { .tv_sec = IDLE_MS / 1000,
				       .tv_nsec = IDLE_MS % 1000 * 1000000L };

	nanosleep(&time, NULL);
}

/* A datagram of the client's, or the target's answer. Return: the verdict. */
static int send_frame(enum rig_direction direction, __u16 port, __u8 out[FRAME_MAX])
{
	const struct spec egress = { .src = CLIENT,
				     .dst = ORIGINAL,
				     .sport = port,
				     .dport = ORIGINAL_PORT,
				     .proto = IPPROTO_UDP };
	const struct spec ingress = { .src = TARGET,
				      .dst = CLIENT,
				      .sport = TARGET_PORT,
				      .dport = port,
				      .proto = IPPROTO_UDP };
	__u8 in[FRAME_MAX];
	size_t len = frame_build(in, direction == RIG_EGRESS ? &egress : &ingress), out_len;

	return rig_run(&rig, direction, in, len, out, &out_len);
}

static bool reap_sent(__u16 port)
{
	__u8 out[FRAME_MAX];

	return send_frame(RIG_EGRESS, port, out) != TC_ACT_SHOT &&
	       addr_get(out + L2_LEN + IP_DST) == ip(TARGET);
}

static bool reap_answered(__u16 port)
{
	__u8 out[FRAME_MAX];

	send_frame(RIG_INGRESS, port, out);
	return addr_get(out + L2_LEN + IP_SRC) == ip(ORIGINAL);
}

static bool exists(__u16 port)
{
	return reap_flow_at(port);
}

static void test_idle(void)
{
	const __u64 *entry;
	__u32 slots[2], ticks[2], pin;

	for (__u16 i = 0; i < 2; i++) {
		reap_sent(CLIENT_PORT + i);
		slots[i] = slot_of(CLIENT_PORT + i);
		CHECK(!maps_pin(&rig.maps, slots[i]), "flow %d is pinned", i);
		ticks[i] = rig.flows[slots[i]].tick;
	}
	pin = rig.flows[slots[0]].pin;
	entry = &rig.maps.index.buckets[pin / SLOT_PLACES].entry[pin % SLOT_PLACES];
	CHECK_EQ((__u32)*entry, slots[0] + 1, "so that an entry more leads to it");
	reap_idle();
	reap_sent(CLIENT_PORT + 1);
	CHECK(expire(slots[0], ticks[0]) && !exists(CLIENT_PORT), "an idle flow is removed");
	CHECK_EQ(*entry, 0, "with its pin");
	CHECK(!expire(slots[1], ticks[1]) && exists(CLIENT_PORT + 1),
	      "one that the client has used stays");
	ticks[1] = rig.flows[slots[1]].tick;
	reap_idle();
	reap_answered(CLIENT_PORT + 1);
	CHECK(!expire(slots[1], ticks[1]) && reap_answered(CLIENT_PORT + 1),
	      "one that the target has used, too");
	pin = rig.flows[slots[1]].pin;
	entry = &rig.maps.index.buckets[pin / SLOT_PLACES].entry[pin % SLOT_PLACES];
	CHECK_EQ((__u32)*entry, slots[1] + 1, "with its pin");
	rig_clear(&rig);
}

/* A tool that is killed between two steps leaves a flow that no key leads to. */
static void test_half_removed(void)
{
	__u64 slots_free = slot_table_free(&rig.maps.index);
	__u32 slot, tick;

	reap_sent(CLIENT_PORT);
	slot = slot_of(CLIENT_PORT);
	tick = rig.flows[slot].tick;
	slot_table_unlink(&rig.maps.index, rig.flows[slot].place, slot);
	CHECK(expire(slot, tick), "a flow that is half removed expires");
	maps_flow_reclaim(&rig.maps, slot, ~0ULL);
	CHECK_EQ(slot_table_free(&rig.maps.index), slots_free, "and gives back its slot");
}

/* The moment in which a flow is condemned, but still in the table. */
static void test_condemned(void)
{
	struct proxy_flow *flow;

	reap_sent(CLIENT_PORT);
	flow = reap_flow_at(CLIENT_PORT);
	flow->tick = PROXY_TICK_GONE;
	rig_changed(&rig);
	CHECK(!reap_answered(CLIENT_PORT), "condemned: no answer is restored by it");
	CHECK(!reap_sent(CLIENT_PORT), "condemned: nothing is sent on the strength of it");
	maps_flow_end(&rig.maps, (__u32)(flow - rig.flows));
	CHECK(reap_sent(CLIENT_PORT) && reap_answered(CLIENT_PORT), "removed: it is made anew");
	rig_clear(&rig);
}

/* Flows that the remover is ready to remove, those that both may go for, and those either is done
 * with. */
static atomic_int ready, turn, gone, seen;

/* Now and then one waits for the other, so that each sometimes is the first on any machine. */
enum { RACE_SENT_FIRST = 1, RACE_REMOVED_FIRST = 2, RACE_KINDS = 16 };

static void wait_beyond(atomic_int *counter, int value)
{
	while (atomic_load(counter) <= value)
		sched_yield();
}

static void *expire_all(void *arg)
{
	static __u32 slots[RACE_FLOWS], ticks[RACE_FLOWS];
	unsigned int *removed = arg;

	for (__u32 slot = 0; slot < maps_flow_limit(&rig.maps); slot++) {
		struct nat_flow flow;

		if (!maps_flow(&rig.maps, slot, &flow))
			continue;
		slots[ntohs(flow.cport) - CLIENT_PORT] = slot;
		ticks[ntohs(flow.cport) - CLIENT_PORT] = flow.tick;
	}
	for (int i = 0; i < RACE_FLOWS; i++) {
		atomic_store(&ready, i + 1);
		wait_beyond(&turn, i);
		if (i % RACE_KINDS == RACE_SENT_FIRST)
			wait_beyond(&seen, i);
		/* A few instructions more or less decide who comes first. */
		for (volatile int wait = 0; wait < i % 89 * 10; wait++)
			;
		*removed += expire(slots[i], ticks[i]);
		atomic_store(&gone, i + 1);
	}
	return NULL;
}

static void test_reap_race(void)
{
	unsigned int removed = 0, dropped = 0, lost = 0;
	__u64 failed = rig_counter(&rig, PROXY_FAILED);

	for (int i = 0; i < RACE_FLOWS; i++)
		reap_sent((__u16)(CLIENT_PORT + i));
	for (int round = 0; round < RACE_ROUNDS; round++) {
		pthread_t thread;

		reap_idle();
		atomic_store(&ready, 0);
		atomic_store(&turn, 0);
		atomic_store(&gone, 0);
		atomic_store(&seen, 0);
		pthread_create(&thread, NULL, expire_all, &removed);
		for (int i = 0; i < RACE_FLOWS; i++) {
			__u16 port = (__u16)(CLIENT_PORT + i);

			wait_beyond(&ready, i);
			atomic_store(&turn, i + 1);
			for (volatile int wait = 0; wait < i % 97 * 10; wait++)
				;
			if (i % RACE_KINDS == RACE_REMOVED_FIRST)
				wait_beyond(&gone, i);
			dropped += !reap_sent(port);
			atomic_store(&seen, i + 1);
			wait_beyond(&gone, i);
			lost += !reap_answered(port);
		}
		pthread_join(thread, NULL);
	}
	CHECK_EQ(dropped, 0, "race: no packet is dropped");
	CHECK_EQ(rig_counter(&rig, PROXY_FAILED) - failed, 0, "race: nothing fails");
	CHECK_EQ(lost, 0, "race: after each packet the flow is there");
	CHECK(removed > 0 && removed < RACE_ROUNDS * RACE_FLOWS,
	      "race: %u of %d flows were removed before their packet", removed,
	      RACE_ROUNDS * RACE_FLOWS);
}

int main(void)
{
	rig_open(&rig, (struct rig_sizes){ 0 });
	rig_map(&rig, ORIGINAL, ORIGINAL_PORT, IPPROTO_UDP, TARGET, TARGET_PORT, 0);
	RUN(test_idle);
	RUN(test_half_removed);
	RUN(test_condemned);
	RUN(test_reap_race);
	rig_close(&rig);
	return check_exit();
}
