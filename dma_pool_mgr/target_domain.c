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
#include <linux/bitops.h>
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

/* No device uses the domain any more: nothing can be reached through it. */
void dpmgr_domain_leave(struct dpmgr_iommu_target *iommu)
{
	const struct dpmgr_attached *last =
		list_first_entry(&iommu->devices, struct dpmgr_attached, node);

	if (!iommu->is_leaving)
		iommu_detach_group(iommu->domain, last->group);
	iommu->is_leaving = true;
}

static u64 smallest_page(const struct dpmgr_iommu_target *iommu)
{
	return 1UL << __ffs(iommu->domain->pgsize_bitmap);
}

/* The largest page that can be at @iova and is not longer than @left, as iommu_map() has it. */
static u64 largest_page(const struct dpmgr_iommu_target *iommu, u64 iova, u64 left)
{
	unsigned long sizes = iommu->domain->pgsize_bitmap & GENMASK(__fls(left), 0);

	if (iova)
		sizes &= GENMASK(__ffs(iova), 0);
	return 1UL << __fls(sizes);
}

static bool is_mapped(struct dpmgr_iommu_target *iommu, u64 iova)
{
	/* Not its first byte: that of the very first page is at 0, which means "no". */
	return iommu_iova_to_phys(iommu->domain, iova + 1);
}

/*
 * Unmap what is mapped of @extent from @done on, page by page: iommu_unmap() must not meet
 * a page that isn't mapped. There, most IOMMU drivers stop; VT-d's takes it for one of
 * whatever size the page table above it has, and unmaps what lies behind @extent.
 *
 * Return: 0; -EUCLEAN if something can't be unmapped, and something isn't mapped; or -EIO
 * if all of it is mapped.
 */
static int unmap_pages(struct dpmgr_iommu_target *iommu,
		       const struct dpmgr_map_extent *extent, u64 done)
{
	bool is_torn = done;
	u64 step;

	for (; done < extent->length; done += step) {
		const u64 iova = extent->iova + done;

		step = smallest_page(iommu);
		cond_resched();
		if (is_mapped(iommu, iova)) {
			step = largest_page(iommu, iova, extent->length - done);
			step = iommu_unmap(iommu->domain, iova, step);
			if (!step)
				return is_torn ? -EUCLEAN : -EIO;
		}
		is_torn = true;
	}
	/* What others have unmapped may not be flushed yet. */
	iommu_flush_iotlb_all(iommu->domain);
	return 0;
}

/*
 * iommu_map() takes back what the IOMMU's driver says that it has mapped. VT-d's doesn't
 * say it of what it had mapped when it ran out of memory.
 */
static int undo_map(struct dpmgr_iommu_target *iommu, const struct dpmgr_map_extent *extent,
		    int err)
{
	if (!unmap_pages(iommu, extent, 0))
		return err;
	if (iommu->target)
		return -EUCLEAN;
	/* One that could not be made goes, whatever stays in its domain. */
	dpmgr_domain_leave(iommu);
	return err;
}

static int domain_map(void *context, const struct dpmgr_map_extent *extent)
{
	struct dpmgr_iommu_target *iommu = context;
	const struct iommu_domain_geometry *geometry = &iommu->domain->geometry;
	const char *rule;
	int ret;

	lockdep_assert_held(&iommu->map->lock);
	ret = check_extent(iommu, extent, &rule);
	if (!ret) {
		ret = iommu_map(iommu->domain, extent->iova, extent->phys, extent->length,
				protection(extent), GFP_KERNEL);
		return ret ? undo_map(iommu, extent, ret) : 0;
	}
	pr_warn_ratelimited("%#llx-%#llx: %s; its aperture is %#llx-%#llx\n", extent->iova,
			    extent->iova + (extent->length - 1), rule,
			    (u64)geometry->aperture_start, (u64)geometry->aperture_end);
	return ret;
}

/*
 * Is the first page of @extent mapped, and each where pages become smaller? If iommu_unmap()
 * begins a run of pages with one that isn't, VT-d's driver unmaps what lies behind @extent;
 * where pages become larger, what is missing there is missing before that as well.
 */
static bool has_runs(struct dpmgr_iommu_target *iommu, const struct dpmgr_map_extent *extent)
{
	const unsigned long sizes = iommu->domain->pgsize_bitmap;
	const u64 end = extent->iova + extent->length;
	unsigned int bit;

	if (!is_mapped(iommu, extent->iova))
		return false;
	for_each_set_bit(bit, &sizes, BITS_PER_LONG) {
		const u64 smaller = ALIGN_DOWN(end, BIT_ULL(bit));

		if (smaller <= extent->iova)
			break;
		if (smaller < end && !is_mapped(iommu, smaller))
			return false;
	}
	return true;
}

static int domain_unmap(void *context, const struct dpmgr_map_extent *extent)
{
	struct dpmgr_iommu_target *iommu = context;
	u64 done = 0;
	int ret;

	lockdep_assert_held(&iommu->map->lock);
	if (likely(has_runs(iommu, extent))) {
		done = iommu_unmap(iommu->domain, extent->iova, extent->length);
		if (likely(done == extent->length))
			return 0;
	}
	/* There should be no holes, but what comes after one must go all the same. */
	ret = unmap_pages(iommu, extent, done);
	if (!ret)
		pr_err_ratelimited("an IOMMU domain had holes, or more than it was given, in %#llx-%#llx\n",
				   extent->iova, extent->iova + (extent->length - 1));
	/* One that could not be made goes, whatever stays in its domain. */
	if (ret && !iommu->target)
		dpmgr_domain_leave(iommu);
	return iommu->is_leaving ? 0 : ret;
}

const struct dpmgr_map_target_ops dpmgr_domain_ops = {
	.map = domain_map,
	.unmap = domain_unmap,
};
