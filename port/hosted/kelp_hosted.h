/* SPDX-License-Identifier: MIT */
/*
 * hosted: the default port, for programs that run on an operating system: tools, benches, tests
 * and first experiments. Table pages come from one arena of ordinary memory; a page's physical
 * address is the arena's base plus its offset.
 *
 *	struct kelp_hosted hosted;
 *	status = kelp_hosted_init(&hosted, &(struct kelp_hosted_config){.pages = 4096});
 *	status = kelp_space_init(&space, &format, &hosted.port, 0);
 *
 * It is strict: a page given back twice, or one that was never given out, is a panic. And it can
 * be a bad port on purpose (KELP_HOSTED_* flags and kelp_hosted_inject), which is how tests ask
 * what the library does when memory runs out, is scattered, or is not what the contract says.
 *
 * Locking: every function and every hook may be called from any thread, init and destroy
 * excepted.
 */
#ifndef KELP_HOSTED_H
#define KELP_HOSTED_H

#include <kelp/port.h>
#include <kelp/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The order in which pages are handed out. The default is ascending. */
#define KELP_HOSTED_DESCENDING (UINT32_C(1) << 0)
#define KELP_HOSTED_SHUFFLED   (UINT32_C(1) << 1) /* random, from config.seed */
/* No two pages in use are ever adjacent; half of the pages are never given out (INV-3.6). */
#define KELP_HOSTED_SCATTERED  (UINT32_C(1) << 2)
/* Pages given back are filled with a pattern, and it is a panic when it changed meanwhile. */
#define KELP_HOSTED_POISON     (UINT32_C(1) << 3)
/* The port offers table_pointer, the general case, instead of table_offset. */
#define KELP_HOSTED_POINTERS   (UINT32_C(1) << 4)
/* The arena is backed by huge pages where the host has them and touched in advance: for benches. */
#define KELP_HOSTED_HUGE       (UINT32_C(1) << 5)
/* port.log prints to stderr; without it there is no log hook. */
#define KELP_HOSTED_LOG        (UINT32_C(1) << 6)

struct kelp_hosted_config {
	size_t page_size;  /* bytes: the granule of the format; 0 = 4096 */
	size_t pages;      /* how many there are */
	kelp_paddr_t base; /* physical address of the first one, a multiple of page_size */
	uint32_t flags;    /* KELP_HOSTED_* */
	uint64_t seed;     /* of SHUFFLED */
};

struct kelp_hosted_counts {
	uint64_t taken;      /* pages handed out since init */
	uint64_t given;      /* pages that came back */
	uint64_t refused;    /* takes that failed, injected failures included */
	uint64_t in_use;     /* taken - given */
	uint64_t peak;       /* the most that were in use at once */
	uint64_t shootdowns; /* calls of port.shootdown */
	uint64_t waits;      /* calls of port.wait_for_readers */
};

/*
 * `port` is what spaces are given. A caller that wants another shootdown, log or panic replaces
 * the hook in it after init, before the first space; the context of every hook is the struct
 * kelp_hosted, and `user` is for what such a hook needs. The other members are private.
 */
struct kelp_hosted {
	struct kelp_port port;
	void *user;
	struct kelp_hosted_private *private_part;
};

/*
 * Makes a port. Errors: ARGUMENT (page_size not a power of two of at least 16, base not a
 * multiple of it, no pages, unknown flag); NO_MEMORY. After an error there is nothing to destroy.
 */
enum kelp_status kelp_hosted_init(struct kelp_hosted *hosted,
				  const struct kelp_hosted_config *config) KELP_WARN_UNUSED;

/* Frees the arena with everything that is still in use in it. */
void kelp_hosted_destroy(struct kelp_hosted *hosted);

void kelp_hosted_counts(struct kelp_hosted *hosted, struct kelp_hosted_counts *counts);

/* Where a physical address of the arena lies, and the reverse; a panic for any other. */
void *kelp_hosted_pointer(struct kelp_hosted *hosted, kelp_paddr_t address);
kelp_paddr_t kelp_hosted_address(struct kelp_hosted *hosted, const void *pointer);

/* What a take does instead of its duty. */
enum kelp_hosted_fault {
	KELP_HOSTED_OK,
	KELP_HOSTED_FAIL,            /* there is no page */
	KELP_HOSTED_DIRTY,           /* a page that is not zeroed */
	KELP_HOSTED_DUPLICATE,       /* the page handed out last that is still in use, zeroed */
	KELP_HOSTED_DUPLICATE_DIRTY, /* the same, as it is */
};

/*
 * From the nth take on (1 = the next one) the port commits `fault`: once, or for ever.
 * KELP_HOSTED_OK ends it. A new call replaces the one before.
 */
void kelp_hosted_inject(struct kelp_hosted *hosted, enum kelp_hosted_fault fault, uint64_t nth,
			bool for_ever);

/*
 * A read section: port.wait_for_readers returns when all that began before it have ended. They
 * nest. begin returns a token for end.
 */
unsigned kelp_hosted_read_begin(struct kelp_hosted *hosted);
void kelp_hosted_read_end(struct kelp_hosted *hosted, unsigned token);

#ifdef __cplusplus
}
#endif

#endif
