#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""prom-sums.py FILE...: whether the series of packet-monitor -o prom, what is in no series and what
is in no flow add up to the totals of each interface, in each file. Prints what is wrong, or else
how many rows had a series of their own in any of the files, and how many at most in one of them."""
import collections
import re
import sys

SAMPLE = re.compile(r"packet_monitor_(\w+)\{(.*)\} (\d+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
# Which direction of the totals each direction of a series is part of; "": of both.
GROUPS = {
    "flow": {"in": "in", "out": "out"},
    "protocol": {"in": "in", "out": "out"},
    "host": {"sent": "", "received": ""},
    "port": {"to": "", "from": ""},
}
wrong, rows, most = [], set(), 0


def read(path):
    """Return the samples of a file: name -> [(labels, value)]."""
    samples = collections.defaultdict(list)
    with open(path, encoding="utf-8") as file:
        for match in filter(None, map(SAMPLE.match, file)):
            samples[match[1]].append((dict(LABEL.findall(match[2])), int(match[3])))
    return samples


def check(path):
    global most
    samples = read(path)
    groups = [name for name in GROUPS if f"{name}_packets_total" in samples]
    if len(groups) != 1:
        wrong.append(f"{path}: series of {groups or 'nothing'}")
        return
    group = groups[0]
    for unit in ("packets", "bytes"):
        tracked = collections.Counter()
        for what, sign in ((f"{unit}_total", 1), (f"untracked_{unit}_total", -1)):
            for labels, value in samples[what]:
                for direction in {labels["dir"], ""}:
                    tracked[labels["iface"], direction] += sign * value
        counted = collections.Counter()
        shown = collections.Counter()
        for what in (f"{group}_{unit}_total", f"hidden_{unit}"):
            for labels, value in samples[what]:
                # A packet has one host that sends and one that receives it, and one port.
                part = labels["dir"] if group == "host" else GROUPS[group][labels["dir"]]
                counted[labels["iface"], part] += value
                name = tuple(sorted(labels.items()))
                if what.startswith(group) and "other" not in labels.values():
                    rows.add(name)
                    shown[labels["dir"]] += 1
        most = max([most, *shown.values()])
        if not counted:
            wrong.append(f"{path}: no series")
        for (iface, part), value in counted.items():
            want = tracked[iface, GROUPS[group].get(part, part) if group == "host" else part]
            if value != want:
                wrong.append(f"{path}: {group}_{unit} of {iface} {part}: {value}, not {want}")


for each in sys.argv[1:]:
    check(each)
print("\n".join(wrong) or f"{len(rows)} series, {most} at most")
sys.exit(bool(wrong))
