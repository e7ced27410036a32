// SPDX-License-Identifier: GPL-2.0-only
/*
 * A PCI device's memory as a region, so that other devices can reach it.
 *
 * Only the driver that owns the device knows when its memory answers. It enables the
 * region after that begins, and disables it before it ends: before the device is
 * disabled, reset, put to sleep or given up. A driver that leaves without having done
 * so is told off, and it is done for it.
 *
 * Locking: none of its own.
 */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>

#include "map.h"

struct bar {
	struct dpmgr_map_region *region;
};

static void bar_released(void *pdev)
{
	pci_dev_put(pdev);
}

static bool is_enabled(struct dpmgr_map_region *region)
{
	guard(mutex)(&region->map->lock);
	return region->enabled;
}

static void bar_leaves(struct device *dev, void *data)
{
	struct bar *bar = data;

	if (is_enabled(bar->region))
		dev_err(dev, "dma_pool_mgr: the driver has left a BAR mapped for other devices\n");
	/*
	 * What is stuck keeps the struct pci_dev, by bar_released(). Nothing can keep the
	 * addresses: whatever comes there next is within reach.
	 */
	if (dpmgr_map_region_destroy(bar->region))
		dev_err(dev, "dma_pool_mgr: other devices may still reach a BAR, and what will be at its addresses\n");
}

static int check_bar(struct pci_dev *pdev, int index)
{
	u64 start, length;

	if (index < 0 || index >= PCI_STD_NUM_BARS ||
	    !(pci_resource_flags(pdev, index) & IORESOURCE_MEM) ||
	    (pci_resource_flags(pdev, index) & IORESOURCE_UNSET)) {
		pci_err(pdev, "dma_pool_mgr: there is no memory BAR %d\n", index);
		return -EINVAL;
	}
	start = pci_resource_start(pdev, index);
	length = pci_resource_len(pdev, index);
	if (!length || !PAGE_ALIGNED(start | length)) {
		pci_err(pdev, "dma_pool_mgr: BAR %d shares a page with something else\n",
			index);
		return -EINVAL;
	}
	return 0;
}

static int fill(struct pci_dev *pdev, int index, struct dpmgr_map_region *region)
{
	const struct dpmgr_map_sub_params params = {
		.size = sizeof(params),
		.length = pci_resource_len(pdev, index),
		.phys = pci_resource_start(pdev, index),
		.access = DPMGR_MAP_WRITABLE,
		.owner = THIS_MODULE,
		.release = bar_released,
		.data = pci_dev_get(pdev),
	};
	int ret = dpmgr_map_add(region, &params);

	if (ret)
		pci_dev_put(pdev);
	return ret;
}

/**
 * devm_dpmgr_map_bar() - a region for a device's memory, that goes with its driver
 * @mgr: the manager, or an ERR_PTR, which is returned
 * @pdev: the device, which the caller is the driver of
 * @bar: which BAR, 0 to 5; a memory BAR of whole pages
 *
 * The region has the BAR as its only sub-mapping, at its physical address, and is
 * disabled. Enable it with dpmgr_map_region_enable() while the device's memory answers
 * and disable it before it doesn't any more: before the device is disabled, reset, put
 * to sleep or removed. If the driver is unbound before that, it is disabled then, and
 * the log says that it should have been. It is destroyed by itself only.
 *
 * Context: may sleep.
 * Return: the region; an ERR_PTR of -EINVAL or -ENOMEM, as dpmgr_map_region_create().
 */
struct dpmgr_map_region *devm_dpmgr_map_bar(struct dpmgr *mgr, struct pci_dev *pdev,
					    int bar)
{
	struct dpmgr_map_region_params params = {
		.size = sizeof(params),
		.memory = DPMGR_MAP_DEVICE,
	};
	char name[DPMGR_NAME_MAX + 1];
	struct bar *res;
	int ret;

	if (IS_ERR(mgr))
		return ERR_CAST(mgr);
	ret = check_bar(pdev, bar);
	if (ret)
		return ERR_PTR(ret);
	res = devres_alloc(bar_leaves, sizeof(*res), GFP_KERNEL);
	if (!res)
		return ERR_PTR(-ENOMEM);
	snprintf(name, sizeof(name), "%s BAR %d", pci_name(pdev), bar);
	params.name = name;
	params.start = pci_resource_start(pdev, bar);
	params.length = pci_resource_len(pdev, bar);
	res->region = dpmgr_map_region_create(mgr, &params);
	if (IS_ERR(res->region)) {
		ret = PTR_ERR(res->region);
		devres_free(res);
		return ERR_PTR(ret);
	}
	ret = fill(pdev, bar, res->region);
	if (ret) {
		dpmgr_map_region_destroy(res->region);
		devres_free(res);
		return ERR_PTR(ret);
	}
	devres_add(&pdev->dev, res);
	return res->region;
}
EXPORT_SYMBOL_NS_GPL(devm_dpmgr_map_bar, DMA_POOL_MGR);
