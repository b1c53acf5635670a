#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Check the sources: format, static analysis, scripts, man pages, warnings of both compilers.
set -u
cd "$(dirname "$0")/.." || exit 1

usage()
{
	cat <<-'USAGE'
	Usage: scripts/lint.sh [PART...]

	PARTs (default all): format tidy cppcheck shellcheck spelling padding spdx names includes docs
	gcc clang man

	One line for each: "ok PART", "FAIL PART: why" with the complaints before it, or "skip PART:
	why" where a program is missing (scripts/install-deps.sh lint). Exit status: 1 if any failed.
	What clang-tidy has accepted is not looked at again before it changes.
	USAGE
}

parts=()
for part; do
	case $part in
	format | tidy | cppcheck | shellcheck | spelling | padding | spdx | names | includes | docs | \
		gcc | clang | man) parts+=("$part") ;;
	-h | --help) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
done
[ ${#parts[@]} -gt 0 ] || parts=(tidy gcc clang man format cppcheck shellcheck spelling padding spdx names
	includes docs)

PATH=$PATH:/usr/sbin:/sbin
OUT=${BUILD:-build}/lint
mkdir -p "$OUT"
# All that is ours: tracked or new, but neither ignored nor deleted.
if git rev-parse --is-inside-work-tree > /dev/null 2>&1; then
	mapfile -t files < <(git ls-files --cached --others --exclude-standard | sort -u)
else
	mapfile -t files < <(find . -path "./${BUILD:-build}" -prune -o -type f -printf '%P\n' | sort)
fi

# sources GLOB...: of those the ones whose name matches one of the patterns
sources()
{
	local file pattern
	for file in "${files[@]}"; do
		for pattern; do
			# shellcheck disable=SC2053
			if [[ $file == $pattern && -f $file ]]; then
				printf '%s\n' "$file"
				break
			fi
		done
	done
}
mapfile -t c_files < <(sources '*.[ch]')
mapfile -t units < <(sources '*.c')
mapfile -t scripts < <(sources '*.sh' .ci/run)

make_in()
{
	"${MAKE:-make}" -s -j "$(nproc)" BUILD="$OUT/$1" CC="$1" WERROR=1 STATIC= SANITIZE= "${@:2}"
}

# long_lines FILE...: lines of more than 100 columns; clang-format leaves strings and comments alone
long_lines()
{
	local file status=0
	for file; do
		expand "$file" | LC_ALL=C.UTF-8 grep -nE '^.{101}' | sed "s#^#$file:#" | grep . && status=1
	done
	return "$status"
}

lint_format()
{
	clang-format --dry-run -Werror "${c_files[@]}" && long_lines "${c_files[@]}"
}

# tidy_one FILE: clang-tidy, unless it has passed a file with the same contents, headers and
# settings
tidy_one()
{
	local flags hash
	case $1 in
	*-bpf.c) flags=(--target=bpf -O2 -idirafter "$ASM_FOLDER") ;;
	*) flags=(-D_GNU_SOURCE -DVERSION='"0"' -Ilib -Itests "-I$OUT/skel") ;;
	esac
	hash=$({ cat "$1" .clang-tidy tests/.clang-tidy; cat "${@:2}"; clang-tidy --version; } | sha1sum | cut -c -40)
	[ "$(cat "$OUT/${1//\//_}.tidy" 2> /dev/null)" != "$hash" ] || return 0
	if ! clang-tidy --quiet "$1" -- -std=gnu11 -Iinclude "${flags[@]}" 2> "$OUT/${1//\//_}.err"; then
		# Its complaints are on stdout; this is why it could not look at the file.
		grep -v ' generated\.$' "$OUT/${1//\//_}.err"
		return 1
	fi
	echo "$hash" > "$OUT/${1//\//_}.tidy"
}

lint_tidy()
{
	local headers skel
	mapfile -t headers < <(sources '*.h')
	# The skeletons have to be there, but are bpftool's work.
	make_in gcc skeletons || return
	mkdir -p "$OUT/skel"
	for skel in "$OUT"/gcc/*.skel.h "$OUT"/gcc/docs/tutorial/*.skel.h; do
		{
			echo '// NOLINTBEGIN'
			cat "$skel"
			echo '// NOLINTEND'
		} > "$OUT/skel/${skel##*/}"
	done
	ASM_FOLDER=$(gcc -M -include asm/types.h -x c /dev/null | grep -o '/[^ ]*/asm/types\.h')
	ASM_FOLDER=${ASM_FOLDER%/asm/types.h}
	export -f tidy_one
	export OUT ASM_FOLDER
	printf '%s\n' "${units[@]}" | xargs -P "$(nproc)" -I {} bash -c 'tidy_one "$@"' tidy {} "${headers[@]}"
}

