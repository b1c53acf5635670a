#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Do to both tools, at random and under traffic, what the world around them does: links that go
# down, filters that others remove, kills, readers that stop, mappings and routes that change,
# forged packets, an interface that is deleted, users who answer in proxy's place. After each
# disturbance: traffic is right, counts are exact, filters of others are still there, no memory and
# no descriptor is lost. SEED=N repeats a run.
. "$(dirname "$0")/../lib.sh"
needs socat jq python3

SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
LONG=60
[ "$SOAK" != 1 ] || LONG=600
echo "chaos: SEED=$SEED, $LONG s"
RANDOM=$SEED

lan_of_the_mapping
host other
link other eth0 switch p-other
ip -n switch link set p-other master br0
address other eth0 10.0.0.139/24
for name in target other; do
	answering $name "$name \\\$SOCAT_PEERADDR"
done

MAP_FILE=$TMP/map
server=target # where new connections belong

# map_to SERVER: what the map file says
map_to()
{
	local address=$TARGET
	[ $1 = target ] || address=10.0.0.139
	echo "$ORIGINAL:$ORIGINAL_PORT=$address:$TARGET_PORT" > $MAP_FILE
	server=$1
}

# runs ID TOOL ARGUMENT...: start a tool whose output goes through a pipe, to the process ID-reader
runs()
{
	local id=$1 tool=$2
	shift 2
	rm -f $TMP/$id.pipe
	mkfifo $TMP/$id.pipe
	start $id client bash -c 'exec "$0" "${@:2}" > "$1"' "$BIN/$tool" $TMP/$id.pipe "$@"
	start $id-reader - cat $TMP/$id.pipe
	wait_for 15 attached_or_dead $id && running $id
}

proxy_runs()
{
	runs proxy proxy -o jsonl -I 0.2 --wait -f $MAP_FILE eth0
}

monitor_runs()
{
	runs monitor packet-monitor -j -I 0.2 --wait eth0
}

# answers PROTOCOL: whether the right server hears the client, and the client its answer
answers()
{
	local got
	got=$(echo "$1" | in_host client timeout 3 socat -t 1 - "$1:$ORIGINAL:$ORIGINAL_PORT" 2> /dev/null)
	[ "$got" = "$server $CLIENT $1" ]
}

