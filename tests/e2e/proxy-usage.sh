#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What is refused, and how: one clear line, the right exit status, nothing left in the kernel.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs jq setpriv

lan_of_the_mapping
TO=$(at "$(ip_of 10.0.0.2)") ELSEWHERE=$(ip_of 10.9.0.1)
[ "$FAMILY" = 4 ] && ANY=0.0.0.0 MULTICAST=224.0.0.1 LOOPBACK=127.0.0.1 ||
	ANY=:: MULTICAST=ff02::1 LOOPBACK=::1
LOOPBACK_AT=$(at $LOOPBACK)

proxy()
{
	in_host client timeout $((30 * PATIENCE)) "$BIN/proxy" "$@"
}

# refused NAME STATUS TEXT ARGUMENT...: TEXT is a glob pattern without [...]
refused()
{
	local name=$1 want=$2 text=$3 output status=0
	shift 3
	output=$(proxy "$@" 2>&1 > /dev/null) || status=$?
	equal "$name ends with $want" $status "$want"
	contains "$name is explained" "$output" "${text//\[/\\[}"
	equal "$name in one line" "$(wc -l <<< "$output")" 1
}

refused "no interface" 2 "proxy: which interface? (try --help)"
refused "an unknown option" 2 "unknown option '--frobnicate'" --frobnicate eth0
refused "two interfaces" 2 "one interface only, not 'eth0' and 'eth1'" eth0 eth1
refused "two verbs" 2 "only one of --list" --list --flush-flows eth0
refused "a verb with --map" 2 "use --add" --list -m "$ORIGINAL_AT:1=$TO:1" eth0
refused "a verb with --file" 2 "--file belongs to a proxy that runs" --list --file $TMP/x eth0
refused "--add of a malformed mapping" 2 "--add: 'nonsense' is not FROM=TO" --add nonsense eth0
refused "--delete of one" 2 "--delete: 'nonsense' is not an IPv4 address" --delete nonsense eth0
refused "a malformed mapping" 2 "'nonsense' is not FROM=TO" -m nonsense eth0
refused "port 0" 2 "port must be 1 to 65535, not '0'" -m "$ORIGINAL_AT:0=$TO:1" eth0
refused "port 65536" 2 "not '65536'" -m "$ORIGINAL_AT:1=$TO:65536" eth0
refused "the same FROM twice" 2 "$ORIGINAL_AT:1/udp is mapped twice" \
	-m "$ORIGINAL_AT:1=$TO:1" -m "$ORIGINAL_AT:1=$TARGET_AT:1/udp" eth0
refused "FROM equal to TO" 2 "maps an address to itself" -m "$ORIGINAL_AT:1=$ORIGINAL_AT:1" eth0
refused "a chain" 2 "the target is itself mapped" \
	-m "$ORIGINAL_AT:1=$TO:1" -m "$TO:1=$TARGET_AT:1" eth0
refused "the wildcard address" 2 "wildcard" -m "$(at $ANY 1)=$TO:1" eth0
refused "a multicast address" 2 "multicast" -m "$(at $MULTICAST 1)=$TO:1" eth0
refused "the broadcast address" 2 "broadcast" -m 255.255.255.255:1=10.0.0.2:1 eth0
refused "a subnet's broadcast address" 1 "FROM is a broadcast address" \
	-m 10.0.0.255:1=10.0.0.2:1 eth0
refused "a target that is a subnet's broadcast address" 1 "TO is a broadcast address" \
	-m 10.0.0.10:1=10.0.0.255:1 eth0
refused "a loopback address on Ethernet" 1 "on the loopback device only, not eth0" \
	-m "$ORIGINAL_AT:1=$LOOPBACK_AT:1" eth0
refused "another host's address on lo" 1 "must be addresses of this host" \
	-m "$LOOPBACK_AT:1=$TARGET_AT:1" lo
refused "families mixed" 2 "mixes IPv4 and IPv6: both sides must be of one family" \
	-m '10.0.0.10=[fd00::138]' eth0
refused "a zone" 2 "'fe80::1%eth0' has a zone, as only link-local addresses do" \
	-m '[fe80::1%eth0]:80=[fd00::138]:80' eth0
refused "a link-local address" 2 "fe80::1 is a link-local address" -m '[fe80::1]=[fd00::138]' eth0
refused "an IPv4-mapped address" 2 "is an IPv4-mapped address: write a.b.c.d" \
	-m '[::ffff:10.0.0.10]=[fd00::138]' eth0
refused "a missing bracket" 2 "lacks the closing bracket: write ?ADDR]:PORT" \
	-m '[fd00::10:80=[fd00::138]:80' eth0
