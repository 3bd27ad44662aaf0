/* SPDX-License-Identifier: MIT */
/*
 * hold: the counters of readers, and the wait for them.
 *
 * WHY IT IS RIGHT. Let a reader R add to held[p], then see the flag set, though a remover W has
 * cleared it and then waits.
 *  1. Between R's addition and its look lies a full fence, and one between W's clearing and its
 *     adding up (its own and R's are one with the barrier hook). As R did not see the flag
 *     cleared, W sees R's addition, whatever phase p it went to and however old R's idea of the
 *     current phase was.
 *  2. W adds up `released` first. A release that is in this sum was made after its hold, and on
 *     the way from one to the other (the same CPU's order, or whatever moved the thread) nothing
 *     is lost: W, having seen the release (acquire), sees the hold. So in W's sums every hold of a
 *     counted release is counted, and R's, if R has not released, on top: they differ. W waits.
 *  3. W looks at both phases, so it finds p.
 * Turning the phase over is for the wait to end, not for its being right: who enters later goes to
 * the other phase; of those that read the old one before, there are finitely many.
 */
#include <kelp/hold.h>

#include "debug.h"
#include "hold.h"

static uint32_t buckets_of(const struct kelp_holds_config *config)
{
	return config->buckets ? config->buckets : 4u;
}

static unsigned log2_ceiling(size_t size)
{
	unsigned shift = 0;

	while (((size_t)1 << shift) < size)
		shift++;
	return shift;
}

static unsigned cpu_shift(const struct kelp_holds_config *config)
{
	unsigned shift = log2_ceiling(buckets_of(config) * sizeof(struct kelp_hold_counters));

	/* Two CPUs share no cache line. */
	return shift < 6u ? 6u : shift;
}

enum kelp_status kelp_holds_size(const struct kelp_holds_config *config, size_t *size)
{
	uint32_t buckets = buckets_of(config);

	if (config->cpus == 0 || buckets > KELP_HOLD_BUCKETS_MAX || (buckets & (buckets - 1u)) ||
	    config->cpus > (SIZE_MAX >> cpu_shift(config)))
		return KELP_ERR_ARGUMENT;
	*size = config->domain ? 0 : (size_t)config->cpus << cpu_shift(config);
	return KELP_OK;
}

enum kelp_status kelp_holds_init(struct kelp_holds *holds, const struct kelp_holds_config *config)
{
	const struct kelp_hold_domain *domain = config->domain;
	size_t size;
	enum kelp_status status = kelp_holds_size(config, &size);

	if (status != KELP_OK)
		return status;
	if ((config->flags & ~KELP_HOLDS_SHARED) || !config->port ||
	    (size > 0 && (!config->memory || ((uintptr_t)config->memory & 63u))) ||
	    (domain && (!domain->enter || !domain->leave || !domain->wait)) ||
	    (config->record && !config->records) || config->records > UINT32_MAX / config->cpus)
		return KELP_ERR_ARGUMENT;
	*holds = (struct kelp_holds){
		.counters = config->memory,
		.cpu_size = (size_t)1 << cpu_shift(config),
		.bucket_mask = buckets_of(config) - 1u,
		.mode = (config->barrier || domain ? 0 : KELP_HOLDS_FENCE) |
			(config->flags & KELP_HOLDS_SHARED ? KELP_HOLDS_ATOMIC : 0) |
			(domain ? KELP_HOLDS_DOMAIN : 0) |
			(config->record ? KELP_HOLDS_RECORD : 0),
		.cpus = config->cpus,
		.port = config->port,
		.barrier = config->barrier,
		.barrier_context = config->barrier_context,
		.domain = domain,
		.record = config->record,
		.records = config->record ? config->records : 0,
	};
	if (size > 0)
		__builtin_memset(config->memory, 0, size);
	if (config->record)
		__builtin_memset(config->record, 0,
				 (size_t)config->cpus * config->records * sizeof(*config->record));
	return KELP_OK;
}

/* ---- entering and leaving ----------------------------------------------------------------- */

static void add(const struct kelp_holds *holds, uint32_t *counter)
{
	if (holds->mode & KELP_HOLDS_ATOMIC)
		(void)kelp_hw_count_add(counter, 1);
	else
		kelp_hw_local_add(counter, 1);
}

/* Which records are free changes under us, by interrupts and by releases elsewhere. */
static uint32_t record_take(struct kelp_holds *holds, uint32_t cpu, kelp_pfn_t pfn,
			    uintptr_t where)
{
	for (uint32_t i = cpu * holds->records; i < (cpu + 1u) * holds->records; i++) {
		struct kelp_hold_record *record = &holds->record[i];
		uint32_t free = 0;

		if (kelp_shared_load(&record->state) != 0 ||
		    !kelp_shared_swap(&record->state, &free, 1))
			continue;
		kelp_shared_store(&record->low, (uint32_t)pfn.number);
		kelp_shared_store(&record->high, (uint32_t)(pfn.number >> 32));
		kelp_shared_store_word(&record->where, where);
		kelp_shared_store(&record->state, 2);
		return i + 1u;
	}
	(void)kelp_hw_count_add(&holds->unrecorded, 1);
	return 0;
}

