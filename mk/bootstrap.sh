#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bootstrap.sh [--build-dir DIR] TARGET...   called by make before anything else
# bootstrap.sh --list                        prints what is needed, and by which targets
#
# Makes sure that the tools a make target needs are there. When all are, it prints nothing and
# takes a few milliseconds: what was found is remembered in DIR/bootstrap-<group>, and only
# whether it is still there is looked at. What is missing is installed with apt-get on Debian and
# its relatives (with sudo for those who are not root), and named on other systems.
# Exit status: 0 all there, 1 something is missing, 2 usage.
set -eu

# One line per need: group, package on Debian, what must work.
#   tool NAME     a program on PATH
#   try COMMAND   a compiler that can build `int main(void)` so
#   file PATH     a file that somebody reads
# @ in a package name is the major version of the distribution's clang.
needs() {
	cat <<'T'
build clang                tool clang
build lld                  tool ld.lld
build llvm                 tool llvm-ar
build llvm                 tool llvm-nm
build llvm                 tool llvm-objdump
build curl                 tool curl
build xz-utils             tool xz
build libc6-dev            try clang -include stdio.h -lpthread
test  gcc                  tool gcc
test  libcmocka-dev        try clang -include CMOCKA -lcmocka
test  libclang-rt-@-dev    try clang -fsanitize=address,undefined
test  libclang-rt-@-dev    try clang -fsanitize=thread
test  libclang-rt-@-dev    try clang -fsanitize=fuzzer -Dmain=LLVMFuzzerTestOneInput
test  cmake                tool cmake
test  meson                tool meson
test  ninja-build          tool ninja
test  pkg-config           tool pkg-config
test  universal-ctags      tool ctags
test  spin                 tool spin
qemu  qemu-system-x86      tool qemu-system-x86_64
qemu  qemu-system-x86      tool qemu-system-i386
iso   grub-common          tool grub-mkrescue
iso   grub-pc-bin          file /usr/lib/grub/i386-pc/multiboot2.mod
iso   grub-efi-amd64-bin   file /usr/lib/grub/x86_64-efi/multiboot2.mod
iso   xorriso              tool xorriso
iso   mtools               tool mformat
uefi  ovmf                 file /usr/share/ovmf/OVMF.fd
T
	# The 32-bit build of the same tests; its cmocka comes from the i386 architecture.
	[ "$(uname -m)" = x86_64 ] && cat <<'T'
test  gcc-multilib         try gcc -m32 -include stdio.h
test  libcmocka-dev:i386   try gcc -m32 -include CMOCKA -lcmocka
T
	return 0
}

# What a make target needs; a target that is not named here may need all that tests need.
groups_of() {
	for target in "$@"; do
		case $target in
		all | lib | tools | install | targets | check-symbols | bench | holdfast) echo build ;;
		run | churn | shell | compare-linux | kexec-files) echo build qemu ;;
		iso) echo build iso ;;
		clean | help) ;;
		*) echo build test qemu iso uefi ;;
		esac
	done | tr ' ' '\n' | sort -u
}

say() { printf 'bootstrap: %s\n' "$*" >&2; }

