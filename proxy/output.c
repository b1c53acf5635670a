// SPDX-License-Identifier: GPL-2.0-only
#include "output.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "number.h"
#include "ticker.h"

struct report {
	const struct table *table;
	const struct maps *maps;
	const char *ifname;
	bool jsonl;
	double ts;
	__u64 now;
	__u64 flow_count;
	struct proxy_mapping_stats *stats; /* by mapping id */
	__u32 *flows;			   /* by mapping id */
};

static const char *const counter_names[] = {
#define COUNTER_NAME(name, field, text) [PROXY_##name] = #field,
	PROXY_REASONS(COUNTER_NAME) PROXY_EVENTS(COUNTER_NAME)
};

static const char *const counter_texts[] = {
#define COUNTER_TEXT(name, field, text) [PROXY_##name] = text,
	PROXY_REASONS(COUNTER_TEXT) PROXY_EVENTS(COUNTER_TEXT)
};

static int report_open(struct report *report, const struct table *table, const struct maps *maps,
		       const char *ifname, bool jsonl)
{
	*report = (struct report){ .table = table,
				   .maps = maps,
				   .ifname = ifname,
				   .jsonl = jsonl,
				   .ts = ticker_wall_clock(),
				   .now = ticker_now_ns() };
	report->stats = calloc(table->id_end, sizeof(*report->stats));
	report->flows = calloc(table->id_end, sizeof(*report->flows));
	if (!report->stats || !report->flows)
		return -ENOMEM;
	maps_mapping_stats(maps, report->stats, table->id_end);
	return 0;
}

static void report_close(struct report *report)
{
	free(report->stats);
	free(report->flows);
}

/* stdout is flushed per report, so that errors belong to it. */
static int finish(void)
{
	if (fflush(stdout) || ferror(stdout))
		return errno ? -errno : -EIO;
	return 0;
}

static void print_mapping(const struct report *report, const struct table_entry *entry)
{
	const struct proxy_mapping_stats *stats = &report->stats[entry->to.id];
	const char *proto = mapping_proto_text(entry->from.proto);
	char from[MAPPING_ADDR_LEN], to[MAPPING_ADDR_LEN];

	mapping_addr_text(entry->from.addr, entry->from.port, from);
	mapping_addr_text(entry->to.addr, entry->to.port, to);
	if (report->jsonl)
		printf("{\"type\":\"mapping\",\"ts\":%.3f,\"iface\":\"%s\",\"proto\":\"%s\","
		       "\"from\":\"%s\",\"to\":\"%s\",\"packets_out\":%llu,\"bytes_out\":%llu,"
		       "\"packets_in\":%llu,\"bytes_in\":%llu,\"flows\":%u,\"draining\":%s}\n",
		       report->ts, report->ifname, proto, from, to, stats->packets_out,
		       stats->bytes_out, stats->packets_in, stats->bytes_in,
		       report->flows[entry->to.id],
		       entry->to.flags & PROXY_MAPPING_DRAINING ? "true" : "false");
	else
		printf("%s -> %s %s out %llu packets %llu bytes, in %llu packets %llu bytes, "
		       "flows %u%s\n",
		       from, to, proto, stats->packets_out, stats->bytes_out, stats->packets_in,
		       stats->bytes_in, report->flows[entry->to.id],
		       entry->to.flags & PROXY_MAPPING_DRAINING ? ", deleted" : "");
}

static void print_mappings(const struct report *report)
{
	for (size_t i = 0; i < report->table->count; i++)
		if (table_shown(&report->table->entries[i]))
			print_mapping(report, &report->table->entries[i]);
}

static const char *flow_state(const struct proxy_reply *key, const struct proxy_flow *flow)
{
	if (key->proto != IPPROTO_TCP)
		return flow->state & PROXY_FLOW_REPLIED ? "replied" : "unreplied";
	switch (proxy_tcp_phase(flow->state)) {
	case PROXY_TCP_OPENING:
		return "opening";
	case PROXY_TCP_ESTABLISHED:
		return "established";
	case PROXY_TCP_CLOSING:
		return "closing";
	}
	return "unknown";
}

