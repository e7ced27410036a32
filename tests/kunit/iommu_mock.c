// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locking: each domain's tree has its own; mock_lock, for @events, @nr_domains and @gate; all
 * else is the map's lock's, or belongs to the case that runs.
 */
#include <linux/align.h>
#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/maple_tree.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/xarray.h>

#include "iommu_mock.h"

struct mock_iommu mock_iommu;

const bool mock_styles[] = { false, true };

/* Its ops live with the module, which they hold for each device. */
static struct iommu_device hardware;

struct mock_group {
	struct iommu_group *group;
};

/* Of VT-d's: those that there are, but for the root, each by table_index(). */
struct mock_domain {
	struct iommu_domain domain;
	struct maple_tree pages;
	struct xarray tables;
};

struct mock_page {
	u64 iova;
	phys_addr_t phys;
	size_t size;
	int prot;
};

static struct mock_domain *to_mock(struct iommu_domain *domain)
{
	return container_of(domain, struct mock_domain, domain);
}

static DEFINE_SPINLOCK(mock_lock);

void mock_gate_set(struct mock_gate *gate, char at)
{
	guard(spinlock)(&mock_lock);
	if (gate) {
		gate->at = at;
		init_completion(&gate->reached);
		init_completion(&gate->open);
	}
	mock_iommu.gate = gate;
}

static void pass(char what)
{
	struct mock_gate *gate;

	scoped_guard(spinlock, &mock_lock) {
		gate = mock_iommu.gate;
		if (!gate || gate->at != what)
			return;
		gate->at = '\0';
	}
	complete(&gate->reached);
	wait_for_completion(&gate->open);
}

static void note(char what)
{
	scoped_guard(spinlock, &mock_lock) {
		const size_t len = strlen(mock_iommu.events);

		mock_iommu.nr_domains += (what == '+') - (what == '-');
		if (len + 1 < sizeof(mock_iommu.events))
			mock_iommu.events[len] = what;
	}
	pass(what);
}

/* Whether this one fails; all that come after don't. */
static bool fails_once(int *left)
{
	if (*left == MOCK_NEVER)
		return false;
	if (*left) {
		--*left;
		return false;
	}
	*left = MOCK_NEVER;
	return true;
}

/* ---- domains --------------------------------------------------------------- */

static struct mock_page *find_page(struct mock_domain *domain, u64 iova)
{
	return mtree_load(&domain->pages, iova >> PAGE_SHIFT);
}

static int map_page(struct mock_domain *domain, u64 iova, phys_addr_t phys, size_t size,
		    int prot, gfp_t gfp)
{
	struct mock_page *page = kmalloc(sizeof(*page), gfp);
	int ret;

	if (!page)
		return -ENOMEM;
	*page = (struct mock_page){ iova, phys, size, prot };
	ret = mtree_insert_range(&domain->pages, iova >> PAGE_SHIFT,
				 (iova + size - 1) >> PAGE_SHIFT, page, gfp);
	if (ret)
		kfree(page);
	return ret;
}

static void drop_page(struct mock_domain *domain, struct mock_page *page)
{
	mtree_erase(&domain->pages, page->iova >> PAGE_SHIFT);
	mock_iommu.nr_stale += page->size;
	kfree(page);
}

/* ---- as VT-d does it --------------------------------------------------------- */

/* Page tables of four levels, with pages in the first three; the root has the fourth. */
#define ROOT	4

static u64 entry_size(unsigned int level)
{
	return (u64)SZ_4K << 9 * (level - 1);
}

static unsigned long table_index(unsigned int level, u64 iova)
{
	return (unsigned long)level << 52 | iova / entry_size(level + 1);
}

static bool has_table(struct mock_domain *domain, unsigned int level, u64 iova)
{
	return level == ROOT || xa_load(&domain->tables, table_index(level, iova));
}

/* The level at which a walk ends, with a page or with nothing. */
static unsigned int walk(struct mock_domain *domain, u64 iova)
{
	const struct mock_page *page = find_page(domain, iova);
	unsigned int level = ROOT;

	while (level > 1 && !(page && page->size == entry_size(level)) &&
	       has_table(domain, level - 1, iova))
		level--;
	return level;
}

/* All from @iova on, and the tables that have nothing but that. */
static void vtd_clear(struct mock_domain *domain, u64 iova, u64 length, u64 asked)
{
	const u64 last = iova + (length - 1);
	unsigned long index = iova >> PAGE_SHIFT;
	struct mock_page *page;
	unsigned int level;
	void *table;

	mt_for_each(&domain->pages, page, index, last >> PAGE_SHIFT) {
		mock_iommu.nr_torn += page->iova < iova ||
				      page->iova + page->size > iova + asked;
		drop_page(domain, page);
	}
	for (level = 1; level < ROOT; level++) {
		const u64 size = entry_size(level + 1);
		const u64 first = ALIGN(iova, size);

		if (first + (size - 1) > last)
			break;
		xa_for_each_range(&domain->tables, index, table, table_index(level, first),
				  table_index(level, last + 1) - 1)
			xa_erase(&domain->tables, index);
	}
}

