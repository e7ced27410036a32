// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams: memory mapped for a device, direct or bounced; split; freed.
 *
 * Where the device works is decided once, when a stream is mapped. It can't see the
 * caller's pages on an isolated platform, nor where shared memory has an address bit
 * of its own; it may not reach them because of its DMA mask. Then it works on a bounce,
 * whose address is the pool's: such a stream never meets the kernel's DMA API. Every
 * other goes through that, piece by piece.
 *
 * Most streams are one piece and never split: all about them is in struct
 * dpmgr_stream. Others have a mapping object beside it, shared by the streams that
 * a split has made of one; the last of them undoes what they share.
 *
 * Freeing works in any context: dma_unmap_page() does, bounces are pushed to a stock or
 * left to a worker, a buffer's last reference likewise, and mapping objects wait for
 * a grace period, since kfree() may not be called everywhere.
 *
 * A stream doesn't hold its client: destroying that frees what is left of them, as
 * it does with buffers.
 *
 * A client with streams can't be frozen: neither a bounce nor a direct stream's memory is
 * the next kernel's to know of. Who maps makes its stream known first and then looks
 * whether the client is frozen; who freezes does these the other way round.
 *
 * Locking: a home's lock protects its list; its slots are claimed and left by cmpxchg. A
 * stream is its caller's, who must not free or split it while another uses it; of two who
 * free it, one is told. What debugfs looks at changes under the home's lock or while nobody
 * looks at the slot; but a split makes a stream shorter as it is.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/instruction_pointer.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "client.h"
#include "core/export.h"
#include "stream.h"
#include "stream_inline.h"

/* The stocks hold them, see dpmgr_stock_init(). */
static_assert(sizeof(struct dpmgr_stream) <= 120);

const char *dpmgr_stream_choice_name(enum dpmgr_stream_choice choice)
{
	static const char * const names[] = {
		[DPMGR_STREAM_DIRECT] = "direct",
		[DPMGR_STREAM_BOUNCED] = "bounced",
		[DPMGR_STREAM_POOL] = "pool",
	};

	return names[choice];
}

/* Of the first pieces of a direct stream. Context: as dma_unmap_page(). */
void dpmgr_stream_unmap_pieces(struct device *dev,
			       const struct dpmgr_stream_mapping *mapping,
			       u32 nr_pieces, enum dma_data_direction direction)
{
	u32 i;

	for (i = 0; i < nr_pieces; i++) {
		const struct dpmgr_stream_piece *piece = &mapping->pieces[i];
		size_t begin = i ? piece[-1].end : 0;

		dma_unmap_page_attrs(dev, piece->dma_addr, piece->end - begin,
				     direction, DMA_ATTR_SKIP_CPU_SYNC);
	}
}

/* What is no stream at the moment. NULL without memory, or if there is no waiting for it. */
struct dpmgr_stream *dpmgr_stream_from_stock(struct dpmgr *mgr, gfp_t gfp)
{
	struct dpmgr_stock *stock = &mgr->streams.idle;
	struct dpmgr_stream *stream;

	if (!gfpflags_allow_blocking(gfp)) {
		if (dpmgr_stock_is_low(stock))
			queue_work(system_unbound_wq, &mgr->drain_work);
		return dpmgr_stock_get(stock);
	}
	gfp &= ~__GFP_ZERO;
	if (dpmgr_stock_is_low(stock))
		dpmgr_stock_refill(stock, gfp);
	/* Interrupts may take what we put in stock. */
	do {
		stream = dpmgr_stock_get(stock);
	} while (!stream && !dpmgr_stock_refill(stock, gfp));
	return stream;
}

/* The caller's, until kfree() or the last of its references. NULL without memory. */
struct dpmgr_stream_mapping *dpmgr_stream_new_mapping(u32 nr_pieces, gfp_t gfp)
{
	struct dpmgr_stream_mapping *mapping;

