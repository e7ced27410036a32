// SPDX-License-Identifier: GPL-2.0-only
/*
 * A frame for what driver-api.rst says of freezing and of taking over: a device whose only
 * register is the address of its queue, and which forgets it when it is reset.
 */
#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/dma_pool_mgr.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/sizes.h>

struct my_state {
	u32 version;
	u32 reserved;
	u64 queue;
};

struct my {
	struct dpmgr_client *client;
	struct dpmgr_buf *queue;
	struct device *dev;
	struct completion drained;
	bool quiet;
};

static int my_quiesce(struct my *my, struct my_state *state)
{
	const struct dpmgr_client *client = my->client;
	int ret = 0;

	my->quiet = true;
	complete(&my->drained);
#include "driver-api-3.inc"
	state->queue = dpmgr_buf_dma_addr(my->queue);
	return ret;
}

static void my_go_on(struct my *my)
{
	my->quiet = false;
	dev_info(my->dev, "goes on\n");
}

static void my_reset(struct my *my)
{
	dev_info(my->dev, "reset\n");
}

static bool my_is_running(struct my *my, const struct my_state *state)
{
	return state->queue;
}

#include "driver-api-2.inc"

static int my_keepalive_probe(struct platform_device *pdev)
{
	struct dpmgr *mgr;
	struct my *my;
	int ret;

	my = devm_kzalloc(&pdev->dev, sizeof(*my), GFP_KERNEL);
	if (!my)
		return -ENOMEM;
	my->dev = &pdev->dev;
	init_completion(&my->drained);
	platform_set_drvdata(pdev, my);
	dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	mgr = dpmgr_default_get();
	ret = my_attach(my, mgr);
	dpmgr_put(mgr);
	if (!ret)
		dev_info(&pdev->dev, "queue at %#llx\n",
			 (u64)dpmgr_buf_dma_addr(my->queue));
	return ret;
}

static void my_keepalive_shutdown(struct platform_device *pdev)
{
	my_shutdown(&pdev->dev);
}

static struct platform_driver my_keepalive_driver = {
	.driver.name = "my-keepalive",
	.probe = my_keepalive_probe,
	.shutdown = my_keepalive_shutdown,
};
module_platform_driver(my_keepalive_driver);

MODULE_IMPORT_NS(DMA_POOL_MGR);
MODULE_DESCRIPTION("What the DMA pool manager's documents say of keepalive");
MODULE_LICENSE("GPL");
