// SPDX-License-Identifier: GPL-2.0-only
/*
 * The IOMMU target under the kernel's IOMMU layer, with an IOMMU that is none: what
 * devices reach, by pages of which size, and who is in which domain when.
 */
#include <linux/mm.h>
#include <linux/prandom.h>

#include "region_iommu.h"

#define RW	DPMGR_MAP_WRITABLE
#define RO	DPMGR_MAP_READ_ONLY

KUNIT_ARRAY_PARAM(style, mock_styles, mock_style_name);

/* ---- pages ----------------------------------------------------------------- */

static void a_superpage_lies_in_one_sub_mapping_and_goes_with_it(struct kunit *test)
{
	struct dpmgr_map_region *region = region_at(test, SZ_1G, SZ_2G, DPMGR_MAP_RAM);
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_iommu_target *target = target_new(test, device);

	KUNIT_EXPECT_EQ(test, 0, add(region, 0, SZ_2M));
	KUNIT_EXPECT_EQ(test, 0, add(region, SZ_2M, SZ_2M - SZ_4K));
	KUNIT_EXPECT_EQ(test, 0, add(region, SZ_4M - SZ_4K, SZ_4K));
	KUNIT_EXPECT_EQ(test, 0, add(region, SZ_4M, SZ_2M));
	KUNIT_EXPECT_EQ(test, 0, add(region, SZ_8M - SZ_4K, SZ_2M + SZ_8K));
	KUNIT_EXPECT_EQ(test, 0, add(region, SZ_1G, SZ_1G));
	KUNIT_EXPECT_EQ(test, SZ_2M, mock_reach(device, SZ_1G));
	KUNIT_EXPECT_EQ(test, SZ_4K, mock_reach(device, SZ_1G + SZ_2M));
	KUNIT_EXPECT_EQ(test, SZ_4K, mock_reach(device, SZ_1G + SZ_4M - SZ_4K));
	KUNIT_EXPECT_EQ(test, SZ_2M, mock_reach(device, SZ_1G + SZ_4M));
	KUNIT_EXPECT_EQ(test, SZ_4K, mock_reach(device, SZ_1G + SZ_8M - SZ_4K));
	KUNIT_EXPECT_EQ(test, SZ_2M, mock_reach(device, SZ_1G + SZ_8M));
	KUNIT_EXPECT_EQ(test, SZ_4K, mock_reach(device, SZ_1G + SZ_8M + SZ_2M));
	KUNIT_EXPECT_EQ(test, SZ_1G, mock_reach(device, SZ_2G));

	/* Beside superpages and between them, one goes; then they go. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_remove(region, SZ_4M - SZ_4K, SZ_4K));
	KUNIT_EXPECT_EQ(test, 0, mock_reach(device, SZ_1G + SZ_4M - SZ_4K));
	KUNIT_EXPECT_EQ(test, SZ_4K, mock_reach(device, SZ_1G + SZ_4M - SZ_8K));
	KUNIT_EXPECT_EQ(test, SZ_2M, mock_reach(device, SZ_1G + SZ_4M));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_remove(region, 0, SZ_2M));
	KUNIT_EXPECT_EQ(test, 0, mock_reach(device, SZ_1G + SZ_2M - SZ_4K));
	KUNIT_EXPECT_EQ(test, SZ_4K, mock_reach(device, SZ_1G + SZ_2M));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_remove(region, SZ_1G, SZ_1G));
	KUNIT_EXPECT_EQ(test, mock_mapped(device), region->nr_bytes);
	KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_torn);
	KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_stale);
	dpmgr_iommu_target_detach(target, device->dev);
	KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_torn);
	KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_left);
	dpmgr_map_region_destroy(region);
}

#define NR_SLOTS	24
#define NR_STEPS	1000
#define NR_PAGES	(SZ_16M / SZ_4K)

struct slot {
	u64 offset;
	u64 length;
};

static bool is_free(const struct slot *slots, u64 offset, u64 length)
{
	unsigned int i;

	for (i = 0; i < NR_SLOTS; i++)
		if (slots[i].offset < offset + length &&
		    offset < slots[i].offset + slots[i].length)
			return false;
	return true;
}

/* Sub-mappings anywhere, of 4 KiB to 8 MiB, as a model says. */
static void no_sub_mapping_that_goes_takes_from_another(struct kunit *test)
{
	struct dpmgr_map_region *region = region_at(test, SZ_1G, SZ_16M, DPMGR_MAP_RAM);
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_iommu_target *target = target_new(test, device);
	struct slot slots[NR_SLOTS] = { };
	unsigned int step, i, nr_superpages = 0;
	struct rnd_state rnd;

	prandom_seed_state(&rnd, 1);
	for (step = 0; step < NR_STEPS; step++) {
		const u32 order = prandom_u32_state(&rnd) % 12;
		u64 first, nr;

		i = prandom_u32_state(&rnd) % NR_SLOTS;
		if (slots[i].length) {
			KUNIT_EXPECT_EQ(test, 0, dpmgr_map_remove(region, slots[i].offset,
								  slots[i].length));
			slots[i].length = 0;
		} else {
			/* At odd places, or where a superpage fits. */
			first = prandom_u32_state(&rnd) % NR_PAGES;
			nr = min(1 + prandom_u32_state(&rnd) % (1 << order),
				 (u32)(NR_PAGES - first));
			if (prandom_u32_state(&rnd) % 2) {
				first = round_down(first, 512);
				nr = 512;
			}
			if (is_free(slots, first * SZ_4K, nr * SZ_4K)) {
				slots[i] = (struct slot){ first * SZ_4K, nr * SZ_4K };
				KUNIT_EXPECT_EQ(test, 0, add(region, slots[i].offset,
							     slots[i].length));
			}
		}
		for (i = 0; i < NR_SLOTS; i++) {
			const u64 start = SZ_1G + slots[i].offset;
			size_t page;

			if (!slots[i].length)
				continue;
			page = mock_reach(device, start);
			KUNIT_EXPECT_NE(test, 0, page);
			KUNIT_EXPECT_LE(test, page, slots[i].length);
			KUNIT_EXPECT_NE(test, 0,
					mock_reach(device, start + slots[i].length - 1));
			nr_superpages += page == SZ_2M;
		}
		KUNIT_EXPECT_EQ(test, mock_mapped(device), region->nr_bytes);
		KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_stale);
		if (step % 100)
			continue;
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(region));
		KUNIT_EXPECT_EQ(test, 0, mock_mapped(device));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(region, RW));
	}
	KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_torn);
	KUNIT_EXPECT_GT(test, nr_superpages, 100);
	dpmgr_iommu_target_detach(target, device->dev);
	dpmgr_map_region_destroy(region);
}

