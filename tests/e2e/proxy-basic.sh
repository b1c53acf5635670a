#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The built-in mapping and real programs: no host has the original address.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs socat nc curl dig dnsmasq iperf3 python3 ping

# ends NAME STATUS COMMAND...: "stop" or "status_of" returns STATUS
ends()
{
	local name=$1 want=$2 status=0
	shift 2
	"$@" || status=$?
	equal "$name" $status "$want"
}

lan_of_the_mapping
start tcp target socat TCP$FAMILY-LISTEN:$TARGET_PORT,reuseaddr,fork EXEC:cat
start udp target socat UDP$FAMILY-LISTEN:$TARGET_PORT,reuseaddr,fork EXEC:cat
mkdir $TMP/www
head -c 1000000 /dev/urandom > $TMP/www/file
start web target python3 -m http.server --bind $TARGET --directory $TMP/www 80
start dns target dnsmasq -k -p 5353 -R -h --pid-file= --conf-file=/dev/null \
	--address=/name.example/192.0.2.7 --address=/name.example/2001:db8::7
start iperf target iperf3 -s -p 5201
wait_for 10 listening target tcp $TARGET_PORT
wait_for 10 listening target udp $TARGET_PORT
wait_for 10 listening target tcp 80
wait_for 10 listening target udp 5353
wait_for 10 listening target tcp 5201

# --- the built-in mapping, and the same in IPv6
maps=() filters="proxy_egress proxy_ingress "
[ $FAMILY = 4 ] || maps=(-m "$(at $ORIGINAL $ORIGINAL_PORT)=$(at $TARGET $TARGET_PORT)")
[ $FAMILY = 4 ] || filters="proxy6_egress proxy6_ingress "
start_tool proxy client proxy "${maps[@]}" eth0
equal "the line that scripts wait for" "$(head -n 1 $TMP/proxy.err)" \
	"proxy: attached to eth0 (ingress, egress), 1 mapping"
equal "both filters are there" "$(our_filters client eth0 | sort -u | tr '\n' ' ')" \
	"$filters"
equal "TCP with the built-in mapping" \
	"$(echo hello | in_host client socat -t $((5 * PATIENCE)) - "TCP:$(at $ORIGINAL $ORIGINAL_PORT)")" hello
equal "UDP with the built-in mapping" \
	"$(echo hello | in_host client timeout 5 nc -u -W 1 $ORIGINAL $ORIGINAL_PORT)" hello
equal "TCP with nc" "$(echo hello | in_host client timeout 5 nc -N $ORIGINAL $ORIGINAL_PORT)" hello
check "another port of the original is not touched" \
	in_host client bash -c "! timeout 3 nc -z -w 1 $ORIGINAL 80"
check_not "neither is ping" in_host client ping -c 1 -W 1 $ORIGINAL
reported()
{
	sed -nE "s/:[0-9]+ -> / -> /; /^/p" $TMP/proxy.out | grep -qF \
		"$(at $TARGET $TARGET_PORT) : $(at $CLIENT) -> $(at $ORIGINAL $ORIGINAL_PORT) $1 $2"
}
check "a report names the mapping" wait_for 5 grep -qF \
	"$(at $ORIGINAL $ORIGINAL_PORT) -> $(at $TARGET $TARGET_PORT) tcp " $TMP/proxy.out
check "a report lists the TCP flow" wait_for 5 reported tcp closing
check "a report lists the UDP flow" wait_for 5 reported udp replied
check "under the original program's headings" \
	bash -c "grep -q '^== Egress ==$' $TMP/proxy.out && grep -q '^== Ingress ==$' $TMP/proxy.out"
contains "the kernel believes in a host there" "$(in_host client ip neigh show $ORIGINAL)" \
	02:70:72:6f:78:79
ends "SIGINT ends it well" 0 stop proxy INT
equal "no filter of ours remains" "$(our_filters client eth0)" ""
equal "nor the neighbour that it invented" "$(in_host client ip neigh show $ORIGINAL)" ""
contains "clsact stays" "$(in_host client tc qdisc show dev eth0)" clsact