static int vtd_map_page(struct mock_domain *domain, u64 iova, phys_addr_t phys, size_t size,
			int prot, gfp_t gfp)
{
	unsigned int level;
	int ret;

	for (level = ROOT - 1; entry_size(level) >= size; level--) {
		ret = xa_err(xa_store(&domain->tables, table_index(level, iova),
				      xa_mk_value(1), gfp));
		if (ret)
			return ret;
		if (level == 1)
			break;
	}
	if (entry_size(walk(domain, iova)) < size)
		vtd_clear(domain, iova, size, size);
	if (!find_page(domain, iova))
		return map_page(domain, iova, phys, size, prot, gfp);
	mock_iommu.nr_kept++;
	return 0;
}

/* What is mapped of a run that can't be mapped as a whole it doesn't say. */
static int vtd_map(struct mock_domain *domain, u64 iova, phys_addr_t phys, size_t size,
		   size_t count, int prot, gfp_t gfp, size_t *mapped)
{
	const bool fails = fails_once(&mock_iommu.maps);
	int ret = fails && !mock_iommu.mid_run ? -ENOSPC : 0;
	size_t i;

	for (i = 0; i < count && !ret; i++) {
		ret = vtd_map_page(domain, iova + i * size, phys + i * size, size, prot, gfp);
		if (fails)
			ret = -ENOSPC;
	}
	if (!ret)
		*mapped = size * count;
	return ret;
}

/* It takes at least as much as the entry at which the walk ends is for. */
static size_t vtd_unmap(struct mock_domain *domain, u64 iova, size_t asked)
{
	size_t length = max_t(size_t, asked, entry_size(walk(domain, iova)));

	if (!mock_iommu.unmaps)
		return 0;
	if (mock_iommu.unmaps != MOCK_NEVER)
		mock_iommu.unmaps--;
	vtd_clear(domain, iova, length, asked);
	return length;
}

/* ---- operations --------------------------------------------------------------- */

static int mock_map(struct iommu_domain *domain, unsigned long iova, phys_addr_t phys,
		    size_t size, size_t count, int prot, gfp_t gfp, size_t *mapped)
{
	bool fails;
	int ret;

	pass('m');
	if (mock_iommu.is_vtd)
		return vtd_map(to_mock(domain), iova, phys, size, count, prot, gfp, mapped);
	fails = fails_once(&mock_iommu.maps);
	ret = fails && !mock_iommu.mid_run ? -ENOSPC : 0;
	while (count-- && !ret) {
		ret = map_page(to_mock(domain), iova + *mapped, phys + *mapped, size, prot,
			       gfp);
		if (!ret)
			*mapped += size;
		if (fails)
			ret = -ENOSPC;
	}
	return ret;
}

/* Of a larger page, all goes. */
static size_t mock_unmap(struct iommu_domain *domain, unsigned long iova, size_t size,
			 size_t count, struct iommu_iotlb_gather *gather)
{
	size_t done = 0;

	pass('u');
	if (mock_iommu.is_vtd)
		return vtd_unmap(to_mock(domain), iova, size * count);

	while (count--) {
		struct mock_page *page = find_page(to_mock(domain), iova + done);

		if (!page || !mock_iommu.unmaps)
			break;
		if (mock_iommu.unmaps != MOCK_NEVER)
			mock_iommu.unmaps--;
		mock_iommu.nr_torn += page->iova != iova + done || page->size > size;
		done += page->size;
		drop_page(to_mock(domain), page);
	}
	return done;
}

static void mock_sync(struct iommu_domain *domain, struct iommu_iotlb_gather *gather)
{
	mock_iommu.nr_stale = 0;
	/* Of what was to be unmapped, VT-d's driver flushes all, whatever was there. */
	if (mock_iommu.is_vtd)
		mock_iommu.nr_punched = 0;
}

static void mock_flush(struct iommu_domain *domain)
{
	mock_iommu.nr_punched = 0;
	mock_iommu.nr_stale = 0;
}

static phys_addr_t mock_phys(struct iommu_domain *domain, dma_addr_t iova)
{
	const struct mock_page *page = find_page(to_mock(domain), iova);

	return page ? page->phys + (iova - page->iova) : 0;
}

static void mock_free(struct iommu_domain *domain)
{
	struct mock_domain *mock = to_mock(domain);
	struct mock_page *page;
	unsigned long index = 0;

	mt_for_each(&mock->pages, page, index, ULONG_MAX) {
		mock_iommu.nr_left += page->size;
		kfree(page);
	}
	mtree_destroy(&mock->pages);
	xa_destroy(&mock->tables);
	kfree(mock);
	note('-');
}

