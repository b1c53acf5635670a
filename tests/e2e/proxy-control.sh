#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Mappings that change while flows run: SIGHUP, --list, --add, --delete, --flush-flows, --kill.
# Runs for both families.
. "$(dirname "$0")/../lib.sh"
needs socat nc jq

# Two servers, which say who they are; one line in, one line out.
lan_of_the_mapping
host second
link second eth0 switch p-second
ip -n switch link set p-second master br0
SECOND=$(ip_of 10.0.0.139)
SECOND_AT=$(at $SECOND)
address second eth0 $SECOND/$PREFIX
for name in target second; do
	start tcp-$name $name socat TCP$FAMILY-LISTEN:$TARGET_PORT,reuseaddr,fork \
		SYSTEM:"while read line; do echo $name \\\$line; done"
	start udp-$name $name socat UDP$FAMILY-RECVFROM:$TARGET_PORT,reuseaddr,fork \
		SYSTEM:"read line; echo $name \\\$line"
	wait_for 10 listening $name tcp $TARGET_PORT
	wait_for 10 listening $name udp $TARGET_PORT
done

proxy()
{
	in_host client "$BIN/proxy" "$@"
}

# tcp [PORT]: who answers a new connection
tcp()
{
	echo x | in_host client timeout $((5 * PATIENCE)) socat -t $((2 * PATIENCE)) - \
		"TCP:$ORIGINAL_AT:${1:-$ORIGINAL_PORT},connect-timeout=$PATIENCE" 2> /dev/null | cut -d ' ' -f 1
}

# udp SOURCE_PORT: who answers a datagram
udp()
{
	echo x | in_host client timeout $((5 * PATIENCE)) socat -t $((PATIENCE / 2)).5 - \
		"UDP:$ORIGINAL_AT:$ORIGINAL_PORT,sourceport=$1,reuseaddr" 2> /dev/null | cut -d ' ' -f 1
}

# noted TEXT TIMES: the tool has said this so often
noted()
{
	[ "$(grep -c "$1" $TMP/proxy.err)" -ge "$2" ]
}

# --- SIGHUP
cat > $TMP/maps <<-MAPS
	# everything to the first server
	$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT
	$ORIGINAL_AT:8080=$TARGET_AT:80/tcp
MAPS
start_tool proxy client proxy -f $TMP/maps -I 0.2 -o jsonl eth0
contains "the file is read" "$(cat $TMP/proxy.err)" "2 mappings"
equal "a connection goes to the first server" "$(tcp)" target
equal "a datagram, too" "$(udp 40001)" target
talk old client TCP:$ORIGINAL_AT:$ORIGINAL_PORT
says "a connection stays open" old one "target one"

echo "$ORIGINAL_AT:$ORIGINAL_PORT=$SECOND_AT:$TARGET_PORT" > $TMP/maps
kill -HUP "${pids[proxy]}"
check "the file is read again" wait_for 3 noted "read again, 1 mapping" 1
equal "a new connection goes to the second server" "$(tcp)" second
equal "a UDP flow moves at once" "$(udp 40001)" second
says "a TCP flow keeps its target" old two "target two"
equal "the list says so" "$(proxy --list eth0 | sed 's/ out .*//')" \
	"$ORIGINAL_AT:$ORIGINAL_PORT -> $SECOND_AT:$TARGET_PORT tcp
$ORIGINAL_AT:$ORIGINAL_PORT -> $SECOND_AT:$TARGET_PORT udp"

for broken in "$ORIGINAL_AT:1=$TARGET_AT:0" nonsense "$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:1" \
	"$SECOND_AT:$TARGET_PORT=$TARGET_AT:1"; do
	before=$(grep -c stay $TMP/proxy.err) || true
	printf '%s\n' "$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT" "" "$broken" > $TMP/maps
	[ "$broken" != "$SECOND_AT:$TARGET_PORT=$TARGET_AT:1" ] ||
		echo "$ORIGINAL_AT:$ORIGINAL_PORT=$SECOND_AT:$TARGET_PORT" | cat - $TMP/maps > $TMP/maps2
	[ ! -f $TMP/maps2 ] || { sed -i 2d $TMP/maps2; mv $TMP/maps2 $TMP/maps; }
	kill -HUP "${pids[proxy]}"
	check "a file with '$broken' is refused" wait_for 3 noted "; the running mappings stay" \
		$((before + 1))
	contains "and the line is named" "$(grep stay $TMP/proxy.err | tail -n 1)" "$TMP/maps:"
	equal "and nothing has changed" "$(tcp)" second
done
mkfifo $TMP/pipe
mv $TMP/pipe $TMP/maps
kill -HUP "${pids[proxy]}"
check "a pipe is refused" wait_for 3 noted "it is no regular file; the running" 1
equal "and nothing has changed" "$(tcp)" second
check "and requests are answered" proxy --add $ORIGINAL_AT:83=$TARGET_AT:1/tcp eth0
check "and again" proxy --delete $ORIGINAL_AT:83 eth0
mv $TMP/maps $TMP/gone
kill -HUP "${pids[proxy]}"
check "a missing file is refused" wait_for 3 noted "No such file or directory; the running" 1
equal "and nothing has changed" "$(tcp)" second

