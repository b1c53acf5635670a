#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Undo what packet-monitor and proxy did to interfaces, after a kill -9 or proxy --keep.
# Needs nothing but iproute2.
set -uf # words of tc's output are split, but never taken for file name patterns

# Those of lib/programs.h; "scripts/lint.sh names" compares the two.
PROGRAMS="pm_ingress pm_egress pm3_ingress pm3_egress proxy_ingress proxy_egress proxy3_ingress proxy3_egress proxy_direct proxy3_direct proxy6_ingress proxy6_egress proxy36_ingress proxy36_egress proxy6_direct proxy36_direct"

usage()
{
	cat <<USAGE
Usage: remove-filters-and-qdisc.sh [IFACE...]

Removes from the interfaces named, or from all interfaces of this network namespace,
  - the filters of packet-monitor and proxy:
    $PROGRAMS,
  - neighbour entries with the address 02:70:72:6f:78:79, which proxy gives to hosts that do not exist,
  - the clsact qdisc, if no filter of anyone's is left in it.
Filters of others are never touched. A packet-monitor or proxy that runs attaches its filters
again: it is named, to be ended first. Exit status: 0, or 1 if something could not be removed or
will be attached again.
USAGE
}

PROXY_MAC=02:70:72:6f:78:79
PATH=$PATH:/usr/sbin:/sbin
found=0 status=0
programs='' # the ids of those whose filters were removed

say()
{
	printf '%s\n' "$*"
}

# complain TEXT...: an error, and the exit status that goes with it
complain()
{
	printf 'remove-filters-and-qdisc.sh: %s\n' "$*" >&2
	status=1
}

# remove WHAT COMMAND...: run tc or ip; say what is gone, or why not
remove()
{
	what=$1
	shift
	if error=$("$@" 2>&1); then
		say "$dev: removed $what"
	else
		case $error in
		*[Pp]ermi*) error="not permitted (needs CAP_NET_ADMIN)" ;;
		esac
		complain "cannot remove $what from $dev: $error"
	fi
}

# is_ours DISPLAYED ID PROGRAM: whether a filter that tc displays as NAME:[ID] is one of ours. tc
# says what the program behind it is really called, or else bpftool does; sets $why if it is not.
is_ours()
{
	why="it is not of this project"
	[ "$1" = "${1%%:*}:[$2]" ] || return 1
	case " $PROGRAMS " in
	*" ${1%%:*} "*) ;;
	*) return 1 ;;
	esac
	program=$3
	if [ -z "$program" ] && command -v bpftool > /dev/null; then
		program=$(bpftool prog show id "$2" 2> /dev/null | sed -n '1s/.* name \([^ ]*\) .*/\1/p')
	fi
	why="it is displayed like one of ours, but its program is $program"
	[ -z "$program" ] || [ "$program" = "${1%%:*}" ]
}

# clean_hook ingress|egress: remove our filters from $dev; counts those that stay in $others
clean_hook()
{
	hook=$1
	filters=$(tc filter show dev "$dev" "$hook" 2> /dev/null)
	while read -r line; do
		# tc prints a line for the classifier at a priority, and then one for each filter.
		case $line in
		"filter "*" ht divisor "*) continue ;;
		"filter "*" handle "* | "filter "*" fh "*) ;;
		*) continue ;;
		esac
		protocol=all priority='' kind='' chain=0 handle='' name='' id='' program=''
		why="it is not of this project"
		# shellcheck disable=SC2086
		set -- $line
		while [ $# -gt 1 ]; do
			case $1 in
			protocol) protocol=$2 ;;
			pref) priority=$2 kind=${3:-} ;;
			chain) chain=$2 ;;
			handle | fh) handle=$2 name=${3:-} ;;
			id) id=$2 ;;
			name) program=$2 ;;
			esac
			shift
		done
		if [ "$kind" = bpf ] && is_ours "$name" "$id" "$program"; then
			found=$((found + 1))
			programs="$programs $id"
			remove "filter ${name%%:*} ($hook, priority $priority, handle $handle, program $id)" \
				tc filter del dev "$dev" "$hook" protocol "$protocol" pref "$priority" \
				chain "$chain" handle "$handle" bpf
			continue
		fi
		others=$((others + 1))
		say "$dev: left alone the $kind filter with priority $priority, handle $handle at $hook: $why"
	done <<FILTERS
$filters
FILTERS
}

