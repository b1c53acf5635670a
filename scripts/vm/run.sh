#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Run the tests on other kernels, in virtual machines. See usage() below.
set -eu
cd "$(dirname "$0")/../.."

usage()
{
	cat <<-'USAGE'
	Usage: scripts/vm/run.sh [OPTION...] [KERNEL...] [-- PATTERN...]

	Boots each KERNEL in qemu (by emulation: KVM is not needed, nor root) and runs those tests
	there whose name contains one of the PATTERNs; all without. Prints the checks that failed, a
	line for each kernel, and at the end a table.

	KERNELs, default "6.1 6.12 newest":
	  6.1, 6.12, newest        of Debian 12, 13 and testing
	  SUITE[/PACKAGE]          of another suite of Debian, or another package of it
	                           (default linux-image-cloud-amd64)
	  FILE[,FOLDER]            a bzImage, and its modules (such as /lib/modules/5.15.0)

	  -s, --short       6.1, and a few tests: traffic, totals, take-over, clean-up
	  -c, --checks      print the checks that passed, too
	  -t SECONDS        time limit of one kernel (default 7200, with --short 3600)
	  -w, --write FILE  put the table into FILE, between its lines <!-- vm-test --> and <!-- end -->
	      --update      ask Debian for newer kernels than those kept from an earlier run
	      --run COMMAND run this there instead of the tests

	All is kept below $BUILD/vm (BUILD, default build): the kernels, and for each the output of the
	tests (KERNEL.log) and of the kernel (KERNEL.console). Exit status: 0 if nothing failed.
	USAGE
}

die()
{
	echo "vm: $*" >&2
	exit 1
}

kernels=() patterns=() short=no checks=no update=no
limit='' table='' guest_command=''
while [ $# -gt 0 ]; do
	case $1 in
	-s | --short) short=yes ;;
	-c | --checks) checks=yes ;;
	-t) limit=${2:-} && shift ;;
	-w | --write) table=${2:-} && shift ;;
	--update) update=yes ;;
	--run) guest_command=${2:-} && shift ;;
	-h | --help) usage; exit 0 ;;
	--) shift; patterns=("$@"); break ;;
	-*) usage >&2; exit 2 ;;
	*) kernels+=("$1") ;;
	esac
	shift
