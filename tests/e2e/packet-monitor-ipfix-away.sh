#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# packet-monitor --ipfix while the collector is away: what it gets later and what is said to be lost are
# the whole. The path to it has a smaller MTU than the link. SOAK=1: away for 30 s, at 20,000 new flows a
# second, more than is kept.
. "$(dirname "$0")/../lib.sh"
needs jq python3 nfcapd tcpdump

FLOWS=10000 SIZE=16384
[ $SOAK = 0 ] || FLOWS=600000 SIZE=65536
COLLECTOR=10.2.0.2 PORT=2055
host source monitor router collector
link source eth0 monitor eth0
link monitor exp0 router left
link router right collector eth0
address monitor exp0 10.1.0.1/24
address router left 10.1.0.2/24
address router right 10.2.0.1/24
address collector eth0 $COLLECTOR/24
ip -n monitor route add default via 10.1.0.2
ip -n collector route add default via 10.2.0.1
ip -n router link set right mtu 1000
ip -n collector link set eth0 mtu 1000
forwarding router
# Only what this test sends is on the link. Every datagram that finds no collector is told of.
for dev in source monitor; do
	in_host $dev sysctl -q -w net.ipv6.conf.eth0.disable_ipv6=1
	ip -n $dev link set eth0 arp off
done

# flood FIRST COUNT: these flows, 20,000 a second; what they are is added to $sent
sent="0 0"
flood()
{
	sent=$(plus "$sent" "$(in_host source "$BUILD/tests/e2e/flow-flood" eth0 "$@" 20000)")
}

# exporter ID TO OPTION...: a packet-monitor with this collector
exporter()
{
	sent="0 0"
	start_tool $1 monitor packet-monitor -j -r 1 -Q in -I 0.2 --no-summary -m $SIZE --ipfix "${@:2}" eth0
}

# field ID NAME: of the last totals
field()
{
	jq "select(.type == \"total\") | .$2" $TMP/$1.out | tail -n 1
}

# is_empty ID: whether no flow is left in the table, and all that was sent has been seen
is_empty()
{
	[ "$(field $1 flows) $(field $1 packets)" = "0 ${sent% *}" ]
}

# is_quiet: whether nothing is sent to the collector for some time
is_quiet()
{
	local before
	before=$(ip -n monitor -s -j link show exp0 | jq '.[0].stats64.tx.packets')
	sleep 0.3
	[ "$before" = "$(ip -n monitor -s -j link show exp0 | jq '.[0].stats64.tx.packets')" ]
}

# settle ID PORT: wait until the collector has read the records of all flows
settle()
{
	check "$1: all flows have ended" wait_for 30 is_empty $1
	check "$1: all are sent" wait_for 30 is_quiet
	check "$1: and read" wait_for 30 has_read $2
}

says_err()
{
	check "$1: it says '$2'" wait_for 60 grep -q "$2" $TMP/$1.err
}

# lost ID: "PACKETS BYTES" that were lost, as the tool says at its end
lost()
{
	sed -n 's/.* lost for the collector .*: [0-9]* flows, \([0-9]*\) packets, \([0-9]*\) bytes$/\1 \2/p' \
		$TMP/$1.err | grep . || echo 0 0
}

# ends ID: the last totals are what was sent
ends()
{
	local status=0
	stop $1 INT || status=$?
	equal "$1: it ends well" $status 0
	equal "$1: it has seen everything" "$(field $1 packets) $(field $1 bytes)" "$sent"
	untracked="$(field $1 untracked_packets) $(field $1 untracked_bytes)"
}

# is_whole ID COLLECTOR...: what these have, what no flow has and what is lost are what was sent
is_whole()
{
	local sum each
	sum=$(plus "$untracked" "$(lost $1)")
	for each in "${@:2}"; do
		sum=$(plus "$sum" "$(nfdump_has $each)")
	done
	equal "$1: received, ignored and lost flows are the whole" "$sum" "$sent"
	if [ $SOAK = 0 ]; then
		equal "$1: nothing is lost" "$(lost $1)" "0 0"
	else
		check_not "$1: more is lost than nothing" [ "$(lost $1)" = "0 0" ]
	fi
}

start wire collector tcpdump -i eth0 -n -v udp port $PORT and src host 10.1.0.1
wait_for 10 grep -q 'listening on' $TMP/wire.err
nfdump_on first $PORT
exporter udp $COLLECTOR:$PORT --idle 0.5
flood 1 5000
settle udp $PORT
stop first INT || true
flood 10000 $FLOWS
says_err udp 'cannot reach the collector 10.2.0.2:2055: Connection refused'
nfdump_on second $PORT
says_err udp 'the collector 10.2.0.2:2055 can be reached again'
flood 5001 5000
settle udp $PORT
ends udp
check "udp: the end is read" wait_for 30 has_read $PORT
stop second INT || true
is_whole udp first second
stop wire INT || true
check "datagrams are as long as the path carries" grep -q ' length 9[0-9][0-9])' $TMP/wire.out
equal "and none is a fragment" "$(grep -c 'flags \[+\]\|offset [1-9]' $TMP/wire.out)" 0

# The relay takes no connection for a while.
nfdump_on behind $PORT
relay()
{
	start $1 collector "$ROOT/tests/e2e/ipfix-relay.py" 4739 $PORT
	wait_for 10 listening collector tcp 4739
}
relay relay
exporter tcp tcp:$COLLECTOR --idle 0.5
flood 1 5000
settle tcp $PORT
stop relay || true
flood 10000 $FLOWS
says_err tcp 'cannot reach the collector tcp:10.2.0.2: Connection re'
relay again
says_err tcp 'the collector tcp:10.2.0.2 can be reached again'
# The relay is stopped, and reads later.
kill -s STOP ${pids[again]}
flood 5001 5000
kill -s CONT ${pids[again]}
settle tcp $PORT
ends tcp
check "tcp: the connection ends" wait_for 30 grep -q disconnected $TMP/again.out
equal "tcp: the messages are in sequence, in each connection" \
	"$(cat $TMP/relay.out $TMP/again.out | sort -u | xargs)" "connected disconnected"
check "tcp: the end is read" wait_for 30 has_read $PORT
stop behind INT || true
is_whole tcp behind

# Nobody is there at all.
ip -n router route add unreachable 10.3.0.0/24
for to in 10.2.0.2:9 tcp:10.2.0.2:9 10.3.0.1 tcp:10.3.0.1; do
	exporter none $to
	flood 1 3000
	says_err none "cannot reach the collector $to: "
	ends none
	equal "none: all that has flows is lost, and said" "$(plus "$(lost none)" "$untracked")" "$sent"
done
finish
