// SPDX-License-Identifier: GPL-2.0-only
/*
 * What must compile, and, with WRONG defined, what must not: each function there has
 * one call against the direction of its stream. See scripts/check-static.
 */
#include <linux/dma_pool_mgr.h>

int right_to(struct dpmgr_stream *stream, const void *from);
int right_to(struct dpmgr_stream *stream, const void *from)
{
	return dpmgr_stream_copy_to(stream, 0, from, 1, DMA_TO_DEVICE) ?:
	       dpmgr_stream_fill(stream, 0, 1, 1, DMA_BIDIRECTIONAL) ?:
	       dpmgr_stream_sync_for_device(stream, 0, 1, DMA_TO_DEVICE);
}

int right_from(struct dpmgr_stream *stream, void *to);
int right_from(struct dpmgr_stream *stream, void *to)
{
	return dpmgr_stream_sync_for_cpu(stream, 0, 1, DMA_FROM_DEVICE) ?:
	       dpmgr_stream_copy_from(stream, 0, to, 1, DMA_BIDIRECTIONAL);
}

int any_direction(struct dpmgr_stream *stream, void *to, enum dma_data_direction direction);
int any_direction(struct dpmgr_stream *stream, void *to, enum dma_data_direction direction)
{
	return dpmgr_stream_copy_from(stream, 0, to, 1, direction) ?:
	       dpmgr_stream_copy_to(stream, 0, to, 1, direction);
}

#ifdef WRONG
struct dpmgr_stream *wrong_alloc(struct dpmgr_client *client);
struct dpmgr_stream *wrong_alloc(struct dpmgr_client *client)
{
	return dpmgr_stream_alloc(client, 1, DMA_FROM_DEVICE, GFP_KERNEL);
}

int wrong_copy_to(struct dpmgr_stream *stream, const void *from);
int wrong_copy_to(struct dpmgr_stream *stream, const void *from)
{
	return dpmgr_stream_copy_to(stream, 0, from, 0, DMA_FROM_DEVICE);
}

int wrong_fill(struct dpmgr_stream *stream);
int wrong_fill(struct dpmgr_stream *stream)
{
	return dpmgr_stream_fill(stream, 0, 1, 0, DMA_FROM_DEVICE);
}

int wrong_sync_for_device(struct dpmgr_stream *stream);
int wrong_sync_for_device(struct dpmgr_stream *stream)
{
	return dpmgr_stream_sync_for_device(stream, 0, 0, DMA_FROM_DEVICE);
}

int wrong_copy_from(struct dpmgr_stream *stream, void *to);
int wrong_copy_from(struct dpmgr_stream *stream, void *to)
{
	return dpmgr_stream_copy_from(stream, 0, to, 0, DMA_TO_DEVICE);
}

int wrong_sync_for_cpu(struct dpmgr_stream *stream);
int wrong_sync_for_cpu(struct dpmgr_stream *stream)
{
	return dpmgr_stream_sync_for_cpu(stream, 0, 0, DMA_TO_DEVICE);
}
#endif
