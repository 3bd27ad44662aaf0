#!/bin/sh
# SPDX-License-Identifier: MIT
# The symbol checks of every freestanding library: what `make check-symbols` prints.
cd "$(dirname "$0")/../.." || exit 2
BUILD=${KELP_BUILD:-build}
# shellcheck disable=SC2046 # a list of names
exec mk/check-symbols.sh $(printf "$BUILD/target/%s\n" ${KELP_TARGETS:?run it with make test})
