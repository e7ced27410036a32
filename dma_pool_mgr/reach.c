// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether a device can use the addresses that its client would give it: nothing but one of
 * our targets translates them, and they are within its masks.
 *
 * That is decided when the client is created, and holds for as long as the client does. The
 * client remembers it: an IOMMU domain is not for others to look at, since a group's owner
 * may switch and free it at any time.
 *
 * Locking: the map's lock, if the device is behind an IOMMU, until the client is known.
 */
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/errno.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/pfn.h>
#include <linux/platform_device.h>

#include "client.h"
#include "map.h"
#include "policy.h"
#include "pool.h"

/*
 * Whether the driver core keeps a device's IOMMU group in its default domain for as long as
 * the device has its driver: then nothing else attaches the group, nor can its type be
 * switched in sysfs. It is the bus that does so, unless the driver says that it needs no such
 * thing. Of a bus that isn't known here only the count of all that keep the group can be asked.
 */
static bool keeps_default_domain(struct device *dev)
{
	struct iommu_group *group;
	bool is_owned;

	if (dev_is_pci(dev))
		return !to_pci_driver(dev->driver)->driver_managed_dma;
	if (dev_is_platform(dev))
		return !to_platform_driver(dev->driver)->driver_managed_dma;
	group = iommu_group_get(dev);
	is_owned = group && iommu_group_dma_owner_claimed(group);
	iommu_group_put(group);
	return is_owned;
}

/* Why a domain that the driver core keeps is of no use; NULL if it is of use. */
static const char *domain_rule(const struct iommu_domain *domain)
{
	if (!domain)
		return NULL;
	switch (domain->type) {
	case IOMMU_DOMAIN_IDENTITY:
		return NULL;
	case IOMMU_DOMAIN_BLOCKED:
		return "the device is in a blocking IOMMU domain; buffers need untranslated DMA";
	case IOMMU_DOMAIN_UNMANAGED:
		return "the device is in an IOMMU domain that is none of our targets'";
	case IOMMU_DOMAIN_DMA:
	case IOMMU_DOMAIN_DMA_FQ:
		return "the device is in a translating IOMMU domain; boot with iommu=pt";
	default:
		return "the device's IOMMU domain may translate; buffers need untranslated DMA";
	}
}

/* Whether pool addresses are of use to a device that is attached to no target. */
static int check_domain(struct dpmgr *mgr, struct device *dev, const char **rule)
{
	*rule = "another device of its IOMMU group is attached to a target: attach this one too";
	if (dpmgr_iommu_targets_have_group(mgr->map, dev))
		return -EBUSY;
	*rule = "it has no driver, so its IOMMU group may be switched under it";
	if (!dev->driver)
		return -EOPNOTSUPP;
	*rule = "driver_managed_dma without a target: attach it to one, or drop driver_managed_dma";
	if (!keeps_default_domain(dev))
		return -EOPNOTSUPP;
	*rule = domain_rule(iommu_get_domain_for_dev(dev));
	return *rule ? -EOPNOTSUPP : 0;
}

/* Whether the device reaches pool addresses as they are, and all of the pool it needs. */
static int check_iommu(struct dpmgr *mgr, struct device *dev, const struct dpmgr_pool *pool,
		       struct dpmgr_reach *reach, const char **rule)
{
	const struct dpmgr_pool *shared = mgr->pools[DPMGR_SHARED];

	reach->has_bounces = true;
	if (!device_iommu_mapped(dev))
		return 0;
	reach->in_target = dpmgr_iommu_targets_have(mgr->map, dev);
	if (!reach->in_target)
		return check_domain(mgr, dev, rule);
	*rule = "the device's IOMMU target has the pools, and no locked pages";
	if (!pool)
		return -EOPNOTSUPP;
	*rule = "a region hides the pool from the device's IOMMU target, or it is stalled";
	if (!dpmgr_map_has_pool(mgr->map, pool))
		return -EBUSY;
	reach->has_bounces = !shared || dpmgr_map_has_pool(mgr->map, shared);
	return 0;
}

/*
 * The page after the last that the device can address, coherently or not, if
 * @bias is added to the page's address.
 */
static u64 end_of(struct device *dev, u64 bias)
{
	u64 mask = min_not_zero(dma_get_mask(dev), dev->bus_dma_limit);

	mask = min_not_zero(mask, dev->coherent_dma_mask);
	if (mask < bias)
		return 0;
	mask -= bias;
	return PHYS_PFN(mask) + (offset_in_page(mask) == ~PAGE_MASK);
}

static void report_masks(struct device *dev, const struct dpmgr_pool *pool)
{
	struct dpmgr_page_range_info info;

	dpmgr_pages_info(&pool->pages, 0, &info);
	dev_warn(dev, "dma_pool_mgr: the pool begins at DMA address %#llx; the DMA mask is %#llx, the coherent one %#llx, the bus's limit %#llx (0: none)\n",
		 PFN_PHYS(info.base_pfn) | pool->bias, dma_get_mask(dev),
		 dev->coherent_dma_mask, dev->bus_dma_limit);
}

/*
 * A buffer's DMA address is its physical one: the device must be able to use
 * that, and some page must lie within its reach.
 */
int dpmgr_reach_check(struct dpmgr *mgr, struct device *dev,
		      const struct dpmgr_backing *backing,
		      const struct dpmgr_client_params *params,
		      struct dpmgr_reach *reach, const char **rule)
{
	const struct dpmgr_pool *pool = backing->pool;
	struct dpmgr_page_request request = {
		.persistent = params->persistent,
		.end_pfn = U64_MAX,
	};
	int ret;

	*reach = (struct dpmgr_reach){ };
	*rule = "the device's bus translates DMA addresses";
	if (dev->dma_range_map)
		return -EOPNOTSUPP;
	ret = check_iommu(mgr, dev, pool, reach, rule);
	if (ret)
		return ret;
	reach->end_pfn = end_of(dev, pool ? pool->bias : 0);
	reach->max_pages = min_t(unsigned long, totalram_pages(), INT_MAX);
	if (!pool)
		return 0;
	*rule = "no range of the pool survives a kexec; add one as SIZE@START";
	if (!dpmgr_pages_largest(&pool->pages, &request))
		return -ENODEV;
	request.end_pfn = reach->end_pfn;
	*rule = "the pool, at the addresses that devices use, lies above the device's DMA mask";
	reach->max_pages = dpmgr_pages_largest(&pool->pages, &request);
	if (reach->max_pages)
		return 0;
	report_masks(dev, pool);
	return -EOPNOTSUPP;
}
