// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locked pages: private pages from the kernel, for buffers that don't persist.
 *
 * They are ordinary unmovable pages that nobody else has, on the client's node if
 * it has any to spare: in one piece if the kernel has such a piece at hand, else
 * page by page, mapped to look like one. They come zeroed and are zeroed before
 * they go back, but for those that the kernel has marked for a memory error: it keeps
 * these itself when they are given back.
 *
 * Locking: none; a buffer has one owner.
 */
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "locked.h"

/* Pages that are zeroed at a stretch. */
#define RESCHED_PAGES	16

/**
 * dpmgr_locked_release() - give pages back to the kernel as they are
 * @locked: the pages
 *
 * Context: may sleep; as its allocation, if nothing has happened to them since.
 */
void dpmgr_locked_release(struct dpmgr_locked *locked)
{
	u32 i;

	if (locked->is_mapped)
		vunmap(locked->vaddr);
	for (i = 0; i < locked->nr_pages; i++)
		if (locked->pages[i])
			__free_page(locked->pages[i]);
	kvfree(locked);
}

/* In one piece, which is aligned by its own length at least. Context: what @gfp says. */
static bool alloc_piece(struct dpmgr_locked *locked, u32 nr_pages,
			unsigned int align_order, int node, gfp_t gfp)
{
	unsigned int order = max_t(unsigned int, align_order,
				   get_order((size_t)nr_pages << PAGE_SHIFT));
	struct page *page;
	u32 i;

	if (order > MAX_PAGE_ORDER)
		return false;
	/* Without trying hard, where single pages will do. */
	if (!align_order)
		gfp |= __GFP_NORETRY;
	page = alloc_pages_node(node, gfp | __GFP_NOWARN, order);
	if (!page)
		return false;
	split_page(page, order);
	for (i = nr_pages; i < 1U << order; i++)
		__free_page(page + i);
	for (i = 0; i < nr_pages; i++)
		locked->pages[i] = page + i;
	locked->vaddr = page_address(page);
	locked->is_contiguous = true;
	return true;
}

/* Page by page. Context: may sleep. */
static bool alloc_pieces(struct dpmgr_locked *locked, u32 nr_pages, int node,
			 gfp_t gfp)
{
	unsigned int flags, fs_flags;
	u32 i;

	for (i = 0; i < nr_pages; i++) {
		locked->pages[i] = alloc_pages_node(node, gfp | __GFP_NOWARN, 0);
		if (!locked->pages[i])
			return false;
		cond_resched();
	}
	/* It doesn't ask what it may wait for. */
	flags = gfp & __GFP_IO ? 0 : memalloc_noio_save();
	fs_flags = gfp & __GFP_FS ? 0 : memalloc_nofs_save();
	locked->vaddr = vmap(locked->pages, nr_pages, VM_MAP, PAGE_KERNEL);
	if (!(gfp & __GFP_FS))
		memalloc_nofs_restore(fs_flags);
	if (!(gfp & __GFP_IO))
		memalloc_noio_restore(flags);
	locked->is_mapped = locked->vaddr;
	return locked->vaddr;
}

static bool is_below(const struct dpmgr_locked *locked, u64 end_pfn)
{
	u32 i;

	for (i = 0; i < locked->nr_pages; i++)
		if (page_to_pfn(locked->pages[i]) >= end_pfn)
			return false;
	return true;
}

static struct dpmgr_locked *try_alloc(u32 nr_pages, unsigned int align_order, int node,
				      u64 end_pfn, gfp_t gfp)
{
	const bool may_block = gfpflags_allow_blocking(gfp);
	const bool in_pieces = may_block && !align_order;
	struct dpmgr_locked *locked;
	size_t size;

	/* The kernel has no such piece, and may warn of a table of it. */
	if (!in_pieces && nr_pages > MAX_ORDER_NR_PAGES)
		return ERR_PTR(-ENOMEM);
	size = struct_size(locked, pages, nr_pages);
	locked = may_block ? kvzalloc(size, gfp & ~__GFP_DMA32) :
			     kzalloc(size, gfp & ~__GFP_DMA32);
	if (!locked)
		return ERR_PTR(-ENOMEM);
	locked->nr_pages = nr_pages;
	gfp |= __GFP_ZERO;
	if (!alloc_piece(locked, nr_pages, align_order, node, gfp) &&
	    (!in_pieces || !alloc_pieces(locked, nr_pages, node, gfp))) {
		dpmgr_locked_release(locked);
		return ERR_PTR(-ENOMEM);
	}
	if (!is_below(locked, end_pfn)) {
		dpmgr_locked_release(locked);
		return ERR_PTR(-ERANGE);
	}
	return locked;
}

/**
 * dpmgr_locked_alloc() - allocate locked pages
 * @nr_pages: how many, not 0
 * @align_order: if not 0, they come in one piece, whose first page is a multiple of
 *	2^@align_order
 * @node: preferred NUMA node, or NUMA_NO_NODE
 * @end_pfn: the device reaches pages below this one
 * @gfp: as for dpmgr_alloc(); if it doesn't allow blocking, only pages in one
 *	piece are found
 *
 * Context: what @gfp says.
 * Return: the pages, zero; -ENOMEM; -EOPNOTSUPP if the kernel gave none below
 * @end_pfn.
 */
struct dpmgr_locked *dpmgr_locked_alloc(u32 nr_pages, unsigned int align_order, int node,
					u64 end_pfn, gfp_t gfp)
{
	struct dpmgr_locked *locked = try_alloc(nr_pages, align_order, node, end_pfn, gfp);

	if (locked == ERR_PTR(-ERANGE) && IS_ENABLED(CONFIG_ZONE_DMA32))
		locked = try_alloc(nr_pages, align_order, node, end_pfn,
				   gfp | __GFP_DMA32);
	return locked == ERR_PTR(-ERANGE) ? ERR_PTR(-EOPNOTSUPP) : locked;
}

/**
 * dpmgr_locked_free() - zero pages and give them back to the kernel
 * @locked: the pages
 *
 * Context: may sleep.
 */
void dpmgr_locked_free(struct dpmgr_locked *locked)
{
	u32 i;

	for (i = 0; i < locked->nr_pages; i++) {
		if (locked->pages[i] && !PageHWPoison(locked->pages[i]))
			clear_page(page_address(locked->pages[i]));
		if (i % RESCHED_PAGES == RESCHED_PAGES - 1)
			cond_resched();
	}
	dpmgr_locked_release(locked);
}

/**
 * dpmgr_locked_keep() - take away a page, so that it is not given back
 * @locked: the pages
 * @i: which
 *
 * Context: any.
 * Return: the page.
 */
struct page *dpmgr_locked_keep(struct dpmgr_locked *locked, u32 i)
{
	struct page *page = locked->pages[i];

	locked->pages[i] = NULL;
	return page;
}

/* Does page @i hold a memory error? Context: any. */
bool dpmgr_locked_is_bad(const struct dpmgr_locked *locked, u32 i)
{
	return PageHWPoison(locked->pages[i]);
}

/* The page frame number of page @i. Context: any. */
u64 dpmgr_locked_pfn(const struct dpmgr_locked *locked, u32 i)
{
	return page_to_pfn(locked->pages[i]);
}
