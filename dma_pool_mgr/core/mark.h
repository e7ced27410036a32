/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Marks: which state region tells what memory holds.
 */
#ifndef DPMGR_CORE_MARK_H
#define DPMGR_CORE_MARK_H

#include <linux/dma_pool_mgr_abi.h>
#include <linux/types.h>

/**
 * struct dpmgr_mark - a mark, decoded
 * @kind: DPMGR_ABI_SHARED, DPMGR_ABI_PRIVATE or DPMGR_ABI_MARK_STATE
 * @start: of the range that is marked
 * @size: bytes
 * @state_start: of the state region
 * @state_size: bytes
 * @state_id: its number
 */
struct dpmgr_mark {
	u8 kind;
	u64 start;
	u64 size;
	u64 state_start;
	u64 state_size;
	u64 state_id;
};

/**
 * enum dpmgr_mark_status - what is there
 * @DPMGR_MARK_NONE: no mark, or one that is damaged or impossible
 * @DPMGR_MARK_COPY: a whole one, of another place
 * @DPMGR_MARK_UNKNOWN: a whole one, of another major version
 * @DPMGR_MARK_GOOD: a whole one, of this place
 */
enum dpmgr_mark_status {
	DPMGR_MARK_NONE,
	DPMGR_MARK_COPY,
	DPMGR_MARK_UNKNOWN,
	DPMGR_MARK_GOOD,
};

bool dpmgr_mark_begins(const void *at);
enum dpmgr_mark_status dpmgr_mark_decode(const void *at, u64 start, u32 page_size,
					 struct dpmgr_mark *mark);
void dpmgr_mark_encode(const struct dpmgr_mark *mark, struct dpmgr_abi_mark *bytes);
bool dpmgr_mark_write(void *at, const struct dpmgr_abi_mark *bytes);

#endif /* DPMGR_CORE_MARK_H */
