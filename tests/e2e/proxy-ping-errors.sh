#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# ICMP errors about ping of originals: about the target's replies, which it has to recognise, and about
# requests; of a target on the link, and of one behind another device.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs jq nft ping python3

FAR=$(ip_of 10.4.0.138) ORIGINAL2=$(ip_of 10.0.0.11) INNER=$(ip_of 10.5.0.2)
if [ $FAMILY = 4 ]; then
	PROTO=icmp EXCEEDED="11 0" TOO_BIG="3 4" UNREACHABLE="3 1" PORT_UNREACHABLE="3 3"
else
	PROTO=icmpv6 EXCEEDED="3 0" TOO_BIG="2 0" UNREACHABLE="1 3" PORT_UNREACHABLE="1 4"
fi
lan_of_the_mapping
host_behind inner eth1 10.5.0
host far
link client eth2 far eth0
address client eth2 "$(ip_of 10.4.0.1)/$PREFIX"
address far eth0 $FAR/$PREFIX
ip -n far route add default via "$(ip_of 10.4.0.1)"
in_host client sysctl -q -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth2.rp_filter=0 \
	net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
in_host inner sysctl -q -w net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
for name in target far; do
	in_host client ping -q -c 1 -W $((5 * PATIENCE)) "$([ $name = far ] && echo $FAR || echo $TARGET)" > /dev/null
	start watch-$name $name python3 "$ROOT/tests/e2e/echo-errors.py"
	wait_for 5 grep -q watching $TMP/watch-$name.out
done
start_tool proxy client proxy -o jsonl -I 0.2 -m "$ORIGINAL_AT=$TARGET_AT" \
	-m "$(at $ORIGINAL2)=$(at $FAR)" eth0

# answered HOST ADDRESS [OPTION...]: whether ping gets an answer that comes from this very address
answered()
{
	in_host "$1" ping -n -c 1 -W $((2 * PATIENCE)) "${@:3}" "$2" > $TMP/ping.out 2>&1 &&
		grep -q "from $2: icmp_seq=1 " $TMP/ping.out
}

# rejecting HOST REPLIES REASON: nft of a HOST rejects echo replies of a hook
rejecting()
{
	in_host $1 nft -f - <<-NFT
		table inet test {
			chain replies {
				type filter hook $2 priority 0
				$PROTO type echo-reply reject with icmpx type $3
			}
		}
	NFT
}

# heard NAME HOST SENDER ERROR: all errors that HOST has got since the last time are this one, about
# replies to "inner"
declare -A heard=([target]=1 [far]=1) # lines
heard()
{
	wait_for 5 eval "[ \$(wc -l < $TMP/watch-$2.out) -gt ${heard[$2]} ]" || true
	equal "$1" "$(tail -n +$((heard[$2] + 1)) $TMP/watch-$2.out | sort -u)" "$4 from $3: about a reply to $INNER"
	heard[$2]=$(wc -l < $TMP/watch-$2.out)
}

# request ORIGINAL [OPTION...]: from "inner", whose reply is lost; its target sees another identifier
request()
{
	in_host inner ping -n -c 1 -W 0.2 -e 777 "${@:2}" "$1" > $TMP/ping.out 2>&1 || true
}

# --- errors about replies
for name in target far; do
	[ $name = target ] && original=$ORIGINAL address=$TARGET || original=$ORIGINAL2 address=$FAR
	router=$CLIENT
	# Linux says errors by the address of the device that the packet came in by, in IPv6.
	[ $name$FAMILY != far6 ] || router=$(ip_of 10.4.0.1)
	check "$name: it is pinged itself" answered inner $address -e 777
	for host in client inner; do
		check "$name: an original is, by $host" answered $host $original -e 777
		check "$name: in fragments, by $host" answered $host $original -s 20000
	done

	in_host $name sysctl -q -w net.ipv4.ip_default_ttl=1 net.ipv6.conf.eth0.hop_limit=1
	request $original
	heard "$name: time exceeded in transit" $name $router "$EXCEEDED"
	in_host $name sysctl -q -w net.ipv4.ip_default_ttl=64 net.ipv6.conf.eth0.hop_limit=64

	rejecting client forward host-unreachable
	request $original
	heard "$name: a host that cannot be reached" $name $router "$UNREACHABLE"
	in_host client nft delete table inet test

	rejecting inner input port-unreachable
	request $original
	heard "$name: the pinging host is not interested" $name $INNER "$PORT_UNREACHABLE"
	in_host inner nft delete table inet test

	ip -n client link set eth1 mtu 1280
	ip -n inner link set eth0 mtu 1280
	[ $FAMILY = 6 ] || in_host $name nft "add table inet test; \
		add chain inet test replies { type filter hook output priority 0; }; \
		add rule inet test replies icmp type echo-reply ip frag-off set 0x4000" # don't fragment
	request $original -s 1400
	heard "$name: a reply that is too big" $name $router "$TOO_BIG"
	contains "$name: which has told the path's MTU" "$(ip -n $name route get $INNER)" "mtu 1280"
	[ $FAMILY = 6 ] || in_host $name nft delete table inet test
	check "$name: replies come in fragments then" answered inner $original -s 1400
	ip -n client link set eth1 mtu 1500
	ip -n inner link set eth0 mtu 1500
done

# --- errors about requests
ip -n client link set eth2 mtu 1280
ip -n far link set eth0 mtu 1280
too_big()
{
	in_host "$1" ping -n -c 1 -W $((2 * PATIENCE)) -M "do" -s 1400 $ORIGINAL2 2>&1 |
		grep -i "from $ORIGINAL2.*mtu *= *1280"
}
for host in inner client; do
	check "$host: a request that is too big for another device" too_big $host
	check "$host: goes there in fragments" wait_for 10 answered $host $ORIGINAL2 -s 1400
done
ip -n client route add unreachable $FAR
unreachable()
{
	in_host "$1" ping -n -c 1 -W $((2 * PATIENCE)) $ORIGINAL2 2>&1 |
		grep -i "from $ORIGINAL2.*\(host\|address\) unreachable"
}
for host in inner client; do
	check "$host: a target without a route is said to be one that cannot be reached" \
		wait_for 5 unreachable $host
done
ip -n client route del unreachable $FAR
check "and is pinged again" wait_for 5 answered inner $ORIGINAL2
stop proxy
equal "no packet was dropped" "$(grep '"type":"total"' $TMP/proxy.out | tail -n 1 | jq '.full + .no_port + .failed')" 0
finish
