#!/bin/sh
# SPDX-License-Identifier: MIT
# mk/third-party.sh without a network: archives that are there are used, others are not trusted.
. "$(dirname "$0")/tap.sh"

case $BUILD in /*) archives=$BUILD/third-party ;; *) archives=$PWD/$BUILD/third-party ;; esac
# Nothing can be fetched, and nobody's cache is looked at.
mkdir "$scratch/bin"
printf '#!/bin/sh\nexit 7\n' >"$scratch/bin/curl"
chmod +x "$scratch/bin/curl"
export HOME="$scratch/home" PATH="$scratch/bin:$PATH"
unset XDG_CACHE_HOME

# What the build fetched, or found in the cache of the user who builds.
collect() {
	mkdir -p "$scratch/archives"
	for file in "$archives"/*.tar.* "$1"/.cache/kelp/*.tar.*; do
		[ ! -f "$file" ] || cp "$file" "$scratch/archives/"
	done
	[ "$(find "$scratch/archives" -type f | wc -l)" -ge 2 ]
}
unpacks() {
	KELP_ARCHIVES=$scratch/archives mk/third-party.sh "$scratch/good" &&
		[ -f "$scratch/good/stamp" ] && [ -f "$scratch/good/lz4-1.9.4/lib/lz4.c" ] &&
		[ -f "$scratch/good/bearssl-0.6/src/symcipher/chacha20_ct.c" ]
}
refuses_others() {
	mkdir "$scratch/bad"
	cp "$scratch/archives/"* "$scratch/bad/"
	for file in "$scratch/bad/"*; do printf x >>"$file"; done
	if KELP_ARCHIVES=$scratch/bad mk/third-party.sh "$scratch/refused" >"$scratch/out" 2>&1; then
		return 1
	fi
	cat "$scratch/out"
	[ ! -e "$scratch/refused/stamp" ] && grep -q 'cannot fetch' "$scratch/out" &&
		grep -q 'KELP_ARCHIVES' "$scratch/out"
}
usage() {
	rc=0
	mk/third-party.sh 2>"$scratch/out" || rc=$?
	[ "$rc" = 2 ]
}

home=$(getent passwd "$(id -u)" | cut -d: -f6)
check "the archives that the build used are there" collect "$home"
check "they are unpacked without a network" unpacks
check "archives with another checksum are refused, with what to do" refuses_others
check "usage" usage
finish