lint_cppcheck()
{
	mkdir -p "$OUT/cppcheck"
	# Declarations stand at the head of a function; structs are shared with BPF; libbpf calls
	# back with types that cannot be const; void pointers count bytes in GNU C, and what
	# cppcheck makes of "a ?: b" there is wrong (selfAssignment, unreadVariable: the compilers
	# see to those); it does not know that ~x of 16 bits can be 0; a flag may be. What a
	# variable could be "const" for is judged anew by each version, and
	# normalCheckLevelMaxBranches is no complaint.
	local left_out=(variableScope unusedStructMember constParameter constParameterCallback
		constParameterPointer constVariable constVariablePointer
		normalCheckLevelMaxBranches arithOperationsOnVoidPointer selfAssignment unreadVariable
		clarifyCalculation knownConditionTrueFalse badBitmaskCheck shadowFunction
		unassignedVariable)
	cppcheck --quiet --enable=warning,style,performance,portability --error-exitcode=1 \
		-j "$(nproc)" --cppcheck-build-dir="$OUT/cppcheck" --inline-suppr \
		"${left_out[@]/#/--suppress=}" \
		'-DLIBBPF_OPTS(t,n,...)=struct t n = { __VA_ARGS__ }' '-DSEC(n)=' '-D__always_inline=inline' \
		'-D__asm__(register)=' \
		-Iinclude -Ilib "${units[@]}"
}

lint_shellcheck()
{
	local e2e others
	mapfile -t e2e < <(printf '%s\n' "${scripts[@]}" | grep '^tests/e2e/')
	mapfile -t others < <(printf '%s\n' "${scripts[@]}" | grep -v '^tests/e2e/')
	shellcheck "${others[@]}" &&
		# Addresses, numbers and the files of a test hold no blanks that quotes would
		# protect; "A && ok B || fail B C" is sound, since ok never fails; awk programs hold
		# dollars.
		shellcheck --exclude=SC2086,SC2206,SC2191,SC2015,SC2016 "${e2e[@]}"
}

lint_spelling()
{
	# The text of the licence and recorded data are not ours to spell.
	sources '*.[ch]' '*.sh' '*.md' '*.8' Makefile | xargs codespell
}

# No struct that user space shares with BPF has padding that the compiler chose.
lint_padding()
{
	local header compiler family status=0
	for header in include/*.h; do
		for compiler in gcc clang; do
			for family in 4 6; do
				"$compiler" -std=gnu11 -Wall -Wextra -Wpadded -Werror -fsyntax-only \
					-DPROXY_FAMILY=$family -include "$header" -x c /dev/null ||
					status=1
			done
		done
	done
	return "$status"
}

lint_spdx()
{
	local file status=0
	for file in $(sources '*.[ch8]' '*.sh' '*.py' '*.gp' Makefile .ci/run); do
		if ! head -n 2 "$file" | grep -q 'SPDX-License-Identifier: GPL-2.0-only'; then
			echo "$file: no SPDX line"
			status=1
		fi
	done
	return "$status"
}

# definitions FILE...: lines "KIND NAME FILE" for tags, static functions and include guards
definitions()
{
	awk '
		FNR == 1 { guard = FILENAME ~ /\.h$/; held = "" }
		guard && /^#ifndef / { print "guard", $2, FILENAME; guard = 0 }
		/^[ \t]*(struct|union|enum) [a-z_0-9]+ \{/ { print $1, $2, FILENAME }
		held { $0 = held " " $0; held = "" }
		/^static [^(;={]*$/ { held = $0; next } # the name is on the next line
		/^static / {
			gsub(/__attribute__\(\([^;{]*\)\)/, "")
			if (match($0, /^static [^=;([{]*\(/)) {
				name = substr($0, 1, RLENGTH - 1)
				sub(/.*[ *]/, "", name)
				print "function", name, FILENAME
			}
		}' "$@" | sort -u
}

# programs_in_list, programs_in_bpf, programs_in_script: the names of programs at hooks, one a line
programs_in_list()
{
	sed -n 's/^\tPROGRAM([A-Z0-9_]*, \([a-z0-9_]*\),.*/\1/p' lib/programs.h | sort
}

