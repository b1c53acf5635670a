// SPDX-License-Identifier: GPL-2.0-only
/*
 * The text format of Prometheus. The number of series is bounded: those of rows with a place (see
 * series.h), and one of all other rows for each interface and direction.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "log.h"
#include "output.h"
#include "text.h"

enum prom_unit { PROM_PACKETS, PROM_BYTES, PROM_UNITS };

static const char *const prom_units[PROM_UNITS] = { "packets", "bytes" };
static const char *const prom_directions[PM_DIRECTIONS] = { "in", "out" };

/* What the series of a group are called, and which directions they tell apart. */
static const struct prom_group {
	const char *name;
	const char *ways[WAYS];
	bool by_hook; /* these are the hooks */
} prom_groups[] = {
	[GROUP_HOST] = { "host", { "sent", "received" }, false },
	[GROUP_PORT] = { "port", { "to", "from" }, false },
	[GROUP_PROTOCOL] = { "protocol", { "in", "out" }, true },
	[GROUP_SERVICE] = { "flow", { "in", "out" }, true },
};

/* A hook to show. */
struct prom_hook {
	const struct monitor *monitor;
	enum pm_direction dir;
	bool first; /* of its interface */
};

/* A report on its way to @out. */
struct prom {
	FILE *out;
	const struct report *report;
	char metric[64]; /* that is being printed */
	struct prom_hook *hooks;
	int count;
};