# --- a host at the original address keeps its other traffic
host original
link original eth0 switch p-original
ip -n switch link set p-original master br0
address original eth0 $ORIGINAL/$PREFIX
start other original socat TCP$FAMILY-LISTEN:80,reuseaddr,fork SYSTEM:'echo original'
wait_for 10 listening original tcp 80
start_tool proxy client proxy -m "$(at $ORIGINAL $ORIGINAL_PORT)=$(at $TARGET $TARGET_PORT)" \
	-m "$(at $ORIGINAL 8080)=$(at $TARGET 80)/tcp" -m "$(at $ORIGINAL 53)=$(at $TARGET 5353)" \
	-m "$(at $ORIGINAL 5201)=$(at $TARGET 5201)/tcp" -o jsonl eth0
contains "four mappings" "$(cat $TMP/proxy.err)" "4 mappings"
equal "the host's other services" "$(in_host client socat -t $((5 * PATIENCE)) -u "TCP:$(at $ORIGINAL 80)" -)" original
check "the host answers ping" in_host client ping -c 1 -W 2 $ORIGINAL
equal "the mapped port goes to the target" \
	"$(echo hello | in_host client socat -t $((5 * PATIENCE)) - "TCP:$(at $ORIGINAL $ORIGINAL_PORT)")" hello
check "a web server by curl" in_host client curl -sS -m 20 -o $TMP/got "http://$(at $ORIGINAL 8080)/file"
check "its file arrives as it is" cmp $TMP/got $TMP/www/file
equal "DNS by dig, UDP" "$(in_host client dig +short +time=3 +tries=1 @$ORIGINAL name.example)" \
	192.0.2.7
equal "DNS by dig, TCP" \
	"$(in_host client dig +tcp +short +time=3 +tries=1 @$ORIGINAL name.example)" 192.0.2.7
check "iperf3 forward" in_host client iperf3 -c $ORIGINAL -p 5201 -t 1
check "iperf3 reverse" in_host client iperf3 -c $ORIGINAL -p 5201 -t 1 -R
equal "the host's own neighbour entry is the real one" \
	"$(in_host client ip -j neigh show $ORIGINAL | jq -r '.[0].lladdr')" \
	"$(ip -n original -j link show eth0 | jq -r '.[0].address')"
has_total()
{
	[ "$(jq -r 'select(.type == "mapping" and .from == "'"$(at $ORIGINAL 8080)"'") | .packets_in' \
		$TMP/proxy.out | tail -n 1)" -gt 10 ]
}
check "jsonl counts the download" wait_for 5 has_total
ends "SIGTERM ends it well" 0 stop proxy TERM
check "each line of jsonl is JSON" jq -e . $TMP/proxy.out
equal "jsonl has the three types" "$(jq -r .type $TMP/proxy.out | sort -u | tr '\n' ' ')" \
	"flow mapping total "
equal "nothing was dropped" \
	"$(jq -r 'select(.type == "total") | .full + .no_port + .failed' $TMP/proxy.out | tail -n 1)" 0
equal "no filter of ours remains" "$(our_filters client eth0)" ""

# --- ends
start_tool proxy client proxy "${maps[@]}" -c 2 -I 0.1 eth0
ends "--count ends it well" 0 status_of proxy
equal "after so many reports" "$(grep -c '== Egress ==' $TMP/proxy.out)" 2
start_tool proxy client proxy "${maps[@]}" -t 0.3 -I 0.1 eth0
ends "--duration ends it well" 0 status_of proxy
start_tool proxy client proxy "${maps[@]}" eth0
ends "SIGHUP without a file ends it well" 0 stop proxy HUP
in_host client bash -c "$BIN/proxy -I 0.1 eth0 2> $TMP/pipe.err | head -n 1; exit \${PIPESTATUS[0]}" \
	> $TMP/pipe.out && status=0 || status=$?
equal "a reader that goes away ends it well" $status 0
equal "with not a word more" "$(wc -l < $TMP/pipe.err)" 1
equal "no filter of ours remains" "$(our_filters client eth0)" ""
in_host client bash -c "$BIN/proxy -I 0.1 eth0 > /dev/full 2> $TMP/full.err" && status=0 || status=$?
equal "a full disk ends it with an error" $status 1
contains "that it names" "$(cat $TMP/full.err)" "cannot write the report: No space left on device"
equal "no filter of ours remains" "$(our_filters client eth0)" ""
finish
