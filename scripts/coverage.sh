#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# "make coverage": which lines of user space the tests run. See usage() below.
set -eu
cd "$(dirname "$0")/.."

usage()
{
	cat <<-'USAGE'
	Usage: scripts/coverage.sh [PATTERN...]

	Builds the tools and the tests for gcov (which comes with gcc) into $BUILD/coverage, runs the
	tests whose names contain a PATTERN (without one: all of unit, bpf and e2e that run the tools,
	but not the benchmark; root), and writes
	  $BUILD/coverage/report.txt   for each file of lib/ and the tools, its lines and how many of
	                               them were run; the file with the most other lines last
	  $BUILD/coverage/missed.txt   each line that was never run, as FILE:LINE: TEXT
	Of bpf/, it knows only what unit tests compile for this machine.
	USAGE
}

tests=("$@")
case ${1:-} in
-h | --help) usage; exit 0 ;;
-*) usage >&2; exit 2 ;;
esac

export BUILD=${BUILD:-build}/coverage
# No optimisation: one line of the source is one line of the report.
export CFLAGS='-O0 -g --coverage' CC=gcc STATIC='' SANITIZE=''
mkdir -p "$BUILD"
# Tools write what they have counted whoever runs them.
umask 0
find "$BUILD" -name '*.gcda' -delete
[ $# -gt 0 ] || mapfile -t tests < <(tests/run.sh --list | grep -vxE 'e2e/(bench|budget|build)')
failed=0
tests/run.sh "${tests[@]}" || failed=1

# A line counts as run if it was in any of the programs that it has been compiled into.
find "$BUILD" -name '*.gcno' -print0 | xargs -0 -r gcov --stdout --relative-only 2> /dev/null |
	awk -v report="$BUILD/report.txt" -v missed="$BUILD/missed.txt" '
	{
		count = $0; sub(/:.*/, "", count); gsub(/[ *]/, "", count)
		rest = substr($0, index($0, ":") + 1)
		line = rest + 0
		text = substr(rest, index(rest, ":") + 1)
	}
	line == 0 && text ~ /^Source:/ {
		file = substr(text, 8); sub(/^\.\//, "", file)
		wanted = file ~ /^(lib|[^\/]*)\/[^\/]*\.[ch]$/ && file !~ /^(tests|scripts|include)\//
		next
	}
	!wanted || line == 0 || count == "-" { next }
	{
		key = file SUBSEP line
		if (!(key in run)) { run[key] = 0; source[key] = text; lines[file]++ }
		if (count !~ /^[#=]/) run[key] = 1
	}
	END {
		for (key in run) {
			split(key, at, SUBSEP)
			if (run[key]) hit[at[1]]++
			else printf "%s:%d:%s\n", at[1], at[2], source[key] | ("sort -t: -k1,1 -k2,2n > " missed)
		}
		for (file in lines) {
			all += lines[file]; all_hit += hit[file]
			printf "%5.1f %% of %4d lines, %3d missed  %s\n", 100 * hit[file] / lines[file],
				lines[file], lines[file] - hit[file], file | ("sort -t, -k2,2n > " report)
		}
		close("sort -t, -k2,2n > " report)
		if (all)
			printf "%5.1f %% of %4d lines, %3d missed  in all\n", 100 * all_hit / all, all,
				all - all_hit >> report
	}'
cat "$BUILD/report.txt"
echo "lines never run: $BUILD/missed.txt"
exit $failed
