// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether a device can use the addresses that its client would give it: nothing but one of
 * our targets translates them, and they are within its masks.
 */
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/errno.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/pfn.h>

#include "client.h"
#include "core/export.h"
#include "map.h"
#include "policy.h"
#include "pool.h"

/* Is the device in the domain of one of our targets? Context: any. */
bool dpmgr_reach_is_in_target(const struct dpmgr *mgr, struct device *dev)
{
	const struct iommu_domain *domain = iommu_get_domain_for_dev(dev);

	return domain && domain->type == IOMMU_DOMAIN_UNMANAGED &&
	       dpmgr_iommu_target_uses(mgr->map, domain);
}

/* Why pool addresses are of no use to a device; NULL if they are. Context: any. */
const char *dpmgr_reach_rule(const struct dpmgr *mgr, struct device *dev)
{
	const struct iommu_domain *domain = iommu_get_domain_for_dev(dev);

	if (dev->dma_range_map)
		return "the device's bus translates DMA addresses";
	if (!domain || dpmgr_reach_is_in_target(mgr, dev))
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
EXPORT_SYMBOL_FOR_TESTS(dpmgr_reach_rule);

/* Has the device's target, if it is in one, the pool that streams bounce in? May sleep. */
bool dpmgr_reach_has_bounces(const struct dpmgr *mgr, struct device *dev)
{
	const struct dpmgr_pool *pool = mgr->pools[DPMGR_SHARED];

	return !pool || !dpmgr_reach_is_in_target(mgr, dev) || dpmgr_map_has_pool(mgr->map, pool);
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

/*
 * A buffer's DMA address is its physical one: the device must be able to use
 * that, and some page must lie within its reach.
 */
int dpmgr_reach_check(struct dpmgr *mgr, struct device *dev,
		      const struct dpmgr_backing *backing,
		      const struct dpmgr_client_params *params, u64 *end_pfn,
		      u64 *max_pages, const char **rule)
{
	const struct dpmgr_pool *pool = backing->pool;
	struct dpmgr_page_request request = {
		.persistent = params->persistent,
		.end_pfn = U64_MAX,
	};

	*rule = dpmgr_reach_rule(mgr, dev);
	if (*rule)
		return -EOPNOTSUPP;
	*rule = "the device's IOMMU target has the pools, and no locked pages";
	if (!pool && dpmgr_reach_is_in_target(mgr, dev))
		return -EOPNOTSUPP;
	*rule = "a region hides the pool from the device's IOMMU target, or it is stalled";
	if (pool && dpmgr_reach_is_in_target(mgr, dev) && !dpmgr_map_has_pool(mgr->map, pool))
		return -EBUSY;
	*end_pfn = end_of(dev, pool ? pool->bias : 0);
	*max_pages = min_t(unsigned long, totalram_pages(), INT_MAX);
	if (!pool)
		return 0;
	*rule = "no range of the pool survives a kexec; add one as SIZE@START";
	if (!dpmgr_pages_largest(&pool->pages, &request))
		return -ENODEV;
	request.end_pfn = *end_pfn;
	*rule = "the pool, at the addresses that devices use, lies above the device's DMA mask";
	*max_pages = dpmgr_pages_largest(&pool->pages, &request);
	return *max_pages ? 0 : -EOPNOTSUPP;
}
