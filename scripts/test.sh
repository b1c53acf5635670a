#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Everything that has to pass: install what is missing, build, lint and run all tests; without
# arguments, the fuzz targets for FUZZ_SECONDS each (default 20), too. Arguments are those of
# tests/run.sh. Works as the first command on a new machine; needs root (or sudo) for the
# installation and the tests.
set -eu
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- --e2e --bpf --unit --fuzz
# With two processors and eight targets: less than two minutes.
export FUZZ_SECONDS=${FUZZ_SECONDS:-20}
scripts/install-deps.sh build test lint
${MAKE:-make} -s -j "$(nproc)" all unit-tests bpf-tests e2e-tests fuzz-tests
if [ "$(id -u)" = 0 ]; then
	exec tests/run.sh --lint "$@"
fi
exec sudo --preserve-env=BUILD,CI,SOAK,CAPTURES,KEEP,FUZZ_SECONDS tests/run.sh --lint "$@"
