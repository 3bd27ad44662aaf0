#!/bin/sh
# SPDX-License-Identifier: MIT
#
# kexec.sh [pattern]: Holdfast starts another kernel: itself, with a message carried across, and a
# stock Debian Linux, down to its user space. TAP; logs in build/qemu/kexec/.
#
# Each line of the table: name | seconds | options of boot.sh | words for the kernel | what is
# expected: `ends` well or `refuses`, then texts that the log must have, in this order, with
# commas between (_ for blanks).
set -u

cd "$(dirname "$0")/../.." || exit 2
build=${KELP_BUILD:-build}
elf=$build/holdfast/x86_64/holdfast.elf
tools=$build/holdfast/kexec
debian=$build/debian-kernel
pattern=${1:-}
. tests/qemu/directory.sh
own_directory "$build/qemu/kexec"

self=run=kexec_holdfast_exit=qemu_test=kernel:
devices=run=kexec_holdfast_exit=qemu_test=random:
linux=run=kexec_linux_initrd_console=ttyS0_quiet_marker=7

table() {
	grep -v '^#' << T
itself, 4 levels        | 30 | --cpu qemu64 --cpus 2 | $self | ends,message_from_a_Holdfast_of_2_CPUs_and_4-level,_passed,_0_failed
itself, 5 levels        | 30 | --cpu max --cpus 4 | $self | ends,message_from_a_Holdfast_of_4_CPUs_and_5-level,_passed,_0_failed
its devices work again  | 30 | --cpu max --cpus 2 | $devices | ends,virtio-rng,virtio-blk,on_to_holdfast,virtio-rng,virtio-blk,message_from,_passed,_0_failed,_0_skipped
itself, in 32 MiB       | 30 | --cpu qemu64 --cpus 1 --memory 32M | $self | ends,message_from_a_Holdfast_of_1_CPUs,_passed,_0_failed
itself, past 4 GiB      | 30 | --cpu max --cpus 2 --memory 5G | $self | ends,message_from_a_Holdfast,_passed,_0_failed
itself, frames absent   | 30 | --cpu qemu64 --cpus 2 --append debug_pagealloc=on | $self | ends,message_from_a_Holdfast,_passed,_0_failed
its last step           | 30 | --cpu max --cpus 2 | run=kexec_holdfast_exit=qemu_arrived | ends,message_from,report:
itself, an old PC       | 30 | --machine pc --cpu max --cpus 2 | $self | ends,message_from_a_Holdfast,_passed,_0_failed
no such file            | 20 | --cpu qemu64 | run=kexec_nothing | refuses,there_is_no_file,holdfast_
not a kernel            | 20 | --cpu qemu64 | run=kexec_initrd | refuses,neither_a_Linux_kernel
T
	[ -r "$debian/vmlinuz" ] && grep -v '^#' << T
Linux, 4 levels         | 60 | --cpu max,-la57 --cpus 2 | $linux | ends,on_to_Linux_6,linux:_user_space_reached,marker=7,linux:_MemTotal:,System_RAM
Linux, 5 levels, 128 MiB | 60 | --cpu max --cpus 2 --memory 128M | $linux | ends,on_to_Linux_6,linux:_user_space_reached,marker=7,linux:_MemTotal:,System_RAM
Linux without 5 levels  | 20 | --cpu max | run=kexec_linux4_initrd | refuses,built_without_5-level_paging
Linux in 32 MiB         | 20 | --cpu qemu64 --memory 32M | run=kexec_linux_initrd | refuses,there_is_no_room_for_it
T
}

# ---- what is started ---------------------------------------------------------------------------

archive=$directory/archive.cpio
[ -x "$tools/mkcpio" ] || { echo "Bail out! $tools/mkcpio is missing: make test-programs"; exit 2; }
"$tools/mkcpio" "$directory/initrd.cpio" init="$tools/linux-init" || exit 2
set -- holdfast="$elf" initrd="$directory/initrd.cpio"
if [ -r "$debian/vmlinuz" ]; then
	# A kernel that says of itself that it was built without: bits 5 and 6 of xloadflags.
	cp "$debian/vmlinuz" "$directory/linux4"
	flags=$(od -An -tu1 -j566 -N1 "$debian/vmlinuz" | tr -d ' ')
	# shellcheck disable=SC2059 # an octal escape
	printf "\\$(printf %o $((flags & 159)))" | dd of="$directory/linux4" bs=1 seek=566 conv=notrunc 2> /dev/null
	set -- "$@" linux="$debian/vmlinuz" linux4="$directory/linux4"
fi
"$tools/mkcpio" "$archive" "$@" || exit 2
# What a small machine has room for beside itself.
"$tools/mkcpio" "$directory/small.cpio" holdfast="$elf" || exit 2

# ---- the table ---------------------------------------------------------------------------------

# The log has all texts, one after the other.
has_in_order() {
	awk -v texts="$2" '
	BEGIN { n = split(texts, text, ","); for (i = 1; i <= n; i++) gsub("_", " ", text[i]); at = 1 }
	{ rest = $0
	  while (at <= n && (p = index(rest, text[at]))) { rest = substr(rest, p + length(text[at])); at++ } }
	END { if (at <= n) { print "# not in the log, or not in this order: " text[at]; exit 1 } }' "$1"
}

table | awk -F'|' -v p="$pattern" 'index($1, p)' > "$directory/table"
count=$(wc -l < "$directory/table")
skipped=0
[ -r "$debian/vmlinuz" ] || skipped=1
echo "1..$((count + skipped))"
number=0 failed=0
while IFS='|' read -r name seconds options words expected; do
	number=$((number + 1))
	name=$(echo "$name" | sed 's/ *$//')
	log=$directory/$(echo "$name" | tr -c 'a-z0-9A-Z\n' -).log
	files=$archive
	case $options in *'--memory 32M'*) case $words in *holdfast*) files=$directory/small.cpio ;; esac ;; esac
	# shellcheck disable=SC2086 # options and words
	tests/qemu/boot.sh --seconds $seconds --log "$log" $options --append $words "$elf" -- \
		-initrd "$files" -device virtio-rng-pci -device virtio-blk-pci,drive=d \
		-drive if=none,id=d,driver=null-co,size=16M,read-zeroes=on > "$log.out" 2>&1 9>&-
	status=$?
	expected=$(echo "$expected" | tr -d ' ')
	case ${expected%%,*} in ends) wanted=0 ;; *) wanted=1 ;; esac
	tr -d '\r' < "$log" > "$log.text"
	if [ $status = $wanted ] && has_in_order "$log.text" "${expected#*,}"; then
		echo "ok $number - kexec: $name"
	else
		sed 's/^/# /' "$log.out"
		tail -n 5 "$log.text" | sed 's/^/# /'
		echo "not ok $number - kexec: $name"
		failed=$((failed + 1))
	fi
done < "$directory/table"
if [ $skipped = 1 ]; then
	echo "ok $((number + 1)) - kexec: Linux # SKIP $(cat "$debian/missing" 2> /dev/null ||
		echo 'the Debian kernel is not there: make test-programs fetches it')"
fi
[ $failed = 0 ]
