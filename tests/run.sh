#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Build and run the tests, a few at a time, and sum up. See usage() below.
set -u
cd "$(dirname "$0")/.." || exit 1

usage()
{
	cat <<-'USAGE'
	Usage: tests/run.sh [OPTION...] [PATTERN...]

	Runs the tests of tests/unit, tests/bpf and tests/e2e whose name (such as "unit/number-test"
	or "e2e/lifecycle") contains one of the PATTERNs; without a PATTERN, all. Builds what they
	need and nothing else. "bpf/proxy-nat-test:errors" runs only the part "errors" of a C test:
	the functions that it runs by RUN() and whose name contains that word.

	  --unit, --bpf, --e2e   only these layers (unit needs no root)
	  --fuzz                 the fuzz targets of tests/fuzz, FUZZ_SECONDS each (default 60)
	  -j N                   N tests at once (default: the number of processors)
	  -t SECONDS             time limit of one test (default 600; with SOAK=1 7200); lint 3600, vm 4500
	  -l, --list             only list the tests
	  --lint                 scripts/lint.sh as a test among them
	  --vm                   some tests on Debian's Linux 6.1 (scripts/vm/run.sh --short), as well
	  --no-build             run what has been built before

	Environment: BUILD=DIR (default build), SOAK=1 for the long variants, CI=true to count a
	skipped check as a failure (but for what an old kernel lacks: see excuses below), KEEP=1 to
	keep the files of failed tests in $BUILD/kept, PATIENCE=N to wait N times as long for what has
	to happen, on a slow machine. Exit status: 0 if nothing failed.
	USAGE
}

layers=() patterns=() jobs=$(nproc) build=yes list=no tests=()
limit=600
[ "${SOAK:-0}" = 1 ] && limit=7200
while [ $# -gt 0 ]; do
	case $1 in
	--unit | --bpf | --e2e | --fuzz) layers+=("${1#--}") ;;
	-j) jobs=$2; shift ;;
	-j?*) jobs=${1#-j} ;;
	-t) limit=$2; shift ;;
	-l | --list) list=yes ;;
	--no-build) build=no ;;
	--lint | --vm) tests+=("${1#--}") ;;
	-h | --help) usage; exit 0 ;;
	-*) usage >&2; exit 2 ;;
	*) patterns+=("$1") ;;
	esac
	shift
