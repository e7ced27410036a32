// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an earlier client of that name left: its buffers, one by one, by address or
 * by tag, and its driver's state; and what becomes of that which nobody wants.
 *
 * Buffers are *pending* until they are retrieved or the driver has finished, or they
 * are *kept* out of use until somebody says that the device has stopped.
 *
 * Locking: see struct dpmgr_client. The driver's state is under the manager's lock,
 * since callbacks that hand it over are called with the client's.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/align.h>
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "client.h"
#include "pool.h"

/* Buffers that are looked at before interrupts are let in again. */
#define BATCH	64

/* Make a pending buffer live, if the device can reach it. */
static struct dpmgr_buf *retrieve(struct dpmgr_client *client,
				  struct dpmgr_buf *buf)
{
	lockdep_assert_held(&client->lock);
	lockdep_assert_held(&client->buf_lock);
	if (buf->base_pfn + buf->nr_pages > client->end_pfn)
		return ERR_PTR(-EOPNOTSUPP);
	dpmgr_buf_unlist(buf);
	hlist_add_head(&buf->node, &client->bufs);
	buf->vaddr = dpmgr_handle_vaddr(buf);
	WRITE_ONCE(buf->state, DPMGR_BUF_LIVE);
	return buf;
}

/* May something be retrieved? 0, -ESTALE or -EBUSY. */
static int check_turn(const struct dpmgr_client *client)
{
	lockdep_assert_held(&client->lock);
	if (client->finished)
		return -ESTALE;
	return READ_ONCE(client->frozen) ? -EBUSY : 0;
}

static struct dpmgr_buf *first_of(struct dpmgr_tag *tag)
{
	return list_first_entry(&tag->pending, struct dpmgr_buf, link);
}

/**
 * dpmgr_retrieve_next() - get back a buffer that an earlier client left
 * @client: the client
 *
 * Restored buffers of one tag come one after the other, in address order. One that
 * lies above the device's DMA mask is in the way of those after it: set the mask
 * before, or use another call.
 *
 * Context: may sleep.
 * Return: the buffer, with size, tag, pages and contents as they were; an
 * ERR_PTR of -ENOENT if there are no more, -EOPNOTSUPP if it lies above the
 * device's DMA mask and therefore stays pending, -ESTALE after
 * dpmgr_client_finish(), -EBUSY while the client is frozen.
 */
struct dpmgr_buf *dpmgr_retrieve_next(struct dpmgr_client *client)
{
	struct dpmgr_tag *tag;
	int ret;

	if (IS_ERR(client))
		return ERR_CAST(client);
	guard(mutex)(&client->lock);
	ret = check_turn(client);
	if (ret)
		return ERR_PTR(ret);
	guard(raw_spinlock_irqsave)(&client->buf_lock);
	tag = list_first_entry_or_null(&client->pending_tags, struct dpmgr_tag,
				       pending_link);
	return tag ? retrieve(client, first_of(tag)) : ERR_PTR(-ENOENT);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_retrieve_next, DMA_POOL_MGR);

/**
 * dpmgr_retrieve_tag() - get back a buffer by its tag
 * @client: the client
 * @tag: as given to dpmgr_alloc()
 *
 * Context: may sleep.
 * Return: as dpmgr_retrieve_next(), of those that have this tag.
 */
struct dpmgr_buf *dpmgr_retrieve_tag(struct dpmgr_client *client, const char *tag)
{
	struct dpmgr_tag *found;
	int ret;

	if (IS_ERR(client))
		return ERR_CAST(client);
	guard(mutex)(&client->lock);
	ret = check_turn(client);
	if (ret)
		return ERR_PTR(ret);
	guard(raw_spinlock_irqsave)(&client->buf_lock);
	found = tag ? dpmgr_tag_look(client, tag) : NULL;
	if (!found || list_empty(&found->pending))
		return ERR_PTR(-ENOENT);
	return retrieve(client, first_of(found));
}
EXPORT_SYMBOL_NS_GPL(dpmgr_retrieve_tag, DMA_POOL_MGR);

