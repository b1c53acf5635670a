#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Everything that has to pass: install what is missing, build, lint and run all tests. Works as the
# first command on a new machine; needs root (or sudo) for the installation and the tests.
set -eu
cd "$(dirname "$0")/.."

scripts/install-deps.sh build test lint
${MAKE:-make} -s -j "$(nproc)" all unit-tests bpf-tests e2e-tests
if [ "$(id -u)" = 0 ]; then
	exec tests/run.sh --lint "$@"
fi
exec sudo --preserve-env=BUILD,CI,SOAK,CAPTURES tests/run.sh --lint "$@"
