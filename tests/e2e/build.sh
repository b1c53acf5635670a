#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The Makefile: where it writes, what it rebuilds, what it installs; static binaries elsewhere.
. "$(dirname "$0")/../lib.sh"
needs make gcc clang bpftool jq

cd "$ROOT"
# From here on any attempt to write into the source tree fails.
mount --bind "$ROOT" "$ROOT"
mount -o remount,bind,ro "$ROOT"
cd "$ROOT"
unset MAKEFLAGS MFLAGS MAKELEVEL
OUT=$TMP/build

STATIC=1
if [[ $(make BUILD="$OUT" STATIC=1 -n 2>&1) == *"STATIC=1 does not link"* ]]; then
	STATIC=
fi
# build ARGUMENT...: make in a build folder outside the tree, static binaries where that can be
build()
{
	make BUILD="$OUT" STATIC=$STATIC "$@"
}

TOOLS=(packet-monitor proxy)
check "builds outside of a read-only source tree" build -s -j "$(nproc)"
check "and has nothing left to do" build -q
equal "make -s says nothing" "$(build -s 2>&1)" ""

if [ -n "$STATIC" ]; then
	mkdir -p "$TMP/empty"
	for tool in "${TOOLS[@]}"; do
		cp "$OUT/bin/$tool" "$TMP/empty/"
		equal "a static $tool runs where there is no other file" \
			"$(chroot "$TMP/empty" "/$tool" --version 2>&1)" "$("$BIN/$tool" --version)"
	done
	# The number of CPUs is read from /sys.
	mkdir "$TMP/empty/sys"
	mount --bind /sys "$TMP/empty/sys"
	check "and attaches there" chroot "$TMP/empty" /packet-monitor -c 1 -I 0.1 lo
else
	lacks=$(make BUILD="$OUT" STATIC=1 2>&1 || true)
	contains "without all static libraries, STATIC=1 says what is missing" "$lacks" \
		"STATIC=1 does not link with the libraries here: "
	contains "and what helps" "$lacks" "Build on Debian 12, or with elfutils 0.193 or newer"
fi

# A header that both sides share: whatever includes it is made anew, nothing else.
for tool in "${TOOLS[@]}"; do
	build -n V=1 -W "include/$tool.h" > "$TMP/what-if"
	check "a change of include/$tool.h rebuilds the BPF side" grep -q "bpf.* -c bpf/$tool-bpf.c" "$TMP/what-if"
	check "a change of include/$tool.h rebuilds the C side" grep -qE " -c $tool/[a-z-]+\.c" "$TMP/what-if"
	check "a change of include/$tool.h links $tool" grep -q -- "-o $OUT/bin/$tool" "$TMP/what-if"
	check_not "a change of include/$tool.h leaves lib/ alone" grep -q -- ' -c lib/' "$TMP/what-if"
done
build -n V=1 -W bpf/pkt.h > "$TMP/what-if"
check "a change of a BPF header rebuilds the BPF side" grep -q "bpf.* -c bpf/" "$TMP/what-if"
check "other flags rebuild everything" eval 'build -n V=1 CFLAGS=-O1 | grep -q -- "-O1.* -c lib/log.c"'

# One commit, two folders: whoever builds it can compare.
for folder in one another/folder; do
	mkdir -p "$TMP/$folder"
	tar -c --exclude=./.git --exclude=./build --exclude=./build-* . | tar -x -C "$TMP/$folder"
	check "plain make builds in $folder" env -u BUILD make -s -j "$(nproc)" -C "$TMP/$folder"
done
for tool in "${TOOLS[@]}"; do
	check "and makes the same $tool" \
		cmp "$TMP/one/build/bin/$tool" "$TMP/another/folder/build/bin/$tool"
done

check "a build folder in the tree may be named by its full path" \
	eval 'make -q BUILD="${BUILD#"$ROOT"/}" && make -q BUILD="$BUILD"'

check "compile_commands.json can be made" build -s compile_commands.json
check "each of its commands compiles" sh -c "jq -e 'length > 50' $OUT/compile_commands.json &&
	jq -r '.[] | select(.file | test(\"^(bpf/proxy|lib/log|tests/bpf/iface)\")) | .command + \" -fsyntax-only\"' \
		$OUT/compile_commands.json | sh -e"