/**
 * dpmgr_retrieve_pfn() - get back the buffer at a given place
 * @client: the client
 * @pfn: its first page
 * @nr_pages: its length
 *
 * Context: may sleep.
 * Return: as dpmgr_retrieve_next(); -ENOENT if exactly this buffer isn't
 * pending.
 */
struct dpmgr_buf *dpmgr_retrieve_pfn(struct dpmgr_client *client, u64 pfn,
				     size_t nr_pages)
{
	struct dpmgr_buf *buf;
	int ret;

	if (IS_ERR(client))
		return ERR_CAST(client);
	guard(mutex)(&client->lock);
	ret = check_turn(client);
	if (ret)
		return ERR_PTR(ret);
	if (nr_pages > DPMGR_PAGES_MAX || !client->backing.pool)
		return ERR_PTR(-ENOENT);

	/*
	 * Another client's handle may be given up and used anew here, but its
	 * memory stays; ours can't leave PENDING while we hold the lock.
	 */
	buf = dpmgr_pages_owner(&client->backing.pool->pages, pfn, nr_pages);
	guard(raw_spinlock_irqsave)(&client->buf_lock);
	if (!buf || READ_ONCE(buf->client) != client ||
	    READ_ONCE(buf->state) != DPMGR_BUF_PENDING)
		return ERR_PTR(-ENOENT);
	return retrieve(client, buf);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_retrieve_pfn, DMA_POOL_MGR);

/* Take any pending buffer, or any that is kept, from its list. */
static struct dpmgr_buf *unlist_any(struct dpmgr_client *client, bool kept)
{
	struct dpmgr_buf *buf;

	lockdep_assert_held(&client->buf_lock);
	if (list_empty(kept ? &client->kept : &client->pending_tags))
		return NULL;
	buf = kept ? list_first_entry(&client->kept, struct dpmgr_buf, link) :
		     first_of(list_first_entry(&client->pending_tags,
					       struct dpmgr_tag, pending_link));
	dpmgr_buf_unlist(buf);
	return buf;
}

/**
 * dpmgr_client_leak_some() - keep some of the pending buffers out of use
 * @client: the client; nothing is retrieved meanwhile
 *
 * Context: any but NMI.
 * Return: whether there was any.
 */
bool dpmgr_client_leak_some(struct dpmgr_client *client)
{
	struct dpmgr_buf *buf;
	unsigned int i;

	guard(raw_spinlock_irqsave)(&client->buf_lock);
	for (i = 0; i < BATCH && (buf = unlist_any(client, false)); i++)
		dpmgr_buf_keep_out(buf, DPMGR_BUF_LEAKED);
	return i;
}

/**
 * dpmgr_client_free_some() - free some of the pending buffers, or of the kept ones
 * @client: the client; nothing is retrieved meanwhile
 * @kept: which
 *
 * Context: any but NMI.
 * Return: whether there was any. They are drained later.
 */
bool dpmgr_client_free_some(struct dpmgr_client *client, bool kept)
{
	struct dpmgr_buf *buf;
	unsigned int i;

	guard(raw_spinlock_irqsave)(&client->buf_lock);
	for (i = 0; i < BATCH && (buf = unlist_any(client, kept)); i++) {
		hlist_add_head(&buf->node, &client->bufs);
		WRITE_ONCE(buf->state, DPMGR_BUF_DRAINING);
		dpmgr_buf_release(buf);
	}
	return i;
}

/**
 * dpmgr_client_finish() - a driver has retrieved all that it wants
 * @client: the client
 *
 * What is still pending is freed: by this call the driver says that the device
 * doesn't use it any more. What an earlier driver left as state is gone, too. What is
 * kept out of use stays so: see dpmgr_client_stopped().
 *
 * Context: may sleep.
 * Return: 0; -ESTALE if it was called before; -EBUSY while the client is frozen.
 */
int dpmgr_client_finish(struct dpmgr_client *client)
{
	struct dpmgr *mgr;
	int ret;

	if (IS_ERR(client))
		return PTR_ERR(client);
	mgr = client->mgr;
	scoped_guard(mutex, &client->lock) {
		ret = check_turn(client);
		if (ret)
			return ret;
		client->finished = true;
		while (dpmgr_client_free_some(client, false))
			cond_resched();
		guard(mutex)(&mgr->lock);
		if (client->state_is_old)
			dpmgr_client_drop_state(client);
	}
	dpmgr_drain(mgr);
	return 0;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_client_finish, DMA_POOL_MGR);

