#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The units of contrib/systemd under a real systemd, number 1 in namespaces of its own: start,
# reload, restart with a connection open, SIGKILL, stop. Its root is this machine's, below an
# overlay.
. "$(dirname "$0")/../lib.sh"
[ -x /lib/systemd/systemd ] || needs systemd # which is in no PATH
needs socat make jq logrotate

lan_of_the_mapping
answering target you

# --- a machine that boots -------------------------------------------------------------------------

MACHINE=$TMP/machine
mkdir "$MACHINE"
mount -t tmpfs tmpfs "$MACHINE"
mkdir "$MACHINE"/{upper,work,root,shared}
mount -t overlay overlay -o "lowerdir=/,upperdir=$MACHINE/upper,workdir=$MACHINE/work" "$MACHINE/root"
NEW=$MACHINE/root
# Only our units are enabled.
rm -rf "$NEW"/etc/systemd/system "$NEW"/etc/logrotate.d
mkdir -p "$NEW"/etc/systemd/system "$NEW"/etc/logrotate.d "$NEW"/etc/proxy
make -s -C "$ROOT" install BUILD="$BUILD" DESTDIR="$NEW" PREFIX=/usr ${SANITIZE:+SANITIZE=1}
cp "$ROOT/contrib/logrotate/packet-tools" "$NEW/etc/logrotate.d/"
: > "$NEW/etc/machine-id"
echo "$ORIGINAL:$ORIGINAL_PORT=$TARGET:$TARGET_PORT" > "$NEW/etc/proxy/eth0.map"
echo 'OPTIONS="--interval 0.1"' > "$NEW/etc/default/packet-monitor"

# boot: become systemd, in the mount, process and cgroup namespaces that this is started in
boot()
{
	local file
	mount -t proc proc "$NEW/proc"
	mount -t sysfs -o ro sysfs "$NEW/sys"
	mount -t cgroup2 cgroup2 "$NEW/sys/fs/cgroup"
	mount -t bpf bpf "$NEW/sys/fs/bpf"
	for file in run tmp dev; do
		mount -t tmpfs tmpfs "$NEW/$file"
	done
	mkdir "$NEW/dev/shm" "$NEW/dev/pts" "$NEW/tmp/old"
	mount -t devpts -o newinstance,ptmxmode=0666 devpts "$NEW/dev/pts"
	for file in null zero full random urandom tty; do
		touch "$NEW/dev/$file"
		mount --bind "/dev/$file" "$NEW/dev/$file"
	done
	ln -s /proc/self/fd "$NEW/dev/fd"
	ln -s pts/ptmx "$NEW/dev/ptmx"
	cd "$NEW"
	pivot_root . tmp/old
	umount -l /tmp/old
	export container=test
	exec /lib/systemd/systemd --system --unit=basic.target --log-target=null
}
export -f boot
export NEW
# A cgroup of its own: what systemd makes is below it.
mkdir "$TMP/cgroup"
mount -t cgroup2 cgroup2 "$TMP/cgroup"
CGROUP=$TMP/cgroup/test-systemd-$$-$RANDOM
# Of all that a test makes, this does not go with its namespaces.
remove_cgroup()
{
	[ -d "$CGROUP" ] || return 0
	echo 1 > "$CGROUP/cgroup.kill"
	wait_for 10 grep -qx 'populated 0' "$CGROUP/cgroup.events"
	find "$CGROUP" -depth -type d -exec rmdir {} +
}
trap 'status=$?; remove_cgroup || true; at_exit $status' EXIT
mkdir "$CGROUP"
start machine client bash -c "echo 0 > $CGROUP/cgroup.procs &&
	exec unshare --mount --propagation private --pid --fork --kill-child --cgroup --ipc --uts bash -c boot"
# in_machine COMMAND...
in_machine()
{
	nsenter --all --target "$(pgrep -P "${pids[machine]}")" "$@"
}
is_up()
{
	case $(in_machine systemctl is-system-running) in
	running | degraded) ;;
	*) return 1 ;;
	esac
}
check "systemd boots" wait_for 60 is_up

# main_pid UNIT, result UNIT: what systemd knows of it
main_pid()
{
	in_machine systemctl show --value --property MainPID "$1"
}
restarted()
{
	[ "$(main_pid "$1")" != "$2" ] && in_machine systemctl is-active --quiet "$1"
}
answers()
{
	equal "$1" "$(echo hello | in_host client socat -t $((5 * PATIENCE)) - TCP:$ORIGINAL:$ORIGINAL_PORT)" "you hello"
}

