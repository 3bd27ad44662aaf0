#!/bin/sh
# SPDX-License-Identifier: MIT
#
# hotplug.sh: memory that QEMU gives Holdfast and takes back while it runs (virtio-mem), and memory
# that keeps its contents (virtio-pmem). QEMU is asked over QMP how much is plugged, and the host
# how much of it QEMU's process has. TAP; build/qemu/hotplug/.
#
# HOTPLUG_ROUNDS: how often memory is plugged and unplugged while everybody uses it (default 100,
# in make soak 2000). On a busy host it is at least 20 times, until 25 seconds are over.
set -u

cd "$(dirname "$0")/../.." || exit 2
build=${KELP_BUILD:-build}
elf=$build/holdfast/x86_64/holdfast.elf
elf32=$build/holdfast/x86_32/holdfast.elf
qemu=${QEMU:-qemu-system-x86_64}
qmp=$build/holdfast/qmp
mkcpio=$build/holdfast/kexec/mkcpio
seconds=25
[ -n "${KELP_TEST_SCALE:-}" ] && many=2000 seconds=3600
rounds=${HOTPLUG_ROUNDS:-${many:-100}}
. tests/qemu/directory.sh
own_directory "$build/qemu/hotplug"
log=$directory/serial.log
keys=$directory/keys
socket=$directory/qmp
image=$directory/pmem.img
limit=30
for need in "$elf" "$elf32" "$qmp" "$mkcpio"; do
	[ -e "$need" ] || { echo "Bail out! $need is missing: make test-programs"; exit 2; }
done

pid=
finish() {
	[ -n "$pid" ] && kill -9 "$pid" 2> /dev/null
	pid=
	rm -f "$keys" "$socket"
}
trap 'finish; echo "Bail out! interrupted"; exit 130' INT TERM HUP

# start ELF CPUS WORDS OPTIONS: the machine, with its keys on descriptor 3.
start() {
	rm -f "$keys" "$socket"
	mkfifo "$keys"
	: > "$log"
	kernel=$1 cpus=$2 words=$3
	shift 3
	# shellcheck disable=SC2086 # options are words
	"$qemu" -machine q35 -accel "${HOLDFAST_ACCEL:-tcg}" -cpu max \
		-m 256M,maxmem=8G,slots=4 -smp "$cpus" -display none -nodefaults \
		-kernel "$kernel" -append "monitor $words" $* \
		-qmp "unix:$socket,server=on,wait=off" \
		-chardev stdio,id=line,signal=off -serial chardev:line < "$keys" >> "$log" 2>&1 &
	pid=$!
	exec 3> "$keys"
	seen=0
}

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
# good NAME STATUS: one result. What was said is shown when it is bad.
good() {
	number=$((number + 1))
	if [ "$2" = 0 ]; then
		echo "ok $number - hotplug: $1"
	else
		tail -c "+$((seen + 1))" "$log" | tr -d '\r' | grep -av '\[K' | tail -n 12 | sed 's/^/# /'
		echo "not ok $number - hotplug: $1"
		failed=$((failed + 1))
	fi
}

# check NAME KEYS PATTERN: typed as printf understands it; the answer must have the pattern.
check() {
	[ -z "$2" ] || seen=$(wc -c < "$log")
	# shellcheck disable=SC2059 # escapes are wanted
	printf "$2" >&3
	answer "$3"
	good "$1" $?
}

# ask NAME ARGUMENTS: what the tool says, as comments; its status is the result.
ask() {
	name=$1
	shift
	"$qmp" "$socket" "$@" 2>&1 | sed 's/^\([^#]\)/# \1/' > "$directory/answer"
	cat "$directory/answer"
	! grep -q '^# qmp: ' "$directory/answer"
	good "$name" $?
}

# QEMU counts blocks from the request on; the kernel takes its time to use them.
settled() {
	check "$1" 'plug settle\r' '^settled'
}

