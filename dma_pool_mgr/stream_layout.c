// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the pieces of a stream lie in its bounce.
 *
 * Each piece keeps its offset in a page. A piece that continues the one before in the
 * memory continues it in the bounce; any other begins a page of its own, so that a device
 * that writes whole words, lines or pages around one piece writes into no other that it
 * would not reach in the memory itself. A split, which is where a page of the memory
 * begins, is therefore where a page of the bounce begins.
 *
 * An entry of a scatter-gather table is one piece, and is not to cross the device's segment
 * boundary. If such a boundary goes through the pool, the bounce is aligned, and an entry
 * that would cross the boundary begins at it.
 *
 * Locking: none; nobody else sees the stream yet.
 */
#include <linux/align.h>
#include <linux/bits.h>
#include <linux/dma-mapping.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/pfn.h>

#include "client.h"
#include "pool.h"
#include "stream.h"
#include "stream_map.h"

/* Most that an allocation can be aligned to. */
#define ALIGN_ORDER_MAX	31

/* The first or the last page of a piece is shared with what the device may write beside. */
static void mark_beside(struct dpmgr_stream_layout *layout, u64 at)
{
	const u64 page = at >> PAGE_SHIFT;

	if (at & ~PAGE_MASK && page < DPMGR_BOUNCE_PAGES)
		layout->beside |= BIT(page);
}

/* One piece of the linear map. In this order it can't wrap. */
static void lay_out_range(const struct dpmgr_stream_source *source,
			  struct dpmgr_stream_layout *layout)
{
	const size_t offset = offset_in_page(source->vaddr);

	layout->nr_pages = (source->size >> PAGE_SHIFT) +
			   PFN_UP(offset + offset_in_page(source->size));
	mark_beside(layout, offset);
	mark_beside(layout, offset + source->size);
}

/* Does no boundary lie within @size bytes at @at? @block: from one to the next, or 0. */
static bool fits(u64 at, size_t size, u64 block)
{
	return !block || (at & (block - 1)) + size <= block;
}

/* Each piece's dma_addr is set to its place, counted from the bounce's first page. */
static void lay_out_pieces(struct dpmgr_stream_mapping *mapping, u64 block,
			   struct dpmgr_stream_layout *layout)
{
	const void *next = NULL;
	size_t begin = 0;
	u64 at = 0;
	u32 i;

	for (i = 0; i < mapping->nr_pieces; begin = mapping->pieces[i++].end) {
		struct dpmgr_stream_piece *piece = &mapping->pieces[i];
		const size_t size = piece->end - begin;
		const u64 last = at;

		if (piece->vaddr != next || !fits(at, size, block)) {
			mark_beside(layout, at);
			at = ALIGN(at, PAGE_SIZE) + offset_in_page(piece->vaddr);
			if (!fits(at, size, block))
				at = ALIGN(at, block) + offset_in_page(piece->vaddr);
			mark_beside(layout, at);
			mapping->has_gaps |= i && at != last;
		}
		piece->dma_addr = at;
		at += size;
		next = piece->vaddr + size;
	}
	mark_beside(layout, at);
	layout->nr_pages = PFN_UP(at);
}

static bool spans_pages(const struct dpmgr_stream_mapping *mapping)
{
	size_t begin = 0;
	u32 i;

	for (i = 0; i < mapping->nr_pieces; begin = mapping->pieces[i++].end)
		if (offset_in_page(mapping->pieces[i].vaddr) +
		    (mapping->pieces[i].end - begin) > PAGE_SIZE)
			return true;
	return false;
}

/*
 * Bytes from one of the device's segment boundaries to the next; 0 if none could go through
 * an entry. Within a page, the memory's boundaries are the bounce's, and no entry crosses
 * those.
 */
static u64 find_block(const struct dpmgr_stream_source *source)
{
	const struct dpmgr *mgr = source->client->mgr;
	const struct dpmgr_pages *pages = &mgr->pools[DPMGR_SHARED]->pages;
	const u64 mask = dma_get_seg_boundary(source->client->dev);
	struct dpmgr_page_range_info info;
	unsigned int i;

	if (!source->is_table || !spans_pages(source->mapping))
		return 0;
	for (i = 0; i < pages->nr_ranges; i++) {
		dpmgr_pages_info(pages, i, &info);
		if ((info.base_pfn ^ (info.base_pfn + info.nr_pages - 1)) & ~(mask >> PAGE_SHIFT))
			return mask + 1;
	}
	return 0;
}

/**
 * dpmgr_stream_lay_out() - decide where a stream's pieces lie in its bounce
 * @source: what is to be mapped; there is a shared pool. The pieces' addresses are set,
 *	counted from the bounce's first page
 * @layout: filled in
 *
 * Context: any.
 */
void dpmgr_stream_lay_out(const struct dpmgr_stream_source *source,
			  struct dpmgr_stream_layout *layout)
{
	u64 block;

	*layout = (struct dpmgr_stream_layout){};
	if (likely(!source->mapping)) {
		lay_out_range(source, layout);
	} else {
		block = find_block(source);
		lay_out_pieces(source->mapping, block, layout);
		if (block)
			layout->align_order = min3(order_base_2(layout->nr_pages),
						   ilog2(block) - PAGE_SHIFT, ALIGN_ORDER_MAX);
	}
	if (source->direction == DMA_TO_DEVICE || layout->nr_pages > DPMGR_BOUNCE_PAGES)
		layout->beside = 0;
}

/**
 * dpmgr_stream_place() - the pieces get the addresses that the device has for them
 * @mapping: as dpmgr_stream_lay_out() has left it
 * @base: the address of the bounce's first page
 *
 * Context: any.
 */
void dpmgr_stream_place(struct dpmgr_stream_mapping *mapping, dma_addr_t base)
{
	u32 i;

	for (i = 0; i < mapping->nr_pieces; i++)
		mapping->pieces[i].dma_addr += base;
}
