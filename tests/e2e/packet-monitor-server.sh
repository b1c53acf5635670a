#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Which end of a TCP connection is the server: by its SYN, by a listening socket, by the port with
# more peers, not by the lower port. Clients with lower and with higher ports than the service's are
# seen from both hosts.
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

# hold NAME FIRST LAST COUNT: connections whose SYN nobody sees, from ports up to FIRST and from LAST
hold()
{
	mkfifo "$TMP/$1.go"
	start "$1" near python3 -c '
import socket, sys
service, first, last, count = map(int, sys.argv[2:])
held = []
for i in range(count):
    c = socket.socket()
    c.bind(("", last + i // 2 if i % 2 else first - i // 2))
    c.connect(("10.0.0.2", service))
    held.append(c)
print("connected", flush=True)
open(sys.argv[1]).read()
for c in held:
    c.sendall(b"x")
for c in held:
    c.recv(10)
' "$TMP/$1.go" $SERVICE "$2" "$3" "$4"
	wait_for 10 grep -q connected "$TMP/$1.out"
}

# The client is at a lower port. Its host cannot know, but that of the service has the socket.
hold one 4000 60000 1
start_tool pm near packet-monitor eth0 -j -F "tcp port $SERVICE"
start_tool ports far packet-monitor eth0 -j -F "tcp port $SERVICE"
: > "$TMP/one.go"
status_of one
stop pm INT
stop ports INT
flows="$last and .type == \"flow\")) |"
equal "jsonl: without a SYN and a socket no server is named" "$(seen pm "$flows map(.server) | unique")" \
	"[null]"
at_service="(if .server == \"dst\" then .dport else .sport end) == $SERVICE and .server != null"
equal "jsonl: the listening socket tells" "$(seen ports "$flows map($at_service) | [length, all]")" \
	"[2,true]"

# Neither the SYN nor a socket tells; but many talk to the one port.
hold many 49000 51000 78
start_tool pm near packet-monitor eth0 -j -F "tcp port $SERVICE"
start_tool both near packet-monitor eth0 -j --biflow -F "tcp port $SERVICE"
start_tool ports near packet-monitor eth0 -j --by port -F "tcp port $SERVICE"
: > "$TMP/many.go"
status_of many
stop pm INT
stop both INT
stop ports INT
equal "jsonl: the port with more peers tells" "$(seen pm "$flows map($at_service) | [length, all]")" \
	"[156,true]"
equal "--by port: one row, without any SYN" "$(seen ports "$last and .type == \"port\")) |
	map([.port, .flows])")" "[[$SERVICE,156]]"
equal "--biflow: all lead to the service" "$(seen both "$last and .type == \"biflow\")) |
	map(.dport == $SERVICE and .server == \"dst\" and .packets > 0 and .packets_back > 0) |
	[length, all]")" "[78,true]"
finish