# Megabytes of memory that the host has given QEMU.
resident() {
	awk '/^RssAnon:/ { print int($2 / 1024) }' "/proc/$pid/status"
}

# The machine ends by itself, and its status says that nothing was wrong.
ends() {
	printf 'poweroff\r' >&3
	tries=0
	while kill -0 "$pid" 2> /dev/null && [ $tries -lt 200 ]; do
		tries=$((tries + 1))
		sleep 0.05
	done
	exec 3>&-
	! kill -0 "$pid" 2> /dev/null && wait "$pid"
	good "$1" $?
	finish
}

# RAM, and beside it, in one section of 128 MiB, more RAM and device memory.
truncate -s 16M "$image"
memory="-object memory-backend-ram,id=r0,size=1G
	-device virtio-mem-pci,memdev=r0,id=v0,block-size=2M,requested-size=64M,memaddr=0x100000000
	-object memory-backend-ram,id=r1,size=64M
	-device virtio-mem-pci,memdev=r1,id=v1,block-size=4M,requested-size=0,memaddr=0x140000000
	-object memory-backend-file,id=p,share=on,mem-path=$image,size=16M
	-device virtio-pmem-pci,memdev=p,id=p0,memaddr=0x144000000"

echo 1..71
start "$elf" 4 '' "$memory"
check 'comes up' '' '^Type `help`'
check 'what is wanted at the start is there at the start' 'plug\r' \
	'virtio-mem 00:01.0 runs: requested 64 MiB, plugged 64 MiB, used 64 MiB$'
check 'the other has larger blocks and no wishes' '' 'plugged in units of 4 MiB, in limbo 0 B'
check 'a picture of the sections' 'sections\r' '^  000100000000 m{32}\.{32}$'
check 'device memory in it' '' '^  000140000000 \.{32}d{8}\.{24}$'
check 'what it costs' '' '8[0-9]{3} KiB per GiB$'
check 'a frame that was plugged' 'frame 0x100010\r' 'valid yes, active yes: online yes, device no; zone movable'
check 'holds on it' '' 'held as online yes, as device no, as any yes'
check 'its place' '' 'direct map: present'
check 'its state' '' 'allocator: free, in a block of'
check 'a frame of a device' 'frame 0x144000\r' 'online no, device yes; zone device'
check 'holds on that' '' 'held as online no, as device yes, as any yes'
check 'a frame with descriptors' 'frame 0x100000\r' 'allocator: descriptors of its own range'
check 'a frame of the kernel' 'frame 0x200\r' 'valid yes, active yes: online yes, device no; zone low'
check 'a frame in a hole' 'frame 0xa0\r' 'valid no, active no: online no, device no; zone none'
check 'a frame beyond all' 'frame 0x180000\r' 'held as online no, as device no, as any no'

ask 'all of it is taken back' plug v0 0 30
check 'nothing is plugged' 'plug\r' 'requested 0 B, plugged 0 B, used 0 B$'
check 'the frame is gone' 'frame 0x100010\r' 'valid no, active no: online no, device no; zone none'
check 'from the direct map too' '' 'direct map: absent'

# Beside the device memory, in its section.
ask 'memory beside device memory' plug v1 64M 30
settled 'and is online'
check 'they share a section' 'sections\r' '^  000140000000 m{32}d{8}\.{24}$'
ask 'and goes again' plug v1 8M 30
check 'the device memory stays' 'sections\r' '^  000140000000 m{4}\.{28}d{8}\.{24}$'

# What is unplugged is the host's again.
before=$(resident)
ask 'half a gigabyte' plug v0 512M 30
settled 'all of it is online'
check 'it is written to' 'plug fill\r' '^filled 5[0-9]{2}.* MiB'
full=$(resident)
ask 'half a gigabyte taken back' plug v0 0 60
after=$(resident)
echo "# QEMU has $before MiB, with all in use $full MiB, afterwards $after MiB"
[ "$full" -gt $((before + 450)) ] && [ "$after" -lt $((before + 60)) ]
good 'the host has its memory back' $?

