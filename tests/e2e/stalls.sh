#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A reader who stops reading holds up nothing: no signal, no upkeep, no request.
. "$(dirname "$0")/../lib.sh"
needs jq bpftool python3 socat

lan_of_the_mapping
start server target socat UDP6-RECVFROM:$TARGET_PORT,reuseaddr,fork EXEC:cat # of both families
wait_for 10 listening target udp $TARGET_PORT

# small_pipe NAME: a pipe, $TMP/NAME.pipe, that holds one page; the shell keeps it as ${kept[NAME]}
declare -A kept=()
small_pipe()
{
	rm -f "$TMP/$1.pipe"
	mkfifo "$TMP/$1.pipe"
	exec {pipe_fd}<> "$TMP/$1.pipe"
	kept[$1]=$pipe_fd
	python3 -c 'import fcntl; fcntl.fcntl(0, 1031, 4096)' <&$pipe_fd
}

# full_pipe NAME: the same, and it is full of lines
full_pipe()
{
	small_pipe "$1"
	yes filler | head -c 4096 >&"${kept[$1]}"
}

full()
{
	python3 -c 'import select, sys
poll = select.poll()
poll.register(1, select.POLLOUT)
sys.exit(bool(poll.poll(0)))' >&"${kept[$1]}"
}

empty()
{
	python3 -c 'import fcntl, sys, termios
sys.exit(any(fcntl.ioctl(0, termios.FIONREAD, b"    ")))' <&"${kept[$1]}"
}

# wakes ID: how often a program has gone to sleep so far
wakes()
{
	sed -n 's/^voluntary_ctxt_switches:\t//p' "/proc/${pids[$1]}/status"
}

# goes_on ID: it wakes up 30 times more, which takes a few reports
goes_on()
{
	local from
	from=$(wakes "$1")
	wait_for 20 eval "[ \$(wakes $1) -gt $((from + 30)) ]"
}

attached()
{
	[ "$(our_filters client eth0 | wc -l)" -ge 2 ]
}

detached()
{
	[ -z "$(our_filters client eth0)" ]
}

# start_stalled NAME TOOL ARGUMENT...: with the pipe NAME as standard output
start_stalled()
{
	local pipe=$1 tool=$2
	shift 2
	start stalled client bash -c "exec \"\$@\" > '$TMP/$pipe.pipe'" bash "$BIN/$tool" "$@"
	wait_for 10 attached
}

# ended NAME [SIGNAL]: "stalled" ends well after a signal, and none of its filters stays
ended()
{
	local status=0
	kill -s "${2:-TERM}" "${pids[stalled]}"
	if wait_for 20 eval '! running stalled'; then
		status_of stalled || status=$?
		equal "$1: SIG${2:-TERM} ends it well" $status 0
	else
		fail "$1: SIG${2:-TERM} ends it well" "it goes on"
		stop stalled KILL || true
	fi
	check "$1: no filter of ours stays" detached
	in_host client tc qdisc del dev eth0 clsact 2> /dev/null || true
}

formats()
{
	[ "$1" = proxy ] && echo "text jsonl prom" || echo "table classic jsonl csv prom"
}

# --- nobody reads from the beginning on ---
for tool in packet-monitor proxy; do
	for format in $(formats $tool); do
		full_pipe out
		start_stalled out $tool -I 0.1 -o $format eth0
		check "$tool, $format, full pipe: it goes on" goes_on stalled
		ended "$tool, $format, full pipe"
		contains "$tool, $format, full pipe: it says that reports are dropped" \
			"$(cat $TMP/stalled.err)" "standard output is not read: "
		in_host client python3 "$ROOT/tests/e2e/stopped-terminal.py" "$tool, $format, terminal" \
			$TMP/terminal.err "$BIN/$tool" -I 0.1 -o $format eth0 > $TMP/terminal || true
		cat $TMP/terminal
		equal "$tool, $format, terminal: four checks hold" "$(grep -c ^ok $TMP/terminal)" 4
		check "$tool, $format, terminal: no filter of ours stays" detached
	done
	full_pipe out
	start_stalled out $tool -I 0.1 eth0
	ended "$tool, full pipe" INT

	# --- stderr ---
	full_pipe err
	start stalled client bash -c "exec '$BIN/$tool' -I 0.1 eth0 2> $TMP/err.pipe"
	check "$tool, stderr full: it starts" wait_for 10 attached
	check "$tool, stderr full: it goes on" goes_on stalled
	ended "$tool, stderr full"
done

# --- a reader who stops, and goes on; reports that are larger than the pipe ---
for i in $(seq 1 150); do
	echo "10.0.1.1:$i=10.0.0.138:23456"
	echo "[fd00::1:1]:$i=[fd00::138]:23456"
