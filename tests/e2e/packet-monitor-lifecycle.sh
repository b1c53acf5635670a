#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# How packet-monitor starts, ends and lives with others; its options, and what it says when they
# make no sense.
. "$(dirname "$0")/../lib.sh"
needs jq ping bpftool capsh

PM=$BIN/packet-monitor
host near far
link near eth0 far eth0
address near eth0 10.0.0.1/24 fd00::1/64
address far eth0 10.0.0.2/24 fd00::2/64

ping_far()
{
	in_host near ping -q -c "$1" -i 0.01 10.0.0.2
}

# ends NAME ID STATUS SIGNAL: how it ends after a signal, and that nothing is left
ends()
{
	local status=0
	stop "$2" "$4" || status=$?
	equal "$1: exit status" "$status" "$3"
	equal "$1: no filter of ours remains" "$(our_filters near eth0)" ""
}

# refused NAME STATUS PATTERN ARGUMENT...: one line on stderr, and this exit status
refused()
{
	local name=$1 want=$2 pattern=$3 status=0 said
	shift 3
	said=$(in_host near "$PM" "$@" 2>&1 > "$TMP/refused") || status=$?
	equal "$name: exit status" $status "$want"
	contains "$name" "$said" "$pattern"
	equal "$name: one line" "$(wc -l <<< "$said") $(cat "$TMP/refused")" "1 "
	equal "$name: no filter of ours remains" "$(our_filters near eth0)" ""
}

# --- wrong usage ---------------------------------------------------------------------------------

refused "no interface" 2 "which interface"
refused "unknown interface" 1 "cannot attach to eth9: no such interface" eth9
refused "unknown option" 2 "--nonsense" --nonsense eth0
refused "count 0" 2 "--count must be 1 to" -c 0 eth0
refused "negative interval" 2 "--interval must be 0.1 to" -I -1 eth0
refused "interval too short" 2 "--interval must be 0.1 to" -I 0.05 eth0
refused "unknown sort key" 2 "or age, not 'size'" -s size eth0
refused "unknown output" 2 "--output must be table, classic, jsonl, csv or prom, not 'xml'" -o xml eth0
refused "no protocol" 2 "'nonsense' is no protocol" --proto nonsense eth0
refused "port 65536" 2 "'65536' is no port" --port 65536 eth0
refused "no address" 2 "'10.0.0.300' is no IPv4 or IPv6 address" --host 10.0.0.300 eth0
refused "a prefix that is too long" 2 "'10.0.0.0/33' is no network" --net 10.0.0.0/33 eth0
refused "a filter that makes no sense" 2 "'prt' at character 9 is neither" -F 'tcp and prt 80' eth0
refused "bytes of a filter that control the terminal" 2 "x1b[31m' at character 1" -F $'\e[31m' eth0
refused "a filter that contradicts itself" 2 "contradicts itself" -F 'tcp and udp' eth0
refused "options that contradict each other" 2 "contradicts itself" --proto gre --port 5 eth0
refused "a family that contradicts the host" 2 "contradicts itself" -6 --host 10.0.0.1 eth0
refused "a filter that is too long" 2 "too long" \
	-F "$(printf 'net fd00::%x/127 or ' {0..124..2})tcp" eth0
refused "a filter as tcpdump takes it" 2 "type: -F 'tcp and port 443'" eth0 tcp and port 443
refused "two views at once" 2 "exclude each other" --biflow --by host eth0
refused "a view that a format does not have" 2 "not with --biflow or --by" -o classic --by host eth0
refused "a view that prom does not have" 2 "not with --biflow" -o prom --biflow eth0
echo "MemAvailable: 4096 kB" > "$TMP/meminfo"
mount --bind "$TMP/meminfo" /proc/meminfo
refused "more flows than memory holds" 1 "try a smaller --max-flows" eth0
umount /proc/meminfo
refused "an interface that is named and taken away" 2 "--exclude takes away eth0" eth0 --exclude 'eth*'
refused "a collector without a host" 2 "--ipfix: 'tcp:4739' names no host: is it a port?" --ipfix tcp:4739 eth0
refused "a collector with a wrong port" 2 "has a port that is no number of 1 to 65535" --ipfix host:65536 eth0
refused "a collector's address without brackets" 2 "([ADDRESS]:PORT)" --ipfix fd00::1:99999 eth0
refused "two collectors" 2 "--ipfix may be given once" --ipfix 10.0.0.2 --ipfix 10.0.0.3 eth0
refused "an active time-out that is too short" 2 "--active must be 1 to" --ipfix 10.0.0.2 --active 0.5 eth0
refused "no observation domain" 2 "--observation-domain must be 0 to 4294967295" \
	--ipfix 10.0.0.2 --observation-domain 4294967296 eth0
