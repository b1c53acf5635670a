#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""IPFIX over TCP for collectors that know UDP only: ipfix-relay.py PORT TO_PORT [FILE]

Accepts connections on PORT, one after the other, cuts the stream into messages, and sends each to
the UDP port TO_PORT of 127.0.0.1, from one port per connection. Appends the stream to FILE, too.
"""
import socket
import sys

server = socket.create_server(("0.0.0.0", int(sys.argv[1])))
to = ("127.0.0.1", int(sys.argv[2]))
copy = open(sys.argv[3], "ab", buffering=0) if len(sys.argv) > 3 else None
while True:
    connection, _ = server.accept()
    print("connected", flush=True)
    stream = connection.makefile("rb")
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while head := stream.read(4):
        message = head + stream.read(int.from_bytes(head[2:4], "big") - 4)
        if head[:2] != b"\0\x0a" or len(message) != int.from_bytes(head[2:4], "big"):
            print("broken", flush=True)
            break
        out.sendto(message, to)
        if copy:
            copy.write(message)
    print("disconnected", flush=True)
    connection.close()
