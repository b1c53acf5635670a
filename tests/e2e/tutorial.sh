#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# docs/tutorial.md: its commands, in its order; the programs keep to the size that it promises.
. "$(dirname "$0")/../lib.sh"
needs socat jq

host client target
# The commands of the page set up the rest; its namespaces are those of "host".
commands()
{
	sed -n '/^## Run it/,/^The client reads/s/^    //p' "$ROOT/docs/tutorial.md"
}
attached()
{
	in_host client tc filter show dev eth0 egress | grep -q tutorial
}
equal "the page begins with the hosts" "$(commands | head -n 1)" "ip netns add client; ip netns add target"
cd "$BUILD/.."
{
	commands | tail -n +2 | sed "s#build/docs#$BUILD/docs#; s#^ip netns exec target socat.*&\$#& wait_for 10 listening target tcp 80#
		s#\(.*/tutorial eth0 .*\) &\$#\1 > $TMP/counts \\& loader=\$!; wait_for 10 attached#
		s#^ip netns exec client socat.*#answer=\$(&)#"
} > "$TMP/page.sh"
answer='' loader='' # what the page sets
# shellcheck source=/dev/null
. "$TMP/page.sh"
equal "the client reads what the target says" "$answer" hello
for address in 10.0.0.10 10.0.0.1; do
	check "packets to $address are counted" wait_for 10 grep -q "^$address: [1-9][0-9]* packets" "$TMP/counts"
done
kill -INT "$loader"
wait "$loader" || true
equal "the loader takes its filters with it" \
	"$(for hook in ingress egress; do in_host client tc filter show dev eth0 $hook; done)" ""
for file in "$ROOT"/docs/tutorial/*.c; do
	check "${file##*/} has 60 lines at most" test "$(wc -l < "$file")" -le 60
done
finish