# clean_qdisc: remove the clsact of $dev if nothing is left in it
clean_qdisc()
{
	case $clsact in
	*" $dev "*) ;;
	*) return ;;
	esac
	case $shared in
	*" $dev "*)
		say "$dev: left alone the clsact qdisc: it shares a block of filters with other interfaces"
		return
		;;
	esac
	# Whatever clean_hook() may not know how to read is a filter, too.
	if [ -n "$(tc filter show dev "$dev" ingress)$(tc filter show dev "$dev" egress)" ]; then
		say "$dev: left alone the clsact qdisc: $others filters of others are in it"
	else
		found=$((found + 1))
		remove "the clsact qdisc, which was empty" tc qdisc del dev "$dev" clsact
	fi
}

# clean_neighbours: remove the entries of $dev that proxy's ARP replies made
clean_neighbours()
{
	case $neighbours in
	*" dev $dev lladdr $PROXY_MAC "*) ;;
	*) return ;;
	esac
	while read -r address line; do
		case " $line " in
		*" lladdr $PROXY_MAC "*)
			found=$((found + 1))
			remove "neighbour $address ($PROXY_MAC)" ip neigh del "$address" dev "$dev"
			;;
		esac
	done <<NEIGHBOURS
$(ip neigh show dev "$dev" 2> /dev/null)
NEIGHBOURS
}

# Interfaces that may hold something of ours: with clsact (or ingress), or with such a neighbour.
all_interfaces()
{
	printf '%s\n' "$qdiscs" "$neighbours" | while read -r line; do
		case $line in
		"qdisc clsact "* | "qdisc ingress "* | *" lladdr $PROXY_MAC "*)
			line=${line#* dev }
			say "${line%% *}"
			;;
		esac
	done | sort -u
}

# complain_of_owners: a tool that runs has its programs open
complain_of_owners()
{
	set -- # one -e PATTERN for each program
	for id in $programs; do
		set -- "$@" -e "^prog_id:[[:space:]]*$id\$"
	done
	[ $# -gt 0 ] || return 0
	set +f
	owners=$(grep -ls "$@" /proc/[0-9]*/fdinfo/* | cut -d / -f 3 | sort -nu)
	set -f
	for pid in $owners; do
		tool=$(cat "/proc/$pid/comm" 2> /dev/null)
		case $tool in
		packet-monitor | proxy)
			complain "$tool (pid $pid) runs and attaches its filters again: end it first (kill $pid)"
			;;
		esac
	done
}

# mention_others NAMED...: other interfaces that have filters of ours, such as the one by which the
# target of a mapping is reached
mention_others()
{
	for dev in $(all_interfaces); do
		case " $* " in
		*" $dev "*) continue ;;
		esac
		filters=$(tc filter show dev "$dev" ingress && tc filter show dev "$dev" egress)
		for program in $PROGRAMS; do
			case $filters in
			*" $program:["*)
				say "$dev: has filters of ours, too: name it as well, or no interface at all"
				break
				;;
			esac
		done
	done
}

case ${1:-} in
-h | --help)
	usage
	exit 0
	;;
-?*)
	usage >&2
	exit 2
	;;
esac
for program in tc ip; do
	if ! command -v $program > /dev/null; then
		complain "$program is missing: install iproute2"
		exit 1
	fi
done
named=$#
# Asked for once: a thousand questions would take minutes.
qdiscs=$(tc qdisc show) neighbours=$(ip neigh show)
clsact=' ' shared=' ' # interfaces with the qdisc; those whose filters are in a block
while read -r _ kind _ _ dev line; do
	[ "$kind" = clsact ] || continue
	clsact="$clsact$dev "
	case $line in
	*_block*) shared="$shared$dev " ;;
	esac
done <<QDISCS
$qdiscs
QDISCS
# Interface names hold neither white space nor a slash.
# shellcheck disable=SC2046
[ $# -gt 0 ] || set -- $(all_interfaces)
for dev; do
	if [ "$named" -gt 0 ]; then
		if ! link=$(ip -o link show dev "$dev" 2> /dev/null); then
			complain "no such interface: $dev"
			continue
		fi
		case $link in
		*": $dev: "* | *": $dev@"*) ;;
		*) # another name of it: the lists have the kernel's
			dev=${link#*: }
			dev=${dev%%: *}
			dev=${dev%@*}
			;;
		esac
	fi
	others=0
	clean_hook ingress
	clean_hook egress
	clean_neighbours
	clean_qdisc
done
[ $found -gt 0 ] || [ $status -ne 0 ] ||
	say "nothing of packet-monitor or proxy found$([ "$named" -eq 0 ] || echo " on $*")"
[ "$named" -eq 0 ] || mention_others "$@"
complain_of_owners
exit $status
