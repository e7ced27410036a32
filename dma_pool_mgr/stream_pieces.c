// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams of memory in pieces: an array of pages, a scatter-gather table, a range that is
 * not of the linear map, or longer than what the DMA API maps at once.
 *
 * It is walked, page by page or entry by entry, and becomes a mapping object with a piece
 * for whatever is side by side. Entries of a table that bounces stay pieces of their own:
 * see stream_layout.c.
 *
 * Locking: see stream.c.
 */
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/export.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "client.h"
#include "stream.h"
#include "stream_map.h"

/* Memory that is walked, in pieces of the linear map. */
struct walk {
	struct page **pages;
	struct scatterlist *sg;
	void *vaddr;
	size_t offset;
	size_t left;
	bool keeps_entries;
};

/* NULL without a page, and for one that is not the kernel's memory but a device's. */
static void *page_bytes(struct page *page)
{
	return page && !is_zone_device_page(page) ? page_address(page) : NULL;
}

static bool is_vmapped(const void *vaddr)
{
	return is_vmalloc_or_module_addr(vaddr);
}

/* NULL for what is not memory of the kernel's, but of a device or of the firmware. */
static struct page *vmalloc_page(const void *vaddr)
{
	struct page *page = vmalloc_to_page(vaddr);

	return page && pfn_valid(page_to_pfn(page)) && !PageReserved(page) ? page : NULL;
}

/* Of the linear map or of the kernel's image. Sections without RAM at their end look valid. */
static bool is_ram(void *vaddr)
{
	return virt_addr_valid(vaddr) &&
	       (vaddr < high_memory || (unsigned long)vaddr >= VMALLOC_START);
}

/* The next bytes that are side by side, at most up to a page's or an entry's end. */
static size_t walk_next(struct walk *walk, void **vaddr)
{
	struct page *page;
	void *bytes;
	size_t n;

	if (walk->sg) {
		n = walk->sg->length;
		bytes = page_bytes(sg_page(walk->sg));
		*vaddr = bytes + walk->sg->offset;
		walk->sg = sg_next(walk->sg);
		walk->left -= n;
		return bytes ? n : 0;
	}
	n = min(walk->left, PAGE_SIZE - walk->offset);
	if (walk->pages) {
		page = *walk->pages++;
	} else {
		void *at = walk->vaddr;

		walk->vaddr += n;
		if (is_vmapped(at))
			page = vmalloc_page(at);
		else
			page = is_ram(at) ? virt_to_page(at) : NULL;
	}
	bytes = page_bytes(page);
	*vaddr = bytes + walk->offset;
	walk->offset = 0;
	walk->left -= n;
	return bytes ? n : 0;
}

/*
 * Go over the memory; put its pieces into @mapping unless that is NULL. How many
 * there are, none of them longer than @max_len; 0 if some of it isn't memory. @highest is
 * the last byte of the highest.
 */
static u32 walk_pieces(struct walk walk, size_t max_len,
		       struct dpmgr_stream_mapping *mapping, void **highest)
{
	size_t done = 0, len = 0;
	void *next = NULL;
	u32 nr = 0;

	*highest = NULL;
	while (walk.left) {
		void *vaddr;
		size_t n = walk_next(&walk, &vaddr);

		if (!n)
			return 0;
		if (!nr || vaddr != next || len > max_len - min(n, max_len) ||
		    walk.keeps_entries) {
			if (mapping)
				mapping->pieces[nr].vaddr = vaddr;
			nr++;
			len = 0;
		}
		len += n;
		done += n;
		next = vaddr + n;
		if (next - 1 > *highest)
			*highest = next - 1;
		if (mapping)
			mapping->pieces[nr - 1].end = done;
	}
	return nr;
}

/* Map memory that is perhaps in several pieces. The stream or an ERR_PTR. */
static struct dpmgr_stream *map_walked(struct dpmgr_stream *stream,
				       struct dpmgr_stream_source *source,
				       struct walk *walk)
{
	struct device *dev = source->client->dev;
	const size_t max_len = dma_max_mapping_size(dev);
	struct dpmgr_stream *mapped;
	void *highest;
	bool bounces;
	u32 nr_pieces;

	source->rule = "all of it must be mapped kernel memory";
	nr_pieces = walk_pieces(*walk, max_len, NULL, &highest);
	if (!nr_pieces)
		return ERR_PTR(-EINVAL);
	bounces = source->client->hides_memory || !dpmgr_stream_reaches(dev, highest, 1);
	if (bounces && source->is_table) {
		walk->keeps_entries = true;
		nr_pieces = walk_pieces(*walk, max_len, NULL, &highest);
	}
	source->rule = "no memory just now";
	source->mapping = dpmgr_stream_new_mapping(nr_pieces, source->gfp);
	if (!source->mapping)
		return ERR_PTR(-ENOMEM);
	walk_pieces(*walk, max_len, source->mapping, &highest);
	source->vaddr = source->mapping->pieces[0].vaddr;
	if (bounces)
		mapped = dpmgr_source_map_to_pool(stream, source);
	else
		mapped = dpmgr_source_map_direct(stream, source);
	if (IS_ERR(mapped))
		kfree(source->mapping);
	return mapped;
}

