#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Bulk, datagrams of every size, and many short connections, with checksum offload on and off.
# SOAK=1: 1 GB, 100,000 datagrams, 1,000,000 connections.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs curl python3 ethtool jq
TRAFFIC=$BUILD/tests/e2e/proxy-traffic
if [ "$SOAK" = 1 ]; then
	MEGABYTES=1024 DATAGRAMS=100000 CONNECTIONS=1000000
else
	MEGABYTES=100 DATAGRAMS=5000 CONNECTIONS=20000
fi

MAP=(-m "$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT")

lan_of_the_mapping
mkdir $TMP/www
head -c ${MEGABYTES}M /dev/urandom > $TMP/www/file
sum=$(sha256sum < $TMP/www/file)
start web target python3 -m http.server --bind $TARGET --directory $TMP/www 80
start traffic target "$TRAFFIC" serve $TARGET_PORT
wait_for 10 listening target tcp 80
wait_for 10 listening target tcp $TARGET_PORT
start_tool proxy client proxy -m "$ORIGINAL_AT:8080=$TARGET_AT:80/tcp" "${MAP[@]}" \
	--tcp-closing 1 --udp 1 -o jsonl eth0

# total FIELD: of the last report. From the end: with a line for each flow, the output is long.
total()
{
	tac $TMP/proxy.out | grep -m 1 '^{"type":"total".*}$' | jq -r ".$1"
}

download()
{
	in_host client curl -sS -m 600 "http://$ORIGINAL_AT:8080/file" | sha256sum
}

for offload in on off; do
	for name in client target; do
		in_host $name ethtool -K eth0 tx $offload > /dev/null 2>&1
	done
	equal "a download of $MEGABYTES MB, checksum offload $offload" "$(download)" "$sum"
	check "$DATAGRAMS datagrams of 1 to 1472 bytes, checksum offload $offload" \
		in_host client "$TRAFFIC" datagrams $ORIGINAL $ORIGINAL_PORT $DATAGRAMS
done

in_host client sysctl -q -w net.ipv4.tcp_tw_reuse=1 net.ipv4.ip_local_port_range="1024 65535"
check "$CONNECTIONS short connections, none of which fails" \
	in_host client "$TRAFFIC" connect $ORIGINAL $ORIGINAL_PORT $CONNECTIONS
empty()
{
	[ "$(total flows)" = 0 ]
}
check "the table ends empty" wait_for 30 empty
equal "nothing was dropped" "$(total 'full + .no_port + .failed')" 0

# --- a table that is too small, with default times
stop proxy
start_tool proxy client proxy --max-flows 2000 -o jsonl "${MAP[@]}" eth0
check "some connections stay open" in_host client "$TRAFFIC" connect $ORIGINAL $ORIGINAL_PORT 10
talk open client TCP:$ORIGINAL_AT:$ORIGINAL_PORT
check "more flows than there is room for" in_host client "$TRAFFIC" flows $ORIGINAL \
	$ORIGINAL_PORT 4000
dropped()
{
	[ "$(total full)" -gt 0 ]
}
check "are dropped and counted" wait_for 5 dropped
says "an established one is not harmed" open A B
room()
{
	in_host client "$TRAFFIC" connect $ORIGINAL $ORIGINAL_PORT 1
}
check "idle ones make room" wait_for 30 room
stop proxy
finish
