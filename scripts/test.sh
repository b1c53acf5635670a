#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Everything that has to pass: install what is missing, build, lint and run all tests. Without
# arguments also the fuzz targets, for FUZZ_SECONDS each (default 20), and part of tests/e2e once
# more, with tools built under AddressSanitizer and UndefinedBehaviorSanitizer. With --vm as the
# first argument also a few tests on Linux 6.1, in qemu. Other arguments are those of tests/run.sh.
# Works as the first command on a new machine; needs root (or sudo) for the installation and the
# tests.
set -eu
cd "$(dirname "$0")/.."

# What the sanitized tools go through: every option and its misuse, each change of mappings,
# interfaces that come and go, signals, every kind of report, a takeover, one tool beside the other.
sanitized=(e2e/lifecycle e2e/proxy-usage e2e/proxy-control e2e/proxy-restart e2e/proxy-basic
	e2e/packet-monitor-lifecycle e2e/packet-monitor-views e2e/both-tools)

export BUILD=${BUILD:-build} FUZZ_SECONDS=${FUZZ_SECONDS:-20}
as_root=()
[ "$(id -u)" = 0 ] ||
	as_root=(sudo "--preserve-env=BUILD,CC,CLANG,CI,SOAK,CAPTURES,KEEP,FUZZ_SECONDS,SANITIZE")

build()
{
	${MAKE:-make} -s -j "$(nproc)" "$@"
}

sets=(build test lint) vm=()
if [ "${1:-}" = --vm ]; then
	sets+=(demo vm) vm=(--vm)
	shift
fi
scripts/install-deps.sh "${sets[@]}"
build all unit-tests bpf-tests e2e-tests
if [ $# -gt 0 ]; then
	exec "${as_root[@]}" tests/run.sh --lint "${vm[@]}" "$@"
fi
build fuzz-tests
status=0
"${as_root[@]}" tests/run.sh --lint "${vm[@]}" --e2e --bpf --unit --fuzz || status=1
echo "== with sanitized tools"
export BUILD=$BUILD/sanitized SANITIZE=1
build e2e-tests
"${as_root[@]}" tests/run.sh "${sanitized[@]}" || status=1
exit $status
