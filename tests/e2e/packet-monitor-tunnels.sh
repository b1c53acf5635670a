#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Tunnels and PPPoE under segmentation offload: on the device below, packet-monitor counts what the
# wire carries, with and without --inner; with it, under the flows inside. As in
# packet-monitor-offload.sh, "near" segments below its tc hook, and "far" aggregates (GRO on).
. "$(dirname "$0")/../lib.sh"
needs ethtool iperf3 python3 jq bpftool

AMOUNT=10M
[ "$SOAK" = 1 ] && AMOUNT=500M

# set_up GRO: two hosts, each with a packet-monitor of either kind on eth0
set_up()
{
	near=near-$1 far=far-$1
	host "$near" "$far"
	ip -n "$near" link add eth0 type veth peer name eth0 netns "$far"
	for host in $near $far; do
		in_host "$host" ethtool -K eth0 tso off tx-udp-segmentation off gso on gro "$1" > /dev/null
		start_tool "$host" "$host" packet-monitor eth0 --wait -j -I 0.2
		start_tool "$host-inner" "$host" packet-monitor eth0 --wait --inner -j -I 0.2
		in_host "$host" tc qdisc replace dev eth0 root pfifo limit 10000
	done
	foreign_filter "$near" eth0 egress 5
	ip -n "$far" link set eth0 up
	ip -n "$near" link set eth0 up
	address "$near" eth0 10.0.0.1/24 fd00::1/64
	address "$far" eth0 10.0.0.2/24 fd00::2/64
	start iperf3 "$far" iperf3 -s
	wait_for 5 listening "$far" tcp 5201
	# With GRO, a veth counts frames without their Ethernet headers.
	[ "$1" = on ] && uncounted=14 || uncounted=0
}

# tunnel KIND HOST LOCAL REMOTE: add tun0. Return: 1 if the kernel has no such device
tunnel()
{
	local v4=("local" "10.0.0.$3" "remote" "10.0.0.$4") v6=("local" "fd00::$3" "remote" "fd00::$4")
	case $1 in
	vxlan) set -- "$2" type vxlan id 42 dstport 4789 "${v4[@]}" ;;
	vxlan6) set -- "$2" type vxlan id 42 dstport 8472 "${v6[@]}" udp6zerocsumtx udp6zerocsumrx ;;
	geneve) set -- "$2" type geneve id 42 remote "10.0.0.$4" ;;
	gre) set -- "$2" type gre key 7 "${v4[@]}" ;;
	gretap) set -- "$2" type gretap "${v4[@]}" ;;
	ipip) set -- "$2" type ipip "${v4[@]}" ;;
	sit) set -- "$2" type sit "${v4[@]}" ;;
	4in6) set -- "$2" type ip6tnl mode ipip6 encaplimit none "${v6[@]}" ;;
	pppoe)
		start "pppoe-$2" "$2" python3 "$ROOT/tests/e2e/pppoe-end.py" eth0 tun0 "$(mac_of "$5")"
		wait_for 5 grep -q . "$TMP/pppoe-$2.out"
		grep -qx up "$TMP/pppoe-$2.out"
		return
		;;
	esac
	ip -n "$1" link add tun0 "${@:2}" 2> "$TMP/tunnel"
}

mac_of()
{
	in_host "$1" cat /sys/class/net/eth0/address
}

same()
{
	local out in kind
	out=$(counted_by_device "$near" tx $uncounted)
	in=$(counted_by_device "$near" rx $uncounted)
	for kind in "" -inner; do
		[ "$(counted_by "$near$kind" out)" = "$out" ] && [ "$(counted_by "$near$kind" in)" = "$in" ] &&
			[ "$(counted_by "$far$kind" in)" = "$out" ] && [ "$(counted_by "$far$kind" out)" = "$in" ] ||
			return 1
	done
}

# inner_flow ADDRESS: the flow of the data inside is known, on both hosts
inner_flow()
{
	local host
	for host in $near $far; do
		grep -q "\"proto\":\"tcp\",\"src\":\"$1\",.*\"dport\":5201,.*\"packets\":[1-9][0-9][0-9]" \
			"$TMP/$host-inner.out" || return 1
	done
}

