#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The protocols as Promela models: each is searched to its end, and each broken variant must fail,
# for the reason it is broken for.
. "$(dirname "$0")/../house/tap.sh"

CC=${CC:-clang}

# search MODEL DEFINES...: prints what pan says.
search() {
	model=$1
	shift
	directory=$scratch/$model
	mkdir -p "$directory"
	rm -f "$directory"/pan*
	(
		source=$PWD/tests/spin/$model.pml
		cd "$directory" &&
			spin "$@" -a "$source" &&
			$CC $optimise -w -DSAFETY -DMEMLIM=2048 -DVECTORSZ=2048 -o pan pan.c &&
			./pan -m100000 -w22
	)
}

good() {
	optimise=-O1
	search "$@" >"$scratch/said" 2>&1
	cat "$scratch/said"
	grep -q 'errors: 0' "$scratch/said" &&
		! grep -q 'Search not completed\|max search depth too small' "$scratch/said"
}

# fails WHAT MODEL DEFINES...: `assertion violated` or `invalid end state`.
fails() {
	what=$1
	shift
	optimise=-O0 # it is compiled longer than it runs
	search "$@" >"$scratch/said" 2>&1
	cat "$scratch/said"
	grep -q "$what" "$scratch/said"
}

ASSERTION='assertion violated'
STUCK='invalid end state'

check "hold: one reader three times, three cycles" good hold -DREADERS=1 -DHOLDS=3 -DCYCLES=3
check "hold: two readers, two cycles" good hold
check "hold: two readers twice" good hold -DCYCLES=1 -DHOLDS=2
check "hold: readers that move" good hold -DHOLDS=1 -DMIGRATE
check "hold: barrier instead of fences" good hold -DCYCLES=1 -DBARRIER
check "hold: sequentially consistent, two readers twice, two cycles" good hold -DSC -DHOLDS=2
check "bad hold: no wait" fails "$ASSERTION" hold -DCYCLES=1 -DNO_WAIT
check "bad hold: flag read, counted after" fails "$ASSERTION" hold -DREADERS=1 -DLOOK_FIRST
check "bad hold: held added up first" fails "$ASSERTION" hold -DHELD_FIRST
check "bad hold: one phase alone" fails "$ASSERTION" hold -DREADERS=1 -DONE_PHASE
check "bad hold: no fence in the reader" fails "$ASSERTION" hold -DREADERS=1 -DNO_FENCE
check "hold: the same without store buffers" good hold -DREADERS=1 -DNO_FENCE -DSC
check "bad hold: no fence in the remover" fails "$ASSERTION" hold -DREADERS=1 -DREMOVER_NO_FENCE
check "kmap: three users, two slots" good kmap -DROUNDS=1
check "kmap: three users, one slot, twice" good kmap -DSLOTS=1
check "bad kmap: a wrap without a flush" fails "$ASSERTION" kmap -DROUNDS=1 -DSLOTS=1 -DNO_FLUSH
check "bad kmap: a count that reaches zero" fails "$ASSERTION" kmap -DROUNDS=1 -DSLOTS=1 -DCOUNT_TO_ZERO
check "bad kmap: flushed, then taken out" fails "$ASSERTION" kmap -DROUNDS=1 -DSLOTS=1 -DFLUSH_FIRST
check "bad kmap: sleeps without the lock" fails "$STUCK" kmap -DROUNDS=1 -DSLOTS=1 -DSLEEP_UNLOCKED
check "flush: one editor, three CPUs" good flush
check "flush: two editors" good flush -DCPUS=2 -DEDITORS=2
check "bad flush: tables given back first" fails "$ASSERTION" flush -DGIVE_FIRST
check "bad flush: nobody waits" fails "$ASSERTION" flush -DNO_WAIT
check "bad flush: walk caches not dropped" fails "$ASSERTION" flush -DLAST_LEVEL
check "bad flush: local only" fails "$ASSERTION" flush -DLOCAL_ONLY
check "bad flush: shot down, then unlinked" fails "$ASSERTION" flush -DFLUSH_FIRST
check "bad flush: answered, then invalidated" fails "$ASSERTION" flush -DACK_FIRST
check "bad flush: waits with interrupts off" fails "$STUCK" flush -DCPUS=2 -DNO_IRQ
# make soak: what takes longer or more memory.
if [ "${KELP_TEST_SCALE:-1}" != 1 ]; then
	check "hold: two readers twice, two cycles" good hold -DHOLDS=2
	check "hold: two readers twice, by a barrier" good hold -DHOLDS=2 -DCYCLES=1 -DBARRIER
	check "hold: two readers twice that move" good hold -DHOLDS=2 -DCYCLES=1 -DMIGRATE
	check "flush: two editors, three CPUs" good flush -DSTEPS=3 -DEDITORS=2
fi
finish
