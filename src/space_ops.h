/* SPDX-License-Identifier: MIT */
/*
 * space_ops: the range operations as one format's instantiation provides them.
 *
 * A build for several formats reaches them through a table: one indirect call per range
 * operation. In a build for one format (KELP_SINGLE_FORMAT=x86_64, say) the instantiation's
 * functions ARE the public ones: not even a jump lies between.
 */
#ifndef KELP_SRC_SPACE_OPS_H
#define KELP_SRC_SPACE_OPS_H

#include <kelp/space.h>

/* kelp_space.flags, private: the root was adopted and is not ours to free. */
#define KELP_SPACE_ADOPTED_ROOT (UINT32_C(1) << 31)

/* The operations: X(result, name, parameters). The only list of them. Public ones first. */
#define KELP_SPACE_PUBLIC_OPERATIONS(X)                                                            \
	X(enum kelp_status, map,                                                                   \
	  (struct kelp_flush * flush, kelp_vaddr_t va, kelp_paddr_t pa, uint64_t size,             \
	   kelp_attr_t attributes, uint32_t flags))                                                \
	X(enum kelp_status, unmap,                                                                 \
	  (struct kelp_flush * flush, kelp_vaddr_t va, uint64_t size, uint32_t flags))             \
	X(enum kelp_status, protect,                                                               \
	  (struct kelp_flush * flush, kelp_vaddr_t va, uint64_t size, kelp_attr_t set,             \
	   kelp_attr_t clear, uint32_t flags))                                                     \
	X(enum kelp_status, populate,                                                              \
	  (struct kelp_flush * flush, kelp_vaddr_t va, uint64_t size, unsigned leaf_shift,         \
	   uint32_t flags))                                                                        \
	X(enum kelp_status, split,                                                                 \
	  (struct kelp_flush * flush, kelp_vaddr_t va, uint64_t size, unsigned leaf_shift,         \
	   uint32_t flags))                                                                        \
	X(enum kelp_status, coalesce,                                                              \
	  (struct kelp_flush * flush, kelp_vaddr_t va, uint64_t size, unsigned leaf_shift,         \
	   uint32_t flags, uint64_t *merged))                                                      \
	X(enum kelp_status, release,                                                               \
	  (struct kelp_flush * flush, kelp_vaddr_t va, uint64_t size, uint64_t *released))         \
	X(enum kelp_status, share,                                                                 \
	  (struct kelp_flush * flush, const struct kelp_space *from, kelp_vaddr_t va,              \
	   uint64_t size))                                                                         \
	X(enum kelp_status, prepare, (struct kelp_flush * flush, struct kelp_change * change))     \
	X(void, commit, (struct kelp_change * change))                                             \
	X(enum kelp_status, query,                                                                 \
	  (const struct kelp_space *space, kelp_vaddr_t va, struct kelp_mapping *mapping))         \
	X(enum kelp_status, translate,                                                             \
	  (const struct kelp_space *space, kelp_vaddr_t va, kelp_paddr_t *pa))                     \
	X(enum kelp_status, walk,                                                                  \
	  (const struct kelp_space *space, kelp_vaddr_t va, uint64_t size, uint32_t flags,         \
	   kelp_visitor_t *visitor, void *context))

#define KELP_SPACE_PRIVATE_OPERATIONS(X)                                                           \
	X(enum kelp_status, check_adopted, (struct kelp_space * space, uint64_t table_limit))      \
	X(void, retire_all, (struct kelp_flush * flush))                                           \
	X(void, harvest, (struct kelp_space * space, const struct kelp_flush_intact *table))       \
	X(void, retire_intact, (struct kelp_flush * flush, const struct kelp_flush_intact *table))

#define KELP_SPACE_OPERATION_MEMBER(result, name, parameters) result(*name) parameters;

struct kelp_space_ops {
	KELP_SPACE_PUBLIC_OPERATIONS(KELP_SPACE_OPERATION_MEMBER)
	KELP_SPACE_PRIVATE_OPERATIONS(KELP_SPACE_OPERATION_MEMBER)
};

#ifdef KELP_SINGLE_FORMAT
#define KELP_SPACE_OPERATION_PROTOTYPE(result, name, parameters)                                   \
	result kelp_space_##name parameters;
KELP_SPACE_PRIVATE_OPERATIONS(KELP_SPACE_OPERATION_PROTOTYPE)
#define KELP_SPACE_CALL(space, name, ...) ((void)(space), kelp_space_##name(__VA_ARGS__))
#else
#define KELP_SPACE_CALL(space, name, ...) ((space)->ops->name(__VA_ARGS__))
#endif

#endif
