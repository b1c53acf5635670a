#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Turn the raw numbers of bench.py into docs/benchmarks/: README.md and SVG plots.

usage: report.py RESULTS.json (the report goes beside it)
"""
import json
import os
import statistics
import subprocess
import sys

MONITOR, HIT, MISS = "packet-monitor", "proxy, mapped", "proxy, unmapped"
NFT_SET = "nftables set, counters"
NFT_HIT, NFT_MISS = "nftables DNAT, mapped", "nftables DNAT, unmapped"
HIT6, MISS6 = HIT + ", IPv6", MISS + ", IPv6"
NFT_HIT6, NFT_MISS6 = NFT_HIT + ", IPv6", NFT_MISS + ", IPv6"
MONITOR_TCX, HIT_TCX = "packet-monitor --tcx", "proxy --tcx, mapped"
OURS = (MONITOR, MONITOR_TCX, HIT, HIT_TCX, MISS, HIT6, MISS6)

# What bench.py has sampled below the hooks, and what to call it.
PIECES = (
    ("hook", "in the hooks"), ("programs", "in the programs"), ("tables", "in hash tables"),
    ("sockets", "in asking for a socket with the same ports"),
    ("packet", "in changing the packet"), ("other", "in other functions"),
)


class Spread:
    """A median and the quartiles around it."""

    def __init__(self, values):
        values = sorted(values)
        self.n = len(values)
        self.median = statistics.median(values)
        if self.n > 1:
            self.low, _, self.high = statistics.quantiles(values, n=4, method="inclusive")
        else:
            self.low = self.high = self.median

    def show(self, unit="", digits=1, scale=1, sign=False):
        plus = "+" if sign else ""
        low, mid, high = (f"{v * scale:{plus}.{digits}f}" for v in (self.low, self.median, self.high))
        return f"{mid}{unit} ({low} to {high})"


def total(samples, value, per):
    return sum(s[value] for s in samples) / sum(s[per] for s in samples)


def mean(samples, value):
    return sum(s[value] for s in samples) / len(samples)


class Results:
    def __init__(self, raw):
        self.raw = raw
        self.pairs = {}
        self.variants = []
        for sample in raw["samples"]:
            key = sample["part"], sample["mode"], sample["flows"], sample["variant"]
            self.pairs.setdefault(key, []).append(sample)
            if sample["variant"] not in self.variants:
                self.variants.append(sample["variant"])

    def flow_counts(self):
        return sorted({key[2] for key in self.pairs if key[0] == "flows"})

    def each(self, part, mode, flows, variant, function):
        """function(without, with) for each round, as a Spread; None if it was not measured."""
        rounds = self.pairs.get((part, mode, flows, variant))
        return Spread([function(r["without"], r["with"]) for r in rounds]) if rounds else None

    def cost(self, variant, flows=1, part="packets"):
        """Additional CPU time per packet, as a share of the direct path's."""
        return self.each(part, "udp", flows, variant, lambda a, b:
                         total(b, "cpu_ns", "count") / total(a, "cpu_ns", "count") - 1)

    def cost_ns(self, variant, flows=1, part="packets"):
        return self.each(part, "udp", flows, variant, lambda a, b:
                         total(b, "cpu_ns", "count") - total(a, "cpu_ns", "count"))

    def rate(self, variant, mode, flows=1, part="tcp"):
        """Packets, connections, exchanges or bytes per second, as a share of the direct path's."""
        return self.each(part, mode, flows, variant, lambda a, b:
                         total(b, "count", "wall_ns") / total(a, "count", "wall_ns"))

    def latency(self, variant, quantile, mode="rr2"):
        return self.each("tcp", mode, 1, variant, lambda a, b:
                         mean(b, quantile) / mean(a, quantile))

    def lost(self):
        return sum(s["count"] - s["received"] for r in self.raw["samples"]
                   for s in r["with"] + r["without"] if "received" in s)

    def direct(self, part, mode, flows=1, family=4):
        """All samples of the direct path."""
        return [s for key, rounds in self.pairs.items() if key[:3] == (part, mode, flows)
                for r in rounds for s in r["without"] if r["family"] == family]

    def test_run(self, program, flows):
        for row in self.raw.get("test_run", []):
            if row["program"] == program and row["flows"] == flows:
                return row["ns"]
        return None

    def run_time(self, variant):
        for row in self.raw.get("run_time", []):
            if row["variant"] == variant:
                return row["ns"]
        return None

    def profile(self, variant, mode):
        for row in self.raw.get("profile", []):
            if (row["variant"], row["mode"]) == (variant, mode) and row["samples"]:
                return row
        return None

    def tool(self, fact, name):
        for row in self.raw.get(fact, []):
            if row["tool"] == name:
                return row
        return None


