#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# packet-monitor on many interfaces: any, patterns, --exclude; interfaces that come, change and go
# while it runs; the totals of each. With SOAK=1 a thousand interfaces, and what they take.
. "$(dirname "$0")/../lib.sh"
needs jq python3 bpftool

PM=$BIN/packet-monitor
PAIRS=50 INTERVAL=0.2
[ "$SOAK" = 0 ] || PAIRS=500 INTERVAL=1
PATIENCE_ALL=$((PATIENCE * PAIRS / 50)) # for what has to be done on each interface
host near

# pairs FIRST LAST: veth pairs a<N> and b<N>, all up
pairs()
{
	local i
	for ((i = $1; i <= $2; i++)); do
		echo "link add a$i type veth peer name b$i"
		echo "link set a$i up"
		echo "link set b$i up"
	done > "$TMP/pairs"
	ip -n near -b "$TMP/pairs"
}

# send DEV COUNT LEN...: frames of an EtherType that nobody else uses
send()
{
	in_host near python3 -c '
import socket, sys
for dev, count, length in zip(*[iter(sys.argv[1:])] * 3):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind((dev, 0))
    frame = bytes.fromhex("ffffffffffff02000000000188b5").ljust(int(length), b"x")
    for _ in range(int(count)):
        s.send(frame)
    s.close()' "$@"
}

# flows ID DIR: what the last report of each interface says of such frames: [name, packets, bytes]
flows()
{
	jq -s -c --arg dir "$2" 'map(select(.type == "flow" and .ethertype == "0x88b5" and
		.dir == $dir)) | group_by(.iface) | map(.[-1] | [.iface, .packets, .bytes])' "$TMP/$1.out"
}

# sums_hold ID: in each report, for each interface and direction, flows + retired + untracked =
# total
sums_hold()
{
	jq -s -e 'length > 0 and (group_by([.ts, .iface, .dir]) | all(
		map(if .type == "total" then
			[.packets - .retired_packets - .untracked_packets,
			.bytes - .retired_bytes - .untracked_bytes]
		else [-.packets, -.bytes] end) |
		(map(.[0]) | add) == 0 and (map(.[1]) | add) == 0))' "$TMP/$1.out"
}

# said ID TEXT: whether it has said a line with this text
said()
{
	grep -qF -- "$2" "$TMP/$1.err"
}

# wait_said NAME ID TEXT
wait_said()
{
	check "$1" wait_for 10 said "$2" "$3"
}

# --- which interfaces ----------------------------------------------------------------------------

pairs 1 12
ip -n near link property add dev a1 altname the-other-name-of-a1
start_tool pm near packet-monitor -j 'a*' b2 the-other-name-of-a1 a1 'n*' --exclude 'a1?' --exclude a9
equal "patterns, --exclude, an interface under three names: one line" "$(cat "$TMP/pm.err")" \
	"packet-monitor: no interface matches 'n*' yet, waiting
packet-monitor: attached to a1, b2, a2, a3, a4, a5, a6, a7, a8 (ingress, egress)"
for dev in a1 b2 a8; do
	equal "attached once to $dev" "$(our_filters near $dev | xargs)" "pm_ingress pm_egress"
done
for dev in a9 a10 b1 lo; do
	equal "not attached to $dev" "$(our_filters near $dev)" ""
done
ip -n near link add new1 type veth peer name other1
wait_said "one that comes is attached" pm "packet-monitor: attached to new1 (ingress, egress)"
ip -n near link set other1 name nine
wait_said "one that gets such a name is attached" pm "attached to nine (ingress, egress)"
ip -n near link set new1 name else1
wait_said "one that is renamed stays" pm "new1 is now called else1"
ip -n near link add xa type veth peer name xb
ip -n near link set xa up
ip -n near link property add dev xa altname n-another-name
wait_said "one that gets another name is attached" pm "attached to xa (ingress, egress)"
ip -n near link del a3
wait_said "one goes" pm "a3 is gone"
check "and takes none with it" running pm
ip -n near link set a4 down
ip -n near link add new2 type veth peer name other2
wait_said "one that goes down does not end it" pm "attached to new2"
stop pm INT
equal "nothing of ours is left" "$(for dev in a1 b2 nine; do our_filters near $dev; done)" ""
ip -n near link del a5