done > $TMP/maps
printf '%s\n' 10.0.0.10:12345=10.0.0.138:23456 "[fd00::10]:12345=[fd00::138]:23456" >> $TMP/maps

# flows: 100 of them, for packet-monitor
flows()
{
	in_host client bash -c 'for i in $(seq 100); do echo x > /dev/udp/'$TARGET'/$i; done' 2> /dev/null || true
}

# listed FIELD: the sum of a field over the mappings of proxy
listed()
{
	in_host client timeout 10 "$BIN/proxy" --list -o jsonl eth0 | jq -s "map(.$1) | add"
}

# heartbeat: of the family whose last one is longer ago
heartbeat()
{
	local name map
	for name in proxy_egress proxy6_egress; do
		map=$(map_of client eth0 egress $name .data.state)
		bpftool -j map dump id $map | jq 'first(.. | .heartbeat? // empty)'
	done | sort -n | head -n 1
}

for tool in packet-monitor proxy; do
	options=()
	[ $tool = packet-monitor ] || options=(-f $TMP/maps --udp 2)
	small_pipe out
	start reader - cat $TMP/out.pipe
	start_stalled out $tool -I 0.1 -o jsonl ${options[@]+"${options[@]}"} eth0
	flows
	if [ $tool = proxy ]; then
		wait_for 10 grep -q "attached to" $TMP/stalled.err
		for original in 10.0.0.10 "[fd00::10]"; do
			equal "a mapped flow ($original)" x \
				"$(echo x | in_host client socat -t $PATIENCE - UDP:$original:$ORIGINAL_PORT)"
		done
	fi
	check "$tool, stopped reader: reports come" wait_for 10 grep -q '"type":"total"' $TMP/reader.out
	kill -STOP "${pids[reader]}"
	check "$tool, stopped reader: the pipe fills" wait_for 10 full out
	if [ $tool = proxy ]; then
		before=$(heartbeat)
		check "proxy, stopped reader: the heartbeat goes on" wait_for 10 eval '[ "$(heartbeat)" -gt '$before' ]'
		check "proxy, stopped reader: idle flows leave" wait_for 20 eval '[ "$(listed flows)" = 0 ]'
		check "proxy, stopped reader: --add is answered" in_host client timeout 10 \
			"$BIN/proxy" --add 10.0.2.1:1=$TARGET:1 eth0
		sed -i 1d $TMP/maps
		kill -HUP "${pids[stalled]}"
		check "proxy, stopped reader: SIGHUP is obeyed" wait_for 10 grep -q "read again, 301 mappings" $TMP/stalled.err
	fi
	check "$tool, stopped reader: it goes on" goes_on stalled
	kill -CONT "${pids[reader]}"
	check "$tool, stopped reader: the number of dropped reports is said" wait_for 10 \
		grep -qE "standard output is read again; [0-9]+ reports were dropped" $TMP/stalled.err
	said=$(sed -n 's/.*again; \([0-9]*\) .*/\1/p' $TMP/stalled.err | head -n 1)
	check "$tool, stopped reader: and is not 0" test "${said:-0}" -gt 0
	kill -STOP "${pids[reader]}"
	wait_for 10 full out
	ended "$tool, stopped reader"
	kill -CONT "${pids[reader]}"
	check "$tool, stopped reader: the rest is read" wait_for 10 empty out
	stop reader || true
	check "$tool, stopped reader: each line is whole" jq -es 'length > 0' $TMP/reader.out
	equal "$tool, stopped reader: reports are whole, but for the last" \
		"$(jq -r '"\(.ts) \(.type)"' $TMP/reader.out | awk 'ts && $1 != ts && type != "total"
			{ ts = $1; type = $2 }' | wc -l)" 0
done
# --- an owner who is stopped ---
add()
{
	in_host client timeout 60 "$BIN/proxy" --add "$1=$TARGET:1" eth0
}

start_tool stalled client proxy -I 3600 eth0
kill -STOP "${pids[stalled]}"
# More than there is room for in the queue of requests.
for i in $(seq 24); do
	start add-$i client timeout 60 "$BIN/proxy" --add "10.0.2.1:$i=$TARGET:1" eth0
done
refused=0
for i in $(seq 24); do
	status=0
	status_of add-$i || status=$?
	[ $status != 1 ] || [ "$(grep -c "does not answer, so nothing has changed" $TMP/add-$i.err)" != 1 ] ||
		refused=$((refused + 1))
done
equal "a stopped owner: each --add ends with 1 and says why" $refused 24
kill -CONT "${pids[stalled]}"
check "a stopped owner that goes on: --add" add 10.0.3.1:1
equal "nothing that was refused has been done" \
	"$(in_host client "$BIN/proxy" --list eth0 | grep -c '^10.0.[23].1:')" 2
ended "a stopped owner that goes on"
finish
