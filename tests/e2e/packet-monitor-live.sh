#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The live view of packet-monitor on a real terminal (tmux), in a shell with job control. With -I
# 3600 no report is due while a test runs: what changes on the screen was changed by a key, by a new
# size of the window or by a signal. Two spaces (pause, go on) make a report.
. "$(dirname "$0")/../lib.sh"
needs tmux

V4A=192.168.100.101 V4B=192.168.100.102
V6A=2001:db8:1234:5678:9abc:def0:1234:5678 V6B=2001:db8:1234:5678:9abc:def0:8765:4321

host near far
link near eth0 far eth0
link near br-3f2a1bc0de12 far eth1
echo "$V4A alpha.example" > "$TMP/hosts"
mount --bind "$TMP/hosts" /etc/hosts
without_ipv6 near far

# --- the terminal --------------------------------------------------------------------------------

tm()
{
	tmux -S "$TMP/tmux" -f /dev/null "$@"
}

# open_terminal: a shell on a terminal of 80 columns and 24 rows, in the host near
open_terminal()
{
	echo "PS1='shell> '" > "$TMP/bashrc"
	in_host near env LC_ALL=C.UTF-8 HISTFILE= BIN="$BIN" \
		tmux -S "$TMP/tmux" -f /dev/null -u new-session -d -s live -x 80 -y 24 \
		"bash --rcfile $TMP/bashrc -i"
	tm set-option -g window-size manual
	wait_for 10 shows '^shell>$'
}

screen()
{
	tm capture-pane -p -t live
}

# shows PATTERN: whether a line of the screen matches; missing PATTERN: whether none does
shows()
{
	screen | grep -qE -- "$1"
}

missing()
{
	! shows "$1"
}

# see NAME PATTERN, gone NAME PATTERN: a check: the screen comes to show it, or to show it no more
see()
{
	wait_for 10 shows "$2" && ok "$1" || fail "$1" "no '$2' on the screen:
$(screen)"
}

gone()
{
	wait_for 10 missing "$2" && ok "$1" || fail "$1" "'$2' is on the screen:
$(screen)"
}

key()
{
	tm send-keys -t live "$@"
}

# type_line TEXT: and Enter
type_line()
{
	tm send-keys -t live -l "$1"
	tm send-keys -t live Enter
}

# start_live NAME ARGUMENT...: packet-monitor in the shell, and its first screen
start_live()
{
	local name=$1
	shift
	type_line "clear; \$BIN/packet-monitor $*"
	see "$name" 'h help'
}

# quit_live: and wait for the shell
quit_live()
{
	key q
	wait_for 10 shows '^shell>$'
}

# report: have packet-monitor make a report
report()
{
	key Space
	wait_for 10 shows PAUSED
	key Space
	wait_for 10 missing PAUSED
}

# size COLUMNS ROWS: of the window
size()
{
	tm resize-window -t live -x "$1" -y "$2"
	wait_for 10 has_size "$1 $2"
}

has_size()
{
	test "$(tm display-message -p -t live '#{pane_width} #{pane_height}')" = "$1"
}

# send DEV VLAN SRC SPORT DST DPORT COUNT BYTES: see send-frames.c
send()
{
	in_host near "$BUILD/tests/e2e/send-frames" "$@"
}

# A whole figure: a number, or four digits with a prefix.
F=' +([0-9]{1,4}|[0-9.]{5}[kMGT])'

# --- nothing is cut ------------------------------------------------------------------------------

