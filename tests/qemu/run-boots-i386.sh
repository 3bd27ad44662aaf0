#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run-boots-i386.sh [pattern]: run-boots.sh for the 32-bit kernel: PAE and two-level tables, high
# memory. TAP; logs in build/qemu/boots-x86_32/.
HOLDFAST_ARCH=x86_32 exec "$(dirname "$0")/run-boots.sh" "$@"
