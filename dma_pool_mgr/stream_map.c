// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams are mapped: where the device works is decided, once.
 *
 * Each call describes its memory in a struct dpmgr_stream_source. One range of the linear
 * map is mapped as it is, here. What is in pieces is stream_pieces.c's, and what is not
 * the caller's own memory stream_alloc.c's.
 *
 * Locking: see stream.c.
 */
#include <linux/device.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/sched/task_stack.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "client.h"
#include "pool.h"
#include "stream.h"
#include "stream_inline.h"
#include "stream_map.h"

/* Up to here no device's DMA API has a limit: see swiotlb's IO_TLB_SEGSIZE. */
#define ANY_MAPPING_MAX	SZ_64K

/* Whether what is in the guest's memory is not for the host. */
static bool is_isolated(const struct dpmgr *mgr)
{
	return mgr->isolation != DPMGR_ISOLATION_NONE;
}

/* Whether the device reaches memory of the linear map. */
bool dpmgr_stream_reaches(struct device *dev, const void *vaddr, size_t size)
{
	if (likely(virt_to_phys((void *)vaddr) + size - 1 <= dpmgr_stream_mask(dev)))
		return true;
	/* Its addresses are what its operations make them. */
	return get_dma_ops(dev);
}

/* The page after the last of the shared pool that the device reaches. */
static u64 bounce_end_pfn(struct device *dev, const struct dpmgr_pool *pool)
{
	const u64 mask = dpmgr_stream_mask(dev);

	if (mask < pool->bias)
		return 0;
	return PHYS_PFN(mask - pool->bias) +
	       (offset_in_page(mask - pool->bias) == ~PAGE_MASK);
}

static noinline int refuse_bounce(struct dpmgr_stream_source *source)
{
	const struct dpmgr *mgr = source->client->mgr;
	struct device *dev = source->client->dev;

	source->rule = "it must bounce, and there is no shared pool; load with shared=SIZE@START";
	if (!mgr->pools[DPMGR_SHARED])
		return -EOPNOTSUPP;
	source->rule = "it must bounce, and the device's bus translates DMA addresses";
	if (dev->dma_range_map)
		return -EOPNOTSUPP;
	source->rule = "its device has left its IOMMU target; clients must be destroyed first";
	if (READ_ONCE(source->client->is_cut_off))
		return -EOPNOTSUPP;
	source->rule = "its IOMMU target lacked the shared pool when the client was created";
	if (source->client->lacks_bounces)
		return -EOPNOTSUPP;
	source->rule = "it must bounce, which a device that is not cache coherent can't";
	if (!dev_is_dma_coherent(dev))
		return -EOPNOTSUPP;
	source->rule = "it must bounce, which keeps less than dma_set_min_align_mask() asks for";
	if (source->vaddr && dma_get_min_align_mask(dev) > ~PAGE_MASK)
		return -EOPNOTSUPP;
	return 0;
}

static bool charge(const struct dpmgr_stream_source *source, u32 nr_pages)
{
	if (likely(dpmgr_quota_charge(source->client, nr_pages)))
		return true;
	if (!gfpflags_allow_blocking(source->gfp))
		return false;
	/* What was freed, and is not yet put back, counts. */
	dpmgr_drain(source->client->mgr);
	return dpmgr_quota_charge(source->client, nr_pages);
}

/*
 * Whether a bounce that was another stream's must be zero: for another client it must; and
 * for its own if that is promised zeros.
 */
static bool must_be_clean(const struct dpmgr_stream_source *source, const struct dpmgr_buf *buf)
{
	if (buf->charged != source->client || (!source->vaddr && source->gfp & __GFP_ZERO))
		return true;
	return source->direction == DMA_FROM_DEVICE && is_isolated(source->client->mgr);
}

static struct dpmgr_buf *get_bounce(struct dpmgr_stream_source *source,
				    const struct dpmgr_bounce_request *request)
{
	struct dpmgr_buf *buf;

	buf = dpmgr_bounce_get(source->client, request, source->gfp, &source->rule);
	if (buf == ERR_PTR(-E2BIG))
		source->value = request->nr_pages;
	return buf;
}

/*
 * Map onto pool pages: a bounce, each piece at the same offset in a page as the memory; or,
 * if there is no memory, pages that are the stream's. The stream or an ERR_PTR.
 */
struct dpmgr_stream *dpmgr_source_map_to_pool(struct dpmgr_stream *stream,
					      struct dpmgr_stream_source *source)
{
	struct dpmgr *mgr = source->client->mgr;
	struct device *dev = source->client->dev;
	const struct dpmgr_pool *pool = mgr->pools[DPMGR_SHARED];
	const size_t offset = offset_in_page(source->vaddr);
	enum dpmgr_stream_choice choice = DPMGR_STREAM_BOUNCED;
	struct dpmgr_bounce_request request;
	struct dpmgr_stream_layout layout;
	struct dpmgr_buf *buf = NULL;
	dma_addr_t base;
	int ret;

