#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh <holdfast.elf> <scratch> [directory]: `make run`. Two machines, one story: the first is
# filled and goes to disk, the second is what comes back, and starts the next kernel. Shows it, looks
# at the disk from the outside, and writes <directory>/report.json and serial.log (default build/run).
#
# HOLDFAST_CPUS (2), HOLDFAST_MEMORY (160M; another 96M are added while it runs),
# HOLDFAST_SECONDS (120, for each machine); HOLDFAST_APPEND: more words of the command line;
# HOLDFAST_BRIEF=1: what the machines say goes to serial.log only, a few lines of it are shown.
#
# Exit status: 0 only if everything held; otherwise boot.sh's, or 1.
set -u

elf=$1
scratch=$2
directory=${3:-build/run}
here=$(dirname "$0")
disk=$directory/scratch.img
image=$directory/image.img
log=$directory/serial.log
mkdir -p "$directory"
rm -f "$directory/report.json" "$log" "$log".*
seed=$("$scratch" seed) && "$scratch" make "$disk" "$seed" || exit 2
# A disk for images is one with this label (docs/HOLDFAST.md).
rm -f "$image"
truncate -s 1G "$image" && printf 'HOLDFAST IMAGES' | dd of="$image" conv=notrunc status=none || exit 2
# The kernel that comes after the story, in an archive: the first machine's initrd.
"$(dirname "$scratch")/kexec/mkcpio" "$directory/next.cpio" next="$elf" || exit 2
key=$(od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n')
start=$(date +%s%N)
show=--show
[ -z "${HOLDFAST_BRIEF:-}" ] || show=
trap : INT TERM

# machine N WORDS [arguments for QEMU]: boots it; its serial line goes to the terminal and to serial.log.N.
machine() {
	number=$1 words=$2
	shift 2
	[ "$show" ] || echo "  machine $number: $words${HOLDFAST_APPEND:+ $HOLDFAST_APPEND}"
	# shellcheck disable=SC2086 # one option or none
	"$here/boot.sh" $show --cpus "${HOLDFAST_CPUS:-2}" --memory "${HOLDFAST_MEMORY:-160M},slots=1,maxmem=8G" \
		--seconds "${HOLDFAST_SECONDS:-120}" --log "$log.$number" \
		--append "$words${HOLDFAST_APPEND:+ $HOLDFAST_APPEND} hibernate_key=$key" "$elf" -- \
		-object memory-backend-ram,id=more,size=128M \
		-device virtio-mem-pci,memdev=more,requested-size=96M \
		-drive "if=none,id=disk,format=raw,cache=unsafe,file=$disk" \
		-drive "if=none,id=image,format=raw,cache=unsafe,file=$image" \
		-device virtio-blk-pci,drive=disk -device virtio-blk-pci,drive=image \
		-device virtio-rng-pci "$@" 2> "$log.$number.boot"
}

machine 1 story -initrd "$directory/next.cpio"
status=$?
cat "$log.1" > "$log"
# It switched itself off after the image was complete: that is no verdict, and no failure.
if [ "$status" = 1 ] && grep -aq '^hibernate: powering off' "$log.1" &&
	grep -q 'ended without a verdict' "$log.1.boot"; then
	written=$(du -k "$image" | cut -f 1)
	[ -z "$show" ] || echo "---- The machine is off; its memory is on a disk, in $((written / 1024)) MiB. A new one starts. ----"
	machine 2 resume
	status=$?
	cat "$log.2" >> "$log"
fi
cat "$log".*.boot 2> /dev/null | grep -v 'ended without a verdict' >&2
milliseconds=$((($(date +%s%N) - start) / 1000000))
[ "$show" ] || tr -d '\r' < "$log" | grep -a '^hibernate: .* MiB/s\|^[0-9]* frames verified\|threads went on' | sed 's/^/  /'
[ -z "$show" ] || echo
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
rm -f "$image" "$directory/next.cpio" "$log".*
awk -v status="$status" -v milliseconds="$milliseconds" -v serial="$log" \
	-v disk="$(printf %s "$found" | tr "\n" " ")" -f "$here/report.awk" "$log" > "$directory/report.json"
good=$?

if [ "$status" = 0 ] && [ "$good" = 0 ]; then
	echo "make run: all held, in $((milliseconds / 1000)).$((milliseconds / 100 % 10)) s; $directory/report.json"
	exit 0
fi
echo "make run: FAILED (status $status); $directory/report.json, $log" >&2
[ "$status" != 0 ] && exit "$status"
exit 1
