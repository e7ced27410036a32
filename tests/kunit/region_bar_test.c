// SPDX-License-Identifier: GPL-2.0-only
/*
 * A PCI device's memory as a region, of a device that is none.
 */
#include <linux/ioport.h>
#include <linux/pci.h>
#include <linux/string.h>

#include "fault.h"
#include "region.h"

#define RW	DPMGR_MAP_WRITABLE

struct pci {
	struct pci_dev pdev;
	bool is_released;
};

static void pci_released(struct device *dev)
{
	struct pci *pci = container_of(dev, struct pci, pdev.dev);

	pci->is_released = true;
}

/* With a BAR 2 of 64 KiB at 3 GiB, and a driver whose resources are in the group. */
static struct pci *pci_new(struct kunit *test, void **driver)
{
	struct pci *pci = kunit_kzalloc(test, sizeof(*pci), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, pci);
	device_initialize(&pci->pdev.dev);
	pci->pdev.dev.release = pci_released;
	KUNIT_ASSERT_EQ(test, 0, dev_set_name(&pci->pdev.dev, "0000:00:1f.7"));
	pci->pdev.resource[2] = DEFINE_RES_MEM(3ULL * SZ_1G, SZ_64K);
	*driver = devres_open_group(&pci->pdev.dev, NULL, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, *driver);
	return pci;
}

static void a_bar_is_a_region_of_device_memory_that_its_driver_enables(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct recorder *r = recorder_new(test, NULL);
	struct dpmgr_map_region *region;
	struct pci *pci;
	void *driver;

	pci = pci_new(test, &driver);
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	region = devm_dpmgr_map_bar(f->mgr, &pci->pdev, 2);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, region);
	KUNIT_EXPECT_STREQ(test, region->name, "0000:00:1f.7 BAR 2");
	KUNIT_EXPECT_EQ(test, 0, r->nr_held);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(region, RW));
	KUNIT_ASSERT_EQ(test, 1, r->nr_held);
	KUNIT_EXPECT_EQ(test, r->held[0].iova, 3ULL * SZ_1G);
	KUNIT_EXPECT_EQ(test, r->held[0].phys, 3ULL * SZ_1G);
	KUNIT_EXPECT_EQ(test, r->held[0].length, SZ_64K);
	KUNIT_EXPECT_EQ(test, r->held[0].memory, DPMGR_MAP_DEVICE);
	KUNIT_EXPECT_EQ(test, r->held[0].access, RW);
	KUNIT_EXPECT_NULL(test, r->held[0].vaddr);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(region));
	KUNIT_EXPECT_EQ(test, 0, r->nr_held);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(region, RW));
	devres_release_group(&pci->pdev.dev, driver);
	KUNIT_EXPECT_EQ(test, 0, r->nr_held);
	KUNIT_EXPECT_NULL(test, rb_first_cached(&f->mgr->map->regions));
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	put_device(&pci->pdev.dev);
	KUNIT_EXPECT_TRUE(test, pci->is_released);
}

static bool is_said(struct kunit *test, struct kmsg_dump_iter *log, const char *text)
{
	return fixture_log_has(test, log, (const char * const []){ text, NULL });
}

/* Hidden, it would come back when what hides it leaves. */
static void a_bar_that_its_driver_leaves_enabled_is_told_of(struct kunit *test)
{
	enum { DISABLED, ACTIVE, HIDDEN, ALL } how;
	struct dpmgr_map_region *region, *hiding;
	struct fixture *f = test->priv;
	struct kmsg_dump_iter log;
	struct pci *pci;
	void *driver;

	hiding = region_new(f, 1, 3ULL * SZ_1G >> PAGE_SHIFT, SZ_64K >> PAGE_SHIFT,
			    DPMGR_MAP_DEVICE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, hiding);
	for (how = 0; how < ALL; how++) {
		pci = pci_new(test, &driver);
		region = devm_dpmgr_map_bar(f->mgr, &pci->pdev, 2);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, region);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(region, RW));
		if (how == DISABLED)
			KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(region));
		if (how == HIDDEN)
			KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(hiding, RW));
		KUNIT_EXPECT_EQ(test, dpmgr_map_region_is_active(region), how == ACTIVE);
		fixture_log_start(&log);
		devres_release_group(&pci->pdev.dev, driver);
		KUNIT_EXPECT_EQ(test, is_said(test, &log, "the driver has left a BAR mapped"),
				how != DISABLED);
		put_device(&pci->pdev.dev);
		KUNIT_EXPECT_TRUE(test, pci->is_released);
	}
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_destroy(hiding));
}

