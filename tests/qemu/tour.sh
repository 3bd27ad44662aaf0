#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tour.sh: runs the whole story (run.sh), looks at its report, and compares what it printed with the
# recording in docs/TOUR.md, numbers aside. TAP; everything in build/qemu/tour/.
#
#	tour.sh --text FILE    what of a serial log belongs into the recording
set -u

cd "$(dirname "$0")/../.." || exit 2
build=${KELP_BUILD:-build}
directory=$build/qemu/tour
recording=docs/TOUR.md

# Without the tests' own output, the lines for the report, and the map that was told before.
text() {
	tr -d '\r' < "$1" | awk '
		/^report: |^(not )?ok |^TAP |^1\.\.[0-9]|^  0x/ { next }
		/^== Tests/ { tests = 1; print; next }
		/^== / { tests = 0 }
		tests && !/^# [0-9]+ passed/ && !/^$/ { next }
		{ sub(/hibernate_key=[0-9a-f]+/, "hibernate_key=..."); print }'
}

# Numbers, with their units, are all the same; so are lists of leaves.
masked() {
	sed -E 's/0x[0-9a-f]+/N/g; s/\b[0-9a-f]{16}\b/N/g; s/[0-9]+(\.[0-9]+)?/N/g; s/\bN (B|KiB|MiB|GiB)\b/N U/g
		s/N x N U(,? N x N U)*/LEAVES/g; s/ +/ /g; s/ $//' | grep -v '^$'
}

# The blocks of the page.
recorded() {
	awk '/^```$/ { on = !on; next } on' "$recording"
}

[ "${1:-}" != --text ] || { text "$2"; exit; }

mkdir -p "$directory"
exec 9> "$directory/lock"
flock -w 200 9 || { echo "Bail out! another run of this uses $directory"; exit 2; }
number=0 failed=0
check() {
	number=$((number + 1))
	wrong=$("$2")
	if [ -z "$wrong" ]; then
		echo "ok $number - tour: $1"
	else
		echo "$wrong" | sed 's/^/# /'
		echo "not ok $number - tour: $1 # $directory"
		failed=$((failed + 1))
	fi
}

runs() {
	tests/qemu/run.sh "$build/holdfast/x86_64/holdfast.elf" "$build/holdfast/scratch" "$directory" \
		< /dev/null > "$directory/output" 2>&1 9>&- || tail -n 20 "$directory/output"
}

reports() {
	for part in boot hibernate resume kexec; do
		grep -q "^  \"$part\": {" "$directory/report.json" || echo "the report has no part \"$part\""
	done
	grep -q '"verdict": "passed"' "$directory/report.json" || echo "the verdict is another"
	grep -q 'null' "$directory/report.json" && echo "something was not reported"
	grep -q '"differ": 0,' "$directory/report.json" || echo "frames differ"
}

# A story that was cut short has no good report.
notices() {
	for key in hibernate_frames resume_frames_verified resume_differ final_tables kexec_us; do
		grep -av "^report: $key " "$directory/serial.log" |
			awk -v status=0 -v milliseconds=1 -v serial=x -v disk= -f tests/qemu/report.awk \
				> "$directory/short.json" && echo "a story without $key passes"
	done
	sed 's/^report: resume_differ 0/report: resume_differ 1/' "$directory/serial.log" |
		awk -v status=0 -v milliseconds=1 -v serial=x -v disk= -f tests/qemu/report.awk \
			> "$directory/short.json" && echo "a story with a frame that differs passes"
}

says_the_same() {
	text "$directory/serial.log" | masked > "$directory/printed"
	recorded | masked > "$directory/recorded"
	diff "$directory/recorded" "$directory/printed" > "$directory/difference" && return
	echo "$recording (<) and what is printed (>):"
	head -n 20 "$directory/difference"
}

echo 1..4
check 'the story holds' runs
check 'its report is whole' reports
check 'a report that is not whole is a failure' notices
check "it prints what $recording shows" says_the_same
[ "$failed" = 0 ]
