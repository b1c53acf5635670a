#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The way to the target: behind a gateway, and changing while traffic flows.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs socat jq

#	client eth0 --- lan 10.0.0.0/24 --- gw1, gw2, near ------- 10.2.0.0/24 --- target
#	client eth1 --- 10.1.0.0/24 ------- gw3 ------------------'
host client gw1 gw2 gw3 target near
lan client gw1 gw2 near
address client eth0 $CLIENT/$PREFIX
address gw1 eth0 "$(ip_of 10.0.0.2)/$PREFIX"
address gw2 eth0 "$(ip_of 10.0.0.3)/$PREFIX"
address near eth0 "$(ip_of 10.0.0.138)/$PREFIX"
link client eth1 gw3 eth0
address client eth1 "$(ip_of 10.1.0.1)/$PREFIX"
address gw3 eth0 "$(ip_of 10.1.0.2)/$PREFIX"
host backbone
ip -n backbone link add br0 type bridge mcast_snooping 0
ip -n backbone link set br0 up
n=1
for name in gw1 gw2 gw3 target; do
	link $name eth9 backbone p-$name
	ip -n backbone link set p-$name master br0
	address $name eth9 "$(ip_of 10.2.0.$n)/$PREFIX"
	n=$((n + 1))
	forwarding $name
	in_host $name sysctl -q -w net.ipv4.conf.all.rp_filter=0 \
		net.ipv4.conf.eth9.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0 2> /dev/null || true
	# A router that says "redirect" would do our work.
	in_host $name sysctl -q -w net.ipv4.conf.all.send_redirects=0 \
		net.ipv4.conf.eth9.send_redirects=0 net.ipv4.conf.eth0.send_redirects=0 \
		2> /dev/null || true
done
ip -n gw3 route add "$(net_of 10.0.0.0)" via "$(ip_of 10.1.0.1)"
ip -n target address add "$(ip_of 10.3.0.138)" dev lo
TARGET=$(ip_of 10.3.0.138) NEAR=$(ip_of 10.0.0.138)
for gw in gw1 gw2 gw3; do
	ip -n $gw route add $TARGET via "$(ip_of 10.2.0.4)"
done
ip -n target route add "$(net_of 10.0.0.0)" via "$(ip_of 10.2.0.1)"
ip -n client route add $TARGET via "$(ip_of 10.0.0.2)"
in_host client sysctl -q -w net.ipv6.conf.all.accept_redirects=0 net.ipv6.conf.eth0.accept_redirects=0
in_host client sysctl -q -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth1.rp_filter=2

for name in target near; do
	start tcp-$name $name socat TCP$FAMILY-LISTEN:$TARGET_PORT,reuseaddr,fork \
		SYSTEM:"while read line; do echo $name \\\$line; done"
	wait_for 10 listening $name tcp $TARGET_PORT
done
ARGS=(-I 0.2 -o jsonl -m "$ORIGINAL_AT:$ORIGINAL_PORT=$(at $TARGET $TARGET_PORT)"
	-m "$ORIGINAL_AT:81=$(at $NEAR $TARGET_PORT)")

# forwarded HOST: packets that a gateway has forwarded
forwarded()
{
	if [ $FAMILY = 6 ]; then
		in_host "$1" awk '$1 == "Ip6OutForwDatagrams" { print $2 }' /proc/net/snmp6
	else
		in_host "$1" sed -n 's/^Ip: [0-9]* [0-9]* [0-9]* [0-9]* [0-9]* \([0-9]*\) .*/\1/p' \
			/proc/net/snmp
	fi
}

# through HOST NAME TEXT: the open connection goes on, and HOST forwards what is said
through()
{
	local before
	before=$(forwarded "$1")
	says "$2" open "$3" "target $3"
	check "by way of $1" test "$(forwarded "$1")" -gt "$before"
}

# talks_by HOST BEFORE: say something; whether HOST has forwarded more than BEFORE packets
talks_by()
{
	echo on >& "${lines[open]}"
	[ "$(forwarded "$1")" -gt "$2" ]
}

start_tool proxy client proxy "${ARGS[@]}" eth0
equal "there is no warning" "$(grep -c warning $TMP/proxy.err)" 0
talk open client TCP:$ORIGINAL_AT:$ORIGINAL_PORT
through gw1 "a target behind a gateway" one
talk near client TCP:$ORIGINAL_AT:81
says "another one on the link" near one "near one"

ip -n client route replace $TARGET via "$(ip_of 10.0.0.3)"
through gw2 "the route is replaced" two
ip -n gw2 link set eth0 address 02:00:00:00:00:77
says "the gateway's MAC address changes, and nobody says so" open three "target three"
through gw2 "and the connection goes on" four
ip -n near link set eth0 address 02:00:00:00:00:78
says "so does the target's" near two "near two"
says "and the connection goes on" near three "near three"