/* Memory from vaddr on that can't be mapped at once. */
struct dpmgr_stream *dpmgr_source_map_pieces(struct dpmgr_stream *stream,
					     struct dpmgr_stream_source *source)
{
	struct walk walk = {
		.vaddr = source->vaddr,
		.offset = offset_in_page(source->vaddr),
		.left = source->size,
	};

	/* A VM area's pages, a module's or the kernel's data. */
	return map_walked(stream, source, &walk);
}

static struct dpmgr_stream *try_map_pages(struct dpmgr_stream_source *source, struct page **pages,
					  size_t nr_pages, size_t offset)
{
	struct walk walk = { .offset = offset_in_page(offset), .left = source->size };
	size_t i, end;
	int ret;

	ret = dpmgr_source_check(source);
	if (ret)
		return ERR_PTR(ret);
	source->rule = "offset and size must lie within the pages";
	if (check_add_overflow(offset, source->size, &end) || !pages ||
	    (end - 1) >> PAGE_SHIFT >= nr_pages)
		return ERR_PTR(-EINVAL);
	source->rule = "each page must be there";
	walk.pages = pages + (offset >> PAGE_SHIFT);
	for (i = offset >> PAGE_SHIFT; i <= (end - 1) >> PAGE_SHIFT; i++)
		if (!pages[i])
			return ERR_PTR(-EINVAL);
	return map_walked(NULL, source, &walk);
}

/**
 * dpmgr_stream_map_pages() - map pages for a device
 * @client: whose device
 * @pages: the pages; the array is not needed afterwards
 * @nr_pages: entries in @pages
 * @offset: where the memory begins, bytes from the first page's start
 * @size: bytes, not 0
 * @direction: as for dpmgr_stream_map()
 * @gfp: as for dpmgr_stream_map()
 *
 * Context: as dpmgr_stream_map().
 * Return: as dpmgr_stream_map().
 */
struct dpmgr_stream *
dpmgr_stream_map_pages(struct dpmgr_client *client, struct page **pages,
		       size_t nr_pages, size_t offset, size_t size,
		       enum dma_data_direction direction, gfp_t gfp)
{
	struct dpmgr_stream_source source = {
		.client = client,
		.size = size,
		.direction = direction,
		.gfp = gfp,
	};
	return dpmgr_source_reported(try_map_pages(&source, pages, nr_pages, offset),
			&source);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_stream_map_pages, DMA_POOL_MGR);

/* The device takes each entry as it is, which no bounce and no IOMMU could change. */
static int check_segments(struct dpmgr_stream_source *source, struct sg_table *table)
{
	struct device *dev = source->client->dev;
	const unsigned int max_size = dma_get_max_seg_size(dev);
	const u64 boundary = dma_get_seg_boundary(dev);
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_sg(table, sg, i) {
		source->value = sg->length;
		source->rule = "bytes in an entry: too many; see dma_set_max_seg_size()";
		if (sg->length > max_size)
			return -EINVAL;
		source->rule = "bytes in an entry: across a boundary; see dma_set_seg_boundary()";
		if ((sg_phys(sg) & boundary) + sg->length - 1 > boundary)
			return -EINVAL;
	}
	source->value = 0;
	return 0;
}

static struct dpmgr_stream *try_map_sg(struct dpmgr_stream_source *source, struct sg_table *table)
{
	struct walk walk = {};
	struct dpmgr_stream *stream;
	struct scatterlist *sg;
	size_t offset = 0;
	unsigned int i;
	int ret;

	source->rule = "each entry of the table must have a length, and the sum must fit";
	for_each_sgtable_sg(table, sg, i)
		if (!sg->length ||
		    check_add_overflow(source->size, sg->length, &source->size))
			return ERR_PTR(-EINVAL);
	ret = dpmgr_source_check(source) ?: check_segments(source, table);
	if (ret)
		return ERR_PTR(ret);
	source->is_table = true;
	walk.sg = table->sgl;
	walk.left = source->size;
	stream = map_walked(NULL, source, &walk);
	if (IS_ERR(stream))
		return stream;
	for_each_sgtable_sg(table, sg, i) {
		sg_dma_address(sg) = dpmgr_stream_dma_addr(stream, offset, NULL);
		sg_dma_len(sg) = sg->length;
		offset += sg->length;
	}
	table->nents = table->orig_nents;
	return stream;
}

/**
 * dpmgr_stream_map_sg() - map a scatter-gather table for a device
 * @client: whose device
 * @table: the table; its DMA addresses and lengths are filled in
 * @direction: as for dpmgr_stream_map()
 * @gfp: as for dpmgr_stream_map()
 *
 * One stream of all entries, in order. The table may be freed before it is; nobody but
 * the stream unmaps it.
 *
 * Context: as dpmgr_stream_map().
 * Return: as dpmgr_stream_map().
 */
struct dpmgr_stream *
dpmgr_stream_map_sg(struct dpmgr_client *client, struct sg_table *table,
		    enum dma_data_direction direction, gfp_t gfp)
{
	struct dpmgr_stream_source source = {
		.client = client,
		.direction = direction,
		.gfp = gfp,
	};
	return dpmgr_source_reported(try_map_sg(&source, table), &source);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_stream_map_sg, DMA_POOL_MGR);
