// SPDX-License-Identifier: GPL-2.0-only
#include "region_iommu.h"

int region_iommu_init(struct kunit *test)
{
	mock_iommu_start(test);
	return region_init(test);
}

void region_iommu_load_pools(struct kunit *test)
{
	struct fixture *f = test->priv;

	fixture_unload(f);
	f->config.nr_ranges[DPMGR_SHARED] = 1;
	f->config.nr_ranges[DPMGR_PRIVATE] = 2;
	f->config.state = &f->state;
	fixture_load(test, f);
}

struct dpmgr_map_region *region_at(struct kunit *test, u64 start, u64 length,
				   enum dpmgr_map_memory memory)
{
	const struct dpmgr_map_region_params params = {
		.size = sizeof(params),
		.name = "region",
		.start = start,
		.length = length,
		.memory = memory,
	};
	struct fixture *f = test->priv;
	struct dpmgr_map_region *region = dpmgr_map_region_create(f->mgr, &params);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, region);
	KUNIT_ASSERT_EQ(test, 0, dpmgr_map_region_enable(region, DPMGR_MAP_WRITABLE));
	return region;
}

static void released(void *data)
{
	struct backing *backing = data;

	backing->nr_released++;
}

int add_backed(struct dpmgr_map_region *region, u64 offset, u64 length,
	       struct backing *backing)
{
	const struct dpmgr_map_sub_params params = {
		.size = sizeof(params),
		.offset = offset,
		.length = length,
		.phys = region->start + offset,
		.access = DPMGR_MAP_WRITABLE,
		.release = backing ? released : NULL,
		.data = backing,
	};

	return dpmgr_map_add(region, &params);
}

struct dpmgr_iommu_target *target_new(struct kunit *test,
				      const struct mock_device *device)
{
	struct fixture *f = test->priv;
	struct dpmgr_iommu_target *target = dpmgr_iommu_target_create(f->mgr, device->dev);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, target);
	return target;
}

int attach_errno(struct kunit *test, struct device *dev, const struct device *peer)
{
	struct fixture *f = test->priv;

	return PTR_ERR_OR_ZERO(dpmgr_iommu_target_attach(f->mgr, dev, peer));
}

void expect_refused(struct kunit *test, const struct mock_device *device, int err)
{
	struct fixture *f = test->priv;

	KUNIT_EXPECT_EQ(test, err,
			PTR_ERR_OR_ZERO(dpmgr_iommu_target_create(f->mgr, device->dev)));
	KUNIT_EXPECT_EQ(test, mock_reach(device, 0), SIZE_MAX);
	KUNIT_EXPECT_EQ(test, mock_iommu.nr_domains, 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&f->mgr->map->targets));
	KUNIT_EXPECT_TRUE(test, list_empty(&f->mgr->map->lost));
	KUNIT_EXPECT_TRUE(test, list_empty(&f->mgr->map->iommu_targets));
}