# --- verbs
check "--add" proxy --add $ORIGINAL_AT:81=$TARGET_AT:$TARGET_PORT/tcp eth0
equal "an added mapping works" "$(tcp 81)" target
check "--add with another target" proxy --add $ORIGINAL_AT:81=$SECOND_AT:$TARGET_PORT/tcp eth0
equal "moves it" "$(tcp 81)" second
# A client that does not run for a while, as on a busy machine.
cc -D_GNU_SOURCE -shared -fPIC -x c - -o $TMP/slow.so <<-'C'
	#include <dlfcn.h>
	#include <sys/socket.h>
	#include <unistd.h>

	int connect(int fd, const struct sockaddr *addr, socklen_t len)
	{
		int (*next)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
		static int calls;
		int err = next(fd, addr, len);

		if (!calls++)
			usleep(500000);
		return err;
	}
C
asan=$(ldd "$BIN/proxy" | sed -n 's/.* => \(.*libasan[^ ]*\) .*/\1/p')
check "a request that comes late is sent again" in_host client \
	env "LD_PRELOAD=${asan:+$asan }$TMP/slow.so" "$BIN/proxy" \
	--add $ORIGINAL_AT:81=$SECOND_AT:$TARGET_PORT/tcp eth0
check_not "--add refuses a chain" proxy --add $SECOND_AT:$TARGET_PORT=$TARGET_AT:1 eth0
check_not "--add refuses nonsense" proxy --add nonsense eth0
contains "in one line" "$(proxy --add $ORIGINAL_AT:0=$TARGET_AT:1 eth0 2>&1)" \
	"proxy: --add: port must be 1 to 65535, not '0'"
check_not "--delete refuses what is not there" proxy --delete $ORIGINAL_AT:82 eth0
check_not "--delete refuses a mapping with another target" \
	proxy --delete $ORIGINAL_AT:81=$TARGET_AT:1/tcp eth0
check "--delete" proxy --delete $ORIGINAL_AT:81 eth0
equal "a deleted mapping is gone" "$(tcp 81)" ""
says "the old connection still goes on" old three "target three"
check "--delete of one that a connection uses" \
	proxy --delete $ORIGINAL_AT:$ORIGINAL_PORT=$SECOND_AT:$TARGET_PORT eth0
equal "no new connection" "$(tcp)" ""
says "but the old one goes on" old four "target four"
contains "and is listed as deleted" "$(proxy --list eth0)" deleted
equal "as JSON, too" "$(proxy --list -o jsonl eth0 | jq -r "select(.from == \"$ORIGINAL_AT:$ORIGINAL_PORT\") | .draining")" true
check "--add brings it back" proxy --add $ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT eth0
equal "for new connections" "$(tcp)" target
says "and the old one goes on" old five "target five"
check "--flush-flows" proxy --flush-flows eth0
says "a connection survives the loss of its entry" old six "target six"
check "--add --kill" proxy --kill --add $ORIGINAL_AT:$ORIGINAL_PORT=$SECOND_AT:$TARGET_PORT eth0
echo seven >& "${lines[old]}"
equal "new connections go to the second server" "$(tcp)" second
check_not "--kill ends the old connection" grep -qx "target seven" $TMP/old.out

# A deleted mapping leaves the table when its last flow has ended.
talk last client TCP:$ORIGINAL_AT:$ORIGINAL_PORT
says "a last connection" last one "second one"
check "--delete" proxy --delete $ORIGINAL_AT:$ORIGINAL_PORT eth0
contains "it drains" "$(proxy --list eth0)" deleted
check "--flush-flows" proxy --flush-flows eth0
gone()
{
	[ -z "$(proxy --list eth0)" ]
}
check "and is gone when its flows are" wait_for 6 gone
status=0
stop proxy || status=$?
equal "the tool ends well" $status 0

# --- without a proxy
check_not "--add needs a datapath" proxy --add $ORIGINAL_AT:1=$TARGET_AT:1 eth0
contains "and says so" "$(proxy --list eth0 2>&1)" "no proxy serves eth0"

# --- a kept datapath, with nobody to serve it
MAP=(-m "$ORIGINAL_AT:$ORIGINAL_PORT=$TARGET_AT:$TARGET_PORT")
start_tool proxy client proxy --keep "${MAP[@]}" eth0
stop proxy
equal "--keep leaves the filters" "$(our_filters client eth0 | sort -u | tr '\n' ' ')" \
	"$FILTERS"
equal "which go on working" "$(tcp)" target
check "--add on a kept datapath" proxy --add $ORIGINAL_AT:81=$SECOND_AT:$TARGET_PORT eth0
equal "works" "$(tcp 81)" second
check "--delete on a kept datapath" proxy --delete $ORIGINAL_AT:$ORIGINAL_PORT/udp eth0
equal "works" "$(udp 40002)" ""
equal "--list on a kept datapath" "$(proxy --list eth0 | sed 's/ out .*//' | sort)" \
	"$ORIGINAL_AT:$ORIGINAL_PORT -> $TARGET_AT:$TARGET_PORT tcp
