#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Both tools run as an ordinary user with exactly the capabilities that their man pages name; with
# one of them missing, and where the kernel refuses for another reason, one line names the cause.
. "$(dirname "$0")/../lib.sh"
needs setpriv socat unshare

RUN=bpf,net_admin,perfmon # what the man pages name
OTHERS=sys_admin # for what another process has made; to take it over:
TAKEOVER=net_admin,sys_admin

lan_of_the_mapping
in_host client ping -q -c 1 -W 5 $TARGET > $TMP/ping
start server target socat TCP6-LISTEN:$TARGET_PORT,fork,reuseaddr EXEC:cat # of both families
wait_for 5 listening target tcp $TARGET_PORT
# Each proxy has both.
MAPS=(-m "10.0.0.10:12345=10.0.0.138:23456" -m "[fd00::10]:12345=[fd00::138]:23456")

# user CAPABILITIES: as an ordinary user with these only
user()
{
	local with=+${1//,/,+}
	[ -n "$1" ] || with=-all
	by=(setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps "-all,$with"
		--ambient-caps "-all,$with")
}

# run COMMAND...: to its end in client, by way of "by"; sets status, out and err
run()
{
	status=0
	in_host client timeout -k 1 30 ${by[@]+"${by[@]}"} "$@" > $TMP/out 2> $TMP/err || status=$?
	out=$(cat $TMP/out)
	err=$(cat $TMP/err)
}

# refused NAME REASON: the last run failed with one line that ends with the reason
refused()
{
	if [ $status -ne 1 ] || [[ $err == *$'\n'* ]] || [[ $err != *": $2" ]]; then
		fail "$1" "status $status, '$err', not '$2'"
	elif [ -n "$(our_filters client eth0)" ]; then
		fail "$1" "filters stay"
	else
		ok "$1"
	fi
}

# works NAME: what is sent to the originals comes back from the target
works()
{
	local original
	for original in 10.0.0.10 "[fd00::10]"; do
		equal "$1 ($original)" \
			"$(echo hello | in_host client socat -t $((5 * PATIENCE)) - "TCP:$original:$ORIGINAL_PORT")" hello
	done
}

# start_as ID CAPABILITIES TOOL ARGUMENT...
start_as()
{
	local id=$1
	user "$2"
	start "$id" client "${by[@]}" "$BIN/$3" "${@:4}"
	wait_for 10 attached_or_dead "$id"
	check "$3 starts with $2 alone" grep -q ': attached to ' "$TMP/$id.err"
}

# ends NAME ID
ends()
{
	status=0
	stop "$2" || status=$?
	equal "$1" $status 0
}

# without CAPABILITY LIST: the list without it
without()
{
	local all=,$2,
	all=${all/,$1,/,}
	all=${all#,}
	echo "${all%,}"
}

# --- with what it takes ---
start_as monitor $RUN packet-monitor -j -I 0.2 eth0
in_host client ping -q -c 1 -W 5 $TARGET > $TMP/ping
ends "packet-monitor: and ends well" monitor
check "packet-monitor: and has counted" grep -q '"proto":"icmp"' $TMP/monitor.out
equal "packet-monitor: its filters are gone" "$(our_filters client eth0)" ""

start_as proxy $RUN proxy -I 0.2 "${MAPS[@]}" eth0
works "proxy: and translates"
ends "proxy: and ends well" proxy
equal "proxy: its filters are gone" "$(our_filters client eth0)" ""

# --- with one of them missing ---
for tool in packet-monitor proxy; do
	[ $tool = proxy ] && options=("${MAPS[@]}") || options=()
	for cap in ${RUN//,/ }; do
		user "$(without "$cap" $RUN)"
		run "$BIN/$tool" -c 1 ${options[@]+"${options[@]}"} eth0
		refused "$tool names CAP_${cap^^} if that is missing" \
			"not permitted: this needs CAP_${cap^^} (root has it all)"
	done
	user ""
	run "$BIN/$tool" -c 1 ${options[@]+"${options[@]}"} eth0
	refused "$tool names all that are missing" \
		"not permitted: this needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON (root has it all)"
	by=(unshare --user --map-root-user)
	run "$BIN/$tool" -c 1 eth0
	refused "$tool says that capabilities count for nothing in a user namespace" \
		"not permitted in a user namespace (its root has no right to BPF)"
done

# --- what another process has made ---
start_as kept $RUN proxy --keep "${MAPS[@]}" eth0
ends "proxy --keep ends well" kept
user $RUN
run "$BIN/proxy" -c 1 "${MAPS[@]}" eth0
equal "proxy does not take over without CAP_SYS_ADMIN" $status 1
contains "and names it" "$err" "this needs CAP_SYS_ADMIN (root has it all)"
# change_others WHEN: all that is done to the datapath of another process
change_others()
{
	local action
	for action in --list "--add 10.0.0.20:1=10.0.0.138:2" "--delete 10.0.0.20:1" \
		"--add [fd00::20]:1=[fd00::138]:2" "--delete [fd00::20]:1" --flush-flows; do
		user $RUN
		run "$BIN/proxy" $action eth0
		equal "$1, proxy ${action%% *} does not work without CAP_SYS_ADMIN" $status 1
		contains "and names it" "$err" "this needs CAP_SYS_ADMIN (root has it all)"
		user $OTHERS
		run "$BIN/proxy" $action eth0
		equal "$1, proxy ${action%% *} works with it ($err)" $status 0
		[ "$action" != --list ] || contains "and lists both families" "$out" "10.0.0.10:12345*[[]fd00::10]:12345"
	done
}

change_others "after --keep"
works "and the datapath goes on"
user $OTHERS
run "$BIN/proxy" -c 1 "${MAPS[@]}" eth0
equal "proxy does not take over without CAP_NET_ADMIN" $status 1
contains "and names it" "$err" "this needs CAP_NET_ADMIN (root has it all)"
works "and the datapath goes on"
start_as taken $TAKEOVER proxy -I 0.2 "${MAPS[@]}" eth0
works "proxy takes over with $TAKEOVER"
for flow in "10.0.0.138:23456 : 10.0.0.1:" "[fd00::138]:23456 : [fd00::1]:"; do
	check "and has kept the flow $flow" wait_for 5 grep -qF "$flow" $TMP/taken.out
done
change_others "beside a proxy that runs"
ends "and ends well" taken
equal "and has removed the filters" "$(our_filters client eth0)" ""

# --- capabilities of the file ---
if command -v setcap > /dev/null; then
	for tool in packet-monitor proxy; do
		cp "$BIN/$tool" $TMP
		setcap "cap_${RUN//,/,cap_}=ep" $TMP/$tool
		by=(setpriv --reuid 65534 --regid 65534 --clear-groups)
		run $TMP/$tool -c 1 -I 0.1 eth0
		equal "$tool works with capabilities of its file ($err)" $status 0
	done
else
	skip "capabilities of the file" "setcap is not installed"
fi

# --- no lack of capabilities ---
user $RUN
touch $TMP/secret
chmod 0 $TMP/secret
run "$BIN/proxy" -f $TMP/secret eth0
refused "a file that may not be read is not taken for that" "Permission denied"

# What other kernels answer to BPF_PROG_LOAD: one of before 5.12 to instructions that add and fetch;
# 5.15 without BTF, and a verifier with a fault, to programs with global functions.
cat > $TMP/kernel.c << 'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

long syscall(long number, ...)
{
	long (*next)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall"), a[6];
	const char *kernel = getenv("KERNEL");
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_bpf && a[0] == BPF_PROG_LOAD) {
		const union bpf_attr *attr = (const union bpf_attr *)a[1];
		const struct bpf_insn *insns = (const struct bpf_insn *)attr->insns;

		for (unsigned int i = 0; !strcmp(kernel, "old") && i < attr->insn_cnt; i++)
			if (BPF_CLASS(insns[i].code) == BPF_STX &&
			    BPF_MODE(insns[i].code) == BPF_ATOMIC && insns[i].imm & BPF_FETCH)
				return errno = EINVAL, -1;
		if (!strcmp(kernel, "picky") && attr->func_info_cnt > 1)
			return errno = EACCES, -1;
	}
	return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
END
"${CC:-cc}" -shared -fPIC $TMP/kernel.c -o $TMP/kernel.so -ldl
for tool in packet-monitor proxy; do
	if ! ldd "$BIN/$tool" 2> /dev/null | grep -q libbpf; then
		skip "$tool: other kernels" "it is linked statically"
		continue
	fi
	by=(env "LD_PRELOAD=$TMP/kernel.so" KERNEL=old)
	run "$BIN/$tool" -c 1 eth0
	refused "$tool says that the kernel is too old" \
		"Linux $(uname -r) is too old (5.15 or newer is needed)"
	by=(env "LD_PRELOAD=$TMP/kernel.so" KERNEL=picky)
	run "$BIN/$tool" -c 1 eth0
	refused "$tool says that the verifier refuses" "the verifier of Linux $(uname -r) refuses \
them (-v shows its log; please report it)"
	# shellcheck disable=SC2016
	by=(unshare --mount sh -c 'mount -t tmpfs tmpfs /sys/kernel/btf &&
		LD_PRELOAD=$0 KERNEL=picky exec "$@"' $TMP/kernel.so)
	run "$BIN/$tool" -c 1 eth0
	refused "$tool says that there is no BTF" \
		"this kernel has no BTF (it needs CONFIG_DEBUG_INFO_BTF=y)"
done
finish