static void pages_are_protected_by_what_they_are(struct kunit *test)
{
	struct dpmgr_map_region *ram = region_at(test, SZ_1G, SZ_2M, DPMGR_MAP_RAM);
	struct dpmgr_map_region *bar = region_at(test, SZ_2G, SZ_2M, DPMGR_MAP_DEVICE);
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_iommu_target *target = target_new(test, device);

	KUNIT_EXPECT_EQ(test, 0, add(ram, 0, SZ_2M));
	KUNIT_EXPECT_EQ(test, 0, add(bar, 0, SZ_2M));
	KUNIT_EXPECT_EQ(test, mock_protection(device, SZ_1G),
			IOMMU_READ | IOMMU_WRITE | IOMMU_CACHE);
	KUNIT_EXPECT_EQ(test, mock_protection(device, SZ_2G),
			IOMMU_READ | IOMMU_WRITE | IOMMU_MMIO);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(ram, RO));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(bar, RO));
	KUNIT_EXPECT_EQ(test, mock_protection(device, SZ_1G), IOMMU_READ | IOMMU_CACHE);
	KUNIT_EXPECT_EQ(test, mock_protection(device, SZ_2G), IOMMU_READ | IOMMU_MMIO);
	dpmgr_iommu_target_detach(target, device->dev);
	dpmgr_map_region_destroy(ram);
	dpmgr_map_region_destroy(bar);
}

