#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# docs/TROUBLESHOOTING.md has every counter, and every message that is not about wrong usage.
set -u
cd "$(dirname "$0")/../.." || exit 1
doc=docs/TROUBLESHOOTING.md

# shellcheck disable=SC2016
# The names in the first column of the tables, one a line; "..." parts one in two.
listed=$(grep '^| ' "$doc" | cut -d '|' -f 2 | grep -oE '`[^`]+`' | sed 's/`//g; s/^warning: //; s/ *\.\.\. */\n/g' |
	grep .....)

counters()
{
	# X(NAME, field, "text") in include/proxy.h; the names of enum pm_reason in format.c
	sed -nE 's/^\tX\([A-Z_]+, ([a-z_]+),.*/\1/p' include/proxy.h
	sed -nE '/^const char \*format_reason/,/^}/s/.*\[PM_[A-Z]+\] = "([a-z_]+)".*/\1/p' \
		packet-monitor/format.c | grep -vx ok
}

is_listed_counters()
{
	grep -qE "^\| \`$1\`" "$doc"
}

# The texts of log_err() and log_note(), each on a line.
messages()
{
	local files
	mapfile -t files < <(printf '%s\n' lib/*.c packet-monitor/*.c proxy/*.c |
		grep -vE '/(options|option-table)\.c$')
	grep -hzoP '\blog_(err|note)\([^";]*("(\\.|[^"\\])*"\s*)+' "${files[@]}" | tr '\0\n\t' '\n  ' |
		sed -E 's/" *"//g; s/^[^"]*"//; s/" *$//' | sed 's/^warning: //' | grep ' ' | sort -u
}

# A message is listed if some part of it, between what is filled in, is listed whole or in part; one
# that is filled in altogether has its text elsewhere.
is_listed_messages()
{
	local part entry parts=0
	while read -r part; do
		parts=1
		while read -r entry; do
			[[ $entry != *"$part"* && $part != *"$entry"* ]] || return 0
		done <<< "$listed"
	done < <(sed -E 's/%[-0-9.*]*[a-z]+/\n/g; s/[:;(]/\n/g' <<< "$1" | sed 's/^[ ,]*//; s/[ ,)]*$//' | grep ......)
	return "$parts"
}

failed=0
for kind in counters messages; do
	number=0 lacking=
	while read -r name; do
		number=$((number + 1))
		"is_listed_$kind" "$name" || lacking+="${lacking:+, }'$name'"
	done < <($kind)
	if [ -n "$lacking" ]; then
		echo "FAIL $doc has all $kind: it lacks $lacking"
		failed=1
	elif [ "$number" -lt 15 ]; then
		echo "FAIL $doc has all $kind: only $number were found in the sources"
		failed=1
	else
		echo "ok $doc has all $number $kind"
	fi
done
exit $failed
