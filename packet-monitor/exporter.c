// SPDX-License-Identifier: GPL-2.0-only
#include "exporter.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "number.h"

/* How often a part of the table has its turn, and how often messages are sent while some wait. */
enum { WALK_NS = 100000000, PUMP_NS = 10000000 };

/*
 * Messages at once. 40 datagrams take 92 kB of the collector's buffer, of which Linux gives it
 * 212 kB by default; 40 each 10 ms carry more than 80,000 flows a second.
 */
enum { BURST_UDP = 40, BURST_TCP = 256 };

/* Flows of the table wait in the table while so many records are on their way. */
enum { BACKLOG = 8192 };

/* Records that may wait beside one for each flow. */
enum { EXTRA_RECORDS = 65536 };

#define RETRY_NS NSEC_PER_SEC
#define REFRESH_NS (60 * NSEC_PER_SEC)
/* A router that finds no neighbour for a datagram says so after three seconds. */
#define BOUNCE_NS (4 * NSEC_PER_SEC)
#define PATIENCE_NS NSEC_PER_SEC

static __u64 exporter_wall_ms(void)
{
	return (__u64)(loop_wall_clock() * 1000);
}

static bool exporter_is_tcp(const struct exporter *exporter)
{
	return exporter->config->collector.tcp;
}

static bool exporter_is_shared(const struct exporter *exporter)
{
	return exporter->interfaces->config->monitor.counter.shared;
}

/* --- records on their way --------------------------------------------------------------------- */

static struct ipfix_record *exporter_record(const struct exporter *exporter, __u64 number)
{
	return &exporter->records[number & (exporter->room - 1)];
}

static __u64 exporter_pending(const struct exporter *exporter)
{
	return exporter->added - exporter->sent;
}

static bool exporter_grow(struct exporter *exporter)
{
	__u64 room = exporter->room ? exporter->room * 2 : 1024;
	struct ipfix_record *records;

	if (exporter->room >= exporter->limit)
		return false;
	records = reallocarray(NULL, room, sizeof(*records));
	if (!records)
		return false;
	for (__u64 i = exporter->confirmed; i < exporter->added; i++)
		records[i & (room - 1)] = *exporter_record(exporter, i);
	free(exporter->records);
	exporter->records = records;
	exporter->room = room;
	return true;
}

/* Return: whether there is room for @record. */
static bool exporter_add(struct exporter *exporter, const struct ipfix_record *record)
{
	if (exporter->added - exporter->confirmed == exporter->room && !exporter_grow(exporter)) {
		/* What has been sent may have arrived; what has not been sent has not. */
		if (exporter_is_tcp(exporter) || exporter->confirmed == exporter->sent)
			return false;
		exporter->confirmed++;
	}
	*exporter_record(exporter, exporter->added++) = *record;
	return true;
}

static void exporter_lose(struct exporter *exporter, const struct ipfix_record *record)
{
	if (!ipfix_is_flow(record))
		return;
	exporter->lost.packets += record->packets;
	exporter->lost.bytes += record->bytes;
	exporter->lost_flows++;
}

/* --- what is exported ------------------------------------------------------------------------- */

static void exporter_flow(struct exporter *exporter, const struct flow *flow,
			  enum ipfix_reason reason)
{
	const struct interfaces *interfaces = exporter->interfaces;
	struct exporter_mark *mark = &exporter->marks[flow->slot];
	__u64 now_ms = exporter_wall_ms();
	struct ipfix_record record = { .set = (__u16)ipfix_set_of(flow->key),
				       .direction = (__u8)pm_key_direction(flow->key),
				       .reason = (__u8)reason,
				       .packets = flow->total.packets - mark->count.packets,
				       .bytes = flow->total.bytes - mark->count.bytes,
				       .first_ms = mark->at_ms,
				       .last_ms = now_ms - flow->idle_ns / 1000000,
				       .key = *flow->key };