static void ram_must_be_where_and_what_an_iommu_can_map(struct kunit *test)
{
	struct dpmgr_map_region *region = region_at(test, 0, SZ_2T, DPMGR_MAP_RAM);
	const struct dpmgr_map_sub_params elsewhere = {
		.size = sizeof(elsewhere),
		.offset = SZ_1G,
		.length = SZ_4K,
		.phys = SZ_2G,
		.access = RW,
	};
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_iommu_target *target;

	mock_iommu.first = SZ_1M;
	target = target_new(test, device);
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, dpmgr_map_add(region, &elsewhere));
	KUNIT_EXPECT_EQ(test, 0, add(region, SZ_1T - SZ_8K, SZ_8K));
	KUNIT_EXPECT_EQ(test, -ERANGE, add(region, SZ_1T, SZ_4K));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_remove(region, 0, SZ_2T));
	KUNIT_EXPECT_EQ(test, -ERANGE, add(region, SZ_1T - SZ_4K, SZ_8K));
	KUNIT_EXPECT_EQ(test, 0, add(region, SZ_1M, SZ_4K));
	KUNIT_EXPECT_EQ(test, -ERANGE, add(region, SZ_1M - SZ_4K, SZ_4K));
	dpmgr_iommu_target_detach(target, device->dev);
	/* At the replay. */
	KUNIT_EXPECT_EQ(test, 0, add(region, SZ_1T, SZ_4K));
	expect_refused(test, device, -ERANGE);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_remove(region, 0, SZ_2T));
	/* One with large pages only. */
	mock_iommu.pgsize_bitmap = SZ_2M;
	KUNIT_EXPECT_EQ(test, 0, add(region, SZ_2M, SZ_4M));
	target = target_new(test, device);
	KUNIT_EXPECT_EQ(test, SZ_2M, mock_reach(device, SZ_2M));
	KUNIT_EXPECT_EQ(test, -EINVAL, add(region, SZ_8M, SZ_4K));
	KUNIT_EXPECT_EQ(test, -EINVAL, add(region, SZ_8M + SZ_4K, SZ_2M));
	dpmgr_iommu_target_detach(target, device->dev);
	dpmgr_map_region_destroy(region);
}

/* ---- reserved windows ------------------------------------------------------ */

static void a_window_that_a_device_reserves_has_no_ram(struct kunit *test)
{
	struct dpmgr_map_region *region = region_at(test, SZ_1G, SZ_1G, DPMGR_MAP_RAM);
	struct mock_device *device = mock_device_new(test, NULL, SZ_1G + SZ_2M, SZ_64K);
	struct dpmgr_iommu_target *target = target_new(test, device);

	KUNIT_EXPECT_EQ(test, -ERANGE, add(region, SZ_2M, SZ_4K));
	KUNIT_EXPECT_EQ(test, -ERANGE, add(region, SZ_2M + SZ_64K - SZ_4K, SZ_2M));
	KUNIT_EXPECT_EQ(test, -ERANGE, add(region, SZ_2M - SZ_64K, SZ_64K + SZ_4K));
	KUNIT_EXPECT_EQ(test, -ERANGE, add(region, 0, SZ_4M));
	KUNIT_EXPECT_EQ(test, 0, add(region, SZ_2M - SZ_64K, SZ_64K));
	KUNIT_EXPECT_EQ(test, 0, add(region, SZ_2M + SZ_64K, SZ_64K));
	dpmgr_iommu_target_detach(target, device->dev);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_remove(region, 0, SZ_1G));
	/* At the replay. */
	KUNIT_EXPECT_EQ(test, 0, add(region, 0, SZ_4M));
	expect_refused(test, device, -ERANGE);
	/* What firmware would like one to one is so. */
	device->windows[0].type = IOMMU_RESV_DIRECT_RELAXABLE;
	dpmgr_iommu_target_detach(target_new(test, device), device->dev);
	dpmgr_map_region_destroy(region);
}

