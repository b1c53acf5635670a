#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A RST with a wrong sequence number, from the target's address: the client's kernel ignores it, so
# the connection keeps its flow. A real one ends it.
. "$(dirname "$0")/../lib.sh"
needs socat jq python3 nft
lan_of_the_mapping
start server target socat TCP-LISTEN:$TARGET_PORT,reuseaddr,fork EXEC:cat
wait_for 10 listening target tcp $TARGET_PORT
start_tool proxy client proxy -o jsonl -I 0.2 --tcp-closing 1 eth0
talk idle client TCP:$ORIGINAL:$ORIGINAL_PORT,sourceport=41000,reuseaddr
says "a connection" idle one one

# flow FIELD [CLIENT]: of the connection, in the last complete report; "" if it has no flow
flow()
{
	tac $TMP/proxy.out | awk '/"type":"total"/ && ++totals == 2 { exit } totals' |
		jq -r "select(.type == \"flow\" and .client == \"${2:-$CLIENT}:41000\") | .$1"
}

# state_is STATE [CLIENT]
state_is()
{
	[ "$(flow state "${2:-$CLIENT}")" = "$1" ]
}

# forged_reset CLIENT: from the target, but for its sequence number
forged_reset()
{
	in_host target python3 - $TARGET $TARGET_PORT $1 41000 <<-'PYTHON'
		import socket, struct, sys
		source, sport, dest, dport = sys.argv[1:]
		addresses = socket.inet_aton(source) + socket.inet_aton(dest)
		header = lambda check: struct.pack("!HHIIBBHHH", int(sport), int(dport), 12345, 0, 5 << 4, 4, 0, check, 0)
		words = struct.unpack("!16H", addresses + struct.pack("!HH", 6, 20) + header(0))
		total = sum(words) % 65535
		raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
		raw.sendto(header(65535 - total), (dest, 0))
	PYTHON
}

check "it is established" wait_for 5 state_is established
check "a forged RST is sent" forged_reset $CLIENT
check "its flow looks closed" wait_for 5 state_is closing
check "until its time is over: the socket is still there" wait_for 10 state_is established
says "the connection goes on" idle two two

in_host target nft -f - <<-RULES
	table ip refuse {
		chain in {
			type filter hook input priority 0;
			tcp dport $TARGET_PORT reject with tcp reset
		}
	}
RULES
echo three >& "${lines[idle]}"
check "after a real RST, the flow looks closed" wait_for 5 state_is closing
check "and is removed" wait_for 10 state_is ""
in_host target nft delete table ip refuse

# A client behind this host has no socket here that would tell. Its flow goes; what it sends next
# makes the flow anew. (An answer that the target begins by itself would not be translated then.)
INNER=10.2.0.2
host inner
link client eth1 inner eth0
address client eth1 10.2.0.1/24
address inner eth0 $INNER/24
ip -n inner route add default via 10.2.0.1
ip -n target route add default via $CLIENT
in_host client sysctl -q -w net.ipv4.ip_forward=1
talk inner inner TCP:$ORIGINAL:$ORIGINAL_PORT,sourceport=41000,reuseaddr
says "a forwarded connection" inner one one
check "its flow is established" wait_for 5 state_is established $INNER
check "a forged RST for it is sent" forged_reset $INNER
check "its flow looks closed" wait_for 5 state_is closing $INNER
check "and is removed" wait_for 10 state_is "" $INNER
says "the connection goes on" inner two two
check "with a new flow" wait_for 5 state_is established $INNER
stop proxy
finish
