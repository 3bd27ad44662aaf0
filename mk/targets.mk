# SPDX-License-Identifier: MIT
#
# Freestanding builds: the library alone, as a kernel embeds it, with the machine's own hw.h.
#
# $(eval $(call target,NAME,MACHINE,FORMATS,LIBRARY FLAGS)) makes
#   build/target/NAME/libkelp.a    the library with these formats, hw.h from the machine's arch/
#   build/target/NAME/kelp.o       the same as one relocatable object, for the symbol checks

# Machines. Kernels use no vector and no floating-point registers.
MACHINES := x86_64 i686 aarch64 riscv64

MACHINE_FLAGS_x86_64  := --target=x86_64-unknown-none-elf -mcmodel=kernel -mno-red-zone -mgeneral-regs-only
MACHINE_FLAGS_i686    := --target=i686-unknown-none-elf -mgeneral-regs-only
MACHINE_FLAGS_aarch64 := --target=aarch64-unknown-none-elf -mgeneral-regs-only
MACHINE_FLAGS_riscv64 := --target=riscv64-unknown-none-elf -march=rv64imac -mabi=lp64 -mcmodel=medany -mno-relax

MACHINE_ARCH_x86_64  := x86_64
MACHINE_ARCH_i686    := x86_32
MACHINE_ARCH_aarch64 := arm64
MACHINE_ARCH_riscv64 := riscv64

# The formats that the machine itself walks: a kernel may be built for one of them alone.
MACHINE_FORMATS_x86_64  := x86_64
MACHINE_FORMATS_i686    := x86_pae x86_two_level
MACHINE_FORMATS_aarch64 := arm64_4k arm64_16k arm64_64k
MACHINE_FORMATS_riscv64 := riscv64

FREESTANDING := -ffreestanding -fno-stack-protector -fno-pic -O2 -g

# Names of all targets, filled by the pattern.
TARGETS :=

define target
TARGETS += $(1)
TARGET_FLAGS_$(1) := $(MACHINE_FLAGS_$(2)) $(FREESTANDING) $(INCLUDES) -Iarch/$(MACHINE_ARCH_$(2)) $(4)
TARGET_OBJECTS_$(1) := $(patsubst %.c,$(BUILD)/target/$(1)/obj/%.o,$(sort $(SOURCES_core) $(foreach f,$(3),$(SOURCES_$(f)))))

$(BUILD)/target/$(1)/obj/%.o: %.c $(BUILD)/target/$(1)/flags
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$(Q)$(CLANG) $$(TARGET_FLAGS_$(1)) $(LIBRARY_FLAGS) -MMD -MP -c $$< -o $$@

$(BUILD)/target/$(1)/libkelp.a: $$(TARGET_OBJECTS_$(1))
	$$(call say,AR,$$@)
	$(Q)rm -f $$@ && $(AR) rcsD $$@ $$^

# clang's driver would link x86 through the host's gcc: the linker is called directly.
$(BUILD)/target/$(1)/kelp.o: $$(TARGET_OBJECTS_$(1))
	$$(call say,LD,$$@)
	$(Q)$(LLD) -r $$^ -o $$@

$(BUILD)/target/$(1)/flags: FORCE
	$(Q)mk/if-changed.sh $$@ '$(CLANG) $$(TARGET_FLAGS_$(1)) $(LIBRARY_FLAGS)'
endef

# Of each machine: all formats; all formats with the debug checks; each of its own formats alone.
$(foreach m,$(MACHINES),$(eval $(call target,$(m),$(m),$(FORMATS),)))
$(foreach m,$(MACHINES),$(eval $(call target,$(m)-checked,$(m),$(FORMATS),$(CHECKED))))
$(foreach m,$(MACHINES),$(foreach f,$(filter $(FORMATS),$(MACHINE_FORMATS_$(m))),\
	$(eval $(call target,$(m)-only-$(f),$(m),$(f),-DKELP_SINGLE_FORMAT=$(f)))))

# Those of the library itself; parts of the project add targets of their own.
LIBRARY_TARGETS := $(TARGETS)

targets: $(LIBRARY_TARGETS:%=$(BUILD)/target/%/libkelp.a) ## The freestanding library of every machine: build/target/*/libkelp.a

check-symbols: $(LIBRARY_TARGETS:%=$(BUILD)/target/%/kelp.o) ## What the freestanding library needs from outside: nothing but mem*()
	$(Q)NM=$(NM) OBJDUMP=$(OBJDUMP) mk/check-symbols.sh $(LIBRARY_TARGETS:%=$(BUILD)/target/%)

.PHONY: targets check-symbols
