#!/bin/sh
# SPDX-License-Identifier: MIT
# What the documentation says is there: links lead somewhere, commands exist, and the code blocks
# of docs/PORTING.md are those of examples/minimal.
. "$(dirname "$0")/tap.sh"
unset MAKEFLAGS MFLAGS MAKELEVEL

pages() { find . -maxdepth 1 -name '*.md'; find docs examples -name '*.md'; }

# The anchor that a heading gets: lower case, blanks to dashes, punctuation away.
anchors() {
	sed -n 's/^##* *//p' "$1" | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9_\n-'
}

bad_links() {
	pages | while read -r page; do
		grep -oE '\]\([^)]+\)' "$page" | sed 's/^](//; s/)$//' | while read -r link; do
			case $link in http://* | https://* | mailto:*) continue ;; esac
			file=${link%%#*}
			if [ -z "$file" ]; then file=$page; else file=$(dirname "$page")/$file; fi
			[ -e "$file" ] || { echo "$page: $link: no such file"; continue; }
			case $link in *#*)
				anchors "$file" | grep -qxF -- "${link#*#}" ||
					echo "$page: $link: no such heading"
				;;
			esac
		done
	done
}

# Runs make as far as knowing what it would do.
make_knows() {
	# shellcheck disable=SC2086 # the words of a command line
	make -n BOOTSTRAP=no "$@" >/dev/null 2>"$scratch/make-error" || {
		echo "make $*: $(head -n 1 "$scratch/make-error")"
		return 1
	}
}

# Every line of a sh block is a command that is known to exist: a make target, a program that make
# builds, a script of the tree. Anything else is refused here, so that it gets a check of its own.
bad_commands() {
	pages | while read -r page; do
		awk '/^```sh$/ { on = 1; next } /^```/ { on = 0 } on' "$page" |
			sed 's/ *#.*//' | while read -r line; do
			# shellcheck disable=SC2086 # the words of a command line
			case $line in
			'') ;;
			"make "* | make) make_knows ${line#make} ;;
			"git clone "* | "cd "*) ;;
			"mk/bootstrap.sh --list") mk/bootstrap.sh --list >/dev/null ;;
			build/*) make_knows "${line%% *}" ;;
			*) echo "$page: '$line': a command that tests/house/test-docs.sh does not know" ;;
			esac || echo "$page: '$line'"
		done
	done
}

# The same for commands in running text: `make something`.
bad_inline_commands() {
	pages | while read -r page; do
		grep -oE '`make [a-z][a-z0-9 -]*`' "$page" | tr -d '`' | sort -u | while read -r line; do
			# shellcheck disable=SC2086
			make_knows ${line#make} || echo "$page: '$line'"
		done
	done
}

# The targets of `make help` are those that exist, and what people are told to use is among them.
help_is_complete() {
	make help >"$scratch/help" || return 1
	for target in $(awk '/^Targets/ { on = 1; next } /^$/ { on = 0 } on { print $1 }' "$scratch/help"); do
		make_knows "$target" || return 1
	done
	for target in all lib test bench soak check-symbols clean help install; do
		grep -qE "^  $target +[A-Z]" "$scratch/help" || {
			echo "make help does not name $target"
			return 1
		}
	done
}

# Pieces of the example between `PORTING n` and `PORTING end`, and blocks of the page under the
# heading `## n.`: both as files <n>-<k>, which must be the same set with the same contents.
pieces_of_example() {
	mkdir -p "$scratch/example" && cat examples/minimal/main.c examples/minimal/port.c \
		examples/minimal/Makefile | awk -v out="$scratch/example" '
		/^(\/\*|#) PORTING end/ { on = 0; close(file); next }
		/^(\/\*|#) PORTING [0-9]+/ { n = $3; k[n]++; file = out "/" n "-" k[n]; on = 1; next }
		on { print > file }'
}

blocks_of_page() {
	mkdir -p "$scratch/page" && awk -v out="$scratch/page" '
		/^## [0-9]+\. / { n = $2 + 0 }
		/^```(c|make)$/ { k[n]++; file = out "/" n "-" k[n]; on = 1; next }
		/^```/ { if (on) close(file); on = 0; next }
		on { print > file }' docs/PORTING.md
}

porting_is_the_example() {
	pieces_of_example && blocks_of_page &&
		[ "$(find "$scratch/page" -type f | wc -l)" -ge 9 ] &&
		diff -r "$scratch/example" "$scratch/page"
}

porting_is_numbered() {
	sed -n 's/^## \([0-9]*\)\. .*/\1/p' docs/PORTING.md >"$scratch/steps"
	seq 1 11 | diff - "$scratch/steps"
}

# Every status that functions return is explained to people.
statuses_are_explained() {
	for status in $(grep -oE '^	KELP_ERR_[A-Z_]+' include/kelp/status.h); do
		grep -q "$status" docs/DEBUG.md || {
			echo "docs/DEBUG.md does not explain $status"
			return 1
		}
	done
}

unfinished() {
	# shellcheck disable=SC2046
	grep -nE '\b(TODO|TBD|FIXME|XXX)\b' $(pages)
	return 0
}

ci_is_the_readme() {
	grep -qx 'make test' .ci/run && grep -qx 'make test.*' README.md && [ -x .ci/run ]
}

check "every link leads to a file and a heading" nothing bad_links
check "every command in a sh block exists" nothing bad_commands
check "every make target named in the text exists" nothing bad_inline_commands
check "make help names what there is" help_is_complete
check "docs/PORTING.md shows the code of examples/minimal" porting_is_the_example
check "docs/PORTING.md has its eleven steps" porting_is_numbered
check "docs/DEBUG.md explains every status" statuses_are_explained
check "no page is unfinished" nothing unfinished
check "continuous integration runs what the README tells" ci_is_the_readme
finish
