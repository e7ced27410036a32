/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Streams, and the bounce memory that they work on.
 */
#ifndef DPMGR_STREAM_H
#define DPMGR_STREAM_H

#include <linux/atomic.h>
#include <linux/dma_pool_mgr.h>
#include <linux/rcupdate.h>
#include <linux/processor.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "dpmgr.h"

/* Bounces in stock have 1, 2, 4, up to this many pages. */
#define DPMGR_BOUNCE_ORDERS	6
#define DPMGR_BOUNCE_PAGES	(1U << (DPMGR_BOUNCE_ORDERS - 1))

/* Streams that a CPU's home knows of without its lock. */
#define DPMGR_STREAM_SLOTS	64

/**
 * struct dpmgr_stream_home - a CPU's streams
 * @lock: protects all below but @slots and what follows them. Taken in any context, no
 *	lock inside
 * @live: streams that were mapped here, but for those in @slots
 * @idle: struct dpmgr_stream in stock, each begins with a pointer to the next
 * @nr_idle: how many
 * @nr_pages: of the bounces in stock
 * @bounces: those, by the order of their length; zero, but for their pages @beside
 * @slots: plain streams that were mapped here: set from NULL and to NULL by cmpxchg.
 *	Who looks at a stream there holds it by DPMGR_STREAM_LOOKED_AT meanwhile, with
 *	interrupts off
 * @spare: a stream for the next plain one, or NULL; taken by xchg, put by cmpxchg
 * @next_slot: where to try first; a hint
 * @copied: bytes copied to and from bounces by this CPU
 * @scrubbed: bytes of bounces scrubbed by this CPU
 *
 * A stream and its bounce go back to where they came from, whoever frees it. So one
 * critical section at each end of a stream's life does, mostly uncontended.
 */
struct dpmgr_stream_home {
	raw_spinlock_t lock;	/* see above */
	struct hlist_head live;
	void **idle;
	u32 nr_idle;
	u32 nr_pages;
	struct hlist_head bounces[DPMGR_BOUNCE_ORDERS];
	struct dpmgr_stream *slots[DPMGR_STREAM_SLOTS];
	struct dpmgr_stream *spare;
	u32 next_slot;
	u64 copied;
	u64 scrubbed;
};

/* Somebody reads what is in this slot, and will put it back. */
#define DPMGR_STREAM_LOOKED_AT	((struct dpmgr_stream *)1)

enum dpmgr_stream_state {
	DPMGR_STREAM_NONE,
	DPMGR_STREAM_LIVE,
	DPMGR_STREAM_LEAVING,
	DPMGR_STREAM_STALE,
};

/**
 * enum dpmgr_stream_choice - which memory the device works on
 * @DPMGR_STREAM_DIRECT: the stream's own, through the kernel's DMA API
 * @DPMGR_STREAM_BOUNCED: a copy in the shared pool
 * @DPMGR_STREAM_POOL: the stream's own, which is a pool's or a buffer's
 */
enum dpmgr_stream_choice {
	DPMGR_STREAM_DIRECT,
	DPMGR_STREAM_BOUNCED,
	DPMGR_STREAM_POOL,
};

/**
 * struct dpmgr_stream_piece - memory in one piece
 * @vaddr: for the CPU
 * @dma_addr: for the device
 * @end: where it ends, counted from the first piece's start
 */
struct dpmgr_stream_piece {
	void *vaddr;
	dma_addr_t dma_addr;
	size_t end;
};

/**
 * struct dpmgr_stream_mapping - what more than one piece or more than one stream need
 * @rcu: to free it in any context
 * @refs: streams
 * @has_gaps: between the pieces of a bounced stream, as the device sees them
 * @nr_pieces: entries of @pieces
 * @pieces: in order
 */
struct dpmgr_stream_mapping {
	struct rcu_head rcu;
	refcount_t refs;
	bool has_gaps;
	u32 nr_pieces;
	struct dpmgr_stream_piece pieces[] __counted_by(nr_pieces);
};

/* After how many: why a bounce will never be had. */
#define DPMGR_BOUNCE_TOO_LONG	"pages, more than what the shared pool could ever hold in one piece"

/**
 * struct dpmgr_bounce_request - which bounce a stream needs
 * @nr_pages: at least so many; not 0
 * @align_order: its first page is to be a multiple of 2^@align_order
 * @end_pfn: it is to end at or below this page
 */
struct dpmgr_bounce_request {
	u32 nr_pages;
	unsigned int align_order;
	u64 end_pfn;
};

/* bounce.c */
int dpmgr_streams_init(struct dpmgr *mgr);
void dpmgr_streams_destroy(struct dpmgr *mgr);
void dpmgr_streams_drain(struct dpmgr *mgr);
bool dpmgr_streams_flush(struct dpmgr *mgr);
bool dpmgr_streams_flush_cpu(struct dpmgr *mgr, int cpu);
struct dpmgr_buf *dpmgr_bounce_get(const struct dpmgr_client *client,
				   const struct dpmgr_bounce_request *request, gfp_t gfp,
				   const char **rule);
void dpmgr_bounce_clean(struct dpmgr *mgr, struct dpmgr_buf *buf);
void dpmgr_bounces_disown(struct dpmgr_stream_home *home, const struct dpmgr_client *client);
struct dpmgr_buf *dpmgr_bounce_take(struct dpmgr_stream_home *home,
				    const struct dpmgr_bounce_request *request);
bool dpmgr_bounce_stock(struct dpmgr *mgr, struct dpmgr_stream_home *home,
			struct dpmgr_buf *buf);
void dpmgr_bounce_uncharge(const struct dpmgr_buf *buf);
void dpmgr_bounce_put(struct dpmgr *mgr, struct dpmgr_buf *buf);

/* stream.c */
struct dpmgr_stream *dpmgr_stream_from_stock(struct dpmgr *mgr, gfp_t gfp);
struct dpmgr_stream_mapping *dpmgr_stream_new_mapping(u32 nr_pieces, gfp_t gfp);
void dpmgr_stream_unmap_pieces(struct device *dev,
			       const struct dpmgr_stream_mapping *mapping,
			       u32 nr_pieces, enum dma_data_direction direction);
void dpmgr_streams_give_up(struct dpmgr_client *client);
u32 dpmgr_streams_count(const struct dpmgr_client *client);
void dpmgr_stream_unmap(const struct dpmgr_stream *stream);
const char *dpmgr_stream_choice_name(enum dpmgr_stream_choice choice);

/*
 * Hold what is in a slot until dpmgr_stream_looked(), so that it stays. NULL if there is
 * nothing. Waits for others who look. Context: interrupts are off.
 */
static inline struct dpmgr_stream *dpmgr_stream_look(struct dpmgr_stream **slot)
{
	struct dpmgr_stream *stream;

	while ((stream = READ_ONCE(*slot))) {
		if (stream != DPMGR_STREAM_LOOKED_AT &&
		    cmpxchg(slot, stream, DPMGR_STREAM_LOOKED_AT) == stream)
			break;
		cpu_relax();
	}
	return stream;
}

/* The opposite. */
static inline void dpmgr_stream_looked(struct dpmgr_stream **slot,
				       struct dpmgr_stream *stream)
{
	/* Whoever frees it goes on, and all reads of it are over. */
	smp_store_release(slot, stream);
}

/* stream_access.c */
void dpmgr_stream_scrub_bounce(const struct dpmgr_stream *stream);
void dpmgr_stream_copy_bounce(const struct dpmgr_stream *stream, size_t offset,
			      size_t len, bool to_bounce);

#endif /* DPMGR_STREAM_H */
