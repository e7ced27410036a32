// SPDX-License-Identifier: GPL-2.0-only
/*
 * A frame for what driver-api.rst says of streams: a device that reports fewer bytes than
 * it was given room for.
 */
#include <linux/dma-mapping.h>
#include <linux/dma_pool_mgr.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/string.h>

#define ROOM		10000
#define REPORTED	9000
#define PATTERN		0x5a

struct my {
	struct dpmgr_client *client;
	struct {
		dma_addr_t addr;
		size_t len;
	} pieces[8];
	unsigned int nr_pieces;
};

static void my_add(struct my *my, dma_addr_t addr, size_t len)
{
	if (WARN_ON(my->nr_pieces == ARRAY_SIZE(my->pieces)))
		return;
	my->pieces[my->nr_pieces].addr = addr;
	my->pieces[my->nr_pieces++].len = len;
}

static size_t my_reported_len(struct my *my)
{
	return REPORTED;
}

/* The device is untranslated: it writes at physical addresses. */
static void my_start(struct my *my)
{
	size_t left = my_reported_len(my), n;
	unsigned int i;

	for (i = 0; i < my->nr_pieces && left; i++, left -= n) {
		n = min(my->pieces[i].len, left);
		memset(phys_to_virt(my->pieces[i].addr), PATTERN, n);
	}
}

static void my_wait(struct my *my)
{
}

static int my_receive(struct my *my, void *data, size_t len)
{
	struct dpmgr_stream *stream;
	dma_addr_t addr;
	size_t at, n;

#include "driver-api-1.inc"
	return 0;
}

static int my_streams_probe(struct platform_device *pdev)
{
	const struct dpmgr_client_params params = {
		DPMGR_CLIENT_PARAMS_INIT,
		.name = "my-streams",
		.visibility = DPMGR_SHARED,
	};
	struct dpmgr *mgr = dpmgr_default_get();
	struct my my = {};
	u8 *data;
	int ret;

	dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	my.client = devm_dpmgr_client_create(mgr, &pdev->dev, &params);
	dpmgr_put(mgr);
	if (IS_ERR(my.client))
		return PTR_ERR(my.client);
	data = kzalloc(ROOM, GFP_KERNEL);
	if (!data)
		return -ENOMEM;
	ret = my_receive(&my, data, ROOM);
	if (!ret && (memchr_inv(data, PATTERN, REPORTED) ||
		     memchr_inv(data + REPORTED, 0, ROOM - REPORTED)))
		ret = -EIO;
	kfree(data);
	if (!ret)
		dev_info(&pdev->dev, "received %u bytes\n", REPORTED);
	return ret;
}

static struct platform_driver my_streams_driver = {
	.driver.name = "my-streams",
	.probe = my_streams_probe,
};
module_platform_driver(my_streams_driver);

MODULE_IMPORT_NS(DMA_POOL_MGR);
MODULE_DESCRIPTION("What the DMA pool manager's documents say of streams");
MODULE_LICENSE("GPL");
