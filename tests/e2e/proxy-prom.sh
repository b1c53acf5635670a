#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# proxy -o prom --file: the metrics, against what the JSON report of the same datapath says.
. "$(dirname "$0")/../lib.sh"
needs socat jq

lan_of_the_mapping
start tcp target socat TCP-LISTEN:$TARGET_PORT,reuseaddr,fork EXEC:cat
wait_for 10 listening target tcp $TARGET_PORT
in_host client ip route add unreachable 10.7.0.1
FILE=$TMP/metrics.prom

# metric NAME{LABELS}: its value
metric()
{
	awk -v name="$1" '$1 == name { print $2 }' $FILE
}

# scrape N: keep the file as it is now
scrape()
{
	cp $FILE "$TMP/scrape.$1"
}

# written: the file has been replaced since the last call
written()
{
	[ "$(stat -c %i $FILE)" != "$inode" ]
}
next_report()
{
	inode=$(stat -c %i $FILE)
	check "another report" wait_for 10 written
}

start_tool proxy client proxy -o prom --file $FILE -I 0.1 --max-flows 5000 \
	-m $ORIGINAL:$ORIGINAL_PORT=$TARGET:$TARGET_PORT -m 10.0.0.11:80=10.7.0.1:80/tcp -m '[fd00::10]:80=[fd00::138]:80/tcp' eth0
check "a report" wait_for 10 test -s $FILE
scrape 1
talk open client TCP:$ORIGINAL:$ORIGINAL_PORT
says "a connection is open" open one one
next_report
next_report
scrape 2
labels="iface=\"eth0\",proto=\"tcp\",from=\"$ORIGINAL:$ORIGINAL_PORT\",to=\"$TARGET:$TARGET_PORT\""
equal "flows of the mapping, of all, and room" "$(metric "proxy_mapping_flows{$labels}") \
$(metric 'proxy_flows{iface="eth0",family="ipv4"}') $(metric 'proxy_max_flows{iface="eth0",family="ipv4"}')" "1 1 5000"
equal "and of IPv6" "$(metric 'proxy_flows{iface="eth0",family="ipv6"}') \
$(metric 'proxy_max_flows{iface="eth0",family="ipv6"}')" "0 5000"
in_host client "$BIN/proxy" --list -o jsonl eth0 > $TMP/list
for what in packets bytes; do
	for dir in out in; do
		value=$(metric "proxy_mapping_${what}_total{$labels,dir=\"$dir\"}")
		equal "$what $dir" "$value" "$(jq "select(.from == \"$ORIGINAL:$ORIGINAL_PORT\" and .proto == \"tcp\").${what}_$dir" $TMP/list)"
		check "which is not 0" test "$value" -gt 0
	done
done
equal "targets up and down" "$(grep '^proxy_target_up' $FILE)" \
	"proxy_target_up{iface=\"eth0\",target=\"10.0.0.138\"} 1
proxy_target_up{iface=\"eth0\",target=\"10.7.0.1\"} 0
proxy_target_up{iface=\"eth0\",target=\"[fd00::138]\"} 1"
equal "a mapping of IPv6" "$(metric 'proxy_mapping_flows{iface="eth0",proto="tcp",from="[fd00::10]:80",to="[fd00::138]:80"}')" 0

# The host of the target goes: it is down when the kernel asks for it and nobody answers.
ip -n switch link set p-target down
in_host client ip neigh del $TARGET dev eth0
down()
{
	in_host client ping -c 1 -W 1 $TARGET > /dev/null
	grep -q '^proxy_target_up{.*target="10.0.0.138"} 0' $FILE
}
check "a target that does not answer" wait_for 20 down
ip -n switch link set p-target up

# Every reason and every event has its metric, and the values are those of the JSON report.
in_host client "$ROOT/tests/e2e/prom-check.py" $FILE > $TMP/wrong || true
equal "the format" "$(cat $TMP/wrong)" ""
reasons=$(sed -n '/^#define PROXY_REASONS/,/^$/s/.*X([A-Z_]*, \([a-z_]*\),.*/\1/p' "$ROOT/include/proxy.h")
events=$(sed -n '/^#define PROXY_EVENTS/,/^$/s/.*X([A-Z_]*, \([a-z_]*\),.*/\1/p' "$ROOT/include/proxy.h")
equal "every reason" "$(sed -n 's/^proxy_untranslated_packets_total{.*reason="\(.*\)"} .*/\1/p' $FILE)" "$reasons"
for event in $events; do
	check "event $event" test -n "$(metric "proxy_${event}_total{iface=\"eth0\"}")"
done
check "new flows are counted" test "$(metric 'proxy_flows_new_total{iface="eth0"}')" -ge 1

# --- scrapes in order: counters only grow ---
next_report
scrape 3
in_host client "$BIN/proxy" --add 10.0.0.12:80=$TARGET:80 eth0
in_host client "$BIN/proxy" --delete $ORIGINAL:$ORIGINAL_PORT/udp eth0
next_report
next_report
scrape 4
contains "a mapping that was added" "$(cat $FILE)" 'from="10.0.0.12:80",to="10.0.0.138:80",dir="out"} 0'
stop proxy
scrape 5
"$ROOT/tests/e2e/prom-check.py" $TMP/scrape.? > $TMP/wrong || true
equal "counters of five scrapes" "$(cat $TMP/wrong)" ""

# The checker finds what it looks for.
sed 's/_total/_sum/' $TMP/scrape.4 > $TMP/other
check_not "a counter without _total" "$ROOT/tests/e2e/prom-check.py" $TMP/other
check_not "counters that go down" "$ROOT/tests/e2e/prom-check.py" $TMP/scrape.4 $TMP/scrape.1
sed 's/eth0/et"h0/' $TMP/scrape.4 > $TMP/other
check_not "a quote in a name" "$ROOT/tests/e2e/prom-check.py" $TMP/other

status=0
in_host client "$BIN/proxy" --list -o prom eth0 2> $TMP/err || status=$?
equal "not for --list" "$status $(cat $TMP/err)" \
	"2 proxy: --output prom belongs to a proxy that runs; use jsonl"
finish