start_tool pm near packet-monitor any -Q in -t 3600
equal "any: ten names, and the number of the others" "$(cat "$TMP/pm.err")" \
	"packet-monitor: attached to lo, b1, a1, b2, a2, b4, a4, b6, a6, b7 and 17 more (ingress)"
stop pm INT
check "-c ends it" in_host near timeout 60 "$PM" 'nothing*' -c 1 -I 0.1
said=$(in_host near "$PM" a1 no-such-name 2>&1) || true
equal "one of two names is missing" "$said" \
	"packet-monitor: cannot attach to no-such-name: no such interface"

# --- the counts ----------------------------------------------------------------------------------

for dev in $(ip -n near -o link show type veth | sed -nE 's/^[0-9]+: ([^@]*)@.*/\1/p'); do
	ip -n near link del "$dev" 2> /dev/null || true
done
pairs 1 $PAIRS
# Without a link layer.
ip -n near tuntap add tun1 mode tun
ip -n near link set tun1 up
before=$EPOCHREALTIME
PATIENCE=$PATIENCE_ALL start_tool pm near packet-monitor any -j -I $INTERVAL --idle 0
echo "# attached to $((2 * PAIRS + 2)) interfaces after $(awk "BEGIN { print $EPOCHREALTIME - $before }") s"
frames=() want_out=() want_in=()
for ((i = 1; i <= PAIRS; i++)); do
	frames+=("a$i" $i $((60 + i)))
	want_out+=("[\"a$i\",$i,$((i * (60 + i)))]")
	want_in+=("[\"b$i\",$i,$((i * (60 + i)))]")
done
# as_json ITEM...: a list, ordered as jq orders it
as_json()
{
	printf '%s\n' "$@" | jq -s -c 'sort'
}
send "${frames[@]}"
for i in 1 2 3; do
	ip -n near link del a$i
	wait_said "a$i goes" pm "a$i is gone"
	wait_said "b$i goes with it" pm "b$i is gone"
done
# The ifindex of one that has gone: the new one begins at zero.
before=$EPOCHREALTIME
ip -n near link add name a0 index 4000 type veth peer name b0 index 4001
wait_said "a0 comes" pm "attached to a0"
wait_said "b0 comes" pm "attached to b0"
echo "# a new pair made and attached in $(awk "BEGIN { print $EPOCHREALTIME - $before }") s at most"
ip -n near link set a0 up
ip -n near link set b0 up
send a0 7 70
check "both are reported" wait_for 10 grep -q '"iface":"b0","dir":"in".*"packets":7' "$TMP/pm.out"
ip -n near link del a0
ip -n near link add name c0 index 4000 type veth peer name d0 index 4001
wait_said "c0 comes in place of a0" pm "attached to c0"
wait_said "d0 comes in place of b0" pm "attached to d0"
ip -n near link set c0 up
ip -n near link set d0 up
send c0 5 80
if [ "$SOAK" = 1 ]; then
	program=$(in_host near tc filter show dev a5 egress | sed -nE 's/.* pm_egress:\[([0-9]+)\] .*/\1/p')
	maps=0
	for map in $(bpftool -j prog show id "$program" | jq '.map_ids[]'); do
		maps=$((maps + $(bpftool -j map show id "$map" | jq '.bytes_memlock')))
	done
	rss=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/${pids[pm]}/status")
	echo "# resident: $((rss / 1024)) MiB, maps: $((maps / 1048576)) MiB"
	check "all of that in 150 MB" test $((rss * 1024 + maps)) -lt 150000000
fi
# Filters that somebody removes from one of many.
nsenter --net=/run/netns/near tc qdisc del dev a5 clsact
wait_said "filters of one of many are attached again: ingress" pm "the ingress filter from a5; it is attached again"
wait_said "and egress" pm "the egress filter from a5; it is attached again"
equal "both" "$(our_filters near a5 | xargs)" "pm_ingress pm_egress"
equal "and only these" "$(grep -c 'attached again' "$TMP/pm.err")" 2
stop pm INT
equal "each interface has its own packets: out" "$(flows pm out)" \
	"$(as_json "${want_out[@]}" '["a0",7,490]' '["c0",5,400]')"
