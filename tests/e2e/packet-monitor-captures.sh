#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Captures, replayed over a veth pair: packet-monitor counts what tshark finds in the files.
# CAPTURES=DIRECTORY: those in it; without, files made here (capture-tool.py make).
. "$(dirname "$0")/../lib.sh"
needs python3 tcpreplay tshark

TOOL=$ROOT/tests/e2e/capture-tool.py
if [ -z "${CAPTURES:-}" ]; then
	CAPTURES=$TMP/captures
	mkdir "$CAPTURES"
	python3 "$TOOL" make "$CAPTURES"
fi

host near far
link near eth0 far eth0
without_ipv6 near far # nothing but the captures crosses the link
for host in near far; do
	ip -n $host link set eth0 mtu 65535
done

shopt -s nullglob
files=("$CAPTURES"/*.pcap "$CAPTURES"/*.pcapng "$CAPTURES"/*.cap)
[ ${#files[@]} -gt 0 ] || skip captures "no capture files in $CAPTURES"
for file in "${files[@]}"; do
	name=$(basename "$file")
	reason=$(python3 "$TOOL" unfit "$file")
	if [ -n "$reason" ]; then
		skip "$name" "$reason"
		continue
	fi
	for mode in "" inner; do
		start_tool near$mode near packet-monitor eth0 ${mode:+--$mode} -Q out -j -I 0.1
		start_tool far$mode far packet-monitor eth0 ${mode:+--$mode} -Q in -j -I 0.1
	done
	if ! in_host near tcpreplay -q --pps=20000 -i eth0 "$file" > "$TMP/replay" 2>&1; then
		fail "$name" "tcpreplay: $(tail -n 1 "$TMP/replay")"
	fi
	for id in near nearinner far farinner; do
		stop $id INT || fail "$name" "packet-monitor ended with $?"
	done
	for mode in outer inner; do
		[ $mode = inner ] && which=inner || which=
		if output=$(python3 "$TOOL" compare "$file" $mode "$TMP/near$which.out" \
			"$TMP/far$which.out" 2>&1); then
			ok "$name, $mode flows: $output"
		else
			fail "$name, $mode flows" "${output//$'\n'/ | }"
		fi
	done
done
finish
