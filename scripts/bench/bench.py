#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Measure what packet-monitor and proxy cost, beside what else one might use.

Everything happens in network namespaces of this run: a client and a server on a bridge. A round of
a measurement is direct, variant, variant, direct (A B B A), so that what drifts on the machine falls
on both; its result is the ratio of B to A. Rounds go over all variants in turn until the time of the
part is used up. report.py turns the raw numbers into docs/benchmarks/.
"""
import argparse
import ipaddress
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("BUILD", "build")
PROGRAMS = os.path.join(BUILD, "scripts/bench")
MONITOR = os.path.join(BUILD, "bin/packet-monitor")
PROXY = os.path.join(BUILD, "bin/proxy")
SETTLE_SECONDS = 0.3
os.environ["PATH"] += ":/usr/sbin:/sbin"

CLIENT_ADDR = "10.0.0.1"
TARGET = "10.0.0.138:23456"  # the built-in mapping leads here
ORIGINAL = "10.0.0.10:12345"  # from here; no host has this address
OTHER = "10.0.0.139:23456"  # the same server, but no mapping knows it
# The same in IPv6.
CLIENT_ADDR6 = "fd00::1"
TARGET6 = "[fd00::138]:23456"
ORIGINAL6 = "[fd00::10]:12345"
OTHER6 = "[fd00::139]:23456"
FLOW_BASE = "10.64.0.0"  # and the million addresses after it: the sources of many flows
DEVICE = "veth0"
MANY_FLOWS = 1 << 20

# Seconds of each part when all of them run: less than 20 minutes together with what frames them.
PARTS = {
    "packets": 320,
    "flows": 200,
    "tcp": 430,
    "profile": 40,
    "program": 60,
    "contention": 15,
    "report": 60,
    "start": 10,
    "size": 5,
}


def run(*command, text=None):
    """Run a command; its output. What fails ends the run, with the command's own words."""
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def log(text):
    print(text, file=sys.stderr, flush=True)


def address(end):
    """Of ADDRESS:PORT or [ADDRESS]:PORT."""
    return end.rpartition(":")[0].strip("[]")


class Sysctl:
    """Settings of the machine that a run changes, and puts back."""

    def __init__(self):
        self.saved = {}

    def set(self, name, value, at_least=False):
        path = "/proc/sys/" + name.replace(".", "/")
        with open(path) as file:
            old = file.read().strip()
        if at_least and int(old) >= value:
            return
        self.saved.setdefault(path, old)
        with open(path, "w") as file:
            file.write(str(value))

    def restore(self):
        for path, value in self.saved.items():
            with open(path, "w") as file:
                file.write(value)
        self.saved = {}


class Network:
    """Client - bridge - server, each in a namespace that ends with the run."""

    def __init__(self):
        self.names = {n: f"bench-{os.getpid()}-{n}" for n in ("client", "switch", "server")}
        self.made = []

    def path(self, host):
        return "/run/netns/" + self.names[host]

    def ip(self, host, *args):
        return run("ip", "-n", self.names[host], *args)

    def inside(self, host, *command):
        # Unlike "ip netns exec", this leaves /sys and the process id alone.
        return ["nsenter", "--net=" + self.path(host), *command]

    def sysctl(self, host, name, value):
        run(*self.inside(host, "sysctl", "-qw", f"{name}={value}"))

    def up(self):
        for name in self.names.values():
            run("ip", "netns", "add", name)
            self.made.append(name)
        for host in self.names:
            self.ip(host, "link", "set", "lo", "up")
        self.ip("switch", "link", "add", "br0", "type", "bridge")
        self.ip("switch", "link", "set", "br0", "up")
        if os.path.exists("/proc/sys/net/bridge"):
            for family in ("ip", "ip6", "arp"):
                self.sysctl("switch", f"net.bridge.bridge-nf-call-{family}tables", 0)
        for host in ("client", "server"):
            self.ip(host, "link", "add", DEVICE, "type", "veth", "peer", "name", host, "netns",
                    self.names["switch"])
            self.ip("switch", "link", "set", host, "master", "br0", "up")
            # Nothing that IPv6 sends by itself.
            self.sysctl(host, f"net.ipv6.conf.{DEVICE}.accept_ra", 0)
            self.ip(host, "link", "set", DEVICE, "addrgenmode", "none")
            self.ip(host, "link", "set", DEVICE, "up")
        self.ip("client", "addr", "add", CLIENT_ADDR + "/24", "dev", DEVICE)
        self.ip("client", "addr", "add", CLIENT_ADDR6 + "/64", "dev", DEVICE, "nodad")
        for end in (TARGET, OTHER):
            self.ip("server", "addr", "add", address(end) + "/24", "dev", DEVICE)
        for end in (TARGET6, OTHER6):
            self.ip("server", "addr", "add", address(end) + "/64", "dev", DEVICE, "nodad")
        self.ip("client", "route", "add", "local", FLOW_BASE + "/12", "dev", "lo")
        self.ip("server", "route", "add", FLOW_BASE + "/12", "via", CLIENT_ADDR)
        self.sysctl("client", "net.ipv4.ip_local_port_range", "1024 65535")
        for host in ("client", "server"):  # neither paces nor depends on the machine's settings
            self.sysctl(host, "net.ipv4.tcp_congestion_control", "reno")
        # The bridge has learned the hosts once each has spoken.
        for end in (TARGET, OTHER, TARGET6, OTHER6):
            run(*self.inside("client", "ping", "-c", "1", "-q", address(end)))

    def down(self):
        for name in self.made:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def listening(variant):
    """Where the server listens."""
    port = TARGET.rpartition(":")[2]
    return ("0.0.0.0:" if variant.family == 4 else "[::]:") + port


