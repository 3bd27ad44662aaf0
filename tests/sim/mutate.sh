#!/bin/sh
# SPDX-License-Identifier: MIT
#
# mutate.sh [SITE]   prints TAP
#
# Does the oracle see every forgotten flush? Each place where the library gathers, flushes, tells
# other CPUs, waits for readers or publishes is muted in turn, in a copy of the sources, and the
# library's run on the simulated machine must fail. A place that can be muted unseen is either
# not needed or not tested, and is a failure here.
#
# With SITE (file:line, as printed) only that one, and the run's last words are shown.
set -eu

BUILD=${KELP_BUILD:-build}
CC=${CLANG:-clang}
ONLY=${1:-}
WORK=$BUILD/mutants
ARCHIVE=$BUILD/release/libkelp-sim.a
PROGRAM=$BUILD/release/sim/tests/sim/library.o
FLAGS='-std=gnu11 -O1 -w -D_GNU_SOURCE -Isim -Iinclude -Iport/hosted -I.'

# What is muted: calls of these, wherever they are not defined.
CALLS='gather_leaf|gather_table|gather_made_valid|gather_root|break_entry|note_global|end_run'
CALLS="$CALLS|kelp_flush_add|kelp_flush_begin_run|kelp_flush_now|kelp_flush_note_unlink"
CALLS="$CALLS|kelp_hw_invalidate_page|kelp_hw_invalidate_all|kelp_hw_published"
CALLS="$CALLS|port->shootdown|port->wait_for_readers"

sites() {
	grep -nE "(^|[^a-z_])($CALLS)\(" src/*.h src/*.c |
		grep -vE ':(static|void|enum|bool|uint32_t|uint64_t) ' | grep -vE ':[0-9]+: \*' |
		grep -vE '^src/(entry|flush|pages|space_ops)\.h:' | cut -d: -f1,2
}

# mutate FILE LINE DIRECTORY: the copy, with the first such call of that line muted. The macro
# takes the call's arguments and leaves a value that also a return statement can use.
mutate() {
	rm -rf "$3"
	mkdir -p "$3/arch"
	cp -r src "$3/"
	cp -r arch "$3/"
	awk -v line="$2" -v calls="($CALLS)[(]" '
		NR == 1 { print "#define kelp_muted(...) KELP_OK"; }
		NR == line { sub(calls, "kelp_muted(") }
		{ print }' "$1" > "$3/$1"
}

build() {
	for source in "$1"/src/*.c "$1"/arch/*/*.c; do
		object=$1/$(echo "${source#"$1"/}" | tr / _).o
		$CC $FLAGS -I"$1/src" -c "$source" -o "$object" || return 1
	done
	$CC "$PROGRAM" "$1"/*.o "$ARCHIVE" -lcmocka -lpthread -o "$1/library" || return 1
}

if [ ! -f "$ARCHIVE" ] || [ ! -f "$PROGRAM" ]; then
	echo "Bail out! build $ARCHIVE and $PROGRAM first: make soak does"
	exit 1
fi

list=${ONLY:-$(sites)}
echo "1..$(echo "$list" | wc -l)"
number=0
missed=0
for site in $list; do
	number=$((number + 1))
	file=${site%:*}
	line=${site##*:}
	text=$(sed -n "${line}p" "$file" | sed 's/^[[:space:]]*//')
	directory=$WORK/$(echo "$site" | tr '/:.' '___')
	mutate "$file" "$line" "$directory"
	if ! build "$directory" > "$directory/build.log" 2>&1; then
		echo "not ok $number - $site $text: does not build: $directory/build.log"
		missed=$((missed + 1))
		continue
	fi
	if timeout 300 "$directory/library" > "$directory/run.log" 2>&1; then
		echo "not ok $number - $site $text: muted, and nothing noticed"
		missed=$((missed + 1))
	else
		words=$(grep -am1 -E 'VERDICT|verdict|seed [0-9]+:' "$directory/run.log" || true)
		echo "ok $number - $site $text # ${words:-a crash}"
		[ -n "$ONLY" ] && tail -40 "$directory/run.log"
		rm -rf "$directory"
	fi
done
echo "# $((number - missed)) of $number muted places were noticed"
[ "$missed" = 0 ]
