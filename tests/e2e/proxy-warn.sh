#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What keeps a mapping from working is said, also when it comes about while the tool runs.
. "$(dirname "$0")/../lib.sh"
needs socat

# The target is behind another device than the original.
host client far
link client eth0 far eth0
address client eth0 $CLIENT/24
link client far0 far eth1
address client far0 10.1.0.1/24
address far eth1 10.1.0.2/24
ip -n far route add 10.0.0.0/24 via 10.1.0.1
in_host client sysctl -q -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.far0.rp_filter=0
start far far socat TCP-LISTEN:7,reuseaddr,fork EXEC:cat
wait_for 10 listening far tcp 7

exchange()
{
	[ "$(echo hello | in_host client timeout $((5 * PATIENCE)) socat -t $((2 * PATIENCE)) - \
		"TCP:$ORIGINAL:$ORIGINAL_PORT,connect-timeout=2" 2> /dev/null)" = hello ]
}

# warned COUNT TEXT
warned()
{
	[ "$(grep -cF "warning: $2" $TMP/proxy.err)" = "$1" ]
}

start_tool proxy client proxy -m $ORIGINAL:$ORIGINAL_PORT=10.1.0.2:7/tcp eth0
check "it works" wait_for 5 exchange
equal "there is nothing to warn of" "$(grep -c warning $TMP/proxy.err)" 0
strict="replies of 10.1.0.2 come in by far0, where rp_filter=1 drops them"
in_host client sysctl -q -w net.ipv4.conf.far0.rp_filter=1
check_not "a strict rp_filter drops replies" exchange
check "which is said" wait_for 5 warned 1 "$strict"
in_host client sysctl -q -w net.ipv4.conf.far0.rp_filter=0
check "it works again" wait_for 5 exchange
gone="$ORIGINAL has no route, so nothing sent to it reaches eth0"
ip -n client route del 10.0.0.0/24 dev eth0
check "a route to FROM that goes is said" wait_for 5 warned 1 "$gone"
ip -n client route add 10.0.0.0/24 dev eth0 src $CLIENT
check "it works again" wait_for 5 exchange
ip -n client route del 10.1.0.0/24 dev far0
check "so is a route to the target" wait_for 5 warned 1 "the target 10.1.0.2 cannot be reached"
ip -n client route add 10.1.0.0/24 dev far0 src 10.1.0.1
check "it works again" wait_for 5 exchange
in_host client sysctl -q -w net.ipv4.conf.far0.rp_filter=1
check "what comes back is said again" wait_for 5 warned 2 "$strict"
in_host client sysctl -q -w net.ipv4.conf.far0.rp_filter=0
ip -n client link set eth0 down
ip -n client link set eth0 up
check "it works after down and up" wait_for 10 exchange
equal "which is nothing to warn of" "$(grep -c warning $TMP/proxy.err)" 4
stop proxy
finish
