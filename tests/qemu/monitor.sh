#!/bin/sh
# SPDX-License-Identifier: MIT
#
# monitor.sh: types into Holdfast's monitor and reads what it says. TAP;
# build/qemu/monitor-x86_64/serial.log.
# HOLDFAST_ARCH: x86_64 (default), x86_32; each has addresses of its own.
# One machine for all of it: each command is typed when the one before has been answered.
set -u

cd "$(dirname "$0")/../.." || exit 2
build=${KELP_BUILD:-build}
arch=${HOLDFAST_ARCH:-x86_64}
elf=$build/holdfast/$arch/holdfast.elf
. tests/qemu/directory.sh
own_directory "$build/qemu/monitor-$arch"
log=$directory/serial.log
keys=$directory/keys
limit=60
rm -f "$keys"
mkfifo "$keys"

pid=
finish() {
	[ -n "$pid" ] && kill -9 "$pid" 2> /dev/null
	rm -f "$keys"
}
trap 'finish; echo "Bail out! interrupted"; exit 130' INT TERM HUP

# first, sixteenth: physical 4 KiB and 16 MiB in the direct map; text: a part of the image's, and
# poke: an address of it in the direct map; splits: while the direct map was built; high: a frame near
# the end of memory, and how kmap_local gets to it.
case $arch in
x86_32)
	qemu=${QEMU_I386:-qemu-system-i386} memory=1G format=x86_pae no_address=0x100000000
	first=0000000080001000 sixteenth=0000000081000000 text=f0100000 poke=000000008010f000
	splits='[0-9]+' high=0x38000 way='in a slot'
	;;
*)
	qemu=${QEMU:-qemu-system-x86_64} memory=128M format=x86_64 no_address=0x8000000000000000
	first=ffff800000001000 sixteenth=ffff800001000000 text=ffffffff80200000 poke=ffff80000020f000
	splits='[1-9][0-9]*' high=0x7000 way='by one compare'
	;;
esac
"$qemu" -machine q35 -accel "${HOLDFAST_ACCEL:-tcg}" -cpu max -m "$memory" -smp 2 \
	-display none -nodefaults -kernel "$elf" -append monitor \
	-drive "if=none,id=d,format=raw,readonly=on,file=$elf" -device virtio-blk-pci,drive=d \
	-device virtio-rng-pci \
	-chardev stdio,id=line,signal=off -serial chardev:line < "$keys" > "$log" 2>&1 &
pid=$!
exec 3> "$keys"

# Waits until what came since the last command has the pattern; then that is read.
seen=0
answer() {
	tries=0
	until tail -c "+$((seen + 1))" "$log" | tr -d '\r' | grep -aqE -- "$1"; do
		tries=$((tries + 1))
		[ $tries -lt $((limit * 20)) ] && kill -0 "$pid" 2> /dev/null || return 1
		sleep 0.05
	done
}

number=0 failed=0
# check NAME KEYS PATTERN: typed as printf understands it; the answer must have the pattern.
check() {
	number=$((number + 1))
	# Without keys: what has been said already.
	[ -z "$2" ] || seen=$(wc -c < "$log")
	# shellcheck disable=SC2059 # escapes are wanted
	printf "$2" >&3
	if answer "$3"; then
		echo "ok $number - monitor: $1"
	else
		tail -c "+$((seen + 1))" "$log" | tr -d '\r' | tail -n 5 | sed 's/^/# /; $s/$/\n/' | sed '/^$/d'
		echo "not ok $number - monitor: $1"
		failed=$((failed + 1))
	fi
}

echo 1..39
check 'comes up' '' '^Type `help`'
# QEMU's counts nanoseconds: a measurement that a busy host spoiled by much would show.
check 'the timer is measured well' '' '^clock: .*, timer (9[89][0-9]|10[01][0-9])[0-9]{3} kHz'
check 'help' 'help\r' '^  reboot '
check 'mem' 'mem\r' '^pages: .* managed, .* free'
check 'map of an address that is mapped' "map 0x$first\\r" '^  physical 0x1000$'
check 'map of one that is not' 'map 0x1000\r' 'level . .*nothing'
check 'map of one that is no address' "map $no_address\\r" 'no walk: '
check 'tables of a range' "tables 0x$text 1m\\r" 'r-x kernel global'
check 'leaves' 'leaves\r' 'the tables of the boot .* writable and executable [1-9]'
check 'the picture of the direct map' 'directmap\r' '^  000000000000  [kMG]+M+k*$'
check 'its leaves' '' '^  leaves: [0-9]+ x 2 MiB [0-9]+ x 4 KiB; .* absent 0 frames'
check 'its splits' '' "^  splits $splits, restorations [0-9]+, refused [0-9]+, pinned ranges 1"
check 'a part of it, and a hole' 'directmap 0x80000 1m\r' '^  000000080000  k+_+$'
check 'a part it has no place for' 'directmap 0x7fffffffffffffff\r' 'has no place for that'
check 'reach of RAM' 'reach 0x1000\r' '^  kmap_local, by one compare: [0-9a-f ]{47}$'
check 'where it is mapped' '' "^  $sixteenth in the direct map, 2 MiB leaf, rw-"
check 'reach of high memory' "reach $high\\r" "^  kmap_local, $way: [0-9a-f ]{47}$"
check 'reach of a device' 'reach 0xfee00\r' 'in the fixmap, 4 KiB leaf, rw-.* device$'
check 'reach of what is no frame' 'reach 0x10000000000000\r' '^no frame: this CPU has'
check 'cpus' 'cpus\r' '^    1   1  online '
check 'flushes' 'flushes\r' '^shootdowns [0-9]+, '
check 'peek' "peek 0x$first 2\\r" "${first%000}008: [0-9a-f]{16}\$"
check 'peek where nothing is' 'peek 0\r' '0000000000000000: no translation'
check 'poke to text' "poke 0x$poke 1\\r" "$poke: not allowed"
check 'test' 'test frames:\r' '# [1-9][0-9]* passed, 0 failed'
check 'bench' 'bench\r' 'a fault, resumed  '
check 'pci' 'pci details\r' 'MSI-X \([0-9]+ entries\)'
check 'disks' 'disk\r' '^  disk 0: virtio-blk .* read-only'
check 'a block of a disk' 'disk 0 0\r' '^  00000000  7f 45 4c 46 '
check 'a block beyond its end' 'disk 0 1g\r' 'beyond the end of the disk'
check 'random' 'random 32\r' '^  from virtio-rng .*: [0-9]+ bytes'
check 'a typing error mended' 'leavX\177es\r' "^format $format"
check 'a word put in front' 'xlp\033[H\033[3~he\r' '^  reboot '
check 'Tab' 'flu\t\r' '^shootdowns [0-9]+, '
check 'the line before the last' '\033[A\033[A\r' '^  reboot '
check 'no such command' 'frobnicate\r' 'no command "frobnicate"'
check 'reboot' 'reboot\r' '^Type `help`'
check 'poweroff' 'poweroff\r' '^powering off'

# QEMU ends by itself then, and its status says that nothing was wrong.
tries=0
while kill -0 "$pid" 2> /dev/null && [ $tries -lt 200 ]; do
	tries=$((tries + 1))
	sleep 0.05
done
if ! kill -0 "$pid" 2> /dev/null && wait "$pid"; then
	echo 'ok 39 - monitor: the machine is off'
	pid=
else
	echo 'not ok 39 - monitor: the machine is off'
	failed=$((failed + 1))
fi
exec 3>&-
finish
[ "$failed" = 0 ]
