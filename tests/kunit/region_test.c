// SPDX-License-Identifier: GPL-2.0-only
/*
 * The region map: who hides whom, what targets are told and when.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "region.h"

#define RW	DPMGR_MAP_WRITABLE
#define RO	DPMGR_MAP_READ_ONLY

/* ---- overlay --------------------------------------------------------------- */

static int overlap_errno(struct fixture *f, int priority, u64 start, u64 nr_pages)
{
	return PTR_ERR_OR_ZERO(region_new(f, priority, start, nr_pages, DPMGR_MAP_RAM));
}

static void regions_overlap_only_where_the_higher_contains_the_lower(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *high, *low, *other;

	high = region_enabled(test, f, 1, 1, 2);
	KUNIT_EXPECT_EQ(test, -EINVAL, overlap_errno(f, 0, 2, 2));
	low = region_enabled(test, f, 0, 1, 2);
	dpmgr_map_region_destroy(high);
	KUNIT_EXPECT_EQ(test, -EINVAL, overlap_errno(f, 1, 2, 2));
	KUNIT_EXPECT_EQ(test, -EINVAL, overlap_errno(f, 1, 2, 1));
	high = region_enabled(test, f, 1, 0, 16);
	dpmgr_map_region_destroy(low);
	KUNIT_EXPECT_EQ(test, -EINVAL, overlap_errno(f, 0, 0, 32));
	low = region_enabled(test, f, 0, 1, 7);
	/* Of equal priority, the same range only. */
	KUNIT_EXPECT_EQ(test, -EINVAL, overlap_errno(f, 0, 1, 8));
	KUNIT_EXPECT_EQ(test, -EINVAL, overlap_errno(f, 0, 1, 6));
	KUNIT_EXPECT_EQ(test, -EINVAL, overlap_errno(f, 0, 4, 8));
	other = region_enabled(test, f, 0, 1, 7);
	dpmgr_map_region_destroy(other);
	/* Side by side is no overlap. */
	other = region_enabled(test, f, 0, 8, 8);
	dpmgr_map_region_destroy(other);
	dpmgr_map_region_destroy(low);
	dpmgr_map_region_destroy(high);
}

static void the_higher_hides_the_lower_until_it_leaves(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct recorder *r = recorder_new(test, NULL);
	struct dpmgr_map_region *low, *other, *mid, *high;

	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	low = region_enabled(test, f, 0, 1, 2);
	other = region_enabled(test, f, 0, 4, 2);
	KUNIT_EXPECT_EQ(test, 0, region_add(low, 0, 1));
	KUNIT_EXPECT_EQ(test, 0, region_add(other, 1, 1));
	recorder_expect_events(test, r, "+1 +5");

	high = region_new(f, 2, 0, 16, DPMGR_MAP_RAM);
	KUNIT_EXPECT_EQ(test, 0, region_add(high, 8, 1));
	recorder_expect_events(test, r, "");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(high, RW));
	recorder_expect_events(test, r, "-1 -5 +8");
	KUNIT_EXPECT_FALSE(test, dpmgr_map_region_is_active(low));

	/* What comes in between below the high one changes nothing. */
	mid = region_enabled(test, f, 1, 0, 8);
	KUNIT_EXPECT_EQ(test, 0, region_add(mid, 2, 1));
	KUNIT_EXPECT_EQ(test, 0, region_add(low, 1, 1));
	recorder_expect_events(test, r, "");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(high));
	recorder_expect_events(test, r, "-8 +2");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(mid));
	recorder_expect_events(test, r, "-2 +1 +2 +5");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(mid, RW));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(high, RW));
	recorder_expect_events(test, r, "-2 -1 -5 +2 -2 +8");
	/* One that is hidden goes unnoticed. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_destroy(mid));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_destroy(low));
	recorder_expect_events(test, r, "");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_destroy(high));
	recorder_expect_events(test, r, "-8 +5");
	recorder_expect(test, f, r);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_destroy(other));
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
}

static void of_equals_the_first_registered_is_active(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *first, *second;

	first = region_new(f, 0, 0, 4, DPMGR_MAP_RAM);
	second = region_enabled(test, f, 0, 0, 4);
	KUNIT_EXPECT_TRUE(test, dpmgr_map_region_is_active(second));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(first, RW));
	KUNIT_EXPECT_TRUE(test, dpmgr_map_region_is_active(first));
	KUNIT_EXPECT_FALSE(test, dpmgr_map_region_is_active(second));
	dpmgr_map_region_destroy(first);
	KUNIT_EXPECT_TRUE(test, dpmgr_map_region_is_active(second));
	dpmgr_map_region_destroy(second);
}

/* ---- targets --------------------------------------------------------------- */

