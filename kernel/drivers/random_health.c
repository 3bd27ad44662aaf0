/* SPDX-License-Identifier: MIT */
/* random_health: the two tests that notice a source which has broken (SP 800-90B 4.4). */
#include <drivers/random.h>

/* 4.4.1: the same value over and over. */
static bool repetition_count(struct random_health *health, uint8_t sample)
{
	if (health->repetitions && sample == health->last) {
		health->repetitions++;
	} else {
		health->last = sample;
		health->repetitions = 1;
	}
	return health->repetitions < RANDOM_REPETITIONS_MAX;
}

/* 4.4.2: one value far too often. */
static bool adaptive_proportion(struct random_health *health, uint8_t sample)
{
	if (health->seen == 0) {
		health->first = sample;
		health->matches = 0;
	}
	health->matches += sample == health->first;
	health->seen = (health->seen + 1u) % RANDOM_WINDOW;
	return health->matches < RANDOM_PROPORTION_MAX;
}

bool random_health_check(struct random_health *health, const uint8_t *sample, size_t size)
{
	bool healthy = true;

	for (size_t i = 0; i < size; i++) {
		healthy &= repetition_count(health, sample[i]);
		healthy &= adaptive_proportion(health, sample[i]);
	}
	return healthy;
}