/* Begin a metric: a "counter" or a "gauge". */
static void prom_begin(struct prom *prom, const char *type, const char *help, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void prom_begin(struct prom *prom, const char *type, const char *help, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(prom->metric, sizeof(prom->metric), fmt, args);
	va_end(args);
	fprintf(prom->out, "# HELP packet_monitor_%s %s\n# TYPE packet_monitor_%s %s\n",
		prom->metric, help, prom->metric, type);
}

/* What a sample begins with; @dir: NULL: it has none */
static void prom_labels(const struct prom *prom, const struct monitor *monitor, const char *dir)
{
	fprintf(prom->out, "packet_monitor_%s{iface=\"", prom->metric);
	text_string(prom->out, TEXT_PROMETHEUS, monitor->iface.name);
	fputc('"', prom->out);
	if (dir)
		fprintf(prom->out, ",dir=\"%s\"", dir);
}

static void prom_value(const struct prom *prom, __u64 value)
{
	fprintf(prom->out, "} %llu\n", value);
}

static __u64 prom_in(int unit, const struct pm_count *count)
{
	return unit == PROM_BYTES ? count->bytes : count->packets;
}

/* --- which hooks --- */

/*
 * Whether to show an interface: not if it is gone and another has its name. A series that is there
 * twice would make the whole file invalid.
 */
static bool prom_shows(const struct report *report, const struct monitor *monitor)
{
	bool behind = false;

	for (int i = 0; monitor->gone && i < report->monitor_count; i++) {
		const struct monitor *other = report->monitors[i];

		if (other == monitor)
			behind = true;
		else if (!strcmp(other->iface.name, monitor->iface.name) &&
			 (!other->gone || behind))
			return false;
	}
	return true;
}

static void prom_add_hooks(struct prom *prom, const struct monitor *monitor)
{
	bool first = true;

	for (int dir = 0; dir < PM_DIRECTIONS; dir++) {
		if (!monitor->config->counter.direction[dir])
			continue;
		prom->hooks[prom->count++] = (struct prom_hook){ monitor, dir, first };
		first = false;
	}
}

static int prom_open(struct prom *prom, FILE *out, const struct report *report)
{
	size_t hooks = (size_t)report->monitor_count * PM_DIRECTIONS;

	*prom = (struct prom){ .out = out, .report = report };
	prom->hooks = calloc(hooks ?: 1, sizeof(*prom->hooks));
	if (!prom->hooks)
		return -ENOMEM;
	for (int i = 0; i < report->monitor_count; i++)
		if (prom_shows(report, report->monitors[i]))
			prom_add_hooks(prom, report->monitors[i]);
	return 0;
}

/* --- totals --- */

static const struct totals *prom_totals_of(const struct prom_hook *hook)
{
	return &hook->monitor->totals[hook->dir];
}

static __u64 prom_all(const struct prom_hook *hook, int unit)
{
	return prom_in(unit, &prom_totals_of(hook)->all);
}

static __u64 prom_matched(const struct prom_hook *hook, int unit)
{
	struct pm_count matched = totals_matched(prom_totals_of(hook));

	return prom_in(unit, &matched);
}

static __u64 prom_retired(const struct prom_hook *hook, int unit)
{
	return prom_in(unit, &prom_totals_of(hook)->retired);
}

static __u64 prom_flows(const struct prom_hook *hook, int unit)
{
	(void)unit;
	return prom_totals_of(hook)->flow_count;
}

static __u64 prom_retired_flows(const struct prom_hook *hook, int unit)
{
	(void)unit;
	return prom_totals_of(hook)->retired_flows;
}

/* A sample for each hook. */
static void prom_hooks(const struct prom *prom, int unit,
		       __u64 (*get)(const struct prom_hook *hook, int unit))
{
	for (int i = 0; i < prom->count; i++) {
		const struct prom_hook *hook = &prom->hooks[i];

		prom_labels(prom, hook->monitor, prom_directions[hook->dir]);
		prom_value(prom, get(hook, unit));
	}
}

/* Packets and bytes of each hook; @what: with "_" behind it, or "" */
static void prom_totals(struct prom *prom, const char *what, const char *help,
			__u64 (*get)(const struct prom_hook *hook, int unit))
{
	for (int unit = 0; unit < PROM_UNITS; unit++) {
		prom_begin(prom, "counter", help, "%s%s_total", what, prom_units[unit]);
		prom_hooks(prom, unit, get);
	}
}

/* Packets and bytes of each hook by reason, from @first on. */
static void prom_reasons(struct prom *prom, const char *what, const char *help, bool partial,
			 int first)
{
	for (int unit = 0; unit < PROM_UNITS; unit++) {
		prom_begin(prom, "counter", help, "%s_%s_total", what, prom_units[unit]);
		for (int i = 0; i < prom->count; i++) {
			const struct prom_hook *hook = &prom->hooks[i];
			const struct totals *totals = prom_totals_of(hook);

			for (int reason = first; reason < PM_REASONS; reason++) {
				prom_labels(prom, hook->monitor, prom_directions[hook->dir]);
				fprintf(prom->out, ",reason=\"%s\"", format_reason(reason));
				prom_value(prom,
					   prom_in(unit, partial ? &totals->partial_reason[reason]
								 : &totals->reason[reason]));
			}
		}
	}
}

/* Something about the table, which all interfaces share: each of them has it. */
static void prom_table(struct prom *prom, const char *what, const char *help, __u64 value)
{
	prom_begin(prom, "gauge", help, "%s", what);
	for (int i = 0; i < prom->count; i++) {
		if (!prom->hooks[i].first)
			continue;
		prom_labels(prom, prom->hooks[i].monitor, NULL);
		prom_value(prom, value);
	}
}

static void prom_tables(struct prom *prom)
{
	__u64 flows = 0, room = 0;

	for (int i = 0; i < prom->count; i++) {
		flows += prom_totals_of(&prom->hooks[i])->flow_count;
		room = prom->hooks[i].monitor->config->counter.max_flows;
	}
	prom_begin(prom, "gauge", "Flows in the table.", "flows");
	prom_hooks(prom, 0, prom_flows);
	prom_begin(prom, "counter", "Flows that have left the table.", "retired_flows_total");
	prom_hooks(prom, 0, prom_retired_flows);
	prom_table(prom, "table_flows", "Flows in the table, of all interfaces that share it.",
		   flows);
	prom_table(prom, "table_max_flows", "Flows that the table has room for.", room);
}

/* --- series --- */

/* Of all series that are not shown: no labels. */
static const struct pm_key prom_no_key;
#define PROM_HIDDEN (&prom_no_key)

/* Labels of a row. @key: NULL: of all rows without a place */
static void prom_row_labels(const struct prom *prom, enum group group, const struct pm_key *key)
{
	char src[FORMAT_ADDRESS_MAX] = "other", dst[FORMAT_ADDRESS_MAX] = "other";
	char proto[FORMAT_PROTO_MAX] = "other";
	bool ports = key && format_has_ports(key);
	FILE *out = prom->out;

	if (key) {
		format_address(src, key, false);
		format_address(dst, key, true);
		format_proto(proto, key);
	}
	switch (group) {
	case GROUP_HOST:
		fprintf(out, ",host=\"%s\"", src);
		break;
	case GROUP_PORT:
		fprintf(out, ",proto=\"%s\"", proto);
		if (ports)
			fprintf(out, ",port=\"%u\"", pm_key_dport(key));
		break;
	case GROUP_PROTOCOL:
		fprintf(out, ",family=\"%s\",proto=\"%s\"", key ? format_family(key) : "other",
			proto);
		break;
	default:
		if (key && pm_key_vlan(key))
			fprintf(out, ",vlan=\"%u\"", pm_key_vlan(key));
		if (key && pm_key_kind(key) & PM_KIND_QINQ)
			fprintf(out, ",inner_vlan=\"%u\"", key->inner_vlan);
		fprintf(out, ",proto=\"%s\",src=\"%s\"", proto, src);
		if (ports && pm_key_sport(key))
			fprintf(out, ",sport=\"%u\"", pm_key_sport(key));
		fprintf(out, ",dst=\"%s\"", dst);
		if (ports && !pm_key_sport(key))
			fprintf(out, ",dport=\"%u\"", pm_key_dport(key));
	}
}

/*
 * The samples of a row, one for each direction.
 * @set: in report->series; @key: NULL: of all rows without a place
 */
static void prom_row(const struct prom *prom, int unit, int set, const struct monitor *monitor,
		     const struct pm_key *key, const struct pm_count count[WAYS])
{
	enum group group = prom->report->series->group;

	for (int way = 0; way < WAYS; way++) {
		if (prom_groups[group].by_hook && !monitor->config->counter.direction[way])
			continue;
		if (group == GROUP_SERVICE && way != set)
			continue;
		prom_labels(prom, monitor, prom_groups[group].ways[way]);
		if (key != PROM_HIDDEN)
			prom_row_labels(prom, group, key);
		prom_value(prom, prom_in(unit, &count[way]));
	}
}

static void prom_places(const struct prom *prom, int unit, int set)
{
	const struct series_set *series = &prom->report->series->sets[set];

	for (size_t i = 0; i < series->count; i++)
		if (prom_shows(prom->report, series->places[i].monitor))
			prom_row(prom, unit, set, series->places[i].monitor, &series->places[i].key,
				 series->places[i].count);
}

/* What each interface has counted in no series: in rows without a place, or @hidden. */
static void prom_rests(const struct prom *prom, int unit, int set, bool hidden)
{
	for (int i = 0; i < prom->count; i++) {
		const struct monitor *monitor = prom->hooks[i].monitor;
		struct series_rest rest =
			series_find_rest(&prom->report->series->sets[set], monitor);

		if (prom->hooks[i].first)
			prom_row(prom, unit, set, monitor, hidden ? PROM_HIDDEN : NULL,
				 hidden ? rest.hidden : rest.other);
	}
}

static void prom_series(struct prom *prom)
{
	enum group group = prom->report->series->group;
	int sets = prom->report->series->count;

	for (int unit = 0; unit < PROM_UNITS && sets; unit++) {
		prom_begin(prom, "counter", "The busiest, and all others as one.", "%s_%s_total",
			   prom_groups[group].name, prom_units[unit]);
		for (int set = 0; set < sets; set++) {
			prom_places(prom, unit, set);
			prom_rests(prom, unit, set, false);
		}
	}
	for (int unit = 0; unit < PROM_UNITS && sets; unit++) {
		prom_begin(prom, "gauge",
			   "Counted in series that are not shown, or begin with this report.",
			   "hidden_%s", prom_units[unit]);
		for (int set = 0; set < sets; set++)
			prom_rests(prom, unit, set, true);
	}
}

void output_prom(FILE *out, const struct report *report)
{
	struct prom prom;

	if (prom_open(&prom, out, report)) {
		log_err(-ENOMEM, "cannot write the report");
		return;
	}
	prom_totals(&prom, "", "Passed the hook, as the wire carries it.", prom_all);
	if (prom.count && prom.hooks[0].monitor->config->counter.filter.count)
		prom_totals(&prom, "matched_", "What the filter accepted.", prom_matched);
	prom_reasons(&prom, "untracked", "Counted without a flow.", false, PM_OK + 1);
	prom_reasons(&prom, "partial", "In flows, but with headers that can be read in part only.",
		     true, PM_TRUNCATED);
	prom_totals(&prom, "retired_", "Of flows that have left the table.", prom_retired);
	prom_tables(&prom);
	prom_series(&prom);
	free(prom.hooks);
}
