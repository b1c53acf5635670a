#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A guard against packet paths that get longer unnoticed. What each costs is counted, not timed, and
# compared with tests/e2e/budget.txt: instructions of the loaded program and of the verifier's walk;
# then for each kind of packet the instructions executed, lookups in hash maps, helper calls and
# stores to shared map memory (see budget-path.c). "scripts/budget.sh --update" writes what is
# measured into that file. Each version of clang makes other instructions of the same source and has
# a part of its own there; with a version that has none, the test measures and compares nothing.
. "$(dirname "$0")/../lib.sh"

BUDGET=$ROOT/tests/e2e/budget.txt
MEASURED=${BUDGET_MEASURED:-$TMP/budget.txt}

OTHER=10.0.0.139 # no mapping knows it
udp_out="udp,$CLIENT,40000,$ORIGINAL,$ORIGINAL_PORT"
udp_back="udp,$TARGET,$TARGET_PORT,$CLIENT,40000"
tcp_out="tcp,$CLIENT,40001,$ORIGINAL,$ORIGINAL_PORT"
syn_out="syn,$CLIENT,40001,$ORIGINAL,$ORIGINAL_PORT"
tcp_back="tcp,$TARGET,$TARGET_PORT,$CLIENT,40001"

# probe OBJECT PROGRAM HOOK PACKET...: the output of budget-path for a program that is attached
probe()
{
	local object=$1 program=$2 hook=$3 id
	shift 3
	id=$(in_host client tc filter show dev eth0 "$hook" |
		sed -n "s/.* $program.* id \([0-9]*\) .*/\1/p" | head -n 1)
	[ -n "$id" ] || { echo "no $program at $hook" >&2; return 1; }
	nsenter --net=/run/netns/client "$BUILD/tests/e2e/budget-path" "$BUILD/bpf/$object-bpf.o" \
		"$id" eth0 "$@"
}

# path OBJECT PROGRAM HOOK NAME PACKET...: what the cheapest of the packets costs. That is one whose
# flow is known, and at which the program had no reason to look at the clock.
path()
{
	local name=$2:$4 line verdict kernel
	line=$(probe "$1" "$2" "$3" "${@:5}" | sed 1d | sort -n | head -n 1)
	read -r _ _ _ _ verdict kernel <<< "$line"
	equal "$name: the verdict counted is the kernel's" "$verdict" "$kernel"
	echo "path $name ${line% * *}" >> "$MEASURED"
}

program()
{
	echo "program $2 $(probe "$1" "$2" "$3" arp | head -n 1)" >> "$MEASURED"
}

clang=$("${CLANG:-clang}" -dumpversion)
clang=${clang%%.*} kernel=$(uname -r | cut -d . -f 1-2)
echo "clang $clang, Linux $kernel" > "$MEASURED"

lan_of_the_mapping
in_host client ping -q -c 1 -W 5 $TARGET > $TMP/ping # the next hop is resolved

start_tool monitor client packet-monitor eth0
program packet-monitor pm_egress egress
program packet-monitor pm_ingress ingress
path packet-monitor pm_egress egress udp-new "${udp_out/40000/39998}" "${udp_out/40000/39999}" "$udp_out"
path packet-monitor pm_egress egress udp "$udp_out"{,,,}
path packet-monitor pm_egress egress tcp "$tcp_out"{,,,}
path packet-monitor pm_egress egress tcp6 tcp,fd00::1,40000,fd00::138,80{,,,}
path packet-monitor pm_egress egress arp arp{,,,}
path packet-monitor pm_ingress ingress udp "$udp_back"{,,,}
stop monitor

start_tool proxy client proxy eth0
program proxy proxy_egress egress
program proxy proxy_ingress ingress
path proxy proxy_egress egress miss "udp,$CLIENT,40000,$OTHER,$TARGET_PORT"
path proxy proxy_egress egress miss-ipv6 tcp,fd00::1,40000,fd00::138,80
path proxy proxy_egress egress miss-port "udp,$CLIENT,40000,$ORIGINAL,53"
path proxy proxy_egress egress udp-new "${udp_out/40000/39998}" "${udp_out/40000/39999}" "$udp_out"
path proxy proxy_egress egress udp "$udp_out"{,,,}
path proxy proxy_egress egress tcp "$syn_out" "$tcp_out"{,,,}
path proxy proxy_ingress ingress udp "$udp_back"{,,,}
path proxy proxy_ingress ingress tcp "$tcp_back"{,,,}
path proxy proxy_ingress ingress miss "udp,$OTHER,$TARGET_PORT,$CLIENT,40000"
stop proxy

