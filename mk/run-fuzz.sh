#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run-fuzz.sh FUZZER   one libFuzzer program as one TAP test case
#
# It starts from tests/fuzz/corpus/<name> (kept) and from what earlier runs found, beside FUZZER.
# KELP_FUZZ_SECONDS says for how long (default 15). What crashes it is left in
# <FUZZER>-crashes/; replay with: FUZZER FILE.
set -u

fuzzer=$1
name=${fuzzer##*/}
seconds=${KELP_FUZZ_SECONDS:-15}
seeds=tests/fuzz/corpus/$name

# A short run is the same every time; a long one looks elsewhere each time.
seed=1
runs=5000
[ "$seconds" -le 60 ] || { seed=0; runs=-1; }

echo 1..1
mkdir -p "$fuzzer-corpus" "$fuzzer-crashes"
[ -d "$seeds" ] || seeds=
# shellcheck disable=SC2086 # nothing or one directory
if "$fuzzer" -seed="$seed" -runs="$runs" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -len_control=0 \
	-artifact_prefix="$fuzzer-crashes/" "$fuzzer-corpus" $seeds >"$fuzzer.log" 2>&1; then
	sed -n 's/^stat::number_of_executed_units: */# inputs run: /p' "$fuzzer.log"
	echo "ok 1 - $name, $seconds s"
else
	tail -n 40 "$fuzzer.log" | sed 's/^/# /'
	echo "not ok 1 - $name"
	exit 1
fi
