#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# --tcx: both tools by tcx instead of clsact. That their programs do the same there is seen by
# both-tools.sh and the tests of the programs; here is what is different.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs socat jq ping

has_tcx "all" || finish
lan_of_the_mapping
start rival client "$BUILD/tests/e2e/tcx-attach" eth0 0
[ "$FAMILY" = 4 ] && REQUEST=8 REPLY=0 || REQUEST=128 REPLY=129 # types of ICMP echo
MAP=(-m "$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT")
rival_ready()
{
	grep -q attached "$TMP/rival.out"
}
wait_for 5 rival_ready

proxy()
{
	in_host client "$BIN/proxy" "$@"
}

# programs HOST DEV: the names of those at its tcx hooks
programs()
{
	in_host "$1" "$BUILD/tests/e2e/tcx-attach" -l "$2" | xargs
}

no_clsact()
{
	! in_host client tc qdisc show dev eth0 | grep -q clsact
}

# ping_target N, and the last count of the echo requests that packet-monitor has printed
ping_target()
{
	in_host client ping -q -c "$1" -i 0.01 -W $((2 * PATIENCE)) $TARGET > /dev/null
}

requests()
{
	jq -s 'map(select(.type == "flow" and .icmp_type == '$REQUEST'))[-1].packets' "$TMP/pm.out"
}

# exchange [PROTOCOL]
exchange()
{
	local options=
	[ "${1:-TCP}" = UDP ] || options=,connect-timeout=$((2 * PATIENCE))
	[ "$(echo hello | in_host client socat -t $PATIENCE - \
		"${1:-TCP}:$ORIGINAL_AT:$ORIGINAL_PORT$options")" = hello ]
}

# --- a program that takes packets

start_tool pm client packet-monitor -j -I 0.1 eth0
ping_target 3
stop pm
equal "by clsact nothing is seen behind a tcx program that takes packets" \
	"$(jq -s 'map(select(.type == "flow")) | length' "$TMP/pm.out")" 0
contains "which is said" "$(cat "$TMP/pm.err")" \
	"warning: 2 tcx programs on eth0 may take packets first"
in_host client tc qdisc del dev eth0 clsact

start_tool pm client packet-monitor -j -I 0.1 --tcx -Q in eth0
ping_target 3
stop pm
equal "--tcx: what comes in is counted before it" \
	"$(jq -s 'map(select(.type == "flow" and .icmp_type == '$REPLY'))[-1].packets' "$TMP/pm.out")" 3
check_not "--tcx: there is nothing to warn of" grep warning "$TMP/pm.err"
stop rival || true

# --- packet-monitor: its life

start_tool pm client packet-monitor -j -I 0.1 --tcx eth0
equal "packet-monitor: the line that scripts wait for" "$(cat "$TMP/pm.err")" \
	"packet-monitor: attached to eth0 (ingress, egress)"
check "packet-monitor: no clsact is made" no_clsact
equal "packet-monitor: both programs are there" "$(programs client eth0)" "pm_ingress pm_egress"
ping_target 5
stop pm
equal "packet-monitor: it counts" "$(requests)" 5
equal "packet-monitor: nothing is left after the end" "$(programs client eth0)" ""
start_tool pm client packet-monitor -j -I 0.1 --tcx eth0
stop pm KILL || true
equal "packet-monitor: nothing is left after SIGKILL" "$(programs client eth0)" ""
status=0
in_host client "$ROOT/remove-filters-and-qdisc.sh" eth0 > "$TMP/clean" 2>&1 || status=$?
equal "packet-monitor: there is nothing to clean up" "$status $(grep -c removed "$TMP/clean")" "0 0"

ip -n client link add tap0 type veth peer name tap1
ip -n client link set tap0 up
ip -n client link set tap1 up
start_tool pm client packet-monitor -j -I 0.1 --tcx --wait tap0
ip -n client link del tap0
check "packet-monitor: --wait: the interface is gone" wait_for 5 grep -q "tap0 is gone" "$TMP/pm.err"
ip -n client link add tap0 type veth peer name tap1
ip -n client link set tap0 up
ip -n client link set tap1 up
back()
{
	[ "$(grep -c 'attached to tap0' "$TMP/pm.err")" = 2 ]
}
check "packet-monitor: --wait: it is back" wait_for 5 back
equal "packet-monitor: --wait: both programs are, too" "$(programs client tap0)" \
	"pm_ingress pm_egress"
