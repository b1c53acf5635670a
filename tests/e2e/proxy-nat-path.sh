#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The translated packet on its way: checksums under every offload, errors that come back, paths with
# a smaller MTU, fragments, devices without Ethernet, loopback.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs socat ethtool jq python3
ORIGINAL_2=$(ip_of 10.0.0.11)
[ "$FAMILY" = 6 ] && AF=AF_INET6 || AF=AF_INET
BULK=$((SOAK == 1 ? 100 : 10)) # MB
head -c ${BULK}M /dev/urandom > $TMP/bulk
SUM=$(sha256sum < $TMP/bulk)

# serve HOST: on the target's port, tell the checksum of what is sent (TCP), send the bulk
# (TCP, the next port), echo (UDP)
serve()
{
	start "sum-$1" "$1" socat -b 65536 TCP$FAMILY-LISTEN:$TARGET_PORT,fork,reuseaddr EXEC:sha256sum
	start "bulk-$1" "$1" socat -b 65536 -U TCP$FAMILY-LISTEN:$((TARGET_PORT + 1)),reuseaddr,fork \
		EXEC:"cat $TMP/bulk"
	# Not socat with cat: between them is a stream, which may split a datagram.
	start "echo-$1" "$1" python3 -c 'import socket
s = socket.socket(socket.'$AF', socket.SOCK_DGRAM)
s.bind(("", '$TARGET_PORT'))
while True:
    s.sendto(*s.recvfrom(65536))'
	wait_for 5 listening "$1" tcp $TARGET_PORT
	wait_for 5 listening "$1" tcp $((TARGET_PORT + 1))
	wait_for 5 listening "$1" udp $TARGET_PORT
}

# upload HOST [ADDRESS:PORT[,OPTION...]]: the target's checksum of the bulk
upload()
{
	in_host "$1" timeout $((60 * PATIENCE)) socat -b 65536 -t $((30 * PATIENCE)) - \
		"TCP:${2:-$(at $ORIGINAL $ORIGINAL_PORT)}" < $TMP/bulk
}

# download HOST [ADDRESS:PORT]
download()
{
	in_host "$1" timeout $((60 * PATIENCE)) socat -b 65536 -u \
		"TCP:${2:-$(at $ORIGINAL $((ORIGINAL_PORT + 1)))}" - |
		sha256sum
}

# echo_back HOST BYTES...: whether datagrams of these sizes come back as they were sent
echo_back()
{
	local host=$1
	shift
	in_host "$host" python3 - "$ECHO_ADDRESS" "$ORIGINAL_PORT" "$@" <<-'PYTHON'
		import os, socket, sys
		family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
		s = socket.socket(family, socket.SOCK_DGRAM)
		s.settimeout(2 * int(os.environ.get('PATIENCE', 1)))
		s.connect((sys.argv[1], int(sys.argv[2])))
		for size in map(int, sys.argv[3:]):
		    data = os.urandom(size)
		    s.send(data)
		    if s.recv(65536) != data:
		        sys.exit(f'{size} bytes come back changed')
	PYTHON
}
ECHO_ADDRESS=$ORIGINAL
SIZES=(1 2 100 1451 1452 1453 1471 1472 1473 8000 60000)

# errors_of HOST: segments and datagrams that the host has thrown away for their checksum
errors_of()
{
	in_host "$1" nstat -asz TcpInCsumErrors UdpInCsumErrors IpInHdrErrors Udp6InCsumErrors \
		Ip6InHdrErrors IcmpInCsumErrors Icmp6InCsumErrors |
		awk 'NR > 1 { sum += $2 } END { print sum + 0 }'
}

# counted NAME ID FIELD WANT: a field of the proxy's total lines, which follow the traffic
counted()
{
	wait_for 3 total_is "$2" "$3" "$4" || true
	equal "$1" "$(total "$2" "$3")" "$4"
}
total()
{
	grep '"type":"total"' "$TMP/$1.out" | tail -n 1 | jq ".$2"
}
total_is()
{
	[ "$(total "$1" "$2")" = "$3" ]
}

# map ADDRESS PORT ADDRESS PORT
map()
{
	echo "$(at "$1" "$2")=$(at "$3" "$4")"
}

