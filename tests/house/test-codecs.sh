#!/bin/sh
# SPDX-License-Identifier: MIT
# The shipped codec and cipher for machines without an operating system: complete, and needing
# nothing from outside but what every kernel has for its compiler.
. "$(dirname "$0")/tap.sh"

# What the archive needs and does not have itself.
missing_symbols() {
	archive=$BUILD/target/$1/libkelp-codecs.a
	[ -f "$archive" ] || { echo "$archive is not built"; return; }
	llvm-nm --defined-only --format=just-symbols "$archive" | sort -u >"$scratch/defined"
	llvm-nm --undefined-only --format=just-symbols "$archive" | sort -u |
		comm -23 - "$scratch/defined" | grep -vxE 'memcpy|memset|memmove|memcmp|.*:' | grep .
	return 0
}

# Kernels do not save them for themselves.
vector_registers() {
	llvm-objdump --disassemble --no-show-raw-insn "$BUILD/target/$1/libkelp-codecs.a" |
		grep -E "$2" | head -n 3
	return 0
}

for machine in x86_64 i686 aarch64 riscv64; do
	check "$machine: LZ4 and BearSSL need nothing but mem*()" nothing missing_symbols "$machine"
done
check "x86_64: no vector registers" nothing vector_registers x86_64 '%[xyz]mm[0-9]'
check "i686: no vector registers" nothing vector_registers i686 '%[xyz]mm[0-9]'
check "aarch64: no vector registers" nothing vector_registers aarch64 '[^a-z0-9][vq][0-9]+[.,]'
finish
