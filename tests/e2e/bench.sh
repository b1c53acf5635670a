#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The benchmark itself, at a small part of its size: that every part of it still runs and is
# reported, and that it leaves the machine as it was. What it measures here means nothing.
. "$(dirname "$0")/../lib.sh"
needs python3 gnuplot nft bpftool ping jq

# Of what it changes, what does not go with its namespaces.
settings()
{
	sysctl kernel.bpf_stats_enabled net.netfilter.nf_conntrack_max
}

# The benchmark would load conntrack, and its settings would be new.
nft -f - <<< 'table ip conntrack { chain c { ct state new; }; }'
before=$(settings)
cd "$ROOT"
# As systemd does: tc insists on it where it has been seen.
mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
# Without what needs further packages (softflowd and others), and fewer packets.
check "every part runs" \
	python3 scripts/bench/bench.py -s 0.01 -v empty -v packet-monitor -v proxy -v nft -o $TMP/out
for file in README.md results.json overhead.svg flows.svg; do
	check "it writes $file" test -s $TMP/out/$file
done
equal "its settings are as they were" "$(settings)" "$before"
equal "its namespaces are gone" "$(ls /run/netns)" ""

# Each line of targets has a figure: none is left out because a variant or a part has failed.
check_not "no figure is missing" sh -c "grep -v softflowd $TMP/out/README.md | grep 'not measured'"
equal "variants" "$(jq -r '[.samples[].variant] | unique | length' $TMP/out/results.json)" 14
finish
