# SPDX-License-Identifier: MIT
#
# The interleaving explorer and its tests: tests/explore/*.c, each a program. The library is built
# once more for them, with the hw.h of sim/explore.
#
# $(eval $(call explore,VARIANT,COMPILER,FLAGS,LIBRARY FLAGS)) adds them to TESTS_<variant>.

EXPLORE_SOURCES := $(sort $(wildcard sim/explore*.c tests/explore/support/*.c))
EXPLORE_TESTS := $(sort $(wildcard tests/explore/*.c))

define explore
EXPLORE_FLAGS_$(1) := -Isim/explore $(INCLUDES) -g $(3) $(4)
EXPLORE_OBJECTS_$(1) := $(patsubst %.c,$(BUILD)/$(1)/explore/%.o,$(LIBRARY_SOURCES) $(EXPLORE_SOURCES))
TESTS_$(1) += $(patsubst %.c,$(BUILD)/$(1)/%,$(EXPLORE_TESTS))

$(BUILD)/$(1)/explore/%.o: %.c $(BUILD)/$(1)/flags
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$(Q)$(2) $$(EXPLORE_FLAGS_$(1)) $(HOSTED_FLAGS) -MMD -MP -c $$< -o $$@

$(BUILD)/$(1)/libkelp-explore.a: $$(EXPLORE_OBJECTS_$(1))
	$$(call say,AR,$$@)
	$(Q)rm -f $$@ && $(AR) rcsD $$@ $$^

$(patsubst %.c,$(BUILD)/$(1)/%,$(EXPLORE_TESTS)): $(BUILD)/$(1)/%: $(BUILD)/$(1)/explore/%.o $(BUILD)/$(1)/libkelp-explore.a
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$(Q)$(2) $$(EXPLORE_FLAGS_$(1)) $$^ -lcmocka -o $$@
endef

$(eval $(call explore,release,$(CLANG),-O2))
$(eval $(call explore,clang,$(CLANG),-O2,$(CHECKED)))
$(eval $(call explore,gcc,$(GCC),-O2,$(CHECKED)))
$(eval $(call explore,gcc-release,$(GCC),-O2))
$(eval $(call explore,asan,$(CLANG),-O1 $(SANITIZE_ADDRESS),$(CHECKED)))
$(eval $(call explore,m32,$(GCC),-O2 -m32,$(CHECKED)))