# maps_to ADDRESS: both ports of a target
maps_to()
{
	MAPS=(-m "$(map $ORIGINAL $ORIGINAL_PORT "$1" $TARGET_PORT)"
		-m "$(map $ORIGINAL $((ORIGINAL_PORT + 1)) "$1" $((TARGET_PORT + 1)))")
}
maps_to $TARGET
MAPS+=(-m "$(map $ORIGINAL_2 $ORIGINAL_PORT $TARGET $TARGET_PORT)")

# --- forwarded traffic, checksums finished by the devices behind the hook ------------------------

lan_of_the_mapping
host_behind behind eth1 10.1.1
serve target
start_tool nat client proxy -o jsonl -I 0.2 "${MAPS[@]}" eth0

# veth neither computes nor verifies a checksum that its peer has left to the "hardware". With tx
# checksumming off, the ports of the bridge and of the router compute what is still to be computed,
# and segment: the receivers get, and verify, what a wire would carry.
finish_checksums()
{
	in_host switch ethtool -K p-target tx "$1" > /dev/null 2>&1
	in_host client ethtool -K eth1 tx "$1" > /dev/null 2>&1
}

transfers() # NAME
{
	equal "$1: $BULK MB from the host itself" "$(upload client)" "$SUM"
	equal "$1: $BULK MB to the host itself" "$(download client)" "$SUM"
	equal "$1: $BULK MB from a host behind it" "$(upload behind)" "$SUM"
	equal "$1: $BULK MB to a host behind it" "$(download behind)" "$SUM"
	check "$1: datagrams from the host itself come back" echo_back client "${SIZES[@]}"
	check "$1: datagrams from a host behind it come back" echo_back behind "${SIZES[@]}"
}

for sender in on off; do
	for host in behind client target; do
		in_host $host ethtool -K eth0 tx $sender > /dev/null 2>&1
	done
	finish_checksums off
	transfers "tx checksumming $sender at the ends, finished on the way"
done
equal "no checksum was wrong at the target" "$(errors_of target)" 0
equal "nor at the client" "$(errors_of behind)" 0
equal "nor at the host itself" "$(errors_of client)" 0
for host in behind client target; do
	in_host $host ethtool -K eth0 tx on > /dev/null 2>&1
done
finish_checksums on
check "a ping larger than the MTU passes beside the mapping" \
	in_host client ping -q -c 1 -s 4000 -W $((2 * PATIENCE)) $TARGET

# --- one source port for two mappings and a direct connection ------------------------------------

tos=("$(at $ORIGINAL $ORIGINAL_PORT)" "$(at $ORIGINAL_2 $ORIGINAL_PORT)" "$(at $TARGET $TARGET_PORT)")
for to in "${tos[@]}"; do
	upload client "$to,sourceport=41000,reuseaddr" > "$TMP/up-$to" &
	uploads+=($!)
done
wait "${uploads[@]}" || true
for to in "${tos[@]}"; do
	equal "$BULK MB to $to at once from one port" "$(cat "$TMP/up-$to")" "$SUM"
done
counted "two of them were given another port" nat ports_changed 2

# --- refusals come back at once ------------------------------------------------------------------

stop sum-target || true
stop echo-target || true
# The error and how long it took to come, in tenths of a second.
refusal() # HOST ADDRESS
{
	local began=${EPOCHREALTIME/./} error
	error=$({ in_host "$1" timeout $((10 * PATIENCE)) socat -t $((5 * PATIENCE)) - "$2" \
		< $TMP/datagram; } 2>&1 |
		grep -oE 'Connection refused|No route to host|Network is unreachable|Permission denied' | head -n 1)
	[ $((${EPOCHREALTIME/./} - began)) -lt $((3000000 * PATIENCE)) ] && echo "$error at once"
}
for host in client behind; do
	for proto in TCP UDP; do
		echo x > $TMP/datagram
		equal "$proto from $host to a closed port is refused" \
			"$(refusal $host "$proto:$(at $ORIGINAL $ORIGINAL_PORT)")" "Connection refused at once"
	done
done

# --- VLAN tags -----------------------------------------------------------------------------------

