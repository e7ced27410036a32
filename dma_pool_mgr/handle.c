// SPDX-License-Identifier: GPL-2.0-only
/*
 * Handles: what a buffer is known by, and what it is charged for.
 *
 * Whatever a buffer needs besides its pages is taken before anybody knows of it: its
 * tag, its part of the client's quota and, if it persists, room in the state
 * region. So a save can't fail for want of room.
 *
 * Handles are never unmapped before the manager is, so a handle that was given
 * up is told from a live one by its state (until it is handed out again, which
 * the stock puts off as long as it can).
 *
 * Locking: see struct dpmgr_client and enum dpmgr_buf_state.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/cleanup.h>
#include <linux/dma_pool_mgr_abi.h>
#include <linux/err.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/rcupdate.h>
#include <linux/string.h>

#include "client.h"
#include "core/export.h"
#include "locked.h"
#include "pool.h"

const char *dpmgr_buf_state_name(enum dpmgr_buf_state state)
{
	static const char * const names[] = {
		[DPMGR_BUF_UNUSED] = "unused",
		[DPMGR_BUF_OPEN] = "open",
		[DPMGR_BUF_NEW] = "new",
		[DPMGR_BUF_LIVE] = "live",
		[DPMGR_BUF_PARKED] = "parked",
		[DPMGR_BUF_PENDING] = "pending",
		[DPMGR_BUF_ORPHANED] = "orphaned",
		[DPMGR_BUF_LEAKED] = "leaked",
		[DPMGR_BUF_DRAINING] = "draining",
	};

	return names[state];
}

/*
 * Keep room in the state region for @bytes more. 0 or -ENOSPC, which another may
 * get too soon while this one finds out.
 */
int dpmgr_state_charge(struct dpmgr *mgr, u64 bytes)
{
	if (likely((u64)atomic64_add_return(bytes, &mgr->state_used) <=
		   mgr->state_limit))
		return 0;
	dpmgr_state_uncharge(mgr, bytes);
	return -ENOSPC;
}

/* Say how much the state region lacks for @bytes more, if it does. Context: any. */
void dpmgr_state_report(const struct dpmgr *mgr, u64 bytes)
{
	u64 used = atomic64_read(&mgr->state_used) + bytes;

	/* Each slot has to be larger. */
	if (mgr->state_limit && used > mgr->state_limit)
		pr_warn_ratelimited("the state region is too small: it must have %llu bytes more\n",
				    PAGE_ALIGN(2 * (used - mgr->state_limit)));
}

void dpmgr_state_uncharge(struct dpmgr *mgr, u64 bytes)
{
	atomic64_sub(bytes, &mgr->state_used);
}

static int compare_tag_name(const void *name, const struct rb_node *node)
{
	return strcmp(name, rb_entry(node, struct dpmgr_tag, node)->name);
}

static bool tag_less(struct rb_node *a, const struct rb_node *b)
{
	return compare_tag_name(rb_entry(a, struct dpmgr_tag, node)->name, b) < 0;
}

static struct dpmgr_tag *tag_new(struct dpmgr_client *client, const char *name)
{
	struct dpmgr *mgr = client->mgr;
	struct dpmgr_tag *tag;
	int ret;

	ret = dpmgr_text_check(name, DPMGR_TAG_MAX, ' ');
	if (!ret && client->persistent)
		ret = dpmgr_state_charge(mgr, strlen(name) + 1);
	if (ret)
		return ERR_PTR(ret);
	tag = dpmgr_stock_get(&mgr->tags);
	if (!tag) {
		if (client->persistent)
			dpmgr_state_uncharge(mgr, strlen(name) + 1);
		return ERR_PTR(-ENOMEM);
	}
	strscpy(tag->name, name);
	tag->nr_bufs = 0;
	WRITE_ONCE(tag->saved_at, DPMGR_NOT_SAVED);
	INIT_LIST_HEAD(&tag->pending);
	INIT_LIST_HEAD(&tag->pending_link);
	rb_add(&tag->node, &client->tags, tag_less);
	return tag;
}

/* The client's tag of that name, if it has one. Context: holding its @buf_lock. */
struct dpmgr_tag *dpmgr_tag_look(struct dpmgr_client *client, const char *name)
{
	struct rb_node *node;