refused "an active time-out without a collector" 2 "need --ipfix" --active 5 eth0
refused "an observation domain without a collector" 2 "need --ipfix" --observation-domain 0 eth0
refused "a collector that nobody knows" 1 "cannot find the collector nobody.invalid: " \
	--ipfix nobody.invalid eth0

said=$(in_host near capsh --drop=cap_bpf,cap_sys_admin,cap_net_admin -- -c "exec '$PM' eth0" 2>&1) &&
	fail "not enough privilege" "starts"
contains "not enough privilege: the capabilities are named" "$said" "CAP_BPF, CAP_NET_ADMIN"
equal "not enough privilege: one line" "$(wc -l <<< "$said")" 1

# --- the ends ------------------------------------------------------------------------------------

for signal in INT TERM HUP; do
	start_tool pm near packet-monitor eth0
	ends "SIG$signal" pm 0 $signal
	contains "SIG$signal: the last report is printed" "$(cat "$TMP/pm.out")" "eth0 out:"
	contains "SIG$signal: and a summary" "$(cat "$TMP/pm.err")" "eth0 out: "
done
# Ctrl-C before the filters are in place: it waits for the tool from its first instruction on.
status=0
in_host near python3 - "$PM" 2> "$TMP/early" > "$TMP/early.out" <<-'PYTHON' || status=$?
	import os, signal, sys
	signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
	os.kill(os.getpid(), signal.SIGINT)
	os.execv(sys.argv[1], [sys.argv[1], "any", "--no-summary"])
PYTHON
equal "SIGINT before it attaches: exit status" $status 0
equal "SIGINT before it attaches: it attaches to none any more" "$(cat "$TMP/early")" ""
in_host near "$PM" eth0 -I 0.1 2> "$TMP/epipe" | head -n 1 > "$TMP/head"
equal "a reader that goes away" "$(our_filters near eth0)" ""
check_not "a reader that goes away is no error" grep -q "cannot" "$TMP/epipe"
if in_host near "$PM" eth0 -c 1 -I 0.1 > /dev/full 2> "$TMP/full"; then
	fail "a full disk" "exits with 0"
else
	contains "a full disk" "$(cat "$TMP/full")" "cannot write the report: No space left on device"
fi
equal "a full disk: no filter of ours remains" "$(our_filters near eth0)" ""
equal "--count" "$(in_host near "$PM" eth0 -c 3 -I 0.1 2> /dev/null | grep -c '^---')" 3
check "--duration" in_host near timeout 5 "$PM" eth0 -t 0.3

# --- with others ---------------------------------------------------------------------------------

start_tool one near packet-monitor eth0 -j
start_tool two near packet-monitor eth0 -j
foreign_filter near eth0 egress 30000
ping_far 10 > /dev/null
stop one INT
stop two INT
for id in one two; do
	equal "two monitors on one interface: the $id" "$(jq -s 'map(select(.type == "flow" and
		.proto == "icmp" and .dir == "out"))[-1].packets' "$TMP/$id.out")" 10
done
check "a foreign filter behind ours counts" test "$(foreign_count near eth0 egress)" -ge 10
equal "and nothing of ours is left" "$(our_filters near eth0)" ""

# --- interfaces ----------------------------------------------------------------------------------

start_tool pm near packet-monitor eth0 -j -I 0.1
ping_far 1 > /dev/null
name=eth0
if rename_up "a renamed interface is followed" near eth0 wan0; then
	name=wan0
	check "a renamed interface is followed" wait_for 5 grep -q '"iface":"wan0"' "$TMP/pm.out"
	contains "a rename is told" "$(cat "$TMP/pm.err")" "eth0 is now called wan0"