static int attach(struct iommu_domain *domain, struct device *dev, char what)
{
	struct mock_device *device = dev_iommu_priv_get(dev);

	device->domain = domain;
	note(what);
	return 0;
}

static int mock_attach(struct iommu_domain *domain, struct device *dev)
{
	return fails_once(&mock_iommu.attachments) ? -EBUSY : attach(domain, dev, 'P');
}

static int attach_identity(struct iommu_domain *domain, struct device *dev)
{
	return attach(domain, dev, 'I');
}

static int attach_blocking(struct iommu_domain *domain, struct device *dev)
{
	return attach(domain, dev, 'B');
}

static const struct iommu_domain_ops paging_ops = {
	.attach_dev = mock_attach,
	.map_pages = mock_map,
	.unmap_pages = mock_unmap,
	.flush_iotlb_all = mock_flush,
	.iotlb_sync = mock_sync,
	.iova_to_phys = mock_phys,
	.free = mock_free,
};

static const struct iommu_domain_ops identity_ops = { .attach_dev = attach_identity };
static const struct iommu_domain_ops blocking_ops = { .attach_dev = attach_blocking };

static struct iommu_domain identity = {
	.type = IOMMU_DOMAIN_IDENTITY,
	.ops = &identity_ops,
};

static struct iommu_domain blocking = {
	.type = IOMMU_DOMAIN_BLOCKED,
	.ops = &blocking_ops,
};

static struct iommu_domain *mock_alloc(struct device *dev)
{
	struct mock_domain *domain;

	if (mock_iommu.domains_fail)
		return ERR_PTR(-ENOSPC);
	domain = kzalloc(sizeof(*domain), GFP_KERNEL);
	if (!domain)
		return ERR_PTR(-ENOMEM);
	mt_init(&domain->pages);
	xa_init(&domain->tables);
	domain->domain.pgsize_bitmap = mock_iommu.pgsize_bitmap;
	domain->domain.geometry.aperture_start = mock_iommu.first;
	domain->domain.geometry.aperture_end = mock_iommu.last;
	domain->domain.geometry.force_aperture = true;
	note('+');
	return &domain->domain;
}

/* ---- devices --------------------------------------------------------------- */

static struct mock_device *mock_of(struct device *dev)
{
	struct mock_device **data = dev_get_platdata(dev);

	if (dev->bus != &platform_bus_type || !data ||
	    strcmp(to_platform_device(dev)->name, MOCK_DEVICE_NAME))
		return NULL;
	return *data;
}

static struct iommu_device *mock_probe(struct device *dev)
{
	struct mock_device *device = mock_of(dev);

	if (!device)
		return ERR_PTR(-ENODEV);
	dev_iommu_priv_set(dev, device);
	return &hardware;
}

static struct iommu_group *mock_group(struct device *dev)
{
	struct mock_device *device = mock_of(dev);

	if (device->group->group)
		return iommu_group_ref_get(device->group->group);
	device->group->group = iommu_group_alloc();
	return device->group->group;
}

static bool mock_capable(struct device *dev, enum iommu_cap cap)
{
	return cap == IOMMU_CAP_CACHE_COHERENCY && mock_iommu.is_coherent;
}

static void mock_windows(struct device *dev, struct list_head *list)
{
	const struct mock_device *device = mock_of(dev);
	struct iommu_resv_region *window;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(device->windows); i++) {
		if (!device->windows[i].length)
			continue;
		window = iommu_alloc_resv_region(device->windows[i].start,
						 device->windows[i].length, 0,
						 device->windows[i].type, GFP_KERNEL);
		if (window)
			list_add_tail(&window->list, list);
	}
}

static int mock_default(struct device *dev)
{
	return IOMMU_DOMAIN_IDENTITY;
}

static const struct iommu_ops ops = {
	.capable = mock_capable,
	.domain_alloc_paging = mock_alloc,
	.probe_device = mock_probe,
	.device_group = mock_group,
	.get_resv_regions = mock_windows,
	.def_domain_type = mock_default,
	.default_domain_ops = &paging_ops,
	.identity_domain = &identity,
	.blocked_domain = &blocking,
	.owner = THIS_MODULE,
};

/* ---- drivers --------------------------------------------------------------- */

static int probe(struct platform_device *pdev)
{
	return 0;
}

/* No device has such a name: they are bound by hand. */
static struct platform_driver drivers[] = {
	[MOCK_MANAGED_DMA] = {
		.probe = probe,
		.driver.name = MOCK_DEVICE_NAME "-managed",
		.driver_managed_dma = true,
	},
	[MOCK_DMA_API] = {
		.probe = probe,
		.driver.name = MOCK_DEVICE_NAME "-api",
	},
};

