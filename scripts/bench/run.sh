#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# "make bench": install what is missing, build what is measured and what measures it, measure,
# report. Works as the first command on a new machine. Options: bench.py -h.
set -eu
cd "$(dirname "$0")/../.."
PATH=$(scripts/path.sh)
export BUILD=${BUILD:-build}

case " $* " in
*" -h "* | *" --help "*) exec python3 scripts/bench/bench.py --help ;;
esac
# Of what it compares with, some may not be there for every distribution.
scripts/install-deps.sh build bench ||
	echo "bench: goes on without what could not be installed" >&2
for program in python3 gnuplot nft ip tc bpftool ping; do
	command -v "$program" >/dev/null || {
		echo "bench: $program is missing: run scripts/install-deps.sh bench" >&2
		exit 1
	}
done
${MAKE:-make} -s -j "$(nproc)" all bench-programs
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo --preserve-env=BUILD)
exec "${as_root[@]}" python3 scripts/bench/bench.py "$@"