done
# The long ones first: the short ones fill the gaps at the end.
if [ ${#layers[@]} -eq 0 ]; then
	layers=(e2e bpf unit)
	[[ " ${patterns[*]-}" != *" fuzz/"* ]] || layers+=(fuzz)
fi
export BUILD=${BUILD:-build}
PATH=$(scripts/path.sh)
declare -A parts=() # test -> the only part of it that is wanted

wanted()
{
	local pattern
	[ ${#patterns[@]} -gt 0 ] || return 0
	for pattern in "${patterns[@]}"; do
		[[ $1 == *"${pattern%%:*}"* ]] || continue
		[[ $pattern != *:* ]] || parts[$1]=${pattern#*:}
		return 0
	done
	return 1
}

for layer in "${layers[@]}"; do
	for file in "tests/$layer"/*; do
		case $layer/$file in
		e2e/*.sh) name=e2e/$(basename "$file" .sh) ;;
		fuzz/*-fuzz.c) name=$layer/$(basename "$file" .c) ;;
		unit/*-test.c | unit/*-test.sh | bpf/*-test.c | bpf/*-test.sh) name=$layer/$(basename "${file%.*}") ;;
		*) continue ;;
		esac
		wanted "$name" && tests+=("$name")
		if [[ $name == e2e/* ]] && grep -q '^# Runs for both families' "$file"; then
			wanted "$name-ipv6" && tests+=("$name-ipv6")
		fi
	done
done
if [ $list = yes ]; then
	printf '%s\n' "${tests[@]}"
	exit 0
fi
# script_of NAME: the script of a test; X-ipv6 is X with FAMILY=6
script_of()
{
	echo "tests/${1%-ipv6}.sh"
}

# targets: what make has to build for the tests
targets()
{
	local name
	if [ ${#patterns[@]} -eq 0 ]; then
		printf '%s-tests\n' "${layers[@]}"
		return
	fi
	for name in ${tests[@]+"${tests[@]}"}; do
		case $name in
		e2e/*)
			# The tools, and the programs and objects that the script and lib.sh name.
			echo all
			# shellcheck disable=SC2016
			grep -ohE '\$BUILD/(tests|scripts)/[a-z0-9/.-]+' "$(script_of "$name")" tests/lib.sh |
				sed "s#^.BUILD#$BUILD#"
			! grep -q scripts/bench/ "$(script_of "$name")" || echo bench-programs
			;;
		*/*) [ -f "tests/$name.sh" ] || echo "$BUILD/tests/$name" ;;
		esac
	done | sort -u
}

if [ $build = yes ]; then
	mapfile -t goals < <(targets)
	[ ${#goals[@]} -eq 0 ] || ${MAKE:-make} -s -j "$(nproc)" "${goals[@]}" || exit 1
fi

kept=$BUILD/kept
[ "${KEEP:-0}" != 1 ] || rm -rf "$kept"
results=$(mktemp -d) || exit 1
declare -A running=() # pid -> test
declare -A started=() # test -> when
# Invoked by the trap.
# shellcheck disable=SC2317
stop()
{
	[ ${#running[@]} -eq 0 ] || kill "${!running[@]}" 2>/dev/null
	wait
	rm -rf "$results"
}
trap stop EXIT
trap 'exit 130' INT TERM HUP

# run_test NAME: everything that the test prints, and its exit status as the last line
run_test()
{
	local command status
	local limit=$limit
	if [ "$1" = lint ]; then
		command=(scripts/lint.sh)
		limit=3600 # two minutes of static analysis, beside the tests, on any machine
	elif [[ $1 == fuzz/* ]]; then
		command=(tests/fuzz/run.sh "${1#fuzz/}")
		limit=$((${FUZZ_SECONDS:-60} + 120))
	elif [ "$1" = vm ]; then
		command=(scripts/vm/run.sh --short --checks)
		limit=4500 # more than its own limit of one kernel
	elif [ -f "$(script_of "$1")" ]; then
		command=(env FAMILY=4 "$(script_of "$1")")
		[[ $1 != *-ipv6 ]] || command[1]=FAMILY=6
	elif [[ $1 == bpf/* ]]; then
		if [ "$(id -u)" != 0 ]; then
			printf 'skip all: needs root\n77\n'
			return
		fi
		# A network namespace of its own: its only interface is a lo with index 1.
		command=(unshare -n "$BUILD/tests/$1")
	else
		command=("$BUILD/tests/$1")
	fi
	[ -z "${parts[$1]:-}" ] || export PART=${parts[$1]}
	timeout -k 5 "$limit" "${command[@]}" < /dev/null &
	# timeout and the test are in a process group of their own: Ctrl-C does not reach them.
	# shellcheck disable=SC2064
	trap "trap '' INT TERM HUP; kill $!" INT TERM HUP
	wait $!
	status=$?
	wait $! # after a signal: until the test has cleaned up
	[ $status -eq 124 ] && echo "timed out after $limit s"
	echo "$status"
}

passed=0 failed=0 skipped=0

# What kernels lack, and the first that has it: an older one is excused, also by CI.
excuses=(
	"6.2 this kernel renames no interface that is up"
	"6.6 this kernel has no tcx"
)

# unexcused LOG: the number of skipped checks for which this kernel has no excuse
unexcused()
{
	local excuse reasons=()
	for excuse in "${excuses[@]}"; do
		[ "$(printf '%s\n' "${excuse%% *}" "$(uname -r)" | sort -V | head -n 1)" = "${excuse%% *}" ] ||
			reasons+=("${excuse#* }")
	done
	grep '^skip ' "$1" | grep -cvE ": ($(IFS='|' && echo "${reasons[*]-}"))\$"
}

# report NAME: print and count one test's lines
report()
{
	local log=$results/${1//\//_} status n_ok n_fail n_skip n_bad
	status=$(tail -n 1 "$log")
	sed -i '$d' "$log"
	n_ok=$(grep -c '^ok ' "$log")
	n_fail=$(grep -c '^FAIL ' "$log")
	n_skip=$(grep -c '^skip ' "$log")
	sed -nE "s#^(ok|FAIL|skip) #\1 $1: #p" "$log"
	if [ "$status" -ne 0 ] && [ "$status" -ne 77 ] && [ "$n_fail" -eq 0 ]; then
		echo "FAIL $1: ended with status $status"
		n_fail=1
	elif [ $((n_ok + n_fail + n_skip)) -eq 0 ]; then
		echo "FAIL $1: made no check"
		n_fail=1
	fi
	if [ "$n_skip" -gt 0 ] && [ "${CI:-}" = true ]; then
		n_bad=$(unexcused "$log")
		[ "$n_bad" -eq 0 ] || echo "FAIL $1: skips $n_bad checks, which CI does not accept"
		n_fail=$((n_fail + n_bad)) n_skip=$((n_skip - n_bad))
	fi
	if [ "$n_fail" -gt 0 ]; then
		echo "---- output of $1:"
		sed 's/^/| /' "$log"
		echo "----"
		if [ "${KEEP:-0}" = 1 ]; then
			mkdir -p "$kept/$1"
			cp "$log" "$kept/$1/log"
			echo "files of $1 are in $kept/$1"
		fi
	fi
	echo "-- $1: $((n_ok + n_fail + n_skip)) checks in $((SECONDS - started[$1])) s"
	passed=$((passed + n_ok)) failed=$((failed + n_fail)) skipped=$((skipped + n_skip))
}

# reap: wait for one of the running tests
reap()
{
	local pid
	wait -n -p pid "${!running[@]}"
	report "${running[$pid]}"
	unset "running[$pid]"
}

for name in ${tests[@]+"${tests[@]}"}; do
	[ ${#running[@]} -lt "$jobs" ] || reap
	run_test "$name" > "$results/${name//\//_}" 2>&1 &
	running[$!]=$name started[$name]=$SECONDS
done
while [ ${#running[@]} -gt 0 ]; do
	reap
done

[ $((passed + failed + skipped)) -gt 0 ] || echo "no test matches" >&2
summary="$passed passed, $failed failed"
[ $skipped -eq 0 ] || summary+=", $skipped skipped"
echo "$summary"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
