#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What the test with captures needs.

capture-tool.py make DIRECTORY        write captures of our own
capture-tool.py unfit FILE            print why a file cannot be replayed as it is, if so
capture-tool.py compare FILE JSONL    compare packet-monitor's last report with tshark's view

tshark is asked frame by frame, with reassembly off, and its conversations (-z conv) are compared
as well. Where the two programs differ on purpose, frames are attributed here as packet-monitor
does: later fragments belong to the conversation of the first, what travels in a tunnel or is
quoted by an ICMP error is no conversation of its own, and addresses are those of the IP header, not
those of a routing header or a home address option.
"""
import collections
import json
import os
import re
import struct
import subprocess
import sys

PORTS = {"tcp": "tcp", "udp": "udp", "sctp": "sctp"}
FIELDS = ["frame.len", "frame.cap_len", "frame.protocols", "ip.src", "ip.dst", "ipv6.src",
          "ipv6.dst", "ip.frag_offset", "ip.id", "ipv6.fraghdr.offset", "ipv6.fraghdr.ident",
          "ip.proto", "ipv6.fraghdr.nxt"] + [f"{p}.{e}port" for p in PORTS for e in ("src", "dst")]
NO_REASSEMBLY = ["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE",
                 "-o", "tcp.desegment_tcp_streams:FALSE"]


def tshark(path, *arguments):
    result = subprocess.run(["tshark", "-n", "-r", path, *NO_REASSEMBLY, *arguments], check=True,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return result.stdout.splitlines()


def frames(path):
    select = [argument for field in FIELDS for argument in ("-e", field)]
    for line in tshark(path, "-T", "fields", "-E", "occurrence=f", "-E", "separator=|", *select):
        values = dict(zip(FIELDS, line.split("|")))
        yield {name.replace(".", "_"): value for name, value in values.items()}


def number(text):
    return int(text, 0) if text else 0


def network_and_transport(protocols):
    """The outermost IP header and what follows it: ("ip", "tcp")."""
    names = protocols.split(":")
    for at, name in enumerate(names):
        if name in ("ip", "ipv6"):
            rest = [n for n in names[at + 1:] if not n.startswith("ipv6.")]
            return name, rest[0] if rest else ""
    return "", ""


def expectation(path):
    """Frames and bytes of each flow, and those of later fragments whose ports are unknown."""
    flows = collections.defaultdict(lambda: [0, 0])
    firsts = {}
    for f in frames(path):
        ip, transport = network_and_transport(f["frame_protocols"])
        if not ip:
            continue
        src, dst = f[f"{ip}_src"], f[f"{ip}_dst"]
        later = number(f["ip_frag_offset"] if ip == "ip" else f["ipv6_fraghdr_offset"])
        ident = f["ip_id"] if ip == "ip" else f["ipv6_fraghdr_ident"]
        if later:
            transport = {"6": "tcp", "17": "udp", "132": "sctp"}.get(
                f["ip_proto"] if ip == "ip" else f["ipv6_fraghdr_nxt"], "")
        if transport not in PORTS:
            continue
        if later:
            ports = firsts.get((src, dst, ident, transport), (0, 0))
        else:
            ports = (number(f[f"{transport}_srcport"]), number(f[f"{transport}_dstport"]))
            firsts[src, dst, ident, transport] = ports
        flow = flows[transport, src, ports[0], dst, ports[1]]
        flow[0] += 1
        flow[1] += int(f["frame_len"])
    return flows


def last_report(path):
    """Flows of TCP, UDP and SCTP, and the total, in the last report."""
    report, flows, total = [], collections.defaultdict(lambda: [0, 0]), None
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if total is not None:
                report, total = [], None
            if row["type"] == "total":
                total = row
            else:
                report.append(row)
    for row in report:
        if row["proto"] in PORTS and row["family"] != "other":
            flow = flows[row["proto"], row["src"], row["sport"], row["dst"], row["dport"]]
            flow[0] += row["packets"]
            flow[1] += row["bytes"]
    return flows, report, total


def conversations(path, proto):
    """tshark -z conv: {frozenset(ends): frames}"""
    found = {}
    for line in tshark(path, "-q", "-z", f"conv,{proto}"):
        match = re.match(r"(\S+)\s+<->\s+(\S+)\s+(.*)", line)
        if not match:
            continue
        counts = re.findall(r"(\d+) [\d,.]+ (?:bytes|[kMG]B)", match[3])
        ends = frozenset((match[1], match[2]))
        found[ends] = found.get(ends, 0) + int(counts[2])
    return found


def compare(path, jsonl):
    problems = []
    want = expectation(path)
    got, report, total = last_report(jsonl)
    for key in sorted(set(want) | set(got), key=str):
        if want.get(key) != got.get(key):
            problems.append(f"{key}: tshark {want.get(key)}, packet-monitor {got.get(key)}")
    lengths = [int(f["frame_len"]) for f in frames(path)]
    if [total["packets"], total["bytes"]] != [len(lengths), sum(lengths)]:
        problems.append(f"total {total['packets']}, {total['bytes']} is not {len(lengths)}, "
                        f"{sum(lengths)}")
    parts = sum(row["packets"] for row in report) + total["retired_packets"]
    if parts + total["untracked_packets"] != total["packets"]:
        problems.append("the parts do not make up the total")
    compared = 0
    special = any(number(f["ip_frag_offset"]) or number(f["ipv6_fraghdr_offset"]) or
                  re.search(r":ip(v6)?:(.*:)?(ip|ipv6)(:|$)|ipv6.routing|ipv6.dstopts",
                            f["frame_protocols"])
                  for f in frames(path))
    for proto in () if special else ("tcp", "udp"):
        ours = collections.Counter()
        for (transport, src, sport, dst, dport), (packets, _) in got.items():
            if transport == proto:
                ours[frozenset((f"{src}:{sport}", f"{dst}:{dport}"))] += packets
        theirs = conversations(path, proto)
        compared += len(theirs)
        if ours != theirs:
            problems.append(f"conversations: tshark {theirs}, packet-monitor {dict(ours)}")
    if problems:
        sys.exit("\n".join(problems[:10]))
    print(f"{len(lengths)} frames, {len(want)} flows, {compared} conversations")


def unfit(path):
    kind = subprocess.run(["capinfos", "-E", "-T", "-r", path], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip().split("\t")[-1]
    if kind != "ether":
        print(f"link type {kind}, not Ethernet")
    elif any(f["frame_len"] != f["frame_cap_len"] for f in frames(path)):
        print("holds frames that were cut when they were captured")


# --- captures of our own ---------------------------------------------------------------------------

def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def ipv4(proto, payload, frag=0, options=b"", src=1, dst=2):
    head = struct.pack("!BBHHHBBHII", 0x45 + len(options) // 4, 0, 20 + len(options) + len(payload),
                       7, frag, 64, proto, 0, 0x0A000000 + src, 0x0A000000 + dst) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(proto, payload, src=1, dst=2):
    prefix = bytes.fromhex("20010db80000000000000000000000")
    return struct.pack("!IHBB", 0x60000000, len(payload), proto, 64) + \
        prefix + bytes([src]) + prefix + bytes([dst]) + payload


def tcp(sport, dport, payload=b""):
    return struct.pack("!HHIIBBHHH", sport, dport, 1, 1, 0x50, 0x10, 1000, 0, 0) + payload


def udp(sport, dport, payload=b"", length=None):
    return struct.pack("!HHHH", sport, dport, length or 8 + len(payload), 0) + payload


def ethernet(ethertype, payload, tags=b""):
    macs = bytes.fromhex("02aaaaaaaaaa02bbbbbbbbbb")
    return (macs + tags + struct.pack("!H", ethertype) + payload).ljust(60, b"\0")


def make(directory):
    vlan, qinq = bytes.fromhex("81000064"), bytes.fromhex("88a800c88100012c")
    data = bytes(range(200))
    captures = {
        "tcp": [ethernet(0x0800, ipv4(6, tcp(40000 + n % 7, 80, data[:n]))) for n in range(150)] +
               [ethernet(0x0800, ipv4(6, tcp(80, 40000 + n % 7, data), src=2, dst=1))
                for n in range(90)] +
               [ethernet(0x86DD, ipv6(6, tcp(40000, 80 + n % 3, data))) for n in range(60)],
        "udp-vlan": [ethernet(0x0800, ipv4(17, udp(5000, 9999, data)), vlan) for _ in range(20)] +
                    [ethernet(0x86DD, ipv6(17, udp(5001, 9999, data)), qinq) for _ in range(20)],
        "options": [ethernet(0x0800, ipv4(17, udp(5002, 9999, data), options=bytes([1] * 12)))] +
                   [ethernet(0x86DD, ipv6(0, bytes([0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0])
                                          + udp(5003, 9999, data)))],
        "sctp-gre-arp": [ethernet(0x0800, ipv4(132, struct.pack("!HHII", 7, 8, 9, 0) + bytes(40))),
                         ethernet(0x0800, ipv4(47, bytes(4) + ipv4(6, tcp(1, 2)))),
                         ethernet(0x0806, bytes.fromhex("00010800060400010000000000000a0000010000"
                                                        "000000000a000002"))],
        "fragments": [ethernet(0x0800, ipv4(17, udp(5004, 9999, data, 400), frag=0x2000)),
                      ethernet(0x0800, ipv4(17, data[:192], frag=26)),
                      ethernet(0x86DD, ipv6(44, struct.pack("!BBHI", 17, 0, 1, 99) +
                                            udp(5005, 9999, data[:184], 300))),
                      ethernet(0x86DD, ipv6(44, struct.pack("!BBHI", 17, 0, 192, 99) + data[:108]))],
    }
    for name, content in captures.items():
        with open(os.path.join(directory, name + ".pcap"), "wb") as out:
            out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
            for n, frame in enumerate(content):
                out.write(struct.pack("<IIII", 1000, n, len(frame), len(frame)) + frame)


if __name__ == "__main__":
    {"make": make, "unfit": unfit, "compare": compare}[sys.argv[1]](*sys.argv[2:])
