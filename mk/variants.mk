# SPDX-License-Identifier: MIT
#
# Hosted builds: every format in one library, with the default port.
#
# $(eval $(call variant,NAME,COMPILER,FLAGS,LIBRARY FLAGS)) makes
#   build/NAME/libkelp.a           the library and the hosted port
#   build/NAME/libkelp-tests.a     what tests share: formats for tests only, tests/common/*.c
#   build/NAME/tests/<dir>/<name>  one program per tests/<dir>/<name>.c
# The library is built with the hosted hw.h. A part of the project that needs another one (sim/) builds the
# library once more by a pattern of its own, and adds its programs to TESTS_<variant>.

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

# Every .c file in these directories of tests/ is a program of its own.
TEST_DIRS := unit conformance fault stress house
TEST_MAINS := $(sort $(wildcard $(TEST_DIRS:%=tests/%/*.c)))

# Names of all variants, filled by the pattern.
VARIANTS :=

define variant
VARIANTS += $(1)
FLAGS_$(1) := $(INCLUDES) -Iport/hosted -g $(3)

OBJECTS_$(1) := $(patsubst %.c,$(BUILD)/$(1)/obj/%.o,$(LIBRARY_SOURCES) $(SOURCES_hosted))
SUPPORT_$(1) := $(patsubst %.c,$(BUILD)/$(1)/obj/%.o,$(SUPPORT_LIBRARY_SOURCES) $(SUPPORT_SOURCES))
MAINS_$(1) := $(patsubst %.c,$(BUILD)/$(1)/%,$(TEST_MAINS))
TESTS_$(1) += $$(MAINS_$(1))

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

$$(MAINS_$(1)): $(BUILD)/$(1)/%: $(BUILD)/$(1)/obj/%.o $(BUILD)/$(1)/libkelp-tests.a $(BUILD)/$(1)/libkelp.a
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
