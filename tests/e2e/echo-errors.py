#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Watch eth0 of a host that answers ping: one line for each ICMP error that comes back.

    TYPE CODE from ADDRESS: about a reply to ADDRESS
    TYPE CODE from ADDRESS: WHAT IS WRONG

An error is right if it quotes an echo reply that this host has sent, with the same addresses and
identifier, and if every checksum in it is right."""
import socket
import struct

ETH_P_ALL, ETH_P_IPV6, PACKET_OUTGOING = 3, 0x86DD, 4
replies = set()


def add_up(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) & ~1]))
    total += data[-1] << 8 if len(data) % 2 else 0
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


class Packet:
    """An IP packet with ICMP, perhaps cut off."""

    def __init__(self, data):
        self.v4 = data[0] >> 4 == 4
        family = socket.AF_INET if self.v4 else socket.AF_INET6
        self.fragment = False
        if self.v4:
            header, self.total, proto = (data[0] & 15) * 4, *struct.unpack("!H5xB", data[2:10])
            addresses = data[12:20]
            self.fragment = bool(struct.unpack("!H", data[6:8])[0] & 0x3FFF)
            later = struct.unpack("!H", data[6:8])[0] & 0x1FFF
        else:
            header, self.total, proto = 40, 40 + struct.unpack("!H", data[4:6])[0], data[6]
            addresses = data[8:40]
            later = 0
            if proto == 44:
                self.fragment = True
                proto, later = data[40], struct.unpack("!H", data[42:44])[0] & 0xFFF8
                header += 8
        half = len(addresses) // 2
        self.src, self.dst = (socket.inet_ntop(family, a) for a in (addresses[:half], addresses[half:]))
        self.icmp = data[header : self.total]
        self.whole = len(data) >= self.total and not self.fragment
        self.is_icmp = proto == (1 if self.v4 else 58) and not later and len(self.icmp) >= 8
        self.head_right = not self.v4 or add_up(data[:header]) == 0xFFFF
        self.pseudo = b"" if self.v4 else addresses + struct.pack("!II", self.total - header, proto)

    def is_error(self):
        return self.is_icmp and self.icmp[0] in ((3, 11, 12) if self.v4 else range(1, 128))

    def is_reply(self):
        return self.is_icmp and self.icmp[0] == (0 if self.v4 else 129)

    def identity(self):
        return self.src, self.dst, self.icmp[4:6]

    def wrong_checksum(self):
        if not self.head_right:
            return "IP checksum"
        if self.whole and add_up(self.pseudo + self.icmp) != 0xFFFF:
            return "ICMP checksum"
        return None


def judge(error):
    if error.wrong_checksum():
        return error.wrong_checksum()
    quote = Packet(error.icmp[8:])
    if not quote.is_reply():
        return "quotes no echo reply"
    if quote.identity() not in replies:
        return f"quotes a reply from {quote.src} to {quote.dst} that was not sent"
    if quote.wrong_checksum():
        return "quoted " + quote.wrong_checksum()
    return f"about a reply to {quote.dst}"


watch = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
watch.bind(("eth0", ETH_P_ALL))
print("watching", flush=True)
while True:
    data, where = watch.recvfrom(65536)
    if where[1] not in (0x800, ETH_P_IPV6):
        continue
    packet = Packet(data)
    if where[2] == PACKET_OUTGOING and packet.is_reply():
        replies.add(packet.identity())
    elif where[2] != PACKET_OUTGOING and packet.is_error():
        print(f"{packet.icmp[0]} {packet.icmp[1]} from {packet.src}: {judge(packet)}", flush=True)
