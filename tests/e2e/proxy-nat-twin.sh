#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The same generated packets through the proxy and through nftables' DNAT, on two routers alike in
# all else: what comes out is equal, but for the ports that a NAT may choose.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs nft
STEPS=$((SOAK == 1 ? 1000000 : 100000))
[ "$FAMILY" = 4 ] && LEN=24 IP=ip || LEN=120 IP=ip6

# of A.B.C.D: the address as nat-twin.c has it; in IPv6 fd00::a.b.c.d, which nft wants in hex
of()
{
	[ "$FAMILY" = 4 ] && echo "$1" || printf 'fd00::%02x%02x:%02x%02x\n' ${1//./ }
}
ORIGINALS="$(of 10.0.0.10), $(of 10.0.0.11)" TARGET_AT=$(at "$(of 10.0.0.138)" $TARGET_PORT)

# router NAME: between "client-NAME" and "target-NAME", whose eth0 get whatever it forwards
router()
{
	local name=$1 addr
	host "$name" "client-$name" "target-$name"
	link "$name" eth1 "client-$name" eth0
	link "$name" eth0 "target-$name" eth0
	ip -n "$name" link set eth0 address 02:00:00:00:00:01
	ip -n "$name" link set eth1 address 02:00:00:00:00:01
	address "$name" eth0 "$(of 10.0.0.1)/$LEN"
	address "$name" eth1 "$(of 192.168.1.1)/$LEN"
	forwarding "$name"
	in_host "$name" sysctl -q -w net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
	for addr in 10 11 77 138 200; do
		ip -n "$name" neigh add "$(of 10.0.0.$addr)" lladdr 02:00:00:00:00:09 dev eth0
	done
	for addr in 2 3 9; do
		ip -n "$name" neigh add "$(of 192.168.1.$addr)" lladdr 02:00:00:00:00:09 dev eth1
	done
}

router ours
router theirs
if ! in_host theirs nft -f - <<-NFT 2> $TMP/nft.err; then
	table $IP nat {
		chain prerouting {
			type nat hook prerouting priority -100
			$IP daddr { $ORIGINALS } tcp dport 12345 dnat to $TARGET_AT
			$IP daddr { $ORIGINALS } udp dport 12345 dnat to $TARGET_AT
		}
	}
NFT
	skip "$(basename "$0" .sh)" "no NAT in this kernel: $(head -n 1 $TMP/nft.err)"
	finish
fi
# No flow is forgotten on the way, and no window is looked at: the generated connections are short
# of acknowledgements.
for timeout in udp_timeout udp_timeout_stream tcp_timeout_syn_sent tcp_timeout_syn_recv \
	tcp_timeout_fin_wait tcp_timeout_close_wait tcp_timeout_last_ack tcp_timeout_time_wait \
	tcp_timeout_close; do
	in_host theirs sysctl -q -w net.netfilter.nf_conntrack_$timeout=3600
done
in_host theirs sysctl -q -w net.netfilter.nf_conntrack_tcp_be_liberal=1

start_tool ours ours proxy -o jsonl --udp 3600 --tcp-syn 3600 --tcp-closing 3600 \
	-m "$(at "$(of 10.0.0.10)" 12345)=$TARGET_AT" -m "$(at "$(of 10.0.0.11)" 12345)=$TARGET_AT" eth0
if "$BUILD/tests/e2e/nat-twin" $FAMILY $STEPS 1 client-ours target-ours client-theirs target-theirs \
	> $TMP/twin.out 2>&1; then
	ok "$STEPS packets come out of the proxy as out of nftables"
else
	fail "$STEPS packets come out of the proxy as out of nftables" "see below"
fi
cat $TMP/twin.out
stop ours
grep '"type":"total"' $TMP/ours.out | tail -n 1 | sed 's/^/# /'
finish