# --- another interface
ip -n client route replace $TARGET via "$(ip_of 10.1.0.2)"
through gw3 "the target is reached by another interface" five
# filters_on DEV NAME...
filters_on()
{
	[ "$(our_filters client "$1" | xargs)" = "${*:2}" ]
}
check "which has filters now" wait_for 3 filters_on eth1 proxy${FAMILY#4}_ingress proxy${FAMILY#4}_direct
ip -n target route replace "$(net_of 10.0.0.0)" via "$(ip_of 10.2.0.3)"
through gw3 "replies come in there, too" six
kill -KILL "${pids[proxy]}"
status_of proxy 2> /dev/null || true
says "nobody follows after SIGKILL, but the connection goes on" open seven "target seven"
start_tool proxy client proxy "${ARGS[@]}" eth0
through gw3 "and with the next proxy" eight
equal "that filter was taken over, not doubled" \
	"$(in_host client tc filter show dev eth1 ingress | grep -c handle)" 1
ip -n client route replace $TARGET via "$(ip_of 10.0.0.2)"
ip -n target route replace "$(net_of 10.0.0.0)" via "$(ip_of 10.2.0.1)"
through gw1 "back to the first interface" nine

# --- another interface, without a link layer: a tunnel by way of the second network
start tun-client client socat TUN,tun-name=tun9,tun-type=tun,iff-no-pi,up \
	"UDP$FAMILY-DATAGRAM:$(at "$(ip_of 10.1.0.2)" 4000),bind=:4000"
start tun-gw3 gw3 socat TUN,tun-name=tun9,tun-type=tun,iff-no-pi,up \
	"UDP$FAMILY-DATAGRAM:$(at "$(ip_of 10.1.0.1)" 4000),bind=:4000"
for name in client gw3; do
	wait_for 5 ip -n $name link show tun9
	[ $name = client ] && n=1 || n=2
	address $name tun9 "$(ip_of 10.4.0.$n)/$PREFIX"
	in_host $name sysctl -q -w net.ipv4.conf.tun9.rp_filter=0
done
ip -n gw3 route replace "$(net_of 10.0.0.0)" dev tun9
ip -n client route replace $TARGET dev tun9
check "a tunnel has filters before packets take it" wait_for 3 filters_on tun9 proxy3${FAMILY#4}_ingress proxy3${FAMILY#4}_direct
ip -n target route replace "$(net_of 10.0.0.0)" via "$(ip_of 10.2.0.3)"
through gw3 "the target is reached by the tunnel" tunnel
ip -n client route replace $TARGET via "$(ip_of 10.0.0.2)"
ip -n target route replace "$(net_of 10.0.0.0)" via "$(ip_of 10.2.0.1)"
through gw1 "back to the first interface" again
check "the filters on the tunnel are removed" wait_for 25 filters_on tun9

# --- no way at all for a while
ip -n client route del $TARGET
ip -n client route add unreachable $TARGET
echo ten >& "${lines[open]}"
ip -n client route del unreachable $TARGET
ip -n client route add $TARGET via "$(ip_of 10.0.0.2)"
check "the route goes away and comes back" wait_for 10 grep -qx "target ten" $TMP/open.out
ip -n gw1 link set eth0 down
ip -n client neigh flush dev eth0
echo eleven >& "${lines[open]}"
ip -n gw1 link set eth0 up
[ $FAMILY = 4 ] || address gw1 eth0 "$(ip_of 10.0.0.2)/$PREFIX" # the kernel has removed it
check "the gateway goes away and comes back" wait_for 10 grep -qx "target eleven" $TMP/open.out

# --- routers that announce themselves, at link-local addresses
# announce GATEWAY SECONDS: a router advertisement; 0: no default router any more (RFC 4861, 4.2)
announce()
{
	in_host "$1" python3 -c "
import socket, struct
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
s.sendto(struct.pack('!BBHBBHII', 134, 0, 0, 64, 0, $2, 0, 0),
         ('ff02::1', 0, 0, socket.if_nametoindex('eth0')))"
}
# router_is GATEWAY: whether the client's only default route is by it
router_is()
{
	local via
	via=$(ip -n "$1" -6 -o address show dev eth0 scope link | sed -nE 's/.* inet6 ([^/]*).*/\1/p')
	[ "$(ip -n client -6 route show default | sed -nE 's/.* via ([^ ]*) .*/\1/p')" = "$via" ]
}
if [ $FAMILY = 6 ]; then
	ip -n client route del $TARGET
	announce gw1 1800
	check "a router advertises itself" wait_for 5 router_is gw1
	through gw1 "the target is reached by the default router" twelve
	announce gw2 1800
	announce gw1 0
	check "another one takes its place" wait_for 5 router_is gw2
	before=$(forwarded gw2)
	check "the proxy sees it" wait_for 5 talks_by gw2 "$before"
	through gw2 "the connection goes on by that" thirteen
fi

equal "nothing was dropped" \
	"$(jq -r 'select(.type == "total") | .full + .no_port + .failed' $TMP/proxy.out | tail -n 1)" 0
ip -n client route replace $TARGET via "$(ip_of 10.1.0.2)"
check "once more by the other interface" wait_for 3 filters_on eth1 proxy${FAMILY#4}_ingress proxy${FAMILY#4}_direct
stop proxy
equal "a normal end removes those filters, too" "$(our_filters client eth1)" ""
finish
