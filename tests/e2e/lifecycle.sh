#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What both tools promise alike: how they start, complain, report and end, and that nothing of
# theirs stays behind. proxy has mappings of both families.
. "$(dirname "$0")/../lib.sh"
needs setpriv ping jq

lan_of_the_mapping

# run_tool TOOL ARGUMENT...: run to the end in client (at most 20 s) with "options"; sets status, out
# and err. Before it: "prefix=(COMMAND...)" to run it by way of another command.
prefix=()
options=()
MAPS=(-m "10.0.0.10:12345=10.0.0.138:23456" -m "[fd00::10]:12345=[fd00::138]:23456")
run_tool()
{
	local tool=$1
	shift
	status=0
	in_host client timeout -k 1 20 ${prefix[@]+"${prefix[@]}"} "$BIN/$tool" ${options[@]+"${options[@]}"} "$@" \
		> "$TMP/run.out" 2> "$TMP/run.err" < /dev/null || status=$?
	out=$(cat "$TMP/run.out")
	err=$(cat "$TMP/run.err")
}

no_filter_of_ours()
{
	[ -z "$(our_filters client eth0)" ]
}

# refused NAME STATUS GLOB: the last run ended with STATUS and one line on stderr that matches GLOB,
# after the name of the tool; nothing is attached
refused()
{
	local line=${err#"$tool: "}
	# shellcheck disable=SC2053
	if [ "$status" -ne "$2" ]; then
		fail "$tool: $1" "status $status instead of $2: $err"
	elif [ "$line" = "$err" ] || [[ $line == *$'\n'* ]] || [[ $line != $3 ]]; then
		fail "$tool: $1" "stderr is '$err'"
	elif ! no_filter_of_ours; then
		fail "$tool: $1" "filters stay: $(our_filters client eth0)"
	else
		ok "$tool: $1"
	fi
}

# ended NAME STATUS WANTED: a tool that ran ended with STATUS, and none of its filters is left
ended()
{
	if [ "$2" -ne "$3" ]; then
		fail "$1" "status $2 instead of $3: $(tail -n 3 "$TMP/tool.err" 2> /dev/null)"
	elif ! no_filter_of_ours; then
		fail "$1" "filters stay: $(our_filters client eth0 | xargs)"
	else
		ok "$1"
	fi
}

in_host client ping -q -c 1 -W 2 "$TARGET" > /dev/null

# What a kernel without clsact answers.
echo 'int bpf_tc_attach(void *h, void *o); int bpf_tc_attach(void *h, void *o) { (void)h, (void)o; return -2; }' |
	cc -shared -fPIC -x c - -o "$TMP/no-clsact.so"

for tool in packet-monitor proxy; do
	[ $tool = proxy ] && options=("${MAPS[@]}") || options=()
	# --- information ---
	run_tool $tool --help
	equal "$tool: --help ends with 0" $status 0
	contains "$tool: --help shows the usage on stdout" "$out" "Usage: $tool"
	equal "$tool: --help leaves stderr alone" "$err" ""
	run_tool $tool --version
	check "$tool: --version is a name, a number and, before a release, the commit" \
		grep -qxE "$tool [0-9]+\.[0-9]+\.[0-9]+(-git[0-9]{8}\.[0-9a-f]+(\.dirty)?)?" "$TMP/run.out"

	# --- wrong usage ---
	run_tool $tool
	refused "no interface" 2 '*interface*'
	run_tool $tool --nosuch eth0
	refused "an unknown option" 2 '*--nosuch*'
	run_tool $tool eth0 --verbose=1
	refused "an option with an argument too many" 2 "option '--verbose' takes no argument*"
	run_tool $tool --in 1 eth0
	refused "a word that begins several options" 2 "'--in' may be one of several options*"
	run_tool $tool ''
	refused "an interface whose name is empty" 2 '*The name is empty*'
	run_tool $tool -i '' eth0
	refused "an option whose argument is empty" 2 'the argument of --interface is empty*'
	for count in 0 -1 x 1x '' 99999999999999999999999; do
		run_tool $tool --count "$count" eth0
		refused "--count '$count'" 2 '*count*'
	done
	for interval in 0 -1 0.05 x 1s 99999999999999999999999; do
		run_tool $tool --interval "$interval" eth0
		refused "--interval '$interval'" 2 '*interval*'
	done
	run_tool $tool --duration -1 eth0
	refused "--duration -1" 2 '*duration*'
	run_tool $tool --output nosuch eth0
	refused "an unknown output" 2 '*nosuch*'
	for flows in 0 -1 x 99999999999999999999999; do
		run_tool $tool --max-flows "$flows" eth0
		refused "--max-flows '$flows'" 2 '*flows*'
	done

	# --- what cannot be ---
	run_tool $tool nosuch0
	equal "$tool: an unknown interface" "$status: $err" \
		"1: $tool: cannot attach to nosuch0: no such interface"
	run_tool $tool -i nosuch0
	equal "$tool: an unknown interface, by -i" "$status: $err" \
		"1: $tool: cannot attach to nosuch0: no such interface"
	run_tool $tool eth0:1
	refused "an address of an interface" 1 'cannot attach to eth0:1: no such interface'
	run_tool $tool sixteen-or-more-characters
	refused "too long a name" 1 '*no such interface'
	run_tool $tool --max-flows 4000000000 eth0
	if [ "$status" = 2 ]; then
		refused "a map size that memory cannot hold" 2 '*flows*'
	else
		refused "a map size that memory cannot hold" 1 '*'
	fi

	in_host client tc qdisc del dev eth0 clsact 2> /dev/null || true
	in_host client tc qdisc add dev eth0 ingress
	run_tool $tool -c 1 eth0
	refused "an ingress qdisc in place of clsact" 1 'cannot attach to eth0: *ingress qdisc*'
	in_host client tc qdisc del dev eth0 ingress
	in_host client tc qdisc add dev eth0 ingress_block 5 egress_block 6 clsact
	run_tool $tool -c 1 eth0
	refused "a block of filters that others share" 1 'cannot attach to eth0: *shares a block of filters*'
	in_host client tc qdisc del dev eth0 clsact

	# A sanitized tool wants the sanitizer's library first.
	asan=$(ldd "$BIN/$tool" | sed -n 's/.* => \(.*libasan[^ ]*\) .*/\1/p')
	prefix=(env "LD_PRELOAD=${asan:+$asan }$TMP/no-clsact.so")
	run_tool $tool -c 1 eth0
	refused "no clsact in the kernel" 1 'cannot attach to eth0: *clsact*'

	# --- missing privileges, named ---
	prefix=(setpriv --bounding-set "-bpf,-net_admin,-sys_admin,-perfmon"
		--inh-caps "-bpf,-net_admin,-sys_admin,-perfmon")
	run_tool $tool -c 1 eth0
	refused "without capabilities" 1 '*CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON*'
	prefix=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	run_tool $tool -c 1 eth0
	refused "as nobody" 1 '*CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON*'
	prefix=(setpriv --bounding-set "-net_admin,-sys_admin" --inh-caps "-net_admin,-sys_admin")
	run_tool $tool -c 1 eth0
	refused "without CAP_NET_ADMIN" 1 '*CAP_NET_ADMIN*'
	prefix=()

	# --- output that cannot be written ---
	status=0
	in_host client timeout -k 1 20 "$BIN/$tool" ${options[@]+"${options[@]}"} -c 2 -I 0.1 eth0 > /dev/full 2> "$TMP/tool.err" || status=$?
	err=$(grep "^$tool: " "$TMP/tool.err" | grep -v attached || true)
	refused "stdout is full" 1 '*No space left on device*'
	status=0
	in_host client timeout -k 1 20 "$BIN/$tool" ${options[@]+"${options[@]}"} -c 2 -I 0.1 eth0 >&- 2> "$TMP/tool.err" || status=$?
	err=$(grep "^$tool: " "$TMP/tool.err" | grep -v attached || true)
	refused "stdout is closed" 1 '*Bad file descriptor*'
	in_host client timeout -k 1 20 "$BIN/$tool" ${options[@]+"${options[@]}"} -I 0.1 eth0 2> "$TMP/tool.err" | head -n 1 > "$TMP/head"
	ended "$tool: a reader that goes away ends it well" "${PIPESTATUS[0]}" 0

	# --- ends ---
	run_tool $tool -c 2 -I 0.1 eth0
	ended "$tool: --count" $status 0
	contains "$tool: says where it is attached" "$err" "$tool: attached to eth0 (ingress, egress)"
	run_tool $tool -c 2 -I 0.1 -o jsonl eth0
	equal "$tool: --count 2 makes two reports" \
		"$(jq -r 'select(.type == "total") | .ts' "$TMP/run.out" | sort -u | wc -l)" 2
	run_tool $tool -t 0.3 -I 0.1 -i eth0
	ended "$tool: --duration, with -i" $status 0
	run_tool $tool -t 0.2 -I 3600 -o jsonl eth0
	contains "$tool: the last report is printed before leaving" "$out" '"type":"total"'
	check "$tool: each line is an object of JSON" jq -es 'length > 0' "$TMP/run.out"
	for signal in INT TERM HUP QUIT USR1 USR2; do
		start_tool tool client $tool ${options[@]+"${options[@]}"} -I 3600 -o jsonl eth0
		status=0
		stop tool $signal || status=$?
		ended "$tool: SIG$signal" $status 0
		contains "$tool: SIG$signal is followed by a last report" "$(cat "$TMP/tool.out")" '"type":"total"'
	done
	check "$tool: clsact stays" eval 'in_host client tc qdisc show dev eth0 | grep -q clsact'
	start_tool tool client $tool ${options[@]+"${options[@]}"} -v eth0
	stop tool
	check "$tool: -v shows what libbpf says" grep -q libbpf "$TMP/tool.err"

	# --- the interface goes ---
	host brief
	ip -n brief link add gone0 type veth peer name other0
	ip -n brief link set gone0 up
	address brief gone0 10.0.0.1/24 fd00::1/64
	start_tool tool brief $tool ${options[@]+"${options[@]}"} -I 3600 -o jsonl gone0
	name=gone0
	! rename_up "$tool: ends with its last name" brief gone0 renamed0 || name=renamed0
	ip -n brief link del $name
	status=0
	status_of tool || status=$?
	equal "$tool: ends with 1 when the interface is gone" $status 1
	check "$tool: and says so, by its last name" grep -q "^$tool: .*$name" "$TMP/tool.err"
	contains "$tool: after a last report" "$(cat "$TMP/tool.out")" '"type":"total"'
	ip netns del brief
done

# --- several on one interface ---
all="pm_egress pm_ingress proxy6_egress proxy6_ingress proxy_egress proxy_ingress"
for order in "packet-monitor proxy" "proxy packet-monitor"; do
	for tool in $order; do
		[ $tool = proxy ] && options=("${MAPS[@]}") || options=()
		start_tool "$tool" client "$tool" ${options[@]+"${options[@]}"} eth0
	done
	equal "both: $order" "$(our_filters client eth0 | sort | xargs)" "$all"
	for tool in $order; do
		status=0
		stop "$tool" || status=$?
		equal "both: $tool ends well" $status 0
	done
	check "both: nothing is left of $order" no_filter_of_ours
done
start_tool one client packet-monitor eth0
start_tool two client packet-monitor eth0
equal "two monitors are attached" "$(our_filters client eth0 | sort | xargs)" \
	"pm_egress pm_egress pm_ingress pm_ingress"
status=0
stop one || status=$?
equal "the first ends well" $status 0
equal "and leaves the second alone" "$(our_filters client eth0 | sort | xargs)" "pm_egress pm_ingress"
status=0
stop two || status=$?
equal "the second ends well" $status 0
check "nothing is left of two monitors" no_filter_of_ours

# --- build-and-run.sh ---
host fresh
ip -n fresh link add eth1 type veth peer name eth2
ip -n fresh link set eth1 up
for tool in packet-monitor proxy; do
	check "$tool/build-and-run.sh runs" in_host fresh "$ROOT/$tool/build-and-run.sh" eth1 -c 1 -I 0.1
	equal "$tool/build-and-run.sh leaves nothing behind" \
		"$(in_host fresh tc qdisc show dev eth1 | grep clsact)" ""
done
finish
