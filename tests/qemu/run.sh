#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh <holdfast.elf> <scratch> [directory]: `make run`. Boots with two CPUs, a disk and an
# entropy device, shows the story, looks at the disk from the outside, and writes
# <directory>/report.json and serial.log (default build/run).
#
# Exit status: 0 only if everything held; otherwise boot.sh's, or 1.
set -u

elf=$1
scratch=$2
directory=${3:-build/run}
here=$(dirname "$0")
disk=$directory/scratch.img
mkdir -p "$directory"
rm -f "$directory/report.json"
seed=$("$scratch" seed) && "$scratch" make "$disk" "$seed" || exit 2
start=$(date +%s%N)
trap : INT TERM
"$here/boot.sh" --show --cpus "${HOLDFAST_CPUS:-2}" --seconds "${HOLDFAST_SECONDS:-120}" \
	--log "$directory/serial.log" --append story "$elf" -- \
	-drive "if=none,id=disk,format=raw,cache=unsafe,file=$disk" \
	-device virtio-blk-pci,drive=disk -device virtio-rng-pci
status=$?
milliseconds=$((($(date +%s%N) - start) / 1000000))
echo
found='not looked at: the machine did not come to its end'
if [ "$status" -gt 1 ]; then
	rm -f "$disk"
elif found=$("$scratch" check "$disk" "$seed"); then
	echo "The disk, seen from the host: what the kernel wrote is there, nothing else was changed."
	rm -f "$disk"
else
	echo "The disk, seen from the host, is not as it should be ($disk, seed $seed):"
	echo "$found" | sed 's/^/  /'
fi
awk -v status="$status" -v milliseconds="$milliseconds" -v serial="$directory/serial.log" \
	-v disk="$(printf %s "$found" | tr "\n" " ")" -f "$here/report.awk" "$directory/serial.log" > "$directory/report.json"
good=$?

if [ "$status" = 0 ] && [ "$good" = 0 ]; then
	echo "make run: all held, in $((milliseconds / 1000)).$((milliseconds / 100 % 10)) s; $directory/report.json"
	exit 0
fi
echo "make run: FAILED (status $status); $directory/report.json, $directory/serial.log" >&2
[ "$status" != 0 ] && exit "$status"
exit 1
