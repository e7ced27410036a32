/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What mapping, freeing and moving data have in common, inlined: a direct stream is to
 * cost little more than the DMA API's part of it.
 */
#ifndef DPMGR_STREAM_INLINE_H
#define DPMGR_STREAM_INLINE_H

#include <linux/gfp.h>
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/percpu.h>
#include <linux/sched/mm.h>
#include <linux/workqueue.h>

#include "client.h"
#include "stream.h"

/* Streams in one CPU's stock, beside the manager's. */
#define HOME_IDLE_MAX	64

/* Tell off who may not sleep and says that it may, in kernels that look for that. */
static __always_inline void check_context(gfp_t gfp)
{
	if (IS_ENABLED(CONFIG_DEBUG_ATOMIC_SLEEP) || IS_ENABLED(CONFIG_LOCKDEP))
		might_alloc(gfp);
}

static __always_inline bool is_live(const struct dpmgr_stream *stream)
{
	return !IS_ERR_OR_NULL(stream) &&
	       READ_ONCE(stream->state) == DPMGR_STREAM_LIVE;
}

/*
 * A stream that nobody sees yet, in @stream or, if that is NULL, from stock; with a
 * bounce if @request is not NULL and there is one in stock.
 */
static __always_inline struct dpmgr_stream *enter(struct dpmgr *mgr,
						  struct dpmgr_stream *stream,
						  const struct dpmgr_bounce_request *request,
						  gfp_t gfp, struct dpmgr_buf **buf)
{
	struct dpmgr_stream_home *home = raw_cpu_ptr(mgr->streams.homes);
	const bool is_callers = stream;
	unsigned long flags;

	raw_spin_lock_irqsave(&home->lock, flags);
	while (!stream) {
		if (likely(home->idle)) {
			stream = (struct dpmgr_stream *)home->idle;
			home->idle = *home->idle;
			home->nr_idle--;
			break;
		}
		raw_spin_unlock_irqrestore(&home->lock, flags);
		stream = dpmgr_stream_from_stock(mgr, gfp);
		if (!stream)
			return NULL;
		raw_spin_lock_irqsave(&home->lock, flags);
	}
	if (request)
		*buf = dpmgr_bounce_take(home, request);
	WRITE_ONCE(stream->state, DPMGR_STREAM_NONE);
	stream->home = home;
	stream->slot = NULL;
	stream->is_callers = is_callers;
	hlist_add_head(&stream->node, &home->live);
	raw_spin_unlock_irqrestore(&home->lock, flags);
	return stream;
}

/* A slot that nobody had a moment ago, or NULL. */
static __always_inline struct dpmgr_stream **find_slot(struct dpmgr *mgr)
{
	struct dpmgr_stream_home *home = raw_cpu_ptr(mgr->streams.homes);
	u32 slot = READ_ONCE(home->next_slot), tries;

	for (tries = 0; tries < 4; tries++) {
		if (likely(!READ_ONCE(home->slots[slot])))
			return &home->slots[slot];
		slot = (slot + 1) % DPMGR_STREAM_SLOTS;
		WRITE_ONCE(home->next_slot, slot);
	}
	return NULL;
}

/*
 * A stream of the caller's that is complete becomes known, without a lock. False if
 * somebody else has got there first.
 */
static __always_inline bool enter_slot(struct dpmgr_stream *stream,
				       struct dpmgr_stream **slot)
{
	stream->slot = slot;
	return likely(!cmpxchg(slot, NULL, stream));
}

/* Of the stock: to be used again, without a lock if there is room. */
static __always_inline void put_spare(struct dpmgr *mgr, struct dpmgr_stream *stream)
{
	struct dpmgr_stream_home *home = raw_cpu_ptr(mgr->streams.homes);

	if (unlikely(cmpxchg(&home->spare, NULL, stream)))
		dpmgr_stock_put(&mgr->streams.idle, stream);
}

/* The opposite of enter_slot(). Nobody looks at the stream any more when it has left. */
static __always_inline void leave_slot(struct dpmgr_stream *stream)
{
	/* Who looks does so for some instructions. */
	while (unlikely(cmpxchg(stream->slot, stream, NULL) != stream))
		cpu_relax();
}

/* A stream that was in a slot is over. */
static __always_inline void end_plain(struct dpmgr *mgr, struct dpmgr_stream *stream)
{
	const bool is_callers = stream->is_callers;

	leave_slot(stream);
	WRITE_ONCE(stream->state, DPMGR_STREAM_STALE);
	if (!is_callers)
		put_spare(mgr, stream);
}

/*
 * The opposite of enter() or enter_slot(). @buf: a scrubbed or a long bounce that nobody
 * uses any more, or NULL.
 */
static __always_inline void leave(struct dpmgr *mgr, struct dpmgr_stream *stream,
				  struct dpmgr_buf *buf)
{
	struct dpmgr_stream_home *home = stream->home;
	bool full = false;
	unsigned long flags;

	if (stream->slot) {
		end_plain(mgr, stream);
		return;
	}
	raw_spin_lock_irqsave(&home->lock, flags);
	__hlist_del(&stream->node);
	WRITE_ONCE(stream->state, DPMGR_STREAM_STALE);
	if (buf && dpmgr_bounce_stock(mgr, home, buf))
		buf = NULL;
	if (!stream->is_callers && cmpxchg(&home->spare, NULL, stream)) {
		full = home->nr_idle == HOME_IDLE_MAX;
		if (likely(!full)) {
			*(void **)stream = home->idle;
			home->idle = (void **)stream;
			home->nr_idle++;
		}
	}
	raw_spin_unlock_irqrestore(&home->lock, flags);
	if (unlikely(full))
		dpmgr_stock_put(&mgr->streams.idle, stream);
	if (unlikely(buf))
		dpmgr_bounce_put(mgr, buf);
}

/* The memory from @offset on that is in one piece. */
static __always_inline size_t piece_at(const struct dpmgr_stream *stream,
				       size_t offset, void **vaddr, dma_addr_t *dma_addr)
{
	const struct dpmgr_stream_mapping *mapping = stream->mapping;
	u32 first = 0, end, middle;
	size_t at, begin;

	if (likely(!mapping || mapping->nr_pieces == 1)) {
		*vaddr = stream->vaddr + offset;
		*dma_addr = stream->dma_addr + offset;
		return stream->size - offset;
	}
	at = stream->start + offset;
	for (end = mapping->nr_pieces - 1; first < end;) {
		middle = first + (end - first) / 2;
		if (mapping->pieces[middle].end > at)
			end = middle;
		else
			first = middle + 1;
	}
	begin = first ? mapping->pieces[first - 1].end : 0;
	*vaddr = mapping->pieces[first].vaddr + (at - begin);
	*dma_addr = mapping->pieces[first].dma_addr + (at - begin);
	return min(mapping->pieces[first].end - at, stream->size - offset);
}

#endif /* DPMGR_STREAM_INLINE_H */