refused "an address that can be read in two ways" 2 \
	"'fd00::10:80' can be read in two ways: write ?fd00::10]:80 or ?fd00::10:80]" \
	-m 'fd00::10:80=[fd00::138]:80' eth0
refused "a prefix" 2 "prefixes are not supported: '10.0.0.0/24'; map each address by itself" \
	-m 10.0.0.0/24=10.1.0.0/24 eth0
refused "a range" 2 "ranges are not supported: '10.0.0.10:80-90'" \
	-m 10.0.0.10:80-90=10.0.0.138:80-90 eth0
refused "a star for every port" 2 "for every port, leave out ':*' on both sides" \
	-m "$ORIGINAL_AT:*=$TARGET_AT:*" eth0
refused "a star for every address" 2 "map each address by itself" -m "*:80=$TARGET_AT:80" eth0
refused "interval 0" 2 "--interval must be 0.1 to" -I 0 eth0
refused "a negative interval" 2 "--interval must be" -I -1 eth0
refused "a huge interval" 2 "--interval must be" -I 99999999999999999999 eth0
refused "count 0" 2 "--count must be 1 to" -c 0 eth0
refused "an unknown output" 2 "text, jsonl or prom, not 'xml'" -o xml eth0
refused "no flows at all" 2 "--max-flows must be 1 to" --max-flows 0 eth0
refused "an unknown interface" 1 "cannot attach to eth9: no such interface" eth9
refused "a name that is too long" 1 "no such interface" an-interface-name-of-many-letters
refused "a missing file" 1 "cannot read $TMP/none: No such file or directory" -f $TMP/none eth0
printf '%s\n' "$ORIGINAL_AT:1=$TO:1" "" rubbish > $TMP/maps
refused "a broken file" 1 "$TMP/maps:3: it is not FROM=TO" -f $TMP/maps eth0
folder=$TMP/$(printf '%0150d' 0)
mkdir -p $folder
cp $TMP/maps $folder/maps
refused "a broken file in a folder with a long name" 1 "/maps:3: it is not FROM=TO" -f $folder/maps eth0
printf '%s\n' "$ORIGINAL_AT:1=$TO:1" "$TARGET_AT:1=$LOOPBACK_AT:1" > $TMP/maps
cp $TMP/maps $folder/maps
refused "its mapping that cannot work here" 1 "/maps:2: $TARGET_AT:1=$LOOPBACK_AT:1: " -f $folder/maps eth0
refused "a file with a mapping that cannot work here" 1 \
	"$TMP/maps:2: $TARGET_AT:1=$LOOPBACK_AT:1: " \
	-f $TMP/maps eth0

unprivileged()
{
	in_host client setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all \
		--reuid=65534 --clear-groups "$BIN/proxy" "$@"
}
status=0
output=$(unprivileged eth0 2>&1) || status=$?
equal "no privilege ends with 1" $status 1
contains "and names what is missing" "$output" "CAP_BPF, CAP_NET_ADMIN"
equal "in one line" "$(wc -l <<< "$output")" 1

if [ "$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo)" -lt 134217728 ]; then
	refused "a table that memory cannot hold" 1 "a smaller --max-flows helps" \
		--max-flows 1073741824 eth0
else
	skip "a table that memory cannot hold" "this machine could hold it"
fi

# The kernel must be as it was: not even clsact is made before all has been checked.
equal "nothing was left behind" "$(in_host client tc qdisc show dev eth0 | grep clsact)" ""

# --- places that are taken
MAP=(-m "$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT")
[ "$FAMILY" = 4 ] && PRIO=1010 HANDLE=1 PROTOCOL=ip ||
	PRIO=1011 HANDLE=2 PROTOCOL=ipv6
proxy -t 0.1 "${MAP[@]}" eth0 2> /dev/null > /dev/null
nsenter --net=/run/netns/client tc filter add dev eth0 egress prio $PRIO handle $HANDLE bpf \
	direct-action object-file "$BUILD/tests/e2e/counter-bpf.o" section tc
refused "a stranger in our place" 1 "is taken by program" "${MAP[@]}" eth0
contains "stays" "$(in_host client tc filter show dev eth0 egress)" counter
in_host client tc filter del dev eth0 egress prio $PRIO
in_host client tc filter add dev eth0 egress prio $PRIO protocol $PROTOCOL u32 match u32 0 0
refused "a filter of another kind in our place" 1 "taken by a filter of another kind" "${MAP[@]}" eth0
equal "and nothing of ours is left" "$(our_filters client eth0)" ""
in_host client tc filter del dev eth0 egress prio $PRIO