# A reply with a tag: the kernel takes it off the data before the hook.
tagged_reply()
{
	in_host target python3 - "$(in_host client cat /sys/class/net/eth0/address)" <<-PYTHON
		import socket, sys
		dst = bytes.fromhex(sys.argv[1].replace(':', ''))
		if $FAMILY == 6:
		    ip = bytes.fromhex('6000000000081140') + socket.inet_pton(socket.AF_INET6, 'fd00::138')
		    ip += socket.inet_pton(socket.AF_INET6, 'fd00::1')
		    tag = bytes.fromhex('8100002a86dd')
		else:
		    ip = bytes.fromhex('4500001c00000000401100000a00008a0a000001')
		    tag = bytes.fromhex('8100002a0800')
		udp = bytes.fromhex('5ba09c4000081234')
		s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
		s.bind(('eth0', 0))
		s.send(dst + s.getsockname()[4] + tag + ip + udp)
	PYTHON
}
tagged_reply
counted "a tagged packet is left alone and counted" nat vlan 1
stop nat

# --- the target is the host itself ---------------------------------------------------------------

# "behind" is a client of it, too: its route to the original leads through the same device.
serve client
maps_to $CLIENT
start_tool back client proxy -o jsonl -I 0.2 "${MAPS[@]}" eth0
for host in client behind; do
	equal "$BULK MB from $host back to the host itself" "$(upload $host)" "$SUM"
	equal "$BULK MB from there to $host" "$(download $host)" "$SUM"
	check "datagrams from $host" echo_back $host "${SIZES[@]}"
done
stop sum-client || true
stop echo-client || true
for proto in TCP UDP; do
	equal "$proto from client to a closed port of its own is refused" \
		"$(refusal client "$proto:$(at $ORIGINAL $ORIGINAL_PORT)")" "Connection refused at once"
done
stop back

# --- a path with a smaller MTU, behind a gateway --------------------------------------------------

FAR=$(ip_of 10.3.0.138) UNREACHABLE=$(ip_of 10.3.0.99) PROHIBITED=$(ip_of 10.3.0.98)
host near far remote
link near eth1 far eth0
link far eth1 remote eth0
link near eth0 switch p-near
ip -n switch link set p-near master br0
address near eth0 "$(ip_of 10.0.0.254)/$PREFIX"
address near eth1 "$(ip_of 10.2.0.1)/$PREFIX"
address far eth0 "$(ip_of 10.2.0.2)/$PREFIX"
address far eth1 "$(ip_of 10.3.0.1)/$PREFIX"
address remote eth0 $FAR/$PREFIX
forwarding near far
ip -n near link set eth1 mtu 1280
ip -n far link set eth0 mtu 1280
ip -n client route add "$(net_of 10.3.0.0)" via "$(ip_of 10.0.0.254)"
ip -n near route add "$(net_of 10.3.0.0)" via "$(ip_of 10.2.0.2)"
ip -n near route add unreachable $UNREACHABLE
ip -n near route add prohibit $PROHIBITED
ip -n far route add default via "$(ip_of 10.2.0.1)"
ip -n remote route add default via "$(ip_of 10.3.0.1)"
serve remote
maps_to $FAR
start_tool far client proxy -o jsonl -I 0.2 "${MAPS[@]}" -m "$(map $ORIGINAL 7 $UNREACHABLE 7)" \
	-m "$(map $ORIGINAL 8 $PROHIBITED 8)" eth0
equal "$BULK MB through an MTU of 1280" "$(upload client)" "$SUM"
contains "the client knows the path's MTU by the original address" \
	"$(ip -n client route get $ORIGINAL)" "mtu 1280"
equal "$BULK MB back" "$(download client)" "$SUM"
[ "$FAMILY" = 6 ] && want=("Network is unreachable" "Permission denied") ||
	want=("No route to host" "No route to host")
equal "a router in between is heard: unreachable" \
	"$(refusal client "TCP:$(at $ORIGINAL 7)")" "${want[0]} at once"
# Of the errors that Linux tells a UDP socket, "prohibited" is one, "unreachable" is not.
equal "for UDP: prohibited" "$(refusal client "UDP:$(at $ORIGINAL 8)")" "${want[1]} at once"
fragments=$(in_host near nstat -asz IpFragCreates Ip6FragCreates |
	awk 'NR > 1 { sum += $2 } END { print sum }')
