// SPDX-License-Identifier: GPL-2.0-only
/*
 * Handles: what a buffer is known by, and what it is charged for.
 *
 * Whatever a buffer needs besides its pages is taken when its handle is made: its
 * tag, its part of the client's quota and, if it persists, room in the state
 * region and a hold on the module. So a save can't fail for want of room.
 *
 * Handles are never unmapped before the manager is, so a handle that was given
 * up is told from a live one by its state (until it is handed out again, which
 * the stock puts off as long as it can).
 *
 * Locking: see struct dpmgr_client and enum dpmgr_buf_state.
 */
#include <linux/atomic.h>
#include <linux/cleanup.h>
#include <linux/dma_pool_mgr_abi.h>
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/module.h>
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
		[DPMGR_BUF_DRAINING] = "draining",
	};

	return names[state];
}

/*
 * Is @text a string of 1 to @max_len printable bytes, none below @lowest?
 * 0, -EINVAL or -ENAMETOOLONG.
 */
int dpmgr_text_check(const char *text, size_t max_len, char lowest)
{
	size_t i;

	if (!text || !*text)
		return -EINVAL;
	for (i = 0; i <= max_len; i++) {
		if (!text[i])
			return 0;
		if (text[i] < lowest || text[i] > '~')
			return -EINVAL;
	}
	return -ENAMETOOLONG;
}

/* Add @n to @counter unless that would exceed @limit. */
static bool add_within(atomic64_t *counter, u64 n, u64 limit)
{
	s64 held = atomic64_read(counter);

	do {
		if (n > limit || held > limit - n)
			return false;
	} while (!atomic64_try_cmpxchg(counter, &held, held + n));
	return true;
}

