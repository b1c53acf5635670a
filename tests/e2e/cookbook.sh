#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# docs/cookbook.md and the EXAMPLES of the man pages: each command, as it stands there, and what the
# page says of it. ("At boot" is in systemd.sh.)
. "$(dirname "$0")/../lib.sh"
needs socat jq nfcapd nfdump ping

# A machine "client" with an uplink (eth0, 10.0.0.0/24) and two containers behind it, one on each veth.
lan_of_the_mapping
for number in 1 2; do
	host_behind box$number veth$number 10.$((4 + number)).0
done
start tcp target socat TCP-LISTEN:80,reuseaddr,fork EXEC:'echo one'
start tcp2 target socat TCP-LISTEN:8080,reuseaddr,fork EXEC:'echo two'
start sink target socat -u TCP-LISTEN:9,reuseaddr,fork /dev/null
for port in 80 8080 9; do
	wait_for 10 listening target tcp $port
done
mkdir $TMP/bin $TMP/work
ln -s "$BIN/packet-monitor" "$BIN/proxy" "$ROOT/remove-filters-and-qdisc.sh" $TMP/bin
export PATH=$TMP/bin:$PATH
[ ! -d /var/lib/prometheus ] || mount -t tmpfs tmpfs /var/lib/prometheus
mkdir -p /var/lib/prometheus/node-exporter
cd $TMP/work

done_sections=()
# recipe SECTION [N]: the N-th block of commands of a section, as a script for "client"
recipe()
{
	done_sections+=("$1")
	commands_of cookbook "$1" "${2:-1}" > $TMP/recipe
	check "$1: there are commands" test -s $TMP/recipe
}
# begin ID [PATTERN]: run the recipe in the background, until it is attached
begin()
{
	start $1 client bash $TMP/recipe
	wait_for 10 grep -q ': attached to ' $TMP/$1.err || fail "$1" "does not attach"
}
# end ID: Ctrl-C
end()
{
	pkill -INT -P "${pids[$1]}" || true
	status_of $1 || true
}
# traffic [HOST]: a connection to the target
traffic()
{
	in_host "${1:-box1}" socat -t 2 - TCP:$TARGET:80 < /dev/null
}
# shows NAME ID PATTERN: sooner or later
shows()
{
	check "$1" wait_for 20 grep -qE "$3" $TMP/$2.out
}
answer()
{
	in_host "$1" socat -t 2 - "TCP:$2,connect-timeout=2" < /dev/null 2> /dev/null || true
}

# The next interval ends in 10 s.
recipe "An alert when a host exceeds 100 Mbit/s"
begin alert
head -c 300M /dev/zero | in_host box1 socat -u - TCP:$TARGET:9

recipe "Which host uses the uplink now?"
begin host
equal "the target answers" "$(traffic)" one
shows "a host behind the machine" host '^10\.5\.0\.2 '
end host

recipe "A day's flows in a file, and their sum"
begin day
traffic > /dev/null
traffic box2 > /dev/null
end day
recipe "A day's flows in a file, and their sum" 2
in_host client bash $TMP/recipe > $TMP/sum
equal "the sum of what each host has sent" "$(grep -c '' $TMP/sum) $(grep -cE '^[0-9]+ 10.[56].0.2$' $TMP/sum)" \
	"$(jq -r 'select(.type == "end").src' flows.jsonl | sort -u | wc -l) 2"
equal "is what was counted" "$(awk '{ sum += $1 } END { print sum }' $TMP/sum)" \
	"$(tail -n 2 flows.jsonl | jq -s 'map(.bytes) | add')"

recipe "One container's traffic"
start inside box2 sleep 1000
PID=${pids[inside]} begin container
traffic box2 > /dev/null
shows "it watches the right interface" container "10\.6\.0\.2:[0-9]+ +$TARGET:80"
contains "its name" "$(cat $TMP/container.err)" "attached to veth2 "
end container