# --- proxy ----------------------------------------------------------------------------------------

check_not "without mappings, proxy does not begin to serve" \
	in_machine sh -c 'systemctl start proxy@lo && systemctl is-active proxy@lo'
check "proxy starts" in_machine systemctl start proxy@eth0
answers "and translates as soon as systemd says that it has started"
pid=$(main_pid proxy@eth0)
equal "no user has its id" "$(in_machine sh -c "getent passwd \$(stat -c %u /proc/$pid) | cut -d : -f 1")" "proxy"
talk open client TCP:$ORIGINAL:$ORIGINAL_PORT
says "a connection is open" open one "you one"

echo "10.0.0.11:80=$TARGET:$TARGET_PORT" >> "$NEW/etc/proxy/eth0.map"
check "reload" in_machine systemctl reload proxy@eth0
listed()
{
	in_host client "$BIN/proxy" --list eth0 | grep -q '^10.0.0.11:80 '
}
check "takes a new mapping in" wait_for 10 listed
equal "in the same process" "$(main_pid proxy@eth0)" "$pid"

check "restart" in_machine systemctl restart proxy@eth0
check "is another process" test "$(main_pid proxy@eth0)" != "$pid"
says "and the connection goes on" open two "you two"
answers "as do new ones"
pid=$(main_pid proxy@eth0)
in_machine kill -KILL "$pid"
check "after SIGKILL, systemd starts it again" wait_for 20 restarted proxy@eth0 "$pid"
says "and the connection goes on after that" open three "you three"
check "stop" in_machine systemctl stop proxy@eth0
equal "leaves no filter" "$(our_filters client eth0)" ""
equal "and counts as no failure" "$(in_machine systemctl show --value --property Result proxy@eth0)" success

# --- packet-monitor -------------------------------------------------------------------------------

LOGS=$MACHINE/upper/var/log/private/packet-monitor
REPORTS=$LOGS/eth0.jsonl
check "packet-monitor starts" in_machine systemctl start packet-monitor@eth0
check "and its filters are there" test -n "$(our_filters client eth0)"
check "it reports into a file" wait_for 10 test -s "$REPORTS"
pid=$(main_pid packet-monitor@eth0)
for time in 1 2; do
	in_host client ping -q -c 20 -i 0.002 $TARGET > /dev/null
	check "logrotate, time $time" in_machine logrotate --force /etc/logrotate.conf
	check "the tool writes into a new file" wait_for 10 test -s "$REPORTS"
done
equal "in the same process" "$(main_pid packet-monitor@eth0)" "$pid"
in_machine kill -KILL "$pid"
check "after SIGKILL, systemd starts packet-monitor again" wait_for 20 restarted packet-monitor@eth0 "$pid"
check "stop" in_machine systemctl stop packet-monitor@eth0
equal "leaves the filters of the killed process only" "$(our_filters client eth0 | xargs)" "pm_ingress pm_egress"
check "which the script removes" in_machine remove-filters-and-qdisc.sh eth0
equal "so that none is left" "$(our_filters client eth0)" ""

# --- as docs/cookbook.md has it ------------------------------------------------------------------

commands_of cookbook "At boot" > "$NEW/usr/boot-commands"
check "the cookbook's commands" in_machine sh -e /usr/boot-commands
check "both tools run" in_machine systemctl --quiet is-active packet-monitor@eth0 proxy@eth0
check "and are to start at boot" in_machine systemctl --quiet is-enabled packet-monitor@eth0 proxy@eth0
check "the flows are where it says" wait_for 10 in_machine test -s /var/log/packet-monitor/eth0.jsonl
check "the mapping works" in_machine proxy --status eth0
check "stop" in_machine systemctl stop packet-monitor@eth0 proxy@eth0

# --- the sandbox ----------------------------------------------------------------------------------

for tool in proxy packet-monitor; do
	check "systemd-analyze rates $tool's exposure 3.0 at most" \
		in_machine systemd-analyze security --threshold=30 "$tool@eth0.service"
done
check "the machine halts" in_machine systemctl exit 0
status_of machine || true
check "and its cgroup can be removed" remove_cgroup
finish