	if (!record.packets)
		return;
	if (exporter_is_shared(exporter))
		record.ifindex = flow->key->ifindex;
	else if (interfaces->list.count)
		record.ifindex = (__u32)interfaces->list.monitors[0]->iface.ifindex;
	if (!mark->count.packets)
		record.first_ms = now_ms - (loop_now_ns() - flow->first_ns) / 1000000;
	/* The last time is when the tool saw that the flow had moved. */
	if (flow->total.packets == 1 || record.last_ms < record.first_ms)
		record.last_ms = record.first_ms;
	if (exporter->ending || !exporter_add(exporter, &record))
		exporter_lose(exporter, &record);
	*mark = (struct exporter_mark){ .count = flow->total, .at_ms = now_ms };
}

void exporter_end(struct exporter *exporter, const struct flow *flow, enum flow_reason reason)
{
	static const enum ipfix_reason reasons[] = {
		[FLOW_IDLE] = IPFIX_REASON_IDLE,
		[FLOW_EVICTED] = IPFIX_REASON_RESOURCES,
		[FLOW_INTERFACE] = IPFIX_REASON_END,
		[FLOW_EXIT] = IPFIX_REASON_FORCED,
	};

	if (!exporter->marks)
		return;
	exporter_flow(exporter, flow, reasons[reason]);
	/* The next flow in this slot begins at zero. */
	memset(&exporter->marks[flow->slot], 0, sizeof(exporter->marks[flow->slot]));
}

/* A flow has its turn: it goes on, or has been silent for half of the time. */
static void exporter_visit(void *ctx, const struct flow *flow)
{
	struct exporter *exporter = ctx;

	exporter_flow(exporter, flow,
		      flow->idle_ns >= exporter->config->active_ns / 2 ? IPFIX_REASON_IDLE
								       : IPFIX_REASON_ACTIVE);
}

static void exporter_visit_last(void *ctx, const struct flow *flow)
{
	exporter_end(ctx, flow, FLOW_EXIT);
}

/*
 * Let the flows have their turn, a part of the table at a time: each once per active time-out, and
 * never all at once. While the collector does not take them they wait in the table.
 */
static void exporter_walk(struct exporter *exporter, __u64 now_ns)
{
	enum { CHUNK = 1024 };
	struct flow_table *table = &exporter->interfaces->counter.table;
	__u64 active_ns = exporter->config->active_ns, elapsed = now_ns - exporter->pass_ns;
	__u32 limit = slot_table_limit(&table->index), end = limit;

	if (elapsed < active_ns)
		end = (__u32)((double)limit * ((double)elapsed / (double)active_ns));
	while (exporter->cursor < end && exporter_pending(exporter) < BACKLOG) {
		__u32 count = end - exporter->cursor;

		count = count < CHUNK ? count : CHUNK;
		flow_table_walk(table, now_ns, exporter->cursor, exporter->cursor + count,
				exporter_visit, exporter);
		exporter->cursor += count;
	}
	if (elapsed >= active_ns && exporter->cursor >= limit) {
		exporter->pass_ns = now_ns;
		exporter->cursor = 0;
	}
}

static void exporter_interface(struct exporter *exporter, const struct monitor *monitor)
{
	struct ipfix_record record = { .set = IPFIX_NAME,
				       .ifindex = (__u32)monitor->iface.ifindex };
	struct pm_untracked sum = { 0 };

	if (!record.ifindex)
		return;
	memcpy(record.name, monitor->iface.name, sizeof(record.name));
	exporter_add(exporter, &record);
	if (counter_untracked(&exporter->interfaces->counter, &monitor->iface, &sum))
		return;
	record.set = IPFIX_IGNORED;
	for (int dir = 0; dir < PM_DIRECTIONS; dir++) {
		struct pm_count count = { 0 };

		if (!monitor->config->counter.direction[dir])
			continue;
		for (int reason = 0; reason < PM_REASONS; reason++)
			pm_count_add(&count, &sum.count[dir][reason]);
		record.direction = (__u8)dir;
		record.packets = count.packets;
		record.bytes = count.bytes;
		exporter_add(exporter, &record);
	}
}

void exporter_leave(struct exporter *exporter)
{
	if (!exporter->marks || !exporter_is_shared(exporter))
		return;
	for (int i = 0; i < exporter->interfaces->list.count; i++)
		if (exporter->interfaces->list.monitors[i]->gone)
			exporter_interface(exporter, exporter->interfaces->list.monitors[i]);
}

