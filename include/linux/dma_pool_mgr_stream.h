/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DMA pool manager: streaming DMA. Included by linux/dma_pool_mgr.h.
 */
#ifndef _LINUX_DMA_POOL_MGR_STREAM_H
#define _LINUX_DMA_POOL_MGR_STREAM_H

#include <linux/compiler.h>
#include <linux/dma-direction.h>
#include <linux/gfp_types.h>
#include <linux/types.h>

struct dpmgr_buf;
struct dpmgr_client;
struct dpmgr_stream_home;
struct dpmgr_stream_mapping;
struct page;
struct sg_table;

/**
 * DOC: streams
 *
 * A *stream* is memory that is mapped for a client's device, for transfers in one
 * direction or in both: memory of the caller's, or memory that the stream is
 * allocated with. Where the device can't reach or can't see the caller's pages, it
 * works on a copy in the shared pool, the *bounce*.
 *
 * To map is to hand all of it over to the device. From then on dpmgr_stream_sync_for_cpu()
 * takes a range back, to be read, and dpmgr_stream_sync_for_device() hands it over
 * again; of a stream from the device nothing needs to be, it may be written at any time.
 * Freeing moves no data: what was not synced may not be there.
 *
 * A client with streams can't be frozen for the next kernel, and while it is frozen it
 * can't map or split any.
 *
 * Direct and bounced streams differ in one thing, bytes that the device did not
 * write: where the caller syncs these from the device, a direct stream leaves the
 * caller's, and so does a bounced one, except that on an isolated platform a
 * stream from the device reads as zeros there, since the caller's old bytes are not
 * for the host. So sync the length that the device has reported.
 *
 * Each call that moves data is told the stream's direction, as in the kernel's DMA API.
 * One that can't be right is refused when the code is built if the direction is a
 * constant, and else with -EACCES, as is any that is not the stream's; whatever the
 * length, zero included.
 */

/**
 * DOC: stream contexts
 *
 * =========================================  =======  =======  ========  ==========
 * call                                       process  softirq  hard IRQ  PREEMPT_RT
 * =========================================  =======  =======  ========  ==========
 * dpmgr_stream_map() and its forms           by gfp   by gfp   by gfp    as DMA API
 * dpmgr_stream_alloc(), _alloc_uninit()      by gfp   by gfp   by gfp    as kmalloc
 * dpmgr_stream_split()                       by gfp   by gfp   by gfp    as kmalloc
 * dpmgr_stream_free(), bounced               yes      yes      yes       all three
 * dpmgr_stream_free(), direct                yes      yes      yes       as DMA API
 * dpmgr_stream_free(), direct and allocated  yes      yes      yes       as kfree
 * dpmgr_stream_sync_for_cpu(), _for_device() yes      yes      yes       as DMA API
 * dpmgr_stream_copy_to(), _from(), _fill()   yes      yes      yes       all three
 * dpmgr_stream_dma_addr(), _size()           yes      yes      yes       all three
 * =========================================  =======  =======  ========  ==========
 */

/**
 * struct dpmgr_stream - memory mapped for a device
 * @node: private
 * @client: private
 * @home: private
 * @slot: private
 * @vaddr: private
 * @bounce: private
 * @dma_addr: private
 * @size: private
 * @start: private
 * @bounce_buf: private
 * @held: private
 * @mapping: private
 * @state: private
 * @direction: private
 * @choice: private
 * @owns_pages: private
 * @is_callers: private
 *
 * Its contents are the manager's; the structure is here for dpmgr_stream_map_into().
 */
struct dpmgr_stream {
	struct hlist_node node;
	struct dpmgr_client *client;
	struct dpmgr_stream_home *home;
	struct dpmgr_stream **slot;
	void *vaddr;
	void *bounce;
	dma_addr_t dma_addr;
	size_t size;
	size_t start;
	struct dpmgr_buf *bounce_buf;
	struct dpmgr_buf *held;
	struct dpmgr_stream_mapping *mapping;
	u32 state;
	u8 direction;
	u8 choice;
	bool owns_pages;
	bool is_callers;
};

struct dpmgr_stream *__must_check
dpmgr_stream_map(struct dpmgr_client *client, void *vaddr, size_t size,
		 enum dma_data_direction direction, gfp_t gfp);
