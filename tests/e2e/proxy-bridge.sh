#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The interface is a port of a bridge, or carries a macvlan: packets of this host and of its guests
# are translated once, wherever the route to the target leads.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs socat jq
host client target guest
lan client target
address target eth0 $TARGET/$PREFIX
GUEST=$(ip_of 10.0.0.2)
MAP=(-m "$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT")
start server target socat TCP$FAMILY-LISTEN:$TARGET_PORT,reuseaddr,fork SYSTEM:"echo \\\$SOCAT_PEERADDR; cat"
start userver target socat UDP$FAMILY-LISTEN:$TARGET_PORT,reuseaddr,fork SYSTEM:"read x; echo \\\$SOCAT_PEERADDR \\\$x"
wait_for 10 listening target tcp $TARGET_PORT
wait_for 10 listening target udp $TARGET_PORT

# answer HOST tcp|udp ADDRESS PORT OPTIONS: what the server answers to "one", in one line
answer()
{
	in_host "$1" timeout $((10 * PATIENCE)) socat -t $((2 * PATIENCE)) - "$2:$(at $3 $4)$5" <<< one 2>&1 | paste -sd' ' |
		sed 's/^\[\(.*\)\]/\1/; s/\b0*\([0-9a-f]\)/\1/g; s/\(:0\)\{2,\}:/::/' # IPv6 is not compressed
}

# counter FIELD: of the last total
counter()
{
	grep '"type":"total"' $TMP/proxy.out | tail -n 1 | jq ".$1"
}

# both_protocols NAME HOST HOST_ADDRESS
both_protocols()
{
	equal "$1: TCP" "$(answer "$2" TCP $ORIGINAL $ORIGINAL_PORT ,connect-timeout=5)" "$3 one"
	equal "$1: UDP" "$(answer "$2" UDP $ORIGINAL $ORIGINAL_PORT "")" "$3 one"
}

# --- a port of a bridge, with a guest at another --------------------------------------------------

ip -n client link add br9 type bridge mcast_snooping 0
ip -n client link set br9 up
ip -n client link set eth0 master br9
link guest eth0 client p-guest
ip -n client link set p-guest master br9
address client br9 $CLIENT/$PREFIX
address guest eth0 $GUEST/$PREFIX
start_tool proxy client proxy -o jsonl -I 0.2 "${MAP[@]}" eth0
both_protocols "this host, by the bridge" client $CLIENT
both_protocols "a guest at another port" guest $GUEST
equal "the guest, to the target itself" \
	"$(answer guest TCP $TARGET $TARGET_PORT ,connect-timeout=5)" "$GUEST one"
check "4 mapped flows and a direct one are reported" wait_for 10 eval '[ "$(counter flows)" = 5 ]'
equal "nothing was seen twice: no flow got another port" "$(counter ports_changed)" 0
stop proxy

# The target is the guest: the original's packets leave by eth0, and have to come back.
start gserver guest socat TCP$FAMILY-LISTEN:$TARGET_PORT,reuseaddr,fork SYSTEM:"echo \\\$SOCAT_PEERADDR; cat"
wait_for 10 listening guest tcp $TARGET_PORT
start_tool proxy client proxy -o jsonl -I 0.2 \
	-m "$ORIGINAL_AT:$ORIGINAL_PORT=$(at $GUEST $TARGET_PORT)" eth0
equal "the target is at another port of the bridge" \
	"$(answer client TCP $ORIGINAL $ORIGINAL_PORT ,connect-timeout=5)" "$CLIENT one"
stop proxy
ip -n client link del br9
ip -n client link del p-guest

# --- with a macvlan ------------------------------------------------------------------------------

address client eth0 $CLIENT/$PREFIX
ip -n client link add mv0 link eth0 type macvlan mode bridge
ip -n client link set mv0 name eth0 netns guest
ip -n guest link set eth0 up
address guest eth0 $GUEST/$PREFIX
ip -n target neigh flush dev eth0 # the guest has another MAC address now
start_tool proxy client proxy -o jsonl -I 0.2 "${MAP[@]}" eth0
both_protocols "this host, beside a macvlan" client $CLIENT
both_protocols "a guest on the macvlan" guest $GUEST
stop proxy

# The route to the target leaves by a macvlan of this host, which leads back to the interface.
ip -n client link add mv1 link eth0 type macvlan mode bridge
ip -n client link set mv1 up
ip -n client address del $CLIENT/$PREFIX dev eth0
address client mv1 $CLIENT/$PREFIX
start_tool proxy client proxy -o jsonl -I 0.2 "${MAP[@]}" eth0
both_protocols "this host, by its macvlan" client $CLIENT
check "its 2 flows are reported" wait_for 5 eval '[ "$(counter flows)" = 2 ]'
equal "and neither got another port" "$(counter ports_changed)" 0
stop proxy
finish
