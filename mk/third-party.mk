# SPDX-License-Identifier: MIT
#
# LZ4 and BearSSL, for the shipped hooks of snapshots (port/codecs): sources of the distribution's
# packages, pinned by checksum, fetched once by mk/third-party.sh. The library itself needs neither.
#
#   build/<variant>/libkelp-codecs.a          for every hosted variant
#   build/target/<target>/libkelp-codecs.a    for every freestanding target

THIRD_PARTY := $(BUILD)/third-party
LZ4_DIR     := $(THIRD_PARTY)/lz4-1.9.4/lib
BEARSSL_DIR := $(THIRD_PARTY)/bearssl-0.6

CODEC_ADAPTERS := port/codecs/lz4.c port/codecs/bearssl.c
BEARSSL_FILES  := chacha20_ct poly1305_ctmul poly1305_ctmulq
CODEC_INCLUDES := -Iport/codecs -isystem $(LZ4_DIR) -isystem $(BEARSSL_DIR)/inc
# Nothing from outside but mem*(): no heap, no clock, no files.
LZ4_DEFINES     := -DLZ4_FREESTANDING=1 -DLZ4_memcpy=__builtin_memcpy \
	-DLZ4_memset=__builtin_memset -DLZ4_memmove=__builtin_memmove
BEARSSL_DEFINES := -DBR_USE_URANDOM=0 -DBR_USE_UNIX_TIME=0 -DBR_RDRAND=0 -DBR_AES_X86NI=0
# Of their own code: its warnings are its authors', its optimisation the one they recommend.
THIRD_PARTY_FLAGS := -w -O3

third-party: $(THIRD_PARTY)/stamp ## LZ4 and BearSSL, unpacked in build/third-party

$(THIRD_PARTY)/stamp: mk/third-party.sh
	$(call say,FETCH,$(THIRD_PARTY))
	$(Q)mk/third-party.sh $(THIRD_PARTY)

$(LZ4_DIR)/%.c $(BEARSSL_DIR)/src/symcipher/%.c: $(THIRD_PARTY)/stamp ;

# $(eval $(call codecs,DIRECTORY,COMPILER,FLAGS,FLAGS OF ADAPTERS,FLAGS OF THEIRS))
define codecs
CODEC_OBJECTS_$(1) := $$(patsubst %,$(BUILD)/$(1)/codecs/%.o,lz4 $$(BEARSSL_FILES)) \
	$$(patsubst port/codecs/%.c,$(BUILD)/$(1)/codecs/adapter-%.o,$$(CODEC_ADAPTERS))

$(BUILD)/$(1)/codecs/adapter-%.o: port/codecs/%.c $(THIRD_PARTY)/stamp $(BUILD)/$(1)/flags
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$(Q)$(2) $(3) $(LIBRARY_FLAGS) $(4) $(CODEC_INCLUDES) -MMD -MP -c $$< -o $$@

$(BUILD)/$(1)/codecs/lz4.o: $(THIRD_PARTY)/stamp $(BUILD)/$(1)/flags
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$(Q)$(2) $(3) $(5) $(LZ4_DEFINES) $(THIRD_PARTY_FLAGS) -c $(LZ4_DIR)/lz4.c -o $$@

$$(BEARSSL_FILES:%=$(BUILD)/$(1)/codecs/%.o): $(BUILD)/$(1)/codecs/%.o: $(THIRD_PARTY)/stamp $(BUILD)/$(1)/flags
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$(Q)$(2) $(3) $(5) -I$(BEARSSL_DIR)/inc -I$(BEARSSL_DIR)/src $(BEARSSL_DEFINES) \
		$(THIRD_PARTY_FLAGS) -c $(BEARSSL_DIR)/src/symcipher/$$*.c -o $$@

$(BUILD)/$(1)/libkelp-codecs.a: $$(CODEC_OBJECTS_$(1))
	$$(call say,AR,$$@)
	$(Q)rm -f $$@ && $(AR) rcsD $$@ $$^
endef

codec_compiler = $(if $(filter gcc gcc-release m32,$(1)),$(GCC),$(CLANG))
# Sanitizers look at our code; theirs would be slow, and its tricks with alignment are known.
codec_plain = $(filter-out -fsanitize% -fno-sanitize%,$(FLAGS_$(1)))
$(foreach v,$(VARIANTS),$(eval $(call codecs,$(v),$(call codec_compiler,$(v)),$(call codec_plain,$(v)),,)))
$(foreach t,$(TARGETS),$(eval $(call codecs,target/$(t),$(CLANG),$(TARGET_FLAGS_$(t)) \
	-Iport/codecs/freestanding,,)))

# Tests that use the shipped hooks.
CODEC_TESTS := tests/unit/snapshot_codecs tests/unit/snapshot_tamper
$(foreach v,$(VARIANTS),$(eval $(CODEC_TESTS:%=$(BUILD)/$(v)/%): $(BUILD)/$(v)/libkelp-codecs.a))

# What tests/house/test-codecs.sh looks at.
PART_PROGRAMS += $(MACHINES:%=$(BUILD)/target/%/libkelp-codecs.a)

.PHONY: third-party