static void a_device_whose_window_is_in_use_cannot_join(struct kunit *test)
{
	struct dpmgr_map_region *region = region_at(test, SZ_1G, SZ_1G, DPMGR_MAP_RAM);
	struct mock_device *first = mock_device_new(test, NULL, 0, 0);
	struct mock_device *second = mock_device_new(test, NULL, SZ_1G + SZ_2M, SZ_64K);
	struct dpmgr_iommu_target *target = target_new(test, first);

	KUNIT_EXPECT_EQ(test, 0, add(region, 0, SZ_4K));
	KUNIT_EXPECT_EQ(test, 0, add(region, SZ_2M + SZ_64K - SZ_4K, SZ_8K));
	KUNIT_EXPECT_EQ(test, -ERANGE, target_join(test, second, first));
	KUNIT_EXPECT_EQ(test, mock_reach(second, SZ_1G), SIZE_MAX);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_remove(region, SZ_2M, SZ_2M));
	KUNIT_EXPECT_EQ(test, 0, add(region, SZ_2M + SZ_64K, SZ_4K));
	KUNIT_EXPECT_EQ(test, 0, target_join(test, second, first));
	KUNIT_EXPECT_EQ(test, mock_reach(second, SZ_1G), SZ_4K);
	/* From now on it is reserved, and only while the device is there. */
	KUNIT_EXPECT_EQ(test, -ERANGE, add(region, SZ_2M, SZ_4K));
	dpmgr_iommu_target_detach(target, second->dev);
	KUNIT_EXPECT_EQ(test, mock_reach(second, SZ_1G), SIZE_MAX);
	KUNIT_EXPECT_EQ(test, 0, add(region, SZ_2M, SZ_4K));
	dpmgr_iommu_target_detach(target, first->dev);
	dpmgr_map_region_destroy(region);
}

/* Only the second window overlaps an area, and only the second area is the target's. */
static void each_window_of_a_newcomer_is_looked_at(struct kunit *test)
{
	struct dpmgr_map_region *ram = region_at(test, SZ_1G, SZ_1G, DPMGR_MAP_RAM);
	struct dpmgr_map_region *bar = region_at(test, SZ_2G, SZ_2M, DPMGR_MAP_DEVICE);
	struct mock_device *first = mock_device_new(test, NULL, SZ_2G, SZ_4K);
	struct mock_device *second = mock_device_new(test, NULL, SZ_1M, SZ_64K);
	struct dpmgr_iommu_target *target = target_new(test, first);

	second->windows[1].start = SZ_1G + SZ_2M;
	second->windows[1].length = SZ_64K;
	second->windows[1].type = IOMMU_RESV_MSI;
	KUNIT_EXPECT_EQ(test, 0, add(ram, SZ_2M + SZ_4K, SZ_4K));
	KUNIT_EXPECT_EQ(test, -ERANGE, target_join(test, second, first));
	/* The target does without the first that is in the window, but has the second. */
	second->windows[1].start = SZ_2G;
	KUNIT_EXPECT_EQ(test, 0, add(bar, 0, SZ_4K));
	KUNIT_EXPECT_EQ(test, 0, target_join(test, second, first));
	dpmgr_iommu_target_detach(target, second->dev);
	KUNIT_EXPECT_EQ(test, 0, add(bar, SZ_4K, SZ_4K));
	KUNIT_EXPECT_EQ(test, -ERANGE, target_join(test, second, first));
	dpmgr_iommu_target_detach(target, first->dev);
	dpmgr_map_region_destroy(bar);
	dpmgr_map_region_destroy(ram);
}

