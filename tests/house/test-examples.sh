#!/bin/sh
# SPDX-License-Identifier: MIT
# The examples build as an embedder would build them, run, and print what they should.
. "$(dirname "$0")/tap.sh"
unset MAKEFLAGS MFLAGS MAKELEVEL

minimal() {
	make -s -C examples/minimal BUILD="$scratch/minimal-$1" CC="$1" \
		CFLAGS="-O2 -g -Wall -Wextra -Werror" &&
		"$scratch/minimal-$1/minimal" >"$scratch/minimal.out" &&
		diff examples/minimal/expected.txt "$scratch/minimal.out"
}

check "examples/minimal with clang" minimal clang
check "examples/minimal with gcc" minimal gcc
finish