/* Templates over UDP, and options data, again from time to time: some of it may be lost. */
static void exporter_refresh(struct exporter *exporter, __u64 now_ns)
{
	struct ipfix_record record = { .set = IPFIX_NOT_SENT,
				       .ifindex = (__u32)getpid(),
				       .packets = exporter->lost.packets,
				       .bytes = exporter->lost.bytes,
				       .flows = exporter->lost_flows };

	if (now_ns < exporter->refresh_ns)
		return;
	exporter->refresh_ns = now_ns + REFRESH_NS;
	exporter->templates |= !exporter_is_tcp(exporter);
	for (int i = 0; i < exporter->interfaces->list.count; i++)
		exporter_interface(exporter, exporter->interfaces->list.monitors[i]);
	exporter_add(exporter, &record);
}

/* --- messages --------------------------------------------------------------------------------- */

/* Let go of records that need not be sent again. */
static void exporter_confirm(struct exporter *exporter, __u64 now_ns)
{
	bool tcp = exporter_is_tcp(exporter);
	__u64 reached = tcp		     ? collector_taken(&exporter->collector)
			: now_ns > BOUNCE_NS ? now_ns - BOUNCE_NS
					     : 0;

	while (exporter->message_count) {
		const struct exporter_sent *message =
			&exporter->messages[exporter->message_first % EXPORTER_SENT_MAX];

		if (message->mark > reached && (tcp || message->end > exporter->confirmed))
			break;
		if (message->end > exporter->confirmed)
			exporter->confirmed = message->end;
		exporter->message_first++;
		exporter->message_count--;
	}
}

/* Send again from the record @number on. */
static void exporter_rewind(struct exporter *exporter, __u64 number)
{
	exporter->sent = number;
	while (exporter->message_count) {
		__u32 last = exporter->message_first + exporter->message_count - 1;

		if (exporter->messages[last % EXPORTER_SENT_MAX].end <= number)
			break;
		exporter->message_count--;
	}
}

static void exporter_note_sent(struct exporter *exporter, __u64 now_ns)
{
	__u32 next = exporter->message_first + exporter->message_count;

	exporter->messages[next % EXPORTER_SENT_MAX] = (struct exporter_sent){
		.end = exporter->sent,
		.mark = exporter_is_tcp(exporter) ? collector_given(&exporter->collector) : now_ns,
	};
	exporter->message_count++;
}

/*
 * Send one message, with the templates alone or with as many records as there is room for.
 * Return: 0; -ENODATA if there is nothing to send; or as collector_send().
 */
static int exporter_send(struct exporter *exporter, __u64 now_ns, bool only_templates)
{
	__u64 next = exporter->sent;
	__u8 bytes[COLLECTOR_MESSAGE_MAX];
	struct ipfix_message message;
	int err;

	if (exporter->message_count == EXPORTER_SENT_MAX) {
		if (exporter_is_tcp(exporter))
			return -EAGAIN;
		exporter->confirmed =
			exporter->messages[exporter->message_first % EXPORTER_SENT_MAX].end;
		exporter_confirm(exporter, now_ns);
	}
	ipfix_begin(&message, bytes, exporter->collector.size, exporter->config->domain,
		    (__u32)(exporter->sent - exporter->session), (__u32)loop_wall_clock());
	if (exporter->templates)
		ipfix_templates(&message);
	while (!only_templates && next < exporter->added &&
	       ipfix_add(&message, exporter_record(exporter, next)))
		next++;
	if (next == exporter->sent && !exporter->templates)
		return -ENODATA;
	ipfix_end(&message);
	err = collector_send(&exporter->collector, message.bytes, message.len);
	if (err)
		return err;
	exporter->templates = false;
	exporter->sent = next;
	exporter_note_sent(exporter, now_ns);
	return 0;
}

static void exporter_disconnect(struct exporter *exporter)
{
	if (exporter->collector.fd < 0)
		return;
	if (exporter_is_tcp(exporter)) {
		/* What its host has not acknowledged is for the next connection. */
		exporter_confirm(exporter, loop_now_ns());
		exporter_rewind(exporter, exporter->confirmed);
		exporter->message_count = 0;
	}
	loop_remove(exporter->loop, &exporter->watch);
	collector_close(&exporter->collector);
}