def wait_until(condition, what, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"{what}: not within {seconds} s")
        time.sleep(0.005)


class Variant:
    """Something that may be on the packet's way. start() and stop() put it there and remove it."""

    kind = "none"  # tc, tap, netfilter: for the report
    family = 4
    target = TARGET
    title = "direct"
    many_flows = False
    reports = True  # whether it prints them each second while it is measured
    every = 1  # rounds from one measurement to the next: those that decide nothing come less often

    def __init__(self, net):
        self.net = net
        self.flows = 1

    def available(self):
        return True

    def start(self):
        pass

    def stop(self):
        pass

    def pids(self):
        return []

    def programs(self):
        """Ids of the BPF programs at the device's hooks, egress first."""
        return []


class Direct6(Variant):
    family = 6
    target = TARGET6
    title = "direct, IPv6"


class Process(Variant):
    """A program that runs in the client's namespace."""

    def command(self):
        raise NotImplementedError

    def available(self):
        return shutil.which(self.command()[0]) is not None

    def start(self):
        self.begun = time.monotonic()
        command = self.command()
        if os.cpu_count() > 1:  # CPU 0 is the traffic's
            command = ["taskset", "-c", "1-%d" % (os.cpu_count() - 1), *command]
        self.process = subprocess.Popen(
            self.net.inside("client", *command), stdin=subprocess.DEVNULL,
            stdout=self.stdout(), stderr=subprocess.PIPE, text=True, start_new_session=True)
        self.wait_ready()

    def stdout(self):
        return subprocess.DEVNULL

    def wait_ready(self):
        """A capturing program is ready when its packet socket is open."""
        path = f"/proc/{self.process.pid}/net/packet"

        def ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.title} ended: {self.process.stderr.read().strip()}")
            with open(path) as file:
                return len(file.readlines()) > 1

        wait_until(ready, self.title)

    def stop(self):
        process = getattr(self, "process", None)
        if not process:
            return
        for sig in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                os.killpg(process.pid, sig)
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    pass
        process.stderr.close()
        if process.stdout:
            process.stdout.close()
        self.process = None

    def pids(self):
        """The process and its children."""
        found = [self.process.pid]
        for pid in found:
            try:
                with open(f"/proc/{pid}/task/{pid}/children") as file:
                    found += [int(child) for child in file.read().split()]
            except OSError:
                pass
        return found


def hook_programs(net):
    ids = []
    for hook in ("egress", "ingress"):
        shown = run("tc", "-n", net.names["client"], "filter", "show", "dev", DEVICE, hook)
        ids += [int(i) for i in re.findall(r" id (\d+)", shown)]
    return ids


