#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Everything that crosses an interface: once traffic rests, the flows, what has been retired and
# what could not be tracked make up the totals, and the totals are the device's statistics.
. "$(dirname "$0")/../lib.sh"
needs python3 jq ping ethtool

host near far
ip -n near link add eth0 type veth peer name eth0 netns far
for host in near far; do
	start_tool "$host" "$host" packet-monitor eth0 --wait -j -I 0.2 -m 64 --idle 0.3
done
ip -n far link set eth0 up
ip -n near link set eth0 up
address near eth0 10.0.0.1/24 fd00::1/64
address far eth0 10.0.0.2/24 fd00::2/64

# report HOST: the last whole report
report()
{
	tac "$TMP/$1.out" | awk '/"type":"total"/ && flows { exit } { print } /"dir":"in"/ &&
		/"type":"total"/ { flows = 1 }'
}

# device HOST: packets and bytes in, packets and bytes out
device()
{
	ip -n "$1" -s -j link show eth0 |
		jq -c '.[0].stats64 | [.rx.packets, .rx.bytes, .tx.packets, .tx.bytes]'
}

totals()
{
	report "$1" | jq -cs '[(.[] | select(.type == "total" and .dir == "in") | .packets, .bytes),
		(.[] | select(.type == "total" and .dir == "out") | .packets, .bytes)]'
}

parts()
{
	report "$1" | jq -cs '[("in", "out") as $d | ("packets", "bytes") as $k |
		([.[] | select(.type == "flow" and .dir == $d) | .[$k]] | add // 0) +
		(.[] | select(.type == "total" and .dir == $d) |
			.["retired_" + $k] + .["untracked_" + $k])]'
}

settled()
{
	[ "$(totals "$1")" = "$(device "$1")" ] && [ "$(parts "$1")" = "$(device "$1")" ]
}

all_settled()
{
	local host
	for host in near far; do
		if wait_for 5 settled $host; then
			ok "$1, $host: $(device $host)"
		else
			fail "$1, $host" "device $(device $host), totals $(totals $host), parts $(parts $host)"
		fi
	done
}

ping_both()
{
	in_host near ping -q -c 3 -i 0.05 10.0.0.2 && in_host near ping -q -c 3 -i 0.05 fd00::2
}

check "ICMP, ARP, neighbour discovery" ping_both
all_settled "ICMP, ARP, neighbour discovery"

check "large packets in fragments" in_host near ping -q -c 3 -i 0.05 -s 5000 10.0.0.2
all_settled "fragments"

# Frames that no program sends: see there.
check "frames of all kinds" in_host near python3 "$ROOT/tests/e2e/odd-frames.py" eth0
all_settled "frames of all kinds"
contains "frames whose headers cannot be read are in flows" "$(report far)" \
	'"partial_packets":[1-9]'
contains "truncated frames have a reason" "$(report far)" '"truncated_packets":[1-9]'
contains "malformed frames have a reason" "$(report far)" '"malformed_packets":[1-9]'
contains "frames nested too deeply have a reason" "$(report far)" '"nested_packets":[1-9]'
contains "a table of 64 flows is full at times" "$(report far)" '"table_full_packets":[1-9]'
contains "the tag that the kernel has taken off is known" \
	"$(cat "$TMP/far.out")" '"vlan":100,"proto":"udp"'
contains "so is the one behind it" "$(cat "$TMP/far.out")" '"vlan":200,"inner_vlan":300,"proto":"udp"'
contains "what is in PPPoE is a flow" "$(cat "$TMP/far.out")" '"sport":1005'
contains "what is behind MPLS labels is a flow" "$(cat "$TMP/far.out")" '"sport":1006'

retired()
{
	report far | jq -se 'map(select(.type == "total" and .dir == "in"))[0].retired_flows > 30'
}
wait_for 5 retired || true
check "idle flows leave" retired
all_settled "after flows have left"

# Tags that the kernel puts into the metadata on the way out, too.
for host in near far; do
	[ $host = near ] && number=1 || number=2
	if ip -n $host link add link eth0 name vlan5 type vlan id 5 2> "$TMP/vlan"; then
		ip -n $host link set vlan5 up
		address $host vlan5 "10.5.0.$number/24"
	fi
done
if [ -s "$TMP/vlan" ]; then
	ok "no VLAN devices in this kernel: tags are tested as they arrive"
else
	check "through VLAN devices" in_host near ping -q -c 3 -i 0.05 10.5.0.2
	contains "the tag of a VLAN device is known" "$(cat "$TMP/near.out")" '"vlan":5,'
fi

for host in near far; do
	stop $host INT
done
equal "no filter of ours remains" "$(our_filters near eth0)" ""
finish
