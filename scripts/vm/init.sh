#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The first process of a virtual machine that scripts/vm/run.sh has started: run the command in
# /command, on the second serial port, and say how it ended.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LC_ALL=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm /dev/net
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
ln -s /proc/self/fd /dev/fd
# No device manager is here that would make this node; to open it loads the module.
[ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
ip link set lo up

exec < /dev/null > /dev/ttyS1 2>&1
stty -F /dev/ttyS1 -opost
echo "kernel $(uname -r)"
bash /command
echo "ended with status $?"
# Closing the port waits until all of it is out.
exec > /dev/null 2>&1
# With -no-reboot, qemu ends. If there is no such key, the end of the first process does the same.
echo b > /proc/sysrq-trigger
