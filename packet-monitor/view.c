// SPDX-License-Identifier: GPL-2.0-only
#include "view.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

const char *const sort_names[SORT_KEYS] = {
	[SORT_BYTES] = "bytes", [SORT_PACKETS] = "packets", [SORT_BPS] = "bps", [SORT_PPS] = "pps",
	[SORT_SRC] = "src",	[SORT_DST] = "dst",	    [SORT_AGE] = "age",
};

static __u64 packets_of(const struct pm_count *count)
{
	return count[WAY_FORTH].packets + count[WAY_BACK].packets;
}

static __u64 bytes_of(const struct pm_count *count)
{
	return count[WAY_FORTH].bytes + count[WAY_BACK].bytes;
}

static int largest_first(__u64 a, __u64 b)
{
	return (a < b) - (a > b);
}

static int smallest_first(__u64 a, __u64 b)
{
	return (a > b) - (a < b);
}

static __u32 view_family_of(const struct pm_key *key)
{
	return pm_key_kind(key) & PM_KIND_FAMILY;
}

/* IPv4 addresses by value, as people order them. */
static int compare_address(const struct pm_key *a, const struct pm_key *b, bool destination)
{
	__u32 family = view_family_of(a);

	if (family != view_family_of(b))
		return smallest_first(family, view_family_of(b));
	if (family == PM_KIND_IPV6)
		return memcmp(&a->addr[destination ? 2 : 0], &b->addr[destination ? 2 : 0], 16);
	if (family == PM_KIND_IPV4)
		return smallest_first(ntohl((__u32)(a->addr[0] >> (destination ? 32 : 0))),
				      ntohl((__u32)(b->addr[0] >> (destination ? 32 : 0))));
	return smallest_first(a->addr[destination], b->addr[destination]);
}

static int compare_source(const struct pm_key *a, const struct pm_key *b)
{
	return compare_address(a, b, false) ?: smallest_first(pm_key_sport(a), pm_key_sport(b));
}

static int compare_destination(const struct pm_key *a, const struct pm_key *b)
{
	return compare_address(a, b, true) ?: smallest_first(pm_key_dport(a), pm_key_dport(b));
}

int row_compare(const struct row *a, const struct row *b, enum sort sort)
{
	int order = 0;

	switch (sort) {
	case SORT_BYTES:
		break;
	case SORT_PACKETS:
		order = largest_first(packets_of(a->total), packets_of(b->total));
		break;
	case SORT_BPS:
		order = largest_first(bytes_of(a->interval), bytes_of(b->interval));
		break;
	case SORT_PPS:
		order = largest_first(packets_of(a->interval), packets_of(b->interval));
		break;
	case SORT_SRC:
		order = compare_source(&a->key, &b->key) ?: compare_destination(&a->key, &b->key);
		break;
	case SORT_DST:
		order = compare_destination(&a->key, &b->key) ?: compare_source(&a->key, &b->key);
		break;
	case SORT_AGE:
		order = largest_first(a->age_ns, b->age_ns);
		break;
	case SORT_KEYS:
		break;
	}
	/* Equal rows keep their places from report to report. */
	return order ?: largest_first(bytes_of(a->total), bytes_of(b->total))
		     ?: compare_source(&a->key, &b->key)
		     ?: compare_destination(&a->key, &b->key)
		     ?: smallest_first(a->key.meta, b->key.meta)
		     ?: smallest_first(a->key.inner_vlan, b->key.inner_vlan)
		     ?: (a->monitor > b->monitor) - (a->monitor < b->monitor);
}

static int view_compare(const struct view_config *config, const struct row *a, const struct row *b)
{
	return config->reverse ? row_compare(b, a, config->sort) : row_compare(a, b, config->sort);
}

/* The rows are a heap whose first one is to be shown last: the first to make room for a better. */
static void heap_sift_down(const struct view *view, size_t at, size_t count)
{
	struct row *rows = view->rows, row = rows[at];
	size_t child;

	while ((child = 2 * at + 1) < count) {
		if (child + 1 < count &&
		    view_compare(&view->config, &rows[child + 1], &rows[child]) > 0)
			child++;
		if (view_compare(&view->config, &rows[child], &row) <= 0)
			break;
		rows[at] = rows[child];
		at = child;
	}
	rows[at] = row;
}

