# SPDX-License-Identifier: MIT
#
# The simulated machine and its tests: tests/sim/*.c, each a program. The library is built once
# more for them, with the hw.h of sim/, which reports every entry and invalidation to the machine.
#
# $(eval $(call sim,VARIANT,COMPILER,FLAGS,LIBRARY FLAGS)) adds them to TESTS_<variant>.

# The machine knows nothing of Kelp; kelp_port.c binds the two.
SIM_MACHINE_SOURCES := $(addprefix sim/,cache.c cpu.c invalidate.c judge.c memory.c record.c \
	tables.c trace.c verdict.c walk_x86.c walk_arm64.c walk_riscv.c walk_fake.c)
# The disk is apart from it: it needs no machine.
SIM_SOURCES := $(SIM_MACHINE_SOURCES) sim/kelp_port.c sim/disk.c
SIM_TESTS := $(sort $(wildcard tests/sim/*.c))
SIM_PROGRAM_SOURCES := $(sort $(wildcard tests/sim/programs/*.c tests/sim/support/*.c \
	examples/simulated/pages.c examples/simulated/harness.c))
# The test port of the machine stands in for the one that has its pages from the host, and its
# CPUs for the TLB that floor 3's tests have there.
SIM_SUPPORT_SOURCES := $(filter-out tests/common/test_port.c tests/common/reach_tlb.c, \
	$(SUPPORT_SOURCES))
# Floor 1's own suites, once more on the machine: tests/sim/conformance-map is space_map.c.
SIM_SUITES := $(patsubst tests/conformance/space_%.c,conformance-%, \
	$(sort $(wildcard tests/conformance/space_*.c)))
# Floor 3's: tests/sim/reach-kmap is reach_kmap.c.
SIM_REACH_SUITES := $(patsubst tests/conformance/reach_%.c,reach-%, \
	$(sort $(wildcard tests/conformance/reach_*.c)))
# Calls that support/watch.c stands in front of, and those of support/machine_reach.c.
SIM_WATCHED := $(foreach f,space_init space_adopt space_destroy space_map space_unmap space_protect \
	space_populate space_split space_coalesce space_release space_share space_prepare \
	flush_begin flush_now flush_commit,-Wl,--wrap=kelp_$(f))
SIM_REACH_WATCHED := $(foreach f,slot_set slot_drop slot_clear slot_invalidate \
	flush_execute,-Wl,--wrap=kelp_$(f))

define sim
SIM_FLAGS_$(1) := -Isim $(INCLUDES) -DTESTS_ON_MACHINE=1 -g $(3) $(4)
SIM_OBJECTS_$(1) := $(patsubst %.c,$(BUILD)/$(1)/sim/%.o,$(LIBRARY_SOURCES) \
	$(SUPPORT_LIBRARY_SOURCES) $(SIM_SOURCES) $(SIM_PROGRAM_SOURCES) $(SIM_SUPPORT_SOURCES))
TESTS_$(1) += $(patsubst %.c,$(BUILD)/$(1)/%,$(SIM_TESTS))

$(BUILD)/$(1)/sim/%.o: %.c $(BUILD)/$(1)/flags
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$(Q)$(2) $$(SIM_FLAGS_$(1)) $(HOSTED_FLAGS) $(if $(filter $(GCC),$(2)),$(HOSTED_FLAGS_GCC)) -MMD -MP -c $$< -o $$@

$(BUILD)/$(1)/libkelp-sim.a: $$(SIM_OBJECTS_$(1))
	$$(call say,AR,$$@)
	$(Q)rm -f $$@ && $(AR) rcsD $$@ $$^

$(patsubst %.c,$(BUILD)/$(1)/%,$(SIM_TESTS)): $(BUILD)/$(1)/%: $(BUILD)/$(1)/sim/%.o $(BUILD)/$(1)/libkelp-sim.a
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$(Q)$(2) $$(SIM_FLAGS_$(1)) $$^ -lcmocka -o $$@
endef

# $(eval $(call sim_suites,VARIANT,COMPILER))
define sim_suites
TESTS_$(1) += $(SIM_SUITES:%=$(BUILD)/$(1)/tests/sim/%) \
	$(SIM_REACH_SUITES:%=$(BUILD)/$(1)/tests/sim/%) $(BUILD)/$(1)/tests/sim/model

# The random sequences against the model, under the oracle.
$(BUILD)/$(1)/tests/sim/model: $(BUILD)/$(1)/sim/tests/unit/space_model.o $(BUILD)/$(1)/libkelp-sim.a
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$(Q)$(2) $$(SIM_FLAGS_$(1)) $(SIM_WATCHED) $$^ -lcmocka -o $$@

$(BUILD)/$(1)/tests/sim/reach-%: $(BUILD)/$(1)/sim/tests/conformance/reach_%.o $(BUILD)/$(1)/libkelp-sim.a
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$(Q)$(2) $$(SIM_FLAGS_$(1)) $(SIM_WATCHED) $(SIM_REACH_WATCHED) $$^ -lcmocka -o $$@

$(BUILD)/$(1)/tests/sim/conformance-%: $(BUILD)/$(1)/sim/tests/conformance/space_%.o $(BUILD)/$(1)/libkelp-sim.a
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$(Q)$(2) $$(SIM_FLAGS_$(1)) $(SIM_WATCHED) $$^ -lcmocka -o $$@
endef

$(eval $(call sim,release,$(CLANG),-O2))
$(eval $(call sim,clang,$(CLANG),-O2,$(CHECKED)))
$(eval $(call sim,gcc,$(GCC),-O2,$(CHECKED)))
$(eval $(call sim,asan,$(CLANG),-O1 $(SANITIZE_ADDRESS),$(CHECKED)))
$(eval $(call sim,m32,$(GCC),-O2 -m32,$(CHECKED)))
$(eval $(call sim_suites,release,$(CLANG)))

# What people run: the example, and how fast the machine judges.
SIM_EXAMPLE := $(BUILD)/release/examples/simulated
SIM_BENCH := $(BUILD)/release/sim-bench

$(SIM_EXAMPLE): $(BUILD)/release/sim/examples/simulated/main.o $(BUILD)/release/libkelp-sim.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(SIM_FLAGS_release) $^ -o $@

$(SIM_BENCH): $(BUILD)/release/sim/sim/bench.o $(BUILD)/release/libkelp-sim.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(SIM_FLAGS_release) $^ -lm -o $@

example-simulated: $(SIM_EXAMPLE) ## Page-table code that is not Kelp's on the simulated machine
	@$(SIM_EXAMPLE) || true

bench-sim: $(SIM_BENCH) ## How fast the simulated machine judges: a table, build/bench-sim.json, a figure
	@$(SIM_BENCH) --json $(BUILD)/bench-sim.json --svg $(BUILD)/bench-sim.svg

# What mutate.sh links with the mutated library.
MUTANT_OBJECTS := $(BUILD)/clang/tests/sim/library \
	$(BUILD)/clang/sim/tests/conformance/space_flush.o \
	$(BUILD)/clang/sim/tests/conformance/space_share.o \
	$(patsubst reach-%,$(BUILD)/clang/sim/tests/conformance/reach_%.o,$(SIM_REACH_SUITES))
export KELP_WRAP := $(SIM_WATCHED)
export KELP_WRAP_REACH := $(SIM_REACH_WATCHED)

# make test takes some of the sites, make soak (mk/tests.mk) all.
PART_PROGRAMS += $(MUTANT_OBJECTS)
PART_TESTS += mutants: 'tests/sim/mutate.sh $(BUILD) few'
soak: $(MUTANT_OBJECTS)

mutants: $(MUTANT_OBJECTS) ## The library with one flush removed, at each site in turn: the oracle must notice
	@tests/sim/mutate.sh $(BUILD) $(MUTANTS)

.PHONY: example-simulated bench-sim mutants