$ORIGINAL_AT:81 -> $SECOND_AT:$TARGET_PORT tcp
$ORIGINAL_AT:81 -> $SECOND_AT:$TARGET_PORT udp"
start_tool proxy client proxy -m $ORIGINAL_AT:81=$TARGET_AT:$TARGET_PORT eth0
equal "the next proxy has its own mappings" "$(tcp 81)" target
equal "and no others" "$(tcp)" ""
stop proxy
equal "no filter of ours remains" "$(our_filters client eth0)" ""

# Nobody gives slots back to a kept datapath, but whoever removes its flows.
start_tool proxy client proxy --keep --max-flows 4 "${MAP[@]}" eth0
stop proxy
for port in 42001 42002 42003 42004; do
	equal "flow $port has a place" "$(udp $port)" target
done
equal "a fifth has none" "$(udp 42005)" ""
check "--flush-flows on a kept datapath" proxy --flush-flows eth0
equal "makes room" "$(udp 42005)" target
start_tool proxy client proxy "${MAP[@]}" eth0
stop proxy

# A mapping for any port, and then one for a single port of it.
OTHER_PORT=$((TARGET_PORT + 1))
start tcp-other target socat TCP$FAMILY-LISTEN:$OTHER_PORT,reuseaddr EXEC:cat
wait_for 10 listening target tcp $OTHER_PORT
start_tool proxy client proxy -m $ORIGINAL_AT=$TARGET_AT eth0
talk split client TCP:$ORIGINAL_AT:$TARGET_PORT
says "a connection by a mapping for any port" split one "target one"
talk other client TCP:$ORIGINAL_AT:$OTHER_PORT
says "and another" other one one
check "a mapping for the first one's port alone" proxy --add $ORIGINAL_AT:$TARGET_PORT=$SECOND_AT:$TARGET_PORT eth0
equal "gets the new connections" "$(tcp $TARGET_PORT)" second
says "but not the running one" split two "target two"
check "--kill with one for the other's port" \
	proxy --kill --add $ORIGINAL_AT:$OTHER_PORT=$SECOND_AT:$OTHER_PORT/tcp eth0
equal "ends that connection's flow alone" \
	"$(proxy --list eth0 | grep -F "$ORIGINAL_AT -> " | sed -n "s/.* tcp .*flows //p")" 1
stop split || true
stop other || true
stop proxy

# A mapping for one port goes, beside one for any port: what is new follows that, at once.
PING=$([ $FAMILY = 6 ] && echo icmpv6 || echo icmp)
start_tool proxy client proxy -m $ORIGINAL_AT:$TARGET_PORT=$TARGET_AT:$TARGET_PORT -m $ORIGINAL_AT=$SECOND_AT eth0
talk exact client TCP:$ORIGINAL_AT:$TARGET_PORT
says "a connection by a mapping for one port" exact one "target one"
equal "and one that has ended" "$(tcp $TARGET_PORT)" target
check "--delete of that mapping" proxy --delete $ORIGINAL_AT:$TARGET_PORT eth0
equal "new connections go to the target for any port" "$(tcp $TARGET_PORT)" second
says "the old one keeps its target" exact two "target two"
equal "--list shows what is deleted beside what is in force" \
	"$(proxy --list eth0 | sed 's/ out .*flows [0-9]*//' | sort)" \
	"$(printf '%s\n' "$ORIGINAL_AT -> $SECOND_AT $PING" "$ORIGINAL_AT -> $SECOND_AT tcp" \
		"$ORIGINAL_AT -> $SECOND_AT udp" \
		"$ORIGINAL_AT:$TARGET_PORT -> $TARGET_AT:$TARGET_PORT tcp, deleted" | sort)"
check_not "--kill --delete wants the right target" \
	proxy --kill --delete $ORIGINAL_AT:$TARGET_PORT=$SECOND_AT:$TARGET_PORT eth0
check_not "--delete finds nothing in force" proxy --delete $ORIGINAL_AT:$TARGET_PORT eth0
says "so the old one goes on" exact three "target three"
equal "--kill --delete of what is deleted" \
	"$(proxy --kill --delete $ORIGINAL_AT:$TARGET_PORT eth0 2>&1)" ""
check_not "takes it from the list" grep -q deleted <<< "$(proxy --list eth0)"
echo four >& "${lines[exact]}"
equal "new connections still go to the target for any port" "$(tcp $TARGET_PORT)" second
check_not "the old one has ended" grep -qx "target four" $TMP/exact.out
contains "nothing is left to delete" \
	"$(proxy --kill --delete $ORIGINAL_AT:$TARGET_PORT eth0 2>&1)" "there is no mapping"
stop exact || true
stop proxy
finish
