#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Print the PATH with which a bpftool that runs is found. Debian keeps it out of an ordinary user's
# PATH. Ubuntu's is a script that only finds the one made for the running kernel, and a cloud's
# kernel is often another than that of the package linux-tools-generic; any version of it does here.
PATH=$PATH:/usr/sbin:/sbin
folder=
if ! bpftool version > /dev/null 2>&1; then
	for program in "${LINUX_TOOLS:-/usr/lib/linux-tools}"/*/bpftool; do
		! "$program" version > /dev/null 2>&1 || folder=${program%/bpftool}:
	done
fi
echo "$folder$PATH"
