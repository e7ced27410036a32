// SPDX-License-Identifier: GPL-2.0-only
/*
 * A sample consumer of the DMA pool manager: a driver without hardware.
 *
 * The first kernel's probe takes several buffers from a shared and a private
 * persistent client and fills them with a pattern derived from tag and offset.
 * When the module or the kernel goes, they are parked. The next probe, after a
 * kexec or a reload, retrieves them and verifies every byte.
 *
 * Locking: none needed; probe and remove of one device don't run at once.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/dma-mapping.h>
#include <linux/dma_pool_mgr.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/sizes.h>

static bool free_on_remove;
module_param(free_on_remove, bool, 0644);
MODULE_PARM_DESC(free_on_remove, "Free the buffers when the driver goes, instead of parking them (default: no)");

static const struct {
	const char *tag;
	size_t size;
} wanted[] = {
	{ "admin queue", SZ_4K },
	{ "submission queue 1", 3 * SZ_4K },
	{ "completion queue 1", 5000 },
	{ "data", SZ_64K },
	{ "data", SZ_1M },
};

#define NR_WANTED	ARRAY_SIZE(wanted)
#define NR_CLIENTS	2
#define NR_ALL		(NR_WANTED * NR_CLIENTS)

struct demo_client {
	struct dpmgr_client *client;
	const char *name;
	struct dpmgr_buf *bufs[NR_WANTED];
	unsigned int nr_bufs;
};

struct demo {
	struct demo_client clients[NR_CLIENTS];
};

static u8 pattern(const char *tag, size_t offset)
{
	return tag[offset % strlen(tag)] + (offset >> 8) + offset * 7;
}

static void report(const struct demo_client *demo, struct dpmgr_buf *buf,
		   const char *what)
{
	pr_info("%s \"%s\": %zu bytes at pfn %#llx: %s\n", demo->name,
		dpmgr_buf_tag(buf), dpmgr_buf_size(buf), dpmgr_buf_pfn(buf, 0),
		what);
}

static int fill_one(struct demo_client *demo, const char *tag, size_t size)
{
	struct dpmgr_buf *buf = dpmgr_alloc(demo->client, size, GFP_KERNEL, tag);
	size_t i;
	u8 *bytes;

	if (IS_ERR(buf))
		return PTR_ERR(buf);
	demo->bufs[demo->nr_bufs++] = buf;
	bytes = dpmgr_buf_vaddr(buf);
	for (i = 0; i < size; i++) {
		if (bytes[i]) {
			pr_err("%s \"%s\": a new buffer is not zero\n",
			       demo->name, tag);
			return -EIO;
		}
		bytes[i] = pattern(tag, i);
	}
	report(demo, buf, "filled");
	return 0;
}

/* Take all buffers or none: the next driver expects a whole set. */
static int fill(struct demo_client *demo)
{
	int ret = 0;

	while (!ret && demo->nr_bufs < NR_WANTED)
		ret = fill_one(demo, wanted[demo->nr_bufs].tag,
			       wanted[demo->nr_bufs].size);
	while (ret && demo->nr_bufs)
		dpmgr_free(demo->bufs[--demo->nr_bufs]);
	return ret;
}

/* A driver with hardware would free the buffer here, and take another. */
static void bad_page(struct dpmgr_client *client, u64 pfn)
{
	dev_warn(dpmgr_client_dev(client), "pfn %#llx holds a memory error\n", pfn);
}

static int verify(const struct demo_client *demo, struct dpmgr_buf *buf)
{
	const u8 *bytes = dpmgr_buf_vaddr(buf);
	const char *tag = dpmgr_buf_tag(buf);
	size_t size = dpmgr_buf_size(buf), i;

	if (dpmgr_buf_nr_bad_pages(buf)) {
		report(demo, buf, "has memory errors");
		return 0;
	}
	for (i = 0; i < size; i++) {
		if (bytes[i] == pattern(tag, i))
			continue;
		pr_err("%s \"%s\": byte %zu is %#04x, expected %#04x\n",
		       demo->name, tag, i, bytes[i], pattern(tag, i));
		return -EIO;
	}
	report(demo, buf, "verified");
	return 0;
}

