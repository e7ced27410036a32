// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is mapped in an IOMMU target's domain: its operations, as the map calls them.
 *
 * Addresses are identity-mapped, so that a device that goes on running when a kexec
 * turns the IOMMU off does not notice. Each sub-mapping is mapped by one iommu_map() and
 * unmapped by one iommu_unmap(), which flushes: superpages lie inside one sub-mapping,
 * and go with it.
 *
 * Locking: the map's lock, for everything.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/align.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/sched.h>

#include "target_iommu.h"

static int check_windows(const struct dpmgr_iommu_target *iommu,
			 const struct dpmgr_map_extent *extent)
{
	const u64 last = extent->iova + (extent->length - 1);
	const struct iommu_resv_region *window;
	const struct dpmgr_attached *attached;

	list_for_each_entry(attached, &iommu->devices, node)
		list_for_each_entry(window, &attached->windows, list)
			if (dpmgr_window_is_reserved(window) && window->start <= last &&
			    extent->iova <= dpmgr_window_last(window))
				return -ERANGE;
	return 0;
}

static int check_extent(const struct dpmgr_iommu_target *iommu,
			const struct dpmgr_map_extent *extent, const char **rule)
{
	const struct iommu_domain *domain = iommu->domain;
	const u64 last = extent->iova + (extent->length - 1);

	*rule = "it is not at its physical address";
	if (extent->iova != extent->phys)
		return -EOPNOTSUPP;
	*rule = "it must consist of whole pages of the IOMMU's";
	if (!IS_ALIGNED(extent->iova | extent->length,
			1UL << __ffs(domain->pgsize_bitmap)))
		return -EINVAL;
	*rule = "it is beyond what the IOMMU can map";
	if (extent->iova < domain->geometry.aperture_start ||
	    last > domain->geometry.aperture_end)
		return -ERANGE;
	*rule = "a device's IOMMU reserves addresses there";
	return check_windows(iommu, extent);
}

static int protection(const struct dpmgr_map_extent *extent)
{
	int prot = IOMMU_READ;

	if (extent->access == DPMGR_MAP_WRITABLE)
		prot |= IOMMU_WRITE;
	return prot | (extent->memory == DPMGR_MAP_RAM ? IOMMU_CACHE : IOMMU_MMIO);
}

static int domain_map(void *context, const struct dpmgr_map_extent *extent)
{
	struct dpmgr_iommu_target *iommu = context;
	const struct iommu_domain_geometry *geometry = &iommu->domain->geometry;
	const char *rule;
	int ret;

	lockdep_assert_held(&iommu->map->lock);
	ret = check_extent(iommu, extent, &rule);
	if (!ret)
		return iommu_map(iommu->domain, extent->iova, extent->phys, extent->length,
				 protection(extent), GFP_KERNEL);
	pr_warn_ratelimited("%#llx-%#llx: %s; its aperture is %#llx-%#llx\n", extent->iova,
			    extent->iova + (extent->length - 1), rule,
			    (u64)geometry->aperture_start, (u64)geometry->aperture_end);
	return ret;
}

static bool is_mapped(struct dpmgr_iommu_target *iommu, u64 iova)
{
	/* Not its first byte: that of the very first page is at 0, which means "no". */
	return iommu_iova_to_phys(iommu->domain, iova + 1);
}

/*
 * A page that isn't mapped ends an iommu_unmap() too soon. There should be none: but
 * what comes after it must go, and be flushed, all the same. 0; -EUCLEAN if that can't be
 * and some of @extent isn't mapped, or -EIO if all of it is.
 */
static int unmap_rest(struct dpmgr_iommu_target *iommu,
		      const struct dpmgr_map_extent *extent, u64 done)
{
	bool is_torn = done;
	u64 step;

	for (; done < extent->length; done += step) {
		step = PAGE_SIZE;
		cond_resched();
		if (is_mapped(iommu, extent->iova + done)) {
			step = iommu_unmap(iommu->domain, extent->iova + done,
					   extent->length - done);
			if (!step)
				return is_torn ? -EUCLEAN : -EIO;
		}
		is_torn = true;
	}
	iommu_flush_iotlb_all(iommu->domain);
	pr_err_ratelimited("an IOMMU domain had holes, or more than it was given, in %#llx-%#llx\n",
			   extent->iova, extent->iova + (extent->length - 1));
	return 0;
}

/* No device uses the domain any more: nothing can be reached through it. */
void dpmgr_domain_leave(struct dpmgr_iommu_target *iommu)
{
	const struct dpmgr_attached *last =
		list_first_entry(&iommu->devices, struct dpmgr_attached, node);

	if (!iommu->is_leaving)
		iommu_detach_group(iommu->domain, last->group);
	iommu->is_leaving = true;
}

static int domain_unmap(void *context, const struct dpmgr_map_extent *extent)
{
	struct dpmgr_iommu_target *iommu = context;
	u64 done;
	int ret;

	lockdep_assert_held(&iommu->map->lock);
	done = iommu_unmap(iommu->domain, extent->iova, extent->length);
	if (likely(done == extent->length))
		return 0;
	ret = unmap_rest(iommu, extent, done);
	/* One that could not be made goes, whatever stays in its domain. */
	if (ret && !iommu->target)
		dpmgr_domain_leave(iommu);
	return iommu->is_leaving ? 0 : ret;
}

const struct dpmgr_map_target_ops dpmgr_domain_ops = {
	.map = domain_map,
	.unmap = domain_unmap,
};
