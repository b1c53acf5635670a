#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Which end of a TCP connection is the server: by its SYN, not by the lower port. Clients with lower
# and with higher ports than the service's are seen from both hosts.
. "$(dirname "$0")/../lib.sh"
needs jq python3

CLIENTS=20 SERVICE=50051

host near far
link near eth0 far eth0
address near eth0 10.0.0.1/24 fd00::1/64
address far eth0 10.0.0.2/24 fd00::2/64
start server far python3 -c '
import socket, sys
s = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    c = s.accept()[0]
    c.sendall(c.recv(10))
    c.close()
' $SERVICE
wait_for 5 listening far tcp $SERVICE

# connect ADDRESS: one connection from each client port, half of them below the service's
connect()
{
	in_host near python3 -c '
import socket, sys
address, service, clients = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for port in range(service - clients // 2, service + clients // 2 + 1):
    if port != service:
        c = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        c.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        c.bind(("", port))
        c.connect((address, service))
        c.sendall(b"x")
        c.recv(10)
        c.close()
' "$1" $SERVICE $CLIENTS
}

# seen TOOL FILTER: what a tool has reported, by jq
seen()
{
	jq -s -c "$2" "$TMP/$1.out"
}

start_tool pm near packet-monitor eth0 -j -F "tcp port $SERVICE"
start_tool ports far packet-monitor eth0 -j --by port -F "tcp port $SERVICE"
connect 10.0.0.2
connect fd00::2
stop pm INT
stop ports INT
last='(map(.ts) | max) as $now | map(select(.ts == $now'
equal "jsonl: the server of every flow is its end with the service's port" \
	"$(seen pm "$last and .type == \"flow\"))
		| map((if .server == \"dst\" then .dport else .sport end) == $SERVICE and .server != null)
		| [length, all]")" "[$((4 * CLIENTS)),true]"
equal "--by port: one row" "$(seen ports "$last and .type == \"port\")) |
	map([.proto, .port, .flows])")" "[[\"tcp\",$SERVICE,$((4 * CLIENTS))]]"

# The first packet seen of a connection is no SYN: nobody knows.
mkfifo "$TMP/go"
start held near python3 -c '
import socket, sys
c = socket.create_connection(("10.0.0.2", int(sys.argv[1])), 5)
print("connected", flush=True)
open(sys.argv[2]).read()
c.sendall(b"x")
c.recv(10)
' $SERVICE "$TMP/go"
wait_for 10 grep -q connected "$TMP/held.out"
start_tool pm near packet-monitor eth0 -j -F "tcp port $SERVICE"
: > "$TMP/go"
status_of held
stop pm INT
equal "jsonl: without a SYN no server is named" \
	"$(seen pm "$last and .type == \"flow\")) | map(.server) | unique")" "[null]"
finish
