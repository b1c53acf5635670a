#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Show both tools on real traffic. Works as the first command on a new machine: installs what is
# missing, builds, and plays in network namespaces that are gone afterwards. Needs root or sudo.
set -eu
cd "$(dirname "$0")/.."
BIN=${BUILD:-build}/bin
PATH=$PATH:/usr/sbin:/sbin

if [ "${1:-}" != --in-namespace ]; then
	case ${1:-} in
	'') ;;
	-h | --help)
		echo "Usage: scripts/demo.sh: install what is missing, build, and show both tools"
		exit 0
		;;
	*)
		echo "scripts/demo.sh: takes no arguments" >&2
		exit 2
		;;
	esac
	echo "First, what is missing to build and run both tools is installed; nothing of it goes on running."
	scripts/install-deps.sh build demo
	echo "Then both are built, into $BIN."
	${MAKE:-make} -s -j "$(nproc)"
	# For the last lines: the interface of this machine that most packets use.
	DEMO_UPLINK=$(ip -o route show default | sed -n '1s/.* dev \([^ ]*\).*/\1/p')
	export DEMO_UPLINK=${DEMO_UPLINK:-lo}
	as_root=()
	[ "$(id -u)" = 0 ] || as_root=(sudo --preserve-env="BUILD,DEMO_UPLINK")
	# When the first process of the new process namespace ends, all others do.
	exec "${as_root[@]}" unshare --net --mount --propagation private --pid --fork --kill-child \
		--mount-proc "$0" --in-namespace
fi

# A /run of its own, where "ip netns" keeps its names and the demo its files.
mount -t tmpfs tmpfs /run
mkdir /run/netns
FILES=/run

title()
{
	printf '\n=== %s\n' "$*"
}