# Of the programs of a section, those that are for a hook.
programs_in_bpf()
{
	sed -n '/^SEC("tc")/{n;s/^int \([a-z0-9_]*_[a-z]*gress\|[a-z0-9_]*_direct\)(.*/\1/p}' bpf/*-bpf.c | sort
}

programs_in_script()
{
	sed -n 's/^PROGRAMS="\(.*\)"$/\1/p' remove-filters-and-qdisc.sh | tr ' ' '\n' | sort
}

# A name leads to one place, and the lists of programs agree.
lint_names()
{
	local with status=0
	definitions "${c_files[@]}" | awk '
		{ files[$1 " " $2] = files[$1 " " $2] " " $3; n[$1 " " $2]++ }
		END {
			for (name in n) {
				if (n[name] > 1) {
					print name " is defined in several files:" files[name]
					bad = 1
				}
			}
			exit bad
		}' || status=1
	# A name says which file of lib/ or proxy/ it is from: "maps_" or "map_" for maps.c.
	definitions lib/*.c proxy/*.c | awk '
		$1 == "function" && NF == 3 {
			n = split($3, path, "/")
			prefix = path[n] == "main.c" ? path[n - 1] : substr(path[n], 1, length(path[n]) - 2)
			gsub(/-/, "_", prefix)
			if (index($2, prefix "_") == 1)
				next
			sub(/s$/, "", prefix)
			if (index($2, prefix "_") == 1)
				next
			print "function " $2 " of " $3 " should begin with " prefix "_"
			bad = 1
		}
		END { exit bad }' || status=1
	for with in bpf script; do
		diff -U 0 --label lib/programs.h --label "programs in $with" \
			<(programs_in_list) <("programs_in_$with") || status=1
	done
	return "$status"
}

# includes_only FOLDER ALLOWED...: headers in quotes lie in one of the folders
includes_only()
{
	local file header folder status=0
	while IFS=: read -r file header; do
		for folder in "${@:2}"; do
			[[ $header == */* || ! -f $folder/$header ]] || continue 2
		done
		echo "$file includes \"$header\", which is in none of: ${*:2}"
		status=1
	done < <(sources "$1/*.[ch]" | xargs grep -HoP '^#\s*include "\K[^"]*(?=")' | grep -v '\.skel\.h$')
	return "$status"
}

# Who may include what: CONTRIBUTING.md, "Where things are".
lint_includes()
{
	local status=0 main
	if grep -nE '^#\s*include <' include/*.h | grep -vE '<linux/(types|bpf)\.h>'; then
		echo "headers of include/ include only <linux/types.h> and <linux/bpf.h>"
		status=1
	fi
	includes_only include include || status=1
	includes_only bpf bpf include || status=1
	includes_only lib lib include || status=1
	for main in */main.c; do
		includes_only "${main%/main.c}" "${main%/main.c}" lib include || status=1
	done
	return "$status"
}

