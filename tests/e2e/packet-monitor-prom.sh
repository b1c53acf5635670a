#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# packet-monitor -o prom under churn: flows come and leave the table, hosts get busy and idle. What
# it writes, and what a real Prometheus stores of it by way of node_exporter. SOAK=1: two minutes.
. "$(dirname "$0")/../lib.sh"
needs python3 promtool prometheus prometheus-node-exporter curl jq

host near far
link near eth0 far eth0
without_ipv6 near far
address near eth0 10.0.0.1/24
address far eth0 10.0.0.2/24
ip -n near route add 10.9.0.0/16 via 10.0.0.2
ip -n far route add local 10.9.0.0/16 dev lo

FILE=$TMP/textfile/flows.prom
mkdir $TMP/textfile
# churn SECONDS
churn()
{
	start to near "$ROOT/tests/e2e/prom-churn.py" from 10.0.0.1 "$1"
	start from far "$ROOT/tests/e2e/prom-churn.py" to 10.0.0.1 "$1"
}
calm()
{
	stop to || true
	stop from || true
}
# monitor INTERVAL ARGUMENT...: with a table that is too small
monitor()
{
	rm -f $FILE
	start_tool pm near packet-monitor -o prom --file $FILE -I "$1" --idle 1 --max-flows 512 "${@:2}"
}

# --- files, one after the other ------------------------------------------------------------------

another()
{
	[ "$(stat -c %i $FILE 2> /dev/null)" != "$inode" ]
}
# next_report: wait for it
next_report()
{
	inode=$(stat -c %i $FILE 2> /dev/null) || inode=
	wait_for 10 another
}

# series VIEW REPORTS ARGUMENT...: the checks that hold for a view
series()
{
	local view=$1 scrapes=$TMP/$1 reports=$2 number
	shift 2
	mkdir $scrapes
	monitor 0.3 --rows 4 "$@" eth0
	churn 1000
	wait_for 10 grep -qE '^packet_monitor_packets_total.* [0-9]{4,}$' $FILE
	for ((number = 100; number < 100 + reports; number++)); do
		next_report
		cp $FILE $scrapes/$number
	done
	calm
	stop pm
	cp $FILE $scrapes/999
	"$ROOT/tests/e2e/prom-check.py" $scrapes/* > $TMP/wrong || true
	equal "$view: the format; no counter falls" "$(head -n 5 $TMP/wrong)" ""
	check "$view: promtool" promtool check metrics < $FILE
	"$ROOT/tests/e2e/prom-sums.py" $scrapes/* > $TMP/sums || true
	contains "$view: all adds up to the totals" "$(head -n 5 $TMP/sums)" " series, "
}
series flow 12
check "flow: flows have left the table" grep -q '^packet_monitor_retired_packets_total{.*} [1-9]' $FILE
equal "flow: as many series as rows, at most" "$(sed 's/.*, //' $TMP/sums)" "4 at most"
check "flow: the busiest change" test "$(sed 's/ .*//' $TMP/sums)" -gt 8
series host 10 --by host
check "host: the busiest change" test "$(sed 's/ .*//' $TMP/sums)" -gt 8
series port 4 --by port
contains "port: a series" "$(cat $FILE)" 'packet_monitor_port_packets_total{iface="eth0",dir="to",proto="udp",port="53"} '
series protocol 4 --by proto
contains "protocol: a series" "$(cat $FILE)" \
	'packet_monitor_protocol_bytes_total{iface="eth0",dir="out",family="ipv4",proto="udp"} '
# The checker finds what it looks for.
sed 's/^\(packet_monitor_protocol_packets_total.*in.*udp.*\) .*/\1 7/' $FILE > $TMP/other
check_not "a wrong sum is found" "$ROOT/tests/e2e/prom-sums.py" $TMP/other

# --- interfaces that come and go -----------------------------------------------------------------

rm $FILE
start pm near "$BIN/packet-monitor" -o prom --file $FILE -I 0.3 --by iface 'v*'
next_report
check "without an interface: a report" test -s $FILE
for _ in 1 2 3 4; do
	ip -n near link add v1 up type veth peer name w1
	ip -n near link set w1 up
	ip -n near link del v1
	ip -n near link add v1 up type veth peer name w1
	next_report
	"$ROOT/tests/e2e/prom-check.py" $FILE >> $TMP/wrong || true
	ip -n near link del v1
done
equal "an interface of a name that had another" "$(cat $TMP/wrong)" ""
check_not "--by iface: no series but the totals" grep -qE 'hidden|_(flow|host)_' $FILE
stop pm

# --- Prometheus ----------------------------------------------------------------------------------

URL=http://127.0.0.1:9090
cat > $TMP/prometheus.yml <<-'CONFIG'
	global:
	  scrape_interval: 200ms
	  scrape_timeout: 200ms
	scrape_configs:
	  - job_name: node
	    static_configs:
	      - targets: ["127.0.0.1:9100"]
CONFIG
check "its configuration" promtool check config $TMP/prometheus.yml

# value QUERY: the first that Prometheus answers
value()
{
	curl -s "$URL/api/v1/query" --data-urlencode "query=$1" | jq -r '.data.result[0].value[1]'
}
scraping()
{
	[ "$(value up)" = 1 ]
}
stored()
{
	[ "$(value 'sum(packet_monitor_packets_total)')" = \
		"$(awk '/^packet_monitor_packets_total/ { sum += $2 } END { printf "%d", sum }' $FILE)" ]
}
# measure INTERVAL REPORTS: what prometheus-check.py says goes to $TMP/said. Return: its status.
measure()
{
	local status=0
	rm -rf $TMP/tsdb $FILE
	start exporter - prometheus-node-exporter --collector.disable-defaults --collector.textfile \
		--collector.textfile.directory=$TMP/textfile --web.listen-address=127.0.0.1:9100
	start prometheus - prometheus --config.file=$TMP/prometheus.yml \
		--storage.tsdb.path=$TMP/tsdb --web.listen-address=127.0.0.1:9090
	wait_for 30 scraping || return
	monitor "$1" --rows 8 -c "$2" eth0
	start watch - "$ROOT/tests/e2e/prom-watch.py" $FILE
	churn "$(awk "BEGIN { print $1 * ($2 - 5) }")"
	status_of pm
	wait_for 30 stored || return
	"$ROOT/tests/e2e/prometheus-check.py" $URL "$1" "$2" $TMP/watch.out > $TMP/said || status=$?
	calm
	stop watch || true
	stop prometheus || true
	stop exporter || true
	return $status
}

reports=14
[ "$SOAK" = 0 ] || reports=240
# Where the machine is too busy for a scrape between two reports: slower.
for interval in 0.5 1 2 4; do
	status=0
	measure $interval $reports || status=$?
	[ $status = 3 ] || break
	cat $TMP/said
done
equal "Prometheus: rates and sums" "$status" 0
contains "Prometheus: what it has stored" "$(head -n 20 $TMP/said)" " scrapes, "
cat $TMP/said
finish
