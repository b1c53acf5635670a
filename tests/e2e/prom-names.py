#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""prom-names.py METRICS FILE...: whether the metrics and labels of a Grafana dashboard (JSON) or of
alert rules (YAML, each expression on one line) are among those of METRICS, a text file of the
format of Prometheus. Prints what is wrong, or else the dashboard's expressions as recording rules,
for promtool."""
import json
import re
import sys

KEYWORDS = {"and", "by", "offset", "or", "unless", "without", "ignoring", "on"}
LABELS_OF_PROMETHEUS = {"__name__", "instance", "job"}
metrics, wrong, expressions = {}, [], []

with open(sys.argv[1], encoding="utf-8") as file:
    for match in re.finditer(r"^([a-z_]\w*)\{(.*)\} ", file.read(), re.M):
        metrics.setdefault(match[1], set()).update(re.findall(r'(\w+)="', match[2]))


def check(where, expression, text):
    """Check an expression, and the labels in a text that is shown with it."""
    known, bare = set(LABELS_OF_PROMETHEUS), re.sub(r'"(\\.|[^"\\])*"', '""', expression)
    for name, labels in re.findall(r"\b([a-z]\w*_\w+)\b(\{[^}]*\})?", bare):
        if name not in metrics:
            if not name.endswith("_over_time") and name not in ("label_values", "rate_interval"):
                wrong.append(f"{where}: no metric {name}")
            continue
        known |= metrics[name]
        for label in re.findall(r"(\w+) *(?:=|!)", labels):
            if label not in metrics[name] | LABELS_OF_PROMETHEUS:
                wrong.append(f"{where}: {name} has no label {label}")
    if known == LABELS_OF_PROMETHEUS and "__name__" not in expression:
        wrong.append(f"{where}: no metric in {expression}")
    shown = re.findall(r"\b(?:by|on|ignoring) *\(([^)]*)\)", bare) + re.findall(
        r"\{\{ *(?:\$labels\.)?(\w+) *\}\}", text)
    for label in re.findall(r"\w+", " ".join(shown)):
        if label not in known:
            wrong.append(f"{where}: no label {label} in {expression}")


def dashboard(path):
    with open(path, encoding="utf-8") as file:
        board = json.load(file)
    for panel in board["panels"]:
        for target in panel["targets"]:
            check(f"{path}: {panel['title']}", target["expr"], target["legendFormat"])
            expressions.append(target["expr"].replace("$__rate_interval", "1m"))
    for variable in board["templating"]["list"]:
        if variable["type"] != "query":
            continue
        match = re.fullmatch(r"label_values\(\{__name__=~\"([\w|]+)\".*\}, (\w+)\)",
                             variable["definition"])
        for name in match[1].split("|"):
            if name not in metrics or match[2] not in metrics.get(name, set()) | LABELS_OF_PROMETHEUS:
                wrong.append(f"{path}: {variable['name']}: {name} {match[2]}")


def rules(path):
    with open(path, encoding="utf-8") as file:
        alerts = re.split(r"^ *- alert: ", file.read(), flags=re.M)[1:]
    for alert in alerts:
        name = alert.split("\n")[0]
        check(f"{path}: {name}", re.search(r"^ *expr: (.*)", alert, re.M)[1],
              re.sub(r"\{\{ *\$value[^}]*\}\}", "", alert))


for each in sys.argv[2:]:
    (dashboard if each.endswith(".json") else rules)(each)
print("\n".join(wrong) or json.dumps({"groups": [{"name": "expressions", "rules": [
    {"record": f"expression_{number}", "expr": expression}
    for number, expression in enumerate(expressions)]}]}))
sys.exit(bool(wrong))