int mock_bind(const struct mock_device *device, enum mock_driver driver)
{
	device_release_driver(device->dev);
	if (driver == MOCK_NO_DRIVER)
		return 0;
	return device_driver_attach(&drivers[driver].driver, device->dev);
}

static void remove_driver(void *driver)
{
	platform_driver_unregister(driver);
}

static void add_drivers(struct kunit *test)
{
	struct platform_driver *driver;

	for (driver = drivers; driver < drivers + ARRAY_SIZE(drivers); driver++) {
		KUNIT_ASSERT_EQ(test, 0, platform_driver_register(driver));
		KUNIT_ASSERT_EQ(test, 0,
				kunit_add_action_or_reset(test, remove_driver, driver));
	}
}

/* ---- for cases ------------------------------------------------------------- */

static void stop(void *data)
{
	struct kunit *test = data;

	iommu_device_unregister(&hardware);
	iommu_device_sysfs_remove(&hardware);
	KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_domains);
	KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_stale);
	KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_kept);
}

void mock_iommu_start(struct kunit *test)
{
	hardware = (struct iommu_device){ };
	mock_iommu = (struct mock_iommu){
		.pgsize_bitmap = SZ_4K | SZ_2M | SZ_1G,
		.last = SZ_1T - 1,
		.is_vtd = test->param_value && *(const bool *)test->param_value,
		.is_coherent = true,
		.attachments = MOCK_NEVER,
		.maps = MOCK_NEVER,
		.unmaps = MOCK_NEVER,
	};
	KUNIT_ASSERT_EQ(test, 0, iommu_device_sysfs_add(&hardware, NULL, NULL, "dpmgr-mock"));
	KUNIT_ASSERT_EQ(test, 0, iommu_device_register(&hardware, &ops, NULL));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, stop, test));
	add_drivers(test);
}

static void remove(void *device)
{
	platform_device_unregister(device);
}

struct mock_device *mock_device_new(struct kunit *test, struct mock_device *other,
				    u64 window, size_t length)
{
	struct mock_device *device = kunit_kzalloc(test, sizeof(*device), GFP_KERNEL);
	struct platform_device *pdev;

	KUNIT_ASSERT_NOT_NULL(test, device);
	device->windows[0].start = window;
	device->windows[0].length = length;
	device->windows[0].type = IOMMU_RESV_MSI;
	device->group = other ? other->group :
				kunit_kzalloc(test, sizeof(*device->group), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, device->group);
	pdev = platform_device_register_data(NULL, MOCK_DEVICE_NAME, PLATFORM_DEVID_AUTO, &device,
					     sizeof(device));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, pdev);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, remove, pdev));
	device->dev = &pdev->dev;
	device->dev->coherent_dma_mask = DMA_BIT_MASK(64);
	device->dev->dma_mask = &device->dev->coherent_dma_mask;
	if (!device_iommu_mapped(device->dev))
		kunit_skip(test, "another IOMMU is there");
	KUNIT_ASSERT_EQ(test, 0, mock_bind(device, MOCK_MANAGED_DMA));
	return device;
}

static const struct mock_page *page_of(const struct mock_device *device, u64 address)
{
	if (!device->domain || device->domain->ops != &paging_ops)
		return NULL;
	return find_page(to_mock(device->domain), address);
}

size_t mock_reach(const struct mock_device *device, u64 address)
{
	const struct mock_page *page = page_of(device, address);

	if (device->domain == &identity)
		return SIZE_MAX;
	/* One to one, or not at all. */
	return page && page->phys == page->iova ? page->size : 0;
}

int mock_protection(const struct mock_device *device, u64 address)
{
	const struct mock_page *page = page_of(device, address);

	return page ? page->prot : 0;
}

void mock_punch(const struct mock_device *device, u64 address)
{
	struct mock_domain *domain = to_mock(device->domain);
	struct mock_page *page = find_page(domain, address);

	mtree_erase(&domain->pages, address >> PAGE_SHIFT);
	mock_iommu.nr_punched += page->size;
	kfree(page);
}

void mock_punch_table(const struct mock_device *device, u64 address, unsigned int level)
{
	mock_punch(device, address);
	for (; level; level--)
		xa_erase(&to_mock(device->domain)->tables, table_index(level, address));
}

u64 mock_mapped(const struct mock_device *device)
{
	struct mock_page *page;
	unsigned long index = 0;
	u64 size = 0;

	mt_for_each(&to_mock(device->domain)->pages, page, index, ULONG_MAX)
		size += page->size;
	return size;
}

void mock_expect_events(struct kunit *test, const char *events)
{
	KUNIT_EXPECT_STREQ(test, mock_iommu.events, events);
	memset(mock_iommu.events, 0, sizeof(mock_iommu.events));
}
