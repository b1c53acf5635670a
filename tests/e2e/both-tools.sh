#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# packet-monitor counts what the wire carried while proxy works on the same interface: packets that
# proxy puts in at ingress (its ARP answers, what it turns back) came over no wire.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs socat jq

host client target
link client eth0 target eth0
address client eth0 $CLIENT/$PREFIX
address target eth0 $TARGET/$PREFIX
MAP="$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT"
BACK=$(at "$(ip_of 10.0.0.11)" 80)
start tcp target socat TCP$FAMILY-LISTEN:$TARGET_PORT,reuseaddr,fork EXEC:cat
wait_for 10 listening target tcp $TARGET_PORT

# device in|out: packets and bytes of the client's device
device()
{
	counted_by_device client "$([ "$1" = in ] && echo rx || echo tx)"
}

# since BEFORE NOW: what has been added, field by field
since()
{
	local before now
	read -ra before <<< "$1"
	read -ra now <<< "$2"
	echo "$((now[0] - before[0])) $((now[1] - before[1]))"
}

# all_counted in|out BEFORE: packet-monitor has counted what the device has
all_counted()
{
	[ "$(counted_by monitor "$1")" = "$(since "$2" "$(device "$1")")" ]
}

# answered: proxy has answered at least one ARP request, or neighbour solicitation
answered()
{
	grep -q '_answered":[1-9]' "$TMP/proxy.out"
}

# The target is this host: its packets turn back at the interface.
start local client socat TCP$FAMILY-LISTEN:7777,reuseaddr,fork EXEC:cat
wait_for 10 listening client tcp 7777

# start_monitor OPTION...: start it at a moment at which no packet passes; sets in_before,
# out_before
start_monitor()
{
	while :; do
		in_before=$(device in) out_before=$(device out)
		start_tool monitor client packet-monitor -j -I 0.1 "$@" eth0
		[ "$in_before $out_before" != "$(device in) $(device out)" ] || return 0
		# ARP, or the like: was that before or after the attaching?
		stop monitor
	done
}

# together NAME FIRST OPTION...: both tools, FIRST started first
together()
{
	local name=$1 first=$2 in_before out_before
	shift 2
	[ $first = monitor ] || start_tool proxy client proxy -o jsonl -I 0.1 -m "$MAP" "$@" eth0
	start_monitor "$@"
	[ $first = proxy ] || start_tool proxy client proxy -o jsonl -I 0.1 -m "$MAP" "$@" eth0
	check "$name: the exchange" test "$(echo hello | in_host client socat -t $((5 * PATIENCE)) - \
		TCP:$ORIGINAL_AT:$ORIGINAL_PORT)" = hello
	check "$name: proxy has answered a request for the original" wait_for 5 answered
	check "$name: a target that is this host is added" in_host client "$BIN/proxy" \
		--add "$BACK=$CLIENT_AT:7777/tcp" eth0
	check "$name: the exchange with it" test "$(echo hello | in_host client socat -t $((5 * PATIENCE)) - \
		TCP:$BACK)" = hello
	# While packet-monitor runs: ARP and the like cross the link at moments of their own.
	check "$name: in: packets and bytes are the device's" wait_for 10 all_counted in "$in_before"
	check "$name: out: packets and bytes are the device's" wait_for 10 all_counted out "$out_before"
	stop proxy INT
	stop monitor INT
	equal "$name: the addresses are those on the wire" "$(jq -r 'select(.type == "flow" and
		.proto == "tcp") | "\(.src) \(.dst)"' "$TMP/monitor.out" | sort -u | xargs)" \
		"$CLIENT $TARGET $TARGET $CLIENT"
	in_host client ip neigh flush dev eth0
}

together clsact monitor
together "clsact, proxy first" proxy
if has_tcx "both tools by tcx"; then
	together tcx monitor --tcx
	together "tcx, proxy first" proxy --tcx
fi
finish
