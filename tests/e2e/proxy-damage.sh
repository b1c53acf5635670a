#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What root, or a fault, has written into the maps of a kept datapath: it is refused with one line.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs bpftool jq
lan_of_the_mapping
MAP="$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT"
# Where struct proxy_mapping has its fields.
[ "$FAMILY" = 4 ] && ID=8 NEXTHOP=12 || ID=20 NEXTHOP=24

proxy()
{
	in_host client timeout 20 "$BIN/proxy" "$@"
}

# damage MAP OFFSET BYTE...: write bytes (in hex) into the value of each entry of a map
damage()
{
	local map
	map=$(proxy_map client eth0 "$1")
	bpftool -j map dump id "$map" | jq -r --argjson offset "$2" --arg bytes "${*:3}" '.[] |
		(.value | .[$offset:$offset + ($bytes | split(" ") | length)] =
			($bytes | split(" ") | map("0x" + .))) as $value |
		"key hex \(.key | map(.[2:]) | join(" ")) value hex \($value | map(.[2:]) | join(" "))"' |
		while read -r entry; do
			# shellcheck disable=SC2086
			bpftool map update id "$map" $entry
		done
}

# refused NAME: by each way to open the datapath
refused()
{
	local how status output
	for how in --list "--add $ORIGINAL_AT:1=$TARGET_AT:1" "-m $MAP"; do
		status=0
		# shellcheck disable=SC2086
		output=$(proxy $how -c 1 eth0 2>&1) || status=$?
		equal "$1: proxy $how: exit status" $status 1
		contains "$1: proxy $how: names the cure" "$output" "remove-filters-and-qdisc.sh eth0"
		equal "$1: proxy $how: says it in one line" "$(wc -l <<< "$output")" 1
	done
	in_host client "$ROOT/remove-filters-and-qdisc.sh" eth0 > /dev/null
}

for what in "no mapping ids:.data.state 24 00 00 00 00" \
	"too many mapping ids:.data.state 24 ff ff ff 7f" \
	"a wild id:mappings $ID ff ff ff 7f" \
	"a wild next hop:mappings $NEXTHOP ff ff ff 7f"; do
	check "a datapath is kept" proxy --keep -c 1 -I 0.1 -m "$MAP" eth0
	words=${what#*:}
	# shellcheck disable=SC2086
	damage $words
	refused "${what%:*}"
done
finish
