#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The helpers of tests/lib.sh themselves: what the other scripts take for granted.
. "$(dirname "$0")/../lib.sh"
needs socat ping

lan_of_the_mapping
check "two hosts of a lan reach each other by IPv4" in_host client ping -c 1 -W 2 $TARGET
check "two hosts of a lan reach each other by IPv6" in_host client ping -c 1 -W 2 fd00::138
check_not "an address without a host does not answer" in_host client ping -c 1 -W 1 $ORIGINAL

start server target socat TCP-LISTEN:$TARGET_PORT,reuseaddr,fork EXEC:cat
check "wait_for sees a server come up" wait_for 5 listening target tcp $TARGET_PORT
equal "a TCP exchange works" "$(echo hello | in_host client socat -t $((2 * PATIENCE)) - TCP:$TARGET:$TARGET_PORT)" hello
status=0
stop server || status=$?
equal "stop returns the status of a program killed by a signal" $status 143

start sleeper - sleep 100
status=0
stop sleeper INT || status=$?
equal "a program in the background can be interrupted" $status 130
check_not "wait_for gives up" wait_for 0 false

# Succeeds at the fifth attempt; each takes as long as on a busy machine.
slow()
{
	echo >> $TMP/attempts
	sleep 0.5
	[ "$(wc -l < $TMP/attempts)" -ge 5 ]
}
check "wait_for does not give up because attempts are slow" wait_for 0 slow
equal "a host has only its own devices in /sys" "$(in_host target ls /sys/class/net | tr '\n' ' ')" "eth0 lo "
equal "a tool has a bpffs" "$(stat -f -c %T /sys/fs/bpf)" bpf_fs

# A test that fails, elsewhere: its /run hides this one's.
mount -t tmpfs tmpfs /mnt
mkdir -p /mnt/tests/e2e
ln -s "$ROOT/tests/lib.sh" /mnt/tests/lib.sh
cat > /mnt/tests/e2e/fails.sh <<-'SCRIPT'
	. "$(dirname "$0")/../lib.sh"
	host one
	start talker one sh -c 'echo its last word; echo complaint >&2'
	status_of talker
	echo left > $TMP/file
	equal "two numbers" 1 2
	finish
SCRIPT
status=0
failed=$(KEEP=1 TEST_NAMESPACE='' BUILD=/mnt/build bash /mnt/tests/e2e/fails.sh 2>&1) || status=$?
equal "a failed test ends with 1" $status 1
contains "a failed check says why" "$failed" "FAIL two numbers: got '1', want '2'"
contains "and shows what programs have printed last" "$failed" "talker.out: its last word"
contains "and what they have complained of" "$failed" "talker.err: complaint"
equal "KEEP=1 keeps its files" "$(cat /mnt/build/kept/e2e/fails/file 2>&1)" left

# Ctrl-C, which the terminal sends to the process group of run.sh.
ln -s "$ROOT/tests/run.sh" /mnt/tests/run.sh
ln -s "$ROOT/scripts" /mnt/scripts
cat > /mnt/tests/e2e/lasts.sh <<-'SCRIPT'
	#!/bin/bash
	. "$(dirname "$0")/../lib.sh"
	trap 'at_exit > /mnt/said' EXIT
	touch /mnt/begun
	sleep 1000
SCRIPT
chmod +x /mnt/tests/e2e/lasts.sh
mkdir /mnt/tmp
start run - env -u TEST_NAMESPACE BUILD=/mnt/build TMPDIR=/mnt/tmp setsid bash /mnt/tests/run.sh --no-build e2e/lasts
check "run.sh runs a test" wait_for 10 test -e /mnt/begun
kill -INT -- "-${pids[run]}"
status=0
status_of run || status=$?
equal "Ctrl-C ends run.sh" $status 130
check_not "and the test" pgrep -f e2e/lasts.sh
contains "which had time to clean up" "$(cat /mnt/said 2>&1)" "FAIL lasts: ended early with status 143"
equal "and no temporary file is left" "$(ls /mnt/tmp)" ""
finish
