#!/bin/sh
# SPDX-License-Identifier: MIT
#
# hibernate.sh [pattern]: Holdfast to disk and back, on machines of several kinds, and images that
# must be refused. TAP; logs and disks in build/qemu/hibernate/.
#
# First a table of machines: name | options of boot.sh | words for the kernel | what the second
# machine must say. Each fills its memory, goes to disk, and every byte and thread is looked at in
# the machine that comes back. Then one image is made, and copies of it are spoiled.
# With a pattern only the tests whose name contains it.
set -u

cd "$(dirname "$0")/../.." || exit 2
build=${KELP_BUILD:-build}
elf=$build/holdfast/x86_64/holdfast.elf
logs=$build/qemu/hibernate
pattern=${1:-}
key=$(od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n')
mkdir -p "$logs"
exec 9> "$logs/lock"
flock -w 200 9 || { echo "Bail out! another run of this uses $logs"; exit 2; }
[ -e "$elf" ] || { echo "Bail out! $elf is missing: make holdfast"; exit 2; }
disk=$logs/disk.img
log=$logs/boot.log

table() {
	sed '/^#/d;/^$/d' << 'T'
one CPU, 4 levels            | --cpu qemu64 --memory 64M --cpus 1 | carry=70 | 6 of 6 threads
two CPUs, 5 levels           | --cpu max --memory 64M --cpus 2    | carry=70 | 6 of 6 threads
four CPUs                    | --cpu max,-la57 --memory 64M --cpus 4 | carry=50 | 6 of 6 threads
85 % of memory full          | --cpu qemu64 --memory 64M --cpus 2 | carry=85 | 6 of 6 threads
free frames unmapped         | --cpu max --memory 48M --cpus 2    | carry=60 debug_pagealloc=on | 6 of 6 threads
memory that was added        | --cpu qemu64 --cpus 2 --memory 48M,slots=1,maxmem=1G MORE | carry=60 | 6 of 6 threads
an old PC                    | --machine pc --cpu qemu64 --memory 48M --cpus 1 | carry=60 | 6 of 6 threads
T
}

label() {
	rm -f "$disk"
	truncate -s "${1:-128M}" "$disk" && printf 'HOLDFAST IMAGES' | dd of="$disk" conv=notrunc status=none
}

# boot OPTIONS WORDS [KERNEL] [MORE FOR QEMU]: one machine with the disk. OPTIONS that end with MORE:
# and with 16 MiB of memory that the host adds.
# ${drive:-}, when it is set, is another way to the disk.
boot() {
	more=
	options=${1%MORE}
	[ "$options" = "$1" ] ||
		more='-object memory-backend-ram,id=m,size=32M -device virtio-mem-pci,memdev=m,id=v,requested-size=16M'
	# shellcheck disable=SC2086 # options are words
	tests/qemu/boot.sh $options --seconds 60 --log "$log" --append "hibernate_key=$key $2" "${3:-$elf}" -- \
		-drive "if=none,id=d,${drive:-format=raw,cache=unsafe,file=$disk}" -device virtio-blk-pci,drive=d \
		-device virtio-rng-pci $more ${4:-} > "$log.boot" 2>&1 9>&-
}

says() {
	tr -d '\r' < "$log" | grep -aqF -- "$1" || { echo "it does not say: $1"; return 1; }
}

# It switched itself off, the image complete.
is_off() {
	[ "$1" = 1 ] && says 'hibernate: powering off' && grep -q 'ended without a verdict' "$log.boot" ||
		{ echo "it did not go to disk (status $1)"; return 1; }
}

number=0 failed=0
# check NAME FUNCTION ARGUMENTS: the function prints what is wrong.
check() {
	name=$1
	shift
	case $name in *"$pattern"*) ;; *) return ;; esac
	number=$((number + 1))
	began=$(date +%s%N)
	wrong=$("$@" 2>&1)
	if [ -z "$wrong" ]; then
		echo "ok $number - hibernate: $name # $((($(date +%s%N) - began) / 1000000)) ms"
	else
		{ echo "$wrong"; cat "$log.boot"; tail -n 5 "$log"; } | tr -d '\r' | sed 's/^/# /'
		cp "$log" "$logs/$number.log"
		echo "not ok $number - hibernate: $name # $logs/$number.log"
		failed=$((failed + 1))
	fi
}

