#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# One owner at a time; what a killed or kept proxy leaves goes on, and is taken over.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs socat iperf3 jq

lan_of_the_mapping
start tcp target socat TCP$FAMILY-LISTEN:$TARGET_PORT,reuseaddr,fork EXEC:cat
start iperf target iperf3 -s -p 5201
wait_for 10 listening target tcp $TARGET_PORT
wait_for 10 listening target tcp 5201
MAP=(-m "$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT" -m "$ORIGINAL_AT:5201=$TARGET_AT:5201/tcp")

proxy()
{
	in_host client "$BIN/proxy" "$@"
}

exchange()
{
	[ "$(echo hello | in_host client socat -t $((3 * PATIENCE)) - \
		TCP:$ORIGINAL_AT:$ORIGINAL_PORT,connect-timeout=$((3 * PATIENCE)))" = hello ]
}

filters()
{
	our_filters client eth0 | sort -u | tr '\n' ' '
}

# ids: the programs attached
ids()
{
	for hook in ingress egress; do
		in_host client tc -j filter show dev eth0 $hook
	done | jq -r '.[].options // {} | select((.bpf_name // "") | test("^proxy6?_")) | .prog.id' | tr '\n' ' '
}

# --- one owner
start_tool first client proxy "${MAP[@]}" eth0
before=$(ids)
status=0
output=$(proxy eth0 2>&1) || status=$?
equal "a second proxy is refused" $status 1
equal "with the first one's pid" "$output" \
	"proxy: eth0 is served by proxy (pid ${pids[first]}) already"
equal "the first one's filters stay" "$(ids)" "$before"
check "and work" exchange
ip -n client link add other0 type veth peer name other1
ip -n client link set other0 up
start_tool other client proxy other0
check "another interface has a proxy of its own" running other
stop other

# --- a foreign filter on the same hooks, before and behind ours
foreign_filter client eth0 ingress 1
foreign_filter client eth0 egress 60000
count()
{
	foreign_count client eth0 $1
}
check "traffic passes a foreign filter" exchange

# --- SIGKILL
kill -KILL "${pids[first]}"
status_of first || true
equal "SIGKILL leaves the filters" "$(filters)" "$FILTERS"
equal "the same ones" "$(ids)" "$before"
check "which go on working" exchange
start_tool second client proxy "${MAP[@]}" eth0
check "a new proxy replaces the programs" test "$(ids)" != "$before"
equal "not adds to them" "$(ids | wc -w)" 2
check "and works" exchange

# --- restarts under load: no retransmission timeout (which comes after 0.2 s at least)
if [ $FAMILY = 4 ]; then
	ip -n client route change 10.0.0.0/24 dev eth0 src $CLIENT rto_min $((200 * PATIENCE))ms
else
	ip -n client route change fd00::/64 dev eth0 proto kernel metric 256 rto_min $((200 * PATIENCE))ms
fi
retransmissions()
{
	in_host client nstat -asz TcpExtTCPTimeouts | awk '/TCPTimeouts/ { print $2 }'
}
start load client iperf3 -c $ORIGINAL -p 5201 -t $((6 * PATIENCE)) -i $PATIENCE --json
flowing()
{
	proxy --list -o jsonl eth0 | jq -e 'select(.from == "'$ORIGINAL_AT:5201'") | .packets_out > 1000' |
		grep -q true
}
check "a bulk transfer runs" wait_for 5 flowing
timeouts=$(retransmissions)
flows=$(proxy --list -o jsonl eth0 | jq 'select(.from == "'$ORIGINAL_AT:5201'") | .flows')
for _ in 1 2 3 4; do
	kill -KILL "${pids[second]}"
	status_of second || true
	start_tool second client proxy "${MAP[@]}" eth0
done
status=0
status_of load || status=$?
equal "the transfer ends well" $status 0
equal "all flows were taken over" \
	"$(proxy --list -o jsonl eth0 | jq 'select(.from == "'$ORIGINAL_AT:5201'") | .flows')" "$flows"