/**
 * dpmgr_client_stopped() - the device can't write to earlier buffers any more
 * @client: the client
 *
 * For a driver that has reset its device, say. Everything that an earlier client
 * of that name left is freed: what is kept out of use (orphaned or leaked), and what
 * is pending. May be called before and after dpmgr_client_finish().
 *
 * Context: may sleep.
 * Return: 0, or -EBUSY while the client is frozen.
 */
int dpmgr_client_stopped(struct dpmgr_client *client)
{
	if (IS_ERR(client))
		return PTR_ERR(client);
	scoped_guard(mutex, &client->lock) {
		if (READ_ONCE(client->frozen))
			return -EBUSY;
		while (dpmgr_client_free_some(client, true))
			cond_resched();
		while (dpmgr_client_free_some(client, false))
			cond_resched();
	}
	dpmgr_drain(client->mgr);
	return 0;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_client_stopped, DMA_POOL_MGR);

/**
 * dpmgr_client_nr_kept_out() - what is kept out of use until the device has stopped
 * @client: the client
 *
 * Not 0: an earlier kernel's driver did not freeze, or nobody came back for its
 * buffers in time. They can't be retrieved. Once the device has stopped, for sure,
 * dpmgr_client_stopped() frees them.
 *
 * Context: any.
 * Return: how many buffers.
 */
size_t dpmgr_client_nr_kept_out(struct dpmgr_client *client)
{
	return READ_ONCE(client->nr_kept);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_client_nr_kept_out, DMA_POOL_MGR);

/* Room in the state region for driver state. */
static u64 state_room(size_t len)
{
	return ALIGN((u64)len, 8);
}

/* Context: process, holding the manager's lock. */
void dpmgr_client_drop_state(struct dpmgr_client *client)
{
	lockdep_assert_held(&client->mgr->lock);
	dpmgr_state_uncharge(client->mgr, state_room(client->state_len));
	kvfree(client->state);
	client->state = NULL;
	client->state_len = 0;
	client->state_is_old = false;
}

