# SPDX-License-Identifier: MIT
#
# make test, make soak: which programs run in which variant, how long they may take, and the sums.
#
# A part of the project (sim/build.mk, ...) adds its own tests with
#   PART_PROGRAMS += what must be built
#   PART_TESTS    += stage: 'command' 'command' ...    programs that print TAP
#   PART_SOAK     += the same, for make soak

JOBS       ?= $(shell nproc 2>/dev/null || echo 2)
# Seconds one program may take.
TEST_LIMIT ?= 600
SOAK_LIMIT ?= 14400
# make soak: KELP_TEST_SCALE multiplies the length of random and exhaustive tests.
SOAK_SCALE ?= 100
FUZZ_SECONDS      ?= 15
SOAK_FUZZ_SECONDS ?= 3600

# Variants that run every test program. The 32-bit one needs a host that can run it.
TEST_VARIANTS := clang gcc release gcc-release asan
ifeq ($(shell uname -m),x86_64)
TEST_VARIANTS += m32
endif

# What explores or tries at random for long finds the same in every build, so not every variant
# runs it: the release build, the checked clang build and AddressSanitizer do.
LONG_TESTS := explore/% stress/% sim/library
SKIPPED_gcc         := $(LONG_TESTS) unit/space_model
SKIPPED_gcc-release := $(LONG_TESTS) unit/space_model
SKIPPED_m32         := $(LONG_TESTS)
$(foreach v,$(TEST_VARIANTS),$(eval RUN_$(v) := \
	$(filter-out $(addprefix $(BUILD)/$(v)/tests/,$(SKIPPED_$(v))),$(TESTS_$(v)))))

# Under ThreadSanitizer what has threads runs: the others have nothing for it to see.
TSAN_TESTS := $(filter $(addprefix $(BUILD)/tsan/tests/,explore/% stress/% house/%),$(TESTS_tsan))

HOUSE_TESTS := $(sort $(wildcard tests/house/test-*.sh))

FUZZERS := $(patsubst %.c,$(BUILD)/fuzz/%,$(sort $(wildcard tests/fuzz/*.c)))

$(FUZZERS): $(BUILD)/fuzz/%: $(BUILD)/fuzz/obj/%.o $(BUILD)/fuzz/libkelp-tests.a $(BUILD)/fuzz/libkelp.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(FLAGS_fuzz) -fsanitize=fuzzer $^ -lcmocka -lpthread -o $@

RUN_TESTS := $(BUILD)/run-tests

$(RUN_TESTS): mk/run-tests.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) -std=gnu11 -O1 -g $(WARNINGS) -D_GNU_SOURCE $< -o $@

TEST_PROGRAMS := $(foreach v,$(TEST_VARIANTS),$(RUN_$(v))) $(TSAN_TESTS) $(FUZZERS) $(PART_PROGRAMS)

test-programs: $(RUN_TESTS) $(TEST_PROGRAMS) $(LIBRARY_TARGETS:%=$(BUILD)/target/%/kelp.o) lib ## Builds what `make test` runs

test: test-programs ## All tests that take minutes: every format, compiler, sanitizer, word size
	@KELP_BUILD='$(BUILD)' KELP_TARGETS='$(LIBRARY_TARGETS)' KELP_FUZZ_SECONDS=$(FUZZ_SECONDS) \
	$(RUN_TESTS) --jobs $(JOBS) --limit $(TEST_LIMIT) --log $(BUILD)/logs --since $(STARTED) \
		house: $(HOUSE_TESTS) \
		$(foreach v,$(TEST_VARIANTS),$(v): $(RUN_$(v))) \
		tsan: $(TSAN_TESTS) \
		spin: 'env CC=$(CLANG) tests/spin/run.sh' \
		fuzz: $(FUZZERS:%='mk/run-fuzz.sh %') \
		$(PART_TESTS)

soak: $(RUN_TESTS) $(PART_PROGRAMS) $(TESTS_release) $(TESTS_asan) $(TSAN_TESTS) $(FUZZERS) $(BUILD)/clang/tests/sim/library ## The same, random runs a hundred times as long: hours
	@KELP_BUILD='$(BUILD)' KELP_TEST_SCALE=$(SOAK_SCALE) KELP_FUZZ_SECONDS=$(SOAK_FUZZ_SECONDS) \
	$(RUN_TESTS) --jobs $(JOBS) --limit $(SOAK_LIMIT) --log $(BUILD)/logs-soak --since $(STARTED) \
		release: $(TESTS_release) asan: $(TESTS_asan) tsan: $(TSAN_TESTS) \
		spin: 'env CC=$(CLANG) tests/spin/run.sh' \
		fuzz: $(FUZZERS:%='mk/run-fuzz.sh %') \
		mutants: 'tests/sim/mutate.sh $(BUILD)' \
		$(PART_SOAK)

.PHONY: test test-programs soak