check_not "packet-monitor: --wait: there is nothing to warn of" grep warning "$TMP/pm.err"
stop pm

# --- proxy

start tcp target socat TCP$FAMILY-LISTEN:$TARGET_PORT,reuseaddr,fork EXEC:cat
start udp target socat UDP$FAMILY-RECVFROM:$TARGET_PORT,reuseaddr,fork EXEC:cat
wait_for 10 listening target tcp $TARGET_PORT
wait_for 10 listening target udp $TARGET_PORT

start_tool proxy client proxy --tcx -I 0.1 "${MAP[@]}" eth0
equal "proxy: the line that scripts wait for" "$(cat "$TMP/proxy.err")" \
	"proxy: attached to eth0 (ingress, egress), 1 mapping"
check "proxy: no clsact is made" no_clsact
equal "proxy: both programs are there" "$(programs client eth0)" \
	"proxy${FAMILY#4}_ingress proxy${FAMILY#4}_egress"
check "proxy: TCP" exchange TCP
check "proxy: UDP" exchange UDP
check "proxy: it is found: --list" grep -qF "$ORIGINAL_AT:$ORIGINAL_PORT -> " <(proxy --list eth0)
ADDED=$(at "$(ip_of 10.0.0.11)" 80)
check "proxy: --add" proxy --add "$ADDED=$TARGET_AT:$TARGET_PORT/tcp" eth0
check "proxy: what was added works" test \
	"$(echo hello | in_host client socat -t $((3 * PATIENCE)) - TCP:$ADDED)" = hello
check "proxy: --delete" proxy --delete "$ADDED/tcp" eth0
check "proxy: --flush-flows" proxy --flush-flows eth0
status=0
output=$(proxy eth0 2>&1) || status=$?
equal "proxy: a second one is refused" "$status $output" \
	"1 proxy: eth0 is served by proxy (pid ${pids[proxy]}) already"
stop proxy KILL || true
equal "proxy: nothing is left after SIGKILL" "$(programs client eth0)" ""
check_not "proxy: and nothing is translated" exchange
status=0
output=$(proxy --list eth0 2>&1) || status=$?
equal "proxy: --list finds none" $status 1

# The target is behind another device, by which the replies come.
host far
link client far0 far eth0
FAR=$(ip_of 10.1.0.2)
address client far0 "$(ip_of 10.1.0.1)/$PREFIX"
address far eth0 $FAR/$PREFIX
start far far socat TCP$FAMILY-LISTEN:7,reuseaddr,fork EXEC:cat
wait_for 10 listening far tcp 7
ip -n far route add "$(net_of 10.0.0.0)" via "$(ip_of 10.1.0.1)"
start_tool proxy client proxy --tcx -m "$ORIGINAL_AT:$ORIGINAL_PORT=$(at $FAR 7)/tcp" eth0
equal "proxy: another device: both hooks have programs" "$(programs client far0)" \
	"proxy${FAMILY#4}_ingress proxy${FAMILY#4}_direct"
check "proxy: another device: it works" exchange
stop proxy
equal "proxy: another device: nothing is left" "$(programs client far0)" ""

# --- both ways at once, and what cannot be

start_tool kept client proxy --keep "${MAP[@]}" eth0
stop kept
status=0
output=$(proxy --tcx -t 1 "${MAP[@]}" eth0 2>&1) || status=$?
equal "a kept datapath of clsact is in the way" $status 1
contains "which is said" "$output" "eth0 is served by filters of clsact: leave out --tcx"
check "it goes on" exchange
start_tool proxy client proxy "${MAP[@]}" eth0
stop proxy
equal "and can still be taken over" "$(our_filters client eth0)" ""
for option in --keep --list --flush-flows; do
	status=0
	output=$(proxy --tcx -t 1 $option eth0 2>&1) || status=$?
	equal "--tcx $option is wrong usage" "$status $(wc -l <<< "$output")" "2 1"
done
finish
