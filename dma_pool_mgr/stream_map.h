/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How streams are mapped: what the files that map one kind of memory each have in common.
 */
#ifndef DPMGR_STREAM_MAP_H
#define DPMGR_STREAM_MAP_H

#include <linux/dma-direction.h>
#include <linux/dma-mapping.h>
#include <linux/gfp_types.h>
#include <linux/minmax.h>
#include <linux/types.h>

#include "client.h"
#include "stream.h"

/**
 * struct dpmgr_stream_source - what is there to be mapped
 * @client: whose device
 * @vaddr: where it begins; all of it if @mapping is NULL
 * @mapping: its pieces, or NULL
 * @size: bytes
 * @direction: as the caller says
 * @gfp: as the caller says
 * @held: a buffer that the stream will hold, or NULL
 * @owns_pages: they go with the stream
 * @is_table: each piece is to be one for the device as well
 * @rule: why it was refused
 * @value: what it was refused for, which @rule goes on from; 0 if that stands alone
 */
struct dpmgr_stream_source {
	struct dpmgr_client *client;
	void *vaddr;
	struct dpmgr_stream_mapping *mapping;
	size_t size;
	enum dma_data_direction direction;
	gfp_t gfp;
	struct dpmgr_buf *held;
	bool owns_pages;
	bool is_table;
	const char *rule;
	u64 value;
};

/**
 * struct dpmgr_stream_layout - how a stream lies in its bounce
 * @nr_pages: of the bounce that it has a part of, or that lie in between
 * @align_order: the bounce's first page is to be a multiple of 2^@align_order
 * @beside: pages of a short bounce, a bit each, that the stream has a part of only and the
 *	device may write
 */
struct dpmgr_stream_layout {
	u64 nr_pages;
	unsigned int align_order;
	u32 beside;
};

/* stream_map.c. Each that maps returns the stream or an ERR_PTR, and the rule is set. */
int dpmgr_source_check(struct dpmgr_stream_source *source);
bool dpmgr_stream_reaches(struct device *dev, const void *vaddr, size_t size);
struct dpmgr_stream *dpmgr_source_map_direct(struct dpmgr_stream *stream,
					     struct dpmgr_stream_source *source);
struct dpmgr_stream *dpmgr_source_map_to_pool(struct dpmgr_stream *stream,
					      struct dpmgr_stream_source *source);
struct dpmgr_stream *dpmgr_source_map_range(struct dpmgr_stream *stream,
					    struct dpmgr_stream_source *source);
struct dpmgr_stream *dpmgr_source_reported(struct dpmgr_stream *stream,
					   const struct dpmgr_stream_source *source);

/* stream_layout.c */
void dpmgr_stream_lay_out(const struct dpmgr_stream_source *source,
			  struct dpmgr_stream_layout *layout);
void dpmgr_stream_place(struct dpmgr_stream_mapping *mapping, dma_addr_t base);

/* stream_pieces.c */
struct dpmgr_stream *dpmgr_source_map_pieces(struct dpmgr_stream *stream,
					     struct dpmgr_stream_source *source);

/* The highest address that the device reaches. */
static inline u64 dpmgr_stream_mask(struct device *dev)
{
	return min_not_zero(dma_get_mask(dev), dev->bus_dma_limit);
}

/* No stream is mapped for a client that this is true of. */
static __always_inline bool dpmgr_source_is_frozen(struct dpmgr_stream_source *source)
{
	if (likely(!READ_ONCE(source->client->frozen)))
		return false;
	source->rule = "the client is frozen, to be kept for the next kernel";
	return true;
}

/*
 * It is complete: others may see it. False, and they don't, if the client is frozen by
 * now.
 */
static __always_inline bool
dpmgr_source_publish(struct dpmgr_stream *stream,
		     struct dpmgr_stream_source *source,
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
	/* Pairs with dpmgr_streams_count(). */
	smp_mb();
	if (likely(!dpmgr_source_is_frozen(source)))
		return true;
	WRITE_ONCE(stream->state, DPMGR_STREAM_NONE);
	return false;
}

#endif /* DPMGR_STREAM_MAP_H */
