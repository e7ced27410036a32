// SPDX-License-Identifier: GPL-2.0-only
/*
 * The IOMMU target, where the IOMMU can't do what it is told, or memory is out.
 */
#include "fault.h"
#include "region_iommu.h"

#define RW	DPMGR_MAP_WRITABLE

/* Mapped in three runs of pages: 4 KiB, 2 MiB twice, 4 KiB twice. */
#define RUNS_OFFSET	(SZ_2M - SZ_4K)
#define RUNS_LENGTH	(SZ_4K + SZ_4M + SZ_8K)
#define NR_RUNS		3

KUNIT_ARRAY_PARAM(style, mock_styles, mock_style_name);

/* Of @RUNS_LENGTH, how many unmaps there are to fail: AMD's of five pages, VT-d's of runs. */
static int nr_unmaps(void)
{
	return mock_iommu.is_vtd ? NR_RUNS : 5;
}

static void a_map_that_fails_midway_leaves_nothing(struct kunit *test)
{
	struct dpmgr_map_region *ram = region_at(test, SZ_1G, SZ_1G, DPMGR_MAP_RAM);
	struct dpmgr_map_region *bar = region_at(test, SZ_2G, SZ_1G, DPMGR_MAP_DEVICE);
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_iommu_target *target;
	int n;

	KUNIT_EXPECT_EQ(test, 0, add(ram, 0, SZ_4K));
	for (n = 0; n < 2 * NR_RUNS; n++) {
		mock_iommu.mid_run = n % 2;
		target = target_new(test, device);
		mock_iommu.maps = n / 2;
		KUNIT_EXPECT_EQ(test, -ENOSPC, add(ram, RUNS_OFFSET, RUNS_LENGTH));
		KUNIT_EXPECT_EQ(test, SZ_4K, mock_mapped(device));
		mock_iommu.maps = n / 2;
		KUNIT_EXPECT_EQ(test, 0, add(bar, RUNS_OFFSET, RUNS_LENGTH));
		KUNIT_EXPECT_EQ(test, SZ_4K, mock_mapped(device));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_remove(bar, 0, SZ_1G));
		KUNIT_EXPECT_EQ(test, 0, add(ram, RUNS_OFFSET, RUNS_LENGTH));
		dpmgr_iommu_target_detach(target, device->dev);
		mock_expect_events(test, n ? "+BPB-I" : "I+BPB-I");
		/* At the replay: one run more. */
		mock_iommu.maps = 1 + n / 2;
		expect_refused(test, device, -ENOSPC);
		mock_expect_events(test, "+BPB-I");
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_remove(ram, RUNS_OFFSET, RUNS_LENGTH));
	}
	KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_left);
	KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_torn);
	dpmgr_map_region_destroy(ram);
	dpmgr_map_region_destroy(bar);
}

static void an_unmap_that_fails_keeps_the_backing_until_it_succeeds(struct kunit *test)
{
	struct dpmgr_map_region *region = region_at(test, SZ_1G, SZ_1G, DPMGR_MAP_RAM);
	struct dpmgr_map_region *zero = region_at(test, 0, SZ_1M, DPMGR_MAP_RAM);
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_iommu_target *target = target_new(test, device);
	struct backing backing = { };
	int n;

	/* All of it, the first pages, and all but the last stay. */
	for (n = 0; n < nr_unmaps(); n++) {
		backing.nr_released = 0;
		KUNIT_EXPECT_EQ(test, 0, add_backed(region, RUNS_OFFSET, RUNS_LENGTH,
						    &backing));
		mock_iommu.unmaps = n;
		KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, dpmgr_map_remove(region, 0, SZ_1G));
		KUNIT_EXPECT_EQ(test, 0, backing.nr_released);
		KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_stale);
		KUNIT_EXPECT_EQ(test, SZ_4K,
				mock_reach(device, SZ_1G + RUNS_OFFSET + RUNS_LENGTH - 1));
		/* What is left goes with the next try. */
		KUNIT_EXPECT_EQ(test, -EBUSY, add(region, RUNS_OFFSET, SZ_4K));
		mock_iommu.unmaps = MOCK_NEVER;
		KUNIT_EXPECT_EQ(test, 0, add(region, RUNS_OFFSET, SZ_4K));
		KUNIT_EXPECT_EQ(test, 1, backing.nr_released);
		KUNIT_EXPECT_EQ(test, SZ_4K, mock_mapped(device));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_remove(region, 0, SZ_1G));
		KUNIT_EXPECT_EQ(test, 0, mock_mapped(device));
	}
	/* Also of the page whose physical address is 0. */
	KUNIT_EXPECT_EQ(test, 0, add(zero, 0, SZ_4K));
	mock_iommu.unmaps = 0;
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, dpmgr_map_region_disable(zero));
	mock_iommu.unmaps = MOCK_NEVER;
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(zero));
	dpmgr_iommu_target_detach(target, device->dev);
	dpmgr_map_region_destroy(zero);
	dpmgr_map_region_destroy(region);
}