static void heap_make(const struct view *view, size_t count)
{
	for (size_t at = count / 2; at-- > 0;)
		heap_sift_down(view, at, count);
}

static void heap_offer(const struct view *view, const struct row *row, size_t count)
{
	if (view_compare(&view->config, row, &view->rows[0]) >= 0)
		return;
	view->rows[0] = *row;
	heap_sift_down(view, 0, count);
}

static struct row *view_append(struct view *view, const struct row *row)
{
	if (view->count == view->room) {
		size_t room = view->room ? view->room * 2 : 64;
		struct row *rows = reallocarray(view->rows, room, sizeof(*rows));

		if (!rows) {
			view->failed = true;
			return NULL;
		}
		view->rows = rows;
		view->room = room;
	}
	view->rows[view->count] = *row;
	return &view->rows[view->count++];
}

static size_t hash_place(const struct view *view, const struct monitor *monitor,
			 const struct pm_key *key)
{
	__u64 hash = key->meta ^ (__u64)(size_t)monitor;

	for (int i = 0; i < 4; i++) {
		hash = (hash ^ key->addr[i]) * 0xc4ceb9fe1a85ec53ULL;
		hash ^= hash >> 32;
	}
	for (size_t at = hash & (view->hash_size - 1);; at = (at + 1) & (view->hash_size - 1)) {
		const struct row *other = &view->rows[view->hash[at] - 1];

		if (!view->hash[at] ||
		    (other->monitor == monitor && !memcmp(&other->key, key, sizeof(*key))))
			return at;
	}
}

struct row *view_find(const struct view *view, const struct monitor *monitor,
		      const struct pm_key *key)
{
	__u32 number = view->hash ? view->hash[hash_place(view, monitor, key)] : 0;

	return number ? &view->rows[number - 1] : NULL;
}

/* Twice the rows at least, so that the search ends soon. */
static bool hash_grow(struct view *view)
{
	size_t size = view->hash_size ? view->hash_size * 2 : 256;
	__u32 *hash = calloc(size, sizeof(*hash));

	if (!hash) {
		view->failed = true;
		return false;
	}
	free(view->hash);
	view->hash = hash;
	view->hash_size = size;
	for (size_t i = 0; i < view->count; i++)
		view->hash[hash_place(view, view->rows[i].monitor, &view->rows[i].key)] =
			(__u32)i + 1;
	return true;
}

static void view_merge(struct view *view, const struct row *row)
{
	struct row *known;
	size_t at;

	if (view->hash_size <= view->count * 2 && !hash_grow(view))
		return;
	at = hash_place(view, row->monitor, &row->key);
	if (!view->hash[at]) {
		if (view_append(view, row))
			view->hash[at] = (__u32)view->count;
		return;
	}
	known = &view->rows[view->hash[at] - 1];
	for (int way = 0; way < WAYS; way++) {
		pm_count_add(&known->total[way], &row->total[way]);
		pm_count_add(&known->interval[way], &row->interval[way]);
	}
	if (row->age_ns > known->age_ns)
		known->age_ns = row->age_ns;
	known->flows += row->flows;
	known->server = known->server ?: row->server;
}

/* Exchange the counts of the two ways. */
static void view_turn(struct row *row)
{
	struct pm_count total = row->total[WAY_BACK], interval = row->interval[WAY_BACK];

	row->total[WAY_BACK] = row->total[WAY_FORTH];
	row->interval[WAY_BACK] = row->interval[WAY_FORTH];
	row->total[WAY_FORTH] = total;
	row->interval[WAY_FORTH] = interval;
	row->server = server_turn(row->server);
}

static struct pm_key swap_ends(const struct pm_key *key)
{
	__u32 ports = (__u32)pm_key_dport(key) << 16 | pm_key_sport(key);
	struct pm_key swapped = { .meta = (key->meta & ~0xffffffffULL) | ports, .last = key->last };