equal "each interface has its own packets: in" "$(flows pm in)" \
	"$(as_json "${want_in[@]}" '["b0",7,490]' '["d0",5,400]')"
check "flows, retired and untracked packets make up the totals of each" sums_hold pm
equal "those that are gone are not in the last report" "$(jq -s -c 'map(.ts) as $ts |
	map(select(.ts == $ts[-1] and .type == "total") | .iface) | map(select(test("^[ab][0123]$")))' \
	"$TMP/pm.out")" "[]"
equal "nothing of ours is left" "$(our_filters near a$PAIRS)" ""

# What a SIGKILL leaves, the script removes from all of them at once.
PATIENCE=$PATIENCE_ALL start_tool pm near packet-monitor any
stop pm KILL || true
before=$EPOCHREALTIME
in_host near "$ROOT/remove-filters-and-qdisc.sh" > "$TMP/clean"
echo "# removed by remove-filters-and-qdisc.sh in $(awk "BEGIN { print $EPOCHREALTIME - $before }") s"
equal "after a SIGKILL, the script removes two filters from each interface" \
	"$(grep -c 'removed filter' "$TMP/clean")" $((2 * $(ip -n near -o link | wc -l)))
equal "and all of them" "$(in_host near "$ROOT/remove-filters-and-qdisc.sh")" \
	"nothing of packet-monitor or proxy found"

# The same ifindex between two reports: the last one shows both interfaces.
start_tool pm near packet-monitor 'x*' lo -j -I 3600
ip -n near link add name x0 index 5000 type veth peer name y0
wait_said "x0 comes" pm "attached to x0"
ip -n near link set x0 up
ip -n near link set y0 up
send x0 7 70
ip -n near link del x0
ip -n near link add name x1 index 5000 type veth peer name y1
wait_said "x1 comes in place of x0" pm "attached to x1"
ip -n near link set x1 up
ip -n near link set y1 up
send x1 5 80
stop pm INT
equal "an ifindex that is used again: the flow is the new one's" "$(flows pm out)" '[["x1",5,400]]'
check "and the packets of the old one are in its totals" jq -s -e 'map(select(.type == "total" and
	.iface == "x0" and .dir == "out")) | length == 1 and .[0].packets >= 7 and
	.[0].packets == .[0].retired_packets' "$TMP/pm.out"
check "the totals hold" sums_hold pm

# What the filter does not accept is counted by interface, too: at low numbers in an array.
without_ipv6 near
for index in 3000 6000; do
	start_tool pm near packet-monitor 'f*' lo -j -I 0.1 -F 'udp or vlan'
	for name in f1 f2; do
		ip -n near link add name $name index $index type veth peer name g
		wait_said "filter, ifindex $index: $name comes" pm "attached to $name"
		ip -n near link set $name up
		ip -n near link set g up
		send $name ${name#f}000 70
		in_host near "$BUILD/tests/e2e/send-frames" $name 0 10.0.0.1 1 10.0.0.2 2 3 100
		in_host near "$BUILD/tests/e2e/send-frames" $name 0 10.0.0.1 1 10.0.0.2 2 1 38
		ip -n near link del $name
		wait_said "filter, ifindex $index: $name goes" pm "$name is gone"
	done
	stop pm INT
	equal "filter, ifindex $index: each has its own packets" "$(jq -s -c 'map(select(.type == "total" and
		.dir == "out" and .iface != "lo")) | group_by(.iface) | map(.[-1] |
		[.iface, .packets, .filtered_packets, .filtered_bytes])' "$TMP/pm.out")" \
		'[["f1",1004,1000,70000],["f2",2004,2000,140000]]'
	check "filter, ifindex $index: the totals hold" sums_hold pm
done

# --- tcx -----------------------------------------------------------------------------------------

if has_tcx "many interfaces by tcx"; then
	start_tool pm near packet-monitor 'a?' --tcx -j -I 0.2
	ip -n near link add a0 type veth peer name b0
	wait_said "tcx: one that comes is attached" pm "attached to a0"
	ip -n near link set a0 up
	ip -n near link set b0 up
	send a0 3 60 a7 4 60
	stop pm INT
	equal "tcx: each has its own packets" "$(flows pm out)" '[["a0",3,180],["a7",4,240]]'
fi
finish