fi
ip -n near link set $name down
status=0
status_of pm || status=$?
equal "the interface goes down: exit status" $status 1
contains "the interface goes down: that is told" "$(cat "$TMP/pm.err")" "$name went down"
[ $name = eth0 ] || ip -n near link set $name name eth0
ip -n near link set eth0 up

ip -n near link add one0 type veth peer name two0
start_tool pm near packet-monitor one0 -j --wait
ip -n near link set one0 name one1
ip -n near link add one0 type veth peer name three0
ip -n near link set one1 name one2
check "--wait: a renamed interface is followed" wait_for 5 grep -q "one1 is now called one2" "$TMP/pm.err"
equal "--wait: another that gets its name does not share its counts" "$(our_filters near one0)" ""
ip -n near link del one2
attached_twice()
{
	[ "$(grep -c "attached to one0" "$TMP/pm.err")" = 2 ]
}
check "--wait: it is watched once the first is gone" wait_for 5 attached_twice
stop pm INT
ip -n near link del one0

start_tool pm near packet-monitor eth0 lo -j -I 0.1 --wait
ip -n near link del eth0
wait_for 5 grep -q "eth0 is gone, waiting for it" "$TMP/pm.err" || true
contains "--wait: the interface is gone" "$(cat "$TMP/pm.err")" "eth0 is gone, waiting for it"
link near eth0 far eth0
address near eth0 10.0.0.1/24
address far eth0 10.0.0.2/24
back()
{
	[ "$(grep -c 'attached to .*eth0' "$TMP/pm.err")" = 2 ]
}
wait_for 5 back || true
check "--wait: and comes back" back
ping_far 5 > /dev/null
stop pm INT
equal "--wait: it is counted again" "$(jq -s 'map(select(.type == "flow" and .iface == "eth0" and
	.proto == "icmp" and .dir == "out"))[-1].packets' "$TMP/pm.out")" 5

start_tool pm near packet-monitor eth0 -j -I 0.1
ip -n near link del eth0
status=0
status_of pm || status=$?
equal "the interface is deleted: exit status" $status 1
check "the interface is deleted: that is told" grep -Eq "eth0 (is gone|went down)" "$TMP/pm.err"
contains "the interface is deleted: the last report is printed" "$(tail -n 1 "$TMP/pm.out")" '"type":"total"'
link near eth0 far eth0

start_tool pm near packet-monitor lo -j
in_host near ping -q -c 4 -i 0.01 127.0.0.1 > /dev/null
stop pm INT
equal "lo: each packet is seen once per direction" "$(jq -s -c '[("in", "out") as $d | map(select(
	.type == "flow" and .dir == $d and .icmp_type == 8))[-1].packets]' "$TMP/pm.out")" "[4,4]"

# A device without Ethernet headers: a tun that nobody reads from.
ip -n near tuntap add tun0 mode tun
ip -n near address add 10.9.0.1/24 dev tun0
ip -n near link set tun0 up
start tun near python3 -c '
import fcntl, os, struct, sys
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, 0x400454ca, struct.pack("16sH", b"tun0", 0x1001))
print("ready", flush=True)
packet = bytes.fromhex("4500002000010000401100000a0900020a090001" "13880007000c0000" "61626364")
while os.read(tun, 2000):
    os.write(tun, packet)
'
wait_for 5 grep -q ready "$TMP/tun.out"
start_tool pm near packet-monitor tun0 -j -I 0.1
in_host near bash -c 'echo hello > /dev/udp/10.9.0.2/9'
wait_for 5 grep -q '"dir":"in".*"proto":"udp"' "$TMP/pm.out" || true
stop pm INT
stop tun || true
equal "tun: out" "$(jq -s -c 'map(select(.type == "flow" and .dir == "out" and .proto == "udp"))[-1] |
	[.dst, .dport, .packets, .bytes]' "$TMP/pm.out")" '["10.9.0.2",9,1,34]'
equal "tun: in" "$(jq -s -c 'map(select(.type == "flow" and .dir == "in" and .proto == "udp"))[-1] |
	[.src, .sport, .dst, .dport, .bytes]' "$TMP/pm.out")" '["10.9.0.2",5000,"10.9.0.1",7,32]'
finish
