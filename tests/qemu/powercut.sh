#!/bin/sh
# SPDX-License-Identifier: MIT
#
# powercut.sh [rounds]: the power is cut for real. TAP; logs and disks in build/qemu/powercut/.
#
# QEMU is killed with SIGKILL at random moments of a hibernation, and then of the resume. After each
# cut a machine is booted on what the disk holds: it must find the whole image, and resume with every
# byte and thread as it was, or nothing to resume; anything else fails. Half a machine would show.
#
# A killed QEMU loses nothing that it handed to the host, so that of the writes only order and
# completeness are tested here; torn, lost and reordered writes are the simulator's.
# Rounds: 8, or KELP_TEST_SCALE (make soak) as many.
set -u

cd "$(dirname "$0")/../.." || exit 2
build=${KELP_BUILD:-build}
elf=$build/holdfast/x86_64/holdfast.elf
logs=$build/qemu/powercut
rounds=${1:-${KELP_TEST_SCALE:-8}}
key=$(od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n')
qemu=${QEMU:-qemu-system-x86_64}
mkdir -p "$logs"
exec 9> "$logs/lock"
flock -w 200 9 || { echo "Bail out! another run of this uses $logs"; exit 2; }
[ -e "$elf" ] || { echo "Bail out! $elf is missing: make holdfast"; exit 2; }
disk=$logs/disk.img
log=$logs/boot.log

# start WORDS: a machine in the background; its process is $pid.
start() {
	: > "$log"
	"$qemu" -machine q35 -accel "${HOLDFAST_ACCEL:-tcg}" -cpu max,-la57 -m 48M -smp 2 -display none \
		-nodefaults -no-reboot -chardev "file,id=line,path=$log" -serial chardev:line \
		-device isa-debug-exit,iobase=0xf4,iosize=4 -kernel "$elf" \
		-append "exit=qemu hibernate_key=$key $1" \
		-drive "if=none,id=d,format=raw,cache=unsafe,file=$disk" -device virtio-blk-pci,drive=d \
		-device virtio-rng-pci < /dev/null 2> "$log.qemu" 9>&- &
	pid=$!
}

# Waits for a line, or for the machine's end; at most 60 s.
wait_for() {
	tries=0
	until grep -aq -- "$1" "$log" || ! kill -0 "$pid" 2> /dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 3000 ] || return 1
		sleep 0.02
	done
}

# end: lets the machine run to its end; its status is $status.
end() {
	tries=0
	while kill -0 "$pid" 2> /dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 3000 ] || { kill -9 "$pid" 2> /dev/null; break; }
		sleep 0.02
	done
	wait "$pid" 2> /dev/null
	status=$?
}

random() {
	echo $(($(od -An -tu4 -N4 /dev/urandom | tr -d ' ') % $1))
}

# pull_plug MILLISECONDS: after that time the power is gone. Says what the machine had come to.
pull_plug() {
	sleep "$(($1 / 1000)).$(printf %03d $(($1 % 1000)))"
	kill -9 "$pid" 2> /dev/null
	wait "$pid" 2> /dev/null
	tr -d '\r' < "$log" | grep -a 'hibernate: \|panic' | tail -n 1 | tr -d '[#]' | cut -c 12-40
}

say() {
	tr -d '\r' < "$log" | grep -a '^hibernate:\|^panic\|differ\|threads went\|Holdfast ends' | tail -n 5
}

# How long the part takes that is cut into, in milliseconds, from one that is not cut.
since() {
	echo $((($(date +%s%N) - $1) / 1000000))
}

# After a cut: the whole image, or nothing. $found says which; prints what is wrong.
judge() {
	start run=mem
	end
	cp "$log" "$log.judged"
	if grep -aq '^hibernate: nothing to resume' "$log"; then
		found=nothing
		[ "$status" = 33 ] || echo "nothing to resume, but the boot ended with status $status"
	elif grep -aq '^hibernate: resumed;' "$log"; then
		found=whole
		[ "$status" = 33 ] || echo "resumed, but it ended with status $status"
		grep -aq ', 0 differ' "$log" || echo "resumed, but memory differs"
		grep -aq '6 of 6 threads' "$log" || echo "resumed, but not all threads"
	else
		found=neither
		echo "neither a whole image nor nothing to resume"
	fi
}

fresh() {
	rm -f "$disk"
	truncate -s 64M "$disk" && printf 'HOLDFAST IMAGES' | dd of="$disk" conv=notrunc status=none
}

number=0 failed=0
# round NAME: judges what the disk holds now.
round() {
	number=$((number + 1))
	wrong=$(judge; echo "found=$found")
	found=${wrong##*found=}
	wrong=${wrong%found=*}
	if [ -z "$wrong" ]; then
		echo "ok $number - powercut: $1: $found"
	else
		{ echo "$wrong"; say; } | sed 's/^/# /'
		cp "$log" "$logs/$number.log"
		cp --sparse=always "$disk" "$logs/$number.img"
		echo "not ok $number - powercut: $1 # $logs/$number.log, $logs/$number.img"
		failed=$((failed + 1))
	fi
	[ "$found" = whole ] && whole=$((whole + 1))
	[ "$found" = nothing ] && nothing=$((nothing + 1))
}

trap 'kill -9 "$pid" 2> /dev/null; echo "Bail out! interrupted"; exit 130' INT TERM HUP
whole=0 nothing=0 pid=
echo "1..$((2 * rounds + 2))"

# One that is not cut, to know how long the two parts take.
fresh
start carry=50
wait_for '^hibernate: to '
began=$(date +%s%N)
end
saving=$(since "$began")
cp --sparse=always "$disk" "$logs/good.img"
start run=mem
wait_for '^hibernate: an image'
began=$(date +%s%N)
wait_for '^hibernate: resumed;'
resuming=$(since "$began")
end
number=$((number + 1))
if [ "$status" = 33 ] && grep -aq ', 0 differ' "$log"; then
	echo "ok $number - powercut: without a cut # saved in $saving ms, resumed in $resuming ms"
else
	say | sed 's/^/# /'
	echo "not ok $number - powercut: without a cut"
	failed=$((failed + 1))
fi

i=0
while [ $i -lt "$rounds" ]; do
	# A bit more than all of it, so that some cuts come too late.
	fresh
	start carry=50
	wait_for '^hibernate: to '
	at=$(random $((saving + saving / 5 + 20)))
	had=$(pull_plug "$at")
	round "after $at ms of saving ($had)"
	i=$((i + 1))
done
i=0
while [ $i -lt "$rounds" ]; do
	cp --sparse=always "$logs/good.img" "$disk"
	start run=mem
	wait_for '^hibernate: an image'
	at=$(random $((resuming + resuming / 5 + 20)))
	had=$(pull_plug "$at")
	round "after $at ms of resuming ($had)"
	i=$((i + 1))
done

# A test that never saw one of the two proves little.
number=$((number + 1))
if [ $whole -gt 0 ] && [ $nothing -gt 0 ]; then
	echo "ok $number - powercut: $whole times the whole image, $nothing times nothing to resume"
else
	echo "not ok $number - powercut: $whole times the whole image, $nothing times nothing to resume"
	failed=$((failed + 1))
fi
rm -f "$disk" "$logs/good.img"
[ "$failed" = 0 ]