	lockdep_assert_held(&client->buf_lock);
	if (client->idle_tag && !strcmp(client->idle_tag->name, name))
		return client->idle_tag;
	node = rb_find(name, &client->tags, compare_tag_name);
	return node ? rb_entry(node, struct dpmgr_tag, node) : NULL;
}

/* The client's tag of that name; or -EINVAL, -ENAMETOOLONG, -ENOMEM, -ENOSPC. */
static struct dpmgr_tag *tag_find(struct dpmgr_client *client, const char *name)
{
	struct dpmgr_tag *tag = dpmgr_tag_look(client, name);

	return tag ?: tag_new(client, name);
}

/**
 * dpmgr_tag_drop_idle() - forget the tag that no buffer has, if there is one
 * @client: the client
 *
 * Context: any but NMI, with the client's @buf_lock held or nobody else about.
 */
void dpmgr_tag_drop_idle(struct dpmgr_client *client)
{
	struct dpmgr_tag *tag = client->idle_tag;

	client->idle_tag = NULL;
	if (!tag || tag->nr_bufs)
		return;
	rb_erase(&tag->node, &client->tags);
	if (client->persistent)
		dpmgr_state_uncharge(client->mgr, strlen(tag->name) + 1);
	dpmgr_stock_put(&client->mgr->tags, tag);
}

/* The last without a buffer is kept, for the next buffer of that tag. */
static void tag_put(struct dpmgr_client *client, struct dpmgr_tag *tag)
{
	lockdep_assert_held(&client->buf_lock);
	if (--tag->nr_bufs || tag == client->idle_tag)
		return;
	dpmgr_tag_drop_idle(client);
	client->idle_tag = tag;
}

/* An unused handle becomes a client's, without pages. Context: any. */
void dpmgr_handle_init(struct dpmgr_buf *buf, struct dpmgr_client *client,
		       u32 nr_pages, u16 slack)
{
	buf->nr_pages = nr_pages;
	buf->slack = slack;
	WRITE_ONCE(buf->state, DPMGR_BUF_NEW);
	WRITE_ONCE(buf->client, client);
}

/**
 * dpmgr_handle_create() - a handle without pages, that nobody knows of
 * @client: whose
 * @nr_pages: length
 * @slack: bytes of the last page beyond the size that was asked for
 *
 * A run of a persistent client takes room in the state region.
 *
 * Context: any but NMI.
 * Return: the handle; -EDQUOT if there is no point in going on; -ENOSPC without
 * room in the state region; -ENOBUFS if the stock is empty.
 */
struct dpmgr_buf *dpmgr_handle_create(struct dpmgr_client *client, u32 nr_pages,
				      u16 slack)
{
	struct dpmgr_buf *buf;

	if (!dpmgr_quota_has(client, nr_pages))
		return ERR_PTR(-EDQUOT);
	if (client->persistent &&
	    dpmgr_state_charge(client->mgr, sizeof(struct dpmgr_abi_run)))
		return ERR_PTR(-ENOSPC);
	buf = dpmgr_stock_get(&client->mgr->handles);
	if (!buf) {
		if (client->persistent)
			dpmgr_state_uncharge(client->mgr,
					     sizeof(struct dpmgr_abi_run));
		return ERR_PTR(-ENOBUFS);
	}
	dpmgr_handle_init(buf, client, nr_pages, slack);
	return buf;
}

static void join_client(struct dpmgr_buf *buf, struct dpmgr_tag *tag)
{
	struct dpmgr_client *client = buf->client;

	lockdep_assert_held(&client->buf_lock);
	tag->nr_bufs++;
	buf->tag = tag;
	WRITE_ONCE(client->nr_pages, client->nr_pages + buf->nr_pages);
	client->nr_pages_max = max(client->nr_pages_max, client->nr_pages);
	client->nr_bufs++;
}

/* Where a buffer's pages are mapped. Context: any. */
void *dpmgr_handle_vaddr(const struct dpmgr_buf *buf)
{
	const struct dpmgr_pool *pool = buf->client->backing.pool;

	return pool ? dpmgr_pool_vaddr(pool, buf->base_pfn) : buf->locked->vaddr;
}

