// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings that change under live flows: the tool's own code changes them, packets go through the
 * real programs, and a model says where each packet goes before and after.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "../../proxy/commit.h"
#include "../../proxy/resolve.h"
#include "check.h"
#include "proxy-plan-model.h"
#include "proxy-rig.h"
#include "random.h"

/* IPv6, which differs in the layout of maps only, runs in a short form. */
enum {
	CHANGES = PROXY_SIZE(1000, 300),
	FLOWS = 200,
	MAPPINGS = 10,
	FIRST_PORT = 2000,
	RACE_CHANGES = 200
};

static struct rig rig;
static struct table table;
static struct nexthops hops;

/* A list of mappings, twice. */
struct change_plan {
	struct mapping_list list;
	struct model_mapping model[MAPPINGS];
};

/* A flow of the client's, as the model sees it. */
struct live {
	__u8 proto;
	__u16 cport;
	const char *orig;
	__u16 oport;
	__u32 addr; /* where its last packet went */
	__u16 port;
};

static const char *const originals[] = { ORIGINAL, ORIGINAL_2, "10.0.0.12" };
static const char *const targets[] = { TARGET, TARGET_2, "10.0.0.12" }; /* one is either */
static const __u16 ports[] = { 0, 80, 81, 82 };

static __u8 change_random_proto(void)
{
	return random_below(3) ? IPPROTO_TCP : IPPROTO_UDP;
}

static struct addr change_addr(const char *text)
{
	const proxy_addr addr = rig_addr(ip(text));

	return addr_from(&addr, sizeof(addr));
}

static int map(struct change_plan *plan, const char *from, __u16 from_port, __u8 proto,
	       const char *to, __u16 to_port)
{
	const struct mapping mapping = {
		.from = { .addr = change_addr(from), .port = htons(from_port), .proto = proto },
		.to = { .addr = change_addr(to), .port = htons(to_port) }
	};

	plan->model[plan->list.count] = (struct model_mapping){ .from = ip(from),
								.from_port = from_port,
								.proto = proto,
								.to = ip(to),
								.to_port = to_port };
	return mapping_list_append(&plan->list, &mapping);
}

/* Until the tool takes it: without the same FROM twice, and without chains. */
static void change_random_plan(struct change_plan *plan)
{
	struct mapping_error error;
	int err;

	do {
		plan->list.count = 0;
		err = 0;
		for (__u32 left = random_below(MAPPINGS); left && !err; left--) {
			__u16 from_port = RANDOM_OF(ports), to_port = RANDOM_OF(ports);

			err = map(plan, RANDOM_OF(originals), from_port, change_random_proto(),
				  RANDOM_OF(targets), to_port ? to_port : from_port);
		}
	} while (err || mapping_list_finish(&plan->list, &error));
}

static void commit(const struct change_plan *plan, bool kill)
{
	struct mapping_error error = { .text = "" };
	int err = commit_mappings(&table, &rig.maps, &hops, &plan->list, kill, &error);

	EXPECT(!err, "not committed: %s", error.text);
}

static void change_model_answer(const struct change_plan *plan, const struct live *live,
				__u32 *addr, __u16 *port)
{
	*addr = ip(live->orig);
	*port = live->oport;
	model_target(plan->model, plan->list.count, live->proto, addr, port);
}

/* Send a packet of the client's. */
static void change_send_packet(const struct live *live, __u8 tcp_flags, __u32 *addr, __u16 *port)
{
	const struct spec spec = { .src = CLIENT,
				   .dst = live->orig,
				   .sport = live->cport,
				   .dport = live->oport,
				   .proto = live->proto,
				   .tcp_flags = tcp_flags };
	__u8 in[FRAME_MAX], out[FRAME_MAX];
	size_t len = frame_build(in, &spec), out_len;

	rig_run(&rig, RIG_EGRESS, in, len, out, &out_len);
	*addr = addr_get(out + L2_LEN + IP_DST);
	*port = get16(out + L2_LEN + IP_LEN + 2);
}

