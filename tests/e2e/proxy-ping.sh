#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Ping of originals that are mapped without a port (RFC 5508): of this host, of hosts behind it, in
# fragments, with one identifier at once, while mappings change, and with nobody left to look after
# them.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs ping jq nft socat tcpdump

ORIGINAL2=$(ip_of 10.0.0.11) TARGET2=$(ip_of 10.0.0.139)
PROTO=icmp REQUEST="icmp[icmptype] == 8"
[ $FAMILY = 4 ] || PROTO=icmpv6 REQUEST="icmp6[icmp6type] == 128"

# answered HOST ADDRESS [OPTION...]: whether ping gets an answer that comes from this very address
answered()
{
	in_host "$1" ping -n -c 1 -W $((2 * PATIENCE)) "${@:3}" "$2" > $TMP/ping.out 2>&1 &&
		grep -q "from $2: icmp_seq=1 " $TMP/ping.out
}

# mapped: how many requests have been sent on, in all
mapped()
{
	in_host client "$BIN/proxy" --list -o jsonl eth0 |
		jq -s --arg proto $PROTO 'map(select(.proto == $proto) | .packets_out) | add'
}

lan_of_the_mapping
host_behind inner eth1 10.5.0
in_host client ping -c 1 -W $((5 * PATIENCE)) $TARGET > /dev/null
start_tool proxy client proxy -m "$(at $ORIGINAL)=$(at $TARGET)" \
	-m "$(at $ORIGINAL2)=$(at $TARGET)" -o jsonl -I 0.2 eth0
contains "two mappings" "$(cat $TMP/proxy.err)" "2 mappings"
check "an absent original answers ping" wait_for 10 answered client $ORIGINAL
in_host client sysctl -q -w net.ipv4.ping_group_range="0 0"
check "so it does by a ping socket" answered client $ORIGINAL
check "in 20,000 bytes, so in fragments" answered client $ORIGINAL -s 20000
check "without a byte of data" answered client $ORIGINAL -s 0
check "and to a host behind the client" answered inner $ORIGINAL
check "in fragments, too" answered inner $ORIGINAL -s 20000
check "the target itself answers as ever" answered client $TARGET
at_least()
{
	[ "$(mapped)" -ge "$1" ]
}
check "the mapping counts them" at_least 6
equal "it is listed for tcp, udp and $PROTO" "$(in_host client "$BIN/proxy" --list -o jsonl eth0 |
	jq -r --arg from "$(at $ORIGINAL)" 'select(.from == $from) | .proto' | sort | tr '\n' ' ')" \
	"$PROTO tcp udp "

# --- one identifier, three ways to one target
start watch target tcpdump -n -l -i eth0 "$REQUEST"
wait_for 10 grep -q listening $TMP/watch.err
for round in first second; do
	for address in $ORIGINAL $ORIGINAL2 $TARGET; do
		check "$address answers one identifier, $round" answered client $address -e 777
	done
done
seen()
{
	[ "$(grep -o 'id [0-9]*, seq' $TMP/watch.out | sort | uniq -c | awk '$1 == 2' | wc -l)" = 3 ]
}
check "the target has seen three identifiers, each twice" wait_for 10 seen
stop watch || true
has_flows()
{
	[ "$(jq -r --arg client "$(at $CLIENT 777)" 'select(.type == "flow" and .client == $client) |
		"\(.proto) \(.from) \(.to)"' $TMP/proxy.out | sort -u)" = "$(
		printf "$PROTO %s $(at $TARGET)\n" "$(at $ORIGINAL)" "$(at $ORIGINAL2)" | sort)" ]
}
check "reports show the flows with the client's identifier" wait_for 10 has_flows

# --- an error about a request
in_host target nft -f - <<-NFT
	table inet test {
		chain input {
			type filter hook input priority 0
			$PROTO type echo-request reject with icmpx type admin-prohibited
		}
	}
NFT
refused()
{
	in_host "$1" ping -n -c 1 -W $((2 * PATIENCE)) $ORIGINAL 2>&1 | grep -qi "from $ORIGINAL.*\(filtered\|prohibited\)"
}
check "an error about a request is one of the original's" refused client
check "for a host behind the client, too" refused inner
in_host target nft delete table inet test

