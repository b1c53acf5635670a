#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Undo what packet-monitor and proxy did to interfaces, after a kill -9 or proxy --keep.
# Needs nothing but iproute2. It asks and tells tc about all interfaces at once: with processes for
# each of a thousand it took minutes.
set -uf # lists are split into words, but never taken for file name patterns

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
TAB=$(printf '\t')
found=no status=0

# complain TEXT...: an error, and the exit status that goes with it
complain()
{
	printf 'remove-filters-and-qdisc.sh: %s\n' "$*" >&2
	status=1
}

# Interfaces that may hold something of ours: with clsact (or ingress), or with such a neighbour.
all_interfaces()
{
	{ tc qdisc show && ip neigh show; } | sed -n \
		-e 's/^qdisc clsact [^ ]* dev \([^ ]*\) .*/\1/p' \
		-e 's/^qdisc ingress [^ ]* dev \([^ ]*\) .*/\1/p' \
		-e "s/^[^ ]* dev \([^ ]*\) lladdr $PROXY_MAC .*/\1/p" | sort -u
}

# look_at DEV...: what is on these interfaces, a line each, of fields divided by tabs:
#	filter|neighbour|qdisc DEV WHAT COMMAND [PROGRAM]	ours; COMMAND of tc or ip removes it
#	left DEV WHAT						not ours
# Return: 1, and no qdisc, if tc does not show all filters.
look_at()
{
	[ $# -gt 0 ] || return 0
	{
		printf '%s\n' "$@" ""
		tc qdisc show
		ip neigh show
		# The answer to each question is an array, on a line of its own.
		printf 'filter show dev %s\n' "$@" | sed 'h; s/$/ ingress/p; g; s/$/ egress/' |
			tc -json -batch -
	} | awk -v OFS="$TAB" -v programs=" $PROGRAMS " -v mac="$PROXY_MAC" '
	# The value of a key of the object at hand, in which quotes within strings are escaped.
	function value(key, text)
	{
		if (!match(object, "\"" key "\":\"?[^\",}]*"))
			return ""
		text = substr(object, RSTART + length(key) + 3, RLENGTH - length(key) - 3)
		sub(/^"/, "", text)
		return text
	}
	# @hook of @dev has an object: the classifier of a priority, a hash table, or a filter.
	function show(dev, hook, name, id, handle, why)
	{
		objects[dev]++
		if (object !~ /"options":/ || object ~ /"ht_divisor":/)
			return
		name = value("bpf_name")
		sub(/:.*/, "", name)
		id = value("id")
		handle = value("handle") value("fh")
		why = "it is not of this project"
		if (value("kind") == "bpf" && value("bpf_name") == name ":[" id "]" &&
		    index(programs, " " name " ")) {
			# The name of the program itself; a tc of before 2021 does not tell it.
			if (value("name") == "" || value("name") == name) {
				print "filter", dev, "filter " name " (" hook ", priority " value("pref") \
					", handle " handle ", program " id ")",
					"filter del dev " dev " " hook " protocol " value("protocol") " pref " \
					value("pref") " chain " value("chain") " handle " handle " bpf", id
				return
			}
			why = "it is displayed like one of ours, but its program is " value("name")
		}
		others[dev]++
		print "left", dev, "the " value("kind") " filter with priority " value("pref") \
			", handle " handle " at " hook ": " why
	}
	!asked && NF == 0 { asked = 1 }
	!asked { devs[++count] = $1; wanted[$1] = 1; next }
	$1 == "qdisc" { qdiscs[$5] = qdiscs[$5] " " $2; shared[$5] = /_block / }
	$2 == "dev" && $4 == "lladdr" && $5 == mac && $3 in wanted {
		print "neighbour", $3, "neighbour " $1 " (" mac ")", "neigh del " $1 " dev " $3
	}
	/^\[/ {
		dev = devs[int(answers / 2) + 1]
		hook = answers++ % 2 ? "egress" : "ingress"
		n = gsub(/\{[^{}]*"pref":/, "\n&") ? split($0, parts, "\n") : 0
		# The qdisc ingress has the same filters at both.
		for (i = 2; i <= n && !(qdiscs[dev] ~ / ingress/ && hook == "egress"); i++) {
			object = parts[i]
			show(dev, hook)
		}
	}
	END {
		if (answers != 2 * count)
			exit 1
		for (i = 1; i <= count; i++) {
			dev = devs[i]
			if (qdiscs[dev] !~ / clsact/)
				continue
			if (shared[dev])
				why = "it shares a block of filters with other interfaces"
			else if (others[dev])
				why = others[dev] " filters of others are in it"
			else
				why = "filters of ours are still in it"
			if (shared[dev] || objects[dev])
				print "left", dev, "the clsact qdisc: " why
			else
				print "qdisc", dev, "the clsact qdisc, which was empty",
					"qdisc del dev " dev " clsact"
		}
	}'
}

# look DEV...: look_at() them, into $seen
look()
{
	seen=$(look_at "$@") && return
	complain "tc does not show all filters: have interfaces come or gone? Run it again"
	exit 1
}

# remove tc|ip KIND LINES: run the commands of the LINES of that kind; say what is gone, or why not
remove()
{
	plan=$(printf '%s\n' "$3" | sed -n "s/^$2$TAB//p")
	[ -n "$plan" ] || return 0
	found=yes
	{
		printf '%s\n' "$plan" ""
		printf '%s\n' "$plan" | cut -f 3 | "$1" -force -batch - 2>&1 || echo "Command failed"
	} | awk -F '\t' '
	!planned && NF == 0 { planned = 1; next }
	!planned { dev[++count] = $1; what[count] = $2; next }
	# Behind what there is to say about line N: "Command failed -:N". Last, without a number.
	/^Command failed/ {
		number = substr($0, length("Command failed -:") + 1)
		why[number] = text ~ /[Pp]ermi/ ? "not permitted (needs CAP_NET_ADMIN)" : text
		numbers += number != ""
		text = ""
		next
	}
	{ text = text (text == "" ? "" : ": ") $0 }
	END {
		for (i = 1; i <= count; i++) {
			number = numbers ? i : "" # no number: no command was run
			if (number in why)
				print "remove-filters-and-qdisc.sh: cannot remove " what[i] " from " \
					dev[i] ": " why[number] | "cat >&2"
			else
				print dev[i] ": removed " what[i]
		}
		exit ("" in why)
	}' || status=1
}

# complain_of_owners LINES: a tool that runs has its programs open
complain_of_owners()
{
	programs=$(printf '%s\n' "$1" | sed -n "s/^filter$TAB.*$TAB\(.*\)/^prog_id:[[:space:]]*\1\$/p" | sort -u)
	[ -n "$programs" ] || return 0
	set +f
	tools=$(grep -lsx -e packet-monitor -e proxy /proc/[0-9]*/comm)
	for comm in $tools; do
		pid=${comm#/proc/}
		pid=${pid%/comm}
		! grep -qs -e "$programs" "/proc/$pid/fdinfo"/* ||
			complain "$(cat "$comm") (pid $pid) runs and attaches its filters again: end it first (kill $pid)"
	done
	set -f
}

# mention_others NAMED...: other interfaces that have filters of ours, such as the one by which the
# target of a mapping is reached
mention_others()
{
	# shellcheck disable=SC2046
	look_at $(all_interfaces) | sed -n "s/^filter$TAB\([^$TAB]*\)$TAB.*/\1/p" | sort -u |
		while read -r dev; do
			case " $* " in
			*" $dev "*) ;;
			*) echo "$dev: has filters of ours, too: name it as well, or no interface at all" ;;
			esac
		done
}

for arg; do
	case $arg in
	-h | --help)
		usage
		exit 0
		;;
	--) break ;;
	-*)
		complain "unknown option '$arg' (try --help)"
		exit 2
		;;
	esac
