/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * IPFIX messages (RFC 7011) of flows and of what a collector needs besides. The names of fields are
 * those of IANA's registry (RFC 7012). Nothing here sends or allocates anything.
 */
#ifndef IPFIX_H
#define IPFIX_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "packet-monitor.h"

/* The sets that follow a template. */
enum ipfix_set {
	IPFIX_IPV4 = 256,
	IPFIX_IPV6,
	IPFIX_OTHER,	/* a flow that is not IP */
	IPFIX_NAME,	/* options: the name of an interface */
	IPFIX_IGNORED,	/* options: what was counted without a flow */
	IPFIX_NOT_SENT, /* options: what the exporter could not send */
	IPFIX_SETS_END
};

/* Values of flowEndReason. */
enum ipfix_reason {
	IPFIX_REASON_IDLE = 1,
	IPFIX_REASON_ACTIVE,	/* it goes on, in a further record */
	IPFIX_REASON_END,	/* its interface is gone */
	IPFIX_REASON_FORCED,	/* the tool ends */
	IPFIX_REASON_RESOURCES, /* it was removed to make room */
};

/* One data record. Times are CLOCK_REALTIME, in milliseconds. */
struct ipfix_record {
	__u16 set;	/* enum ipfix_set */
	__u8 direction; /* enum pm_direction; not for IPFIX_NAME and IPFIX_NOT_SENT */
	__u8 reason;	/* enum ipfix_reason; flows */
	__u32 ifindex;	/* IPFIX_NOT_SENT: the process id */
	__u64 packets;	/* flows: since the record before; options: since the start */
	__u64 bytes;	/* likewise */
	__u64 first_ms; /* flows: first packet of this record */
	__u64 last_ms;	/* flows: last packet of this record */
	union {
		struct pm_key key;	/* flows */
		char name[IF_NAMESIZE]; /* IPFIX_NAME */
		__u64 flows;		/* IPFIX_NOT_SENT */
	};
};

/** ipfix_set_of - return the set that a record of the flow @key belongs to */
enum ipfix_set ipfix_set_of(const struct pm_key *key);

/** ipfix_is_flow - return whether @record is one of a flow, and no options record */
static inline bool ipfix_is_flow(const struct ipfix_record *record)
{
	return record->set <= IPFIX_OTHER;
}

/* A message that is written. */
struct ipfix_message {
	__u8 *bytes; /* the caller's */
	size_t size; /* of @bytes; 65535 at most */
	size_t len;  /* so far */
	size_t open; /* where the set begins that is written; 0: none */
	__u32 count; /* data records */
};

/* Room that a message with all templates takes, and one with any single record. */
enum { IPFIX_SIZE_MIN = 512 - 28 };

/**
 * ipfix_begin - begin a message
 * @bytes: room for @size bytes, IPFIX_SIZE_MIN or more
 * @sequence: how many data records this transport session has carried before
 * @now_s: CLOCK_REALTIME, in seconds
 */
void ipfix_begin(struct ipfix_message *message, __u8 *bytes, size_t size, __u32 domain,
		 __u32 sequence, __u32 now_s);

/** ipfix_templates - add all templates; only to a message that has just begun */
void ipfix_templates(struct ipfix_message *message);

/** ipfix_add - add a data record; Return: whether there was room for it */
bool ipfix_add(struct ipfix_message *message, const struct ipfix_record *record);

/** ipfix_end - write the lengths; @message->len is now that of the whole message */
void ipfix_end(struct ipfix_message *message);

#endif /* IPFIX_H */
