#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The alert rules and the dashboard of contrib/: they are valid, the alerts fire when they should,
# and all metrics and labels in them are among those that the tools print.
. "$(dirname "$0")/../lib.sh"
needs promtool python3 socat

RULES=$ROOT/contrib/prometheus/packet-tools.rules.yml DASHBOARD=$ROOT/contrib/grafana/packet-tools.json
check "promtool check rules" promtool check rules "$RULES"
check "promtool test rules" promtool test rules "$ROOT/tests/e2e/prometheus-rules.yml"
equal "each alert is tested" \
	"$(sed -n 's/.*alertname: //p' "$ROOT/tests/e2e/prometheus-rules.yml" | sort -u)" \
	"$(sed -n 's/.*- alert: //p' "$RULES" | sort)"

# One connection, by way of proxy, is enough for every metric and label of both tools.
lan_of_the_mapping
start tcp target socat TCP-LISTEN:$TARGET_PORT,reuseaddr,fork EXEC:cat
wait_for 10 listening target tcp $TARGET_PORT
mkdir $TMP/textfile
start_tool proxy client proxy -o prom --file $TMP/textfile/proxy.prom -I 1000 eth0
views=(flow host port protocol)
for view in "${views[@]}"; do
	option=()
	[ $view = flow ] || option=(--by $view)
	start_tool $view client packet-monitor -o prom --file $TMP/textfile/packet-monitor-$view.prom -I 1000 \
		"${option[@]}" eth0
done
talk open client TCP:$ORIGINAL:$ORIGINAL_PORT
says "a connection" open one one
for id in "${views[@]}" proxy; do
	stop $id
done
cat $TMP/textfile/*.prom > $TMP/metrics
echo 'node_textfile_mtime_seconds{file="/t/proxy.prom"} 1' >> $TMP/metrics # node_exporter's

# names FILE...: what is wrong in them
names()
{
	"$ROOT/tests/e2e/prom-names.py" $TMP/metrics "$@"
}
check "the metrics and labels exist" names "$RULES" "$DASHBOARD"
names "$DASHBOARD" > $TMP/expressions.json || true
check "promtool takes the dashboard's expressions" promtool check rules $TMP/expressions.json
# The checker finds what it looks for.
wrong=0
for change in s/packet_monitor_bytes_total/packet_monitor_bits_total/ 's/proxy_target_up/proxy_up/' \
	's/sum by (host/sum by (hosts/' 's/{{reason}}/{{cause}}/' 's/reason!=/why!=/'; do
	sed "$change" "$DASHBOARD" > $TMP/other.json
	wrong=$((wrong + 1))
	check_not "a wrong name is found ($wrong)" names $TMP/other.json
done
sed 's/proxy_max_flows/proxy_flows_max/' "$RULES" > $TMP/other.yml
check_not "and in the rules" names $TMP/other.yml
sed 's/labels\.target/labels.address/' "$RULES" > $TMP/other.yml
check_not "and in what they say" names $TMP/other.yml
finish