/**
 * dpmgr_buf_pend() - leave a buffer to whoever retrieves it
 * @buf: the buffer, on none of its client's lists
 * @first: before all that are pending already
 *
 * Context: any but NMI, with the client's @buf_lock held.
 */
void dpmgr_buf_pend(struct dpmgr_buf *buf, bool first)
{
	struct dpmgr_client *client = buf->client;
	struct dpmgr_tag *tag = buf->tag;

	lockdep_assert_held(&client->buf_lock);
	if (first) {
		list_move(&tag->pending_link, &client->pending_tags);
		list_add(&buf->link, &tag->pending);
	} else {
		if (list_empty(&tag->pending))
			list_add_tail(&tag->pending_link, &client->pending_tags);
		list_add_tail(&buf->link, &tag->pending);
	}
	client->nr_pending++;
}

/* Keep a buffer, on none of its client's lists, out of use. The same context. */
void dpmgr_buf_keep_out(struct dpmgr_buf *buf, enum dpmgr_buf_state state)
{
	struct dpmgr_client *client = buf->client;

	lockdep_assert_held(&client->buf_lock);
	list_add_tail(&buf->link, &client->kept);
	client->nr_kept++;
	WRITE_ONCE(buf->state, state);
}

/* Undo either of them, but for the state. The same context. */
void dpmgr_buf_unlist(struct dpmgr_buf *buf)
{
	struct dpmgr_client *client = buf->client;

	lockdep_assert_held(&client->buf_lock);
	list_del(&buf->link);
	if (READ_ONCE(buf->state) != DPMGR_BUF_PENDING) {
		client->nr_kept--;
		return;
	}
	client->nr_pending--;
	if (list_empty(&buf->tag->pending))
		list_del_init(&buf->tag->pending_link);
}

/**
 * dpmgr_handle_attach() - a handle has its pages: it is a live buffer from now on
 * @buf: the handle
 * @tag_name: its tag
 *
 * Context: any but NMI.
 * Return: 0; -EDQUOT; -EINVAL or -ENAMETOOLONG for the tag's name; -ENOSPC
 * without room for it in the state region; -ENOBUFS if the stock is empty. After a
 * failure nothing has changed.
 */
int dpmgr_handle_attach(struct dpmgr_buf *buf, const char *tag_name)
{
	struct dpmgr_client *client = buf->client;
	const u32 nr_pages = buf->nr_pages;
	struct dpmgr_tag *tag;

	buf->vaddr = dpmgr_handle_vaddr(buf);
	atomic_set(&buf->refs, 1);
	guard(raw_spinlock_irqsave)(&client->buf_lock);
	if (!dpmgr_quota_charge(client, nr_pages))
		return -EDQUOT;
	tag = tag_find(client, tag_name);
	if (IS_ERR(tag)) {
		dpmgr_quota_uncharge(client, nr_pages);
		return tag == ERR_PTR(-ENOMEM) ? -ENOBUFS : PTR_ERR(tag);
	}
	join_client(buf, tag);
	hlist_add_head(&buf->node, &client->bufs);
	WRITE_ONCE(buf->state, DPMGR_BUF_LIVE);
	return 0;
}

/**
 * dpmgr_handle_restore() - a saved run is a buffer again
 * @buf: the handle, with its pages
 * @tag_name: its tag
 * @tag: the same if it is known that the client has it, or NULL
 * @state: pending, orphaned or leaked
 *
 * Context: any but NMI.
 * Return: 0; -ENOSPC without room for the tag in the state region; -ENOMEM if the
 * stock is empty.
 */
int dpmgr_handle_restore(struct dpmgr_buf *buf, const char *tag_name,
			 struct dpmgr_tag *tag, enum dpmgr_buf_state state)
{
	struct dpmgr_client *client = buf->client;

	atomic_set(&buf->refs, 1);
	guard(raw_spinlock_irqsave)(&client->buf_lock);
	tag = tag ?: tag_find(client, tag_name);
	if (IS_ERR(tag))
		return PTR_ERR(tag);
	join_client(buf, tag);
	if (state == DPMGR_BUF_PENDING)
		dpmgr_buf_pend(buf, false);
	else
		dpmgr_buf_keep_out(buf, state);
	WRITE_ONCE(buf->state, state);
	return 0;
}

