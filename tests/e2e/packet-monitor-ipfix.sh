#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# packet-monitor --ipfix: what nfdump and pmacct have received, over UDP and TCP, is what the interface
# has carried, to the last byte. SOAK=1: a million flows at 20,000 a second.
. "$(dirname "$0")/../lib.sh"
needs jq python3 nfcapd nfacctd tshark tcpdump

FLOWS=20000 SIZE=16384
[ $SOAK = 0 ] || FLOWS=1000000 SIZE=65536
COLLECTOR=10.1.0.2 COLLECTOR6=fd00:0:0:1::2 NFDUMP=2055 PMACCT=2056 RELAYED=2057 TCP=4739
host source monitor collector
link source eth0 monitor eth0
link monitor exp0 collector eth0
address monitor exp0 10.1.0.1/24 fd00:0:0:1::1/64
address collector eth0 $COLLECTOR/24 $COLLECTOR6/64
# Only what this test sends is on the link.
for dev in source/eth0 monitor/eth0; do
	in_host ${dev%/*} sysctl -q -w net.ipv6.conf.eth0.disable_ipv6=1
	ip -n ${dev%/*} link set ${dev#*/} arp off
done

# flood FIRST COUNT RATE
flood()
{
	in_host source "$BUILD/tests/e2e/flow-flood" eth0 "$@" > $TMP/flood
}

# exporter ID TO OPTION...: a packet-monitor with this collector
exporter()
{
	start_tool $1 monitor packet-monitor -j -r 1 -Q in --no-summary -m $SIZE --ipfix "${@:2}" eth0
}

# total ID, untracked ID: "PACKETS BYTES" that the packet-monitor has reported last
total()
{
	jq -r 'select(.type == "total") | "\(.packets) \(.bytes)"' $TMP/$1.out | tail -n 1
}

untracked()
{
	jq -r 'select(.type == "total") | "\(.untracked_packets) \(.untracked_bytes)"' $TMP/$1.out | tail -n 1
}

# messages PORT FILTER FIELD...: what Wireshark finds in the messages to a port
messages()
{
	local port=$1 filter=$2 fields=("${@:3}")
	tshark -n -r $TMP/wire.pcap -d udp.port==$port,cflow -d tcp.port==$TCP,cflow -2 \
		-Y "(udp.dstport == $port or tcp.dstport == $port) and $filter" -T fields \
		"${fields[@]/#/-e}" 2> /dev/null
}

# ignored PORT: "PACKETS BYTES" of the last options record
ignored()
{
	messages $1 cflow.ignore_packets cflow.ignore_packets cflow.ignore_octets |
		awk '{ n = split($1, packets, ","); m = split($2, bytes, ",") }
			END { print packets[n], bytes[m] }'
}

start wire collector tcpdump -i eth0 -B 131072 -s 0 -w $TMP/wire.pcap ip or ip6
check "the wire is watched" wait_for 10 grep -q 'listening on' $TMP/wire.err
nfdump_on nfcapd $NFDUMP
nfdump_on relayed $RELAYED
start relay collector "$ROOT/tests/e2e/ipfix-relay.py" $TCP $RELAYED
wait_for 10 listening collector tcp $TCP
cat > $TMP/nfacctd.conf <<-CONF
	nfacctd_ip: ::
	nfacctd_port: $PMACCT
	plugins: print
	aggregate: in_iface
	print_output: json
	print_output_file: $TMP/pmacct.json
	print_output_file_append: true
	print_refresh_time: 3600
	plugin_pipe_size: 268435456
	plugin_buffer_size: 65536
CONF
start nfacctd collector nfacctd -f $TMP/nfacctd.conf
roomy nfacctd $PMACCT

exporter udp $COLLECTOR:$NFDUMP --active 5 --idle 2 -F 'not port 1100'
# pmacct 1.7 leaves out flows that are not IP.
exporter udp6 "[$COLLECTOR6]:$PMACCT" --observation-domain 7 -F 'ip or ip6'
exporter tcp tcp:$COLLECTOR --active 3
flood 1 $FLOWS 20000
for id in udp udp6 tcp; do
	status=0
	stop $id INT || status=$?
	equal "$id: it ends well" $status 0
	equal "$id: and has nothing to complain of" "$(grep -vc attached $TMP/$id.err)" 0
	equal "$id: it has seen what was sent" "$(total $id)" "$(cat $TMP/flood)"
done
check "nfcapd reads all" wait_for 60 has_read $NFDUMP
check "nfacctd reads all" wait_for 60 has_read $PMACCT
check "the relay gives all away" wait_for 60 grep -q disconnected $TMP/relay.out
equal "TCP: the messages are in sequence" "$(sort -u $TMP/relay.out | xargs)" "connected disconnected"
check "and nfcapd behind it reads all" wait_for 60 has_read $RELAYED
for id in nfcapd relayed nfacctd; do
	stop $id INT || true
done
stop wire INT || true

# nfcapd 1.7 does not count options records in its sequence numbers, so it finds an error there.
for id in nfcapd relayed; do
	contains "$id: no message is bad" "$(cat $TMP/$id.err $TMP/$id.out)" "Bad Packets: 0"
