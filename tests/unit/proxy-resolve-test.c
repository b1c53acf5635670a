// SPDX-License-Identifier: GPL-2.0-only
/* Random mappings and packets of both families: where they go, and what changes for a flow, is what
 * a model says. */
#include "../../proxy/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "check.h"
#include "proxy-plan-model.h"
#include "random.h"

enum { ROUNDS = 100000, MAPPINGS = 12, PORTS = 4, ADDRS = 6 };

/* A list of mappings, twice. */
struct resolve_plan {
	struct mapping_list list;
	struct model_mapping model[MAPPINGS];
};

/* Of few, so that they often meet. */
static __u32 random_addr(void)
{
	return 0x0a000000 + random_below(ADDRS);
}

/* The address with this number: every second host is one of IPv6. */
static struct addr resolve_addr(__u32 number)
{
	struct addr addr = addr_ipv4(htonl(number));

	if (number % 2) {
		addr.word[0] = htonl(0xfd000000);
		addr.word[2] = 0;
	}
	return addr;
}

static __u8 resolve_random_proto(void)
{
	static const __u8 protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP };

	return RANDOM_OF(protos);
}

static struct model_mapping random_mapping(void)
{
	struct model_mapping mapping = { .from = random_addr(),
					 .from_port = (__u16)random_below(PORTS),
					 .to = random_addr(),
					 .to_port = (__u16)random_below(PORTS),
					 .proto = resolve_random_proto(),
					 .deleted = !random_below(6) };

	if (mapping.proto == IPPROTO_ICMP)
		mapping.from_port = mapping.to_port = 0;
	if (!mapping.to_port)
		mapping.to_port = mapping.from_port;
	return mapping;
}

static bool same_key(const struct model_mapping *a, const struct model_mapping *b)
{
	return a->from == b->from && a->from_port == b->from_port && a->proto == b->proto &&
	       a->deleted == b->deleted;
}

/* No FROM twice; otherwise anything goes: chains, too. */
static void resolve_random_plan(struct resolve_plan *plan)
{
	size_t wanted = random_below(MAPPINGS + 1);

	plan->list.count = 0;
	while (plan->list.count < wanted) {
		struct model_mapping one = random_mapping();
		const struct mapping mapping = {
			.from = { .addr = resolve_addr(one.from),
				  .port = htons(one.from_port),
				  .proto = one.proto,
				  .deleted = one.deleted },
			.to = { .addr = resolve_addr(one.to), .port = htons(one.to_port) },
		};
		size_t i = 0;

		while (i < plan->list.count && !same_key(&plan->model[i], &one))
			i++;
		if (i < plan->list.count) {
			wanted--;
			continue;
		}
		plan->model[i] = one;
		if (mapping_list_append(&plan->list, &mapping))
			exit(EXIT_FAILURE);
	}
	mapping_list_sort(&plan->list);
}

static struct nat_dest random_dest(void)
{
	struct nat_dest dest = { .addr = resolve_addr(random_addr()),
				 .port = htons((__u16)(1 + random_below(PORTS))),
				 .proto = resolve_random_proto() };

	if (dest.proto == IPPROTO_ICMP)
		dest.port = 0;
	return dest;
}

static __u32 value_of(const struct addr *addr)
{
	return ntohl(addr->word[3]);
}

/* Where the model sends packets to @dest. */
static struct nat_dest resolve_model_answer(const struct resolve_plan *plan, struct nat_dest dest)
{
	__u32 addr = value_of(&dest.addr);
	__u16 port = ntohs(dest.port);

	model_target(plan->model, plan->list.count, dest.proto, &addr, &port);
	dest.addr = resolve_addr(addr);
	dest.port = htons(port);
	return dest;
}

static bool same_dest(const struct nat_dest *a, const struct nat_dest *b)
{
	return addr_equal(&a->addr, &b->addr) && a->port == b->port;
}

