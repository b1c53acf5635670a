// SPDX-License-Identifier: GPL-2.0-only
#include "status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loop.h"
#include "number.h"
#include "output.h"
#include "owner.h"
#include "text.h"

static const enum proxy_counter dropping[] = { PROXY_FULL, PROXY_NO_PORT, PROXY_FAILED };

enum { DROPPING = sizeof(dropping) / sizeof(*dropping) };

/* What is added up for the lines. */
struct facts {
	size_t mappings;
	__u32 flows;
	struct table_target *targets;
	size_t target_count, down_count;
	__u64 counters[PROXY_COUNTER_MAX], dropped;
};

static const char *status_owner_text(const struct status *status, char *text, size_t size)
{
	if (status->owner)
		snprintf(text, size, "proxy (pid %d)", (int)status->owner);
	else
		snprintf(text, size, "%s", status->owned ? "the proxy" : "none");
	return text;
}

/* How long ago the last heartbeat was, in the datapath where that is longest; ~0: none. */
static __u64 status_heartbeat(const struct engine *engine)
{
	const struct datapath *path;
	__u64 longest = 0;

	engine_for_each(path, engine)
	{
		__u64 last = path->maps.state->heartbeat, ago = last ? maps_now() - last : ~0ULL;

		longest = ago > longest ? ago : longest;
	}
	return longest;
}

void status_look(struct status *status, const struct engine *engine, bool found)
{
	const char *ifname = engine->iface.name, *missing = engine_missing(engine);
	char *reason = status->reason, owner[32];
	size_t size = sizeof(status->reason);

	*status = (struct status){ .found = found, .heartbeat = ~0ULL };
	status->owned = !owner_find(engine->iface.ifindex, &status->owner);
	status->translates = found && !missing;
	if (found)
		status->heartbeat = status_heartbeat(engine);
	status_owner_text(status, owner, sizeof(owner));
	if (!found && status->owned)
		snprintf(reason, size, "the filters of %s on %s are gone: nothing is translated",
			 owner, ifname);
	else if (!found)
		snprintf(reason, size,
			 "no proxy serves %s, nor has one left its filters there (--keep)", ifname);
	else if (missing && status->owned)
		snprintf(reason, size, "somebody has removed the %s filter of proxy from %s",
			 missing, ifname);
	else if (missing)
		snprintf(reason, size,
			 "somebody has removed the %s filter of proxy from %s: 'proxy %s' takes "
			 "over what is left",
			 missing, ifname, ifname);
	else if (!status->owned)
		snprintf(reason, size,
			 "no proxy looks after the datapath of %s: ended flows stay, changes of "
			 "routes are not followed ('proxy %s' takes it over)",
			 ifname, ifname);
	else if (status->heartbeat > PROXY_HEARTBEAT_NS)
		snprintf(reason, size, "%s on %s has not looked after its datapath for 10 s", owner,
			 ifname);
}

/* Return: 0 or a negative errno; free(@facts->targets) is right in either case. */
static int status_gather(const struct engine *engine, struct facts *facts)
{
	struct mapping_list mappings = { 0 };
	const struct datapath *path;
	struct nat_flow flow;
	int err = engine_counters(engine, facts->counters) ?:
		  engine_targets(engine, &facts->targets, &facts->target_count) ?:
		  engine_mappings(engine, &mappings);

	mapping_list_sort(&mappings);
	facts->mappings = mapping_list_pairs(&mappings);
	mapping_list_free(&mappings);
	if (err)
		return err;
	engine_for_each(path, engine)
	{
		__u32 limit = maps_flow_limit(&path->maps);

		for (__u32 slot = 0; slot < limit; slot++)
			facts->flows += maps_flow(&path->maps, slot, &flow);
	}
	for (size_t i = 0; i < facts->target_count; i++)
		facts->down_count += facts->targets[i].down;
	for (int i = 0; i < DROPPING; i++)
		facts->dropped += facts->counters[dropping[i]];
	return 0;
}

