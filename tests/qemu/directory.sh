# SPDX-License-Identifier: MIT
#
# directory.sh, read by others: a directory that no other run uses at the same time.
#
#	. directory.sh
#	own_directory build/qemu/boots    sets $directory: that one, or with -2, -3, ... behind it
#
# It is ours as long as this shell, or a QEMU that it started, lives.
own_directory() {
	run=1
	while :; do
		directory=$1
		[ $run = 1 ] || directory=$1-$run
		mkdir -p "$directory" || exit 2
		exec 9> "$directory/lock"
		command -v flock > /dev/null || return 0
		flock -n 9 && return 0
		run=$((run + 1))
	done
}
