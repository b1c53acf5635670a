// SPDX-License-Identifier: GPL-2.0-only
/* A million live flows: all are counted, the first twenty are the right ones, memory is bounded. */
#include <linux/if_ether.h>
#include <stdio.h>
#include <sys/resource.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../../packet-monitor/interfaces.h"
#include "../../packet-monitor/view.h"
#include "check.h"

enum { FLOWS = 1000000, ROWS = 20, RSS_LIMIT_KIB = 150000000 / 1024 };

static const struct interfaces_config config = {
	.watched = { .names = (const char *[]){ "lo" }, .count = 1 },
	.monitor.counter = { .direction = { true, false }, .max_flows = 1 << 20 },
};
static const struct view_config top = { .sort = SORT_PACKETS, .limit = ROWS };
static struct interfaces interfaces = INTERFACES_INIT;
static const struct monitor *lo;
static struct view view;
static __u64 now_ns = 1000000000ULL;

static void visit(void *ctx, const struct monitor *monitor, const struct flow *flow)
{
	(void)ctx;
	view_add(&view, monitor, flow);
}

static double cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Return: CPU time, which is shown, but not judged: it depends on the machine. */
static double million_report(void)
{
	double before = cpu_seconds();

	now_ns += 1000000000ULL;
	view_begin(&view, &top);
	if (interfaces_snapshot(&interfaces, now_ns, visit, NULL))
		exit(EXIT_FAILURE);
	view_end(&view);
	return cpu_seconds() - before;
}

static void million_pass(__u32 flow, __u32 packets)
{
	__u8 frame[60] = { [12] = 8, [14] = 0x45, [17] = 46, [23] = 17, [26] = 10, [30] = 11 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame),
		    .repeat = (int)packets);

	memcpy(&frame[27], &flow, 3);
	bpf_prog_test_run_opts(counter_program(&interfaces.counter, &lo->iface, PM_INGRESS), &opts);
}

/* At its highest. */
static long rss_kib(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

int main(void)
{
	double idle, first, again;

	if (!CHECK(!interfaces_open(&interfaces, &config), "opens with a million flows"))
		return check_exit();
	lo = interfaces.list.monitors[0];
	idle = million_report();
	for (__u32 i = 0; i < FLOWS; i++)
		million_pass(i, 1);
	for (__u32 i = 0; i < ROWS; i++) /* spread over the table, with 101 to 120 packets */
		million_pass(i * 50021, 100 + i);
	first = million_report();
	CHECK_EQ(lo->totals[PM_INGRESS].flow_count + lo->totals[PM_INGRESS].untracked.packets,
		 FLOWS, "every flow is in the table or counted as untracked");
	CHECK(lo->totals[PM_INGRESS].untracked.packets < FLOWS / 100000, "hardly any is untracked");
	CHECK_EQ(view.found, lo->totals[PM_INGRESS].flow_count, "the view saw all of them");
	check_begin("the first twenty are the largest twenty, in order");
	for (__u32 i = 0; i < ROWS; i++)
		EXPECT(view.count == ROWS && view.rows[i].total[0].packets == 120 - i,
		       "row %u has %llu packets", i, view.rows[i].total[0].packets);
	check_end();
	again = million_report();
	CHECK(rss_kib() <= RSS_LIMIT_KIB, "resident memory is %ld KiB", rss_kib());
	/* Few slots are free: those that have been idle the longest make room. */
	now_ns += 100 * 1000000000ULL;
	flow_table_relieve(&interfaces.counter.table, now_ns);
	million_report();
	CHECK(lo->totals[PM_INGRESS].retired_flows > FLOWS / 5, "%llu flows make room for others",
	      lo->totals[PM_INGRESS].retired_flows);
	CHECK(rss_kib() <= RSS_LIMIT_KIB, "resident memory is %ld KiB at most", rss_kib());
	printf("# CPU time of a report: %.1f ms without flows, %.1f ms with a million new ones, "
	       "%.1f ms with a million known ones\n",
	       idle * 1e3, first * 1e3, again * 1e3);
	view_free(&view);
	interfaces_close(&interfaces);
	return check_exit();
}
