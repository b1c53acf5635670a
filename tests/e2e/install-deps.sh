#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# scripts/install-deps.sh waits for another package manager, and then installs what is missing.
# apt-get and dpkg work on folders of their own here.
. "$(dirname "$0")/../lib.sh"
needs apt-get dpkg-deb python3 socat

# A package "socat", and an archive that has no other.
mkdir -p $TMP/package/DEBIAN $TMP/package/usr/bin $TMP/archive
printf '%s\n' 'Package: socat' 'Version: 1' 'Installed-Size: 5' 'Architecture: all' 'Maintainer: nobody <root@localhost>' \
	'Description: a test' > $TMP/package/DEBIAN/control
printf '#!/bin/sh\n' > $TMP/package/usr/bin/socat
chmod +x $TMP/package/usr/bin/socat
# It brings a configuration file that is there already, with other contents: dpkg would ask.
mkdir -p $TMP/package/etc $TMP/tree/etc
echo /etc/socat.conf > $TMP/package/DEBIAN/conffiles
echo theirs > $TMP/package/etc/socat.conf
echo ours > $TMP/tree/etc/socat.conf
dpkg-deb -b $TMP/package $TMP/archive/socat.deb > /dev/null
{
	cat $TMP/package/DEBIAN/control
	echo "Filename: ./socat.deb"
	echo "Size: $(stat -c %s $TMP/archive/socat.deb)"
	echo "SHA256: $(sha256sum < $TMP/archive/socat.deb | cut -d ' ' -f 1)"
} > $TMP/archive/Packages

LISTS=$TMP/apt/state/lists DPKG=$TMP/tree/var/lib/dpkg
mkdir -p $TMP/apt/{etc,cache/archives/partial} $LISTS/partial $DPKG/{info,updates,triggers}
touch $DPKG/status
echo "deb [trusted=yes] file:$TMP/archive ./" > $TMP/apt/etc/sources.list
cat > $TMP/apt.conf <<-CONF
	Dir::Etc "$TMP/apt/etc";
	Dir::State "$TMP/apt/state";
	Dir::State::status "$DPKG/status";
	Dir::Cache "$TMP/apt/cache";
	Dir::Log "$TMP/apt";
	DPkg::Options:: "--root=$TMP/tree";
	APT::Sandbox::User "root";
CONF
# The machine's own is out of sight, and what is installed comes into sight.
mkdir $TMP/bin
ln -sf /bin/* /usr/bin/* $TMP/bin
rm $TMP/bin/socat
export APT_CONFIG=$TMP/apt.conf PATH=$TMP/bin:$TMP/tree/usr/bin:/usr/sbin:/sbin
hash -r
check_not "socat is missing" command -v socat

# hold ID FILE: lock it like apt and dpkg, until stopped
hold()
{
	start $1 - python3 -c 'import fcntl, signal, sys
file = open(sys.argv[1], "w") # closed, it would be unlocked
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
signal.pause()' $2
	wait_for 10 grep -q held $TMP/$1.out
}

# waits_for NAME FILE
waits_for()
{
	check "$1" wait_for 60 grep -q "waiting for another package manager, .* to get lock $2\\. " \
		$TMP/install.err
	check "and goes on waiting" running install
}

hold lists $LISTS/lock
hold frontend $DPKG/lock-frontend
start install - "$ROOT/scripts/install-deps.sh" demo
waits_for "it waits for the lock of the package lists" $LISTS/lock
stop lists || true
waits_for "and for that of dpkg" $DPKG/lock-frontend
check_not "nothing is installed yet" test -e $TMP/tree/usr/bin/socat
stop frontend || true
status=0
status_of install || status=$?
equal "then it installs" $status 0
check "what was missing" command -v socat
contains "it says how large that is" "$(grep installing $TMP/install.out)" 'installing socat: 0 B/* to download, 5120 B on disk'
equal "a configuration file stays what it was" "$(cat $TMP/tree/etc/socat.conf)" ours
equal "each lock is mentioned once" "$(grep -c waiting $TMP/install.err)" 2
contains "and finds nothing to do the next time" "$("$ROOT/scripts/install-deps.sh" demo)" \
	"nothing to install for: demo"

# fails REASON: at once, without waiting
fails()
{
	status=0
	said=$("$ROOT/scripts/install-deps.sh" demo 2>&1) || status=$?
	equal "it fails" $status 1
	contains "and says why" "$said" "install-deps.sh: $1"
}

rm -r $TMP/tree/usr
: > $DPKG/status
: > $TMP/archive/Packages
fails "no package socat for socat in this machine's sources"
rm $TMP/archive/Packages
fails "apt-get update failed"
finish
