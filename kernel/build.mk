# SPDX-License-Identifier: MIT
#
# Holdfast, the reference kernel. Included by the top Makefile.
#
# The library is built as a target of its own (mk/targets.mk): one format, the machine's hw.h,
# checks on, and frame pointers for backtraces.

HOLDFAST_ARCHES := x86_64 x86_32
HOLDFAST_FLAGS  := -std=gnu11 -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla -Werror -ffreestanding -fno-stack-protector -fno-pic -fno-common \
	-fno-omit-frame-pointer -mno-omit-leaf-frame-pointer -O2 -g

# Target of mk/targets.mk; the library's formats; what is shared with a sibling.
HOLDFAST_TARGET_x86_64 := x86_64
HOLDFAST_FORMAT_x86_64 := x86_64
HOLDFAST_SHARED_x86_64 := x86
# Both formats in one image: the boot stub looks which of them the CPU has.
HOLDFAST_TARGET_x86_32 := i686
HOLDFAST_FORMAT_x86_32 := x86_pae x86_two_level
HOLDFAST_SHARED_x86_32 := x86
# 64-bit counters are aligned to 4 bytes there: words.c serves that.
HOLDFAST_FLAGS_x86_32  := -Wno-atomic-alignment

define holdfast
$(eval $(call target,holdfast-$(1),$(HOLDFAST_TARGET_$(1)),$(HOLDFAST_FORMAT_$(1)),\
	$(if $(word 2,$(HOLDFAST_FORMAT_$(1))),,-DKELP_SINGLE_FORMAT=$(HOLDFAST_FORMAT_$(1))) $(CHECKED) -fno-omit-frame-pointer -mno-omit-leaf-frame-pointer))

