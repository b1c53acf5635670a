// SPDX-License-Identifier: GPL-2.0-only
#include "output.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "loop.h"
#include "number.h"
#include "text.h"

/* What is printed of one datapath. */
struct output_part {
	const struct table *table;
	const struct maps *maps;
	struct proxy_mapping_stats *stats; /* by mapping id */
	__u32 *flows;			   /* by mapping id */
	__u64 flow_count;
};

struct proxy_report {
	const struct engine *engine;
	struct output_part parts[ENGINE_PATHS];
	int count;
	char ifname[6 * IF_NAMESIZE]; /* escaped */
	FILE *out;
	enum proxy_format format;
	double ts;
	__u64 now;
	char flow_head[192]; /* of each flow's line, jsonl */
	__u64 flow_count;
};

static const char *const output_counter_names[] = {
#define COUNTER_NAME(name, field, text) [PROXY_##name] = #field,
	PROXY_REASONS(COUNTER_NAME) PROXY_EVENTS(COUNTER_NAME)
};

const char *output_counter_name(enum proxy_counter counter)
{
	return output_counter_names[counter];
}

static const char *const output_counter_texts[] = {
#define COUNTER_TEXT(name, field, text) [PROXY_##name] = text,
	PROXY_REASONS(COUNTER_TEXT) PROXY_EVENTS(COUNTER_TEXT)
};

static int output_open_part(struct output_part *part, const struct datapath *path)
{
	part->table = &path->table;
	part->maps = &path->maps;
	part->stats = calloc(path->table.id_end, sizeof(*part->stats));
	part->flows = calloc(path->table.id_end, sizeof(*part->flows));
	if (!part->stats || !part->flows)
		return -ENOMEM;
	maps_mapping_stats(&path->maps, part->stats, path->table.id_end);
	return 0;
}

static int output_open(struct proxy_report *report, FILE *out, const struct engine *engine,
		       enum proxy_format format)
{
	const struct datapath *path;
	int err = 0, count = 0;
	FILE *name;

	*report = (struct proxy_report){ .engine = engine,
					 .out = out,
					 .format = format,
					 .ts = loop_wall_clock(),
					 .now = loop_now_ns() };
	name = fmemopen(report->ifname, sizeof(report->ifname), "w");
	if (!name)
		return -errno;
	text_string(name, format == PROXY_PROM ? TEXT_PROMETHEUS : TEXT_JSON, engine->iface.name);
	fclose(name);
	snprintf(report->flow_head, sizeof(report->flow_head),
		 "{\"type\":\"flow\",\"ts\":%.3f,\"iface\":\"%s\",\"proto\":\"", report->ts,
		 report->ifname);
	engine_for_each(path, engine) err = err ?: output_open_part(&report->parts[count++], path);
	report->count = count;
	return err;
}

static void output_close(struct proxy_report *report)
{
	for (int i = 0; i < report->count; i++) {
		free(report->parts[i].stats);
		free(report->parts[i].flows);
	}
}

static void output_mapping(const struct proxy_report *report, const struct output_part *part,
			   const struct mapping *entry)
{
	const struct proxy_mapping_stats *stats = &part->stats[entry->to.id];
	const char *proto = mapping_proto_text(entry->from.proto);
	char from[ADDR_TEXT_LEN], to[ADDR_TEXT_LEN];

	addr_text(&entry->from.addr, entry->from.port, from);
	addr_text(&entry->to.addr, entry->to.port, to);
	if (report->format == PROXY_JSONL)
		fprintf(report->out,
			"{\"type\":\"mapping\",\"ts\":%.3f,\"iface\":\"%s\",\"proto\":\"%s\","
			"\"from\":\"%s\",\"to\":\"%s\",\"packets_out\":%llu,\"bytes_out\":%llu,"
			"\"packets_in\":%llu,\"bytes_in\":%llu,\"flows\":%u,\"draining\":%s}\n",
			report->ts, report->ifname, proto, from, to, stats->packets_out,
			stats->bytes_out, stats->packets_in, stats->bytes_in,
			part->flows[entry->to.id], entry->from.deleted ? "true" : "false");
	else
		fprintf(report->out,
			"%s -> %s %s out %llu packets %llu bytes, in %llu packets %llu bytes, "
			"flows %u%s\n",
			from, to, proto, stats->packets_out, stats->bytes_out, stats->packets_in,
			stats->bytes_in, part->flows[entry->to.id],
			entry->from.deleted ? ", deleted" : "");
}

