#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What the scripts of tests/e2e share. They begin with
#
#	#!/bin/bash
#	. "$(dirname "$0")/../lib.sh"
#
# and end with "finish". Sourcing starts the script again in network, mount and process namespaces
# of its own, with a /run of its own: the names of hosts (network namespaces made by "host") are
# private to the test, and whatever the test started or made is gone when it ends, however it ends.
set -eu

if [ -z "${TEST_NAMESPACE:-}" ]; then
	if [ "$(id -u)" != 0 ]; then
		echo "skip $(basename "$0" .sh): needs root"
		exit 77
	fi
	TEST_NAMESPACE=yes exec unshare --net --mount --propagation private --pid --fork \
		--kill-child --mount-proc bash "$0" "$@"
fi
# A process that is number 1 is only killed by the signals it handles.
trap 'exit 143' TERM INT HUP

ROOT=$(cd "$(dirname "$0")/../.." && pwd)
case ${BUILD:=build} in
/*) ;;
*) BUILD=$ROOT/$BUILD ;;
esac
BIN=$BUILD/bin
PATH=$PATH:/usr/sbin:/sbin
mount -t sysfs sysfs /sys
mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs tmpfs /run
mkdir /run/netns
TMP=/run/test # files of the test
mkdir $TMP
ip link set lo up
SOAK=${SOAK:-0} PATIENCE=${PATIENCE:-1}

# --- addresses -----------------------------------------------------------------------------------
# A test that says "Runs for both families" is run a second time with FAMILY=6.

FAMILY=${FAMILY:-4}

# ip_of ADDRESS...: the same host's address in the family of this run: 10.0.A.B is fd00:0:0:A::B
ip_of()
{
	local address a b rest
	for address; do
		if [ "$FAMILY" = 6 ]; then
			IFS=. read -r _ rest a b <<< "$address"
			[ "$rest" = 0 ] || a=$((rest * 256 + a))
			[ "$a" = 0 ] && address=fd00::$b || address=fd00:0:0:$a::$b
		fi
		echo "$address"
	done
}

# net_of NETWORK: the network 10.A.B.0/24, or its /64 of IPv6
net_of()
{
	[ "$FAMILY" = 6 ] || { echo "$1/24"; return; }
	local net
	net=$(ip_of "$1")
	echo "${net%0}/64"
}

# at ADDRESS [PORT]: as the tools and socat write it
at()
{
	[[ $1 != *:* ]] || set -- "[$1]" "${@:2}"
	echo "$1${2:+:$2}"
}

# forwarding HOST...: have hosts forward packets of both families
forwarding()
{
	local host
	for host; do
		in_host "$host" sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	done
}

# Addresses and ports of the built-in mapping and of the hosts around it.
# shellcheck disable=SC2034
CLIENT=$(ip_of 10.0.0.1) ORIGINAL=$(ip_of 10.0.0.10) TARGET=$(ip_of 10.0.0.138)
# The same as they stand before ":PORT".
# shellcheck disable=SC2034
CLIENT_AT=$(at "$CLIENT") ORIGINAL_AT=$(at "$ORIGINAL") TARGET_AT=$(at "$TARGET")
# shellcheck disable=SC2034
FILTERS="proxy${FAMILY#4}_egress proxy${FAMILY#4}_ingress " # that "our_filters | sort -u" finds
# shellcheck disable=SC2034
ORIGINAL_PORT=12345 TARGET_PORT=23456 PREFIX=$([ "$FAMILY" = 6 ] && echo 64 || echo 24)

# --- results -------------------------------------------------------------------------------------

failures=0 checks=0 skips=0 finished=no
started=() # the IDs of programs in the background, in order

# ok NAME, fail NAME WHY, skip NAME WHY: one line per check
ok()
{
	checks=$((checks + 1))
	echo "ok $1"
}

fail()
{
	checks=$((checks + 1)) failures=$((failures + 1))
	echo "FAIL $1: $2"
	last_output
}

# last_output: the last lines that each program in the background has written
last_output()
{
	local id stream
	for id in "${started[@]}"; do
		for stream in out err; do
			[ ! -s "$TMP/$id.$stream" ] || tail -n 5 "$TMP/$id.$stream" |
				cut -c -300 | sed "s/^/  $id.$stream: /"
		done
	done
}

# keep_files: with KEEP=1, copy the files of a failed test to where they outlive it
keep_files()
{
	local kept
	[ "${KEEP:-0}" = 1 ] || return 0
	kept=$BUILD/kept/e2e/$(basename "$0" .sh)
	mkdir -p "$kept" && cp -a "$TMP/." "$kept/" || echo "  its files cannot be kept in $kept"
}

skip()
{
	skips=$((skips + 1))
	echo "skip $1: $2"
}

# check NAME COMMAND...: holds if the command succeeds; what it prints is shown if it does not
check()
{
	local name=$1 output
	shift
	if output=$("$@" 2>&1); then
		ok "$name"
	else
		fail "$name" "'$*' failed${output:+: ${output//$'\n'/ | }}"
	fi
}

# check_not NAME COMMAND...: holds if the command fails
check_not()
{
	local name=$1 output
	shift
	if output=$("$@" 2>&1); then
		fail "$name" "'$*' succeeded${output:+: ${output//$'\n'/ | }}"
	else
		ok "$name"
	fi
}

# equal NAME GOT WANT
equal()
{
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		fail "$1" "got '$2', want '$3'"
	fi
}

# contains NAME TEXT PATTERN (a glob pattern)
contains()
{
	# shellcheck disable=SC2053
	if [[ $2 == *$3* ]]; then
		ok "$1"
	else
		fail "$1" "'${2//$'\n'/ | }' does not contain '$3'"
	fi
}

# needs PROGRAM...: end the test with a skip if one is not installed
needs()
{
	local program
	for program; do
		if ! command -v "$program" > /dev/null; then
			skip "$(basename "$0" .sh)" "$program is not installed (scripts/install-deps.sh test)"
			finish
		fi
	done
}

# has_tcx NAME: whether the kernel has tcx; NAME is skipped if not
has_tcx()
{
	"$BUILD/tests/e2e/tcx-attach" -l lo > /dev/null && return
	skip "$1" "this kernel has no tcx"
	return 1
}

# rename_up NAME HOST DEV NEW_NAME: rename an interface that is up.
# Return: 1, with NAME skipped, if the kernel does not do that.
rename_up()
{
	ip -n "$2" link set "$3" name "$4" 2> /dev/null && return
	skip "$1" "this kernel renames no interface that is up"
	return 1
}

# finish: the last line of a test
finish()
{
	finished=yes
	if [ $failures -ne 0 ]; then
		keep_files
		exit 1
	fi
	[ $checks -gt 0 ] || [ $skips -eq 0 ] || exit 77
	exit 0
}

# at_exit [STATUS]: an error that ends the script early is a failure of the test
at_exit()
{
	local status=${1:-$?}
	if [ $finished = no ]; then
		echo "FAIL $(basename "$0" .sh): ended early with status $status"
		last_output
		keep_files
	fi
	[ "$status" -ne 0 ] || [ $finished = yes ] || exit 1
}
trap at_exit EXIT

# --- waiting -------------------------------------------------------------------------------------

# wait_for SECONDS COMMAND...: until the command succeeds; its output is dropped.
# Return: 1 if that takes longer than SECONDS (whole ones), times PATIENCE on a slow machine, and 50
# attempts: where all else is slow as well, seconds alone say little.
wait_for()
{
	local end=$((SECONDS + $1 * PATIENCE + 1)) attempts=50
	shift
	until "$@" > /dev/null 2>&1; do
		attempts=$((attempts - 1))
		[ $SECONDS -lt $end ] || [ $attempts -gt 0 ] || return 1
		sleep 0.05
	done
}

# --- pages ---------------------------------------------------------------------------------------

# commands_of PAGE SECTION [N]: the commands (indented lines) of a section of docs/PAGE.md, or of its
# N-th block of them
commands_of()
{
	awk -v section="## $2" -v wanted="${3:-0}" '
		/^## / { inside = $0 == section; block = 0 }
		inside && /^    / && before !~ /^    / { block++ }
		inside && /^    / && (!wanted || block == wanted) { print substr($0, 5) }
		{ before = $0 }' "$ROOT/docs/$1.md"
}

# --- hosts and links -----------------------------------------------------------------------------

# in_host HOST COMMAND...: run a command in a host; HOST "-" is the test's own namespace.
# The command's /sys shows the devices of the host, but holds no bpffs.
in_host()
{
	local host=$1
	shift
	if [ "$host" = - ]; then
		"$@"
	else
		ip netns exec "$host" "$@"
	fi
}

# host NAME...: network namespaces, each with its lo up; IPv6 addresses are usable at once
host()
{
	local name
	for name; do
		ip netns add "$name"
		ip -n "$name" link set lo up
		in_host "$name" sysctl -q -w net.ipv6.conf.all.accept_dad=0 \
			net.ipv6.conf.default.accept_dad=0 2> /dev/null || true
	done
}

# link HOST_A DEV_A HOST_B DEV_B: a veth pair between two hosts (not "-"), both ends up
link()
{
	ip -n "$1" link add "$2" type veth peer name "$4" netns "$3"
	ip -n "$1" link set "$2" up
	ip -n "$3" link set "$4" up
}

# address HOST DEV ADDRESS/PREFIX...
address()
{
	local host=$1 dev=$2 each
	shift 2
	for each; do
		case $each in
		*:*) ip -n "$host" address add "$each" dev "$dev" nodad ;;
		*) ip -n "$host" address add "$each" dev "$dev" ;;
		esac
	done
}

# lan HOST...: a bridge (in the host "switch", as br0) with one port per HOST, whose end is eth0
lan()
{
	local name
	host switch
	ip -n switch link add br0 type bridge mcast_snooping 0
	ip -n switch link set br0 up
	for name; do
		link "$name" eth0 switch "p-$name"
		ip -n switch link set "p-$name" master br0
	done
}

# without_ipv6 HOST...: they send nothing of IPv6 by themselves
without_ipv6()
{
	local host
	for host; do
		in_host "$host" sysctl -q -w net.ipv6.conf.all.disable_ipv6=1
	done
}

# lan_of_the_mapping: hosts "client" (10.0.0.1) and "target" (10.0.0.138) on one link; nobody has
# the address 10.0.0.10. The tools run in "client", on eth0.
lan_of_the_mapping()
{
	host client target
	lan client target
	address client eth0 10.0.0.1/24 fd00::1/64
	address target eth0 10.0.0.138/24 fd00::138/64
}

# host_behind HOST DEV NET: a HOST whose packets the client forwards, and which it reaches by DEV. NET is
# 10.5.0 or the like: the client is .1 there, the HOST .2 (in IPv6 likewise, by FAMILY).
host_behind()
{
	host "$1"
	link client "$2" "$1" eth0
	address client "$2" "$(ip_of "$3.1")/$PREFIX"
	address "$1" eth0 "$(ip_of "$3.2")/$PREFIX"
	ip -n "$1" route add default via "$(ip_of "$3.1")"
	ip -n target route add "$(net_of "$3.0")" via "$CLIENT"
	forwarding client
}

# counted_by ID in|out: packets and bytes as the packet-monitor ID has last reported them (jsonl)
counted_by()
{
	# Only that line is for jq, which an emulated machine takes a minute to read a whole file with.
	grep "\"type\":\"total\",.*\"dir\":\"$2\"," "$TMP/$1.out" | tail -n 1 |
		jq -r '"\(.packets) \(.bytes)"'
}

# counted_by_device HOST rx|tx [BYTES]: as the eth0 of HOST counts them, and BYTES more for each packet
counted_by_device()
{
	ip -n "$1" -s -j link show eth0 |
		jq -r ".[0].stats64.$2 | \"\(.packets) \(.bytes + .packets * ${3:-0})\""
}

# --- programs in the background ------------------------------------------------------------------

declare -A pids=()

# start ID HOST COMMAND...: in the background; its output goes to $TMP/ID.out and $TMP/ID.err and
# its process id to ${pids[ID]}. (bash starts such programs with SIGINT ignored: that is undone.)
start()
{
	local id=$1 host=$2
	shift 2
	[ "$host" = - ] || set -- ip netns exec "$host" "$@"
	[[ " ${started[*]} " == *" $id "* ]] || started+=("$id")
	# Here, not by the child only: what a former program of this name wrote must not be read.
	: > "$TMP/$id.out"
	: > "$TMP/$id.err"
	env --default-signal=INT,QUIT STARTED="$id" "$@" \
		> "$TMP/$id.out" 2> "$TMP/$id.err" < /dev/null &
	pids[$id]=$!
	wait_for 10 started_or_dead "$id"
}

started_or_dead()
{
	grep -zqsx "STARTED=$1" "/proc/${pids[$1]}/environ" || ! running "$1"
}

# stop ID [SIGNAL]: send a signal (default TERM) and wait for the end. Not by way of "check", which
# runs its command in a subshell, and that cannot wait for it.
# Return: the exit status of the program, 128 + N if signal N killed it.
stop()
{
	kill -s "${2:-TERM}" "${pids[$1]}" 2> /dev/null || true
	status_of "$1"
}

# status_of ID: wait for the end of a program that ends by itself, and return its exit status
status_of()
{
	local pid=${pids[$1]}
	unset "pids[$1]"
	wait "$pid"
}

# running ID
running()
{
	kill -0 "${pids[$1]}" 2> /dev/null
}

# start_tool ID HOST TOOL ARGUMENT...: start packet-monitor or proxy and wait until it is attached.
# Return: 1, with a line on stderr, if that does not happen within 10 s.
start_tool()
{
	local id=$1 host=$2 tool=$3
	shift 3
	start "$id" "$host" "$BIN/$tool" "$@"
	wait_for 10 attached_or_dead "$id" && grep -q ': attached to ' "$TMP/$id.err" && return
	echo "$tool $* does not attach: $(cat "$TMP/$id.err")" >&2
	return 1
}

attached_or_dead()
{
	grep -q ': attached to ' "$TMP/$1.err" || ! running "$1"
}

# listening HOST tcp|udp PORT: whether a server is bound
listening()
{
	in_host "$1" ss -Hln"${2:0:1}" "sport = :$3" | grep -q .
}

# answering HOST WORDS: servers for TCP and UDP on $TARGET_PORT of HOST, which answer each line with
# WORDS and that line; their IDs are tcp4-HOST and udp4-HOST, or tcp6-HOST and udp6-HOST
answering()
{
	local script="while read line; do echo $2 \\\$line; done"
	start "tcp$FAMILY-$1" "$1" socat "TCP$FAMILY-LISTEN:$TARGET_PORT,reuseaddr,fork" SYSTEM:"$script"
	start "udp$FAMILY-$1" "$1" socat -T 30 "UDP$FAMILY-LISTEN:$TARGET_PORT,reuseaddr,fork" SYSTEM:"$script"
	wait_for 10 listening "$1" tcp $TARGET_PORT
	wait_for 10 listening "$1" udp $TARGET_PORT
}

# --- collectors of flows, in the host "collector" --------------------------------------------------

# roomy ID PORT: give the UDP socket of a program a buffer that loses nothing, however slow it is
roomy()
{
	wait_for 10 listening collector udp "$2"
	in_host collector python3 - "${pids[$1]}" "$2" <<-'PYTHON'
		import ctypes, os, socket, sys
		pid, port = int(sys.argv[1]), int(sys.argv[2])
		SO_RCVBUFFORCE, PIDFD_GETFD = 33, 438
		done = 0
		for name in os.listdir(f"/proc/{pid}/fd"):
		    if not os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
		        continue
		    fd = ctypes.CDLL(None).syscall(PIDFD_GETFD, os.pidfd_open(pid), int(name), 0)
		    with socket.socket(fileno=fd) as s:
		        if s.family != socket.AF_UNIX and s.type == socket.SOCK_DGRAM and s.getsockname()[1] == port:
		            s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 29)
		            done += 1
		sys.exit(not done)
	PYTHON
}

# has_read PORT: whether a collector has read all that has arrived
has_read()
{
	[ "$(in_host collector ss -Huln "sport = :$1" | awk '{ sum += $2 } END { print sum }')" = 0 ]
}

# nfdump_on ID PORT: nfcapd; its files are in $TMP/ID.flows
nfdump_on()
{
	mkdir -p "$TMP/$1.flows"
	start "$1" collector unshare --ipc nfcapd -w "$TMP/$1.flows" -p "$2" -t 86400
	roomy "$1" "$2"
}

# nfdump_has ID: "PACKETS BYTES" of all flows; nfcapd has ended
nfdump_has()
{
	nfdump -q -R "$TMP/$1.flows" -o 'fmt:%pkt %byt' -N 2> /dev/null |
		awk 'NF == 2 { packets += $1; bytes += $2 } END { printf "%d %d\n", packets, bytes }'
}

# plus "A B" "C D"
plus()
{
	echo "$1 $2" | awk '{ printf "%d %d\n", $1 + $3, $2 + $4 }'
}

# --- connections that stay open ------------------------------------------------------------------

declare -A lines=()

# talk ID HOST SOCAT_ADDRESS: open a connection that stays open
talk()
{
	mkfifo "$TMP/$1.fifo"
	start "$1" "$2" bash -c "exec socat -t 1 - '$3' < '$TMP/$1.fifo'"
	exec {talk_fd}> "$TMP/$1.fifo"
	lines[$1]=$talk_fd
}

# says NAME ID TEXT ANSWER: a check: TEXT said on the connection is answered by the line ANSWER
says()
{
	echo "$3" >& "${lines[$2]}"
	check "$1" wait_for 5 grep -qx "$4" "$TMP/$2.out"
}

# --- filters -------------------------------------------------------------------------------------

# our_filters HOST DEV: the filters of this project on both hooks, one a line
our_filters()
{
	local hook programs
	programs=$(sed -n 's/^\tPROGRAM([A-Z0-9_]*, \([a-z0-9_]*\),.*/\1/p' "$ROOT/lib/programs.h" | paste -sd '|')
	for hook in ingress egress; do
		in_host "$1" tc filter show dev "$2" "$hook"
	done | sed -nE "s/.* ($programs):\\[[0-9]+\\] .*/\\1/p"
}

