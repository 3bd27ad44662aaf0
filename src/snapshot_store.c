/* SPDX-License-Identifier: MIT */
/*
 * snapshot_store: what the disk says, at every moment, whatever writes were lost or torn.
 *
 * Two state blocks, written in turn: the one with the higher sequence number holds. A write
 * that is torn leaves a block that its checksum refuses, and the other one still holds. Each step
 * is flushed before the next, so no two writes that matter are ever under way together:
 *
 *	saving     EMPTY in both blocks | header, records | COMPLETE in one block
 *	resuming   CONSUMED in the one that is older | CONSUMED in the other, no header
 *
 * While an image is written no block says COMPLETE; once control may pass, none does either. So
 * a block that goes bad later never uncovers an older COMPLETE (INV-5.6).
 */
#include "snapshot_private.h"

/* Each state has a random nonce of its own: sequence numbers repeat after a torn write. */
static bool seal_state(const struct kelp_snapshot_config *config, struct kelp_image_state *state,
		       uint8_t *block)
{
	if (!snapshot_random(config, state->nonce, sizeof(state->nonce)))
		return false;
	kelp_image_encode_state(block, state);
	config->cipher->seal(config->cipher->context, config->key, state->nonce, block,
			     KELP_IMAGE_STATE_AAD, NULL, 0, state->tag);
	kelp_image_put_tag(block, KELP_IMAGE_STATE_AAD, state->tag);
	kelp_image_seal_block(block);
	return true;
}

static bool is_ours(const struct kelp_snapshot_config *config,
		    const struct kelp_image_state *state, const uint8_t *block)
{
	return config->cipher->open(config->cipher->context, config->key, state->nonce, block,
				    KELP_IMAGE_STATE_AAD, NULL, 0, state->tag);
}

static void look_at(struct kelp_snapshot_store *store, const struct kelp_snapshot_config *config,
		    unsigned number, uint8_t *block)
{
	struct kelp_image_state state;

	/* Some disks cannot read a sector whose write was torn. A writer makes it good again. */
	if (!config->disk->read(config->disk->context, (uint64_t)number * KELP_IMAGE_BLOCK, block,
				KELP_IMAGE_BLOCK)) {
		store->unreadable = true;
		store->settled = false;
		return;
	}
	/* Torn, never written, or of a format that is not ours: it says nothing. */
	if (kelp_image_decode_state(block, &state) != KELP_OK) {
		store->settled = false;
		return;
	}
	if (state.kind == KELP_IMAGE_COMPLETE)
		store->settled = false;
	if (!is_ours(config, &state, block)) {
		store->other_key |= state.kind == KELP_IMAGE_COMPLETE;
		return;
	}
	/* A block in the other one's place was put there by somebody else. */
	if ((state.sequence & 1u) != number)
		return;
	if (!store->found || state.sequence > store->state.sequence)
		store->state = state;
	store->found = true;
}

enum kelp_status snapshot_store_read(struct kelp_snapshot_store *store,
				     const struct kelp_snapshot_config *config, uint8_t *block)
{
	*store = (struct kelp_snapshot_store){.settled = true};
	if (config->disk->size < KELP_IMAGE_RECORDS)
		return KELP_ERR_NO_SPACE;
	look_at(store, config, 0, block);
	look_at(store, config, 1, block);
	return KELP_OK;
}

enum kelp_status snapshot_store_write(struct kelp_snapshot_store *store,
				      const struct kelp_snapshot_config *config,
				      const struct kelp_image_state *state, uint8_t *block)
{
	const struct kelp_snapshot_disk *disk = config->disk;
	struct kelp_image_state next = *state;

	next.sequence = store->found ? store->state.sequence + 1u : 2u;
	if (!seal_state(config, &next, block))
		return KELP_ERR_NO_RANDOM;
	if (!disk->write(disk->context, (next.sequence & 1u) * KELP_IMAGE_BLOCK, block,
			 KELP_IMAGE_BLOCK) ||
	    !disk->flush(disk->context))
		return KELP_ERR_IO;
	store->state = next;
	store->found = true;
	return KELP_OK;
}

enum kelp_status snapshot_store_settle(struct kelp_snapshot_store *store,
				       const struct kelp_snapshot_config *config,
				       enum kelp_image_state_kind kind, bool destroy_header,
				       uint8_t *block)
{
	const struct kelp_snapshot_disk *disk = config->disk;
	struct kelp_image_state state = store->state;
	enum kelp_status status;

	state.kind = kind;
	/* Over the older of the two first: until it is whole, what held goes on to hold. */
	status = snapshot_store_write(store, config, &state, block);
	if (status != KELP_OK)
		return status;
	if (destroy_header) {
		memset(block, 0, KELP_IMAGE_BLOCK);
		if (!disk->write(disk->context, KELP_IMAGE_HEADER, block, KELP_IMAGE_BLOCK))
			return KELP_ERR_IO;
	}
	status = snapshot_store_write(store, config, &state, block);
	store->settled = status == KELP_OK;
	return status;
}

enum kelp_status kelp_snapshot_discard(const struct kelp_snapshot_config *config)
{
	struct kelp_snapshot_store store;
	enum kelp_status status;

	if (!config->buffer || config->buffer_size < KELP_IMAGE_BLOCK)
		return KELP_ERR_ARGUMENT;
	status = snapshot_store_read(&store, config, config->buffer);
	if (status != KELP_OK)
		return status;
	return snapshot_store_settle(&store, config, KELP_IMAGE_CONSUMED, true, config->buffer);
}
