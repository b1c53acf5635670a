#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Many mappings, and many flows.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs socat

lan_of_the_mapping
start tcp target socat TCP$FAMILY-LISTEN:$TARGET_PORT,reuseaddr,fork EXEC:cat
wait_for 10 listening target tcp $TARGET_PORT

# --- 10,000 mappings: originals and targets all different
awk -v family=$FAMILY '
function addr(net, i) {
	if (family == 6)
		return sprintf("[fd00:%d::%x]", net, i + 1)
	return sprintf("10.%d.%d.%d", net + i / 2500, i / 50 % 50, i % 50 + 1)
}
BEGIN {
	for (i = 0; i < 10000; i++)
		print addr(16, i) ":80=" addr(64, i) ":8080/tcp"
}' > $TMP/maps
echo "$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT/tcp" >> $TMP/maps
[ "$FAMILY" = 4 ] && nets=(10.16.0.0/12 10.64.0.0/12) || nets=(fd00:16::/32 fd00:64::/32)
for net in "${nets[@]}"; do
	ip -n client route add $net dev eth0
done
start_tool proxy client proxy -I 1 -o jsonl -f $TMP/maps eth0
contains "10,000 mappings are taken" "$(cat $TMP/proxy.err)" "10001 mappings"
equal "without a warning" "$(grep -c warning $TMP/proxy.err)" 0
equal "one of them works" \
	"$(echo hello | in_host client socat -t $((3 * PATIENCE)) - TCP:$ORIGINAL_AT:$ORIGINAL_PORT)" hello
equal "all are listed" "$(in_host client "$BIN/proxy" --list eth0 | wc -l)" 10001
equal "no neighbour was asked for in vain" \
	"$([ "$(in_host client ip neigh show | wc -l)" -lt 400 ] && echo few)" few

kill -HUP "${pids[proxy]}"
check "the file is read again" wait_for 5 grep -q "read again, 10001 mappings" $TMP/proxy.err
check "--add among so many" in_host client "$BIN/proxy" --add \
	"$(head -n 1 $TMP/maps | sed 's/:80=/:81=/; s/:8080/:81/')" eth0
printf '%s\n' "$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT/tcp" > $TMP/maps
kill -HUP "${pids[proxy]}"
check "all but one are deleted" wait_for 5 grep -q "read again, 1 mapping$" $TMP/proxy.err
listed()
{
	[ "$(in_host client "$BIN/proxy" --list eth0 | wc -l)" = "$1" ]
}
check "and gone" wait_for 5 listed 1
equal "the one works" \
	"$(echo hello | in_host client socat -t $((3 * PATIENCE)) - TCP:$ORIGINAL_AT:$ORIGINAL_PORT)" hello
stop proxy
finish
