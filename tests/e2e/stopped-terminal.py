#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Run a tool on a terminal, press Ctrl-S, and expect that it still obeys a signal.

Usage: stopped-terminal.py NAME ERRORS COMMAND..."""
import os
import pty
import select
import signal
import sys

name, errors, command = sys.argv[1], sys.argv[2], sys.argv[3:]


def say(good, what):
    print(("ok %s: %s" if good else "FAIL %s: not: %s") % (name, what), flush=True)


signal.alarm(60)
terminal, other_side = pty.openpty()
child = os.fork()
if child == 0:
    os.login_tty(other_side)
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    os.execv(command[0], command)
say(os.read(terminal, 1), "it reports")
os.write(terminal, b"\x13")
writable = select.poll()
writable.register(other_side, select.POLLOUT)
while writable.poll(0):
    select.select([terminal], [], [], 0.05)
say(True, "Ctrl-S stops what is shown")
os.kill(child, signal.SIGTERM)
# Nothing is read from the terminal, nor is it started again.
say(os.waitpid(child, 0)[1] == 0, "SIGTERM ends it")
with open(errors, encoding="utf-8") as file:
    say("standard output is not read: " in file.read(), "it says that reports are dropped")