# --- warnings
warns()
{
	local name=$1 text=$2
	shift 2
	proxy -t 0.1 -o jsonl "$@" 2> $TMP/warn > /dev/null || true
	contains "$name" "$(cat $TMP/warn)" "$text"
}
in_host client sysctl -q -w net.ipv4.conf.all.rp_filter=1
host other
link client eth1 other eth0
address client eth1 "$(ip_of 10.1.0.1)/$PREFIX"
address other eth0 "$(ip_of 10.1.0.2)/$PREFIX"
warns "an original without a route" "warning: $ELSEWHERE has no route, so nothing sent to it" \
	-m "$(at $ELSEWHERE 1)=$TARGET_AT:1" eth0
warns "an original behind another device" "the route to $(ip_of 10.1.0.9) leaves by eth1" \
	-m "$(at "$(ip_of 10.1.0.9)" 1)=$TARGET_AT:1" eth0
warns "a target without a route" "the target $ELSEWHERE cannot be reached: Network is unreachable" \
	-m "$ORIGINAL_AT:1=$(at $ELSEWHERE 1)" eth0
[ "$FAMILY" = 6 ] || # which has no rp_filter
	warns "rp_filter" "where rp_filter=1 drops them" -m 10.0.0.10:1=10.1.0.2:1 eth0
if [ "$FAMILY" = 4 ]; then
	link client eth1.7 other eth1.7
	address client eth1.7 10.2.0.1/24
	warns "rp_filter of a device with a dot in its name" "come in by eth1.7" \
		-m 10.0.0.10:1=10.2.0.2:1 eth0
	# shellcheck disable=SC2046
	check "the command that the line names" in_host client \
		$(sed -n 's/.*(\(sysctl [^)]*\)).*/\1/p' $TMP/warn)
	proxy -t 0.1 -m 10.0.0.10:1=10.2.0.2:1 eth0 2> $TMP/warn > /dev/null
	equal "leaves no reason for the warning" "$(grep -c rp_filter $TMP/warn)" 0
	ip -n client link del eth1.7
fi
for i in $(seq 8); do
	echo "$(at "$(ip_of 10.9.0.$i)" 1)=$TARGET_AT:1"
done > $TMP/maps
warns "many of a kind" "more of this kind" -f $TMP/maps eth0
equal "are not all shown" "$(grep -cF "${ELSEWHERE%1}" $TMP/warn)" 5
proxy -t 0.1 "${MAP[@]}" eth0 2> $TMP/warn > /dev/null
equal "there is no warning without a reason" "$(grep -c warning $TMP/warn)" 0

if has_tcx "tcx programs"; then
	start tcx client "$BUILD/tests/e2e/tcx-attach" eth0
	wait_for 5 grep -q attached $TMP/tcx.out
	warns "tcx programs" "2 tcx programs on eth0 may take packets" "${MAP[@]}" eth0
	stop tcx || true
fi

# --- standard input
check "mappings from standard input" grep -qF "$ORIGINAL_AT:1 -> $TARGET_AT:1 udp" \
	<(echo "$ORIGINAL_AT:1=$TARGET_AT:1" | proxy -f - -c 1 -I 0.1 eth0 2> /dev/null)

# --- help, version
contains "--help" "$(proxy --help)" "Usage: proxy "
check "--version" proxy --version
undocumented=
for option in $(proxy --help | grep -oE -- '--[a-z-]+' | sort -u); do
	sed 's/\\-/-/g' "$ROOT/proxy/proxy.8" | grep -qE "^\.(B|BR|BI) .*$option( |\$)" ||
		undocumented+=" $option"
done
equal "each option is in the man page" "$undocumented" ""
# --- the interface goes
start_tool proxy client proxy -I 10 "${MAP[@]}" eth1
if rename_up "a rename is followed" client eth1 eth7; then
	check "a rename is followed" wait_for 3 grep -q "now called eth7" $TMP/proxy.err
	check "by name" grep -qF "$ORIGINAL_AT:$ORIGINAL_PORT -> $TARGET_AT:$TARGET_PORT" <(proxy --list eth7)
	ip -n client link set eth7 name eth1
fi
ip -n client link del eth1
status=0
status_of proxy || status=$?
equal "an interface that goes away ends it with 1" $status 1
check "it says so" grep -Eq "eth1 (is gone|has gone down)" "$TMP/proxy.err"
equal "and nothing else" "$(grep -vc "attached\|gone\|warning\|called" $TMP/proxy.err)" 0
finish
