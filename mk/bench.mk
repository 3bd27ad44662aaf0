# SPDX-License-Identifier: MIT
#
# make bench: bench/*.c is one program. It prints a table for people and writes its figures to the
# file it is given.

BENCH_SOURCES := $(sort $(wildcard bench/*.c))
BENCH := $(BUILD)/release/bench/kelp-bench

$(BENCH): $(BENCH_SOURCES:%.c=$(BUILD)/release/obj/%.o) $(BUILD)/release/libkelp-codecs.a \
		$(BUILD)/release/libkelp.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(FLAGS_release) $^ -lpthread -o $@

bench: $(BENCH) ## Measure: prints a table and writes build/bench.json
	@$(BENCH) --json $(BUILD)/bench.json

.PHONY: bench
