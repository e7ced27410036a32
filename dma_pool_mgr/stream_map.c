// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams are mapped: where the device works is decided, once.
 *
 * Each call describes its memory in a struct source. One range of the linear map is
 * mapped as it is. All else is walked, page by page or entry by entry, and becomes a
 * mapping object with a piece for whatever is side by side.
 *
 * Locking: see stream.c.
 */
#include <linux/device.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/iommu-dma.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/pfn.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "client.h"
#include "pool.h"
#include "stream.h"
#include "stream_inline.h"

/* Up to here no device's DMA API has a limit: see swiotlb's IO_TLB_SEGSIZE. */
#define ANY_MAPPING_MAX	SZ_64K

static bool is_hardware_isolated(const struct dpmgr *mgr)
{
	return mgr->isolation == DPMGR_ISOLATION_SNP ||
	       mgr->isolation == DPMGR_ISOLATION_TDX;
}

static u64 mask_of(struct device *dev)
{
	return min_not_zero(dma_get_mask(dev), dev->bus_dma_limit);
}

/* Whether the device reaches memory of the linear map. */
static bool reaches(struct device *dev, const void *vaddr, size_t size)
{
	if (likely(virt_to_phys((void *)vaddr) + size - 1 <= mask_of(dev)))
		return true;
	/* Its addresses are what the DMA API makes them. */
	return use_dma_iommu(dev) || get_dma_ops(dev);
}

/* The page after the last of the shared pool that the device reaches. */
static u64 bounce_end_pfn(struct device *dev, const struct dpmgr_pool *pool)
{
	const u64 mask = mask_of(dev);

	if (mask < pool->bias)
		return 0;
	return PHYS_PFN(mask - pool->bias) +
	       (offset_in_page(mask - pool->bias) == ~PAGE_MASK);
}

/* What is there to be mapped. */
struct source {
	struct dpmgr_client *client;
	void *vaddr;		/* where it begins; all of it if mapping is NULL */
	struct dpmgr_stream_mapping *mapping;
	size_t size;
	enum dma_data_direction direction;
	gfp_t gfp;
	struct dpmgr_buf *held;
	bool owns_pages;
	const char *rule;	/* why it was refused */
};

/* It is complete: others may see it. */
static __always_inline void publish(struct dpmgr_stream *stream,
				    const struct source *source,
				    enum dpmgr_stream_choice choice)
{
	stream->client = source->client;
	stream->vaddr = source->vaddr;
	stream->size = source->size;
	stream->start = 0;
	stream->held = source->held;
	stream->mapping = source->mapping;
	stream->direction = source->direction;
	stream->choice = choice;
	stream->owns_pages = source->owns_pages;
	/* Who finds it live finds all the rest. */
	smp_store_release(&stream->state, DPMGR_STREAM_LIVE);
}

static noinline int refuse_bounce(struct source *source, u64 nr_pages)
{
	const struct dpmgr *mgr = source->client->mgr;
	struct device *dev = source->client->dev;

	source->rule = "it must bounce, and there is no shared pool; load with shared=SIZE@START";
	if (!mgr->pools[DPMGR_SHARED])
		return -EOPNOTSUPP;
	source->rule = dpmgr_translation_rule(mgr, dev);
	if (source->rule)
		return -EOPNOTSUPP;
	source->rule = "it must bounce, which a device that is not cache coherent can't";
	if (!dev_is_dma_coherent(dev))
		return -EOPNOTSUPP;
	source->rule = "longer than what the shared pool could ever hold in one piece";
	return nr_pages > U32_MAX ? -E2BIG : 0;
}

/*
 * Map onto pool pages: a bounce, at the same offset in a page as the memory; or, if
 * there is no memory, pages that are the stream's. The stream or an ERR_PTR.
 */
static struct dpmgr_stream *map_to_pool(struct dpmgr_stream *stream,
					struct source *source)
{
	struct dpmgr *mgr = source->client->mgr;
	struct device *dev = source->client->dev;
	const struct dpmgr_pool *pool = mgr->pools[DPMGR_SHARED];
	const size_t offset = offset_in_page(source->vaddr);
	const u64 nr_pages = ((u64)offset + source->size + PAGE_SIZE - 1) >> PAGE_SHIFT;
	struct dpmgr_buf *buf = NULL;
	u64 end_pfn;
	int ret;