/* The opposite. The client may be gone when its lock is. */
static void leave_client(struct dpmgr_client *client, struct dpmgr_buf *buf,
			 enum dpmgr_buf_state state)
{
	lockdep_assert_held(&client->buf_lock);
	WRITE_ONCE(client->nr_pages, client->nr_pages - buf->nr_pages);
	dpmgr_quota_uncharge(client, buf->nr_pages);
	tag_put(client, buf->tag);
	WRITE_ONCE(buf->state, state);
	WRITE_ONCE(buf->client, NULL);
	hlist_del(&buf->node);
	client->nr_bufs--;
}

/**
 * dpmgr_handle_forget() - give up a handle that has neither pages nor a client
 * @mgr: the manager
 * @buf: the handle
 * @persistent: whether its client was
 *
 * Context: any but NMI.
 */
void dpmgr_handle_forget(struct dpmgr *mgr, struct dpmgr_buf *buf,
			 bool persistent)
{
	WRITE_ONCE(buf->state, DPMGR_BUF_UNUSED);
	WRITE_ONCE(buf->client, NULL);
	if (persistent)
		dpmgr_state_uncharge(mgr, sizeof(struct dpmgr_abi_run));
	dpmgr_stock_put(&mgr->handles, buf);
}

/**
 * dpmgr_handle_discard() - give up a buffer that has no pages any more
 * @buf: the buffer, draining
 *
 * The client may be gone when this returns.
 *
 * Context: any but NMI.
 */
void dpmgr_handle_discard(struct dpmgr_buf *buf)
{
	struct dpmgr_client *client = buf->client;
	struct dpmgr *mgr = client->mgr;

	if (client->persistent)
		dpmgr_state_uncharge(mgr, sizeof(struct dpmgr_abi_run));
	guard(raw_spinlock_irqsave)(&client->buf_lock);
	leave_client(client, buf, DPMGR_BUF_UNUSED);
	dpmgr_stock_put_irqs_off(&mgr->handles, buf);
}

/**
 * dpmgr_handle_detach() - a persistent client's buffer leaves it with its pages
 * @buf: the buffer, draining
 * @vtl0_mask: kept in it
 *
 * It keeps its room in the state region. The client may be gone when this
 * returns.
 *
 * Context: any but NMI.
 */
void dpmgr_handle_detach(struct dpmgr_buf *buf, u32 vtl0_mask)
{
	struct dpmgr_client *client = buf->client;

	guard(raw_spinlock_irqsave)(&client->buf_lock);
	leave_client(client, buf, DPMGR_BUF_OPEN);
	buf->slack = vtl0_mask;
}

/* Whether @buf was in state @from; it is in state @to now, because of @by. */
bool dpmgr_buf_give_up(struct dpmgr_buf *buf, enum dpmgr_buf_state from,
		       enum dpmgr_buf_state to, unsigned long by)
{
	if (cmpxchg(&buf->state, from, to) != from)
		return false;
	WRITE_ONCE(buf->given_up_by, (void *)by);
	return true;
}

/**
 * dpmgr_buf_look() - look at the buffer that owns a run
 * @run: as the allocator has just shown it
 * @look: called once if the buffer is still there, under its client's lock, so
 *	that neither goes away nor changes
 * @arg: passed on
 *
 * Context: any but NMI.
 */
void dpmgr_buf_look(const struct dpmgr_page_run *run,
		    void (*look)(const struct dpmgr_buf *buf, void *arg),
		    void *arg)
{
	const struct dpmgr_buf *buf = run->owner;
	struct dpmgr_client *client;

	/* A handle's memory stays; a client's, for a grace period. */
	guard(rcu)();
	client = READ_ONCE(buf->client);
	if (!client)
		return;
	guard(raw_spinlock_irqsave)(&client->buf_lock);
	if (READ_ONCE(buf->client) == client && buf->base_pfn == run->base_pfn &&
	    buf->nr_pages == run->nr_pages &&
	    READ_ONCE(buf->state) >= DPMGR_BUF_LIVE)
		look(buf, arg);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_buf_look);
