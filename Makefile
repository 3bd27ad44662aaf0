# SPDX-License-Identifier: MIT
#
# Kelp's build. `make help` says what can be built; sources.mk says from which files.
#
# A VARIANT is one way to build for this host (compiler, sanitizer, word size, checks), in
# build/<variant>/. A TARGET is a freestanding build of the library alone, in build/target/<t>/.
# Each kind comes from one pattern: mk/variants.mk, mk/targets.mk.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:
MAKEFLAGS += -rR --no-print-directory
export LC_ALL := C

# As many jobs as there are processors, unless -j says otherwise.
ifeq ($(filter -j% --jobserver%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif

BUILD   ?= build
PREFIX  ?= /usr/local
V       ?= 0
CLANG   ?= clang
GCC     ?= gcc
AR      := llvm-ar
OBJDUMP := llvm-objdump
NM      := llvm-nm
READELF := llvm-readelf
LLD     := ld.lld

# Q hides commands and $(call say,WHAT,file) prints one short line instead; V=1 shows all.
ifeq ($(V),0)
Q := @
say = @printf '  %-5s %s\n' '$(1)' '$(2)'
else
Q :=
say = @:
endif

STARTED := $(shell date +%s)

# ---- tools that are missing are installed, or named, before anything else -------------------
ifneq ($(BOOTSTRAP),no)
ifneq ($(filter-out help clean,$(or $(MAKECMDGOALS),all)),)
ifneq ($(shell mk/bootstrap.sh --build-dir $(BUILD) $(or $(MAKECMDGOALS),all) >&2 || echo failed),)
$(error the tools named above are missing)
endif
endif
endif

include sources.mk
include mk/variants.mk
include mk/targets.mk
# The parts of the project that bring their own rules, tests and lines of `make help`.
PARTS := sim tools kernel
include $(wildcard $(PARTS:%=%/build.mk))

# ---- the variants: name, compiler, flags, flags of our own code --------------------------------

$(eval $(call variant,release,$(CLANG),-O2))
$(eval $(call variant,clang,$(CLANG),-O2,$(CHECKED)))
$(eval $(call variant,gcc,$(GCC),-O2,$(CHECKED)))
$(eval $(call variant,gcc-release,$(GCC),-O2))
$(eval $(call variant,asan,$(CLANG),-O1 $(SANITIZE_ADDRESS),$(CHECKED)))
$(eval $(call variant,tsan,$(CLANG),-O1 -fsanitize=thread,$(CHECKED)))
$(eval $(call variant,m32,$(GCC),-O2 -m32,$(CHECKED)))
$(eval $(call variant,fuzz,$(CLANG),-O1 -fsanitize=fuzzer-no-link $(SANITIZE_ADDRESS),$(CHECKED)))

include mk/third-party.mk
include sim/explore.mk
include mk/tests.mk
include mk/bench.mk

# ---- what people ask for ----------------------------------------------------------------------

all: lib tools ## The library and the tools for this host (release build): the default

lib: $(BUILD)/release/libkelp.a ## The library for this host: build/release/libkelp.a

tools: lib

install: lib ## Install library, headers, kelp.pc and, if built, kelp under DESTDIR$(PREFIX), PREFIX=/usr/local
	$(Q)mk/install.sh '$(DESTDIR)' '$(PREFIX)' '$(VERSION)' \
		'$(BUILD)/release/libkelp.a' $(HEADERS)
	$(Q)[ ! -x '$(KELP_TOOL)' ] || install -D -m 755 '$(KELP_TOOL)' '$(DESTDIR)$(PREFIX)/bin/kelp'

clean: ## Remove everything that was built
	$(Q)rm -rf $(BUILD)

help: ## This text
	@mk/help.sh $(MAKEFILE_LIST)

.PHONY: all lib tools install clean help