	ret = refuse_bounce(source, nr_pages);
	if (ret)
		return ERR_PTR(ret);
	end_pfn = bounce_end_pfn(dev, pool);
	stream = enter(mgr, stream, nr_pages, end_pfn, source->gfp, &buf);
	source->rule = "no memory just now";
	if (!stream)
		return ERR_PTR(-ENOMEM);
	if (unlikely(!buf)) {
		buf = dpmgr_bounce_get(mgr, nr_pages, end_pfn, source->gfp,
				       &source->rule);
		if (IS_ERR(buf)) {
			leave(mgr, stream, NULL);
			return ERR_CAST(buf);
		}
	}
	stream->bounce_buf = buf;
	stream->dma_addr = (PFN_PHYS(buf->base_pfn) | pool->bias) + offset;
	if (!source->vaddr) {
		source->vaddr = buf->vaddr;
		stream->bounce = NULL;
		publish(stream, source, DPMGR_STREAM_POOL);
		return stream;
	}
	stream->bounce = buf->vaddr + offset;
	publish(stream, source, DPMGR_STREAM_BOUNCED);
	/* The caller's old bytes are not for the host; else they stay where unwritten. */
	if (source->direction != DMA_FROM_DEVICE || !is_hardware_isolated(mgr))
		dpmgr_stream_copy_bounce(stream, 0, source->size, true);
	return stream;
}

static int map_pieces(struct device *dev, struct dpmgr_stream_mapping *mapping,
		      enum dma_data_direction direction)
{
	size_t begin = 0;
	u32 i;

	for (i = 0; i < mapping->nr_pieces; begin = mapping->pieces[i++].end) {
		struct dpmgr_stream_piece *piece = &mapping->pieces[i];

		piece->dma_addr = dma_map_page(dev, virt_to_page(piece->vaddr),
					       offset_in_page(piece->vaddr),
					       piece->end - begin, direction);
		if (dma_mapping_error(dev, piece->dma_addr)) {
			dpmgr_stream_unmap_pieces(dev, mapping, i, direction);
			return -EIO;
		}
	}
	return 0;
}

/* Map for the device what it reaches and sees. The stream or an ERR_PTR. */
static __always_inline struct dpmgr_stream *
map_direct(struct dpmgr_stream *stream, struct source *source)
{
	struct device *dev = source->client->dev;
	struct dpmgr *mgr = source->client->mgr;
	int ret = 0;

	stream = enter(mgr, stream, 0, 0, source->gfp, NULL);
	if (unlikely(!stream)) {
		source->rule = "no memory just now";
		return ERR_PTR(-ENOMEM);
	}
	if (likely(!source->mapping)) {
		stream->dma_addr = dma_map_page(dev, virt_to_page(source->vaddr),
						offset_in_page(source->vaddr),
						source->size, source->direction);
		if (unlikely(dma_mapping_error(dev, stream->dma_addr)))
			ret = -EIO;
	} else {
		ret = map_pieces(dev, source->mapping, source->direction);
		stream->dma_addr = source->mapping->pieces[0].dma_addr;
	}
	if (unlikely(ret)) {
		source->rule = "the kernel's DMA API could not map it";
		leave(mgr, stream, NULL);
		return ERR_PTR(ret);
	}
	stream->bounce_buf = NULL;
	stream->bounce = NULL;
	publish(stream, source, DPMGR_STREAM_DIRECT);
	return stream;
}

/* Memory that is walked, in pieces of the linear map. */
struct walk {
	struct page **pages;
	struct scatterlist *sg;
	void *vaddr;
	size_t offset;
	size_t left;
};

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

/* The next bytes that are side by side, at most up to a page's or an entry's end. */
static size_t walk_next(struct walk *walk, void **vaddr)
{
	struct page *page;
	size_t n;

	if (walk->sg) {
		n = walk->sg->length;
		*vaddr = sg_virt(walk->sg);
		walk->sg = sg_next(walk->sg);
		walk->left -= n;
		return n;
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
			page = virt_to_page(at);
	}
	*vaddr = page ? page_address(page) + walk->offset : NULL;
	walk->offset = 0;
	walk->left -= n;
	return *vaddr ? n : 0;
}

/*
 * Go over the memory; put its pieces into @mapping unless that is NULL. How many
 * there are, none of them longer than @max_len; 0 if some of it isn't memory.
 */
static u32 walk_pieces(struct walk walk, size_t max_len,
		       struct dpmgr_stream_mapping *mapping)
{
	size_t done = 0, len = 0;
	void *next = NULL;
	u32 nr = 0;

