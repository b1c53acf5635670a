#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Send frames as they are seldom seen, each kind several times: odd-frames.py INTERFACE"""
import random
import socket
import struct
import sys

# Nobody's address: the receiving host does not answer.
MACS = bytes.fromhex("02aaaaaaaaaa02bbbbbbbbbb")


def ether(ethertype, payload):
    return (MACS + struct.pack("!H", ethertype) + payload).ljust(60, b"\0")


def ipv4(proto, payload, frag=0, length=None, first=0x45, options=b""):
    total = 20 + len(options) + len(payload) if length is None else length
    return struct.pack("!BBHHHBBHII", first + len(options) // 4, 0, total, 7, frag, 64, proto, 0,
                       0xC0000201, 0xC6336401) + options + payload


def ipv6(proto, payload):
    address = bytes.fromhex("20010db8000000000000000000000001")
    return struct.pack("!IHBB", 0x60000000, len(payload), proto, 64) + 2 * address + payload


def udp(sport, dport=53, payload=b"x" * 30):
    return struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


def frames():
    random.seed(1)
    yield ether(0x88CC, b"\x02\x07\x04lldp" + bytes(40))
    yield ether(38, b"\x42\x42\x03" + bytes(35))
    yield ether(0x0806, bytes(28))
    yield ether(0x9000, bytes(46))
    yield ether(0x0800, ipv4(17, udp(1000), options=b"\x01" * 8))
    yield ether(0x0800, ipv4(17, udp(1001), frag=0x2000))
    yield ether(0x0800, ipv4(17, bytes(24), frag=3))
    yield ether(0x0800, ipv4(50, bytes(40)))
    yield ether(0x0800, ipv4(17, udp(1), first=0x44))
    yield ether(0x0800, ipv4(17, udp(2), length=900))
    yield ether(0x0800, ipv4(17, b"", length=20))
    yield ether(0x86DD, ipv6(0, struct.pack("!BB", 17, 0) + bytes(6) + udp(1002)))
    yield ether(0x86DD, ipv6(0, 20 * (b"\0" * 8)))
    yield ether(0x8100, struct.pack("!HH", 100, 0x0800) + ipv4(17, udp(1003)))
    yield ether(0x88A8, struct.pack("!HHHH", 200, 0x8100, 300, 0x86DD) + ipv6(17, udp(1004)))
    yield ether(0x8100, struct.pack("!HH", 5, 0x8100) * 9 + struct.pack("!HH", 5, 0x0800) + bytes(60))
    yield ether(0x8864, struct.pack("!IHH", 0x11000001, 60, 0x21) + ipv4(17, udp(1005)))
    yield ether(0x8847, struct.pack("!II", 16 << 12, 17 << 12 | 0x100) + ipv4(17, udp(1006)))
    yield ether(0x8847, struct.pack("!I", 16 << 12) * 9)
    for port in range(200):
        yield ether(0x0800, ipv4(17, udp(2000 + port)))
    for _ in range(200):
        yield MACS + bytes(random.choices(range(256), k=random.randint(2, 300)))


with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
    sender.bind((sys.argv[1], 0))
    for _ in range(3):
        for frame in frames():
            sender.send(frame)