int __must_check
dpmgr_stream_map_into(struct dpmgr_stream *stream, struct dpmgr_client *client,
		      void *vaddr, size_t size,
		      enum dma_data_direction direction, gfp_t gfp);
struct dpmgr_stream *__must_check
dpmgr_stream_map_pages(struct dpmgr_client *client, struct page **pages,
		       size_t nr_pages, size_t offset, size_t size,
		       enum dma_data_direction direction, gfp_t gfp);
struct dpmgr_stream *__must_check
dpmgr_stream_map_sg(struct dpmgr_client *client, struct sg_table *table,
		    enum dma_data_direction direction, gfp_t gfp);
struct dpmgr_stream *__must_check
dpmgr_stream_map_buf(struct dpmgr_buf *buf, size_t offset, size_t size,
		     enum dma_data_direction direction, gfp_t gfp);
struct dpmgr_stream *__must_check
dpmgr_stream_alloc_uninit(struct dpmgr_client *client, size_t size,
			  enum dma_data_direction direction, gfp_t gfp);
struct dpmgr_stream *__must_check
dpmgr_stream_split(struct dpmgr_stream *stream, size_t offset, gfp_t gfp);
int dpmgr_stream_free(struct dpmgr_stream *stream);

size_t dpmgr_stream_size(const struct dpmgr_stream *stream);
bool dpmgr_stream_is_bounced(const struct dpmgr_stream *stream);
dma_addr_t dpmgr_stream_dma_addr(const struct dpmgr_stream *stream,
				 size_t offset, size_t *len);

/* The calls below, without the check of a constant direction. */
struct dpmgr_stream *__must_check
__dpmgr_stream_alloc(struct dpmgr_client *client, size_t size,
		     enum dma_data_direction direction, gfp_t gfp);
int __dpmgr_stream_sync_for_device(struct dpmgr_stream *stream, size_t offset,
				   size_t len, enum dma_data_direction direction);
int __dpmgr_stream_sync_for_cpu(struct dpmgr_stream *stream, size_t offset,
				size_t len, enum dma_data_direction direction);
int __dpmgr_stream_copy_to(struct dpmgr_stream *stream, size_t offset,
			   const void *from, size_t len,
			   enum dma_data_direction direction);
int __dpmgr_stream_copy_from(struct dpmgr_stream *stream, size_t offset,
			     void *to, size_t len,
			     enum dma_data_direction direction);
int __dpmgr_stream_fill(struct dpmgr_stream *stream, size_t offset, u8 byte,
			size_t len, enum dma_data_direction direction);

/* Never defined: a call that is left in the code fails the build. */
__compiletime_error("writing to a stream from the device")
void dpmgr_stream_cannot_be_written(void);
__compiletime_error("reading from a stream to the device")
void dpmgr_stream_cannot_be_read(void);

static __always_inline void
dpmgr_stream_check_write(enum dma_data_direction direction)
{
	if (__builtin_constant_p(direction) && direction == DMA_FROM_DEVICE)
		dpmgr_stream_cannot_be_written();
}

static __always_inline void
dpmgr_stream_check_read(enum dma_data_direction direction)
{
	if (__builtin_constant_p(direction) && direction == DMA_TO_DEVICE)
		dpmgr_stream_cannot_be_read();
}

/**
 * dpmgr_stream_alloc() - allocate zeroed memory that is mapped for a device
 * @client: the client
 * @size: bytes, not 0
 * @direction: DMA_TO_DEVICE or DMA_BIDIRECTIONAL; the zeros are written to it
 * @gfp: GFP_KERNEL, GFP_ATOMIC or alike
 *
 * Nothing of it is ever copied to be seen by the device: where that can't see the
 * kernel's pages, the memory is of the shared pool. The CPU gets at it with
 * dpmgr_stream_copy_to(), dpmgr_stream_copy_from() and dpmgr_stream_fill() only, so
 * that what a host might change at any moment is read once.
 *
 * Context: see the table.
 * Return: the stream; an ERR_PTR as of dpmgr_stream_map(), or -EACCES.
 */