# through KIND: data through such a tunnel, over IPv4, or over IPv6 where it carries nothing else
through()
{
	local before sent hook now wire net=10.$number.0
	local ends=("$net.1/24" "$net.2/24") from=$net.1 to=$net.2
	if [ "$1" = sit ]; then
		ends=("fd0$number::1/64" "fd0$number::2/64") from=fd0$number::1 to=fd0$number::2
	fi
	if ! tunnel "$1" "$near" 1 2 "$far" || ! tunnel "$1" "$far" 2 1 "$near"; then
		ok "no $1 devices in this kernel"
		ip -n "$near" link del tun0 2> "$TMP/tunnel" || true
		return
	fi
	# Some devices take the tunnel's headers for granted: fragments would be of the tunnel's
	# flow.
	ip -n "$near" link set tun0 mtu 1400 up
	ip -n "$far" link set tun0 mtu 1400 up
	address "$near" tun0 "${ends[0]}"
	address "$far" tun0 "${ends[1]}"
	before=$(foreign_count "$near" eth0 egress) sent=$(counted_by_device "$near" tx $uncounted)
	check "$1: TCP" in_host "$near" iperf3 -c "$to" -w 128K -n $AMOUNT
	check "$1: TCP, reverse" in_host "$near" iperf3 -c "$to" -w 128K -n $AMOUNT -R
	if wait_for 5 same; then
		ok "$1, GRO $gro: $(counted_by_device "$near" tx $uncounted) out, $(counted_by_device "$near" rx $uncounted) in (packets, bytes)"
	else
		fail "$1, GRO $gro" "near: out $(counted_by "$near" out), with --inner \
$(counted_by "$near-inner" out), device $(counted_by_device "$near" tx $uncounted); in $(counted_by "$near" in), device \
$(counted_by_device "$near" rx $uncounted); far: in $(counted_by "$far" in), out $(counted_by "$far" out)"
	fi
	hook=$(($(foreign_count "$near" eth0 egress) - before))
	now=$(counted_by_device "$near" tx $uncounted)
	wire=$((${now% *} - ${sent% *}))
	# What a ppp device sends has been segmented above it.
	[ "$1" = pppoe ] ||
		check "$1: the hook has seen fewer packets ($hook) than the wire ($wire)" \
			test $((hook * 2)) -lt $wire
	check "$1: --inner shows the flow inside" wait_for 5 inner_flow "$from"
	if [ "$1" = pppoe ]; then
		stop "pppoe-$near" || true
		stop "pppoe-$far" || true
	else
		ip -n "$near" link del tun0
		ip -n "$far" link del tun0
	fi
}

for gro in off on; do
	set_up $gro
	number=0
	for kind in vxlan vxlan6 geneve gre gretap ipip sit 4in6 pppoe; do
		number=$((number + 1))
		through $kind
	done
	# All that the tunnels carried is counted under what is inside.
	outer=$(grep -hE '"proto":"(gre|ipip|ipv6)"|"dport":(4789|8472|6081),' \
		"$TMP/$near-inner.out" "$TMP/$far-inner.out" | head -n 1)
	equal "--inner shows no flow of a tunnel" "$outer" ""
	# A user of this host cannot have packets counted under a flow of his choice.
	in_host "$near" python3 - <<-'SEND'
		import socket, struct
		ip = bytes.fromhex("4500001c000000004011000006060606070707070001000200080000")
		vxlan = bytes.fromhex("0800000000002a00") + bytes(12) + b"\x08\x00" + ip
		with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
		    sender.sendto(vxlan, ("10.0.0.2", 4789))
	SEND
	check "what a user sends to VXLAN's port is shown as such" wait_for 5 grep -q \
		'"proto":"udp","src":"10.0.0.1",.*"dst":"10.0.0.2","dport":4789,' "$TMP/$near-inner.out"
	equal "and not under what it contains" "$(grep -F 6.6.6.6 "$TMP/$near-inner.out")" ""
	stop iperf3 || true
	for id in "$near" "$near-inner" "$far" "$far-inner"; do
		if stop "$id" INT; then
			ok "packet-monitor ends well"
		else
			fail "packet-monitor ends well" "$(tail -n 1 "$TMP/$id.err")"
		fi
	done
done
finish