done
[ "${1:-}" != -- ] || shift
for program in tc ip; do
	if ! command -v $program > /dev/null; then
		complain "$program is missing: install iproute2"
		exit 1
	fi
done
named=${1+ on $*}
# Interface names hold neither white space nor a slash.
# shellcheck disable=SC2046
[ -n "$named" ] || set -- $(all_interfaces)
for dev; do
	shift
	name=$dev
	# It may be another name of the interface: the lists have the kernel's.
	[ -z "$named" ] || name=$(ip -json link show dev "$dev" 2> /dev/null |
		sed -n 's/.*"ifname":"\([^"]*\)".*/\1/p')
	case $name in
	'') complain "no such interface: ${dev:-''}" ;;
	*[\#\"\'\\]*) complain "cannot look at $dev: tc -batch takes no such name" ;;
	*) set -- "$@" "$name" ;;
	esac
done
look "$@"
ours=$seen
remove tc filter "$ours"
remove ip neighbour "$ours"
look "$@"
printf '%s\n' "$seen" | sed -n "s/^left$TAB\([^$TAB]*\)$TAB/\1: left alone /p"
remove tc qdisc "$seen"
[ $found = yes ] || [ $status -ne 0 ] ||
	echo "nothing of packet-monitor or proxy found$named"
[ -z "$named" ] || mention_others "$@"
complain_of_owners "$ours"
exit $status
