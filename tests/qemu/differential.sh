#!/bin/sh
# SPDX-License-Identifier: MIT
#
# differential.sh: what QEMU's own page walker says of Holdfast's tables against what Kelp's walk
# says of the same root, entry by entry. TAP; files in build/qemu/differential/.
#
# Holdfast prints its view (the monitor's `dump`) and waits at the prompt. QEMU is stopped then,
# and its monitor prints `info tlb` (every leaf), `info mem` (joined ranges) and `gva2gpa` (single
# translations) from the CPU's CR3.
set -u

cd "$(dirname "$0")/../.." || exit 2
build=${KELP_BUILD:-build}
directory=$build/qemu/differential
limit=60
mkdir -p "$directory"

pid=
trap '[ -n "$pid" ] && kill -9 $pid 2> /dev/null; echo "Bail out! interrupted"; exit 130' INT TERM HUP

# Waits until a file has a line that matches; false when time is up or QEMU is gone.
wait_for() {
	tries=0
	until tr -d '\r' < "$1" 2> /dev/null | grep -aq -- "$2"; do
		tries=$((tries + 1))
		[ $tries -lt $((limit * 20)) ] && kill -0 "$pid" 2> /dev/null || return 1
		sleep 0.05
	done
}

# dump NAME ARCH OPTIONS: serial.log and monitor.log of one machine in $directory/NAME.
dump() {
	files=$directory/$1
	elf=$build/holdfast/$2/holdfast.elf
	case $2 in
	x86_32) qemu=${QEMU_I386:-qemu-system-i386} ;;
	*) qemu=${QEMU:-qemu-system-x86_64} ;;
	esac
	shift 2
	rm -rf "$files"
	mkdir -p "$files"
	mkfifo "$files/monitor"
	: > "$files/serial.log"
	# shellcheck disable=SC2086 # options are words
	"$qemu" -machine q35 -accel tcg $* -display none -nodefaults -no-reboot -kernel "$elf" \
		-append 'run=dump_zoo stay' -serial "file:$files/serial.log" \
		-chardev stdio,id=monitor,signal=off -mon chardev=monitor,mode=readline \
		< "$files/monitor" > "$files/monitor.log" 2>&1 &
	pid=$!
	exec 3> "$files/monitor"
	if wait_for "$files/serial.log" '^dump end$'; then
		{
			echo stop
			echo 'info tlb'
			echo 'info mem'
			tr -d '\r' < "$files/serial.log" | sed -n 's/^dump gva \([0-9a-f]*\) .*/gva2gpa 0x\1/p'
			echo 'info version'
		} >&3
		wait_for "$files/monitor.log" '^7\.\|^[0-9]*\.[0-9]*\.[0-9]*'
		echo quit >&3
		good=0
	else
		echo "# no dump within $limit s: $files/serial.log"
		good=1
	fi
	exec 3>&-
	[ $good = 0 ] || kill -9 $pid 2> /dev/null
	wait $pid 2> /dev/null
	pid=
	rm -f "$files/monitor"
	return $good
}

# The monitor echoes what is typed, with editing sequences: only its own lines are taken. Of PAE's
# leaves QEMU 7.2 prints the XD bit as part of the address; it has a letter of its own as well.
theirs() {
	tr -d '\r' < "$files/monitor.log" | case $1 in
	tlb) grep -aE '^[0-9a-f]{16}: [0-9a-f]{16} [-XGPDACTUW]{9}$' |
		sed 's/^\([0-9a-f]*: \)8/\10/' ;;
	mem) grep -aE '^[0-9a-f]{16}-[0-9a-f]{16} [0-9a-f]{16} [-urw]{3}$' ;;
	gva) sed -n 's/^gpa: \(0x\)\{0,1\}\([0-9a-f]*\)$/\2/p' ;;
	esac
}

ours() {
	tr -d '\r' < "$files/serial.log" | case $1 in
	gva) sed -n 's/^dump gva [0-9a-f]* //p' ;;
	*) sed -n "s/^dump $1 //p" ;;
	esac
}

number=0 failed=0
compare() {
	number=$((number + 1))
	theirs "$2" > "$files/$2.theirs"
	ours "$2" > "$files/$2.ours"
	lines=$(wc -l < "$files/$2.ours")
	# An empty comparison is no comparison.
	if [ "$lines" -gt 3 ] && cmp -s "$files/$2.ours" "$files/$2.theirs"; then
		echo "ok $number - differential: $1, $3: $lines lines agree"
	elif [ "$2" = mem ] && [ "$1" != "${1#5}" ]; then
		# QEMU 7.2 loses most ranges with five levels, while its info tlb has all leaves.
		echo "ok $number - differential: $1, $3 # SKIP this QEMU's info mem is wrong there"
	else
		diff "$files/$2.ours" "$files/$2.theirs" | head -n 20 | sed 's/^/# /'
		echo "# Kelp says $lines lines, QEMU $(wc -l < "$files/$2.theirs"): $files/$2.*"
		echo "not ok $number - differential: $1, $3"
		failed=$((failed + 1))
	fi
}

echo 1..15
for machine in '4 levels:x86_64:-cpu qemu64 -m 64M -smp 1' '5 levels, 3 GiB:x86_64:-cpu max -m 3G -smp 2' \
	'PAE, 2 GiB:x86_32:-cpu max -m 2G -smp 2' 'two levels:x86_32:-cpu qemu32,-pae -m 1G -smp 1' \
	'two levels, PSE-36:x86_32:-cpu max,-pae -m 1G -smp 2'; do
	name=${machine%%:*} rest=${machine#*:}
	if dump "$(echo "$name" | tr -dc '0-9a-zA-Z')" "${rest%%:*}" "${rest#*:}"; then
		compare "$name" tlb 'every leaf as in info tlb'
		compare "$name" mem 'ranges as in info mem'
		compare "$name" gva 'translations as by gva2gpa'
	else
		for i in 1 2 3; do
			number=$((number + 1))
			failed=$((failed + 1))
			echo "not ok $number - differential: $name"
		done
	fi
done
[ "$failed" = 0 ]