static void device_memory_in_a_window_is_done_without(struct kunit *test)
{
	struct dpmgr_map_region *bar = region_at(test, SZ_1G, SZ_1G, DPMGR_MAP_DEVICE);
	struct mock_device *first = mock_device_new(test, NULL, SZ_1G + SZ_2M, SZ_64K);
	struct mock_device *second = mock_device_new(test, NULL, SZ_1G + SZ_2M, SZ_64K);
	struct dpmgr_iommu_target *target = target_new(test, first);

	KUNIT_EXPECT_EQ(test, 0, add(bar, 0, SZ_2M));
	KUNIT_EXPECT_EQ(test, 0, add(bar, SZ_2M, SZ_4K));
	KUNIT_EXPECT_EQ(test, SZ_2M, mock_reach(first, SZ_1G));
	KUNIT_EXPECT_EQ(test, 0, mock_reach(first, SZ_1G + SZ_2M));
	/* What it hasn't got is in nobody's way. */
	KUNIT_EXPECT_EQ(test, 0, target_join(test, second, first));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_remove(bar, 0, SZ_4M));
	KUNIT_EXPECT_EQ(test, 0, mock_mapped(first));
	dpmgr_iommu_target_detach(target, second->dev);
	dpmgr_iommu_target_detach(target, first->dev);
	dpmgr_map_region_destroy(bar);
}

/* ---- who is in which domain ------------------------------------------------ */

static void a_device_reaches_nothing_but_the_map_until_its_domain_is_gone(struct kunit *test)
{
	struct dpmgr_map_region *region = region_at(test, SZ_1G, SZ_1G, DPMGR_MAP_RAM);
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_iommu_target *target;

	KUNIT_EXPECT_EQ(test, 0, add(region, 0, SZ_4K));
	mock_expect_events(test, "I");
	target = target_new(test, device);
	mock_expect_events(test, "+BP");
	KUNIT_EXPECT_EQ(test, SZ_4K, mock_reach(device, SZ_1G));
	KUNIT_EXPECT_EQ(test, 0, mock_reach(device, SZ_2G));
	dpmgr_iommu_target_detach(target, device->dev);
	mock_expect_events(test, "B-I");
	KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_left);
	dpmgr_map_region_destroy(region);
}

static void devices_come_and_go_by_groups(struct kunit *test)
{
	struct dpmgr_map_region *region = region_at(test, SZ_1G, SZ_1G, DPMGR_MAP_RAM);
	struct mock_device *one = mock_device_new(test, NULL, 0, 0);
	struct mock_device *same = mock_device_new(test, one, 0, 0);
	struct mock_device *other = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_iommu_target *target;
	struct fixture *f = test->priv;

	KUNIT_EXPECT_EQ(test, 0, add(region, 0, SZ_4K));
	target = target_new(test, one);
	KUNIT_EXPECT_EQ(test, SZ_4K, mock_reach(same, SZ_1G));
	KUNIT_EXPECT_EQ(test, mock_reach(other, SZ_1G), SIZE_MAX);
	KUNIT_EXPECT_EQ(test, -EEXIST, target_join(test, one, one));
	/* Its group is taken. */
	KUNIT_EXPECT_EQ(test, -EPERM,
			PTR_ERR_OR_ZERO(dpmgr_iommu_target_create(f->mgr, same->dev)));
	KUNIT_EXPECT_EQ(test, 0, target_join(test, same, one));
	KUNIT_EXPECT_EQ(test, 0, target_join(test, other, one));
	KUNIT_EXPECT_EQ(test, SZ_4K, mock_reach(other, SZ_1G));
	KUNIT_EXPECT_PTR_EQ(test, one->domain, other->domain);

	/* The last of a group takes it out. */
	dpmgr_iommu_target_detach(target, one->dev);
	KUNIT_EXPECT_EQ(test, SZ_4K, mock_reach(one, SZ_1G));
	KUNIT_EXPECT_EQ(test, SZ_4K, mock_reach(same, SZ_1G));
	dpmgr_iommu_target_detach(target, same->dev);
	KUNIT_EXPECT_EQ(test, mock_reach(one, SZ_1G), SIZE_MAX);
	KUNIT_EXPECT_EQ(test, mock_reach(same, SZ_1G), SIZE_MAX);
	KUNIT_EXPECT_EQ(test, SZ_4K, mock_reach(other, SZ_1G));
	/* And it is free for another target. */
	dpmgr_iommu_target_detach(target_new(test, same), same->dev);
	KUNIT_EXPECT_EQ(test, 0, target_join(test, one, other));
	/* Whoever made it, it stays until the last has left. */
	dpmgr_iommu_target_detach(target, other->dev);
	KUNIT_EXPECT_EQ(test, SZ_4K, mock_reach(same, SZ_1G));
	KUNIT_EXPECT_EQ(test, 1, mock_iommu.nr_domains);
	dpmgr_iommu_target_detach(target, one->dev);
	KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_domains);
	KUNIT_EXPECT_EQ(test, mock_reach(same, SZ_1G), SIZE_MAX);
	KUNIT_EXPECT_EQ(test, mock_reach(other, SZ_1G), SIZE_MAX);
	dpmgr_map_region_destroy(region);
}

