#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Build a package for Debian from the archive of "make dist": scripts/deb.sh ARCHIVE FOLDER. The
# package is in FOLDER then, and lintian has looked at it.
set -eu
archive=$(readlink -f "$1") folder=$2
version=${archive##*/packet-tools-}
version=${version%.tar.gz}
# What precedes a release sorts before it.
debian=$(echo "$version" | sed 's/-/~/')

for program in dpkg-buildpackage dh lintian; do
	command -v "$program" > /dev/null || {
		echo "$program is missing: run scripts/install-deps.sh build package" >&2
		exit 1
	}
done
# The package is built as everywhere else, whatever this build was asked for.
unset BUILD CC CFLAGS CPPFLAGS LDFLAGS LDLIBS DESTDIR MAKEFLAGS MFLAGS PROGRAM_PREFIX RUN STATIC
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
tar -xzf "$archive"
cd "packet-tools-$version"
cp -r contrib/debian debian
cat > debian/changelog << CHANGES
packet-tools ($debian) unstable; urgency=medium

  * See CHANGELOG.md.

 -- packet-tools maintainers <maintainers@packet-tools.invalid>  $(date -R -r version)
CHANGES
# scripts/install-deps.sh has installed what is needed; build-essential is more.
dpkg-buildpackage --build=binary --no-sign --no-check-builddeps
cd ..
lintian --fail-on error,warning --tag-display-limit 0 ./*.changes
ls ./*.deb
