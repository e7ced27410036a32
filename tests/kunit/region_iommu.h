/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Regions at physical addresses, for IOMMU targets of devices behind the mock.
 */
#ifndef REGION_IOMMU_H
#define REGION_IOMMU_H

#include "iommu_mock.h"
#include "region.h"

/* The mock, and a manager without pools, in test->priv. */
int region_iommu_init(struct kunit *test);

/* Another manager in its place, with both pools and a state region. */
void region_iommu_load_pools(struct kunit *test);

/* In bytes; enabled. */
struct dpmgr_map_region *region_at(struct kunit *test, u64 start, u64 length,
				   enum dpmgr_map_memory memory);

struct backing {
	unsigned int nr_released;
};

/* Whatever is there is at its physical address. */
int add_backed(struct dpmgr_map_region *region, u64 offset, u64 length,
	       struct backing *backing);

static inline int add(struct dpmgr_map_region *region, u64 offset, u64 length)
{
	return add_backed(region, offset, length, NULL);
}

struct dpmgr_iommu_target *target_new(struct kunit *test,
				      const struct mock_device *device);

/* Let a device join another's target; 0 or an errno. */
int attach_errno(struct kunit *test, struct device *dev, const struct device *peer);

static inline int target_join(struct kunit *test, const struct mock_device *device,
			      const struct mock_device *peer)
{
	return attach_errno(test, device->dev, peer->dev);
}

/* dpmgr_iommu_target_create() is refused, and all is as before. */
void expect_refused(struct kunit *test, const struct mock_device *device, int err);

#endif /* REGION_IOMMU_H */