HOLDFAST_DIR_$(1)     := $(BUILD)/holdfast/$(1)
# An architecture that cannot put a CPU's registers aside yet is built without hibernation.
HOLDFAST_CARRIES_$(1) := $(wildcard kernel/arch/$(1)/resume.c)
HOLDFAST_SOURCES_$(1) := $(wildcard kernel/common/*.c kernel/drivers/*.c \
	$(foreach d,$(1) $(HOLDFAST_SHARED_$(1)),kernel/arch/$(d)/*.c kernel/arch/$(d)/*.S))
ifeq ($$(HOLDFAST_CARRIES_$(1)),)
HOLDFAST_SOURCES_$(1) := $$(filter-out kernel/common/hibernate% kernel/common/story_carry.c kernel/common/fill.c kernel/common/test_hibernate.c,$$(HOLDFAST_SOURCES_$(1)))
endif
HOLDFAST_OBJECTS_$(1) := $$(patsubst %,$$(HOLDFAST_DIR_$(1))/%.o,$$(basename $$(HOLDFAST_SOURCES_$(1))))
HOLDFAST_CC_$(1)      := $(CLANG) $(MACHINE_FLAGS_$(HOLDFAST_TARGET_$(1))) $(HOLDFAST_FLAGS) $(HOLDFAST_FLAGS_$(1)) \
	$$(if $$(HOLDFAST_CARRIES_$(1)),-DHOLDFAST_HIBERNATES -Iport/codecs) \
	-Iinclude -Ikernel/include -Ikernel/drivers \
	$(foreach d,$(1) $(HOLDFAST_SHARED_$(1)),-Ikernel/arch/$(d)/include -Ikernel/arch/$(d)) -I.

$$(HOLDFAST_DIR_$(1))/%.o: %.c $$(HOLDFAST_DIR_$(1))/flags
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(HOLDFAST_CC_$(1)) $$(HOLDFAST_EXTRA_$$(*F)) -MMD -MP -c $$< -o $$@

$$(HOLDFAST_DIR_$(1))/%.o: %.S $$(HOLDFAST_DIR_$(1))/flags
	$$(call say,AS,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(HOLDFAST_CC_$(1)) -MMD -MP -c $$< -o $$@

$$(HOLDFAST_DIR_$(1))/image.lds: kernel/arch/$(1)/image.lds.in kernel/arch/$(1)/include/machine/layout.h
	$$(call say,CPP,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(HOLDFAST_CC_$(1)) -E -P -x assembler-with-cpp $$< -o $$@

HOLDFAST_LINK_$(1) := $(LLD) -nostdlib -static --no-dynamic-linker -z max-page-size=4096 -z noexecstack \
	--build-id=none

HOLDFAST_SYMBOLS_$(1) := NM=$(NM) BASE=$$$$(sed -n 's/^.define IMAGE_BASE *ADDRESS(0x\([0-9a-f]*\)).*/\1/p' kernel/arch/$(1)/include/machine/layout.h)

# Two passes: the functions' addresses come from the first and are put into the second, behind
# all code, so that no function moves; the comparison proves it.
$$(HOLDFAST_DIR_$(1))/holdfast.elf: $$(HOLDFAST_OBJECTS_$(1)) $(BUILD)/target/holdfast-$(1)/libkelp.a \
		$$(if $$(HOLDFAST_CARRIES_$(1)),$(BUILD)/target/holdfast-$(1)/libkelp-codecs.a) \
		$$(HOLDFAST_DIR_$(1))/image.lds kernel/mksymbols.sh
	$$(call say,LD,$$@)
	$$(Q)kernel/mksymbols.sh > $$(@D)/symbols-0.S
	$$(Q)$$(HOLDFAST_CC_$(1)) -c $$(@D)/symbols-0.S -o $$(@D)/symbols-0.o
	$$(Q)$$(HOLDFAST_LINK_$(1)) -T $$(@D)/image.lds -o $$(@D)/pass1.elf $$(filter %.o %.a,$$^) $$(@D)/symbols-0.o
	$$(Q)$$(HOLDFAST_SYMBOLS_$(1)) kernel/mksymbols.sh $$(@D)/pass1.elf > $$(@D)/symbols.S
	$$(Q)$$(HOLDFAST_CC_$(1)) -c $$(@D)/symbols.S -o $$(@D)/symbols.o
	$$(Q)$$(HOLDFAST_LINK_$(1)) -T $$(@D)/image.lds -o $$@.new $$(filter %.o %.a,$$^) $$(@D)/symbols.o
	$$(Q)$$(HOLDFAST_SYMBOLS_$(1)) kernel/mksymbols.sh $$@.new | cmp -s - $$(@D)/symbols.S || \
		{ echo 'holdfast: functions moved between the link passes' >&2; exit 1; }
	$$(Q)mv $$@.new $$@

$$(HOLDFAST_DIR_$(1))/flags: FORCE
	$$(Q)mk/if-changed.sh $$@ '$$(HOLDFAST_CC_$(1))'

-include $$(HOLDFAST_OBJECTS_$(1):.o=.d)
endef

# The functions compilers call must not be compiled into calls of themselves.
HOLDFAST_EXTRA_memory := -fno-builtin
# Runs elsewhere than the constants it could refer to are linked for.
HOLDFAST_EXTRA_choose := -fno-jump-tables

$(foreach a,$(HOLDFAST_ARCHES),$(eval $(call holdfast,$(a))))

holdfast: $(foreach a,$(HOLDFAST_ARCHES),$(BUILD)/holdfast/$(a)/holdfast.elf) ## The reference kernel: build/holdfast/x86_64/holdfast.elf

# Which of them `make run`, `make shell` and `make iso` are about.
ARCH ?= x86_64
ifneq ($(filter run shell iso,$(MAKECMDGOALS)),)
$(if $(filter $(ARCH),$(HOLDFAST_ARCHES)),,$(error ARCH=$(ARCH): Holdfast runs on: $(HOLDFAST_ARCHES)))
endif

HOLDFAST_ELF := $(BUILD)/holdfast/$(ARCH)/holdfast.elf
HOLDFAST_ISO := $(BUILD)/holdfast/$(ARCH)/holdfast.iso
HOLDFAST_SCRATCH := $(BUILD)/holdfast/scratch
HOLDFAST_QMP := $(BUILD)/holdfast/qmp

# The host's side of the disk that the kernel's tests write to.
$(HOLDFAST_SCRATCH): tests/qemu/tools/scratch.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) -std=gnu11 -O1 -g $(WARNINGS) $< -o $@

# Asks a running QEMU: memory that is plugged and unplugged.
$(HOLDFAST_QMP): tests/qemu/tools/qmp.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) -std=gnu11 -O1 -g $(WARNINGS) $< -o $@

# What is started from Holdfast: archives of files, and the whole user space of a Linux.
HOLDFAST_KEXEC := $(BUILD)/holdfast/kexec
DEBIAN_KERNEL  := $(BUILD)/debian-kernel

$(HOLDFAST_KEXEC)/mkcpio: tests/qemu/tools/mkcpio.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) -std=gnu11 -O1 -g $(WARNINGS) $< -o $@

$(HOLDFAST_KEXEC)/linux-init: tests/qemu/tools/linux-init.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) --target=x86_64-unknown-linux-gnu -fuse-ld=lld -std=gnu11 -O1 $(WARNINGS) -ffreestanding \
		-fno-stack-protector -fno-pic -nostdlib -static $< -o $@

