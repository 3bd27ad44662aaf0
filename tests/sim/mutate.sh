#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The library with one flush removed, at each site in turn: the oracle must see it, and say why.
#
#	make mutants                 all sites, as TAP
#	make mutants MUTANTS=few     every seventh: what fits into make test
#	make mutants MUTANTS=list    the sites
#	make mutants MUTANTS=12      that one, with the verdict in full
#
# make says which calls the linker leads elsewhere: KELP_WRAP, KELP_WRAP_REACH (sim/build.mk).
#
# The library is built once, with every site behind a switch (mutate.awk says what a site is); the
# switch is the environment variable KELP_MUTANT. Without it the same programs must pass. A site
# is tried on the programs that reach it, the quick and pointed ones first.
#
# A mutant counts as caught when the oracle objects with a verdict that fits what was muted. A
# crash, a time limit or a failed comparison is not enough.
set -u
build=${1:?usage: make mutants [MUTANTS=few, list, or a number]}
: "${KELP_WRAP:?run it with make mutants}"
what=${2:-all}
work=$build/mutants
CLANG=${CLANG:-clang}
variant=$build/clang
stride=7

mkdir -p "$work"

cat > "$work/mutant.h" <<'END'
#ifndef MUTANT_H
#define MUTANT_H
#include <stdbool.h>
#define MUTANTS 1024
extern unsigned kelp_mutant;
extern unsigned char kelp_mutant_reached[MUTANTS];
static inline bool mutant(unsigned n)
{
	kelp_mutant_reached[n] = 1;
	return kelp_mutant == n;
}
#define MUTANT_CALL(n) mutant(n) ? (void)0 :
#define MUTANT_FLAG(n, flag) (mutant(n) ? 0 : (flag))
#define MUTANT_COMMIT(n, flush) (mutant(n) ? mutant_forget(flush) : (void)0, kelp_flush_commit(flush))
#define MUTANT_CLEAR(n, slot) (mutant(n) ? kelp_slot_drop(slot) : kelp_slot_clear(slot))
struct kelp_flush;
void mutant_forget(struct kelp_flush *flush);
#endif
END
cat > "$work/mutant.c" <<'END'
#include <kelp/flush.h>
#include <stdio.h>
#include <stdlib.h>
#include "mutant.h"
#include "src/flush.h"
unsigned kelp_mutant;
unsigned char kelp_mutant_reached[MUTANTS];
void mutant_forget(struct kelp_flush *flush)
{
	flush->request.count = 0;
	flush->request.flags = 0;
	flush->run_next = KELP_FLUSH_NO_RUN;
}
static void reached(void)
{
	FILE *file = fopen(getenv("KELP_MUTANT_REACHED"), "w");
	for (unsigned i = 0; file && i < MUTANTS; i++)
		if (kelp_mutant_reached[i])
			fprintf(file, "%u\n", i);
	if (file)
		fclose(file);
}
static __attribute__((constructor)) void begin(void)
{
	const char *number = getenv("KELP_MUTANT");
	kelp_mutant = number ? (unsigned)strtoul(number, NULL, 10) : 0;
	if (getenv("KELP_MUTANT_REACHED"))
		atexit(reached);
}
END

# ---- the sites, and the library with them ---------------------------------------------------