open_terminal
start_live "the first screen does not wait for a report" -I 3600 eth0
send eth0 0 $V4A 33054 $V4B 5201 3 1000
report
see "80x24, IPv4: the whole row" "^out udp +$V4A:33054 $V4B:5201 +3 +3000$F$F( |\$)"
# So many frames that there is a rate, however long ago the last report was.
send eth0 0 10.9.9.9 1 10.9.9.8 2 10000 100
report
see "80x24: rates" '^out udp +10.9.9.9:1 +10.9.9.8:2 .* +[1-9][0-9.]*[kMG]? +[1-9][0-9.]*[kMG]?( |$)'
size 60 14
see "60x14, IPv4: ports and figures" "^out udp +1[^ ]*…[^ ]*:33054 1[^ ]*…[^ ]*:5201 +3000$F$F( |\$)"
see "60x14: the loss line" '^0 not tracked$'
see "60x14: totals of the interface" "^eth0 out:$F bit/s,$F pkt/s,$F bytes"
send eth0 0 $V6A 33055 $V6B 5201 2 500
send eth0 0 $V6A 33056 "${V6B%1}2" 5201 1 700
report
see "60x14, IPv6: ports and figures" "^out udp +\[2[^ ]*…[^ ]*\]:33055 \[[^ ]*…[^ ]*21\]:5201 +1000$F$F( |\$)"
see "60x14, IPv6: two addresses are told apart" "^out udp +\[2[^ ]*…[^ ]*\]:33056 \[[^ ]*…[^ ]*22\]:5201 +700$F$F( |\$)"
size 200 50
see "200x50, IPv6: the whole row" "^out udp +\[$V6A\]:33055 \[$V6B\]:5201 +2 +1000$F$F( |\$)"
size 80 24
see "80x24, IPv6: all figures" "^out udp +\[2[^ ]*…[^ ]*\]:33055 \[[^ ]*…[^ ]*\]:5201 +2 +1000$F$F( |\$)"
send eth0 100 $V6A 33057 $V6B 5201 4 200
report
see "80x24, VLAN: a column of its own" '^DIR PROTO VLAN SOURCE'
see "80x24, VLAN: all figures" "^out udp +100 +\[2[^ ]*:33057 \[[^ ]*:5201 +4 +800$F$F( |\$)"
see "80x24, VLAN: none in other rows" "^out udp {6,}192"
key b
see "80x24, both ways in a row: figures of both" "^udp +100 +\[2[^ ]*:33057 \[[^ ]*:5201 +800$F +0 +0( |\$)"
size 60 14
see "60x14, both ways: rates of both" "^udp +100 +\[2[^ ]*:33057 \[[^ ]*:5201$F +0( |\$)"
key g
see "60x14, hosts: the received half" "^2001:[^ ]*…[^ ]*4322 +1 +0$F( |\$)"
size 80 24
see "80x24, hosts: the received half" "^2001:[^ ]*…[^ ]*4322 +1 +0 +0 +0 +700$F$F( |\$)"

# --- keys: each acts at once ---------------------------------------------------------------------

key g
see "g: ports" '^PROTO +PORT '
key g
see "g: protocols" '^PROTO +FAMILY '
key g
see "g: interfaces" '^IFACE +'
key g
see "g: flows again" '^DIR PROTO VLAN SOURCE'

# order_of PORTS: whether these are the source ports of the rows that go out, from top to bottom
order_of()
{
	test "$(screen | sed -nE 's/^out .*:(3305[0-9]) .*/\1/p' | xargs)" = "$1"
}
see "sorted by rate" ', by bps$'
key s s s
see "s: the next keys" ', by dst$'
check "s: rows in that order" wait_for 10 order_of "33054 33055 33057 33056"
key r
see "r: said" ', by dst reversed$'
check "r: rows the other way round" wait_for 10 order_of "33056 33057 33055 33054"
key r
gone "r: and back" reversed
in_host far "$BUILD/tests/e2e/send-frames" eth0 0 $V4B 5201 $V4A 33054 1 100
report
see "a row of the other direction" '^in +udp'
key d
see "d: only what comes in" ', only in$'
gone "d: no row goes out" '^out +udp'
key d
see "d: only what goes out" ', only out$'
gone "d: no row comes in" '^in +udp'
key d
see "d: both" '^in +udp'
see "rates in bits" 'BIT/S$'
key u
see "u: rates in bytes" 'BYTE/S$'
see "u: of interfaces, too" '^eth0 in: .* byte/s, '
key u
see "u: and back" 'BIT/S$'
# named: whether a name is known; each look makes a report, since names arrive later than they are
# asked for
named()
{
	report
	shows ' alpha.example:33054 '
}
size 200 50
key n
check "n: names" wait_for 10 named
key n
see "n: and numbers" '33054'
gone "n: no name" alpha
size 80 24
key / 3 3 0 5 6
see "/: what is typed" '33056$'
gone "/: rows without it are gone" ':33055 '
see "/: rows with it stay" ':33056 '
key BSpace 7
see "/: a letter less, another one more" ':33057 '
key Enter
see "/: Enter keeps it" 'with "33057"$'
gone "/: and leaves the other rows out" ':33056 '
key Escape
see "Esc: all rows" ':33056 '
key h
see "h: help" '^r +reverse the order'
key x
see "h: a key leaves it" '^DIR PROTO'
key Space
see "space: a pause is said" '^[0-9:]*, PAUSED'
send eth0 0 $V4A 40000 $V4B 5201 1 100
key s
see "a key acts during a pause" ', by age$'
check_not "space: nothing new during a pause" shows ':40000 '
key Space
see "space: and on" ':40000 '
key s s s s s
see "s: all around" ', by src$'