static void a_target_that_registers_gets_all_that_is_active(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *region = region_enabled(test, f, 0, 0, 16);
	struct dpmgr_map_region *off = region_new(f, 0, 16, 16, DPMGR_MAP_RAM);
	struct recorder *r = recorder_new(test, NULL);

	KUNIT_EXPECT_EQ(test, 0, region_add(region, 8, 4));
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 0, 4));
	KUNIT_EXPECT_EQ(test, 0, region_add(off, 0, 4));
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	recorder_expect_events(test, r, "+0 +8");
	recorder_expect(test, f, r);
	KUNIT_EXPECT_EQ(test, r->held[0].phys, SZ_1G);
	KUNIT_EXPECT_EQ(test, r->held[0].length, 4 * PAGE_SIZE);
	KUNIT_EXPECT_PTR_EQ(test, r->held[0].vaddr, (void *)SZ_2G);
	/* And unregistering takes it all away, last first. */
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	recorder_expect_events(test, r, "-8 -0");
	KUNIT_EXPECT_EQ(test, r->nr_held, 0);
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 4, 4));
	recorder_expect_events(test, r, "");
	dpmgr_map_region_destroy(region);
	dpmgr_map_region_destroy(off);
}

static void a_target_is_told_of_each_change_in_an_active_region(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *region = region_enabled(test, f, 0, 0, 16);
	struct recorder *r = recorder_new(test, NULL);

	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	recorder_expect_events(test, r, "");
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 0, 4));
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 8, 4));
	recorder_expect_events(test, r, "+0 +8");
	KUNIT_EXPECT_EQ(test, 0, region_remove(region, 0, 4));
	recorder_expect_events(test, r, "-0");
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 0, 2));
	recorder_expect_events(test, r, "+0");
	/* Exactly as they were given. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(region));
	recorder_expect_events(test, r, "-8 -0");
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 2, 2));
	KUNIT_EXPECT_EQ(test, 0, region_remove(region, 0, 2));
	recorder_expect_events(test, r, "");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(region));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(region, RW));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(region, RW));
	recorder_expect_events(test, r, "+2 +8");
	KUNIT_EXPECT_EQ(test, 0, region_remove(region, 0, 16));
	recorder_expect_events(test, r, "-2 -8");
	KUNIT_EXPECT_EQ(test, r->nr_held, 0);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	dpmgr_map_region_destroy(region);
}

static int add_without_vaddr(struct dpmgr_map_region *region, u64 offset)
{
	const struct dpmgr_map_sub_params params = {
		.size = sizeof(params),
		.offset = offset << PAGE_SHIFT,
		.length = PAGE_SIZE,
		.access = RW,
	};

	return dpmgr_map_add(region, &params);
}

static void a_target_that_needs_a_cpu_address_gets_one_or_fails(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *ram = region_enabled(test, f, 0, 0, 16);
	struct dpmgr_map_region *bar = region_new(f, 0, 16, 16, DPMGR_MAP_DEVICE);
	struct recorder *r = recorder_new(test, NULL);
	struct recorder *plain = recorder_new(test, NULL);

	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(bar, RW));
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, plain, 0));
	/* There already. */
	KUNIT_EXPECT_EQ(test, 0, add_without_vaddr(ram, 0));
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, recorder_register(f, r, DPMGR_MAP_NEEDS_VADDR));
	KUNIT_EXPECT_EQ(test, 0, region_remove(ram, 0, 1));
	/* To come. */
	KUNIT_EXPECT_EQ(test, 0, region_add(ram, 0, 1));
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, DPMGR_MAP_NEEDS_VADDR));
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, add_without_vaddr(ram, 1));
	KUNIT_EXPECT_EQ(test, 0, region_add(ram, 1, 1));
	/* Device memory it does without. */
	KUNIT_EXPECT_EQ(test, 0, add_without_vaddr(bar, 0));
	KUNIT_EXPECT_EQ(test, 2, r->nr_held);
	KUNIT_EXPECT_EQ(test, 3, plain->nr_held);
	recorder_expect(test, f, r);
	recorder_expect(test, f, plain);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(plain));
	dpmgr_map_region_destroy(ram);
	dpmgr_map_region_destroy(bar);
}

