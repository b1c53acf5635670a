#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Replies with CHECKSUM_COMPLETE, where skb->csum says what all bytes of a packet add up to: after
# the translation it has to say that of the new bytes. A tunnel has such packets once the kernel has
# checked the outer checksum by itself. Each is judged behind the proxy, by csum-complete-bpf.c.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
PINGED=$(ip_of 10.0.0.11) # an original as well
needs socat ethtool jq bpftool tc python3 ping

host client target
link client eth0 target eth0
address client eth0 192.0.2.1/24
address target eth0 192.0.2.2/24
# The outer checksums are in the packets, and nobody vouches for them.
in_host target ethtool -K eth0 tx off > /dev/null
# vxlan HOST REMOTE ADDRESS
vxlan()
{
	if ! ip -n "$1" link add vx0 type vxlan id 7 remote "$2" dstport 4789 udpcsum; then
		skip "CHECKSUM_COMPLETE" "no VXLAN in this kernel"
		finish
	fi
	ip -n "$1" link set vx0 up
	address "$1" vx0 "$3/$PREFIX"
}
vxlan client 192.0.2.2 $CLIENT
vxlan target 192.0.2.1 $TARGET

start tcp target socat TCP$FAMILY-LISTEN:$TARGET_PORT,fork,reuseaddr EXEC:cat
start udp target socat UDP$FAMILY-RECVFROM:$TARGET_PORT,fork EXEC:cat
# Headers that do not lie where they nearly always do: an option of IPv4, a header of IPv6.
start options target python3 -c "
import socket
if $FAMILY == 4:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([1, 1, 1, 1]))
else:
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, bytes([0, 0, 1, 4, 0, 0, 0, 0]))
s.bind(('', $TARGET_PORT + 1))
while True:
    s.sendto(*s.recvfrom(65536))"
wait_for 5 listening target tcp $TARGET_PORT
wait_for 5 listening target udp $TARGET_PORT
wait_for 5 listening target udp $((TARGET_PORT + 1))

start proxy client "$BIN/proxy" -m "$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT" \
	-m "$ORIGINAL_AT:$((ORIGINAL_PORT + 1))=$TARGET_AT:$((TARGET_PORT + 1))/udp" \
	-m "$(at $PINGED)=$TARGET_AT" vx0
wait_for 5 grep -q attached $TMP/proxy.err
# Not "ip netns exec": tc wants a bpffs.
nsenter --net=/run/netns/client tc filter add dev vx0 ingress priority 2000 bpf direct-action \
	object-file "$BUILD/tests/e2e/csum-complete-bpf.o" section tc
complete=$(map_of client vx0 ingress csum_judge complete)

# judged VERDICT: packets that got it (see csum-complete-bpf.c)
judged()
{
	bpftool -j map dump id "$complete" | jq ".[$1].formatted.value"
}

# exchanges NAME ADDRESS: of even and odd lengths
exchanges()
{
	local before size data
	before=$(judged 1)
	for size in 1 2 7 100 150; do
		data=$(head -c 200 /dev/urandom | base64 -w 0 | head -c $size)
		equal "$1: $size bytes come back" "$(printf %s "$data" |
			in_host client timeout $((10 * PATIENCE)) socat -t $PATIENCE - "$2")" "$data"
	done
	check "$1: the replies had CHECKSUM_COMPLETE" test $(($(judged 1) - before)) -ge 5
}
exchanges TCP TCP:$ORIGINAL_AT:$ORIGINAL_PORT
exchanges UDP UDP:$ORIGINAL_AT:$ORIGINAL_PORT
exchanges "UDP with IP options" UDP:$ORIGINAL_AT:$((ORIGINAL_PORT + 1))
before=$(judged 1)
# The target's own address first: then the second identifier has to be changed.
for address in $TARGET $PINGED; do
	for size in 0 1 2 7 100 150; do
		check "ping of $address: $size bytes come back" \
			in_host client ping -q -c 1 -W $((5 * PATIENCE)) -e 777 -s $size $address
	done
done
check "ping: the replies had CHECKSUM_COMPLETE" test $(($(judged 1) - before)) -ge 12
before=$(judged 1)
for data in even odd; do
	contains "an error about an $data number of bytes arrives" "$(echo -n $data | in_host client timeout $((10 * PATIENCE)) \
		socat -t $((5 * PATIENCE)) - "UDP:$(at $PINGED 9)" 2>&1)" "Connection refused"
done
check "errors: they had CHECKSUM_COMPLETE" test $(($(judged 1) - before)) -ge 2
equal "skb->csum is the sum of the translated packet" "$(judged 2)" 0
equal "the transport checksums are right" "$(judged 3)" 0
finish