	while (walk.left) {
		void *vaddr;
		size_t n = walk_next(&walk, &vaddr);

		if (!n)
			return 0;
		if (!nr || vaddr != next || len > max_len - min(n, max_len)) {
			if (mapping)
				mapping->pieces[nr].vaddr = vaddr;
			nr++;
			len = 0;
		}
		len += n;
		done += n;
		next = vaddr + n;
		if (mapping)
			mapping->pieces[nr - 1].end = done;
	}
	return nr;
}

static bool reaches_all(struct device *dev, const struct dpmgr_stream_mapping *mapping)
{
	size_t begin = 0;
	u32 i;

	for (i = 0; i < mapping->nr_pieces; begin = mapping->pieces[i++].end)
		if (!reaches(dev, mapping->pieces[i].vaddr,
			     mapping->pieces[i].end - begin))
			return false;
	return true;
}

/* Map memory that is perhaps in several pieces. The stream or an ERR_PTR. */
static noinline struct dpmgr_stream *
map_walked(struct dpmgr_stream *stream, struct source *source, struct walk *walk)
{
	struct device *dev = source->client->dev;
	const size_t max_len = walk->sg ? SIZE_MAX : dma_max_mapping_size(dev);
	struct dpmgr_stream *mapped;
	u32 nr_pieces;

	source->rule = "all of it must be mapped kernel memory";
	nr_pieces = walk_pieces(*walk, max_len, NULL);
	if (!nr_pieces)
		return ERR_PTR(-EINVAL);
	source->rule = "no memory just now";
	source->mapping = dpmgr_stream_new_mapping(nr_pieces, source->gfp);
	if (!source->mapping)
		return ERR_PTR(-ENOMEM);
	walk_pieces(*walk, max_len, source->mapping);
	source->vaddr = source->mapping->pieces[0].vaddr;
	if (!source->client->hides_memory && reaches_all(dev, source->mapping))
		mapped = map_direct(stream, source);
	else
		mapped = map_to_pool(stream, source);
	if (IS_ERR(mapped))
		kfree(source->mapping);
	return mapped;
}

static bool is_linear(const void *vaddr, size_t size)
{
	return (unsigned long)vaddr >= PAGE_OFFSET &&
	       vaddr + size <= (const void *)high_memory;
}

static noinline struct dpmgr_stream *
map_other_range(struct dpmgr_stream *stream, struct source *source)
{
	struct walk walk = {
		.vaddr = source->vaddr,
		.offset = offset_in_page(source->vaddr),
		.left = source->size,
	};

	/* A VM area's pages, a module's or the kernel's data. */
	if (!is_vmapped(walk.vaddr) && !virt_addr_valid(walk.vaddr)) {
		source->rule = "vaddr must be a range of kernel memory";
		return ERR_PTR(-EINVAL);
	}
	return map_walked(stream, source, &walk);
}

static __always_inline int check(struct source *source)
{
	if (unlikely((unsigned int)source->direction > DMA_FROM_DEVICE)) {
		source->rule = "direction is DMA_TO_DEVICE, DMA_FROM_DEVICE or DMA_BIDIRECTIONAL";
		return -EINVAL;
	}
	if (unlikely(!source->size || source->gfp & ~DPMGR_GFP_KNOWN)) {
		source->rule = "size must not be 0, gfp GFP_KERNEL or GFP_ATOMIC";
		return -EINVAL;
	}
	if (unlikely(READ_ONCE(source->client->frozen))) {
		source->rule = "the client is frozen, to be kept for the next kernel";
		return -EBUSY;
	}
	return 0;
}

static __always_inline struct dpmgr_stream *
map_range(struct dpmgr_stream *stream, struct source *source)
{
	int ret = check(source);

	if (unlikely(ret))
		return ERR_PTR(ret);
	if (unlikely(source->size > -(uintptr_t)source->vaddr ||
		     !is_linear(source->vaddr, source->size))) {
		if (source->vaddr && source->size <= -(uintptr_t)source->vaddr)
			return map_other_range(stream, source);
		source->rule = "vaddr must be a range of kernel memory";
		return ERR_PTR(-EINVAL);
	}
	if (source->client->hides_memory ||
	    unlikely(!reaches(source->client->dev, source->vaddr, source->size)))
		return map_to_pool(stream, source);
	if (unlikely(source->size > ANY_MAPPING_MAX &&
		     source->size > dma_max_mapping_size(source->client->dev)))
		return map_other_range(stream, source);
	return map_direct(stream, source);
}

