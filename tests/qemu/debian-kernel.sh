#!/bin/sh
# SPDX-License-Identifier: MIT
#
# debian-kernel.sh DIRECTORY: a stock Debian Linux kernel, for the tests that start one.
#
# Fetches the distribution's kernel and a static busybox with apt-get, which checks their
# signatures, and unpacks what is needed; nothing is installed. Afterwards DIRECTORY holds
#
#	vmlinuz, version   the kernel and its name
#	modules/           virtio, in the order in which they are loaded
#	busybox            a static one
#	missing            only when the packages cannot be had: one line that says why
#
# What is there already is not fetched again. Exit status: 0 there, or missing and said so; 2 usage.
set -u

case ${1-} in
'' | -*)
	sed -n '4,17s/^# \{0,1\}//p' "$0"
	[ "${1-}" = --help ] && exit 0
	exit 2
	;;
esac
mkdir -p "$1" || exit 2
cd "$1" || exit 2
[ -r vmlinuz ] && [ -r busybox ] && [ -d modules ] && exit 0
rm -rf missing fetched modules vmlinuz busybox

missing() {
	echo "$*" > missing
	echo "debian-kernel: $*" >&2
	rm -rf fetched
	exit 0
}

command -v apt-get > /dev/null && command -v dpkg-deb > /dev/null ||
	missing 'this system has no apt-get: the Debian kernel cannot be fetched'
[ "$(dpkg --print-architecture)" = amd64 ] || missing 'this system is not amd64 Debian'

# The package that the one without a version stands for.
find_kernel() {
	apt-cache depends linux-image-amd64 2> /dev/null |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1
}
kernel=$(find_kernel)
if [ -z "$kernel" ]; then
	# No package lists yet, as on a fresh container.
	if [ "$(id -u)" = 0 ]; then apt-get update; else sudo -n apt-get update; fi > update.log 2>&1
	kernel=$(find_kernel)
fi
[ -n "$kernel" ] || missing 'apt-get knows no linux-image-amd64'

echo "debian-kernel: fetching $kernel and busybox-static (70 MB, once)" >&2
mkdir fetched
(cd fetched && apt-get -o APT::Sandbox::User=root download "$kernel" busybox-static) > fetch.log 2>&1 ||
	missing "$kernel cannot be fetched: $(tail -n 1 fetch.log)"
for package in fetched/*.deb; do
	dpkg-deb -x "$package" fetched/files || missing "$package cannot be unpacked"
done

mkdir modules
number=0
for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk; do
	file=$(find fetched/files/lib/modules -name "$module.ko" | head -n 1)
	[ -n "$file" ] || missing "$kernel has no module $module"
	cp "$file" "modules/$number-$module.ko"
	number=$((number + 1))
done
echo "${kernel#linux-image-}" > version
cp fetched/files/bin/busybox busybox || missing 'busybox-static has no bin/busybox'
mv "$(find fetched/files/boot -name 'vmlinuz-*' | head -n 1)" vmlinuz || missing "$kernel has no vmlinuz"
rm -rf fetched