/* Keep room in the state region for @bytes more. 0 or -ENOSPC. */
int dpmgr_state_charge(struct dpmgr *mgr, u64 bytes)
{
	return add_within(&mgr->state_used, bytes, mgr->state_limit) ?
		0 : -ENOSPC;
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

/* The client's tag of that name, one buffer more; or -ENOMEM, -ENOSPC. */
static struct dpmgr_tag *tag_get(struct dpmgr_client *client, const char *name)
{
	struct dpmgr *mgr = client->mgr;
	struct dpmgr_tag *tag;
	struct rb_node *node;

	lockdep_assert_held(&client->buf_lock);
	node = rb_find(name, &client->tags, compare_tag_name);
	if (node) {
		tag = rb_entry(node, struct dpmgr_tag, node);
		tag->nr_bufs++;
		return tag;
	}

	if (client->persistent && dpmgr_state_charge(mgr, strlen(name) + 1))
		return ERR_PTR(-ENOSPC);
	tag = dpmgr_stock_get(&mgr->tags);
	if (!tag) {
		if (client->persistent)
			dpmgr_state_uncharge(mgr, strlen(name) + 1);
		return ERR_PTR(-ENOMEM);
	}
	strscpy(tag->name, name);
	tag->nr_bufs = 1;
	rb_add(&tag->node, &client->tags, tag_less);
	return tag;
}

static void tag_put(struct dpmgr_client *client, struct dpmgr_tag *tag)
{
	lockdep_assert_held(&client->buf_lock);
	if (--tag->nr_bufs)
		return;
	rb_erase(&tag->node, &client->tags);
	if (client->persistent)
		dpmgr_state_uncharge(client->mgr, strlen(tag->name) + 1);
	dpmgr_stock_put(&client->mgr->tags, tag);
}

/* A persistent run takes room in the state region, and the module. */
static int charge_run(struct dpmgr *mgr)
{
	if (dpmgr_state_charge(mgr, sizeof(struct dpmgr_abi_run)))
		return -ENOSPC;
	__module_get(mgr->module);
	return 0;
}

static void uncharge_run(struct dpmgr *mgr)
{
	dpmgr_state_uncharge(mgr, sizeof(struct dpmgr_abi_run));
	module_put(mgr->module);
}

/* Give the handle its tag, and count its pages. -EDQUOT, -ENOMEM or -ENOSPC. */
static int charge_client(struct dpmgr_client *client, struct dpmgr_buf *buf,
			 const char *tag_name)
{
	struct dpmgr_tag *tag;

	guard(raw_spinlock_irqsave)(&client->buf_lock);
	if (buf->nr_pages > client->quota ||
	    client->nr_pages > client->quota - buf->nr_pages)
		return -EDQUOT;
	tag = tag_get(client, tag_name);
	if (IS_ERR(tag))
		return PTR_ERR(tag);
	client->nr_pages += buf->nr_pages;
	client->nr_pages_max = max(client->nr_pages_max, client->nr_pages);
	buf->tag = tag;
	return 0;
}

/**
 * dpmgr_handle_create() - a handle with its tag and all charges, but no pages yet
 * @client: whose
 * @nr_pages: length
 * @slack: bytes of the last page beyond the size that was asked for
 * @tag_name: legal
 *
 * Context: any but NMI.
 * Return: the handle; -EDQUOT, -ENOSPC without room in the state region, -ENOMEM
 * if a stock is empty.
 */
struct dpmgr_buf *dpmgr_handle_create(struct dpmgr_client *client, u32 nr_pages,
				      u16 slack, const char *tag_name)
{
	struct dpmgr_buf *buf;
	int ret;

	ret = client->persistent ? charge_run(client->mgr) : 0;
	if (ret)
		return ERR_PTR(ret);
	ret = -ENOMEM;
	buf = dpmgr_stock_get(&client->mgr->handles);
	if (!buf)
		goto no_handle;
	buf->nr_pages = nr_pages;
	buf->slack = slack;
	ret = charge_client(client, buf, tag_name);
	if (ret)
		goto no_tag;
	WRITE_ONCE(buf->client, client);
	WRITE_ONCE(buf->state, DPMGR_BUF_NEW);
	return buf;

no_tag:
	dpmgr_stock_put(&client->mgr->handles, buf);
no_handle:
	if (client->persistent)
		uncharge_run(client->mgr);
	return ERR_PTR(ret);
}

/* The opposite of charge_client(), and of attaching. */
static void leave_client(struct dpmgr_client *client, struct dpmgr_buf *buf,
			 bool attached, enum dpmgr_buf_state state)
{
	lockdep_assert_held(&client->buf_lock);
	client->nr_pages -= buf->nr_pages;
	tag_put(client, buf->tag);
	WRITE_ONCE(buf->state, state);
	WRITE_ONCE(buf->client, NULL);
	if (attached) {
		list_del(&buf->link);
		client->nr_bufs--;
	}
}

/**
 * dpmgr_handle_discard() - give up a handle that has no pages any more
 * @buf: the handle
 * @attached: whether dpmgr_handle_attach() was called
 *
 * The client may be gone when this returns.
 *
 * Context: any but NMI.
 */
void dpmgr_handle_discard(struct dpmgr_buf *buf, bool attached)
{
	struct dpmgr_client *client = buf->client;
	struct dpmgr *mgr = client->mgr;

	if (client->persistent)
		uncharge_run(mgr);
	scoped_guard(raw_spinlock_irqsave, &client->buf_lock)
		leave_client(client, buf, attached, DPMGR_BUF_UNUSED);
	dpmgr_stock_put(&mgr->handles, buf);
}

/**
 * dpmgr_handle_detach() - a persistent client's handle leaves it with its pages
 * @buf: the handle, attached
 * @vtl0_mask: kept in it
 *
 * The client may be gone when this returns.
 *
 * Context: any but NMI.
 */
void dpmgr_handle_detach(struct dpmgr_buf *buf, u32 vtl0_mask)
{
	struct dpmgr_client *client = buf->client;

	/* Unlike its room in the state region: what nobody holds can be unloaded. */
	module_put(client->mgr->module);
	guard(raw_spinlock_irqsave)(&client->buf_lock);
	leave_client(client, buf, true, DPMGR_BUF_OPEN);
	buf->slack = vtl0_mask;
}

/**
 * dpmgr_handle_adopt() - the opposite; the handle is not attached yet
 * @buf: the handle, detached
 * @client: persistent
 * @slack: bytes of the last page beyond the size that was asked for
 * @tag_name: legal
 *
 * Context: any but NMI.
 * Return: 0; or as dpmgr_handle_create(), and nothing has changed.
 */
int dpmgr_handle_adopt(struct dpmgr_buf *buf, struct dpmgr_client *client,
		       u16 slack, const char *tag_name)
{
	int ret = charge_client(client, buf, tag_name);

	if (ret)
		return ret;
	__module_get(client->mgr->module);
	buf->slack = slack;
	WRITE_ONCE(buf->client, client);
	WRITE_ONCE(buf->state, DPMGR_BUF_NEW);
	return 0;
}

/* Give up a detached handle that has no pages any more. Context: any but NMI. */
void dpmgr_handle_forget(struct dpmgr *mgr, struct dpmgr_buf *buf)
{
	WRITE_ONCE(buf->state, DPMGR_BUF_UNUSED);
	dpmgr_state_uncharge(mgr, sizeof(struct dpmgr_abi_run));
	dpmgr_stock_put(&mgr->handles, buf);
}

/* Where a buffer's pages are mapped. Context: any. */
void *dpmgr_handle_vaddr(const struct dpmgr_buf *buf)
{
	const struct dpmgr_pool *pool = buf->client->backing.pool;

	return pool ? dpmgr_pool_vaddr(pool, buf->base_pfn) : buf->locked->vaddr;
}

/**
 * dpmgr_handle_attach() - a handle has its pages
 * @buf: the handle
 * @list: of its client
 * @state: what it is from now on
 *
 * Context: any but NMI.
 */
void dpmgr_handle_attach(struct dpmgr_buf *buf, struct list_head *list,
			 enum dpmgr_buf_state state)
{
	struct dpmgr_client *client = buf->client;

	buf->vaddr = dpmgr_handle_vaddr(buf);
	atomic_set(&buf->refs, 1);
	guard(raw_spinlock_irqsave)(&client->buf_lock);
	list_add_tail(&buf->link, list);
	client->nr_bufs++;
	client->nr_pending += state == DPMGR_BUF_PENDING;
	WRITE_ONCE(buf->state, state);
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
	    READ_ONCE(buf->state) >= DPMGR_BUF_LIVE)
		look(buf, arg);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_buf_look);
