#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""prometheus-check.py URL INTERVAL REPORTS SUMS: what Prometheus has stored of packet-monitor -o
prom, which has made so many reports: no counter ever falls, no rate is negative, and the series
have grown by what the interface has. SUMS: what prom-watch.py has printed. Prints what is wrong,
exit status 1; or a line of figures. Exit status 3: a report was never scraped, or something was
still sent when the last one was made, so that nothing can be said."""
import collections
import json
import sys
import urllib.parse
import urllib.request

url, interval, reports = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
with open(sys.argv[4], encoding="utf-8") as file:
    sums = [tuple(map(int, line.split())) for line in file]
wrong = []


def query(what, **more):
    path = "query_range" if more else "query"
    data = urllib.parse.urlencode({"query": what, **more}).encode()
    with urllib.request.urlopen(f"{url}/api/v1/{path}", data) as answer:
        return json.load(answer)["data"]["result"]


def growth(metric):
    """Return by how much the series of a counter have grown, for each direction."""
    grown = collections.Counter()
    for series in counters:
        if series["metric"]["__name__"] == f"packet_monitor_{metric}_total":
            first, last = (float(series["values"][at][1]) for at in (0, -1))
            grown[series["metric"]["dir"]] += last - first
    return grown


def by_scrape(metric):
    """Return the sums of a counter over its series: time of the scrape -> sum."""
    at = collections.Counter()
    for series in counters:
        if series["metric"]["__name__"] == f"packet_monitor_{metric}_total":
            for time, value in series["values"]:
                at[time] += int(value)
    return at


counters = query('{__name__=~"packet_monitor_.*_total"}[1h]')
totals, flows = by_scrape("packets"), by_scrape("flow_packets")
missed = set(sums) - {(totals[time], flows[time]) for time in totals}
if len(sums) < reports or missed or sums[-1] != sums[-2]:
    print(f"{len(sums)} of {reports} reports, of which {missed} were not scraped: {sums}")
    sys.exit(3)

for series in counters:
    values = [float(value) for _, value in series["values"]]
    if values != sorted(values):
        wrong.append(f"{series['metric']} falls: {values[:20]}...")

for unit in "packets", "bytes":
    total, untracked, flow = (growth(f"{what}{unit}") for what in ("", "untracked_", "flow_"))
    for direction in "in", "out":
        if flow[direction] + untracked[direction] != total[direction]:
            wrong.append(f"{unit} {direction}: flows {flow}, untracked {untracked}, all {total}")
        if not flow[direction]:
            wrong.append(f"nothing has been counted: {unit} {direction}")

# Each second, over windows of four reports.
begin, end = min(totals), max(totals)
window = f"[{int(4 * interval * 1000)}ms]"
FLOWS = "packet_monitor_flow_packets_total"
negative = query(f"rate({FLOWS}{window}) < 0", start=begin, end=end, step=1)
if negative:
    wrong.append(f"negative rates: {negative[0]}")
resets = query(f"resets({FLOWS}[1h]) > 0")
if resets:
    wrong.append(f"resets: {resets[0]}")
off = [
    abs(float(value))
    for series in query(
        f"sum(rate({FLOWS}{window})) / (sum(rate(packet_monitor_packets_total{window})) - "
        f"sum(rate(packet_monitor_untracked_packets_total{window}))) - 1",
        start=begin + 4 * interval, end=max(begin + 4 * interval, end - 8 * interval), step=1)
    for _, value in series["values"]
]
print("\n".join(wrong) or f"{reports} reports, {len(totals)} scrapes, {len(counters)} counters; "
      f"the sum of rates is off by {max(off, default=0):.1%} at most")
sys.exit(bool(wrong))
