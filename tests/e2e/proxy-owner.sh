#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Who owns a datapath and who may ask it for changes: only root decides, whatever other users bind.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs socat setpriv
MAP=(-m "$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT")

lan_of_the_mapping
start tcp target socat TCP$FAMILY-LISTEN:$TARGET_PORT,reuseaddr,fork EXEC:cat
wait_for 10 listening target tcp $TARGET_PORT

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

# adds PORT: --add of a mapping for PORT says that it was done, and that is so
adds()
{
	proxy --add "$ORIGINAL_AT:$1=$TARGET_AT:$TARGET_PORT/tcp" eth0 && exchange "$1"
}

# squat ID NAME: another user binds an abstract name, and says yes to everything
squat()
{
	start "$1" client setpriv --reuid=65534 --clear-groups \
		socat "ABSTRACT-LISTEN:$2,type=5,fork" SYSTEM:"echo asked >&2; printf +"
	wait_for 5 bound "$2"
}

bound()
{
	names | grep -qx "$1"
}

# names: of the sockets of proxy in the client
names()
{
	in_host client sed -n 's/.*@\(proxy[^ ]*\)$/\1/p' /proc/net/unix | sort -u
}

# --- a name that another user has taken
ifindex=$(in_host client cat /sys/class/net/eth0/ifindex)
squat guessed "proxy/ifindex/$ifindex"
start_tool proxy client proxy "${MAP[@]}" eth0
check "another user's socket does not keep the tool from starting" running proxy
check "nor --add from reaching it" adds 81
check_not "nobody has asked that socket" grep asked "$TMP/guessed.err"

# --- requests
name=$(names | grep -v ifindex)
# ask UID: what the owner answers to a request of this user
ask()
{
	printf 'add %s' "$ORIGINAL_AT:82=$TARGET_AT:$TARGET_PORT/tcp" | in_host client \
		setpriv --reuid="$1" --clear-groups timeout $((5 * PATIENCE)) socat -t $((3 * PATIENCE)) - "ABSTRACT-CONNECT:$name,type=5"
}
equal "the owner hears root" "$(ask 0)" +
check "and does what root asks for" exchange 82
proxy --delete "$ORIGINAL_AT:82" eth0
equal "it does not hear other users" "$(ask 65534 2> /dev/null)" ""
check_not "nor does it do what they ask for" exchange 82
status=0
output=$(in_host client timeout 15 setpriv --reuid=65534 --clear-groups "$BIN/proxy" \
	--add "$ORIGINAL_AT:82=$TARGET_AT:$TARGET_PORT/tcp" eth0 2>&1) || status=$?
equal "--add by another user" "$status $output" \
	"1 proxy: cannot reach the proxy that serves eth0: not permitted: this needs CAP_SYS_ADMIN (root has it all)"

# --- the name of an owner that was killed
kill -KILL "${pids[proxy]}"
status_of proxy || true
squat successor "$name"
check "--add does not believe the successor of a killed owner's socket" adds 83
start_tool proxy client proxy -m "$ORIGINAL_AT:84=$TARGET_AT:$TARGET_PORT" eth0
check "nor does the next proxy" exchange 84
check "which hears --add" adds 85
check_not "nobody has asked that socket, either" grep asked "$TMP/successor.err"

# --- one owner, whatever the second one sees of the first
# refused COMMAND...: a second proxy does not start
refused()
{
	local output status=0
	output=$("$@" 2>&1) || status=$?
	[[ "$status $output" == "1 proxy: eth0 is served by "*" already" ]] || {
		echo "$status $output"
		return 1
	}
}
check "a second proxy is refused" refused proxy eth0
check "also in a process namespace of its own" \
	refused in_host client unshare --pid --fork --mount-proc timeout 15 "$BIN/proxy" eth0
check "also with another /run" refused in_host client unshare --mount \
	bash -c "mount -t tmpfs none /run; exec timeout 15 '$BIN/proxy' eth0"
check "also by tcx" refused proxy --tcx eth0
in_host client tc qdisc del dev eth0 clsact
check "also while the first one's filters are gone" refused proxy eth0
ip -n target link set eth0 down # only so that nothing answers twice
start_tool twin target proxy eth0
check "another network namespace has its own, of the same index" running twin
stop twin
ip -n target link set eth0 up
stop proxy || true

# --- many at once
for i in {1..20}; do
	start many$i client "$BIN/proxy" "${MAP[@]}" eth0
done
settled()
{
	[ "$(cat "$TMP"/many*.err | grep -c "attached to\|already")" -ge 20 ]
}
check "of twenty starts at once each says what becomes of it" wait_for 30 settled
equal "and one has the interface" "$(cat "$TMP"/many*.err | grep -c "attached to")" 1
equal "alone" "$(our_filters client eth0 | sort | xargs) " "$FILTERS"
for i in {1..20}; do
	stop many$i || true
done
equal "nothing is left" "$(our_filters client eth0)" ""
finish
