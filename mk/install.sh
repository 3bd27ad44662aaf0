#!/bin/sh
# SPDX-License-Identifier: MIT
# install.sh DESTDIR PREFIX VERSION LIBRARY HEADER...: what `make install` does. Headers lie under
# PREFIX/include/kelp as they lie in the tree, so a program includes the same names either way.
set -eu

destination=$1 prefix=$2 version=$3 library=$4
shift 4
include=$destination$prefix/include/kelp

mkdir -p "$destination$prefix/lib/pkgconfig" "$include/kelp"
cp "$library" "$destination$prefix/lib/libkelp.a"
cp include/kelp/*.h "$include/kelp/"
for header in "$@"; do
	mkdir -p "$include/$(dirname "$header")"
	cp "$header" "$include/$header"
done
sed "s|@PREFIX@|$prefix|; s|@VERSION@|$version|" kelp.pc.in \
	>"$destination$prefix/lib/pkgconfig/kelp.pc"
