// SPDX-License-Identifier: GPL-2.0-only
/*
 * A bounded stock of pool buffers that are open to VTL0 and that nobody holds, so
 * that a driver which allocates and frees as it goes makes no hypercalls.
 *
 * A freed buffer of a VTL0 client goes in as it is, still open and with its
 * handle, and comes out for a request of the same length and mask, zeroed again.
 * VTL0 sees nothing that it didn't see before: what the buffer held while VTL0
 * could read it. What VTL0 writes meanwhile is gone when the buffer is handed
 * out; but what it writes after that, it may write, since the buffer is open.
 * There is no other way out than: close, scrub, put back. That happens when the
 * stock is full, under pressure, at freeze and at unload.
 *
 * The runs are hashed into a few lists by length and mask, and of a list only the
 * newest are looked at, so neither way depends on how many there are.
 *
 * Locking: vtl0.lock.
 */
#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/hash.h>
#include <linux/list.h>
#include <linux/rcupdate.h>

#include "client.h"
#include "core/export.h"
#include "guard.h"
#include "pool.h"

/* Of a list, so many are looked at. */
#define LOOK_AT		16

static struct list_head *list_of(struct dpmgr_vtl0 *vtl0, u32 nr_pages, u32 mask)
{
	return &vtl0->open[hash_32(nr_pages ^ mask << 28, DPMGR_OPEN_HASH_BITS)];
}

/**
 * dpmgr_open_stock_put() - take in a freed buffer, open as it is
 * @buf: a VTL0 client's, of a pool, that nobody refers to; in an RCU read section
 *	in which its client was seen not to be frozen
 *
 * Context: any but NMI.
 * Return: whether it was taken: not if a page of it is bad. The client may be gone then.
 */
bool dpmgr_open_stock_put(struct dpmgr_buf *buf)
{
	struct dpmgr_client *client = buf->client;
	struct dpmgr_vtl0 *vtl0 = &client->mgr->vtl0;
	const u32 mask = client->vtl0_mask;

	if (dpmgr_pool_is_bad(client->backing.pool, buf->base_pfn, buf->nr_pages))
		return false;
	/* Room first: once it has left its client, there is no way back. */
	scoped_guard(raw_spinlock_irqsave, &vtl0->lock) {
		if ((u64)vtl0->nr_open_pages + buf->nr_pages >
		    vtl0->max_open_pages)
			return false;
		vtl0->nr_open_pages += buf->nr_pages;
	}
	dpmgr_handle_detach(buf, mask);
	guard(raw_spinlock_irqsave)(&vtl0->lock);
	list_add(&buf->link, list_of(vtl0, buf->nr_pages, mask));
	return true;
}

/**
 * dpmgr_open_stock_get() - take out a buffer that is open already
 * @client: a VTL0 client of a pool
 * @request: the length and the alignment; the rest of it is the client's
 *
 * Context: any but NMI.
 * Return: a handle with its pages, which must be zeroed; NULL if there is none.
 */
struct dpmgr_buf *dpmgr_open_stock_get(struct dpmgr_client *client,
				       const struct dpmgr_page_request *request)
{
	const u64 align_mask = BIT_ULL(request->align_order) - 1;
	const u32 nr_pages = request->nr_pages;
	struct dpmgr_vtl0 *vtl0 = &client->mgr->vtl0;
	struct list_head *list = list_of(vtl0, nr_pages, client->vtl0_mask);
	unsigned int looked = 0;
	struct dpmgr_buf *buf;

	guard(raw_spinlock_irqsave)(&vtl0->lock);
	list_for_each_entry(buf, list, link) {
		if (buf->nr_pages == nr_pages &&
		    buf->slack == client->vtl0_mask &&
		    !(buf->base_pfn & align_mask) &&
		    buf->base_pfn + nr_pages <= client->end_pfn) {
			list_del(&buf->link);
			vtl0->nr_open_pages -= nr_pages;
			return buf;
		}
		if (++looked == LOOK_AT)
			break;
	}
	return NULL;
}

/* Undo dpmgr_open_stock_get(). */
void dpmgr_open_stock_return(struct dpmgr *mgr, struct dpmgr_buf *buf)
{
	struct dpmgr_vtl0 *vtl0 = &mgr->vtl0;

	guard(raw_spinlock_irqsave)(&vtl0->lock);
	list_add(&buf->link, list_of(vtl0, buf->nr_pages, buf->slack));
	vtl0->nr_open_pages += buf->nr_pages;
}

static struct dpmgr_buf *take_any(struct dpmgr_vtl0 *vtl0)
{
	struct dpmgr_buf *buf;
	unsigned int i;

	guard(raw_spinlock_irqsave)(&vtl0->lock);
	for (i = 0; i < ARRAY_SIZE(vtl0->open); i++) {
		buf = list_first_entry_or_null(&vtl0->open[i], struct dpmgr_buf,
					       link);
		if (!buf)
			continue;
		list_del(&buf->link);
		vtl0->nr_open_pages -= buf->nr_pages;
		return buf;
	}
	return NULL;
}

/**
 * dpmgr_open_stock_flush() - close and put back all that is in stock
 * @mgr: the manager
 *
 * Context: process.
 * Return: whether there was anything.
 */
bool dpmgr_open_stock_flush(struct dpmgr *mgr)
{
	struct dpmgr_pool *pool = mgr->pools[DPMGR_PRIVATE];
	struct dpmgr_buf *buf;
	bool any = false;

	while ((buf = take_any(&mgr->vtl0))) {
		dpmgr_guard_close(mgr, pool, buf);
		dpmgr_pool_put_pieces(pool, buf->base_pfn, buf->nr_pages, buf);
		dpmgr_handle_forget(mgr, buf, true);
		any = true;
	}
	return any;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_open_stock_flush);

void dpmgr_open_stock_init(struct dpmgr *mgr, u32 max_pages)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(mgr->vtl0.open); i++)
		INIT_LIST_HEAD(&mgr->vtl0.open[i]);
	mgr->vtl0.max_open_pages = max_pages;
}
