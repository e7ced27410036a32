// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests in QEMU: a driver without hardware whose buffers VTL0 may reach.
 *
 * It has two private clients: a persistent one, whose buffers come from the pool,
 * and one that is not, whose buffers are locked pages. The probe retrieves what is
 * pending for the first and finishes; if there is nothing, it allocates. For the
 * second it always allocates. One more buffer from the pool it frees at once, so
 * that the manager has it in stock. Of each it says which pages it has, as
 * PAGE+LENGTH. When the driver goes, all are freed.
 *
 * Locking: none needed; probe and remove of one device don't run at once.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/dma-mapping.h>
#include <linux/dma_pool_mgr.h>
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/seq_buf.h>

/* Buffers' lengths, in pages. */
static const size_t from_pool[] = { 1, 8, 600 };
static const size_t locked[] = { 3, 20 };
static const size_t for_stock = 5;

struct vtl0 {
	struct dpmgr_client *pool_client;
	struct dpmgr_client *locked_client;
	struct dpmgr_buf *from_pool[ARRAY_SIZE(from_pool)];
	unsigned int nr_from_pool;
};

static void report(struct dpmgr_buf *buf, const char *what)
{
	size_t nr_pages = dpmgr_buf_nr_pages(buf), i, n;
	DECLARE_SEQ_BUF(pages, 512);

	for (i = 0; i < nr_pages; i += n) {
		u64 pfn = dpmgr_buf_pfn(buf, i);

		for (n = 1; i + n < nr_pages; n++)
			if (dpmgr_buf_pfn(buf, i + n) != pfn + n)
				break;
		seq_buf_printf(&pages, " %#llx+%zu", pfn, n);
	}
	pr_info("%s %s:%s\n", dpmgr_buf_tag(buf), what, seq_buf_str(&pages));
}

static struct dpmgr_buf *alloc(struct dpmgr_client *client, size_t nr_pages,
			       const char *tag)
{
	struct dpmgr_buf *buf;

	buf = dpmgr_alloc(client, nr_pages << PAGE_SHIFT, GFP_KERNEL, tag);
	if (!IS_ERR(buf))
		report(buf, "allocated");
	return buf;
}

static int take_over(struct vtl0 *vtl0)
{
	struct dpmgr_buf *buf;

	for (;;) {
		buf = dpmgr_retrieve_next(vtl0->pool_client);
		if (buf == ERR_PTR(-ENOENT))
			break;
		if (IS_ERR(buf))
			return PTR_ERR(buf);
		if (vtl0->nr_from_pool == ARRAY_SIZE(from_pool)) {
			pr_err("more buffers than were taken\n");
			return -EIO;
		}
		report(buf, "restored");
		vtl0->from_pool[vtl0->nr_from_pool++] = buf;
	}
	return dpmgr_client_finish(vtl0->pool_client);
}

static int fill(struct vtl0 *vtl0)
{
	struct dpmgr_buf *buf;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(from_pool); i++) {
		buf = alloc(vtl0->pool_client, from_pool[i], "pool");
		if (IS_ERR(buf))
			return PTR_ERR(buf);
		vtl0->from_pool[vtl0->nr_from_pool++] = buf;
	}
	return 0;
}

static int leave_in_stock(struct vtl0 *vtl0)
{
	struct dpmgr_buf *buf = alloc(vtl0->pool_client, for_stock, "stock");

	return IS_ERR(buf) ? PTR_ERR(buf) : dpmgr_free(buf);
}

/* Their client frees them when it is destroyed. */
static int take_locked(struct vtl0 *vtl0)
{
	struct dpmgr_buf *buf;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(locked); i++) {
		buf = alloc(vtl0->locked_client, locked[i], "locked");
		if (IS_ERR(buf))
			return PTR_ERR(buf);
	}
	return 0;
}

static int create_clients(struct device *dev, struct vtl0 *vtl0)
{
	struct dpmgr_client_params params = {
		DPMGR_CLIENT_PARAMS_INIT,
		.name = "vtl0-pool",
		.visibility = DPMGR_PRIVATE,
		.lower_vtl = DPMGR_LOWER_VTL_VTL0,
		.persistent = true,
	};
	struct dpmgr *mgr = dpmgr_default_get();

	vtl0->pool_client = devm_dpmgr_client_create(mgr, dev, &params);
	params.name = "vtl0-locked";
	params.persistent = false;
	vtl0->locked_client = devm_dpmgr_client_create(mgr, dev, &params);
	dpmgr_put(mgr);
	return PTR_ERR_OR_ZERO(vtl0->pool_client) ?:
	       PTR_ERR_OR_ZERO(vtl0->locked_client);
}

static int vtl0_probe(struct platform_device *pdev)
{
	struct device *dev = &pdev->dev;
	struct vtl0 *vtl0;
	int ret;

	vtl0 = devm_kzalloc(dev, sizeof(*vtl0), GFP_KERNEL);
	if (!vtl0)
		return -ENOMEM;
	platform_set_drvdata(pdev, vtl0);
	ret = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
	if (!ret)
		ret = create_clients(dev, vtl0);
	if (!ret)
		ret = take_over(vtl0);
	if (!ret && !vtl0->nr_from_pool)
		ret = fill(vtl0);
	if (!ret)
		ret = leave_in_stock(vtl0);
	return ret ?: take_locked(vtl0);
}

static void vtl0_remove(struct platform_device *pdev)
{
	struct vtl0 *vtl0 = platform_get_drvdata(pdev);
	unsigned int i;

	for (i = 0; i < vtl0->nr_from_pool; i++)
		dpmgr_free(vtl0->from_pool[i]);
}

static struct platform_driver vtl0_driver = {
	.driver.name = KBUILD_MODNAME,
	.remove = vtl0_remove,
};

static struct platform_device *vtl0_device;

static int __init vtl0_init(void)
{
	vtl0_device = platform_create_bundle(&vtl0_driver, vtl0_probe, NULL, 0,
					     NULL, 0);
	return PTR_ERR_OR_ZERO(vtl0_device);
}
module_init(vtl0_init);

static void __exit vtl0_exit(void)
{
	platform_device_unregister(vtl0_device);
	platform_driver_unregister(&vtl0_driver);
}
module_exit(vtl0_exit);

MODULE_DESCRIPTION("Buffers that VTL0 may reach, for tests");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(DMA_POOL_MGR);