make_tree() {
	rm -rf "$work/tree" "$work/sites"
	mkdir -p "$work/tree"
	cp -r arch "$work/tree/" && mkdir -p "$work/tree/src" || return 1
	: > "$work/sites"
	for file in src/*.h src/*.c; do
		awk -v file="$file" -v first=$(($(wc -l < "$work/sites") + 1)) \
			-v sites="$work/sites" -f tests/sim/mutate.awk "$file" \
			> "$work/tree/$file" || return 1
	done
}

build_library() {
	rm -f "$work"/*.o
	(cd "$work/tree" && ls src/*.c arch/*/*space.c) | xargs -P 2 -I{} sh -c \
		"$CLANG"' -std=gnu11 -O1 -w -DKELP_DEBUG=1 -D_GNU_SOURCE \
		-include "'"$work"'/mutant.h" -Isim -Iinclude -I"'"$work"'/tree" -I. \
		-c "'"$work"'/tree/{}" -o "'"$work"'/$(echo {} | tr / _).o"' || return 1
	"$CLANG" -std=gnu11 -O1 -w -I"$work" -Isim -Iinclude -I. -c "$work/mutant.c" \
		-o "$work/mutant.o" || return 1
	for program in $programs; do
		wrap=
		case $program in
		library) object=tests/sim/library ;;
		reach-*)
			object=tests/conformance/reach_${program#reach-}
			wrap="$KELP_WRAP $KELP_WRAP_REACH"
			;;
		*) object=tests/conformance/space_$program wrap=$KELP_WRAP ;;
		esac
		# What is mutated comes before the archive that has it unharmed.
		# shellcheck disable=SC2086
		"$CLANG" "$variant/sim/$object.o" "$work"/*.o $wrap "$variant/libkelp-sim.a" \
			-lcmocka -o "$work/run-$program" || return 1
	done
}

# ---- running --------------------------------------------------------------------------------

# What may be run, the pointed first: PROGRAM ARGUMENTS
plan() {
	echo flush
	echo share
	echo reach-copywin
	echo reach-fixmap
	echo reach-kmap
	[ "$what" = few ] && return
	echo reach-directmap
	for format in $formats; do
		echo "library $format 1 250"
	done
}

run() { # PROGRAM ARGUMENTS: into run.log
	run_program=$1
	shift
	timeout 60 "$work/run-$run_program" "$@" > "$work/run.log" 2>&1
}

# Which sites each line of the plan reaches, and that all is well without a mutant.
survey() {
	rm -f "$work"/reach.*
	line=0
	while read -r arguments; do
		line=$((line + 1))
		# shellcheck disable=SC2086
		if ! KELP_MUTANT_REACHED=$work/reach.$line run $arguments; then
			echo "Bail out! without a mutant this fails: $arguments"
			tail -n 20 "$work/run.log" | sed 's/^/# /'
			return 1
		fi
	done < "$work/plan"
}

# Verdicts that fit what was muted.
fitting() { # KIND TEXT
	case $2 in
	KELP_FLUSH_GLOBAL:* | note_global*) echo 'GLOBAL_NOT_FLUSHED|WRONG_ASID' ;;
	KELP_FLUSH_TABLES:* | KELP_FLUSH_ALL:*) echo 'LAST_LEVEL_ONLY|STALE_WALK_CACHE|TABLE_FREED|MISSING_FENCE|WRONG_ADDRESS' ;;
	*KELP_FLUSH_TABLES*) echo 'LAST_LEVEL_ONLY|STALE_WALK_CACHE|TABLE_FREED|MISSING_FENCE|MISSING_.*_FLUSH' ;;
	*) echo '.*' ;;
	esac
}

# Sites that no machine can miss, and why they are there.
exempt() { # FILE TEXT
	case "$1 $2" in
	"src/space.c KELP_FLUSH_TABLES:"*)
		echo "says to ports that tables go with the space; ALL reaches them anyway" ;;
	"src/directmap.c kelp_flush_now(flush);"*)
		echo "orders what a test of reach_directmap sees, and no rule of a cache" ;;
	"src/trans.c "*)
		echo "nobody runs on tables that are being made" ;;
	esac
}

try() { # NUMBER KIND TEXT: prints what caught it
	line=0
	missed=
	fits=$(fitting "$2" "$3")
	while read -r arguments; do
		line=$((line + 1))
		grep -qx "$1" "$work/reach.$line" 2>/dev/null || continue
		# shellcheck disable=SC2086
		KELP_MUTANT=$1 run $arguments && continue
		verdicts=$(sed -n 's/^sim: SIM_\([A-Z_]*\).*/\1/p' "$work/run.log" | sort |
			uniq -c | sort -rn | awk '{ print $2 }')
		for verdict in $verdicts; do
			if echo "$verdict" | grep -qxE "$fits"; then
				echo "$verdict by $arguments"
				return 0
			fi
		done
		missed="$(echo "${verdicts:-no verdict}" | head -n 1) by $arguments"
	done < "$work/plan"
	echo "${missed:-not noticed}"
	return 1
}

programs="flush share reach-copywin reach-fixmap reach-kmap reach-directmap library"
formats="fake x86_64-4level riscv64-sv48-bare arm64-4k-48-low fake-caches-invalid fake-bbm0
	x86_pae fake-bbm0-soft arm64-16k-47-low riscv64-sv39-svnapot-svadu fake-registers
	x86_two_level arm64-4k-48-high-bbm0"

# With a space around each name.
KELP_TEST_FORMATS=" $(echo $formats) "
export KELP_TEST_FORMATS

make_tree || exit 2
if [ "$what" = list ]; then
	cat "$work/sites"
	exit 0
fi
build_library || exit 2
plan > "$work/plan"
survey || exit 1
tried=0
failed=0
while read -r number kind file line text; do
	case $what in
	all) ;;
	few)
		[ $((number % stride)) = 0 ] || continue
		grep -qx "$number" "$work"/reach.* || continue
		;;
	*) [ "$number" = "$what" ] || continue ;;
	esac
	tried=$((tried + 1))
	reason=$(exempt "$file" "$text")
	if [ -n "$reason" ]; then
		echo "ok $tried - $number $file:$line without '$text' # SKIP $reason"
	elif by=$(try "$number" "$kind" "$text"); then
		echo "ok $tried - $number $file:$line without '$text': $by"
	else
		echo "not ok $tried - $number $file:$line without '$text': $by"
		failed=$((failed + 1))
	fi
	[ "$number" = "$what" ] && cat "$work/run.log"
done < "$work/sites"
echo "1..$tried"
[ "$failed" = 0 ]
