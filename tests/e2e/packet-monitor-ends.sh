#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# packet-monitor --ends and --changed: a record for each flow that leaves the table; the records and
# the untracked packets make up the totals.
. "$(dirname "$0")/../lib.sh"
needs jq python3

PM=$BIN/packet-monitor
host near
for i in 1 2; do
	ip -n near link add v$i type veth peer name w$i
	ip -n near link set v$i up
	ip -n near link set w$i up
done

# send DEV FIRST LAST: a frame from each of these MAC addresses: a flow each
send()
{
	in_host near python3 -c '
import socket, sys
dev, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((dev, 0))
for i in range(first, last + 1):
    s.send(b"\xff" * 6 + b"\x02\0\0\0" + i.to_bytes(2, "big") + b"\x88\xb5" + b"x" * (40 + i % 50))
' "$@"
}

# wholes ID: for each interface and direction, whether the records and the last totals agree
wholes()
{
	jq -s -e '(map(select(.type == "total")) | group_by([.iface, .dir]) | map(.[-1])) as $totals |
		map(select(.type == "end")) as $ends | ($totals | length) > 0 and ($totals | all(. as $t |
		($ends | map(select(.iface == $t.iface and .dir == $t.dir))) as $of |
		($of | map(.packets) | add // 0) + $t.untracked_packets == $t.packets and
		($of | map(.bytes) | add // 0) + $t.untracked_bytes == $t.bytes and
		($of | map(select(.reason == "idle" or .reason == "evicted"))) as $retired |
		($retired | map(.packets) | add // 0) == $t.retired_packets and
		($retired | length) == $t.retired_flows))' "$TMP/$1.out"
}

# reasons ID
reasons()
{
	jq -s -c 'map(select(.type == "end") | .reason) | unique' "$TMP/$1.out"
}

# ended ID REASON: whether a flow has ended for this reason
ended()
{
	grep -q "\"type\":\"end\".*\"dir\":\"in\".*\"ethertype\":\"0x88b5\".*\"reason\":\"$2\"" "$TMP/$1.out"
}

start_tool pm near packet-monitor -j --ends 'w*' -Q in -I 0.2 -m 64 --idle 0
send v1 1 40
check "the first flows are reported" wait_for 10 grep -q '"interval_packets":0.*' "$TMP/pm.out"
send v2 41 62
check "flows leave to make room" wait_for 10 ended pm evicted
ip -n near link del v2
check "flows of an interface leave when that is gone" wait_for 10 ended pm interface
send v1 100 110
stop pm INT
equal "every reason is told" "$(reasons pm)" '["evicted","exit","interface"]'
check "the records and the untracked packets are the whole" wholes pm
check "each flow has its times" jq -s -e 'map(select(.type == "end")) |
	all(.first <= .ts and .last <= .ts + 0.001 and .first > .ts - 600)' "$TMP/pm.out"
check "no flow ends before it begins" jq -s -e 'map(select(.type == "end")) |
	all(if .packets == 1 then .first == .last else .first <= .last end)' "$TMP/pm.out"

start_tool pm near packet-monitor -j --ends w1 -Q in -I 0.2 --idle 0.3
send v1 1 10
check "an idle flow leaves" wait_for 10 ended pm idle
send v1 1 10
stop pm INT
# The last ones may have become idle before the end.
check "idle, and those at the end" jq -s -e 'map(select(.type == "end").reason) |
	any(. == "idle") and all(. == "idle" or . == "exit")' "$TMP/pm.out"
check "the records are the whole" wholes pm

start_tool pm near packet-monitor -j --changed w1 -Q in -I 0.2
send v1 1 10
seen()
{
	[ "$(grep -c '"ethertype":"0x88b5"' "$TMP/pm.out")" -ge 10 ]
}
check "--changed: a flow that moves is shown" wait_for 10 seen
wait_for 10 eval '[ "$(tail -n 1 "$TMP/pm.out" | grep -c "\"interval_packets\":0")" = 1 ]' || true
stop pm INT
equal "--changed: once" "$(grep -c '"ethertype":"0x88b5"' "$TMP/pm.out")" 10
check_not "--ends is for jsonl only" in_host near "$PM" --ends w1 -c 1
check_not "--changed shows flows only" in_host near "$PM" --changed --by host w1 -c 1
finish