	ret = refuse_bounce(source);
	if (ret)
		return ERR_PTR(ret);
	dpmgr_stream_lay_out(source, &layout);
	if (layout.nr_pages > U32_MAX) {
		source->value = layout.nr_pages;
		source->rule = DPMGR_BOUNCE_TOO_LONG;
		return ERR_PTR(-E2BIG);
	}
	request.nr_pages = layout.nr_pages;
	request.align_order = layout.align_order;
	request.end_pfn = bounce_end_pfn(dev, pool);
	source->rule = "the client's quota would be exceeded";
	if (!charge(source, request.nr_pages))
		return ERR_PTR(-EDQUOT);
	stream = enter(mgr, stream, &request, source->gfp, &buf);
	source->rule = "no memory just now";
	if (!stream) {
		dpmgr_quota_uncharge(source->client, request.nr_pages);
		return ERR_PTR(-ENOMEM);
	}
	if (likely(buf)) {
		if (unlikely(buf->beside) && must_be_clean(source, buf))
			dpmgr_bounce_clean(mgr, buf);
	} else {
		buf = get_bounce(source, &request);
		if (IS_ERR(buf)) {
			dpmgr_quota_uncharge(source->client, request.nr_pages);
			leave(mgr, stream, NULL);
			return ERR_CAST(buf);
		}
	}
	buf->charged = source->client;
	buf->slack = buf->nr_pages - request.nr_pages;
	buf->beside |= layout.beside;
	stream->bounce_buf = buf;
	base = PFN_PHYS(buf->base_pfn) | pool->bias;
	stream->dma_addr = base + offset;
	stream->bounce = buf->vaddr + offset;
	if (source->mapping)
		dpmgr_stream_place(source->mapping, base);
	if (!source->vaddr) {
		source->vaddr = buf->vaddr;
		stream->bounce = NULL;
		choice = DPMGR_STREAM_POOL;
	}
	if (unlikely(!dpmgr_source_publish(stream, source, choice))) {
		dpmgr_bounce_uncharge(buf);
		leave(mgr, stream, buf);
		return ERR_PTR(-EBUSY);
	}
	if (choice == DPMGR_STREAM_POOL)
		return stream;
	/* The caller's old bytes are not for the host; else they stay where unwritten. */
	if (source->direction != DMA_FROM_DEVICE || !is_isolated(mgr))
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
map_direct(struct dpmgr_stream *stream, struct dpmgr_stream_source *source)
{
	struct device *dev = source->client->dev;
	struct dpmgr *mgr = source->client->mgr;
	int ret = 0;

	stream = enter(mgr, stream, NULL, source->gfp, NULL);
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
	if (likely(dpmgr_source_publish(stream, source, DPMGR_STREAM_DIRECT)))
		return stream;
	dpmgr_stream_unmap(stream);
	leave(mgr, stream, NULL);
	return ERR_PTR(-EBUSY);
}

/* The same, not inlined. */
struct dpmgr_stream *dpmgr_source_map_direct(struct dpmgr_stream *stream,
					     struct dpmgr_stream_source *source)
{
	return map_direct(stream, source);
}

static bool is_linear(const void *vaddr, size_t size)
{
	return (unsigned long)vaddr >= PAGE_OFFSET &&
	       vaddr + size <= (const void *)high_memory;
}

static __always_inline int check(struct dpmgr_stream_source *source)
{
	if (unlikely((unsigned int)source->direction > DMA_FROM_DEVICE)) {
		source->rule = "direction is DMA_TO_DEVICE, DMA_FROM_DEVICE or DMA_BIDIRECTIONAL";
		return -EINVAL;
	}
	if (unlikely(!source->size || source->gfp & ~DPMGR_GFP_KNOWN)) {
		source->rule = source->size ?
			       "gfp must be GFP_KERNEL, _NOIO, _NOFS, _ATOMIC or _NOWAIT" :
			       "size must not be 0";
		return -EINVAL;
	}
	return unlikely(dpmgr_source_is_frozen(source)) ? -EBUSY : 0;
}

/* The same, not inlined. */
int dpmgr_source_check(struct dpmgr_stream_source *source)
{
	check_context(source->gfp);
	return check(source);
}

static __always_inline struct dpmgr_stream *
map_range(struct dpmgr_stream *stream, struct dpmgr_stream_source *source)
{
	int ret = check(source);

	if (unlikely(ret))
		return ERR_PTR(ret);
	if (unlikely(source->size > -(uintptr_t)source->vaddr ||
		     !is_linear(source->vaddr, source->size))) {
		source->rule = "vaddr must not be on the stack";
		if (object_is_on_stack(source->vaddr))
			return ERR_PTR(-EINVAL);
		if (source->vaddr && source->size <= -(uintptr_t)source->vaddr)
			return dpmgr_source_map_pieces(stream, source);
		source->rule = "vaddr must be a range of kernel memory";
		return ERR_PTR(-EINVAL);
	}
	if (source->client->hides_memory ||
	    unlikely(!dpmgr_stream_reaches(source->client->dev, source->vaddr, source->size)))
		return dpmgr_source_map_to_pool(stream, source);
	if (unlikely(source->size > ANY_MAPPING_MAX &&
		     source->size > dma_max_mapping_size(source->client->dev)))
		return dpmgr_source_map_pieces(stream, source);
	return map_direct(stream, source);
}

/* The same, not inlined. */
struct dpmgr_stream *dpmgr_source_map_range(struct dpmgr_stream *stream,
					    struct dpmgr_stream_source *source)
{
	return map_range(stream, source);
}

static noinline void report(const struct dpmgr_stream_source *source, int err)
{
	if (source->gfp & __GFP_NOWARN)
		return;
	if (source->value)
		dev_warn_ratelimited(source->client->dev,
				     "dma_pool_mgr: %s: stream of %zu bytes refused: %llu %s (%pe)\n",
				     source->client->name, source->size, source->value,
				     source->rule, ERR_PTR(err));
	else
		dev_warn_ratelimited(source->client->dev,
				     "dma_pool_mgr: %s: stream of %zu bytes refused: %s (%pe)\n",
				     source->client->name, source->size, source->rule,
				     ERR_PTR(err));
}

struct dpmgr_stream *dpmgr_source_reported(struct dpmgr_stream *stream,
					   const struct dpmgr_stream_source *source)
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
	struct dpmgr_stream **slot;
	phys_addr_t phys;

