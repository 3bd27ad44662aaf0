#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run-devices.sh [pattern]: boots Holdfast with devices of many kinds, and looks at the disk from
# the outside afterwards. TAP; logs and disks in build/qemu/devices/.
#
# Each line of the table: name | machine | options of boot.sh | words for the kernel |
# arguments for QEMU | what is expected, words with commas between:
# A machine i386-TYPE has the 32-bit kernel. Expected can be:
#   all        every device test passes, and none is skipped but those named by skips=
#   skips=N    exactly N are skipped
#   disk       what the kernel wrote is on the scratch disk, and nothing else was changed
#   order      it was flushed before the kernel said that it was there (with LOGGED)
#   off        the machine switches itself off, without a verdict
#   says=TEXT  the log contains TEXT (_ for blanks)
#   iso, uefi  through GRUB from a CD image, by BIOS or UEFI, instead of directly
# DISK stands for the scratch disk as a QEMU drive with the id d; LOGGED for the same with a log of all
# writes and flushes.
# With a pattern only the boots whose name contains it.
set -u

cd "$(dirname "$0")/../.." || exit 2
build=${KELP_BUILD:-build}
elf=$build/holdfast/x86_64/holdfast.elf
scratch=$build/holdfast/scratch
logs=$build/qemu/devices
pattern=${1:-}
tests=test=pci:,virtqueue:,random:,disk:
mkdir -p "$logs"
# Two runs in one build tree would take each other's disks and logs.
exec 9> "$logs/lock"
flock -w 200 9 || { echo "Bail out! another run of this uses $logs"; exit 2; }

