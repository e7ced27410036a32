// SPDX-License-Identifier: GPL-2.0-only
/*
 * Data of streams: handed over to the device, taken back, read and written.
 *
 * The direction is checked before anything else, so that a call that may never be made
 * fails whatever the range. What is moved is what was asked for, and each byte once:
 * a host may change a bounce, or pool pages, between two looks at it.
 *
 * Locking: none; the caller keeps the stream.
 */
#include <linux/dma-mapping.h>
#include <linux/export.h>
#include <linux/percpu.h>
#include <linux/string.h>

#include "client.h"
#include "pool.h"
#include "stream.h"
#include "stream_inline.h"

/* Copy between a bounced stream's memory and its bounce. Context: any but NMI. */
void dpmgr_stream_copy_bounce(const struct dpmgr_stream *stream, size_t offset,
			      size_t len, bool to_bounce)
{
	dma_addr_t dma_addr;
	void *vaddr, *bounce;
	size_t n;

	this_cpu_add(stream->client->mgr->streams.homes->copied, len);
	for (; len; len -= n, offset += n) {
		n = min(piece_at(stream, offset, &vaddr, &dma_addr), len);
		bounce = stream->bounce + (dma_addr - stream->dma_addr);
		if (to_bounce)
			memcpy(bounce, vaddr, n);
		else
			memcpy(vaddr, bounce, n);
	}
}

/**
 * dpmgr_stream_scrub_bounce() - leave nothing of a stream in its bounce
 * @stream: a stream that has one
 *
 * A long bounce, and one with a bad page, is scrubbed when it is put back.
 *
 * Context: any but NMI.
 */
void dpmgr_stream_scrub_bounce(const struct dpmgr_stream *stream)
{
	const struct dpmgr_stream_mapping *mapping = stream->mapping;
	const struct dpmgr_buf *buf = stream->bounce_buf;
	dma_addr_t dma_addr;
	size_t offset, n;
	void *vaddr;

	if (buf->nr_pages > DPMGR_BOUNCE_PAGES ||
	    dpmgr_pool_is_bad(stream->client->mgr->pools[DPMGR_SHARED], buf->base_pfn,
			      buf->nr_pages))
		return;
	if (likely(!mapping || !mapping->has_gaps))
		memset(stream->bounce ?: stream->vaddr, 0, stream->size);
	else
		for (offset = 0; offset < stream->size; offset += n) {
			n = piece_at(stream, offset, &vaddr, &dma_addr);
			memset(stream->bounce + (dma_addr - stream->dma_addr), 0, n);
		}
	this_cpu_add(stream->client->mgr->streams.homes->scrubbed, stream->size);
}

/**
 * dpmgr_stream_size() - the length of a stream
 * @stream: the stream
 *
 * Context: any.
 * Return: bytes; 0 for a stream that was freed.
 */
size_t dpmgr_stream_size(const struct dpmgr_stream *stream)
{
	return is_live(stream) ? stream->size : 0;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_stream_size, DMA_POOL_MGR);

/**
 * dpmgr_stream_is_bounced() - whether the device works on a copy
 * @stream: the stream
 *
 * Context: any.
 * Return: false also for a stream that was freed.
 */
bool dpmgr_stream_is_bounced(const struct dpmgr_stream *stream)
{
	return is_live(stream) && stream->choice == DPMGR_STREAM_BOUNCED;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_stream_is_bounced, DMA_POOL_MGR);

/* How many of the @len bytes at @dma_addr the device takes as one piece. */
static size_t within_segment(struct device *dev, dma_addr_t dma_addr, size_t len)
{
	const u64 boundary = dma_get_seg_boundary(dev);

	len = min(len, dma_get_max_seg_size(dev));
	/* The byte before the boundary may be the last that there is. */
	return min_t(u64, len - 1, boundary - (dma_addr & boundary)) + 1;
}

/**
 * dpmgr_stream_dma_addr() - where the device finds a stream
 * @stream: the stream
 * @offset: of the byte that is asked for
 * @len: NULL, or where to put how many bytes follow there in one piece, that one
 *	included
 *
 * A piece keeps within dma_get_max_seg_size() and dma_get_seg_boundary(), whichever stream
 * it is of. But for these, an allocated stream is in one piece, and so is a bounced one that
 * is not of a scatter-gather table; any other may be in as many as its memory is.
 *
 * Context: any.
 * Return: the address; DMA_MAPPING_ERROR, and @len 0, beyond the end or for a stream
 * that was freed.
 */
