#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# What "make install" puts where, and "make uninstall" removes (--remove). The Makefile sets the
# folders. RUN is put before a tool that was built for another machine, to ask it for its --help.
set -eu
cd "$(dirname "$0")/.."
: "${BUILD:=build}" "${DESTDIR:=}" "${PROGRAM_PREFIX:=}" "${RUN:=}"
: "${sbindir:?}" "${datadir:?}" "${mandir:?}" "${unitdir:?}"

# copy MODE FILE TARGET; as_unit and as_completion likewise: what a file becomes
copy()
{
	install -m "$1" "$2" "$3"
}

as_unit()
{
	sed "s,/usr/sbin/$tool,$sbindir/$name," "$2" > "$3"
	chmod "$1" "$3"
}

as_completion()
{
	$RUN "$BUILD/bin/$tool" --help | scripts/completions.sh "$2" "$name" > "$3"
	chmod "$1" "$3"
}

# put HOW MODE FROM TARGET
put()
{
	mkdir -p "$DESTDIR${4%/*}"
	"$1" "$2" "$3" "$DESTDIR$4"
}

[ "${1:-}" != --remove ] || put()
{
	rm -f "$DESTDIR$4"
}

for tool in packet-monitor proxy; do
	name=$PROGRAM_PREFIX$tool
	put copy 755 "$BUILD/bin/$tool" "$sbindir/$name"
	put copy 644 "$tool/$tool.8" "$mandir/man8/$name.8"
	put as_unit 644 "contrib/systemd/$tool@.service" "$unitdir/$name@.service"
	put as_completion 644 bash "$datadir/bash-completion/completions/$name"
	put as_completion 644 zsh "$datadir/zsh/site-functions/_$name"
	put as_completion 644 fish "$datadir/fish/vendor_completions.d/$name.fish"
done
put copy 755 remove-filters-and-qdisc.sh "$sbindir/remove-filters-and-qdisc.sh"
put copy 644 contrib/remove-filters-and-qdisc.sh.8 "$mandir/man8/remove-filters-and-qdisc.sh.8"
