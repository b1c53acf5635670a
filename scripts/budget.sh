#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Compare the packet paths with their budget, or write a new one: see tests/e2e/budget.sh.
set -eu
cd "$(dirname "$0")/.."

case ${1:-} in
'')
	exec tests/run.sh e2e/budget
	;;
--update)
	make -s e2e-tests
	# The test makes a /run of its own; the file has to be elsewhere.
	measured=$(mktemp)
	trap 'rm -f "$measured" "$measured.all"' EXIT
	BUDGET_MEASURED=$measured tests/e2e/budget.sh > /dev/null || true
	grep -q '^path proxy_ingress:miss ' "$measured" || {
		echo "budget.sh: not everything could be measured: run tests/e2e/budget.sh" >&2
		exit 1
	}
	# The parts of other versions of clang stay.
	clang=$(sed -n '1s/,.*//p' "$measured")
	versions=$({ grep -o '^clang [0-9]*' tests/e2e/budget.txt; echo "$clang"; } | sort -uV)
	{
		sed '/^clang /,$d' tests/e2e/budget.txt
		while read -r version; do
			[ "$version" = "$(head -n 1 <<< "$versions")" ] || echo
			if [ "$version" = "$clang" ]; then
				cat "$measured"
			else
				sed -n "/^$version,/,/^\$/{/./p}" tests/e2e/budget.txt
			fi
		done <<< "$versions"
	} > "$measured.all"
	cat "$measured.all" > tests/e2e/budget.txt
	echo "written: tests/e2e/budget.txt"
	;;
*)
	echo "usage: scripts/budget.sh [--update]" >&2
	[ "$1" = --help ] || [ "$1" = -h ] || exit 2
	;;
esac