def table(head, rows, align=None):
    align = align or [":--"] + ["--:"] * (len(head) - 1)
    lines = [head, align, *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def bold(name):
    return f"**{name}**" if name.startswith(OURS) else name


def where_time_goes(res, variant):
    """What explains a cost: the hook itself, the program in it, and the rest around both."""
    parts = []
    empty = "empty program, tcx" if "--tcx" in variant else "empty program"
    cost, hook, program = res.cost_ns(variant), res.cost_ns(empty), res.run_time(variant)
    if cost:
        parts.append(f"{cost.median:.0f} ns per packet")
    if hook:
        parts.append(f"of which {hook.median:.0f} ns for having any program at the hook (the empty "
                     "one)")
    if program:
        parts.append(f"{program:.0f} ns within the program by the kernel's statistics, which "
                     "include about 20 ns for their own two clock readings")
    return ", ".join(parts)


def where_tcp_time_goes(res, variant, mode, lean):
    """The floor that the hooks themselves set, and the program above it by perf's samples."""
    floors = [(name, res.rate(name, mode), res.rate(name, lean))
              for name in ("empty program", "empty program, tcx")]
    parts = [f"the {name} at both hooks reaches {two.median:.3f} x ({one.median:.3f} x with both "
             "ends on one CPU)" for name, two, one in floors if two and one]
    profile = res.profile(variant, lean)
    if profile:
        share = {name: count / profile["samples"] for name, count in profile["pieces"].items()}
        parts.append("of the CPU time with both ends on one CPU, " + ", ".join(
            f"{share[name]:.1%} {what}" for name, what in PIECES if share.get(name, 0) >= 0.0005))
    return "; ".join(parts)


def why_slow_start(res):
    small = res.tool("start", "proxy, --max-flows 1024")
    if not small:
        return ""
    return (f"with --max-flows 1024 it is {statistics.median(small['seconds']) * 1e3:.0f} ms; the "
            "rest is the kernel's, for the tables of 262,144 flows, whose pages a virtual "
            "machine may have to get from its host")


def targets(res):
    """The project's promises, each: (what, target, measured, kept or not, why)."""
    lines = []

    def add(what, target, value, met, shown, why="", limit=None):
        if value is None:
            lines.append((what, target, "not measured", "-", ""))
            return
        # The quartiles on both sides of the target: another run may say the opposite.
        spread = limit is not None and value.low < limit < value.high
        lines.append((what, target, shown, ("met" if met else "**falls short**") +
                      (", within the spread" if spread else ""), "" if met else why))

    def compare(what, ours, theirs, factor):
        a, b = res.cost(ours), res.cost(theirs)
        ratio = a.median / b.median if a and b else None
        add(what, f"<= {factor} x {theirs}", ratio, ratio is not None and ratio <= factor,
            a and b and f"{ratio:.2f} x ({a.median:+.1%} against {b.median:+.1%})",
            where_time_goes(res, ours))

    for monitor in (MONITOR, MONITOR_TCX):
        compare(f"{monitor}, CPU per packet over direct", monitor, NFT_SET, 0.5)
        compare(f"{monitor}, CPU per packet over direct", monitor, "softflowd", 0.25)
    compare("proxy, mapped packets, over direct", HIT, NFT_HIT, 0.35)
    compare("proxy, unmapped packets, over direct", MISS, NFT_MISS, 0.35)
    compare("proxy, mapped IPv6 packets, over direct", HIT6, NFT_HIT6, 0.35)
    compare("proxy, unmapped IPv6 packets, over direct", MISS6, NFT_MISS6, 0.35)

    nft = res.rate(NFT_HIT, "crr2")
    for name, hit in (("the proxy", HIT), ("proxy --tcx", HIT_TCX)):
        bulk, lean = res.rate(hit, "bulk2"), res.rate(hit, "bulk")
        add(f"TCP bulk through {name}", ">= 0.98 x direct", bulk, bulk and bulk.median >= 0.98,
            bulk and f"{bulk.show('', 3)} x ({lean.median:.3f} x with both ends on one CPU)",
            where_tcp_time_goes(res, hit, "bulk2", "bulk"), 0.98)
        crr, lean = res.rate(hit, "crr2"), res.rate(hit, "crr")
        add(f"connections per second through {name}", ">= 0.97 x direct", crr,
            crr and crr.median >= 0.97,
            crr and f"{crr.show('', 3)} x ({lean.median:.3f} x with both ends on one CPU)",
            where_tcp_time_goes(res, hit, "crr2", "crr"), 0.97)
        add(f"connections per second through {name}", "above nftables DNAT", crr and nft,
            crr and nft and crr.median > nft.median,
            crr and nft and f"{crr.median:.3f} x direct against {nft.median:.3f} x")
        p99, lean = res.latency(hit, "p99_ns"), res.latency(hit, "p99_ns", "rr")
        add(f"p99 latency through {name}", "<= 1.03 x direct", p99, p99 and p99.median <= 1.03,
            p99 and f"{p99.show('', 3)} x ({lean.median:.3f} x with both ends on one CPU)",
            where_time_goes(res, hit), 1.03)

    counts = res.flow_counts()
    for ours, theirs in ((MONITOR, NFT_SET), (HIT, NFT_HIT), (MISS, NFT_MISS)):
        grow = [None, None]
        for i, variant in enumerate((ours, theirs)):
            one = res.cost_ns(variant)
            many = res.cost_ns(variant, counts[-1], "flows") if counts else None
            grow[i] = many.median - one.median if one and many else None
        both = None not in grow
        add(f"{ours}: growth of ns per packet from 1 to {counts[-1] if counts else 0:,} flows",
            f"less than {theirs}", both or None, both and grow[0] < grow[1],
            both and f"{grow[0]:+.0f} ns against {grow[1]:+.0f} ns",
            "memory that is not in the cache: the flow's entry has to be fetched")

    minimal, monitor = res.test_run("minimal program", 1), res.test_run(MONITOR, 1)
    ratio = monitor / minimal if minimal and monitor else None
    add("packet-monitor, ns per packet of a known flow (BPF_PROG_TEST_RUN)",
        "<= 1.5 x the minimal program", ratio, ratio is not None and ratio <= 1.5,
        ratio and f"{ratio:.2f} x ({monitor:.0f} ns against {minimal:.0f} ns)")
    for name in ("packet-monitor", "proxy"):
        row = res.tool("start", name)
        seconds = row and statistics.median(row["seconds"])
        add(f"{name}: from start to attached", "<= 100 ms", seconds, seconds and seconds <= 0.1,
            seconds and f"{seconds * 1e3:.0f} ms", why_slow_start(res))
    for row in res.raw.get("reports", []):
        cpu = statistics.median(row["cpu_ns"]) / 1e9 if row["cpu_ns"] else None
        limit = 0.6 if row["flows"] > 500000 else 0.06
        add(f"packet-monitor: CPU of a report at {row['flows']:,} live flows, --rows 20",
            f"<= {limit * 1e3:.0f} ms", cpu, cpu and cpu <= limit, cpu and f"{cpu * 1e3:.0f} ms",
            "every slot is read")
        if row["flows"] > 500000 and row["rss"]:
            add(f"packet-monitor: memory at {row['flows']:,} live flows", "<= 150 MB", row["rss"],
                row["rss"] <= 150e6, f"{row['rss'] / 1e6:.0f} MB")
    return lines


def write_readme(res, path):
    machine = res.raw["machine"]
    out = []
    say = out.append
    say("# What it costs\n")
    say("Made by `make bench` (scripts/bench/): do not edit. It leaves the raw numbers in "
        "results.json, beside this file; they are not in git.\n")
    say(f"Measured on {machine['date']}, revision {machine['revision']}, in {res.raw['seconds']} s: "
        f"{machine['cpus']} CPUs {machine['cpu']}"
        f"{' (a virtual machine)' if machine['virtual'] else ''}, {machine['memory_gib']} GiB, "
        f"Linux {machine['kernel']}, {machine['clang']}, {machine['nft']}.\n")
    say("## Targets\n")
    say("In parentheses behind a TCP figure: its quartiles. \"Within the spread\": the target lies between "
        "them, and another run may say the opposite. A median better than direct, or quartiles far "
        "apart, mean that the machine changed its speed meanwhile.\n")
    say(table(("What", "Target", "Measured", ""), [t[:4] for t in targets(res)],
              (":--", ":--", ":--", ":--")))
    short = [t for t in targets(res) if t[4]]
    if short:
        say("Why it falls short:\n")
        for what, target, _, _, why in short:
            say(f"- {what} ({target}): {why}")
        say("")

    packets = res.direct("packets", "udp")
    if packets:
        say("## CPU time per packet\n")
        say("UDP, 18 bytes of payload, one flow, client - veth - bridge - veth - server, all of it "
            "in one process that has a socket at either end: no wake-up and no second CPU blurs the "
            "figures. CPU time is that of this process, of ksoftirqd and of the tool's own "
            "processes. Each round measures direct, variant, variant, direct; shown are the median "
            "of the rounds' ratios and, in parentheses, its quartiles. The direct path takes "
            f"{total(packets, 'cpu_ns', 'count'):.0f} ns per packet, "
            f"{total(packets, 'count', 'wall_ns') * 1e9:,.0f} packets/s on one CPU.\n")
        packets6 = res.direct("packets", "udp", family=6)
        if packets6:
            say("IPv6 is compared with the direct path of IPv6, which takes "
                f"{total(packets6, 'cpu_ns', 'count'):.0f} ns per packet.\n")
        say("The picture in the project's README shows this table ([overhead.svg](overhead.svg)).\n")
        rows = []
        for variant in res.variants:
            cost = res.cost(variant)
            if not cost:
                continue
            rows.append((bold(variant), cost.show(" %", 1, 100, True),
                         res.cost_ns(variant).show("", 0, 1, True),
                         res.rate(variant, "udp", 1, "packets").show("", 3), cost.n))
        say(table(("On the way", "CPU over direct", "ns per packet", "packets/s, x direct",
                   "rounds"), rows))
        say(f"Lost datagrams in the whole run: {res.lost()}.\n")

    counts = res.flow_counts()
    if counts:
        say("## Many flows\n")
        say("The same with packets of many flows in random order, after each flow has been seen "
            "once: additional ns per packet over direct at the same number of flows.\n")
        say("![ns per packet by flows](flows.svg)\n")
        rows = []
        for variant in res.variants:
            cells = [res.cost_ns(variant, flows, "flows") for flows in counts]
            if any(cells):
                one = res.cost_ns(variant)
                rows.append((bold(variant), one.show("", 0) if one else "-",
                             *(c.show("", 0) if c else "-" for c in cells)))
        say(table(("On the way", "1", *(f"{c:,}" for c in counts)), rows))

    bulk, bulk2 = res.direct("tcp", "bulk"), res.direct("tcp", "bulk2")
    if bulk:
        crr, rr, crr2, rr2 = (res.direct("tcp", mode) for mode in ("crr", "rr", "crr2", "rr2"))
        say("## TCP\n")
        say("Connections: open, one byte each way, close. Exchanges: one byte each way on an open "
            "connection. Bulk: as much as goes through. Client and server are on a CPU each, with "
            "the wake-ups of practice; direct: "
            f"{total(crr2, 'count', 'wall_ns') * 1e9:,.0f} connections/s, exchanges p50 "
            f"{mean(rr2, 'p50_ns') / 1e3:.1f} and p99 {mean(rr2, 'p99_ns') / 1e3:.1f} "
            f"microseconds, {total(bulk2, 'count', 'wall_ns') * 8:.1f} Gbit/s.\n")
        rows = []
        for variant in res.variants:
            cells = (res.rate(variant, "crr2"), res.latency(variant, "p50_ns"),
                     res.latency(variant, "p99_ns"), res.rate(variant, "bulk2"))
            if all(cells):
                rows.append((bold(variant), *(c.show("", 3) for c in cells), cells[0].n))
        say(table(("On the way", "connections/s, x direct", "p50, x direct", "p99, x direct",
                   "bulk, x direct", "rounds"), rows))
        say("The same with both ends in one thread, so that nothing but the path is in the "
            f"figures; direct: {total(crr, 'count', 'wall_ns') * 1e9:,.0f} connections/s, p50 "
            f"{mean(rr, 'p50_ns') / 1e3:.1f} and p99 {mean(rr, 'p99_ns') / 1e3:.1f} "
            f"microseconds, {total(bulk, 'count', 'wall_ns') * 8:.1f} Gbit/s.\n")
        rows = []
        for variant in res.variants:
            cells = (res.rate(variant, "crr"), res.latency(variant, "p50_ns", "rr"),
                     res.latency(variant, "p99_ns", "rr"), res.rate(variant, "bulk"))
            if all(cells):
                rows.append((bold(variant), *(c.show("", 3) for c in cells)))
        say(table(("On the way", "connections/s, x direct", "p50, x direct", "p99, x direct",
                   "bulk, x direct"), rows))

    if res.raw.get("profile"):
        say("## Where the time goes\n")
        say("Shares of the CPU time of the traffic's CPU, everything on one CPU, by perf's samples: "
            "what runs below the hooks of the client's device. Work with interrupts disabled shows "
            "where they are enabled again. What tcx itself takes cannot be told from its "
            "surroundings.\n")
        rows = []
        for row in res.raw["profile"]:
            counts, samples = row["pieces"], max(1, row["samples"])
            rows.append((bold(row["variant"]), row["mode"],
                         f"{sum(counts.values()) / samples:.1%}",
                         *(f"{counts.get(name, 0) / samples:.2%}" for name, _ in PIECES)))
        say(table(("On the way", "traffic", "all", *(what.removeprefix("in ") for _, what in PIECES)),
                  rows))

    if res.raw.get("test_run"):
        say("## The programs alone\n")
        say("BPF_PROG_TEST_RUN of the running tool's own programs and maps, ns per packet; the "
            "flows come in random order. 'Minimal program' parses IPv4, looks up one 16-byte key in "
            "a kernel hash and adds two counters.\n")
        flows = sorted({row["flows"] for row in res.raw["test_run"]})
        names = list(dict.fromkeys(row["program"] for row in res.raw["test_run"]))
        say(table(("Program", *(f"{f:,} flows" for f in flows)), [
            (bold(name), *(f"{res.test_run(name, f):.0f}" if res.test_run(name, f) is not None
                           else "-" for f in flows)) for name in names]))
    if res.raw.get("contention"):
        rows = res.raw["contention"]
        cpus = sorted({row["cpus"] for row in rows})
        say("### Several CPUs at a time\n")
        say("The same on each CPU at once: all with one flow, or each with a flow of its own. What "
            "follows from it: [contention.md](../contention.md).\n")
        say(table(("Program", *(f"{'own flows' if own else 'one flow'}, {c} CPU{'s' * (c > 1)}"
                                for own in (0, 1) for c in cpus)),
                  [(bold(name), *(f"{row['ns']:.0f}" for own in (0, 1) for c in cpus for row in rows
                                  if (row["program"], row["cpus"], row["own_flows"]) ==
                                  (name, c, own)))
                   for name in dict.fromkeys(row["program"] for row in rows)]))
    if res.raw.get("run_time"):
        say("kernel.bpf_stats_enabled, while datagrams of one flow pass (two clock readings per run "
            "are included):\n")
        say(table(("Program", "ns per run"), [
            (bold(row["variant"]), f"{row['ns']:.0f}") for row in res.raw["run_time"]]))

    if res.raw.get("reports"):
        say("## A report of packet-monitor\n")
        say(table(("Live flows", "CPU per report, --rows 20", "RSS"), [
            (f"{row['flows']:,}",
             Spread(row["cpu_ns"]).show(" ms", 1, 1e-6) if row["cpu_ns"] else "-",
             f"{row['rss'] / 1e6:.0f} MB") for row in res.raw["reports"]]))
    if res.raw.get("proxy_reports"):
        say("## A report of proxy\n")
        say("It lists all flows. Apart from it, proxy looks through its table for flows that have "
            "ended.\n")
        say(table(("Flows", "CPU per report", "CPU per second without reports"), [
            (f"{row['flows']:,}", f"{row['report_ns'] / 1e6:.1f} ms", f"{row['idle_ns'] / 1e6:.1f} ms")
            for row in res.raw["proxy_reports"]]))
    if res.raw.get("start"):
        say("## Start\n")
        say(table(("Tool", "from start to attached"), [
            (row["tool"], Spread(row["seconds"]).show(" ms", 0, 1e3))
            for row in res.raw["start"]]))
    if res.raw.get("size"):
        say("## Size\n")
        say(table(("Tool", "binary, stripped", "RSS", "kernel memory of maps and programs"), [
            (row["tool"], f"{row['binary'] / 1024:.0f} KiB", f"{row['rss'] / 2**20:.1f} MiB",
             f"{row['kernel'] / 2**20:.1f} MiB") for row in res.raw["size"]]))
    with open(path, "w") as file:
        file.write("\n".join(out))


def plot(folder, name, height, script):
    subprocess.run(["gnuplot"], text=True, check=True, input=(
        f"set terminal svg noenhanced size 900,{height} background '#ffffff' font 'sans,13'\n"
        f"set output '{os.path.join(folder, name)}.svg'\n{script}"))


def panel(res, number, title, variants):
    """Bars from left to right, the least at the top, each with the value that the table has."""
    bars = sorted(((res.cost(variant), variant) for variant in variants), key=lambda b: -b[0].median)
    shown = [cost.median for cost, _ in bars if cost.median < 0.45]
    cut = max([*shown, 0.01]) * 160  # a bar beyond it ends there; its number says the rest
    rows = "\n".join(
        f'"{name}" {cost.median * 100:.2f} {cost.low * 100:.2f} {cost.high * 100:.2f} '
        f'{0x2a7ab8 if name in OURS else 0xb8b8b8} "{cost.median * 100:+.1f} %"'
        for cost, name in bars)
    return f"""
$panel{number} << EOD
{rows}
EOD
set title "{title}"
set xrange [0:{cut:.2f}]
set yrange [-0.6:{len(bars) - 0.4}]
plot $panel{number} using ($2 / 2):0:($2 / 2):(0.36):5:ytic(1) with boxxyerror lc rgb variable, \\
     '' using 2:0:3:4 with xerrorbars lc rgb "#303030" pt 0, \\
     '' using ($4 > {cut:.2f} * 0.66 ? {cut:.2f} * 0.66 : $4):0:6 with labels left offset 0.7,0
"""


def plot_overhead(res, folder):
    variants = [variant for variant in res.variants if res.cost(variant)]
    nats = [variant for variant in variants if variant.startswith(("proxy", "nftables DNAT"))]
    panels = [(title, part) for title, part in (
        ("Monitors", [variant for variant in variants if variant not in nats]),
        ("NATs", nats)) if part]
    if not panels:
        return
    most = max(len(part) for _, part in panels)
    plot(folder, "overhead", 110 + 26 * most, f"""
set multiplot layout 1,{len(panels)} title \\
    "CPU time per packet over the direct path (18-byte UDP, one flow; median and quartiles)"
set style fill solid noborder
set xlabel "percent"
set ytics nomirror scale 0
set xtics 10 nomirror
set grid xtics
unset key
{"".join(panel(res, number, *each) for number, each in enumerate(panels))}
unset multiplot
""")


# Dark enough for thin lines on white.
LINES = ("#0b62a4", "#c0392b", "#1e8449", "#7d3c98", "#9c640c", "#34495e")


def plot_flows(res, folder):
    counts = res.flow_counts()
    if not counts:
        return
    lines, blocks = [], []
    for i, variant in enumerate(res.variants):
        points = [(1, res.cost_ns(variant))] + [(c, res.cost_ns(variant, c, "flows"))
                                                for c in counts]
        points = [(x, c) for x, c in points if c]
        if len(points) < 2 or not res.cost_ns(variant, counts[-1], "flows"):
            continue
        body = "\n".join(f"{x} {c.median:.1f} {c.low:.1f} {c.high:.1f}" for x, c in points)
        blocks.append(f"$v{i} << EOD\n{body}\nEOD\n")
        width = 3 if variant in OURS else 1.5
        color = LINES[len(lines) % len(LINES)]
        lines.append(f'$v{i} using 1:2:3:4 with yerrorlines lw {width} lc rgb "{color}" pt 7 ps 0.6 '
                     f'title "{variant}"')
    if not lines:
        return
    plot(folder, "flows", 420, "".join(blocks) + f"""
set title "Additional CPU time per packet over the direct path, by number of flows"
set xlabel "flows"
set ylabel "ns"
set logscale x
set format x "%.0s%c"
set yrange [0:*]
set grid lc rgb "#d0d0d0"
set key outside right textcolor rgb "#202020"
plot {", ".join(lines)}
""")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1]) as file:
        res = Results(json.load(file))
    folder = os.path.dirname(os.path.abspath(sys.argv[1]))
    plot_overhead(res, folder)
    plot_flows(res, folder)
    write_readme(res, os.path.join(folder, "README.md"))
    for what, target, shown, met, _ in targets(res):
        print(f"{met.replace('*', ''):>11}  {what}: {shown} (target {target})")


if __name__ == "__main__":
    main()