# The same for IPv6, which has an object and a budget of its own.
to6="fd00::1,40001,fd00::10,$ORIGINAL_PORT" from6="fd00::138,$TARGET_PORT,fd00::1,40001"
in_host client ping -q -c 1 -W 5 fd00::138 > $TMP/ping
start_tool proxy client proxy -m "[fd00::10]:$ORIGINAL_PORT=[fd00::138]:$TARGET_PORT" eth0
program proxy6 proxy6_egress egress
program proxy6 proxy6_ingress ingress
path proxy6 proxy6_egress egress miss tcp,fd00::1,40000,fd00::139,80
path proxy6 proxy6_egress egress miss-ipv4 "udp,$CLIENT,40000,$OTHER,$TARGET_PORT"
path proxy6 proxy6_egress egress miss-port tcp,fd00::1,40000,fd00::10,53
path proxy6 proxy6_egress egress udp-new "udp,${to6/40001/39998}" "udp,${to6/40001/39999}" "udp,$to6"
path proxy6 proxy6_egress egress udp "udp,$to6"{,,,}
path proxy6 proxy6_egress egress tcp "syn,$to6" "tcp,$to6"{,,,}
path proxy6 proxy6_ingress ingress udp "udp,$from6"{,,,}
path proxy6 proxy6_ingress ingress tcp "tcp,$from6"{,,,}
path proxy6 proxy6_ingress ingress miss tcp,fd00::139,80,fd00::1,40000
stop proxy

# within MEASURED BUDGET PERCENT
within()
{
	[ "$1" -le $(($2 + ($2 * $3 + 99) / 100)) ]
}

# The part of this clang, from its head to the next.
part=$(sed -n "/^clang $clang,/,/^\$/p" "$BUDGET" 2> /dev/null)
if [ -z "$part" ]; then
	ok "clang $clang has no budget (scripts/budget.sh --update): measured, compared with nothing"
	finish
fi
# Another kernel makes other instructions of the same program, too.
slack=25
[[ $part != "clang $clang, Linux $kernel"$'\n'* ]] || slack=3
update="if that is meant: scripts/budget.sh --update"
while read -r kind name budget; do
	read -ra most <<< "$budget"
	read -ra now <<< "$(sed -n "s/^$kind $name //p" "$MEASURED")"
	case $kind in
	program)
		if [ ${#now[@]} -ne 2 ]; then
			fail "$name" "not measured; $update"
		elif within "${now[0]}" "${most[0]}" $slack && within "${now[1]}" "${most[1]}" 25; then
			ok "$name: ${now[0]} instructions, ${now[1]} verified"
		else
			fail "$name" "${now[0]} instructions, ${now[1]} verified; \
budget ${most[0]} and ${most[1]}; $update"
		fi
		;;
	path)
		if [ ${#now[@]} -ne 4 ]; then
			fail "$name" "not measured; $update"
		elif within "${now[0]}" "${most[0]}" $slack && [ "${now[1]}" -le "${most[1]}" ] &&
			[ "${now[2]}" -le "${most[2]}" ] && [ "${now[3]}" -le "${most[3]}" ]; then
			ok "$name: ${now[0]} instructions, ${now[1]} lookups, ${now[2]} calls, ${now[3]} stores"
		else
			fail "$name" "${now[*]} instructions, lookups, calls, stores; \
budget ${most[*]}; $update"
		fi
		;;
	esac
done <<< "$part"
equal "the budget names what is measured" \
	"$(awk '/^(program|path)/ { print $1, $2 }' "$MEASURED" | sort)" \
	"$(awk '/^(program|path)/ { print $1, $2 }' <<< "$part" | sort)"
finish