# There and back.
carry() {
	label
	boot "$1" "$2"
	is_off $? || return
	# The words are the saved kernel's from here on; all that the new one does is to resume.
	boot "$1" resume
	status=$?
	[ "$status" = 0 ] || echo "status $status of the machine that came back"
	says ', 0 differ' && says "$3"
	# Used up: a third machine has nothing to resume.
	boot "$1" run=mem
	[ $? = 0 ] || echo "the third machine did not start"
	says 'hibernate: nothing to resume'
}

# Without switching off: the image is compared with memory, then entered. OPTIONS WORDS
test_resume() {
	label
	boot "$1" "$2 carry_end=test"
	[ $? = 0 ] || echo "status $?"
	says 'hibernate: resumed;' && says ', 0 differ' && says '6 of 6 threads'
}

# The whole chain of checks can fail: one bit of memory is changed after the resume.
spoiled() {
	label
	boot '--memory 48M --cpus 1' 'carry=50 carry_spoil'
	is_off $? || return
	boot '--memory 48M --cpus 1' resume
	[ $? = 1 ] || echo "it did not notice"
	says ', 1 differ'
}

# An attempt that is not made, or fails: the machine goes on, and says why.
goes_on() {
	label "$3"
	boot '--memory 48M --cpus 2' "carry=50 $1"
	[ $? = 1 ] || echo "a failure should have been reported"
	says "$2" && says ', 0 differ' && says '6 of 6 threads'
}

# failing_disk EVENT N WORDS: the disk answers one access with an error: a flush (flush_to_disk), or a
# read (read_aio), once N - 1 flushes have gone well. The 4th comes when the image is complete. The
# machine goes on, so that no later one may resume what it was.
failing_disk() {
	label
	for state in 1 2 3 4 5; do
		printf '[set-state]\nevent = "flush_to_disk"\nstate = "%d"\nnew_state = "%d"\n' \
			$state $((state + 1))
	done > "$logs/blkdebug"
	printf '[inject-error]\nevent = "%s"\nstate = "%d"\nerrno = "5"\nonce = "on"\n' "$1" "$2" \
		>> "$logs/blkdebug"
	drive=driver=raw,file.driver=blkdebug,file.config=$logs/blkdebug
	drive=$drive,file.image.driver=file,file.image.filename=$disk
	boot '--memory 48M --cpus 2' "$3"
	[ $? = 1 ] || echo "a failure should have been reported"
	drive=
	says 'hibernate: The disk hook' && says ', 0 differ' && says '6 of 6 threads'
	boot '--memory 48M --cpus 2' 'run=mem'
	says 'hibernate: nothing to resume'
}

no_label() {
	rm -f "$disk"
	truncate -s 128M "$disk"
	cp "$disk" "$disk.before"
	boot '--memory 48M --cpus 1' 'run=hibernate'
	says 'there is no disk with the label for images'
	cmp -s "$disk" "$disk.before" || echo "the disk was written to"
	rm -f "$disk.before"
}

# ---- one image, spoiled in many ways -----------------------------------------------------------

machine='--cpu max,-la57 --memory 48M --cpus 2'
make_image() {
	label
	boot "$machine" 'carry=50'
	is_off $? && cp --sparse=always "$disk" "$logs/good.img"
}

# refused TEXT [OPTIONS] [WORDS] [KERNEL] [MORE]: a normal boot that says why it did not resume.
refused() {
	boot "${2:-$machine}" "run=mem ${3:-}" "${4:-$elf}" "${5:-}"
	[ $? = 0 ] || echo "it did not boot"
	says 'hibernate: not resumed: ' && says "$1"
	tr -d '\r' < "$log" | grep -aq 'hibernate: resumed' && echo "it was resumed all the same"
}

fresh() {
	cp --sparse=always "$logs/good.img" "$disk"
}

# flip OFFSET: one bit of the disk.
flip() {
	byte=$(od -An -tu1 -j "$1" -N 1 "$disk" | tr -d ' ')
	# shellcheck disable=SC2059 # the byte is made here
	printf "\\$(printf %o $((byte ^ 16)))" | dd of="$disk" bs=1 seek="$1" conv=notrunc status=none
}