	switch (view_family_of(key)) {
	case PM_KIND_IPV4:
		swapped.addr[0] = key->addr[0] << 32 | key->addr[0] >> 32;
		break;
	case PM_KIND_IPV6:
		memcpy(&swapped.addr[0], &key->addr[2], 16);
		memcpy(&swapped.addr[2], &key->addr[0], 16);
		break;
	default:
		swapped.meta = key->meta; /* the EtherType stays where it is */
		swapped.addr[0] = key->addr[1];
		swapped.addr[1] = key->addr[0];
	}
	return swapped;
}

static bool is_icmp(const struct pm_key *key)
{
	return view_family_of(key) != PM_KIND_OTHER &&
	       (pm_key_proto(key) == IPPROTO_ICMP || pm_key_proto(key) == IPPROTO_ICMPV6);
}

/*
 * Both ways under one key: the end with the higher port, most likely the client, comes first.
 * select_rows() turns the rows for which more is known.
 */
static void to_biflow(struct row *row)
{
	struct pm_key back;

	row->key.meta &= ~((__u64)PM_KIND_EGRESS << 40);
	if (is_icmp(&row->key)) /* a request and its reply differ in their type */
		row->key.meta &= ~0xffffffffULL;
	back = swap_ends(&row->key);
	if (pm_key_sport(&row->key) > pm_key_dport(&row->key) &&
	    view_family_of(&row->key) != PM_KIND_OTHER)
		return;
	if ((pm_key_sport(&row->key) < pm_key_dport(&row->key) &&
	     view_family_of(&row->key) != PM_KIND_OTHER) ||
	    compare_source(&row->key, &back) > 0) {
		row->key = back;
		view_turn(row);
	}
}

/* @row's counters under one of its two hosts. */
static void merge_host(struct view *view, const struct row *row, bool destination)
{
	struct pm_key key = destination ? swap_ends(&row->key) : row->key;
	struct row host = *row;

	host.key = (struct pm_key){ .meta = pm_key_meta(0, 0, (__u8)view_family_of(&key), 0) };
	switch (view_family_of(&key)) {
	case PM_KIND_IPV4:
		host.key.addr[0] = (__u32)key.addr[0];
		break;
	case PM_KIND_IPV6:
		memcpy(host.key.addr, key.addr, 16);
		break;
	default:
		host.key.addr[0] = key.addr[0];
	}
	if (destination)
		view_turn(&host);
	view_merge(view, &host);
}

/* Whether the source is the server: where nothing tells, the lower port is most likely its. */
static bool from_server(const struct row *row, __u16 sport, __u16 dport)
{
	return row->server == SERVER_SRC || (!row->server && sport < dport);
}

static void to_port(struct row *row)
{
	__u16 sport = pm_key_sport(&row->key), dport = pm_key_dport(&row->key);
	bool ports = view_family_of(&row->key) != PM_KIND_OTHER && !is_icmp(&row->key);
	__u32 family = view_family_of(&row->key) == PM_KIND_OTHER ? PM_KIND_OTHER : 0;
	bool back;

	if (family == PM_KIND_OTHER)
		sport = dport;
	else if (!ports)
		sport = dport = 0;
	back = from_server(row, sport, dport);
	row->key = (struct pm_key){ .meta = pm_key_meta(back ? sport : dport,
							pm_key_proto(&row->key), (__u8)family, 0) };
	if (back)
		view_turn(row);
}

/* The client uses another port for each connection; ICMP has types instead. */
static void to_service(struct row *row)
{
	__u16 sport = pm_key_sport(&row->key), dport = pm_key_dport(&row->key);
	__u64 without = (__u64)PM_KIND_FRAGMENT << 40;

	if (is_icmp(&row->key))
		without |= 0xffffffff;
	else if (view_family_of(&row->key) != PM_KIND_OTHER)
		without |= from_server(row, sport, dport) ? 0xffff : 0xffff0000;
	row->key.meta &= ~without;
	if (pm_key_direction(&row->key) == PM_EGRESS)
		view_turn(row);
}

static void to_interface(struct row *row)
{
	if (pm_key_direction(&row->key) == PM_EGRESS)
		view_turn(row);
	row->key = (struct pm_key){ 0 };
}

