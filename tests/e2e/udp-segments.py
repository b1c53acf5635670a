#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Send datagrams with UDP segmentation offload: udp-segments.py ADDRESS COUNT SIZE PORT [START]

COUNT datagrams of SIZE bytes, up to 40 of them in one call, the last one of each call shorter, and
then a pause for the receiver. Each begins with the bytes START (hexadecimal).
"""
import socket
import sys
import time

SOL_UDP, UDP_SEGMENT = 17, 103

address, count, size, port = sys.argv[1], *map(int, sys.argv[2:5])
datagram = bytes.fromhex("".join(sys.argv[5:])).ljust(size, b"\0")
family = socket.AF_INET6 if ":" in address else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as sender:
    sender.setsockopt(SOL_UDP, UDP_SEGMENT, size)
    while count:
        burst = min(count, 40)
        sender.sendto((burst * datagram)[:-7], (address, port))
        count -= burst
        time.sleep(0.0002)