class Tool(Process):
    """One of this project's own."""

    kind = "tc"
    many_flows = True

    def available(self):
        return os.path.exists(self.command()[0])

    def wait_ready(self):
        for line in self.process.stderr:
            if "attached" in line:
                self.attach_seconds = time.monotonic() - self.begun
                # Then it touches its table once (slot_table_touch()), which no packet is to answer for.
                time.sleep(SETTLE_SECONDS)
                return
            self.said = line
        raise RuntimeError(f"{self.title} ended: {getattr(self, 'said', '').strip()}")

    def programs(self):
        return hook_programs(self.net)


class Monitor(Tool):
    title = "packet-monitor"
    output = "table"
    extra = ()

    def command(self):
        # With less than an eighth of the table free, it would let go of the longest idle.
        size = ["--max-flows", str(self.flows * 23 // 20)] if self.flows > 50000 else []
        return [MONITOR, "-o", self.output, "-r", "20", *size, *self.extra, DEVICE]


class MonitorTcx(Monitor):
    title = "packet-monitor --tcx"
    kind = "tcx"
    extra = ("--tcx",)
    many_flows = False


class Proxy(Tool):
    options = ()
    original = ORIGINAL

    def command(self):
        options = []
        if self.flows > 1 or not self.reports:  # each lists all flows: measured by itself
            options += ["--interval", "3600"]
        if self.flows > 200000:
            options += ["--max-flows", str(self.flows + self.flows // 4)]
        return [PROXY, *options, *self.options, DEVICE]

    def start(self):
        super().start()
        # The neighbour entry of the original address is part of the set-up, not of the traffic. A
        # minute: on a busy machine it has taken more than 10 s.
        run(*self.net.inside("client", "timeout", "60", os.path.join(PROGRAMS, "traffic"), "-c",
                             self.net.path("client"), "-s", self.net.path("server"), "-t",
                             self.original, "-l", listening(self), "-n", "1", "crr"))


class ProxyHit(Proxy):
    title = "proxy, mapped"
    target = ORIGINAL


class ProxyHitTcx(ProxyHit):
    title = "proxy --tcx, mapped"
    kind = "tcx"
    options = ("--tcx",)
    many_flows = False


class ProxyMiss(Proxy):
    title = "proxy, unmapped"
    target = OTHER


class ProxyHit6(Proxy):
    title = "proxy, mapped, IPv6"
    family = 6
    original = target = ORIGINAL6
    options = ("--map", f"{ORIGINAL6}={TARGET6}")
    many_flows = False


class ProxyMiss6(ProxyHit6):
    title = "proxy, unmapped, IPv6"
    target = OTHER6


class Filter(Variant):
    """One of the yardstick programs of this folder."""

    kind = "tc"
    hooks = ("egress",)
    name = ""
    file = ""  # of the object; by default it is called like the program

    def object(self):
        return os.path.join(PROGRAMS, (self.file or self.name) + "-bpf.o")

    def start(self):
        client = self.net.names["client"]
        subprocess.run(["tc", "-n", client, "qdisc", "add", "dev", DEVICE, "clsact"],
                       capture_output=True)
        for hook in self.hooks:
            # Not "tc -n": that hides the bpffs, which tc then misses.
            run("nsenter", f"--net=/run/netns/{client}", "tc", "filter", "add", "dev", DEVICE, hook,
                "bpf", "direct-action", "object-file", self.object(), "program", self.name)

    def stop(self):
        subprocess.run(["tc", "-n", self.net.names["client"], "qdisc", "delete", "dev", DEVICE,
                        "clsact"], capture_output=True)

    def programs(self):
        return hook_programs(self.net)


class Empty(Filter):
    """What no tool at these hooks can do without."""

    title = "empty program"
    name = "empty"
    hooks = ("egress", "ingress")


class EmptyTcx(Tool):
    """The same at the newer hooks."""

    kind = "tcx"
    title = "empty program, tcx"
    many_flows = False

    def available(self):
        version = tuple(int(part) for part in platform.release().split(".")[:2])
        return version >= (6, 6) and super().available()

    def command(self):
        return [os.path.join(BUILD, "tests/e2e/tcx-attach"), DEVICE]

    def stdout(self):
        return subprocess.PIPE

    def wait_ready(self):
        if not self.process.stdout.readline():
            raise RuntimeError(f"{self.title}: {self.process.stderr.read().strip()}")

    def programs(self):
        return []


class Minimal(Filter):
    every = 3
    title = "minimal program"
    name = "minimal"


class Trace(Filter):
    every = 3
    title = "hash and trace_printk"
    name = "trace"


class Nftables(Variant):
    kind = "netfilter"
    many_flows = True

    def available(self):
        return shutil.which("nft") is not None

    def rules(self):
        raise NotImplementedError

    def start(self):
        run(*self.net.inside("client", "nft", "-f", "-"), text=self.rules())

    def stop(self):
        run(*self.net.inside("client", "nft", "flush", "ruleset"))


class NftSet(Nftables):
    title = "nftables set, counters"

    def rules(self):
        key = "ip saddr . ip daddr . ip protocol . th sport . th dport"
        chains = "".join(
            f"""
            set flows_{hook} {{
                typeof {key}; size {2 * MANY_FLOWS}; flags dynamic; counter
            }}
            chain {hook} {{
                type filter hook {hook} device {DEVICE} priority 0;
                add @flows_{hook} {{ {key} }}
            }}""" for hook in ("ingress", "egress"))
        return f"table netdev bench {{ {chains}\n}}\n"


class NftDnat(Nftables):
    original, to = ORIGINAL, TARGET

    def rules(self):
        ip = "ip" if self.family == 4 else "ip6"
        port = self.original.rpartition(":")[2]
        rule = f"{ip} daddr {address(self.original)} {{}} dport {port} dnat to {self.to}"
        return f"""table {ip} bench {{
            chain output {{
                type nat hook output priority -100;
                {rule.format("tcp")}
                {rule.format("udp")}
            }}
        }}"""


class NftDnatHit(NftDnat):
    title = "nftables DNAT, mapped"
    target = ORIGINAL


class NftDnatMiss(NftDnat):
    title = "nftables DNAT, unmapped"
    target = OTHER


class NftDnatHit6(NftDnat):
    title = "nftables DNAT, mapped, IPv6"
    family = 6
    original, to = ORIGINAL6, TARGET6
    target = ORIGINAL6
    many_flows = False


class NftDnatMiss6(NftDnatHit6):
    title = "nftables DNAT, unmapped, IPv6"
    target = OTHER6


class Softflowd(Process):
    kind = "tap"
    title = "softflowd"

    def command(self):
        return ["softflowd", "-d", "-i", DEVICE, "-n", "127.0.0.1:9995", "-p", "/dev/null",
                "-c", f"/run/softflowd-{os.getpid()}.ctl"]


class Tcpdump(Process):
    every = 3
    kind = "tap"
    title = "tcpdump -w /dev/null"

    def command(self):
        return ["tcpdump", "-Z", "root", "-n", "-i", DEVICE, "-w", "/dev/null"]


class Iftop(Process):
    every = 3
    kind = "tap"
    title = "iftop"

    def command(self):
        return ["iftop", "-t", "-n", "-N", "-P", "-i", DEVICE]


class Pmacct(Process):
    every = 3
    kind = "tap"
    title = "pmacctd"

    def command(self):
        return ["pmacctd", "-i", DEVICE, "-P", "print", "-r", "60", "-c",
                "src_host,dst_host,src_port,dst_port,proto"]


# What happens below the tc hooks, by the kernel's names.
PIECES = (
    ("hook", r"tc_run|tcf_classify|cls_bpf_classify"),
    ("programs", r"bpf_prog_"),
    ("tables", r"htab|lookup_nulls|memcmp|freelist|array_map"),
    ("sockets", r"inet|sk_lookup|skc_lookup|udp4_lib"),
    ("packet", r"skb|memcpy|csum"),
)


def fold(samples):
    """Of all samples of perf script, how many are in which of the pieces."""
    total, counts = 0, dict.fromkeys([name for name, _ in PIECES] + ["other"], 0)
    for sample in samples.split("\n\n"):
        lines = sample.strip().splitlines()
        if len(lines) < 2 or lines[0].split()[0] == "swapper":
            continue
        total += 1
        stack = [line.split()[-1] for line in lines[1:]]
        # At tcx nothing but the programs tells the hook from what calls it.
        if not any("tc_run" in frame or re.match(r"bpf_prog_\w+_proxy", frame) for frame in stack):
            continue
        names = [name for name, pattern in PIECES if re.search(pattern, stack[0])]
        counts[names[0] if names else "other"] += 1
    return {"samples": total, "pieces": counts}


VARIANTS = (Empty, EmptyTcx, Minimal, Trace, Monitor, MonitorTcx, NftSet, Softflowd, Tcpdump, Iftop,
            Pmacct, ProxyHit, ProxyHitTcx, NftDnatHit, ProxyMiss, NftDnatMiss,
            ProxyHit6, NftDnatHit6, ProxyMiss6, NftDnatMiss6)


class Bench:
    def __init__(self, args):
        self.args = args
        self.net = Network()
        self.sysctl = Sysctl()
        self.samples = []
        self.facts = {}
        self.runs = 0
        self.direct = Variant(self.net)
        self.direct6 = Direct6(self.net)
        self.variants = []
        for cls in VARIANTS:
            variant = cls(self.net)
            if args.variant and not any(v in variant.title for v in args.variant):
                continue
            if variant.available():
                self.variants.append(variant)
            else:
                log(f"bench: without {variant.title}: not installed")

    def traffic(self, variant, mode, *options):
        # TCP: an address per run, so that no connection meets what another has left in TIME_WAIT
        # (whose time stamps, behind a NAT, are of another series: the SYN would be dropped).
        self.runs += 1
        source = ipaddress.ip_address(FLOW_BASE) + (0 if mode == "udp" else self.runs)
        command = [os.path.join(PROGRAMS, "traffic"), "-c", self.net.path("client"), "-s",
                   self.net.path("server"), "-t", variant.target, "-l",
                   listening(variant), "-b", str(source)]
        for pid in variant.pids():
            command += ["-p", str(pid)]
        return json.loads(run(*command, *(str(o) for o in options), mode))

    def scaled(self, count):
        return max(64, int(count * self.args.scale))

    def scaled_seconds(self, seconds):
        return max(seconds / 10, seconds * self.args.scale)

    def measure(self, part, variant, modes, warm=None, repeat=1):
        """A B B A for each mode; the samples keep the order, and the round they belong to."""
        result = {mode: {"without": [], "with": []} for mode, _ in modes}

        def take(who, into):
            # What was started or stopped just before leaves cold caches and kernel work behind.
            self.traffic(who, "udp", "-n", 4096)
            for _ in range(repeat):
                for mode, options in modes:
                    result[mode][into].append(self.traffic(who, mode, *options))

        direct = self.direct if variant.family == 4 else self.direct6
        variant.flows = self.flow_count
        try:
            take(direct, "without")
            variant.start()
            if warm:
                self.traffic(variant, *warm)
            take(variant, "with")
            take(variant, "with")
            variant.stop()
            take(direct, "without")
        finally:
            variant.stop()
        for mode, sides in result.items():
            self.samples.append({"part": part, "variant": variant.title, "kind": variant.kind,
                                 "family": variant.family, "mode": mode, "flows": self.flow_count, **sides})

    def rounds(self, seconds, variants, one, every=lambda variant: variant.every):
        end = time.monotonic() + seconds * self.args.scale
        done = 0
        while variants and (done < 1 or time.monotonic() < end):
            for variant in variants:
                if done % every(variant):
                    continue
                one(variant)
                if done >= 3 and time.monotonic() > end:
                    return
            done += 1
        log(f"bench:   {done} rounds")

    def packets(self, seconds):
        self.flow_count = 1
        count = self.scaled(60000)
        self.rounds(seconds, self.variants,
                    lambda v: self.measure("packets", v, [("udp", ("-n", count))]))

    def flows(self, seconds):
        variants = [v for v in self.variants if v.many_flows]
        nat = next((v for v in variants if isinstance(v, NftDnat)), None)
        if nat:
            nat.start()  # so that conntrack is there to be set
            nat.stop()
            # A million entries are more than it takes by default.
            self.sysctl.set("net.netfilter.nf_conntrack_max", 4 * self.scaled(MANY_FLOWS),
                            at_least=True)
            self.net.sysctl("client", "net.netfilter.nf_conntrack_udp_timeout", 600)
        for flows, share in ((1000, 0.2), (100000, 0.3), (1000000, 0.5)):
            flows = self.scaled(flows) if self.args.scale < 1 else flows
            self.flow_count = flows
            log(f"bench:   {flows} flows")
            random = ("-n", self.scaled(100000), "-f", flows, "-d", 1)
            self.rounds(seconds * share, variants, lambda v: self.measure(
                "flows", v, [("udp", random)], ("udp", "-n", flows, "-f", flows), 2))

    def tcp(self, seconds):
        self.flow_count = 1
        modes = [("crr", ("-n", self.scaled(3000))), ("crr2", ("-n", self.scaled(3000))),
                 ("rr", ("-n", self.scaled(8000))), ("rr2", ("-n", self.scaled(4000))),
                 ("bulk", ("-d", self.scaled_seconds(0.2))),
                 ("bulk2", ("-d", self.scaled_seconds(0.4)))]
        variants = [v for v in self.variants if v.family == 4 and
                    (v.kind == "netfilter" or isinstance(v, (Tool, Empty)))]
        for variant in variants:
            variant.reports = False
        # What the targets compare is measured most often: TCP's figures spread the widest.
        deciding = (Empty, EmptyTcx, ProxyHit, NftDnatHit)
        self.rounds(seconds, variants, lambda v: self.measure("tcp", v, modes),
                    lambda v: 1 if isinstance(v, deciding) else 3)
        for variant in variants:
            variant.reports = True

    def profile(self, seconds):
        """Where the CPU time of the traffic's CPU goes, by perf's samples."""
        if not shutil.which("perf"):
            log("bench: without a profile: perf is not installed")
            return
        self.flow_count = 1
        modes = (("udp", ("-n", 60000)), ("crr", ("-n", 3000)), ("bulk", ("-d", 0.2)))
        variants = [v for v in self.variants if isinstance(v, (ProxyHit, ProxyMiss))]
        each = max(0.5, seconds * self.args.scale / max(1, len(modes) * len(variants)) / 2)
        rows = []
        for variant in variants:
            variant.flows = 1
            try:
                variant.start()
                for mode, options in modes:
                    rows.append({"variant": variant.title, "mode": mode,
                                 **self.profile_of(variant, mode, options, each)})
            finally:
                variant.stop()
        self.facts["profile"] = rows

    def profile_of(self, variant, mode, options, seconds):
        path = f"/tmp/bench-{os.getpid()}-perf"
        self.traffic(variant, mode, *options)
        perf = subprocess.Popen(
            ["perf", "record", "-q", "-o", path, "-g", "-C", "0", "-e", "cpu-clock", "-F", "4999",
             "--", "sleep", str(seconds)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while perf.poll() is None:
            self.traffic(variant, mode, *options)
        try:
            return fold(run("perf", "script", "-i", path, "-F", "comm,ip,sym"))
        finally:
            os.unlink(path)

    def program(self, seconds):
        """The programs alone: by BPF_PROG_TEST_RUN, and by the kernel's own statistics."""
        tests = [("packet-monitor", Monitor, 0, TARGET), ("minimal program", Minimal, 0, TARGET),
                 ("proxy, mapped", ProxyHit, 0, ORIGINAL), ("proxy, unmapped", ProxyMiss, 0, OTHER),
                 ("proxy, reply", ProxyHit, 1, ORIGINAL)]
        rows = []
        for title, cls, index, target in tests:
            for flows in (1, 1000, 100000, 1000000):
                variant = cls(self.net)
                if not variant.available():
                    continue
                flows = self.scaled(flows) if self.args.scale < 1 < flows else flows
                variant.flows = flows
                rows.append({"program": title, "flows": flows,
                             **self.program_ns(variant, index, target, flows)})
        self.facts["test_run"] = rows
        self.facts["run_time"] = self.run_time()

    def program_ns(self, variant, index, target, flows, *more):
        def progrun(*options):
            return json.loads(run(*self.net.inside(
                "client", os.path.join(PROGRAMS, "progrun"), "-w",
                os.path.join(PROGRAMS, "walker-bpf.o"), "-f", str(flows), "-d", DEVICE, "-n",
                str(self.scaled(400000)), *more, *options)))

        client = FLOW_BASE + ":40000"
        if isinstance(variant, Filter):  # no tool behind it: progrun loads it, with larger maps
            return progrun("-o", variant.object(), "-p", variant.name, "-s", client, "-t", target)
        try:
            variant.start()
            programs = variant.programs()
            result = progrun("-i", str(programs[0]), "-s", client, "-t", target)
            if index:  # replies, of the flows that have just been made
                result = progrun("-i", str(programs[index]), "-s", TARGET, "-t", client, "-D")
            return result
        finally:
            variant.stop()

    def contention(self, _seconds):
        """The programs alone, on several CPUs at a time."""
        tests = [("shared counters", Minimal, "minimal", 0, TARGET),
                 ("counters per CPU", Minimal, "minimal_percpu", 0, TARGET),
                 ("packet-monitor", Monitor, None, 0, TARGET),
                 ("proxy, mapped", ProxyHit, None, 0, ORIGINAL),
                 ("proxy, reply", ProxyHit, None, 1, ORIGINAL)]
        rows = []
        for title, cls, name, index, target in tests:
            variant = cls(self.net)
            if not variant.available():
                continue
            if name:
                variant.name, variant.file = name, "minimal"
            for own in (False, True):
                for cpus in sorted({1, os.cpu_count()}):
                    options = ["-c", str(cpus), *(["-O"] if own else [])]
                    result = self.program_ns(variant, index, target, 1, *options)
                    rows.append({"program": title, **result})
        self.facts["contention"] = rows

    def run_time(self):
        """kernel.bpf_stats_enabled while datagrams pass."""
        rows = []
        self.flow_count = 1
        self.sysctl.set("kernel.bpf_stats_enabled", 1)
        for variant in self.variants:
            if variant.kind != "tc":
                continue
            try:
                variant.flows = 1
                variant.start()
                self.traffic(variant, "udp", "-n", self.scaled(100000))
                info = json.loads(run("bpftool", "-j", "prog", "show", "id",
                                      str(variant.programs()[0])))
                rows.append({"variant": variant.title, "runs": info["run_cnt"],
                             "ns": info["run_time_ns"] / info["run_cnt"]})
            finally:
                variant.stop()
        self.sysctl.restore()
        return rows

    def report(self, _seconds):
        """What a report of packet-monitor costs at many live flows."""
        rows = []
        for flows in (100000, 1000000):
            flows = self.scaled(flows) if self.args.scale < 1 else flows
            monitor = Monitor(self.net)
            # So long that all flows are live in each interval: none is let go of.
            interval = max(1, round(flows / 125000))
            room = 1 << flows.bit_length()
            monitor.extra = ("--interval", str(interval), "--max-flows", str(room))
            monitor.output = "jsonl"
            monitor.stdout = lambda: subprocess.PIPE
            if not monitor.available():
                return
            try:
                monitor.start()
                self.facts_of_reports(monitor, flows, rows)
            finally:
                monitor.stop()
        self.facts["reports"] = rows
        self.facts["proxy_reports"] = [self.proxy_report(flows) for flows in (1000, 100000)]

    def proxy_report(self, flows):
        """CPU time of a second of proxy, with a report in it and without."""
        cpu = []
        for reports in (True, False):
            proxy = ProxyHit(self.net)
            proxy.reports = reports
            try:
                proxy.start()
                self.traffic(proxy, "udp", "-n", flows, "-f", flows)
                clock = ~proxy.process.pid << 3 | 2  # see below
                begun, used = time.monotonic(), time.clock_gettime_ns(clock)
                time.sleep(self.scaled_seconds(5))
                cpu.append((time.clock_gettime_ns(clock) - used) / (time.monotonic() - begun))
            finally:
                proxy.stop()
        return {"flows": flows, "report_ns": cpu[0] - cpu[1], "idle_ns": cpu[1]}

    def facts_of_reports(self, monitor, flows, rows):
        costs, last = [], {}

        def read():
            for line in output:
                row = json.loads(line)
                if row["type"] != "total" or row["dir"] != "out":
                    continue
                try:
                    now = time.clock_gettime_ns(clock)
                except OSError:  # it has ended
                    return
                if last and min(row["flows"], last["flows"]) >= flows * 0.99:
                    costs.append(now - last["cpu"])
                last.update(cpu=now, flows=row["flows"])

        output = monitor.process.stdout
        clock = ~monitor.process.pid << 3 | 2  # what clock_getcpuclockid(3) makes of a process
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        end = time.monotonic() + 60
        while len(costs) < 3 and time.monotonic() < end:
            self.traffic(self.direct, "udp", "-n", flows, "-f", flows)
        rss = None
        with open(f"/proc/{monitor.process.pid}/status") as file:
            for line in file:
                if line.startswith("VmRSS"):
                    rss = int(line.split()[1]) * 1024
        rows.append({"flows": flows, "cpu_ns": costs, "rss": rss})

    def start(self, _seconds):
        rows = []
        for cls, note, options in ((Monitor, "", ()), (ProxyHit, "", ()),
                                   (ProxyHit, ", --max-flows 1024", ("--max-flows", "1024"))):
            times = []
            for _ in range(9):
                tool = cls(self.net)
                tool.options = options
                if not tool.available():
                    break
                try:
                    Tool.start(tool)
                    times.append(tool.attach_seconds)
                finally:
                    tool.stop()
            if times:
                rows.append({"tool": os.path.basename(tool.command()[0]) + note, "seconds": times})
        self.facts["start"] = rows

    def size(self, _seconds):
        rows = []
        for cls in (Monitor, ProxyHit):
            tool = cls(self.net)
            if not tool.available():
                continue
            try:
                Tool.start(tool)
                rows.append({"tool": os.path.basename(tool.command()[0]),
                             **self.memory(tool.process.pid, tool.command()[0])})
            finally:
                tool.stop()
        self.facts["size"] = rows

    def memory(self, pid, binary):
        kernel = 0
        seen = set()
        for fd in os.listdir(f"/proc/{pid}/fdinfo"):
            with open(f"/proc/{pid}/fdinfo/{fd}") as file:
                fields = dict(line.split(":\t", 1) for line in file if ":\t" in line)
            key = fields.get("map_id", "").strip() or fields.get("prog_id", "").strip()
            if "memlock" in fields and key not in seen:
                seen.add(key)
                kernel += int(fields["memlock"])
        with open(f"/proc/{pid}/status") as file:
            rss = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))
        stripped = f"/tmp/bench-{os.getpid()}-stripped"
        run("strip", "-o", stripped, binary)
        size = os.path.getsize(stripped)
        os.unlink(stripped)
        return {"binary": size, "rss": rss, "kernel": kernel}

    def machine(self):
        def first(path, pattern):
            with open(path) as file:
                found = re.search(pattern, file.read(), re.M)
            return found.group(1) if found else "?"

        def version(*command):
            try:
                return run(*command).splitlines()[0]
            except (RuntimeError, OSError, IndexError):
                return "?"

        return {
            "cpu": first("/proc/cpuinfo", r"^model name\s*:\s*(.*)$"),
            "cpus": os.cpu_count(),
            "memory_gib": round(int(first("/proc/meminfo", r"^MemTotal:\s+(\d+)")) / 2**20, 1),
            "virtual": "hypervisor" in first("/proc/cpuinfo", r"^flags\s*:\s*(.*)$").split(),
            "kernel": platform.release(),
            "clang": version("clang", "--version"),
            "nft": version("nft", "--version"),
            "revision": version("git", "rev-parse", "--short", "HEAD"),
            "date": time.strftime("%Y-%m-%d"),
        }

    def go(self):
        begun = time.monotonic()
        parts = self.args.part or list(PARTS)
        try:
            self.net.up()
            for part in PARTS:
                if part in parts:
                    log(f"bench: {part}")
                    getattr(self, part)(PARTS[part])
        finally:
            self.sysctl.restore()
            self.net.down()
        return {"machine": self.machine(), "seconds": round(time.monotonic() - begun),
                "parts": parts, "samples": self.samples, **self.facts}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-p", "--part", action="append", choices=list(PARTS),
                        help="only this part (repeatable)")
    parser.add_argument("-v", "--variant", action="append", metavar="TEXT",
                        help="only variants with TEXT in their name (repeatable)")
    parser.add_argument("-s", "--scale", type=float, default=1.0,
                        help="time and counts by this factor: 0.05 for a trial run")
    parser.add_argument("-o", "--output", default="docs/benchmarks",
                        help="where the report goes (default %(default)s)")
    args = parser.parse_args()
    if os.geteuid():
        sys.exit("bench: needs root, for network namespaces and BPF")

    def end(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    try:
        results = Bench(args).go()
    except RuntimeError as err:
        sys.exit(f"bench: {err}")
    except KeyboardInterrupt:
        sys.exit("bench: interrupted")
    os.makedirs(args.output, exist_ok=True)
    path = os.path.join(args.output, "results.json")
    with open(path, "w") as file:
        json.dump(results, file, separators=(",", ":"))
        file.write("\n")
    subprocess.run([sys.executable, os.path.join(HERE, "report.py"), path], check=True)


if __name__ == "__main__":
    main()
