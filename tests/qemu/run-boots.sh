#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run-boots.sh [pattern]: boots Holdfast on many machines. TAP; logs in build/qemu/boots-x86_64/, or
# beside it while another run has that.
#
# Each line of the table: name | seconds | boot.sh options | what it runs or must say.
#   tests        all the kernel's tests
#   tests=PART   those whose name contains PART
#   says TEXT    ends with a failure whose log contains TEXT
#   boots TEXT   ends well, and the log contains TEXT
#   iso TESTS    the same through GRUB from a CD image
# With KELP_TEST_SCALE set, as make soak does, those that take minutes and much memory, too.
# With a pattern only the boots whose name contains it. HOLDFAST_ARCH chooses the kernel and its
# table: x86_64 (default), x86_32.
set -u

cd "$(dirname "$0")/../.." || exit 2
build=${KELP_BUILD:-build}
arch=${HOLDFAST_ARCH:-x86_64}
elf=$build/holdfast/$arch/holdfast.elf
pattern=${1:-}
. tests/qemu/directory.sh
own_directory "$build/qemu/boots-$arch"
logs=$directory

table_x86_64() {
	sed '/^#/d;/^$/d' << 'T'
one CPU, 32 MiB, qemu64            | 60 | --cpu qemu64 --memory 32M --cpus 1 | tests
one CPU, 32 MiB, max               | 60 | --cpu max --memory 32M --cpus 1 | tests
two CPUs, 5 levels                 | 60 | --cpu max --memory 256M --cpus 2 | tests
four CPUs, 4 levels                | 90 | --cpu qemu64 --memory 128M --cpus 4 | tests
four CPUs, 5 levels                | 90 | --cpu max --memory 1G --cpus 4 | tests
no NX                              | 60 | --cpu qemu64,-nx --memory 64M --cpus 1 | tests
max without LA57 and 1 GiB leaves  | 60 | --cpu max,-la57,-pdpe1gb --memory 64M --cpus 2 | tests
max without SMEP, SMAP, UMIP       | 60 | --cpu max,-smep,-smap,-umip --memory 64M --cpus 2 | tests
no global leaves                   | 60 | --cpu max,-pge --memory 64M --cpus 2 | tests
3 GiB, around the hole below 4 GiB | 60 | --cpu max --memory 3G --cpus 1 | tests
5 GiB                              | 60 | --cpu qemu64 --memory 5G --cpus 1 | tests
16 GiB, 4 levels                   | 60 | --cpu qemu64 --memory 16G --cpus 2 | tests=kernel
16 GiB, 5 levels, 1 GiB leaves     | 90 | --cpu max --memory 16G --cpus 2 | tests
16 CPUs                            | 90 | --cpu max --memory 128M --cpus 16 | tests=cpus,reach:,kmap:
64 CPUs                            | 90 | --cpu max --memory 128M --cpus 64 | tests=cpus
only one of four CPUs used         | 60 | --cpu max --memory 64M --cpus 4 --append cpus=1 | tests=kernel
an old PC                          | 60 | --machine pc --cpu max --memory 128M --cpus 2 | tests
microvm                            | 60 | --machine microvm --cpu max --memory 64M --cpus 2 | tests
BIOS, 4 levels                     | 60 | --cpu qemu64 --memory 64M --cpus 1 | iso tests
BIOS, 5 levels, 4 CPUs             | 90 | --cpu max --memory 256M --cpus 4 | iso tests
UEFI, 4 levels                     | 90 | --cpu qemu64 --memory 256M --cpus 1 --uefi | iso tests
UEFI, 5 levels, 2 CPUs             | 90 | --cpu max --memory 1G --cpus 2 --uefi | iso tests
a CPU without 64 bits              | 30 | --cpu qemu32 --memory 64M --cpus 1 | says this CPU has no 64-bit mode
too little memory                  | 30 | --cpu max --memory 3400K --cpus 1 | says needs 32 MiB
64 CPUs, memory for a few          | 90 | --cpu max --memory 4M --cpus 64 | tests=cpus
a page fault                       | 30 | --cpu max --memory 64M --append run=fault_page | says there is no translation
a store to text                    | 30 | --cpu max --memory 64M --append run=fault_text | says the kernel's text
a stack that overflows             | 30 | --cpu max --memory 64M --append run=fault_stack | says a guard page
1 GiB leaves, 4 levels             | 90 | --cpu max,-la57 --memory 4G --cpus 4 | tests=reach:
every frame, in random order       | 60 | --cpu qemu64 --memory 64M --cpus 2 --append churn=1000000 | tests=every
debug_pagealloc, 4 levels, 4 CPUs  | 90 | --cpu qemu64 --memory 128M --cpus 4 --append debug_pagealloc=on | tests
debug_pagealloc, 5 levels, 2 GiB   | 90 | --cpu max --memory 2G --cpus 2 --append debug_pagealloc=on | tests
kmap=force, 4 levels               | 60 | --cpu qemu64 --memory 64M --cpus 2 --append kmap=force | tests
kmap=force and debug_pagealloc     | 60 | --cpu max --memory 64M --cpus 1 --append kmap=force --append debug_pagealloc=on | tests
a use after free                   | 30 | --cpu max --memory 64M --append debug_pagealloc=on --append run=fault_freed | says use_after_free
a use after free, unnoticed        | 30 | --cpu max --memory 64M --append run=fault_freed | boots nothing happened
T
}

