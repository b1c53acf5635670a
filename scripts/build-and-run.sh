#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# scripts/build-and-run.sh TOOL [ARGUMENT...]: build a tool, run it with these arguments, which name
# an interface or several, and clean up after it. Called by TOOL/build-and-run.sh.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
tool=$1
shift

case ${1:-} in
'' | -h | --help)
	echo "Usage: $tool/build-and-run.sh IFACE [OPTION...]"
	echo "Builds $tool if need be, runs it on the interface (see $tool/$tool.8 for the options),"
	echo "and removes the clsact qdisc afterwards, if it was not there before and no filter is in it."
	[ $# -gt 0 ] || exit 2
	exit 0
	;;
esac

scripts/install-deps.sh build
"${MAKE:-make}" -s -j "$(nproc)" "${BUILD:-build}/bin/$tool"

# Those of the arguments that are interfaces, and have no clsact yet.
fresh=()
for argument; do
	if ip link show dev "$argument" > /dev/null 2>&1 &&
		! tc qdisc show dev "$argument" | grep -q '^qdisc clsact '; then
		fresh+=("$argument")
	fi
done

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
# In the background, so that a signal to this script alone reaches the tool as well.
"${as_root[@]}" "${BUILD:-build}/bin/$tool" "$@" <&0 &
pid=$!
trap 'kill -TERM $pid 2> /dev/null' TERM HUP
trap : INT
status=0
wait $pid || status=$?
while kill -0 $pid 2> /dev/null; do # wait ended because of a signal to this script
	status=0
	wait $pid || status=$?
done

for iface in "${fresh[@]}"; do
	tc qdisc show dev "$iface" 2> /dev/null | grep -q '^qdisc clsact ' || continue
	if [ -z "$(tc filter show dev "$iface" ingress)$(tc filter show dev "$iface" egress)" ]; then
		"${as_root[@]}" ./remove-filters-and-qdisc.sh "$iface" >&2
	else
		echo "$iface: left alone the clsact qdisc: filters are in it (./remove-filters-and-qdisc.sh $iface removes ours)" >&2
	fi
done
exit $status