done
# What the short form has to show: the tools load, traffic passes, --add, the totals are the
# device's (both-tools), a running datapath is taken over (restart), nothing stays (clean-up).
if [ $short = yes ]; then
	[ ${#kernels[@]} -gt 0 ] || kernels=(6.1)
	[ ${#patterns[@]} -gt 0 ] || patterns=(e2e/both-tools e2e/clean-up e2e/proxy-restart)
	: "${limit:=3600}"
fi
[ ${#kernels[@]} -gt 0 ] || kernels=(6.1 6.12 newest)
: "${limit:=7200}"
[[ $limit =~ ^[1-9][0-9]*$ ]] || { usage >&2; exit 2; }
[ -z "$table" ] || grep -qx '<!-- vm-test -->' "$table" || die "$table has no line <!-- vm-test -->"

PATH=$PATH:/usr/sbin:/sbin
[ "$(dpkg --print-architecture 2> /dev/null)" = amd64 ] ||
	die "needs a Debian or Ubuntu machine of architecture amd64: the root is made of its packages"
export BUILD=${BUILD:-build}
scripts/install-deps.sh build demo test vm
${MAKE:-make} -s -j "$(nproc)" all unit-tests bpf-tests e2e-tests
mkdir -p "$BUILD/vm"
VM=$(cd "$BUILD/vm" && pwd)

scratch=$(mktemp -d "$VM/run.XXXXXX")
machine=''
trap '[ -z "$machine" ] || kill $machine; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM HUP

depends_only=(--no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances)

# archive FILE: an initial RAM disk of the files below the working folder whose names are on stdin
archive()
{
	cpio --quiet --create --format=newc --owner=0:0 > "$1"
}

# --- the root ------------------------------------------------------------------------------------
# The packages of this machine: what has been built here runs there, and nothing has to be fetched.
# It is unpacked into memory, so that a kernel needs no driver for a disk.

# installed PACKAGE...: lines "NAME VERSION NAME[:ARCHITECTURE]" of those packages, of what they
# depend on, and of what every Debian has
installed()
{
	{
		dpkg-query -W -f '${Priority} ${Essential} ${Package}\n' |
			sed -n 's/^required [a-z]* //p; s/^[a-z]* yes //p'
		printf '%s\n' "$@"
	} | sort -u | xargs apt-cache depends --recurse --installed "${depends_only[@]}" |
		sed -n 's/^\([a-z0-9][^ :]*\).*$/\1/p' | LC_ALL=C sort -u > "$scratch/wanted"
	dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version} ${binary:Package}\n' |
		sed -n 's/^ii *//p' | LC_ALL=C sort | LC_ALL=C join "$scratch/wanted" -
}

# files_of PACKAGE...: their files as they lie here, without documentation, and what packages make
# when they are installed: links, and compiled Python
files_of()
{
	local folder
	dpkg-query -L "$@" | grep '^/' |
		grep -vE '^/(usr/share/(bug|doc|doc-base|help|info|lintian|locale|man)|boot|dev|proc|run|sys|tmp)(/|$)' |
		sed -E 's#^/(bin|sbin|lib[0-9a-z]*)(/|$)#/usr/\1\2#' > "$scratch/files"
	cat "$scratch/files"
	sed -n 's#/[^/]*\.py$#/__pycache__#p' "$scratch/files" | sort -u | while read -r folder; do
		[ ! -d "$folder" ] || find "$folder"
	done
	printf '%s\n' /bin /sbin /lib /lib64
	find /etc/alternatives /etc/ld.so.cache
	find /usr/bin /usr/sbin /usr/lib -lname '/etc/alternatives/*'
}

# make_root NAME PACKAGE...: $VM/NAME.cpio, anew if a package has changed
make_root()
{
	local name=$1 stage=$scratch/root file packages
	shift
	installed "$@" > "$scratch/packages"
	if [ -e "$VM/$name.cpio" ] && cmp -s "$scratch/packages" "$VM/$name.packages"; then
		return
	fi
	rm -f "$VM/$name.packages"
	mapfile -t packages < <(cut -d ' ' -f 3 "$scratch/packages")
	files_of "${packages[@]}" | sort -u | while IFS= read -r file; do
		[ ! -r "$file" ] && [ ! -L "$file" ] || echo "${file#/}"
	done > "$scratch/present"
	(cd / && archive "$VM/$name.cpio" < "$scratch/present")
	# The users of every Debian, not those of this machine.
	mkdir -p "$stage"/{dev,etc,mnt,proc,run,sys,tmp}
	chmod 1777 "$stage/tmp"
	cp /usr/share/base-passwd/passwd.master "$stage/etc/passwd"
	cp /usr/share/base-passwd/group.master "$stage/etc/group"
	(cd "$stage" && find . | archive "$scratch/stage.cpio")
	cat "$scratch/stage.cpio" >> "$VM/$name.cpio"
	mv "$scratch/packages" "$VM/$name.packages"
}

# pack_project OUTPUT: this folder and what has been built, under the same path as here, so that
# make has nothing left to do there
pack_project()
{
	local folder=$PWD stage=$scratch/project
	{
		while [ "$folder" != / ]; do
			echo "$folder"
			folder=$(dirname "$folder")
		done
		find "$PWD" -mindepth 1 \( -name .git -o -path "${VM%/vm}" \) -prune -o -print
		find "${VM%/vm}" -regex "${VM%/vm}/\\(coverage\|fuzz\|kept\|lint\|sanitized\|vm\\)" -prune -o -print
	} | sort -u | sed 's#^/##' | (cd / && archive "$1")
	mkdir "$stage"
	cp scripts/vm/init.sh "$stage/init"
	{
		echo "cd '$PWD' && export BUILD='$BUILD' CI=true PATIENCE=20"
		echo "${guest_command:-tests/run.sh --no-build -j 1 -t $((limit / 2)) ${patterns[*]@Q}}"
	} > "$stage/command"
	(cd "$stage" && find . | archive "$scratch/stage.cpio")
	cat "$scratch/stage.cpio" >> "$1"
}

# --- the kernels ---------------------------------------------------------------------------------

# mirror: where this machine gets Debian from
mirror()
{
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' 2> /dev/null |
		sed -n 's/^Debian Debian //p' | head -n 1 | grep . || echo http://deb.debian.org/debian
}

# apt SUITE COMMAND...: apt-get or apt-cache, with lists of their own that hold only this suite
apt()
{
	local suite=$1 program=$2 folder=$VM/apt/$1
	shift 2
	mkdir -p "$folder/lists/partial" "$folder/archives/partial"
	[ -e "$folder/sources.list" ] ||
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) $suite main" \
			> "$folder/sources.list"
	"$program" -q -o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts=- \
		-o Dir::Etc::Preferences=- -o Dir::Etc::PreferencesParts=- \
		-o Dir::State::Lists="$folder/lists" -o Dir::Cache="$folder" \
		-o APT::Sandbox::User="$(id -un)" "$@"
}

# pack_modules FOLDER OUTPUT: FOLDER is named like the kernel's release
pack_modules()
{
	local release=${1##*/} stage=$scratch/modules
	mkdir -p "$stage/usr/lib/modules"
	ln -s usr/lib "$stage/lib"
	cp -a "$1" "$stage/usr/lib/modules/$release"
	rm -f "$stage/usr/lib/modules/$release/build" "$stage/usr/lib/modules/$release/source" \
		"$stage/usr/lib/modules/$release"/vmlinuz*
	depmod -b "$stage" "$release"
	(cd "$stage/usr" && find lib/modules | sed 's#^#usr/#' | (cd .. && archive "$2"))
	rm -rf "$stage"
}

# fetch_kernel SUITE PACKAGE FOLDER: its image and modules into FOLDER
fetch_kernel()
{
	local suite=$1 package=$2 folder=$3 image modules parts
	# A failed download of a list is only a warning.
	apt "$suite" apt-get update > "$scratch/apt.log" 2>&1 || true
	! grep -q '^[WE]:' "$scratch/apt.log" ||
		die "cannot get the list of $suite: $(grep '^[WE]:' "$scratch/apt.log" | head -n 1)"
	# The package of that name names the one of the release, which may have parts.
	apt "$suite" apt-cache depends --recurse "${depends_only[@]}" "$package" 2> /dev/null |
		grep -E '^linux-(base|image|binary|modules)-[0-9]' | sort -u > "$scratch/parts" ||
		die "$suite has no kernel package $package"
	mapfile -t parts < "$scratch/parts"
	mkdir "$scratch/kernel"
	(cd "$scratch/kernel" && apt "$suite" apt-get download "${parts[@]}" > "$scratch/apt.log" 2>&1) ||
		die "cannot download ${parts[*]}: $(tail -n 1 "$scratch/apt.log")"
	for package in "$scratch"/kernel/*.deb; do
		dpkg-deb -x "$package" "$scratch/kernel"
	done
	image=$(find "$scratch/kernel" -name 'vmlinuz*' -type f)
	modules=$(find "$scratch/kernel" -path '*lib/modules/*' -prune -type d)
	if [ ! -f "$image" ] || [ ! -d "$modules" ]; then
		die "no kernel in ${parts[*]}"
	fi
	rm -rf "$folder"
	mkdir -p "$folder"
	mv "$image" "$folder/bzImage"
	pack_modules "$modules" "$folder/modules.cpio"
	rm -rf "$scratch/kernel"
}

# prepare KERNEL: sets image, modules and name
prepare()
{
	local suite=$1 package=linux-image-cloud-amd64
	case $1 in
	/* | ./* | ../*)
		image=${1%%,*} modules='' name=$(basename "${1%%,*}")
		[ -f "$image" ] || die "$image: no such file"
		if [ "$image" != "$1" ]; then
			[ -d "${1#*,}/kernel" ] || die "${1#*,} has no folder kernel: no modules are there"
			modules=$scratch/modules.cpio
			pack_modules "$(realpath "${1#*,}")" "$modules"
		fi
		return
		;;
	6.1) suite=bookworm ;;
	6.12) suite=trixie ;;
	newest) suite=testing ;;
	[a-z]*/*) suite=${1%%/*} package=${1#*/} ;;
	[a-z]*) ;;
	*) die "$1: neither a kernel of Debian nor a file (write ./$1)" ;;
	esac
	name=$suite-$package
	image=$VM/$name/bzImage modules=$VM/$name/modules.cpio
	if [ $update = yes ] || [ ! -e "$modules" ]; then
		fetch_kernel "$suite" "$package" "$VM/$name"
	fi
}

# boot: run the machine until it ends or its time is over; sets status, and writes $log and $console
boot()
{
	local memory
	cat "$VM/$root.cpio" ${modules:+"$modules"} "$scratch/project.cpio" > "$scratch/initrd"
	# The archive, what is unpacked from it, and as much as the tests take.
	memory=$(($(stat -c %s "$scratch/initrd") * 2 / 1048576 + 1024))
	# Two processors, in turn on one thread: emulation on several threads is less reliable.
	# Where this machine is busy, the clocks of the virtual one disagree: the kernel must not
	# check them.
	timeout -k 5 "$limit" qemu-system-x86_64 -machine q35 -nodefaults -no-user-config -no-reboot \
		-display none -cpu max -accel tcg,thread=single -smp 2 -m "$memory" \
		-kernel "$image" -initrd "$scratch/initrd" \
		-append "console=ttyS0 no_timer_check loglevel=5 panic=-1 rootfstype=ramfs" \
		-serial "file:$console" -serial "file:$log" < /dev/null > "$scratch/qemu" 2>&1 &
	machine=$! status=0
	wait $machine || status=$?
	machine=''
	rm -f "$scratch/initrd"
}

# tally KIND PATTERN: how many checks of that kind the tests whose name matches have made
tally()
{
	grep -cE "^$1 (e2e|bpf|unit)/$2" "$log" || true
}

# count PATTERN: a cell of the table
count()
{
	local passed failed skipped
	passed=$(tally ok "$1") failed=$(tally FAIL "$1") skipped=$(tally skip "$1")
	[ "$passed $failed $skipped" != "0 0 0" ] || { echo "not run"; return; }
	echo "$passed passed$([ "$failed" = 0 ] || echo ", $failed failed")$([ "$skipped" = 0 ] || echo ", $skipped skipped")"
}

# judge: print what came of one kernel, and add it to the table
judge()
{
	local release why="ended without a result" result=0
	release=$(sed -n 's/^kernel //p' "$log" 2> /dev/null | head -n 1)
	if ! grep -q '^ended with status ' "$log" 2> /dev/null; then
		cat "$scratch/qemu"
		tail -n 20 "$console" 2> /dev/null || true
		[ $status -ne 124 ] || why="was still running after $limit s"
		echo "FAIL vm: ${release:-$1} $why: see $log and $console"
		rows+=("| ${release:-$1} | $why | | |")
		return 1
	fi
	grep -q '^ended with status 0$' "$log" || result=1
	if [ -n "$guest_command" ]; then
		cat "$log"
		return $result
	fi
	# The checks, and the whole output of tests with one that failed.
	sed -nE "/^($([ $checks = no ] || echo 'ok|')FAIL) /p; /^---- output of /,/^----\$/p" "$log"
	rows+=("| $release | $(count packet-monitor) | $(count proxy) | $(count "$neither") |")
	echo "-- $release: $(tail -n 2 "$log" | head -n 1) in $((SECONDS - began)) s"
	return $result
}

if [ $short = yes ]; then
	# iperf3, jq: what its tests need besides
	mapfile -t packages < <(scripts/install-deps.sh --list demo)
	packages+=(bpftool iperf3 iputils-ping jq kmod)
	root=small
else
	mapfile -t packages < <(scripts/install-deps.sh --list build demo test)
	packages+=(kmod)
	root=root
fi
# Of the programs that Debian chooses by a link, only awk is needed: by the tests.
packages+=("$(dpkg -S "$(realpath "$(command -v awk)")" | cut -d : -f 1)")
make_root $root "${packages[@]}"
pack_project "$scratch/project.cpio"

neither='([^p]|p[^ar])' # packet-monitor, proxy
rows=() failed=no
for kernel in "${kernels[@]}"; do
	prepare "$kernel"
	[ $short = no ] || name+=-short
	began=$SECONDS log=$VM/$name.log console=$VM/$name.console
	rm -f "$log" "$console"
	boot
	judge "$name" || failed=yes
done
[ -z "$guest_command" ] || { [ $failed = no ]; exit; }
lines=("| Kernel | packet-monitor | proxy | what they share |" "|---|---|---|---|" "${rows[@]}")
printf '%s\n' "${lines[@]}"
if [ -n "$table" ]; then
	printf '%s\n' "${lines[@]}" > "$scratch/table"
	sed -i -e '/^<!-- vm-test -->$/,/^<!-- end -->$/{//!d}' -e "/^<!-- vm-test -->\$/r $scratch/table" "$table"
fi
[ $failed = no ]
