#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Do to both tools, at random and under traffic, what the world around them does: links that go
# down, filters that others remove, kills, readers that stop, mappings, addresses and routes that
# change, forged packets, an interface that is deleted, users who answer in proxy's place. One proxy
# has mappings of both families. After each disturbance: traffic of both is right, counts are exact,
# filters of others are still there, no memory and no descriptor is lost. SEED=N repeats a run.
. "$(dirname "$0")/../lib.sh"
needs socat jq python3 ping

SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
LONG=60
[ "$SOAK" != 1 ] || LONG=600
echo "chaos: SEED=$SEED, $LONG s"
RANDOM=$SEED

lan_of_the_mapping
host other
link other eth0 switch p-other
ip -n switch link set p-other master br0
address other eth0 10.0.0.139/24 fd00::139/64

declare -A last_byte=([client]=1 [original]=10 [pinged]=11 [target]=138 [other]=139)

# of NAME FAMILY: the address of a host or an original
of()
{
	local FAMILY=$2
	ip_of "10.0.0.${last_byte[$1]}"
}

# As servers see it.
declare -A peer=([4]="$CLIENT" [6]="[fd00:0000:0000:0000:0000:0000:0000:0001]")
for name in target other; do
	in_host $name sysctl -q -w net.ipv6.bindv6only=1
	for FAMILY in 4 6; do
		answering $name "$name \\\$SOCAT_PEERADDR"
	done
done

MAP_FILE=$TMP/map
server=target # where new connections belong