static void a_change_of_permission_is_unmap_then_map(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *region = region_enabled(test, f, 0, 0, 16);
	struct faults faults = { NEVER, NEVER };
	struct recorder *r = recorder_new(test, &faults);
	const struct dpmgr_map_sub_params read_only = {
		.size = sizeof(read_only),
		.offset = PAGE_SIZE,
		.length = PAGE_SIZE,
		.access = RO,
	};

	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 0, 1));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_add(region, &read_only));
	KUNIT_EXPECT_EQ(test, r->held[0].access, RW);
	KUNIT_EXPECT_EQ(test, r->held[1].access, RO);
	recorder_expect_events(test, r, "+0 +1");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(region, RO));
	recorder_expect_events(test, r, "-1 -0 +0 +1");
	KUNIT_EXPECT_EQ(test, r->held[0].access, RO);
	KUNIT_EXPECT_EQ(test, r->held[1].access, RO);
	recorder_expect(test, f, r);

	/* It fails, and all is as before. */
	faults.maps = 1;
	KUNIT_EXPECT_EQ(test, -ENOSPC, dpmgr_map_region_enable(region, RW));
	recorder_expect_events(test, r, "-1 -0 +0 -0 +0 +1");
	KUNIT_EXPECT_EQ(test, r->held[0].access, RO);
	recorder_expect(test, f, r);
	KUNIT_EXPECT_TRUE(test, dpmgr_map_region_is_active(region));
	/* It can't be undone either: stalled, and retriable. */
	faults.maps = 1;
	faults.go_on = true;
	KUNIT_EXPECT_EQ(test, -ENOSPC, dpmgr_map_region_enable(region, RW));
	KUNIT_EXPECT_FALSE(test, dpmgr_map_region_is_active(region));
	recorder_expect(test, f, r);
	faults.maps = NEVER;
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(region, RW));
	KUNIT_EXPECT_TRUE(test, dpmgr_map_region_is_active(region));
	recorder_expect(test, f, r);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	dpmgr_map_region_destroy(region);
}

/* ---- arguments ------------------------------------------------------------- */

static void part_of_a_sub_mapping_cannot_be_removed(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *region = region_enabled(test, f, 0, 16, 16);
	struct recorder *r = recorder_new(test, NULL);

	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 2, 4));
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 8, 4));
	KUNIT_EXPECT_EQ(test, -EEXIST, region_add(region, 5, 1));
	KUNIT_EXPECT_EQ(test, -EINVAL, region_remove(region, 2, 3));
	KUNIT_EXPECT_EQ(test, -EINVAL, region_remove(region, 3, 3));
	KUNIT_EXPECT_EQ(test, -EINVAL, region_remove(region, 3, 1));
	KUNIT_EXPECT_EQ(test, -EINVAL, region_remove(region, 0, 9));
	KUNIT_EXPECT_EQ(test, -EINVAL, region_remove(region, 4, 12));
	KUNIT_EXPECT_EQ(test, -EINVAL, region_remove(region, 0, 17));
	KUNIT_EXPECT_EQ(test, -EINVAL, region_remove(region, 0, 0));
	KUNIT_EXPECT_EQ(test, -EINVAL, dpmgr_map_remove(region, 1, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, -EINVAL, dpmgr_map_remove(region, 0, 0 - PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, -ENOENT, region_remove(region, 6, 2));
	recorder_expect_events(test, r, "+12 +18");
	KUNIT_EXPECT_EQ(test, 0, region_remove(region, 1, 5));
	recorder_expect_events(test, r, "-12");
	recorder_expect(test, f, r);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	dpmgr_map_region_destroy(region);
}

static void addresses_that_overflow_are_refused(struct kunit *test)
{
	static const struct {
		u64 offset;
		u64 length;
		u64 phys;
		u64 vaddr;
	} subs[] = {
		{ 0, 0, 0, 0 },
		{ 1, PAGE_SIZE, 0, 0 },
		{ 0, PAGE_SIZE + 1, 0, 0 },
		{ 0, PAGE_SIZE, 1, 0 },
		{ 0, PAGE_SIZE, 0, 1 },
		{ 0, 5 * PAGE_SIZE, 0, 0 },
		{ 4 * PAGE_SIZE, PAGE_SIZE, 0, 0 },
		{ 0 - PAGE_SIZE, PAGE_SIZE, 0, 0 },
		{ PAGE_SIZE, 0 - PAGE_SIZE, 0, 0 },
		{ 0, 2 * PAGE_SIZE, 0 - PAGE_SIZE, 0 },
		{ 0, 2 * PAGE_SIZE, 0, 0 - PAGE_SIZE },
	};
	struct fixture *f = test->priv;
	const u64 top = U64_MAX >> PAGE_SHIFT;
	struct dpmgr_map_region *region;
	struct recorder *r = recorder_new(test, NULL);
	unsigned int i;

	KUNIT_EXPECT_EQ(test, -EINVAL, overlap_errno(f, 0, 0, 0));
	KUNIT_EXPECT_EQ(test, -EINVAL, overlap_errno(f, 0, top - 3, 5));
	KUNIT_EXPECT_EQ(test, -EINVAL, overlap_errno(f, 0, 1, top + 1));
	/* The very last page is one like any other. */
	region = region_enabled(test, f, 0, top - 3, 4);
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 3, 1));
	KUNIT_EXPECT_EQ(test, r->held[0].iova, 0 - PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 0, region_remove(region, 0, 4));
	for (i = 0; i < ARRAY_SIZE(subs); i++) {
		const struct dpmgr_map_sub_params params = {
			.size = sizeof(params),
			.offset = subs[i].offset,
			.length = subs[i].length,
			.phys = subs[i].phys,
			.vaddr = (void *)subs[i].vaddr,
			.access = RW,
		};

		KUNIT_EXPECT_EQ_MSG(test, -EINVAL, dpmgr_map_add(region, &params),
				    "sub-mapping %u", i);
	}
	KUNIT_EXPECT_EQ(test, -EINVAL, dpmgr_map_region_enable(region, 2));
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	dpmgr_map_region_destroy(region);
}

