#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What keeps a mapping from working is said, also when it comes about while the tool runs.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs socat

# The target is behind another device than the original.
host client far
link client eth0 far eth0
address client eth0 $CLIENT/$PREFIX
FAR=$(ip_of 10.1.0.2) NEAR_NET=$(net_of 10.0.0.0) FAR_NET=$(net_of 10.1.0.0)
link client far0 far eth1
address client far0 "$(ip_of 10.1.0.1)/$PREFIX"
address far eth1 $FAR/$PREFIX
ip -n far route add $NEAR_NET via "$(ip_of 10.1.0.1)"
in_host client sysctl -q -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.far0.rp_filter=0 \
	net.ipv6.conf.eth0.keep_addr_on_down=1
start far far socat TCP$FAMILY-LISTEN:7,reuseaddr,fork EXEC:cat
wait_for 10 listening far tcp 7

exchange()
{
	[ "$(echo hello | in_host client timeout $((5 * PATIENCE)) socat -t $((2 * PATIENCE)) - \
		"TCP:$ORIGINAL_AT:$ORIGINAL_PORT,connect-timeout=2" 2> /dev/null)" = hello ]
}

# warned COUNT TEXT
warned()
{
	[ "$(grep -cF "warning: $2" $TMP/proxy.err)" = "$1" ]
}

start_tool proxy client proxy \
	-m "$ORIGINAL_AT:$ORIGINAL_PORT=$(at $FAR 7)/tcp" eth0
check "it works" wait_for 5 exchange
equal "there is nothing to warn of" "$(grep -c warning $TMP/proxy.err)" 0
strict="replies of $FAR come in by far0, where rp_filter=1 drops them"
if [ "$FAMILY" = 4 ]; then # IPv6 has no rp_filter
	in_host client sysctl -q -w net.ipv4.conf.far0.rp_filter=1
	check_not "a strict rp_filter drops replies" exchange
	check "which is said" wait_for 5 warned 1 "$strict"
	in_host client sysctl -q -w net.ipv4.conf.far0.rp_filter=0
	check "it works again" wait_for 5 exchange
fi
gone="$ORIGINAL has no route, so nothing sent to it reaches eth0"
ip -n client route del $NEAR_NET dev eth0
check "a route to FROM that goes is said" wait_for 5 warned 1 "$gone"
ip -n client route add $NEAR_NET dev eth0 src $CLIENT
check "it works again" wait_for 5 exchange
ip -n client route del $FAR_NET dev far0
check "so is a route to the target" wait_for 5 warned 1 "the target $FAR cannot be reached"
ip -n client route add $FAR_NET dev far0 src "$(ip_of 10.1.0.1)"
check "it works again" wait_for 5 exchange
if [ "$FAMILY" = 4 ]; then
	ip -n client route add $FAR via inet6 fe80::1 dev far0
	check "so is a gateway of the other family" wait_for 5 warned 1 \
		"the target $FAR cannot be reached: its gateway has an IPv6 address"
	ip -n client route del $FAR via inet6 fe80::1 dev far0
	check "it works again" wait_for 5 exchange
	in_host client sysctl -q -w net.ipv4.conf.far0.rp_filter=1
	check "what comes back is said again" wait_for 5 warned 2 "$strict"
	in_host client sysctl -q -w net.ipv4.conf.far0.rp_filter=0
fi
ip -n client link set eth0 down
ip -n client link set eth0 up
check "it works after down and up" wait_for 10 exchange
equal "which is nothing to warn of" "$(grep -c warning $TMP/proxy.err)" $((FAMILY == 4 ? 5 : 2))
stop proxy
finish