/* Whether the answer to the last packet of @live comes from its original. */
static bool change_answered(const struct live *live)
{
	const struct in_addr at = { .s_addr = htonl(live->addr) };
	const struct spec spec = { .src = inet_ntoa(at),
				   .dst = CLIENT,
				   .sport = live->port,
				   .dport = live->cport,
				   .proto = live->proto,
				   .tcp_flags = TCP_ACK };
	__u8 in[FRAME_MAX], out[FRAME_MAX];
	size_t len = frame_build(in, &spec), out_len;

	rig_run(&rig, RIG_INGRESS, in, len, out, &out_len);
	return addr_get(out + L2_LEN + IP_SRC) == ip(live->orig) &&
	       get16(out + L2_LEN + IP_LEN) == live->oport;
}

static bool is_at(const struct live *live, __u32 addr, __u16 port)
{
	return live->addr == addr && live->port == port;
}

/* The first packet, or the first of another connection with the same ports. */
static void change_begin(const struct change_plan *plan, struct live *live, const char *what)
{
	__u32 addr;
	__u16 port;

	change_model_answer(plan, live, &addr, &port);
	change_send_packet(live, TCP_SYN, &live->addr, &live->port);
	EXPECT(is_at(live, addr, port),
	       "%s flow %d of protocol %d to %s:%d goes to %x:%d, want %x:%d", what, live->cport,
	       live->proto, live->orig, live->oport, live->addr, live->port, addr, port);
}

static void begin_new(const struct change_plan *plan, struct live *live)
{
	static __u16 cport = FIRST_PORT;

	*live = (struct live){ .proto = change_random_proto(),
			       .cport = cport,
			       .orig = RANDOM_OF(originals),
			       .oport = ports[1 + random_below(3)] };
	cport++;
	change_begin(plan, live, "new");
}

static void change_end(struct live *live)
{
	__u32 addr;
	__u16 port;

	change_send_packet(live, TCP_FIN | TCP_ACK, &addr, &port);
	change_send_packet(live, TCP_RST, &addr, &port);
}

/*
 * Whether a connection is one that the tool knows: mapped, or to the address of a target. One to
 * any other address is no flow, and follows the mappings.
 */
enum knowledge { UNKNOWN, KNOWN, ONCE_KNOWN };

static enum knowledge is_known(const struct live *live)
{
	const struct nat_dest dest = { .addr = change_addr(live->orig),
				       .port = htons(live->oport),
				       .proto = live->proto };

	if (!is_at(live, ip(live->orig), live->oport))
		return KNOWN;
	if (!rig_flow(&rig, live->orig, live->oport, CLIENT, live->cport, live->proto))
		return UNKNOWN;
	return resolve(&table.plan, &dest) ? KNOWN : ONCE_KNOWN;
}

/* What the change is to @live: its next packet goes to @addr and @port. */
static void expect_change(const struct change_plan *before, const struct change_plan *after,
			  bool kill, const struct live *live, enum knowledge known, __u32 *addr,
			  __u16 *port)
{
	__u32 was_addr;
	__u16 was_port;

	change_model_answer(before, live, &was_addr, &was_port);
	change_model_answer(after, live, addr, port);
	if (live->proto != IPPROTO_TCP || known == UNKNOWN)
		return;
	/* A connection stays; with --kill, only if this change is none to its original. */
	if (!kill || (was_addr == *addr && was_port == *port)) {
		*addr = live->addr;
		*port = live->port;
	}
}