# offset: the device's packets and bytes less the monitor's totals, in and out, once both rest
offset()
{
	local device totals last=
	for _ in $(seq 50); do
		device=$(ip -n client -s -j link show eth0 | jq -c '.[0].stats64 |
			[.rx.packets, .rx.bytes, .tx.packets, .tx.bytes]')
		totals=$(grep '"type":"total"' $TMP/monitor-reader.out | tail -n 2 | jq -cs '
			sort_by(.dir) | map(.packets, .bytes)')
		[ "$device$totals" != "$last" ] || break
		last=$device$totals
		sleep 0.3
	done
	jq -cn "$device as \$d | $totals as \$t | [range(4) | \$d[.] - \$t[.]]"
}

# exact: since the last disturbance that stops counting, every packet was counted
exact()
{
	baseline=${baseline:-$(offset)}
	[ "$(offset)" = "$baseline" ]
}

# foreign_works: the filters of others are there and count
foreign_works()
{
	local before
	before=$(foreign_count client eth0 ingress)
	in_host client ping -q -c 1 -W 2 $TARGET > /dev/null
	[ "$(foreign_count client eth0 ingress)" -gt "$before" ]
}

# resources TOOL: descriptors, and resident memory in MB
resources()
{
	local pid=${pids[$1]}
	echo "$(find /proc/$pid/fd -mindepth 1 | wc -l) $(($(awk '/^VmRSS/ { print $2 }' /proc/$pid/status) / 1024))"
}

foreign_attach()
{
	foreign_filter client eth0 ingress 1
	foreign_filter client eth0 egress 60000
}

# --- what may happen. Sets "blind" if packets are not counted meanwhile, "restarted" to the tool

link_down()
{
	blind=yes
	ip -n client link set eth0 down
	sleep 0.$((RANDOM % 5 + 1))
	ip -n client link set eth0 up
}

filter_removed()
{
	local filters=("ingress pref 1010" "ingress pref 1020" "egress pref 1010" "egress pref 1020")
	blind=yes
	in_host client tc filter del dev eth0 ${filters[RANDOM % 4]}
}

qdisc_removed()
{
	blind=yes
	in_host client tc qdisc del dev eth0 clsact
	wait_for 5 eval '[ "$(our_filters client eth0 | grep -c .)" = 4 ]'
	foreign_attach
}

cleaned_up()
{
	blind=yes
	# It fails, since the tools run.
	in_host client "$ROOT/remove-filters-and-qdisc.sh" eth0 > $TMP/clean 2>&1 || true
}

proxy_killed()
{
	restarted=proxy
	stop proxy KILL 2> /dev/null || true
	[ $((RANDOM % 2)) = 0 ] || in_host client tc filter del dev eth0 egress pref 1010
	proxy_runs
}

# A normal end forgets the flows: the connection that lasts finds its server by the mapping only.
proxy_stopped()
{
	restarted=proxy
	stop proxy
	map_to target
	proxy_runs
}

monitor_killed()
{
	restarted=monitor blind=yes
	stop monitor KILL 2> /dev/null || true
	in_host client "$ROOT/remove-filters-and-qdisc.sh" eth0 > $TMP/clean 2>&1 || true
	monitor_runs
}

owner_frozen()
{
	kill -STOP "${pids[proxy]}"
	in_host client timeout 15 "$BIN/proxy" --add 10.0.0.50:1=$TARGET:1 eth0 2> /dev/null || true
	kill -CONT "${pids[proxy]}"
}

readers_stall()
{
	kill -STOP "${pids[proxy-reader]}" "${pids[monitor-reader]}"
	sleep 1 # some reports long: what is dropped is only said afterwards
	in_host client timeout 15 "$BIN/proxy" --add 10.0.0.51:1=$TARGET:1 eth0
	kill -CONT "${pids[proxy-reader]}" "${pids[monitor-reader]}"
}

mapping_reloaded()
{
	if [ $server = target ]; then
		map_to other
	else
		map_to target
	fi
	kill -HUP "${pids[proxy]}"
}

mapping_added()
{
	in_host client timeout 15 "$BIN/proxy" --add 10.0.0.$((RANDOM % 20 + 20)):80=$TARGET:80/tcp eth0
	in_host client timeout 15 "$BIN/proxy" --list eth0 > /dev/null
}

neighbours_flushed()
{
	ip -n client neigh flush dev eth0
}

# The host that new connections go to has another MAC address, and does not say so. (Connections
# that are pinned to another host learn of that as late as the kernel does, in half a minute.)
target_moves()
{
	ip -n $server link set eth0 address 02:00:00:00:00:$((RANDOM % 80 + 10))
}

forged_reset()
{
	in_host target python3 - $TARGET $CLIENT $((RANDOM + 1024)) <<-'PYTHON'
		import socket, struct, sys
		source, dest, dport = sys.argv[1:]
		header = lambda check: struct.pack("!HHIIBBHHH", 23456, int(dport), 12345, 0, 5 << 4, 4, 0, check, 0)
		addresses = socket.inet_aton(source) + socket.inet_aton(dest)
		words = struct.unpack("!16H", addresses + struct.pack("!HH", 6, 20) + header(0))
		raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
		raw.sendto(header(65535 - sum(words) % 65535), (dest, 0))
	PYTHON
}

forged_arp()
{
	in_host target python3 - $ORIGINAL <<-'PYTHON'
		import socket, struct, sys
		raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
		raw.bind(("eth0", 0))
		mac, original = bytes.fromhex("02aaaaaaaaaa"), socket.inet_aton(sys.argv[1])
		raw.send(b"\xff" * 6 + mac + struct.pack("!HHHBBH", 0x806, 99, 0x800, 6, 4, 1) + mac + original +
		         bytes(6) + original)
	PYTHON
}

# The interface is deleted, and another one of its name takes its place. Flows are lost, as by a
# normal end. It has the same MAC address, since the hosts around know that.
interface_deleted()
{
	local mac
	blind=yes
	map_to target
	kill -HUP "${pids[proxy]}"
	wait_for 15 answers TCP
	mac=$(ip -n client -j link show eth0 | jq -r '.[0].address')
	ip -n client link del eth0
	wait_for 15 eval 'grep -q "eth0 is gone" <(tail -n 2 $TMP/proxy.err)'
	link client eth0 switch p-client
	ip -n client link set eth0 address $mac
	ip -n switch link set p-client master br0
	address client eth0 $CLIENT/24 fd00::1/64
	wait_for 15 eval '[ "$(our_filters client eth0 | grep -c .)" = 4 ]'
	foreign_attach
}

# Another user takes the name of a killed proxy's socket, and answers that all is done.
name_squatted()
{
	local name
	restarted=proxy
	name=$(in_host client sed -n 's/.* @\(proxy\/.*\)/\1/p' /proc/net/unix | head -n 1)
	stop proxy KILL 2> /dev/null || true
	start squatter client setpriv --reuid 65534 --regid 65534 --clear-groups python3 -c '
import socket, sys
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.bind("\0" + sys.argv[1])
server.listen()
print("listens", flush=True)
while True:
    peer, _ = server.accept()
    peer.recv(512)
    peer.send(b"+")' "$name"
	wait_for 10 grep -q listens $TMP/squatter.out
	in_host client timeout 15 "$BIN/proxy" --add 10.0.0.52:1=$TARGET:1/tcp eth0
	in_host client timeout 15 "$BIN/proxy" --list eth0 2> /dev/null | grep -q 10.0.0.52
	proxy_runs
	stop squatter || true
}

DISTURBANCES=(link_down filter_removed qdisc_removed cleaned_up proxy_killed proxy_stopped monitor_killed
	owner_frozen readers_stall mapping_reloaded mapping_added neighbours_flushed target_moves forged_reset forged_arp
	interface_deleted name_squatted)

# --- the run -------------------------------------------------------------------------------------

map_to target
monitor_runs
proxy_runs
foreign_attach
talk steady client TCP:$ORIGINAL:$ORIGINAL_PORT
says "a connection that lasts" steady start "target $CLIENT start"
# Traffic all the time: short connections, whose outcome is judged below only.
start load client bash -c "while :; do
	echo load | socat -t 0.2 - TCP:$ORIGINAL:$ORIGINAL_PORT,connect-timeout=1 > /dev/null 2>&1
	sleep 0.05
done"
declare -A first=()
end=$((SECONDS + LONG)) round=0 baseline=
while [ $SECONDS -lt $end ]; do
	round=$((round + 1)) blind=no restarted=
	what=${DISTURBANCES[RANDOM % ${#DISTURBANCES[@]}]}
	name="$round, $what"
	$what || fail "$name" "cannot be done"
	check "$name: TCP reaches the right server" wait_for 15 answers TCP
	check "$name: UDP reaches the right server" wait_for 15 answers UDP
	says "$name: the lasting connection goes on" steady $round "target $CLIENT $round"
	check "$name: both tools run" eval "running proxy && running monitor"
	check "$name: all filters are there" wait_for 5 eval \
		'[ "$(our_filters client eth0 | grep -c .)" = 4 ]'
	check "$name: the filters of others work" foreign_works
	for tool in proxy monitor; do
		if [ -z "${first[$tool]:-}" ] || [ "$restarted" = $tool ]; then
			first[$tool]=$(resources $tool)
		fi
	done
	if [ $blind = yes ]; then
		baseline=
	elif [ $((round % 4)) = 0 ]; then
		kill -STOP "${pids[load]}"
		check "$name: every packet was counted" exact
		kill -CONT "${pids[load]}"
	fi
done
for tool in proxy monitor; do
	read -r fds memory <<< "${first[$tool]}"
	read -r fds_now memory_now <<< "$(resources $tool)"
	equal "$tool: no descriptor was lost" "$fds_now" "$fds"
	check "$tool: no memory was lost ($memory MB, now $memory_now)" \
		test "$memory_now" -le $((memory + memory / 5 + 4))
done
stop load || true
stop proxy
stop monitor
equal "nothing of ours is left" "$(our_filters client eth0)" ""
check "the filters of others are" foreign_works
echo "chaos: SEED=$SEED, $round disturbances"
finish
