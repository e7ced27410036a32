/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Locked pages: private pages from the kernel, for buffers that don't persist.
 */
#ifndef DPMGR_LOCKED_H
#define DPMGR_LOCKED_H

#include <linux/gfp_types.h>
#include <linux/types.h>

struct page;

/**
 * struct dpmgr_locked - pages of one buffer
 * @vaddr: where they are mapped, one after the other
 * @is_mapped: @vaddr is a mapping of its own
 * @is_contiguous: their physical addresses follow each other too
 * @nr_pages: entries in @pages
 * @pages: each NULL once it was taken away, see dpmgr_locked_keep()
 */
struct dpmgr_locked {
	void *vaddr;
	bool is_mapped;
	bool is_contiguous;
	u32 nr_pages;
	struct page *pages[] __counted_by(nr_pages);
};

struct dpmgr_locked *dpmgr_locked_alloc(u32 nr_pages, unsigned int align_order,
					int node, u64 end_pfn,
					gfp_t gfp);
void dpmgr_locked_free(struct dpmgr_locked *locked);
void dpmgr_locked_release(struct dpmgr_locked *locked);
struct page *dpmgr_locked_keep(struct dpmgr_locked *locked, u32 i);
bool dpmgr_locked_is_bad(const struct dpmgr_locked *locked, u32 i);
u64 dpmgr_locked_pfn(const struct dpmgr_locked *locked, u32 i);

#endif /* DPMGR_LOCKED_H */