done
equal "pmacct: nothing is missing" "$(grep -ciE 'missing|sequence|discarded' $TMP/nfacctd.err)" 0
equal "what is ignored is told" "$(ignored $NFDUMP)" "$(untracked udp)"
check_not "something is ignored" [ "$(untracked udp)" = "0 0" ]
equal "nfdump, UDP: its flows and what is ignored are the whole" \
	"$(plus "$(nfdump_has nfcapd)" "$(ignored $NFDUMP)")" "$(cat $TMP/flood)"
equal "pmacct, UDP over IPv6: the same" \
	"$(plus "$(jq -r '"\(.packets) \(.bytes)"' $TMP/pmacct.json | awk '{ p += $1; b += $2 } END { print p, b }')" \
		"$(ignored $PMACCT)")" "$(cat $TMP/flood)"
equal "nfdump, TCP: the same" "$(plus "$(nfdump_has relayed)" "$(ignored $TCP)")" "$(cat $TMP/flood)"

# wrong PORT: what Wireshark complains of in messages, but not in TCP segments: they may be delayed
wrong()
{
	messages $1 '(_ws.malformed or _ws.expert.severity >= "Warning" and cflow and not tcp.analysis.flags)' \
		frame.number _ws.expert.message
}
for port in $NFDUMP $PMACCT $TCP; do
	check "Wireshark knows the messages to port $port" [ "$(messages $port cflow.version==10 frame.number | wc -l)" -gt 10 ]
	equal "and finds nothing wrong with them" "$(wrong $port)" ""
done
equal "the interface's name is told" "$(messages $NFDUMP cflow.if_name cflow.if_name | tr , '\n' | sort -u)" eth0
equal "datagrams are not fragmented" "$(messages $NFDUMP 'ip.flags.df == 0' frame.number | wc -l)" 0

# Several interfaces, of which one goes: its flows end, and its name is told though it has had no minute.
for i in 1 2; do
	ip -n monitor link add v$i type veth peer name w$i
	in_host monitor sysctl -q -w net.ipv6.conf.v$i.disable_ipv6=1 net.ipv6.conf.w$i.disable_ipv6=1
	ip -n monitor link set v$i up arp off
	ip -n monitor link set w$i up arp off
done
start wire collector tcpdump -i eth0 --immediate-mode -U -w $TMP/wire.pcap udp port $NFDUMP
check "the wire is watched again" wait_for 10 grep -q 'listening on' $TMP/wire.err
nfdump_on several $NFDUMP
start_tool any monitor packet-monitor -j -Q in -I 0.2 --no-summary --ipfix $COLLECTOR:$NFDUMP --active 3600 'w[13]' w2
for i in 1 2; do
	in_host monitor "$BUILD/tests/e2e/flow-flood" v$i $i 10 1000 > /dev/null
done
# index_of DEV: of the host monitor
index_of()
{
	ip -n monitor -j link show $1 | jq '.[0].ifindex'
}
W1=$(index_of w1) W2=$(index_of w2)
# Late enough not to be there when names are told to the collector for the first time.
ip -n monitor link add v3 type veth peer name w3
in_host monitor sysctl -q -w net.ipv6.conf.v3.disable_ipv6=1 net.ipv6.conf.w3.disable_ipv6=1
W3=$(index_of w3)
ip -n monitor link set v3 up arp off
ip -n monitor link set w3 up arp off
check "an interface that comes is watched" wait_for 10 grep -q 'attached to w3' $TMP/any.err
in_host monitor "$BUILD/tests/e2e/flow-flood" v3 3 10 1000 > /dev/null
# counted DEV: whether its flows are in the last report
counted()
{
	jq -s -e "map(select(.type == \"total\" and .iface == \"$1\")) | last | .flows == 10" $TMP/any.out
}
check "its flows are counted" wait_for 10 counted w3
ip -n monitor link del v3
check "it is gone" wait_for 10 grep -q 'w3 is gone' $TMP/any.err
# forgotten DEV: whether the last report has no totals of it any more
forgotten()
{
	! tail -n 3 $TMP/any.out | grep -q "\"iface\":\"$1\""
}
check "and its flows have ended" wait_for 10 forgotten w3
in_host monitor "$BUILD/tests/e2e/flow-flood" v1 1 10 1000 > /dev/null
stop any INT || true
wait_for 30 has_read $NFDUMP
stop several INT || true
# ends: the reason and the interface of all flows, each pair once
ends()
{
	nfdump -q -R $TMP/several.flows -o raw -N 2> /dev/null |
		awk '/ input  / { input = $3 } /end reason/ { print substr($4, 4), input }' | sort -u | xargs
}
equal "each flow has its interface, and the reason of its end" "$(ends)" "$(printf '%s\n' "3 $W3" "4 $W1" "4 $W2" | xargs)"
# named NAMES: whether Wireshark has seen the names of these interfaces, and of no others
named()
{
	[ "$(messages $NFDUMP cflow.if_name cflow.if_name | tr , '\n' | sort -u | xargs)" = "$1" ]
}
check "each interface has its name" wait_for 30 named "w1 w2 w3"
finish