/* Here: part of it does. What the map says is mapped, is. */
static void what_is_unmapped_in_part_is_mapped_again_as_a_whole(struct kunit *test)
{
	struct dpmgr_map_region *region = region_at(test, SZ_1G, SZ_1G, DPMGR_MAP_RAM);
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_iommu_target *target = target_new(test, device);
	int n;

	KUNIT_EXPECT_EQ(test, 0, add(region, RUNS_OFFSET, RUNS_LENGTH));
	/* Its first pages go; or others have taken the first before that. */
	for (n = 0; n < 2 * nr_unmaps() - 1; n++) {
		if (n >= nr_unmaps())
			mock_punch(device, SZ_1G + RUNS_OFFSET);
		mock_iommu.unmaps = n % nr_unmaps();
		KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, dpmgr_map_region_disable(region));
		/* All of it is there still, or what is left must go first, and can't. */
		KUNIT_EXPECT_EQ(test, n ? -EBUSY : 0, dpmgr_map_region_enable(region, RW));
		KUNIT_EXPECT_EQ(test, dpmgr_map_region_is_active(region), !n);
		KUNIT_EXPECT_EQ(test, mock_mapped(device) == RUNS_LENGTH, !n);
		mock_iommu.unmaps = MOCK_NEVER;
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(region, RW));
		KUNIT_EXPECT_TRUE(test, dpmgr_map_region_is_active(region));
		KUNIT_EXPECT_EQ(test, RUNS_LENGTH, mock_mapped(device));
		KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_stale);
		KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_punched);
	}
	mock_iommu.unmaps = MOCK_NEVER;
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_destroy(region));
	KUNIT_EXPECT_EQ(test, 0, mock_mapped(device));
	dpmgr_iommu_target_detach(target, device->dev);
}

static void what_others_have_unmapped_does_not_keep_the_rest(struct kunit *test)
{
	static const u64 holes[] = {
		RUNS_OFFSET, SZ_2M, SZ_4M, SZ_2M + SZ_4M, SZ_2M + SZ_4M + SZ_4K,
	};
	struct dpmgr_map_region *region = region_at(test, SZ_1G, SZ_1G, DPMGR_MAP_RAM);
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_iommu_target *target = target_new(test, device);
	struct backing backing = { };
	unsigned int i, set;

	for (set = 0; set < BIT(ARRAY_SIZE(holes)); set++) {
		backing.nr_released = 0;
		KUNIT_EXPECT_EQ(test, 0, add_backed(region, RUNS_OFFSET, RUNS_LENGTH,
						    &backing));
		for (i = 0; i < ARRAY_SIZE(holes); i++)
			if (set & BIT(i))
				mock_punch(device, SZ_1G + holes[i]);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_remove(region, 0, SZ_1G));
		KUNIT_EXPECT_EQ(test, 1, backing.nr_released);
		KUNIT_EXPECT_EQ(test, 0, mock_mapped(device));
		KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_stale);
		KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_punched);
	}
	dpmgr_iommu_target_detach(target, device->dev);
	dpmgr_map_region_destroy(region);
}

