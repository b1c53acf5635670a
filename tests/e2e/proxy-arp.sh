#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Originals without a host: what others send cannot make them unreachable, and a host that comes
# back is found.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs socat python3

lan_of_the_mapping
host back
link back eth0 switch p-back
ip -n switch link set p-back master br0
start tcp target socat TCP$FAMILY-LISTEN:$TARGET_PORT,reuseaddr,fork EXEC:cat
wait_for 10 listening target tcp $TARGET_PORT

# exchange [PORT]
exchange()
{
	[ "$(echo hello | in_host client timeout $((5 * PATIENCE)) socat -t $((2 * PATIENCE)) - \
		"TCP:$ORIGINAL_AT:${1:-$ORIGINAL_PORT},connect-timeout=2" 2> /dev/null)" = hello ]
}

# claim: each 0.1 s, a frame from "back" that says it is ORIGINAL, but that the kernel drops: ARP of
# another hardware type; a neighbour advertisement that was forwarded (hop limit 254)
claim()
{
	start claim back python3 -c "
import socket, struct, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('eth0', 0))
mac = bytes.fromhex('020000000099')
if $FAMILY == 4:
    ip = socket.inet_aton('$ORIGINAL')
    frame = b'\xff' * 6 + mac + struct.pack('!HHHBBH', 0x806, 99, 0x800, 6, 4, 1) + mac + ip
    frame += bytes(6) + ip
else:
    ip = socket.inet_pton(socket.AF_INET6, '$ORIGINAL')
    to = socket.inet_pton(socket.AF_INET6, 'ff02::1')
    body = struct.pack('!BBHI', 136, 0, 0, 0x20000000) + ip + b'\x02\x01' + mac
    data = ip + to + struct.pack('!II', len(body), 58) + body
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    body = body[:2] + struct.pack('!H', ~total & 0xffff) + body[4:]
    frame = bytes.fromhex('333300000001') + mac + bytes.fromhex('86dd')
    frame += struct.pack('!IHBB', 6 << 28, len(body), 58, 254) + ip + to + body
while True:
    s.send(frame)
    print('sent', flush=True)
    time.sleep(0.1)
"
	wait_for 5 grep -q sent "$TMP/claim.out"
}

start_tool proxy client proxy -I 0.2 -m "$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT" eth0
check "an original without a host is reached" exchange

claim
for round in 1 2 3; do
	ip -n client neigh flush dev eth0
	check "with claims that the kernel drops, too ($round)" wait_for 3 exchange
done
stop claim || true

# A connection that goes on keeps the kernel from asking for the original.
talk open client TCP:$ORIGINAL_AT:$ORIGINAL_PORT
says "a mapped connection is open" open one one
ip -n client neigh show $ORIGINAL | grep -q 02:70:72:6f:78:79
in_host back sysctl -q -w net.ipv4.conf.eth0.arp_notify=0 net.ipv6.conf.eth0.ndisc_notify=0
address back eth0 $ORIGINAL/$PREFIX
start own back socat TCP$FAMILY-LISTEN:80,reuseaddr,fork EXEC:cat
wait_for 10 listening back tcp 80
found()
{
	echo again >& "${lines[open]}"
	[[ $(ip -n client neigh show $ORIGINAL) != *02:70:72:6f:78:79* ]]
}
check "a host that comes back without a word is found" wait_for 15 found
check "and reached by ports that are not mapped" exchange 80
says "the mapped connection goes on" open two two
stop proxy
finish
