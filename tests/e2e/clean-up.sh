#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# remove-filters-and-qdisc.sh: removes what is ours after a SIGKILL, and nothing else.
. "$(dirname "$0")/../lib.sh"
needs jq bpftool ping

SCRIPT=$ROOT/remove-filters-and-qdisc.sh
lan_of_the_mapping

# ping_and_count: what the foreign filters of client's eth0 count over one echo request
ping_and_count()
{
	local in out
	in=$(foreign_count client eth0 ingress)
	out=$(foreign_count client eth0 egress)
	in_host client ping -q -c 1 -W $((2 * PATIENCE)) "$TARGET" > "$TMP/ping"
	# A late ARP exchange may be counted as well.
	[ "$(foreign_count client eth0 ingress)" -gt "$in" ] &&
		[ "$(foreign_count client eth0 egress)" -gt "$out" ]
}

has_clsact()
{
	in_host "$1" tc qdisc show dev "$2" | grep -q clsact
}

in_host client tc qdisc add dev eth0 clsact
foreign_filter client eth0 ingress 5
foreign_filter client eth0 egress 60000
in_host client tc filter add dev eth0 egress prio 7 protocol ip u32 match u32 0 0
check "foreign filters count" ping_and_count

start_tool monitor client packet-monitor eth0
start_tool proxy client proxy eth0
check "foreign filters count beside both tools" ping_and_count
equal "both tools are attached" "$(our_filters client eth0 | sort | xargs)" \
	"pm_egress pm_ingress proxy_egress proxy_ingress"
stop monitor KILL || true
stop proxy KILL || true
equal "the filters survive SIGKILL" "$(our_filters client eth0 | wc -l)" 4
for address in $ORIGINAL fd00::10; do
	in_host client ip neigh replace $address lladdr 02:70:72:6f:78:79 dev eth0 nud stale
done

check "the script runs" in_host client "$SCRIPT"
equal "none of our filters is left" "$(our_filters client eth0)" ""
check_not "nor a neighbour that does not exist" eval "in_host client ip neigh | grep 02:70:72:6f:78:79"
check "foreign filters count after it" ping_and_count
check "clsact stays because of them" has_clsact client eth0
check "the u32 filter is there, too" eval "in_host client tc filter show dev eth0 egress | grep -q u32"
# Beside it, another interface.
ip -n client link add eth1 type veth peer name eth2
ip -n client link set eth1 up
start_tool monitor client packet-monitor eth1
stop monitor KILL || true
contains "other interfaces with filters of ours are mentioned" "$(in_host client "$SCRIPT" eth0)" \
	"eth1: has filters of ours, too"
all=$(in_host client "$SCRIPT")
contains "and cleaned if none is named" "$all" "eth1: removed filter pm_egress"
second=$(in_host client "$SCRIPT" eth0)
contains "the second run finds nothing" "$second" "nothing of packet-monitor or proxy found on eth0"
contains "and says what it leaves alone" "$second" "left alone the clsact qdisc: 3 filters of others"
check "foreign filters count after the second run" ping_and_count

# A device without a link layer has programs of its own.
ip -n client tuntap add tun0 mode tun
ip -n client link set tun0 up
start_tool tun client proxy tun0
stop tun KILL || true
equal "on a tun device the filters survive, too" "$(our_filters client tun0 | sort | xargs)" \
	"proxy3_egress proxy3_ingress"
contains "and are mentioned" "$(in_host client "$SCRIPT" eth0)" "tun0: has filters of ours, too"
contains "and removed" "$(in_host client "$SCRIPT" tun0)" "tun0: removed filter proxy3_egress"
equal "all of them" "$(our_filters client tun0)" ""

# By another name of the interface.
in_host client ip link property add dev eth0 altname uplink-of-the-client
start_tool pm client packet-monitor uplink-of-the-client
kill -9 "${pids[pm]}"
in_host client "$SCRIPT" uplink-of-the-client > "$TMP/alt.out"
contains "by another name: removes ours" "$(cat "$TMP/alt.out")" "removed filter pm_ingress (ingress"

# A filter that is only displayed like one of ours.
cp "$BUILD/tests/e2e/counter-bpf.o" "$TMP/pm_ingress"
nsenter --net=/run/netns/client tc filter add dev eth0 ingress prio 9 bpf direct-action \
	object-file "$TMP/pm_ingress" section tc
in_host client "$SCRIPT" eth0 > "$TMP/decoy"
check "a filter with a name like ours stays" eval \
	"in_host client tc filter show dev eth0 ingress | grep -q 'pm_ingress:.tc.'"

# Nobody else's filters: the qdisc goes, too.
start_tool monitor target packet-monitor eth0
stop monitor KILL || true
first=$(in_host target "$SCRIPT" eth0)
contains "without other filters: removes ours" "$first" "removed filter pm_ingress (ingress"
contains "and the qdisc" "$first" "removed the clsact qdisc"
check_not "which is gone" has_clsact target eth0
contains "a second run finds nothing" "$(in_host target "$SCRIPT")" "nothing of packet-monitor or proxy found"

# killed_on DEV...: filters of a packet-monitor that was killed, on interfaces of target
killed_on()
{
	start_tool monitor target packet-monitor "$@"
	stop monitor KILL || true
}
ip -n target link add "odd#1" type veth peer name "odd#2"
ip -n target link add in1 type veth peer name in2
ip -n target link set in1 up