/* With the domain, whatever is stuck in it goes. */
static void a_target_goes_whatever_cannot_be_unmapped(struct kunit *test)
{
	struct dpmgr_map_region *region = region_at(test, SZ_1G, SZ_1G, DPMGR_MAP_RAM);
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_iommu_target *target = target_new(test, device);
	struct backing stuck = { }, active = { };

	KUNIT_EXPECT_EQ(test, 0, add_backed(region, 0, SZ_2M, &stuck));
	KUNIT_EXPECT_EQ(test, 0, add_backed(region, SZ_4M, SZ_2M, &active));
	mock_iommu.unmaps = 0;
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, dpmgr_map_remove(region, 0, SZ_2M));
	dpmgr_iommu_target_detach(target, device->dev);
	KUNIT_EXPECT_EQ(test, 1, stuck.nr_released);
	KUNIT_EXPECT_EQ(test, 0, active.nr_released);
	KUNIT_EXPECT_EQ(test, SZ_4M, mock_iommu.nr_left);
	mock_expect_events(test, "I+BPB-I");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_remove(region, SZ_4M, SZ_2M));
	KUNIT_EXPECT_EQ(test, 1, active.nr_released);

	/* Nor does it keep one that could not be made. */
	KUNIT_EXPECT_EQ(test, 0, add_backed(region, 0, SZ_2M, &active));
	KUNIT_EXPECT_EQ(test, 0, add_backed(region, SZ_4M, SZ_2M, &stuck));
	mock_iommu.maps = 1;
	expect_refused(test, device, -ENOSPC);
	mock_expect_events(test, "+BPB-I");
	dpmgr_map_region_destroy(region);
	KUNIT_EXPECT_EQ(test, 2, active.nr_released);
	KUNIT_EXPECT_EQ(test, 2, stuck.nr_released);
}

static void a_device_leaves_with_its_driver_and_the_last_ends_the_target(struct kunit *test)
{
	struct dpmgr_map_region *region = region_at(test, SZ_1G, SZ_1G, DPMGR_MAP_RAM);
	struct mock_device *first = mock_device_new(test, NULL, 0, 0);
	struct mock_device *second = mock_device_new(test, NULL, 0, 0);
	void *first_driver = devres_open_group(first->dev, NULL, GFP_KERNEL);
	void *second_driver = devres_open_group(second->dev, NULL, GFP_KERNEL);
	struct dpmgr_iommu_target *target;
	struct fixture *f = test->priv;

	KUNIT_ASSERT_NOT_NULL(test, first_driver);
	KUNIT_ASSERT_NOT_NULL(test, second_driver);
	KUNIT_EXPECT_EQ(test, 0, add(region, 0, SZ_4K));
	target = devm_dpmgr_iommu_target_create(f->mgr, first->dev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, target);
	KUNIT_EXPECT_PTR_EQ(test, target,
			    devm_dpmgr_iommu_target_attach(f->mgr, second->dev, first->dev));
	KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-EEXIST),
			    devm_dpmgr_iommu_target_attach(f->mgr, second->dev, first->dev));
	devres_release_group(first->dev, first_driver);
	KUNIT_EXPECT_EQ(test, mock_reach(first, SZ_1G), SIZE_MAX);
	KUNIT_EXPECT_EQ(test, SZ_4K, mock_reach(second, SZ_1G));
	devres_release_group(second->dev, second_driver);
	KUNIT_EXPECT_EQ(test, mock_reach(second, SZ_1G), SIZE_MAX);
	KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_domains);
	mock_iommu.domains_fail = true;
	KUNIT_EXPECT_EQ(test, -ENOSPC,
			PTR_ERR_OR_ZERO(devm_dpmgr_iommu_target_create(f->mgr, first->dev)));
	dpmgr_map_region_destroy(region);
}