/* The collector cannot be reached: keep flows for it, and try again later. */
static void exporter_fail(struct exporter *exporter, int err)
{
	__u64 now_ns = loop_now_ns();

	exporter->up = false;
	exporter->probe_ns = 0;
	exporter->retry_ns = now_ns + RETRY_NS;
	if (!exporter->told) {
		exporter->told = true;
		exporter->down_ns = now_ns;
		exporter->lost_before = exporter->lost_flows;
		log_note("cannot reach the collector %s: %s (flows are kept for it)",
			 exporter->config->collector.text, strerror(-err));
	}
	if (exporter_is_tcp(exporter))
		exporter_disconnect(exporter);
}

static void exporter_succeed(struct exporter *exporter)
{
	__u64 lost = exporter->lost_flows - exporter->lost_before;

	exporter->up = true;
	exporter->probe_ns = exporter->retry_ns = exporter->refresh_ns = 0;
	if (!exporter->told)
		return;
	exporter->told = false;
	log_note("the collector %s can be reached again, after %.1f s; %llu flows were lost",
		 exporter->config->collector.text,
		 (double)(loop_now_ns() - exporter->down_ns) / 1e9, lost);
}

/* Something can be read from the socket. */
static void exporter_on_error(void *arg)
{
	struct exporter *exporter = arg;
	__u32 sequence;
	bool known;
	int err;

	while ((err = collector_error(&exporter->collector, &sequence, &known))) {
		__u32 back = (__u32)(exporter->sent - exporter->session) - sequence;

		/* Whatever was sent since has not arrived either. */
		if (known && back <= exporter->sent - exporter->confirmed)
			exporter_rewind(exporter, exporter->sent - back);
		if (err != -EMSGSIZE)
			exporter_fail(exporter, err);
	}
}

static int exporter_connect(struct exporter *exporter)
{
	int err;

	exporter_disconnect(exporter);
	err = collector_open(&exporter->collector);
	if (err)
		return err;
	exporter->watch.fd = exporter->collector.fd;
	exporter->templates = true;
	exporter->retry_ns = 0;
	if (exporter_is_tcp(exporter))
		exporter->session = exporter->sent;
	return loop_add(exporter->loop, &exporter->watch);
}

/* Make a connection, or find out whether there is an answer. */
static void exporter_try(struct exporter *exporter, __u64 now_ns)
{
	int err = 0;

	if (exporter->retry_ns) {
		if (now_ns < exporter->retry_ns)
			return;
		err = exporter_connect(exporter);
		if (err)
			return exporter_fail(exporter, err);
	}
	if (exporter->probe_ns) {
		/* Nobody has complained of it. */
		if (now_ns - exporter->probe_ns < RETRY_NS)
			return;
		exporter->templates = true;
		return exporter_succeed(exporter);
	}
	err = exporter_send(exporter, now_ns, !exporter_is_tcp(exporter));
	if (err == -EAGAIN || err == -EMSGSIZE)
		return;
	if (err)
		exporter_fail(exporter, err);
	else if (exporter_is_tcp(exporter))
		exporter_succeed(exporter);
	else
		exporter->probe_ns = now_ns;
}

static void exporter_pump(struct exporter *exporter, __u64 now_ns)
{
	int burst = exporter_is_tcp(exporter) ? BURST_TCP : BURST_UDP, err = 0;

	exporter_confirm(exporter, now_ns);
	if (!exporter->up)
		exporter_try(exporter, now_ns);
	for (int i = 0; i < burst && exporter->up && !err; i++)
		err = exporter_send(exporter, now_ns, false);
	if (err && err != -EAGAIN && err != -EMSGSIZE && err != -ENODATA) {
		/* The kernel may know which message it was. */
		exporter_on_error(exporter);
		if (exporter->up)
			exporter_fail(exporter, err);
	}
}

static void exporter_on_tick(void *arg)
{
	struct exporter *exporter = arg;
	__u64 now_ns = loop_now_ns();
	bool busy;

	if (exporter->up) {
		exporter_walk(exporter, now_ns);
		exporter_refresh(exporter, now_ns);
	}
	exporter_pump(exporter, now_ns);
	busy = exporter->up ? exporter_pending(exporter) != 0 : !exporter->retry_ns;
	loop_set(exporter->loop, &exporter->tick, now_ns + (busy ? PUMP_NS : WALK_NS));
}

