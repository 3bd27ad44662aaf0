#!/bin/sh
# SPDX-License-Identifier: MIT
# The house rules that a program can check. CONTRIBUTING.md says why they are there.
. "$(dirname "$0")/tap.sh"

# All sources of ours; build trees that examples leave behind are not.
sources() {
	find include src arch port sim kernel tools tests bench examples mk "$@" -type f \
		\( -name '*.c' -o -name '*.h' -o -name '*.S' \) ! -path '*/build/*' 2>/dev/null | sort
}

# Words that only an architecture has. Code of src/ and include/ has none; comments may cite.
ARCHITECTURE='x86|amd64|i[3-6]86|arm(v[0-9]|32|64)?|aarch64|riscv(32|64)?|pae|sv(39|48|57)|ttbr[01]?|cr[0-4]|satp|cpuid|invlpg|tlbi|sfence|intel'

architecture_names() {
	for file in $(find include src -name '*.[ch]' | sort); do
		gcc -fpreprocessed -dD -E -P "$file" 2>/dev/null |
			sed 's/^#define KELP_FORMAT_OF_.*//' |
			grep -niE "(^|[^a-z0-9])($ARCHITECTURE)([^a-z0-9]|\$)" | sed "s|^|$file: |"
	done
	return 0
}

includes_of_hw() {
	grep -rlE '^#include [<"]([a-z/_0-9]*/)?hw\.h[>"]' include src arch | sort |
		grep -vxE 'src/(entry\.h|flush\.c|shared\.h)'
	return 0
}

# An entry is dereferenced by the functions of entry.h, which alone use the primitives of hw.h on
# tables; on a member of a space anybody may; on what is no table the functions of shared.h.
direct_stores() {
	grep -nE 'kelp_hw_(load|store|swap|fill)(32|64)' -r src arch --include='*.[ch]' |
		grep -vE '^(src/(entry|shared)\.h|arch/[a-z0-9_]*/hw\.h):|\(&space->'
	return 0
}

long_files() {
	# shellcheck disable=SC2046
	wc -l $(sources) | awk '$2 != "total" && $1 > 1200 { print $2 ": " $1 " lines, at most 1200" }'
}

long_functions() {
	# shellcheck disable=SC2046
	ctags -x --_xformat='%{name} %{input} %{line} %{end}' --c-kinds=f --fields=+e $(sources) |
		awk 'NF == 4 && $4 - $3 + 1 > 100 {
			print $2 ":" $3 ": " $1 " has " $4 - $3 + 1 " lines, at most 100" }'
}

# What an embedder reads and compiles.
library() {
	find include src arch port examples mk -type f -name '*.[ch]' ! -path '*/build/*' | sort
}

# 100 columns with tabs of 8.
long_lines() {
	for file in $(library); do
		expand "$file" | awk -v file="$file" 'length($0) > 100 {
			print file ":" FNR ": " length($0) " columns, at most 100" }'
	done
}

without_license() {
	for file in $(sources) $(find mk tests/house .ci sources.mk Makefile -type f); do
		head -n 2 "$file" | grep -q 'SPDX-License-Identifier: MIT' || echo "$file"
	done
}

trailing_space() {
	# shellcheck disable=SC2046
	grep -nE '[[:blank:]]+$' $(sources) Makefile sources.mk mk/* README.md docs/*.md *.md
	return 0
}

space_indent() {
	# shellcheck disable=SC2046
	grep -nE '^ {8}' $(library)
	return 0
}

# Every public header compiles alone, in C and in C++.
header_alone() {
	for header in include/kelp/*.h; do
		name=${header#include/}
		echo "#include <$name>" >"$scratch/alone.c"
		clang -std=c11 -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -pedantic \
			-Werror -ffreestanding -nostdlibinc -Iinclude -fsyntax-only \
			"$scratch/alone.c" || return 1
		cp "$scratch/alone.c" "$scratch/alone.cc"
		clang -std=c++11 -Wall -Wextra -pedantic -Werror -ffreestanding -nostdlibinc \
			-Iinclude -fsyntax-only "$scratch/alone.cc" || return 1
	done
}

# The headers of the formats that an embedder includes.
format_header_alone() {
	for header in $(sed -n 's/^HEADERS += \(arch.*format\.h\|arch.*_[0-9]*k\.h\|arch.*pae\.h\|arch.*two_level\.h\)$/\1/p' sources.mk); do
		echo "#include <$header>" >"$scratch/alone.c"
		clang -std=gnu11 -Wall -Wextra -Werror -ffreestanding -nostdlibinc -Iinclude -I. \
			-fsyntax-only "$scratch/alone.c" || return 1
	done
}

# kelp.h includes every public header.
kelp_h_is_complete() {
	for header in include/kelp/*.h; do
		name=${header#include/}
		[ "$name" = kelp/kelp.h ] || grep -qx "#include <$name>" include/kelp/kelp.h || {
			echo "kelp.h does not include $name"
			return 1
		}
	done
}

# sources.mk names what is there, and everything that is there.
list_is_complete() {
	sed -n 's/^SOURCES_[a-z0-9_]* += //p' sources.mk | sort -u >"$scratch/listed"
	find src arch port/hosted -name '*.c' | sort >"$scratch/there"
	diff "$scratch/listed" "$scratch/there"
}

list_is_simple() {
	grep -vE '^(#.*|[A-Za-z0-9_]+ \+= [A-Za-z0-9_./-]+|)$' sources.mk
	return 0
}

check "no architecture is named in the code of src and include" nothing architecture_names
check "hw.h is included by src/entry.h, src/shared.h and src/flush.c alone" nothing includes_of_hw
check "entries are loaded and stored by src/entry.h alone" nothing direct_stores
check "no file is longer than 1200 lines" nothing long_files
check "no function is longer than 100 lines" nothing long_functions
check "no line of the library is longer than 100 columns" nothing long_lines
check "every file states its license" nothing without_license
check "no line ends in blanks" nothing trailing_space
check "the library is indented with tabs" nothing space_indent
check "every public header compiles alone, in C and C++" header_alone
check "every format's header compiles alone" format_header_alone
check "kelp.h includes every public header" kelp_h_is_complete
check "sources.mk lists exactly the library's sources" list_is_complete
check "sources.mk is one assignment per line" nothing list_is_simple
finish
