#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""One end of a PPPoE session, without discovery and negotiation: pppoe-end.py DEVICE NAME PEER_MAC

Makes the network device NAME, says "up" (or why not) and stays until it is killed.
"""
import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys

AF_PPPOX, PX_PROTO_OE, SESSION = 24, 0, 7
PPPIOCGCHAN, PPPIOCATTCHAN = 0x80047437, 0x40047438
PPPIOCNEWUNIT, PPPIOCCONNECT = 0xC004743E, 0x4004743A
PPPIOCSNPMODE = 0x4008744B
PPP_IP, PPP_IPV6, NPMODE_PASS = 0x21, 0x57, 0


def main(device, name, peer):
    session = socket.socket(AF_PPPOX, socket.SOCK_STREAM, PX_PROTO_OE)
    address = struct.pack("=HI", AF_PPPOX, PX_PROTO_OE) + struct.pack("!H", SESSION) + \
        bytes.fromhex(peer.replace(":", "")) + device.encode().ljust(16, b"\0")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.connect(session.fileno(), address, len(address)):
        raise OSError(ctypes.get_errno(), "connect")
    number = fcntl.ioctl(session, PPPIOCGCHAN, bytes(4))
    channel = os.open("/dev/ppp", os.O_RDWR)
    unit = os.open("/dev/ppp", os.O_RDWR)
    fcntl.ioctl(channel, PPPIOCATTCHAN, number)
    number = fcntl.ioctl(unit, PPPIOCNEWUNIT, struct.pack("=i", -1))
    fcntl.ioctl(channel, PPPIOCCONNECT, number)
    for proto in PPP_IP, PPP_IPV6:
        fcntl.ioctl(unit, PPPIOCSNPMODE, struct.pack("=ii", proto, NPMODE_PASS))
    old = f"ppp{struct.unpack('=i', number)[0]}"
    subprocess.run(["ip", "link", "set", old, "name", name, "mtu", "1492"], check=True)
    return session


try:
    kept_open = main(*sys.argv[1:])
except OSError as error:
    print(error, flush=True)
    sys.exit(1)
print("up", flush=True)
signal.pause()
