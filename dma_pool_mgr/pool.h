/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pools: reserved ranges of one visibility, mapped, with an allocator.
 */
#ifndef DPMGR_POOL_H
#define DPMGR_POOL_H

#include <linux/dma_pool_mgr.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

#include "core/page_alloc.h"
#include "mapping.h"

/**
 * struct dpmgr_pool - a pool
 * @visibility: of all its pages
 * @bias: what a device adds to a page's address: the vTOM bit, or 0
 * @pages: the allocator
 * @ops: where its ranges come from
 * @mappings: of @pages' ranges, same order
 * @nr_mapped: entries of @mappings that are mapped
 * @scrub_lock: held by whoever scrubs dirty pages, so that whoever waits for
 *	it sees them clean or finds them still dirty
 * @scrub_work: scrubs what is dirty, in the background
 */
struct dpmgr_pool {
	enum dpmgr_visibility visibility;
	u64 bias;
	struct dpmgr_pages pages;
	const struct dpmgr_mapping_ops *ops;
	struct dpmgr_mapping *mappings;
	unsigned int nr_mapped;
	struct mutex scrub_lock;	/* see above */
	struct work_struct scrub_work;
};

struct dpmgr_pool *dpmgr_pool_create(const struct dpmgr_mapping_ops *ops,
				     enum dpmgr_visibility visibility, u64 bias,
				     const struct dpmgr_range *ranges,
				     unsigned int nr_ranges);
void dpmgr_pool_destroy(struct dpmgr_pool *pool);
void dpmgr_pool_start_scrubbing(struct dpmgr_pool *pool);

void *dpmgr_pool_vaddr(const struct dpmgr_pool *pool, u64 pfn);
bool dpmgr_pool_scrub(struct dpmgr_pool *pool);
int dpmgr_pool_put(struct dpmgr_pool *pool, const struct dpmgr_page_run *run);
int dpmgr_pool_put_pieces(struct dpmgr_pool *pool, u64 base_pfn, u32 nr_pages,
			  void *owner);
void dpmgr_pool_clear(const struct dpmgr_pool *pool, u64 base_pfn,
		      u32 nr_pages);
int dpmgr_pool_put_clean(struct dpmgr_pool *pool, const struct dpmgr_page_run *run);
int dpmgr_pool_retire(struct dpmgr_pool *pool, u64 pfn, struct dpmgr_page_run *run);

/* Does one of these pages hold a memory error? Context: any. */
static inline bool dpmgr_pool_is_bad(const struct dpmgr_pool *pool, u64 base_pfn, u32 nr_pages)
{
	return unlikely(atomic64_read(&pool->pages.nr_bad)) &&
	       dpmgr_pages_next_bad(&pool->pages, base_pfn, base_pfn + nr_pages) <
	       base_pfn + nr_pages;
}

const char *dpmgr_visibility_name(enum dpmgr_visibility visibility);

#endif /* DPMGR_POOL_H */