table_x86_32() {
	sed '/^#/d;/^$/d' << 'T'
PAE, 64 MiB, 1 CPU                 | 60 | --cpu qemu32 --memory 64M --cpus 1 | tests
PAE and NX, 1 GiB, 4 CPUs          | 90 | --cpu max --memory 1G --cpus 4 | tests
PAE, 8 GiB, 4 CPUs                 | 90 | --cpu max --memory 8G --cpus 4 | tests=kernel:,frames:,kmap:,highmem:
PAE, 1 GiB, 32 CPUs                | 90 | --cpu max --memory 1G --cpus 32 | tests=kernel:,cpus:,highmem:
PAE, an old PC, 3 GiB              | 60 | --machine pc --cpu qemu32 --memory 3G --cpus 2 | tests=kernel:,frames:,mmu:,highmem:
two levels, 1 GiB, 64 CPUs         | 90 | --cpu qemu32,-pae --memory 1G --cpus 64 | tests=cpus:,filled,nest
two levels, 512 MiB, 1 CPU         | 60 | --cpu qemu32,-pae --memory 512M --cpus 1 | tests
two levels, 4 GiB, 2 CPUs          | 60 | --machine pc --cpu qemu32,-pae --memory 4G --cpus 2 | tests=frames:,mmu:,space:,reach:,highmem:
two levels, PSE-36, nopae, 2 GiB   | 60 | --cpu max --memory 2G --cpus 4 --append nopae | tests
no global leaves                   | 60 | --cpu max,-pge --memory 64M --cpus 2 | tests=mmu:,space:,smp:
two levels, memory out of reach    | 60 | --cpu qemu32,-pae --memory 8G --cpus 1 --append run=leaves | boots 6 GiB of RAM lie beyond the 4 GiB
PAE, a CPU with 32 address bits    | 60 | --cpu qemu32 --memory 8G --cpus 1 --append run=leaves | boots 6 GiB of RAM lie beyond what this CPU can address
microvm                            | 60 | --machine microvm --cpu max --memory 64M --cpus 2 | tests=kernel:,cpus:
PAE, every frame in random order   | 60 | --cpu max --memory 64M --cpus 2 --append churn=1000000 | tests=every
two levels, every frame            | 60 | --cpu qemu32,-pae --memory 64M --cpus 2 --append churn=1000000 | tests=every
PAE, debug_pagealloc, 1 GiB        | 60 | --cpu max --memory 1G --cpus 2 --append debug_pagealloc=on | tests=frames:,reach:,kmap:
two levels, kmap=force             | 60 | --cpu max --memory 64M --cpus 2 --append nopae --append kmap=force | tests=space:,kmap:,highmem:
PAE, BIOS                          | 60 | --cpu max --memory 1G --cpus 1 | iso tests
PAE, UEFI of a 64-bit machine      | 90 | --arch x86_64 --cpu qemu64 --memory 256M --cpus 1 --uefi | iso tests
a CPU without SSE2                 | 30 | --cpu pentium3 --memory 64M --cpus 1 | says this CPU is too old
too little memory                  | 30 | --cpu max --memory 3M --cpus 1 | says needs 32 MiB
a page fault                       | 30 | --cpu max --memory 64M --append run=fault_page | says there is no translation
a store to text                    | 30 | --cpu qemu32,-pae --memory 64M --append run=fault_text | says the kernel's text
a stack that overflows             | 30 | --cpu max --memory 64M --append run=fault_stack | says a guard page
a stack that overflows, two levels | 30 | --cpu qemu32,-pae --memory 64M --append run=fault_stack | says a guard page
T
}

