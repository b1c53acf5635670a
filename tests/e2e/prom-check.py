#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""prom-check.py FILE...: whether files are in the text format of Prometheus, version 0.0.4, as its
parser and "promtool check metrics" take it. Several are scrapes in order: no counter of a series
that is in two of them may have gone down. Prints what is wrong; exit status 1 if anything is."""
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{LABEL})(?:,{LABEL})*)?\}})? (-?[0-9]+(?:\.[0-9]+)?)$")
wrong = []


def read(path):
    """Return the counters of a file: series -> value."""
    helps, types, series, counters = set(), {}, set(), {}
    family = None  # its lines have to stand together
    with open(path, "rb") as file:
        text = file.read().decode("utf-8")  # fails if it is not valid
    if not text.endswith("\n"):
        wrong.append(f"{path}: the last line is cut")
    for number, line in enumerate(text.splitlines(), 1):

        def bad(why):
            wrong.append(f"{path}:{number}: {why}: {line}")

        comment = re.fullmatch(rf"# (HELP|TYPE) ({NAME}) (.+)", line)
        if comment and comment[1] == "HELP":
            if comment[2] in helps:
                bad("a second HELP")
            family = comment[2]
            helps.add(family)
            continue
        if comment:
            if comment[2] != family or family in types:
                bad("TYPE has to follow its HELP, once")
            if comment[3] not in ("counter", "gauge"):
                bad("a type of no use here")
            if (comment[3] == "counter") != family.endswith("_total"):
                bad("counters end in _total, and nothing else does")
            types[family] = comment[3]
            continue
        sample = SAMPLE.fullmatch(line)
        if not sample:
            bad("neither a comment nor a sample")
            continue
        name, labels, value = sample.groups()
        if name != family or name not in types:
            bad("not behind the HELP and TYPE of its metric")
        key = name, tuple(sorted(re.findall(LABEL, labels or "")))
        if len({label.split("=")[0] for label in key[1]}) != len(key[1]):
            bad("a label twice")
        if key in series:
            bad("a series twice")
        series.add(key)
        if types.get(name) == "counter":
            counters[key] = float(value)
    if not series:
        wrong.append(f"{path}: no sample")
    return counters


before = {}
for each in sys.argv[1:]:
    now = read(each)
    wrong += [f"{each}: {key} went from {before[key]} to {now[key]}"
              for key in now if key in before and now[key] < before[key]]
    before.update(now)
print("\n".join(wrong))
sys.exit(bool(wrong))
