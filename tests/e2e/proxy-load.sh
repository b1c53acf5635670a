#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Many mappings, and many flows.
. "$(dirname "$0")/../lib.sh"
needs socat

lan_of_the_mapping
start tcp target socat TCP-LISTEN:$TARGET_PORT,reuseaddr,fork EXEC:cat
wait_for 10 listening target tcp $TARGET_PORT

# --- 10,000 mappings: originals and targets all different
awk 'BEGIN {
	for (i = 0; i < 10000; i++)
		printf "10.%d.%d.%d:80=10.%d.%d.%d:8080/tcp\n", 16 + i / 2500, i / 50 % 50, i % 50 + 1,
			64 + i / 2500, i / 50 % 50, i % 50 + 1
}' > $TMP/maps
echo "$ORIGINAL:$ORIGINAL_PORT=$TARGET:$TARGET_PORT/tcp" >> $TMP/maps
ip -n client route add 10.16.0.0/12 dev eth0
ip -n client route add 10.64.0.0/12 dev eth0
start_tool proxy client proxy -I 1 -o jsonl -f $TMP/maps eth0
contains "10,000 mappings are taken" "$(cat $TMP/proxy.err)" "10001 mappings"
equal "without a warning" "$(grep -c warning $TMP/proxy.err)" 0
equal "one of them works" \
	"$(echo hello | in_host client socat -t $((3 * PATIENCE)) - TCP:$ORIGINAL:$ORIGINAL_PORT)" hello
equal "all are listed" "$(in_host client "$BIN/proxy" --list eth0 | wc -l)" 10001
equal "no neighbour was asked for in vain" \
	"$([ "$(in_host client ip neigh show | wc -l)" -lt 400 ] && echo few)" few

kill -HUP "${pids[proxy]}"
check "the file is read again" wait_for 5 grep -q "read again, 10001 mappings" $TMP/proxy.err
check "--add among so many" in_host client "$BIN/proxy" --add 10.16.0.1:81=10.64.0.1:81 eth0
printf '%s\n' "$ORIGINAL:$ORIGINAL_PORT=$TARGET:$TARGET_PORT/tcp" > $TMP/maps
kill -HUP "${pids[proxy]}"
check "all but one are deleted" wait_for 5 grep -q "read again, 1 mapping$" $TMP/proxy.err
listed()
{
	[ "$(in_host client "$BIN/proxy" --list eth0 | wc -l)" = "$1" ]
}
check "and gone" wait_for 5 listed 1
equal "the one works" \
	"$(echo hello | in_host client socat -t $((3 * PATIENCE)) - TCP:$ORIGINAL:$ORIGINAL_PORT)" hello
stop proxy
finish