/* Copy what is kept for the next kernel, and keep room for it. */
static int replace_state(struct dpmgr_client *client, const void *data, u32 len,
			 bool is_old)
{
	const u64 old_room = state_room(client->state_len);
	struct dpmgr *mgr = client->mgr;
	void *copy;

	lockdep_assert_held(&mgr->lock);
	if (!len) {
		dpmgr_client_drop_state(client);
		return 0;
	}
	copy = kvmemdup(data, len, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	/* It takes the old one's room, if there is one. */
	if (state_room(len) > old_room &&
	    dpmgr_state_charge(mgr, state_room(len) - old_room)) {
		dpmgr_state_report(mgr, state_room(len) - old_room);
		kvfree(copy);
		return -ENOSPC;
	}
	if (state_room(len) < old_room)
		dpmgr_state_uncharge(mgr, old_room - state_room(len));
	kvfree(client->state);
	client->state = copy;
	client->state_len = len;
	client->state_is_old = is_old;
	return 0;
}

/* What an earlier kernel's driver left. 0, -ENOSPC or -ENOMEM. */
int dpmgr_client_restore_state(struct dpmgr_client *client, const void *data,
			       u32 len)
{
	return replace_state(client, data, len, true);
}

/**
 * dpmgr_client_set_state() - hand over what the next kernel's driver needs to know
 * @client: a persistent client
 * @data: copied; takes the place of what was handed over before
 * @len: bytes, up to DPMGR_DRIVER_STATE_MAX; 0 for none
 *
 * Usually called by the client's @freeze. If there is one, it is dropped when the client
 * is thawed. It is saved with the client's buffers and comes back byte for byte.
 *
 * Context: may sleep. May be called by @freeze and @thaw.
 * Return: 0; -EINVAL if the client doesn't persist; -EMSGSIZE if it is too long;
 * -ENOSPC without room for it in the state region; -ENOMEM; -EBUSY if the client is
 * frozen already. After a failure, what was handed over before still stands.
 */
int dpmgr_client_set_state(struct dpmgr_client *client, const void *data,
			   size_t len)
{
	const char *rule;
	int ret;

	if (IS_ERR(client))
		return PTR_ERR(client);
	if (!client->persistent || (len && !data)) {
		rule = "only a persistent client has one, and its data is not NULL";
		ret = -EINVAL;
	} else if (len > DPMGR_DRIVER_STATE_MAX) {
		rule = "it has at most 65536 bytes";
		ret = -EMSGSIZE;
	} else {
		guard(mutex)(&client->mgr->lock);
		rule = "no room in the state region (see debugfs state), no memory, or frozen";
		ret = READ_ONCE(client->frozen) ? -EBUSY :
						  replace_state(client, data, len, false);
	}
	if (ret)
		dev_warn(client->dev,
			 "dma_pool_mgr: %s: driver state of %zu bytes refused: %s (%pe)\n",
			 client->name, len, rule, ERR_PTR(ret));
	return ret;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_client_set_state, DMA_POOL_MGR);

/**
 * dpmgr_client_get_state() - what was handed over last
 * @client: the client
 * @data: where to; may be NULL if @size is 0
 * @size: room there, bytes
 *
 * For a new client that is what an earlier driver left, in this kernel or the last,
 * until dpmgr_client_finish().
 *
 * Context: may sleep.
 * Return: its length, bytes, also if @size is 0; -ENOENT if there is none; -EMSGSIZE
 * if @size is too small, but not 0.
 */
ssize_t dpmgr_client_get_state(struct dpmgr_client *client, void *data,
			       size_t size)
{
	if (IS_ERR(client))
		return PTR_ERR(client);
	guard(mutex)(&client->mgr->lock);
	if (!client->state)
		return -ENOENT;
	if (!size)
		return client->state_len;
	if (size < client->state_len)
		return -EMSGSIZE;
	memcpy(data, client->state, client->state_len);
	return client->state_len;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_client_get_state, DMA_POOL_MGR);

/**
 * dpmgr_client_dev() - a live client's device
 * @client: the client
 *
 * Context: any.
 * Return: the device that it was created for.
 */
struct device *dpmgr_client_dev(const struct dpmgr_client *client)
{
	return client->dev;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_client_dev, DMA_POOL_MGR);

/**
 * dpmgr_client_set_keepalive() - whether the device is to be kept for the next kernel
 * @client: the client
 * @keepalive: if not, @freeze is not called and the buffers are saved as orphaned:
 *	the driver must shut the device down as it does for any other reboot. True
 *	for every client that is created
 *
 * An administrator may switch it, too, in sysfs.
 *
 * Context: any but NMI.
 * Return: 0; -EBUSY if the client is frozen, or just being frozen.
 */
int dpmgr_client_set_keepalive(struct dpmgr_client *client, bool keepalive)
{
	if (IS_ERR(client))
		return PTR_ERR(client);
	guard(raw_spinlock_irqsave)(&client->buf_lock);
	if (client->freezing)
		return -EBUSY;
	WRITE_ONCE(client->keepalive, keepalive);
	return 0;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_client_set_keepalive, DMA_POOL_MGR);

/**
 * dpmgr_client_keepalive() - whether the device is to be kept for the next kernel
 * @client: the client
 *
 * Context: any.
 * Return: as set last. It doesn't change while the client is frozen.
 */
bool dpmgr_client_keepalive(const struct dpmgr_client *client)
{
	return READ_ONCE(client->keepalive);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_client_keepalive, DMA_POOL_MGR);

/**
 * dpmgr_client_is_kept() - whether the next kernel's driver gets the buffers back
 * @client: the client
 *
 * For a driver's shutdown, which may have to leave the device as it is, or has to stop
 * it as for any other reboot.
 *
 * Context: any.
 * Return: true once the client is frozen and saved; false before, if it was refused,
 * and at any end of the kernel but a kexec.
 */
bool dpmgr_client_is_kept(const struct dpmgr_client *client)
{
	return READ_ONCE(client->frozen) && !READ_ONCE(client->refused) &&
	       READ_ONCE(client->mgr->phase) == DPMGR_COMMITTED;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_client_is_kept, DMA_POOL_MGR);
