#!/bin/sh
# SPDX-License-Identifier: MIT
# if-changed.sh FILE TEXT: writes TEXT to FILE unless it is there already, so that what depends
# on FILE is rebuilt only when the text changed.
set -eu
[ -f "$1" ] && [ "$(cat "$1")" = "$2" ] && exit 0
mkdir -p "$(dirname "$1")"
printf '%s\n' "$2" >"$1"
