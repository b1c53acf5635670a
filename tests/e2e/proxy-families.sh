#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Mappings of both families in one process: what one family has is no business of the other, and a
# change is made in both or in none.
. "$(dirname "$0")/../lib.sh"
needs socat jq tcpdump

lan_of_the_mapping
start tcp4 target socat TCP4-LISTEN:$TARGET_PORT,reuseaddr,fork EXEC:cat
start tcp6 target socat TCP6-LISTEN:$TARGET_PORT,ipv6only,reuseaddr,fork EXEC:cat
listening_twice()
{
	[ "$(in_host target ss -Hlnt "sport = :$TARGET_PORT" | wc -l)" = 2 ]
}
wait_for 10 listening_twice
V4=10.0.0.10:12345=10.0.0.138:23456 V6='[fd00::10]:12345=[fd00::138]:23456'

proxy()
{
	in_host client "$BIN/proxy" "$@"
}

# exchange ADDRESS: whether the target answers there
exchange()
{
	[ "$(echo hello | in_host client timeout $((5 * PATIENCE)) socat -t $((2 * PATIENCE)) - "TCP:$1,connect-timeout=2" 2> /dev/null)" \
		= hello ]
}

works() # NAME
{
	check "$1: IPv4" wait_for 5 exchange 10.0.0.10:12345
	check "$1: IPv6" wait_for 5 exchange '[fd00::10]:12345'
}

filters()
{
	our_filters client eth0 | sort -u | tr '\n' ' '
}
IPV4="proxy_egress proxy_ingress " BOTH="proxy6_egress proxy6_ingress proxy_egress proxy_ingress "

# --- IPv6 comes and goes
start_tool proxy client proxy -I 0.2 -o jsonl eth0
start dump target tcpdump -lni eth0 icmp6
wait_for 5 grep -q listening $TMP/dump.err
equal "without an IPv6 mapping there is no filter for it" "$(filters)" "$IPV4"
ip -n client neigh flush dev eth0
check "--add of the first IPv6 mapping" proxy --add "$V6" eth0
equal "attaches its filters" "$(filters)" "$BOTH"
asked()
{
	# The kernel has not: it does not know of the address.
	[ "$(in_host client "$BIN/proxy" --list eth0 | wc -l)" = 4 ] && grep -q "who has fd00::10," $TMP/dump.out
}
check "and has the tool ask for the original, without privileges for it" wait_for 5 asked
works "both in one process"
equal "--list has both" "$(proxy --list eth0 | sed 's/ out .*//' | grep tcp)" \
	"10.0.0.10:12345 -> 10.0.0.138:23456 tcp
[fd00::10]:12345 -> [fd00::138]:23456 tcp"
equal "--status adds up" "$(proxy --status eth0 | grep -E '^(filters|mappings|targets)')" \
	"filters: ingress, egress, IPv6 ingress, IPv6 egress
mappings: 2
targets: 2, 0 down"
contains "--status adds up the tables" "$(proxy --status eth0)" " of 524288"
# made: how many flows the tool has reported as made
made()
{
	jq -n '[inputs | select(.type == "total").flows_new] | last' $TMP/proxy.out
}
reports()
{
	grep -c '"type":"total"' $TMP/proxy.out
}
reported()
{
	[ "$(reports)" -ge $1 ]
}
filters_are()
{
	[ "$(filters)" = "$1" ]
}
talk early6 client 'TCP:[fd00::10]:12345'
says "a connection over IPv6" early6 one one
check "--delete of the IPv6 mapping" proxy --delete '[fd00::10]:12345' eth0
check_not "ends it" exchange '[fd00::10]:12345'
check "and not the other" exchange 10.0.0.10:12345
# The tool looks at all flows each second, and reports five times as often.
check "the tool goes on" wait_for 10 reported $(($(reports) + 20))
says "the open connection does, too" early6 two two
equal "and has its filters" "$(filters)" "$BOTH"
before=$(made)
check "--kill --delete ends it" proxy --kill --delete '[fd00::10]:12345' eth0
check "and nothing needs the filters of IPv6 any more" wait_for 10 filters_are "$IPV4"
equal "--status has those of IPv4" "$(proxy --status eth0 | grep ^filters)" "filters: ingress, egress"
check "the tool goes on" wait_for 10 reported $(($(reports) + 2))
check "and counts what was, too" test "$(made)" -ge "$before"
check "--add brings it back" proxy --add "$V6" eth0
equal "with its filters" "$(filters)" "$BOTH"
works "again"
contains "a refused mapping of one family" \
	"$(proxy --add '[fd00::138]:23456=[fd00::1]:1' eth0 2>&1)" "the target is itself mapped"
