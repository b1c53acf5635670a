#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# --status, and what --list says of a datapath that nobody looks after.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs socat jq

lan_of_the_mapping
start tcp target socat TCP$FAMILY-LISTEN:$TARGET_PORT,reuseaddr,fork EXEC:cat
wait_for 10 listening target tcp $TARGET_PORT
DOWN=$(ip_of 10.7.0.1) # a target
DOWN_AT=$(at $DOWN)
in_host client ip route add unreachable $DOWN
[ "$FAMILY" = 4 ] && LABEL= || LABEL="IPv6 " # of its filters

# status ARGUMENT...: sets status, out, err
status()
{
	status=0
	in_host client timeout 10 "$BIN/proxy" --status "$@" eth0 > $TMP/status.out 2> $TMP/status.err ||
		status=$?
	out=$(cat $TMP/status.out)
	err=$(cat $TMP/status.err)
}

# field NAME: of the JSON object
field()
{
	jq -c ".$1" <<< "$out"
}

status
equal "no datapath" "$status $out $err" \
	"1  proxy: no proxy serves eth0, nor has one left its filters there (--keep)"
status -o jsonl
equal "no datapath, as JSON" "$status $(field ok) $(field owner)" "1 false null"

start_tool proxy client proxy --keep --max-flows 5000 -m "$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT" \
	-m "$(at "$(ip_of 10.0.0.11)" 80)=$DOWN_AT:80/tcp" eth0
talk open client TCP:$ORIGINAL_AT:$ORIGINAL_PORT
says "a connection is open" open one one
status
equal "a datapath that works" "$status $err" "0 "
equal "a line a fact" "$(sed 's/[0-9.]* s ago/N s ago/' $TMP/status.out)" "owner: proxy (pid ${pids[proxy]})
heartbeat: N s ago
filters: ${LABEL}ingress, ${LABEL}egress
mappings: 2
targets: 2, 1 down: $DOWN_AT
flows: 1 of 5000
dropped: 0 packets"
status -o jsonl
equal "the same as JSON" \
	"$(jq -c '[.type, .iface, .ok, .owner, .mappings, .targets, .targets_down, .flows, .max_flows, .dropped, .reason]' <<< "$out")" \
	"[\"status\",\"eth0\",true,${pids[proxy]},2,2,[\"$DOWN_AT\"],1,5000,0,null]"
check "with the heartbeat's age" test "$(jq '.heartbeat >= 0 and .heartbeat < 10' <<< "$out")" = true

# --status has the number that the proxy has said itself.
counts()
{
	status
	equal "$1" "$(grep ^mappings <<< "$out")" "mappings: $2"
}
check "a mapping without a port is added" in_host client "$BIN/proxy" --add "$(at "$(ip_of 10.0.0.12)")=$TARGET_AT" eth0
counts "it is one, though for three protocols" 3
check "one of them gets another target" in_host client "$BIN/proxy" \
	--add "$(at "$(ip_of 10.0.0.12)")=$DOWN_AT/tcp" eth0
counts "then they are two" 4
check "and is deleted" in_host client "$BIN/proxy" --delete "$(at "$(ip_of 10.0.0.12)")" eth0
counts "which leaves those of before" 2
contains "as the proxy has said" "$(cat $TMP/proxy.err)" ", 2 mappings"

# An owner that does not run.
kill -STOP "${pids[proxy]}"
stalled()
{
	status
	[[ $status == 1 && $err == *"proxy (pid ${pids[proxy]}) on eth0 has not looked after its datapath for 10 s" ]]
}
check "an owner that has stopped is noticed" wait_for 20 stalled
kill -CONT "${pids[proxy]}"
well()
{
	status
	[ "$status" = 0 ]
}
check "and that it goes on" wait_for 10 well

alone="no proxy looks after the datapath of eth0: ended flows stay, changes of routes are not followed \
('proxy eth0' takes it over)"
kill -KILL "${pids[proxy]}"
status_of proxy || true
status
equal "a killed owner" "$status $err" "1 proxy: $alone"
contains "the facts are printed, too" "$out" "owner: none
heartbeat: "
says "the datapath works" open two two
status=0
output=$(in_host client "$BIN/proxy" --list eth0 2>&1 > $TMP/list) || status=$?
equal "--list says so, too" "$status $output" "0 proxy: $alone"
check "after the mappings" grep -qF "$ORIGINAL_AT:$ORIGINAL_PORT -> $TARGET_AT:$TARGET_PORT" $TMP/list
start_tool proxy client proxy --keep -m "$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT" eth0
check "the next owner is content" well
stop proxy
status
equal "--keep: nobody looks after it" "$status $err" "1 proxy: $alone"
contains "--keep: there is no heartbeat" "$out" "heartbeat: none"
in_host client tc filter del dev eth0 egress
status
equal "half a datapath" "$status $err" "1 proxy: somebody has removed the ${LABEL}egress filter of proxy from \
eth0: 'proxy eth0' takes over what is left"
contains "names the filter that is left" "$out" "filters: ${LABEL}ingress
"
in_host client "$ROOT/remove-filters-and-qdisc.sh" eth0 > $TMP/clean
finish
