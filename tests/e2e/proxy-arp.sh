#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Originals without a host: what others send cannot make them unreachable, and a host that comes
# back is found.
. "$(dirname "$0")/../lib.sh"
needs socat python3

lan_of_the_mapping
host back
link back eth0 switch p-back
ip -n switch link set p-back master br0
start tcp target socat TCP-LISTEN:$TARGET_PORT,reuseaddr,fork EXEC:cat
wait_for 10 listening target tcp $TARGET_PORT

# exchange [PORT]
exchange()
{
	[ "$(echo hello | in_host client timeout $((5 * PATIENCE)) socat -t $((2 * PATIENCE)) - \
		"TCP:$ORIGINAL:${1:-$ORIGINAL_PORT},connect-timeout=2" 2> /dev/null)" = hello ]
}

# claim HARDWARE_TYPE: each 0.1 s, a broadcast from "back" that says it is ORIGINAL
claim()
{
	start claim back python3 -c "
import socket, struct, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('eth0', 0))
mac = bytes.fromhex('020000000099')
ip = socket.inet_aton('$ORIGINAL')
while True:
    s.send(b'\xff' * 6 + mac + struct.pack('!HHHBBH', 0x806, $1, 0x800, 6, 4, 1) + mac + ip +
           bytes(6) + ip)
    print('sent', flush=True)
    time.sleep(0.1)
"
	wait_for 5 grep -q sent "$TMP/claim.out"
}

start_tool proxy client proxy -I 0.2 eth0
check "an original without a host is reached" exchange

claim 99
for round in 1 2 3; do
	ip -n client neigh flush dev eth0
	check "with claims that the kernel drops, too ($round)" wait_for 3 exchange
done
stop claim || true

# A connection that goes on keeps the kernel from asking for the original.
talk open client TCP:$ORIGINAL:$ORIGINAL_PORT
says "a mapped connection is open" open one one
ip -n client neigh show $ORIGINAL | grep -q 02:70:72:6f:78:79
in_host back sysctl -q -w net.ipv4.conf.eth0.arp_notify=0
address back eth0 $ORIGINAL/24
start own back socat TCP-LISTEN:80,reuseaddr,fork EXEC:cat
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
