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
ONE_CALL='map unmap protect populate split coalesce release prepare commit query translate walk'

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
check_direct() {
	dispatchers=$($NM --defined-only --format=just-symbols "$1/obj/src/space.o" |
		grep -xE "kelp_space_($(echo "$ONE_CALL" | tr ' ' '|'))" || true)
	missing=$(for name in $ONE_CALL; do
		$NM --defined-only --format=just-symbols "$1/kelp.o" |
			grep -qx "kelp_space_$name" || echo "kelp_space_$name"
	done)
	if [ -z "$dispatchers$missing" ]; then
		result ok "$2: the format's functions are the public ones, no call between"
	else
		result "not ok" "$2: the format's functions are the public ones, no call between" \
			"dispatched: $(echo "$dispatchers" | tr '\n' ' '); missing: $(echo "$missing" | tr '\n' ' ')"
	fi
}

check_indirect() {
	expected=$(for name in $ONE_CALL; do echo "kelp_space_$name"; done | sort)
	found=$(indirect_calls "$1/obj/src/space.o")
	if [ "$found" = "$expected" ]; then
		result ok "$2: one indirect call in each range operation (the check sees them)"
	else
		result "not ok" "$2: one indirect call in each range operation (the check sees them)" \
			"found only in: $found"
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
