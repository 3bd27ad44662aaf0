/* SPDX-License-Identifier: MIT */
/*
 * pmem: memory that keeps its contents when the machine ends (virtio-pmem, V5.19). It is device
 * memory: its frames have descriptors and lie in the direct map, but the page allocator never
 * gives them away.
 */
#ifndef HOLDFAST_DRIVERS_PMEM_H
#define HOLDFAST_DRIVERS_PMEM_H

#include <base.h>

#define PMEM_DEVICES_MAX 4u

struct pmem {
	const char *name;
	kelp_paddr_t first;
	uint64_t size;     /* whole subsections; what the device has beyond them is not used */
	const char *state; /* NULL: it works */
	uint64_t flushes;
};

/* The nth device, also one that does not work; NULL behind the last. */
const struct pmem *pmem_device(unsigned index);

/*
 * Bytes of the device: loads and stores, no requests. NULL when the range is not all inside, or
 * the device is not attached.
 */
void *pmem_pointer(const struct pmem *pmem, uint64_t offset, uint64_t size);

/*
 * Everything that was stored before is permanent afterwards. False: the host could not write it,
 * or the device does not work. Thread context.
 */
bool pmem_flush(const struct pmem *pmem);

/*
 * Takes the memory away and gives it back: between the two nobody can hold its frames. detach
 * waits for those who do, and fails when they do not let go.
 */
bool pmem_detach(const struct pmem *pmem);
bool pmem_attach(const struct pmem *pmem);

/* No device touches memory; the contents stay. False: one could not flush or did not come back. */
bool pmem_stop(void);
bool pmem_restart(void);

#endif
