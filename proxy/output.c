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

struct proxy_report {
	const struct table *table;
	const struct maps *maps;
	char ifname[6 * IF_NAMESIZE]; /* escaped */
	FILE *out;
	enum proxy_format format;
	double ts;
	__u64 now;
	char flow_head[192]; /* of each flow's line, jsonl */
	__u64 flow_count;
	struct proxy_mapping_stats *stats; /* by mapping id */
	__u32 *flows;			   /* by mapping id */
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

static int output_open(struct proxy_report *report, FILE *out, const struct table *table,
		       const struct maps *maps, const char *ifname, enum proxy_format format)
{
	FILE *name;

	*report = (struct proxy_report){ .table = table,
					 .maps = maps,
					 .out = out,
					 .format = format,
					 .ts = loop_wall_clock(),
					 .now = loop_now_ns() };
	name = fmemopen(report->ifname, sizeof(report->ifname), "w");
	if (!name)
		return -errno;
	text_string(name, format == PROXY_PROM ? TEXT_PROMETHEUS : TEXT_JSON, ifname);
	fclose(name);
	snprintf(report->flow_head, sizeof(report->flow_head),
		 "{\"type\":\"flow\",\"ts\":%.3f,\"iface\":\"%s\",\"proto\":\"", report->ts,
		 report->ifname);
	report->stats = calloc(table->id_end, sizeof(*report->stats));
	report->flows = calloc(table->id_end, sizeof(*report->flows));
	if (!report->stats || !report->flows)
		return -ENOMEM;
	maps_mapping_stats(maps, report->stats, table->id_end);
	return 0;
}

static void output_close(struct proxy_report *report)
{
	free(report->stats);
	free(report->flows);
}

static void output_mapping(const struct proxy_report *report, const struct mapping *entry)
{
	const struct proxy_mapping_stats *stats = &report->stats[entry->to.id];
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
			report->flows[entry->to.id], entry->from.deleted ? "true" : "false");
	else
		fprintf(report->out,
			"%s -> %s %s out %llu packets %llu bytes, in %llu packets %llu bytes, "
			"flows %u%s\n",
			from, to, proto, stats->packets_out, stats->bytes_out, stats->packets_in,
			stats->bytes_in, report->flows[entry->to.id],
			entry->from.deleted ? ", deleted" : "");
}

