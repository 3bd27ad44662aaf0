/* SPDX-License-Identifier: MIT */
/*
 * status: the one enum of results.
 *
 * Every function that can fail returns enum kelp_status and hands its results through
 * pointers. The world's failures (no memory, a malformed table, a range in use) are returned;
 * a caller's bug (a gather used after commit, a page given twice) is asserted through the port.
 * After any error nothing has changed and nothing has leaked, unless the function's own header
 * block says otherwise.
 */
#ifndef KELP_STATUS_H
#define KELP_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KELP_WARN_UNUSED __attribute__((warn_unused_result))
#else
#define KELP_WARN_UNUSED
#endif

enum kelp_status {
	KELP_OK = 0,
	/* A flag or attribute that does not exist, or two that contradict each other. */
	KELP_ERR_ARGUMENT = 1,
	/* An address or a size is not a multiple of the page size. */
	KELP_ERR_ALIGNMENT = 2,
	/* Not canonical, outside the space, wider than the physical width, or wrapping around. */
	KELP_ERR_ADDRESS = 3,
	/* Something is mapped there and replacing it was not asked for. */
	KELP_ERR_EXISTS = 4,
	/* Nothing is mapped there and something must be. */
	KELP_ERR_NOT_MAPPED = 5,
	/* The port gave no table page. */
	KELP_ERR_NO_MEMORY = 6,
	/* This format or this machine cannot do or express it. */
	KELP_ERR_UNSUPPORTED = 7,
	/* The architecture demands break-before-make here and the caller did not allow a break. */
	KELP_ERR_BBM = 8,
	/* A table entry above the leaf (adopted, not ours) denies a right that was asked for. */
	KELP_ERR_RESTRICTED = 9,
	/* The tables contradict the format: a reserved bit, a loop, a leaf where none may be. */
	KELP_ERR_MALFORMED = 10,
	/* Somebody holds it: an open gather, a reader that does not leave. */
	KELP_ERR_BUSY = 11,
	/* A disk or another device failed what it was asked for. */
	KELP_ERR_IO = 12,
	/* It does not fit into the place it was given: the image on the disk area. */
	KELP_ERR_NO_SPACE = 13,
	/* There is nothing to resume from: no image, or it was used or given up. */
	KELP_ERR_NO_IMAGE = 14,
	/* Contents that fail their authentication: damaged, cut short, reordered or forged. */
	KELP_ERR_DAMAGED = 15,
	/* Sealed with another key than the one given. */
	KELP_ERR_KEY = 16,
	/* A version, codec or cipher that this library was not given. */
	KELP_ERR_VERSION = 17,
	/* The image is of another kernel build. */
	KELP_ERR_OTHER_KERNEL = 18,
	/* The image is of a machine with another memory map. */
	KELP_ERR_OTHER_MEMORY = 19,
	/* The image relies on CPU features that are not here. */
	KELP_ERR_OTHER_CPU = 20,
	/* The image is of a machine with another number of CPUs. */
	KELP_ERR_CPU_COUNT = 21,
	/* The image is older than the one that is expected. */
	KELP_ERR_REPLAYED = 22,
	/* There are secret frames and the policy refuses to save them. */
	KELP_ERR_SECRET = 23,
	/* Somebody asked for it to stop. */
	KELP_ERR_CANCELLED = 24,
	/* The source of random bytes failed. */
	KELP_ERR_NO_RANDOM = 25,
	/* There is no such frame, or it is not in the state that was asked for. */
	KELP_ERR_NO_FRAME = 26,
};

/*
 * The name of a status ("KELP_ERR_BBM") and one sentence for people: what it means and what to
 * do. Never NULL: an unknown value gets a text that says so. Any phase, any context.
 */
const char *kelp_status_name(enum kelp_status status);
const char *kelp_status_text(enum kelp_status status);

#ifdef __cplusplus
}
#endif

#endif