$(HOLDFAST_KEXEC)/compare-init: tests/qemu/tools/compare-init.c kernel/include/fill.h
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) -std=gnu11 -O2 $(WARNINGS) -D_GNU_SOURCE -static $< -o $@

# Holdfast's parsers, in a program.
$(BUILD)/fuzz/obj/tests/fuzz/fuzz_kexec.o: FLAGS_fuzz += -Ikernel/include -Ikernel/arch/x86_64/include \
	-Ikernel/arch/x86/include -Ikernel/arch/x86_64 -Ikernel/arch/x86

# A package, fetched once and not installed. Without it the tests of it are skipped.
debian-kernel:
	$(Q)tests/qemu/debian-kernel.sh $(DEBIAN_KERNEL)

run: $(HOLDFAST_ELF) $(HOLDFAST_SCRATCH) $(HOLDFAST_KEXEC)/mkcpio ## The whole story in QEMU, without a keypress; build/run/report.json
	@tests/qemu/run.sh $(HOLDFAST_ELF) $(HOLDFAST_SCRATCH) $(BUILD)/run
	@echo 'Once more, with every free frame out of the direct map:'
	@HOLDFAST_BRIEF=1 HOLDFAST_APPEND=debug_pagealloc=on \
		tests/qemu/run.sh $(HOLDFAST_ELF) $(HOLDFAST_SCRATCH) $(BUILD)/run/debug_pagealloc

churn: $(HOLDFAST_ELF) ## Every frame of a 4 GiB machine out of the direct map and back: leaf counts and times
	@tests/qemu/boot.sh --show --cpu max,-la57 --memory 4G --cpus 2 --seconds 300 --log $(BUILD)/churn.log \
		--append test=every --append churn=2000000 $(HOLDFAST_ELF)

# What `kexec` finds in `HOLDFAST_INITRD=build/holdfast/kexec/files.cpio make shell`.
kexec-files: $(HOLDFAST_ELF) $(HOLDFAST_KEXEC)/mkcpio $(HOLDFAST_KEXEC)/linux-init debian-kernel ## Kernels for Holdfast's `kexec`: build/holdfast/kexec/files.cpio
	$(Q)$(HOLDFAST_KEXEC)/mkcpio $(HOLDFAST_KEXEC)/initrd.cpio init=$(HOLDFAST_KEXEC)/linux-init
	$(Q)$(HOLDFAST_KEXEC)/mkcpio $(HOLDFAST_KEXEC)/files.cpio holdfast=$(HOLDFAST_ELF) \
		initrd=$(HOLDFAST_KEXEC)/initrd.cpio $(addprefix linux=,$(wildcard $(DEBIAN_KERNEL)/vmlinuz))

compare-linux: $(HOLDFAST_KEXEC)/mkcpio $(HOLDFAST_KEXEC)/compare-init debian-kernel ## Debian's Linux hibernates with the same contents; beside the figures of `make run`
	@tests/qemu/compare-linux.sh $(BUILD)

shell: $(HOLDFAST_ELF) ## Holdfast's monitor on this terminal (Ctrl-A x ends it)
	@tests/qemu/shell.sh $(HOLDFAST_ELF)

iso: $(HOLDFAST_ISO) ## A CD image with GRUB, for BIOS and UEFI: build/holdfast/x86_64/holdfast.iso

$(HOLDFAST_ISO): $(HOLDFAST_ELF) kernel/mkiso.sh
	$(call say,ISO,$@)
	$(Q)kernel/mkiso.sh $< $@

PART_PROGRAMS += holdfast $(HOLDFAST_SCRATCH) $(HOLDFAST_QMP) $(HOLDFAST_KEXEC)/mkcpio $(HOLDFAST_KEXEC)/linux-init debian-kernel
PART_TESTS    += qemu: tests/qemu/run-boots.sh tests/qemu/run-boots-i386.sh tests/qemu/monitor.sh \
	tests/qemu/monitor-i386.sh tests/qemu/differential.sh \
	tests/qemu/run-devices.sh tests/qemu/kexec.sh tests/qemu/hibernate.sh tests/qemu/powercut.sh tests/qemu/tour.sh
# KELP_TEST_SCALE is set there: see run-boots.sh.
PART_SOAK     += qemu: tests/qemu/run-boots.sh tests/qemu/run-boots-i386.sh tests/qemu/powercut.sh
PART_TESTS    += tests/qemu/hotplug.sh
PART_SOAK     += tests/qemu/hotplug.sh

.PHONY: holdfast run shell iso debian-kernel kexec-files compare-linux churn
