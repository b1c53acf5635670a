#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Make the picture of packet-monitor's live view that README.md shows. See usage() below.
set -eu
cd "$(dirname "$0")/.."
BIN=${BUILD:-build}/bin
PATH=$PATH:/usr/sbin:/sbin

usage()
{
	cat <<-'USAGE'
	Usage: scripts/picture.sh [FILE]

	Installs what is missing, builds packet-monitor, runs it on a real terminal (tmux, 100 columns and
	18 rows) beside traffic between two network namespaces, and writes its screen to FILE, default
	docs/live-view.svg. Needs root.
	USAGE
}

case ${1:-} in
-h | --help) usage; exit 0 ;;
-*) usage >&2; exit 2 ;;
esac
FILE=${1:-docs/live-view.svg}

if [ "${2:-}" != --in-namespace ]; then
	scripts/install-deps.sh build test
	${MAKE:-make} -s -j "$(nproc)"
	exec unshare --net --mount --propagation private --pid --fork --kill-child --mount-proc \
		"$0" "$FILE" --in-namespace
fi

mount -t tmpfs tmpfs /run
mkdir /run/netns
for host in near far; do
	ip netns add $host
	ip netns exec $host sysctl -q -w net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
done
ip -n near link add eth0 type veth peer name eth0 netns far
ip -n near address add 192.0.2.10/24 dev eth0
ip -n far address add 192.0.2.80/24 dev eth0
ip -n near address add 2001:db8::10/64 dev eth0
ip -n far address add 2001:db8::80/64 dev eth0
ip -n near link set eth0 up
ip -n far link set eth0 up

tm()
{
	tmux -S /run/tmux -f /dev/null "$@"
}

# shows PATTERN
shows()
{
	tm capture-pane -p -t live | grep -qE -- "$1"
}

# wait_for COMMAND...: at most 60 s
wait_for()
{
	local tries=600
	until "$@" > /dev/null 2>&1; do
		tries=$((tries - 1))
		if [ $tries -eq 0 ]; then
			echo "picture.sh: waited in vain for: $*" >&2
			exit 1
		fi
		sleep 0.1
	done
}

# traffic PORT RATE [OPTION...]: from near to far, for as long as the picture takes
traffic()
{
	local port=$1 rate=$2
	shift 2
	ip netns exec far iperf3 -s -p "$port" > /dev/null 2>&1 &
	wait_for eval "ip netns exec far ss -Hlnt 'sport = :$port' | grep -q ."
	ip netns exec near iperf3 -p "$port" -b "$rate" -t 120 "$@" > /dev/null 2>&1 &
}

in_near=(ip netns exec near env LC_ALL=C.UTF-8 NO_COLOR=)
"${in_near[@]}" tmux -S /run/tmux -f /dev/null -u new-session -d -s live -x 100 -y 18 \
	"$BIN/packet-monitor -I 0.5 --no-summary eth0"
wait_for shows 'h help'
v4=192.0.2.80 v6=2001:db8::80
traffic 8443 400K -c $v4 -l 4K
wait_for shows ':8443 '
traffic 443 24M -c $v6 -l 16K
wait_for shows ':443 '
traffic 51820 9M -c $v4 -u -l 1200
wait_for shows 'udp .*:51820 '
traffic 2049 60M -c $v4 -R -l 16K
wait_for shows ':2049 '
ip netns exec near ping -q -i 0.3 $v4 > /dev/null &
wait_for shows '^out icmp'
# The message that it is attached goes by, and the bars below fill up.
wait_for eval "! shows attached"

# An SVG of what "tmux capture-pane -e" prints: one <text> a line, one <tspan> for each change of
# color. All lines take the width that their characters have on a terminal, whatever the font.
tm capture-pane -e -p -t live | LC_ALL=C awk -v columns=100 -v rows=18 '
	BEGIN {
		width = 8.4; height = 18
		printf "<svg xmlns=\"http://www.w3.org/2000/svg\" xml:space=\"preserve\" viewBox=\"0 0 %d %d\">\n",
			columns * width + 24, rows * height + 20
		print "<style>"
		print "rect { fill: #fafafa; stroke: #bbb } text { fill: #222;"
		print "font: 14px ui-monospace, \"DejaVu Sans Mono\", Menlo, Consolas, monospace }"
		print ".b { font-weight: bold } .c31 { fill: #b3261e } .c33 { fill: #8a5a00 }"
		print ".c34 { fill: #2f6fde }"
		print "@media (prefers-color-scheme: dark) { rect { fill: #161b22; stroke: #444 }"
		print "text { fill: #ddd } .c31 { fill: #ff7b72 } .c33 { fill: #e3b341 } .c34 { fill: #6ea8fe } }"
		print "</style>"
		printf "<rect x=\"0.5\" y=\"0.5\" rx=\"6\" width=\"%d\" height=\"%d\"/>\n",
			columns * width + 23, rows * height + 19
	}
	# change CODES: what follows has another look
	function change(codes,    i, n, code) {
		n = split(codes, code, ";")
		for (i = 1; i <= n || i == 1; i++) {
			if (code[i] + 0 == 0) bold = color = ""
			else if (code[i] == 1) bold = "b "
			else if (code[i] >= 30 && code[i] <= 37) color = "c" code[i]
			else if (code[i] == 39) color = ""
		}
	}
	function escape(text) {
		gsub(/&/, "\\&amp;", text); gsub(/</, "\\&lt;", text)
		return text
	}
	{
		line = ""; plain = 0
		for (rest = $0; rest != ""; ) {
			at = match(rest, /\033\[[0-9;]*m/)
			part = at ? substr(rest, 1, at - 1) : rest
			if (part != "") {
				line = line (bold color == "" ? escape(part) : \
					"<tspan class=\"" bold color "\">" escape(part) "</tspan>")
				gsub(/[\200-\277]/, "", part) # bytes that continue a character
				plain += length(part)
			}
			if (!at) break
			change(substr(rest, at + 2, RLENGTH - 3))
			rest = substr(rest, at + RLENGTH)
		}
		if (plain)
			printf "<text x=\"12\" y=\"%d\" textLength=\"%.1f\" lengthAdjust=\"spacingAndGlyphs\">%s</text>\n",
				NR * height + 6, plain * width, line
	}
	END { print "</svg>" }' > "$FILE"
tm send-keys -t live q
echo "picture.sh: wrote $FILE"