check "installs" build -s install DESTDIR="$TMP/staged" PREFIX=/opt/tools
equal "what people need" "$(cd "$TMP/staged" && find . -type f | sort | xargs)" \
	"$(
		for tool in packet-monitor proxy; do
			printf './opt/tools/%s\n' lib/systemd/system/$tool@.service sbin/$tool \
				share/bash-completion/completions/$tool \
				share/fish/vendor_completions.d/$tool.fish \
				share/man/man8/$tool.8 share/zsh/site-functions/_$tool
		done | cat - <(printf './opt/tools/%s\n' sbin/remove-filters-and-qdisc.sh \
			share/man/man8/remove-filters-and-qdisc.sh.8) | sort | xargs
	)"
check "what is installed can be executed" "$TMP/staged/opt/tools/sbin/remove-filters-and-qdisc.sh" --help
check "a unit calls the tool where it is" grep -q '^ExecStart=/opt/tools/sbin/proxy ' \
	"$TMP/staged/opt/tools/lib/systemd/system/proxy@.service"
completed=$(bash -c '. "$0"; _proxy proxy --sta proxy; echo "${COMPREPLY[@]}"' \
	"$TMP/staged/opt/tools/share/bash-completion/completions/proxy")
equal "bash completes options" "$completed" "--status"
check "uninstalls" build -s uninstall DESTDIR="$TMP/staged" PREFIX=/opt/tools
equal "everything" "$(find "$TMP/staged" -type f)" ""
check "installs under other names" build -s install DESTDIR="$TMP/staged" PREFIX=/opt/tools PROGRAM_PREFIX=tc-
equal "with a prefix" "$(cd "$TMP/staged" && find . -type f -name '*proxy*' ! -name '*tc-proxy*')" ""
check "and the unit knows" grep -q '^ExecStart=/opt/tools/sbin/tc-proxy ' \
	"$TMP/staged/opt/tools/lib/systemd/system/tc-proxy@.service"

for variable in CC CLANG BPFTOOL PKG_CONFIG; do
	contains "a missing $variable is named, with the cure" \
		"$(make BUILD="$TMP/none" $variable=nosuch 2>&1 || true)" \
		"nosuch is missing or does not run: run scripts/install-deps.sh build"
done
# Ubuntu's bpftool is a script that fails where the running kernel's own is not installed.
mkdir -p "$TMP/ubuntu" "$TMP/linux-tools/6.8.0-1-generic"
printf '#!/bin/sh\necho "WARNING: bpftool not found for kernel 6.8.0" >&2\nexit 2\n' > "$TMP/ubuntu/bpftool"
chmod +x "$TMP/ubuntu/bpftool"
# on_ubuntu COMMAND...: with that script before all others
on_ubuntu()
{
	PATH=$TMP/ubuntu:$PATH LINUX_TOOLS=$TMP/linux-tools "$@" 2>&1
}
contains "a bpftool that fails is named" "$(on_ubuntu make BUILD="$TMP/none" || true)" \
	"bpftool is missing or does not run: run scripts/install-deps.sh build"
check "and installed" grep -qxE "bpftool|linux-tools-generic" <<< "$(on_ubuntu scripts/install-deps.sh -n build)"
ln -s "$(command -v bpftool)" "$TMP/linux-tools/6.8.0-1-generic"
contains "that of another kernel serves as well" "$(on_ubuntu make BUILD="$TMP/none" V=1 -n)" \
	"$TMP/linux-tools/6.8.0-1-generic/bpftool gen skeleton"
equal "and nothing is left to install" "$(on_ubuntu scripts/install-deps.sh -n build)" ""
# What is there may be too old.
mkdir "$TMP/old"
printf '#!/bin/sh\necho 13.0.1\n' > "$TMP/old/clang-13"
chmod +x "$TMP/old/clang-13"
contains "clang 13 is refused" "$(make BUILD="$TMP/none" CLANG="$TMP/old/clang-13" 2>&1 || true)" \
	"clang-13 is version 13.0.1: the programs need clang 14 or newer (CLANG=)"
printf '%s\n' 'Name: libbpf' 'Description: old' 'Version: 0.8.1' 'Libs: -lbpf' > "$TMP/old/libbpf.pc"
contains "libbpf 0.8 is refused" "$(PKG_CONFIG_PATH=$TMP/old make BUILD="$TMP/none" 2>&1 || true)" \
	"libbpf is version 0.8.1: the tools need 1.0 or newer (PKG_CONFIG_PATH=)"
check "make help needs none of them" make CC=nosuch CLANG=nosuch BPFTOOL=nosuch help
check "a build folder can be removed" build -s clean
check_not "and is gone" test -e "$OUT"
finish
