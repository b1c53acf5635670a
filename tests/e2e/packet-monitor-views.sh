#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The formats and views of packet-monitor, with traffic that is known: 3 datagrams of 100 bytes from
# port 4001 and 2 from port 4002 to port 53, an answer to the first.
. "$(dirname "$0")/../lib.sh"
needs jq python3

host near far
link near eth0 far eth0
without_ipv6 near far
address near eth0 10.0.0.1/24
address far eth0 10.0.0.2/24
# One process for all datagrams: a server that forks may miss the next one while it does.
start server far python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 53))
while True:
    s.sendto(bytes(58), s.recvfrom(100)[1])
'
wait_for 5 listening far udp 53

# show FORMAT ARGUMENT...: what packet-monitor reports of the traffic at its end, as $TMP/pm.out. No
# interval ends before: the datagrams of one could belong to two of them.
show()
{
	local format=$1
	shift
	start_tool pm near packet-monitor eth0 -I 1000 -o "$format" "$@"
	in_host near python3 -c '
import socket
for port, count in (4001, 3), (4002, 2):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("10.0.0.1", port))
    s.settimeout(5)
    for _ in range(count):
        s.sendto(bytes(58), ("10.0.0.2", 53))
        s.recv(100)
'
	stop pm INT
}

show classic
equal "classic" "$(head -n 1 "$TMP/pm.out")" "=========="
check "classic: a line of the original" \
	grep -qx '10.0.0.1\[4001\] -> 10.0.0.2\[53\] proto 17: 3' "$TMP/pm.out"
show csv
head -n 1 "$TMP/pm.out" | grep -q '^type,ts,iface,dir,family,vlan,inner_vlan,proto,src,sport,dst,dport,packets,' ||
	fail "csv" "has no heading"
check "csv: a flow" grep -Eq \
	'^flow,[0-9.]+,eth0,out,ipv4,0,,udp,10.0.0.1,4001,10.0.0.2,53,3,300,3,300,1,,,,,,$' "$TMP/pm.out"
check "csv: as many columns everywhere" python3 -c '
import csv, sys
sys.exit(len({len(row) for row in csv.reader(open(sys.argv[1]))}) != 1)' "$TMP/pm.out"
show jsonl -s packets -r 2
equal "jsonl: two rows and two totals" "$(tail -n 4 "$TMP/pm.out" | jq -r .type | xargs)" \
	"flow flow total total"
equal "jsonl: a flow has the fields of the contract" "$(jq -s -c 'map(select(.type == "flow" and
	.sport == 4001))[-1] | del(.ts, .interval_packets, .interval_bytes)' "$TMP/pm.out")" \
	'{"type":"flow","iface":"eth0","dir":"out","family":"ipv4","vlan":0,"proto":"udp",'\
'"src":"10.0.0.1","sport":4001,"dst":"10.0.0.2","dport":53,"server":"dst","packets":3,"bytes":300}'
show jsonl --biflow
equal "--biflow" "$(jq -s -c 'map(select(.type == "biflow" and .sport == 4002))[-1] |
	[.dst, .packets, .packets_back, .bytes_back]' "$TMP/pm.out")" '["10.0.0.2",2,2,200]'
show jsonl --by host --proto udp
equal "--by host" "$(jq -s -c 'map(select(.type == "host" and .host == "10.0.0.2"))[-1] |
	[.flows, .packets_sent, .packets_received]' "$TMP/pm.out")" '[4,5,5]'
show jsonl --by port
equal "--by port" "$(jq -s -c 'map(select(.type == "port" and .proto == "udp"))[-1] |
	[.port, .flows, .packets_to, .packets_from]' "$TMP/pm.out")" '[53,4,5,5]'
show jsonl --by protocol -Q out
equal "--by protocol" "$(jq -s -c 'map(select(.type == "protocol" and .proto == "udp"))[-1] |
	[.flows, .packets_in, .packets_out]' "$TMP/pm.out")" '[2,0,5]'
show jsonl --by iface
equal "--by iface" "$(jq -s -c 'map(select(.type == "iface"))[-1] | [.iface, .packets_in >= 5, .packets_out >= 5]' \
	"$TMP/pm.out")" '["eth0",true,true]'
