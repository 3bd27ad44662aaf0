# SPDX-License-Identifier: MIT
#
# The one list of files of the library.
#
# Every line is `NAME += value`: make includes this file, kelp.cmake and meson.build read it line
# by line, and nothing else in the tree lists sources. A new file is added here and nowhere else.
#
#   SOURCES_core       portable code
#   SOURCES_<format>   one table format and the range operations instantiated for it
#   FORMATS            the formats of the library
#   FORMATS_tests      formats that exist for the tests only
#   SOURCES_hosted     the default port: malloc-backed table pages, for tools, benches and tests
#   HEADERS            what is installed besides include/kelp/*.h

SOURCES_core += src/status.c
SOURCES_core += src/format.c
SOURCES_core += src/flush.c
SOURCES_core += src/pages.c
SOURCES_core += src/space.c

FORMATS += x86_64
SOURCES_x86_64 += arch/x86_64/format.c
SOURCES_x86_64 += arch/x86_64/space.c
HEADERS += arch/x86_64/format.h
HEADERS += arch/x86_64/x86.h

SOURCES_hosted += port/hosted/port.c
HEADERS += port/hosted/kelp_hosted.h
