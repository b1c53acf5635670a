#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Names and other bytes from outside: an interface may have nearly any name, a file any contents.
. "$(dirname "$0")/../lib.sh"
needs jq iconv

host box
# Quotes, an escape sequence of terminals, and bytes that are not UTF-8.
odd=$'"\\\e[2J\a\xff'
ip -n box link add "$odd" type veth peer name other
ip -n box link set "$odd" up
ip -n box link set other up
address box "$odd" 10.0.0.1/24

# harmless NAME FILE: valid UTF-8 without control characters
harmless()
{
	check "$1: UTF-8" iconv -f UTF-8 -t UTF-8 -o /dev/null "$2"
	check_not "$1: no control characters" env LC_ALL=C grep -q '[[:cntrl:]]' "$2"
}

for tool in packet-monitor proxy; do
	formats="text jsonl prom"
	[ $tool = proxy ] || formats="table jsonl csv prom"
	for format in $formats; do
		in_host box "$BIN/$tool" -c 1 -I 0.1 -o $format "$odd" > $TMP/out 2> $TMP/err || true
		check "$tool, $format: it attaches" grep -qF 'attached to "\\x1b[2J\x07\xff' $TMP/err
		harmless "$tool, $format" $TMP/out
		harmless "$tool, $format, stderr" $TMP/err
		[ $format != prom ] || check "$tool, $format: the format" "$ROOT/tests/e2e/prom-check.py" $TMP/out
		[ $format != jsonl ] || equal "$tool, $format: the name" "$(jq -r .iface $TMP/out | sort -u)" \
			$'"\\\e[2J\a\xef\xbf\xbd'
	done
	# Without "[", which packet-monitor would take for a pattern to wait for.
	in_host box timeout 20 "$BIN/$tool" $'no\e]2name' > $TMP/out 2> $TMP/err || true
	check "$tool: the name of what is missing" grep -qF 'no\x1b]2name: no such interface' $TMP/err
	harmless "$tool: the name of what is missing" $TMP/err
done

# A file that the caller may not read must not be shown to the caller, who runs the tool by sudo.
echo 'root:$y$j9T$secret=$hash:19000:0:99999:7:::' > $TMP/shadow
echo 'secret=10.0.0.1:80' >> $TMP/shadow
for line in 1 2; do
	sed -n ${line}p $TMP/shadow > $TMP/one
	in_host box "$BIN/proxy" -f $TMP/one lo > $TMP/out 2> $TMP/err || true
	check "a broken line $line is named" grep -q "$TMP/one:1: " $TMP/err
	check_not "but not shown" grep -q "root\|secret\|hash" $TMP/err
done
finish
