#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""prom-churn.py from|to ADDRESS SECONDS: send datagrams from or to ADDRESS, to or from many hosts
of 10.9.0.0/16: most belong to a few of them. Which these are changes all the time, and comes
back."""
import random
import socket
import sys
import time

begin = time.monotonic()
while time.monotonic() < begin + float(sys.argv[3]):
    turn = int((time.monotonic() - begin) * 4) % 32
    for _ in range(20):
        number = (int(random.paretovariate(0.7)) % 60000 ^ turn * 8) + 1
        host = f"10.9.{number >> 8}.{number & 255}"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            if sys.argv[1] == "to":
                sock.bind((host, 0))
                host = sys.argv[2]
            for _ in range(random.randrange(1, 8)):
                sock.sendto(bytes(random.randrange(1000)), (host, random.choice((53, 53, 443))))
    time.sleep(0.005)
