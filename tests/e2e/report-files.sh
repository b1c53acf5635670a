#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Where reports go: files that are appended to, opened again, or replaced; and what is refused.
. "$(dirname "$0")/../lib.sh"
needs jq

host box peer
link box eth0 peer eth0
address box eth0 10.0.0.1/24
mkdir $TMP/dir
FILE=$TMP/dir/report

# refused NAME TOOL ARGUMENT...: one line on stderr, exit status 1, nothing attached
refused()
{
	local name=$1 tool=$2 status=0
	shift 2
	in_host box timeout 20 "$BIN/$tool" "$@" > $TMP/out 2> $TMP/err || status=$?
	equal "$name: exit status and lines" "$status $(wc -l < $TMP/err)" "1 1"
	equal "$name: no filter of ours" "$(our_filters box eth0)" ""
}

# --- appended to, opened again ---
for tool in packet-monitor proxy; do
	rm -f $FILE $FILE.1
	for _ in 1 2; do
		in_host box "$BIN/$tool" -o jsonl -c 2 -I 0.1 --file $FILE eth0 > $TMP/out 2> $TMP/err
	done
	equal "$tool: two runs are in the file" "$(jq -r 'select(.type == "total").ts' $FILE | sort -u | wc -l)" 4
	check_not "$tool: and nothing on standard output" test -s $TMP/out

	start_tool tool box $tool -o jsonl -I 0.1 --file $FILE eth0
	mv $FILE $FILE.1
	kill -HUP "${pids[tool]}"
	check "$tool: SIGHUP opens the file again" wait_for 10 test -s $FILE
	size=$(stat -c %s $FILE.1)
	check "$tool: reports go on" wait_for 10 eval '[ $(grep -c total $FILE) -gt 3 ]'
	equal "$tool: and not in the renamed file" "$(stat -c %s $FILE.1)" "$size"
	rm $FILE
	mkdir $FILE
	kill -HUP "${pids[tool]}"
	check "$tool: what cannot be opened again is said" wait_for 10 grep -q "cannot write $FILE: Is a dir" $TMP/tool.err
	check "$tool: and it goes on" running tool
	status=0
	stop tool || status=$?
	equal "$tool: ends well" $status 0
	check "$tool: lines are whole" jq -es 'length > 0' $FILE.1
	rmdir $FILE
	mkfifo $FILE
	refused "$tool: a pipe without a reader" $tool --file $FILE eth0
	rm $FILE
	refused "$tool: a folder that is not there" $tool --file $TMP/nowhere/x eth0

	# --- beyond ulimit -f ---
	for format in jsonl prom; do
		status=0
		in_host box bash -c 'ulimit -f 1; exec "$@"' - "$BIN/$tool" -o $format -I 0.1 --file $FILE eth0 \
			> $TMP/out 2> $TMP/err || status=$?
		equal "$tool, $format: a file that has grown too large ends it, with a line" \
			"$status $(grep -c 'File too large' $TMP/err) $(our_filters box eth0)" "1 1 "
		rm -f $FILE
	done

	# --- standard output ---
	in_host box "$BIN/$tool" -o jsonl -c 1 -I 0.1 --file - eth0 > $TMP/out 2> $TMP/err
	check "$tool: --file - is standard output" jq -es 'length > 0' $TMP/out
	for option in --help --version; do
		status=0
		"$BIN/$tool" $option > /dev/full 2> $TMP/err || status=$?
		equal "$tool: $option on a full disk" "$status $(grep -c 'No space left' $TMP/err)" "1 1"
	done
done
rm -f $FILE
for _ in 1 2; do
	in_host box "$BIN/packet-monitor" -o csv -c 1 -I 0.1 --file $FILE eth0 2> $TMP/err
done
equal "csv: one heading for both runs" "$(grep -c ^type, $FILE) $(grep -c ^total, $FILE)" "1 4"

# --- replaced ---
for tool in packet-monitor proxy; do
	rm -f $FILE
	umask 027
	start_tool tool box $tool -o prom -I 0.1 --file $FILE eth0
	umask 022
	echo precious > $TMP/precious
	ln -s $TMP/precious $FILE.${pids[tool]}.tmp
	check "$tool, prom: a report" wait_for 10 test -s $FILE
	for _ in 1 2 3; do
		inode=$(stat -c %i $FILE)
		check "$tool, prom: and another one in its place" \
			wait_for 10 eval '[ $(stat -c %i $FILE) != '$inode' ]'
	done
	equal "$tool, prom: a link that somebody has put there is not followed" "$(cat $TMP/precious)" precious
	equal "$tool, prom: mode 0644 less the umask" "$(stat -c %a $FILE)" 640
	check "$tool, prom: the format" "$ROOT/tests/e2e/prom-check.py" $FILE
	stop tool
	rm -f $FILE $FILE.*.tmp
	for what in "p" "c 1 7"; do
		# shellcheck disable=SC2086
		mknod $FILE $what
		refused "$tool, prom: no regular file ($what)" $tool -o prom --file $FILE eth0
		check "$tool, prom: it is still there ($what)" test -p $FILE -o -c $FILE
		rm $FILE
	done
	ln -s $TMP/precious $FILE
	refused "$tool, prom: a folder that is not there" $tool -o prom --file $TMP/nowhere/x eth0
	refused "$tool, prom: a link" $tool -o prom --file $FILE eth0
	check "$tool, prom: it is still there" test -L $FILE
	rm $FILE
	equal "$tool, prom: no temporary file is left" "$(ls $TMP/dir)" report.1
done

# --- an interface with several names ---
ip -n box link property add dev eth0 altname uplink altname wan \
	altname the-uplink-of-this-box-to-the-world
start_tool pm box packet-monitor -j -I 0.1 eth0 uplink wan the-uplink-of-this-box-to-the-world
equal "one interface by four names is watched once" "$(our_filters box eth0 | wc -l)" 2
check "it is called as the kernel calls it" wait_for 10 grep -q '"iface":"eth0"' $TMP/pm.out
check_not "and not otherwise" grep -q 'uplink\|wan' $TMP/pm.out
stop pm
start_tool proxy box proxy -o jsonl -I 0.1 the-uplink-of-this-box-to-the-world
check "proxy: it is called as the kernel calls it" wait_for 10 grep -q '"iface":"eth0"' $TMP/proxy.out
stop proxy
finish