# map_to SERVER [FAMILY]: what the map file says, of both families or one
map_to()
{
	local family to
	for family in ${2:-4 6}; do
		to=$(at "$(of $1 $family)")
		echo "$(at "$(of original $family)" $ORIGINAL_PORT)=$to:$TARGET_PORT"
		echo "$(at "$(of pinged $family)")=$to"
	done > $MAP_FILE
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

# The flows go soon: what the tool takes for each is not to be mistaken for a leak.
monitor_runs()
{
	runs monitor packet-monitor -j -I 0.2 --idle 10 --wait eth0
}

# answers tcp|udp FAMILY: whether the right server hears the client, and the client its answer
answers()
{
	local got
	# shellcheck disable=SC2016
	got=$(in_host client timeout 3 bash -c 'exec 3<> "/dev/$0/$1/$2" && echo "$0" >&3 &&
		head -n 1 <&3' $1 "$(of original $2)" $ORIGINAL_PORT 2> /dev/null)
	[ "$got" = "$server ${peer[$2]} $1" ]
}

# steady_answer TEXT: what the server of the lasting connection answers, as grep wants it
steady_answer()
{
	local answer="target ${peer[$family]} $1"
	answer=${answer//\[/\\[}
	echo "${answer//\]/\\]}"
}

# pinged FAMILY
pinged()
{
	in_host client ping -n -c 1 -W 2 "$(of pinged $1)" 2> /dev/null |
		grep -q "from $(of pinged $1): icmp_seq=1 "
}

filters_are_there()
{
	[ "$(our_filters client eth0 | sort)" = "$all_filters" ]
}

# device: its packets and bytes, in and out
device()
{
	ip -n client -s -j link show eth0 | jq -c '.[0].stats64 |
		[.rx.packets, .rx.bytes, .tx.packets, .tx.bytes]'
}

# reported SECONDS: the totals of the monitor's last report, in and out, if it is of after that time
reported()
{
	grep '"type":"total"' $TMP/monitor-reader.out | tail -n 2 |
		jq -ces --argjson since "$1" 'sort_by(.dir) | select(map(.ts) | min > $since) |
			map(.packets, .bytes)'
}

# offset: the device's packets and bytes less the monitor's totals, in and out, once it rests
offset()
{
	local before now totals
	for _ in $(seq 50); do
		before=$(device)
		now=$(date +%s.%N)
		wait_for 15 reported $now
		totals=$(reported $now)
		[ "$(device)" != "$before" ] || break
	done
	jq -cn "$before as \$d | $totals as \$t | [range(4) | \$d[.] - \$t[.]]"
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

# --- what may happen. Sets "blind" if packets are not counted meanwhile, "restarted" to the tool.
# "family" is one of the two.

# The kernel drops the IPv6 addresses of an interface that goes down.
link_down()
{
	blind=yes
	ip -n client link set eth0 down
	sleep 0.$((RANDOM % 5 + 1))
	ip -n client link set eth0 up
	address client eth0 fd00::1/64
}

# The routes to the targets go with it.
address_lost()
{
	local prefix=24
	[ $family = 4 ] || prefix=64
	ip -n client address del "$(of client $family)/$prefix" dev eth0
	[ $((RANDOM % 2)) = 0 ] || in_host client timeout 15 "$BIN/proxy" --list eth0 > /dev/null
	address client eth0 "$(of client $family)/$prefix"
}

filter_removed()
{
	local filters hook
	blind=yes
	mapfile -t filters < <(for hook in ingress egress; do
		in_host client tc filter show dev eth0 $hook |
			sed -n "s/.* pref \(10[0-9]*\) bpf .* handle .*/$hook pref \1/p"
	done)
	in_host client tc filter del dev eth0 ${filters[RANDOM % ${#filters[@]}]}
}

qdisc_removed()
{
	blind=yes
	in_host client tc qdisc del dev eth0 clsact
	wait_for 5 filters_are_there
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

# unused NUMBER PORT[/PROTOCOL]: a mapping of an original that nobody talks to
unused()
{
	local FAMILY=$family
	echo "$(at "$(ip_of 10.0.0.$1)" ${2%/*})=$(at "$(of target $family)" $2)"
}

owner_frozen()
{
	kill -STOP "${pids[proxy]}"
	in_host client timeout 15 "$BIN/proxy" --add "$(unused 50 1)" eth0 2> /dev/null || true
	kill -CONT "${pids[proxy]}"
}

readers_stall()
{
	kill -STOP "${pids[proxy-reader]}" "${pids[monitor-reader]}"
	sleep 1 # some reports long: what is dropped is only said afterwards
	in_host client timeout 15 "$BIN/proxy" --add "$(unused 51 1)" eth0
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

# All mappings of a family go, and come back. The flows of before last.
family_leaves()
{
	local stays=$((10 - family))
	map_to $server $stays
	kill -HUP "${pids[proxy]}"
	wait_for 15 eval '! pinged $family'
	wait_for 15 answers tcp $stays
	map_to $server
	kill -HUP "${pids[proxy]}"
}

mapping_added()
{
	in_host client timeout 15 "$BIN/proxy" --add "$(unused $((RANDOM % 20 + 20)) 80/tcp)" eth0
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
	in_host target python3 - "$(of target $family)" "$(of client $family)" $((RANDOM + 1024)) <<-'PYTHON'
		import socket, struct, sys
		source, dest, dport = sys.argv[1:]
		family = socket.AF_INET6 if ":" in dest else socket.AF_INET
		header = lambda check: struct.pack("!HHIIBBHHH", 23456, int(dport), 12345, 0, 5 << 4, 4, 0, check, 0)
		addresses = socket.inet_pton(family, source) + socket.inet_pton(family, dest)
		covered = addresses + struct.pack("!HH", 6, 20) + header(0)
		words = struct.unpack(f"!{len(covered) // 2}H", covered)
		raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP)
		raw.sendto(header(65535 - sum(words) % 65535), (dest, 0))
	PYTHON
}

# An answer for an original that the kernel does not believe: ARP of an unknown hardware type; an
# advertisement from another link, by its hop limit.
forged_neighbour()
{
	in_host target python3 - "$(of original $family)" <<-'PYTHON'
		import socket, struct, sys
		mac, all_nodes = bytes.fromhex("02aaaaaaaaaa"), bytes.fromhex("333300000001")
		if ":" in sys.argv[1]:
		    original = socket.inet_pton(socket.AF_INET6, sys.argv[1])
		    addresses = original + socket.inet_pton(socket.AF_INET6, "ff02::1")
		    message = lambda check: struct.pack("!BBHI", 136, 0, check, 0x20000000) + original + b"\2\1" + mac
		    words = struct.unpack("!34H", addresses + struct.pack("!HH", 58, 32) + message(0))
		    frame = (all_nodes + mac + struct.pack("!HIHBB", 0x86dd, 6 << 28, 32, 58, 64) + addresses +
		             message(65535 - sum(words) % 65535))
		else:
		    original = socket.inet_aton(sys.argv[1])
		    frame = (b"\xff" * 6 + mac + struct.pack("!HHHBBH", 0x806, 99, 0x800, 6, 4, 1) + mac + original +
		             bytes(6) + original)
		raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
		raw.bind(("eth0", 0))
		raw.send(frame)
	PYTHON
}

# A router of the link advertises itself, or says that it is one no longer.
router_advertises()
{
	in_host target python3 - $((RANDOM % 2 * 1800)) <<-'PYTHON'
		import socket, struct, sys
		raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
		raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
		message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, int(sys.argv[1]), 0, 0)
		raw.sendto(message, ("ff02::1", 0, 0, socket.if_nametoindex("eth0")))
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
	wait_for 15 answers tcp 4
	wait_for 15 answers tcp 6
	mac=$(ip -n client -j link show eth0 | jq -r '.[0].address')
	ip -n client link del eth0
	wait_for 15 eval 'grep -q "eth0 is gone" <(tail -n 2 $TMP/proxy.err)'
	link client eth0 switch p-client
	ip -n client link set eth0 address $mac
	ip -n switch link set p-client master br0
	address client eth0 $CLIENT/24 fd00::1/64
	wait_for 15 filters_are_there
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

DISTURBANCES=(link_down address_lost filter_removed qdisc_removed cleaned_up proxy_killed proxy_stopped
	monitor_killed owner_frozen readers_stall mapping_reloaded family_leaves mapping_added neighbours_flushed
	target_moves forged_reset forged_neighbour router_advertises interface_deleted name_squatted)

# --- the run -------------------------------------------------------------------------------------

map_to target
monitor_runs
proxy_runs
all_filters=$(our_filters client eth0 | sort)
foreign_attach
for family in 4 6; do
	check "IPv$family reaches the server" wait_for 15 answers tcp $family
	talk steady$family client "TCP:$(at "$(of original $family)" $ORIGINAL_PORT)"
	says "a connection over IPv$family that lasts" steady$family start "$(steady_answer start)"
done
# Traffic all the time: short connections, whose outcome is judged below only.
start load client bash -c "while :; do
	for original in $(at "$(of original 4)") $(at "$(of original 6)"); do
		echo load | socat -t 0.2 - TCP:\$original:$ORIGINAL_PORT,connect-timeout=1 > /dev/null 2>&1
	done
	sleep 0.05
done"
declare -A first=()
end=$((SECONDS + LONG)) round=0 baseline=
while [ $SECONDS -lt $end ]; do
	round=$((round + 1)) blind=no restarted="" family=$((RANDOM % 2 * 2 + 4))
	what=${DISTURBANCES[RANDOM % ${#DISTURBANCES[@]}]}
	name="$round, $what"
	$what || fail "$name" "cannot be done"
	for family in 4 6; do
		check "$name: TCP over IPv$family reaches the right server" wait_for 15 answers tcp $family
		check "$name: UDP over IPv$family reaches the right server" wait_for 15 answers udp $family
		check "$name: ping over IPv$family is answered" wait_for 15 pinged $family
		says "$name: the lasting connection over IPv$family goes on" steady$family $round \
			"$(steady_answer $round)"
	done
	check "$name: both tools run" eval "running proxy && running monitor"
	check "$name: all filters are there" wait_for 5 filters_are_there
	check "$name: the filters of others work" foreign_works
	for tool in proxy monitor; do
		if [ -z "${first[$tool]:-}" ] || [ "$restarted" = $tool ]; then
			first[$tool]=$(resources $tool)
		fi
	done
	if [ $blind = yes ]; then
		baseline=
	else
		kill -STOP "${pids[load]}"
		now=$(offset)
		# Equal since the last disturbance that stops counting.
		equal "$name: every packet was counted" "$now" "${baseline:=${now:-known totals}}"
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
