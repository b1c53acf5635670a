#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The target is behind another device than the interface. A mapped flow and one to the target itself
# may want the same 5-tuple there: the second one gets another source port.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs socat jq
FAR=$(ip_of 10.1.0.138) INNER=$(ip_of 10.2.0.2)
NEAR_MAP=("$ORIGINAL_AT:$ORIGINAL_PORT" "$(at $FAR $TARGET_PORT)") # of a proxy on eth0: from, to
FAR_MAP=("$(at "$(ip_of 10.1.0.10)" $ORIGINAL_PORT)" "$TARGET_AT:$TARGET_PORT") # on eth1

host client near far inner
link client eth0 near eth0
link client eth1 far eth0
link client eth2 inner eth0
address client eth0 $CLIENT/$PREFIX
address client eth1 "$(ip_of 10.1.0.1)/$PREFIX"
address client eth2 "$(ip_of 10.2.0.1)/$PREFIX"
address near eth0 $TARGET/$PREFIX
address far eth0 $FAR/$PREFIX
address inner eth0 $INNER/$PREFIX
ip -n near route add default via $CLIENT
ip -n far route add default via "$(ip_of 10.1.0.1)"
ip -n inner route add default via "$(ip_of 10.2.0.1)"
forwarding client
in_host client sysctl -q -w net.ipv4.conf.all.rp_filter=0
for name in near far; do
	answering $name $name
done

port=41000
# collide NAME HOST ADDRESS PROTOCOL FIRST SECOND ANSWERS: two flows from one address and port to
# FIRST and SECOND (ADDRESS:PORT), whose servers answer with ANSWERS
collide()
{
	local i name=$1 host=$2 source=$3 proto=$4 targets=("$5" "$6") answers=("$7" "$8")
	port=$((port + 1))
	for i in 0 1; do
		talk $port-$i "$host" "$proto:${targets[i]},bind=$(at "$source" $port),reuseaddr"
		says "$name: ${targets[i]} answers" $port-$i a "${answers[i]} a"
	done
	says "$name: the first one goes on" $port-0 b "${answers[0]} b"
	says "$name: and the second" $port-1 c "${answers[1]} c"
	stop $port-0 || true
	stop $port-1 || true
}

# variants NAME MAPPED DIRECT SERVER: both orders, protocols, and kinds of client
variants()
{
	local proto host source
	for proto in TCP UDP; do
		for host in client inner; do
			source=$CLIENT
			[ $host = client ] || source=$INNER
			collide "$1, $proto of $host, mapped first" $host $source $proto "$2" "$3" "$4" "$4"
			collide "$1, $proto of $host, direct first" $host $source $proto "$3" "$2" "$4" "$4"
		done
	done
}

for tcx in "" --tcx; do
	start_tool one client proxy -o jsonl -I 0.2 $tcx \
		-m "${NEAR_MAP[0]}=${NEAR_MAP[1]}" eth0
	variants "${tcx:-clsact}" "${NEAR_MAP[@]}" far
	check "${tcx:-clsact}: each second flow got another port" wait_for 5 \
		eval "tail -n 1 $TMP/one.out | jq -e '.ports_changed == 8' > /dev/null"

	# --- a second proxy, whose target is behind the first one's interface ---
	start_tool two client proxy -o jsonl -I 0.2 $tcx -m "${FAR_MAP[0]}=${FAR_MAP[1]}" eth1
	variants "${tcx:-clsact}, crossed, first" "${NEAR_MAP[@]}" far
	variants "${tcx:-clsact}, crossed, second" "${FAR_MAP[@]}" near
	check "${tcx:-clsact}: both have filters on eth1" \
		eval "[ '$tcx' ] || [ \$(our_filters client eth1 | grep -c .) = 4 ]"
	stop two
	stop one
	equal "${tcx:-clsact}: nothing is left on eth1" "$(our_filters client eth1)" ""
done
finish
