# SPDX-License-Identifier: MIT
#
# Hosted builds: every format in one library, with the default port.
#
# $(eval $(call variant,NAME,COMPILER,FLAGS,LIBRARY FLAGS)) makes
#   build/NAME/libkelp.a           the library and the hosted port
#   build/NAME/libkelp-tests.a     what tests share: formats for tests only, tests/common/*.c
#   build/NAME/tests/<dir>/<name>  one program per tests/<dir>/<name>.c
# HW_NAME says which hw.h it is built with; the default is port/hosted.

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror
INCLUDES := -Iinclude -I.
# The library's own code: freestanding even on a host, and clean under -Wconversion as well.
LIBRARY_FLAGS := -std=gnu11 $(WARNINGS) -Wconversion -ffreestanding
HOSTED_FLAGS  := -std=gnu11 $(WARNINGS) -D_GNU_SOURCE -Itests/common

LIBRARY_SOURCES := $(sort $(SOURCES_core) $(foreach f,$(FORMATS),$(SOURCES_$(f))))
SUPPORT_LIBRARY_SOURCES := $(foreach f,$(FORMATS_tests),$(SOURCES_$(f)))
SUPPORT_SOURCES := $(sort $(wildcard tests/common/*.c))

# Two warnings of gcc's that setjmp and inlined asserts set off where there is nothing.
HOSTED_FLAGS_GCC := -Wno-clobbered -Wno-maybe-uninitialized

# Every .c file in these directories of tests/ is a program of its own. A part of the project may
# add a directory, and a library that the tests in it are linked with:
#   TEST_DIRS += explore        tests/explore/*.c
#   SOURCES_sim := sim/...      build/<variant>/libsim.a
#   LINK_explore := sim         what tests/explore/*.c is linked with
TEST_DIRS := unit conformance fault stress house
TEST_MAINS = $(sort $(wildcard $(TEST_DIRS:%=tests/%/*.c)))

# The pattern looks up SOURCES_<library> when the library is made.
.SECONDEXPANSION:

# Names of all variants, filled by the pattern.
VARIANTS :=

define variant
VARIANTS += $(1)
HW_$(1) ?= port/hosted
FLAGS_$(1) := $(INCLUDES) -I$$(HW_$(1)) -g $(3)

OBJECTS_$(1) := $(patsubst %.c,$(BUILD)/$(1)/obj/%.o,$(LIBRARY_SOURCES) $(SOURCES_hosted))
PART_LIBRARIES_$(1) := $(foreach l,$(sort $(foreach d,$(TEST_DIRS),$(LINK_$(d)))),$(BUILD)/$(1)/lib$(l).a)
SUPPORT_$(1) := $(patsubst %.c,$(BUILD)/$(1)/obj/%.o,$(SUPPORT_LIBRARY_SOURCES) $(SUPPORT_SOURCES))
TESTS_$(1) := $(patsubst %.c,$(BUILD)/$(1)/%,$(TEST_MAINS))

$(BUILD)/$(1)/obj/src/%.o: src/%.c $(BUILD)/$(1)/flags
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$(Q)$(2) $$(FLAGS_$(1)) $(LIBRARY_FLAGS) $(4) -MMD -MP -c $$< -o $$@

$(BUILD)/$(1)/obj/arch/%.o: arch/%.c $(BUILD)/$(1)/flags
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$(Q)$(2) $$(FLAGS_$(1)) $(LIBRARY_FLAGS) $(4) -MMD -MP -c $$< -o $$@

$(BUILD)/$(1)/obj/%.o: %.c $(BUILD)/$(1)/flags
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$(Q)$(2) $$(FLAGS_$(1)) $(HOSTED_FLAGS) $(if $(filter $(GCC),$(2)),$(HOSTED_FLAGS_GCC)) $(4) -MMD -MP -c $$< -o $$@

$(BUILD)/$(1)/libkelp.a: $$(OBJECTS_$(1))
	$$(call say,AR,$$@)
	$(Q)rm -f $$@ && $(AR) rcsD $$@ $$^

$(BUILD)/$(1)/libkelp-tests.a: $$(SUPPORT_$(1))
	$$(call say,AR,$$@)
	$(Q)rm -f $$@ && $(AR) rcsD $$@ $$^

$$(PART_LIBRARIES_$(1)): $(BUILD)/$(1)/lib%.a: $$$$(patsubst %.c,$(BUILD)/$(1)/obj/%.o,$$$$(SOURCES_$$$$*))
	$$(call say,AR,$$@)
	$(Q)rm -f $$@ && $(AR) rcsD $$@ $$^

$$(TESTS_$(1)): $(BUILD)/$(1)/%: $(BUILD)/$(1)/obj/%.o $(BUILD)/$(1)/libkelp-tests.a $$(PART_LIBRARIES_$(1)) $(BUILD)/$(1)/libkelp.a
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$(Q)$(2) $$(FLAGS_$(1)) $$^ -lcmocka -lpthread -o $$@

# Objects are rebuilt when the command line changes.
$(BUILD)/$(1)/flags: FORCE
	$(Q)mk/if-changed.sh $$@ '$(2) $$(FLAGS_$(1)) $(LIBRARY_FLAGS) $(HOSTED_FLAGS) $(4)'

build-$(1): $(BUILD)/$(1)/libkelp.a $$(TESTS_$(1))
.PHONY: build-$(1)
endef

CHECKED := -DKELP_DEBUG=1
SANITIZE_ADDRESS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

FORCE:
.PHONY: FORCE