# Only for make soak.
long_x86_64() {
	sed '/^#/d;/^$/d' << 'T'
4 GiB, every frame, 1 GiB leaves   | 1800 | --cpu max,-la57 --memory 4G --cpus 4 --append churn=10000000 | tests=every
8 GiB, every frame, 5 levels       | 1800 | --cpu max --memory 8G --cpus 2 --append churn=10000000 | tests=every
T
}

long_x86_32() {
	sed '/^#/d;/^$/d' << 'T'
two levels, 4 GiB, all of it       | 1800 | --machine pc --cpu qemu32,-pae --memory 4G --cpus 2 --append highmem=all | tests=filled
PAE, all of the direct map         | 1800 | --cpu max --memory 1G --cpus 4 --append churn=1000000 | tests=every
T
}

# Only where the host has the memory that these fill.
GIB=1048576
room=$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo)
roomy_x86_64() { :; }
roomy_x86_32() {
	[ "${room:-0}" -gt $((12 * GIB)) ] || return 0
	echo 'PAE, 8 GiB, all of high memory | 300 | --cpu max --memory 8G --cpus 4 --append highmem=all | tests=filled'
}

# The image is made once, when the first boot needs it.
make_iso() {
	[ -e "$logs/tests.iso" ] && [ "$logs/tests.iso" -nt "$elf" ] && return
	kernel/mkiso.sh "$elf" "$logs/tests.iso" exit=qemu test
}

# What the boot of this line prints, and its status.
boot() {
	image=$elf
	case $expected in
	iso*)
		make_iso || return 1
		image=$logs/tests.iso
		;;
	tests) options="$options --append test" ;;
	tests=*) options="$options --append test=${expected#tests=}" ;;
	esac
	# shellcheck disable=SC2086 # options are words
	tests/qemu/boot.sh --arch "$arch" $options --seconds "$seconds" --log "$log" "$image" 2>&1
}

# Did it do what the table says? Nothing is printed when it did.
judge() {
	# Tables other than those that the name promises would be tested in vain.
	case $arch-$name in
	x86_32-PAE*) grep -q '^cpu: .*, PAE paging' "$log" || { echo 'it does not run on PAE tables'; return 1; } ;;
	x86_32-two*) grep -q '^cpu: .*, two-level paging' "$log" || { echo 'it does not run on two-level tables'; return 1; } ;;
	esac
	case $expected in
	says*)
		[ "$status" = 1 ] || { echo "it should have failed, but the status is $status"; return 1; }
		grep -qF -- "${expected#says }" "$log" || { echo "it does not say: ${expected#says }"; return 1; }
		;;
	boots*)
		[ "$status" = 0 ] || { grep -a '^panic' "$log"; return 1; }
		grep -qF -- "${expected#boots }" "$log" || { echo "it does not say: ${expected#boots }"; return 1; }
		;;
	*)
		[ "$status" = 0 ] || { grep -a '^not ok\|^# kernel/\|^panic' "$log"; return 1; }
		# The plan, and as many results: a kernel that ran nothing has not passed.
		tr -d '\r' < "$log" | awk '/^1\.\.[0-9]+$/ { plan = substr($0, 4) } /^ok / { good++ }
			END { if (!plan || plan != good) { print good + 0 " of " plan + 0 " tests passed"; exit 1 } }'
		;;
	esac
}

{ "table_$arch"; "roomy_$arch"; [ -z "${KELP_TEST_SCALE:-}" ] || "long_$arch"; } | { [ -z "$pattern" ] && cat || grep -- "$pattern"; } > "$logs/table"
total=$(wc -l < "$logs/table")
echo "1..$total"
number=0 failed=0
trap 'echo "Bail out! interrupted"; exit 130' INT TERM
while IFS='|' read -r name seconds options expected; do
	name=$(echo $name) seconds=$(echo $seconds) expected=$(echo $expected)
	number=$((number + 1))
	log=$logs/boot-$number.log
	start=$(date +%s%N)
	output=$(boot)
	status=$?
	if output="$output$(judge)"; then
		echo "ok $number - boot: $name # $((($(date +%s%N) - start) / 1000000)) ms"
	else
		echo "$output" | sed 's/^/# /'
		echo "not ok $number - boot: $name # $log"
		failed=$((failed + 1))
	fi
done < "$logs/table"
[ "$failed" = 0 ]