static void what_is_no_bar_of_whole_pages_is_refused(struct kunit *test)
{
	static const struct resource bars[PCI_STD_NUM_BARS] = {
		[0] = DEFINE_RES_IO(0x1000, SZ_4K),
		[1] = DEFINE_RES_MEM(3ULL * SZ_1G + SZ_2K, SZ_2K),
		[2] = DEFINE_RES_MEM(3ULL * SZ_1G, SZ_2K),
		[3] = { .start = 0, .end = SZ_4K - 1,
			.flags = IORESOURCE_MEM | IORESOURCE_UNSET },
		[4] = { .start = 0, .end = -1, .flags = IORESOURCE_MEM },
		[5] = DEFINE_RES_MEM(3ULL * SZ_1G + SZ_2K, SZ_4K),
	};
	static const char * const rules[PCI_STD_NUM_BARS] = {
		"there is no memory BAR 0", "BAR 1 shares a page", "BAR 2 shares a page",
		"there is no memory BAR 3", "BAR 4 shares a page", "BAR 5 shares a page",
	};
	struct fixture *f = test->priv;
	struct kmsg_dump_iter log;
	struct pci *pci;
	void *driver;
	int i;

	fixture_log_start(&log);
	pci = pci_new(test, &driver);
	memcpy(pci->pdev.resource, bars, sizeof(bars));
	/* The ROM, which is no BAR. */
	pci->pdev.resource[PCI_STD_NUM_BARS] = DEFINE_RES_MEM(SZ_2G, SZ_64K);
	for (i = -1; i <= PCI_STD_NUM_BARS; i++)
		KUNIT_EXPECT_EQ_MSG(test, -EINVAL,
				    PTR_ERR_OR_ZERO(devm_dpmgr_map_bar(f->mgr, &pci->pdev, i)),
				    "BAR %d", i);
	for (i = 0; i < PCI_STD_NUM_BARS; i++) {
		struct kmsg_dump_iter from_here = log;

		KUNIT_EXPECT_TRUE_MSG(test, is_said(test, &from_here, rules[i]),
				      "the log doesn't say: %s", rules[i]);
	}
	KUNIT_EXPECT_EQ(test, -ENOENT,
			PTR_ERR_OR_ZERO(devm_dpmgr_map_bar(ERR_PTR(-ENOENT), &pci->pdev, 2)));
	KUNIT_EXPECT_NULL(test, rb_first_cached(&f->mgr->map->regions));
	devres_release_group(&pci->pdev.dev, driver);
	put_device(&pci->pdev.dev);
	KUNIT_EXPECT_TRUE(test, pci->is_released);
}

static void what_others_can_still_reach_keeps_the_device(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct faults faults = { NEVER, NEVER };
	struct recorder *r = recorder_new(test, &faults);
	struct dpmgr_map_region *region;
	struct pci *pci;
	void *driver;

	pci = pci_new(test, &driver);
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	region = devm_dpmgr_map_bar(f->mgr, &pci->pdev, 2);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, region);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(region, RW));
	faults.unmaps = 0;
	faults.go_on = true;
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, dpmgr_map_region_disable(region));
	devres_release_group(&pci->pdev.dev, driver);
	put_device(&pci->pdev.dev);
	KUNIT_EXPECT_FALSE(test, pci->is_released);
	faults.unmaps = NEVER;
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	KUNIT_EXPECT_TRUE(test, pci->is_released);
}

static void a_bar_that_cannot_be_a_region_leaves_nothing(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *region;
	unsigned int n, nr_refused = 0;
	bool failed = true;
	struct pci *pci;
	void *driver;

	pci = pci_new(test, &driver);
	/* Something else is there. */
	region = region_new(f, 0, (3ULL * SZ_1G + SZ_4K) >> PAGE_SHIFT, 1, DPMGR_MAP_RAM);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, region);
	KUNIT_EXPECT_EQ(test, -EINVAL,
			PTR_ERR_OR_ZERO(devm_dpmgr_map_bar(f->mgr, &pci->pdev, 2)));
	dpmgr_map_region_destroy(region);
	for (n = 1; slab_fails() && failed && n < 50; n++) {
		fail_nth(n);
		region = devm_dpmgr_map_bar(f->mgr, &pci->pdev, 2);
		failed = has_failed();
		if (!IS_ERR(region)) {
			devres_release_group(&pci->pdev.dev, driver);
			driver = devres_open_group(&pci->pdev.dev, NULL, GFP_KERNEL);
			KUNIT_ASSERT_NOT_NULL(test, driver);
			continue;
		}
		KUNIT_EXPECT_EQ(test, -ENOMEM, PTR_ERR(region));
		nr_refused++;
		KUNIT_EXPECT_NULL(test, rb_first_cached(&f->mgr->map->regions));
	}
	if (slab_fails())
		KUNIT_EXPECT_GE(test, nr_refused, 1);
	devres_release_group(&pci->pdev.dev, driver);
	put_device(&pci->pdev.dev);
	KUNIT_EXPECT_TRUE(test, pci->is_released);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_bar_is_a_region_of_device_memory_that_its_driver_enables),
	KUNIT_CASE(a_bar_that_its_driver_leaves_enabled_is_told_of),
	KUNIT_CASE(what_is_no_bar_of_whole_pages_is_refused),
	KUNIT_CASE(what_others_can_still_reach_keeps_the_device),
	KUNIT_CASE(a_bar_that_cannot_be_a_region_leaves_nothing),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_region_bar",
	.init = region_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
