#!/bin/sh
# SPDX-License-Identifier: MIT
# A consumer builds Kelp with each build system that it is offered for, and runs.
. "$(dirname "$0")/tap.sh"

top=$PWD
# The consumer's own make, not a part of the one that runs this.
unset MAKEFLAGS MFLAGS MAKELEVEL

runs() {
	output=$("$1") || {
		echo "$output"
		return 1
	}
	[ "$output" = "KELP_OK: 40012345 -> 1012345" ] || {
		echo "it printed: $output"
		return 1
	}
}

cmake_consumer() {
	cmake -S examples/consumers/cmake -B "$scratch/cmake-$1" -DKELP="$top" "$@" &&
		cmake --build "$scratch/cmake-$1" && runs "$scratch/cmake-$1/consumer"
}

cmake_default() { cmake_consumer -DCMAKE_BUILD_TYPE=Release; }
cmake_single() { cmake_consumer -DKELP_SINGLE_FORMAT=x86_64 -DKELP_CHECKED=ON; }

# A format that does not exist is refused with the list of those that do.
cmake_refuses() {
	if cmake_consumer -DKELP_FORMATS=vax >"$scratch/refused" 2>&1; then return 1; fi
	tr -s ' \n' ' ' <"$scratch/refused" | grep -q "no format 'vax'; there are: x86_64"
}

meson_tree() {
	mkdir -p "$1/meson/subprojects"
	cp examples/consumers/main.c "$1/"
	cp examples/consumers/meson/meson.build "$1/meson/"
	ln -s "$top" "$1/meson/subprojects/kelp"
}

meson_consumer() {
	tree=$scratch/meson-$1
	shift
	mkdir "$tree" && meson_tree "$tree" && meson setup "$tree/build" "$tree/meson" "$@" &&
		meson compile -C "$tree/build" && runs "$tree/build/consumer"
}

meson_default() { meson_consumer default; }
meson_single() { meson_consumer single -Dkelp:single_format=x86_64 -Dkelp:checked=true; }

meson_refuses() {
	if meson_consumer refused -Dkelp:formats=vax >"$scratch/refused" 2>&1; then return 1; fi
	grep -q "no format vax ; there are: x86_64" "$scratch/refused"
}

# Installed under a prefix, found by pkg-config, built outside of the tree.
pkg_config_consumer() {
	make -s install BOOTSTRAP=no BUILD="$BUILD" DESTDIR="$scratch/root" PREFIX=/opt/kelp &&
		mkdir "$scratch/pkg-config" &&
		cp examples/consumers/main.c "$scratch/" &&
		cp examples/consumers/pkg-config/Makefile "$scratch/pkg-config/" &&
		PKG_CONFIG_PATH=$scratch/root/opt/kelp/lib/pkgconfig \
			PKG_CONFIG_SYSROOT_DIR=$scratch/root \
			make -C "$scratch/pkg-config" CFLAGS="-Wall -Wextra -Werror" &&
		runs "$scratch/pkg-config/build/consumer"
}

check "CMake, all formats" cmake_default
check "CMake, a single format with the debug checks" cmake_single
check "CMake, a format that does not exist is refused" cmake_refuses
check "Meson, all formats" meson_default
check "Meson, a single format with the debug checks" meson_single
check "Meson, a format that does not exist is refused" meson_refuses
check "pkg-config, from an installed tree" pkg_config_consumer
finish