send eth0 0 10.0.0.1 10001-10060 10.0.0.2 53 1 100
report
see "scrolling: which rows these are" ', rows 1 to [0-9]+ of 67$'
see "scrolling: the first row" '10.0.0.1:10001 '
key Down
see "down" ', rows 2 to '
gone "down: the first row is gone" '10.0.0.1:10001 '
key NPage
gone "page down" '10.0.0.1:10002 '
key End
see "end" ', rows [0-9]+ to 67 of 67$'
key PPage
see "page up" ', rows [0-9]+ to (4[0-9]|5[0-9]) of 67$'
key Home Down Up
see "home, up" ', rows 1 to '
see "s: by src still" ', by src,'

# --- how it ends and stops -----------------------------------------------------------------------

type_line_of_settings="stty -a | tr ' ;' '\\n\\n' | grep -xE -- '-?(icanon|echo)' | xargs echo settings:"
settings()
{
	type_line "clear; $type_line_of_settings"
	see "$1" '^settings: icanon echo$'
}
# answers NAME: a check: the view is there, and obeys keys
answers()
{
	key h
	see "$1: obeys a key" '^r +reverse the order'
	key h
	see "$1: shows rows" '^DIR PROTO'
}

# the_tool SIGNAL: send it to packet-monitor
the_tool()
{
	kill -s "$1" "$(pgrep -x packet-monitor)"
}
key C-z
see "Ctrl-Z: the shell is back" 'Stopped'
settings "Ctrl-Z: with its settings"
type_line 'clear; fg'
answers "fg"
the_tool STOP
see "SIGSTOP: the shell is back" 'Stopped'
type_line 'clear; fg'
answers "fg after SIGSTOP"
for small in "20 5" "1 1" "300 60" "5 30" "80 24"; do
	# shellcheck disable=SC2086
	size $small
done
answers "after windows of any size"
send eth0 0 10.0.0.1 1 10.0.0.2 53 2 36
report
see "what was read in part, and why" ', 2 read in part \(2 truncated\)$'
quit_live
type_line 'clear; echo status $?'
see "q: the exit status" '^status 0$'
settings "q: the settings of the terminal"
for signal in INT TERM HUP QUIT; do
	start_live "start again" -I 3600 eth0
	the_tool $signal
	settings "SIG$signal: the settings of the terminal"
done
type_line 'clear; $BIN/packet-monitor -I 0.2 -c 3 eth0'
see "--count: ends by itself" '^eth0 in: .* not tracked'
settings "--count: the settings of the terminal"
start_live "start on an interface that goes" -I 3600 br-3f2a1bc0de12
ip -n near link set br-3f2a1bc0de12 down
see "an interface that went down: said at the end" 'br-3f2a1bc0de12 went down$'
settings "an error: the settings of the terminal"
ip -n near link set br-3f2a1bc0de12 up

# --- what is in no row ---------------------------------------------------------------------------

size 60 14
start_live "start with a small table and a filter" -I 3600 -m 1 --net 10.0.0.0/8 eth0
send eth0 0 $V4A 33054 $V4B 5201 3 1000
send eth0 0 10.0.0.1 1-2000 10.0.0.2 53 1 100
report
see "60x14: what was lost, and why" '(^|, )[0-9]+ not tracked \([0-9]+ table_full\)$'
see "60x14: what was filtered out" '^3 filtered out, '
quit_live
size 80 24

# --- in the background ---------------------------------------------------------------------------

