// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams of memory that is not the caller's own: parts of buffers, and what is allocated
 * with the stream.
 *
 * Locking: see stream.c.
 */
#include <linux/device.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/pfn.h>

#include "client.h"
#include "pool.h"
#include "stream.h"
#include "stream_inline.h"
#include "stream_map.h"

/*
 * A buffer's own address is good for its device, unless that can't see private pages: it is
 * open to VTL0 if it is to be, and both pools are in the domains of our targets.
 */
static struct dpmgr_stream *map_in_place(struct dpmgr_stream_source *source,
					 const struct dpmgr_pool *pool, size_t offset)
{
	struct dpmgr_stream *stream;

	stream = enter(source->client->mgr, NULL, NULL, source->gfp, NULL);
	source->rule = "no memory just now";
	if (!stream)
		return ERR_PTR(-ENOMEM);
	stream->dma_addr = (PFN_PHYS(source->held->base_pfn) | pool->bias) + offset;
	stream->bounce_buf = NULL;
	stream->bounce = NULL;
	if (likely(dpmgr_source_publish(stream, source, DPMGR_STREAM_POOL)))
		return stream;
	leave(source->client->mgr, stream, NULL);
	return ERR_PTR(-EBUSY);
}

static struct dpmgr_stream *try_map_buf(struct dpmgr_stream_source *source, struct dpmgr_buf *buf,
					size_t offset)
{
	const struct dpmgr_pool *pool = source->client->backing.pool;
	struct dpmgr_stream *stream;
	size_t end;
	int ret;

	ret = dpmgr_source_check(source);
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
		stream = dpmgr_source_map_range(NULL, source);
	else if (pool->visibility == DPMGR_SHARED ||
		 !source->client->mgr->streams.hides_memory)
		stream = map_in_place(source, pool, offset);
	else
		stream = dpmgr_source_map_to_pool(NULL, source);
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
	struct dpmgr_stream_source source = {
		.size = size,
		.direction = direction,
		.gfp = gfp,
	};
	if (!dpmgr_buf_size(buf))
		return ERR_PTR(-ESTALE);
	source.client = buf->client;
	return dpmgr_source_reported(try_map_buf(&source, buf, offset), &source);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_stream_map_buf, DMA_POOL_MGR);

/* Zones are looked for by the mask's width; x86 has them at 16 MiB and at 4 GiB. */
static gfp_t zone_of(struct device *dev)
{
	const u64 mask = dpmgr_stream_mask(dev);

	if (get_dma_ops(dev) || mask >= virt_to_phys(high_memory - 1))
		return 0;
	return mask >= DMA_BIT_MASK(32) ? GFP_DMA32 : GFP_DMA;
}

static struct dpmgr_stream *try_alloc(struct dpmgr_stream_source *source)
{
	struct device *dev = source->client->dev;
	struct dpmgr *mgr = source->client->mgr;
	struct dpmgr_stream *stream;
	int ret;

	ret = dpmgr_source_check(source);
	if (ret)
		return ERR_PTR(ret);
	if (source->client->hides_memory)
		return dpmgr_source_map_to_pool(NULL, source);
	source->rule = "no memory just now";
	if (source->size > PAGE_SIZE << MAX_PAGE_ORDER)
		source->vaddr = NULL;
	else
		source->vaddr = alloc_pages_exact(source->size,
						  source->gfp | zone_of(dev) |
						  __GFP_NOWARN);
	if (source->vaddr && dpmgr_stream_reaches(dev, source->vaddr, source->size)) {
		source->owns_pages = true;
		if (source->size > dma_max_mapping_size(dev))
			stream = dpmgr_source_map_pieces(NULL, source);
		else
			stream = dpmgr_source_map_direct(NULL, source);
		if (IS_ERR(stream))
			free_pages_exact(source->vaddr, source->size);
		return stream;
	}
	if (source->vaddr)
		free_pages_exact(source->vaddr, source->size);
	source->vaddr = NULL;
	return mgr->pools[DPMGR_SHARED] ? dpmgr_source_map_to_pool(NULL, source) :
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
	struct dpmgr_stream_source source = {
		.client = client,
		.size = size,
		.direction = direction,
		.gfp = gfp,
	};
	return dpmgr_source_reported(try_alloc(&source), &source);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_stream_alloc_uninit, DMA_POOL_MGR);

struct dpmgr_stream *__dpmgr_stream_alloc(struct dpmgr_client *client, size_t size,
					  enum dma_data_direction direction, gfp_t gfp)
{
	if (direction == DMA_FROM_DEVICE)
		return ERR_PTR(-EACCES);
	/* What comes from the pool is zero already; what does from a stock may not be. */
	return dpmgr_stream_alloc_uninit(client, size, direction, gfp | __GFP_ZERO);
}
EXPORT_SYMBOL_NS_GPL(__dpmgr_stream_alloc, DMA_POOL_MGR);
