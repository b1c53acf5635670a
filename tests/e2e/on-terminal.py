#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Run packet-monitor on a pseudo-terminal of 12 lines and 60 columns and press its keys."""
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

ROWS, COLUMNS = 12, 60
output = b""


def read_until(pattern, seconds=5):
    """Read on until @pattern is found in what comes from now on."""
    global output
    start, end = len(output), time.monotonic() + seconds
    while time.monotonic() < end:
        if re.search(pattern, output[start:]):
            return True
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                output += os.read(terminal, 65536)
            except OSError:
                return bool(re.search(pattern, output[start:]))
    return False


def say(good, name):
    print(("ok " if good else "FAIL not: ") + name)


child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    os.environ["LC_ALL"] = "C.UTF-8"
    os.execv(sys.argv[1], sys.argv[1:])
say(read_until(rb"(?s)\x1b\[H--- .*\x1b\[H--- "), "the table is drawn again in place")
screens = [screen for screen in output.split(b"\x1b[H")[1:-1] if b"---" in screen]
lines = [re.sub(rb"\x1b\[\d*[A-Z]", b"", line).rstrip(b"\r").decode()
         for screen in screens for line in screen.split(b"\n")]
say(screens and all(screen.count(b"\n") < ROWS for screen in screens), "it fits the height")
say(lines and max(map(len, lines)) <= COLUMNS, "it fits the width")
say(not termios.tcgetattr(terminal)[3] & termios.ECHO, "keys are not echoed")
os.write(terminal, b"s")
say(read_until(rb", by packets"), "s sorts by another key")
os.write(terminal, b" ")
read_until(rb"nothing", 0.5)
shown = len(output)
read_until(rb"nothing", 0.5)
say(len(output) == shown, "space pauses")
os.write(terminal, b" ")
say(read_until(rb"--- "), "and goes on")
os.write(terminal, b"q")
read_until(rb"nothing", 3)
say(os.waitpid(child, 0)[1] == 0, "q quits")