static noinline void report(const struct source *source, int err)
{
	if (source->gfp & __GFP_NOWARN)
		return;
	dev_warn_ratelimited(source->client->dev,
			     "dma_pool_mgr: %s: stream of %zu bytes refused: %s (%pe)\n",
			     source->client->name, source->size, source->rule, ERR_PTR(err));
}

static struct dpmgr_stream *reported(struct dpmgr_stream *stream,
				     const struct source *source)
{
	if (IS_ERR(stream))
		report(source, PTR_ERR(stream));
	return stream;
}

/*
 * Most of what is mapped is a short range of the linear map, for
 * a device that reaches all: that is mapped here, with what it takes and no more. False,
 * and nothing has changed, for all else and for what can't be mapped.
 */
static __always_inline bool map_plain(struct dpmgr_stream *stream,
				      struct dpmgr_client *client, void *vaddr,
				      size_t size, enum dma_data_direction direction,
				      gfp_t gfp, bool is_callers)
{
	const unsigned long linear_size = (unsigned long)high_memory - PAGE_OFFSET;
	struct device *dev = client->dev;
	struct dpmgr *mgr = client->mgr;
	phys_addr_t phys;

	if (unlikely((unsigned int)direction > DMA_FROM_DEVICE ||
		     size - 1 >= ANY_MAPPING_MAX || gfp & ~DPMGR_GFP_KNOWN ||
		     READ_ONCE(client->frozen) || client->hides_memory ||
		     (unsigned long)vaddr - PAGE_OFFSET > linear_size - size))
		return false;
	phys = virt_to_phys(vaddr);
	if (unlikely(!dev->dma_mask || phys + size - 1 > *dev->dma_mask ||
		     dev->bus_dma_limit))
		return false;
	stream->dma_addr = dma_map_page(dev, pfn_to_page(PHYS_PFN(phys)),
					offset_in_page(vaddr), size, direction);
	if (unlikely(dma_mapping_error(dev, stream->dma_addr)))
		return false;
	stream->client = client;
	stream->vaddr = vaddr;
	stream->size = size;
	stream->mapping = NULL;
	stream->direction = direction;
	stream->choice = DPMGR_STREAM_DIRECT;
	stream->owns_pages = false;
	stream->is_callers = is_callers;
	WRITE_ONCE(stream->state, DPMGR_STREAM_LIVE);
	if (likely(enter_slot(mgr, stream)))
		return true;
	dma_unmap_page_attrs(dev, stream->dma_addr, size, direction, DMA_ATTR_SKIP_CPU_SYNC);
	return false;
}

static noinline struct dpmgr_stream *map_any(struct dpmgr_client *client, void *vaddr,
					     size_t size,
					     enum dma_data_direction direction,
					     gfp_t gfp)
{
	struct source source = {
		.client = client,
		.vaddr = vaddr,
		.size = size,
		.direction = direction,
		.gfp = gfp,
	};
	return reported(map_range(NULL, &source), &source);
}

/**
 * dpmgr_stream_map() - map kernel memory for a device
 * @client: whose device
 * @vaddr: where it begins: any memory of the kernel's, vmalloc() included
 * @size: bytes, not 0
 * @direction: DMA_TO_DEVICE, DMA_FROM_DEVICE or DMA_BIDIRECTIONAL
 * @gfp: GFP_KERNEL, GFP_ATOMIC or alike, and __GFP_NOWARN
 *
 * The memory is the device's until it is synced. A direct stream goes through the
 * kernel's DMA API, with what that does: an IOMMU's flush mode included. A bounced
 * one's address has the memory's offset within a page.
 *
 * Context: any but NMI if @gfp does not allow blocking; may sleep otherwise.
 * Return: the stream; an ERR_PTR of -EINVAL; -EBUSY for a frozen client;
 * -EOPNOTSUPP if it must bounce and can't; -E2BIG above what the shared pool could
 * ever hold; -ENOSPC if that is exhausted; -EIO if the kernel's DMA API could not
 * map it; -ENOMEM. Then nothing is mapped.
 */
