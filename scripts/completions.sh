#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Print what a shell completes the options of a tool with: scripts/completions.sh bash|zsh|fish
# NAME, with what "NAME --help" prints on standard input. The option table of the tool is behind
# both.
#
# An argument that --help calls IFACE is an interface, FILE a file, and a|b|c one of those words.
set -eu
shell=$1 name=$2

# Of --help, lines "SHORT LONG ARGUMENT TEXT", tabs between them; "-" where there is none.
read_help()
{
	awk -v OFS='\t' '
		function flush() { if (long) print short, long, arg, text; long = "" }
		/^  (-[A-Za-z0-9],|   ) --/ {
			flush()
			line = $0
			text = "-"
			# From column 9 on: "--long ARGUMENT", then the text two blanks or more
			# behind it, or in the next line.
			if (match(substr(line, 9), /  +/)) {
				text = substr(line, 8 + RSTART + RLENGTH)
				line = substr(line, 1, 7 + RSTART)
			}
			n = split(line, word, " ")
			short = line ~ /^  -/ ? substr(word[1], 2, 1) : "-"
			long = word[short == "-" ? 1 : 2]
			arg = n > (short == "-" ? 1 : 2) ? word[n] : "-"
			sub(/^--/, "", long)
			next
		}
		long && /^          / { sub(/^ +/, ""); text = text == "-" ? $0 : text " " $0; next }
		{ flush() }
		END { flush() }'
}

# shellcheck disable=SC2016 # the text of a script
bash_completion()
{
	printf '# bash completion of %s; made from its --help\n_%s()\n{\n' "$name" "$function"
	printf '\tlocal cur=$2 prev=$3\n\tCOMPREPLY=()\n\tcase $prev in\n'
	echo "$options" | awk -F '\t' '
		BEGIN { interfaces = "compgen -A file -- \"/sys/class/net/$cur\" | sed s,.*/,," }
		function words(list) { gsub(/\|/, " ", list); return list }
		{
			names = ($1 == "-" ? "" : "-" $1 " | ") "--" $2
			if ($3 == "IFACE") action = interfaces
			else if ($3 == "FILE") action = "compgen -A file -- \"$cur\""
			else if ($3 ~ /^[a-z0-9]+(\|[a-z0-9]+)+$/)
				action = "compgen -W \"" words($3) "\" -- \"$cur\""
			else if ($3 != "-") action = ""
			else next
			if (action) action = "mapfile -t COMPREPLY < <(" action "); "
			printf "\t%s) %sreturn ;;\n", names, action
		}'
	printf '\tesac\n\tcase $cur in\n\t-*) mapfile -t COMPREPLY < <(compgen -W "'
	echo "$options" | awk -F '\t' '{ printf "%s--%s", (NR > 1 ? " " : ""), $2 }'
	printf '" -- "$cur") ;;\n'
	printf '\t*) mapfile -t COMPREPLY < <(compgen -A file -- "/sys/class/net/$cur" | sed s,.*/,,) ;;\n'
	printf '\tesac\n}\ncomplete -F _%s %s\n' "$function" "$name"
}

zsh_completion()
{
	printf '#compdef %s\n# zsh completion of %s; made from its --help\n_arguments -s \\\n' "$name" "$name"
	echo "$options" | awk -F '\t' '
		{
			gsub(/[\[\]:\\]/, "\\\\&", $4)
			gsub(/'\''/, "'\'\\\\\'\''", $4)
			if ($3 == "-") action = ""
			else if ($3 == "IFACE") action = ":interface:_net_interfaces"
			else if ($3 == "FILE") action = ":file:_files"
			else if ($3 ~ /^[a-z0-9]+(\|[a-z0-9]+)+$/) {
				action = $3
				gsub(/\|/, " ", action)
				action = ":value:(" action ")"
			} else {
				gsub(/:/, "\\:", $3)
				action = ":" $3 ": "
			}
			text = "[" $4 "]" action
			if ($1 == "-") printf "\t'\''*--%s%s'\'' \\\n", $2, text
			else printf "\t{'\''*-%s'\'','\''*--%s'\''}'\''%s'\'' \\\n", $1, $2, text
		}'
	printf "\t'*:interface:_net_interfaces'\n"
}

fish_completion()
{
	printf '# fish completion of %s; made from its --help\n' "$name"
	printf 'complete -c %s -f -a "(command ls /sys/class/net)"\n' "$name"
	echo "$options" | awk -F '\t' -v name="$name" '
		{
			gsub(/['\''\\]/, "\\\\&", $4)
			more = ""
			if ($3 == "IFACE") more = " -x -a \"(command ls /sys/class/net)\""
			else if ($3 == "FILE") more = " -r -F"
			else if ($3 ~ /^[a-z0-9]+(\|[a-z0-9]+)+$/) {
				gsub(/\|/, " ", $3)
				more = " -x -a \"" $3 "\""
			} else if ($3 != "-") more = " -x"
			printf "complete -c %s%s -l %s%s -d '\''%s'\''\n", name,
				$1 == "-" ? "" : " -s " $1, $2, more, $4
		}'
}

options=$(read_help)
function=$(echo "$name" | tr -c '[:alnum:]\n' _)
case $shell in
bash | zsh | fish) "${shell}_completion" ;;
*)
	echo "scripts/completions.sh: bash, zsh or fish, not '$shell'" >&2
	exit 2
	;;
esac
