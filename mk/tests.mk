# SPDX-License-Identifier: MIT
#
# make test, make soak: which programs run in which variant, how long they may take, and the sums.

JOBS       ?= $(shell nproc 2>/dev/null || echo 2)
# Seconds one program may take.
TEST_LIMIT ?= 300
SOAK_LIMIT ?= 14400
# Multiplies the length of random and exhaustive tests (KELP_TEST_SCALE in their environment).
SOAK_SCALE ?= 100

# Variants that run every test program.
TEST_VARIANTS := clang gcc release gcc-release asan
ifeq ($(shell uname -m),x86_64)
TEST_VARIANTS += m32
endif

RUN_TESTS := $(BUILD)/run-tests

$(RUN_TESTS): mk/run-tests.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) -std=gnu11 -O1 -g $(WARNINGS) -D_GNU_SOURCE $< -o $@

# Under ThreadSanitizer what has threads runs: the others have nothing for it to see.
TSAN_TESTS := $(filter $(BUILD)/tsan/tests/explore/% $(BUILD)/tsan/tests/stress/% $(BUILD)/tsan/tests/house/%,$(TESTS_tsan))

HOUSE_TESTS := $(sort $(wildcard tests/house/*.sh))

TEST_PROGRAMS := $(foreach v,$(TEST_VARIANTS),$(TESTS_$(v))) $(TSAN_TESTS)

test-programs: $(RUN_TESTS) $(TEST_PROGRAMS)

test: test-programs $(TARGETS:%=$(BUILD)/target/%/kelp.o) ## All tests that take minutes: every format, compiler, sanitizer and word size
	@$(RUN_TESTS) --jobs $(JOBS) --limit $(TEST_LIMIT) --log $(BUILD)/logs --since $(STARTED) \
		house: $(HOUSE_TESTS) \
		$(foreach v,$(TEST_VARIANTS),$(v): $(TESTS_$(v))) \
		tsan: $(TSAN_TESTS)

soak: $(RUN_TESTS) $(TESTS_asan) $(TESTS_release) $(TSAN_TESTS) ## The same with long random runs: hours
	@KELP_TEST_SCALE=$(SOAK_SCALE) $(RUN_TESTS) --jobs $(JOBS) --limit $(SOAK_LIMIT) \
		--log $(BUILD)/logs/soak --since $(STARTED) \
		release: $(TESTS_release) asan: $(TESTS_asan) tsan: $(TSAN_TESTS)

.PHONY: test test-programs soak
