#!/bin/sh
# SPDX-License-Identifier: MIT
#
# compare-linux.sh [build directory]: `make compare-linux`. A stock Debian Linux in the machine that
# `make run` uses (same QEMU, processors, memory, virtio disk) has its memory filled to the same
# percentage with the same contents (kernel/include/fill.h), hibernates with its own defaults,
# resumes in a second machine and verifies every page. Then its figures, from its own kernel log,
# beside Holdfast's from build/run/report.json, if `make run` has left one.
#
# HOLDFAST_CPUS (2), HOLDFAST_MEMORY (256M), HOLDFAST_SECONDS (300, for each machine).
#
# Logs and the table (result.txt) in build/compare-linux/. Exit status: 0 Linux came back with every page
# as it was; 1 it did not; 2 something is missing.
set -u

build=${1:-build}
debian=$build/debian-kernel
tools=$build/holdfast/kexec
directory=$build/compare-linux
report=$build/run/report.json
cpus=${HOLDFAST_CPUS:-2} memory=${HOLDFAST_MEMORY:-256M} limit=${HOLDFAST_SECONDS:-300}
percent=70
seed=0x4b656c70
mkdir -p "$directory" || exit 2

[ -r "$debian/vmlinuz" ] || {
	echo "compare-linux: there is no Linux to compare with: $(cat "$debian/missing" 2> /dev/null)" >&2
	exit 2
}

modules=
for module in "$debian"/modules/*.ko; do
	modules="$modules modules/${module##*/}=$module"
done
# shellcheck disable=SC2086 # one word per module
"$tools/mkcpio" "$directory/initrd.cpio" init="$tools/compare-init" busybox="$debian/busybox" \
	modules/ $modules || exit 2
disk=$directory/swap.img
rm -f "$disk" "$directory"/*.log
# 1 GiB as in `make run`; a larger machine needs more: what does not fit into half of memory is
# swapped out to it, too.
truncate -s "${HOLDFAST_DISK:-1G}" "$disk" || exit 2

pid=
trap '[ -n "$pid" ] && kill -9 "$pid" 2> /dev/null; rm -f "$disk"; exit 130' INT TERM HUP

# machine LOG WORDS: sets $status.
machine() {
	timeout -s KILL "$limit" "${QEMU:-qemu-system-x86_64}" -machine q35 \
		-accel "${HOLDFAST_ACCEL:-tcg}" -cpu max -m "$memory" -smp "$cpus" -display none \
		-nodefaults -no-reboot -device isa-debug-exit,iobase=0xf4,iosize=4 \
		-kernel "$debian/vmlinuz" -initrd "$directory/initrd.cpio" \
		-append "console=ttyS0 $2" -serial "file:$1" \
		-drive "if=none,id=d,format=raw,cache=unsafe,file=$disk" \
		-device virtio-blk-pci,drive=d < /dev/null 2> "$1.qemu" &
	pid=$!
	wait "$pid"
	status=$?
	pid=
	tr -d '\r' < "$1" > "$1.text"
}

echo "Linux $(cat "$debian/version"): boots, fills its memory to $percent %, hibernates ..."
machine "$directory/save.log" "compare=save percent=$percent seed=$seed"
if ! grep -q 'reboot: Power down' "$directory/save.log.text"; then
	echo "compare-linux: it did not hibernate (status $status); $directory/save.log" >&2
	tail -n 5 "$directory/save.log.text" >&2
	rm -f "$disk"
	exit 1
fi
on_disk=$(($(du -k "$disk" | cut -f 1) * 1024))
echo "... a second machine resumes ..."
machine "$directory/resume.log" compare=resume
rm -f "$disk"
if [ "$status" != 33 ]; then
	echo "compare-linux: it did not come back as it was (status $status); $directory/resume.log" >&2
	tail -n 5 "$directory/resume.log.text" >&2
	exit 1
fi

# ---- the table ---------------------------------------------------------------------------------

[ -r "$report" ] || report=/dev/null
awk -v on_disk="$on_disk" -v version="$(cat "$debian/version")" -v cpus="$cpus" -v memory="$memory" \
	-v percent="$percent" -f "$(dirname "$0")/compare-linux.awk" \
	"$directory/save.log.text" "$directory/resume.log.text" "$report" | tee "$directory/result.txt"
