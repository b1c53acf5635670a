#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A RST with a wrong sequence number, from the target's address: the client's kernel ignores it, so
# the connection keeps its flow. A real one ends it.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs socat jq python3 nft
lan_of_the_mapping
start server target socat TCP$FAMILY-LISTEN:$TARGET_PORT,reuseaddr,fork EXEC:cat
wait_for 10 listening target tcp $TARGET_PORT
start_tool proxy client proxy -o jsonl -I 0.2 --tcp-closing 1 \
	-m "$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT" eth0
talk idle client TCP:$ORIGINAL_AT:$ORIGINAL_PORT,sourceport=41000,reuseaddr
says "a connection" idle one one

# flow FIELD [CLIENT]: of the connection, in the last complete report; "" if it has no flow
flow()
{
	tac $TMP/proxy.out | awk '/"type":"total"/ && ++totals == 2 { exit } totals' |
		jq -r "select(.type == \"flow\" and .client == \"$(at "${2:-$CLIENT}" 41000)\") | .$1"
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
		family = socket.AF_INET6 if ":" in dest else socket.AF_INET
		addresses = socket.inet_pton(family, source) + socket.inet_pton(family, dest)
		header = lambda check: struct.pack("!HHIIBBHHH", int(sport), int(dport), 12345, 0, 5 << 4, 4, 0, check, 0)
		data = addresses + struct.pack("!HH", 6, 20) + header(0)
		total = sum(struct.unpack("!%dH" % (len(data) // 2), data)) % 65535
		raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP)
		raw.sendto(header(65535 - total), (dest, 0))
	PYTHON
}

check "it is established" wait_for 5 state_is established
check "a forged RST is sent" forged_reset $CLIENT
check "its flow looks closed" wait_for 5 state_is closing
check "until its time is over: the socket is still there" wait_for 10 state_is established
says "the connection goes on" idle two two

in_host target nft -f - <<-RULES
	table inet refuse {
		chain in {
			type filter hook input priority 0;
			tcp dport $TARGET_PORT reject with tcp reset
		}
	}
RULES
echo three >& "${lines[idle]}"
check "after a real RST, the flow looks closed" wait_for 5 state_is closing
check "and is removed" wait_for 10 state_is ""
in_host target nft delete table inet refuse

# A client behind this host has no socket here that would tell. Its flow goes; what it sends next
# makes the flow anew. (An answer that the target begins by itself would not be translated then.)
INNER=$(ip_of 10.2.0.2)
host_behind inner eth1 10.2.0
talk inner inner TCP:$ORIGINAL_AT:$ORIGINAL_PORT,sourceport=41000,reuseaddr
says "a forwarded connection" inner one one
check "its flow is established" wait_for 5 state_is established $INNER
check "a forged RST for it is sent" forged_reset $INNER
check "its flow looks closed" wait_for 5 state_is closing $INNER
check "and is removed" wait_for 10 state_is "" $INNER
says "the connection goes on" inner two two
check "with a new flow" wait_for 5 state_is established $INNER
stop proxy
finish