/* Whoever is in a target has a handle of its own, and lets others in. */
static void a_target_is_joined_while_the_peer_is_in_it(struct kunit *test)
{
	struct dpmgr_map_region *region = region_at(test, SZ_1G, SZ_1G, DPMGR_MAP_RAM);
	struct mock_device *first = mock_device_new(test, NULL, 0, 0);
	struct mock_device *second = mock_device_new(test, NULL, 0, 0);
	struct mock_device *third = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_iommu_target *target;
	struct fixture *f = test->priv;
	struct dpmgr *stranger;

	KUNIT_EXPECT_EQ(test, 0, add(region, 0, SZ_4K));
	KUNIT_EXPECT_EQ(test, -ENODEV, target_join(test, second, first));
	KUNIT_EXPECT_EQ(test, -ENODEV, target_join(test, second, second));
	target = target_new(test, first);
	stranger = dpmgr_create(&f->config);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stranger);
	KUNIT_EXPECT_EQ(test, -ENODEV,
			PTR_ERR_OR_ZERO(dpmgr_iommu_target_attach(stranger, second->dev,
								  first->dev)));
	dpmgr_destroy(stranger);
	KUNIT_EXPECT_PTR_EQ(test, target,
			    dpmgr_iommu_target_attach(f->mgr, second->dev, first->dev));
	dpmgr_iommu_target_detach(target, first->dev);
	/* The target is there, but the peer is not in it. */
	KUNIT_EXPECT_EQ(test, -ENODEV, target_join(test, third, first));
	KUNIT_EXPECT_EQ(test, mock_reach(third, SZ_1G), SIZE_MAX);
	KUNIT_EXPECT_EQ(test, 0, target_join(test, third, second));
	dpmgr_iommu_target_detach(target, second->dev);
	KUNIT_EXPECT_EQ(test, SZ_4K, mock_reach(third, SZ_1G));
	dpmgr_iommu_target_detach(target, third->dev);
	KUNIT_EXPECT_EQ(test, -ENODEV, target_join(test, second, third));
	KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_domains);
	KUNIT_EXPECT_PTR_EQ(test, ERR_PTR(-ENXIO),
			    dpmgr_iommu_target_attach(ERR_PTR(-ENXIO), second->dev, first->dev));
	dpmgr_map_region_destroy(region);
}

static void a_group_with_a_driver_that_uses_the_dma_api_is_refused(struct kunit *test)
{
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct mock_device *same = mock_device_new(test, device, 0, 0);
	struct mock_device *other = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_iommu_target *target;

	KUNIT_ASSERT_EQ(test, 0, mock_bind(same, MOCK_DMA_API));
	expect_refused(test, device, -EPERM);
	target = target_new(test, other);
	KUNIT_EXPECT_EQ(test, -EPERM, target_join(test, device, other));
	KUNIT_EXPECT_EQ(test, mock_reach(device, 0), SIZE_MAX);
	KUNIT_EXPECT_EQ(test, 0, mock_bind(same, MOCK_NO_DRIVER));
	KUNIT_EXPECT_EQ(test, 0, target_join(test, device, other));
	dpmgr_iommu_target_detach(target, other->dev);
	dpmgr_iommu_target_detach(target, device->dev);
}

