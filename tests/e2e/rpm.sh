#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# contrib/rpm: rpmlint has nothing against it, and it packs what "make install" installs. SOAK=1: also
# rpmbuild, from the archive of "make dist".
. "$(dirname "$0")/../lib.sh"
needs make git rpmlint rpmspec rpmbuild

SPEC=$ROOT/contrib/rpm/packet-tools.spec
# What Fedora's systemd-rpm-macros define.
fedora=(--define "_unitdir /usr/lib/systemd/system")
for part in post preun postun; do
	fedora+=(--define "systemd_$part() :")
done
rpmlint "$SPEC" > $TMP/lint 2>&1 || true
contains "rpmlint" "$(tail -n 1 $TMP/lint)" " 0 errors, "

unset MAKEFLAGS MFLAGS MAKELEVEL
check "make install" make -s -C "$ROOT" install BUILD="$BUILD" DESTDIR=$TMP/root PREFIX=/usr ${SANITIZE:+SANITIZE=1}
rpmspec "${fedora[@]}" -P "$SPEC" | sed -n '/^%files/,/^%changelog/s#^\(%config([a-z]*) \)\?\(/[^*]*\)\*\?$#\2#p' |
	grep -v '^/etc/logrotate.d/' | sort > $TMP/packed
equal "it packs what is installed" "$(cat $TMP/packed)" "$(find $TMP/root -type f -printf '/%P\n' | sort)"

if [ "$SOAK" = 1 ]; then
	check "the tree can be cloned" git -c safe.directory='*' clone -q --no-hardlinks "$ROOT" $TMP/checkout
	cd $TMP/checkout
	export BUILD=$TMP/build
	check "make dist" make -s dist
	version=$(scripts/version.sh)
	mkdir -p $TMP/rpm/SOURCES
	cp $TMP/build/packet-tools-*.tar.gz $TMP/rpm/SOURCES
	check "rpmbuild" rpmbuild -bb --nodeps "${fedora[@]}" --define "_topdir $TMP/rpm" \
		--define "release_name $version" "$SPEC"
	package=$(ls $TMP/rpm/RPMS/*/packet-tools-[0-9]*.rpm)
	equal "the package knows its version" "$(rpm -qp --qf '%{VERSION}' "$package")" "${version/-/\~}"
	contains "and has the tools" "$(rpm -qlp "$package" | xargs)" "/usr/sbin/packet-monitor /usr/sbin/proxy "
fi
finish
