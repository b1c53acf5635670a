#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""IPFIX over TCP for collectors that know UDP only: ipfix-relay.py PORT TO_PORT

Accepts connections on PORT, one after the other, cuts the stream into messages, and sends each to
the UDP port TO_PORT of 127.0.0.1. Says "broken" of a stream that is none of messages, and "out of
sequence" if a sequence number is not that of the records before it in this connection.
"""
import socket
import sys


def number(message, at, length=2):
    return int.from_bytes(message[at : at + length], "big")


class Session:
    """What a connection has carried."""

    def __init__(self):
        self.lengths, self.records = {}, 0

    def learn(self, message, at, end, options):
        while at < end:
            template, count = number(message, at), number(message, at + 2)
            at += 6 if options else 4
            self.lengths[template] = sum(number(message, at + 4 * i + 2) for i in range(count))
            at += 4 * count

    def is_next(self, message):
        good = number(message, 8, 4) == self.records
        at = 16
        while at < len(message):
            kind, length = number(message, at), number(message, at + 2)
            if kind < 256:
                self.learn(message, at + 4, at + length, kind == 3)
            else:
                self.records += (length - 4) // self.lengths[kind]
            at += length
        return good


server = socket.create_server(("0.0.0.0", int(sys.argv[1])))
to = ("127.0.0.1", int(sys.argv[2]))
while True:
    connection, _ = server.accept()
    print("connected", flush=True)
    stream = connection.makefile("rb")
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    session = Session()
    while head := stream.read(4):
        message = head + stream.read(number(head, 2) - 4)
        if number(head, 0) != 10 or len(message) != number(head, 2):
            print("broken", flush=True)
            break
        if not session.is_next(message):
            print("out of sequence", flush=True)
        out.sendto(message, to)
    print("disconnected", flush=True)
    connection.close()
