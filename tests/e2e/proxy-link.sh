#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The interface goes down and comes up, is deleted and comes back.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs socat jq

lan_of_the_mapping
# Else the kernel removes IPv6 addresses from an interface that goes down.
in_host client sysctl -q -w net.ipv6.conf.eth0.keep_addr_on_down=1
MAP=(-m "$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT")
start tcp target socat TCP$FAMILY-LISTEN:$TARGET_PORT,reuseaddr,fork EXEC:cat
wait_for 10 listening target tcp $TARGET_PORT

exchange()
{
	[ "$(echo hello | in_host client timeout $((5 * PATIENCE)) socat -t $((2 * PATIENCE)) - \
		"TCP:$ORIGINAL_AT:$ORIGINAL_PORT,connect-timeout=3" 2> /dev/null)" = hello ]
}

said()
{
	grep -q "$2" "$TMP/$1.err"
}

# --- down and up
start_tool proxy client proxy -I 0.2 "${MAP[@]}" eth0
check "it works" exchange
talk open client TCP:$ORIGINAL_AT:$ORIGINAL_PORT
says "a connection is open" open one one
for round in 1 2 3; do
	ip -n client link set eth0 down
	check "that it is down is said ($round)" wait_for 5 said proxy "eth0 has gone down"
	ip -n client link set eth0 up
	check "the tool runs ($round)" running proxy
	check "new connections work ($round)" wait_for 10 exchange
	says "the open one goes on ($round)" open "up $round" "up $round"
done
check "and that it is up again" said proxy "eth0 has gone up again"
stop proxy

# --- with --keep, and down at the end
start_tool proxy client proxy --keep "${MAP[@]}" eth0
check "--keep: it works" exchange
ip -n client link set eth0 down
wait_for 5 said proxy "eth0 has gone down"
stop proxy
ip -n client link set eth0 up
check "--keep: what is left works when the interface is up again" wait_for 10 exchange
start_tool proxy client proxy "${MAP[@]}" eth0
check "--keep: it is taken over" exchange
stop proxy

# --- deleted: the end without --wait is in lifecycle.sh
ip -n client link add tap0 type veth peer name tap1
ip -n client link set tap0 up
start_tool proxy client proxy --wait -I 0.2 "${MAP[@]}" tap0
ADDED=$(at "$(ip_of 10.9.0.1)" 80)
# packet_sockets: to send ARP by
packet_sockets()
{
	in_host client sed 1d /proc/net/packet | wc -l
}
equal "--wait: it can send ARP" "$(packet_sockets)" 1
in_host client "$BIN/proxy" --add "$ADDED=$(at "$(ip_of 10.9.0.2)" 80)/tcp" tap0
ip -n client link del tap0
check "--wait: it waits" wait_for 5 said proxy "tap0 is gone, waiting for it"
ip -n client link add tap0 type veth peer name tap1
ip -n client link set tap0 up
back()
{
	[ "$(grep -c 'attached to tap0' "$TMP/proxy.err")" -ge "$1" ]
}
check "--wait: it is back" wait_for 5 back 2
equal "--wait: with its filters" "$(our_filters client tap0 | sort | xargs) " "$FILTERS"
equal "--wait: it can send ARP again" "$(packet_sockets)" 1
in_host client "$BIN/proxy" --list tap0 > $TMP/list
check "--wait: and with what was added" grep -qF "$ADDED" $TMP/list
status=0
stop proxy || status=$?
equal "--wait: it ends well" "$status $(our_filters client tap0)" "0 "

# --- a name that is not there yet
start proxy client "$BIN/proxy" --wait -t 100 later0
check "--wait: a name that is not there is named" wait_for 5 said proxy "there is no later0, waiting for it"
ip -n client link add later0 type veth peer name later1
check "--wait: until it comes" wait_for 5 said proxy "attached to later0"
stop proxy
start proxy client "$BIN/proxy" --wait never0
wait_for 5 said proxy "waiting for it"
status=0
stop proxy || status=$?
equal "--wait: a signal ends the waiting" $status 0
status=0
in_host client timeout 10 "$BIN/proxy" --wait -t 0.2 never0 2> /dev/null || status=$?
equal "--wait: so does --duration" $status 0
finish