	mapping = kmalloc(struct_size(mapping, pieces, nr_pieces),
			  (gfp & ~__GFP_ZERO) | __GFP_NOWARN);
	if (!mapping)
		return NULL;
	refcount_set(&mapping->refs, 1);
	mapping->has_gaps = false;
	mapping->nr_pieces = nr_pieces;
	return mapping;
}

/* All of a direct stream, and of what is mapped with it. Context: as dma_unmap_page(). */
void dpmgr_stream_unmap(const struct dpmgr_stream *stream)
{
	const struct dpmgr_stream_mapping *mapping = stream->mapping;
	struct device *dev = stream->client->dev;

	if (likely(!mapping))
		dma_unmap_page_attrs(dev, stream->dma_addr, stream->size,
				     stream->direction, DMA_ATTR_SKIP_CPU_SYNC);
	else
		dpmgr_stream_unmap_pieces(dev, mapping, mapping->nr_pieces,
					  stream->direction);
}

/* What all that is mapped together shares goes. The bounce is the caller's to put. */
static void undo(const struct dpmgr_stream *stream)
{
	struct dpmgr_stream_mapping *mapping = stream->mapping;

	if (stream->choice == DPMGR_STREAM_DIRECT)
		dpmgr_stream_unmap(stream);
	if (unlikely(stream->owns_pages)) {
		if (mapping)
			free_pages_exact(mapping->pieces[0].vaddr,
					 mapping->pieces[mapping->nr_pieces - 1].end);
		else
			free_pages_exact(stream->vaddr, stream->size);
	}
	if (unlikely(stream->held))
		dpmgr_buf_release(stream->held);
	if (mapping)
		kfree_rcu(mapping, rcu);
}

/* Whoever has made it LEAVING ends it. */
static noinline void release(struct dpmgr_stream *stream)
{
	struct dpmgr *mgr = stream->client->mgr;
	struct dpmgr_buf *buf = stream->bounce_buf;

	if (buf)
		dpmgr_stream_scrub_bounce(stream);
	if (likely(!stream->mapping) || refcount_dec_and_test(&stream->mapping->refs))
		undo(stream);
	else
		buf = NULL;
	if (buf)
		dpmgr_bounce_uncharge(buf);
	leave(mgr, stream, buf);
}

static __always_inline void end(struct dpmgr_stream *stream)
{
	if (unlikely(!stream->slot || stream->mapping)) {
		release(stream);
		return;
	}
	dma_unmap_page_attrs(stream->client->dev, stream->dma_addr, stream->size,
			     stream->direction, DMA_ATTR_SKIP_CPU_SYNC);
	end_plain(stream->client->mgr, stream);
}

/**
 * dpmgr_stream_free() - end a stream
 * @stream: the stream, NULL or an ERR_PTR
 *
 * The device must not use it any more. It is unmapped, with the last of those that were
 * mapped together. No data moves: what the device wrote and nobody synced may not
 * arrive. What is in a bounce is scrubbed before anyone gets its pages.
 *
 * Context: any but NMI; for a direct stream, also what dma_unmap_page() says.
 * Return: 0, or -ESTALE if it was freed before and its structure is not in use again:
 * nothing has changed. It may be in use very soon: a handle must not be freed twice.
 */
int dpmgr_stream_free(struct dpmgr_stream *stream)
{
	if (IS_ERR_OR_NULL(stream))
		return 0;
	if (cmpxchg(&stream->state, DPMGR_STREAM_LIVE, DPMGR_STREAM_LEAVING) !=
	    DPMGR_STREAM_LIVE) {
		pr_err_ratelimited("%s by %pS: not a live stream\n", __func__,
				   (void *)_RET_IP_);
		return -ESTALE;
	}
	end(stream);
	return 0;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_stream_free, DMA_POOL_MGR);

/*
 * Is it live, and @client's? Whose it is can't be told of one that isn't live yet.
 * Context: holding its home's lock, or looking at its slot.
 */
static bool is_of(const struct dpmgr_stream *stream, const struct dpmgr_client *client)
{
	/* Its client was set before. */
	return smp_load_acquire(&stream->state) == DPMGR_STREAM_LIVE &&
	       stream->client == client;
}