static __always_inline struct dpmgr_stream *__must_check
dpmgr_stream_alloc(struct dpmgr_client *client, size_t size,
		   enum dma_data_direction direction, gfp_t gfp)
{
	dpmgr_stream_check_write(direction);
	return __dpmgr_stream_alloc(client, size, direction, gfp);
}

/**
 * dpmgr_stream_sync_for_device() - hand bytes over to the device
 * @stream: the stream
 * @offset: first byte
 * @len: bytes; no others are touched
 * @direction: the stream's: DMA_TO_DEVICE or DMA_BIDIRECTIONAL
 *
 * Copies for a bounced stream, sees to the caches for a device that is not coherent, and
 * does nothing otherwise.
 *
 * Context: any but NMI.
 * Return: 0; -ESTALE for a stream that was freed; -EACCES; -EINVAL for a range
 * that is not within the stream.
 */
static __always_inline int
dpmgr_stream_sync_for_device(struct dpmgr_stream *stream, size_t offset,
			     size_t len, enum dma_data_direction direction)
{
	dpmgr_stream_check_write(direction);
	return __dpmgr_stream_sync_for_device(stream, offset, len, direction);
}

/**
 * dpmgr_stream_sync_for_cpu() - take bytes back from the device
 * @stream: the stream
 * @offset: first byte
 * @len: bytes; no others are touched
 * @direction: the stream's: DMA_FROM_DEVICE or DMA_BIDIRECTIONAL
 *
 * A bounced stream's bytes are copied once: what the caller then looks at is its
 * own memory, which no host can change.
 *
 * Context: any but NMI.
 * Return: as dpmgr_stream_sync_for_device().
 */
static __always_inline int
dpmgr_stream_sync_for_cpu(struct dpmgr_stream *stream, size_t offset,
			  size_t len, enum dma_data_direction direction)
{
	dpmgr_stream_check_read(direction);
	return __dpmgr_stream_sync_for_cpu(stream, offset, len, direction);
}

/**
 * dpmgr_stream_copy_to() - write to a stream's memory
 * @stream: the stream
 * @offset: first byte there
 * @from: the bytes
 * @len: how many
 * @direction: the stream's: DMA_TO_DEVICE or DMA_BIDIRECTIONAL
 *
 * The device sees them after dpmgr_stream_sync_for_device().
 *
 * Context: any but NMI.
 * Return: as dpmgr_stream_sync_for_device().
 */
static __always_inline int
dpmgr_stream_copy_to(struct dpmgr_stream *stream, size_t offset,
		     const void *from, size_t len,
		     enum dma_data_direction direction)
{
	dpmgr_stream_check_write(direction);
	return __dpmgr_stream_copy_to(stream, offset, from, len, direction);
}

/**
 * dpmgr_stream_copy_from() - read from a stream's memory
 * @stream: the stream
 * @offset: first byte there
 * @to: where to
 * @len: bytes
 * @direction: the stream's: DMA_FROM_DEVICE or DMA_BIDIRECTIONAL
 *
 * What the device has written is there after dpmgr_stream_sync_for_cpu().
 *
 * Context: any but NMI.
 * Return: as dpmgr_stream_sync_for_device().
 */
static __always_inline int
dpmgr_stream_copy_from(struct dpmgr_stream *stream, size_t offset, void *to,
		       size_t len, enum dma_data_direction direction)
{
	dpmgr_stream_check_read(direction);
	return __dpmgr_stream_copy_from(stream, offset, to, len, direction);
}

/**
 * dpmgr_stream_fill() - set bytes of a stream's memory
 * @stream: the stream
 * @offset: first byte there
 * @byte: what they are set to
 * @len: how many
 * @direction: the stream's: DMA_TO_DEVICE or DMA_BIDIRECTIONAL
 *
 * Context: any but NMI.
 * Return: as dpmgr_stream_sync_for_device().
 */
static __always_inline int
dpmgr_stream_fill(struct dpmgr_stream *stream, size_t offset, u8 byte,
		  size_t len, enum dma_data_direction direction)
{
	dpmgr_stream_check_write(direction);
	return __dpmgr_stream_fill(stream, offset, byte, len, direction);
}

#endif /* _LINUX_DMA_POOL_MGR_STREAM_H */