void kelp_hold_enter_slowly(struct kelp_holds *holds, uint32_t cpu, uint32_t bucket,
			    kelp_pfn_t pfn, uintptr_t where, struct kelp_hold *hold)
{
	KELP_ASSERT_DEBUG(holds->port, cpu < holds->cpus, "a hold on a CPU that does not exist");
	hold->record = holds->mode & KELP_HOLDS_RECORD ? record_take(holds, cpu, pfn, where) : 0;
	if (holds->mode & KELP_HOLDS_DOMAIN) {
		hold->cookie = holds->domain->enter(holds->domain->context, cpu);
		return;
	}
	hold->cookie = kelp_hold_cookie(holds, bucket);
	add(holds, kelp_hold_counter(holds, cpu, hold->cookie));
	if (holds->mode & KELP_HOLDS_FENCE)
		kelp_hw_fence();
	else
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void kelp_hold_leave_slowly(struct kelp_holds *holds, uint32_t cpu, struct kelp_hold *hold)
{
	KELP_ASSERT_DEBUG(holds->port, cpu < holds->cpus, "a release on a CPU that does not exist");
	if ((holds->mode & KELP_HOLDS_RECORD) && hold->record != 0)
		kelp_shared_store(&holds->record[hold->record - 1u].state, 0);
	if (holds->mode & KELP_HOLDS_DOMAIN)
		holds->domain->leave(holds->domain->context, cpu, hold->cookie);
	else
		add(holds, kelp_hold_counter(holds, cpu,
					     hold->cookie + offsetof(struct kelp_hold_counters,
								     released)));
}

void kelp_hold_enter(struct kelp_holds *holds, uint32_t cpu, uint32_t bucket, kelp_pfn_t pfn,
		     struct kelp_hold *hold)
{
	kelp_hold_enter_slowly(holds, cpu, bucket & holds->bucket_mask, pfn,
			       (uintptr_t)__builtin_return_address(0), hold);
}

void kelp_hold_leave(struct kelp_holds *holds, uint32_t cpu, struct kelp_hold *hold)
{
	kelp_hold_leave_slowly(holds, cpu, hold);
}

/* ---- waiting ------------------------------------------------------------------------------ */

static uint32_t sum(const struct kelp_holds *holds, uintptr_t offset)
{
	uint32_t total = 0;

	for (uint32_t cpu = 0; cpu < holds->cpus; cpu++)
		total += kelp_shared_load(kelp_hold_counter(holds, cpu, offset));
	return total;
}

static bool is_drained(const struct kelp_holds *holds, uint32_t bucket, uint32_t phase)
{
	uintptr_t held = bucket * sizeof(struct kelp_hold_counters) + phase * sizeof(uint32_t);
	/* Released first: see 2. above. The loads are acquires and stay in order. */
	uint32_t released = sum(holds, held + offsetof(struct kelp_hold_counters, released));

	return sum(holds, held) == released;
}

static enum kelp_status drain(struct kelp_holds *holds, uint32_t bucket, uint32_t phase,
			      const struct kelp_hold_wait *wait, uint32_t *looks)
{
	while (!is_drained(holds, bucket, phase)) {
		if (*looks < UINT32_MAX)
			++*looks;
		if (!wait)
			kelp_hw_relax();
		else if (!wait->again(wait->context, *looks))
			return KELP_ERR_BUSY;
	}
	return KELP_OK;
}

static enum kelp_status drain_bucket(struct kelp_holds *holds, uint32_t bucket,
				     const struct kelp_hold_wait *wait, uint32_t *looks)
{
	uint32_t phase = kelp_shared_load(&holds->phase[bucket]);
	/* Nobody new comes here: what is left is from before the last turn, or a wait given up. */
	enum kelp_status status = drain(holds, bucket, phase ^ 1u, wait, looks);

	if (status != KELP_OK || is_drained(holds, bucket, phase))
		return status;
	kelp_shared_store(&holds->phase[bucket], phase ^ 1u);
	return drain(holds, bucket, phase, wait, looks);
}

enum kelp_status kelp_holds_wait(struct kelp_holds *holds, uint32_t bucket, uint32_t buckets,
				 const struct kelp_hold_wait *wait)
{
	enum kelp_status status = KELP_OK;
	uint32_t looks = 0;

	if (holds->domain)
		return holds->domain->wait(holds->domain->context, wait);
	if (holds->barrier)
		holds->barrier(holds->barrier_context);
	kelp_hw_fence();
	for (uint32_t i = 0; i < buckets && i <= holds->bucket_mask && status == KELP_OK; i++)
		status = drain_bucket(holds, (bucket + i) & holds->bucket_mask, wait, &looks);
	return status;
}

/* ---- looking ------------------------------------------------------------------------------ */

uint32_t kelp_holds_count(const struct kelp_holds *holds, uint32_t bucket)
{
	uintptr_t held = (bucket & holds->bucket_mask) * sizeof(struct kelp_hold_counters);
	uintptr_t released = held + offsetof(struct kelp_hold_counters, released);
	uint32_t count = 0;

	if (holds->domain)
		return 0;
	for (uint32_t phase = 0; phase < 2; phase++) {
		count -= sum(holds, released + phase * sizeof(uint32_t));
		count += sum(holds, held + phase * sizeof(uint32_t));
	}
	return count;
}

uint32_t kelp_holds_report(const struct kelp_holds *holds,
			   void (*visit)(void *context, const struct kelp_holder *holder),
			   void *context)
{
	for (uint32_t i = 0; i < holds->cpus * holds->records; i++) {
		const struct kelp_hold_record *record = &holds->record[i];
		struct kelp_holder holder;

		if (kelp_shared_load(&record->state) != 2)
			continue;
		holder.pfn.number = kelp_shared_load(&record->low) |
				    (uint64_t)kelp_shared_load(&record->high) << 32;
		holder.where = kelp_shared_load_word(&record->where);
		holder.cpu = i / holds->records;
		if (kelp_shared_load(&record->state) == 2)
			visit(context, &holder);
	}
	return kelp_hw_count_read(&holds->unrecorded);
}