/* Call @print for each mapping, in force or deleted. */
static void output_each_mapping(const struct proxy_report *report,
				void (*print)(const struct proxy_report *report,
					      const struct output_part *part,
					      const struct mapping *entry))
{
	for (int i = 0; i < report->count; i++) {
		const struct mapping_list *plan = &report->parts[i].table->plan;

		for (size_t j = 0; j < plan->count; j++)
			if (table_shown(&plan->entries[j]))
				print(report, &report->parts[i], &plan->entries[j]);
	}
}

static const char *output_flow_state(const struct nat_flow *flow)
{
	if (flow->proto != IPPROTO_TCP)
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

/* "12.3": printf() takes as long for a floating-point number as for all the rest of a line. */
static char *output_append_tenths(char *at, __u64 ns)
{
	__u64 tenths = (ns + NSEC_PER_SEC / 20) / (NSEC_PER_SEC / 10);

	at = number_append(at, (__u32)(tenths / 10));
	*at++ = '.';
	return number_append(at, (__u32)(tenths % 10));
}

static char *output_flow_json(char *at, const struct proxy_report *report,
			      const struct nat_flow *flow, __u64 idle)
{
	at = stpcpy(stpcpy(at, report->flow_head), mapping_proto_text(flow->proto));
	at = addr_append(stpcpy(at, "\",\"client\":\""), &flow->client, flow->cport);
	at = addr_append(stpcpy(at, "\",\"from\":\""), &flow->orig, flow->oport);
	at = addr_append(stpcpy(at, "\",\"to\":\""), &flow->remote, flow->rport);
	at = stpcpy(stpcpy(at, "\",\"state\":\""), output_flow_state(flow));
	at = output_append_tenths(stpcpy(at, "\",\"idle\":"), idle);
	at = number_append(stpcpy(at, ",\"source_port\":"), ntohs(flow->lport));
	return stpcpy(at, "}\n");
}

static char *output_flow_text(char *at, const struct nat_flow *flow, __u64 idle)
{
	at = addr_append(at, &flow->remote, flow->rport);
	at = addr_append(stpcpy(at, " : "), &flow->local, flow->lport);
	at = addr_append(stpcpy(at, " -> "), &flow->orig, flow->oport);
	at = stpcpy(stpcpy(at, " "), mapping_proto_text(flow->proto));
	at = stpcpy(stpcpy(at, " "), output_flow_state(flow));
	at = stpcpy(output_append_tenths(stpcpy(at, " idle "), idle), " s");
	if (flow->state & PROXY_FLOW_PORT)
		at = number_append(stpcpy(at, ", client's port "), ntohs(flow->cport));
	return stpcpy(at, "\n");
}

static void output_flow(const struct proxy_report *report, const struct nat_flow *flow)
{
	__u64 idle = report->now > flow->last_seen ? report->now - flow->last_seen : 0;
	char line[512], *end;

	end = report->format == PROXY_JSONL ? output_flow_json(line, report, flow, idle)
					    : output_flow_text(line, flow, idle);
	fwrite(line, 1, (size_t)(end - line), report->out);
}

/* Read all flows of one datapath once; @print: also print them. */
static void output_flows_of(struct proxy_report *report, struct output_part *part, bool count,
			    bool print)
{
	__u32 limit = maps_flow_limit(part->maps);
	struct nat_flow flow;

	for (__u32 slot = 0; slot < limit; slot++) {
		if (!maps_flow(part->maps, slot, &flow))
			continue;
		part->flow_count += count;
		report->flow_count += count;
		if (flow.state & PROXY_FLOW_DIRECT)
			continue;
		if (count && flow.mapping < part->table->id_end)
			part->flows[flow.mapping]++;
		if (print)
			output_flow(report, &flow);
	}
}

static void output_each_flow(struct proxy_report *report, bool count, bool print)
{
	for (int i = 0; i < report->count; i++)
		output_flows_of(report, &report->parts[i], count, print);
}

static int output_totals(const struct proxy_report *report)
{
	__u64 counters[PROXY_COUNTER_MAX];
	int err = engine_counters(report->engine, counters);
	bool heading = false;

	if (err)
		return err;
	if (report->format == PROXY_JSONL)
		fprintf(report->out,
			"{\"type\":\"total\",\"ts\":%.3f,\"iface\":\"%s\",\"flows\":%llu,"
			"\"max_flows\":%u",
			report->ts, report->ifname, report->flow_count,
			engine_max_flows(report->engine));
	for (int i = 0; i < PROXY_COUNTER_MAX; i++) {
		if (!output_counter_names[i])
			continue;
		if (report->format == PROXY_JSONL) {
			fprintf(report->out, ",\"%s\":%llu", output_counter_names[i], counters[i]);
		} else if (counters[i]) {
			if (!heading)
				fputs("== Counters ==\n", report->out);
			heading = true;
			fprintf(report->out, "%s %llu (%s)\n", output_counter_names[i], counters[i],
				output_counter_texts[i]);
		}
	}
	if (report->format == PROXY_JSONL)
		fputs("}\n", report->out);
	return 0;
}

/* --- the text format of Prometheus --- */

static void output_prom_head(FILE *out, const char *metric, const char *type, const char *help)
{
	fprintf(out, "# HELP proxy_%s %s\n# TYPE proxy_%s %s\n", metric, help, metric, type);
}

/* @dir: a label of its own; NULL: none */
static void output_prom_mapping(const struct proxy_report *report, const char *metric,
				const struct mapping *entry, const char *dir, __u64 value)
{
	char from[ADDR_TEXT_LEN], to[ADDR_TEXT_LEN];

	fprintf(report->out,
		"proxy_%s{iface=\"%s\",proto=\"%s\",from=\"%s\",to=\"%s\"%s%s%s} %llu\n", metric,
		report->ifname, mapping_proto_text(entry->from.proto),
		addr_text(&entry->from.addr, entry->from.port, from),
		addr_text(&entry->to.addr, entry->to.port, to), dir ? ",dir=\"" : "", dir ?: "",
		dir ? "\"" : "", value);
}

static void output_prom_packets(const struct proxy_report *report, const struct output_part *part,
				const struct mapping *entry)
{
	const struct proxy_mapping_stats *stats = &part->stats[entry->to.id];

	output_prom_mapping(report, "mapping_packets_total", entry, "out", stats->packets_out);
	output_prom_mapping(report, "mapping_packets_total", entry, "in", stats->packets_in);
}

static void output_prom_bytes(const struct proxy_report *report, const struct output_part *part,
			      const struct mapping *entry)
{
	const struct proxy_mapping_stats *stats = &part->stats[entry->to.id];

	output_prom_mapping(report, "mapping_bytes_total", entry, "out", stats->bytes_out);
	output_prom_mapping(report, "mapping_bytes_total", entry, "in", stats->bytes_in);
}

static void output_prom_flows(const struct proxy_report *report, const struct output_part *part,
			      const struct mapping *entry)
{
	output_prom_mapping(report, "mapping_flows", entry, NULL, part->flows[entry->to.id]);
}

static void output_prom_mappings(const struct proxy_report *report)
{
	static const char help[] = "Translated for a mapping, as the wire carries it.";

	output_prom_head(report->out, "mapping_packets_total", "counter", help);
	output_each_mapping(report, output_prom_packets);
	output_prom_head(report->out, "mapping_bytes_total", "counter", help);
	output_each_mapping(report, output_prom_bytes);
	output_prom_head(report->out, "mapping_flows", "gauge", "Flows of a mapping.");
	output_each_mapping(report, output_prom_flows);
}

static int output_prom_targets(const struct proxy_report *report)
{
	struct table_target *targets = NULL;
	char addr[ADDR_TEXT_LEN];
	size_t count = 0;
	int err = engine_targets(report->engine, &targets, &count);

	output_prom_head(
		report->out, "target_up", "gauge",
		"1: packets can be sent to the target; 0: it has no route, or its next hop "
		"does not answer.");
	for (size_t i = 0; i < count && !err; i++)
		fprintf(report->out, "proxy_target_up{iface=\"%s\",target=\"%s\"} %d\n",
			report->ifname, addr_text(&targets[i].addr, 0, addr), !targets[i].down);
	free(targets);
	return err;
}

/* One metric without labels but the interface. */
static void output_prom_counter(const struct proxy_report *report, const char *metric,
				const char *help, __u64 value)
{
	output_prom_head(report->out, metric, "counter", help);
	fprintf(report->out, "proxy_%s{iface=\"%s\"} %llu\n", metric, report->ifname, value);
}

/* A figure of each family's flow table. */
static void output_prom_fill(const struct proxy_report *report, const char *metric,
			     const char *help, bool room)
{
	output_prom_head(report->out, metric, "gauge", help);
	for (int i = 0; i < report->count; i++) {
		const struct output_part *part = &report->parts[i];

		fprintf(report->out, "proxy_%s{iface=\"%s\",family=\"%s\"} %llu\n", metric,
			report->ifname, part->maps->layout->family == AF_INET ? "ipv4" : "ipv6",
			room ? part->maps->max_entries[MAPS_FLOWS] : part->flow_count);
	}
}

static int output_prom_counters(const struct proxy_report *report)
{
	__u64 counters[PROXY_COUNTER_MAX];
	int err = engine_counters(report->engine, counters);

	if (err)
		return err;
	output_prom_head(report->out, "untranslated_packets_total", "counter",
			 "Packets that a mapping matched or might match, not translated.");
#define REASON_LINE(name, field, text)                                                             \
	fprintf(report->out,                                                                       \
		"proxy_untranslated_packets_total{iface=\"%s\",reason=\"" #field "\"} %llu\n",     \
		report->ifname, counters[PROXY_##name]);
	PROXY_REASONS(REASON_LINE)
#undef REASON_LINE
#define EVENT_LINES(name, field, text)                                                             \
	output_prom_counter(report, #field "_total", "Number of " text ".", counters[PROXY_##name]);
	PROXY_EVENTS(EVENT_LINES)
#undef EVENT_LINES
	return 0;
}

static int output_prom(struct proxy_report *report)
{
	output_each_flow(report, true, false);
	output_prom_mappings(report);
	output_prom_fill(report, "flows", "Flows in the table.", false);
	output_prom_fill(report, "max_flows", "Flows that the table has room for.", true);
	return output_prom_targets(report) ?: output_prom_counters(report);
}

/* --- text and jsonl --- */

static int output_both_maps(struct proxy_report *report)
{
	bool text = report->format == PROXY_TEXT;

	output_each_flow(report, true, false);
	if (text)
		fputs("== Egress ==\n", report->out);
	output_each_mapping(report, output_mapping);
	if (text)
		fputs("== Ingress ==\n", report->out);
	output_each_flow(report, false, true);
	return output_totals(report);
}

int output_report(FILE *out, const struct engine *engine, enum proxy_format format)
{
	struct proxy_report report;
	int err = output_open(&report, out, engine, format);

	if (!err)
		err = format == PROXY_PROM ? output_prom(&report) : output_both_maps(&report);
	output_close(&report);
	return err ? log_err(err, "cannot read the tables of %s", engine->iface.name) : 0;
}

int output_mappings(FILE *out, const struct engine *engine, enum proxy_format format)
{
	struct proxy_report report;
	int err = output_open(&report, out, engine, format);

	if (!err) {
		output_each_flow(&report, true, false);
		output_each_mapping(&report, output_mapping);
	}
	output_close(&report);
	return err ? log_err(err, "cannot read the tables of %s", engine->iface.name) : 0;
}
