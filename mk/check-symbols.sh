#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check-symbols.sh BUILD/target/NAME...   prints TAP
#
# Of every freestanding library: it needs nothing from outside but mem*(). Of one built for a
# single format (NAME contains -only-): no call, direct or not, lies between the public functions
# and the format's; of one with all formats: one indirect call does.
set -eu

NM=${NM:-llvm-nm}
OBJDUMP=${OBJDUMP:-llvm-objdump}

ALLOWED='memcpy|memset|memmove|memcmp'
ONE_CALL='map unmap protect populate split coalesce release share prepare commit query translate walk'

number=0
failed=0

# result STATUS NAME DETAILS: one line of TAP, and what was found as comments.
result() {
	number=$((number + 1))
	if [ "$1" = ok ]; then
		echo "ok $number - $2"
	else
		echo "not ok $number - $2"
		echo "$3" | sed 's/^/# /'
		failed=$((failed + 1))
	fi
}

check_undefined() {
	undefined=$($NM --undefined-only --format=just-symbols "$1/kelp.o" |
		grep -vxE "$ALLOWED" || true)
	if [ -z "$undefined" ]; then
		result ok "$2: needs nothing but mem*()"
	else
		result "not ok" "$2: needs nothing but mem*()" \
			"needed from outside: $(echo "$undefined" | tr '\n' ' ')"
	fi
}

# The public range operations of an object that contain an indirect call or jump, one per line.
# RISC-V calls a symbol with auipc and jalr: a jalr after an auipc of the same register is direct.
indirect_calls() {
	symbols=$(for name in $ONE_CALL; do printf 'kelp_space_%s,' "$name"; done)
	$OBJDUMP --disassemble-symbols="${symbols%,}" --no-show-raw-insn "$1" | awk '
		/^[0-9a-f]+ <.*>:$/ { name = $2; gsub(/[<>:]/, "", name); seen++; next }
		$2 ~ /^(call|jmp)[lq]?$/ && $3 ~ /^\*/ { found[name] = 1 }
		$2 ~ /^(blr|br)$/ { found[name] = 1 }
		$2 ~ /^(jalr|jr|c\.jalr|c\.jr)$/ && before != "auipc" { found[name] = 1 }
		{ if ($2 != "") before = $2 }
		END {
			for (name in found) print name
			if (seen != '"$(echo "$ONE_CALL" | wc -w)"') print "only " seen " functions were found"
		}' | sort
}

# With one format its instantiation defines the public functions itself; nothing in the library
# refers to the table that an indirect call would go through, but the format that is given it.
# How many functions a format's table of operations (the symbol <format>_space_ops) points to:
# the relocations between the table's first and last byte.
functions_in_table() {
	$NM --print-size "$1" | grep '_space_ops$' | while read -r start size _ _; do
		first=$((0x$start))
		last=$((0x$start + 0x$size - 1))
		$OBJDUMP --reloc "$1" |
			awk '/^RELOCATION RECORDS FOR \[\.(rodata|data)/ { on = 1; next }
			     /^RELOCATION/ { on = 0 } on && /^[0-9a-f]+ / { print $1 }' |
			while read -r offset; do
				offset=$((0x$offset))
				[ "$offset" -lt "$first" ] || [ "$offset" -gt "$last" ] || echo "$offset"
			done
	done | wc -l
}

# One format: its functions are the public ones, and its table is empty, so that nothing can be
# called through it.
check_direct() {
	object=$(find "$1/obj/arch" -name '*space.o')
	defined=$($NM --defined-only --format=just-symbols "$object" |
		grep -cxE "kelp_space_($(echo "$ONE_CALL" | tr ' ' '|'))") || true
	count=$(functions_in_table "$object")
	if [ "$defined" = "$(echo "$ONE_CALL" | wc -w)" ] && [ "$count" = 0 ]; then
		result ok "$2: range operations are called directly"
	else
		result "not ok" "$2: range operations are called directly" \
			"$defined of them are defined by the format; its table holds $count functions"
	fi
}

# Several formats: each public function has its one indirect call, and the tables are full.
check_indirect() {
	expected=$(for name in $ONE_CALL; do echo "kelp_space_$name"; done | sort)
	found=$(indirect_calls "$1/obj/src/space.o")
	empty=$(find "$1/obj/arch" -name '*space.o' | while read -r object; do
		[ "$(functions_in_table "$object")" -ge "$(echo "$ONE_CALL" | wc -w)" ] || echo "$object"
	done)
	if [ "$found" = "$expected" ] && [ -z "$empty" ]; then
		result ok "$2: one indirect call in each range operation"
	else
		result "not ok" "$2: one indirect call in each range operation" \
			"found in: $found; tables without functions: $empty"
	fi
}

[ $# -gt 0 ] || { echo "usage: $0 BUILD/target/NAME..." >&2; exit 2; }
echo "1..$(($# * 2))"
for target in "$@"; do
	name=${target##*/}
	check_undefined "$target" "$name"
	case $name in
	*-only-*) check_direct "$target" "$name" ;;
	*) check_indirect "$target" "$name" ;;
	esac
done
[ "$failed" = 0 ]
