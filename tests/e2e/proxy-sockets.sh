#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Sockets of this host that talk to the target itself, from before the proxy, and have been silent
# since: their ports are taken, and where there are none, new flows do not ask for any.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs socat jq bpftool
lan_of_the_mapping
answering target target

proxy_runs()
{
	start_tool proxy client proxy -o jsonl -I 0.2 \
		-m "$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT" eth0
	# It has looked at the sockets before its first report.
	wait_for 5 grep -q '"type":"total"' $TMP/proxy.out
	mappings=$(proxy_map client eth0 mappings)
}

# asks tcp|udp PORT: whether new flows of the mapping ask for sockets (PROXY_MAPPING_ASK)
asks()
{
	local proto=6 port=$((($2 & 255) << 8 | $2 >> 8)) # in network byte order
	[ $1 = tcp ] || proto=17
	in_host client bpftool -j map dump id $mappings | jq -e --argjson proto $proto --argjson port $port \
		'.[].formatted | select(.key.proto == $proto and .key.port == $port) | .value.flags >= 4' > /dev/null
}

ports_changed()
{
	grep '"type":"total"' $TMP/proxy.out | tail -n 1 | jq .ports_changed
}

# --- there are none ------------------------------------------------------------------------------

proxy_runs
check_not "without sockets to the target, TCP does not ask for them" asks tcp $ORIGINAL_PORT
check_not "nor does UDP" asks udp $ORIGINAL_PORT
stop proxy

# --- there are some ------------------------------------------------------------------------------

talk old-tcp client TCP:$TARGET_AT:$TARGET_PORT,sourceport=41000,reuseaddr
says "a connection to the target itself" old-tcp one "target one"
talk old-udp client UDP:$TARGET_AT:$TARGET_PORT,sourceport=41000,reuseaddr
says "and a UDP socket" old-udp one "target one"
proxy_runs
check "with them, TCP asks" asks tcp $ORIGINAL_PORT
check "and UDP" asks udp $ORIGINAL_PORT
talk new-tcp client TCP:$ORIGINAL_AT:$ORIGINAL_PORT,sourceport=41000,reuseaddr
says "a mapped connection from the same port" new-tcp two "target two"
talk new-udp client UDP:$ORIGINAL_AT:$ORIGINAL_PORT,sourceport=41000,reuseaddr
says "and a mapped UDP flow" new-udp two "target two"
check "both have been given another port" wait_for 3 eval '[ "$(ports_changed)" = 2 ]'
says "the old connection goes on" old-tcp three "target three"
says "and the old UDP flow" old-udp three "target three"
says "beside the new connection" new-tcp four "target four"
says "and the new UDP flow" new-udp four "target four"

# --- another mapping -----------------------------------------------------------------------------

check "a mapping is added" in_host client $BIN/proxy --add "$ORIGINAL_AT:80=$TARGET_AT:80/tcp" eth0
check "its target has no sockets" wait_for 3 eval '! asks tcp 80'
check "the first one still asks" asks tcp $ORIGINAL_PORT
finish