static void what_runs_out_of_memory_leaves_nothing(struct kunit *test)
{
	unsigned int n, tries, nr_refused = 0, nr_alone = 0;
	struct mock_device *device, *other;
	struct dpmgr_map_region *region;
	struct fixture *f = test->priv;
	bool failed;

	if (!slab_fails())
		kunit_skip(test, "needs failslab with ignore-gfp-wait=N");
	device = mock_device_new(test, NULL, SZ_2G, SZ_64K);
	other = mock_device_new(test, NULL, SZ_2G, SZ_64K);
	region = region_at(test, SZ_1G, SZ_1G, DPMGR_MAP_RAM);
	KUNIT_EXPECT_EQ(test, 0, add(region, 0, SZ_4K));
	/* Checkers allocate too, now and then, so which is the Nth is not always the same. */
	for (tries = 0, n = 1; !tries || (tries < 10 && (nr_refused < 3 || !nr_alone));
	     n = failed ? n + 1 : 1) {
		struct dpmgr_iommu_target *target;
		int ret = 0;

		fail_nth(n);
		target = dpmgr_iommu_target_create(f->mgr, device->dev);
		if (!IS_ERR(target))
			ret = target_join(test, other, device);
		failed = has_failed();
		tries += !failed;
		if (IS_ERR(target)) {
			KUNIT_EXPECT_EQ(test, -ENOMEM, PTR_ERR(target));
			KUNIT_EXPECT_EQ(test, mock_reach(device, 0), SIZE_MAX);
			KUNIT_EXPECT_EQ(test, mock_iommu.nr_domains, 0);
			KUNIT_EXPECT_TRUE(test, list_empty(&f->mgr->map->targets));
			nr_refused++;
			continue;
		}
		KUNIT_EXPECT_TRUE(test, !ret || ret == -ENOMEM);
		KUNIT_EXPECT_EQ(test, SZ_4K, mock_reach(device, SZ_1G));
		KUNIT_EXPECT_EQ(test, mock_reach(other, SZ_1G), ret ? SIZE_MAX : SZ_4K);
		nr_alone += !!ret;
		if (!ret)
			dpmgr_iommu_target_detach(target, other->dev);
		dpmgr_iommu_target_detach(target, device->dev);
	}
	KUNIT_EXPECT_GE(test, nr_refused, 3);
	KUNIT_EXPECT_GE(test, nr_alone, 1);
	dpmgr_map_region_destroy(region);
}

/* Where there is no page table, VT-d's driver takes more than it is asked to. */
static void a_hole_takes_nothing_from_what_lies_behind_it(struct kunit *test)
{
	const u64 large = SZ_1G - SZ_2M, behind = SZ_2G;
	struct dpmgr_map_region *region = region_at(test, SZ_1G, SZ_1G + behind, DPMGR_MAP_RAM);
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_iommu_target *target = target_new(test, device);

	KUNIT_EXPECT_EQ(test, 0, add(region, SZ_2M, SZ_4K));
	/* A map of which nothing is there is taken back. */
	mock_iommu.maps = 0;
	KUNIT_EXPECT_EQ(test, -ENOSPC, add(region, SZ_2M - SZ_4K, SZ_4K));
	KUNIT_EXPECT_EQ(test, SZ_4K, mock_mapped(device));
	/* Others have unmapped it, and its page table is gone. */
	KUNIT_EXPECT_EQ(test, 0, add(region, SZ_2M - SZ_4K, SZ_4K));
	mock_punch_table(device, SZ_1G + SZ_2M - SZ_4K, 1);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_remove(region, SZ_2M - SZ_4K, SZ_4K));
	KUNIT_EXPECT_EQ(test, SZ_4K, mock_mapped(device));
	KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_punched);
	/* So it is where pages become smaller: of two large and a small one, the first stays. */
	KUNIT_EXPECT_EQ(test, 0, add(region, behind, SZ_4K));
	KUNIT_EXPECT_EQ(test, 0, add(region, large, SZ_4M + SZ_4K));
	KUNIT_EXPECT_EQ(test, SZ_2M, mock_reach(device, SZ_1G + large));
	mock_punch(device, SZ_1G + large + SZ_2M);
	mock_punch_table(device, SZ_1G + large + SZ_4M, 2);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_remove(region, large, SZ_4M + SZ_4K));
	KUNIT_EXPECT_EQ(test, SZ_8K, mock_mapped(device));
	KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_torn);
	dpmgr_iommu_target_detach(target, device->dev);
	dpmgr_map_region_destroy(region);
}