equal "four restarts cost no retransmission timeout" "$(retransmissions)" "$timeouts"
equal "and lost no flow" \
	"$(jq '[.intervals[].sum.bytes] | min > 0' $TMP/load.out)" true

# --- --keep
stop second
equal "a normal end removes the filters" "$(filters)" ""
start_tool kept client proxy --keep "${MAP[@]}" eth0
check "it works" exchange
status=0
stop kept || status=$?
equal "--keep ends well" $status 0
equal "and leaves the filters" "$(filters)" "$FILTERS"
check "which work" exchange
ip -n target link set eth0 address 02:00:00:00:00:99
ip -n client neigh flush dev eth0
check "also when the target has another MAC address" wait_for 5 exchange
start_tool third client proxy --max-flows 1000 "${MAP[@]}" eth0
contains "the table keeps its size" "$(cat $TMP/third.err)" "its size of 262144 flows"
check "it works" exchange
stop third

# --- half a datapath: what a kill in the middle of start or end leaves, or somebody's tc
for hook in egress ingress; do
	start_tool half client proxy --keep "${MAP[@]}" eth0
	talk across-$hook client TCP:$ORIGINAL_AT:$ORIGINAL_PORT
	says "a connection is open" across-$hook one one
	stop half
	[ $hook = egress ] && pref=1010 || pref=1020
	[ $FAMILY = 4 ] && name=$hook || name="IPv6 $hook" pref=$((pref + 1))
	in_host client tc filter del dev eth0 $hook pref $pref
	for verb in --list --flush-flows "--add $ORIGINAL_AT:81=$TARGET_AT:$TARGET_PORT/tcp"; do
		status=0
		# shellcheck disable=SC2086
		output=$(proxy $verb eth0 2>&1 > $TMP/half) || status=$?
		equal "without the $hook filter, ${verb%% *} says so" "$status $output" \
			"1 proxy: somebody has removed the $name filter of proxy from eth0: 'proxy eth0' \
takes over what is left"
	done
	start_tool half client proxy "${MAP[@]}" eth0
	equal "the next proxy attaches both filters" "$(filters)" "$FILTERS"
	check "which work" exchange
	says "the connection goes on" across-$hook two two
	stop across-$hook || true
	stop half
	equal "and ends well" "$(filters)" ""
done

# --- a datapath of another layout
start_tool layout client proxy "${MAP[@]}" eth0
state=$(proxy_map client eth0 .data.state)
kill -KILL "${pids[layout]}"
status_of layout || true
value=$(bpftool -j map lookup id "$state" key 0 0 0 0 | jq -r '.value[4:] | map(ltrimstr("0x")) | join(" ")')
# shellcheck disable=SC2086
bpftool map update id "$state" key hex 0 0 0 0 value hex ff 0 0 0 $value
before=$(ids)
status=0
output=$(proxy "${MAP[@]}" eth0 2>&1) || status=$?
equal "a datapath of another version is refused" $status 1
contains "with the cure" "$output" "remove-filters-and-qdisc.sh eth0"
equal "in one line" "$(wc -l <<< "$output")" 1
check_not "and not listed" proxy --list eth0
equal "nor touched" "$(ids)" "$before"
in_host client "$ROOT/remove-filters-and-qdisc.sh" eth0 > /dev/null
equal "the cure works" "$(filters)" ""
in_host client "$ROOT/remove-filters-and-qdisc.sh" eth0 > /dev/null
start_tool last client proxy "${MAP[@]}" eth0
check "a proxy starts afterwards" exchange
stop last

for hook in ingress egress; do
	counted=$(count $hook)
	in_host client socat -t 1 - TCP:$TARGET_AT:$TARGET_PORT <<< x > /dev/null
	check "the foreign $hook filter still counts" test "$(count $hook)" -gt "$counted"
done
finish
