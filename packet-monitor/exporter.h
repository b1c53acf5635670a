/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Flows for an IPFIX collector (--ipfix). Each packet is in one record: of its flow when that
 * leaves the table, or has its turn, which comes once per active time-out.
 */
#ifndef EXPORTER_H
#define EXPORTER_H

#include "collector.h"
#include "interfaces.h"
#include "ipfix.h"
#include "loop.h"

struct exporter_config {
	struct collector_config collector; /* its @text is NULL: no export */
	__u64 active_ns;
	__u32 domain;
};

/* What a flow has been exported with, by the number of its slot. */
struct exporter_mark {
	struct pm_count count; /* no packets: nothing yet */
	__u64 at_ms;	       /* when that was; CLOCK_REALTIME */
};

/* A message that may have to be sent again. */
struct exporter_sent {
	__u64 end;  /* number of the record behind its last one */
	__u64 mark; /* TCP: bytes of the connection up to its end; UDP: when it was sent */
};

enum { EXPORTER_SENT_MAX = 4096 };

/* All zero: nothing is exported. */
struct exporter {
	const struct exporter_config *config; /* the caller's */
	struct interfaces *interfaces;	      /* the caller's */
	struct loop *loop;		      /* the caller's */
	struct loop_fd watch;
	struct loop_timer tick;
	struct collector collector;
	struct exporter_mark *marks; /* one per slot */
	/*
	 * Records on their way, a ring. They have numbers since the start: before @confirmed they
	 * need no care any more, up to @sent they have been sent, up to @added they wait.
	 */
	struct ipfix_record *records;
	__u64 room, limit; /* of records: now, and at most */
	__u64 confirmed, sent, added;
	__u64 session; /* the first record of this transport session: its sequence number is 0 */
	struct exporter_sent messages[EXPORTER_SENT_MAX]; /* a ring */
	__u32 message_first, message_count;
	bool up;	      /* the collector can be reached, as far as is known */
	bool told;	      /* that it cannot be reached */
	bool templates;	      /* are due */
	bool ending;	      /* flows that are not exported now are lost */
	__u64 down_ns;	      /* since when it cannot be reached */
	__u64 retry_ns;	      /* when to try again; 0: an attempt is being made */
	__u64 probe_ns;	      /* UDP: when that was sent which got no answer yet */
	__u64 refresh_ns;     /* when templates and options data are due again */
	__u64 pass_ns;	      /* when the pass through the table began */
	__u32 cursor;	      /* the next slot of it */
	struct pm_count lost; /* in flows that had to leave without a record, since the start */
	__u64 lost_flows;
	__u64 lost_before; /* flows, before the collector could not be reached */
};

/** exporter_bytes - return the memory that exporting @max_flows takes beside the flow table */
__u64 exporter_bytes(__u32 max_flows);

/**
 * exporter_find - look up the collector; waits for a name server
 * @config: has to live as long as @exporter; nothing happens if it has no collector
 * Failures are reported. Return: 0 or a negative errno.
 */
int exporter_find(struct exporter *exporter, const struct exporter_config *config);

/**
 * exporter_open - begin to export the flows of @interfaces from @loop
 *
 * A collector that cannot be reached is reported and tried again each second. Return: 0 or a
 * negative errno, reported; exporter_close() is right in either case.
 */
int exporter_open(struct exporter *exporter, struct interfaces *interfaces, struct loop *loop);

/** exporter_end - export a flow that leaves the table */
void exporter_end(struct exporter *exporter, const struct flow *flow, enum flow_reason reason);

/** exporter_leave - export what is known of interfaces that are gone, after their last report */
void exporter_leave(struct exporter *exporter);

/**
 * exporter_finish - export all flows of the table; counting has ended
 *
 * Waits for the collector, but no second in which it takes nothing, and only until another signal
 * comes. What is lost is said.
 */
void exporter_finish(struct exporter *exporter);

void exporter_close(struct exporter *exporter);

#endif /* EXPORTER_H */
