#!/bin/sh
# SPDX-License-Identifier: MIT
# help.sh MAKEFILE...: what make can do, from the `target: ... ## text` lines of the makefiles.
set -eu
cat <<'T'
Kelp: the kernel mapping layer as a freestanding C library.

Usage: make [TARGET...] [NAME=value...]

Targets
T
awk 'match($0, /^[a-z][a-z0-9-]*:.*## /) {
	name = $0; sub(/:.*/, "", name)
	text = substr($0, RSTART + RLENGTH)
	printf "  %-16s %s\n", name, text
}' "$@"
cat <<'T'

Settings
  V=1              show the commands
  JOBS=n           test programs that run at once (default: one per processor)
  BUILD=dir        build elsewhere than in build/
  BOOTSTRAP=no     do not look for missing tools and do not install any
  CLANG=, GCC=     the compilers

Missing tools are installed with apt-get on Debian and named elsewhere; mk/bootstrap.sh --list
prints what each target needs.
T