static void test_resolve(void)
{
	unsigned int mapped = 0, any_port = 0;
	struct resolve_plan plan = { 0 };

	check_begin("a packet goes where the model sends it, in 100,000 lists");
	for (int i = 0; i < ROUNDS; i++) {
		const struct nat_dest dest = random_dest();
		const struct model_mapping *want;
		const struct mapping *got;

		resolve_random_plan(&plan);
		got = resolve(&plan.list, &dest);
		want = model_find_mapping(plan.model, plan.list.count, dest.proto,
					  value_of(&dest.addr), ntohs(dest.port));
		EXPECT(!got == !want, "round %d: a mapping is %s", i, got ? "found" : "missed");
		if (!got || !want)
			continue;
		mapped++;
		any_port += !want->from_port;
		EXPECT(value_of(&got->to.addr) == want->to &&
			       ntohs(got->to.port) == want->to_port &&
			       ntohs(got->from.port) == want->from_port && !got->from.deleted,
		       "round %d: another mapping", i);
	}
	check_end();
	CHECK(mapped > ROUNDS / 10 && any_port > ROUNDS / 100 && any_port < mapped,
	      "%u were mapped, %u by a mapping for any port", mapped, any_port);
	mapping_list_free(&plan.list);
}

static enum resolve_change model_change(const struct resolve_plan *before,
					const struct resolve_plan *after,
					const struct nat_flow *flow)
{
	const struct nat_dest dest = { .addr = flow->orig,
				       .port = flow->oport,
				       .proto = flow->proto };
	const struct nat_dest was = resolve_model_answer(before, dest),
			      now = resolve_model_answer(after, dest);

	if (same_dest(&was, &now) ||
	    (addr_equal(&flow->remote, &now.addr) && flow->rport == now.port))
		return RESOLVE_SAME;
	return same_dest(&now, &dest) ? RESOLVE_NONE : RESOLVE_OTHER;
}

/* A flow to where it was sent before, or anywhere else. */
static struct nat_flow random_flow(const struct resolve_plan *before)
{
	const struct nat_dest dest = random_dest();
	const struct nat_dest own =
		random_below(4) ? resolve_model_answer(before, dest) : random_dest();

	return (struct nat_flow){ .remote = own.addr,
				  .rport = own.port,
				  .proto = dest.proto,
				  .orig = dest.addr,
				  .oport = dest.port };
}

static void test_change(void)
{
	struct resolve_plan before = { 0 }, after = { 0 };
	unsigned int counts[3] = { 0 };

	check_begin("what a change is to a flow is what the model says, in 100,000 changes");
	for (int i = 0; i < ROUNDS; i++) {
		enum resolve_change got, want;
		struct nat_flow flow;

		resolve_random_plan(&before);
		resolve_random_plan(&after);
		flow = random_flow(&before);
		got = resolve_change(&before.list, &after.list, &flow);
		want = model_change(&before, &after, &flow);
		EXPECT(got == want, "round %d: got %d, want %d", i, got, want);
		EXPECT(want == RESOLVE_SAME || !before.list.count ||
			       resolve_differs(&before.list, &after.list),
		       "round %d: no flow would be looked at", i);
		EXPECT(!resolve_differs(&before.list, &before.list),
		       "round %d: the same lists differ", i);
		counts[want]++;
	}
	check_end();
	for (int i = 0; i < 3; i++)
		CHECK(counts[i] > ROUNDS / 50, "answer %d was right %u times", i, counts[i]);
	mapping_list_free(&before.list);
	mapping_list_free(&after.list);
}

/* Whether packets that a mapping sends on would meet another mapping at its target. */
static bool model_chain(const struct resolve_plan *plan)
{
	for (size_t i = 0; i < plan->list.count; i++) {
		const struct model_mapping *one = &plan->model[i];

		for (int port = one->proto == IPPROTO_ICMP ? 0 : 1; port <= PORTS; port++)
			if ((!one->to_port || one->to_port == port) &&
			    model_find_mapping(plan->model, plan->list.count, one->proto, one->to,
					       (__u16)port))
				return true;
	}
	return false;
}

static void test_chains(void)
{
	struct mapping_error error;
	struct resolve_plan plan = { 0 };
	unsigned int chains = 0;

	check_begin("a chain is refused where the model finds one, in 100,000 lists");
	for (int i = 0; i < ROUNDS; i++) {
		bool want;

		resolve_random_plan(&plan);
		for (size_t k = 0; k < plan.list.count; k++)
			if (plan.list.entries[k].from.deleted)
				plan.list.count = 0;
		want = model_chain(&plan);
		chains += want;
		EXPECT(mapping_list_finish(&plan.list, &error) == (want ? -EINVAL : 0),
		       "round %d: want %d", i, want);
	}
	check_end();
	CHECK(chains > ROUNDS / 20 && chains < ROUNDS / 2, "%u were chains", chains);
	mapping_list_free(&plan.list);
}

int main(void)
{
	RUN(test_resolve);
	RUN(test_change);
	RUN(test_chains);
	return check_exit();
}
