/* SPDX-License-Identifier: MIT */
/*
 * random: bytes from the machine's entropy device, watched by the health tests of NIST
 * SP 800-90B, 4.4. There is no generator behind it: what a kernel needs keys from is exactly what
 * the device gives.
 */
#ifndef HOLDFAST_DRIVERS_RANDOM_H
#define HOLDFAST_DRIVERS_RANDOM_H

#include <base.h>

/* True when there is a device and it is healthy. */
bool random_available(void);
/* Why not, or who gives: for people. */
const char *random_source(void);

/*
 * Fills `buffer`. False: there is no device, it did not answer, or it failed a health test; then
 * the buffer is zeroed and the device not used any more. Thread context.
 */
bool random_bytes(void *buffer, size_t size);

struct random_stats {
	uint64_t requests, bytes;
};
void random_stats(struct random_stats *stats);

/* Resets the device, which from then on touches no memory; and starts it again. */
void random_stop(void);
bool random_restart(void);

/* ---- health tests: one sample is one byte, 8 bits of entropy are claimed for each -------- */

/* False alarms come once in 2^40 samples. */
#define RANDOM_REPETITIONS_MAX 6u  /* 4.4.1: 1 + 40 / 8 */
#define RANDOM_WINDOW 512u         /* 4.4.2 */
#define RANDOM_PROPORTION_MAX 20u  /* 4.4.2: 1 + the critical value of B(512, 2^-8) */

struct random_health {
	uint8_t last;          /* of the repetition count test */
	unsigned repetitions;
	uint8_t first;         /* of the window of the adaptive proportion test */
	unsigned seen, matches;
};

/* Takes `size` samples in. False: they are not random. Starts from zeroes. */
bool random_health_check(struct random_health *health, const uint8_t *sample, size_t size);

#endif
