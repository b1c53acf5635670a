#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Run one fuzz target for FUZZ_SECONDS (default 60): tests/fuzz/run.sh X-fuzz. Called by
# tests/run.sh. It begins with tests/fuzz/X-seeds and with what earlier runs in $BUILD have found.
set -u
cd "$(dirname "$0")/../.." || exit 1

name=${1%-fuzz}
found=${BUILD:=build}/fuzz/found/$name
seeds=tests/fuzz/$name-seeds
mkdir -p "$found"
[ -d "$seeds" ] || seeds=
log=$found.log
crash=$found.input
rm -f "$crash"
if "$BUILD/tests/fuzz/$1" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 -verbosity=1 \
	-exact_artifact_path="$crash" "$found" ${seeds:+"$seeds"} > "$log" 2>&1; then
	echo "ok $(sed -n 's/^Done \([0-9]*\) runs in \([0-9]*\) second.*/\1 runs in \2 s/p' "$log")"
	exit 0
fi
echo "FAIL an input breaks it; once more: $BUILD/tests/fuzz/$1 $crash"
# Without the progress and the recommended dictionary.
grep -vE '^(#[0-9]|INFO:|\s+NEW)|# Uses: ' "$log" | tail -n 60
exit 1
