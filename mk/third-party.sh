#!/bin/sh
# SPDX-License-Identifier: MIT
#
# third-party.sh DIRECTORY   unpacks LZ4 and BearSSL into DIRECTORY and makes DIRECTORY/stamp
#
# The archives are the distribution's own (Debian's source packages), pinned by SHA-256. They are
# looked for in DIRECTORY, in $KELP_ARCHIVES, in the user's cache (~/.cache/kelp), and then
# fetched: from the mirror that apt is set up with, from deb.debian.org, from snapshot.debian.org.
# What was fetched is kept in the cache, so that a second clone needs no network.
# Exit status: 0 unpacked, 1 an archive cannot be had, 2 usage.
set -eu

archives() {
	cat <<'T'
l/lz4/lz4_1.9.4.orig.tar.gz 0b0e3aa07c8c063ddf40b082bdf7e37a1562bda40a0ff5272957f3e987e0e54b lz4-1.9.4
b/bearssl/bearssl_0.6+dfsg.1.orig.tar.xz 102a625bd8f6155260867a50c508df8d8c3f796985dd744df1a68e5cd1a79004 bearssl-0.6
T
}
SNAPSHOT=http://snapshot.debian.org/archive/debian/20250520T000000Z

say() { printf 'third-party: %s\n' "$*" >&2; }

[ $# = 1 ] || { echo "usage: $0 DIRECTORY" >&2; exit 2; }
directory=$1
cache=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/kelp

is_right() { [ -f "$1" ] && echo "$2  $1" | sha256sum --check --status -; }

# Where apt gets its packages from, then the places that everybody can reach.
mirrors() {
	if command -v apt-get >/dev/null; then
		apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null |
			grep -E '^https?://.*/debian/?$' | sort -u || true
	fi
	echo http://deb.debian.org/debian
	echo "$SNAPSHOT"
}

download() {
	if command -v curl >/dev/null; then
		curl -fsSL --connect-timeout 20 --max-time 300 -o "$2" "$1"
	elif command -v wget >/dev/null; then
		wget -q -T 60 -O "$2" "$1"
	elif [ -x /usr/lib/apt/apt-helper ]; then
		/usr/lib/apt/apt-helper download-file "$1" "$2"
	else
		say "there is no curl and no wget"
		return 1
	fi
}

# find_archive PATH SUM: prints where it lies.
find_archive() {
	name=${1##*/}
	for place in "$directory" "${KELP_ARCHIVES:-$directory}" "$cache"; do
		if is_right "$place/$name" "$2"; then
			echo "$place/$name"
			return
		fi
	done
	for mirror in $(mirrors); do
		rm -f "$directory/$name.part"
		download "$mirror/pool/main/$1" "$directory/$name.part" >&2 2>/dev/null || continue
		if ! is_right "$directory/$name.part" "$2"; then
			say "$mirror/pool/main/$1 is not the archive that is pinned: not used"
			continue
		fi
		mv "$directory/$name.part" "$directory/$name"
		# The cache is a convenience: a user without a home has none.
		{ mkdir -p "$cache" && cp "$directory/$name" "$cache/$name.$$" &&
			mv "$cache/$name.$$" "$cache/$name"; } 2>/dev/null || true
		say "fetched $name from $mirror"
		echo "$directory/$name"
		return
	done
	say "cannot fetch $name (SHA-256 $2)"
	say "put it into $cache or set KELP_ARCHIVES to where it lies"
	return 1
}

mkdir -p "$directory"
archives | while read -r path sum top; do
	archive=$(find_archive "$path" "$sum") || exit 1
	rm -rf "${directory:?}/$top"
	tar -xf "$archive" -C "$directory" || exit 1
	[ -d "$directory/$top" ] || { say "$archive has no $top/"; exit 1; }
done
touch "$directory/stamp"