/* A live stream of @client that is in a slot, to be ended. NULL if there is none. */
static struct dpmgr_stream *take_from_slot(struct dpmgr_stream **slot,
					   const struct dpmgr_client *client)
{
	struct dpmgr_stream *stream;
	bool taken;

	guard(irqsave)();
	stream = dpmgr_stream_look(slot);
	if (!stream)
		return NULL;
	taken = is_of(stream, client) &&
		cmpxchg(&stream->state, DPMGR_STREAM_LIVE, DPMGR_STREAM_LEAVING) ==
		DPMGR_STREAM_LIVE;
	dpmgr_stream_looked(slot, stream);
	return taken ? stream : NULL;
}

/**
 * dpmgr_streams_give_up() - end what is left of a client's streams
 * @client: the client, being destroyed
 *
 * Context: may sleep.
 */
void dpmgr_streams_give_up(struct dpmgr_client *client)
{
	struct dpmgr_stream *stream;
	struct hlist_node *next;
	unsigned int i;
	int cpu;

	for_each_possible_cpu(cpu) {
		struct dpmgr_stream_home *home =
			per_cpu_ptr(client->mgr->streams.homes, cpu);
		HLIST_HEAD(leaving);

		for (i = 0; i < DPMGR_STREAM_SLOTS; i++) {
			stream = take_from_slot(&home->slots[i], client);
			if (stream)
				end(stream);
		}

		scoped_guard(raw_spinlock_irqsave, &home->lock) {
			hlist_for_each_entry_safe(stream, next, &home->live, node) {
				if (!is_of(stream, client) ||
				    cmpxchg(&stream->state, DPMGR_STREAM_LIVE,
					    DPMGR_STREAM_LEAVING) != DPMGR_STREAM_LIVE)
					continue;
				__hlist_del(&stream->node);
				hlist_add_head(&stream->node, &leaving);
			}
		}
		hlist_for_each_entry_safe(stream, next, &leaving, node)
			release(stream);
		scoped_guard(raw_spinlock_irqsave, &home->lock)
			dpmgr_bounces_disown(home, client);
	}
	/* What is charged to the client is put back while it is there. */
	scoped_guard(mutex, &client->mgr->drain_lock)
		dpmgr_streams_drain(client->mgr);
}

static bool slot_is_of(struct dpmgr_stream **slot, const struct dpmgr_client *client)
{
	struct dpmgr_stream *stream;
	bool found;

	guard(irqsave)();
	stream = dpmgr_stream_look(slot);
	if (!stream)
		return false;
	found = is_of(stream, client);
	dpmgr_stream_looked(slot, stream);
	return found;
}

/**
 * dpmgr_streams_count() - how many streams a frozen client has
 * @client: the client; whoever maps for it finds it frozen from now on
 *
 * A stream that is being mapped meanwhile is counted, or its mapping fails, or both.
 *
 * Context: any but NMI.
 * Return: live streams.
 */
u32 dpmgr_streams_count(const struct dpmgr_client *client)
{
	const struct dpmgr_stream *stream;
	unsigned int i;
	u32 nr = 0;
	int cpu;

	/* Pairs with who maps: a stream that isn't seen here sees that it is frozen. */
	smp_mb();
	for_each_possible_cpu(cpu) {
		struct dpmgr_stream_home *home =
			per_cpu_ptr(client->mgr->streams.homes, cpu);

		for (i = 0; i < DPMGR_STREAM_SLOTS; i++)
			nr += slot_is_of(&home->slots[i], client);
		guard(raw_spinlock_irqsave)(&home->lock);
		hlist_for_each_entry(stream, &home->live, node)
			nr += is_of(stream, client);
	}
	return nr;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_streams_count);