/* --- begin and end ---------------------------------------------------------------------------- */

__u64 exporter_bytes(__u32 max_flows)
{
	return (__u64)max_flows * sizeof(struct exporter_mark);
}

int exporter_find(struct exporter *exporter, const struct exporter_config *config)
{
	exporter->config = config;
	exporter->collector.fd = -1;
	return config->collector.text ? collector_find(&exporter->collector, &config->collector)
				      : 0;
}

int exporter_open(struct exporter *exporter, struct interfaces *interfaces, struct loop *loop)
{
	__u32 max_flows = interfaces->config->monitor.counter.max_flows;
	int err;

	if (!exporter->config->collector.text)
		return 0;
	exporter->interfaces = interfaces;
	exporter->loop = loop;
	exporter->limit = (__u64)max_flows + EXTRA_RECORDS;
	exporter->marks = calloc(max_flows, sizeof(*exporter->marks));
	if (!exporter->marks || !exporter_grow(exporter))
		return log_err(-ENOMEM, "cannot export flows");
	exporter->watch = (struct loop_fd){ .ready = exporter_on_error, .arg = exporter };
	exporter->tick = (struct loop_timer){ .expired = exporter_on_tick, .arg = exporter };
	exporter->pass_ns = loop_now_ns();
	err = exporter_connect(exporter);
	if (err)
		exporter_fail(exporter, err);
	else if (!exporter_is_tcp(exporter))
		exporter_succeed(exporter);
	loop_set(loop, &exporter->tick, exporter->pass_ns);
	return 0;
}

/*
 * Send until at most @left records wait; for none, until the collector's host has acknowledged all.
 * Give up if it takes nothing for a while, or at another signal.
 */
static void exporter_drain(struct exporter *exporter, __u64 left)
{
	bool all = !left && exporter_is_tcp(exporter);
	__u64 before = ~0ULL, since = 0;

	while (!exporter->ending) {
		struct pollfd ready[] = { { exporter->loop->signals.fd, POLLIN, 0 },
					  { exporter->collector.fd, POLLIN, 0 } };
		__u64 now_ns = loop_now_ns(), reached;

		exporter_pump(exporter, now_ns);
		if (exporter->up && exporter_pending(exporter) <= left &&
		    !(all && exporter->message_count))
			break;
		reached = exporter->sent + exporter->confirmed;
		if (reached != before)
			since = now_ns;
		before = reached;
		if (now_ns - since > PATIENCE_NS ||
		    (poll(ready, 2, PUMP_NS / 1000000) > 0 && ready[0].revents))
			exporter->ending = true;
		else if (ready[1].revents)
			exporter_on_error(exporter);
	}
}

void exporter_finish(struct exporter *exporter)
{
	enum { CHUNK = 4096 };
	struct flow_table *table;
	__u32 limit;

	if (!exporter->marks)
		return;
	table = &exporter->interfaces->counter.table;
	limit = slot_table_limit(&table->index);
	for (__u32 first = 0; first < limit; first += CHUNK) {
		__u32 end = limit - first < CHUNK ? limit : first + CHUNK;

		flow_table_walk(table, loop_now_ns(), first, end, exporter_visit_last, exporter);
		exporter_drain(exporter, BACKLOG);
	}
	exporter->refresh_ns = 0;
	exporter_refresh(exporter, loop_now_ns());
	exporter_drain(exporter, 0);
	exporter_on_error(exporter);
	exporter_disconnect(exporter);
	for (__u64 i = exporter->sent; i < exporter->added; i++)
		exporter_lose(exporter, exporter_record(exporter, i));
	if (exporter->lost_flows)
		log_note("lost for the collector %s: %llu flows, %llu packets, %llu bytes",
			 exporter->config->collector.text, exporter->lost_flows,
			 exporter->lost.packets, exporter->lost.bytes);
}

void exporter_close(struct exporter *exporter)
{
	collector_close(&exporter->collector);
	free(exporter->marks);
	free(exporter->records);
	exporter->marks = NULL;
	exporter->records = NULL;
}