/* It can't be taken back either: the map keeps a record of it, and tries again. */
static void what_remains_of_a_map_keeps_the_backing_until_it_is_unmapped(struct kunit *test)
{
	struct dpmgr_map_region *ram = region_at(test, SZ_1G, SZ_1G, DPMGR_MAP_RAM);
	struct dpmgr_map_region *bar = region_at(test, SZ_2G, SZ_1G, DPMGR_MAP_DEVICE);
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_iommu_target *target = target_new(test, device);
	struct dpmgr_map_region *regions[] = { ram, bar };
	struct backing backing = { };
	unsigned int i;

	mock_iommu.is_vtd = true;
	mock_iommu.mid_run = true;
	for (i = 0; i < ARRAY_SIZE(regions); i++) {
		backing.nr_released = 0;
		mock_iommu.maps = 0;
		mock_iommu.unmaps = 0;
		KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE,
				add_backed(regions[i], RUNS_OFFSET, RUNS_LENGTH, &backing));
		KUNIT_EXPECT_EQ(test, SZ_4K, mock_mapped(device));
		KUNIT_EXPECT_EQ(test, 0, backing.nr_released);
		mock_iommu.unmaps = MOCK_NEVER;
		KUNIT_EXPECT_EQ(test, 0, add(regions[i], RUNS_OFFSET, RUNS_LENGTH));
		KUNIT_EXPECT_EQ(test, 1, backing.nr_released);
		KUNIT_EXPECT_EQ(test, RUNS_LENGTH, mock_mapped(device));
		/* A region that is not enabled for it can't be said to be out of reach. */
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(regions[i]));
		mock_iommu.maps = 0;
		mock_iommu.unmaps = 0;
		KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, dpmgr_map_region_enable(regions[i], RW));
		KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, dpmgr_map_region_disable(regions[i]));
		mock_iommu.unmaps = MOCK_NEVER;
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(regions[i], RW));
		KUNIT_EXPECT_EQ(test, RUNS_LENGTH, mock_mapped(device));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_remove(regions[i], 0, SZ_1G));
	}
	dpmgr_iommu_target_detach(target, device->dev);
	/* One that could not be made goes, and it with that. */
	KUNIT_EXPECT_EQ(test, 0, add(ram, RUNS_OFFSET, RUNS_LENGTH));
	mock_iommu.maps = 0;
	mock_iommu.unmaps = 0;
	expect_refused(test, device, -ENOSPC);
	KUNIT_EXPECT_EQ(test, SZ_4K, mock_iommu.nr_left);
	dpmgr_map_region_destroy(ram);
	dpmgr_map_region_destroy(bar);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(a_hole_takes_nothing_from_what_lies_behind_it, style_gen_params),
	KUNIT_CASE(what_remains_of_a_map_keeps_the_backing_until_it_is_unmapped),
	KUNIT_CASE_PARAM(a_map_that_fails_midway_leaves_nothing, style_gen_params),
	KUNIT_CASE_PARAM(an_unmap_that_fails_keeps_the_backing_until_it_succeeds, style_gen_params),
	KUNIT_CASE_PARAM(what_is_unmapped_in_part_is_mapped_again_as_a_whole, style_gen_params),
	KUNIT_CASE_PARAM(what_others_have_unmapped_does_not_keep_the_rest, style_gen_params),
	KUNIT_CASE_PARAM(a_target_goes_whatever_cannot_be_unmapped, style_gen_params),
	KUNIT_CASE(a_device_leaves_with_its_driver_and_the_last_ends_the_target),
	KUNIT_CASE(what_runs_out_of_memory_leaves_nothing),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_region_iommu_failure",
	.init = region_iommu_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