/* ---- pools ----------------------------------------------------------------- */

static void pools_are_regions_by_themselves(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct recorder *r = recorder_new(test, NULL);
	const u64 bit = BIT_ULL(46);
	struct dpmgr_client *client;
	unsigned int kexec, i;

	fixture_unload(f);
	f->config.nr_ranges[DPMGR_SHARED] = 1;
	f->config.nr_ranges[DPMGR_PRIVATE] = 2;
	f->config.state = &f->state;
	f->config.vtom_bit = 46;
	fixture_load(test, f);
	client = fixture_client(test, f, "disk");
	fixture_alloc(test, client, SZ_64K, "queue");
	for (kexec = 0; kexec < 2; kexec++) {
		u64 found = 0;

		KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, DPMGR_MAP_NEEDS_VADDR));
		KUNIT_ASSERT_EQ(test, 3, r->nr_held);
		for (i = 0; i < 3; i++) {
			const struct dpmgr_map_extent *held = &r->held[i];

			KUNIT_EXPECT_EQ(test, held->iova, held->phys);
			KUNIT_EXPECT_EQ(test, held->memory, DPMGR_MAP_RAM);
			KUNIT_EXPECT_EQ(test, held->access, RW);
			KUNIT_EXPECT_EQ(test, held->iova & ~bit,
					virt_to_phys(held->vaddr));
			if (held->iova == (f->shared.start | bit) &&
			    held->length == f->shared.size)
				found |= BIT(0);
			if (held->iova == f->private[0].start &&
			    held->length == f->private[0].size)
				found |= BIT(1);
			if (held->iova == f->private[1].start &&
			    held->length == f->private[1].size)
				found |= BIT(2);
		}
		KUNIT_EXPECT_EQ(test, found, 7);
		KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
		if (!kexec)
			fixture_kexec(test, f, client, NULL);
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE(regions_overlap_only_where_the_higher_contains_the_lower),
	KUNIT_CASE(the_higher_hides_the_lower_until_it_leaves),
	KUNIT_CASE(of_equals_the_first_registered_is_active),
	KUNIT_CASE(a_target_that_registers_gets_all_that_is_active),
	KUNIT_CASE(a_target_is_told_of_each_change_in_an_active_region),
	KUNIT_CASE(a_target_that_needs_a_cpu_address_gets_one_or_fails),
	KUNIT_CASE(a_change_of_permission_is_unmap_then_map),
	KUNIT_CASE(part_of_a_sub_mapping_cannot_be_removed),
	KUNIT_CASE(addresses_that_overflow_are_refused),
	KUNIT_CASE(pools_are_regions_by_themselves),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_region",
	.init = region_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
