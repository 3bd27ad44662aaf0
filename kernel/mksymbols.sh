#!/bin/sh
# SPDX-License-Identifier: MIT
#
# mksymbols.sh: the functions of a linked kernel as an assembler file, for backtraces.
#
#	mksymbols.sh <kernel.elf> > symbols.S     from the first link
#	mksymbols.sh > symbols.S                  an empty table, for the first link
#
# BASE is the lowest address that counts, in as many hexadecimal digits as nm prints.
#
# Sorted by address. The names follow each other; the same name twice is kept twice.
set -eu

{ [ $# -eq 0 ] || "${NM:-llvm-nm}" -n "$1"; } | awk -v base="${BASE:-0}" '
	BEGIN { count = 0 }
	# Local labels of the assembler are no functions.
	($2 == "t" || $2 == "T") && $1 >= base && $3 !~ /^(\.|text_)/ {
		address[count] = $1
		name[count++] = $3
	}
	END {
		print "\t.section .symbols, \"a\""
		print "\t.balign 8"
		print "\t.globl symbol_table_count, symbol_table, symbol_names"
		print "symbol_table_count:\n\t.long " count + 0 ", 0"
		print "symbol_table:"
		for (i = 0; i < count; i++) {
			print "\t.quad 0x" address[i]
			print "\t.long " offset + 0 ", 0"
			offset += length(name[i]) + 1
		}
		print "symbol_names:"
		for (i = 0; i < count; i++)
			print "\t.asciz \"" name[i] "\""
		print "\t.section .note.GNU-stack, \"\", %progbits"
	}'