static void test_changes(void)
{
	static struct live lives[FLOWS];
	struct change_plan before = { 0 }, after = { 0 };
	unsigned int kept = 0, moved = 0, ended = 0;

	check_begin(
		"in hundreds of changes, every flow goes where the model says, before and after");
	for (int i = 0; i < FLOWS; i++)
		begin_new(&before, &lives[i]);
	for (int change = 0; change < CHANGES && check_case_failures < 5; change++) {
		enum knowledge known[FLOWS];
		bool kill = !random_below(6);

		for (int i = 0; i < 20; i++) {
			struct live *live = &lives[random_below(FLOWS)];

			if (live->proto == IPPROTO_TCP && !random_below(3)) {
				change_end(live);
				change_begin(&before, live, "reopened");
			} else {
				begin_new(&before, live);
			}
		}
		for (int i = 0; i < FLOWS; i++)
			known[i] = is_known(&lives[i]);
		change_random_plan(&after);
		commit(&after, kill);
		for (int i = 0; i < FLOWS; i++) {
			struct live *live = &lives[i];
			__u32 addr, old_addr = live->addr;
			__u16 port, old_port = live->port;

			/* Direct connections that are not pinned may go either way. */
			if (known[i] == ONCE_KNOWN || (kill && known[i] == KNOWN &&
						       is_at(live, ip(live->orig), live->oport))) {
				begin_new(&after, live);
				continue;
			}
			expect_change(&before, &after, kill, live, known[i], &addr, &port);
			change_send_packet(live, TCP_ACK, &live->addr, &live->port);
			EXPECT(is_at(live, addr, port),
			       "change %d%s: flow %d of protocol %d to %s:%d: %x:%d, want %x:%d",
			       change, kill ? " (kill)" : "", live->cport, live->proto, live->orig,
			       live->oport, live->addr, live->port, addr, port);
			EXPECT(change_answered(live), "change %d: flow %d gets no answer", change,
			       live->cport);
			if (is_at(live, old_addr, old_port))
				kept++;
			else if (is_at(live, ip(live->orig), live->oport))
				ended++;
			else
				moved++;
		}
		mapping_list_free(&before.list);
		before = after;
		after = (struct change_plan){ 0 };
	}
	check_end();
	CHECK(kept > CHANGES && moved > CHANGES && ended > CHANGES,
	      "%u flows stayed, %u moved, %u have no mapping any more", kept, moved, ended);
	mapping_list_free(&before.list);
}

/* --- connections that begin while the mappings change --- */

static atomic_bool stop;
static unsigned int begun, torn;

/* Each sends a few packets at once: all have to go where the first one went. */
static void *begin_flows(void *arg)
{
	struct live live = { .proto = IPPROTO_TCP, .orig = ORIGINAL, .oport = 80, .cport = 30000 };

	(void)arg;
	while (!atomic_load(&stop)) {
		__u32 addr;
		__u16 port;

		live.cport = live.cport == 60000 ? 30000 : live.cport + 1;
		change_send_packet(&live, TCP_SYN, &live.addr, &live.port);
		begun++;
		for (int i = 0; i < 20; i++) {
			change_send_packet(&live, TCP_ACK, &addr, &port);
			torn += !is_at(&live, addr, port);
			if (!is_at(&live, addr, port))
				break;
		}
		/* So that its ports may begin another one. */
		change_send_packet(&live, TCP_FIN | TCP_ACK, &addr, &port);
		change_send_packet(&live, TCP_RST, &addr, &port);
	}
	return NULL;
}

static void test_change_race(void)
{
	struct change_plan plans[3] = { 0 };
	struct mapping_error error;
	pthread_t thread;

	for (int i = 0; i < 3; i++) {
		if (i < 2)
			map(&plans[i], ORIGINAL, 80, IPPROTO_TCP, i ? TARGET : TARGET_2, 80);
		map(&plans[i], ORIGINAL, 0, IPPROTO_TCP, "10.0.0.140", 0);
		mapping_list_finish(&plans[i].list, &error);
	}
	check_begin("connections that begin during 200 changes keep their target");
	commit(&plans[0], false);
	pthread_create(&thread, NULL, begin_flows, NULL);
	for (int change = 1; change <= RACE_CHANGES; change++)
		commit(&plans[change % 3], false);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	EXPECT(!torn, "%u of %u did not", torn, begun);
	check_end();
	CHECK(begun > RACE_CHANGES, "%u have begun", begun);
	for (int i = 0; i < 3; i++)
		mapping_list_free(&plans[i].list);
}

/* --- deleted mappings --- */

static const struct mapping *record(const char *from, __u16 port)
{
	const struct nat_dest key = {
		.addr = change_addr(from), .port = htons(port), .proto = IPPROTO_TCP, .deleted = 1
	};

	return mapping_list_find(&table.plan, &key);
}

