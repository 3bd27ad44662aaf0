#!/bin/sh
# SPDX-License-Identifier: MIT
#
# monitor-i386.sh: monitor.sh for the 32-bit kernel.
HOLDFAST_ARCH=x86_32 exec "$(dirname "$0")/monitor.sh" "$@"