dma_addr_t dpmgr_stream_dma_addr(const struct dpmgr_stream *stream, size_t offset,
				 size_t *len)
{
	dma_addr_t dma_addr = DMA_MAPPING_ERROR;
	size_t n = 0;
	void *vaddr;

	if (is_live(stream) && offset < stream->size) {
		n = piece_at(stream, offset, &vaddr, &dma_addr);
		if (stream->choice == DPMGR_STREAM_BOUNCED &&
		    !(stream->mapping && stream->mapping->has_gaps))
			n = stream->size - offset;
		if (len)
			n = within_segment(stream->client->dev, dma_addr, n);
	}
	if (len)
		*len = n;
	return dma_addr;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_stream_dma_addr, DMA_POOL_MGR);

/* May @len bytes at @offset be moved this way? 0, -ESTALE, -EACCES or -EINVAL. */
static int may_move(const struct dpmgr_stream *stream, size_t offset, size_t len,
		    enum dma_data_direction direction,
		    enum dma_data_direction never)
{
	if (!is_live(stream))
		return -ESTALE;
	if (direction == never || direction != stream->direction)
		return -EACCES;
	return offset > stream->size || len > stream->size - offset ? -EINVAL : 0;
}

typedef void (*sync_function)(struct device *dev, dma_addr_t addr, size_t size,
			      enum dma_data_direction direction);

/* Cache maintenance, of a device that needs it. */
static void sync_pieces(const struct dpmgr_stream *stream, size_t offset, size_t len,
			sync_function sync)
{
	dma_addr_t dma_addr;
	void *vaddr;
	size_t n;

	for (; len; len -= n, offset += n) {
		n = min(piece_at(stream, offset, &vaddr, &dma_addr), len);
		sync(stream->client->dev, dma_addr, n, stream->direction);
	}
}

int __dpmgr_stream_sync_for_device(struct dpmgr_stream *stream, size_t offset,
				   size_t len, enum dma_data_direction direction)
{
	int ret = may_move(stream, offset, len, direction, DMA_FROM_DEVICE);

	if (ret)
		return ret;
	if (stream->choice == DPMGR_STREAM_BOUNCED)
		dpmgr_stream_copy_bounce(stream, offset, len, true);
	else if (stream->choice == DPMGR_STREAM_DIRECT)
		sync_pieces(stream, offset, len, dma_sync_single_for_device);
	return 0;
}
EXPORT_SYMBOL_NS_GPL(__dpmgr_stream_sync_for_device, DMA_POOL_MGR);

int __dpmgr_stream_sync_for_cpu(struct dpmgr_stream *stream, size_t offset,
				size_t len, enum dma_data_direction direction)
{
	int ret = may_move(stream, offset, len, direction, DMA_TO_DEVICE);

	if (ret)
		return ret;
	if (stream->choice == DPMGR_STREAM_BOUNCED)
		dpmgr_stream_copy_bounce(stream, offset, len, false);
	else if (stream->choice == DPMGR_STREAM_DIRECT)
		sync_pieces(stream, offset, len, dma_sync_single_for_cpu);
	return 0;
}
EXPORT_SYMBOL_NS_GPL(__dpmgr_stream_sync_for_cpu, DMA_POOL_MGR);

int __dpmgr_stream_copy_to(struct dpmgr_stream *stream, size_t offset,
			   const void *from, size_t len,
			   enum dma_data_direction direction)
{
	int ret = may_move(stream, offset, len, direction, DMA_FROM_DEVICE);
	dma_addr_t unused;
	void *vaddr;
	size_t n;

	if (ret)
		return ret;
	for (; len; len -= n, offset += n, from += n) {
		n = min(piece_at(stream, offset, &vaddr, &unused), len);
		memcpy(vaddr, from, n);
	}
	return 0;
}
EXPORT_SYMBOL_NS_GPL(__dpmgr_stream_copy_to, DMA_POOL_MGR);

int __dpmgr_stream_copy_from(struct dpmgr_stream *stream, size_t offset, void *to,
			     size_t len, enum dma_data_direction direction)
{
	int ret = may_move(stream, offset, len, direction, DMA_TO_DEVICE);
	dma_addr_t unused;
	void *vaddr;
	size_t n;

	if (ret)
		return ret;
	for (; len; len -= n, offset += n, to += n) {
		n = min(piece_at(stream, offset, &vaddr, &unused), len);
		memcpy(to, vaddr, n);
	}
	return 0;
}
EXPORT_SYMBOL_NS_GPL(__dpmgr_stream_copy_from, DMA_POOL_MGR);

int __dpmgr_stream_fill(struct dpmgr_stream *stream, size_t offset, u8 byte,
			size_t len, enum dma_data_direction direction)
{
	int ret = may_move(stream, offset, len, direction, DMA_FROM_DEVICE);
	dma_addr_t unused;
	void *vaddr;
	size_t n;

	if (ret)
		return ret;
	for (; len; len -= n, offset += n) {
		n = min(piece_at(stream, offset, &vaddr, &unused), len);
		memset(vaddr, byte, n);
	}
	return 0;
}
EXPORT_SYMBOL_NS_GPL(__dpmgr_stream_fill, DMA_POOL_MGR);
