// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locking: each domain's tree has its own; mock_lock, for @events and @nr_domains; all
 * else is the map's lock's, or belongs to the case that runs.
 */
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

#include "iommu_mock.h"

struct mock_iommu mock_iommu;

/* Its ops live with the module, which they hold for each device. */
static struct iommu_device hardware;

struct mock_group {
	struct iommu_group *group;
};

struct mock_domain {
	struct iommu_domain domain;
	struct maple_tree pages;
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

static void note(char what)
{
	size_t len;

	guard(spinlock)(&mock_lock);
	mock_iommu.nr_domains += (what == '+') - (what == '-');
	len = strlen(mock_iommu.events);
	if (len + 1 < sizeof(mock_iommu.events))
		mock_iommu.events[len] = what;
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

static int mock_map(struct iommu_domain *domain, unsigned long iova, phys_addr_t phys,
		    size_t size, size_t count, int prot, gfp_t gfp, size_t *mapped)
{
	const bool fails = fails_once(&mock_iommu.maps);
	int ret = fails && !mock_iommu.mid_run ? -ENOSPC : 0;

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

/* As VT-d does it: of a larger page, all goes. */
static size_t mock_unmap(struct iommu_domain *domain, unsigned long iova, size_t size,
			 size_t count, struct iommu_iotlb_gather *gather)
{
	size_t done = 0;

	while (count--) {
		struct mock_page *page = find_page(to_mock(domain), iova + done);

		if (!page || !mock_iommu.unmaps)
			break;
		if (mtree_erase(&to_mock(domain)->pages, page->iova >> PAGE_SHIFT) != page)
			break;
		if (mock_iommu.unmaps != MOCK_NEVER)
			mock_iommu.unmaps--;
		mock_iommu.nr_torn += page->iova != iova + done || page->size > size;
		mock_iommu.nr_stale += page->size;
		done += page->size;
		kfree(page);
	}
	return done;
}

static void mock_sync(struct iommu_domain *domain, struct iommu_iotlb_gather *gather)
{
	mock_iommu.nr_stale = 0;
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

	if (!device->window.length)
		return;
	window = iommu_alloc_resv_region(device->window.start, device->window.length, 0,
					 device->window.type, GFP_KERNEL);
	if (window)
		list_add_tail(&window->list, list);
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

/* ---- for cases ------------------------------------------------------------- */

static void stop(void *data)
{
	struct kunit *test = data;

	iommu_device_unregister(&hardware);
	iommu_device_sysfs_remove(&hardware);
	KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_domains);
	KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_stale);
}

void mock_iommu_start(struct kunit *test)
{
	hardware = (struct iommu_device){ };
	mock_iommu = (struct mock_iommu){
		.pgsize_bitmap = SZ_4K | SZ_2M | SZ_1G,
		.last = SZ_1T - 1,
		.is_coherent = true,
		.attachments = MOCK_NEVER,
		.maps = MOCK_NEVER,
		.unmaps = MOCK_NEVER,
	};
	KUNIT_ASSERT_EQ(test, 0, iommu_device_sysfs_add(&hardware, NULL, NULL, "dpmgr-mock"));
	KUNIT_ASSERT_EQ(test, 0, iommu_device_register(&hardware, &ops, NULL));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, stop, test));
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
	device->window.start = window;
	device->window.length = length;
	device->window.type = IOMMU_RESV_MSI;
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