# long_prose FILE...: as long_lines; tables, code, pictures and what "make bench" writes cannot wrap
long_prose()
{
	awk '
		FNR == 1 { code = 0 }
		/^```/ { code = !code }
		code || /^ *[|!]/ || /^    / { next }
		{ line = $0; gsub(/[\200-\277]/, "") } # of a character in UTF-8, the first byte counts
		length > 100 { print FILENAME ":" FNR ":" line; bad = 1 }
		END { exit bad }' "$@"
}

# What documents say of the tree is there: files, functions of ours and the ends of links.
# shellcheck disable=SC2016 # the backticks are those of the documents
lint_docs()
{
	local docs doc name folder status=0
	mapfile -t docs < <(sources '*.md' | grep -v '^docs/benchmarks/')
	LC_ALL=C long_prose "${docs[@]}" || status=1
	while IFS=: read -r doc name; do
		[[ $name == build/* || $name == *X[.-]* || $name == vmlinux.h ]] ||
			printf '/%s\n' "${files[@]}" | grep -qF -- "/${name#../}" ||
			{ echo "$doc: there is no file $name"; status=1; }
	done < <(grep -oHP '`\K[\w./-]+\.(c|h|sh|txt|py|8)(?=`)' "${docs[@]}")
	# Ours begin like a static function of ours: "pm_", "flow_". Others may be the kernel's.
	definitions bpf/*.[ch] lib/*.c packet-monitor/*.c proxy/*.c |
		sed -n 's/^function \([a-z0-9]*\)_.*/\1/p' | grep -vx bpf > "$OUT/prefixes"
	grep -ohE '[a-z0-9_]+\(' "${c_files[@]}" | tr -d '(' | sort -u > "$OUT/called"
	while IFS=: read -r doc name; do
		! grep -qx "${name%%_*}" "$OUT/prefixes" || grep -qx "$name" "$OUT/called" ||
			{ echo "$doc: there is no function $name()"; status=1; }
	done < <(grep -oHP '`\K[a-z0-9]+_[a-z0-9_]+(?=\()' "${docs[@]}")
	while IFS=: read -r doc name; do
		folder=${doc%"${doc##*/}"}
		[ -e "$folder${name%%#*}" ] || { echo "$doc: there is no $name"; status=1; }
	done < <(grep -oHP '\]\(\K(?!https?:|#)[^)]+' "${docs[@]}")
	return "$status"
}

lint_gcc()
{
	make_in gcc all unit-tests bpf-tests e2e-tests
}

lint_clang()
{
	make_in clang all bpf-tests fuzz-tests
}

# options_of_help TOOL, options_of_man FILE: each option once, one a line
options_of_help()
{
	"$1" --help | grep -E '^ +-' | sed -E 's/(\S)  +[A-Za-z0-9].*/\1/' | grep -oE -- '(^|[ ,])--?[[:alnum:]][[:alnum:]-]*' |
		tr -d ' ,' | sort -u
}

options_of_man()
{
	# Lines that tag a paragraph: after .TP, in bold.
	sed -n '/^\.T[PQ]/{n;p}' "$1" | sed 's/\\-/-/g; s/\\f[BIRP]//g; s/"//g' |
		grep -oE -- '(^|[ ,])--?[[:alnum:]][[:alnum:]-]*' | tr -d ' ,' | sort -u
}

# The man pages are well-formed, and name the options that --help names.
lint_man()
{
	local main tool page status=0
	make_in gcc all || return
	mandoc -T lint -W warning contrib/*.8 || status=1
	for main in */main.c; do
		tool=${main%/main.c}
		page=$tool/$tool.8
		mandoc -T lint -W warning "$page" || status=1
		diff -U 0 --label "$tool --help" --label "$page" \
			<(options_of_help "$OUT/gcc/bin/$tool") <(options_of_man "$page") || status=1
	done
	return "$status"
}

# run PART: its line, after whatever it complains about
run()
{
	local program=$1 why="see above" result
	case $1 in
	format | tidy) program=clang-$1 ;;
	spelling) program=codespell ;;
	man) program=mandoc ;;
	padding | spdx | names | includes | docs) program=bash ;;
	esac
	if ! command -v "$program" > /dev/null; then
		echo "skip $1: $program is not installed (scripts/install-deps.sh lint)"
	elif "lint_$1" > "$OUT/$1.log" 2>&1; then
		echo "ok $1"
	else
		result=$?
		cat "$OUT/$1.log"
		[ -s "$OUT/$1.log" ] || why="it ended with status $result and said nothing"
		echo "FAIL $1: $why"
		return 1
	fi
}

# tidy takes longest and waits for nothing but the skeletons: the others run beside it.
failed=no tidy=
if [[ " ${parts[*]} " == *" tidy "* ]] && ! make_in gcc skeletons; then
	echo "FAIL tidy: the skeletons cannot be made: see above"
	exit 1
fi
for part in "${parts[@]}"; do
	if [ "$part" = tidy ]; then
		run tidy > "$OUT/tidy.line" &
		tidy=$!
		continue
	fi
	run "$part" || failed=yes
done
if [ -n "$tidy" ]; then
	wait "$tidy" || failed=yes
	cat "$OUT/tidy.line"
fi
[ $failed = no ]
