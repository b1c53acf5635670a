#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# packet-monitor counts what the wire carried while proxy works on the same interface: packets that
# proxy puts in at ingress (its ARP answers, what it turns back) came over no wire.
. "$(dirname "$0")/../lib.sh"
needs socat jq

host client target
# Nothing else may cross the link; IPv6 would announce itself at moments of its own.
for host in client target; do
	in_host $host sysctl -q -w net.ipv6.conf.{all,default}.disable_ipv6=1
done
link client eth0 target eth0
address client eth0 $CLIENT/24
address target eth0 $TARGET/24
start tcp target socat TCP-LISTEN:$TARGET_PORT,reuseaddr,fork EXEC:cat
wait_for 10 listening target tcp $TARGET_PORT

# statistics DIRECTION: packets and bytes of the client's device
statistics()
{
	in_host client cat /sys/class/net/eth0/statistics/{$1_packets,$1_bytes} | xargs
}

# total DIRECTION: the same as packet-monitor reports it
total()
{
	jq -s -r 'map(select(.type == "total" and .dir == "'"$1"'"))[-1] | "\(.packets) \(.bytes)"' \
		"$TMP/monitor.out"
}

# since BEFORE NOW: what has been added, field by field
since()
{
	local before now
	read -ra before <<< "$1"
	read -ra now <<< "$2"
	echo "$((now[0] - before[0])) $((now[1] - before[1]))"
}

# answered: proxy has answered at least one ARP request
answered()
{
	grep -q '"arp_answered":[1-9]' "$TMP/proxy.out"
}

in_before=$(statistics rx) out_before=$(statistics tx)
start_tool monitor client packet-monitor -j -I 0.1 eth0
start_tool proxy client proxy -o jsonl -I 0.1 eth0
check "the exchange" test "$(echo hello | in_host client socat -t 5 - \
	TCP4:$ORIGINAL:$ORIGINAL_PORT)" = hello
check "proxy has answered an ARP request" wait_for 5 answered
# The target is this host: its packets turn back at the interface.
start local client socat TCP-LISTEN:7777,reuseaddr,fork EXEC:cat
wait_for 10 listening client tcp 7777
check "a target that is this host is added" in_host client "$BIN/proxy" \
	--add 10.0.0.11:80=$CLIENT:7777/tcp eth0
check "the exchange with it" test "$(echo hello | in_host client socat -t 5 - \
	TCP4:10.0.0.11:80)" = hello
stop proxy INT
stop monitor INT
equal "in: packets and bytes are the device's" "$(total in)" \
	"$(since "$in_before" "$(statistics rx)")"
equal "out: packets and bytes are the device's" "$(total out)" \
	"$(since "$out_before" "$(statistics tx)")"
finish
