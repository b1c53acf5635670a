#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# scripts/lint.sh finds what it is for, and none of its parts fails without a word.
set -u
cd "$(dirname "$0")/../.." || exit 1

tree=$(mktemp -d) || exit 1
trap 'rm -rf "$tree"' EXIT
tar -c bpf include lib packet-monitor proxy scripts tests ./*.sh | tar -x -C "$tree" || exit 1
failed=0

# lint PART...: in the copy of the tree; sets said
lint()
{
	said=$(BUILD=build "$tree/scripts/lint.sh" "$@" 2>&1)
}

# says NAME LINE...: the last output has these lines
says()
{
	local name=$1 line
	shift
	for line; do
		if ! grep -qxF -- "$line" <<< "$said"; then
			echo "FAIL $name: no line '$line' in: $said"
			failed=1
			return
		fi
	done
	echo "ok $name"
}

lint spdx names includes
says "a copy of this tree passes" "ok spdx" "ok names" "ok includes"

printf '%s\n' '#include "mapping.h"' 'static int one_twice(void)' '{' '}' > "$tree/lib/one.c"
lint spdx names
says "a file without a licence is found" "lib/one.c: no SPDX line" "FAIL spdx: see above"
says "and is not held against the next part" "ok names"
lint includes
says "a header of a tool in lib/ is found" \
	'lib/one.c includes "mapping.h", which is in none of: lib include' "FAIL includes: see above"
cp "$tree/lib/one.c" "$tree/lib/two.c"
echo 'static int another(void)' >> "$tree/lib/one.c"
sed -i 's/^PROGRAMS="/&px_ingress /' "$tree/remove-filters-and-qdisc.sh"
lint names
says "a name that leads to two places is found" \
	"function one_twice is defined in several files: lib/one.c lib/two.c" "FAIL names: see above"
says "a name without the prefix of its file is found" \
	"function another of lib/one.c should begin with one_" \
	"function one_twice of lib/two.c should begin with two_"
says "a program that only a script lists is found" "+px_ingress"

mkdir "$tree/silent"
printf '#!/bin/sh\nexit 1\n' > "$tree/silent/codespell"
chmod +x "$tree/silent/codespell"
PATH=$tree/silent:$PATH lint spelling
says "a part that fails without a word is said to" \
	"FAIL spelling: it ended with status 123 and said nothing"
exit $failed
