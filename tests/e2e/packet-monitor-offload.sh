#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Segmentation offload: what packet-monitor counts is what the wire carries. "near" segments below
# its tc hook (GSO on, TSO off), so that its device counts the segments; "far" aggregates above its
# device (GRO on), below its tc hook.
. "$(dirname "$0")/../lib.sh"
needs ethtool iperf3 python3 jq bpftool

# The headers of VXLAN and of a packet of TCP inside it.
VXLAN=0800000000002a00 # VXLAN
VXLAN+=0200000000020200000000010800 # Ethernet
VXLAN+=4500048e000100004006000006060606070707071a2b3c4d # IPv4, ports
VXLAN+=00000001000000025010040000000000 # the rest of TCP

# Less is under way than a veth queues (256 packets): what it drops has passed the hook, too.
AMOUNT=30M DATAGRAMS=20000
[ "$SOAK" = 1 ] && AMOUNT=1G DATAGRAMS=700000

# set_up GRO: two hosts whose devices aggregate what they receive, or do not
set_up()
{
	near=near-$1 far=far-$1
	host "$near" "$far"
	ip -n "$near" link add eth0 type veth peer name eth0 netns "$far"
	for host in $near $far; do
		in_host "$host" ethtool -K eth0 tso off tx-udp-segmentation off gso on gro "$1" > /dev/null
		# From the first packet on: the device is not up yet, and its counters are zero.
		start_tool "$host" "$host" packet-monitor eth0 --wait -j -I 0.2 -r 1
	done
	foreign_filter "$near" eth0 egress 5
	foreign_filter "$far" eth0 ingress 5
	# With a queue, a veth whose peer is busy makes the sender wait (Linux 6.16); without one it
	# drops behind the hook, which has counted the packet already.
	for host in "$near" "$far"; do
		in_host "$host" tc qdisc replace dev eth0 root pfifo limit 10000
	done
	ip -n "$far" link set eth0 up
	ip -n "$near" link set eth0 up
	address "$near" eth0 10.0.0.1/24 fd00::1/64
	address "$far" eth0 10.0.0.2/24 fd00::2/64
	# A host behind "near": no socket of this host is known for its packets.
	host "user-$1"
	link "user-$1" eth0 "$near" eth1
	address "user-$1" eth0 10.0.9.2/24 fd00:0:0:9::2/64
	address "$near" eth1 10.0.9.1/24 fd00:0:0:9::1/64
	ip -n "user-$1" route add default via 10.0.9.1
	ip -n "user-$1" route add default via fd00:0:0:9::1
	forwarding "$near"
	start iperf3 "$far" iperf3 -s
	wait_for 5 listening "$far" tcp 5201
	# With GRO, a veth counts received frames without their Ethernet headers, as those sent.
	[ "$1" = on ] && uncounted=14 || uncounted=0
}

same()
{
	local out in
	out=$(counted_by_device "$near" tx $uncounted)
	in=$(counted_by_device "$near" rx $uncounted)
	[ "$(counted_by "$near" out)" = "$out" ] && [ "$(counted_by "$near" in)" = "$in" ] &&
		[ "$(counted_by "$far" in)" = "$(counted_by_device "$far" rx $uncounted)" ] && [ "$(counted_by "$far" in)" = "$out" ] &&
		[ "$(counted_by "$far" out)" = "$(counted_by_device "$far" tx $uncounted)" ] && [ "$(counted_by "$far" out)" = "$in" ]
}

# exact NAME: once traffic rests, hook and device agree to the packet and the byte, on both hosts
exact()
{
	if wait_for 5 same; then
		ok "$1: $(counted_by_device "$near" tx $uncounted) out, $(counted_by_device "$near" rx $uncounted) in (packets, bytes)"
	else
		fail "$1" "near: out $(counted_by "$near" out), device $(counted_by_device "$near" tx $uncounted); in $(counted_by "$near" in),\
 device $(counted_by_device "$near" rx $uncounted); far: in $(counted_by "$far" in), device $(counted_by_device "$far" rx $uncounted);\
 out $(counted_by "$far" out), device $(counted_by_device "$far" tx $uncounted)"
	fi
}

for gro in off on; do
	set_up $gro
	for family in 4 6; do
		[ $family = 4 ] && server=10.0.0.2 || server=fd00::2
		check "TCP" in_host "$near" iperf3 -c "$server" -w 128K -n $AMOUNT
		exact "IPv$family, GRO $gro: TCP"
		check "TCP, reverse" in_host "$near" iperf3 -c "$server" -w 128K -n $AMOUNT -R
		exact "IPv$family, GRO $gro: TCP, reverse"
		before=$(foreign_count "$near" eth0 egress) sent=$(counted_by_device "$near" tx $uncounted)
		check "UDP in segments" in_host "$near" python3 "$ROOT/tests/e2e/udp-segments.py" \
			"$server" $DATAGRAMS 1200 9
		exact "IPv$family, GRO $gro: UDP in segments"
		hook=$(($(foreign_count "$near" eth0 egress) - before))
		now=$(counted_by_device "$near" tx $uncounted)
		wire=$((${now% *} - ${sent% *}))
		check "the hook has seen fewer packets ($hook) than the wire ($wire)" \
			test $((hook * 4)) -lt $wire
		# The port of a tunnel does not make it one.
		check "UDP in segments to VXLAN's port" in_host "$near" \
			python3 "$ROOT/tests/e2e/udp-segments.py" "$server" $DATAGRAMS 1200 4789
		exact "IPv$family, GRO $gro: UDP in segments to VXLAN's port"
		# What passes through: the whole datagrams of a tunnel, each with all headers.
		before=$(foreign_count "$far" eth0 ingress) sent=$(counted_by_device "$near" tx $uncounted)
		[ $gro = off ] || in_host "$far" ethtool -K eth0 rx-udp-gro-forwarding on
		check "VXLAN of another host" in_host "user-$gro" \
			python3 "$ROOT/tests/e2e/udp-segments.py" "$server" $DATAGRAMS 1200 4789 "$VXLAN"
		[ $gro = off ] || in_host "$far" ethtool -K eth0 rx-udp-gro-forwarding off
		exact "IPv$family, GRO $gro: VXLAN of another host"
		hook=$(($(foreign_count "$far" eth0 ingress) - before))
		now=$(counted_by_device "$near" tx $uncounted)
		wire=$((${now% *} - ${sent% *}))
		[ $gro = off ] || check "the receiver has aggregated $wire packets to $hook" \
			test $((hook * 2)) -lt $wire
	done
	stop iperf3 || true
	for host in $near $far; do
		if stop "$host" INT; then
			ok "packet-monitor ends well"
		else
			fail "packet-monitor ends well" "$(tail -n 1 "$TMP/$host.err")"
		fi
	done
done
finish