static void output_all_mappings(const struct proxy_report *report)
{
	const struct mapping_list *plan = &report->table->plan;

	for (size_t i = 0; i < plan->count; i++)
		if (table_shown(&plan->entries[i]))
			output_mapping(report, &plan->entries[i]);
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

/* Read all flows once; @print: also print them. */
static void output_each_flow(struct proxy_report *report, bool count, bool print)
{
	__u32 limit = maps_flow_limit(report->maps);
	struct nat_flow flow;

	for (__u32 slot = 0; slot < limit; slot++) {
		if (!maps_flow(report->maps, slot, &flow))
			continue;
		report->flow_count += count;
		if (flow.state & PROXY_FLOW_DIRECT)
			continue;
		if (count && flow.mapping < report->table->id_end)
			report->flows[flow.mapping]++;
		if (print)
			output_flow(report, &flow);
	}
}

static int output_totals(const struct proxy_report *report)
{
	__u64 counters[PROXY_COUNTER_MAX];
	int err = maps_counters(report->maps, counters);
	bool heading = false;

	if (err)
		return err;
	if (report->format == PROXY_JSONL)
		fprintf(report->out,
			"{\"type\":\"total\",\"ts\":%.3f,\"iface\":\"%s\",\"flows\":%llu,"
			"\"max_flows\":%u",
			report->ts, report->ifname, report->flow_count,
			report->maps->max_entries[MAPS_FLOWS]);
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

static void output_prom_mappings(const struct proxy_report *report)
{
	const char *const metrics[] = { "mapping_packets_total", "mapping_bytes_total",
					"mapping_flows" };
	const struct mapping_list *plan = &report->table->plan;

	for (int metric = 0; metric < 3; metric++) {
		const char *name = metrics[metric];

		if (metric == 2)
			output_prom_head(report->out, name, "gauge", "Flows of a mapping.");
		else
			output_prom_head(report->out, name, "counter",
					 "Translated for a mapping, as the wire carries it.");
		for (size_t i = 0; i < plan->count; i++) {
			const struct mapping *entry = &plan->entries[i];
			const struct proxy_mapping_stats *stats = &report->stats[entry->to.id];

			if (!table_shown(entry))
				continue;
			if (metric == 2) {
				output_prom_mapping(report, name, entry, NULL,
						    report->flows[entry->to.id]);
				continue;
			}
			output_prom_mapping(report, name, entry, "out",
					    metric ? stats->bytes_out : stats->packets_out);
			output_prom_mapping(report, name, entry, "in",
					    metric ? stats->bytes_in : stats->packets_in);
		}
	}
}

static int output_prom_targets(const struct proxy_report *report)
{
	struct table_target *targets;
	char addr[ADDR_TEXT_LEN];
	size_t count;
	int err = table_targets(report->table, report->maps, &targets, &count);

	if (err)
		return err;
	output_prom_head(
		report->out, "target_up", "gauge",
		"1: packets can be sent to the target; 0: it has no route, or its next hop "
		"does not answer.");
	for (size_t i = 0; i < count; i++)
		fprintf(report->out, "proxy_target_up{iface=\"%s\",target=\"%s\"} %d\n",
			report->ifname, addr_text(&targets[i].addr, 0, addr), !targets[i].down);
	free(targets);
	return 0;
}

/* One metric without labels but the interface. */
static void output_prom_value(const struct proxy_report *report, const char *metric,
			      const char *type, const char *help, __u64 value)
{
	output_prom_head(report->out, metric, type, help);
	fprintf(report->out, "proxy_%s{iface=\"%s\"} %llu\n", metric, report->ifname, value);
}

static int output_prom_counters(const struct proxy_report *report)
{
	__u64 counters[PROXY_COUNTER_MAX];
	int err = maps_counters(report->maps, counters);

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
	output_prom_value(report, #field "_total", "counter", "Number of " text ".",               \
			  counters[PROXY_##name]);
	PROXY_EVENTS(EVENT_LINES)
#undef EVENT_LINES
	return 0;
}

static int output_prom(struct proxy_report *report)
{
	output_each_flow(report, true, false);
	output_prom_mappings(report);
	output_prom_value(report, "flows", "gauge", "Flows in the table.", report->flow_count);
	output_prom_value(report, "max_flows", "gauge", "Flows that the table has room for.",
			  report->maps->max_entries[MAPS_FLOWS]);
	return output_prom_targets(report) ?: output_prom_counters(report);
}

/* --- text and jsonl --- */

static int output_both_maps(struct proxy_report *report)
{
	bool text = report->format == PROXY_TEXT;

	output_each_flow(report, true, false);
	if (text)
		fputs("== Egress ==\n", report->out);
	output_all_mappings(report);
	if (text)
		fputs("== Ingress ==\n", report->out);
	output_each_flow(report, false, true);
	return output_totals(report);
}

int output_report(FILE *out, const struct table *table, const struct maps *maps, const char *ifname,
		  enum proxy_format format)
{
	struct proxy_report report;
	int err = output_open(&report, out, table, maps, ifname, format);

	if (!err)
		err = format == PROXY_PROM ? output_prom(&report) : output_both_maps(&report);
	output_close(&report);
	return err ? log_err(err, "cannot read the tables of %s", ifname) : 0;
}

int output_mappings(FILE *out, const struct table *table, const struct maps *maps,
		    const char *ifname, enum proxy_format format)
{
	struct proxy_report report;
	int err = output_open(&report, out, table, maps, ifname, format);

	if (!err) {
		output_each_flow(&report, true, false);
		output_all_mappings(&report);
	}
	output_close(&report);
	return err ? log_err(err, "cannot read the tables of %s", ifname) : 0;
}