struct dpmgr_stream *dpmgr_stream_map(struct dpmgr_client *client, void *vaddr,
				      size_t size, enum dma_data_direction direction,
				      gfp_t gfp)
{
	struct dpmgr *mgr = client->mgr;
	struct dpmgr_stream *stream;

	if (client->hides_memory)
		return map_any(client, vaddr, size, direction, gfp);
	stream = xchg(&raw_cpu_ptr(mgr->streams.homes)->spare, NULL);
	if (unlikely(!stream))
		return map_any(client, vaddr, size, direction, gfp);
	if (likely(map_plain(stream, client, vaddr, size, direction, gfp, false)))
		return stream;
	put_spare(mgr, stream);
	return map_any(client, vaddr, size, direction, gfp);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_stream_map, DMA_POOL_MGR);

static noinline int map_into(struct dpmgr_stream *stream, struct dpmgr_client *client,
			     void *vaddr, size_t size,
			     enum dma_data_direction direction, gfp_t gfp)
{
	struct source source = {
		.client = client,
		.vaddr = vaddr,
		.size = size,
		.direction = direction,
		.gfp = gfp,
	};

	stream = map_range(stream, &source);
	return PTR_ERR_OR_ZERO(reported(stream, &source));
}

/**
 * dpmgr_stream_map_into() - map kernel memory, with a stream of one's own
 * @stream: to be used; stays the caller's, and there, until it is freed
 * @client: as for dpmgr_stream_map()
 * @vaddr: as for dpmgr_stream_map()
 * @size: as for dpmgr_stream_map()
 * @direction: as for dpmgr_stream_map()
 * @gfp: as for dpmgr_stream_map()
 *
 * Context: as dpmgr_stream_map().
 * Return: 0, or an errno as dpmgr_stream_map().
 */
int dpmgr_stream_map_into(struct dpmgr_stream *stream, struct dpmgr_client *client,
			  void *vaddr, size_t size,
			  enum dma_data_direction direction, gfp_t gfp)
{
	if (likely(map_plain(stream, client, vaddr, size, direction, gfp, true)))
		return 0;
	return map_into(stream, client, vaddr, size, direction, gfp);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_stream_map_into, DMA_POOL_MGR);

static struct dpmgr_stream *try_map_pages(struct source *source, struct page **pages,
					  size_t nr_pages, size_t offset)
{
	struct walk walk = { .offset = offset_in_page(offset), .left = source->size };
	size_t i, end;
	int ret;

	ret = check(source);
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
	struct source source = {
		.client = client,
		.size = size,
		.direction = direction,
		.gfp = gfp,
	};
	return reported(try_map_pages(&source, pages, nr_pages, offset),
			&source);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_stream_map_pages, DMA_POOL_MGR);

static struct dpmgr_stream *try_map_sg(struct source *source, struct sg_table *table)
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
	ret = check(source);
	if (ret)
		return ERR_PTR(ret);
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
	struct source source = {
		.client = client,
		.direction = direction,
		.gfp = gfp,
	};
	return reported(try_map_sg(&source, table), &source);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_stream_map_sg, DMA_POOL_MGR);

/* A buffer's own address is good for its device, unless that can't see private pages. */
static struct dpmgr_stream *map_in_place(struct source *source,
					 const struct dpmgr_pool *pool, size_t offset)
{
	struct dpmgr_stream *stream;

	stream = enter(source->client->mgr, NULL, 0, 0, source->gfp, NULL);
	source->rule = "no memory just now";
	if (!stream)
		return ERR_PTR(-ENOMEM);
	stream->dma_addr = (PFN_PHYS(source->held->base_pfn) | pool->bias) + offset;
	stream->bounce_buf = NULL;
	stream->bounce = NULL;
	publish(stream, source, DPMGR_STREAM_POOL);
	return stream;
}

static struct dpmgr_stream *try_map_buf(struct source *source, struct dpmgr_buf *buf,
					size_t offset)
{
	const struct dpmgr_pool *pool = source->client->backing.pool;
	struct dpmgr_stream *stream;
	size_t end;
	int ret;

	ret = check(source);
	if (ret)
		return ERR_PTR(ret);
	source->rule = "offset and size must lie within the buffer";
	if (check_add_overflow(offset, source->size, &end) ||
	    end > dpmgr_buf_size(buf))
		return ERR_PTR(-EINVAL);
	source->rule = "the buffer was given up";
	if (!atomic_inc_not_zero(&buf->refs))
		return ERR_PTR(-ESTALE);
	source->held = buf;
	source->vaddr = buf->vaddr + offset;
	if (!pool)
		stream = map_range(NULL, source);
	else if (pool->visibility == DPMGR_SHARED ||
		 !source->client->mgr->streams.hides_memory)
		stream = map_in_place(source, pool, offset);
	else
		stream = map_to_pool(NULL, source);
	if (IS_ERR(stream))
		dpmgr_buf_release(buf);
	return stream;
}

