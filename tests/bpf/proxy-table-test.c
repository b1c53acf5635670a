// SPDX-License-Identifier: GPL-2.0-only
/* The flow table: no key twice, nothing lost where buckets are full, no slot used again too soon.
 */
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "proxy-rig.h"

enum { RACE_PORTS = 20000, FIRST_PORT = 2000 };

static struct rig rig;

static struct spec datagram(const char *client, __u16 port, const char *original)
{
	return (struct spec){ .src = client,
			      .dst = original,
			      .sport = port,
			      .dport = ORIGINAL_PORT,
			      .proto = IPPROTO_UDP };
}

/* Return: the source port that a datagram leaves with for the target; 0: it does not. */
static __u16 send_out(const char *client, __u16 port, const char *original)
{
	const struct spec spec = datagram(client, port, original);
	__u8 in[FRAME_MAX], out[FRAME_MAX];
	size_t len = frame_build(in, &spec), out_len;

	if (rig_run(&rig, RIG_EGRESS, in, len, out, &out_len) == TC_ACT_SHOT ||
	    addr_get(out + L2_LEN + IP_DST) != ip(TARGET))
		return 0;
	return get16(out + L2_LEN + IP_LEN);
}

/* Whether the answer to @port of @client comes from @original, and to the client's own port. */
static bool table_answered(const char *client, __u16 port, const char *original, __u16 own)
{
	const struct spec spec = { .src = TARGET,
				   .dst = client,
				   .sport = TARGET_PORT,
				   .dport = port,
				   .proto = IPPROTO_UDP };
	__u8 in[FRAME_MAX], out[FRAME_MAX];
	size_t len = frame_build(in, &spec), out_len;

	rig_run(&rig, RIG_INGRESS, in, len, out, &out_len);
	return addr_get(out + L2_LEN + IP_SRC) == ip(original) &&
	       get16(out + L2_LEN + IP_LEN + 2) == own;
}

static void open_rig(struct rig_sizes sizes)
{
	rig_open(&rig, sizes);
	rig_map(&rig, ORIGINAL, ORIGINAL_PORT, IPPROTO_UDP, TARGET, TARGET_PORT, 0);
	rig_map(&rig, ORIGINAL_2, ORIGINAL_PORT, IPPROTO_UDP, TARGET, TARGET_PORT, 0);
}

static int compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct proxy_reply));
}

/* Flows that have the key of another. */
static size_t doubles(void)
{
	__u32 limit = maps_flow_limit(&rig.maps), count = 0;
	struct proxy_reply *keys = calloc(limit, sizeof(*keys));
	struct nat_flow flow;
	size_t found = 0;

	for (__u32 slot = 0; keys && slot < limit; slot++)
		if (maps_flow(&rig.maps, slot, &flow))
			keys[count++] = rig.flows[slot].key;
	if (keys)
		qsort(keys, count, sizeof(*keys), compare_keys);
	for (__u32 i = 1; i < count; i++)
		found += !compare_keys(&keys[i - 1], &keys[i]);
	free(keys);
	return found;
}

/* --- two CPUs that begin flows of one key at the same moment --- */

struct racer {
	const char *original;
	int cpu;
	__u16 port[RACE_PORTS];
};

static struct racer racers[2];
static atomic_int arrived[RACE_PORTS];