show csv --by iface
check "--by iface: csv" grep -Eq '^iface,[0-9.]+,eth0,,,0,,,,0,,0,[0-9]+,' "$TMP/pm.out"
show table --by iface
check "--by iface: table" grep -Eq '^IFACE +FLOWS IN ' "$TMP/pm.out"
show jsonl --port 4001 --net 10.0.0.0/24 -4
equal "filters: what passes" "$(jq -s -c 'map(select(.type == "flow"))[-2:] | map(.packets) | sort' \
	"$TMP/pm.out")" '[3,3]'
equal "filters: the rest is counted, too" "$(jq -s -c 'map(select(.type == "total" and
	.dir == "out"))[-1] | [.packets - .filtered_packets, .untracked_packets - .filtered_packets]' \
	"$TMP/pm.out")" '[3,0]'
show jsonl -F 'udp src or dst port 4001 and not vlan' --host 10.0.0.2
equal "-F: what passes" "$(jq -s -c 'map(select(.type == "flow"))[-2:] | map(.packets) | sort' \
	"$TMP/pm.out")" '[3,3]'
equal "-F: its total" "$(jq -s -c 'map(select(.type == "total" and .dir == "out"))[-1] |
	[.matched_packets, .matched_bytes, .packets > .matched_packets]' "$TMP/pm.out")" '[3,300,true]'
show csv -F 'port 4001'
equal "-F, csv: the total of what matches" "$(sed -n 's/^total,.*,out,.*,\([0-9]*,[0-9]*\)$/\1/p' \
	"$TMP/pm.out" | tail -n 1)" "3,300"
show table -F 'port 4001'
contains "-F, table: the total of what matches" "$(cat "$TMP/pm.out")" \
	"bit/s, 3 packets, 300 bytes, 1 flows, "
contains "-F, table: and of the rest" "$(cat "$TMP/pm.out")" " filtered out"
show table --resolve
check "table" grep -qE '^out udp +10\.0\.0\.1:4001 +10\.0\.0\.2:[^ ]+ +3 ' "$TMP/pm.out"
contains "the summary" "$(cat "$TMP/pm.err")" "The first "

# --- prom (packet-monitor-prom.sh has the rest) ---------------------------------------------------

# metric NAME{LABELS}: its value
metric()
{
	awk -v name="packet_monitor_$1" '$1 == name { print $2 }' "$TMP/metrics.prom"
}

show prom --file "$TMP/metrics.prom"
equal "prom: a flow, without the port of the client" \
	"$(metric 'flow_packets_total{iface="eth0",dir="out",proto="udp",src="10.0.0.1",dst="10.0.0.2",dport="53"}')" 5
equal "prom: and back" \
	"$(metric 'flow_bytes_total{iface="eth0",dir="in",proto="udp",src="10.0.0.2",sport="53",dst="10.0.0.1"}')" 500
equal "prom: nothing else but ARP" "$(metric 'flow_packets_total{iface="eth0",dir="in",proto="other",src="other",dst="other"}')" 0
show prom -F 'port 4001' --by host --file "$TMP/metrics.prom"
equal "prom: --by host" "$(metric 'host_packets_total{iface="eth0",dir="received",host="10.0.0.2"}')" 3
check "prom: the format with -F" "$ROOT/tests/e2e/prom-check.py" "$TMP/metrics.prom"
equal "prom: the total of what matches" "$(metric 'matched_bytes_total{iface="eth0",dir="out"}')" 300
equal "prom: and of the rest, by reason" "$(metric 'untracked_packets_total{iface="eth0",dir="out",reason="filtered"}')" \
	$(($(metric 'packets_total{iface="eth0",dir="out"}') - 3))
show prom --by port --file "$TMP/metrics.prom"
equal "prom: --by port" "$(metric 'port_packets_total{iface="eth0",dir="to",proto="udp",port="53"}')" 5
equal "prom: no temporary file is left" "$(echo "$TMP"/metrics*)" "$TMP/metrics.prom"
check_not "prom: nothing on standard output" test -s "$TMP/pm.out"
status=0
in_host near "$BIN/packet-monitor" eth0 -o prom --file /nowhere/x -c 1 -I 0.1 2> "$TMP/err" || status=$?
equal "prom: a file that cannot be written" "$status $(grep -c 'cannot write' "$TMP/err")" "1 1"
finish
