#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""prom-watch.py FILE: for each report of packet-monitor -o prom that replaces FILE, print the
packets of all hooks and those of all series, until killed."""
import os
import re
import sys
import time

SAMPLES = [
    re.compile(rf"^packet_monitor_{name}packets_total\{{.*\}} (\d+)$", re.M)
    for name in ("", "flow_")
]
before = None
while True:
    try:
        with open(sys.argv[1], encoding="utf-8") as file:
            inode = os.fstat(file.fileno()).st_ino
            if inode != before:
                text = file.read()
                print(*(sum(map(int, each.findall(text))) for each in SAMPLES), flush=True)
            before = inode
    except FileNotFoundError:
        pass
    time.sleep(0.01)