/* Retrieve and verify what an earlier driver left: a whole set, or nothing. */
static int take_over(struct demo_client *demo)
{
	int ret;

	for (;;) {
		struct dpmgr_buf *buf = dpmgr_retrieve_next(demo->client);

		if (buf == ERR_PTR(-ENOENT))
			break;
		if (IS_ERR(buf))
			return PTR_ERR(buf);
		if (demo->nr_bufs == NR_WANTED) {
			pr_err("%s: more buffers than were taken\n", demo->name);
			return -EIO;
		}
		demo->bufs[demo->nr_bufs++] = buf;
		ret = verify(demo, buf);
		if (ret)
			return ret;
	}
	if (demo->nr_bufs && demo->nr_bufs < NR_WANTED) {
		pr_err("%s: %u of %zu buffers are left\n", demo->name,
		       demo->nr_bufs, NR_WANTED);
		return -EIO;
	}
	return 0;
}

/*
 * Buffers are kept out of use if the earlier driver's client was not kept: its device may
 * write to them still. A real driver resets its device first; here there is none.
 */
static int give_back_kept_out(struct demo_client *demo)
{
	size_t nr = dpmgr_client_nr_kept_out(demo->client);

	if (!nr)
		return 0;
	pr_info("%s: not kept: %zu buffers are given back\n", demo->name, nr);
	return dpmgr_client_stopped(demo->client);
}

static int start(struct platform_device *pdev, struct dpmgr *mgr,
		 struct demo_client *demo, enum dpmgr_visibility visibility)
{
	const struct dpmgr_client_params params = {
		DPMGR_CLIENT_PARAMS_INIT,
		.name = visibility == DPMGR_SHARED ? "dpmgr-demo-shared" :
						     "dpmgr-demo-private",
		.visibility = visibility,
		.persistent = true,
		.owner = THIS_MODULE,
		.bad_page = bad_page,
	};

	demo->name = params.name;
	demo->client = devm_dpmgr_client_create(mgr, &pdev->dev, &params);
	if (IS_ERR(demo->client))
		return PTR_ERR(demo->client);
	return take_over(demo) ?:
	       give_back_kept_out(demo) ?:
	       dpmgr_client_finish(demo->client);
}

static void report_all(unsigned int nr, const char *what)
{
	if (nr)
		pr_info("%s %u of %zu buffers\n", what, nr, NR_ALL);
}

static int demo_probe(struct platform_device *pdev)
{
	static const enum dpmgr_visibility visibilities[NR_CLIENTS] = {
		DPMGR_SHARED, DPMGR_PRIVATE,
	};
	unsigned int nr_verified = 0, nr_filled = 0, v;
	struct demo *demo;
	struct dpmgr *mgr;
	int ret;

	demo = devm_kzalloc(&pdev->dev, sizeof(*demo), GFP_KERNEL);
	if (!demo)
		return -ENOMEM;
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;

	mgr = dpmgr_default_get();
	if (IS_ERR(mgr))
		return PTR_ERR(mgr);
	for (v = 0; v < NR_CLIENTS && !ret; v++) {
		ret = start(pdev, mgr, &demo->clients[v], visibilities[v]);
		nr_verified += demo->clients[v].nr_bufs;
	}
	dpmgr_put(mgr);
	for (v = 0; v < NR_CLIENTS && !ret; v++) {
		if (demo->clients[v].nr_bufs)
			continue;
		ret = fill(&demo->clients[v]);
		nr_filled += demo->clients[v].nr_bufs;
	}
	if (ret)
		return ret;

	platform_set_drvdata(pdev, demo);
	report_all(nr_verified, "verified");
	report_all(nr_filled, "filled");
	return 0;
}

static void demo_remove(struct platform_device *pdev)
{
	struct demo *demo = platform_get_drvdata(pdev);
	unsigned int v, i;

	for (v = 0; free_on_remove && v < NR_CLIENTS; v++)
		for (i = 0; i < demo->clients[v].nr_bufs; i++)
			dpmgr_free(demo->clients[v].bufs[i]);
	/* devres destroys the clients, which parks what was not freed. */
}

static struct platform_driver demo_driver = {
	.driver.name = KBUILD_MODNAME,
	.remove = demo_remove,
};

static struct platform_device *demo_device;

static int __init demo_init(void)
{
	demo_device = platform_create_bundle(&demo_driver, demo_probe, NULL, 0,
					     NULL, 0);
	return PTR_ERR_OR_ZERO(demo_device);
}
module_init(demo_init);

static void __exit demo_exit(void)
{
	platform_device_unregister(demo_device);
	platform_driver_unregister(&demo_driver);
}
module_exit(demo_exit);

MODULE_DESCRIPTION("Sample driver for the DMA pool manager");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(DMA_POOL_MGR);