/* The filters on the interface, but not those that somebody has removed. */
static void status_print_filters(FILE *out, const struct engine *engine)
{
	static const char *const hooks[] = { "ingress", "egress" };
	const char *between = "filters: ";
	const struct datapath *path;

	engine_for_each(path, engine)
	{
		const char *family = path->maps.layout->family == AF_INET ? "" : "IPv6 ";

		for (int i = 0; i < 2; i++) {
			if (path->at.missing && strstr(path->at.missing, hooks[i]))
				continue;
			fprintf(out, "%s%s%s", between, family, hooks[i]);
			between = ", ";
		}
	}
	fputs("\n", out);
}

static void status_print_down(FILE *out, const struct facts *facts, const char *before,
			      const char *between, const char *quote)
{
	char addr[ADDR_TEXT_LEN];

	for (size_t i = 0; i < facts->target_count; i++) {
		if (!facts->targets[i].down)
			continue;
		fprintf(out, "%s%s%s%s", before, quote, addr_text(&facts->targets[i].addr, 0, addr),
			quote);
		before = between;
	}
}

static void status_print_text(FILE *out, const struct status *status, const struct engine *engine,
			      const struct facts *facts)
{
	const char *between = " (";
	char owner[32];

	fprintf(out, "owner: %s\n", status_owner_text(status, owner, sizeof(owner)));
	if (status->heartbeat == ~0ULL)
		fputs("heartbeat: none\n", out);
	else
		fprintf(out, "heartbeat: %.1f s ago\n", (double)status->heartbeat / NSEC_PER_SEC);
	status_print_filters(out, engine);
	fprintf(out, "mappings: %zu\ntargets: %zu, %zu down", facts->mappings, facts->target_count,
		facts->down_count);
	status_print_down(out, facts, ": ", ", ", "");
	fprintf(out, "\nflows: %u of %u\ndropped: %llu packets", facts->flows,
		engine_max_flows(engine), facts->dropped);
	for (int i = 0; i < DROPPING; i++) {
		if (!facts->counters[dropping[i]])
			continue;
		fprintf(out, "%s%s %llu", between, output_counter_name(dropping[i]),
			facts->counters[dropping[i]]);
		between = ", ";
	}
	fprintf(out, "%s\n", facts->dropped ? ")" : "");
}

/* @facts: NULL: there is no datapath */
static void status_print_json(FILE *out, const struct status *status, const struct engine *engine,
			      const struct facts *facts)
{
	fprintf(out, "{\"type\":\"status\",\"ts\":%.3f,\"iface\":\"", loop_wall_clock());
	text_string(out, TEXT_JSON, engine->iface.name);
	fprintf(out, "\",\"ok\":%s,\"owner\":", *status->reason ? "false" : "true");
	if (status->owner)
		fprintf(out, "%d", (int)status->owner);
	else
		fputs("null", out);
	if (facts) {
		if (status->heartbeat != ~0ULL)
			fprintf(out, ",\"heartbeat\":%.1f",
				(double)status->heartbeat / NSEC_PER_SEC);
		fprintf(out, ",\"mappings\":%zu,\"targets\":%zu,\"targets_down\":[",
			facts->mappings, facts->target_count);
		status_print_down(out, facts, "", ",", "\"");
		fprintf(out, "],\"flows\":%u,\"max_flows\":%u,\"dropped\":%llu", facts->flows,
			engine_max_flows(engine), facts->dropped);
		for (int i = 0; i < DROPPING; i++)
			fprintf(out, ",\"%s\":%llu", output_counter_name(dropping[i]),
				facts->counters[dropping[i]]);
	}
	if (*status->reason) {
		fputs(",\"reason\":\"", out);
		text_string(out, TEXT_JSON, status->reason);
		fputs("\"", out);
	}
	fputs("}\n", out);
}

int status_print(FILE *out, const struct status *status, const struct engine *engine, bool jsonl)
{
	struct facts facts = { 0 };
	int err = status->found ? status_gather(engine, &facts) : 0;

	if (!err && jsonl)
		status_print_json(out, status, engine, status->found ? &facts : NULL);
	else if (!err && status->found)
		status_print_text(out, status, engine, &facts);
	free(facts.targets);
	return err;
}