static void a_device_without_an_iommu_that_will_do_is_refused(struct kunit *test)
{
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct mock_device *other = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_iommu_target *target = target_new(test, other);
	struct fixture *f = test->priv;

	KUNIT_EXPECT_EQ(test, -ENODEV, attach_errno(test, f->dev, other->dev));
	mock_iommu.is_coherent = false;
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, target_join(test, device, other));
	dpmgr_iommu_target_detach(target, other->dev);

	expect_refused(test, device, -EOPNOTSUPP);
	mock_iommu.is_coherent = true;
	KUNIT_EXPECT_EQ(test, -ENODEV,
			PTR_ERR_OR_ZERO(dpmgr_iommu_target_create(f->mgr, f->dev)));
	KUNIT_EXPECT_EQ(test, -ENOENT,
			PTR_ERR_OR_ZERO(dpmgr_iommu_target_create(ERR_PTR(-ENOENT),
								  device->dev)));
	mock_iommu.domains_fail = true;
	expect_refused(test, device, -ENOSPC);
	mock_iommu.domains_fail = false;
	dpmgr_iommu_target_detach(target_new(test, device), device->dev);
}

static void what_cannot_be_attached_is_where_it_was(struct kunit *test)
{
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct mock_device *same = mock_device_new(test, device, 0, 0);
	struct mock_device *other = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_iommu_target *target;
	int n;

	/* The group as a whole, whichever of its devices it is. */
	for (n = 0; n < 2; n++) {
		mock_iommu.attachments = n;
		expect_refused(test, device, -EBUSY);
		KUNIT_EXPECT_EQ(test, mock_reach(same, 0), SIZE_MAX);
	}
	target = target_new(test, other);
	for (n = 0; n < 2; n++) {
		mock_iommu.attachments = n;
		KUNIT_EXPECT_EQ(test, -EBUSY, target_join(test, device, other));
		KUNIT_EXPECT_EQ(test, mock_reach(device, 0), SIZE_MAX);
		KUNIT_EXPECT_EQ(test, mock_reach(same, 0), SIZE_MAX);
	}
	KUNIT_EXPECT_EQ(test, 0, target_join(test, device, other));
	dpmgr_iommu_target_detach(target, other->dev);
	dpmgr_iommu_target_detach(target, device->dev);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(a_superpage_lies_in_one_sub_mapping_and_goes_with_it, style_gen_params),
	KUNIT_CASE_PARAM(no_sub_mapping_that_goes_takes_from_another, style_gen_params),
	KUNIT_CASE(pages_are_protected_by_what_they_are),
	KUNIT_CASE(ram_must_be_where_and_what_an_iommu_can_map),
	KUNIT_CASE(a_window_that_a_device_reserves_has_no_ram),
	KUNIT_CASE(a_device_whose_window_is_in_use_cannot_join),
	KUNIT_CASE(each_window_of_a_newcomer_is_looked_at),
	KUNIT_CASE(device_memory_in_a_window_is_done_without),
	KUNIT_CASE(a_device_reaches_nothing_but_the_map_until_its_domain_is_gone),
	KUNIT_CASE(devices_come_and_go_by_groups),
	KUNIT_CASE(a_target_is_joined_while_the_peer_is_in_it),
	KUNIT_CASE(a_group_with_a_driver_that_uses_the_dma_api_is_refused),
	KUNIT_CASE(a_device_without_an_iommu_that_will_do_is_refused),
	KUNIT_CASE(what_cannot_be_attached_is_where_it_was),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_region_iommu",
	.init = region_iommu_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
