#!/bin/sh
# SPDX-License-Identifier: MIT
# kelp-image.sh KELP MAKE-IMAGE: what `kelp image` prints and exits with.
case $1 in /*) kelp=$1 ;; *) kelp=$PWD/$1 ;; esac
case $2 in /*) make_image=$2 ;; *) make_image=$PWD/$2 ;; esac
. "$(dirname "$0")/../house/tap.sh"

files=$scratch/files
mkdir "$files"
"$make_image" "$files" || exit 1
key=$(od -An -v -tx1 "$files/key" | tr -d ' \n')

# expect STATUS PATTERN ARGUMENT...: the exit status, and a line of the output.
expect() {
	status=$1 pattern=$2
	shift 2
	rc=0
	"$kelp" image "$@" >"$scratch/out" 2>&1 || rc=$?
	cat "$scratch/out"
	[ "$rc" = "$status" ] || { echo "exit status $rc, expected $status"; return 1; }
	grep -qE -- "$pattern" "$scratch/out"
}

# JSON that a parser takes, with a member that has this value.
json() {
	python3 -c 'import json, sys
value = json.load(open(sys.argv[1]))[sys.argv[2]]
sys.exit(0 if str(value) == sys.argv[3] else "%s is %s" % (sys.argv[2], value))' "$scratch/out" "$1" "$2"
}

info_without_key() {
	expect 0 '^authentic +not checked' info "$files/disk" &&
		expect 0 '^frames +[1-9][0-9]* of 4.0 KiB' info "$files/disk" &&
		expect 0 '.' info "$files/disk" --json && json state complete && json authentic unchecked &&
		json page_size 4096
}
info_with_key() {
	expect 0 '^authentic +yes' info "$files/disk" --key "$key" &&
		expect 0 '.' info "$files/disk" --key-file "$files/key" --json && json authentic good
}
another_key() {
	other=$(echo "$key" | tr '0123456789abcdef' '123456789abcdef0')
	expect 1 'another key' info "$files/disk" --key "$other" &&
		expect 1 'another key' verify "$files/disk" --key "$other" &&
		expect 1 '.' verify "$files/disk" --key "$other" --json && json verdict other-key
}
nothing_to_resume() {
	for file in empty consumed; do
		expect 3 '.' info "$files/$file" && expect 3 'nothing to resume' verify "$files/$file" --key "$key" ||
			return 1
	done
	expect 3 'consumed' info "$files/consumed" --key-file "$files/key"
}
verifies() {
	expect 0 'whole and authentic' verify "$files/disk" --key-file "$files/key" &&
		expect 0 '.' verify "$files/disk" --key "$key" --json && json verdict good &&
		expect 0 'whole and authentic' verify "$files/disk.offset" --key "$key" --offset 1M
}
refuses_damage() {
	for offset in 9000 12300 20000 40000; do
		cp "$files/disk" "$files/damaged"
		printf '\001\002\003' | dd of="$files/damaged" bs=1 seek=$offset conv=notrunc 2>/dev/null
		expect 1 'damaged' verify "$files/damaged" --key "$key" || return 1
	done
	head -c 30000 "$files/disk" >"$files/short"
	expect 1 '.' verify "$files/short" --key "$key" &&
		expect 3 'too short' info "$files/key"
}
extracts() {
	expect 0 'frames in' extract "$files/disk" --key "$key" -o "$files/out" &&
		cmp "$files/out" "$files/memory" &&
		[ "$(stat -c %a "$files/out")" = 600 ] &&
		expect 4 'exists' extract "$files/disk" --key "$key" -o "$files/out"
}
extracts_some() {
	expect 0 '.' extract "$files/disk" --key "$key" -o "$files/some" --frames 100-0xc7 --json &&
		json first_frame 100 &&
		dd if="$files/memory" of="$files/expected" bs=4096 skip=100 count=100 2>/dev/null &&
		cmp "$files/some" "$files/expected"
}
extract_leaves_nothing_of_damage() {
	expect 1 'removed' extract "$files/damaged" --key "$key" -o "$files/none" && [ ! -e "$files/none" ]
}
usage() {
	expect 0 '^Usage: kelp image info' --help &&
		expect 2 'Usage' &&
		expect 2 'Usage' nonsense "$files/disk" &&
		expect 2 'needs --key' verify "$files/disk" &&
		expect 2 'needs --output' extract "$files/disk" --key "$key" &&
		expect 2 '64 hexadecimal' verify "$files/disk" --key 1234 &&
		expect 2 'which FILE' info &&
		expect 2 'no number' info "$files/disk" --offset 12Q &&
		expect 2 'no frame number' extract "$files/disk" --key "$key" -o x --frames 9-3 &&
		expect 4 'No such file' info "$files/is-not-there" &&
		"$kelp" --help | grep -q '^  image' && "$kelp" --version | grep -q '^kelp [0-9]'
}

check "info without a key says that nothing is checked" info_without_key
check "info with the key: authentic" info_with_key
check "another key is told from damage" another_key
check "nothing to resume has an exit status of its own" nothing_to_resume
check "verify: whole and authentic, at an offset too" verifies
check "verify refuses damage and a file cut short" refuses_damage
check "extract gives the memory back, to its owner alone" extracts
check "extract of some frames" extracts_some
check "extract removes what it could not finish" extract_leaves_nothing_of_damage
check "help, mistakes and their exit statuses" usage
finish
