#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Filters that somebody removes, replaces or precedes while a tool runs: it says so and attaches them
# again, or ends.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs socat jq ping bpftool

lan_of_the_mapping
start tcp target socat TCP$FAMILY-LISTEN:$TARGET_PORT,reuseaddr,fork EXEC:cat
wait_for 10 listening target tcp $TARGET_PORT
in_host client ping -q -c 1 -W 2 $TARGET > $TMP/ping

tcx_attach()
{
	in_host client "$BUILD/tests/e2e/tcx-attach" "$@"
}

proxy()
{
	in_host client timeout 15 "$BIN/proxy" "$@"
}

# exchange PORT
exchange()
{
	[ "$(echo hello | in_host client timeout $((5 * PATIENCE)) socat -t $((2 * PATIENCE)) - \
		"TCP:$ORIGINAL_AT:$1,connect-timeout=2" 2> /dev/null)" = hello ]
}

# said ID COUNT PATTERN: a line on stderr, so often
said()
{
	[ "$(grep -c "$3" "$TMP/$1.err")" -ge "$2" ]
}

# works: the tool does what it is for
works()
{
	local before
	if [ $tool = proxy ]; then
		exchange $ORIGINAL_PORT
	else
		before=$(pings)
		in_host client ping -q -c 5 -i 0.01 -W 2 $TARGET > $TMP/ping
		wait_for 5 counted $((before + 5))
	fi
}

# pings: echo requests that packet-monitor has reported, of all flows
pings()
{
	jq -s 'map(select(.type == "flow" and .icmp_type == 8)) | group_by(.sport) |
		map(.[-1].packets) | add // 0' "$TMP/tool.out"
}

counted()
{
	[ "$(pings)" -ge "$1" ]
}