table() {
	grep -v '^#' << T
q35, 1 CPU           | q35 | --cpus 1 --cpu qemu64 | $tests | DISK -device virtio-blk-pci,drive=d -device virtio-rng-pci | all,disk,says=ECAM,says=MSI-X
q35, 4 CPUs          | q35 | --cpus 4              | $tests | DISK -device virtio-blk-pci,drive=d -device virtio-rng-pci | all,disk
pc, 1 CPU            | pc  | --cpus 1 --memory 32M | $tests | DISK -device virtio-blk-pci,drive=d -device virtio-rng-pci | all,disk,says=through_ports
pc, 4 CPUs           | pc  | --cpus 4 --cpu qemu64 | $tests | DISK -device virtio-blk-pci,drive=d -device virtio-rng-pci | all,disk
Haswell              | q35 | --cpus 2 --cpu Haswell | $tests | DISK -device virtio-blk-pci,drive=d -device virtio-rng-pci | all,disk
16 CPUs              | q35 | --cpus 16             | $tests | DISK -device virtio-blk-pci,drive=d -device virtio-rng-pci | all,disk
5 GiB, 4 CPUs        | q35 | --cpus 4 --memory 5G  | $tests | DISK -device virtio-blk-pci,drive=d -device virtio-rng-pci | all,disk
polling, 1 CPU       | q35 | --cpus 1              | $tests irq=poll | DISK -device virtio-blk-pci,drive=d -device virtio-rng-pci | all,skips=1,disk,says=polled
polling, 4 CPUs      | pc  | --cpus 4              | $tests irq=poll | DISK -device virtio-blk-pci,drive=d -device virtio-rng-pci | all,skips=1,disk
no MSI-X             | q35 | --cpus 2              | $tests | DISK -device virtio-blk-pci,drive=d,vectors=0 -device virtio-rng-pci,vectors=0 | all,skips=1,disk,says=polled
behind bridges       | q35 | --cpus 2              | $tests | DISK -device pcie-root-port,id=p,chassis=1 -device virtio-blk-pci,drive=d,bus=p -device pcie-root-port,id=q,chassis=2 -device pcie-pci-bridge,id=r,bus=q -device virtio-rng-pci,bus=r,addr=3 | all,disk,says=4_buses
blocks of 4096       | q35 | --cpus 2              | $tests | DISK -device virtio-blk-pci,drive=d,logical_block_size=4096,physical_block_size=4096 -device virtio-rng-pci | all,disk,says=4096_blocks_of_4096_bytes
a short queue        | q35 | --cpus 2              | $tests | DISK -device virtio-blk-pci,drive=d,queue-size=16 -device virtio-rng-pci | all,disk,says=16_descriptors
a disk without cache | q35 | --cpus 2              | $tests | DISK -device virtio-blk-pci,drive=d,config-wce=off,write-cache=off -device virtio-rng-pci | all,disk
order of flushes     | q35 | --cpus 2              | $tests | LOGGED -device virtio-blk-pci,drive=d -device virtio-rng-pci | all,disk,order
several functions    | q35 | --cpus 2              | $tests | DISK -device virtio-blk-pci,drive=d,addr=5.0,multifunction=on -device virtio-rng-pci,addr=5.7 | all,disk,says=00:05.7
i386, PAE, high memory | i386-q35 | --cpus 4 --memory 2G | $tests | DISK -device virtio-blk-pci,drive=d -device virtio-rng-pci | all,disk,says=high_memory,says=ECAM
i386, more high memory | i386-q35 | --cpus 2 --memory 256M,maxmem=8G,slots=4 | run=plug_fill | -object memory-backend-ram,id=r,size=1G -device virtio-mem-pci,memdev=r,block-size=2M,requested-size=64M,memaddr=0x100000000 | says=64_MiB_of_it_are_high_memory,says=filled_64_MiB
i386, out of reach   | i386-q35 | --cpus 1 --cpu qemu32,-pae --memory 256M,maxmem=8G,slots=4 | run=plug | -object memory-backend-ram,id=r,size=1G -device virtio-mem-pci,memdev=r,block-size=2M,requested-size=64M,memaddr=0x100000000 | says=no_place_for_a_unit,says=plugged_0_B
i386, two levels     | i386-pc | --cpus 1 --cpu qemu32,-pae | $tests | DISK -device virtio-blk-pci,drive=d -device virtio-rng-pci | all,disk
BIOS                 | q35 | --cpus 2              | iso | DISK -device virtio-blk-pci,drive=d -device virtio-rng-pci | all,disk
UEFI                 | q35 | --cpus 2              | iso | DISK -device virtio-blk-pci,drive=d -device virtio-rng-pci | uefi,all,disk
no disk, no entropy  | q35 | --cpus 2              | $tests | -nodefaults | all,skips=16,says=disks:_none,says=there_is_no_entropy_device
nobody's disk        | q35 | --cpus 2              | $tests | -drive if=none,id=d,format=raw,file=$logs/blank.img -device virtio-blk-pci,drive=d -device virtio-rng-pci | all,skips=9,says=nothing_is_written
a read-only disk     | q35 | --cpus 2              | $tests | DISK,readonly=on -device virtio-blk-pci,drive=d -device virtio-rng-pci | all,skips=9,says=read-only
version 0 only       | pc  | --cpus 1              | $tests | DISK -device virtio-blk-pci,drive=d,disable-modern=on,disable-legacy=off -device virtio-rng-pci | all,skips=12,says=are_missing;_start_QEMU_with
behind an IOMMU      | q35 | --cpus 1              | $tests | DISK -device virtio-blk-pci,drive=d,disable-legacy=on,iommu_platform=on -device virtio-rng-pci | all,skips=12,says=it_wants_addresses_of_an_IOMMU
switches itself off  | q35 | --cpus 2              | run=poweroff | -nodefaults | off
switches off, pc     | pc  | --cpus 2 --cpu qemu64 | run=poweroff | -nodefaults | off
T
}

# A file that QEMU and the kernel make once, and that is remade when the kernel is newer.
make_iso() {
	[ -z "$(find "$logs/devices.iso" -newer "$elf" 2> /dev/null)" ] || return 0
	kernel/mkiso.sh "$elf" "$logs/devices.iso" exit=qemu "$tests"
}

