#!/bin/sh
# SPDX-License-Identifier: MIT
#
# boot.sh: one boot of Holdfast in QEMU, with a time limit.
#
#	boot.sh [options] <holdfast.elf | image.iso> [-- arguments for QEMU]
#
#	--seconds N      kill it after N seconds (default 60)
#	--log FILE       where the serial line is kept (default build/run/serial.log)
#	--append WORDS   on the command line of the kernel; may be repeated. Not for an image, which
#	                 brings its own
#	--arch NAME      the machine for an image: x86_64 (default) or x86_32. A kernel tells itself
#	--cpu MODEL      default max
#	--memory SIZE    default 256M
#	--cpus N         default 2
#	--machine TYPE   default q35
#	--uefi           start an image through OVMF instead of the BIOS
#	--show           show the serial line while it runs
#
# HOLDFAST_ACCEL chooses the accelerator (default tcg: the emulated CPU, the same everywhere).
#
# Exit status: 0 the kernel said that all is well; 1 it said otherwise, or stopped without a word;
# 2 wrong arguments or no QEMU; 124 it took too long; 130 interrupted. The log stays in any case.
set -u

usage() {
	sed -n '4,25s/^# \{0,1\}//p' "$0"
}

seconds=60 log=build/run/serial.log append='' cpu=max memory=256M cpus=2 machine=q35 uefi='' show=''
arch=x86_64
while [ $# -gt 0 ]; do
	case $1 in
	--seconds) seconds=$2; shift 2 ;;
	--log) log=$2; shift 2 ;;
	--append) append="$append $2"; shift 2 ;;
	--arch) arch=$2; shift 2 ;;
	--cpu) cpu=$2; shift 2 ;;
	--memory) memory=$2; shift 2 ;;
	--cpus) cpus=$2; shift 2 ;;
	--machine) machine=$2; shift 2 ;;
	--uefi) uefi=yes; shift ;;
	--show) show=yes; shift ;;
	--help) usage; exit 0 ;;
	-*) usage >&2; exit 2 ;;
	*) break ;;
	esac
done
[ $# -ge 1 ] || { usage >&2; exit 2; }
image=$1
shift
[ "${1-}" = -- ] && shift

# Byte 4 of an ELF file: 1 has 32 bits, 2 has 64.
case $image in *.iso) ;; *) [ "$(od -An -tu1 -j4 -N1 "$image" 2> /dev/null | tr -d ' ')" = 1 ] && arch=x86_32 ;; esac
case $arch in
x86_32) qemu=${QEMU_I386:-qemu-system-i386} ;;
*) qemu=${QEMU:-qemu-system-x86_64} ;;
esac
command -v "$qemu" > /dev/null || { echo "boot.sh: $qemu is missing (Debian: qemu-system-x86)" >&2; exit 2; }
[ -r "$image" ] || { echo "boot.sh: $image is missing: make holdfast" >&2; exit 2; }
mkdir -p "$(dirname "$log")"

case $image in
*.iso) set -- -cdrom "$image" "$@" ;;
*) set -- -kernel "$image" -append "exit=qemu$append" "$@" ;;
esac
if [ -n "$uefi" ]; then
	firmware=${OVMF:-/usr/share/ovmf/OVMF.fd}
	[ -r "$firmware" ] || { echo "boot.sh: $firmware is missing (Debian: ovmf)" >&2; exit 2; }
	set -- -bios "$firmware" "$@"
fi
if [ -n "$show" ]; then
	set -- -chardev "stdio,id=line,signal=off,logfile=$log" "$@"
else
	set -- -chardev "file,id=line,path=$log" "$@"
fi

# QEMU runs beside this shell, so that signals and the end of time reach it here.
: > "$log"
"$qemu" -machine "$machine" -accel "${HOLDFAST_ACCEL:-tcg}" -cpu "$cpu" -m "$memory" \
	-smp "$cpus" -display none -nodefaults -no-reboot -serial chardev:line \
	-device isa-debug-exit,iobase=0xf4,iosize=4 "$@" < /dev/null 2> "$log.qemu" &
pid=$!
(
	sleep "$seconds" > /dev/null 2>&1 &
	nap=$!
	trap 'kill $nap 2> /dev/null; exit 0' TERM
	wait $nap
	: > "$log.timeout"
	kill -9 $pid 2> /dev/null
) &
watch=$!
rm -f "$log.timeout"
trap 'kill $watch $pid 2> /dev/null; wait 2> /dev/null
	echo "boot.sh: interrupted; the serial log is $log" >&2; exit 130' INT TERM HUP
wait $pid
status=$?
trap - INT TERM HUP
kill $watch 2> /dev/null
wait $watch 2> /dev/null

if [ -e "$log.timeout" ]; then
	rm -f "$log.timeout"
	echo "boot.sh: no end after $seconds s; the serial log is $log, its last lines:" >&2
	tail -n 5 "$log" >&2
	exit 124
fi
# (value << 1) | 1, as isa-debug-exit ends QEMU: boot_magic.h.
case $status in
33) rm -f "$log.qemu"; exit 0 ;;
35) echo "boot.sh: the kernel says that something failed; the serial log is $log" >&2 ;;
0) echo "boot.sh: the machine ended without a verdict; the serial log is $log" >&2 ;;
*)
	echo "boot.sh: QEMU ended with status $status; the serial log is $log" >&2
	cat "$log.qemu" >&2
	;;
esac
exit 1