MAP="$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT"
# packet-monitor has both families in one program.
[ "$FAMILY" = 4 ] && TOOLS="packet-monitor proxy" LABEL= || TOOLS=proxy LABEL="IPv6 "
declare -A NAME=([proxy]=proxy${FAMILY#4} [packet-monitor]=pm)
declare -A ARGS=([proxy]="-m $MAP" [packet-monitor]="")
declare -A DONE=([proxy]=translated [packet-monitor]=counted)
# again HOOK...: the tool says that these are attached again, and they are
again()
{
	local hook
	for hook; do
		lost[$hook]=$((${lost[$hook]} + 1))
		check "$tool: $what: it says so of $hook" wait_for 5 said tool "${lost[$hook]}" \
			"^$tool: somebody has removed the $LABEL$hook filter from eth0; it is attached again, nothing \
was ${DONE[$tool]} there for at most [0-9.]* s$"
	done
	check "$tool: $what: it goes on" works
}

for tool in $TOOLS; do
	prog=${NAME[$tool]}
	declare -A lost=([ingress]=0 [egress]=0)
	start_tool tool client $tool ${ARGS[$tool]} -o jsonl -I 0.2 eth0
	check "$tool: works" works
	what="clsact is deleted"
	in_host client tc qdisc del dev eth0 clsact
	again ingress egress
	for hook in ingress egress; do
		what="all $hook filters are deleted"
		in_host client tc filter del dev eth0 $hook
		again $hook
	done
	equal "$tool: each filter is there once" "$(our_filters client eth0 | sort | xargs)" \
		"${prog}_egress ${prog}_ingress"
	what="the clean-up script runs"
	status=0
	in_host client "$ROOT/remove-filters-and-qdisc.sh" eth0 > $TMP/clean 2>&1 || status=$?
	again ingress egress
	equal "$tool: the script names the tool that runs" \
		"$status $(grep -c ": $tool (pid ${pids[tool]}) runs and attaches its filters again: end it first" $TMP/clean)" \
		"1 1"
	equal "$tool: nothing else was said" \
		"$(grep -cv 'attached\|eth0 \(in\|out\):' $TMP/tool.err)" 0

	# Programs in front: those that are there, and those that come.
	foreign_filter client eth0 ingress 1
	check "$tool: a filter in front is named" wait_for 5 said tool 1 \
		"warning: filters on eth0 may take packets first (tc filter show dev eth0 ingress)"
	start rival client "$BUILD/tests/e2e/tcx-attach" eth0 0
	if wait_for 5 grep -q attached "$TMP/rival.out"; then
		check "$tool: tcx programs in front are named" wait_for 5 said tool 1 \
			"warning: 2 tcx programs on eth0 may take packets first"
		stop rival || true
	else
		skip "$tool: tcx programs in front" "this kernel has no tcx"
	fi
	equal "$tool: once" "$(grep -c warning $TMP/tool.err)" 2
	in_host client tc filter del dev eth0 ingress pref 1
	status=0
	stop tool || status=$?
	equal "$tool: it ends well" "$status $(our_filters client eth0)" "0 "

	# What cannot be attached again ends the tool.
	start_tool tool client $tool ${ARGS[$tool]} -o jsonl -I 0.2 eth0
	kill -STOP "${pids[tool]}"
	in_host client tc qdisc del dev eth0 clsact
	in_host client tc qdisc add dev eth0 ingress
	kill -CONT "${pids[tool]}"
	status=0
	status_of tool || status=$?
	equal "$tool: an ingress qdisc in place of clsact ends it" $status 1
	contains "$tool: which it says" "$(cat $TMP/tool.err)" \
		"$tool: somebody has removed the ${LABEL}egress filter from eth0; cannot attach it again: "
	in_host client tc qdisc del dev eth0 ingress
	start_tool tool client $tool ${ARGS[$tool]} -o jsonl -I 0.2 eth0
	[ $tool = proxy ] && pref=101$((FAMILY == 6)) || pref=1020
	handle=$(in_host client tc filter show dev eth0 egress | sed -n 's/.* handle \(0x[0-9a-f]*\) .*/\1/p')
	nsenter --net=/run/netns/client tc filter replace dev eth0 egress prio $pref handle $handle \
		bpf direct-action object-file "$BUILD/tests/e2e/counter-bpf.o" section tc
	status=0
	status_of tool || status=$?
	equal "$tool: another program in its place ends it" $status 1
	contains "$tool: which it says" "$(cat $TMP/tool.err)" \
		"$tool: somebody has put another program in place of the ${LABEL}egress filter of eth0"
	check "$tool: and that program stays" eval \
		"in_host client tc filter show dev eth0 egress | grep -q counter-bpf"
	in_host client tc qdisc del dev eth0 clsact
done

# What is said of a proxy whose filters are gone is true.
start_tool tool client proxy -m $MAP -I 0.2 eth0
kill -STOP "${pids[tool]}"
in_host client tc filter del dev eth0 egress
status=0
output=$(proxy --list eth0 2>&1 > $TMP/list) || status=$?
equal "--list without the egress filter" "$status $output" \
	"1 proxy: somebody has removed the ${LABEL}egress filter of proxy from eth0"
in_host client tc qdisc del dev eth0 clsact
status=0
output=$(proxy --list eth0 2>&1) || status=$?
equal "--list without any filter" "$status $output" \
	"1 proxy: the filters of proxy (pid ${pids[tool]}) on eth0 are gone: nothing is translated"
status=0
output=$(proxy eth0 2>&1) || status=$?
equal "another proxy is still refused" "$status $output" \
	"1 proxy: eth0 is served by proxy (pid ${pids[tool]}) already"
start add client "$BIN/proxy" --add "$ORIGINAL_AT:81=$TARGET_AT:$TARGET_PORT/tcp" eth0
kill -CONT "${pids[tool]}"
status=0
status_of add || status=$?
equal "--add is answered" $status 0
check "when what it has added is in force" exchange 81
check "--list is content" proxy --list eth0
stop tool

# --- tcx
start rival client "$BUILD/tests/e2e/tcx-attach" eth0
rival_ready()
{
	grep -q attached "$TMP/rival.out" || ! running rival
}
wait_for 5 rival_ready
if ! running rival; then
	skip "tcx" "this kernel has none"
	finish
fi
stop rival || true
for tool in $TOOLS; do
	prog=${NAME[$tool]}
	declare -A lost=([ingress]=0 [egress]=0)
	start_tool tool client $tool ${ARGS[$tool]} --tcx -o jsonl -I 0.2 eth0
	for hook in ingress egress; do
		what="--tcx: the $hook program is detached"
		tcx_attach -d eth0 ${prog}_$hook
		again $hook
	done
	equal "$tool: --tcx: each program is there once" "$(tcx_attach -l eth0 | sort | xargs)" \
		"${prog}_egress ${prog}_ingress"
	stop tool
	equal "$tool: --tcx: it ends well" "$(tcx_attach -l eth0)" ""
done
finish