boot() {
	image=$elf firmware=
	case $machine in
	i386-*) image=$build/holdfast/x86_32/holdfast.elf machine=${machine#i386-} ;;
	esac
	"$scratch" make "$disk" "$seed" || return 2
	case $words in
	iso) make_iso || return 2; image=$logs/devices.iso words= ;;
	esac
	case ,$expected, in *,uefi,*) firmware=--uefi ;; esac
	# Nobody pulls a plug here: the disk's flushes need not reach the host's.
	cache=unsafe
	case $arguments in *write-cache=off*) cache=writethrough ;; esac
	drive="-drive if=none,id=d,format=raw,file=$disk,cache=$cache"
	logged="-blockdev file,node-name=f,filename=$disk,cache.no-flush=on
		-blockdev file,node-name=w,filename=$logs/writes.log,cache.no-flush=on
		-blockdev blklogwrites,node-name=d,file=f,log=w"
	case $arguments in
	DISK*) arguments="$drive${arguments#DISK}" ;;
	LOGGED*) arguments="$logged${arguments#LOGGED}" ;;
	esac
	# shellcheck disable=SC2086 # options are words
	tests/qemu/boot.sh --machine "$machine" $options $firmware ${words:+--append "$words"} \
		--seconds 90 --log "$log" "$image" -- $arguments 2>&1
}

# Results in the log: as many as were announced, none bad, and as many skipped as expected.
count() {
	skips=0
	case $expected in *skips=*) skips=${expected#*skips=} skips=${skips%%,*} ;; esac
	tr -d '\r' < "$log" | awk -v skips="$skips" '
		/^1\.\.[0-9]+$/ { plan = substr($0, 4) }
		/^ok / { good++ }
		/^ok .*# SKIP/ { skipped++; why = why "\n" $0 }
		/^not ok |^# kernel\/|^panic/ { print }
		END {
			if (!plan || good != plan) print good + 0 " of " plan + 0 " tests passed"
			if (skipped != skips) print skipped + 0 " skipped, expected " skips why
		}'
}

# Prints what is not as the table says.
judge() {
	case ,$expected, in
	*,off,*)
		[ "$status" = 1 ] && grep -q 'ended without a verdict' "$log.boot" ||
			echo "it should have switched itself off, but the status is $status"
		;;
	*) [ "$status" = 0 ] || echo "status $status" ;;
	esac
	case ,$expected, in *,all,*) count ;; esac
	case ,$expected, in *,disk,*) "$scratch" check "$disk" "$seed" ;; esac
	case ,$expected, in *,order,*) "$scratch" order "$logs/writes.log" ;; esac
	echo "$expected" | tr , '\n' | sed -n 's/^says=//p' | tr _ ' ' | while read -r text; do
		grep -aqF -- "$text" "$log" || echo "it does not say: $text"
	done
}

for need in "$elf" "$scratch"; do
	[ -e "$need" ] || { echo "Bail out! $need is missing: make test-programs"; exit 2; }
done
seed=$("$scratch" seed) || exit 2
echo "# seed of the scratch disks: $seed"
disk=$logs/scratch.img
truncate -s 8M "$logs/blank.img"
: > "$logs/writes.log"
table | grep -- "$pattern" > "$logs/table"
echo "1..$(wc -l < "$logs/table")"
number=0 failed=0
trap 'echo "Bail out! interrupted"; exit 130' INT TERM HUP
while IFS='|' read -r name machine options words arguments expected; do
	# shellcheck disable=SC2086,SC2116 # blanks around the fields go
	name=$(echo $name) machine=$(echo $machine) words=$(echo $words) expected=$(echo $expected)
	# shellcheck disable=SC2086,SC2116
	arguments=$(echo $arguments)
	number=$((number + 1))
	log=$logs/$number.log
	start=$(date +%s%N)
	boot < /dev/null 9>&- > "$log.boot"
	status=$?
	wrong=$(judge)
	if [ -z "$wrong" ]; then
		echo "ok $number - devices: $name # $((($(date +%s%N) - start) / 1000000)) ms"
	else
		{ cat "$log.boot"; echo "$wrong"; } | sed 's/^/# /'
		echo "not ok $number - devices: $name # $log"
		failed=$((failed + 1))
	fi
done < "$logs/table"
rm -f "$disk" "$logs/blank.img" "$logs/writes.log"
[ "$failed" = 0 ]