# --- mappings that change
address target eth0 $TARGET2/$PREFIX
start watch target tcpdump -n -l -i eth0 "$REQUEST and dst host $TARGET2"
wait_for 10 grep -q listening $TMP/watch.err
start long client ping -n -i 0.2 $ORIGINAL
wait_for 10 grep -q icmp_seq=2 $TMP/long.out
check "a mapping gets another target" in_host client "$BIN/proxy" --add "$(at $ORIGINAL)=$(at $TARGET2)" eth0
check "a ping that runs goes there" wait_for 10 grep -q "> $TARGET2" $TMP/watch.out
count=$(grep -c icmp_seq $TMP/long.out)
more()
{
	[ "$(grep -c icmp_seq $TMP/long.out)" -ge $((count + 5)) ]
}
check "and is answered on" wait_for 10 more
check "a mapping of one protocol is added" in_host client "$BIN/proxy" --add "$(at $ORIGINAL)=$(at $TARGET)/tcp" eth0
check "which leaves ping as it is" answered client $ORIGINAL
check "the mapping is deleted" in_host client "$BIN/proxy" --delete "$(at $ORIGINAL)" eth0
check_not "and nobody answers ping any more" answered client $ORIGINAL
check "the other mapping is deleted with its flows" \
	in_host client "$BIN/proxy" --kill --delete "$(at $ORIGINAL2)=$(at $TARGET)" eth0
check_not "so there, too" answered client $ORIGINAL2
stop long INT || true
stop watch || true
check "both are added again" in_host client bash -c \
	"'$BIN/proxy' --add '$(at $ORIGINAL)=$(at $TARGET)' eth0 && '$BIN/proxy' --add '$(at $ORIGINAL2):80=$(at $TARGET):80' eth0"
check "one is pinged again" wait_for 10 answered client $ORIGINAL
check_not "one with a port is not" answered client $ORIGINAL2
equal "no packet was dropped" \
	"$(jq -r 'select(.type == "total") | .full + .no_port + .failed' $TMP/proxy.out | tail -n 1)" 0
stop proxy || true

# --- kept, taken over, full
start_tool proxy client proxy --keep -m "$(at $ORIGINAL)=$(at $TARGET)" eth0
check "a ping, before the proxy goes" wait_for 10 answered client $ORIGINAL -e 42
stop proxy || true
check "it goes on without a proxy" answered client $ORIGINAL -e 42
start_tool proxy client proxy -m "$(at $ORIGINAL)=$(at $TARGET)" -o jsonl -I 0.2 eth0
check "another takes the flow over" wait_for 5 grep -qF "$(at $CLIENT 42)" $TMP/proxy.out
check "and goes on" answered client $ORIGINAL -e 42
stop proxy || true
start_tool proxy client proxy --max-flows 16 -m "$(at $ORIGINAL)=$(at $TARGET)" -o jsonl -I 0.2 eth0
for id in $(seq 1 40); do
	in_host client ping -n -c 1 -W 0.01 -e "$id" $ORIGINAL > /dev/null 2>&1 || true
done
full()
{
	jq -r 'select(.type == "total") | .full' $TMP/proxy.out | tail -n 1 | grep -qv '^0$'
}
check "a full table is counted" wait_for 5 full
stop proxy || true

# --- a device without a link layer
host left right
start tun-right right socat "UNIX-LISTEN:$TMP/wire,type=5" TUN,tun-name=tun0,tun-type=tun,iff-no-pi,up
wait_for 5 test -S $TMP/wire
start tun-left left socat "UNIX-CONNECT:$TMP/wire,type=5" TUN,tun-name=tun0,tun-type=tun,iff-no-pi,up
wait_for 5 ip -n left link show tun0
wait_for 5 ip -n right link show tun0
address right tun0 $TARGET/$PREFIX
address left tun0 $CLIENT/$PREFIX
start_tool proxy left proxy -m "$(at $ORIGINAL)=$(at $TARGET)" tun0
check "ping through a tun device" wait_for 10 answered left $ORIGINAL
check "in fragments as well" answered left $ORIGINAL -s 3000
stop proxy || true

# --- a target on the client itself
start_tool proxy client proxy -m "$(at $ORIGINAL)=$(at $CLIENT)" eth0
check "the client pings itself through the original" wait_for 10 answered client $ORIGINAL
check "in fragments as well" answered client $ORIGINAL -s 20000
stop proxy || true
finish
