#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The library with one flush removed, at each site in turn: the oracle must see it. Each mutant is
# the library's sources with one call made a no-op (or one flag made 0), linked with the simulator
# and run on formats of every kind until a run fails.
#
#	tests/sim/mutate.sh BUILD [SITE]     prints TAP; SITE: only that one
#
# A mutant that survives is named with its file and line.
set -u
build=${1:?usage: tests/sim/mutate.sh BUILD [SITE]}
only=${2:-}
work=$build/mutants
formats="x86_64-4level riscv64-sv48 arm64-4k-48-low fake-caches-invalid fake-bbm0 x86_pae
	fake arm64-16k-47-low riscv64-sv39-svnapot-svadu fake-registers x86_two_level"
CLANG=${CLANG:-clang}

# Sites: FILE LINE WORD REPLACEMENT
sites() {
	grep -n 'kelp_flush_add(' src/*.h src/space.c | grep -v 'void kelp_flush_add' |
		sed 's/^\([^:]*\):\([0-9]*\):.*/\1 \2 kelp_flush_add( mutant_flush_add(/'
	grep -nE 'gather[a-z_]*\(' src/space_*.h | grep -vE 'static|^[^:]*:[0-9]*: \*|/\*' |
		grep ';$' | sed 's/^\([^:]*\):\([0-9]*\):.*/\1 \2 - -/'
	grep -Hn 'kelp_hw_invalidate_\(all\|page\)(' src/flush.c |
		sed 's/^\([^:]*\):\([0-9]*\):.*(.*/\1 \2 kelp_hw_invalidate_ mutant_invalidate_/'
	grep -Hn 'port->shootdown(' src/flush.c |
		sed 's/^\([^:]*\):\([0-9]*\):.*/\1 \2 - -/'
	grep -n 'kelp_hw_published();' src/*.h src/*.c |
		sed 's/^\([^:]*\):\([0-9]*\):.*/\1 \2 - -/'
	grep -nE '[ (|,]KELP_FLUSH_TABLES' src/space_*.h |
		sed 's/^\([^:]*\):\([0-9]*\):.*/\1 \2 KELP_FLUSH_TABLES 0/'
}

mkdir -p "$work"
cat > "$work/mutant.h" <<'END'
#include <kelp/space.h>
static inline void mutant_flush_add(struct kelp_flush *f, kelp_vaddr_t a, kelp_vaddr_t b,
				    uint32_t s, uint32_t x)
{
	(void)f, (void)a, (void)b, (void)s, (void)x;
}
static inline void mutant_invalidate_all(const struct kelp_space *s, uint32_t x)
{
	(void)s, (void)x;
}
static inline void mutant_invalidate_page(const struct kelp_space *s, kelp_vaddr_t a, unsigned b,
					  uint32_t x)
{
	(void)s, (void)a, (void)b, (void)x;
}
END

make_mutant() { # FILE LINE WORD REPLACEMENT
	rm -rf "$work/tree" && mkdir -p "$work/tree" && cp -r src arch "$work/tree/" || return 1
	if [ "$3" = - ]; then
		sed -i "$2s/^\([[:space:]]*\).*/\1;/" "$work/tree/$1"
	else
		sed -i "$2s/$3/$4/" "$work/tree/$1"
	fi
	cmp -s "$1" "$work/tree/$1" && return 1
	# What does not contain the mutated file comes from the archive.
	case $1 in
	*.c) sources=$1 ;;
	*) sources=$(cd "$work/tree" && ls arch/*/*space.c) ;;
	esac
	rm -f "$work"/*.o
	for source in $sources; do
		printf '%s\n' "$source"
	done | xargs -P 2 -I{} sh -c 'name=$(echo {} | tr / _); '"$CLANG"' -std=gnu11 -O0 -w \
		-DKELP_DEBUG=1 -D_GNU_SOURCE -include "'"$work"'/mutant.h" -Isim -Iinclude \
		-I"'"$work"'/tree" -I. -c "'"$work"'/tree/{}" -o "'"$work"'/$name.o"' || return 1
	"$CLANG" "$build/clang/sim/tests/sim/library.o" "$work"/*.o "$build/clang/libkelp-sim.a" \
		-lcmocka -o "$work/library" 2> "$work/link.log"
}

# Prints the first format, seed and verdict with which the mutant is caught.
caught_by() {
	for seed in 1 2 3 4; do
		for format in $formats; do
			timeout 60 "$work/library" "$format" "$seed" 250 > "$work/run.log" 2>&1 &&
				continue
			verdict=$(sed -n 's/^sim: \(SIM_[A-Z_]*\).*/\1/p' "$work/run.log" | head -n 1)
			echo "$format, seed $seed: ${verdict:-$(tail -n 1 "$work/run.log" | cut -c1-60)}"
			return 0
		done
	done
	return 1
}

sites | sort -u > "$work/sites"
number=0
failed=0
while read -r file line word replacement; do
	number=$((number + 1))
	[ -n "$only" ] && [ "$only" != "$number" ] && continue
	text=$(sed -n "${line}s/^[[:space:]]*//p" "$file")
	if ! make_mutant "$file" "$line" "$word" "$replacement"; then
		echo "ok $number - $file:$line # SKIP does not build without: $text"
		continue
	fi
	if by=$(caught_by); then
		echo "ok $number - $file:$line without '$text' ($by)"
	else
		echo "not ok $number - $file:$line without '$text' is not noticed"
		failed=$((failed + 1))
	fi
done < "$work/sites"
echo "1..$number"
[ "$failed" = 0 ]