# wait_for COMMAND...: at most 10 s
wait_for()
{
	local tries=200
	until "$@" > /dev/null 2>&1; do
		tries=$((tries - 1))
		if [ $tries -eq 0 ]; then
			echo "demo.sh: waited in vain for: $*" >&2
			cat $FILES/*.err >&2
			exit 1
		fi
		sleep 0.05
	done
}

# ipv6 HOST 0|1: whether it is to have IPv6; a kernel without it has none anyway
ipv6()
{
	[ ! -e /proc/sys/net/ipv6 ] || ip netns exec "$1" sysctl -q -w \
		net.ipv6.conf.all.disable_ipv6=$((1 - $2)) net.ipv6.conf.default.disable_ipv6=$((1 - $2))
}

# show COMMAND: what a user would type in the client, and what it prints
show()
{
	printf '$ %s\n' "$1"
	ip netns exec client sh -c "$1" 2>&1 | tee $FILES/shown || true
}

# answered [ADDRESS]: whether the last command got the target's answer
answered()
{
	grep -qF "you are ${1:-10.0.0.1} " $FILES/shown || { echo "demo.sh: that got no answer" >&2; exit 1; }
}

cat <<'PICTURE'

        client 10.0.0.1 ------------+------------ target 10.0.0.138
        packet-monitor and proxy    |             serves TCP and UDP
        run here, on eth0           |             on port 23456
                                    |
                      nobody has the address 10.0.0.10
PICTURE

ip netns add switch
ipv6 switch 0
ip -n switch link add br0 type bridge mcast_snooping 0
ip -n switch link set br0 up
for name in client:10.0.0.1 target:10.0.0.138; do
	host=${name%:*}
	ip netns add "$host"
	# Only what is shown shall be on the wire.
	ipv6 "$host" 0
	ip -n "$host" link set lo up
	ip -n "$host" link add eth0 type veth peer name "$host" netns switch
	ip -n "$host" address add "${name#*:}/24" dev eth0
	ip -n "$host" link set eth0 up
	ip -n switch link set "$host" master br0 up
done

# shellcheck disable=SC2016
ANSWER='SYSTEM:read question; echo "you are $SOCAT_PEERADDR and said: $question"'
ip netns exec target socat TCP4-LISTEN:23456,fork,reuseaddr "$ANSWER" &
ip netns exec target socat UDP4-RECVFROM:23456,fork "$ANSWER" &
wait_for ip netns exec target sh -c 'ss -Hltn sport = :23456 | grep -q . && ss -Hlun sport = :23456 | grep -q .'

title "without the proxy, nobody answers at 10.0.0.10"
show 'echo hello | socat - TCP4:10.0.0.10:12345,connect-timeout=0.5'
# The kernel still holds that attempt's packet and would send it as soon as it could.
ip -n client neigh flush dev eth0

title "proxy eth0: 10.0.0.10:12345 is mapped to 10.0.0.138:23456"
# Reports are far apart here: each tool prints one, when it is told to end.
ip netns exec client "$BIN/proxy" -I 1000 eth0 > $FILES/proxy.out 2> $FILES/proxy.err &
proxy=$!
wait_for grep attached $FILES/proxy.err
cat $FILES/proxy.err
ip netns exec client "$BIN/packet-monitor" -I 1000 --no-summary eth0 > $FILES/monitor.out 2> $FILES/monitor.err &
monitor=$!
wait_for grep attached $FILES/monitor.err
cat $FILES/monitor.err

title "the client talks to 10.0.0.10:12345; the target says whom it heard, at which address"
show 'echo hello by TCP | socat -t 2 - TCP4:10.0.0.10:12345'
answered
show 'echo hello by UDP | socat -t 1 - UDP4:10.0.0.10:12345'
answered

title "what packet-monitor has counted meanwhile, and what is on the wire"
kill -INT $monitor
wait $monitor
cat $FILES/monitor.out

title "what proxy has in its two maps"
kill -INT $proxy
wait $proxy
cat $FILES/proxy.out

# On a terminal only: elsewhere the live view is a table as above.
if [ -t 0 ] && [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
	title "packet-monitor on a terminal: for three seconds, while the client talks (keys work; h lists them)"
	ip netns exec client "$BIN/proxy" -I 1000 eth0 > $FILES/proxy.out 2> $FILES/proxy.err &
	proxy=$!
	wait_for grep attached $FILES/proxy.err
	while head -c 5000 /dev/urandom | base64 -w 0 | ip netns exec client timeout 1 socat -t 1 - TCP4:10.0.0.10:12345; do
		sleep 0.1
	done > /dev/null 2>&1 &
	talk=$!
	ip netns exec client "$BIN/packet-monitor" -t 3 eth0
	kill $talk
	wait $talk 2> /dev/null || true
	kill -INT $proxy
	wait $proxy
fi

if [ -e /proc/sys/net/ipv6 ]; then
	title "the same over IPv6: proxy -m '[fd00::10]:12345=[fd00::138]:23456' eth0"
	for name in switch: client:fd00::1 target:fd00::138; do
		host=${name%%:*} address=${name#*:}
		ipv6 "$host" 1
		[ -z "$address" ] || ip -n "$host" address add "$address/64" dev eth0 nodad
	done
	ip netns exec target socat TCP6-LISTEN:23456,ipv6only,fork,reuseaddr "$ANSWER" &
	wait_for ip netns exec target sh -c 'ss -Hlt6n sport = :23456 | grep -q .'
	ip netns exec client "$BIN/proxy" -I 1000 -m '[fd00::10]:12345=[fd00::138]:23456' eth0 \
		> $FILES/proxy.out 2> $FILES/proxy.err &
	proxy=$!
	wait_for grep attached $FILES/proxy.err
	show 'echo hello over IPv6 | socat -t 2 - TCP6:[fd00::10]:12345'
	answered "[fd00:0000:0000:0000:0000:0000:0000:0001]"
	kill -INT $proxy
	wait $proxy
	cat $FILES/proxy.out
fi

title "both have removed their filters; remove-filters-and-qdisc.sh takes the qdisc away"
show './remove-filters-and-qdisc.sh eth0'

cat <<NEXT

Next, on this machine's own interface:

    sudo $BIN/packet-monitor $DEMO_UPLINK
    sudo $BIN/proxy -m 192.0.2.10:80=192.0.2.138:8080 $DEMO_UPLINK     # with your addresses
NEXT
