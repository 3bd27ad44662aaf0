# SPDX-License-Identifier: MIT
#
# The one list of files of the library.
#
# Every line is `NAME += value`: make includes this file, kelp.cmake and meson.build read it line
# by line, and nothing else in the tree lists sources. A new file is added here and nowhere else.
#
#   SOURCES_core       portable code
#   SOURCES_<format>   one table format and the range operations instantiated for it; a file that
#                      several formats share is named by each of them
#   FORMATS            the formats of the library
#   FORMATS_tests      formats that exist for the tests only
#   SOURCES_hosted     the default port: table pages from ordinary memory, for programs
#   HEADERS            what is installed besides include/kelp/*.h
#   VERSION            of the library; kelp.pc and the build files of consumers carry it

VERSION += 0.1.0

SOURCES_core += src/status.c
SOURCES_core += src/format.c
SOURCES_core += src/flush.c
SOURCES_core += src/pages.c
SOURCES_core += src/space.c
SOURCES_core += src/slot.c
SOURCES_core += src/directmap.c
SOURCES_core += src/copywin.c
SOURCES_core += src/fixmap.c
SOURCES_core += src/kmap.c
SOURCES_core += src/trans.c
SOURCES_core += src/hold.c
SOURCES_core += src/memmap.c
SOURCES_core += src/hotplug.c
SOURCES_core += src/image.c
SOURCES_core += src/snapshot.c
SOURCES_core += src/snapshot_store.c
SOURCES_core += src/snapshot_write.c
SOURCES_core += src/snapshot_read.c
SOURCES_core += src/snapshot_reach.c
SOURCES_core += src/digest.c
SOURCES_core += src/kexec.c

FORMATS += x86_64
SOURCES_x86_64 += arch/x86_64/format.c
SOURCES_x86_64 += arch/x86_64/space.c
HEADERS += arch/x86_64/format.h
HEADERS += arch/x86_64/x86.h
HEADERS += arch/x86_64/x86_template.h

FORMATS += x86_pae
SOURCES_x86_pae += arch/x86_32/pae.c
SOURCES_x86_pae += arch/x86_32/pae_space.c
HEADERS += arch/x86_32/pae.h

FORMATS += x86_two_level
SOURCES_x86_two_level += arch/x86_32/two_level.c
SOURCES_x86_two_level += arch/x86_32/two_level_space.c
HEADERS += arch/x86_32/two_level.h

FORMATS += arm64_4k
SOURCES_arm64_4k += arch/arm64/arm64.c
SOURCES_arm64_4k += arch/arm64/arm64_4k.c
SOURCES_arm64_4k += arch/arm64/arm64_4k_space.c
HEADERS += arch/arm64/arm64.h
HEADERS += arch/arm64/arm64_instance.h
HEADERS += arch/arm64/arm64_4k.h

FORMATS += arm64_16k
SOURCES_arm64_16k += arch/arm64/arm64.c
SOURCES_arm64_16k += arch/arm64/arm64_16k.c
SOURCES_arm64_16k += arch/arm64/arm64_16k_space.c
HEADERS += arch/arm64/arm64_16k.h

FORMATS += arm64_64k
SOURCES_arm64_64k += arch/arm64/arm64.c
SOURCES_arm64_64k += arch/arm64/arm64_64k.c
SOURCES_arm64_64k += arch/arm64/arm64_64k_space.c
HEADERS += arch/arm64/arm64_64k.h

FORMATS += riscv64
SOURCES_riscv64 += arch/riscv64/format.c
SOURCES_riscv64 += arch/riscv64/space.c
HEADERS += arch/riscv64/format.h

FORMATS_tests += fake
SOURCES_fake += arch/fake/format.c
SOURCES_fake += arch/fake/space.c

SOURCES_hosted += port/hosted/port.c
HEADERS += port/hosted/hw.h
HEADERS += port/hosted/kelp_hosted.h
