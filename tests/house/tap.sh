# SPDX-License-Identifier: MIT
# Sourced by the shell tests: `check NAME COMMAND...` is one test case, `finish` ends the program.
# A case passes when its command exits with 0; what it printed is shown when it does not.
# shellcheck shell=sh

cd "$(dirname "$0")/../.." || exit 2
BUILD=${KELP_BUILD:-build}
tap_number=0
tap_failed=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

check() {
	tap_name=$1
	shift
	tap_number=$((tap_number + 1))
	if ("$@") >"$scratch/output" 2>&1; then
		echo "ok $tap_number - $tap_name"
	else
		sed 's/^/# /' "$scratch/output"
		echo "not ok $tap_number - $tap_name"
		tap_failed=$((tap_failed + 1))
	fi
}

# Passes when the command prints nothing: for searches for what must not be there.
nothing() {
	found=$("$@") || return 1
	[ -z "$found" ] || {
		echo "$found"
		return 1
	}
}

finish() {
	echo "1..$tap_number"
	[ "$tap_failed" = 0 ]
}
