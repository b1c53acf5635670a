#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Print the version of this tree: that of CHANGELOG.md, "0.1.0", if it is released. Otherwise
# "0.1.0-git20261127.04cbc2f", that is, before it, with the day and the name of the commit, and
# ".dirty" behind if files have changed since. "make dist" writes the answer into the file
# "version".
cd "$(dirname "$0")/.." || exit 1
if [ -f version ]; then
	cat version
	exit
fi
release=$(sed -n 's/^## \[\([0-9][^]]*\)\].*/\1/p' CHANGELOG.md | head -n 1)
# A checkout inside another repository is not meant.
if [ "$(git rev-parse --show-prefix 2> /dev/null || echo none)" ] ||
	[ "$(git describe --tags --exact-match --dirty 2> /dev/null)" = "v$release" ]; then
	echo "$release"
	exit
fi
commit=$(git log -1 --format=git%cd.%h --date=format:%Y%m%d)
git diff --quiet HEAD || commit=$commit.dirty
echo "$release-$commit"
