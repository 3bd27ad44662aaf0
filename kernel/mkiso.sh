#!/bin/sh
# SPDX-License-Identifier: MIT
#
# mkiso.sh: a CD image that boots Holdfast through GRUB, on BIOS and on UEFI.
#
#	mkiso.sh <holdfast.elf> <image.iso> [command line]
#
# With a command line it boots at once with it; without, GRUB shows a menu for five seconds.
# Needs grub-mkrescue (grub-pc-bin, grub-efi-amd64-bin), xorriso and mtools.
set -eu

if [ $# -lt 2 ]; then
	sed -n '4,10s/^# \{0,1\}//p' "$0" >&2
	exit 2
fi
elf=$1
image=$2
shift 2

for tool in grub-mkrescue xorriso mformat; do
	if ! command -v "$tool" > /dev/null; then
		echo "mkiso.sh: $tool is missing; install grub-pc-bin grub-efi-amd64-bin xorriso mtools" >&2
		exit 1
	fi
done

tree=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-iso.XXXXXX")
trap 'rm -rf "$tree"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$tree/boot/grub"
cp "$elf" "$tree/boot/holdfast.elf"

{
	echo 'serial --unit=0 --speed=115200'
	echo 'terminal_input serial console'
	echo 'terminal_output serial console'
	if [ $# -gt 0 ]; then
		echo 'set timeout=0'
		echo "menuentry 'Holdfast' { multiboot2 /boot/holdfast.elf $*; }"
	else
		echo 'set timeout=5'
		echo "menuentry 'Holdfast: the monitor' { multiboot2 /boot/holdfast.elf monitor; }"
		echo "menuentry 'Holdfast: its tests' { multiboot2 /boot/holdfast.elf test; }"
		echo "menuentry 'Holdfast: the whole story' { multiboot2 /boot/holdfast.elf story; }"
	fi
} > "$tree/boot/grub/grub.cfg"

# Only what is needed goes in; GRUB loads all partition readers by itself.
modules='multiboot2 normal serial terminal iso9660 part_acorn part_amiga part_apple part_bsd
	part_dfly part_dvh part_gpt part_msdos part_plan part_sun part_sunpc'
if ! grub-mkrescue -o "$image.new" --install-modules="$modules" --locales= --themes= --fonts= "$tree" > "$tree.log" 2>&1; then
	cat "$tree.log" >&2
	rm -f "$tree.log" "$image.new"
	exit 1
fi
rm -f "$tree.log"
mv "$image.new" "$image"