static void print_flow(const struct report *report, const struct proxy_reply *key,
		       const struct proxy_flow *flow)
{
	char client[MAPPING_ADDR_LEN], from[MAPPING_ADDR_LEN], to[MAPPING_ADDR_LEN];
	char seen[MAPPING_ADDR_LEN];
	const char *proto = mapping_proto_text(key->proto);
	double idle = 0;

	if (report->now > flow->last_seen)
		idle = (double)(report->now - flow->last_seen) / (double)NSEC_PER_SEC;
	mapping_addr_text(flow->client, flow->cport, client);
	mapping_addr_text(flow->orig, flow->oport, from);
	mapping_addr_text(key->remote, key->rport, to);
	mapping_addr_text(key->local, key->lport, seen);
	if (report->jsonl)
		printf("{\"type\":\"flow\",\"ts\":%.3f,\"iface\":\"%s\",\"proto\":\"%s\","
		       "\"client\":\"%s\",\"from\":\"%s\",\"to\":\"%s\",\"state\":\"%s\","
		       "\"idle\":%.1f,\"source_port\":%u}\n",
		       report->ts, report->ifname, proto, client, from, to, flow_state(key, flow),
		       idle, ntohs(key->lport));
	else if (flow->state & PROXY_FLOW_PORT)
		printf("%s : %s -> %s %s %s idle %.1f s, client's port %u\n", to, seen, from, proto,
		       flow_state(key, flow), idle, ntohs(flow->cport));
	else
		printf("%s : %s -> %s %s %s idle %.1f s\n", to, seen, from, proto,
		       flow_state(key, flow), idle);
}

/* Read all flows once; @print: also print them. */
static int each_flow(struct report *report, bool count, bool print)
{
	struct flow_batch batch;
	int err = flow_batch_open(&batch);

	while (!err && !batch.done) {
		err = flow_batch_next(&batch, report->maps);
		for (__u32 i = 0; !err && i < batch.count; i++) {
			const struct proxy_flow *flow = &batch.flows[i];

			report->flow_count += count;
			if (flow->state & PROXY_FLOW_DIRECT)
				continue;
			if (count && flow->mapping < report->table->id_end)
				report->flows[flow->mapping]++;
			if (print)
				print_flow(report, &batch.keys[i], flow);
		}
	}
	flow_batch_close(&batch);
	return err;
}

static int print_totals(const struct report *report)
{
	__u64 counters[PROXY_COUNTER_MAX];
	int err = maps_counters(report->maps, counters);
	bool heading = false;

	if (err)
		return err;
	if (report->jsonl)
		printf("{\"type\":\"total\",\"ts\":%.3f,\"iface\":\"%s\",\"flows\":%llu,"
		       "\"max_flows\":%u",
		       report->ts, report->ifname, report->flow_count,
		       report->maps->max_entries[MAPS_INGRESS]);
	for (int i = 0; i < PROXY_COUNTER_MAX; i++) {
		if (!counter_names[i])
			continue;
		if (report->jsonl) {
			printf(",\"%s\":%llu", counter_names[i], counters[i]);
		} else if (counters[i]) {
			if (!heading)
				puts("== Counters ==");
			heading = true;
			printf("%s %llu (%s)\n", counter_names[i], counters[i], counter_texts[i]);
		}
	}
	if (report->jsonl)
		puts("}");
	return 0;
}

int output_report(const struct table *table, const struct maps *maps, const char *ifname,
		  bool jsonl)
{
	struct report report;
	int err = report_open(&report, table, maps, ifname, jsonl);

	if (!err)
		err = each_flow(&report, true, false);
	if (!err) {
		if (!jsonl)
			puts("== Egress ==");
		print_mappings(&report);
		if (!jsonl)
			puts("== Ingress ==");
		err = each_flow(&report, false, true);
	}
	if (!err)
		err = print_totals(&report);
	report_close(&report);
	return err ?: finish();
}

int output_mappings(const struct table *table, const struct maps *maps, const char *ifname,
		    bool jsonl)
{
	struct report report;
	int err =
		report_open(&report, table, maps, ifname, jsonl) ?: each_flow(&report, true, false);

	if (!err)
		print_mappings(&report);
	report_close(&report);
	return err ?: finish();
}