/* One piece, to be shared. */
static int share(struct dpmgr_stream *stream, gfp_t gfp)
{
	struct dpmgr_stream_mapping *mapping = dpmgr_stream_new_mapping(1, gfp);

	if (!mapping)
		return -ENOMEM;
	mapping->pieces[0].vaddr = stream->vaddr;
	mapping->pieces[0].dma_addr = stream->dma_addr;
	mapping->pieces[0].end = stream->size;
	stream->mapping = mapping;
	return 0;
}

/*
 * A part of a stream is complete: others may see it. False, and they don't, if the client
 * is frozen by now.
 */
static bool publish(struct dpmgr_stream *rest)
{
	/* Who finds it live finds all the rest. */
	smp_store_release(&rest->state, DPMGR_STREAM_LIVE);
	/* Pairs with dpmgr_streams_count(). */
	smp_mb();
	if (likely(!READ_ONCE(rest->client->frozen)))
		return true;
	WRITE_ONCE(rest->state, DPMGR_STREAM_NONE);
	return false;
}

/**
 * dpmgr_stream_split() - make two streams of one
 * @stream: the stream; keeps what is before @offset
 * @offset: bytes; a page of the memory must begin there, another than that of the byte
 *	before
 * @gfp: as for dpmgr_stream_map()
 *
 * Each is used and freed by itself; what was mapped stays so until both are gone. In a
 * bounce, each has pages of its own: what the device writes beside one is not in the other's.
 * In a direct stream they are the memory's pages: if entries of a scatter-gather table that
 * don't follow each other lie in one page, so may both streams. Nobody else may use @stream
 * meanwhile.
 *
 * Context: as dpmgr_stream_map().
 * Return: the stream that begins at @offset; an ERR_PTR of -ESTALE for a stream that
 * was freed, -EINVAL for an @offset that is 0, not within the stream or not where a
 * page begins, -EBUSY for a frozen client, -ENOMEM: then @stream is as it was.
 */
struct dpmgr_stream *dpmgr_stream_split(struct dpmgr_stream *stream, size_t offset,
					gfp_t gfp)
{
	struct dpmgr_stream *rest;
	void *vaddr, *before;
	dma_addr_t dma_addr;
	struct dpmgr *mgr;

	check_context(gfp);
	if (!is_live(stream))
		return ERR_PTR(-ESTALE);
	if (!offset || offset >= stream->size || gfp & ~DPMGR_GFP_KNOWN)
		return ERR_PTR(-EINVAL);
	piece_at(stream, offset - 1, &before, &dma_addr);
	piece_at(stream, offset, &vaddr, &dma_addr);
	if (offset_in_page(vaddr) || PTR_ALIGN_DOWN(before, PAGE_SIZE) == vaddr)
		return ERR_PTR(-EINVAL);
	mgr = stream->client->mgr;
	if (stream->slot && !stream->mapping) {
		/* It had no need of these until now. */
		stream->start = 0;
		stream->bounce = NULL;
		stream->bounce_buf = NULL;
		stream->held = NULL;
	}
	if (!stream->mapping && share(stream, gfp))
		return ERR_PTR(-ENOMEM);
	rest = enter(mgr, NULL, NULL, gfp, NULL);
	if (!rest)
		return ERR_PTR(-ENOMEM);
	rest->client = stream->client;
	rest->vaddr = vaddr;
	rest->bounce = stream->bounce ? stream->bounce + (dma_addr - stream->dma_addr) : NULL;
	rest->dma_addr = dma_addr;
	rest->size = stream->size - offset;
	rest->start = stream->start + offset;
	rest->bounce_buf = stream->bounce_buf;
	rest->held = stream->held;
	rest->mapping = stream->mapping;
	rest->direction = stream->direction;
	rest->choice = stream->choice;
	rest->owns_pages = stream->owns_pages;
	refcount_inc(&stream->mapping->refs);
	if (unlikely(!publish(rest))) {
		/* It is not the last. */
		refcount_dec(&stream->mapping->refs);
		leave(mgr, rest, NULL);
		return ERR_PTR(-EBUSY);
	}
	WRITE_ONCE(stream->size, offset);
	return rest;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_stream_split, DMA_POOL_MGR);
