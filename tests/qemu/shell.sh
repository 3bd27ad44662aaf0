#!/bin/sh
# SPDX-License-Identifier: MIT
#
# shell.sh <holdfast.elf> [arguments for QEMU]: `make shell`. Holdfast's monitor on this terminal.
# Ctrl-A x ends QEMU, Ctrl-A c is QEMU's own monitor. The serial line is kept in build/run/shell.log.
#
# There is an entropy device; HOLDFAST_DISK names a disk image to have too, HOLDFAST_INITRD an archive of
# files for `kexec`. What the machine is like:
# HOLDFAST_MACHINE, HOLDFAST_CPU, HOLDFAST_CPUS, HOLDFAST_MEMORY; HOLDFAST_APPEND is for the kernel.
set -u

elf=$1
shift
# Byte 4 of an ELF file: 1 has 32 bits, 2 has 64.
if [ "$(od -An -tu1 -j4 -N1 "$elf" | tr -d ' ')" = 1 ]; then
	qemu=${QEMU_I386:-qemu-system-i386}
else
	qemu=${QEMU:-qemu-system-x86_64}
fi
command -v "$qemu" > /dev/null || { echo "shell.sh: $qemu is missing (Debian: qemu-system-x86)" >&2; exit 2; }
mkdir -p build/run
echo 'Ctrl-A x ends QEMU; `poweroff` ends Holdfast.'
[ -z "${HOLDFAST_DISK:-}" ] ||
	set -- -drive "if=none,id=disk,format=raw,file=$HOLDFAST_DISK" -device virtio-blk-pci,drive=disk "$@"
[ -z "${HOLDFAST_INITRD:-}" ] || set -- -initrd "$HOLDFAST_INITRD" "$@"
exec "$qemu" -machine "${HOLDFAST_MACHINE:-q35}" -accel "${HOLDFAST_ACCEL:-tcg}" -cpu "${HOLDFAST_CPU:-max}" \
	-m "${HOLDFAST_MEMORY:-256M}" -smp "${HOLDFAST_CPUS:-2}" -display none -nodefaults -no-reboot \
	-chardev stdio,id=line,mux=on,signal=off,logfile=build/run/shell.log \
	-serial chardev:line -mon chardev=line -device virtio-rng-pci -kernel "$elf" \
	-append "${HOLDFAST_APPEND:-}" "$@"