# Looks for one need; prints the files that were found, so that their absence is noticed later.
find_need() {
	kind=$1
	shift
	if [ "$kind" = tool ]; then
		command -v "$1"
		return
	fi
	if [ "$kind" = file ]; then
		[ -r "$1" ] && echo "$1"
		return
	fi
	command -v "$1" >/dev/null || return 1
	command=$(echo "$*" | sed 's/CMOCKA/setjmp.h -include stdarg.h -include stddef.h -include stdint.h -include cmocka.h/')
	# shellcheck disable=SC2086 # the words of a command line
	echo 'int main(void) { return 0; }' |
		$command -x c -Wl,--trace -o "$scratch/program" - 2>/dev/null >"$scratch/files" ||
		return 1
	tr ' ()' '\n\n\n' <"$scratch/files" | grep '^/' | while read -r file; do
		[ ! -e "$file" ] || case $file in "$scratch"* | /tmp/*) ;; *) echo "$file" ;; esac
	done | sort -u
}

# True when everything that was found last time is still there.
remembered() {
	stamp=$directory/bootstrap-$1
	[ -f "$stamp" ] || return 1
	[ -z "$(find "$0" -newer "$stamp")" ] || return 1
	{
		read -r path && [ "$path" = "$PATH" ] || return 1
		while read -r file; do
			[ -e "$file" ] || return 1
		done
	} <"$stamp"
}

# Looks for all needs of a group; sets $missing (packages) and $unmet (lines for people).
look_for() {
	group=$1
	mkdir -p "$directory"
	echo "$PATH" >"$scratch/stamp"
	before=$missing
	while read -r need_group package what; do
		[ "$need_group" = "$group" ] || continue
		# shellcheck disable=SC2086 # kind and the words of a command line
		if ! find_need $what >>"$scratch/stamp"; then
			case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac
			unmet="$unmet$(printf '\n  %-22s %s' "$package" "${what#* }")"
		fi
	done <"$scratch/needs"
	[ "$missing" != "$before" ] || cp "$scratch/stamp" "$directory/bootstrap-$group"
}

# The major version of clang: that of the installed one, else that of the distribution's.
clang_version() {
	if command -v clang >/dev/null; then
		clang -dumpversion | cut -d. -f1
	else
		apt-cache depends clang | sed -n 's/.*Depends: clang-\([0-9][0-9]*\)$/\1/p' | head -n 1
	fi
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		env DEBIAN_FRONTEND=noninteractive "$@"
	else
		sudo env DEBIAN_FRONTEND=noninteractive "$@"
	fi
}

# Runs apt-get; its output goes to a log, of which people see the line per package.
apt() {
	{
		rc=0
		as_root apt-get -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" 2>&1 || rc=$?
		echo "apt-get: exit status $rc"
	} | tee -a "$directory/bootstrap.log" | sed -n 's/^Setting up \([^ ]*\).*/  installed \1/p' >&2
	tail -n 1 "$directory/bootstrap.log" | grep -q 'exit status 0$'
}

install_missing() {
	if ! command -v apt-get >/dev/null; then
		say "these tools are missing (Debian's package, what must work):$(echo "$unmet" | sed "s/-@-/-VERSION-/")"
		say "install them with your system's package manager, or build without this check:"
		say "make BOOTSTRAP=no"
		return 1
	fi
	if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
		say "these packages are missing:$missing"
		say "you are not root and there is no sudo: have an administrator install them"
		return 1
	fi
	say "installing what is missing with apt-get:$missing"
	: >"$directory/bootstrap.log"
	case $missing in *:i386*)
		as_root dpkg --add-architecture i386
		;;
	esac
	apt update || say "apt-get update failed; trying with the package lists that are there"
	version=$(clang_version)
	# shellcheck disable=SC2046 # a list of packages
	if ! apt install --no-install-recommends $(echo "$missing" | sed "s/-@-/-$version-/g"); then
		tail -n 20 "$directory/bootstrap.log" >&2
		say "apt-get could not install:$missing"
		say "its whole output is in $directory/bootstrap.log"
		return 1
	fi
}

list() {
	echo "group  Debian's package       what must work"
	needs | while read -r group package what; do
		printf '%-6s %-22s %s\n' "$group" "$package" "${what#* }"
	done
	echo
	echo "build: make, make lib, targets, check-symbols, bench, install, holdfast"
	echo "qemu:  make run, make shell, make compare-linux; iso: make iso"
	echo "all:   make test, make soak"
}

directory=build
case ${1-} in
--list)
	list
	exit 0
	;;
--build-dir)
	directory=$2
	shift 2
	;;
-*)
	echo "usage: $0 [--build-dir DIR] TARGET... | --list" >&2
	exit 2
	;;
esac

missing='' unmet='' todo=''
for group in $(groups_of "$@"); do
	remembered "$group" || todo="$todo $group"
done
[ -n "$todo" ] || exit 0

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
needs >"$scratch/needs"
for group in $todo; do look_for "$group"; done
[ -n "$missing" ] || exit 0

install_missing
missing='' unmet=''
for group in $todo; do look_for "$group"; done
if [ -n "$missing" ]; then
	say "installed, and still not working (Debian's package, what must work):$unmet"
	exit 1
fi
say "all tools are there now"
