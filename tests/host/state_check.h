/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What must be true of whatever the decoder accepts, told from the format alone;
 * and state regions as the next kernel reads them.
 */
#ifndef STATE_CHECK_H
#define STATE_CHECK_H

#include "core/state.h"
#include "shim.h"

/* NULL, or the first invariant that does not hold of a decoded payload. */
const char *state_violation(const struct dpmgr_state *state, const void *payload,
			    size_t len, u32 page_size);

/* Do both hold the same? */
bool state_same(const struct dpmgr_state *a, const struct dpmgr_state *b);

/* Make all checksums of a region right, as far as its lengths allow. */
void region_seal(void *region, size_t size);

/**
 * struct restored - what came of reading a region
 * @status: DPMGR_REGION_DAMAGED if the payload was refused, too
 * @why: what was refused, or NULL
 * @info: what the region's inspection said
 * @payload: a copy of exactly that size, for ASan; NULL if none was read
 * @state: of @payload, if @status is good
 */
struct restored {
	enum dpmgr_region_status status;
	const char *why;
	struct dpmgr_region_info info;
	u8 *payload;
	struct dpmgr_state state;
};

/* Inspect, read and decode. restored_free() it. */
void region_restore(const void *region, size_t size, u32 page_size,
		    struct restored *restored);
void restored_free(struct restored *restored);

/* The two halves of region_restore(). */
void region_restore_begin(const void *region, size_t size, u32 page_size,
			  struct restored *restored);
void region_restore_end(const void *region, u32 page_size,
			struct restored *restored);

#endif /* STATE_CHECK_H */
