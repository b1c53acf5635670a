#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What is published: the archive of "make dist" knows its version, "make deb" builds a package that
# lintian has nothing against, dpkg installs it, its tools run, and dpkg removes it without a trace.
. "$(dirname "$0")/../lib.sh"
needs make git dh dpkg-buildpackage lintian

unset MAKEFLAGS MFLAGS MAKELEVEL
mkdir "$TMP/tree"
# Of its own, so that files which are not committed make no difference.
check "the tree can be cloned" git -c safe.directory='*' clone -q --no-hardlinks "$ROOT" "$TMP/tree/checkout"
cd "$TMP/tree/checkout"
export BUILD=$TMP/tree/build
version=$(scripts/version.sh)
contains "a version that is not released names the commit" "$version" "-git????????.$(git log -1 --format=%h)"
touch README.md new-file
equal "which new files and times do not change" "$(scripts/version.sh)" "$version"
echo >> README.md
equal "and changed files do" "$(scripts/version.sh)" "$version.dirty"
git checkout -q README.md

check "make dist" make -s dist
tar -xzf "$BUILD/packet-tools-$version.tar.gz" -C "$TMP/tree"
equal "the archive knows its version, without git" \
	"$("$TMP/tree/packet-tools-$version/scripts/version.sh")" "$version"

check "make deb, lintian included" make -s deb
package=$(ls "$BUILD"/deb/packet-tools_*.deb)
mkdir -p "$TMP/tree/system/var/lib/dpkg"/{info,updates,triggers}
touch "$TMP/tree/system/var/lib/dpkg"/{status,available}
on_root()
{
	dpkg --root="$TMP/tree/system" --force-depends --log=/dev/null "$@"
}
find "$TMP/tree/system" ! -path '*/dpkg*' | sort > "$TMP/before"
check "dpkg installs it" on_root --install "$package"
for tool in packet-monitor proxy; do
	equal "$tool says which commit it is" "$("$TMP/tree/system/usr/sbin/$tool" --version)" "$tool $version"
	check "and has a man page" test -s "$TMP/tree/system/usr/share/man/man8/$tool.8.gz"
	options=(-c 1 -I 0.1)
	[ $tool = packet-monitor ] || options+=(-m 127.0.0.1:1=127.0.0.1:2)
	check "and runs" "$TMP/tree/system/usr/sbin/$tool" "${options[@]}" lo
done
check "so does the script" "$TMP/tree/system/usr/sbin/remove-filters-and-qdisc.sh"
check "and has a man page" test -s "$TMP/tree/system/usr/share/man/man8/remove-filters-and-qdisc.sh.8.gz"
check "dpkg removes it" on_root --purge packet-tools
find "$TMP/tree/system" ! -path '*/dpkg*' | sort > "$TMP/after"
check "without a trace" diff "$TMP/before" "$TMP/after"
finish