/**
 * dpmgr_stream_map_buf() - map a part of a buffer for its client's device
 * @buf: the buffer
 * @offset: where the part begins, bytes
 * @size: bytes, not 0
 * @direction: as for dpmgr_stream_map()
 * @gfp: as for dpmgr_stream_map()
 *
 * The stream holds the buffer: its pages stay until both were freed.
 *
 * Context: as dpmgr_stream_map().
 * Return: as dpmgr_stream_map(), or -ESTALE for a stale handle.
 */
struct dpmgr_stream *
dpmgr_stream_map_buf(struct dpmgr_buf *buf, size_t offset, size_t size,
		     enum dma_data_direction direction, gfp_t gfp)
{
	struct source source = {
		.size = size,
		.direction = direction,
		.gfp = gfp,
	};
	if (!dpmgr_buf_size(buf))
		return ERR_PTR(-ESTALE);
	source.client = buf->client;
	return reported(try_map_buf(&source, buf, offset), &source);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_stream_map_buf, DMA_POOL_MGR);

/* Zones are looked for by the mask's width; x86 has them at 16 MiB and at 4 GiB. */
static gfp_t zone_of(struct device *dev)
{
	const u64 mask = mask_of(dev);

	if (use_dma_iommu(dev) || get_dma_ops(dev) || mask >= virt_to_phys(high_memory - 1))
		return 0;
	return mask >= DMA_BIT_MASK(32) ? GFP_DMA32 : GFP_DMA;
}

static struct dpmgr_stream *try_alloc(struct source *source)
{
	struct device *dev = source->client->dev;
	struct dpmgr *mgr = source->client->mgr;
	struct dpmgr_stream *stream;
	int ret;

	ret = check(source);
	if (ret)
		return ERR_PTR(ret);
	if (source->client->hides_memory)
		return map_to_pool(NULL, source);
	source->rule = "no memory just now";
	if (source->size > PAGE_SIZE << MAX_PAGE_ORDER)
		source->vaddr = NULL;
	else
		source->vaddr = alloc_pages_exact(source->size,
						  source->gfp | zone_of(dev) |
						  __GFP_NOWARN);
	if (source->vaddr && reaches(dev, source->vaddr, source->size)) {
		source->owns_pages = true;
		stream = map_direct(NULL, source);
		if (IS_ERR(stream))
			free_pages_exact(source->vaddr, source->size);
		return stream;
	}
	if (source->vaddr)
		free_pages_exact(source->vaddr, source->size);
	source->vaddr = NULL;
	return mgr->pools[DPMGR_SHARED] ? map_to_pool(NULL, source) :
					  ERR_PTR(-ENOMEM);
}

/**
 * dpmgr_stream_alloc_uninit() - allocate memory that is mapped for a device
 * @client: the client
 * @size: bytes, not 0
 * @direction: as for dpmgr_stream_map()
 * @gfp: as for dpmgr_stream_map()
 *
 * dpmgr_stream_alloc() without the zeroing: what it holds is unspecified.
 *
 * Context: as dpmgr_stream_map().
 * Return: as dpmgr_stream_map().
 */
struct dpmgr_stream *
dpmgr_stream_alloc_uninit(struct dpmgr_client *client, size_t size,
			  enum dma_data_direction direction, gfp_t gfp)
{
	struct source source = {
		.client = client,
		.size = size,
		.direction = direction,
		.gfp = gfp,
	};
	return reported(try_alloc(&source), &source);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_stream_alloc_uninit, DMA_POOL_MGR);

struct dpmgr_stream *__dpmgr_stream_alloc(struct dpmgr_client *client, size_t size,
					  enum dma_data_direction direction, gfp_t gfp)
{
	if (direction == DMA_FROM_DEVICE)
		return ERR_PTR(-EACCES);
	/* Pool pages are zero already. */
	return dpmgr_stream_alloc_uninit(client, size, direction, gfp | __GFP_ZERO);
}
EXPORT_SYMBOL_NS_GPL(__dpmgr_stream_alloc, DMA_POOL_MGR);
