#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The helpers of tests/lib.sh themselves: what the other scripts take for granted.
. "$(dirname "$0")/../lib.sh"
needs socat ping

lan_of_the_mapping
check "two hosts of a lan reach each other by IPv4" in_host client ping -c 1 -W 2 $TARGET
check "two hosts of a lan reach each other by IPv6" in_host client ping -c 1 -W 2 fd00::138
check_not "an address without a host does not answer" in_host client ping -c 1 -W 1 $ORIGINAL

start server target socat TCP-LISTEN:$TARGET_PORT,reuseaddr,fork EXEC:cat
check "wait_for sees a server come up" wait_for 5 listening target tcp $TARGET_PORT
equal "a TCP exchange works" "$(echo hello | in_host client socat -t 2 - TCP:$TARGET:$TARGET_PORT)" hello
status=0
stop server || status=$?
equal "stop returns the status of a program killed by a signal" $status 143

start sleeper - sleep 100
status=0
stop sleeper INT || status=$?
equal "a program in the background can be interrupted" $status 130
check_not "wait_for gives up" wait_for 0 false
equal "a host has only its own devices in /sys" "$(in_host target ls /sys/class/net | tr '\n' ' ')" "eth0 lo "
equal "a tool has a bpffs" "$(stat -f -c %T /sys/fs/bpf)" bpf_fs
finish