type_line "clear; \$BIN/packet-monitor -I 0.2 --no-summary eth0 2> $TMP/errors &"
see "&: a block" '^--- [0-9:]*, by bps'
type_line 'echo alive $((40 + 2))'
# The blocks that follow may have pushed it out of the window already.
alive()
{
	tm capture-pane -p -S - -t live | grep -qE '^(shell> )?alive 42$'
}
check "&: the shell goes on" wait_for 10 alive
blocks()
{
	test "$(screen | grep -c '^--- ')" -ge 2
}
check "&: one block after the other" wait_for 10 blocks
gone "&: no keys" 'h help'
type_line 'clear; fg'
see "fg: the view" 'h help'
answers "fg of a background job"
key C-z
see "Ctrl-Z, once more" 'Stopped'
type_line 'clear; bg'
see "bg: a block" '^--- [0-9:]*, by bps'
check "bg: one block after the other" wait_for 10 blocks
type_line fg
see "fg: the view again" 'h help'
quit_live
equal "messages went to the file" "$(grep -c ': attached to eth0' "$TMP/errors")" 1

# --- several interfaces --------------------------------------------------------------------------

more=()
for i in {1..10}; do
	link near "more$i" far "more$i"
	more+=("more$i")
done
start_live "12 interfaces" -I 3600 --wait -s bytes eth0 br-3f2a1bc0de12 "${more[@]}"
send more1 0 10.0.0.1 10001-10030 10.0.0.2 53 1 100
send br-3f2a1bc0de12 0 $V6A 33056 $V6B 5201 9 1000
report
see "12 interfaces: those that are silent are only counted" ', 10 without packets$'
for dev in "${more[@]:1}"; do
	send "$dev" 0 10.0.0.1 1 10.0.0.2 2 1 100
done
report
see "12 interfaces, 80x24: the column holds any name" \
	"^br-3f2a1bc0de12 out udp +\[[^ ]*\]:33056 \[[^ ]*\]:5201 +9000$F$F( |\$)"
rows=$(screen | grep -c 'out udp')
check "12 interfaces, 80x24: room for rows ($rows)" test "$rows" -ge 12
see "12 interfaces: their sum" "^12 interfaces, 12 up, in$F bit/s, out$F bit/s"
see "12 interfaces: each of them" '(^| )more1 0/[0-9]'
size 60 14
see "12 interfaces, 60x14: the figures" \
	"^br-[^ ]* out udp +\[[^ ]*\]:33056 \[[^ ]*\]:5201( +9000)?$F( |\$)"
see "12 interfaces, 60x14: how many are not shown" ' and [0-9]+ more$'
ip -n near link set more7 down
see "12 interfaces: one goes down, is said" 'more7 went down, waiting for it$'
size 80 24
see "12 interfaces: its state is shown" '^more7 down '
see "12 interfaces: and counted" '^12 interfaces, 11 up'
quit_live

# --- what the terminal can do --------------------------------------------------------------------

colored()
{
	tm capture-pane -e -p -t live | grep -q $'\033\[3[0-9]m'
}
type_line 'clear; reset'
start_live "start with colors" -I 3600 --wait more7
check "a state in color" wait_for 10 colored
quit_live
type_line 'export NO_COLOR=1'
start_live "start with NO_COLOR" -I 3600 --wait more7
see "NO_COLOR: the state" 'down'
check_not "NO_COLOR: no color" colored
quit_live
type_line 'export LC_ALL=C'
size 60 14
start_live "start without UTF-8" -I 3600 eth0
send eth0 0 $V4A 33054 $V4B 5201 3 1000
report
see "without UTF-8: addresses are shortened" '^out udp +1[^ ]*~[^ ]*:33054 '
ascii()
{
	! screen | LC_ALL=C grep -q $'[\200-\377]'
}
check "without UTF-8: no other characters" ascii
quit_live
size 80 24
type_line "clear; \$BIN/packet-monitor -c 1 -I 0.2 eth0 | cat -v"
see "no terminal: a block" '^--- [0-9:]*, by bytes$'
type_line 'clear; export TERM=dumb'
gone "no terminal: cleared" by
type_line "\$BIN/packet-monitor -c 2 -I 0.2 eth0"
see "TERM=dumb: a block" '^--- [0-9:]*, by bytes$'
see "TERM=dumb: the end" '^eth0 in: .* not tracked'
gone "TERM=dumb: no keys" 'h help'
clean()
{
	test -z "$(our_filters near eth0)"
}
check "nothing of ours is left" wait_for 10 clean
finish
