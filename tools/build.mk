# SPDX-License-Identifier: MIT
#
# The command `kelp`: build/release/kelp. tools/kelp/*.c is one program; each kind of thing that it
# looks into has a file of its own.

KELP_TOOL := $(BUILD)/release/kelp
KELP_TOOL_SOURCES := $(sort $(wildcard tools/kelp/*.c))
KELP_TOOL_OBJECTS := $(KELP_TOOL_SOURCES:%.c=$(BUILD)/release/%.o)

$(BUILD)/release/tools/%.o: tools/%.c $(BUILD)/release/flags
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) -O2 -g $(INCLUDES) $(HOSTED_FLAGS) -Itools/kelp -DKELP_VERSION='"$(VERSION)"' -MMD -MP -c $< -o $@

$(KELP_TOOL): $(KELP_TOOL_OBJECTS) $(BUILD)/release/libkelp-codecs.a $(BUILD)/release/libkelp.a
	$(call say,LINK,$@)
	$(Q)$(CLANG) -O2 -g $^ -o $@

tools: $(KELP_TOOL)

# An image for the tests, and what must come out of it.
MAKE_IMAGE := $(BUILD)/release/tests/tools/make-image

$(MAKE_IMAGE): $(BUILD)/release/obj/tests/tools/make-image.o $(BUILD)/release/obj/tests/common/machine.o \
		$(BUILD)/release/libkelp-codecs.a $(BUILD)/release/libkelp.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) -O2 -g $^ -o $@

PART_PROGRAMS += $(KELP_TOOL) $(MAKE_IMAGE)
PART_TESTS    += tools: 'tests/tools/kelp-image.sh $(KELP_TOOL) $(MAKE_IMAGE)'