contains "a mapping of both" "$(proxy --add '10.0.0.10=[fd00::1]' eth0 2>&1)" "mixes IPv4 and IPv6"
contains "loopback" "$(proxy --add '[fd00::20]=[::1]' eth0 2>&1)" "loopback addresses can be mapped on"
works "after refusals"

# --- filters that somebody removes
in_host client tc filter del dev eth0 egress pref 1011
restored()
{
	grep -q "somebody has removed the IPv6 egress filter from eth0; it is attached again" \
		$TMP/proxy.err
}
check "a filter of IPv6 that is removed is attached again" wait_for 5 restored
works "with all filters"
stop proxy
equal "the end removes the filters of both" "$(filters)" ""
equal "and the neighbours" "$(in_host client ip neigh show | grep -c 02:70:72:6f:78:79)" 0
check "each line of jsonl is JSON" jq -e . $TMP/proxy.out
equal "flows of both were reported" \
	"$(jq -r 'select(.type == "flow") | .from' $TMP/proxy.out | sort -u | tr '\n' ' ')" \
	"10.0.0.10:12345 [fd00::10]:12345 "

# --- kept, changed, taken over
start_tool proxy client proxy --keep -m $V4 eth0
stop proxy
check "--add of an IPv6 mapping to a kept datapath of IPv4" proxy --add "$V6" eth0
works "kept"
start_tool proxy client proxy --keep -m $V4 -m "$V6" eth0
talk open4 client TCP:10.0.0.10:12345
talk open6 client 'TCP:[fd00::10]:12345'
says "a connection over IPv4" open4 one one
says "a connection over IPv6" open6 one one
stop proxy
start_tool proxy client proxy -m $V4 -m "$V6" eth0
says "the one over IPv4 is taken over" open4 two two
says "the one over IPv6 is taken over" open6 two two
equal "--list counts the flows of both" \
	"$(proxy --list -o jsonl eth0 | jq 'select(.proto == "tcp") | .flows > 0' | sort -u)" true
stop proxy
equal "and both end" "$(filters)" ""

# --- IPv6 alone
start_tool proxy client proxy -m "$V6" eth0
equal "IPv6 alone needs no filter of IPv4" "$(filters)" "proxy6_egress proxy6_ingress "
check "and works" exchange '[fd00::10]:12345'
check "--add of an IPv4 mapping" proxy --add $V4 eth0
works "IPv4 added"
stop proxy

# --- all or nothing
printf '%s\n' $V4 "$V6" > $TMP/maps
start_tool proxy client proxy -f $TMP/maps eth0
works "by a file"
printf '%s\n' 10.0.0.10:12345=10.0.0.138:1 '[fd00::10]:12345=[::1]:1' > $TMP/maps
kill -HUP "${pids[proxy]}"
check "a file whose IPv6 part cannot work is refused" \
	wait_for 5 grep -q "loopback addresses.*; the running mappings stay" $TMP/proxy.err
works "as before"
in_host client ip link set eth0 down
in_host client ip link set eth0 up
address client eth0 fd00::1/64 2> /dev/null || true
check "IPv6 works after the interface was down" wait_for 10 exchange '[fd00::10]:12345'
stop proxy
finish
