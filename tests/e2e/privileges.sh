#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Once its filters are in place, a tool that root has started is another user's, with the few
# capabilities that its documentation names, and still does all that it has to.
. "$(dirname "$0")/../lib.sh"
needs socat

lan_of_the_mapping
in_host client ping -q -c 1 -W 5 $TARGET > $TMP/ping
start server target socat TCP6-LISTEN:$TARGET_PORT,fork,reuseaddr EXEC:cat # of both families
wait_for 5 listening target tcp $TARGET_PORT

# Numbers of the capabilities, from <linux/capability.h>.
DAC_OVERRIDE=1 DAC_READ_SEARCH=2 NET_ADMIN=12 NET_RAW=13 PERFMON=38 BPF=39

# state ID: user, group, other groups, sets of capabilities, no_new_privs
state()
{
	sed -nE 's/^(Uid|Gid|Groups|CapInh|CapPrm|CapEff|CapAmb|NoNewPrivs):\s*/\1 /p' \
		"/proc/${pids[$1]}/status" | tr '\t' ' ' | sed 's/ *$//'
}

# wanted USER CAPABILITY...: the same, as it should be
wanted()
{
	local user=$1 cap mask=0
	shift
	for cap; do
		mask=$((mask | 1 << cap))
	done
	printf '%s %d %d %d %d\n' Uid "$user" "$user" "$user" "$user" \
		Gid "$user" "$user" "$user" "$user"
	if [ "$user" = 0 ]; then
		sed -n 's/^Groups:\s*/Groups /p' /proc/self/status | sed 's/ *$//'
	else
		echo Groups
	fi
	printf '%s %016x\n' CapInh 0 CapPrm $mask CapEff $mask CapAmb 0
	echo NoNewPrivs 1
}

# The tool has dropped its privileges shortly after it has said that it is attached.
dropped()
{
	grep -qs 'NoNewPrivs:[[:space:]]*1' "/proc/${pids[$1]}/status"
}

# has NAME ID USER CAPABILITY...
has()
{
	local name=$1 id=$2
	shift 2
	wait_for 5 dropped "$id" || true
	equal "$name" "$(state "$id")" "$(wanted "$@")"
}

ends()
{
	local status=0
	stop "$2" || status=$?
	equal "$1: ends well" $status 0
	equal "$1: its filters are gone" "$(our_filters client eth0)" ""
}

# through NAME PORT: what is sent to originals of both families comes back from the target
through()
{
	local original
	for original in 10.0.0.10 "[fd00::10]"; do
		equal "$1 ($original)" \
			"$(echo hello | in_host client socat -t $((5 * PATIENCE)) - "TCP:$original:$2")" hello
	done
}
MAPS=(-m "10.0.0.10:12345=10.0.0.138:23456" -m "[fd00::10]:12345=[fd00::138]:23456")

# --- packet-monitor ---
start_tool pm client packet-monitor -I 0.1 eth0
has "packet-monitor" pm 65534 $NET_ADMIN $BPF
ends packet-monitor pm

start_tool pm client packet-monitor -j -I 0.1 --wait eth0
has "packet-monitor --wait has loaded all programs" pm 65534 $NET_ADMIN $BPF
in_host client ip link set eth0 name old0
wait_for 5 grep -q 'now called old0' $TMP/pm.err
in_host client ip link set old0 name eth0
ends "packet-monitor --wait" pm

in_host client ip link add late0 type veth peer name late1
start_tool pm client packet-monitor -I 0.1 --wait -i late0 eth0
wait_for 5 dropped pm
in_host client ip link del late0
in_host client ip link add late0 type veth peer name late1
in_host client ip link set late0 up
check "packet-monitor --wait attaches to an interface that comes back" \
	wait_for 10 eval '[ "$(our_filters client late0 | wc -l)" = 2 ]'
ends "packet-monitor with an interface that came back" pm
in_host client ip link del late0

# A directory and files that root has no right of its own to.
mkdir $TMP/foreign
chown 1000:1000 $TMP/foreign
start_tool pm client packet-monitor -o prom --file $TMP/foreign/pm.prom -I 0.1 eth0
has "packet-monitor --file" pm 0 $DAC_OVERRIDE $NET_ADMIN $BPF
wait_for 5 test -s $TMP/foreign/pm.prom
rm $TMP/foreign/pm.prom
check "packet-monitor --file writes it anew" wait_for 5 test -s $TMP/foreign/pm.prom
ends "packet-monitor --file" pm

# --- proxy ---
# By --add, without the privileges that IPv6 from the beginning would have.
start_tool px client proxy -I 0.1 eth0
has "proxy" px 65534 $NET_ADMIN $BPF $PERFMON
check "proxy --add reaches it" in_host client "$BIN/proxy" --add "${MAPS[3]}" eth0
through "proxy: translates" 12345
for map in 10.0.0.10:80=10.0.0.138:23456/tcp "[fd00::10]:80=[fd00::138]:23456/tcp"; do
	check "proxy --add $map" in_host client "$BIN/proxy" --add "$map" eth0
done
through "and is obeyed" 80
check "proxy --list works beside it" in_host client "$BIN/proxy" --list eth0
ends proxy px

printf '%s\n' "${MAPS[1]}" "${MAPS[3]}" > $TMP/maps
chown 1000:1000 $TMP/maps
chmod 600 $TMP/maps
start_tool px client proxy -I 0.1 -f $TMP/maps eth0
has "proxy --map-file" px 65534 $DAC_READ_SEARCH $NET_ADMIN $BPF $PERFMON
printf '%s\n' 10.0.0.10:81=10.0.0.138:23456/tcp "[fd00::10]:81=[fd00::138]:23456/tcp" >> $TMP/maps
kill -HUP "${pids[px]}"
check "proxy --map-file: reads it again" wait_for 5 grep -q "read again, 4 mappings" $TMP/px.err
through "and translates by it" 81
ends "proxy --map-file" px

start_tool px client proxy --wait -I 0.1 "${MAPS[@]}" eth0
has "proxy --wait" px 65534 $NET_ADMIN $NET_RAW $BPF $PERFMON
through "proxy --wait: translates" 12345
ends "proxy --wait" px

start_tool px client proxy --keep -I 0.1 "${MAPS[@]}" eth0
wait_for 5 dropped px
status=0
stop px || status=$?
equal "proxy --keep: ends well" $status 0
through "proxy --keep: the datapath goes on" 12345
start_tool px client proxy -I 0.1 "${MAPS[@]}" eth0
has "proxy after it has taken over" px 65534 $NET_ADMIN $BPF $PERFMON
through "and translates" 12345
ends "proxy after it has taken over" px
finish
