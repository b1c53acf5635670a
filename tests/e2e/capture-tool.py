#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What the test with captures needs.

capture-tool.py make DIRECTORY              write captures of our own
capture-tool.py unfit FILE                  print why a file cannot be replayed as it is, if so
capture-tool.py compare FILE MODE JSONL...  compare packet-monitor's last reports with tshark's view
                                            MODE: outer, or inner if it ran with --inner

tshark dissects frame by frame, with reassembly off. What it finds in a frame becomes the key of a
flow here, by what docs/packet-monitor.md says: later fragments belong to the flow of the first,
what an ICMP error quotes is no flow of its own, and addresses are those of the IP header, not those
of a routing header or a home address option. tshark's own conversations (-z conv) are compared as well.
"""
import collections
import json
import os
import random
import re
import struct
import subprocess
import sys
import xml.etree.ElementTree

PORTS = {6: "tcp", 17: "udp", 33: "dccp", 132: "sctp"}
ICMP = {1: "icmp", 58: "icmpv6"}
# As packet-monitor calls them.
NAMES = {1: "icmp", 2: "igmp", 4: "ipip", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6", 46: "rsvp",
         47: "gre", 50: "esp", 51: "ah", 58: "icmpv6", 88: "eigrp", 89: "ospf", 103: "pim",
         112: "vrrp", 115: "l2tp", 132: "sctp", 136: "udplite"}
TUNNEL_PORTS = {4789: "vxlan", 8472: "vxlan", 6081: "geneve"}
TUNNELS_MAX = 4
OPTIONS = ["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE",
           "-o", "tcp.desegment_tcp_streams:FALSE", "-d", "udp.port==8472,vxlan"]

# @fields: the first of each name; @all: in order, with their values
Layer = collections.namedtuple("Layer", "name fields all start")
# What follows the link layer; ends of packets are offsets in the frame.
Key = collections.namedtuple("Key", "family vlan inner_vlan proto src sport dst dport")


def tshark(path, *arguments):
    result = subprocess.run(["tshark", "-n", "-r", path, *OPTIONS, *arguments], check=True,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return result.stdout.splitlines()


def number(text):
    if text in ("True", "False"):  # a flag, from tshark 4.2 on
        return int(text == "True")
    return int(text, 0) if text else 0


def frames(path):
    """The layers of each frame, in order."""
    command = ["tshark", "-n", "-r", path, *OPTIONS, "-T", "pdml"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        for _, packet in xml.etree.ElementTree.iterparse(process.stdout):
            if packet.tag != "packet":
                continue
            layers = []
            for proto in packet.findall("proto"):
                fields = [(field.get("name"), field.get("show")) for field in proto.iter("field")]
                layers.append(Layer(proto.get("name"), dict(reversed(fields)), fields,
                                    number(proto.get("pos"))))
            yield layers
            packet.clear()


class Dissection:
    """A walk over the layers of a frame."""

    def __init__(self, layers):
        self.layers = [layer for layer in layers
                       if layer.name not in ("geninfo", "frame", "fake-field-wrapper")]
        self.tags = []
        self.mac = self.ethertype = None

    def next(self):
        return self.layers[0] if self.layers else Layer("", {}, [], 0)

    def link(self):
        """Step over Ethernet, tags, PPPoE and MPLS."""
        self.mac = None
        if self.next().name == "eth":
            fields = self.layers.pop(0).fields
            self.mac = fields["eth.src"], fields["eth.dst"]
            self.ethertype = fields.get("eth.type", "0x0004")
        while self.next().name in ("vlan", "ieee8021ad"):
            fields = self.layers.pop(0).fields
            for name in "vlan.id", "ieee8021ad.id", "ieee8021ad.svid", "ieee8021ad.cvid":
                if name in fields:
                    self.tags.append(number(fields[name]))
            self.ethertype = fields.get("vlan.etype") or fields.get("ieee8021ah.etype") or \
                {"arp": "0x0806"}.get(self.next().name, "0x0004")
        while self.next().name in ("mpls", "pppoes", "ppp"):
            self.layers.pop(0)

    def key(self, *parts):
        vlan = self.tags[0] if self.tags else 0
        inner_vlan = self.tags[1] if len(self.tags) > 1 else None
        return Key(parts[0], vlan, inner_vlan, *parts[1:])

    def other(self):
        return self.key("other", self.ethertype, self.mac[0], 0, self.mac[1], 0)

    def network(self, firsts, limit):
        """The key of an IP packet, and whether it is a fragment; None if it ends behind limit."""
        name, fields, ordered, start = self.layers.pop(0)
        if name == "ip":
            end = start + number(fields["ip.len"])
            proto = number(fields["ip.proto"])
            offset, more = number(fields["ip.frag_offset"]), number(fields["ip.flags.mf"])
            ident = fields["ip.id"]
        else:
            end = start + 40 + number(fields["ipv6.plen"])
            proto = [number(show) for field, show in ordered
                     if re.fullmatch(r"ipv6\.(\w+\.)?nxt", field)][-1]
            offset = number(fields.get("ipv6.fraghdr.offset"))
            more = number(fields.get("ipv6.fraghdr.more"))
            ident = fields.get("ipv6.fraghdr.ident")
            while not offset and self.next().name in ("ah", "mipv6"):
                above = self.layers.pop(0)
                proto = number(above.fields.get("ah.next_header") or above.fields.get("mip6.proto"))
        if limit and end > limit:
            return None, False, limit
        src, dst = fields[f"{name}.src"], fields[f"{name}.dst"]
        ports = self.ports(proto, (name, src, dst, ident, proto, tuple(self.tags)), offset, more,
                           firsts)
        key = self.key({"ip": "ipv4"}.get(name, name), NAMES.get(proto, str(proto)), src, ports[0],
                       dst, ports[1])
        return key, bool(offset or more), end

    def ports(self, proto, datagram, offset, more, firsts):
        if proto not in PORTS and proto not in ICMP:
            return 0, 0
        if offset:
            ports = firsts.get(datagram, ("fragment", "fragment"))
            if not more:
                firsts.pop(datagram, None)
            return ports
        fields = self.next().fields
        if proto in PORTS:
            name = PORTS[proto]
            ports = number(fields.get(f"{name}.srcport")), number(fields.get(f"{name}.dstport"))
        else:
            name = ICMP[proto]
            ports = number(fields.get(f"{name}.type")), number(fields.get(f"{name}.code"))
        if more:
            firsts[datagram] = ports
        return ports

    def enter(self):
        """Step into a tunnel. Return: whether there is one."""
        if self.next().name == "udp":
            port = number(self.layers.pop(0).fields["udp.dstport"])
            name, fields = self.next()[:2]
            if name == "vxlan" and not number(fields["vxlan.flags"]) & 0x0800:
                return False
            if name == "geneve" and number(fields["geneve.version"]):
                return False
            if TUNNEL_PORTS.get(port) != name:
                return False
            self.layers.pop(0)
        elif self.next().name == "gre":
            if number(self.layers.pop(0).fields["gre.flags_and_version"]) & ~0xB000:
                return False
        self.link()
        return self.mac is not None or self.next().name in ("ip", "ipv6")


def flow_of(layers, inner, firsts):
    walk = Dissection(layers)
    walk.link()
    if walk.next().name not in ("ip", "ipv6"):
        return walk.other()
    key, fragment, end = walk.network(firsts, None)
    for _ in range(TUNNELS_MAX if inner else 0):
        if fragment or not walk.enter():
            break
        if walk.next().name not in ("ip", "ipv6"):
            return walk.other()
        inside, fragment, end = walk.network(firsts, end)
        if not inside:
            break
        key = inside
    return key


def length(layers):
    return next(int(layer.fields["frame.len"]) for layer in layers if layer.name == "frame")


def expectation(dissected, inner):
    """Frames and bytes of each flow."""
    flows = collections.defaultdict(lambda: [0, 0])
    firsts = {}
    for layers in dissected:
        flow = flows[flow_of(layers, inner, firsts)]
        flow[0] += 1
        flow[1] += length(layers)
    return flows


def reported_key(row):
    ports = row["sport"], row["dport"]
    if "icmp_type" in row:
        ports = row["icmp_type"], row["icmp_code"]
    if row.get("fragment"):
        ports = "fragment", "fragment"
    return Key(row["family"], row["vlan"], row.get("inner_vlan"), row["proto"], row["src"],
               ports[0], row["dst"], ports[1])


def last_report(path):
    """The flows and the total in the last report."""
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
        flow = flows[reported_key(row)]
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


def has_one_flow(layers):
    """Whether tshark has no other conversation in a frame than packet-monitor."""
    names = [layer.name for layer in layers]
    fields = {name for layer in layers for name in layer.fields}
    return names.count("ip") + names.count("ipv6") < 2 and names.count("eth") < 2 and not any(
        re.match(r"ip\.frag_offset|ipv6\.(fraghdr|routing|dstopts)", name) and
        name != "ip.frag_offset" for name in fields) and not any(
        number(layer.fields.get("ip.frag_offset")) for layer in layers)


def compare(path, mode, *reports):
    dissected = list(frames(path))
    lengths = [length(layers) for layers in dissected]
    want = expectation(dissected, mode == "inner")
    plain = all(map(has_one_flow, dissected))
    theirs = {proto: conversations(path, proto) for proto in (("tcp", "udp") if plain else ())}
    problems = []
    for jsonl in reports:
        got, report, total = last_report(jsonl)
        for key in sorted(set(want) | set(got), key=str):
            if want.get(key) != got.get(key):
                problems.append(f"{tuple(key)}: tshark {want.get(key)}, "
                                f"packet-monitor {got.get(key)}")
        if [total["packets"], total["bytes"]] != [len(lengths), sum(lengths)]:
            problems.append(f"total {total['packets']}, {total['bytes']} is not {len(lengths)}, "
                            f"{sum(lengths)}")
        parts = sum(row["packets"] for row in report) + total["retired_packets"]
        if parts + total["untracked_packets"] != total["packets"]:
            problems.append("the parts do not make up the total")
        for proto, found in theirs.items():
            ours = collections.Counter()
            for key, (packets, _) in got.items():
                if key.proto == proto:
                    ours[frozenset((f"{key.src}:{key.sport}", f"{key.dst}:{key.dport}"))] += packets
            if ours != found:
                problems.append(f"conversations: tshark {found}, packet-monitor {dict(ours)}")
    if problems:
        sys.exit("\n".join(problems[:10]))
    print(f"{len(lengths)} frames, {len(want)} flows, "
          f"{sum(map(len, theirs.values()))} conversations")


def unfit(path):
    kind = subprocess.run(["capinfos", "-E", "-T", "-r", path], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip().split("\t")[-1]
    if kind != "ether":
        print(f"link type {kind}, not Ethernet")
    elif any(len(set(line.split("\t"))) > 1 for line in
             tshark(path, "-T", "fields", "-e", "frame.len", "-e", "frame.cap_len")):
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


def link_layer(ethertype, payload, tags_max=4):
    """A frame with random headers between Ethernet and the network layer."""
    macs = bytes([2]) + random.randbytes(5) + bytes([2]) + random.randbytes(5)
    what = random.randrange(4)
    if what == 0 and ethertype in (0x0800, 0x86DD):
        payload = struct.pack("!BBHHH", 0x11, 0, random.randrange(65535), len(payload) + 2,
                              0x21 if ethertype == 0x0800 else 0x57) + payload
        ethertype = 0x8864
    elif what == 1 and ethertype in (0x0800, 0x86DD):
        labels = random.randint(1, 4)
        for n in range(labels):
            label = random.randrange(16, 1 << 20) << 12 | (not n) << 8 | 64
            payload = struct.pack("!I", label) + payload
        ethertype = random.choice((0x8847, 0x8848))
    for _ in range(random.choice((0, 0, 1, 2, tags_max))):
        payload = struct.pack("!HH", random.randrange(1, 4095), ethertype) + payload
        ethertype = random.choice((0x8100, 0x8100, 0x88A8, 0x9100))
    return macs + struct.pack("!H", ethertype) + payload


def network_layer(proto, payload):
    """A packet of either version. Return: EtherType and packet."""
    src, dst = random.randrange(1, 250), random.randrange(1, 250)
    if random.randrange(2):
        return 0x0800, ipv4(proto, payload, options=bytes([1] * 4 * random.choice((0, 0, 1, 10))),
                            src=src, dst=dst)
    for kind in random.choice(((), (), (60,), (60, 43, 0))):
        payload = bytes([proto, 0, 0, 0] if kind == 43 else [proto, 0, 1, 4]) + bytes(4) + payload
        proto = kind
    return 0x86DD, ipv6(proto, payload, src=src, dst=dst)


def upper_layer():
    data = random.randbytes(random.randrange(40, 100))
    ports = 20000 + random.randrange(9), 30000 + random.randrange(9)
    return random.choice((
        (6, tcp(*ports, data)), (17, udp(*ports, data)),
        (132, struct.pack("!HHII", *ports, 9, 0) + data),
        (1, bytes([8, 0, 0, 0, 0, 1, 0, 1]) + data), (58, bytes([128, 0, 0, 0, 0, 1, 0, 1]) + data),
        (50, data)))


def in_tunnel(ethertype, packet):
    """A packet in a random tunnel. Return: protocol and upper-layer header."""
    vni = struct.pack("!I", random.randrange(1 << 24) << 8)
    ports = 20000 + random.randrange(9)
    what = random.randrange(5)
    if what == 0:
        return 4 if ethertype == 0x0800 else 41, packet
    if what == 1:
        flags = random.choice((0, 0x8000, 0x2000, 0x1000, 0xB000))
        return 47, struct.pack("!HH", flags, ethertype) + bytes(4 * bin(flags).count("1")) + packet
    if what == 2:
        return 47, struct.pack("!HH", 0, 0x6558) + link_layer(ethertype, packet, 2)
    if what == 3:
        head = bytes([8, 0, 0, 0]) + vni
        return 17, udp(ports, random.choice((4789, 8472)), head + link_layer(ethertype, packet, 2))
    options = random.choice((0, 1, 3))
    inner = random.randrange(2)
    head = struct.pack("!BBH", options, 0, 0x6558 if inner else ethertype) + vni
    head += (bytes.fromhex("01028001") + bytes(4 * options - 4))[:4 * options] if options else b""
    return 17, udp(ports, 6081, head + (link_layer(ethertype, packet, 2) if inner else packet))


def random_frame():
    ethertype, packet = network_layer(*upper_layer())
    if random.randrange(8) == 0:
        ethertype, packet = 0x0806, bytes.fromhex("0001080006040001") + bytes(20)
    for _ in range(random.choice((0, 1, 1, 2, 3))):
        if ethertype == 0x0806:
            proto, payload = 17, udp(20000, 4789, bytes([8, 0, 0, 0, 0, 0, 7, 0]) +
                                     link_layer(ethertype, packet, 1))
        else:
            proto, payload = in_tunnel(ethertype, packet)
        ethertype, packet = network_layer(proto, payload)
    return link_layer(ethertype, packet).ljust(60, b"\0")


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
        "pppoe": [ethernet(0x8864, struct.pack("!BBHHH", 0x11, 0, 7, 2 + len(inner), proto) + inner)
                  for inner, proto in ((ipv4(6, tcp(1, 80, data)), 0x21),
                                       (ipv6(6, tcp(1, 80, data)), 0x57),
                                       (bytes.fromhex("0901000801020304"), 0xC021))],
        "mpls": [ethernet(0x8847, labels + inner) for labels in
                 (struct.pack("!I", 16 << 12 | 0x140),
                  struct.pack("!II", 17 << 12 | 64, 16 << 12 | 0x140))
                 for inner in (ipv4(6, tcp(1, 80, data)), ipv6(17, udp(5, 9999, data)),
                               bytes(4) + ethernet(0x0800, ipv4(17, udp(5, 9999, data))))],
        "customers": [ethernet(0x0800, ipv4(6, tcp(1, 80, data)), bytes.fromhex(tags)) for tags in
                      ("9100000a81000001", "9100000a81000002", "88a8000a81000001", "810000018100000a",
                       "8100000a", "88a8000a8100000081000000")],
        "fragments": [ethernet(0x0800, ipv4(17, udp(5004, 9999, data, 400), frag=0x2000)),
                      ethernet(0x0800, ipv4(17, data[:192], frag=26)),
                      ethernet(0x86DD, ipv6(44, struct.pack("!BBHI", 17, 0, 1, 99) +
                                            udp(5005, 9999, data[:184], 300))),
                      ethernet(0x86DD, ipv6(44, struct.pack("!BBHI", 17, 0, 192, 99) + data[:108]))],
    }
    random.seed(int(os.environ.get("SEED", "1")))
    captures["random"] = [random_frame() for _ in range(400)]
    for name, content in captures.items():
        with open(os.path.join(directory, name + ".pcap"), "wb") as out:
            out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
            for n, frame in enumerate(content):
                out.write(struct.pack("<IIII", 1000, n, len(frame), len(frame)) + frame)


if __name__ == "__main__":
    {"make": make, "unfit": unfit, "compare": compare}[sys.argv[1]](*sys.argv[2:])