static void *race(void *arg)
{
	struct racer *racer = arg;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(racer->cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
	for (int i = 0; i < RACE_PORTS; i++) {
		atomic_fetch_add(&arrived[i], 1);
		while (atomic_load(&arrived[i]) < 2)
			;
		racer->port[i] = send_out(CLIENT, (__u16)(FIRST_PORT + i), racer->original);
	}
	return NULL;
}

static void run_race(const char *one, const char *other)
{
	pthread_t threads[2];

	memset(arrived, 0, sizeof(arrived));
	for (int i = 0; i < 2; i++) {
		racers[i].original = i ? other : one;
		racers[i].cpu = i;
		pthread_create(&threads[i], NULL, race, &racers[i]);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

/* How many of the flows of @racer do not get their answers. */
static unsigned int unanswered(const struct racer *racer)
{
	unsigned int bad = 0;

	for (int i = 0; i < RACE_PORTS; i++)
		bad += !table_answered(CLIENT, racer->port[i], racer->original,
				       (__u16)(FIRST_PORT + i));
	return bad;
}

static void test_one_flow(void)
{
	unsigned int lost = 0, changed = 0;

	rig_clear(&rig);
	run_race(ORIGINAL, ORIGINAL);
	for (int i = 0; i < RACE_PORTS; i++)
		for (int r = 0; r < 2; r++) {
			lost += !racers[r].port[i];
			changed += racers[r].port[i] && racers[r].port[i] != FIRST_PORT + i;
		}
	CHECK_EQ(lost, 0, "one flow on two CPUs: all packets pass");
	CHECK_EQ(changed, 0, "with the client's port");
	CHECK_EQ(rig_count_flows(&rig), RACE_PORTS, "and %d flows are %d", RACE_PORTS, RACE_PORTS);
}

static void test_two_flows(void)
{
	unsigned int lost = 0, both = 0;

	rig_clear(&rig);
	run_race(ORIGINAL, ORIGINAL_2);
	for (int i = 0; i < RACE_PORTS; i++) {
		lost += !racers[0].port[i] + !racers[1].port[i];
		both += racers[0].port[i] == racers[1].port[i];
	}
	CHECK_EQ(lost, 0, "two flows that want one port: all packets pass");
	CHECK_EQ(both, 0, "never with the same port");
	CHECK_EQ(doubles(), 0, "no key is twice in the table");
	CHECK_EQ(unanswered(&racers[0]) + unanswered(&racers[1]), 0,
		 "and each flow gets its own answers");
}

/* Each CPU gives the flow another port and pins it; the second takes its own back. */
static void test_one_flow_with_another_port(void)
{
	unsigned int lost = 0, unlike = 0;

	rig_clear(&rig);
	for (int i = 0; i < RACE_PORTS; i++)
		send_out(CLIENT, (__u16)(FIRST_PORT + i), ORIGINAL);
	run_race(ORIGINAL_2, ORIGINAL_2);
	for (int i = 0; i < RACE_PORTS; i++) {
		lost += !racers[0].port[i] + !racers[1].port[i];
		unlike += racers[0].port[i] != racers[1].port[i];
	}
	CHECK_EQ(lost, 0, "one flow that needs another port, on two CPUs: all packets pass");
	CHECK_EQ(unlike, 0, "with one port");
	CHECK_EQ(rig_count_flows(&rig), 2 * RACE_PORTS, "and none is left over");
	CHECK_EQ(unanswered(&racers[1]), 0, "answers reach it");
}

/* --- full buckets --- */

/* 4 buckets with 28 places. */
static void test_crowded(void)
{
	enum { CLIENTS = 28 };
	__u16 ports[CLIENTS];
	unsigned int made = 0, lost = 0;
	__u64 full = rig_counter(&rig, PROXY_FULL);
	char client[16];

	for (int i = 0; i < CLIENTS; i++) {
		snprintf(client, sizeof(client), "10.1.2.%d", i + 1);
		ports[i] = send_out(client, CLIENT_PORT, ORIGINAL);
		made += ports[i] != 0;
	}
	CHECK(made > 3 * 7, "crowded: flows find room beside their first bucket (%u of %d)", made,
	      CLIENTS);
	CHECK_EQ(rig_counter(&rig, PROXY_FULL) - full, CLIENTS - made,
		 "who finds none is dropped and counted");
	for (int i = 0; i < CLIENTS; i++) {
		snprintf(client, sizeof(client), "10.1.2.%d", i + 1);
		if (ports[i])
			lost += !table_answered(client, ports[i], ORIGINAL, CLIENT_PORT);
	}
	CHECK_EQ(lost, 0, "and all are found again");
	CHECK_EQ(rig_count_flows(&rig), made, "none has been made twice");
	rig_clear(&rig);
	for (int i = 0; i < CLIENTS; i++) {
		snprintf(client, sizeof(client), "10.1.2.%d", i + 1);
		lost += ports[i] && !send_out(client, CLIENT_PORT, ORIGINAL);
	}
	CHECK_EQ(lost, 0, "removed, they leave their room to the next");
}

/* Flows of one hash, and so of one bucket and one tag, are told apart by their keys. */
static void test_one_hash(void)
{
	static const char *const clients[] = { "10.1.2.1", "10.1.2.2" }, *const originals[] = {
		ORIGINAL, ORIGINAL_2
	};

	for (int i = 0; i < 2; i++)
		CHECK_EQ(send_out(clients[i], CLIENT_PORT, originals[i]), CLIENT_PORT,
			 "flow %d of one hash keeps its port", i);
	CHECK_EQ(rig_count_flows(&rig), 2, "each has a slot");
	for (int i = 0; i < 2; i++)
		CHECK(table_answered(clients[i], CLIENT_PORT, originals[i], CLIENT_PORT),
		      "and flow %d gets its own answers", i);
}

/* --- slots --- */

static void test_reuse(void)
{
	enum { SLOTS = 4 };
	__u64 slots_free;
	__u32 slot;

	rig_clear(&rig);
	for (int i = 0; i < SLOTS; i++)
		send_out(CLIENT, (__u16)(CLIENT_PORT + i), ORIGINAL);
	CHECK_EQ(rig_count_flows(&rig), SLOTS, "a table of %d", SLOTS);
	slot = (__u32)(rig_flow(&rig, TARGET, TARGET_PORT, CLIENT, CLIENT_PORT, IPPROTO_UDP) -
		       rig.flows);
	maps_flow_end(&rig.maps, slot);
	rig_changed(&rig);
	CHECK(!table_answered(CLIENT, CLIENT_PORT, ORIGINAL, CLIENT_PORT),
	      "a flow that ends is gone");
	maps_flow_reclaim(&rig.maps, slot, maps_now());
	CHECK(!send_out(CLIENT, CLIENT_PORT, ORIGINAL),
	      "its slot is not used again while somebody may still hold it");
	maps_flow_reclaim(&rig.maps, slot, maps_now() + MAPS_GRACE_NS);
	CHECK(send_out(CLIENT, CLIENT_PORT, ORIGINAL) == CLIENT_PORT &&
		      table_answered(CLIENT, CLIENT_PORT, ORIGINAL, CLIENT_PORT),
	      "but later");
	maps_flow_reclaim(&rig.maps, slot, maps_now() + MAPS_GRACE_NS);
	CHECK_EQ(rig_count_flows(&rig), SLOTS, "which is no reason to take it away again");
	for (int i = 0; i < 5 * SLOTS; i++) {
		rig_clear(&rig);
		send_out(CLIENT, (__u16)(CLIENT_PORT + i), ORIGINAL);
	}
	CHECK_EQ(rig_count_flows(&rig), 1, "slots go round");
	rig_clear(&rig);
	slots_free = slot_table_free(&rig.maps.index);
	maps_flow_end(&rig.maps, slot);
	maps_flow_reclaim(&rig.maps, slot, ~0ULL);
	CHECK_EQ(slot_table_free(&rig.maps.index), slots_free, "none is given back twice");
}

/* --- pins --- */

/* Any number of flows may have to be pinned, when the target of their mapping changes. */
static void test_all_pinned(void)
{
	const __u32 capacity = rig.maps.max_entries[MAPS_FLOWS];
	__u32 made = 0, pinned = 0, lost = 0;

	rig_clear(&rig);
	for (__u32 i = 0; i < capacity; i++) {
		char client[16];

		snprintf(client, sizeof(client), "10.1.%u.%u", i >> 8 & 255, i & 255);
		made += !!send_out(client, (__u16)(CLIENT_PORT + i * 7 % 20000), ORIGINAL);
	}
	CHECK_EQ(made, capacity, "a full table of %u flows", capacity);
	for (__u32 slot = 0; slot < capacity; slot++) {
		struct proxy_flow *flow = &rig.flows[slot];
		const __u64 *entry;

		pinned += !maps_pin(&rig.maps, slot);
		entry = &rig.maps.index.buckets[flow->pin / SLOT_PLACES]
				 .entry[flow->pin % SLOT_PLACES];
		lost += (__u32)*entry != slot + 1;
	}
	CHECK_EQ(pinned, capacity, "all of them find room to be pinned");
	CHECK_EQ(lost, 0, "each in a place of its own");
}

int main(void)
{
	open_rig((struct rig_sizes){ 0 });
	RUN(test_one_flow);
	RUN(test_two_flows);
	RUN(test_one_flow_with_another_port);
	RUN(test_all_pinned);
	rig_close(&rig);
	open_rig((struct rig_sizes){ .flows = 64, .buckets = 4 });
	RUN(test_crowded);
	rig_close(&rig);
	open_rig((struct rig_sizes){ .one_hash = true });
	RUN(test_one_hash);
	rig_close(&rig);
	open_rig((struct rig_sizes){ .flows = 4 });
	RUN(test_reuse);
	rig_close(&rig);
	return check_exit();
}
