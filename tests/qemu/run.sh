#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh <holdfast.elf> [directory]: `make run`. Boots with two CPUs, shows the story, and writes
# <directory>/report.json and serial.log (default build/run).
#
# Exit status: 0 only if everything held; otherwise boot.sh's, or 1.
set -u

elf=$1
directory=${2:-build/run}
here=$(dirname "$0")
mkdir -p "$directory"
rm -f "$directory/report.json"
start=$(date +%s%N)
trap : INT TERM
"$here/boot.sh" --show --cpus "${HOLDFAST_CPUS:-2}" --seconds "${HOLDFAST_SECONDS:-120}" \
	--log "$directory/serial.log" --append story "$elf"
status=$?
milliseconds=$((($(date +%s%N) - start) / 1000000))
awk -v status="$status" -v milliseconds="$milliseconds" -v serial="$directory/serial.log" \
	-f "$here/report.awk" "$directory/serial.log" > "$directory/report.json"
good=$?

echo
if [ "$status" = 0 ] && [ "$good" = 0 ]; then
	echo "make run: all held, in $((milliseconds / 1000)).$((milliseconds / 100 % 10)) s; $directory/report.json"
	exit 0
fi
echo "make run: FAILED (status $status); $directory/report.json, $directory/serial.log" >&2
[ "$status" != 0 ] && exit "$status"
exit 1