# Plugged and unplugged while four CPUs walk, hold, take and give.
check 'everybody uses memory' 'turnover start\r' 'turnover start'
ask "up to $rounds times plugged and unplugged" cycle v0 "$rounds" 0 64M 60 "$seconds"
ask 'the other, too' cycle v1 "$((rounds / 20 + 1))" 0 64M 60 "$seconds"
settled 'all is at rest'
check 'everybody ends' 'turnover stop\r' '^turnover: (nothing was lost|FAILED)'
check 'nothing was lost' '' '^turnover: nothing was lost'
check 'pages were moved' '' '^turnover: [0-9]+ movable pages, [1-9][0-9]* moved'
check 'all was plugged and unplugged' 'plug\r' 'requested 0 B, plugged 0 B, used 0 B$'
[ "$("$qmp" "$socket" size v0)" = 0 ]
good 'QEMU says so too' $?

# As hibernation does it: no device touches memory, and what is plugged stays plugged.
ask 'some memory' plug v0 32M 30
settled 'and all of it is used'
check 'the devices are stopped' 'devices stop\r' '^devices: stopped$'
"$qmp" "$socket" set v0 requested-size 48M
sleep 0.3
[ "$("$qmp" "$socket" size v0)" = 33554432 ]
good 'nobody follows the host meanwhile' $?
check 'the devices are back' 'devices restart\r' '^devices: restarted$'
ask 'and follow' plug v0 48M 30
settled 'to the end'

check 'its own tests' 'test hotplug:\r' '^# [0-9]+ passed, '
check 'all of them hold' '' '^# [0-9]+ passed, 0 failed, 4 skipped'

check 'persistent memory is filled' 'pmem 0 fill 4711\r' 'filled, and permanent$'
check 'a reboot' 'reboot\r' '^Type `help`'
settled 'it begins anew'
check 'the host gives the same again' 'plug\r' 'requested 48 MiB, plugged 48 MiB, used 48 MiB$'
ends 'the machine is off'

# Another machine, the same file.
"$mkcpio" "$directory/archive.cpio" holdfast="$elf" || exit 2
start "$elf" 1 'plug=kernel' "$memory" -initrd "$directory/archive.cpio"
check 'another machine comes up' '' '^Type `help`'
check 'the contents outlived the machine' 'pmem 0 check 4711\r' 'all of it is what was stored$'
check 'memory for the kernel' 'frame 0x100010\r' 'zone high'
# A kernel that is started by another one finds blocks plugged whose contents nobody knows.
check 'another kernel takes over' 'kexec holdfast monitor\r' '^Type `help`'
check 'it begins with none and follows' 'plug\r' 'requested 64 MiB, plugged 64 MiB, used 64 MiB$'
check 'by two requests' '' 'units plugged 32, unplugged 0; requests 2, '
check 'for movable pages, this time' 'frame 0x100010\r' 'zone movable'
check 'and finds the persistent memory' 'pmem 0 check 4711\r' 'all of it is what was stored$'
ends 'this one is off too'

# Memory beyond the direct map of the 32-bit kernel: its descriptors are low, kmap reaches it.
qemu=${QEMU_I386:-qemu-system-i386}
start "$elf32" 2 '' "$memory"
check 'the 32-bit kernel comes up' '' '^Type `help`'
check 'high memory' 'frame 0x100010\r' 'online yes, device no; zone movable'
check 'the direct map ends below' '' 'direct map: has no place for it'
check 'everybody uses it' 'turnover start\r' 'turnover start'
ask 'it goes and comes' cycle v0 5 0 64M 60 "$seconds"
settled 'and comes to rest'
check 'all ends' 'turnover stop\r' '^turnover: (nothing was lost|FAILED)'
check 'none of it was lost' '' '^turnover: nothing was lost'
ends 'the last machine is off'
[ "$failed" = 0 ]