/* A complete look at the flow table, as gc_step() takes it. */
static void change_look(void)
{
	__u32 limit = maps_flow_limit(&rig.maps);
	struct nat_flow flow;

	for (__u32 slot = 0; slot < limit; slot++)
		if (maps_flow(&rig.maps, slot, &flow))
			table_flow_seen(&table, &rig.maps, &flow);
	table_flows_done(&table, &rig.maps, &hops);
}

static void test_deleted(void)
{
	struct live live = { .proto = IPPROTO_TCP, .orig = ORIGINAL, .oport = 80, .cport = 500 };
	struct change_plan plan = { 0 }, none = { 0 }, other = { 0 }, udp = { 0 };
	struct proxy_flow *flow;
	struct table mirror;
	__u32 addr, id;
	__u16 port;

	map(&plan, ORIGINAL, 80, IPPROTO_TCP, TARGET, 80);
	map(&other, TARGET, 80, IPPROTO_TCP, TARGET_2, 80);
	commit(&none, false);
	rig_clear(&rig);
	/* The first whole look removes what is deleted, the second one finds that nothing needs it.
	 */
	for (int i = 0; i < 4; i++)
		change_look();
	CHECK_EQ(table.plan.count, 0, "without mappings and flows, nothing is left");
	CHECK(!(rig.maps.state->flags & PROXY_STATE_UNMAPPED), "no pin is looked for");
	commit(&plan, false);
	commit(&none, false);
	CHECK_EQ(table.plan.count, 0, "a mapping without flows is gone when it is deleted");
	map(&udp, ORIGINAL, 80, IPPROTO_UDP, TARGET, 80);
	commit(&udp, false);
	live.proto = IPPROTO_UDP;
	change_send_packet(&live, 0, &live.addr, &live.port);
	CHECK_EQ(rig_count_flows(&rig), 1, "one with a UDP flow");
	commit(&none, false);
	CHECK(!rig_count_flows(&rig) && !table.plan.count, "takes that with it");
	live.proto = IPPROTO_TCP;
	commit(&plan, false);
	change_send_packet(&live, TCP_SYN, &live.addr, &live.port);
	commit(&none, false);
	CHECK(record(ORIGINAL, 80), "one that a connection has is noted");
	id = record(ORIGINAL, 80)->to.id;
	change_look();
	change_look();
	CHECK(record(ORIGINAL, 80), "as long as there is the connection");
	CHECK(!table_open(&mirror, &rig.maps) && mirror.plan.count == table.plan.count,
	      "also for another process");
	table_close(&mirror);
	commit(&other, false);
	live.orig = TARGET;
	live.cport++;
	change_send_packet(&live, TCP_SYN, &addr, &port);
	CHECK_EQ(addr, ip(TARGET_2), "its target can be mapped meanwhile");
	live.orig = ORIGINAL;
	live.cport--;
	change_send_packet(&live, TCP_ACK, &addr, &port);
	CHECK_EQ(addr, ip(TARGET), "and the connection goes on");
	commit(&plan, false);
	CHECK(!record(ORIGINAL, 80), "added again, it is no deleted one");
	flow = rig_flow(&rig, TARGET, 80, CLIENT, 500, IPPROTO_TCP);
	CHECK(flow && flow->mapping == id, "and the flow has its id");
	commit(&none, false);
	maps_flow_end(&rig.maps, (__u32)(flow - rig.flows));
	change_look();
	CHECK(record(ORIGINAL, 80), "a look that has begun before says nothing");
	change_look();
	CHECK(!record(ORIGINAL, 80), "the next one tells that its flows have ended");
	mapping_list_free(&plan.list);
	mapping_list_free(&other.list);
	mapping_list_free(&udp.list);
}

int main(void)
{
	rig_open(&rig, (struct rig_sizes){ 0 });
	/* Every next hop is none, as on the loopback device: no netlink. */
	hops = NEXTHOPS_INIT;
	hops.loopback = true;
	if (table_open(&table, &rig.maps))
		return EXIT_FAILURE;
	RUN(test_changes);
	RUN(test_change_race);
	RUN(test_deleted);
	table_close(&table);
	rig_close(&rig);
	return check_exit();
}