recipe "All containers' traffic"
begin all
traffic box1 > /dev/null
shows "a row for each" all '^veth1 '
ip -n client link add veth3 up type veth peer name veth3-peer
check "and for those that start later" wait_for 10 grep -q 'attached to veth3' $TMP/all.err
end all

recipe "Export to nfdump"
# What nfcapd has in shared memory goes by a name that all hosts see.
start collector target unshare --ipc bash $TMP/recipe
wait_for 10 listening target udp 4739
recipe "Export to nfdump" 2
begin export
traffic > /dev/null
end export
has_read()
{
	[ "$(in_host target ss -Hlun 'sport = :4739' | awk '{ print $2 }')" = 0 ]
}
check "the collector reads all" wait_for 10 has_read
pkill -TERM -P "${pids[collector]}"
status_of collector || true
recipe "Export to nfdump" 3
contains "it knows the host" "$(in_host target bash $TMP/recipe)" 10.5.0.2

recipe "Export to Prometheus and Grafana"
begin prom
traffic > /dev/null
end prom
contains "the file" "$(cat /var/lib/prometheus/node-exporter/packet-monitor-eth0.prom)" \
	'packet_monitor_host_bytes_total{iface="eth0",dir="sent",host="10.5.0.2"}'

shows "the alert names the host" alert '^10\.5\.0\.2: [0-9]{3,} Mbit/s$'
end alert

recipe "A whole service to another host"
begin service
equal "any port" "$(answer client $ORIGINAL:80) $(answer client $ORIGINAL:8080)" "one two"
check "and ping" in_host client ping -c 1 -W 5 $ORIGINAL
end service
recipe "A whole service to another host" 2
begin port
equal "one port" "$(answer client $ORIGINAL:80)" two
end port

recipe "Forwarded traffic of containers and VMs"
begin proxy
equal "of both containers and the machine" \
	"$(answer box1 $ORIGINAL:80) $(answer box2 $ORIGINAL:80) $(answer client $ORIGINAL:80)" "two two two"

recipe "Is the proxy healthy?"
check "it is" in_host client bash $TMP/recipe
recipe "Is the proxy healthy?" 2
check "it is, for scripts" in_host client bash -o pipefail $TMP/recipe

recipe "Undo everything"
pkill -KILL -P "${pids[proxy]}" || true
status_of proxy || true
check "something is left" test -n "$(our_filters client eth0)"
check "the script" in_host client bash $TMP/recipe
equal "nothing is left" "$(our_filters client eth0)" ""
recipe "Is the proxy healthy?"
check_not "it is not" in_host client bash $TMP/recipe

recipe "At boot"
equal "every section was run" "$(printf '%s\n' "${done_sections[@]}" | sort -u)" \
	"$(sed -n 's/^## //p' "$ROOT/docs/cookbook.md" | sort -u)"

# --- EXAMPLES of the man pages -------------------------------------------------------------------

echo "10.0.0.10:80=10.0.0.138:8080/tcp" > mappings.txt
ip -n client link add eth1 up type veth peer name eth1-peer
ip -n client link set eth1-peer up
for tool in packet-monitor proxy; do
	sed -n '/^\.SH EXAMPLES/,/^\.SH SEE/{/^\.TP/{n; s/^\.B //p}}' "$ROOT/$tool/$tool.8" | sed 's/\\-/-/g' > $TMP/examples
	check "$tool(8) has examples" test "$(wc -l < $TMP/examples)" -ge 5
	while read -r line; do
		echo "$line" > $TMP/recipe
		case $line in
		*--add* | *--delete* | *--status*)
			[ -n "${pids[running]:-}" ] || start_tool running client proxy eth0
			check "$line" in_host client bash -o pipefail $TMP/recipe
			;;
		remove-*)
			stop running KILL || true
			check "$line" in_host client bash $TMP/recipe
			;;
		*)
			begin example
			end example
			check "$line" grep -q ': attached to ' $TMP/example.err
			;;
		esac
	done < $TMP/examples
done
finish