static void to_protocol(struct row *row)
{
	enum pm_direction dir = pm_key_direction(&row->key);
	__u32 family = view_family_of(&row->key);

	row->key = (struct pm_key){ .meta = pm_key_meta(
					    family == PM_KIND_OTHER ? pm_key_dport(&row->key) : 0,
					    pm_key_proto(&row->key), (__u8)family, 0) };
	if (dir == PM_EGRESS)
		view_turn(row);
}

static bool view_matches(const struct view *view, const struct row *row)
{
	return !view->config.matches || view->config.matches(view->config.arg, row);
}

/* Whether rows of @group take both directions together. */
static bool view_adds_up(enum group group)
{
	return group != GROUP_NONE && group != GROUP_INTERFACE && group != GROUP_SERVICE;
}

void view_begin(struct view *view, const struct view_config *config)
{
	view->config = *config;
	view->count = view->found = 0;
	view->failed = false;
	if (view->hash)
		memset(view->hash, 0, view->hash_size * sizeof(*view->hash));
}

void view_add(struct view *view, const struct monitor *monitor, const struct flow *flow)
{
	struct row row = { .monitor = monitor,
			   .key = *flow->key,
			   .total = { flow->total },
			   .interval = { flow->interval },
			   .age_ns = flow->age_ns,
			   .flows = 1,
			   .server = flow->server };
	const bool *direction = monitor->config->counter.direction;
	const bool *hidden = view->config.hidden;
	size_t limit = view->config.limit;

	if (hidden[pm_key_direction(flow->key)] ||
	    (view->config.changed && !flow->interval.packets))
		return;
	/* Both hooks of lo see each packet: what adds up both directions would count it twice. */
	if (view_adds_up(view->config.group) && monitor->iface.loopback && direction[PM_INGRESS] &&
	    !hidden[PM_INGRESS] && pm_key_direction(flow->key) == PM_EGRESS)
		return;
	switch (view->config.group) {
	case GROUP_NONE:
		if (!view_matches(view, &row))
			return;
		view->found++;
		if (!limit || view->count < limit) {
			view_append(view, &row);
			if (view->count == limit)
				heap_make(view, limit);
		} else {
			heap_offer(view, &row, limit);
		}
		return;
	case GROUP_BIFLOW:
		to_biflow(&row);
		break;
	case GROUP_HOST:
		merge_host(view, &row, false);
		merge_host(view, &row, true);
		return;
	case GROUP_PORT:
		to_port(&row);
		break;
	case GROUP_PROTOCOL:
		to_protocol(&row);
		break;
	case GROUP_INTERFACE:
		to_interface(&row);
		break;
	case GROUP_SERVICE:
		to_service(&row);
		break;
	}
	view_merge(view, &row);
}

/* Groups are complete only now: keep the first rows. */
static void select_rows(struct view *view)
{
	size_t limit = view->config.limit, kept = 0;

	for (size_t i = 0; i < view->count; i++)
		if (view->config.group == GROUP_BIFLOW && view->rows[i].server == SERVER_SRC) {
			view->rows[i].key = swap_ends(&view->rows[i].key);
			view_turn(&view->rows[i]);
		}
	for (size_t i = 0; i < view->count; i++)
		if (view_matches(view, &view->rows[i]))
			view->rows[kept++] = view->rows[i];
	view->found = view->count = kept;
	if (!limit || view->count <= limit)
		return;
	heap_make(view, limit);
	for (size_t i = limit; i < view->count; i++)
		heap_offer(view, &view->rows[i], limit);
	view->count = limit;
}

static int compare_rows(const void *a, const void *b, void *config)
{
	return view_compare(config, a, b);
}

void view_end(struct view *view)
{
	if (view->config.group != GROUP_NONE)
		select_rows(view);
	if (view->count)
		qsort_r(view->rows, view->count, sizeof(*view->rows), compare_rows, &view->config);
}

void view_free(struct view *view)
{
	free(view->rows);
	free(view->hash);
	memset(view, 0, sizeof(*view));
}