# All deletions are one batch. Somebody else is faster with one of them.
killed_on eth0 in1
mkdir "$TMP/faster"
cat > "$TMP/faster/tc" <<-TC
	#!/bin/sh
	[ "\$1" != -force ] || $(command -v tc) filter del dev eth0 ingress pref 1010
	exec $(command -v tc) "\$@"
TC
chmod +x "$TMP/faster/tc"
status=0
PATH=$TMP/faster:$PATH in_host target "$SCRIPT" > "$TMP/faster.out" 2> "$TMP/faster.err" || status=$?
equal "one of four deletions fails" "$status" 1
equal "that one is named" "$(sed 's/ (.*)//; s/: Error.*/: WHY/' "$TMP/faster.err")" \
	"remove-filters-and-qdisc.sh: cannot remove filter pm_ingress from eth0: WHY"
equal "and the others are done" "$(sed 's/ (.*)//' "$TMP/faster.out" | sort | xargs)" \
	"eth0: removed filter pm_egress eth0: removed the clsact qdisc, which was empty \
in1: removed filter pm_egress in1: removed filter pm_ingress in1: removed the clsact qdisc, which was empty"

# The qdisc ingress shows a filter at both hooks; it is removed once, and that qdisc is another's.
in_host target tc qdisc add dev in1 ingress
start_tool monitor target packet-monitor -Q in in1
stop monitor KILL || true
equal "the qdisc ingress stays" "$(in_host target "$SCRIPT" 2>&1 | sed 's/ (.*)//')" \
	"in1: removed filter pm_ingress"
in_host target tc qdisc del dev in1 ingress
# A name that tc -batch takes for a comment.
killed_on "odd#1"
status=0
odd=$(in_host target "$SCRIPT" 2>&1) || status=$?
equal "a name that tc cannot be told: is said" "$status $odd" \
	"1 remove-filters-and-qdisc.sh: cannot look at odd#1: tc -batch takes no such name"
ip -n target link del "odd#1"
# An interface that goes between two questions.
killed_on eth0
cat > "$TMP/faster/tc" <<-TC
	#!/bin/sh
	[ "\$1" != -json ] || $(command -v ip) link del in1 2> /dev/null
	exec $(command -v tc) "\$@"
TC
status=0
gone=$(PATH=$TMP/faster:$PATH in_host target "$SCRIPT" in1 eth0 2>&1) || status=$?
contains "an interface goes meanwhile: is said" "$status $gone" "1 *have interfaces come or gone?"
equal "and nothing is touched" "$(our_filters target eth0 | sort | xargs)" "pm_egress pm_ingress"
in_host target "$SCRIPT" > "$TMP/clean"

# packet-monitor names what a killed one has left, and not what a running one has attached.
ip -n target link add in1 type veth peer name in2
ip -n target link set in1 up
# start_beside ID ARGUMENT...: packet-monitor, until it has made a report
start_beside()
{
	start_tool "$1" target packet-monitor -j -I 0.1 "${@:2}"
	wait_for 10 test -s "$TMP/$1.out"
}
left_on()
{
	sed -n 's/.*a killed packet-monitor has left filters on \(.*\)/\1/p' "$TMP/$1.err"
}
start_beside first eth0
start_beside second -Q in eth0 in1
equal "filters of a packet-monitor that runs are not left behind" "$(left_on second)" ""
stop first KILL || true
start_beside third eth0 in1
equal "those of a killed one are, beside those of a running one" "$(left_on third)" \
	"eth0 (end this one, then run remove-filters-and-qdisc.sh eth0)"
stop second KILL || true
tcx=
! has_tcx "on several interfaces, by tcx" || tcx=--tcx
start_beside fourth -Q in $tcx any
equal "on several interfaces: one line" "$(left_on fourth)" \
	"eth0 and 1 more (end this one, then run remove-filters-and-qdisc.sh)"
start_beside fifth -Q out in1
equal "not at the other hook" "$(left_on fifth)" ""
for id in third fourth fifth; do
	stop $id
done
in_host target "$SCRIPT" > "$TMP/clean"
start_beside sixth any
equal "nothing is left after the script" "$(left_on sixth)" ""
stop sixth
in_host target "$SCRIPT" > "$TMP/clean"

killed_on eth0
status=0
denied=$(in_host target setpriv --bounding-set -net_admin --inh-caps -net_admin "$SCRIPT" eth0 2>&1) || status=$?
equal "without CAP_NET_ADMIN it fails" $status 1
contains "and says why" "$denied" "not permitted (needs CAP_NET_ADMIN)"
contains "and why the qdisc stays" "$denied" "left alone the clsact qdisc: filters of ours are still in it"
status=0
unknown=$("$SCRIPT" nosuch 2>&1) || status=$?
equal "an unknown interface is a failure" "$status: $unknown" \
	"1: remove-filters-and-qdisc.sh: no such interface: nosuch"
status=0
unknown=$("$SCRIPT" eth0 --nosuch 2>&1) || status=$?
equal "an unknown option is wrong usage" "$status: $unknown" \
	"2: remove-filters-and-qdisc.sh: unknown option '--nosuch' (try --help)"
contains "--help behind a name" "$("$SCRIPT" eth0 --help)" "Usage: remove-filters-and-qdisc.sh "
equal "an empty name is none" "$("$SCRIPT" '' 2>&1)" "remove-filters-and-qdisc.sh: no such interface: ''"
equal "-- ends the options" "$("$SCRIPT" -- lo -x 2>&1)" "remove-filters-and-qdisc.sh: no such interface: -x"
finish
