#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Targets that cannot be reached: clients get ICMP host unreachable from the original.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs socat jq

lan_of_the_mapping
start tcp target socat TCP$FAMILY-LISTEN:$TARGET_PORT,reuseaddr,fork EXEC:cat
wait_for 10 listening target tcp $TARGET_PORT
# A client behind this host: its packets are forwarded.
host_behind inner in0 10.5.0
in_host client sysctl -q -w net.ipv4.conf.all.rp_filter=0 \
	net.ipv4.conf.in0.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0

# tries HOST: what a connection from there to the original ends with
tries()
{
	echo hello | in_host "$1" timeout $((30 * PATIENCE)) socat -t $((2 * PATIENCE)) - TCP:$ORIGINAL_AT:$ORIGINAL_PORT 2>&1 |
		sed 's/.*: //' | tail -n 1 # newer versions of socat say it twice
}

# ends HOST TEXT
ends()
{
	[ "$(tries "$1")" = "$2" ]
}

warned()
{
	grep -q "warning: the target $TARGET cannot be reached: $1" $TMP/proxy.err
}

count_of()
{
	jq -s "map(select(.type == \"total\"))[-1].$1" $TMP/proxy.out
}

start_tool proxy client proxy -o jsonl -I 0.2 \
	-m "$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT" eth0
for name in client inner; do
	check "$name: it works" wait_for 5 ends $name hello
done

# --- no route
ip -n client route add unreachable $TARGET
check "a target without a route is said" wait_for 5 warned "No route to host"
for name in client inner; do
	equal "$name: a connection is refused at once" "$(tries $name)" "No route to host"
done
counted()
{
	[ "$(count_of unreachable)" -ge 2 ]
}
check "and counted" wait_for 5 counted
ip -n client route del unreachable $TARGET
for name in client inner; do
	check "$name: it works again" wait_for 5 ends $name hello
done

# --- a host that is gone
ip -n target link set eth0 down
ip -n client neigh flush dev eth0
for name in client inner; do
	equal "$name: a connection to a host that is gone is refused" "$(tries $name)" "No route to host"
done
[ $FAMILY = 4 ] && how=ARP || how="neighbour solicitations"
check "which is said" warned "its next hop does not answer $how"
contains "--status names it" "$(in_host client "$BIN/proxy" --status eth0)" \
	"targets: 1, 1 down: *$TARGET"
ip -n target link set eth0 up
[ $FAMILY = 4 ] || address target eth0 $TARGET/64 # the kernel has removed it
ip -n target route add "$(net_of 10.5.0.0)" via $CLIENT
for name in client inner; do
	check "$name: it works when the host is back" wait_for 30 ends $name hello
done
contains "--status is content" "$(in_host client "$BIN/proxy" --status eth0)" "targets: 1, 0 down"

stop proxy
finish
