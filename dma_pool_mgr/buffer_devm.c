// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers that go with their driver.
 *
 * Only a client that does so itself has them. It goes after its buffers, since devres
 * releases what came last first.
 *
 * Locking: devres's own.
 */
#include <linux/device.h>
#include <linux/dma_pool_mgr.h>
#include <linux/err.h>
#include <linux/export.h>

#include "client.h"

static void devm_buf_park(void *buf)
{
	dpmgr_buf_park(buf);
}

static void devm_buf_free(void *buf)
{
	dpmgr_free(buf);
}

/* Parked if another client may retrieve it, else freed. */
static void (*devm_action(const struct dpmgr_client *client))(void *buf)
{
	return client->persistent ? devm_buf_park : devm_buf_free;
}

/**
 * devm_dpmgr_alloc() - allocate a buffer that goes with its driver
 * @client: a client from devm_dpmgr_client_create(), which goes later than its buffers;
 *	or an ERR_PTR, which is returned
 * @size: as for dpmgr_alloc()
 * @gfp: as for dpmgr_alloc(); must allow blocking
 * @tag: as for dpmgr_alloc()
 *
 * When the driver of the client's device is unbound, a persistent client's buffer
 * is parked and another is freed. Free it with devm_dpmgr_free(), if at all.
 *
 * Context: may sleep.
 * Return: as dpmgr_alloc(); -EINVAL for another client, too.
 */
struct dpmgr_buf *devm_dpmgr_alloc(struct dpmgr_client *client, size_t size,
				   gfp_t gfp, const char *tag)
{
	struct dpmgr_buf *buf;
	int ret;

	if (IS_ERR(client))
		return ERR_CAST(client);
	/* Any other is destroyed before: its buffers would be given up twice. */
	if (!client->is_devm) {
		dev_err(client->dev,
			"dma_pool_mgr: %s: a devm buffer needs a client from devm_dpmgr_client_create()\n",
			client->name);
		return ERR_PTR(-EINVAL);
	}
	buf = dpmgr_alloc(client, size, gfp, tag);
	if (IS_ERR(buf))
		return buf;
	ret = devm_add_action(client->dev, devm_action(client), buf);
	if (ret) {
		dpmgr_free(buf);
		return ERR_PTR(ret);
	}
	return buf;
}
EXPORT_SYMBOL_NS_GPL(devm_dpmgr_alloc, DMA_POOL_MGR);

/**
 * devm_dpmgr_free() - free a buffer before its driver goes
 * @client: the client
 * @buf: from devm_dpmgr_alloc(); or NULL or an ERR_PTR
 *
 * Context: may sleep.
 * Return: as dpmgr_free().
 */
int devm_dpmgr_free(struct dpmgr_client *client, struct dpmgr_buf *buf)
{
	if (IS_ERR_OR_NULL(buf))
		return 0;
	devm_remove_action(client->dev, devm_action(client), buf);
	return dpmgr_free(buf);
}
EXPORT_SYMBOL_NS_GPL(devm_dpmgr_free, DMA_POOL_MGR);