equal "no TCP segment was cut into fragments" "$fragments" 0
# IPv6: routers do not cut packets, so the first datagram only tells an end of the path's MTU.
check "a datagram of 60000 bytes comes back" wait_for 10 echo_back client 60000
stop far

# --- a target behind another device, with a smaller MTU than the original's ------------------------

NARROW=$(ip_of 10.4.0.138)
host narrow
link client eth2 narrow eth0
address client eth2 "$(ip_of 10.4.0.1)/$PREFIX"
address narrow eth0 $NARROW/$PREFIX
ip -n client link set eth2 mtu 1280
ip -n narrow link set eth0 mtu 1280
# The target does not give the MTU away: it announces segments of 1460 bytes.
ip -n narrow route add "$(net_of 10.0.0.0)" via "$(ip_of 10.4.0.1)" advmss 1460
ip -n narrow route add "$(net_of 10.1.1.0)" via "$(ip_of 10.4.0.1)" advmss 1460
in_host client sysctl -q -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth2.rp_filter=0
in_host client ethtool -K eth2 tso off gso off > /dev/null 2>&1
ip -n client "-$FAMILY" route flush cache
serve narrow
maps_to $NARROW
start_tool narrow client proxy -o jsonl -I 0.2 "${MAPS[@]}" eth0
check "a datagram of 1400 bytes gets to a device with an MTU of 1280" \
	wait_for 5 echo_back client 1400
contains "whose MTU the client has been told" "$(ip -n client route get $ORIGINAL)" "mtu 1280"
check "a datagram of 60000 bytes comes back from there" echo_back client 60000
ip -n client "-$FAMILY" route flush cache
# What turns back is computed to the end, too, where it leaves.
in_host client ethtool -K eth1 tx off > /dev/null 2>&1
for host in client behind; do
	equal "$BULK MB from $host by that device" "$(upload $host)" "$SUM"
	equal "$BULK MB from there to $host" "$(download $host)" "$SUM"
done
equal "and no ICMP error had a wrong checksum" "$(errors_of behind)" 0
in_host client ethtool -K eth1 tx on > /dev/null 2>&1
stop narrow

# --- a device without a link layer ---------------------------------------------------------------

host left right
start tun-right right socat "UNIX-LISTEN:$TMP/wire,type=5" \
	TUN,tun-name=tun0,tun-type=tun,iff-no-pi,up
wait_for 5 test -S $TMP/wire
start tun-left left socat "UNIX-CONNECT:$TMP/wire,type=5" \
	TUN,tun-name=tun0,tun-type=tun,iff-no-pi,up
wait_for 5 ip -n left link show tun0
wait_for 5 ip -n right link show tun0
address right tun0 $TARGET/$PREFIX
address left tun0 $CLIENT/$PREFIX
wait_for 5 in_host left ping -q -c 1 -W 1 $TARGET
serve right
maps_to $TARGET
start_tool tun left proxy "${MAPS[@]}" tun0
equal "$BULK MB through a tun device" "$(upload left)" "$SUM"
equal "and back" "$(download left)" "$SUM"
check "datagrams through it" echo_back left 1 1000 8000
stop tun

# --- loopback ------------------------------------------------------------------------------------

host alone
serve alone
[ "$FAMILY" = 6 ] && LOOPBACK=::1 || LOOPBACK=127.0.0.1
start_tool lo alone proxy -m "$(map $LOOPBACK $ORIGINAL_PORT $LOOPBACK $TARGET_PORT)" \
	-m "$(map $LOOPBACK $((ORIGINAL_PORT + 1)) $LOOPBACK $((TARGET_PORT + 1)))" lo
equal "$BULK MB over lo" "$(upload alone "$(at $LOOPBACK $ORIGINAL_PORT)")" "$SUM"
equal "and back" "$(download alone "$(at $LOOPBACK $((ORIGINAL_PORT + 1)))")" "$SUM"
equal "beside a direct connection" "$(upload alone "$(at $LOOPBACK $TARGET_PORT)")" "$SUM"
ECHO_ADDRESS=$LOOPBACK
check "datagrams over lo" echo_back alone 1 1000 60000
stop lo
finish