	if (unlikely((unsigned int)direction > DMA_FROM_DEVICE ||
		     size - 1 >= ANY_MAPPING_MAX || gfp & ~DPMGR_GFP_KNOWN ||
		     client->hides_memory ||
		     (unsigned long)vaddr - PAGE_OFFSET > linear_size - size))
		return false;
	phys = virt_to_phys(vaddr);
	if (unlikely(!dev->dma_mask || phys + size - 1 > *dev->dma_mask ||
		     dev->bus_dma_limit))
		return false;
	slot = find_slot(mgr);
	if (unlikely(!slot))
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
	if (likely(enter_slot(stream, slot))) {
		/* After entering, which is a barrier: see dpmgr_streams_count(). */
		if (likely(!READ_ONCE(client->frozen)))
			return true;
		leave_slot(stream);
	}
	/* Whoever frees it by an old handle is to be told. */
	WRITE_ONCE(stream->state, DPMGR_STREAM_NONE);
	dma_unmap_page_attrs(dev, stream->dma_addr, size, direction, DMA_ATTR_SKIP_CPU_SYNC);
	return false;
}

static noinline struct dpmgr_stream *map_any(struct dpmgr_client *client, void *vaddr,
					     size_t size,
					     enum dma_data_direction direction,
					     gfp_t gfp)
{
	struct dpmgr_stream_source source = {
		.client = client,
		.vaddr = vaddr,
		.size = size,
		.direction = direction,
		.gfp = gfp,
	};
	return dpmgr_source_reported(map_range(NULL, &source), &source);
}

/**
 * dpmgr_stream_map() - map kernel memory for a device
 * @client: whose device
 * @vaddr: where it begins: any memory of the kernel's, vmalloc() included, but no stack.
 *	Of the linear map it must be RAM: for speed, that is not looked at
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
 * ever hold; -EDQUOT if the bounce would exceed the client's quota; -ENOSPC if the pool is
 * exhausted; -EIO if the kernel's DMA API could not map it; -ENOMEM. Then nothing is mapped.
 */
struct dpmgr_stream *dpmgr_stream_map(struct dpmgr_client *client, void *vaddr,
				      size_t size, enum dma_data_direction direction,
				      gfp_t gfp)
{
	struct dpmgr *mgr = client->mgr;
	struct dpmgr_stream *stream;

	check_context(gfp);
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
	struct dpmgr_stream_source source = {
		.client = client,
		.vaddr = vaddr,
		.size = size,
		.direction = direction,
		.gfp = gfp,
	};

	/* Whatever becomes of it, the caller may free it. */
	WRITE_ONCE(stream->state, DPMGR_STREAM_NONE);
	stream = map_range(stream, &source);
	return PTR_ERR_OR_ZERO(dpmgr_source_reported(stream, &source));
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
 * After a failure, freeing @stream gives -ESTALE and does nothing, whatever was in it.
 *
 * Context: as dpmgr_stream_map().
 * Return: 0, or an errno as dpmgr_stream_map().
 */
int dpmgr_stream_map_into(struct dpmgr_stream *stream, struct dpmgr_client *client,
			  void *vaddr, size_t size,
			  enum dma_data_direction direction, gfp_t gfp)
{
	check_context(gfp);
	if (likely(map_plain(stream, client, vaddr, size, direction, gfp, true)))
		return 0;
	return map_into(stream, client, vaddr, size, direction, gfp);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_stream_map_into, DMA_POOL_MGR);