# map_of HOST DEV HOOK PROGRAM NAME: the id of a map of the attached PROGRAM (a pattern of sed -E). All
# tests that run see each other's maps, so a name alone is not enough.
map_of()
{
	local program map
	program=$(in_host "$1" tc filter show dev "$2" "$3" |
		sed -nE 's/.* id ([0-9]+) name '"$4"' .*/\1/p' | head -n 1)
	for map in $(bpftool -j prog show id "$program" | jq '.map_ids[]'); do
		bpftool -j map show id "$map" | jq --arg name "$5" 'select(.name == $name) | .id'
	done
}

# proxy_map HOST DEV NAME: the id of a map of the datapath that proxy has on the interface
proxy_map()
{
	map_of "$1" "$2" egress "proxy3?${FAMILY#4}_egress" "$3"
}

# foreign_filter HOST DEV HOOK PRIORITY: somebody else's filter, which counts packets; clsact has to
# be there, and HOST cannot be "-"
foreign_filter()
{
	# Not "ip netns exec": tc wants a bpffs.
	nsenter --net="/run/netns/$1" tc filter add dev "$2" "$3" prio "$4" bpf direct-action \
		object-file "$BUILD/tests/e2e/counter-bpf.o" section tc
}

# foreign_count HOST DEV HOOK: how many packets the first such filter of a hook has counted
foreign_count()
{
	local program map
	program=$(in_host "$1" tc filter show dev "$2" "$3" |
		sed -n 's/.*counter-bpf.o:\[tc\].* id \([0-9]*\) .*/\1/p' | head -n 1)
	map=$(bpftool -j prog show id "$program" | jq '.map_ids[0]')
	bpftool -j map dump id "$map" | jq '.[0].formatted.value'
}
