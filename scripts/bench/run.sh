#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# "make bench": build what is measured and what measures it, measure, report. Options: bench.py -h.
set -eu
cd "$(dirname "$0")/../.."
export BUILD=${BUILD:-build}

case " $* " in
*" -h "* | *" --help "*) exec python3 scripts/bench/bench.py --help ;;
esac
for program in python3 gnuplot nft ip tc bpftool; do
	PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || {
		echo "bench: $program is missing: run scripts/install-deps.sh bench" >&2
		exit 1
	}
done
make -s all bench-programs
exec python3 scripts/bench/bench.py "$@"