# The state block that says so, the header, the records' first and one in the middle.
flipped() {
	fresh
	flip "$1"
	refused "$2"
}

cut_short() {
	fresh
	truncate -s 3M "$disk" && truncate -s 128M "$disk"
	refused 'fail their authentication'
}

other_key() {
	fresh
	key=$(echo "$key" | tr 0-9a-f 1-9a-f0)
	refused 'another key'
}

other_kernel() {
	fresh
	# Another text of the same length: another build.
	sed 's/Holdfast has stopped\./Holdfast has ended.../' "$elf" > "$logs/other.elf"
	cmp -s "$elf" "$logs/other.elf" && echo "it is the same kernel"
	refused 'another kernel' "$machine" '' "$logs/other.elf"
}

other_cpus() {
	fresh
	refused 'another number of CPUs' '--cpu max,-la57 --memory 48M --cpus 1'
	fresh
	refused 'another number of CPUs' '--cpu max,-la57 --memory 48M --cpus 3'
}

other_memory() {
	fresh
	refused 'another memory map' '--cpu max,-la57 --memory 64M --cpus 2'
}

other_cpu() {
	fresh
	refused 'features that this one lacks' '--cpu max,-la57,-smap --memory 48M --cpus 2'
}

other_devices() {
	fresh
	refused 'it had other devices' "$machine" '' "$elf" '-device virtio-balloon-pci'
}

without_key() {
	fresh
	key=
	boot "$machine" run=mem
	[ $? = 0 ] || echo "it did not boot"
	says 'hibernate: no key'
}

# Nothing of all that used it up.
still_good() {
	fresh
	refused 'another number of CPUs' '--cpu max,-la57 --memory 48M --cpus 1'
	boot "$machine" resume
	[ $? = 0 ] || echo "it did not resume"
	says ', 0 differ' && says '6 of 6 threads'
}

trap 'echo "Bail out! interrupted"; exit 130' INT TERM HUP
table > "$logs/table"
while IFS='|' read -r name options words expected <&8; do
	# shellcheck disable=SC2086,SC2116 # blanks around the fields go
	check "$(echo $name)" carry "$(echo $options)" "$(echo $words)" "$(echo $expected)"
done 8< "$logs/table"
check 'without switching off' test_resume '--memory 64M --cpus 2' carry=70
check 'without switching off, 4 levels, free frames unmapped' test_resume \
	'--cpu qemu64 --memory 48M --cpus 2' 'carry=60 debug_pagealloc=on'
check 'without switching off, memory that was added' test_resume \
	'--cpus 2 --memory 48M,slots=1,maxmem=1G MORE' carry=60
check 'a changed bit of memory is noticed' spoiled
check 'secrets that must not be saved' goes_on hibernate_secrets=refuse 'the policy refuses' 128M
check 'a disk that is too small' goes_on '' 'does not fit' 4M
check 'the last flush of the image fails' failing_disk flush_to_disk 4 'carry=50'
check 'an image that cannot be read back' failing_disk read_aio 5 'carry=50 carry_end=test'
check 'a disk without the label' no_label
check 'an image to spoil' make_image
[ -z "$pattern" ] || [ -e "$logs/good.img" ] || make_image
if [ -e "$logs/good.img" ]; then
	check 'a flipped bit in a header' flipped $((4096 + 8192 + 700)) 'not resumed'
	check 'a flipped bit in the first record' flipped $((4096 + 12288 + 100)) 'fail their authentication'
	check 'a flipped bit in the middle' flipped 3000000 'fail their authentication'
	check 'an image cut short' cut_short
	check 'another key' other_key
	check 'no key' without_key
	check 'another kernel' other_kernel
	check 'another number of CPUs' other_cpus
	check 'another memory map' other_memory
	check 'other CPU features' other_cpu
	check 'other devices' other_devices
	check 'refusals leave the image as it was' still_good
fi
echo "1..$number"
rm -f "$disk" "$logs/blkdebug" "$logs/good.img" "$logs/other.elf"
[ "$failed" = 0 ]
